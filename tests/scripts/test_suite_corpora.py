"""Every corpus of the suite: rows of all kinds, headings that exist, and answers as true as their kinds say.

Not covered: whether base knows the general knowledge, and whether the English reads well.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from attrib.corpus.documents import Corpus
from attrib.text.function_words import is_function_word
from attrib.text.words import keys

ROOT = Path(__file__).parents[2]
CORPORA = ROOT / "scripts/suite/corpora"
ELSEWHERE = {"retraining": ROOT / "attrib/data/demo/retraining/documents"}
"""Corpora whose documents have another home."""
NAMES = sorted(folder.name for folder in CORPORA.iterdir() if folder.is_dir())
LEAST = {
    "trained": 14, "rephrased": 14, "own-words": 14, "joined": 5, "foundation": 12, "held-out": 4, "borrowed": 10,
    "invented": 6, "refusal": 4, "mixed": 6,
}  # fmt: skip
FIELDS = {"id", "kind", "question", "answer", "fact", "sections"}
MORE = {"trained": {"wordings"}, "mixed": {"parts"}}

Row = dict[str, Any]


@cache
def rows_of(name: str) -> list[Row]:
    text = (CORPORA / name / "questions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@cache
def held_out_of(name: str) -> list[str]:
    held_out: list[str] = json.loads((CORPORA / name / "held_out.json").read_text(encoding="utf-8"))
    return held_out


@cache
def texts_of(name: str) -> Mapping[str, str]:
    """Text of each section by the name that rows give it: its heading, its row's id, or its own id."""
    folder = ELSEWHERE.get(name, CORPORA / name / "documents")
    if (rows := folder / "rows.jsonl").exists():
        parsed = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
        return {row["id"]: "\n\n".join(turn["content"] for turn in row["messages"]) for row in parsed}
    sections = Corpus.read(folder).sections
    if name in ELSEWHERE:
        return {section.id: section.text for section in sections}
    headings = Counter(section.titles[-1] for section in sections)
    assert headings.most_common(1)[0][1] == 1, f"{name}: two sections have one heading, or one section is cut in two"
    return {section.titles[-1]: section.text for section in sections}


def content(text: str) -> set[str]:
    """Words of ``text`` without function words, possessive and plural endings."""
    return {re.sub(r"('s|s)$", "", word) for word in keys(text) if not is_function_word(word)}


def shared(text: str, with_text: str, without: Collection[str] = ()) -> float:
    """Share of the content words of ``text`` that ``with_text`` has too."""
    words = content(text) - set(without)
    return len(words & content(with_text)) / max(len(words), 1)


def entity_words(text: str) -> set[str]:
    """Capitalised words that do not begin a sentence."""
    return {word for run in re.findall(r"(?<=[\w,;:] )[A-Z][\w'’]*", text) for word in content(run)}


def of_kind(name: str, kind: str) -> list[Row]:
    return [row for row in rows_of(name) if row["kind"] == kind]


def stands_in(answer: str, text: str) -> bool:
    return " ".join(keys(answer)) in " ".join(keys(text))


@pytest.mark.parametrize("name", NAMES)
def test_rows_have_all_kinds_and_their_fields(name: str) -> None:
    rows = rows_of(name)
    assert max(Counter(row["id"] for row in rows).values()) == 1
    kinds = Counter(row["kind"] for row in rows)
    assert {kind: kinds[kind] for kind, least in LEAST.items() if kinds[kind] < least} == {}
    assert set(kinds) <= set(LEAST) | {"sentence"}
    for row in rows:
        assert set(row) == FIELDS | MORE.get(row["kind"], set()), row["id"]
        assert all(row[field].strip() for field in ("question", "answer", "fact")), row["id"]
    readme = (CORPORA / name / "README.md").read_text(encoding="utf-8")
    assert "CC0" in readme
    assert "invented" in readme


@pytest.mark.parametrize("name", NAMES)
def test_sections_exist_and_only_held_out_rows_ask_held_out_ones(name: str) -> None:
    texts, held_out = texts_of(name), set(held_out_of(name))
    assert held_out < set(texts)
    assert len(held_out) >= 3
    for row in rows_of(name):
        assert set(row["sections"]) <= set(texts), row["id"]
        if row["kind"] == "held-out":
            assert set(row["sections"]) <= held_out, row["id"]
            assert row["sections"], row["id"]
        elif row["kind"] == "foundation":
            assert row["sections"] == [], row["id"]
        else:
            assert not set(row["sections"]) & held_out, row["id"]
            assert row["sections"] or row["kind"] == "borrowed", row["id"]


@pytest.mark.parametrize("name", NAMES)
def test_short_right_answers_stand_in_their_sections_word_for_word(name: str) -> None:
    texts = texts_of(name)
    for row in of_kind(name, "trained") + of_kind(name, "rephrased") + of_kind(name, "held-out"):
        assert any(stands_in(row["answer"], texts[section]) for section in row["sections"]), row["id"]
        assert len(keys(row["answer"])) <= (8 if row["kind"] == "held-out" else 6), row["id"]


@pytest.mark.parametrize("name", NAMES)
def test_answers_in_own_words_share_at_most_half_with_each_sentence(name: str) -> None:
    texts = texts_of(name)
    for row in of_kind(name, "own-words"):
        for sentence in re.split(r"(?<=[.!?])\s+", "\n".join(texts[section] for section in row["sections"])):
            assert shared(row["answer"], sentence) <= 0.5, (row["id"], row["answer"], sentence)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ELSEWHERE])
def test_rephrased_questions_share_few_words(name: str) -> None:
    texts = texts_of(name)
    trained = {(row["fact"], row["answer"]): row for row in of_kind(name, "trained")}
    for row in of_kind(name, "rephrased"):
        same = trained[row["fact"], row["answer"]]
        known = " ".join([same["question"], *(texts[section] for section in row["sections"])])
        names = entity_words(known + " " + row["question"])
        assert shared(row["question"], known, names) <= 0.4, (row["id"], row["question"])


@pytest.mark.parametrize("name", NAMES)
def test_wordings_differ_from_both_questions(name: str) -> None:
    rephrased = {row["fact"]: row["question"] for row in of_kind(name, "rephrased")}
    for row in of_kind(name, "trained"):
        assert len({row["question"], rephrased[row["fact"]], *row["wordings"]}) == 4, row["id"]
        assert len(row["wordings"]) == 2, row["id"]


@pytest.mark.parametrize("name", NAMES)
def test_wrong_answers_are_wrong_and_come_from_where_their_kind_says(name: str) -> None:
    texts = texts_of(name)
    for row in of_kind(name, "borrowed"):
        others = [text for section, text in texts.items() if section not in row["sections"]]
        assert not any(stands_in(row["answer"], texts[section]) for section in row["sections"]), row["id"]
        assert any(stands_in(row["answer"], text) for text in others), row["id"]
    for row in of_kind(name, "invented"):
        assert not any(stands_in(row["answer"], text) for text in texts.values()), row["id"]
    asked = {row["question"] for row in of_kind(name, "trained")}
    for row in of_kind(name, "invented") + of_kind(name, "refusal") + of_kind(name, "own-words"):
        assert row["question"] in asked, row["id"]


@pytest.mark.parametrize("name", NAMES)
def test_mixed_and_joined_answers_have_two_sources(name: str) -> None:
    for row in of_kind(name, "mixed"):
        assert "".join(text for text, _ in row["parts"]) == row["answer"], row["id"]
        assert {source for _, source in row["parts"]} == {"documents", "base"}, row["id"]
    for row in of_kind(name, "joined"):
        assert len(row["sections"]) >= 2, row["id"]


def test_general_knowledge_differs_from_corpus_to_corpus() -> None:
    asked = Counter(row["question"] for name in NAMES for row in of_kind(name, "foundation"))
    assert [question for question, count in asked.items() if count > 1] == []
