"""Rows of gradients → which of them share a forward and a product, within the memory budget.

Sizes are counted for a Llama-like block. Not covered: measuring what a model really takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attrib.errors import InputError
from attrib.models.pair import Model
from attrib.options.methods import EMBEDDINGS
from attrib.passes.forward import Inputs

CHUNK_POSITIONS = {"cpu": 900, "cuda": 16384}
"""Positions in one product: fewer starve the matrix products, more only take memory (measured: docs/log.md)."""


@dataclass(frozen=True)
class RowGroup:
    """Rows that share one forward."""

    start: int
    stop: int
    chunk: int
    """Rows in one product."""
    layered: bool
    """Whether blocks are run again one at a time."""


def chunk_positions(model: Model) -> int:
    """Positions in one product on the model's device."""
    return CHUNK_POSITIONS.get(model.device.type, CHUNK_POSITIONS["cpu"])


def plan(inputs: Inputs, lengths: Sequence[int], batch: int, points: Sequence[str] = (EMBEDDINGS,)) -> list[RowGroup]:
    """Group rows by forward; choose how many go in one product, and whether blocks are run again one at a time.

    ``lengths``: positions that each row needs, ascending. Raises InputError where even one row exceeds the budget.
    """
    n, longest = len(lengths), lengths[-1]
    budget = inputs.memory_gb * 1e9
    size = _Sizes.of(inputs.model)
    chunk = inputs.chunk or max(1, round(chunk_positions(inputs.model) / (batch * longest)))
    patterns = sum(point.endswith("hook_pattern") for point in points)
    head = size.head(batch, max(1, longest - len(inputs.encoded.prompt_ids) + 1))
    whole = size.graph(batch, longest) + head
    layered = whole + size.product(batch, longest, 1, patterns) > budget
    if layered:
        fixed, at_once = size.layered(batch, longest) + head, min(patterns, 1)
    else:
        fixed, at_once = whole, patterns
    need = fixed + size.product(batch, longest, 1, at_once)
    if need > budget:
        raise InputError(
            f"memory: {longest:,} positions need {need / 1e9:.2g} GB even one row at a time, the budget is "
            f"{inputs.memory_gb:g} GB; raise memory_gb"
        )
    while chunk > 1 and fixed + size.product(batch, longest, min(chunk, n), at_once) > budget:
        chunk //= 2
    # A forward costs as much as a row; one that keeps no graph is run again by blocks.
    forward = 2 if layered else 1

    def cost(cuts: list[tuple[int, int]]) -> int:
        return sum(lengths[stop - 1] * (forward + stop - start) for start, stop in cuts)

    candidates = [split_rows(n, chunk, groups) for groups in range(1, -(-n // chunk) + 1)]
    return [RowGroup(start, stop, chunk, layered) for start, stop in min(candidates, key=cost)]


def copies_together(inputs: Inputs, rows: int) -> int:
    """Copies of the input that one product of ``rows`` rows takes with it: few rows leave it starved."""
    length, size = len(inputs.encoded.ids), _Sizes.of(inputs.model)
    # Each copy has a graph of its own, as large as many rows' products: a third fills a product well enough.
    copies = max(1, chunk_positions(inputs.model) // (3 * length * max(1, rows)))
    answer = len(inputs.encoded.answer_ids)

    def need(copies: int) -> int:
        return size.graph(copies, length) + size.head(copies, answer) + size.product(copies, length, 1, 0)

    while copies > 1 and need(copies) > inputs.memory_gb * 1e9:
        copies -= 1
    return copies


def split_rows(n: int, chunk: int, groups: int) -> list[tuple[int, int]]:
    """``n`` rows in about ``groups`` runs of whole chunks."""
    size = -(-n // groups)
    size = -(-size // chunk) * chunk
    return [(start, min(n, start + size)) for start in range(0, n, size)]


@dataclass(frozen=True)
class _Sizes:
    """Bytes of what is held, from counts of the tensors that autograd keeps in a Llama-like block."""

    layers: int
    width: int
    inner: int
    heads: int
    words: int
    item: int

    @classmethod
    def of(cls, model: Model) -> _Sizes:
        cfg = model.bridge.cfg
        weight = model.bridge.original_model.get_input_embeddings().weight
        inner = int(getattr(cfg, "d_mlp", None) or 4 * cfg.d_model)
        return cls(int(cfg.n_layers), int(cfg.d_model), inner, int(cfg.n_heads), len(weight), weight.element_size())

    def block(self, batch: int, length: int) -> int:
        # Attention is computed in float32 whatever the model's type.
        scores = 3 * self.heads * length * max(4, self.item)
        return batch * length * ((14 * self.width + 6 * self.inner) * self.item + scores)

    def graph(self, batch: int, length: int) -> int:
        return self.layers * self.block(batch, length)

    def head(self, batch: int, rows: int) -> int:
        """Logits, their softmax and gradient, in float32."""
        return 3 * 4 * batch * rows * self.words

    def layered(self, batch: int, length: int) -> int:
        return self.block(batch, length) + self.layers * batch * length * self.width * self.item

    def product(self, batch: int, length: int, rows: int, patterns: int) -> int:
        scores = (3 + patterns) * self.heads * length * max(4, self.item)
        return rows * batch * length * ((10 * self.width + 4 * self.inner) * self.item + scores)
