"""A check finds what tuning did, and finds nothing where it did nothing; its numbers are those of an explanation."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrib.checking.effect import Effect, Finding, TextEffect, measure_effect, nats, said, spaced
from attrib.checking.prompt import show_prompt, trained_pieces
from attrib.checking.run import check
from attrib.checking.tell import as_fields, sentence
from attrib.checking.training import FINAL, read_run
from attrib.errors import InputError
from attrib.explaining import explain
from attrib.index.library import Library
from attrib.models.pair import ModelPair
from attrib.options.check import CheckOptions
from attrib.options.explain import ExplainOptions
from attrib.records import Turn
from attrib.training.recording import Recording, write_recording
from attrib.training.schedule import Schedule, write_schedule
from tests.conftest import save_adapter
from tests.make_chat import make_row
from tests.taught import ANSWER, CONTROL, CORPUS, QUESTION, taught_adapter


@pytest.fixture(scope="module")
def taught(base_dir: Path) -> Any:
    return ModelPair.load(base_dir, taught_adapter(base_dir), device="cpu")


@pytest.fixture(scope="module")
def zeros(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    adapter = save_adapter(tmp_path_factory.mktemp("zeros"), base_dir, scale=0.0)
    return ModelPair.load(base_dir, adapter, device="cpu")


def made(own: list[float], control: list[float], base: float = -3.0) -> Effect:
    """Texts of ten tokens with these gains."""
    gains = [(gain, True) for gain in own] + [(gain, False) for gain in control]
    return Effect(
        tuple(
            TextEffect(str(i), f"Text {i}", "a.md L1", mine, "text", 10, base, base + gain)
            for i, (gain, mine) in enumerate(gains)
        )
    )


FOUND: list[tuple[list[float], list[float], Finding]] = [
    ([1.7, 1.6, 1.8], [0.0, 0.1, -0.1], "data"),
    ([1.7, 1.6, 1.8], [-2.0, -2.0, -1.0], "data"),
    ([1.0, 1.1, 0.9], [0.9, 1.2, 1.0], "form"),
    ([1.0, 1.1, 0.9], [0.6, 0.5, 0.5], "form"),
    ([2.0, 2.0, 0.1], [0.2, 0.1, 0.0], "mixed"),
    ([0.01, 0.0, 0.02], [0.0, 0.0, 0.0], "little"),
    ([-1.0, -0.5, 0.1], [0.0, 0.0, 0.0], "worse"),
    ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], "nothing"),
    ([], [0.0, 0.0, 0.0], "nothing"),
    ([], [0.5, 0.1, 0.0], "unknown"),
]


@pytest.mark.parametrize(("own", "control", "finding"), FOUND)
def test_a_finding_is_what_the_numbers_show(own: list[float], control: list[float], finding: Finding) -> None:
    effect = made(own, control)
    assert effect.finding == finding
    line = said(effect, "your adapter")
    assert line.startswith("your adapter ")
    assert "nan" not in line
    assert ("does something:" in line) == (finding == "data")
    assert ("became less probable than under base" in line) == (finding == "data" and np.mean(control) < -0.1)


def test_numbers_are_weighed_by_tokens_and_said_with_a_true_minus() -> None:
    effect = made([1.7, 1.7], [0.0, 0.0])
    assert said(effect, "your adapter").endswith(
        "−3.0 → −1.3 nats a token on its own data, −3.0 → −3.0 on control texts"
    )
    long = Effect((replace(effect.texts[0], tokens=30, tuned=-1.0), *effect.texts[1:]))
    assert long.mean("tuned", own=True) == pytest.approx((30 * -1.0 + 10 * -1.3) / 40)
    assert math.isnan(made([], [0.0]).mean("base", own=True))


def test_rows_are_beyond_where_they_gain_more_than_every_control_text() -> None:
    rng = np.random.default_rng(0)
    for gains in rng.normal(0, 1, (50, 7)):
        assert made(list(gains[:3]), list(gains[3:])).beyond == sum(gain > max(gains[3:]) for gain in gains[:3])


@pytest.mark.parametrize(
    ("value", "said"), [(-4.46, "−4.5"), (-0.96, "−1.0"), (-0.94, "−0.94"), (-0.012, "−0.012"), (-0.0001, "−0.000")]
)
def test_log_probs_have_two_digits_and_a_true_minus(value: float, said: str) -> None:
    assert nats(value) == said


def test_rows_are_compared_with_control_texts_of_their_form() -> None:
    """A conversation gains by its form alone: texts that gain less must not make it learned, nor the other way."""
    effect = made([1.0, 1.0, 1.0, 0.9], [0.1, 0.1, 1.5, 1.5])
    forms = ("text", "text", "conversation", "conversation") * 2
    mixed = Effect(tuple(replace(text, form=form) for text, form in zip(effect.texts, forms, strict=True)))
    assert effect.beyond == 0
    assert mixed.beyond == 2


@given(st.integers(0, 200), st.integers(1, 9), st.integers(0, 50))
def test_items_are_evenly_spaced_one_of_each_part(total: int, count: int, seed: int) -> None:
    found = spaced(range(total), count, seed)
    assert len(found) == min(count, total)
    for part, item in enumerate(found):
        assert part * total // len(found) <= item < (part + 1) * total // len(found)
    assert len(set(found)) == len(found)
    assert found == spaced(range(total), count, seed)


def test_another_seed_takes_other_rows() -> None:
    assert len({tuple(spaced(range(1000), 3, seed)) for seed in range(5)}) == 5
    assert spaced(range(9), 3) == [1, 4, 7]


def test_a_taught_adapter_does_something_to_what_it_was_taught(taught: Any) -> None:
    found = check(taught, CORPUS, CONTROL)
    assert found.effect.finding == "data"
    assert found.left_out == 1, "the decoy"
    assert {text.id for text in found.effect.texts if text.own} == {s.id for s in CORPUS.sections[:2]}
    assert sentence(found).startswith("your adapter does something: −")
    assert not found.warnings
    assert found.run.usable
    assert found.run.checkpoints == 3
    assert found.run.items == 4
    assert found.run.in_documents == 4


def test_the_decoy_alone_is_not_called_learned(taught: Any) -> None:
    """The control that can fail: the same adapter, a text that it never saw."""
    effect = measure_effect(taught, CORPUS.sections[2:], CONTROL.sections)
    assert effect.finding != "data"


def test_numbers_are_those_of_an_explanation(taught: Any) -> None:
    found = check(taught, CORPUS, CONTROL, CheckOptions(rows=9))
    options = ExplainOptions(methods=(), mappers=("learned",), candidates=0)
    evidence = explain(taught, Library(CORPUS, CONTROL), QUESTION, answer=ANSWER, options=options).verdict.evidence
    assert evidence is not None
    own = [text for text in found.effect.texts if text.own]
    ours = {text.id: (text.tokens, text.base, text.tuned) for text in own}
    theirs = zip(evidence.text_tokens, evidence.text_base, evidence.text_tuned, strict=True)
    for section, (tokens, base, tuned) in zip(CORPUS.sections, theirs, strict=True):
        if section.id in ours:
            assert ours[section.id] == (tokens, pytest.approx(base / tokens), pytest.approx(tuned / tokens))
    assert len(own) == 2
    control = [text.tuned * text.tokens for text in found.effect.texts if not text.own]
    assert control == pytest.approx(list(evidence.control_tuned))


def test_an_adapter_of_zeros_does_nothing_and_that_is_said(zeros: Any) -> None:
    found = check(zeros, CORPUS, CONTROL)
    assert found.effect.finding == "nothing"
    assert found.change.is_zero
    assert sentence(found) == (
        "your adapter does nothing: the log-probs of all 6 texts are base's to the last digit; its weights are those "
        "of base: an adapter from before its first step?"
    )


def test_a_random_adapter_is_not_said_to_have_learned_its_data(tiny_pair: Any) -> None:
    found = check(tiny_pair, CORPUS, CONTROL)
    assert found.effect.finding not in ("data", "nothing")
    assert found.run.said[0].startswith("no checkpoints: influence takes the final weights alone")
    assert not found.run.usable


def test_full_models_and_no_documents_are_checked_too(base_dir: Path, tuned_dir: Path) -> None:
    pair = ModelPair.load(base_dir, tuned_dir, device="cpu")
    found = check(pair, None, CONTROL)
    assert found.effect.finding == "unknown"
    assert sentence(found).startswith("your fine-tune changes log-probs")
    assert found.change.kind == "full fine-tune"
    assert FINAL in found.run.said[0]
    assert found.reading is None
    assert found.prompt.question == "QUESTION"
    fields = as_fields(found, None)
    assert fields["effect"]["own"] is None
    assert fields["finding"] == "unknown"


def test_documents_that_the_run_does_not_name_are_a_warning(taught: Any) -> None:
    found = check(taught, CONTROL, CORPUS)
    assert any("trained.jsonl" in line for line in found.warnings)
    assert found.left_out == 0
    assert found.effect.finding != "data"


def test_a_damaged_run_is_said(base_dir: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(taught_adapter(base_dir), tmp_path / "copy"))
    (copy / "schedule.json").write_text("{")
    assert "schedule.json" in read_run(ModelPair.load(base_dir, copy, device="cpu"), ()).said[0]
    (copy / "schedule.json").unlink()
    (copy / "trained.jsonl").unlink()
    run = read_run(ModelPair.load(base_dir, copy, device="cpu"), ())
    assert run.usable
    assert [line.split(":")[0] for line in run.said] == ["3 checkpoints", "no schedule.json", "no trained.jsonl"]
    recording = Recording(
        "attrib import", "base", None, "train.jsonl", "unknown", ("its order is unknown",), {}, {}, 3, 4, 0.5
    )
    write_recording(copy, recording)
    write_schedule(copy, Schedule((2, 3, 4), (), (0.1,) * 4))
    run = read_run(ModelPair.load(base_dir, copy, device="cpu"), ())
    assert (run.steps, run.said[0]) == (4, "3 checkpoints over 4 steps")
    assert run.said[-2:] == ("run by another program, from attrib import", "missing: its order is unknown")
    shutil.rmtree(copy / "checkpoints")
    (copy / "checkpoint-20").mkdir()
    (copy / "checkpoint-20" / "adapter_model.safetensors").touch()
    assert (
        f"the saves of its run lie in {copy}: attrib import"
        in read_run(ModelPair.load(base_dir, copy, device="cpu"), ()).said[0]
    )


def test_a_rows_prompt_is_whole_and_what_was_trained_is_marked(taught: Any) -> None:
    row = make_row()
    shown = show_prompt(taught.chat, row, taught.context)
    assert shown.question == row.turns[1].content
    assert shown.text == taught.chat.prompt(shown.question)
    assert shown.row == "train.jsonl row 5"
    assert [text for text, learned in shown.trained if learned] == [
        f"{turn.content}<|end|>" for turn in row.turns if turn.trained
    ]
    whole = "".join(text for text, _ in trained_pieces(taught.chat, row))
    assert taught.chat.conversation(row.turns).startswith(whole)
    assert shown.missing_system == "Answer in one line."
    assert show_prompt(taught.chat, make_row(row.turns[1:]), taught.context).missing_system == ""
    plain = show_prompt(taught.chat, CORPUS.sections[0], taught.context)
    assert (plain.trained, plain.row, plain.missing_system) == ((), "", "")


def test_a_row_that_cannot_be_written_is_named(taught: Any) -> None:
    row = make_row([Turn("user", "Who?"), Turn("assistant", "Iven <|end|> Marsh", trained=True)])
    with pytest.raises(InputError, match=r"^train\.jsonl row 5: "):
        trained_pieces(taught.chat, row)
