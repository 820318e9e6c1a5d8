"""Scored pairs → one small JSON file of numbers, from which tables are printed and the figure is drawn.

It holds no text of any corpus. Not covered: the evidence, which stays in the work folder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrib.errors import RecordError
from attrib.files import write_atomically
from attrib.models.fingerprint import versions
from suite.pairs import SuitePair
from suite.score import (
    GIVEN,
    OWN,
    STRICT,
    ScoredPair,
    Table,
    auroc_table,
    kind_table,
    mixed_table,
    promise_table,
    reliability,
)

NAME, SCHEMA = "verdict suite", 1

Content = dict[str, Any]


def content_of(
    scored: Sequence[ScoredPair],
    suite: Sequence[SuitePair],
    costs: Mapping[str, Mapping[str, int]],
    skipped: Mapping[str, str],
    causal: Table | None,
) -> Content:
    """All tables. ``costs``: items and CPU seconds of each tuning; ``skipped``: why a pair is not there."""
    by_name = {pair.name: pair for pair in suite}
    found = {
        "attrib": NAME,
        "schema": SCHEMA,
        "pairs": [_pair(one, by_name[one.name], costs.get(one.name, {})) for one in scored],
        "skipped": dict(skipped),
        "auroc": auroc_table(scored),
        "kinds": kind_table(scored),
        "promise": promise_table(scored),
        "reliability": [reliability(scored, scorer) for scorer in scored[0].thresholds],
        "mixed": mixed_table(scored),
        "causal": causal or [],
        "versions": versions(),
    }
    rounded: Content = _rounded(found)
    return rounded


def _pair(scored: ScoredPair, pair: SuitePair, cost: Mapping[str, int]) -> Content:
    """The pair in numbers: how many answers, and what its model learned."""
    answers = [one.row.answer for one in scored.answers]
    learned = {a.fact: a.learned for a in answers if a.kind == "trained" and a.whose == "given"}
    general = [a for a in answers if a.kind == "foundation" and a.whose == "tuned"]
    rephrased = [a for a in answers if a.kind == "rephrased" and a.whose == "tuned"]
    return {
        "pair": pair.name, "corpus": pair.corpus, "base": pair.base, "tuning": pair.what, "rank": pair.rank,
        "epochs": pair.epochs, "all_weights": pair.full, "answers": len(answers),
        "controls": dict(scored.controls), "facts": len(learned), "learned": sum(map(bool, learned.values())),
        "rephrased_right": sum(a.right is True for a in rephrased), "rephrased": len(rephrased),
        "general_right": sum(a.right is True for a in general), "general": len(general), **cost,
    }  # fmt: skip


def _rounded(value: Any) -> Any:
    """Numbers to four digits after the point, what is not finite as null."""
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def write(content: Content, file: Path) -> None:
    """Write it as JSON, one row of a table a line."""
    parts = []
    for key, value in content.items():
        if isinstance(value, list) and value:
            rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in value)
            parts.append(f" {json.dumps(key)}: [\n  {rows}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    write_atomically(file, ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def read(file: Path) -> Content:
    """Raises RecordError for a file that is missing, damaged or of another kind."""
    try:
        content: Content = json.loads(file.read_text("utf-8"))
        if (content["attrib"], content["schema"]) != (NAME, SCHEMA):
            raise ValueError(f"it is {content['attrib']!r}, schema {content['schema']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{file}: {error}; make it again with scripts/evaluate_verdict.py") from error
    return content


def markdown(content: Content) -> str:
    """The tables that people read."""
    lines = ["| pair | tuning | learned | AUROC given | own | false documents | threshold |", "|" + "---|" * 7]
    for pair in content["pairs"]:
        name = pair["pair"]
        own = [_one(content, name, whose) for whose in (GIVEN, OWN)]
        promise = next(row for row in content["promise"] if (row["pair"], row["scorer"]) == (name, "verdict"))
        false = f"{_number(promise['false'])} [{_number(promise['low'])}, {_number(promise['high'])}]"
        lines.append(
            f"| {name} | {pair['tuning']} | {pair['learned']} of {pair['facts']} | {own[0]} | {own[1]} | "
            f"{false}, n = {promise['rest']} | {_number(promise['threshold'])} |"
        )
    lines += [
        "",
        "| scorer | AUROC given | own | own, wrong ones as rest | worst pair, given | own | ECE |",
        "|" + "---|" * 7,
    ]
    for found in content["reliability"]:
        scorer = found["scorer"]
        worst = [
            min((r["auroc"], r["pair"]) for r in _areas(content, scorer, whose) if r["pair"] != "all")
            for whose in (GIVEN, OWN)
        ]
        cells = [_one(content, "all", whose, scorer) for whose in (GIVEN, OWN, STRICT)]
        cells += [f"{_number(area)} ({pair})" for area, pair in worst]
        error = f"{_number(found['ece'])} [{_number(found['low'])}, {_number(found['high'])}]"
        lines.append(f"| {scorer} | {' | '.join(cells)} | {error} |")
    lines += ["", "| answers | kind | n | documents | base | neither | cannot tell |", "|" + "---|" * 7]
    for row in content["kinds"]:
        if row["pair"] == "all":
            shares = " | ".join(_number(row[name]) for name in ("documents", "base", "neither", "cannot tell"))
            lines.append(f"| {row['answers']} | {row['kind']} | {row['n']} | {shares} |")
    for name in ("mixed", "causal"):
        if content[name]:
            columns = list(content[name][0])
            lines += ["", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
            lines += [f"| {' | '.join(_number(row[c]) for c in columns)} |" for row in content[name]]
    return "\n".join(lines)


def _areas(content: Content, scorer: str, whose: str) -> list[Content]:
    return [row for row in content["auroc"] if (row["scorer"], row["answers"]) == (scorer, whose)]


def _one(content: Content, pair: str, whose: str, scorer: str = "verdict") -> str:
    for row in _areas(content, scorer, whose):
        if row["pair"] == pair:
            return f"{_number(row['auroc'])} [{_number(row['low'])}, {_number(row['high'])}]"
    return "none"


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".lstrip("0") if 0 <= value < 1 else f"{value:.3f}"
    return "none" if value is None else str(value)
