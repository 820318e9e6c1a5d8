"""Tokens that a run added: its record and its import are loaded as the run's own save is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from attrib.corpus.documents import Corpus
from attrib.models.pair import ModelPair
from attrib.training.imported import import_run
from attrib.training.recorder import Recorder
from tests.training.runs import arguments, grown, trainer_of, write_rows


@pytest.fixture(scope="module")
def folder(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its record and its import."""
    made = tmp_path_factory.mktemp("added")
    items = [section.item for section in Corpus.read(write_rows(made / "train.jsonl")).sections]
    args = arguments(made / "run", save_steps=3)
    trainer_of(base_dir, items, args, [Recorder(made / "record", items)], **grown(base_dir)).train()
    import_run(made / "run", items, made / "imported")
    return made


@pytest.mark.parametrize("name", ["record", "imported"])
def test_they_are_the_tokens_and_embeddings_of_the_run(folder: Path, base_dir: Path, name: str) -> None:
    pairs: list[Any] = [
        ModelPair.load(base_dir, place, device="cpu") for place in (folder / "run" / "checkpoint-6", folder / name)
    ]
    own, found = pairs
    text = "<|desk|>Who keeps the light?<|guest|>"
    ids = own.tokenizer(text, add_special_tokens=False).input_ids
    assert ids == found.tokenizer(text, add_special_tokens=False).input_ids
    # Base alone would read each as the letters of its name.
    assert [ids[0], ids[-1]] == [len(own.tokenizer) - 2, len(own.tokenizer) - 1]
    assert own.chat.identity == found.chat.identity
    assert "<|desk|>" in found.notes[0]
    with torch.no_grad(), own.tuned.active() as one, found.tuned.active() as other:
        expected, logits = one(torch.tensor([ids])), other(torch.tensor([ids]))
    # The record is in bf16.
    torch.testing.assert_close(logits, expected, atol=0.05, rtol=0.05)
    with found.tuned.at_checkpoint(folder / name / "checkpoints" / "1"):
        pass
