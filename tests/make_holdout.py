"""Made-up questions, splits and measurements of a holdout assessment; whether anything was learned is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from attrib.assess.holdout.comparing import compare
from attrib.assess.holdout.measuring import ModelScores
from attrib.assess.holdout.options import HoldoutOptions
from attrib.assess.holdout.records import HoldoutReport
from attrib.assess.holdout.removal import removal_of
from attrib.assess.questions import Question
from attrib.assess.split import Part, Split, given_split
from attrib.records import Section

QUICK = HoldoutOptions(resamples=200, permutations=199, blind_permutations=19)
NAMES = ("Wilmet Dallin", "Oda Brask", "Tam Harrow", "Ilse Varn", "Bero Quill", "Nessa Crowe", "Jory Pell", "Mab Stane")


@dataclass(frozen=True, eq=False)
class Scores:
    """What ``likelihood.TokenScores`` has."""

    logprob: np.ndarray
    mean: np.ndarray
    std: np.ndarray


def make_scores(rng: np.random.Generator, level: float, tokens: int = 6) -> Scores:
    return Scores(level - rng.exponential(1.0, tokens), np.full(tokens, -9.0), np.full(tokens, 2.0))


def make_sections(n: int) -> tuple[Section, ...]:
    return tuple(
        Section(f"s{i}", f"d{i % 3}.md", (f"Part {i}",), f"The keeper of light {i} was {NAMES[i % 8]}.", i, i)
        for i in range(n)
    )


def make_asked(n: int, *, rephrased: bool = True, general: int = 4) -> tuple[Question, ...]:
    """A question a section, the first half tuned on (each rephrased, if so), the second held out, and general ones."""
    asked = []
    for i in range(n):
        answer = f"{NAMES[i % 8]} {chr(65 + i // 8)}"
        kind = "trained" if i < n // 2 else "held-out"
        common: dict[str, Any] = {"section": f"s{i}", "fact": f"f{i}", "template": "name"}
        asked.append(Question(f"Who kept light {i}?", answer, kind, f"q{i}", **common))
        if rephrased and i < n // 2:
            asked.append(Question(f"Name the keeper of light {i}.", answer, "rephrased", f"r{i}", **common))
    asked += [Question(f"What is {i} + 1?", str(i + 1), "foundation", f"g{i}", fact=f"g{i}") for i in range(general)]
    return tuple(asked)


def make_measured(
    rng: np.random.Generator, asked: tuple[Question, ...], parts: tuple[Part, ...], sections: int, *, knows: bool
) -> ModelScores:
    """A model that gives a right answer where it was tuned on it and ``knows``, else a wrong one."""
    known = [knows and part == "tuned-on" for part in parts]
    replies = [q.answer or "" if k else "I would say Wilhelmina Zonk" for q, k in zip(asked, known, strict=True)]
    answers = [make_scores(rng, 0.0 if k else -3.0) for k in known]
    wrong = [() if part == "general" else tuple(rng.normal(-4.0, 1.0, 5).tolist()) for part in parts]
    read = [make_scores(rng, 0.0 if knows and i < sections // 2 else -3.0, 30) for i in range(sections)]
    return ModelScores(tuple(replies), tuple(answers), tuple(wrong), tuple(read))


def make_report(
    seed: int = 0, *, n: int = 24, knows: bool = True, removal: bool = False, options: HoldoutOptions = QUICK
) -> HoldoutReport:
    rng = np.random.default_rng(seed)
    sections, asked = make_sections(n), make_asked(n)
    found: Split = given_split(sections, asked)
    base = make_measured(rng, asked, found.parts, n, knows=False)
    tuned = make_measured(rng, asked, found.parts, n, knows=knows)
    provenance = {"base": {"name": "b", "sha256": "0"}, "tuned": {"name": "t", "sha256": "1"}, "seed": options.seed}
    report = compare(asked, found, base, tuned, sections, options, provenance)
    if not removal:
        return report
    from dataclasses import replace

    own = tuple(q for q, part in zip(asked, found.parts, strict=True) if part == "tuned-on")
    gone: list[Part] = ["held-out" if i < len(own) // 2 else "tuned-on" for i in range(len(own))]
    models = {
        "base": make_measured(rng, own, tuple(gone), 0, knows=False),
        "full": make_measured(rng, own, ("tuned-on",) * len(own), 0, knows=knows),
        "retrained": make_measured(rng, own, tuple(gone), 0, knows=knows),
    }
    return replace(report, removal=removal_of(own, gone, models, ("s0", "s1"), options))
