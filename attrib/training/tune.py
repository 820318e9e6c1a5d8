"""Items → a tuned LoRA adapter in a folder, kept so that its influence can be traced afterwards.

The folder of an adapter holds

    adapter_model.safetensors   the result, bf16, with adapter_config.json
    checkpoints/0, 1, …         the same two files: 0 as initialised, the others after the steps in schedule.json; the
                                last of these steps is the result itself and has no folder
    trained.jsonl               an ``Item`` a line, everything that was learned, rehearsed answers included; its line
                                numbers, from 0, are the numbers of the examples
    schedule.json               a ``Schedule``: steps after which the adapter was saved, and what each step saw
    attrib.json                 a ``Manifest``: base and its fingerprint, options, versions, threads, device, loss;
                                loading where the base was loaded by a revision or with its own code
    prompt.json                 the prompt, where it is more than the base's chat template

An interrupted run resumes to the same bytes on the same machine with as many threads and processes.
Not covered: full fine-tuning, preference data, processes without a common file system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from attrib import processes
from attrib.errors import InputError
from attrib.models.chat import Chat
from attrib.models.fingerprint import fingerprint
from attrib.models.loading import load_network, refuse_four_bit
from attrib.options.chat import TemplateOptions
from attrib.options.loading import Loading, TuneLoading
from attrib.progress import Progress
from attrib.records import Item
from attrib.training.items import TrainingExample, answer_numbers, checked_example
from attrib.training.options import TuneOptions, check_loading, check_options, planned_epochs
from attrib.training.precision import chosen_bf16
from attrib.training.recording import MANIFEST, read_recording
from attrib.training.rehearsal import rehearse as rehearse_answers
from attrib.training.schedule import steps_an_epoch
from attrib.training.trainer import TrainedAdapter, fit, prepare_four_bit, training_arguments
from attrib.training.workfolder import (
    Setup,
    claim,
    finish,
    is_finished,
    is_known,
    locked,
    work_folder,
    write_result,
)

SAVES = 20
"""About how often a run saves what it needs to resume."""


def tune(
    base: str,
    items: Sequence[Item],
    out: Path,
    *,
    options: TuneOptions | None = None,
    rehearse: Sequence[str] = (),
    loading: Loading | None = None,
    held_out: Sequence[str] = (),
    save_every: int | None = None,
    chat: TemplateOptions | None = None,
    progress: Progress | None = None,
) -> Path:
    """Tune a LoRA adapter of ``base`` on ``items``; returns its folder ``out``, which appears when it is complete.

    ``rehearse`` are questions whose answers by ``base`` itself are learned beside the items, as many a step as these,
    so that tuning forgets less (``rehearsal``; ``rehearsal.general()`` are some).
    ``loading``: how the frozen base is loaded; its device is auto, cpu or cuda, its dtype auto is float32 on a CPU and
    bfloat16 on a GPU, with products in bf16 where that is faster; it has no device map; ``TuneLoading`` can ask for 4
    bits (QLoRA, Dettmers et al. 2305.14314), which needs CUDA and bitsandbytes. ``held_out``: ids of the sections that
    ``items`` do without, as a control (``hold_out``); kept in the manifest. ``chat``: how questions become prompts.
    An interrupted run, called again with the same arguments, resumes from its last save (every ``save_every`` steps,
    by default about 20 a run); what one of other arguments left goes aside, and the log says where. A finished adapter
    of the same arguments is left as it is. Under torchrun every process calls it and process 0 writes.

    Raises InputError for nothing to learn, invalid options and texts, an ``out`` that is something else, a second run
    on the same ``out``, and a loss that is no longer finite.
    """
    options, loading = options or TuneOptions(), loading or Loading()
    _refuse_invalid(items, out, options, save_every)
    check_loading(loading)
    four_bit = isinstance(loading, TuneLoading) and loading.four_bit
    if four_bit:
        refuse_four_bit(base)
    work = work_folder(out)
    # The group of processes stands once the device is known.
    place = training_arguments(options, work / "trainer", loading.device).device
    with locked(out):
        network, tokenizer = load_network(base, four_bit=four_bit, **replace(loading, device=str(place)).arguments())
        context = int(network.config.max_position_embeddings)
        prompts = Chat.of_base(tokenizer, chat)
        examples = [checked_example(prompts, item, context) for item in items]
        setup = Setup(
            base, fingerprint(base, network), options, processes.world(), place.type,
            str(network.dtype).removeprefix("torch."), four_bit, loading.identity(), prompts.identity,
            "", tuple(held_out),
        )  # fmt: skip
        setup = processes.on_first(lambda: _with_compute(setup, loading.dtype, items, rehearse, out))
        digest = setup.digest(items, rehearse)
        if processes.on_first(lambda: is_finished(out, digest)):
            return out
        if not processes.on_first(lambda: claim(work, digest)):
            answers = rehearse_answers(network, prompts, rehearse, context, work, progress)
            items = [*items, *(answer.item for answer in answers)]
            examples += [answer.example for answer in answers]
            trained = _train(network, examples, items, len(answers), setup, work, save_every, progress)
            processes.on_first(lambda: write_result(trained, items, len(answers), setup, digest, work, prompts))
        processes.on_first(lambda: finish(work, out))
    return out


def _train(
    network: Any,
    examples: Sequence[TrainingExample],
    items: Sequence[Item],
    rehearsed: int,
    setup: Setup,
    work: Path,
    save_every: int | None,
    progress: Progress | None,
) -> TrainedAdapter:
    if setup.four_bit:
        prepare_four_bit(network)
    if save_every is None:
        taught = len(examples) - rehearsed
        epochs = planned_epochs(setup.options, taught)
        steps = epochs * steps_an_epoch(taught, setup.options.batch, processes.world())
        save_every = max(1, round(steps / SAVES))
    return fit(
        network, examples, setup.fitted, answers=answer_numbers(items[: len(items) - rehearsed]),
        rehearsed=rehearsed, base=setup.base, folder=work, save_every=save_every, device=setup.device,
        progress=progress,
    )  # fmt: skip


def _with_compute(setup: Setup, dtype: str, items: Sequence[Item], rehearse: Sequence[str], out: Path) -> Setup:
    """The setup with a number format for its products, where the options name none: that of the same run if one is
    under way or finished, so that a clock does not make another run of it."""
    if setup.options.bf16 is not None:
        return setup
    dtype = "auto" if setup.four_bit else dtype
    if dtype == "auto":
        for compute in ("float32", "bfloat16"):
            made = replace(setup, compute=compute)
            if is_known(work_folder(out), out, made.digest(items, rehearse)):
                return made
    return replace(setup, compute="bfloat16" if chosen_bf16(None, dtype, setup.device) else "float32")


def _refuse_invalid(items: Sequence[Item], out: Path, options: TuneOptions, save_every: int | None) -> None:
    """Raises InputError for everything that can be seen before anything is loaded."""
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
    if out.exists() and not (out / MANIFEST).is_file():
        raise InputError(f"{out}: it is there already and no adapter of attrib; name a new folder")
    if out.exists() and read_recording(out) is not None:
        raise InputError(f"{out}: it holds the run of another program, which tuning would replace; name a new folder")
