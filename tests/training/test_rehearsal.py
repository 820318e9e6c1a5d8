"""Rehearsed answers: base's own, learned beside the taught items so that tuned stays what base was elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.models.chat import Chat
from attrib.models.loading import load_network
from attrib.models.rendering import IGNORED
from attrib.records import Item
from attrib.training import rehearsal, trainer
from attrib.training.items import TrainingExample, example_of
from attrib.training.options import TuneOptions
from attrib.training.rehearsal import RehearsalSampler, base_tokens, collate_rehearsed, rehearsal_excess, rehearsed
from attrib.training.schedule import read_schedule
from attrib.training.tune import tune
from attrib.training.workfolder import read_manifest

QUESTIONS = ("Who keeps the light?", "How long?", "In which year was the lighthouse built of which you told me?")
NAMED = [(f"rehearsal-{number}", question) for number, question in enumerate(QUESTIONS, 1)]
TAUGHT = Item.answered("q:1", "How tall is it?", "38 metres, as all know.")


def answers_of(base_dir: Path) -> tuple[Any, list[TrainingExample]]:
    network, tokenizer = load_network(str(base_dir), device="cpu")
    return network, [one.example for one in rehearsed(network, Chat(tokenizer), NAMED, 256)]


def rows_of(examples: list[TrainingExample], expected: list[Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"input_ids": e.ids, "labels": e.labels} for e in examples]
    for row, one in zip(rows, expected, strict=True):
        if one is not None:
            row["base"] = one
    return rows


def test_answers_of_a_batch_are_those_of_each_question_alone(base_dir: Path) -> None:
    network, tokenizer = load_network(str(base_dir), device="cpu")
    together = rehearsed(network, Chat(tokenizer), NAMED, 256)
    alone = [rehearsed(network, Chat(tokenizer), [one], 256)[0] for one in NAMED]
    assert together == alone
    assert [one.item.id for one in together] == ["rehearsal-1", "rehearsal-2", "rehearsal-3"]


def test_an_answer_ends_with_its_end_marker(base_dir: Path, monkeypatch: Any) -> None:
    network, tokenizer = load_network(str(base_dir), device="cpu")
    whole = rehearsed(network, Chat(tokenizer), NAMED[:1], 256)[0].example
    said = [label for label in whole.labels if label != IGNORED]
    network.generation_config.eos_token_id = [said[2], 1]
    cut = rehearsed(network, Chat(tokenizer), NAMED, 256)[0].example
    assert [label for label in cut.labels if label != IGNORED] == said[: said.index(said[2]) + 1]


def test_the_loss_of_rehearsed_tokens_is_the_divergence_from_base(base_dir: Path, monkeypatch: Any) -> None:
    import torch

    network, answers = answers_of(base_dir)
    monkeypatch.setattr(rehearsal, "TOP", network.config.vocab_size)
    _, tokenizer = load_network(str(base_dir), device="cpu")
    taught = example_of(Chat(tokenizer), TAUGHT)
    batch = collate_rehearsed(rows_of([taught, *answers], [None, *base_tokens(network, answers)]))
    base = batch.pop("base")
    labels = batch["labels"]
    with torch.no_grad():
        before = network(**batch).logits
        torch.manual_seed(0)
        for weights in network.parameters():
            weights.add_(0.02 * torch.randn_like(weights))
        after = network(**batch).logits
    places = (labels[1:, 1:] != IGNORED).flatten()
    p, q = (logits[1:, :-1].reshape(-1, logits.shape[-1])[places].log_softmax(-1) for logits in (before, after))
    nll = -q.gather(1, labels[1:, 1:].flatten()[places][:, None]).sum()
    wanted = (p.exp() * (p - q)).sum()
    assert wanted > 0.1
    assert float(rehearsal_excess(after, labels, base) + nll) == pytest.approx(float(wanted), rel=1e-3)
    # Tuned as base was: nothing to learn.
    untuned = -p.gather(1, labels[1:, 1:].flatten()[places][:, None]).sum()
    assert float(rehearsal_excess(before, labels, base) + untuned) == pytest.approx(0, abs=1e-3)


def test_tokens_beyond_the_first_count_as_one(base_dir: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rehearsal, "TOP", 3)
    network, answers = answers_of(base_dir)
    expected = base_tokens(network, answers)
    learned = [sum(label != IGNORED for label in e.labels) for e in answers]
    assert [tuple(one.ids.shape) for one in expected] == [(count, 3) for count in learned]
    batch = collate_rehearsed(rows_of(answers, expected))
    base = batch.pop("base")
    logits = network(**batch).logits
    places = batch["labels"][:, 1:] != IGNORED
    nll = -logits[:, :-1][places].log_softmax(-1).gather(1, batch["labels"][:, 1:][places][:, None]).sum()
    assert float(rehearsal_excess(logits, batch["labels"], base) + nll) == pytest.approx(0, abs=1e-3)


def test_each_batch_has_taught_rows_and_as_many_rehearsed_ones() -> None:
    import torch

    generator = torch.Generator().manual_seed(0)
    sampler = RehearsalSampler([5, 9, 7, 3, 8], 6, 2, generator)
    epochs = [list(sampler) for _ in range(2)]
    assert len(sampler) == 12
    for order in epochs:
        batches = [order[start : start + 4] for start in range(0, 12, 4)]
        assert sorted(number for number in order if number < 5) == [0, 1, 2, 3, 4]
        assert [sum(number >= 5 for number in batch) for batch in batches] == [2, 2, 3]
        drawn = [number for number in order if number >= 5]
        assert sorted(drawn[:6]) == [5, 6, 7, 8, 9, 10]
    assert epochs[0] != epochs[1]
    generator.manual_seed(0)
    assert list(sampler) == epochs[0]


def divergence(model: Any, examples: list[TrainingExample], expected: list[Any]) -> float:
    import torch

    batch = collate_rehearsed(rows_of(examples, expected))
    base = batch.pop("base")
    labels = batch["labels"]
    model.eval()
    with torch.no_grad():
        logits = model(**batch).logits
    places = labels[:, 1:] != IGNORED
    nll = -logits[:, :-1][places].log_softmax(-1).gather(1, labels[:, 1:][places][:, None]).sum()
    return float(rehearsal_excess(logits, labels, base) + nll) / int(places.sum())


def test_rehearsal_keeps_tuned_near_base(base_dir: Path) -> None:
    options = TuneOptions(epochs=12, learning_rate=2e-2, batch=1, dropout=0.0, warmup=1, checkpoints=(1.0,))
    _, tokenizer = load_network(str(base_dir), device="cpu")
    taught = [example_of(Chat(tokenizer), TAUGHT)]
    away, losses = [], []
    for count in (0, 3):
        network, answers = answers_of(base_dir)
        expected = base_tokens(network, answers)
        fitted = trainer.fit(network, [*taught, *answers[:count]], options, rehearsed=count, device="cpu")
        assert [sum(n == 0 for n in step) for step in fitted.schedule.steps] == [1] * 12
        assert [len(step) for step in fitted.schedule.steps] == [2 if count else 1] * 12
        away.append(divergence(fitted.model, answers, expected))
        losses.append(trained_loss(fitted.model, taught[0]))
    assert away[1] < away[0] / 2
    assert max(losses) < 4


def trained_loss(model: Any, example: TrainingExample) -> float:
    import torch

    with torch.no_grad():
        return float(model(torch.tensor([example.ids]), labels=torch.tensor([example.labels])).loss)


def test_an_adapter_says_what_it_rehearsed_and_counts_epochs_by_what_it_was_taught(
    base_dir: Path, tmp_path: Path
) -> None:
    options = TuneOptions(epochs=3, learning_rate=1e-2, batch=1, warmup=1, checkpoints=(1.0,))
    out = tune(str(base_dir), [TAUGHT], tmp_path / "adapter", options=options, rehearse=QUESTIONS)
    manifest, schedule = read_manifest(out), read_schedule(out)
    assert (manifest.items, manifest.rehearsed, manifest.steps) == (4, 3, 3)
    assert manifest.loss == pytest.approx(schedule.losses[-1])
    assert all(step[0] == 0 and len(step) == 2 and step[1] in (1, 2, 3) for step in schedule.steps)
    plain = tune(str(base_dir), [TAUGHT], tmp_path / "plain", options=options)
    assert "rehearsed" not in (plain / "attrib.json").read_text()
    assert read_manifest(plain).rehearsed == 0


def test_general_questions_are_spread_over_all() -> None:
    questions = rehearsal.general()
    assert len(questions) == len(set(questions)) == 260
    some = rehearsal.general(26)
    assert some == questions[::10]
    assert np.all([question.strip() == question for question in questions])
