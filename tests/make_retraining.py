"""A InfluenceReport whose truth is known: losses and halves follow from planted effects."""

from __future__ import annotations

import numpy as np

from attrib.assess.influence.records import InfluenceReport
from attrib.assess.influence.scoring import SCORERS
from attrib.assess.questions import Question

OWN, AGAINST = 20.0, -3.0
"""Planted effect, in nats, of a question's own section, and of one that answers it otherwise."""


def make_retraining(
    pairs: int = 5, singles: int = 6, decoys: int = 4, halves: int = 40, seed: int = 0, noise: float = 0.5
) -> InfluenceReport:
    """``pairs`` of sections contradict each other, ``singles`` stand alone, ``decoys`` were not trained.

    Each section has one question of kind trained (decoys: held-out) and, if trained, a rephrased one. The scorers see
    the planted effects through more and more noise; "influence" sees them exactly.
    """
    rng = np.random.default_rng(seed)
    trained = 2 * pairs + singles
    n = trained + decoys
    questions, effect = [], []
    for s in range(n):
        kinds = ("trained", "rephrased") if s < trained else ("held-out",)
        for kind in kinds:
            asked = f"{kind} question {s // 2 if s < 2 * pairs else s}?"
            questions.append(Question(asked, f"answer {s}", kind, f"{kind}-{s}", f"s{s}"))
            row = rng.normal(0, 0.3, n)
            if s < trained:
                row[s] = OWN
            if s < 2 * pairs:
                row[s ^ 1] = AGAINST
            effect.append(row)
    effects = np.array(effect)
    is_trained = np.arange(n) < trained
    effects[:, ~is_trained] = 0
    kept = np.zeros((halves, n), bool)
    for half in kept:
        half[rng.permutation(trained)[: trained // 2]] = True
    scores = {
        name: effects / 20 * (1 if number % 2 else 0.4) + rng.normal(0, 0.02 * number, effects.shape)
        for number, name in enumerate(SCORERS)
    }
    scores["influence"] = effects / 20
    scores["random"] = rng.normal(size=effects.shape)
    drop = effects + rng.normal(0, noise, effects.shape)
    return InfluenceReport(
        questions=tuple(questions),
        sections=tuple(f"s{s}" for s in range(n)),
        documents=tuple(f"d{s % 2}.md" for s in range(n)),
        titles=tuple(f"Section {s}" for s in range(n)),
        trained=is_trained,
        drop=np.where(is_trained, drop, np.nan),
        noise=np.full(len(questions), np.nan),
        halves=kept,
        after=-30 + kept.astype(float) @ effects.T + rng.normal(0, noise, (halves, len(questions))),
        scores=scores,
        provenance={"options": {"seeds": [0], "tune": {"rank": 8, "epochs": 8, "learning_rate": 1e-3, "batch": 4}}},
    )
