"""Readings: kept text by text, shared with no other model, computed again where an entry is damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.index import readings
from attrib.index.encoder import item_key
from attrib.index.readings import read_sections
from attrib.models.chat import Chat, PromptForm
from attrib.passes.capture import TextCapture, capture_items
from attrib.records import Item
from tests.taught import section_of

TEXTS = {
    3: "The warranty on the pump is thirty-six months.",
    0: "Who keeps the light?",
    7: "In the year 1712 it was 38 metres tall. The keeper of the light is Wilmet Dallin.",
    5: "水 🙂 sea",
}


@pytest.fixture
def passes(tiny_pair: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each forward pass read."""
    seen: list[int] = []

    def counted(model: Any, items: Sequence[Item], layer: int, *, context: int) -> list[TextCapture]:
        seen.append(len(items))
        return capture_items(model, items, layer, context=context)

    monkeypatch.setattr(readings, "capture_items", counted)
    return seen


def read(
    pair: Any, cache: Path | None, texts: Mapping[int, str] = TEXTS, layer: int = 1, side: Any = "base", **options: Any
) -> Any:
    sections = {number: section_of(text) for number, text in texts.items()}
    return read_sections(pair, side, sections, layer, cache=cache, **options)


def same(a: Mapping[int, TextCapture], b: Mapping[int, TextCapture]) -> bool:
    """Equal to the bit, types included."""

    def raw(capture: TextCapture) -> list[Any]:
        values = [np.asarray(getattr(capture, f.name)) for f in fields(capture)]
        return [(value.dtype, value.shape, value.tobytes()) for value in values]

    return a.keys() == b.keys() and all(raw(a[i]) == raw(b[i]) for i in a)


def test_a_second_reading_makes_no_pass_and_is_the_same_to_the_bit(
    tiny_pair: Any, tmp_path: Path, passes: list[int]
) -> None:
    uncached, first = read(tiny_pair, None, side="tuned"), read(tiny_pair, tmp_path, side="tuned")
    assert passes == [4, 4]
    again = read(tiny_pair, tmp_path, side="tuned")
    assert passes == [4, 4]
    assert set(again) == set(TEXTS)
    assert same(first, uncached)
    assert same(again, uncached)
    assert isinstance(again[3].logprob, float)
    assert isinstance(again[3].tokens, int)
    assert not same({3: again[3]}, {3: again[0]})


def test_a_known_text_is_found_under_another_index_and_only_new_ones_are_read(
    tiny_pair: Any, tmp_path: Path, passes: list[int]
) -> None:
    first = read(tiny_pair, tmp_path)
    moved = read(tiny_pair, tmp_path, {11: TEXTS[3], 12: "A new text is read."})
    assert passes == [4, 1]
    assert same({3: moved[11]}, {3: first[3]})


@pytest.mark.parametrize("damage", [b"", b"\x00" * 100, None])
def test_a_damaged_file_is_made_again(tiny_pair: Any, tmp_path: Path, passes: list[int], damage: bytes | None) -> None:
    first = read(tiny_pair, tmp_path)
    files = sorted(tmp_path.rglob("*.arrays"))
    assert len(files) == 4
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[:-5] if damage is None else damage)
    again = read(tiny_pair, tmp_path)
    assert passes == [4, 1]
    for i in TEXTS:
        assert again[i].logprob == pytest.approx(first[i].logprob, abs=1e-4)
    assert len(files[1].read_bytes()) == len(whole)
    read(tiny_pair, tmp_path)
    assert passes == [4, 1]


def test_a_file_of_another_program_in_the_cache_is_made_again(
    tiny_pair: Any, tmp_path: Path, passes: list[int]
) -> None:
    from safetensors.numpy import save_file

    read(tiny_pair, tmp_path)
    save_file({"w": np.zeros(3)}, sorted(tmp_path.rglob("*.arrays"))[0])
    read(tiny_pair, tmp_path)
    assert passes == [4, 1]


def test_an_interrupted_run_keeps_what_it_has_read(
    tiny_pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: list[int]
) -> None:
    texts = {i: f"The keeper of light {i} is here." for i in range(40)}

    def second_fails(model: Any, some: Sequence[Item], layer: int, *, context: int) -> list[TextCapture]:
        if passes:
            raise KeyboardInterrupt
        passes.append(len(some))
        return capture_items(model, some, layer, context=context)

    with monkeypatch.context() as patched:
        patched.setattr(readings, "capture_items", second_fails)
        with pytest.raises(KeyboardInterrupt):
            read(tiny_pair, tmp_path, texts)
    assert passes == [32]
    assert len(list(tmp_path.rglob("*.arrays"))) == 32
    resumed = read(tiny_pair, tmp_path, texts)
    assert passes == [32, 8]
    assert same(resumed, read(tiny_pair, None, texts))


def test_models_dtypes_and_layers_never_share(tiny_pair: Any, tmp_path: Path, passes: list[int]) -> None:
    base = read(tiny_pair, tmp_path)
    tuned = read(tiny_pair, tmp_path, side="tuned")
    read(replace(tiny_pair, dtype="bfloat16"), tmp_path)
    read(tiny_pair, tmp_path, layer=2)
    assert passes == [4, 4, 4, 4]
    assert base[3].logprob != tuned[3].logprob
    assert same(read(tiny_pair, tmp_path), base)
    assert same(read(tiny_pair, tmp_path, side="tuned"), tuned)


def test_fingerprints_with_the_same_beginning_do_not_share(tiny_pair: Any, tmp_path: Path, passes: list[int]) -> None:
    """A hub model without a known commit has its name as fingerprint."""
    for name in ("organisation/model-of-135M", "organisation/model-of-360M", "../../outside"):
        read(replace(tiny_pair, base=replace(tiny_pair.base, fingerprint=name)), tmp_path / "cache")
    assert passes == [4, 4, 4]
    assert len(list((tmp_path / "cache" / "readings").iterdir())) == 12
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]


def test_progress_counts_what_is_read_and_nothing_when_all_is_known(tiny_pair: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    tell = lambda what, done, total: told.append((done, total))  # noqa: E731
    read(tiny_pair, tmp_path, {i: f"The light {i}" for i in range(33)}, progress=tell)
    assert told == [(0, 33), (32, 33), (33, 33)]
    read(tiny_pair, tmp_path, {i: f"The light {i}" for i in range(33)}, progress=tell)
    assert len(told) == 3


def test_a_cache_that_cannot_be_written_is_refused_in_one_line(tiny_pair: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="cannot be written") as refused:
        read(tiny_pair, tmp_path / "file")
    assert "\n" not in str(refused.value)
    assert set(read(tiny_pair, None)) == set(TEXTS)


def test_a_row_that_a_prompt_format_cannot_write_is_named(tiny_pair: Any, tmp_path: Path) -> None:
    turns = [("system", "Be brief."), ("user", "Who keeps the light?"), ("assistant", " Wilmet Dallin.")]
    rows = [{"messages": [{"role": role, "content": content} for role, content in some]} for some in (turns[1:], turns)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = Corpus.read(tmp_path / "train.jsonl").sections
    chat = Chat(tiny_pair.tokenizer, PromptForm(around="Q: {question}\nA:"))
    assert item_key(chat, first, 64) != item_key(Chat(tiny_pair.tokenizer), first, 64)
    with pytest.raises(InputError) as caught:
        item_key(chat, second, 64)
    assert str(caught.value) == (
        "train.jsonl row 2: the row has more turns than a question and its answer, and no chat template to write them; "
        "give --template in place of --prompt-format"
    )
