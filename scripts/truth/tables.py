"""The truth set as files: documents that attrib reads, and Parquet tables for everyone else.

Not covered: the runs themselves (``runs``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from attrib.files import write_atomically
from attrib.models.rendering import IGNORED
from truth.corpus import HARMING, HELPING, Told, answer, decoys, facts, sections
from truth.runs import Bench, Planned, done, item_of, plan, questions


def write_documents(folder: Path) -> None:
    """``documents/leaves.md``, ``documents/rows.jsonl``, ``decoys.md`` and ``questions.jsonl``."""
    taught, unseen = sections()
    texts = [told for told in taught if not told.chat]
    _write(folder / "documents" / "leaves.md", "".join(f"## {t.title}\n\n{t.text}\n\n" for t in texts))
    rows = [json.dumps({"messages": told.messages}) for told in taught if told.chat]
    _write(folder / "documents" / "rows.jsonl", "\n".join(rows) + "\n")
    _write(folder / "decoys.md", "".join(f"## {t.title}\n\n{t.text}\n\n" for t in unseen))
    asked = [{"id": row.pop("question"), "question": row.pop("text"), **row} for row in _asked()]
    _write(folder / "questions.jsonl", "".join(json.dumps(row) + "\n" for row in asked))


def _asked() -> list[dict[str, Any]]:
    return [
        {
            "question": q.id,
            "kind": q.kind,
            "fact": q.fact.id,
            "text": q.question,
            "answer": answer(q.fact),
            "split": split(q.fact.id),
        }
        for q in questions()
    ]


def split(fact: str) -> str:
    """calibration or test: every second fact, so that both have all kinds and patterns."""
    return "test" if [f.id for f in facts()].index(fact) % 2 else "calibration"


def write_tables(folder: Path, runs: Path, bench: Bench) -> dict[str, int]:
    """Parquet tables of sections, carriers, questions, runs and log p; how many rows each has."""
    taught, unseen = sections()
    numbered = [*((i, told, True) for i, told in enumerate(taught))]
    numbered += [(i, told, False) for i, told in enumerate(unseen, len(taught))]
    tables: dict[str, list[dict[str, Any]]] = {
        "sections": [_section(i, told, trained) for i, told, trained in numbered],
        "carriers": [
            {"section": f"s{i:02d}", "fact": m.fact.id, "role": m.role, "effect": _effect(m.role)}
            for i, told, _ in numbered for m in told.mentions
        ],
        "questions": _asked(),
        "facts": [{"fact": f.id, "thing": f.thing, "value": f.value, "rival": f.rival} for f in (*facts(), *decoys())],
    }  # fmt: skip
    tables["runs"], tables["logprobs"] = _measured(runs, bench, len(taught))
    for name, rows in tables.items():
        write_parquet(folder / f"{name}.parquet", rows)
    return {name: len(rows) for name, rows in tables.items()}


def _section(number: int, told: Told, trained: bool) -> dict[str, Any]:
    item = item_of(number, told)
    return {
        "section": item.id,
        "form": "conversation" if told.chat else "text",
        "messages": [{"role": t.role, "content": t.content, "trained": t.trained} for t in item.turns],
        "text": item.text,
        "trained": trained,
    }


def _effect(role: str) -> int:
    """1 for a section that teaches the fact, −1 for one that contradicts it, 0 for one with its words alone."""
    return 1 if role in HELPING else -1 if role in HARMING else 0


def _measured(runs: Path, bench: Bench, taught: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    counts = [sum(label != IGNORED for label in one.labels[1:]) for one in bench.asked]
    ends = np.cumsum(counts)[:-1]
    asked = questions()
    told, scores = [], []
    for run in (Planned("base", -1), *plan()):
        found = done(runs, run)
        if found is None:
            continue
        left = list(range(taught)) if run.seed < 0 else run.left_out
        told.append({"run": run.name, "seed": run.seed, "left_out": [f"s{i:02d}" for i in left]})
        for question, tokens in zip(asked, np.split(found["answers"], ends), strict=True):
            scores.append({"run": run.name, "question": question.id, "logprobs": np.round(tokens, 4).tolist()})
    return told, scores


def write_parquet(file: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as a Parquet file."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, compression="zstd")
    write_atomically(file, sink.getvalue())


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, text.encode())
