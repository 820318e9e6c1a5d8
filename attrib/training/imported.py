"""A finished run of another program → the folder that ``attrib tune`` leaves, with what is missing said.

In: ``checkpoint-*`` with adapters, ``trainer_state.json``, and the items of the data that was trained.
Not covered: ``training_args.bin`` (a pickle, which could run code and is never read), full fine-tunes, and token ids as
the trainer made them: influence renders the items as it would for ``attrib tune``.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attrib.corpus.reading import count
from attrib.errors import InputError, ModelError, RecordError
from attrib.models.fingerprint import versions
from attrib.models.sources import DEFAULT, TOKENIZER_FILES, ModelSource
from attrib.records import Item
from attrib.training.options import spaced
from attrib.training.recording import MANIFEST, Recording, read_recording, tail_loss, write_recording
from attrib.training.schedule import Schedule, checkpoint_steps, write_schedule
from attrib.training.trained import write_trained
from attrib.training.workfolder import finish, locked

WEIGHTS, CONFIG, STATE = "adapter_model.safetensors", "adapter_config.json", "trainer_state.json"
STEPS = ("global_step", "max_steps")
MOST_PROCESSES, ROUNDED = 64, 0.006
SEEDS = 2**32
"""Number of seeds that the Trainer takes."""
CHECKPOINT = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class FinishedRun:
    """The adapters of a run and its log."""

    checkpoints: tuple[tuple[int, Path], ...]
    """Step and folder of each adapter, ascending; the last is the result."""
    state: Mapping[str, Any]
    """``trainer_state.json``; empty where there is none."""

    @property
    def steps(self) -> int:
        """Steps that led to the result."""
        return self.checkpoints[-1][0]

    def logged(self, name: str) -> list[tuple[int, float]]:
        """Step and value of every line of the log that has ``name``, ascending."""
        lines = self.state.get("log_history") or []
        found = [
            (int(line["step"]), float(line[name]))
            for line in lines
            if isinstance(line, dict) and isinstance(line.get(name), int | float) and isinstance(line.get("step"), int)
        ]
        return sorted((step, value) for step, value in found if step > 0 and math.isfinite(value))


def import_run(
    run: Path,
    items: Sequence[Item],
    out: Path,
    *,
    base: str | None = None,
    data: str | None = None,
    seed: int | None = None,
    in_rows: bool = True,
) -> Recording:
    """Write the adapter of ``run`` with up to five of its checkpoints and its schedule to ``out``.

    ``base``: the base's name where the adapter names another place. ``data``: where ``items`` come from, for the
    record. ``seed``: the trainer's, by which the order of the data is drawn again where the sampler was its default
    and ``in_rows`` says that the items are all rows of the data in their order.
    Raises InputError, one line, for no items, for damaged files, and as ``check_import`` does.
    """
    if not items:
        raise InputError("import: no data; name the file that was trained with --data")
    found = check_import(run, out, base=base, seed=seed)
    config = _config(found.checkpoints[-1][1], base)
    chosen = _chosen(found)
    rates, missing = _learning_rates(found)
    steps, why = _order(found, len(items), seed) if in_rows else ((), "not every row of the data is one section")
    missing.append(
        f"the order of the data: {why}; influence counts every row for the whole run"
        if why
        else "a check of the order: it is drawn again from the seed, as the Trainer's default sampler draws it"
    )
    missing.append(
        "token ids and labels as the trainer made them: rows are rendered with the adapter's template and their "
        "answers are what was learned; truncation, packing and a loss on questions too are not known"
    )
    missing += [*_few_rows(found, len(items)), *_few_checkpoints(chosen, run), *_not_plain(config)]
    recording = Recording(
        recorded_by="attrib import",
        base=str(config["base_model_name_or_path"]),
        base_fingerprint=None,
        data=data,
        order="unknown" if why else "by seed",
        missing=tuple(missing),
        arguments={name: found.state.get(name) for name in ("num_train_epochs", "max_steps", "train_batch_size")}
        | {"seed": seed},
        versions=versions(),
        items=len(items),
        steps=found.steps,
        loss=tail_loss(tuple(value for _, value in found.logged("loss"))),
    )
    schedule = Schedule(tuple(step for step, _ in chosen), steps, tuple(rates))
    with locked(out), _unfinished(out) as work:
        _copy(chosen, config, work)
        write_trained(work, items)
        write_schedule(work, schedule)
        write_recording(work, recording)
        finish(work, out)
    return recording


def _is_import(folder: Path) -> bool:
    """Whether an earlier import made it, which the same command makes again; a recorded run is made once."""
    try:
        found = read_recording(folder) if (folder / MANIFEST).is_file() else None
    except RecordError:
        return False
    return found is not None and found.recorded_by == "attrib import"


def check_import(run: Path, out: Path, *, base: str | None = None, seed: int | None = None) -> FinishedRun:
    """The run, with everything checked that can be before its data is read; a ``base`` of the hub is not looked up.

    Raises InputError for a folder that is no such run, an ``out`` that is something else, and an impossible ``seed``;
    ModelError for a ``base`` that is a path without a model.
    """
    if seed is not None and not 0 <= seed < SEEDS:
        raise InputError(f"seed {seed}: no Trainer takes it; give a number from 0 to {SEEDS - 1}")
    if out.exists() and not _is_import(out):
        raise InputError(f"{out}: it is there already and no imported run; name a new folder")
    # The default model would be fetched, which nothing here needs.
    if base is not None and base != DEFAULT:
        source = ModelSource.of(base)
        source.refuse_other_folders()
        if source.folder is not None and not source.is_model:
            raise ModelError(f"{base}: it is an adapter; name the model that the run began with by --base")
    found = read_run(run)
    _config(found.checkpoints[-1][1], base)
    return found


@contextmanager
def _unfinished(out: Path) -> Iterator[Path]:
    """A folder beside ``out``, which is gone afterwards."""
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-import-", dir=out.absolute().parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def read_run(run: Path) -> FinishedRun:
    """The adapters below ``run`` and its log. Raises InputError for a folder that is no run with adapters."""
    if not run.is_dir():
        raise InputError(f"{run}: no such folder; name the output folder of the run")
    if CHECKPOINT.fullmatch(run.name) and not any(run.glob("checkpoint-*")):
        raise InputError(f"{run}: it is one checkpoint of a run; name the folder above it, {run.parent}")
    numbered = [(int(named[1]), folder) for folder in run.iterdir() if (named := CHECKPOINT.fullmatch(folder.name))]
    adapters = sorted((step, folder) for step, folder in numbered if (folder / WEIGHTS).is_file() and step > 0)
    states = [folder / STATE for _, folder in sorted(numbered, reverse=True)]
    state = _read_state(next((file for file in (run / STATE, *states) if file.is_file()), None))
    if (run / WEIGHTS).is_file():
        adapters = _with_result(run, adapters, state)
    if not adapters:
        raise InputError(f"{run}: {_instead(run, [folder for _, folder in numbered])}")
    return FinishedRun(tuple(adapters), state)


def _with_result(run: Path, adapters: list[tuple[int, Path]], state: Mapping[str, Any]) -> list[tuple[int, Path]]:
    """The adapters up to the one that the run's own folder holds: the last, or the best where it was loaded again."""
    same = [step for step, folder in adapters if _same_weights(run / WEIGHTS, folder / WEIGHTS)]
    last = adapters[-1][0] if adapters else 0
    step = same[-1] if same else max(*(int(state.get(name) or 0) for name in STEPS), last, 1)
    return [*((number, folder) for number, folder in adapters if number < step), (step, run)]


def _same_weights(one: Path, other: Path) -> bool:
    from safetensors.numpy import load_file

    try:
        first, second = load_file(one), load_file(other)
    except TypeError:
        # numpy has no bfloat16: the same bytes then.
        return one.read_bytes() == other.read_bytes()
    except Exception as error:
        raise InputError(f"{other}: damaged ({error}); remove this checkpoint") from error
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def _instead(run: Path, folders: Sequence[Path]) -> str:
    """What is there in place of adapters, and the mend."""
    for folder in (run, *folders):
        if (folder / "adapter_model.bin").is_file():
            return (
                "its adapters are pickles (adapter_model.bin), which are not read; load and save them again with peft "
                "and safe_serialization=True"
            )
        if any(folder.glob("model*.safetensors")):
            return "a full fine-tune, whose checkpoints hold no adapter; influence needs an adapter"
    return f"no adapter in it or in its checkpoint-* folders ({WEIGHTS}); name the output folder of the run"


def _read_state(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({error}); mend or remove it") from error
    numbers = [content.get(name) or 0 for name in STEPS] if isinstance(content, dict) else [None]
    if not all(isinstance(one, int) for one in numbers) or not isinstance(content.get("log_history") or [], list):
        raise InputError(f"{file}: it is no state of a Trainer; mend or remove it")
    return dict(content)


def _config(folder: Path, base: str | None) -> dict[str, Any]:
    """The adapter's configuration with its base's name. Raises InputError where none is known."""
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text("utf-8"))
        named = base or config.get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{file}: cannot be read ({error}); save the adapter again") from error
    if not named:
        raise InputError(f"{file}: the adapter does not name its base; add --base")
    return {**config, "base_model_name_or_path": named}


def _chosen(found: FinishedRun) -> list[tuple[int, Path]]:
    """The result and those nearest to the shares at which ``attrib tune`` saves: each costs a pass over the data."""
    numbers = {
        min(range(len(found.checkpoints)), key=lambda i: abs(found.checkpoints[i][0] - step))
        for step in checkpoint_steps(spaced(5), found.steps)
    }
    return [found.checkpoints[i] for i in sorted({*numbers, len(found.checkpoints) - 1})]


def _few_rows(found: FinishedRun, rows: int) -> list[str]:
    """A step takes one batch or more, so that steps and epochs need so many rows at least."""
    known = [found.state.get(name) for name in ("train_batch_size", "max_steps", "num_train_epochs")]
    numbers = [number for number in known if isinstance(number, int) and number > 0]
    if len(numbers) < len(known):
        return []
    batch, steps, epochs = numbers
    needed = (math.ceil(steps / epochs) - 1) * batch + 1
    if rows >= needed:
        return []
    return [
        f"rows: {count(steps, 'step')} of {batch} rows or more in {count(epochs, 'epoch')} need at least {needed:,} "
        f"rows, and the data has {rows:,}; was the run trained on another file, or were long rows cut into several?"
    ]


def _not_plain(config: Mapping[str, Any]) -> list[str]:
    """What an adapter has besides plain LoRA, which alone influence can use."""
    others = [key for key in ("use_dora", "modules_to_save", "trainable_token_indices") if config.get(key)]
    if config.get("peft_type") != "LORA":
        others = [str(config.get("peft_type"))]
    return [f"weights before tuning of {', '.join(others)}: influence needs plain LoRA and refuses"] if others else []


def _few_checkpoints(chosen: Sequence[tuple[int, Path]], run: Path) -> list[str]:
    first, last = chosen[0][0], chosen[-1][0]
    if len(chosen) == 1:
        line = "checkpoints but the result, at whose weights what was learned early shows little: influence is weaker"
        above = run.absolute().parent
        has_saves = any(above.glob(f"checkpoint-*/{WEIGHTS}"))
        return [f"{line}; the folder above, {above}, holds some: name it as the run" if has_saves else line]
    if first > 0.2 * last:
        return [f"checkpoints before {first / last:.0%} of the steps: the steps up to there are told by later weights"]
    return []


def _learning_rates(found: FinishedRun) -> tuple[list[float], list[str]]:
    """Of each step, between those in the log by a straight line; all the same where there are none."""
    points = [(step, rate) for step, rate in found.logged("learning_rate") if step <= found.steps]
    if not points or not any(rate > 0 for _, rate in points):
        return [1.0] * found.steps, [
            "learning rates: the log has none, so that every step counts alike, and dot products are in no unit"
        ]
    steps, rates = zip(*points, strict=True)
    each = np.interp(np.arange(1, found.steps + 1), steps, rates)
    missing = []
    if len(points) < found.steps:
        missing = [
            f"learning rates of {found.steps - len(points):,} of {found.steps:,} steps, which are drawn as lines "
            "between those in the log"
        ]
    return [float(rate) for rate in each], missing


def _order(found: FinishedRun, rows: int, seed: int | None) -> tuple[tuple[tuple[int, ...], ...], str]:
    """Rows of each step as the Trainer's default sampler draws them, or none and the reason."""
    import torch

    if seed is None:
        return (), "no --seed was named"
    if not found.logged("epoch"):
        return (), f"the run has no log with epochs ({STATE})"
    size = _rows_a_step(found, rows)
    if size is None:
        return (), f"the log's epochs do not fit {rows:,} rows in batches of one size"
    steps: list[tuple[int, ...]] = []
    while len(steps) < found.steps:
        # accelerate seeds each epoch by its number.
        generator = torch.Generator().manual_seed(seed + len(steps) // math.ceil(rows / size))
        drawn = torch.randperm(rows, generator=generator).tolist()
        steps += [tuple(drawn[start : start + size]) for start in range(0, rows, size)]
    return tuple(steps[: found.steps]), ""


def _rows_a_step(found: FinishedRun, rows: int) -> int | None:
    """Rows of a step by which the log's steps and epochs fit together: those of one process, or of the fewest.

    None where nothing fits, or two numbers of rows do with as many processes.
    """
    batch = found.state.get("train_batch_size")
    points = [(step, epoch) for step, epoch in found.logged("epoch") if step <= found.steps]
    if not isinstance(batch, int) or batch < 1 or not points:
        return None
    for processes in range(1, min(MOST_PROCESSES, math.ceil(rows / batch)) + 1):
        batches = math.ceil(rows / (batch * processes))
        fitting = [
            accumulated
            for accumulated in range(1, batches + 1)
            if all(_fits(step, epoch, batches, accumulated) for step, epoch in points)
        ]
        if fitting:
            return batch * processes * fitting[0] if len(fitting) == 1 else None
    return None


def _fits(step: int, epoch: float, batches: int, accumulated: int) -> bool:
    """Whether a step ends at this epoch; older versions round it to two digits."""
    an_epoch = math.ceil(batches / accumulated)
    expected = step // an_epoch + step % an_epoch * accumulated / batches
    return abs(epoch - expected) < ROUNDED


def _copy(chosen: Sequence[tuple[int, Path]], config: Mapping[str, Any], work: Path) -> None:
    """The adapters with one configuration, and the run's tokenizer with its template."""
    names = [*(work / "checkpoints" / str(number) for number in range(1, len(chosen))), work]
    shapes = _shapes(chosen[-1][1] / WEIGHTS)
    for (_, folder), place in zip(chosen, names, strict=True):
        if _shapes(folder / WEIGHTS) != shapes:
            raise InputError(f"{folder}: its adapter has other layers than the run's result; remove this checkpoint")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / WEIGHTS, place / WEIGHTS)
        (place / CONFIG).write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    for name in (*TOKENIZER_FILES, "chat_template.jinja", "chat_template.json"):
        if (chosen[-1][1] / name).is_file():
            shutil.copyfile(chosen[-1][1] / name, work / name)


def _shapes(file: Path) -> dict[str, list[int]]:
    from safetensors import safe_open

    try:
        with safe_open(file, "np") as tensors:
            return {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118
    except Exception as error:
        raise InputError(f"{file}: damaged ({error}); remove this checkpoint") from error
