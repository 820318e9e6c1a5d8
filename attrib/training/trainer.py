"""Training examples → a trained adapter, with the Trainer of transformers.

Not covered: what is recorded on the way (``steps``), where the result is kept (``workfolder``), gradient accumulation,
models sharded over GPUs, Apple GPUs (tuning runs on their CPU).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attrib import processes
from attrib.errors import InputError
from attrib.models.quiet import quiet
from attrib.models.rendering import IGNORED
from attrib.progress import Progress
from attrib.training.items import TrainingExample
from attrib.training.options import TuneOptions, planned_epochs
from attrib.training.rehearsal import RehearsalSampler, base_tokens, collate_rehearsed, rehearsal_excess
from attrib.training.saves import last_whole, seal_save
from attrib.training.schedule import Schedule
from attrib.training.steps import StepRecorder, schedule_of, together
from attrib.training.stopping import stop_rule


@dataclass(frozen=True, eq=False)
class TrainedAdapter:
    """A network with its trained adapter, and the steps that led there."""

    model: Any
    """The PeftModel."""
    schedule: Schedule


def fit(
    network: Any,
    examples: Sequence[TrainingExample],
    options: TuneOptions,
    *,
    answers: Sequence[int] = (),
    rehearsed: int = 0,
    base: str = "",
    folder: Path | None = None,
    save_every: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> TrainedAdapter:
    """Train a new adapter on ``network``, which is wrapped in place (``model.unload()`` of the result frees it again).

    ``answers``: numbers of the examples that end a run without stated epochs once they are known (``stopping``);
    without them it goes on to the most epochs that are planned. ``rehearsed``: how many of the examples, the last ones,
    are base's own answers, learned beside the others (``rehearsal``). ``folder``: where checkpoints are written; None
    keeps none. ``save_every``: steps between the saves from which a second call with the same ``folder`` resumes; None
    saves nothing, and starts anew. Products are in float32 unless the options ask for bf16.
    Raises InputError when the loss or the weights are no longer finite.
    """
    import torch
    from transformers import PrinterCallback

    with tempfile.TemporaryDirectory() as scratch:
        work = folder if folder is not None else Path(scratch)
        # First of all: the group of processes must stand.
        taught = len(examples) - rehearsed
        epochs = planned_epochs(options, taught)
        arguments = training_arguments(
            replace(options, epochs=epochs, batch=options.batch * (2 if rehearsed else 1)), work / "trainer", device
        )
        rows = _rows(network, examples, taught)
        model = with_adapter(network, options, base)
        resumable = folder is not None and save_every is not None
        save = processes.on_first(lambda: last_whole(work)) if resumable else None
        stop = stop_rule([examples[i] for i in answers], options.batch) if options.epochs is None else None
        known = {i: (example,) for i, example in enumerate(examples)}
        recorder = StepRecorder(work, options.checkpoints, known, may_end=stop is not None)
        order = torch.Generator()
        trainer = _adapter_trainer(order, _sampler(examples[:taught], rehearsed, options.batch, order))(
            model=model,
            args=arguments,
            train_dataset=rows,
            data_collator=collate_rehearsed,
            callbacks=[recorder, _pace(recorder, order, options.seed, save_every, progress, stop)],
        )
        # Its own printed dictionaries would end up on stdout.
        trainer.remove_callback(PrinterCallback)
        with quiet():
            trainer.train(resume_from_checkpoint=str(save) if save else None)
        checkpoints = recorder.choose_checkpoints()
    if not all(bool(p.isfinite().all()) for p in model.parameters() if p.requires_grad):
        raise InputError(_diverged("the adapter's weights are no longer finite"))
    if recorder.watch.fault:
        raise InputError(f"tune: {recorder.watch.fault}; delete {work} and start again")
    steps = together(processes.gather(recorder.steps))
    return TrainedAdapter(model, schedule_of(steps, checkpoints))


def _rows(network: Any, examples: Sequence[TrainingExample], taught: int) -> list[dict[str, Any]]:
    """Data of the Trainer: of those after the taught ones also what ``network`` expects, which has no adapter yet."""
    rows: list[dict[str, Any]] = [{"input_ids": e.ids, "labels": e.labels} for e in examples]
    for row, expected in zip(rows[taught:], base_tokens(network, examples[taught:]), strict=True):
        row["base"] = expected
    return rows


def _sampler(taught: Sequence[TrainingExample], rehearsed: int, batch: int, order: Any) -> RehearsalSampler | None:
    return RehearsalSampler([len(one.ids) for one in taught], rehearsed, batch, order) if rehearsed else None


def with_adapter(network: Any, options: TuneOptions, base: str) -> Any:
    """``network`` with a new adapter, whose weights and all that is drawn afterwards follow from the options' seed."""
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

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
    return model


def training_arguments(options: TuneOptions, folder: Path, device: str) -> Any:
    """The Trainer's arguments. Under torchrun, asking for their device starts the group of processes."""
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
        num_train_epochs=options.epochs or 1,
        per_device_train_batch_size=options.batch,
        learning_rate=options.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=options.warmup,
        weight_decay=0.0,
        bf16=bool(options.bf16) and (use_cpu or torch.cuda.is_bf16_supported()),
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


def _adapter_trainer(order: Any, rehearsal: Any = None) -> Any:
    """A subclass of Trainer whose epochs are in the order that the generator ``order`` gives, with its sampler for
    ``rehearsal`` where there is one, and that saves adapters alone and in fp32: its own way would ask the hub whether
    the vocabulary grew, and writes no base from GGUF."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file, save_file
    from transformers import Trainer

    class AdapterTrainer(Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            if rehearsal is not None:
                return rehearsal
            sampler = super()._get_train_sampler(train_dataset)
            sampler.generator = order
            return sampler

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            inputs = dict(inputs)
            base = inputs.pop("base", None)
            loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
            if base is not None:
                counted = num_items_in_batch if self.model_accepts_loss_kwargs else None
                tokens = (inputs["labels"][:, 1:] != IGNORED).sum() if counted is None else counted
                share = 1 if counted is None else self.accelerator.num_processes
                loss = loss + rehearsal_excess(outputs["logits"], inputs["labels"], base) * share / tokens
            return (loss, outputs) if return_outputs else loss

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            if self.args.should_save and output_dir is not None:
                Path(output_dir).mkdir(parents=True, exist_ok=True)
                state = get_peft_model_state_dict(self.model, save_embedding_layers=False)
                contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
                save_file(contiguous, Path(output_dir) / "adapter_model.safetensors", metadata={"format": "pt"})

        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
            set_peft_model_state_dict(self.model, load_file(Path(resume_from_checkpoint) / "adapter_model.safetensors"))

    return AdapterTrainer


def _pace(
    recorder: Any,
    order: Any,
    seed: int,
    save_every: int | None,
    progress: Progress | None,
    stop: Callable[[Any], bool] | None,
) -> Any:
    from transformers import TrainerCallback

    class Pace(TrainerCallback):  # type: ignore[misc]
        """Draws the order of each epoch, reports progress, asks for saves, ends the run when ``stop`` says so at the
        end of an epoch, and stops one that diverges."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if progress is not None and state.global_step:
                progress(f"resuming after step {state.global_step}", state.global_step, state.max_steps)

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            # Of seed and epoch alone: an epoch that is resumed has the order that it had, in all processes.
            order.manual_seed((seed << 20) + int(state.epoch or 0))

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            loss = recorder.steps[-1].loss
            if not math.isfinite(loss):
                raise InputError(_diverged(f"the loss of step {state.global_step} is {loss}"))
            if progress is not None:
                progress("tuning", state.global_step, state.max_steps)
            ended = state.global_step % (state.max_steps // args.num_train_epochs) == 0
            if stop is not None and ended and not control.should_training_stop and stop(kwargs["model"]):
                # Not saved: a run that resumes comes here again, and ends again.
                control.should_training_stop = True
            elif save_every is not None and state.global_step % save_every == 0:
                control.should_save = True

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            save = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            seal_save(save, recorder.work)

    return Pace()


def _diverged(fault: str) -> str:
    return f"tune: {fault}; lower the learning rate and start again"


def prepare_four_bit(network: Any) -> None:
    """Make a base in 4 bits ready for training: norms in fp32, activations computed again instead of kept."""
    from peft import prepare_model_for_kbit_training

    with quiet():
        prepare_model_for_kbit_training(network, gradient_checkpointing_kwargs={"use_reentrant": False})
