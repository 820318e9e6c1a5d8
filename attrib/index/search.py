"""Exact search for the rows with the largest inner products; faiss beyond that, with its recall beside it.

``top_k`` reads fp16 or fp32 rows in blocks, once, in bounded memory. A product in float32, or in bfloat16 where that is
faster, says which rows may be among the best, given the error that it can have at most; only those are scored in
float64. The scores are therefore those of the row and the query alone: the same bits whatever the blocks, the other
queries and the number of threads.
Not covered: GPUs; many thousands of queries at once; rows that are (nearly) all alike, each of which is then scored
twice.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int

from attrib.errors import InputError

if TYPE_CHECKING:
    import torch

TILE = 2048
"""Rows of one product: 3 MiB at 384 columns, which was fastest (half a tile and two tiles are as good)."""
QUERIES = 256
"""Queries of one product."""
FEW = 32
"""With more to find, the rows that a rougher product lets through cost more than it saves."""
NO_ROW = np.iinfo(np.int64).max


def top_k(
    queries: np.ndarray, blocks: Iterable[np.ndarray], k: int, *, memory_mb: int = 256
) -> tuple[Float[np.ndarray, "query k"], Int[np.ndarray, "query k"]]:
    """Scores (float32, falling) and numbers of the ``k`` rows with the largest inner products with each query.

    ``queries``: [query, d]. ``blocks``: arrays [n, d] of fp16 or fp32, numbered through in their order. Equal scores:
    the earlier row first. Fewer than ``k`` columns where there are fewer rows. Beside the blocks it takes about
    ``memory_mb`` MiB at most (but 16 or so where less is asked), and some 100 bytes × query × k.

    Raises InputError for shapes, types and values that cannot be searched.
    """
    _check(queries, k, memory_mb)
    width = queries.shape[1]
    best = _Best(queries, k, pairs=max(64, memory_mb * 2**20 // (4 * 8 * width)))
    first = 0
    for tile in _tiles(blocks, width, min(TILE, max(16, memory_mb * 2**20 // (16 * width)))):
        best.add(tile, first)
        first += len(tile)
    best.finish()
    found = min(k, first)
    return best.scores[:, :found].astype(np.float32), best.rows[:, :found]


def exact_scores(queries: np.ndarray, rows: np.ndarray) -> Float[np.ndarray, " pair"]:
    """Inner product of each query with the row beside it, both [pair, d]: float64, the same bits in any company."""
    return np.asarray(np.multiply(queries, rows, dtype=np.float64).sum(1))


def _check(queries: np.ndarray, k: int, memory_mb: int) -> None:
    if queries.ndim != 2 or queries.shape[1] == 0:
        raise InputError(f"search: queries have shape {queries.shape}; give [query, d]")
    if not np.isfinite(queries).all():
        raise InputError("search: a query holds values that are not finite; look at what made it")
    if k < 1 or memory_mb < 1:
        raise InputError(f"search: k is {k} and memory_mb {memory_mb}; give 1 or more of each")


def _tiles(blocks: Iterable[np.ndarray], width: int, rows: int) -> Iterator[torch.Tensor]:
    """The blocks' rows as float32, ``rows`` at a time and the rest; the same memory each time."""
    import torch

    buffer, filled = torch.empty(rows, width), 0
    for number, block in enumerate(blocks):
        if block.ndim != 2 or block.shape[1] != width or block.dtype not in (np.float16, np.float32):
            raise InputError(
                f"search: block {number} is {block.dtype} of shape {block.shape}; give fp16 or fp32 of [n, {width}]"
            )
        at = 0
        while at < len(block):
            n = min(rows - filled, len(block) - at)
            # torch converts fp16 with the vector unit, sixteen times as fast as numpy.
            buffer[filled : filled + n].copy_(_tensor(block[at : at + n]))
            at, filled = at + n, filled + n
            if filled == rows:
                yield buffer
                filled = 0
    if filled:
        yield buffer[:filled]


def _tensor(array: np.ndarray) -> torch.Tensor:
    import torch

    array = np.ascontiguousarray(array)
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        # That the memory is read-only: it is only read.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(array)


@cache
def _bfloat16_is_faster(queries: int, width: int) -> bool:
    """Tried once a process and size. Whatever comes out, the scores are the same."""
    import torch

    times: dict[torch.dtype, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(queries, width, dtype=dtype), torch.ones(TILE, width)
        for turn in range(3):
            start = time.perf_counter()
            left @ right.to(dtype).T
            # The first is slower.
            times[dtype] = min(times.get(dtype, math.inf), time.perf_counter() - start) if turn else math.inf
    return times[torch.bfloat16] < times[torch.float32]


class _Best:
    """The best rows seen so far, and pairs that may belong to them."""

    def __init__(self, queries: np.ndarray, k: int, pairs: int) -> None:
        """``pairs``: how many (query, row) are scored in float64 at once."""
        import torch

        self.queries = queries.astype(np.float32)
        self.rough = k <= FEW and _bfloat16_is_faster(min(len(queries), QUERIES), queries.shape[1])
        self.queries_torch = torch.from_numpy(self.queries).to(torch.bfloat16 if self.rough else torch.float32)
        self.lengths = np.linalg.norm(self.queries.astype(np.float64), axis=1)
        self.pairs = pairs
        self.memory: torch.Tensor | None = None
        self.rounded: torch.Tensor
        self.scores = np.full((len(queries), k), -np.inf)
        self.rows = np.full((len(queries), k), NO_ROW, dtype=np.int64)
        self.waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        """Query, row and score of pairs that are not yet sorted in."""

    def add(self, tile: torch.Tensor, first: int) -> None:
        """Look at more rows, [n, d] float32, numbered from ``first``."""
        import torch

        longest = float(torch.linalg.vector_norm(tile, dim=1).amax())
        if not np.isfinite(longest):
            raise InputError(
                f"search: rows {first} to {first + len(tile) - 1} hold values that are not finite, or lengths beyond "
                "float32; make them again"
            )
        errors = self._errors(longest)
        factor = tile.to(self.queries_torch.dtype)
        for start in range(0, len(self.queries), QUERIES):
            group = slice(start, start + QUERIES)
            products = self._products(self.queries_torch[group], factor)
            # Below the worst of the best by more than the error: nothing of this tile can be among them.
            floor = self.scores[group, -1] - errors[group]
            hit = np.flatnonzero(products.amax(1).numpy() >= floor)
            if hit.size:
                query, row = self._candidates(products.numpy()[hit], floor[hit], errors[group][hit])
                self._keep(start + hit[query], tile.numpy(), row, first)

    def _products(self, queries: torch.Tensor, tile: torch.Tensor) -> torch.Tensor:
        """[query, n] float32, in the same memory each time, which spares page faults."""
        import torch

        shape = (len(queries), len(tile))
        if self.memory is None or self.memory.shape != shape:
            self.memory, self.rounded = torch.empty(shape), torch.empty(shape, dtype=queries.dtype)
        if queries.dtype == torch.float32:
            return torch.mm(queries, tile.T, out=self.memory)
        return self.memory.copy_(torch.mm(queries, tile.T, out=self.rounded))

    def finish(self) -> None:
        """Sort in what waits."""
        if not self.waiting:
            return
        count, k = self.scores.shape
        query, rows, scores = (np.concatenate(column) for column in zip(*self.waiting, strict=True))
        self.waiting = []
        owner = np.concatenate([np.repeat(np.arange(count), k), query])
        rows, scores = np.concatenate([self.rows.ravel(), rows]), np.concatenate([self.scores.ravel(), scores])
        order = np.lexsort((rows, -scores, owner))
        best = order[np.searchsorted(owner[order], np.arange(count))[:, None] + np.arange(k)]
        self.scores, self.rows = scores[best], rows[best]

    def _errors(self, longest: float) -> np.ndarray:
        """How far a product with rows of at most that length can be from the true one, [query].

        d·u/(1 − d·u)·|q|·|x| whatever the order of the sum (Higham, Accuracy and Stability of Numerical Algorithms,
        §3.1), with u = 2⁻²⁴; beside it three roundings to bfloat16, of both factors and of the product; rounded up, and
        with what underflow may take away.
        """
        import torch

        width = self.queries.shape[1]
        share = (width + 4) * 2.0**-24
        share /= 1 - share
        # torch may be told to round the factors of float32 products too.
        if self.rough or torch.get_float32_matmul_precision() != "highest":
            share = (1 + share) * (1 + 2.0**-8) ** 3 - 1
        longest = 1.01 * longest + np.sqrt(width) * 2.0**-62
        lost = width * 2.0**-126 * (1 + self.lengths + longest)
        return np.asarray(1.01 * share * self.lengths * longest + lost)

    def _candidates(self, products: np.ndarray, floor: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(query, row) of every product that may belong to the best."""
        k, rows = self.scores.shape[1], products.shape[1]
        may = products >= floor[:, None]
        if rows > k and may.sum() > 4 * k * len(products):
            # The first tile, or one better than all before: its own k-th best is the tighter limit.
            kth = np.partition(products, rows - k, axis=1)[:, rows - k]
            may = products >= np.maximum(floor, kth - 2 * error)[:, None]
        query, row = np.nonzero(may)
        return query, row

    def _keep(self, query: np.ndarray, tile: np.ndarray, row: np.ndarray, first: int) -> None:
        """Score the pairs of queries and rows of the tile in float64; sort in when as many wait as are to be found."""
        for i in range(0, len(query), self.pairs):
            some = slice(i, i + self.pairs)
            scores = exact_scores(self.queries[query[some]], tile[row[some]])
            self.waiting.append((query[some], first + row[some], scores))
        if sum(len(one[0]) for one in self.waiting) >= self.scores.size:
            self.finish()


# ---------------------------------------------------------------------------------------------- approximate


@dataclass(frozen=True, eq=False)
class Approximate:
    """A faiss index that proposes rows, and the rows themselves, which score them."""

    index: Any
    blocks: Sequence[np.ndarray]

    def search(
        self, queries: np.ndarray, k: int, *, proposals: int = 4
    ) -> tuple[Float[np.ndarray, "query k"], Int[np.ndarray, "query k"]]:
        """As ``top_k``, of the ``proposals`` × k rows that faiss names; −inf and row −1 where it names too few."""
        _check(queries, k, 1)
        total = int(self._starts[-1])
        k = min(k, total)
        named = self.index.search(np.ascontiguousarray(queries, dtype=np.float32), min(total, proposals * k))[1]
        query, column = np.nonzero(named >= 0)
        rows = named[query, column]
        scores = np.full(named.shape, -np.inf)
        scores[query, column] = exact_scores(queries[query].astype(np.float32), self._take(rows))
        order = np.lexsort((named, -scores), axis=1)[:, :k]
        return np.take_along_axis(scores, order, 1).astype(np.float32), np.take_along_axis(named, order, 1)

    def recall(self, queries: np.ndarray, k: int, *, proposals: int = 4) -> float:
        """Share of the exact best ``k`` rows that ``search`` finds, over these queries."""
        exact, found = top_k(queries, self.blocks, k)[1], self.search(queries, k, proposals=proposals)[1]
        hits = [len(np.intersect1d(one, other)) for one, other in zip(exact, found, strict=True)]
        return sum(hits) / exact.size

    @cached_property
    def _starts(self) -> np.ndarray:
        """Number of the first row of each block, and of all rows."""
        return np.cumsum([0, *(len(block) for block in self.blocks)])

    def _take(self, rows: np.ndarray) -> np.ndarray:
        """The rows with these numbers, [row, d] float32."""
        out = np.empty((len(rows), self.blocks[0].shape[1]), dtype=np.float32)
        holder = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(holder):
            here = holder == number
            out[here] = self.blocks[number][rows[here] - self._starts[number]]
        return out


def faiss_index(blocks: Sequence[np.ndarray], *, kind: Literal["hnsw", "ivf"] = "hnsw") -> Approximate:
    """A faiss index over ``blocks`` ([n, d] each, fp16 or fp32, rows of about the same length), kept as fp16.

    ``hnsw``: a graph of 32 neighbours; slow to build, quick to ask. ``ivf``: about 4·√n clusters, of which a sixteenth
    is looked at. Neither is exact: ask ``recall`` on a sample of your queries before you trust it.

    Raises InputError where faiss is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise InputError(
            "faiss is not installed; pip install 'attrib[faiss]', or search exactly, which needs nothing"
        ) from None
    total, width = sum(len(block) for block in blocks), blocks[0].shape[1] if blocks else 0
    if not total:
        raise InputError("faiss: there are no rows to search; give blocks with rows")
    half, inner = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    if kind == "hnsw":
        index = faiss.IndexHNSWSQ(width, half, 32, inner)
        index.hnsw.efConstruction, index.hnsw.efSearch = 64, 128
        sample = blocks[0][:1]
    else:
        clusters = max(1, min(total // 39, round(4 * total**0.5)))
        index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(width), width, clusters, half, inner)
        index.nprobe = max(1, clusters // 16)
        every = max(1, total // (64 * clusters))
        sample = np.concatenate([block[::every] for block in blocks])
    index.train(np.ascontiguousarray(sample, dtype=np.float32))
    for block in blocks:
        index.add(np.ascontiguousarray(block, dtype=np.float32))
    return Approximate(index, blocks)
