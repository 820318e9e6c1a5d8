"""Share of ``attrib.Recorder`` in the time of a training run, measured inside one run.

    python scripts/bench_recorder.py [--steps 8] [--batch 4] [--tokens 128] [--base FOLDER] [--threads 1] [--json]

A LoRA adapter is trained by the Trainer of transformers for two epochs on texts of the demo; every callback of the
Recorder is timed (wall seconds). Fixed parts do not grow with the run: reading the data, the first and the other
checkpoints, and the record at the end. A step costs more where its rows are seen for the first time.
Not covered: GPUs, several processes, and the forward hook, which keeps a batch until the step ends.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attrib.corpus import demo
from attrib.corpus.documents import Corpus
from attrib.models.bundled import get_default_model
from attrib.models.chat import Chat
from attrib.models.loading import load_network
from attrib.training.items import checked_example, collate
from attrib.training.options import spaced
from attrib.training.recorder import Recorder
from attrib.training.schedule import checkpoint_steps

EPOCHS, PROMISE = 2, 0.05


@dataclass(frozen=True)
class Spent:
    """One callback."""

    what: str
    """made, begin, step or end."""
    step: int
    """Number of the step, from 1; 0 before the first."""
    seconds: float


@dataclass(frozen=True)
class Cost:
    """Wall seconds of one run."""

    steps: int
    run: float
    """From the making of the Recorder to the end of training."""
    made: float
    """Reading the data."""
    begin: float
    """The first checkpoint."""
    checkpoints: float
    """The others, beyond what their steps cost anyway."""
    end: float
    """The record: adapter, matching with the data, digest of the base."""
    first_step: float
    """A step of the first epoch, the median."""
    later_step: float
    """A step of the other epochs, the median."""
    share: float
    """All callbacks, as a share of the run."""
    enough: int | None
    """Steps of this size from which on the share is below the promise, by calculation; None: never."""


class TimedRecorder(Recorder):
    """A Recorder that notes how long each callback takes."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.spent: list[Spent] = []
        with self._timed("made", 0):
            super().__init__(folder, data)

    @contextmanager
    def _timed(self, what: str, step: int) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.spent.append(Spent(what, step, time.perf_counter() - begun))

    def on_train_begin(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        with self._timed("begin", 0):
            super().on_train_begin(args, state, control, **about)

    def on_step_begin(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        with self._timed("step", state.global_step + 1):
            super().on_step_begin(args, state, control, **about)

    def on_step_end(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        with self._timed("step", state.global_step):
            super().on_step_end(args, state, control, **about)

    def on_train_end(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        with self._timed("end", 0):
            super().on_train_end(args, state, control, **about)


def cost_of(spent: Sequence[Spent], run: float, steps: int) -> Cost:
    """The parts of what was spent in a run of so many steps in ``EPOCHS`` epochs."""
    whole = {what: math.fsum(one.seconds for one in spent if one.what == what) for what in ("made", "begin", "end")}
    each = [math.fsum(one.seconds for one in spent if one.what == "step" and one.step == n + 1) for n in range(steps)]
    saving = set(checkpoint_steps(spaced(5), steps)[:-1])
    epochs = range(steps // EPOCHS), range(steps // EPOCHS, steps)
    plain = [[each[n] for n in epoch if n + 1 not in saving] for epoch in epochs]
    first, later = (statistics.median(epoch) if epoch else math.nan for epoch in plain)
    usual = [first if n in epochs[0] else later for n in range(steps)]
    checkpoints = math.fsum(each[n - 1] - usual[n - 1] for n in saving)
    total = math.fsum(one.seconds for one in spent)
    fixed = math.fsum((*whole.values(), checkpoints))
    spare = PROMISE * (run - total) / steps - (1 - PROMISE) * first
    enough = math.ceil((1 - PROMISE) * fixed / spare) if spare > 0 else None
    return Cost(
        steps, run, **whole, checkpoints=checkpoints, first_step=first, later_step=later, share=total / run,
        enough=enough,
    )  # fmt: skip


def write_rows(file: Path, tokenizer: Any, rows: int, tokens: int) -> Path:
    """Rows of about so many tokens, no two alike, from the demo's documents."""
    ids = tokenizer(" ".join(section.text for section in demo.corpus().sections), verbose=False).input_ids
    starts = [row * tokens % max(1, len(ids) - tokens) for row in range(rows)]
    texts = [f"Row {row}. {tokenizer.decode(ids[start : start + tokens - 8])}" for row, start in enumerate(starts)]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return file


def measure(base: str, folder: Path, *, steps: int, batch: int, tokens: int) -> Cost:
    """One run in ``folder``."""
    from peft import LoraConfig, get_peft_model
    from transformers import Trainer, TrainingArguments

    network, tokenizer = load_network(base, device="cpu")
    data = write_rows(folder / "rows.jsonl", tokenizer, steps // EPOCHS * batch, tokens)
    context = int(network.config.max_position_embeddings)
    examples = [checked_example(Chat(tokenizer), one.item, context) for one in Corpus.read(data).sections]
    lora = LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
    arguments = TrainingArguments(
        output_dir=str(folder / "run"), num_train_epochs=EPOCHS, per_device_train_batch_size=batch, use_cpu=True,
        save_strategy="no", report_to=[], disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    model = get_peft_model(network, lora)
    begun = time.perf_counter()
    recorder = TimedRecorder(folder / "record", data)
    trainer = Trainer(
        model=model, args=arguments, data_collator=collate, processing_class=tokenizer, callbacks=[recorder],
        train_dataset=[{"input_ids": example.ids, "labels": example.labels} for example in examples],
    )  # fmt: skip
    trainer.train()
    return cost_of(recorder.spent, time.perf_counter() - begun, steps)


def lines(cost: Cost) -> list[str]:
    """The cost in words."""
    fixed = cost.made + cost.begin + cost.checkpoints + cost.end
    enough = "never" if cost.enough is None else f"from {cost.enough:,} steps of this size on, by calculation"
    return [
        f"run: {cost.steps} steps, {cost.run:.1f} s; the Recorder: {cost.share:.1%}",
        f"fixed: {fixed:.2f} s (data {cost.made:.2f}, first checkpoint {cost.begin:.2f}, other checkpoints "
        f"{cost.checkpoints:.2f}, record at the end {cost.end:.2f})",
        f"a step: {1000 * cost.first_step:.1f} ms in the first epoch, {1000 * cost.later_step:.1f} ms later",
        f"below {PROMISE:.0%}: {enough}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8, help="steps in two epochs, an even number from 8 (default 8)")
    parser.add_argument("--batch", type=int, default=4, help="rows of a step (default 4)")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of a row, 16 or more (default 128)")
    parser.add_argument("--base", help="folder of the base (default: the default model)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    given = parser.parse_args()
    if given.steps < 8 or given.steps % EPOCHS or given.batch < 1 or given.tokens < 16:
        parser.error("give an even number of steps from 8, 1 row a step or more, and 16 tokens or more")
    if given.threads is not None:
        import torch

        torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory(prefix="attrib-bench-") as folder:
        base = given.base or str(get_default_model())
        cost = measure(base, Path(folder), steps=given.steps, batch=given.batch, tokens=given.tokens)
    print(*lines(cost), sep="\n")
    if given.json:
        print(json.dumps(asdict(cost), allow_nan=False))


if __name__ == "__main__":
    main()
