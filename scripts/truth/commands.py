"""Stages of ``scripts/make_truth.py``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from attrib.corpus.bm25 import Bm25
from attrib.files import write_atomically
from truth.corpus import WORDINGS, answer, sections
from truth.gate import ONE_HOT, TruthRow, TruthSet, rows_of
from truth.runs import Bench, make, questions
from truth.scores import exact_scores, gradient_scores, kept, taught_alone
from truth.tables import write_documents, write_parquet, write_tables

METRICS_SHOWN = ("LDS", "LDS beyond", "r", "r, others", "helping", "harming")


def progress(what: str, done: int, total: int) -> None:
    """A line each time."""
    print(f"  {what} {done}/{total}", file=sys.stderr, flush=True)


def texts() -> list[str]:
    """The taught sections as one reads them."""
    return [t.text if not t.chat else "\n\n".join(m["content"] for m in t.messages) for t in sections()[0]]


def textual_scores() -> dict[str, np.ndarray]:
    """Scorers that see texts alone: [question, section] each."""
    from attrib.models.embedder import embed, load_embedder

    asked = [f"{q.question} {answer(q.fact)}" for q in questions()]
    index = Bm25(texts())
    found = np.array([index.query(text) for text in asked])
    embedder = load_embedder()
    likeness = embed(asked, embedder=embedder) @ embed(texts(), embedder=embedder).T
    rng = np.random.default_rng(0)
    return {
        "BM25": found,
        ONE_HOT: _one_hot(found.argmax(1), found.shape[1]),
        "one-hot of the own row": _one_hot(own_sections(), found.shape[1]),
        "embedding": likeness.astype(float),
        "random": rng.normal(size=found.shape),
    }


def own_sections() -> np.ndarray:
    """The section whose row asks the question, else the one that states the fact, else another that teaches it."""
    taught, _ = sections()
    found = []
    for question in questions():
        form = question.id.removeprefix(f"{question.fact.id}-")
        order = [form, "plain", "plain+again", "other", "alike", *WORDINGS]
        tell = {m.role: i for i, told in enumerate(taught) for m in told.mentions if m.fact.id == question.fact.id}
        found.append(next(tell[role] for role in order if role in tell))
    return np.array(found)


def _one_hot(best: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(np.arange(count) == best[:, None], dtype=float)


def documents(work: Path, out: Path) -> None:
    write_documents(out)


def runs(work: Path, out: Path) -> None:
    make(work, progress=progress)


def tables(work: Path, out: Path) -> None:
    print(write_tables(out, work / "runs", Bench()))


def scores(work: Path, out: Path) -> None:
    """All scorers, as one table."""
    bench, folder, count = Bench(), work / "scores", len(sections()[0])
    found = textual_scores()
    gradients = kept(folder / "gradients-0.npz", lambda: gradient_scores(bench, progress=progress))
    found |= {n: v[:, :count] for n, v in gradients.items() if v.ndim == 2 and "checkpoint" not in n}
    for name, tuned in (("teach", False), ("unlearn", True)):
        made = kept(folder / f"{name}-0.npz", lambda tuned=tuned: {"scores": taught_alone(bench, tuned=tuned)})
        found[name] = made["scores"][:, :count]
    found |= exact_scores(folder, count)
    names = [q.id for q in questions()]
    rows = [
        {"scorer": scorer, "question": names[i], "scores": np.round(values[i].astype(float), 6).tolist()}
        for scorer, values in found.items()
        for i in range(len(names))
        if np.isfinite(values[i]).all()
    ]
    write_parquet(out / "scores.parquet", rows)


def stored_scores(truth: TruthSet) -> dict[str, np.ndarray]:
    """Scorers of the stored table; nan where a question has no score."""
    number = {q["question"]: i for i, q in enumerate(truth.questions)}
    found: dict[str, np.ndarray] = {}
    for row in truth.tables["scores"]:
        values = found.setdefault(row["scorer"], np.full((len(number), len(truth.sections)), np.nan))
        values[number[row["question"]]] = row["scores"]
    return found


def gate(work: Path, out: Path) -> None:
    """Every scorer against the runs: a table on stdout, and ``gate.json`` beside the set."""
    import json

    truth = TruthSet(out)
    found = stored_scores(truth)
    rows = rows_of(truth, found, found["BM25"])
    write_atomically(out / "gate.json", (json.dumps([asdict(row) for row in rows]) + "\n").encode())
    for split in ("calibration", "test"):
        print(f"\n{split}\n")
        print(markdown(rows, split))


def markdown(rows: list[TruthRow], split: str, kind: str = "all") -> str:
    """A row a scorer, best LDS first."""
    chosen = [row for row in rows if (row.split, row.kind) == (split, kind)]
    by: dict[str, dict[str, TruthRow]] = {}
    for row in chosen:
        by.setdefault(row.scorer, {})[row.metric] = row
    lines = [f"| scorer | {' | '.join(METRICS_SHOWN)} |", "|---|" + "---|" * len(METRICS_SHOWN)]
    for name, found in sorted(by.items(), key=lambda item: -item[1]["LDS"].value):
        cells = [_cell(found[m]) if m in found else "" for m in METRICS_SHOWN]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: TruthRow) -> str:
    return f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]" if np.isfinite(row.value) else "none"


STAGES: Mapping[str, Callable[[Path, Path], None]] = {
    "documents": documents, "runs": runs, "tables": tables, "scores": scores, "gate": gate,
}  # fmt: skip
