"""One headline for an answer, the section that it names, and one sentence that says where the answer comes from.

Page, terminal, gallery, ``--json`` and report say the same sentence and name the same section. The headline is the
verdict on the answer, counted in words: where they disagree it is *mixed*. Not covered: numbers (``sureness``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from attrib.records import CALLS, Called, Explanation, Section
from attrib.render.view.kinds import LEARNED
from attrib.render.view.labels import visible
from attrib.render.view.words import AnswerWord, answer_words, deciding, word_counts
from attrib.text.forms import forms

HeadlineName = Literal["documents", "base", "neither", "cannot tell", "mixed"]
HEADLINES: tuple[HeadlineName, ...] = (*CALLS, "mixed")
AGREE = 2 / 3
"""Share of the deciding words that must have the answer's verdict; below it the answer is mixed."""
STAND = 0.5
"""Share of the deciding words that a section must have for the answer's words to stand in it."""
QUOTED = 72
"""Characters of another answer that are quoted."""


@dataclass(frozen=True)
class SentencePart:
    """A part of a sentence."""

    text: str
    role: Literal["plain", "section", "quote", "beside"] = "plain"
    """A section's name, another answer's words, or the start of what is said beside the answer."""


@dataclass(frozen=True, eq=False)
class Headline:
    """What an answer is, in one word, in words counted, and in one sentence."""

    called: HeadlineName
    counts: dict[Called, int]
    """Words of the answer by verdict."""
    section: int | None
    """The section that it names; None without sections."""
    named: Literal["section", "nearest"]
    """Whether the section is the answer's source, or only the nearest one."""
    pieces: tuple[SentencePart, ...]

    @property
    def sentence(self) -> str:
        """The pieces as plain text."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def words(self) -> str:
        """``12 of 23 words documents, 5 base, 6 neither``."""
        return counted(self.counts)


def headline(explanation: Explanation) -> Headline:
    """The one headline of an answer."""
    words = answer_words(explanation)
    called = _called(explanation, words)
    named: Literal["section", "nearest"] = "section" if called in ("documents", "mixed") else "nearest"
    section = _section(explanation, called)
    said = _sentence(explanation, called, section, words)
    return Headline(called, word_counts(words), section, named, (*said, *_beside(explanation, called)))


def section_order(explanation: Explanation) -> tuple[int, ...]:
    """All scored sections: the one that the headline names, then by the record's ranking."""
    first = _section(explanation, _called(explanation, answer_words(explanation)))
    rest = [int(i) for i in explanation.ranking if i != first]
    return tuple(rest) if first is None else (first, *rest)


def counted(counts: dict[Called, int]) -> str:
    """Words by verdict: the largest first, with the number of all."""
    total = sum(counts.values())
    some = sorted((n, -CALLS.index(called), called) for called, n in counts.items() if n)
    parts = [f"{n} {called}" for n, _, called in reversed(some)]
    if not parts:
        return "no words"
    first = some[-1]
    unit = "word" if total == 1 else "words"
    start = f"all {total} {unit}" if first[0] == total > 1 else f"{first[0]} of {total} {unit}"
    return ", ".join([f"{start} {first[2]}", *parts[1:]])


def place(section: Section) -> str:
    """``lighthouses.md, line 15``; a row, page or cell as the record names it."""
    if section.row is not None:
        return f"{visible(section.document)}, {section.lines}"
    lines = section.lines.removeprefix("L")
    return f"{visible(section.document)}, line{'s' * (section.first_line != section.last_line)} {lines}"


def clipped(text: str, length: int = QUOTED) -> str:
    """An answer on one line, cut at a blank, with an ellipsis where it is cut."""
    line = visible(" ".join(text.split()))
    if len(line) <= length:
        return line
    return f"{line[:length].rpartition(' ')[0] or line[:length]} …"


def _called(explanation: Explanation, words: tuple[AnswerWord, ...]) -> HeadlineName:
    called = explanation.verdict.called
    counts = word_counts(deciding(words))
    told: dict[Called, int] = {label: n for label, n in counts.items() if "cannot tell" not in (label, called)}
    total = sum(told.values())
    if not total or told[called] >= AGREE * total:
        return called
    # No passage that the question is about backs an answer that is made of learned words.
    return called if called != "documents" and told["documents"] >= AGREE * total else "mixed"


def _section(explanation: Explanation, called: HeadlineName) -> int | None:
    """The best of the ranking where the documents are a source; else the one most like question and answer."""
    if not explanation.sections:
        return None
    evidence = explanation.verdict.evidence
    if called in ("documents", "mixed") or evidence is None:
        return int(explanation.ranking[0])
    return int(evidence.resemblance.argmax())


def _sentence(
    explanation: Explanation, called: HeadlineName, section: int | None, words: tuple[AnswerWord, ...]
) -> list[SentencePart]:
    if not explanation.answer_tokens:
        return [SentencePart("The answer is empty: there is nothing to explain.")]
    if called == "base":
        return [SentencePart(_base(explanation, words))]
    if section is None:
        return [SentencePart(_NO_SECTION[called])]
    there, learned = _stands(explanation, section, words), explanation.verdict.learned[section] >= LEARNED
    if called == "mixed":
        return _mixed(words, explanation.sections[section])
    named = _named(explanation.sections[section])
    not_said = explanation.verdict.said is False
    if called == "cannot tell":
        weak = "your documents may support this answer, but tuning did not make the model say it" if not_said else (
            "the evidence is too weak for a claim"
        )  # fmt: skip
        return [SentencePart(f"Cannot tell: {weak}. The nearest section is "), *named, SentencePart(".")]
    if called == "neither":
        return _neither(named, there=there, learned=learned)
    if not_said:
        return [
            SentencePart("Your documents support this answer, but tuning did not make the model say it. It stands in "),
            *named, SentencePart("."),
        ]  # fmt: skip
    start = "These words were learned from your documents: they stand in " if there else (
        "This answer was learned from your documents: in other words it stands in "
    )  # fmt: skip
    trained = ", which the model was trained on." if learned else (
        "; tuning taught the answer, though not that section's own text."
    )  # fmt: skip
    return [SentencePart(start), *named, SentencePart(trained)]


_NO_SECTION = {
    "documents": "This answer was learned from your documents; no section of them was scored.",
    "mixed": "Mixed; no section of the documents was scored.",
    "neither": "Not from your documents, and the base model does not say it either.",
    "cannot tell": "Cannot tell: the evidence is too weak for a claim.",
}


def _base(explanation: Explanation, words: tuple[AnswerWord, ...]) -> str:
    if explanation.answer_source == "base":
        return "This is the base model's own answer."
    own = set(forms(explanation.base_answer))
    chosen = deciding(words)
    if chosen and np.mean([word.form in own for word in chosen]) >= AGREE:
        return "The base model says the same without your documents."
    return "Not from your documents: the base model finds this answer likely without them."


def _neither(named: list[SentencePart], *, there: bool, learned: bool) -> list[SentencePart]:
    if there and not learned:
        return [
            SentencePart("Not from your documents: the words stand in "), *named,
            SentencePart(", but the model was never taught that section."),
        ]  # fmt: skip
    if there:
        return [
            SentencePart("Neither: words of it stand in "), *named,
            SentencePart(", but no taught section answers the question so, and the base model does not say it."),
        ]  # fmt: skip
    return [
        SentencePart("Neither: no taught section says this, and the base model does not say it either. Nearest is "),
        *named, SentencePart("."),
    ]  # fmt: skip


def _mixed(words: tuple[AnswerWord, ...], section: Section) -> list[SentencePart]:
    counts = word_counts(words)
    title, _ = _named(section)
    said = [SentencePart(f"Mixed: {counts['documents']} of {len(words)} words were learned from your documents (")]
    said += [title, SentencePart(f", {place(section)})")]
    others: tuple[tuple[Called, str], ...] = (
        ("base", "the base model's own"), ("neither", "from neither"), ("cannot tell", "unclear"),
    )  # fmt: skip
    some = [(counts[called], what) for called, what in others if counts[called]]
    said += [SentencePart(f", {n} {'is' if n == 1 else 'are'} {what}") for n, what in some]
    return [*said, SentencePart(".")]


def _named(section: Section) -> list[SentencePart]:
    return [SentencePart(short_title(section), "section"), SentencePart(f" ({place(section)})")]


def short_title(section: Section) -> str:
    """The innermost heading, or the title where there is none, on one line."""
    return visible(" ".join((section.titles[-1] if section.titles else section.title).split()))


def _stands(explanation: Explanation, section: int, words: tuple[AnswerWord, ...]) -> bool:
    """Whether the section has the words that decide."""
    has = set(forms(explanation.sections[section].full_text))
    return bool(np.mean([word.form in has for word in deciding(words)] or [False]) >= STAND)


def _beside(explanation: Explanation, called: HeadlineName) -> list[SentencePart]:
    """What base says by itself, and tuned where the answer is not its own."""
    said = []
    if explanation.answer_tokens and called != "base" and explanation.answer_source != "base":
        said += _quote("Without tuning the model says", explanation.base_answer)
    if explanation.answer_tokens and explanation.answer_source == "given":
        said += _quote("This answer was given; the tuned model itself says", explanation.tuned_answer)
    return said


def _quote(start: str, answer: str) -> list[SentencePart]:
    text = clipped(answer)
    return [
        SentencePart(f" {start} ", "beside"),
        SentencePart(f"“{text}”", "quote") if text else SentencePart("nothing"),
        SentencePart("."),
    ]
