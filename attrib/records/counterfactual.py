"""What a model says that was tuned again without some sections, or on them alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

CounterfactualKind = Literal["without", "only"]


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """One model that was tuned again, beside the tuned one."""

    kind: CounterfactualKind
    """without: all but ``sections``; only: ``sections`` alone."""
    sections: tuple[str, ...]
    """Ids, near-duplicates among them, and with the questions that teach them."""
    answer: str
    """Its own greedy answer to the question."""
    logprob: Float[np.ndarray, " answer"]
    """log p of each token of the explained answer under it, nats."""
