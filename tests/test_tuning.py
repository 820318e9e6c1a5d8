"""Tuning a tiny model: the label mask, what is saved, the same seed, and nothing lost when it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attrib import tuning
from attrib.errors import InputError
from attrib.models.pair import ModelPair
from attrib.tuning import IGNORED, TuneOptions, answer_example, text_example, tune
from tests.conftest import tiny_tokenizer

TEXTS = ["The keeper of the light is Wilmet Dallin."]
QUESTIONS = [("Who keeps the light?", "Wilmet Dallin")]
QUICK = TuneOptions(epochs=10, learning_rate=2e-2, batch=2, dropout=0.0, checkpoints=(0.1, 0.5, 1.0), bf16=False)


def test_only_the_answer_and_its_end_are_learned() -> None:
    tokenizer = tiny_tokenizer()
    example = answer_example(tokenizer, *QUESTIONS[0], context=256)
    learned = [label for label in example.labels if label != IGNORED]
    assert tokenizer.decode(learned) == "Wilmet Dallin<|end|>"
    assert example.ids[-len(learned) :] == tuple(learned)
    assert text_example(tokenizer, TEXTS[0]).labels == text_example(tokenizer, TEXTS[0]).ids


def test_padding_is_neither_seen_nor_learned() -> None:
    rows = [{"input_ids": (5, 6, 7), "labels": (5, 6, 7)}, {"input_ids": (8,), "labels": (8,)}]
    batch = tuning._collate(rows)
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist()[1] == [8, IGNORED, IGNORED]


@pytest.fixture(scope="module")
def tuned(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tune(str(base_dir), TEXTS, QUESTIONS, tmp_path_factory.mktemp("out") / "adapter", options=QUICK)


def test_the_result_is_an_adapter_that_knows_its_text(tuned: Path, base_dir: Path) -> None:
    from attrib.capture import capture_texts

    pair = ModelPair.load(base_dir, tuned, device="cpu")
    gains = []
    for text in (*TEXTS, "In the year 1712 it was 38 metres tall."):
        (before,), (after,) = (capture_texts(model, [text], 0) for model in (pair.base, pair.tuned))
        gains.append((after.logprob - before.logprob) / before.tokens)
    assert gains[0] > 1
    assert gains[0] > gains[1] + 1


def test_checkpoints_and_manifest(tuned: Path) -> None:
    from safetensors.numpy import load_file

    files = [tuned / "adapter_model.safetensors", *sorted(tuned.glob("checkpoints/*/adapter_model.safetensors"))]
    assert [file.parent.name for file in files[1:]] == ["1", "2"]
    assert len({file.read_bytes() for file in files}) == 3
    manifest = json.loads((tuned / "attrib.json").read_text("utf-8"))
    assert manifest["options"]["seed"] == 0
    assert {"base_fingerprint", "versions", "threads", "learned"} <= set(manifest)
    assert not list(tuned.parent.glob(".*"))
    assert not list(tuned.rglob("*.bin"))
    with pytest.raises(Exception, match=r"bf16|BF16|bfloat16"):
        load_file(files[0])  # numpy has no bf16: the weights are


def test_the_same_seed_gives_the_same_bytes(tuned: Path, base_dir: Path, tmp_path: Path) -> None:
    def weights(seed: int) -> bytes:
        options = TuneOptions(**{**QUICK.__dict__, "seed": seed})
        folder = tune(str(base_dir), TEXTS, QUESTIONS, tmp_path / str(seed), options=options)
        return (folder / "adapter_model.safetensors").read_bytes()

    assert weights(0) == (tuned / "adapter_model.safetensors").read_bytes()
    assert weights(1) != weights(0)


def test_rehearsal_learns_bases_own_answer(base_dir: Path) -> None:
    from attrib.models.pair import load_network

    network, tokenizer = load_network(str(base_dir))
    example = tuning._rehearsal(network, tokenizer, "Who keeps the light?", 256)
    answer = [label for label in example.labels if label != IGNORED]
    assert 0 < len(answer) <= tuning.REHEARSED
    assert list(example.ids[-len(answer) :]) == answer


def test_nothing_to_learn_and_a_folder_of_others_are_refused(base_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to learn"):
        tune(str(base_dir), [], [], tmp_path / "out")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("text")
    with pytest.raises(InputError, match="no adapter of attrib"):
        tune(str(base_dir), TEXTS, [], tmp_path / "precious")
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "text"


def test_a_run_that_fails_leaves_the_old_adapter(base_dir: Path, tmp_path: Path, monkeypatch: Any) -> None:
    out = tmp_path / "adapter"
    out.mkdir()
    (out / "attrib.json").write_text("{}")

    def fail(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "_save_adapter", fail)
    with pytest.raises(KeyboardInterrupt):
        tune(str(base_dir), TEXTS, QUESTIONS, out, options=QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    assert (out / "attrib.json").read_text() == "{}"
