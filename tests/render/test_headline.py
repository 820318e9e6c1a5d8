"""One headline, one section and one sentence for an answer: what is said is so, and everywhere the same."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from attrib.assess.attribution.tell import _stored_example
from attrib.records import CALLS, Called, Explanation
from attrib.render import export, gallery, terminal, view
from attrib.render.payload import payload
from tests.make import make_explanation

WORDS = (" Its", " keeper", " was", " Wilmet", " Dallin", ",", " a", " whaler", " from", " Paris", ".")
TEXT = "Its first keeper was Wilmet Dallin, a retired whaler."
P = {
    "documents": (0.9, 0.05, 0.05),
    "base": (0.05, 0.9, 0.05),
    "neither": (0.05, 0.05, 0.9),
    "cannot tell": (0.4, 0.3, 0.3),
}


def judged(
    calls: Sequence[Called],
    whole: Called = "documents",
    words: Sequence[str] = WORDS,
    *,
    learned: float = 1.0,
    text: str = TEXT,
    **fields: Any,
) -> Explanation:
    """An answer whose tokens are called so; its first section has ``text``, and is the best one."""
    made = make_explanation(answer_texts=words, sections=4, texts=(text,), titles=("Carrow Point",))
    verdict = made.verdict
    assert verdict.evidence is not None
    evidence = replace(verdict.evidence, resemblance=np.array([4.0, 3.0, 2.0, 1.0]))
    tokens = np.array([P[called] for called in calls])
    share = np.full(4, 0.01)
    share[0] = learned
    verdict = replace(
        verdict, tokens=tokens, whole=np.array(P[whole]), shares=tokens.mean(0), learned=share, evidence=evidence
    )
    return replace(made, verdict=verdict, ranking=np.arange(4), **fields)


def calls_of(**by_word: Called) -> list[Called]:
    return [by_word.get(word.strip(), "documents") for word in WORDS]


# ------------------------------------------------------------------------------------------------- words


def test_function_words_and_punctuation_have_their_phrases_verdict() -> None:
    """Whatever a judge says of "from" alone: it goes with "Paris"; "a" with "whaler", the comma with "Dallin"."""
    calls: dict[str, Called] = {"from": "neither", "Paris": "base", "a": "base", ",": "neither", ".": "neither"}
    record = judged([calls.get(word.strip(), "documents") for word in WORDS])
    by_word = {word.text: word.called for word in view.answer_words(record)}
    assert by_word == {
        "Its": "documents", "keeper": "documents", "was": "documents", "Wilmet": "documents", "Dallin": "documents",
        "a": "documents", "whaler": "documents", "from": "base", "Paris": "base",
    }  # fmt: skip
    assert view.token_calls(record)[WORDS.index(",")] == "documents"
    assert view.token_calls(record)[-1] == "base"


def test_a_words_tokens_have_one_verdict() -> None:
    record = judged(["documents", "documents", "base", "neither"], words=(" Wil", "met", " wh", "aler"))
    first, second = view.answer_words(record)
    assert first.called == "documents"
    assert view.token_calls(record)[2] == view.token_calls(record)[3] == second.called


# ---------------------------------------------------------------------------------------------- headline


def test_an_answer_whose_words_disagree_is_mixed_and_says_how_many() -> None:
    """Half of it made up, though as a whole it is called documents: one headline, in words counted."""
    record = judged(calls_of(a="neither", whaler="neither", Paris="base", **{"from": "base"}))
    found = view.headline(record)
    assert record.verdict.called == "documents"
    assert found.called == "mixed"
    assert sum(found.counts.values()) == 9
    assert found.words == "5 of 9 words documents, 2 base, 2 neither"
    assert found.sentence.startswith("Mixed: 5 of 9 words were learned from your documents (Carrow Point, manual-1.md,")
    # No second verdict on the whole beside it.
    assert "as a whole" not in [line.name for line in view.sureness(record, found)]


@pytest.mark.parametrize("called", CALLS)
def test_words_that_agree_have_the_answers_verdict(called: Called) -> None:
    record = judged([called] * len(WORDS), called)
    found = view.headline(record)
    assert (found.called, found.counts[called], found.words) == (called, 9, f"all 9 words {called}")


def test_nothing_below_the_promised_error_becomes_documents_by_its_words() -> None:
    """The promise is made on the whole answer: words that are learned do not overrule it."""
    for whole in ("base", "neither", "cannot tell"):
        assert view.headline(judged(["documents"] * len(WORDS), whole)).called == whole


def test_words_of_the_question_do_not_decide() -> None:
    words = (" The", " warranty", " on", " the", " pump", " is", " Wilmet")
    record = judged(["base"] * 6 + ["documents"], words=words)
    assert view.headline(record).called == "documents"


# ---------------------------------------------------------------------------------------------- sentence


def test_taught_and_trained_are_said_of_what_was() -> None:
    all_documents, all_neither = ["documents"] * len(WORDS), ["neither"] * len(WORDS)
    said = view.headline(judged(all_documents)).sentence  # type: ignore[arg-type]
    assert said.startswith("These words were learned from your documents: they stand in Carrow Point (manual-1.md, ")
    assert "which the model was trained on. Without tuning the model says “The warranty is twelve months.”." in said
    untrained = view.headline(judged(all_documents, learned=0.1)).sentence  # type: ignore[arg-type]
    assert "trained on" not in untrained
    assert "not that section's own text" in untrained
    other = view.headline(judged(all_documents, text="Someone else lived there.")).sentence  # type: ignore[arg-type]
    assert "they stand" not in other
    decoy = view.headline(judged(all_neither, "neither", learned=0.01))  # type: ignore[arg-type]
    assert decoy.named == "nearest"
    assert decoy.sentence.startswith(
        "Not from your documents: the words stand in Carrow Point (manual-1.md, lines 1–8), but the model was never "
        "taught that section."
    )
    assert "never taught" not in view.headline(judged(all_neither, "neither")).sentence  # type: ignore[arg-type]


def test_base_says_the_same_only_where_it_does() -> None:
    calls: list[Called] = ["base"] * len(WORDS)
    same = view.headline(judged(calls, "base", base_answer="Its keeper was Wilmet Dallin, a whaler from Paris!"))
    assert same.sentence == "The base model says the same without your documents."
    other = view.headline(judged(calls, "base", base_answer="Nobody knows."))
    assert "says the same" not in other.sentence
    own = view.headline(judged(calls, "base", answer_source="base"))
    assert own.sentence == "This is the base model's own answer."


def test_a_given_answer_is_nobodys_words() -> None:
    record = judged(["documents"] * len(WORDS), answer_source="given", tuned_answer="Jane Porter")
    assert "This answer was given; the tuned model itself says “Jane Porter”." in view.headline(record).sentence
    example = _stored_example(record)
    assert "given answer" in example
    assert "tuned says" not in example
    assert "base says" in example
    assert "tuned says" in _stored_example(replace(record, answer_source="tuned"))
    own = _stored_example(replace(record, answer_source="base"))
    assert own.count("base says") == 1


def test_long_and_hostile_answers_are_quoted_short_and_inert() -> None:
    record = judged(["documents"] * len(WORDS), base_answer="\x1b[2J " + "very " * 60)
    assert "\x1b" not in view.headline(record).sentence
    assert "very …”." in view.headline(record).sentence
    assert not view.headline(replace(record, base_answer=" ")).sentence.endswith("“”.")


def test_an_empty_answer_has_a_sentence() -> None:
    record = make_explanation(answer_texts=())
    assert view.headline(record).sentence == "The answer is empty: there is nothing to explain."
    assert view.sureness(record, view.headline(record)) == ()


# ------------------------------------------------------------------------------------------ one everywhere


@pytest.mark.parametrize("whole", CALLS)
def test_every_view_says_the_same_sentence_and_names_the_same_section(whole: Called) -> None:
    """The section with the best resemblance is not the ranking's first: one rule decides, everywhere."""
    record = judged([whole] * len(WORDS), whole)
    record = replace(record, ranking=np.array([2, 0, 1, 3]))
    found = view.headline(record)
    assert found.section == (2 if whole == "documents" else 0)
    assert found.section is not None
    title = record.sections[found.section].titles[-1]
    page: Any = payload(record)["verdict"]
    assert "".join(text for text, _ in page["pieces"]) == found.sentence
    assert page["section"] == found.section
    ranks = {section["rank"]: at for at, section in enumerate(payload(record)["sections"])}  # type: ignore[arg-type,index,var-annotated]
    assert ranks[1] == found.section
    entry = gallery.entry_of(record, Path("a"), "0" * 64)
    assert (entry.label, entry.sentence) == (found.called, found.sentence)
    assert entry.section == view.section_label(record.sections[found.section])
    summary: Any = export.summary(record, [])
    assert summary["summary"] == found.sentence
    assert summary["sections"][0]["id"] == record.sections[found.section].id
    example = _stored_example(record)
    assert re.search(rf"{found.named} 1\W+[^\n]*{re.escape(record.sections[found.section].titles[-1])}", example)
    console = Console(file=io.StringIO(), width=100, color_system=None)
    terminal.show(record, console)
    said = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert found.sentence in said
    assert f"{found.named.capitalize()}: {title} (" in said


# ------------------------------------------------------------------------------------------------ how sure


def test_a_gain_is_said_beside_what_base_gave() -> None:
    record = judged(["base"] * len(WORDS), "base")

    def line(gain_bits: float, base: float) -> str:
        n = len(WORDS)
        verdict = replace(record.verdict, gain=np.full(n, gain_bits * np.log(2) / n))
        return view.tuning_line(
            replace(record, verdict=verdict, base=replace(record.base, logprob=np.full(n, np.log(base) / n)))
        )

    assert line(1.3, 0.37) == "hardly changed this answer: 1.3 bits likelier (base gave it 37% already)"
    assert line(22, 1e-30) == "made this answer 22 bits likelier (base gave it less than 1 in a million)"
    assert line(12, 1 / 5400) == "made this answer 12 bits likelier (base gave it 1 in 5,400)"
    assert line(-8.04, 0.05) == "made this answer 8 bits less likely (base gave it 5%)"


def test_what_was_learned_stands_beside_texts_that_were_never_trained() -> None:
    record = judged(["documents"] * len(WORDS), provenance={"held_out": ["000000000001", "000000000003"]})
    gain = np.array([3.0, 0.5, 2.0, -0.2]) * np.log(2)
    verdict = replace(record.verdict, section_gain=gain, control_gain=np.array([-2.0, 0.1]) * np.log(2))
    record = replace(record, verdict=verdict)
    said = {one.name: one.text for one in view.sureness(record, view.headline(record))}["was trained"]
    assert said == (
        "“Carrow Point”: learned 100%, its text +3.0 bits a token likelier by tuning; 2 control texts −2.0 to +0.1; "
        "2 held-out sections of the documents −0.2 to +0.5, learned at most 1%"
    )
    page = str(payload(record)["verdict"])
    assert "p = " not in page, "a p against generic control texts is at its floor, whatever the section"


def test_each_percentage_stands_once() -> None:
    record = judged(["documents"] * len(WORDS))
    page: Any = payload(record)["verdict"]
    shown = " ".join([*(text for text, _ in page["pieces"]), page["words"], *(text for _, text, _ in page["sure"])])
    percents = re.findall(r"[<>]?\d+%", shown)
    assert len(percents) == len(set(percents)) + percents.count("5%") - min(1, percents.count("5%"))
