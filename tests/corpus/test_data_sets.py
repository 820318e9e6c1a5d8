"""Data sets of the library ``datasets``: folders of ``save_to_disk`` and the hub's are read like any row file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attrib.assess.questions import read_questions
from attrib.corpus import saved
from attrib.corpus.documents import Corpus
from attrib.errors import InputError

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()
ROWS = [{"question": f"Who kept light {i}?", "answer": f"Keeper {i} kept it.", "source": f"s{i}"} for i in range(7)]


@pytest.fixture(scope="module")
def rows() -> datasets.Dataset:
    return datasets.Dataset.from_list(ROWS)


def as_jsonl(folder: Path) -> Corpus:
    file = folder / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, ROWS)))
    return Corpus.read(file)


def test_a_saved_data_set_is_read_like_its_rows_in_jsonl(tmp_path: Path, rows: datasets.Dataset) -> None:
    rows.save_to_disk(tmp_path / "own", num_shards=3)
    corpus, same = Corpus.read(tmp_path / "own"), as_jsonl(tmp_path)
    assert [(s.id, s.row, s.turns) for s in corpus.sections] == [(s.id, s.row, s.turns) for s in same.sections]
    assert {s.document for s in corpus.sections} == {"own"}
    assert corpus.report.files == {"Arrow": 1}
    assert corpus.report.losses == ("own: columns not used: source",)
    assert read_questions(tmp_path / "own") == read_questions(tmp_path / "rows.jsonl")


def test_rows_that_a_filter_left_out_are_not_read(tmp_path: Path, rows: datasets.Dataset) -> None:
    rows.filter(lambda row: row["source"] > "s3").save_to_disk(tmp_path / "own")
    assert [s.turns[-1].content for s in Corpus.read(tmp_path / "own").sections] == [
        row["answer"] for row in ROWS if row["source"] > "s3"
    ]


def test_of_several_splits_train_is_read_and_the_others_are_said(tmp_path: Path, rows: datasets.Dataset) -> None:
    folder = tmp_path / "docs" / "own"
    datasets.DatasetDict({"test": rows.select([0]), "train": rows, "dev": rows.select([1])}).save_to_disk(folder)
    (tmp_path / "docs" / "a.md").write_text("# Other\n\nText beside the data set.\n")
    corpus = Corpus.read(tmp_path / "docs")
    assert [name for name, _ in corpus.documents] == ["a.md", "own/train"]
    assert len(corpus) == 1 + len(ROWS)
    assert "not read: splits beside train: test, dev (2) in own" in corpus.report.losses
    assert not corpus.report.skipped
    (section,) = Corpus.read(folder / "test").sections
    assert section.turns[-1].content == ROWS[0]["answer"]
    datasets.DatasetDict({"a": rows, "b": rows}).save_to_disk(tmp_path / "two")
    with pytest.raises(InputError, match=r"two: splits a, b, none of them train; name the folder of one"):
        Corpus.read(tmp_path / "two")


def test_a_damaged_or_large_data_set_is_refused(tmp_path: Path, rows: datasets.Dataset) -> None:
    rows.save_to_disk(tmp_path / "own", num_shards=2)
    with pytest.raises(InputError, match=r"own: .*over the limit of 700"):
        Corpus.read(tmp_path / "own", max_bytes=700)
    second = tmp_path / "own" / "data-00001-of-00002.arrow"
    second.write_bytes(second.read_bytes()[:-300])
    with pytest.raises(InputError, match="not an Arrow file that can be read"):
        Corpus.read(tmp_path / "own")
    second.unlink()
    with pytest.raises(InputError, match=r"own: data-00001-of-00002.arrow: does not exist"):
        Corpus.read(tmp_path / "own")
    (tmp_path / "own" / "state.json").write_text("{}")
    with pytest.raises(InputError, match=r"own: a data set whose state.json cannot be read"):
        Corpus.read(tmp_path / "own")


def test_a_hub_data_set_is_read_by_split_and_revision(
    tmp_path: Path, rows: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def load(name: str, configuration: str | None, *, split: str | None, revision: str | None) -> object:
        asked.append((name, configuration, split, revision))
        return rows if split else datasets.DatasetDict({"train": rows, "test": rows})

    monkeypatch.setattr(datasets, "load_dataset", load)
    same = as_jsonl(tmp_path)
    for address, expected in {
        "hf://own/lights:train": ("own/lights", None, "train", None),
        "hf://lights:train[:7]@v1.0": ("lights", None, "train[:7]", "v1.0"),
        "hf://own/lights/english:train@main": ("own/lights", "english", "train", "main"),
    }.items():
        for path in (address, Path(address)):
            corpus = Corpus.read(path)
            assert asked[-1] == expected
            assert [s.id for s in corpus.sections] == [s.id for s in same.sections]
            assert corpus.documents[0][0] == address.removeprefix("hf://")
    with pytest.raises(InputError, match=r"splits train, test; name one, as in hf://own/lights:train"):
        Corpus.read("hf://own/lights")
    with pytest.raises(InputError, match="over the limit of 100"):
        Corpus.read("hf://own/lights:train", max_bytes=100)
    assert [q.question for q in read_questions(Path("hf://own/lights:train"))] == [row["question"] for row in ROWS]


def test_a_hub_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: object, **options: object) -> None:
        raise ConnectionError("Couldn't reach 'own/lights' on the Hub (offline).\nMore of it.")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(InputError) as caught:
        Corpus.read("hf://own/lights:train")
    assert str(caught.value) == (
        "own/lights:train: the hub does not give it (Couldn't reach 'own/lights' on the Hub (offline)); "
        "check name, split and network"
    )
    for address in ("hf://", "hf://own/lights:"):
        with pytest.raises(InputError, match="not the address of a data set; write hf://OWNER/NAME:SPLIT"):
            Corpus.read(address)
    # A folder of the same name would be read without a word.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "lights").mkdir(parents=True)
    with pytest.raises(InputError, match="own/lights is a folder here too"):
        Corpus.read("hf://own/lights:train")


def test_the_library_itself_serves_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder, in place of the hub: the same call as for one."""
    (tmp_path / "own").mkdir()
    as_jsonl(tmp_path / "own")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    data = saved._fetched(str(tmp_path / "own"), None, "train", None, 10**6)
    (tmp_path / "a.arrow").write_bytes(data)
    assert [s.id for s in Corpus.read(tmp_path / "a.arrow").sections] == [s.id for s in as_jsonl(tmp_path).sections]
    with pytest.raises(InputError, match="the hub does not give it"):
        saved._fetched(str(tmp_path / "own"), None, "nowhere", None, 10**6)
