"""``attrib.Recorder``: a callback for the Trainer of transformers, and for every trainer that is one (TRL, Unsloth,
Axolotl, LLaMA-Factory), which writes beside the run what influence needs.

Not covered: full fine-tunes (their checkpoints are not small), models sharded over GPUs, preference losses (one row
is two sequences), models compiled as a whole.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from attrib import processes
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.models.fingerprint import fingerprint, versions
from attrib.records import Item
from attrib.training.items import TrainingExample
from attrib.training.matching import match
from attrib.training.options import check_checkpoints, spaced
from attrib.training.recording import MANIFEST, Recording, tail_loss, write_recording
from attrib.training.saves import SETTINGS
from attrib.training.schedule import Schedule, write_schedule
from attrib.training.steps import (
    CHECKPOINTS,
    StepRecorder,
    adapter_name,
    read_rows,
    save_adapter,
    schedule_of,
    together,
)
from attrib.training.trained import write_trained
from attrib.training.workfolder import finish, locked, put_aside, work_folder

ARGUMENTS = (
    "learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps",
    "lr_scheduler_type", "warmup_steps", "weight_decay", "optim", "seed", "data_seed",
)  # fmt: skip
log = logging.getLogger("attrib.recorder")


class Recorder(StepRecorder):
    """A ``TrainerCallback`` that records a run: ``Trainer(…, callbacks=[attrib.Recorder("record", "train.jsonl")])``.

    ``folder`` appears when training ends, with the adapter, its checkpoints, everything that was trained as the model
    was given it, and the order of the steps: ``attrib explain QUESTION --tuned folder --documents train.jsonl``. A run
    that resumes from a save of its trainer goes on with its record. A record never stops a run: what could not be
    recorded is said in the log and stands in ``attrib.json``.
    """

    def __init__(
        self,
        folder: str | Path,
        data: str | Path | Corpus | Sequence[Item] | None = None,
        *,
        checkpoints: int | Sequence[float] = 5,
    ) -> None:
        """``data``: the file whose rows are trained, so that sections of it are known by what was trained of them; or
        a ``Corpus``, or items. ``checkpoints``: how many to save, or shares of all steps after which the adapter is
        saved, ending in 1.

        Raises InputError for data that cannot be read or is no items, invalid shares, and a folder that is something
        else; when training begins also for a model without an adapter, and for one that is sharded over GPUs.
        """
        shares = spaced(checkpoints) if isinstance(checkpoints, int) else tuple(checkpoints)
        check_checkpoints(shares)
        self.out = Path(folder)
        if self.out.exists() and not (self.out / MANIFEST).is_file():
            raise InputError(f"{self.out}: it is there already and no adapter of attrib; name a new folder")
        corpus = Corpus.read(data) if isinstance(data, str | Path) else data
        if isinstance(corpus, Sequence) and not all(isinstance(item, Item) for item in corpus):
            raise InputError("Recorder: its data is neither a file nor items; name the file that is trained")
        self.data = str(data) if isinstance(data, str | Path) else None
        self.items = tuple(s.item for s in corpus.sections) if isinstance(corpus, Corpus) else tuple(corpus or ())
        super().__init__(work_folder(self.out), shares)

    def on_train_begin(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        adapter_name(about["model"])
        if getattr(args, "deepspeed", None) or getattr(args, "fsdp", None):
            raise InputError("Recorder: models sharded over GPUs (FSDP, DeepSpeed) cannot be recorded; leave it out")
        processes.on_first(self._make_way)
        super().on_train_begin(args, state, control, **about)

    def _make_way(self) -> None:
        """An unfinished run of ``attrib tune`` goes aside: it may resume there."""
        if (self.work / SETTINGS).is_file():
            put_aside(self.work)

    def on_step_end(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        known = self.watch.fault
        super().on_step_end(args, state, control, **about)
        if self.watch.fault != known:
            log.warning("Recorder: the order of the data is unknown from here on: %s", self.watch.fault)

    def on_train_end(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        super().on_train_end(args, state, control, **about)
        # The best weights were loaded again: what came after them is not in the result.
        best = getattr(state, "best_global_step", None) if args.load_best_model_at_end else None
        everyone = processes.gather((self.watch.fault, self.steps))
        steps = together([steps for _, steps in everyone])[: best or state.global_step]
        fault = next((fault for fault, _ in everyone if fault), "")
        with locked(self.out):
            processes.on_first(lambda: self._write_record(args, about.get("processing_class"), steps, fault))
        log.info("Recorder: the record is in %s", self.out)

    def _write_record(self, args: Any, tokenizer: Any, steps: list[Any], fault: str) -> None:
        """The folder, with its manifest last."""
        name = adapter_name(self.model)
        base = str(self.model.peft_config[name].base_model_name_or_path or "")
        save_adapter(self.model, self.work, embeddings=_has_more_tokens(self.model, base))
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer) or _tokenizer(base)
        if tokenizer is not None:
            tokenizer.save_pretrained(self.work)
        first, examples = _numbered(self.work)
        items, missing = self._items(examples, tokenizer)
        if items:
            write_trained(self.work, items)
        schedule = self._schedule(steps, first, fault)
        write_schedule(self.work, schedule)
        if fault:
            missing.append(f"the order of the data: {fault}; influence counts every section for the whole run")
        if not schedule.losses:
            missing.append("the losses of the steps, which the model did not return; no score needs them")
        for sentence in missing:
            log.warning("Recorder: missing: %s", sentence)
        recording = Recording(
            recorded_by="attrib.Recorder",
            base=base,
            base_fingerprint=_fingerprint(base, self.model),
            data=self.data,
            order="unknown" if fault else "recorded",
            missing=tuple(missing),
            arguments={name: _plain(getattr(args, name, None)) for name in ARGUMENTS}
            | {"processes": processes.world()},
            versions=versions(),
            items=len(items),
            steps=len(steps),
            loss=tail_loss(schedule.losses),
        )
        write_recording(self.work, recording)
        finish(self.work, self.out)

    def _items(self, examples: Sequence[TrainingExample], tokenizer: Any) -> tuple[tuple[Item, ...], list[str]]:
        """What was trained, and what is not known of it."""
        if not examples:
            return (), ["what was trained: no batch could be read; influence reads the sections' texts instead"]
        if tokenizer is None:
            what = "the trainer had no tokenizer (processing_class), so that tokens cannot be compared with the data"
            items = [Item.plain(f"example-{i + 1}", "") for i in range(len(examples))]
            return tuple(
                replace(item, ids=example.ids, labels=example.labels)
                for item, example in zip(items, examples, strict=True)
            ), [f"sections of the examples: {what}; influence reads the sections' texts instead"]
        texts = [str(tokenizer.decode(example.ids)) for example in examples]
        found = match(examples, texts, self.items)
        missing = []
        if not self.items:
            missing.append("sections of the examples: no data was named; influence reads the sections' texts instead")
        elif found.unknown:
            missing.append(
                f"sections of {found.unknown:,} of {len(examples):,} examples, whose words are in no row of the data "
                "(another file, packing, a changed text?); influence reads the sections' texts instead"
            )
        if found.unseen:
            missing.append(f"{found.unseen:,} rows of the data were not in the run (evaluation, a filter?)")
        if found.cut:
            missing.append(
                f"the end of {found.cut:,} examples, which the trainer cut off; influence reads what was left"
            )
        return found.items, missing

    def _schedule(self, steps: list[Any], first: dict[int, range], fault: str) -> Schedule:
        """Steps by the numbers of their examples, and the checkpoints that lie before the end."""
        ends = []
        for number, step in enumerate(self._planned[:-1], 1):
            folder = self.work / CHECKPOINTS / str(number)
            if folder.is_dir() and step <= len(steps):
                ends.append(step)
                # A record that began late lacks the first.
                folder.rename(self.work / CHECKPOINTS / str(len(ends)))
            else:
                shutil.rmtree(folder, ignore_errors=True)
        # Steps before the record began had about the first known learning rate.
        known = next((step.learning_rate for step in steps if math.isfinite(step.learning_rate)), 0.0)
        numbered = [
            replace(
                step,
                examples=tuple(chain.from_iterable(first.get(row, ()) for row in step.examples)),
                learning_rate=step.learning_rate if math.isfinite(step.learning_rate) else known,
            )
            for step in steps
        ]
        schedule = schedule_of(numbered, (*ends, len(steps)))
        return replace(schedule, steps=()) if fault else schedule


def _numbered(work: Path) -> tuple[dict[int, range], list[TrainingExample]]:
    """Numbers of each row's examples, and all examples: a row is several where texts were packed into it."""
    numbers: dict[int, range] = {}
    examples: list[TrainingExample] = []
    for row, sequences in read_rows(work).items():
        numbers[row] = range(len(examples), len(examples) + len(sequences))
        examples += sequences
    return numbers, examples


def _tokenizer(base: str) -> Any:
    """The base's own tokenizer where the trainer had none; None where it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(base)
    except Exception:
        return None


def _has_more_tokens(model: Any, base: str) -> bool:
    """Whether base has no embeddings of some tokens of the run; where its configuration is not at hand, not."""
    from transformers import AutoConfig

    try:
        own = int(AutoConfig.from_pretrained(base).get_text_config().vocab_size)
    except Exception:
        return False
    return int(model.get_input_embeddings().weight.shape[0]) > own


def _fingerprint(base: str, model: Any) -> str | None:
    """Digest of the base's weights; None where only its name is known."""
    found = fingerprint(base, model)
    return found if found != base else None


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float) else str(getattr(value, "value", value))
