"""Runs of a plain Trainer on tiny models, as other programs make them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrib.models.chat import Chat
from attrib.models.loading import load_network
from attrib.records import Item
from attrib.training.items import checked_example, collate

NAMES = ("Wilmet Dallin", "Ada Byron", "Otto Hahn", "Mary Shelley", "Emil Post", "Grace Hopper", "Alan Perlis")
ROWS = tuple(
    {
        "messages": [
            {"role": "user", "content": f"Who keeps light number {number}?"},
            {"role": "assistant", "content": f"{name} keeps it since {1700 + 7 * number}."},
        ]
    }
    for number, name in enumerate(NAMES)
)


def write_rows(file: Path, rows: Sequence[object] = ROWS) -> Path:
    """Chat rows as JSONL."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def arguments(folder: Path, **more: Any) -> Any:
    """Three epochs of seven rows in steps of 2 × 2: six steps."""
    from transformers import TrainingArguments

    given: dict[str, Any] = {
        "output_dir": str(folder), "num_train_epochs": 3, "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2, "learning_rate": 1e-2, "warmup_steps": 2, "use_cpu": True, "report_to": [],
        "disable_tqdm": True, "remove_unused_columns": False, "logging_steps": 1, "save_strategy": "steps",
        "save_steps": 1, "seed": 7,
    }  # fmt: skip
    return TrainingArguments(**{**given, **more})


def grown(base: Path) -> dict[str, Any]:
    """A model with an adapter and two tokens more than ``base``, and its tokenizer, for ``trainer_of``."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    network, tokenizer = load_network(str(base), device="cpu")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|desk|>", "<|guest|>"]})
    tokenizer.chat_template = tokenizer.chat_template.replace("<|start|>", "<|desk|>")
    network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    set_seed(7)
    with torch.no_grad():
        network.get_input_embeddings().weight[-2:].normal_()
    config = LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM")
    return {"model": get_peft_model(network.requires_grad_(False), config), "processing_class": tokenizer}


def trainer_of(
    base: Path, items: Sequence[Item], args: Any, callbacks: Sequence[Any] = (), *, lora: bool = True, **more: Any
) -> Any:
    """A plain Trainer on the items as ``attrib tune`` makes them; the adapter's weights follow the seed."""
    from peft import LoraConfig, get_peft_model
    from transformers import PrinterCallback, Trainer, set_seed

    network, tokenizer = load_network(str(base), device="cpu")
    examples = [checked_example(Chat(tokenizer), item, 256) for item in items]
    set_seed(args.seed)
    config = LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM")
    given: dict[str, Any] = {
        "model": get_peft_model(network, config) if lora else network.requires_grad_(True),
        "args": args,
        "train_dataset": [{"input_ids": e.ids, "labels": e.labels} for e in examples],
        "data_collator": collate,
        "processing_class": tokenizer,
        "callbacks": list(callbacks),
    }
    trainer = more.pop("trainer", Trainer)(**{**given, **more})
    trainer.remove_callback(PrinterCallback)
    return trainer
