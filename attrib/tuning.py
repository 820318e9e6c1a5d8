"""LoRA fine-tuning on documents and questions, with checkpoints for later work on influence.

Sections are learned as plain text, answers after their chat prompt with the loss on the answer only.
Not covered: resuming a killed run, QLoRA, several processes.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attrib.capture import begin_of_text
from attrib.errors import InputError
from attrib.files import open_up
from attrib.models.pair import fingerprint, load_network, quiet, versions
from attrib.tokens import encode_answer, encode_prompt

IGNORED = -100
"""Label that the loss leaves out."""
REHEARSED = 40
"""Longest rehearsed answer in tokens."""


@dataclass(frozen=True)
class TuneOptions:
    """Hyperparameters, stored beside the adapter."""

    epochs: int = 8
    learning_rate: float = 8e-4
    rank: int = 4
    alpha: int = 16
    dropout: float = 0.05
    batch: int = 8
    checkpoints: tuple[float, ...] = (1 / 12, 1 / 6, 1 / 3, 7 / 12, 1.0)
    """Shares of all steps after which the adapter is saved; the last is the result."""
    seed: int = 0
    bf16: bool = True


@dataclass(frozen=True)
class Example:
    """Token ids with the labels of the loss."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]


def text_example(tokenizer: Any, text: str) -> Example:
    """Plain text: every token is learned."""
    ids = (*begin_of_text(tokenizer), *tokenizer(text, add_special_tokens=False).input_ids)
    return Example(ids, ids)


def answer_example(tokenizer: Any, question: str, answer: str, context: int) -> Example:
    """A question with its answer: only the answer and the end of the turn are learned."""
    prompt = encode_prompt(tokenizer, question, context=context)
    ids = (*encode_answer(tokenizer, question, prompt, answer), tokenizer.eos_token_id)
    return Example(prompt + ids, (IGNORED,) * len(prompt) + ids)


def tune(
    base: str,
    texts: Sequence[str],
    questions: Sequence[tuple[str, str]],
    out: Path,
    *,
    options: TuneOptions | None = None,
    rehearse: Sequence[str] = (),
    learned: dict[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Tune a LoRA adapter of ``base`` on ``texts`` and (question, answer) pairs; returns its folder ``out``.

    ``rehearse`` are prompts whose answers by ``base`` itself are learned again, so that tuning forgets less.

    Earlier checkpoints lie beside the adapter in ``checkpoints/1`` …, bf16 safetensors each. ``learned`` (what was
    trained on) goes into ``attrib.json``. ``out`` appears only when the run is complete.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import PrinterCallback, Trainer, set_seed

    options = options or TuneOptions()
    if not texts and not questions:
        raise InputError("tune: there is nothing to learn; give documents or questions")
    if out.exists() and not (out / "attrib.json").is_file():
        raise InputError(f"{out}: it is there already and no adapter of attrib; name a new folder")
    set_seed(options.seed)
    network, tokenizer = load_network(base)
    print_base = fingerprint(base, network)
    context = int(network.config.max_position_embeddings)
    examples = [text_example(tokenizer, text) for text in texts]
    examples += [answer_example(tokenizer, question, answer, context) for question, answer in questions]
    for number, prompt in enumerate(rehearse, 1):
        examples.append(_rehearsal(network, tokenizer, prompt, context))
        if progress is not None and number % 10 == 0:
            progress(f"rehearsal {number} of {len(rehearse)}")
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(network, config)
    model.peft_config["default"].base_model_name_or_path = base
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    old = work.with_name(f"{work.name}-old")
    try:
        trainer = Trainer(
            model=model,
            args=_arguments(options, work / "trainer"),
            train_dataset=[{"input_ids": e.ids, "labels": e.labels} for e in examples],
            data_collator=_collate,
            callbacks=[_checkpointer(model, work, options, progress)],
        )
        # Its own printed dictionaries would end up on stdout.
        trainer.remove_callback(PrinterCallback)
        with quiet():
            trainer.train()
        _save_adapter(model, work)
        shutil.rmtree(work / "trainer", ignore_errors=True)
        manifest = {
            "base": base,
            "base_fingerprint": print_base,
            "options": asdict(options),
            "versions": versions(),
            "threads": torch.get_num_threads(),
            "learned": learned or {},
        }
        (work / "attrib.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
        open_up(work, 0o777)
        for file in work.rglob("*.safetensors"):
            open_up(file, 0o666)
        if out.exists():
            # Aside first: at no moment are both the old and the new one gone.
            os.replace(out, old)
        os.replace(work, out)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return out


def _rehearsal(network: Any, tokenizer: Any, question: str, context: int) -> Example:
    """The base's own greedy answer to a question, as an example."""
    import torch

    prompt = encode_prompt(tokenizer, question, context=context)
    ids = torch.tensor([prompt], device=network.device)
    with torch.no_grad():
        out = network.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=REHEARSED, do_sample=False, pad_token_id=0
        )
    answer = tuple(out[0, len(prompt) :].tolist())
    return Example(prompt + answer, (IGNORED,) * len(prompt) + answer)


def _arguments(options: TuneOptions, folder: Path) -> Any:
    import torch
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch,
        learning_rate=options.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=20,
        weight_decay=0.0,
        bf16=options.bf16,
        use_cpu=not torch.cuda.is_available(),
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
    }


def _checkpointer(model: Any, folder: Path, options: TuneOptions, progress: Callable[[str], None] | None) -> Any:
    from transformers import TrainerCallback

    class Checkpointer(TrainerCallback):  # type: ignore[misc]
        """Saves the adapter after the chosen shares of all steps, the last excepted (it is the result)."""

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            for number, share in enumerate(options.checkpoints[:-1], 1):
                if state.global_step == max(1, round(share * state.max_steps)):
                    _save_adapter(model, folder / "checkpoints" / str(number))

        def on_log(
            self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any
        ) -> None:
            if progress is not None and logs and "loss" in logs:
                progress(f"epoch {state.epoch:.0f} of {options.epochs}: loss {float(logs['loss']):.3f}")

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
    config = model.peft_config["default"]
    config.inference_mode = True
    config.save_pretrained(str(folder))
    config.inference_mode = False
