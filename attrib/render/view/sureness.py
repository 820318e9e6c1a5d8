"""How sure the headline is: the numbers behind it, each once, with its unit and what it means.

Not covered: scores of sections and of the prompt, which stand beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attrib.measures import bits
from attrib.records import Explanation
from attrib.render.view.headline import Headline, short_title
from attrib.render.view.labels import percent, verdict_line
from attrib.render.view.promise import promise_line

HARDLY = 3.0
"""Bits below which tuning hardly changed an answer."""
FEW = 1e-6
"""Probability below which base gave the answer as good as none."""


@dataclass(frozen=True)
class Sureness:
    """One line under "how sure?"."""

    name: str
    text: str
    help: str
    """Definition of its numbers, for the "?"."""


def sureness(explanation: Explanation, found: Headline) -> tuple[Sureness, ...]:
    """The lines, those of most interest first; none that the record cannot fill."""
    if not explanation.answer_tokens:
        return ()
    lines = [
        Sureness(
            "words",
            found.words,
            "Every word is judged by itself; words like “the” and “of” count with the word that they belong to.",
        ),
        *_whole(explanation, found),
        Sureness(
            "tuning",
            tuning_line(explanation),
            "log p of the answer under the tuned model less that under base. A bit doubles the probability. Tuning"
            " changes the form of every answer, so that a gain alone does not show where an answer comes from.",
        ),
    ]
    if found.section is not None and explanation.verdict.evidence is not None:
        lines.append(
            Sureness(
                "was trained",
                learned_line(explanation, found.section),
                "How far tuning raised the section's own text, whatever the answer: it says that the section was"
                " trained, not that the answer rests on it. The ranges are those of texts that were never trained.",
            )
        )
    lines.append(
        Sureness(
            "promise",
            promise_line(explanation.verdict.promise),
            "How often an answer that is not from these documents is called documents, measured on control answers.",
        )
    )
    return tuple(lines)


def _whole(explanation: Explanation, found: Headline) -> list[Sureness]:
    """The judgement on the whole answer; none of an answer whose words disagree."""
    if found.called == "mixed":
        return []
    low, high = (percent(one) for one in explanation.verdict.thresholds)
    return [
        Sureness(
            "as a whole",
            verdict_line(explanation.verdict.whole),
            f"Probability of each source of the whole answer. It is called documents above {high}, base or neither"
            f" where documents has less than {low}; between the two nothing can be told.",
        )
    ]


def tuning_line(explanation: Explanation) -> str:
    """How much likelier tuning made the answer, beside what base gave it."""
    gain = bits(float(explanation.verdict.gain.sum()))
    base = base_line(float(explanation.base.logprob.sum()))
    if not np.isfinite(gain):
        return f"no finite number of bits; {base}"
    size = f"{_size(abs(gain))} bits {'likelier' if gain >= 0 else 'less likely'}"
    if abs(gain) < HARDLY:
        return f"hardly changed this answer: {size} ({base})"
    return f"made this answer {size} ({base})"


def base_line(logprob: float) -> str:
    """The probability that base gave the answer: ``base gave it 37% already``, ``… 1 in 5,400``."""
    p = float(np.exp(min(logprob, 0.0)))
    if not np.isfinite(logprob) or p < FEW:
        return "base gave it less than 1 in a million"
    if p >= 0.01:
        return f"base gave it {percent(p)}{' already' if p >= 0.1 else ''}"
    return f"base gave it 1 in {int(float(f'{1 / p:.2g}')):,}"


def learned_line(explanation: Explanation, section: int) -> str:
    """What of a section's own text was learned, beside texts that were never trained."""
    verdict = explanation.verdict
    parts = [
        f"“{short_title(explanation.sections[section])}”: learned {percent(float(verdict.learned[section]))},"
        f" its text {_signed(bits(float(verdict.section_gain[section])))} bits a token likelier by tuning"
    ]
    if len(verdict.control_gain):
        parts.append(f"{len(verdict.control_gain)} control texts {_range(verdict.control_gain)}")
    held = [i for i in held_out(explanation) if i != section]
    if held:
        most = percent(float(verdict.learned[held].max()))
        name = "1 held-out section" if len(held) == 1 else f"{len(held)} held-out sections"
        parts.append(f"{name} of the documents {_range(verdict.section_gain[held])}, learned at most {most}")
    return "; ".join(parts)


def held_out(explanation: Explanation) -> tuple[int, ...]:
    """Scored sections that were kept out of tuning, where the adapter says so: texts in the documents' own style that
    neither model saw."""
    said = explanation.provenance.get("held_out")
    ids = set(map(str, said)) if isinstance(said, Sequence) and not isinstance(said, str) else set()
    return tuple(i for i, section in enumerate(explanation.sections) if section.id in ids)


def _range(gain: np.ndarray) -> str:
    low, high = _signed(bits(float(gain.min()))), _signed(bits(float(gain.max())))
    return low if low == high else f"{low} to {high}"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _size(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"
