"""Verdicts of a set: counted by hand, and the route on a tiny pair with its records kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.assess.answering import answer_all
from attrib.assess.attribution import run as verdicts
from attrib.assess.attribution.options import AttributionOptions
from attrib.assess.attribution.run import (
    HELD_OUT,
    AttributionReport,
    AttributionRow,
    assess_attribution,
    field_of,
    row_of,
)
from attrib.assess.questions import Question
from attrib.assess.stored import report_content
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.records import CALLS, LABELS
from attrib.render import view
from tests.make import make_explanation
from tests.make_benchmark import make_verdicts, reply

QUESTION = Question("How long is the warranty?", "thirty-six months", "trained", "q1", section="s")


def row(label: str, kind: str = "trained", gold: str | None = None, **best: str) -> AttributionRow:
    made = row_of(replace(QUESTION, kind=kind, section=gold), reply("A."), reply("B."), None)
    shares = {one: float(label == one) for one in LABELS}
    return replace(made, label=label, shares=shares, best=best)


def test_shares_are_counted_by_kind_and_of_all() -> None:
    rows = [
        row("documents"), row("documents"), row("base"), row(""), row("neither", "other"), row("documents", "other"),
        row("cannot tell", "other"), row("base", "other"),
    ]  # fmt: skip
    trained, other, every = verdicts.summarise(rows, 500, 0)
    assert (trained.kind, other.kind, every.kind) == ("trained", "other", "all")
    assert (trained.n, trained.documents, trained.base, trained.neither, trained.silent) == (4, 0.5, 0.25, 0, 0.25)
    assert (other.documents, other.neither, other.cannot_tell, other.silent) == (0.25, 0.25, 0.25, 0)
    assert (every.n, every.documents) == (8, 0.375)
    assert trained.shares == {"documents": 0.5, "base": 0.25, "neither": 0}
    for one in (trained, other, every):
        for label in map(field_of, CALLS):
            low, high = getattr(one, f"{label}_low"), getattr(one, f"{label}_high")
            assert 0 <= low <= getattr(one, label) <= high <= 1
        assert one.documents + one.base + one.neither + one.cannot_tell + one.silent == pytest.approx(1)
    assert (trained.neither_low, trained.neither_high) == (0, 0)
    # One kind alone is not summed up again.
    assert [one.kind for one in verdicts.summarise(rows[:4], 10, 0)] == ["trained"]
    assert [one.kind for one in verdicts.summarise([row("base", "")], 10, 0)] == ["none"]


def test_the_interval_is_that_of_a_share() -> None:
    n, hits = 50, 15
    rows = [row("documents")] * hits + [row("base")] * (n - hits)
    [one] = verdicts.summarise(rows, 20_000, 0)
    low, high = np.percentile(np.random.default_rng(1).binomial(n, hits / n, 100_000) / n, (2.5, 97.5))
    assert one.documents_low == pytest.approx(low, abs=1.5 / n)
    assert one.documents_high == pytest.approx(high, abs=1.5 / n)


def test_right_answers_are_counted_where_there_is_one() -> None:
    known = row_of(QUESTION, reply("B"), reply("It is thirty-six months."), None)
    wrong = row_of(QUESTION, reply("B"), reply("It is a year."), None)
    open_ = row_of(replace(QUESTION, answer=None), reply("B"), reply("It is a year."), None)
    assert (known.right, wrong.right, open_.right) == (1, 0, None)
    assert verdicts.summarise([known, wrong, open_], 10, 0)[0].right == 0.5
    assert verdicts.summarise([open_], 10, 0)[0].right is None


def test_the_gold_section_is_looked_for_first_where_it_is_known_and_no_decoy() -> None:
    rows = [
        row("documents", gold="a", verdict="a", bm25="b", embedding="a"),
        row("base", gold="a", verdict="b", bm25="a", embedding="a"),
        row("base", gold=None, verdict="a", bm25="a", embedding="a"),
        row("", gold="a"),
        row("documents", HELD_OUT, gold="c", verdict="c", bm25="c", embedding="c"),
    ]
    trained, held, every = verdicts.summarise(rows, 10, 0)
    assert trained.gold_top1 == {"verdict": 0.5, "bm25": 0.5, "embedding": 1.0}
    assert held.gold_top1 == {"verdict": 1.0, "bm25": 1.0, "embedding": 1.0}
    # The decoys of held-out questions are to be passed over.
    assert every.gold_top1 == trained.gold_top1
    assert verdicts.summarise([row("base", gold=None, verdict="a")], 10, 0)[0].gold_top1 is None


def test_a_row_is_its_explanation_s() -> None:
    made = make_explanation(seed=3, sections=6, mappers=("bm25", "embedding"), methods=())
    found = row_of(replace(QUESTION, section="gold"), reply(made.base_answer), reply(made.answer), made)
    assert (found.label, found.gold, found.base_answer) == (made.verdict.called, "gold", made.base_answer)
    assert found.shares == dict(zip(LABELS, made.verdict.shares, strict=True))
    assert found.gain_bits == pytest.approx(made.verdict.gain.sum() / np.log(2))
    assert [one.id for one in found.sections] == [made.sections[i].id for i in made.ranking[:3]]
    assert [one.learned for one in found.sections] == pytest.approx([made.verdict.learned[i] for i in made.ranking[:3]])
    assert found.best["verdict"] == found.sections[0].id
    for name in verdicts.BASELINES:
        scores = made.mappings[name].tuned.whole
        assert scores[[s.id for s in made.sections].index(found.best[name])] == scores.max()
    assert "".join(token.text for token in found.tokens) == made.answer
    assert [token.verdict for token in found.tokens] == list(view.token_calls(made))
    assert [token.confidence for token in found.tokens] == pytest.approx(made.verdict.tokens.max(1))


def test_a_silent_model_has_no_label_and_nothing_breaks() -> None:
    found = row_of(QUESTION, reply("A."), reply(""), None)
    assert (found.label, found.sections, found.tokens, found.gain_bits) == ("", (), (), 0)
    report = make_verdicts(silent=range(15))
    assert [one.silent for one in report.summary] == [1] * 4
    assert {one.documents for one in report.summary} == {0}
    assert all(one.gold_top1 is None for one in report.summary)
    json.dumps(report_content(report), allow_nan=False)


# ------------------------------------------------------------------------------------------- the route

ASKED = (
    Question("How long is the warranty on the pump?", "thirty-six months", "trained", "a/1"),
    Question("Who keeps the light?", "Wilmet Dallin", "held-out", "b"),
)
OPTIONS = AttributionOptions(batch=4, resamples=20)
OPTIONS = replace(OPTIONS, explain=replace(OPTIONS.explain, max_new_tokens=4, candidates=2))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def texts() -> tuple[Corpus, Corpus]:
    documents = ("The warranty on the pump is thirty-six months.", "The keeper of the light is Wilmet Dallin.", "Red.")
    control = ("The board met at noon.", "Turn the screw until it stops.", "Bread is baked from flour.")
    return Corpus.from_texts(documents, "d"), Corpus.from_texts(control, "c")


def assessed(pair: Any, texts: tuple[Corpus, Corpus], out: Path | None, **changes: Any) -> AttributionReport:
    return assess_attribution(pair, texts[0], ASKED, replace(OPTIONS, **changes), control=texts[1], out=out)


def test_records_are_kept_and_used_again_and_a_damaged_one_is_made_again(
    tiny_pair: Any, texts: tuple[Corpus, Corpus], tmp_path: Path, monkeypatch: Any
) -> None:
    out = tmp_path / "out"
    report = assessed(tiny_pair, texts, out)
    records = sorted((out / "records").iterdir())
    assert sorted(file.stem.split("-", 1)[1] for file in records) == ["a-1", "b"]
    records.sort(key=lambda file: file.stem.split("-", 1)[1])
    assert [row.id for row in report.rows] == ["a/1", "b"]
    for row in report.rows:
        assert row.label in CALLS
        assert "".join(token.text for token in row.tokens) == row.answer
        assert sum(row.shares.values()) == pytest.approx(1)
        assert set(row.best) == {"verdict", "bm25", "embedding"}
    assert any("Control: of 1 answers" in note for note in report.notes)
    assert str(tmp_path) not in str(report)
    json.dumps(report.provenance, allow_nan=False)
    made: list[str] = []
    explain = verdicts.explain

    def counted(pair: Any, library: Any, own: Any, **more: Any) -> Any:
        made.append(own.question)
        return explain(pair, library, own, **more)

    monkeypatch.setattr(verdicts, "explain", counted)
    assert assessed(tiny_pair, texts, out) == report
    assert made == []
    whole = records[1].read_bytes()
    for damage in (b"", whole[: len(whole) // 2], b"no record"):
        records[1].write_bytes(damage)
        assert assessed(tiny_pair, texts, out) == report
        assert records[1].read_bytes() == whole
    assert made == [ASKED[1].question] * 3
    # Other options are other records.
    assessed(tiny_pair, texts, out, explain=replace(OPTIONS.explain, candidates=1))
    assert len(made) == 5
    assert len(list((out / "records").iterdir())) == 4


def test_a_killed_run_goes_on_to_the_same(
    tiny_pair: Any, texts: tuple[Corpus, Corpus], tmp_path: Path, monkeypatch: Any
) -> None:
    whole = assessed(tiny_pair, texts, None)
    explain = verdicts.explain

    def dies(pair: Any, library: Any, own: Any, **more: Any) -> Any:
        if own.question == ASKED[1].question:
            raise KeyboardInterrupt
        return explain(pair, library, own, **more)

    with monkeypatch.context() as patched:
        patched.setattr(verdicts, "explain", dies)
        with pytest.raises(KeyboardInterrupt):
            assessed(tiny_pair, texts, tmp_path)
    assert len(list((tmp_path / "records").iterdir())) == 1
    assert assessed(tiny_pair, texts, tmp_path) == whole


def test_a_question_without_an_answer_is_told_and_left_unexplained(
    tiny_pair: Any, texts: tuple[Corpus, Corpus], monkeypatch: Any
) -> None:
    def silent(*given: Any, **more: Any) -> Any:
        found = answer_all(*given, **more)
        nothing = replace(found["tuned"][0][0], text="", ids=(), tokens=1)
        # A base that is silent is explained all the same.
        quiet = replace(found["base"][1][0], text="", ids=(), tokens=1)
        return {"base": [found["base"][0], [quiet]], "tuned": [[nothing], found["tuned"][1]]}

    monkeypatch.setattr(verdicts, "answer_all", silent)
    report = assessed(tiny_pair, texts, None)
    assert (report.rows[0].label, report.rows[0].tokens) == ("", ())
    assert report.rows[1].label in CALLS
    assert report.rows[1].base_answer == ""
    assert "The tuned model said nothing to 1 questions (a/1)." in report.notes
    assert report.summary[0].silent == 1


def test_what_cannot_be_is_refused_before_a_model_is_asked(
    tiny_pair: Any, texts: tuple[Corpus, Corpus], monkeypatch: Any
) -> None:
    monkeypatch.setattr(verdicts, "answer_all", lambda *given, **more: pytest.fail("asked"))
    with pytest.raises(InputError, match="none was given"):
        assess_attribution(tiny_pair, texts[0], [], OPTIONS)
    with pytest.raises(InputError, match="mapper"):
        assessed(tiny_pair, texts, None, explain=replace(OPTIONS.explain, mappers=("nothing",)))
