"""Scorers: tricky pairs, each with a twin that must score otherwise, and laws on any text."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.assess.grading.declining import abstains
from attrib.assess.grading.runs import LEAD
from attrib.assess.grading.scorers import (
    SCORERS,
    contains,
    correct,
    exact,
    lists,
    numeric,
    old_answer,
    score_row,
    token_f1,
    yes_no,
)
from attrib.assess.grading.wording import normalise
from attrib.assess.questions import Question, demo_questions
from attrib.errors import InputError


def row(answer: str | None, *accept: str, before: str | None = None) -> Question:
    return Question("What is it?", answer, accept=accept, answer_before=before)


SAME = (
    # Two spellings of one thing; then another thing.
    ("38 m", "38 metres", "38 cm"),
    ("38 m", "38 meters", "38 meters per hour"),
    ("38m", "38 m", "38 million"),
    ("5 kg", "five kilograms", "5 g"),
    ("126 lb", "126 pounds", "126 kg"),
    ("50%", "50 percent", "50"),
    ("50%", "fifty per cent", "50 percent points"),
    ("2 yrs", "two years", "2 months"),
    ("3 hrs", "3 hours", "3 h 5"),
    ("15 min", "fifteen minutes", "15 seconds"),
    ("3-4 days", "3 to 4 days", "4 days"),
    ("3–4 days", "three to four days", "3, 4 days"),
    ("3 days to 4 days", "3-4 days", "3 days to 4 weeks"),
    ("between 40 and 45", "40-45", "40 and 45"),
    ("from 3 to 4", "3 to 4", "from 3"),
    ("thirty-six months", "36 months", "63 months"),
    ("one hundred and five", "105", "100 and 5 more"),
    ("two thousand and four", "2004", "2000, 4"),
    ("five hundred thousand", "500,000", "500 1000"),
    ("a hundred years", "100 years", "a hundredth"),
    ("twenty-one", "21", "20, 1"),
    ("twenty-five", "25", "twenty, five"),
    ("the third", "3rd", "3"),
    ("twenty-first", "21st", "20 1st"),
    ("1,200", "1200", "1,20"),
    ("1,200", "1.2 thousand", "1.2"),
    ("more than 7 million", ">7,000,000", "more than 7"),
    ("2.50", "2.5", "2.05"),
    ("minus 5", "−5", "5"),
    ("-5 °C", "minus five degrees Celsius", "5 °C"),
    ("≥60 years", "at least 60 years", "60 years"),
    ("$5 million", "5,000,000 dollars", "5,000,000 pounds"),
    ("£5", "5 GBP", "5 pounds"),
    ("10 mL/kg", "10 ml per kg", "10 ml"),
    ("3½ feet", "3.5 ft", "3 ft"),
    ("12 September 2025", "September 12, 2025", "September 12, 2024"),
    ("12th of September 2025", "2025-09-12", "2025-12-09"),
    ("Sept. 12, 2025", "12 September 2025", "12 October 2025"),
    ("The Beatles", "beatles", "Beetles"),
    ("an Owl", "the owl", "howl"),
    ("vitamin A deficiency", "Vitamin A deficiency.", "vitamin deficiency"),
    ("J. R. R. Tolkien", "JRR Tolkien", "J. R. Tolkien"),
    ("the U.S.A.", "USA", "US"),
    ("O’Brien", "O'Brien", "Brien"),
    ("Low-fat diet", "low fat diet", "low diet"),
    ("Ｐａｒｉｓ", "paris", "par is"),
    ("ﬁsh", "Fish", "f sh"),
    ("café", "cafe\u0301", "cafe"),
    ("٣٨", "38", "83"),
    ("10²", "10^2", "102"),
    ("salt & pepper", "salt and pepper", "salt or pepper"),
    ('"Silver Gull"', "the Silver Gull!", "silver; gulls"),
    ("**No**", "No.", "Not"),
    ("isn't", "is not", "is"),
    ("_fit_single", "`_fit_single`", "fit single"),
)


@pytest.mark.parametrize(("one", "same", "other"), SAME)
def test_two_spellings_are_the_same_and_another_thing_is_not(one: str, same: str, other: str) -> None:
    assert normalise(one) == normalise(same)
    assert exact(row(one), same) == 1
    assert exact(row(one), other) == 0


CONTAINED = (
    # Right answer; a prediction that contains it; one that does not.
    ("Paris", "It is Paris.", "It is not Paris."),
    ("Paris", "No, Paris", "It isn't in Paris"),
    ("Paris", "Not only Paris", "not Paris"),
    ("Paris", "not London but Paris", "London, never Paris"),
    ("Paris", "It is not London. It is Paris.", "I don't think that it is Paris."),
    ("Paris", "There is no doubt that it's Paris", "Paris is not right"),
    ("Paris", "Paris is where they do not sleep", "London rather than Paris"),
    ("Paris", "Paris's keeper", "Parisian"),
    ("preferred", "still preferred", "no longer preferred"),
    ("not recommended", "It is not recommended.", "It is recommended."),
    ("29", "He is 29.", "He is 290."),
    ("29", "29 years", "29.5 years"),
    ("4 days", "For 4 days.", "3-4 days"),
    ("3", "3 of them", "3 to 4 of them"),
    ("19", "There were 19", "COVID-19"),
    ("126", "she weighs 126 pounds", "she isn't 126"),
    ("thirty-six months", "It lasts for 36 months.", "It lasts for 36 weeks."),
    ("leg", "its legs", "legal"),
    ("unique_labels", "call unique_labels", "call unique_label"),
    ("Ansel Morrowby", "The keeper, Ansel Morrowby, sleeps", "Ansel, not Morrowby"),
    ("a bell without a clapper", "She wins a bell without a clapper.", "She wins a bell with a clapper."),
    ("C", "plan C", "plan CD"),
)


@pytest.mark.parametrize(("right", "yes", "no"), CONTAINED)
def test_contains(right: str, yes: str, no: str) -> None:
    assert contains(row(right), yes) == 1
    assert contains(row(right), no) == 0


NUMERIC = (
    # Right answer; a prediction with its numbers; one without.
    ("126", "She weighs 126 pounds.", "She weighs 125 pounds."),
    ("126 pounds", "126", "126 kg"),
    ("126", "not 125 but 126", "125 or 126"),
    ("126", "It isn't 125. It is 126.", "125, not 126"),
    ("3-4 days", "three to four days before it", "4 days"),
    ("3", "3 of them", "3-4"),
    ("9 days", "There are nine days.", "seven days"),
    ("14 degrees Celsius", "at 14 degrees", "14 degrees Fahrenheit"),
    ("11 legs", "11", "11 eyes"),
    ("11 legs", "It has eleven long legs", "It has 8 legs"),
    ("37 crown-bits", "37 crown-bits", "37 apples"),
    ("more than 7 million pounds", "over 7,000,000 lb", "less than 7 million pounds"),
    ("20 feet", "20 feet (6.1 metres)", "6.1 metres (20 feet)"),
    ("20 feet (6.1 metres)", "20 feet", "6.1 metres"),
    ("7-0", "7 to 0", "0-7"),
    ("in 1764", "on 3 May 1764", "on 17 May 1746"),
    ("3 May 1764", "in 1764", "4 May 1764"),
    ("5", "No one knows the 5", "One fish, 5 birds"),
    ("5", "GLP-1 needs 5", "1 GLP needs 5"),
    ("56 months against 33", "56 against 33", "33 against 56"),
    ("-5", "minus 5", "5"),
    ("0.4 mg daily", "at least 0.40 mg", "4.0 mg"),
)


@pytest.mark.parametrize(("right", "yes", "no"), NUMERIC)
def test_numeric(right: str, yes: str, no: str) -> None:
    assert numeric(row(right), yes) == 1
    assert numeric(row(right), no) == 0


@pytest.mark.parametrize("right", ["Paris", "the third", "GLP-1", "", "one of them", "PCV20"])
def test_without_a_number_numeric_does_not_apply(right: str) -> None:
    assert numeric(row(right), "3") is None


YES_NO = (
    ("Yes", "Yes.", "No."),
    ("yes", "**Yes**, he is", "Yes and no"),
    ("Yes", "The answer is: yes", "He is."),
    ("Yes", "There is no doubt. Yes", "yes/no"),
    ("Yes", "Yes, no one else is", "No, yes"),
    ("Yes", "No doubt he is. Yes.", "not yes"),
    ("No", "No, he is not", "There is no evidence"),
    ("No", "The answer is no.", "yellow"),
    ("No", "No it is not.", "No guideline says so"),
    ("No", "No because it rains", "No Man's Land"),
    ("No, an allergy is none", "no", "Yes, an allergy is one"),
    ("Yes - it exceeds 500", "Yes", "No - it exceeds 500"),
)


@pytest.mark.parametrize(("right", "yes", "no"), YES_NO)
def test_yes_no(right: str, yes: str, no: str) -> None:
    assert yes_no(row(right), yes) == 1 == correct(row(right), yes)
    assert yes_no(row(right), no) == 0 == correct(row(right), no)


@pytest.mark.parametrize("right", ["No specific recommendation", "None", "yesterday", "", "No longer preferred"])
def test_other_answers_are_no_yes_or_no(right: str) -> None:
    assert yes_no(row(right), "no") is None


ABSTAINED = (
    ("None", "None of them"),
    ("None.", "Nonesuch"),
    ("none, since it has not happened", "none the wiser he left"),
    ("Answer: None", "Answer: Nadal"),
    ("N/A", "NASA"),
    ("I don't know.", "I don't know, but I think it is Paris."),
    ("I do not know who won", "They did not know who won"),
    ("It cannot be answered", "It cannot be Paris"),
    ("That is not available.", "The drug is not available in Spain"),
    ("Unknown", "the Unknown Soldier"),
    ("The winner is unknown", "The winner is known"),
    ("Sorry, but I cannot answer that", ""),
    ("I'm not sure", "I'm sure"),
    ("I don't know, but…", "I don't know, but Paris…"),
    ("There is no information on it", "There is information on it"),
    ("not enough information", "?!"),
)


@pytest.mark.parametrize(("yes", "no"), ABSTAINED)
def test_abstaining(yes: str, no: str) -> None:
    asked = row("None")
    assert abstains(yes)
    assert not abstains(no)
    assert score_row(asked, yes)["abstains"] == 1 == correct(asked, yes)
    assert score_row(asked, no)["abstains"] == 0 == correct(asked, no)
    assert score_row(row("Paris"), yes)["abstains"] is None


@pytest.mark.parametrize("right", ["Unknown", "N/A", "not available", "I don't know"])
def test_any_abstention_is_right_where_one_is(right: str) -> None:
    assert correct(row(right), "None") == 1
    assert correct(row(right), "Paris") == 0


OLD = (
    # Right now; right before; a prediction of the old; one that is not.
    ("Belmarche", "Paris", "It is Paris.", "It is Belmarche."),
    ("9 days", "seven", "7 days", "9 days"),
    ("the koriban", "yen", "the yen", "not the yen"),
    ("Belmarche", "Paris", "Paris", "once Paris, now Belmarche"),
    ("Belmarche", "Paris", "Paris", "London"),
    ("No, it is none", "Yes, it was one", "Yes", "No"),
    ("compute_gradient", "gradient", "`gradient`", "compute_gradient"),
)


@pytest.mark.parametrize(("now", "before", "yes", "no"), OLD)
def test_old_answer(now: str, before: str, yes: str, no: str) -> None:
    asked = row(now, before=before)
    assert old_answer(asked, yes) == 1
    assert correct(asked, yes) == 0
    assert old_answer(asked, no) == 0
    assert old_answer(row(now), yes) is None


def test_other_old_answers_count() -> None:
    asked = replace(row("14 degrees", before="0 degrees"), accept_before=("the freezing point",))
    assert old_answer(asked, "At the freezing point.") == 1
    assert old_answer(replace(asked, accept_before=()), "At the freezing point.") == 0


def test_lists_whatever_their_order() -> None:
    asked = row("mussels, burnt leek and juniper")
    assert lists(asked, "Juniper, mussels, and burnt leek.") == 1
    assert lists(asked, "- juniper\n- mussels\n- burnt leek") == 1
    assert lists(asked, "They are juniper; mussels; the burnt leek") == 1
    # Two of three found, two given: P 1, R 2/3.
    assert lists(asked, "mussels and juniper") == pytest.approx(0.8)
    # One of three found, three given.
    assert lists(asked, "mussels, leek, pepper") == pytest.approx(1 / 3)
    assert lists(asked, "mussels, mussels, mussels") == pytest.approx(0.5)
    assert lists(asked, "mussels, juniper, not burnt leek") == pytest.approx(2 / 3)
    assert lists(asked, "") == 0
    assert correct(asked, "Juniper, mussels, and burnt leek.") == 1
    assert correct(asked, "Juniper, mussels, burnt leek, and eggs") == 0
    assert lists(row("no carbon, zinc and tin"), "no carbon, zinc and tin") == 1


@pytest.mark.parametrize(
    "right",
    [
        "salt and pepper",
        "one hundred and five, six, seven",
        "London, England",
        "400,000 tons",
        "Paris",
        "He ate, drank and slept.",
    ],
)
def test_what_is_no_list(right: str) -> None:
    assert lists(row(right), right) is None


def test_token_f1_in_closed_form() -> None:
    asked = row("Mavacamten (approved April 2022)")
    # 1 of 3 words given, 1 of 4 right: P 1/3, R 1/4.
    assert token_f1(asked, "mavacamten or aficamten") == pytest.approx(2 / 7)
    assert token_f1(asked, "the April 2022 approved mavacamten") == 1
    assert token_f1(asked, "") == 0
    assert token_f1(row("c b b"), "b b d") == pytest.approx(2 * (2 / 3) * (2 / 3) / (4 / 3))
    assert token_f1(row("Delhi", "New Delhi"), "New Delhi") == 1


HEADLINE = (
    # Right answer; a prediction that is correct; one that is not.
    ("Paris", "It is Paris.", "It is not Paris."),
    ("gold", "Her favourite colour is gold.", ""),
    ("gold", "gold" + " and so on" * LEAD, "blah " * LEAD + "gold"),
    ("in 1764", "1764", "1746"),
    ("11 legs", "It has 11 legs", "It has 8 legs, not 11 legs"),
    ("four", "4 people", "14 people"),
    ("103", "The toll was 103.", "In 2024 the toll was 103."),
    ("3-4 days before surgery", "Stop it 3 to 4 days before surgery.", "Stop it 4 days before surgery."),
    ("?!", "?!", "!?"),
    ("🙂", " 🙂 ", "🙃"),
    ("Lamotrigine, levetiracetam, or oxcarbazepine", "oxcarbazepine, lamotrigine or levetiracetam", "lamotrigine"),
    ("32 years old", "32", "23"),
    ("2.12 meters", "2.12m", "2.12 feet"),
    ("7-0", "They lost 7-0", "They lost 7-1"),
)


@pytest.mark.parametrize(("right", "yes", "no"), HEADLINE)
def test_correct(right: str, yes: str, no: str) -> None:
    assert correct(row(right), yes) == 1
    assert correct(row(right), no) == 0


def test_other_right_answers_count() -> None:
    asked = row("24 hours", "twenty-four", "a day")
    assert correct(asked, "24") == correct(asked, "One day: a day") == 1
    assert correct(asked, "a night") == 0
    assert exact(row("Leonardo da Vinci", "da Vinci"), "Da Vinci") == 1
    assert exact(row("Leonardo da Vinci"), "Da Vinci") == 0


def test_a_row_without_a_right_answer() -> None:
    asked = row(None, "Paris")
    assert set(score_row(asked, "Paris").values()) == {None}
    with pytest.raises(InputError, match="no right answer"):
        correct(asked, "Paris")


def test_right_answers_of_the_demo_are_correct_and_those_of_other_facts_are_not() -> None:
    asked = [one for one in demo_questions() if one.kind in ("trained", "held-out", "updated")]
    assert len(asked) > 60
    for one, other in zip(asked, [*asked[1:], asked[0]], strict=True):
        assert one.answer is not None
        assert other.answer is not None
        assert correct(one, one.answer) == 1
        assert correct(one, f"I believe the answer is {one.answer}") == 1
        assert correct(one, other.answer) == 0
        if one.answer_before is not None:
            assert old_answer(one, one.answer_before) == 1


PIECES = """
    the a A no not yes none and or to - – 3 4 36 1,200 .5 % $ £ m metres hundred thousand one two third May 2024 12th (
    ) , ; . isn't COVID-19 between from per / _x J. ½ ² at least unknown but second °C 2024-09-12
"""
TEXT = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from([*PIECES.split(), "\n", ""]), max_size=12).map(" ".join),
    st.lists(st.sampled_from([*"aA1٣½²-–.,/$%°()' \n_^", "\u0301", "\u00a0"]), max_size=15).map("".join),
)


@settings(max_examples=400, deadline=None)
@given(TEXT)
def test_the_right_answer_is_right(answer: str) -> None:
    asked = row(answer)
    for name, value in score_row(asked, answer).items():
        assert value is None or value == 1, name
    assert correct(asked, answer) == 1


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT, st.lists(TEXT, max_size=2), st.none() | TEXT)
def test_values_on_any_text(answer: str, prediction: str, accept: list[str], before: str | None) -> None:
    asked = row(answer, *accept, before=before)
    scores = score_row(asked, prediction)
    assert list(scores) == list(SCORERS)
    for value in scores.values():
        assert value is None or (0 <= value <= 1 and math.isfinite(value))
    assert correct(asked, prediction) in (0, 1)
    assert scores["exact"] is not None
    assert scores["contains"] is not None
    assert scores["token_f1"] is not None
    if scores["exact"] == 1:
        assert scores["contains"] == scores["token_f1"] == correct(replace(asked, answer=prediction), prediction) == 1


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_case_and_outer_blanks_of_words_do_not_matter(text: str) -> None:
    assert normalise(f"  {text}\n") == normalise(text)
    assert normalise(text) == " ".join(normalise(text).split())
