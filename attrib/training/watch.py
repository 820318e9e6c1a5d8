"""What a model in training is given: the rows of each batch, their token ids and labels as they arrive, and the loss.

The batch sampler says which rows a batch has; the model's own forward pass says what they were when they arrived, so
that truncation, packing and a collator's changes are seen, and a wrong order is noticed and never guessed.
Not covered: several forward passes of one batch, models compiled as a whole, images.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from attrib import processes
from attrib.models.rendering import IGNORED
from attrib.training.items import TrainingExample

Row = tuple[TrainingExample, ...]
"""What one row of the training data became: one sequence, or several that were packed together."""


class UnknownOrderError(Exception):
    """What a step saw cannot be told; its text says why."""


class DrawnBatches:
    """A batch sampler that notes the rows which it draws; everything else is the sampler's own."""

    def __init__(self, sampler: Any, drawn: deque[list[int]]) -> None:
        self.sampler_inside, self.drawn = sampler, drawn

    def __iter__(self) -> Iterator[Any]:
        self.drawn.clear()
        for batch in self.sampler_inside:
            self.drawn.append([int(row) for row in batch])
            yield batch

    def __len__(self) -> int:
        return len(self.sampler_inside)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sampler_inside, name)


class Watch:
    """Sees the batches of one process between ``start`` and ``stop``."""

    def __init__(self, known: Mapping[int, Row] | None = None) -> None:
        self.fresh: dict[int, Row] = {}
        """Rows that were met for the first time, by number: that in the data, for a stream that of its appearance."""
        self.fault = ""
        """Why the order is unknown; empty while every batch was what the sampler had drawn."""
        # A run may have more tokens than fit into memory.
        self._hashes = {number: hash(row) for number, row in (known or {}).items()}
        self._numbers = {found: number for number, found in self._hashes.items()}
        self._drawn: deque[list[int]] = deque()
        self._batches: list[tuple[Mapping[str, Any], Any]] = []
        self._waits = False

    def start(self, model: Any, loader: Any, skipped: int) -> None:
        """``skipped``: batches of the first epoch that a resumed run draws and does not train on."""
        from torch.utils.data import IterableDataset

        self._skipped = skipped
        # accelerate's loader has torch's inside, which makes its iterators.
        self._loader = getattr(loader, "base_dataloader", loader)
        self._streams = isinstance(self._loader.dataset, IterableDataset)
        if self._streams and processes.world() > 1:
            self.fault = "several processes read a stream, whose rows have no numbers"
        if not self._streams:
            # torch forbids to set it, for a sampler of another length would be ignored; this one has the same.
            self._loader.__dict__["batch_sampler"] = DrawnBatches(self._loader.batch_sampler, self._drawn)
        self._hook = model.register_forward_hook(self._given, with_kwargs=True)

    def stop(self) -> None:
        """Leave model and loader as they were."""
        self._hook.remove()
        if not self._streams:
            self._loader.__dict__["batch_sampler"] = self._loader.batch_sampler.sampler_inside

    def expect(self) -> None:
        """The next forward pass is that of a batch in training."""
        self._waits = True

    def _given(self, model: Any, given: tuple[Any, ...], named: dict[str, Any], made: Any) -> None:
        if self._waits and model.training:
            self._waits = False
            # Read at the end of the step: reading from a GPU would wait for it.
            self._batches.append(({"input_ids": given[0] if given else None, **named}, _loss_of(made)))

    def step(self) -> tuple[tuple[int, ...], float]:
        """Rows of the step that is done, and the mean loss of a learned token, nats (nan where it is unknown)."""
        batches, self._batches = self._batches, []
        numbers: list[int] = []
        losses, tokens = 0.0, 0
        for batch, (total, mean) in batches:
            try:
                numbers += self._batch(batch)
            except UnknownOrderError as error:
                self.fault = self.fault or str(error)
            learned = _learned(batch.get("labels"))
            tokens += learned
            if total is not None:
                losses += float(total)
            elif mean is not None:
                # Divided by the labels of the whole step where the Trainer says how many these are.
                count = batch.get("num_items_in_batch")
                losses += float(mean) * (learned if count is None else float(count))
            else:
                losses = math.nan
        return tuple(numbers), losses / tokens if tokens else math.nan

    def _batch(self, batch: Mapping[str, Any]) -> list[int]:
        """The rows of one batch, each compared with what it was before."""
        sequences = sequences_of(batch)
        if self._streams:
            return [self._number(sequence) for line in sequences for sequence in line]
        for _ in range(self._skipped):
            self._drawn.popleft()
        self._skipped = 0
        if not self._drawn:
            raise UnknownOrderError("the model was given a batch that no sampler had drawn")
        numbers = self._drawn.popleft()
        for number, row in zip(numbers, self._by_row(numbers, sequences), strict=True):
            if not self._is(number, row):
                raise UnknownOrderError(
                    f"row {number + 1} was given with other tokens than before (does a collator cut or mask at random?)"
                )
        return numbers

    def _is(self, number: int, row: Row) -> bool:
        """Whether a row is what it was before, if it was."""
        now = hash(row)
        if number not in self._hashes:
            self._hashes[number] = now
            self.fresh[number] = row
        return self._hashes[number] == now

    def _number(self, sequence: TrainingExample) -> int:
        """Number of a sequence of a stream: that of the first one like it."""
        number = self._numbers.setdefault(hash((sequence,)), len(self._numbers))
        self._is(number, (sequence,))
        return number

    def _by_row(self, numbers: Sequence[int], lines: Sequence[Row]) -> list[Row]:
        """The sequences of each row. Raises UnknownOrderError where their numbers do not fit together."""
        if len(lines) == len(numbers) and all(len(line) == 1 for line in lines):
            return list(lines)
        flat = [sequence for line in lines for sequence in line]
        sizes = [1] * len(numbers)
        if len(flat) != len(numbers):
            # Packed: every row says how long its texts are.
            rows = [self._loader.dataset[number] for number in numbers]
            if not all(isinstance(row, Mapping) and "seq_lengths" in row for row in rows):
                raise UnknownOrderError(f"{len(numbers)} rows were drawn, but the model was given {len(flat)} texts")
            sizes = [len(row["seq_lengths"]) for row in rows]
        if sum(sizes) != len(flat):
            raise UnknownOrderError(f"{sum(sizes)} texts were drawn, but the model was given {len(flat)}")
        rest = iter(flat)
        return [tuple(next(rest) for _ in range(size)) for size in sizes]


def sequences_of(batch: Mapping[str, Any]) -> list[Row]:
    """The sequences in each line of a batch, without padding: by the mask, or where there is none by positions.

    Raises UnknownOrderError for a batch without ids or labels, and for masks of other shapes.
    """
    ids, labels, mask, positions = (
        batch.get(name) for name in ("input_ids", "labels", "attention_mask", "position_ids")
    )
    if ids is None or labels is None or labels.shape != ids.shape:
        raise UnknownOrderError("the model was given no token ids with labels (label smoothing, or a loss of its own?)")
    if mask is not None and mask.shape != ids.shape:
        raise UnknownOrderError(f"the attention mask has the shape {tuple(mask.shape)}, not that of the token ids")
    found: list[Row] = []
    for i, (line, learned) in enumerate(zip(ids.tolist(), labels.tolist(), strict=True)):
        if mask is not None:
            kept = [place for place, seen in enumerate(mask[i].tolist()) if seen]
            found.append((_sequence(line, learned, kept),))
            continue
        starts = [0]
        if positions is not None:
            places = positions[i if len(positions) == len(ids) else 0].tolist()
            starts = [place for place, position in enumerate(places) if position == 0]
        ends = pairwise([*starts, len(line)])
        found.append(tuple(_sequence(line, learned, range(start, end)) for start, end in ends))
    return found


def _sequence(ids: Sequence[int], labels: Sequence[int], kept: Sequence[int]) -> TrainingExample:
    return TrainingExample(tuple(ids[i] for i in kept), tuple(labels[i] for i in kept))


def _learned(labels: Any) -> int:
    """Number of tokens in the loss: the first of a line has no prediction."""
    return int((labels[:, 1:] != IGNORED).sum()) if labels is not None else 0


def _loss_of(made: Any) -> tuple[Any, Any]:
    """Summed and mean loss in what a model returned; None for what is not there."""
    logprobs = getattr(made, "log_probs", None)
    if logprobs is not None:
        # TRL asks for these alone and makes its loss of them.
        return -logprobs.detach().sum(), None
    loss = getattr(made, "loss", None)
    return None, loss.detach() if loss is not None else None
