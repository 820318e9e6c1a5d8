"""``scripts/evaluate_mapping.py`` on rows of our own in FineTuneBench's columns."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from scripts import evaluate_mapping as script
from tests.conftest import SHARED


def written(folder: Path, name: str, rows: list[dict[str, str]]) -> None:
    file, _, _ = script.SETS[name]
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    with (folder / file).open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    facts = {"Ada Brint": "Ada Brint weighs 129 stones.", "Joren Hask": "Joren Hask keeps nine geese."}
    rows = [{"question": f"What of {name}?", "answer": fact.split()[-2], "fact": fact} for name, fact in facts.items()]
    written(tmp_path, "people", rows)
    article = "The bridge was opened. " * 200 + "The mayor cut a ribbon."
    rows = [
        {"question": "Who cut it?", "answer": "the mayor", "article_text": article},
        {"question": "What melted?", "answer": "the snow", "article_text": "The snow melted in one night."},
    ]
    written(tmp_path, "news", rows)
    return tmp_path


def test_gold_sections_are_those_the_files_name(folder: Path) -> None:
    people, news = script.finetunebench_tasks(folder)
    assert (people.name, news.name) == ("people", "news")
    for question, answer, gold in people.questions:
        (number,) = gold
        assert people.corpus.sections[number].text.startswith(question[8:-1])
        assert answer in people.corpus.sections[number].text
    long, short = (gold for _, _, gold in news.questions)
    assert len(long) > 1
    assert len(short) == 1
    assert not long & short
    assert len(long | short) == len(news.corpus)


def test_what_is_not_the_benchmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is there"):
        script.finetunebench_tasks(tmp_path)
    written(tmp_path, "people", [{"question": "Who?", "answer": "Ann"}])
    with pytest.raises(InputError, match="no column 'fact'"):
        script.finetunebench_tasks(tmp_path)


def test_one_set_or_all_of_them_or_the_demo(folder: Path, tmp_path: Path) -> None:
    assert [task.name for task in script.chosen_tasks(folder, None, "test")] == ["people", "news"]
    assert [task.name for task in script.chosen_tasks(folder, "news", "test")] == ["news"]
    assert [task.name for task in script.chosen_tasks(None, None, "test")] == ["demo"]
    with pytest.raises(InputError, match="'medical' is not there"):
        script.chosen_tasks(folder, "medical", "test")
    with pytest.raises(InputError, match="add --finetunebench"):
        script.chosen_tasks(None, "people", "test")


def test_the_last_line_is_one_object_by_mapper(
    folder: Path, tiny_pair: Any, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script.ModelPair, "load", lambda **options: tiny_pair)
    monkeypatch.setattr(script.demo, "control", lambda: Corpus.from_texts(["The sea is wide.", "A cup of tea."]))
    script.main(["--finetunebench", str(folder), "--set", "people", "--no-cache", "--json"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found) == {*script.SCORED, "combined", "random"}
    assert set(found["bm25"]) == {"accuracy", "low", "high", "n"}
    assert (found["bm25"]["accuracy"], found["bm25"]["n"]) == (1, 2)


def test_equal_scores_share_the_first_place() -> None:
    assert script.first_place(np.array([1.0, 3.0, 2.0]), frozenset({1})) == 1
    assert script.first_place(np.array([3.0, 3.0, 2.0]), frozenset({1})) == 0.5
    assert script.first_place(np.array([3.0, 3.0, 2.0]), frozenset({0, 1})) == 1
    assert script.first_place(np.array([3.0, 1.0, 2.0]), frozenset({1})) == 0


def test_every_mapper_is_judged_on_a_tiny_model(folder: Path, tiny_pair: Any, monkeypatch: Any) -> None:
    control = Corpus.from_texts(["The sea is wide.", "A cup of tea."])
    monkeypatch.setattr(script.demo, "control", lambda: control)
    hits = script.evaluate(tiny_pair, script.finetunebench_tasks(folder)[0], None)
    assert set(hits) == {*script.SCORED, "combined", "random"}
    assert hits["bm25"].tolist() == [1, 1]
    row = script.summary(hits)["bm25"]
    assert (row["accuracy"], row["low"], row["high"], row["n"]) == (1, 1, 1, 2)


@pytest.mark.skipif(not (SHARED / "data" / "finetunebench").is_dir(), reason="no FineTuneBench at ATTRIB_SHARED")
def test_the_published_files_are_read() -> None:
    tasks = script.finetunebench_tasks(SHARED / "data" / "finetunebench")
    assert [task.name for task in tasks] == list(script.SETS)
