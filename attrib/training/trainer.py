"""Training examples → a trained adapter, with the Trainer of transformers.

Not covered: where the result is kept (``workfolder``), gradient accumulation, models sharded over GPUs, Apple GPUs
(tuning runs on their CPU).
"""

from __future__ import annotations

import base64
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from attrib import processes
from attrib.errors import InputError
from attrib.models.quiet import quiet
from attrib.progress import Progress
from attrib.training.items import IGNORED, TrainingExample
from attrib.training.options import TuneOptions
from attrib.training.recorder import Recorder, TrainedStep, save_adapter
from attrib.training.schedule import checkpoint_steps


@dataclass(frozen=True, eq=False)
class TrainedAdapter:
    """A network with its trained adapter, and the steps that led there."""

    model: Any
    """The PeftModel."""
    steps: tuple[tuple[int, ...], ...]
    """Numbers of the examples that each step saw, in all processes."""
    learning_rates: tuple[float, ...]
    """Learning rate of each step."""
    losses: tuple[float, ...] = ()
    """Mean loss a learned token, nats, of each step."""


def fit(
    network: Any,
    examples: Sequence[TrainingExample],
    options: TuneOptions,
    *,
    base: str = "",
    folder: Path | None = None,
    save_every: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> TrainedAdapter:
    """Train a new adapter on ``network``, which is wrapped in place (``model.unload()`` of the result frees it again).

    ``folder``: where checkpoints are written; None keeps none. ``save_every``: steps between the saves from which a
    second call with the same ``folder`` resumes; None saves nothing, and starts anew.
    Raises InputError when the loss or the weights are no longer finite.
    """
    from transformers import PrinterCallback, set_seed

    with tempfile.TemporaryDirectory() as scratch:
        # First of all: the group of processes must stand.
        arguments = training_arguments(options, folder / "trainer" if folder is not None else Path(scratch), device)
        set_seed(options.seed)
        model = _with_adapter(network, options, base)
        checkpoints = folder / "checkpoints" if folder is not None and processes.is_first() else None
        if checkpoints is not None:
            save_adapter(model, checkpoints / "0")
        resumable = folder is not None and save_every is not None
        recorder = Recorder.resume(Path(arguments.output_dir)) if resumable else Recorder()
        rows = [{"input_ids": e.ids, "labels": e.labels, "number": i} for i, e in enumerate(examples)]
        trainer = _recording_trainer(recorder, folder)(
            model=model,
            args=arguments,
            train_dataset=rows,
            data_collator=collate,
            callbacks=[_checkpointer(model, recorder, checkpoints, options, save_every, progress)],
        )
        # Its own printed dictionaries would end up on stdout.
        trainer.remove_callback(PrinterCallback)
        with quiet():
            trainer.train(resume_from_checkpoint=str(recorder.resume_from) if recorder.resume_from else None)
    if not all(bool(p.isfinite().all()) for p in model.parameters() if p.requires_grad):
        raise InputError(_diverged("the adapter's weights are no longer finite", folder))
    return _trained(model, processes.gather(recorder.steps))


def _trained(model: Any, everyone: Sequence[Sequence[TrainedStep]]) -> TrainedAdapter:
    """The result from the steps of all processes."""
    together = list(zip(*everyone, strict=True))
    return TrainedAdapter(
        model,
        tuple(tuple(chain(*(one.examples for one in step))) for step in together),
        tuple(step[0].learning_rate for step in together),
        tuple(math.fsum(one.loss for one in step) / len(step) for step in together),
    )


def _with_adapter(network: Any, options: TuneOptions, base: str) -> Any:
    from peft import LoraConfig, get_peft_model

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


def _recording_trainer(recorder: Recorder, folder: Path | None) -> Any:
    """A subclass of Trainer that records what each step saw, and draws an interrupted epoch's order again."""
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
            state = processes.on_first(lambda: base64.b64encode(bytes(torch.get_rng_state().tolist())).decode())
            if recorder.replay and recorder.order is not None:
                state, recorder.replay = recorder.order, False
            recorder.order = state
            torch.set_rng_state(torch.tensor(list(base64.b64decode(state)), dtype=torch.uint8))
            yield from self.drawn

    class Recording(Trainer):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
            examples = tuple(inputs.pop("number").tolist())
            rate = float(self.lr_scheduler.get_last_lr()[0])
            loss = super().training_step(model, inputs, num_items_in_batch)
            recorder.steps.append(TrainedStep(examples, rate, float(loss)))
            if not math.isfinite(float(loss)):
                raise InputError(_diverged(f"the loss of step {len(recorder.steps)} is {float(loss)}", folder))
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

    return Recording


def _checkpointer(
    model: Any,
    recorder: Recorder,
    checkpoints: Path | None,
    options: TuneOptions,
    save_every: int | None,
    progress: Progress | None,
) -> Any:
    from transformers import TrainerCallback

    class Checkpointer(TrainerCallback):  # type: ignore[misc]
        """Saves the adapter after the chosen shares of all steps, the last excepted (it is the result)."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if progress is not None and state.global_step:
                progress(f"resuming after step {state.global_step}", state.global_step, state.max_steps)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if progress is not None:
                progress("tuning", state.global_step, state.max_steps)
            for number, step in enumerate(checkpoint_steps(options, state.max_steps)[:-1], 1):
                if checkpoints is not None and state.global_step == step:
                    save_adapter(model, checkpoints / str(number))
            if save_every is not None and state.global_step % save_every == 0:
                control.should_save = True

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            within_epoch = state.global_step % (state.max_steps // options.epochs) != 0
            recorder.save(Path(args.output_dir) / f"checkpoint-{state.global_step}", within_epoch=within_epoch)

    return Checkpointer()


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows of ids, labels and numbers as one batch, padded on the right; the mask, never a token id, marks padding."""
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


def _diverged(fault: str, folder: Path | None) -> str:
    mend = f", delete {folder}" if folder is not None else ""
    return f"tune: {fault}; lower the learning rate{mend} and start again"


def prepare_four_bit(network: Any) -> None:
    """Make a base in 4 bits ready for training: norms in fp32, activations computed again instead of kept."""
    from peft import prepare_model_for_kbit_training

    with quiet():
        prepare_model_for_kbit_training(network, gradient_checkpointing_kwargs={"use_reentrant": False})
