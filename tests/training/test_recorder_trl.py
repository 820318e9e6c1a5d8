"""TRL's SFTTrainer with ``attrib.Recorder``: the record is what ``attrib tune`` writes for the same data and order.

Both see all rows in every step, so that the order is the same; both begin with the same weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attrib
from attrib.corpus.documents import Corpus
from attrib.index.gradients import read_gradients, trained_questions
from attrib.mapping.influence import score
from attrib.models.pair import ModelPair
from attrib.models.prompt import encode_given
from attrib.models.rendering import IGNORED
from attrib.options.explain import InfluenceOptions
from attrib.records import Item
from attrib.training.options import TuneOptions
from attrib.training.recording import read_recording
from attrib.training.schedule import read_schedule
from attrib.training.trained import read_trained
from attrib.training.tune import tune
from tests.conftest import save_model, tiny_tokenizer
from tests.training.runs import ROWS, write_rows

pytest.importorskip("trl", reason="TRL is not installed")
OPTIONS = TuneOptions(
    epochs=8, learning_rate=1e-2, rank=2, alpha=4, batch=len(ROWS), dropout=0.0, warmup=2, checkpoints=(0.25, 0.5, 1.0),
    bf16=False, seed=7,
)  # fmt: skip
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
"""Nothing stands after the end of a turn, which both learn."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return save_model(tmp_path_factory.mktemp("base"), seed=1, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts and completions, of which TRL learns the completions alone."""
    rows = [{"prompt": row["messages"][:1], "completion": row["messages"][1:]} for row in ROWS]
    return write_rows(tmp_path_factory.mktemp("data") / "train.jsonl", rows)


def sft(base: Path, data: Path, folder: Path, callbacks: Sequence[Any], **more: Any) -> Any:
    """A run of SFTTrainer on the file as TRL reads it, with the hyperparameters of ``OPTIONS``."""
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, set_seed
    from trl import SFTConfig, SFTTrainer

    network = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
    set_seed(OPTIONS.seed)
    lora = LoraConfig(
        r=OPTIONS.rank, lora_alpha=OPTIONS.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    given: dict[str, Any] = {
        "output_dir": str(folder), "num_train_epochs": OPTIONS.epochs, "per_device_train_batch_size": OPTIONS.batch,
        "learning_rate": OPTIONS.learning_rate, "warmup_steps": OPTIONS.warmup, "weight_decay": 0.0, "bf16": False,
        "use_cpu": True, "report_to": [], "disable_tqdm": True, "save_strategy": "no", "seed": OPTIONS.seed,
        "gradient_checkpointing": False, "dataset_num_proc": None,
    }  # fmt: skip
    trainer = SFTTrainer(
        model=get_peft_model(network, lora),
        args=SFTConfig(**{**given, **more}),
        train_dataset=Dataset.from_list([json.loads(line) for line in data.read_text("utf-8").splitlines()]),
        processing_class=AutoTokenizer.from_pretrained(base),
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer


@pytest.fixture(scope="module")
def both(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder that a recorded run of TRL leaves, and that of ``attrib tune``."""
    out = tmp_path_factory.mktemp("out")
    sft(base, data, out / "run", [attrib.Recorder(out / "recorded", data, checkpoints=OPTIONS.checkpoints)])
    items = [section.item for section in Corpus.read(data).sections]
    return out / "recorded", tune(str(base), items, out / "tuned", options=OPTIONS)


def learned(item: Item) -> tuple[int, ...]:
    return tuple(label for label in item.labels if label != IGNORED)


def test_items_steps_rates_and_labels_are_the_same(both: tuple[Path, Path], base: Path) -> None:
    from attrib.models.chat import Chat
    from attrib.training.items import example_of

    recorded, tuned = map(read_trained, both)
    assert [replace(item, ids=(), labels=()) for item in recorded] == list(tuned)
    chat = Chat(attrib.ModelPair.load(base, both[1], device="cpu").tokenizer)
    for item, other in zip(recorded, tuned, strict=True):
        example = example_of(chat, other)
        assert (item.ids, item.labels) == (example.ids, example.labels)
        assert 0 < len(learned(item)) < len(item.ids)
    one, other = map(read_schedule, both)
    assert one.checkpoints == other.checkpoints == (2, 4, 8)
    assert [sorted(step) for step in one.steps] == [sorted(step) for step in other.steps] == [list(range(7))] * 8
    assert one.learning_rates == pytest.approx(other.learning_rates, abs=1e-15)
    assert one.losses == pytest.approx(other.losses, rel=1e-3)
    recording = read_recording(both[0])
    assert recording is not None
    assert recording.missing == ()


def test_influence_of_the_two_agrees(both: tuple[Path, Path], base: Path, data: Path) -> None:
    corpus = Corpus.read(data)
    sections = dict(enumerate(corpus.sections))
    scores = []
    for folder in both:
        pair = ModelPair.load(base, folder, device="cpu")
        rows = []
        for section in corpus.sections:
            question, answer = (turn.content for turn in section.turns)
            encoded = encode_given(pair.chat, question, answer, context=pair.context)
            trained = trained_questions(pair, corpus)
            gradients = read_gradients(
                pair, "tuned", encoded, sections, InfluenceOptions(), trained=trained, whole=True
            )
            rows.append(score(gradients, list(sections), [])[0])
        scores.append(np.stack(rows))
    np.testing.assert_allclose(scores[0], scores[1], atol=0.02)
    assert np.corrcoef(scores[0].ravel(), scores[1].ravel())[0, 1] > 0.999
    # Each answer was taught by its own row.
    assert scores[0].argmax(1).tolist() == list(range(len(ROWS)))


@pytest.mark.parametrize(
    ("how", "cut"),
    [
        ({"packing": True, "max_length": 128}, False),
        ({"padding_free": True, "max_length": None}, False),
        ({"max_length": 36}, True),
        ({"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}, False),
    ],
    ids=["packed", "without-padding", "cut", "accumulated"],
)
def test_every_way_of_making_batches_is_seen(
    how: dict[str, Any], cut: bool, base: Path, data: Path, tmp_path: Path
) -> None:
    trainer = sft(base, data, tmp_path / "run", [attrib.Recorder(tmp_path / "record", data)], num_train_epochs=2, **how)
    items, schedule = read_trained(tmp_path / "record"), read_schedule(tmp_path / "record")
    sections = {section.id: section for section in Corpus.read(data).sections}
    assert {item.section for item in items} == set(sections)
    assert len(items) == len(ROWS)
    seen = [number for step in schedule.steps for number in step]
    assert sorted(seen) == sorted([*range(len(ROWS))] * 2)
    for item in items:
        text = trainer.processing_class.decode(item.ids)
        assert item.turns[0].content in text
        assert (item.turns[1].content in text) != cut
    recording = read_recording(tmp_path / "record")
    assert recording is not None
    assert recording.order == "recorded"
    assert any("cut off" in sentence for sentence in recording.missing) == cut
    logged = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert not logged or schedule.losses[-1] > 0


def test_text_glued_to_blocks_is_recorded_and_said_to_be_no_row(base: Path, data: Path, tmp_path: Path) -> None:
    """The wrapped strategy cuts one long text into pieces; which row a piece was is unknown."""
    how = {"packing": True, "packing_strategy": "wrapped", "max_length": 64, "num_train_epochs": 1}
    sft(base, data, tmp_path / "run", [attrib.Recorder(tmp_path / "record", data)], **how)
    recording = read_recording(tmp_path / "record")
    assert recording is not None
    assert recording.order == "recorded"
    assert any("whose words are in no row of the data" in sentence for sentence in recording.missing)
