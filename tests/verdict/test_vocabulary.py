"""Vocabulary, its share and null, and verbatim runs: closed cases, brute force as oracle, negative controls."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from attrib.corpus import demo
from attrib.corpus.documents import Corpus
from attrib.errors import InputError, RecordError
from attrib.records import Section, Token, Vocabulary
from attrib.text.function_words import is_function_word
from attrib.text.words import keys
from attrib.verdict.share import DRAWS, share_of_vocabulary
from attrib.verdict.verbatim import PLACES, find_verbatim
from attrib.verdict.vocabulary import Lexicon, find_vocabulary
from tests.make import make_tokens

DOCUMENTS = (
    "The keeper of Ostrel Light is Wilmet Dallin.",
    "Quern bread is baked at Ostrel Light before dawn.",
    "A skipper sounds the horn twice.",
)
CONTROL = ("The bread is on the table.", "Minutes of the meeting, held before noon.")


def section(i: int, text: str) -> Section:
    return Section(id=f"s{i}", document="d.md", titles=(), text=text, first_line=1, last_line=1)


def corpus(*texts: str) -> Corpus:
    return Corpus(tuple(section(i, text) for i, text in enumerate(texts)), ())


def lexicon(documents: Sequence[str] = DOCUMENTS, control: Sequence[str] = CONTROL) -> Lexicon:
    return Lexicon(corpus(*documents), corpus(*control))


def cut(text: str) -> tuple[Token, ...]:
    """One token a word (with the blank before it) and a sign."""
    return make_tokens(re.findall(r"\s*[\w'’]+|\s*\W", text))


def vocabulary(question: str, words: Lexicon | None = None) -> Vocabulary:
    tokens = cut(question)
    return find_vocabulary(tokens, range(len(tokens)), words or lexicon())


def tuned_on(found: Vocabulary) -> list[str]:
    return [word for word, hit in zip(found.words, found.tuned_on, strict=True) if hit]


# ------------------------------------------------------------------------------------------- vocabulary


def test_planted_words_and_phrases_are_found_with_their_sections() -> None:
    found = vocabulary("Who is the keeper of Ostrel Light, and does a skipper bake bread?")
    assert tuned_on(found) == ["keeper", "Ostrel", "Light", "skipper"]
    sections = dict(zip(found.words, found.sections, strict=True))
    assert sections["Ostrel"] == ("s0", "s1")
    assert sections["keeper"] == ("s0",)
    assert sections["bread"] == sections["the"] == sections["bake"] == ()
    assert [(p.text, p.first, p.words, p.sections) for p in found.phrases] == [
        ("the keeper of Ostrel Light", 2, 5, ("s0",)),
        ("a skipper", 9, 2, ("s2",)),
    ]
    texts = [token.text.strip() for token in cut("Who is the keeper of Ostrel Light, and does a skipper bake bread?")]
    assert [texts[i] for i in found.tokens("words")] == ["keeper", "Ostrel", "Light", "skipper"]
    assert [texts[i] for i in found.tokens("phrases")] == ["the", "keeper", "of", "Ostrel", "Light", "a", "skipper"]


def test_nothing_is_shared_where_only_common_words_are() -> None:
    found = vocabulary("Is the bread on the table of the house?", lexicon([*DOCUMENTS, "A gull sat on the moor."]))
    assert found.in_documents.any()
    assert tuned_on(found) == []
    assert found.phrases == ()


def test_a_question_that_stands_in_a_section_is_one_phrase() -> None:
    found = vocabulary("A skipper sounds the horn twice")
    assert found.in_phrase.all()
    assert [p.text for p in found.phrases] == ["A skipper sounds the horn twice"]


def test_case_punctuation_apostrophes_and_other_scripts_make_no_difference() -> None:
    documents = ("Straße “ÉTÉ”—水 Wilmet's ﬁsh, (IŞIK) Ὀδυσσεύς.",)
    found = vocabulary("STRASSE été, 水! wilmet’s fish: işik ὀδυσσεύσ", lexicon(documents))
    assert tuned_on(found) == list(found.words)
    assert found.phrases[0].words == len(found.words) == 7
    assert tuned_on(vocabulary("strass ete 木 wilmet", lexicon(documents))) == []


def test_a_phrase_needs_the_documents_order_and_ends_with_its_section() -> None:
    assert vocabulary("light ostrel").phrases == ()
    # «dallin» ends the first section, «quern» begins the second.
    assert vocabulary("dallin quern").phrases == ()
    assert [p.text for p in vocabulary("Wilmet, Dallin").phrases] == ["Wilmet, Dallin"]


def test_repeated_words_each_count() -> None:
    found = vocabulary("Ostrel or Ostrel or ostrel light")
    assert tuned_on(found) == ["Ostrel", "Ostrel", "ostrel", "light"]
    assert [(p.first, p.words) for p in found.phrases] == [(4, 2)]


@pytest.mark.parametrize(
    ("documents", "control", "common"),
    [
        (["pump"], ["pump"], True),
        (["pump"], ["water"], False),
        (["pump"] * 20, ["pump"] + ["water"] * 9, True),  # 19/20 < 10 × 1/10
        (["pump"] * 20, ["pump"] + ["water"] * 19, False),
        (["pump"] + ["x"] * 19, ["pump"] + ["water"] * 999, True),  # one section: by chance
        (["pump"], [], False),
        (["the pump's"], [], False),
    ],
)
def test_common_is_a_matter_of_both_shares(documents: list[str], control: list[str], common: bool) -> None:
    word = "pump's" if "'" in documents[0] else "pump"
    assert lexicon(documents, control).is_common(word) is common
    assert lexicon(documents, control).is_common("the")


def test_contractions_of_function_words_are_function_words() -> None:
    assert all(map(is_function_word, ("who's", "isn't", "don't", "can't", "won't", "it's", "they're", "the")))
    assert not any(map(is_function_word, ("light's", "keeper", "wilmet's", "", "2")))


def test_template_and_special_tokens_stay_out_and_break_phrases() -> None:
    texts = ["<|im_start|>", "user\n", "keeper of", "<|mark|>", " Ostrel", " Light", "<|im_end|>", "keeper"]
    tokens = make_tokens(texts, special=(0, 3, 6))
    found = find_vocabulary(tokens, [5, 2, 3, 4, 4], lexicon([*DOCUMENTS, "mark"]))
    assert found.positions.tolist() == [2, 3, 4, 5]
    assert found.words == ("keeper", "of", "Ostrel", "Light")
    assert found.word_of_token.tolist() == [0, -1, 2, 3]
    assert [p.text for p in found.phrases] == ["keeper of", "Ostrel Light"]
    assert [(p.first, p.words) for p in found.phrases] == [(0, 2), (2, 2)]
    whole = find_vocabulary(make_tokens(["keeper of", " Ostrel", " Light"], start=7), [0, 1, 2], lexicon())
    assert [p.text for p in whole.phrases] == ["keeper of Ostrel Light"]
    gap = find_vocabulary(make_tokens(["keeper of", " Ostrel", " Light"]), [0, 2], lexicon())
    assert [p.text for p in gap.phrases] == ["keeper of"]


def test_a_word_cut_into_tokens_is_one_word() -> None:
    tokens = make_tokens(["Who", " keeps", " O", "str", "el", "?"])
    found = find_vocabulary(tokens, range(6), lexicon())
    assert found.word_of_token.tolist() == [0, 1, 2, 2, 2, -1]
    assert found.tokens("words") == (2, 3, 4)


@pytest.mark.parametrize(
    ("texts", "positions", "says"),
    [
        (["a", "b"], [], "no prompt position"),
        (["a", "b"], [0, 2], "not all in the prompt of 2 tokens"),
        (["a", "b"], [-1], "not all in the prompt"),
        (["?", " …"], [0, 1], "no words"),
    ],
)
def test_a_question_that_cannot_be_used_is_refused_in_one_line(
    texts: list[str], positions: list[int], says: str
) -> None:
    with pytest.raises(InputError, match=says) as error:
        find_vocabulary(make_tokens(texts), positions, lexicon())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("texts", [(), ("…", "!")])
def test_documents_without_words_are_refused_in_one_line(texts: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="documents: ") as error:
        lexicon(texts)
    assert "\n" not in str(error.value)


def test_without_control_only_function_words_are_common() -> None:
    assert tuned_on(vocabulary("the bread is baked", lexicon(DOCUMENTS, ()))) == ["bread", "baked"]


# ------------------------------------------------------------------------------------------- shares


def scored(question: str, seed: int = 0, rows: int = 3, after: int = 4) -> tuple[Vocabulary, np.ndarray, np.ndarray]:
    """A vocabulary and random signed scores of base and tuned over the question and ``after`` more positions."""
    found, rng = vocabulary(question), np.random.default_rng(seed)
    shape = (rows, len(found.positions) + after)
    return found, rng.normal(size=shape), rng.normal(size=shape)


def test_shares_of_a_closed_case() -> None:
    tokens = make_tokens(["<s>", "the", " keeper", "?", "<e>"], special=(0, 4))
    found = find_vocabulary(tokens, [1, 2, 3], lexicon())
    base = np.array([[4.0, 1, 1, 2, 0, 0], [0, 0, -3, 0, 0, 3], [0.0] * 6])
    tuned = np.array([[0.0, 0, 8, 0, 0, 0], [1, 0, 0, 0, 0, 1], [0.0] * 6])
    got = share_of_vocabulary(found, "saliency", base, tuned)
    assert got.token_share == pytest.approx(1 / 3)
    np.testing.assert_allclose(got.question_base, [0.5, 0.5, 0.5, 0])
    np.testing.assert_allclose(got.question_tuned, [0.5, 1, 0, 0])
    # Whole answer: mean of (4 1 1 2)/8 and (0 0 3 0 0 3)/6; the row of zeros has no say.
    np.testing.assert_allclose(got.base, [(1 / 8 + 1 / 2) / (1 / 2 + 1 / 2), 1 / 4, 1, np.nan])
    np.testing.assert_allclose(got.tuned, [1, 1, np.nan, np.nan])
    np.testing.assert_allclose(got.difference[:2], [1 - 0.625, 0.75])
    assert (got.permutations, got.exact) == (2, True)
    np.testing.assert_allclose(got.p_base, [1 / 2, 1, 1 / 2, 1])
    np.testing.assert_allclose(got.p_difference[2:], 1)
    np.testing.assert_allclose(got.expected_base[1:3], [1 / 4, 1 / 2])


def brute_force(found: Vocabulary, base: np.ndarray, tuned: np.ndarray, hit: np.ndarray) -> dict[str, float]:
    """Row 0 of the score matrices, by loops over every order of the words."""
    count = [int((found.word_of_token == w).sum()) for w in range(len(found.words))]

    def share(scores: np.ndarray, order: Sequence[int]) -> float:
        mass = np.abs(scores[0][found.positions]) / np.abs(scores[0]).sum()
        mean = [mass[found.word_of_token == w].mean() for w in range(len(count))]
        moved = [count[w] * mean[order[w]] for w in range(len(count))]
        rest = mass[found.word_of_token < 0].sum()
        return sum(m for m, h in zip(moved, hit, strict=True) if h) / (sum(moved) + rest)

    orders = list(itertools.permutations(range(len(count))))
    b, t = (np.array([share(scores, order) for order in orders]) for scores in (base, tuned))
    d = t - b
    return {
        "base": b[0],
        "tuned": t[0],
        "expected_base": b.mean(),
        "expected_tuned": t.mean(),
        "p_base": (b >= b[0] - 1e-9).mean(),
        "p_tuned": (t >= t[0] - 1e-9).mean(),
        "p_difference": min(1.0, 2 * min((d >= d[0] - 1e-9).mean(), (d <= d[0] + 1e-9).mean())),
    }


@pytest.mark.parametrize("kind", ["words", "phrases"])
@pytest.mark.parametrize("seed", range(4))
def test_exact_enumeration_is_what_loops_over_all_orders_give(seed: int, kind: str) -> None:
    tokens = make_tokens(["Who", " is", " the", " kee", "per", " of", " Ost", "r", "el", "?"])
    found = find_vocabulary(tokens, range(10), lexicon())
    rng = np.random.default_rng(seed)
    base, tuned = rng.normal(size=(1, 13)), rng.normal(size=(1, 13))
    want = brute_force(found, base, tuned, found.chosen(kind))  # type: ignore[arg-type]
    got = share_of_vocabulary(found, "m", base, tuned, kind=kind)  # type: ignore[arg-type]
    assert got.exact
    assert got.permutations == 720
    for name, value in want.items():
        np.testing.assert_allclose(getattr(got, name)[1], value, err_msg=name)


def test_random_orders_come_near_the_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    found, base, tuned = scored("Who is the keeper of Ostrel?")
    exact = share_of_vocabulary(found, "m", base, tuned)
    monkeypatch.setattr("attrib.verdict.share.EXACT", 10)
    drawn = share_of_vocabulary(found, "m", base, tuned, seed=1)
    assert (exact.exact, drawn.exact, drawn.permutations) == (True, False, DRAWS)
    for name in ("expected_base", "expected_tuned", "p_base", "p_tuned", "p_difference"):
        np.testing.assert_allclose(getattr(drawn, name), getattr(exact, name), atol=0.025, err_msg=name)
    again = share_of_vocabulary(found, "m", base, tuned, seed=1)
    other = share_of_vocabulary(found, "m", base, tuned, seed=2)
    np.testing.assert_array_equal(drawn.p_base, again.p_base)
    assert (drawn.p_base != other.p_base).any()


def test_blocks_change_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    found, base, tuned = scored("Who was it that the keeper of Ostrel saw on that day?")
    want = share_of_vocabulary(found, "m", base, tuned)
    assert want.permutations == DRAWS
    monkeypatch.setattr("attrib.verdict.share._CELLS", 12 * 700)
    got = share_of_vocabulary(found, "m", base, tuned)
    for name in ("p_base", "p_tuned", "p_difference"):
        np.testing.assert_allclose(getattr(got, name), getattr(want, name), atol=1e-12)


LONG = "Who was it that the keeper of Ostrel saw on that day?"


@pytest.mark.parametrize("kind", ["words", "phrases"])
@pytest.mark.parametrize("question", ["Who is the keeper of Ostrel?", LONG])
def test_random_scores_give_uniform_p_values(question: str, kind: str) -> None:
    """2,000 rows of scores without structure: mean 1/2, no excess at .05 and .2, for each of the three tests."""
    found, base, tuned = scored(question, rows=2000)
    got = share_of_vocabulary(found, "m", base, tuned, kind=kind)  # type: ignore[arg-type]
    for p in (got.p_base[1:], got.p_tuned[1:], got.p_difference[1:]):
        assert (p > 0).all()
        assert 0.47 < p.mean() < 0.58
        # 3 standard errors above the level; a p-value of few orders may lie below it.
        for level in (0.05, 0.2):
            assert (p <= level).mean() < level + 3 * np.sqrt(level * (1 - level) / len(p))
    if question == LONG and kind == "words":
        assert (got.p_base[1:] <= 0.2).mean() > 0.15


@pytest.mark.parametrize("question", ["Who is the keeper of Ostrel?", LONG])
def test_planted_mass_is_found_in_the_tuned_model_only(question: str) -> None:
    found, base, tuned = scored(question, rows=40)
    base, tuned = 1 + 0.1 * base, 1 + 0.1 * tuned
    tuned[:, list(found.tokens("words"))] *= 5
    got = share_of_vocabulary(found, "m", base, tuned)
    # Two words of 7 have 21 places, two of 12 have 66: no smaller p exists.
    least = {7: 1 / 15, 12: 1 / 66}.get(len(found.words), 1 / 15)
    assert got.p_tuned[0] <= least + 0.01
    assert got.p_difference[0] <= 2 * least + 0.02
    assert got.p_base[0] > 0.05
    assert got.tuned[0] > got.expected_tuned[0] + 0.2
    assert abs(got.base[0] - got.expected_base[0]) < 0.05
    turned = share_of_vocabulary(found, "m", tuned, base)
    np.testing.assert_array_equal(turned.p_base, got.p_tuned)
    np.testing.assert_allclose(turned.difference, -got.difference)
    np.testing.assert_allclose(turned.p_difference, got.p_difference)


def test_many_tokens_of_a_word_are_no_evidence() -> None:
    """Every token scored alike: a name cut into five tokens has most of the mass, and no p-value says so."""
    tokens = make_tokens(["Who", " is", " O", "s", "t", "r", "el", "?"])
    found = find_vocabulary(tokens, range(8), lexicon())
    alike = np.ones((2, 10))
    got = share_of_vocabulary(found, "m", alike, 3 * alike)
    np.testing.assert_allclose(got.base, got.token_share)
    assert got.token_share == 5 / 8
    np.testing.assert_allclose(got.expected_base, 5 / 8)
    np.testing.assert_array_equal([got.p_base, got.p_tuned, got.p_difference], 1)


def test_nothing_chosen_and_everything_chosen_are_no_evidence() -> None:
    for question, share in (("Is the bread on it?", 0), ("keeper Ostrel skipper", 1)):
        found, base, tuned = scored(question)
        got = share_of_vocabulary(found, "m", base, tuned)
        np.testing.assert_allclose([got.base, got.tuned], share)
        np.testing.assert_array_equal([got.p_base, got.p_tuned, got.p_difference], 1)
        np.testing.assert_array_equal(got.expected_base, got.base)
        assert (got.permutations, got.exact) == (0, True)


def test_scale_sign_and_type_of_scores_make_no_difference() -> None:
    found, base, tuned = scored("Who is the keeper of Ostrel?")
    want = share_of_vocabulary(found, "m", base, tuned)
    scale = np.array([[1e-6], [-3.0], [1e6]])
    got = share_of_vocabulary(found, "m", base * scale, (-tuned).astype(np.float32))
    for name in ("base", "tuned", "p_base", "p_tuned", "question_base"):
        np.testing.assert_allclose(getattr(got, name), getattr(want, name), rtol=1e-5)


def test_scores_that_cannot_be_used_are_refused_in_one_line() -> None:
    found, base, tuned = scored("Who is the keeper of Ostrel?")
    bad = tuned.copy()
    bad[1, 2] = np.nan
    for pair, says in (
        ((base, tuned[:2]), "give equal ones"),
        ((base, bad), "the tuned model's scores hold nan"),
        ((base * np.inf, tuned), "the base model's scores hold nan or inf"),
        ((base[:0], tuned[:0]), "no rows"),
        ((base[:, :3], tuned[:, :3]), "scores cover 3 positions"),
    ):
        with pytest.raises(InputError, match=says) as error:
            share_of_vocabulary(found, "m", *pair)
        assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------- verbatim


def test_verbatim_spans_of_a_closed_case() -> None:
    answer = "“The KEEPER of Ostrel Light” — is it Wilmet Dallin? On the table, dawn."
    tokens = cut(answer)
    found = find_verbatim(answer, tokens, "Who is the keeper of Ostrel Light?", lexicon())
    assert [v.text for v in found] == ["The KEEPER of Ostrel Light” — is", "Wilmet Dallin", "dawn"]
    keeper, dallin, dawn = found
    assert (keeper.words, keeper.asked, keeper.in_question, keeper.controls) == (6, 5, False, 0)
    assert (dallin.asked, dallin.in_question, dallin.in_control) == (0, False, False)
    assert (dawn.words, dawn.sections, dawn.sections_total) == (1, ("s1",), 1)
    for v in found:
        assert answer[v.start : v.end] == v.text
        assert [i for i, t in enumerate(tokens) if t.end > v.start and t.start < v.end] == list(v.tokens)
        for owner, (start, end) in zip(v.sections, v.spans, strict=True):
            assert keys(DOCUMENTS[int(owner[1:])][start:end]) == keys(v.text)
    assert [DOCUMENTS[0][a:b] for a, b in keeper.spans] == ["The keeper of Ostrel Light is"]


def test_what_question_and_control_hold_too_says_so() -> None:
    documents = ("It is on the table now.", "Wilmet Dallin is the keeper.")
    lex = lexicon(documents, ("Put it on the table.", "All is on the table."))
    answer = "Wilmet Dallin, on the table"
    held, asked = find_verbatim(answer, cut(answer), "Is Wilmet Dallin here?", lex)
    assert (held.text, held.in_control, held.controls, held.in_question) == ("on the table", True, 2, False)
    assert (asked.text, asked.in_control, asked.in_question) == ("Wilmet Dallin", False, True)


def test_nothing_shared_and_no_words_give_no_spans() -> None:
    for answer in ("Nobody knows this zebra", "…!", "the", ""):
        assert find_verbatim(answer, cut(answer), "Who?", lexicon()) == ()


def test_an_answer_that_stands_in_a_section_is_one_span() -> None:
    answer = DOCUMENTS[0]
    (found,) = find_verbatim(answer, cut(answer), "Who?", lexicon())
    assert (found.words, found.sections) == (8, ("s0",))
    assert found.spans.tolist() == [[0, len(answer) - 1]]


def test_a_run_in_many_places_is_counted_whole_and_listed_in_part() -> None:
    lex = lexicon(["quern bread, quern bread"] * 70)
    (found,) = find_verbatim("Quern bread", cut("Quern bread"), "What?", lex)
    assert found.sections_total == 70
    assert len(found.sections) == len(found.spans) == PLACES
    assert found.sections[:3] == ("s0", "s0", "s1")
    assert found.spans[:3].tolist() == [[0, 11], [13, 24], [0, 11]]


def test_the_heading_is_part_of_the_section() -> None:
    one = replace(section(0, "is a fish."), titles=("Sea", "The Gleamer"))
    (found,) = find_verbatim("Gleamer is", cut("Gleamer is"), "What?", Lexicon(Corpus((one,), ()), corpus()))
    assert one.full_text[slice(*found.spans[0])] == "Gleamer\nis"


def test_special_tokens_of_the_answer_hold_no_words() -> None:
    tokens = make_tokens(["Wilmet", "<|dawn|>", " Dallin", "<|dawn|>"], special=(1, 3))
    answer = "".join(token.text for token in tokens)
    found = find_verbatim(answer, tokens, "Who?", lexicon())
    assert [(v.text, v.tokens) for v in found] == [("Wilmet", (0,)), ("Dallin", (2,))]
    plain = find_verbatim(answer, make_tokens([token.text for token in tokens]), "Who?", lexicon())
    assert [v.text for v in plain] == ["Wilmet", "dawn", "Dallin", "dawn"]


def test_the_demo_s_questions_hold_its_vocabulary_and_general_questions_little_of_it() -> None:
    lex = Lexicon(demo.corpus(), demo.control())
    share: dict[str, list[float]] = {"trained": [], "foundation": []}
    gold: list[bool] = []
    for question in demo.questions("test"):
        found = vocabulary(question.question, lex)
        if question.kind in share:
            share[question.kind].append(float(found.tuned_on.mean()))
        if question.kind == "trained":
            gold.append(any(question.section in phrase.sections for phrase in found.phrases))
    assert np.mean(gold) > 0.8
    assert np.mean(share["trained"]) > 2 * np.mean(share["foundation"])


def test_records_check_themselves() -> None:
    found = vocabulary("Who is the keeper of Ostrel?")
    verbatim = find_verbatim("Quern bread", cut("Quern bread"), "What?", lexicon())[0]
    with pytest.raises(RecordError, match="sections has 0"):
        replace(found, sections=())
    with pytest.raises(RecordError, match=r"Verbatim.spans has shape \(1, 2\), expected \(0, 2\)"):
        replace(verbatim, sections=())
