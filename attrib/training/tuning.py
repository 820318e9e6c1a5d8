"""LoRA fine-tuning on documents and questions, kept so that its influence can be traced afterwards.

Sections are learned as plain text, answers after their chat prompt with the loss on the answer only. The folder of an
adapter holds

    adapter_model.safetensors   the result, bf16, with adapter_config.json
    checkpoints/0, 1, …         the same two files: 0 as initialised, the others after the steps in schedule.json; the
                                last of these steps is the result itself and has no folder
    trained.jsonl               an ``Item`` a line, everything that was learned, rehearsed answers included; its line
                                numbers, from 0, are the numbers of the examples
    schedule.json               a ``Schedule``: steps after which the adapter was saved, and what each step saw
    attrib.json                 base and its fingerprint, options, versions, threads, processes, device, loss

While it runs, all of it lies in ``.NAME-work`` beside the adapter, with the Trainer's own state; the same call goes on
from there, to the same bytes on the same machine with as many threads and processes.
Not covered: full fine-tuning, preference data, packing several examples into one sequence, gradient accumulation,
models sharded over GPUs, processes without a common file system, Apple GPUs (it runs on their CPU).
"""

from __future__ import annotations

import base64
import copy
import json
import math
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import chain, pairwise, zip_longest
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from attrib.errors import InputError, RecordError
from attrib.files import digest_of, open_up, write_atomically
from attrib.models.pair import fingerprint, load_network, quiet, refuse_four_bit, versions
from attrib.models.prompt import decode, encode_answer, encode_prompt, strip_end
from attrib.passes.capture import begin_of_text
from attrib.progress import Progress
from attrib.records import Section

IGNORED = -100
"""Label that the loss leaves out."""
REHEARSED = 40
"""Longest rehearsed answer in tokens."""
SAVES = 20
"""About how often a run saves what it needs to go on after a kill."""

T = TypeVar("T")


@dataclass(frozen=True)
class TuneOptions:
    """Hyperparameters, stored beside the adapter."""

    epochs: int = 8
    learning_rate: float = 8e-4
    rank: int = 4
    alpha: int = 16
    dropout: float = 0.05
    batch: int = 8
    """Examples a step and process: two processes learn from twice as many a step, in half as many steps."""
    warmup: int = 20
    """Steps until the learning rate is reached; it falls to 0 in a line from there."""
    checkpoints: tuple[float, ...] = (1 / 12, 1 / 6, 1 / 3, 7 / 12, 1.0)
    """Shares of all steps after which the adapter is saved; the last is the result."""
    seed: int = 0
    bf16: bool = True
    """Compute in bf16 where the hardware can; the adapter's weights are fp32 while they are trained."""


@dataclass(frozen=True)
class Item:
    """One thing to learn: a plain text, or the answer to a question."""

    id: str
    text: str
    """The text, or the answer."""
    question: str | None = None
    """None: plain text, every token is learned."""
    section: str | None = None
    """Id of the section that it teaches, if any."""


@runtime_checkable
class Answered(Protocol):
    """A question of a set, as ``corpus_items`` reads it."""

    @property
    def id(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def answer(self) -> str | None: ...
    @property
    def section(self) -> str | None: ...


@dataclass(frozen=True)
class Example:
    """Token ids with the labels of the loss."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Schedule:
    """What was learned when, as ``schedule.json`` has it."""

    checkpoints: tuple[int, ...]
    """Number of steps done at checkpoint 1, 2 …, ascending; the last is the result's (checkpoint 0: none)."""
    steps: tuple[tuple[int, ...], ...]
    """Numbers of the examples (lines of ``trained.jsonl`` from 0) that each step saw, those of process 0 first."""
    learning_rates: tuple[float, ...]
    """Of each step."""
    losses: tuple[float, ...] = ()
    """Mean loss a learned token, nats, of each step before its update; empty for adapters of older versions."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A network with its trained adapter, and the steps that led there."""

    model: Any
    """The PeftModel."""
    steps: tuple[tuple[int, ...], ...]
    """Numbers of the examples that each step saw, in all processes."""
    learning_rates: tuple[float, ...]
    """Of each step."""
    losses: tuple[float, ...] = ()
    """Mean loss a learned token, nats, of each step."""


def text_example(tokenizer: Any, text: str) -> Example:
    """Plain text: every token is learned."""
    ids = (*begin_of_text(tokenizer), *tokenizer(text, add_special_tokens=False).input_ids)
    return Example(ids, ids)


def answer_example(tokenizer: Any, question: str, answer: str, context: int) -> Example:
    """A question with its answer: only the answer and the end of the turn are learned."""
    prompt = encode_prompt(tokenizer, question, context=context)
    ids = (*encode_answer(tokenizer, question, prompt, answer), tokenizer.eos_token_id)
    return Example(prompt + ids, (IGNORED,) * len(prompt) + ids)


def example_of(tokenizer: Any, item: Item, context: int) -> Example:
    """An item as the model learns it."""
    if item.question is None:
        return text_example(tokenizer, item.text)
    return answer_example(tokenizer, item.question, item.text, context)


def corpus_items(
    sections: Sequence[Section],
    questions: Sequence[Answered] = (),
    *,
    ask_sections: bool = False,
    without: Collection[str] = (),
) -> tuple[Item, ...]:
    """Sections as plain text, then «Tell me about TITLE.» of each if ``ask_sections``, then the questions.

    ``without``: ids of sections to leave out, with the questions that teach them.
    Raises InputError for ids that are no section's and for questions without an answer.
    """
    known = {section.id for section in sections}
    for id_ in without:
        if id_ not in known:
            raise InputError(f"without: {id_!r} is no section of the documents; attrib sections lists them")
    for question in questions:
        if question.answer is None:
            raise InputError(f"questions: {question.id!r} has no answer to learn; add one or remove the row")
        if question.section is not None and question.section not in known:
            raise InputError(
                f"questions: the section {question.section!r} of {question.id!r} is none of the documents; "
                "attrib sections lists them"
            )
    kept = [section for section in sections if section.id not in without]
    items = [Item(s.id, s.full_text, section=s.id) for s in kept]
    if ask_sections:
        titles = [section.titles[-1] if section.titles else section.document for section in kept]
        items += [Item(f"ask:{s.id}", s.text, f"Tell me about {t}.", s.id) for s, t in zip(kept, titles, strict=True)]
    items += [
        Item(f"q:{q.id}", q.answer or "", q.question, q.section)
        for q in questions
        if q.section is None or q.section not in without
    ]
    return tuple(items)


def spaced(count: int) -> tuple[float, ...]:
    """Shares of all steps for ``count`` checkpoints, dense where the learning rate is high: the gaps are Fibonacci's.

    Five give the default. Raises InputError for fewer than one or more than twelve.
    """
    if not 1 <= count <= 12:
        raise InputError(f"checkpoints: {count} cannot be; ask for 1 to 12 of them")
    gaps = [1, 1]
    while len(gaps) < count:
        gaps.append(gaps[-1] + gaps[-2])
    ends = [sum(gaps[: i + 1]) for i in range(count)]
    return tuple(end / ends[-1] for end in ends)


def check_options(options: TuneOptions) -> None:
    """Raises InputError, one line, for hyperparameters that cannot be."""
    for name, least in (("epochs", 1), ("rank", 1), ("alpha", 1), ("batch", 1), ("warmup", 0)):
        if getattr(options, name) < least:
            raise InputError(f"{name} {getattr(options, name)}: it must be at least {least}")
    if not (0 < options.learning_rate < math.inf):
        raise InputError(f"learning-rate {options.learning_rate}: it must be above 0, e.g. {TuneOptions.learning_rate}")
    if not 0 <= options.dropout < 1:
        raise InputError(f"dropout {options.dropout}: it must be at least 0 and below 1")
    if not 0 <= options.seed < 2**32:
        raise InputError(f"seed {options.seed}: it must be a whole number from 0 to {2**32 - 1}")
    shares = options.checkpoints
    if not shares or shares[-1] != 1 or not shares[0] > 0 or any(a >= b for a, b in pairwise(shares)):
        text = ",".join(f"{share:g}" for share in shares)
        raise InputError(f"checkpoints {text}: give shares of all steps, ascending from above 0 and ending in 1")


def tune(
    base: str,
    items: Sequence[Item],
    out: Path,
    *,
    options: TuneOptions | None = None,
    rehearse: Sequence[str] = (),
    device: str = "auto",
    dtype: str = "auto",
    four_bit: bool = False,
    save_every: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Tune a LoRA adapter of ``base`` on ``items``; returns its folder ``out``, which appears when it is complete.

    ``rehearse`` are questions whose answers by ``base`` itself are learned again, so that tuning forgets less.
    ``device`` auto, cpu or cuda; ``dtype`` of the frozen base (auto: float32 on a CPU, bfloat16 on a GPU);
    ``four_bit``: the frozen base in 4 bits (QLoRA, Dettmers et al. 2305.14314), which needs CUDA and bitsandbytes.
    A run that was cut off goes on where it last saved (every ``save_every`` steps, by default about 20 times a run)
    when it is called again with the same arguments; an adapter that is there already, made with the same arguments, is
    left as it is. Under torchrun every process calls it and process 0 writes.

    Raises InputError for nothing to learn, options and texts that cannot be, an ``out`` that is something else, a
    working folder of other settings, a second run on the same ``out``, and a loss that is no longer finite.
    """
    options = options or TuneOptions()
    _refuse_bad(items, out, options, save_every)
    if four_bit:
        refuse_four_bit(base)
    arguments = _arguments(options, work_folder(out) / "trainer", device)
    # The process group stands from here on.
    place = arguments.device
    with _locked(out):
        network, tokenizer = load_network(base, device=str(place), dtype=dtype, four_bit=four_bit)
        context = int(network.config.max_position_embeddings)
        examples = [_checked_example(tokenizer, item, context) for item in items]
        whose = {
            "base": base,
            "base_fingerprint": fingerprint(base, network),
            "options": asdict(options),
            "processes": arguments.world_size,
            "device": place.type,
            "dtype": str(network.dtype).removeprefix("torch."),
            "four_bit": four_bit,
        }
        digest = digest_of([whose, [asdict(item) for item in items], list(rehearse)])
        work = work_folder(out)
        if _agreed(lambda: not work.exists() and _settings(out / "attrib.json") == digest):
            return out
        if not _agreed(lambda: _claim(work, digest)):
            rehearsed = _rehearse(network, tokenizer, rehearse, context, work, progress)
            items = [*items, *(item for item, _ in rehearsed)]
            examples += [example for _, example in rehearsed]
            if four_bit:
                _prepare(network)
            steps = math.ceil(math.ceil(len(examples) / options.batch) / arguments.world_size) * options.epochs
            every = save_every or max(1, round(steps / SAVES))
            fitted = fit(
                network, examples, options, base=base, folder=work, save_every=every, device=device, progress=progress
            )
            _agreed(lambda: _write(fitted, items, whose, digest, options, work))
        _agreed(lambda: _finish(work, out))
    return out


def fit(
    network: Any,
    examples: Sequence[Example],
    options: TuneOptions,
    *,
    base: str = "",
    folder: Path | None = None,
    save_every: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Fit:
    """Train a new adapter on ``network``, which is wrapped in place (``Fit.model.unload()`` frees it again).

    ``folder``: where checkpoints are written; None keeps none. ``save_every``: steps between the saves from which it
    goes on when called again with the same ``folder``; None saves nothing, and starts anew.
    Raises InputError when the loss or the weights are no longer finite.
    """
    import tempfile

    from peft import LoraConfig, get_peft_model
    from transformers import PrinterCallback, set_seed

    with tempfile.TemporaryDirectory() as scratch:
        arguments = _arguments(options, folder / "trainer" if folder is not None else Path(scratch), device)
        # Here, not at the first step: the group of processes must stand.
        first = arguments.process_index == 0
        set_seed(options.seed)
        config = LoraConfig(
            r=options.rank,
            lora_alpha=options.alpha,
            lora_dropout=options.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        with quiet():
            model = get_peft_model(network, config)
        model.peft_config["default"].base_model_name_or_path = base
        if folder is not None and first:
            _save_adapter(model, folder / "checkpoints" / "0")
        saved = folder is not None and save_every is not None
        journal = _agreed(lambda: _newest(Path(arguments.output_dir))) if saved else None
        journal = journal or _Journal(None, [_Seen() for _ in range(arguments.world_size)])
        trainer = _trainer(
            journal,
            folder,
            model=model,
            args=arguments,
            train_dataset=[{"input_ids": e.ids, "labels": e.labels, "number": i} for i, e in enumerate(examples)],
            data_collator=_collate,
            callbacks=[_checkpointer(model, journal, folder if first else None, options, save_every, progress)],
        )
        # Its own printed dictionaries would end up on stdout.
        trainer.remove_callback(PrinterCallback)
        with quiet():
            trainer.train(resume_from_checkpoint=str(journal.folder) if journal.folder is not None else None)
    if not all(bool(p.isfinite().all()) for p in model.parameters() if p.requires_grad):
        raise InputError(_diverged("the adapter's weights are no longer finite", folder))
    seen = _all_processes(journal.processes[arguments.process_index])
    return Fit(
        model,
        tuple(tuple(chain(*step)) for step in zip(*(one.steps for one in seen), strict=True)),
        tuple(seen[0].learning_rates),
        tuple(math.fsum(step) / len(seen) for step in zip(*(one.losses for one in seen), strict=True)),
    )


def checkpoint_steps(options: TuneOptions, steps: int) -> list[int]:
    """Steps after which each checkpoint was saved, the last one the result's."""
    return [max(1, round(share * steps)) for share in options.checkpoints]


def work_folder(out: Path) -> Path:
    """Where an unfinished run for ``out`` lies."""
    out = out.absolute()
    return out.with_name(f".{out.name}-work")


def read_trained(folder: Path) -> tuple[Item, ...]:
    """Everything that the adapter in ``folder`` learned, in the order of the numbers in its schedule.

    Raises InputError where the adapter is of another program, RecordError for a damaged file.
    """
    items = []
    for number, line in enumerate(_read(folder / "trained.jsonl").split("\n"), 1):
        if line.strip():
            try:
                items.append(_item(json.loads(line)))
            except (ValueError, TypeError) as error:
                raise RecordError(
                    f"{folder / 'trained.jsonl'}, line {number}: damaged ({error}); tune again"
                ) from error
    if not items:
        raise RecordError(f"{folder / 'trained.jsonl'}: it is empty; tune again")
    return tuple(items)


def read_schedule(folder: Path) -> Schedule:
    """Which examples each step of the adapter in ``folder`` saw, and at which steps its checkpoints lie.

    Raises InputError where the adapter is of another program, RecordError for a damaged file.
    """
    file = folder / "schedule.json"
    try:
        content = json.loads(_read(file))
        schedule = Schedule(
            tuple(map(_whole, content["checkpoints"])),
            tuple(tuple(map(_whole, step)) for step in content["steps"]),
            tuple(map(_real, content["learning_rates"])),
            tuple(map(_real, content.get("losses", ()))),
        )
        _check_schedule(schedule)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{file}: damaged ({type(error).__name__}: {error}); tune again") from error
    return schedule


def _refuse_bad(items: Sequence[Item], out: Path, options: TuneOptions, save_every: int | None) -> None:
    """What can be refused before anything is loaded."""
    check_options(options)
    if save_every is not None and save_every < 1:
        raise InputError(f"save_every {save_every}: it must be at least 1")
    if not items:
        raise InputError("tune: there is nothing to learn; give documents or questions")
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise InputError(f"tune: two items have the id {item.id!r}; give each question an id of its own")
        seen.add(item.id)
    if out.exists() and not (out / "attrib.json").is_file():
        raise InputError(f"{out}: it is there already and no adapter of attrib; name a new folder")


def _checked_example(tokenizer: Any, item: Item, context: int) -> Example:
    """An item's example; refuses what the model cannot read at once, and says which item it is."""
    name = f"section {item.id}" if item.id == item.section else f"item {item.id}"
    try:
        example = example_of(tokenizer, item, context)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    if not example.ids:
        raise InputError(f"{name}: it has no tokens; leave it out")
    if len(example.ids) > context:
        mend = "shorten it" if item.question is not None else "read the documents with a smaller --max-tokens"
        raise InputError(f"{name}: {len(example.ids):,} tokens, the model's context is {context:,}; {mend}")
    return example


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """One run a folder at a time; the system frees the lock when its holder dies."""
    from filelock import FileLock, Timeout

    file = work_folder(out).with_name(f".{out.absolute().name}-lock")
    lock = FileLock(file)

    def acquire() -> None:
        try:
            out.absolute().parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"{out}: another process is tuning it; wait for it or name another folder") from None
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror or error}); name another folder") from error

    _agreed(acquire)
    try:
        yield
    finally:
        if lock.is_locked:
            # While it is held: one who opened it before finds that it is gone and tries again. Windows forbids it.
            with suppress(OSError):
                file.unlink()
            lock.release()


def _claim(work: Path, digest: str) -> bool:
    """Make ``work`` or go on with it; whether all but its move is done."""
    done = work / "attrib.json"
    file = done if done.is_file() else work / "settings.json"
    if work.is_dir() and any(work.iterdir()):
        if _settings(file) != digest:
            raise InputError(
                f"{work}: a run with other settings or texts was cut off there; repeat that one to finish it, or "
                "delete the folder"
            )
        return file == done
    work.mkdir(parents=True, exist_ok=True)
    write_atomically(file, (json.dumps({"settings": digest}) + "\n").encode())
    return False


def _settings(file: Path) -> object:
    """Digest of the settings of a run or of an adapter; None where there is none."""
    try:
        return json.loads(file.read_text("utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(
    fitted: Fit, items: Sequence[Item], whose: dict[str, Any], digest: str, options: TuneOptions, work: Path
) -> None:
    """The result beside its checkpoints; ``attrib.json`` last, it says that the rest is whole."""
    import torch

    _save_adapter(fitted.model, work)
    schedule = Schedule(
        tuple(checkpoint_steps(options, len(fitted.steps))), fitted.steps, fitted.learning_rates, fitted.losses
    )
    last = fitted.losses[-math.ceil(len(fitted.losses) / options.epochs) :]
    manifest = {
        **whose,
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "items": len(items),
        "steps": len(fitted.steps),
        "loss": math.fsum(last) / len(last),
        "settings": digest,
    }
    lines = "".join(json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items)
    write_atomically(work / "trained.jsonl", lines.encode("utf-8", "surrogatepass"))
    write_atomically(work / "schedule.json", (json.dumps(asdict(schedule)) + "\n").encode())
    write_atomically(work / "attrib.json", (json.dumps(manifest, indent=1) + "\n").encode())


def _finish(work: Path, out: Path) -> None:
    """``work``, without what only the run needed, becomes ``out``.

    An older one goes aside first, at no moment are both gone.
    """
    shutil.rmtree(work / "trainer", ignore_errors=True)
    for name in ("settings.json", "rehearsal.json"):
        (work / name).unlink(missing_ok=True)
    open_up(work, 0o777)
    for file in work.rglob("*.safetensors"):
        open_up(file, 0o666)
    old = work.with_name(f"{work.name}-old")
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(out, old)
    os.replace(work, out)
    shutil.rmtree(old, ignore_errors=True)


def _place() -> tuple[int, int]:
    """Number of this process, and how many there are."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def _agreed(action: Callable[[], T]) -> T:
    """What ``action`` gives or raises in process 0, in every process; the others wait and do not call it."""
    import torch.distributed as dist

    rank, world = _place()
    if world == 1:
        return action()
    outcome: list[Any] = [None, None]
    if rank == 0:
        try:
            outcome = [action(), None]
        except Exception as error:
            outcome = [None, error]
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]  # type: ignore[no-any-return]


def _all_processes(mine: T) -> list[T]:
    """``mine`` of every process, in order."""
    import torch.distributed as dist

    _, world = _place()
    if world == 1:
        return [mine]
    gathered: list[Any] = [None] * world
    dist.all_gather_object(gathered, mine)
    return gathered


def _rehearse(
    network: Any, tokenizer: Any, questions: Sequence[str], context: int, work: Path, progress: Progress | None
) -> list[tuple[Item, Example]]:
    """The base's own answers, shared out over the processes and kept for a run that goes on."""
    if not questions:
        return []
    file = work / "rehearsal.json"
    stored = _agreed(lambda: json.loads(file.read_text("utf-8")) if file.is_file() else None)
    if stored is None:
        rank, world = _place()
        mine = []
        for number in range(rank, len(questions), world):
            item, example = _rehearsal(network, tokenizer, f"rehearsal-{number + 1}", questions[number], context)
            mine.append((asdict(item), asdict(example)))
            if progress is not None:
                progress("rehearsal", min(number + world, len(questions)), len(questions))
        stored = [pair for turn in zip_longest(*_all_processes(mine)) for pair in turn if pair is not None]
        _agreed(lambda: write_atomically(file, (json.dumps(stored) + "\n").encode()))
    return [(Item(**item), Example(tuple(e["ids"]), tuple(e["labels"]))) for item, e in stored]


def _rehearsal(network: Any, tokenizer: Any, name: str, question: str, context: int) -> tuple[Item, Example]:
    """The base's own greedy answer to a question."""
    import torch

    try:
        # Room for the answer too.
        prompt = encode_prompt(tokenizer, question, context=context - REHEARSED)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    ids = torch.tensor([prompt], device=network.device)
    with torch.no_grad():
        out = network.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=REHEARSED, do_sample=False, pad_token_id=0
        )
    answer = tuple(out[0, len(prompt) :].tolist())
    item = Item(name, decode(tokenizer, strip_end(tokenizer, answer)), question)
    return item, Example(prompt + answer, (IGNORED,) * len(prompt) + answer)


def _prepare(network: Any) -> None:
    """A base in 4 bits made ready for training: norms in fp32, activations computed again instead of kept."""
    from peft import prepare_model_for_kbit_training

    with quiet():
        prepare_model_for_kbit_training(network, gradient_checkpointing_kwargs={"use_reentrant": False})


def _arguments(options: TuneOptions, folder: Path, device: str) -> Any:
    import torch
    from transformers import TrainingArguments

    cuda = torch.cuda.is_available()
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r}: tuning runs on cpu or cuda; use one of auto, cpu, cuda")
    if device == "cuda" and not cuda:
        raise InputError("device 'cuda': this PyTorch sees no GPU; use --device cpu or install a CUDA build of torch")
    use_cpu = device == "cpu" or not cuda
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch,
        learning_rate=options.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=options.warmup,
        weight_decay=0.0,
        bf16=options.bf16 and (use_cpu or torch.cuda.is_bf16_supported()),
        use_cpu=use_cpu,
        seed=options.seed,
        data_seed=options.seed,
        train_sampling_strategy="group_by_length",
        save_strategy="no",
        logging_strategy="epoch",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    # One process uses one GPU: the Trainer would spread each batch over all that it sees.
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


@dataclass(eq=False)
class _Seen:
    """What one process saw in each step so far."""

    steps: list[tuple[int, ...]] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


@dataclass(eq=False)
class _Journal:
    """What the Trainer does not keep, stored beside each of its saves."""

    folder: Path | None
    """The save it was read from; None for a run from the start."""
    processes: list[_Seen]
    """Of every process as it was read; in a running process only its own grows."""
    order: str | None = None
    """State of torch's generator from which the current epoch's order was drawn, base64."""
    replay: bool = False
    """Whether the order is to be drawn from that state again."""


def _newest(trainer: Path) -> _Journal | None:
    """The last complete save: its journal is written last."""
    files = sorted(trainer.glob("checkpoint-*/journal.json"), key=lambda file: int(file.parent.name.split("-")[1]))
    if not files:
        return None
    try:
        content = json.loads(files[-1].read_text("utf-8"))
        processes = [
            _Seen([tuple(step) for step in one["steps"]], one["learning_rates"], one["losses"])
            for one in content["processes"]
        ]
        return _Journal(files[-1].parent, processes, content["order"], content["replay"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{files[-1]}: damaged ({error}); delete {trainer.parent} and start again") from error


def _save_journal(journal: _Journal, folder: Path, within_epoch: bool) -> None:
    """Called in every process; process 0 writes, then removes older saves."""
    rank, _ = _place()
    processes = _all_processes(journal.processes[rank])
    if rank == 0:
        content = {"processes": [asdict(one) for one in processes], "order": journal.order, "replay": within_epoch}
        write_atomically(folder / "journal.json", (json.dumps(content) + "\n").encode())
        for other in folder.parent.glob("checkpoint-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)


def _trainer(journal: _Journal, folder: Path | None, **arguments: Any) -> Any:
    """A Trainer that notes what each step saw, and draws an interrupted epoch's order again."""
    import torch
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file, save_file
    from torch.utils.data import Sampler
    from transformers import Trainer

    class Order(Sampler[int]):
        """The Trainer's own order, the same in all processes."""

        def __init__(self, drawn: Any) -> None:
            self.drawn = drawn

        def __len__(self) -> int:
            return len(self.drawn)

        def __iter__(self) -> Iterator[int]:
            # Dropout moves the generators of the processes apart on a CPU.
            state = _agreed(lambda: base64.b64encode(bytes(torch.get_rng_state().tolist())).decode())
            if journal.replay and journal.order is not None:
                state, journal.replay = journal.order, False
            journal.order = state
            torch.set_rng_state(torch.tensor(list(base64.b64decode(state)), dtype=torch.uint8))
            yield from self.drawn

    class Recording(Trainer):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
            seen = journal.processes[self.args.process_index]
            seen.steps.append(tuple(inputs.pop("number").tolist()))
            seen.learning_rates.append(float(self.lr_scheduler.get_last_lr()[0]))
            loss = super().training_step(model, inputs, num_items_in_batch)
            seen.losses.append(float(loss))
            if not math.isfinite(seen.losses[-1]):
                raise InputError(_diverged(f"the loss of step {len(seen.steps)} is {seen.losses[-1]}", folder))
            return loss

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return Order(super()._get_train_sampler(train_dataset))

        # Adapters alone and in fp32; peft's own way would ask the hub whether the vocabulary grew.
        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            if self.args.should_save and output_dir is not None:
                Path(output_dir).mkdir(parents=True, exist_ok=True)
                state = get_peft_model_state_dict(self.model, save_embedding_layers=False)
                contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
                save_file(contiguous, Path(output_dir) / "adapter_model.safetensors", metadata={"format": "pt"})

        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
            set_peft_model_state_dict(self.model, load_file(Path(resume_from_checkpoint) / "adapter_model.safetensors"))

    return Recording(**arguments)


def _diverged(what: str, folder: Path | None) -> str:
    mend = f", delete {folder}" if folder is not None else ""
    return f"tune: {what}; lower the learning rate{mend} and start again"


def _collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Right padding; the attention mask, never a token id, says what is padding."""
    import torch

    width = max(len(row["input_ids"]) for row in rows)

    def padded(key: str, fill: int) -> Any:
        return torch.tensor([[*row[key], *[fill] * (width - len(row[key]))] for row in rows])

    mask = [[1] * len(row["input_ids"]) + [0] * (width - len(row["input_ids"])) for row in rows]
    return {
        "input_ids": padded("input_ids", 0),
        "labels": padded("labels", IGNORED),
        "attention_mask": torch.tensor(mask),
        "number": torch.tensor([row["number"] for row in rows]),
    }


def _checkpointer(
    model: Any,
    journal: _Journal,
    folder: Path | None,
    options: TuneOptions,
    save_every: int | None,
    progress: Progress | None,
) -> Any:
    from transformers import TrainerCallback

    class Checkpointer(TrainerCallback):  # type: ignore[misc]
        """Saves the adapter after the chosen shares of all steps, the last excepted (it is the result)."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if progress is not None and state.global_step:
                progress(f"going on after step {state.global_step}", state.global_step, state.max_steps)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if progress is not None:
                progress("tuning", state.global_step, state.max_steps)
            for number, step in enumerate(checkpoint_steps(options, state.max_steps)[:-1], 1):
                if folder is not None and state.global_step == step:
                    _save_adapter(model, folder / "checkpoints" / str(number))
            if save_every is not None and state.global_step % save_every == 0:
                control.should_save = True

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            within = state.global_step % (state.max_steps // options.epochs) != 0
            _save_journal(journal, Path(args.output_dir) / f"checkpoint-{state.global_step}", within)

    return Checkpointer()


def _save_adapter(model: Any, folder: Path) -> None:
    """Adapter weights in bf16 and their configuration."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {
        k: v.detach().to("cpu", torch.bfloat16).contiguous()
        for k, v in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = copy.copy(model.peft_config["default"])
    config.inference_mode = True
    # A set would be written in another order by every process.
    config.target_modules = sorted(config.target_modules)
    config.save_pretrained(str(folder))


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{file.parent}: no {file.name}, so what was learned when is unknown; tune with attrib tune"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{file}: cannot be read ({error}); tune again") from error


def _item(row: Any) -> Item:
    if not isinstance(row, dict):
        raise TypeError("not an object")
    optional = [row.get(name) for name in ("question", "section")]
    if not all(isinstance(row.get(name), str) for name in ("id", "text")):
        raise TypeError("id or text is no text")
    if not all(value is None or isinstance(value, str) for value in optional):
        raise TypeError("question or section is no text")
    return Item(**row)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} is no whole number")
    return value


def _real(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _check_schedule(schedule: Schedule) -> None:
    steps = len(schedule.steps)
    if len(schedule.learning_rates) != steps or len(schedule.losses) not in (0, steps):
        raise ValueError(f"{steps} steps, {len(schedule.learning_rates)} learning rates, {len(schedule.losses)} losses")
    ends = schedule.checkpoints
    if not ends or ends[-1] != steps or ends[0] < 1 or any(a > b for a, b in pairwise(ends)):
        raise ValueError(f"checkpoints {ends} of {steps} steps")
