"""Rows of the verdict's suite whose sources are planted: what tuning taught, what base says, what nobody taught."""

from __future__ import annotations

import numpy as np
from suite.answers import SuiteAnswer
from suite.corpora import Source
from suite.judge import SuiteRow
from suite.score import PairRows

from attrib.verdict.answers import JudgedAnswer
from tests.make import make_evidence

WORDS = "amber bolt cedar delta"


def make_row(
    id: str,
    kind: str,
    label: Source | None,
    rng: np.random.Generator,
    *,
    whose: str = "given",
    learned: bool | None = None,
    right: bool | None = None,
    parts: tuple[tuple[str, Source], ...] = (),
) -> SuiteRow:
    """Evidence as the label wants it, with noise; ``parts`` are words of WORDS."""
    gain = rng.normal({"documents": 5.0, "base": 0.5, "neither": 4.0, None: 4.0}[label], 2.0, 4)
    covered = (0,) if label == "documents" else ()
    evidence = make_evidence(
        gain, covered=covered, base_says=label == "base", logprob_base=-1.0 if label == "base" else -6.0
    )
    text = "".join(part for part, _ in parts) or WORDS
    answer = SuiteAnswer(
        id, whose, kind, JudgedAnswer("Which one?", text, "none"), label, id, (), right, learned, parts  # type: ignore[arg-type]
    )  # fmt: skip
    return SuiteRow(answer, evidence)


def make_pair_rows(seed: int, facts: int = 8, controls: int = 20) -> PairRows:
    """Given and own answers of a pair that learned all but one fact, and two groups of controls."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(facts):
        learned = i > 0
        for kind in ("trained", "rephrased"):
            rows.append(make_row(f"{kind}-{i}", kind, "documents", rng, learned=learned))
            source: Source | None = "documents" if learned else None
            rows.append(make_row(f"{kind}-{i}:tuned", kind, source, rng, whose="tuned", right=learned, learned=learned))
        rows.append(make_row(f"foundation-{i}", "foundation", "base", rng))
        rows.append(make_row(f"foundation-{i}:tuned", "foundation", "base", rng, whose="tuned", right=True))
        rows.append(make_row(f"held-out-{i}", "held-out", "neither", rng))
    control = [
        make_row(f"control-{group}-{i}", group, source, rng, whose="control")
        for group, source in (("general questions, right answers", "base"), ("questions on control texts", "neither"))
        for i in range(controls)
    ]
    return PairRows(tuple(rows), tuple(control))  # type: ignore[arg-type]
