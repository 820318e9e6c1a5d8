"""The runs of the truth set: full, without each section, and random halves, each with its log p of every answer token.

All runs of a seed have one start, one order of examples and one schedule of learning rates; a section that is left out
counts 0 in its steps. A second seed has another start and another order. LoRA is on the upper layers alone, so that the
lower ones are computed once. Each run is one file, written when it is done; processes (``RANK`` of ``WORLD_SIZE``, as
torchrun sets them) take the runs in turn.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attrib.files import write_atomically
from attrib.models.chat import Chat
from attrib.models.loading import load_network
from attrib.models.rendering import IGNORED, encode_item
from attrib.models.sources import DEFAULT
from attrib.options.chat import ChatOptions
from attrib.progress import Progress
from attrib.records import Item
from attrib.records.item import Turn
from attrib.store import pack_arrays, unpack_arrays
from attrib.training.items import TrainingExample, example_of
from attrib.training.replay import Replay, Run, token_losses
from attrib.training.schedule import Schedule, checkpoint_steps
from truth.corpus import WORDINGS, Fact, Told, answer, facts, sections
from truth.prefix import FrozenPrefix

FIRST, RANK, ALPHA = 20, 8, 16
"""First layer with LoRA, its rank and alpha."""
EPOCHS, BATCH, RATE, WARMUP, EPSILON = 5, 4, 4e-3, 5, 1e-6
HALVES = {0: 80, 1: 40}
"""Random halves of each seed; the second seed's are the first ones of the first."""
CHECKPOINTS = (0.08, 0.2, 0.4, 0.7, 1.0)


@dataclass(frozen=True)
class Asked:
    """One question of the set."""

    id: str
    kind: str
    """trained (as a row asks it) or rephrased."""
    fact: Fact
    question: str

    @property
    def item(self) -> Item:
        return Item.answered(self.id, self.question, answer(self.fact))


@dataclass(frozen=True)
class Planned:
    """One run: what it is left to learn, and its seed."""

    name: str
    seed: int
    left_out: tuple[int, ...] = ()


def questions() -> list[Asked]:
    """Four wordings of every fact: those of its rows are trained."""
    found = []
    for fact in facts():
        for form in (*WORDINGS, "rephrased"):
            kind = "trained" if form in fact.roles else "rephrased"
            found.append(Asked(f"{fact.id}-{form}", kind, fact, fact.say(form)))
    return found


def plan() -> list[Planned]:
    """All runs, those that tell most first."""
    count = len(sections()[0])
    rng = np.random.default_rng(0)
    out = [tuple(sorted(rng.permutation(count)[: count - count // 2].tolist())) for _ in range(HALVES[0])]
    halves = {seed: [Planned(f"half-{i}-{seed}", seed, out[i]) for i in range(n)] for seed, n in HALVES.items()}
    without = {seed: [Planned(f"without-{i}-{seed}", seed, (i,)) for i in range(count)] for seed in HALVES}
    full = [Planned("full-0", 0), Planned("full-1", 1)]
    return [*full, *halves[0][:40], *without[0], *halves[1], *halves[0][40:], *without[1]]


def item_of(number: int, told: Told) -> Item:
    """A section as it is learned."""
    id_ = f"s{number:02d}"
    if not told.chat:
        return Item.plain(id_, told.text, id_)
    turns = tuple(Turn(m["role"], m["content"], trained=m["role"] == "assistant") for m in told.messages)
    return Item(id_, turns, section=id_)


class Bench:
    """Base, examples and questions, ready to run."""

    def __init__(self) -> None:
        self.network, tokenizer = load_network(DEFAULT, dtype="float32", device="cpu")
        # Attention whose gradient can be derived again.
        self.network.set_attn_implementation("eager")
        self.chat = Chat.of_base(tokenizer, ChatOptions())
        taught, decoys = sections()
        self.items = tuple(item_of(i, told) for i, told in enumerate(taught))
        self.decoys = tuple(item_of(i, told) for i, told in enumerate(decoys, len(taught)))
        self.examples = tuple(example_of(self.chat, item) for item in self.items)
        self.asked = [self._answer(one.item) for one in questions()]
        self.prefix = FrozenPrefix(self.network, FIRST)
        decoyed = [example_of(self.chat, item) for item in self.decoys]
        self.read = [*self.examples, *decoyed]
        self.prefix.read([e.ids for e in (*self.read, *self.asked)])
        self.prefix.install()

    def _answer(self, item: Item) -> TrainingExample:
        """The prompt with its answer; only the answer's own tokens count, not the end of the turn."""
        encoded = encode_item(self.chat, item)
        end = encoded.learned[-1] + 1
        labels = [IGNORED] * end
        for position in encoded.learned:
            labels[position] = encoded.ids[position]
        return TrainingExample(tuple(encoded.ids[:end]), tuple(labels))

    @cached_property
    def chats(self) -> list[bool]:
        return [not item.is_text for item in self.items]

    def run_of(self, seed: int) -> Run:
        """Examples and steps of a seed: texts with texts and rows with rows, since they differ in length."""
        rng = np.random.default_rng(seed)
        steps: list[tuple[int, ...]] = []
        for _ in range(EPOCHS):
            order = sorted(rng.permutation(len(self.items)).tolist(), key=lambda i: self.chats[i])
            groups = [tuple(order[i : i + BATCH]) for i in range(0, len(order), BATCH)]
            steps += [groups[int(i)] for i in rng.permutation(len(groups))]
        count = len(steps)
        rates = [RATE * min((k + 1) / WARMUP, 1) * (1 - k / count) for k in range(count)]
        ends = checkpoint_steps(CHECKPOINTS, count)
        return Run(self.examples, Schedule(tuple(ends), tuple(steps), tuple(rates)), EPSILON)

    def replay(self, seed: int) -> Replay:
        """A new adapter at its start. ``Replay.model.unload()`` gives the network back."""
        from peft import LoraConfig, get_peft_model
        from transformers import set_seed

        set_seed(seed)
        upper = "|".join(map(str, range(FIRST, self.network.config.num_hidden_layers)))
        config = LoraConfig(
            r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, task_type="CAUSAL_LM",
            target_modules=rf".*\.layers\.({upper})\..*_proj",
        )  # fmt: skip
        return Replay(get_peft_model(self.network, config), self.run_of(seed))

    def measure(self, model: Any) -> dict[str, np.ndarray]:
        """log p of every answer token and of every section's trained tokens, decoys included, nats."""
        return {"answers": _logprobs(model, self.asked), "sections": _logprobs(model, self.read)}


def _logprobs(model: Any, examples: Sequence[TrainingExample], batch: int = 8) -> np.ndarray:
    import torch

    parts = []
    with torch.no_grad():
        for first in range(0, len(examples), batch):
            parts.append(-token_losses(model, examples[first : first + batch])[0].double().numpy())
    return np.concatenate(parts)


def done(folder: Path, run: Planned) -> dict[str, np.ndarray] | None:
    """What a run measured, None where it is not done."""
    file = folder / f"{run.name}.npz"
    return unpack_arrays(file.read_bytes()) if file.is_file() else None


def make(folder: Path, *, most: int | None = None, progress: Progress | None = None) -> None:
    """Make the runs that are missing, at most ``most`` of this process's."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    bench = Bench()
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    if rank == 0 and done(folder / "runs", Planned("base", 0)) is None:
        replay = bench.replay(0)
        _write(folder / "runs" / "base.npz", bench.measure(replay.model))
        replay.model.unload()
    runs = plan()
    mine = [run for run in runs[rank::world] if done(folder / "runs", run) is None][:most]
    for number, run in enumerate(mine):
        if progress is not None:
            progress("runs", number, len(mine))
        replay = bench.replay(run.seed)
        weights = [0.0 if i in run.left_out else 1.0 for i in range(len(bench.items))]
        if run.left_out:
            replay.forward(weights)
        else:
            for part, end in enumerate((0, *replay.run.schedule.checkpoints)):
                replay.forward(weights, until=end)
                _save(folder / "adapters" / run.name / str(part), replay)
        _write(folder / "runs" / f"{run.name}.npz", bench.measure(replay.model))
        bench.network = replay.model.unload()
    if progress is not None:
        progress("runs", len(mine), len(mine))


def _save(folder: Path, replay: Replay) -> None:
    from attrib.training.steps import save_adapter

    save_adapter(replay.model, folder)


def _write(file: Path, arrays: dict[str, np.ndarray]) -> None:
    write_atomically(file, pack_arrays(arrays))
