"""Judge the demo's right answers and the tuned model's own: verdict AUROC, and gold section top-1 of every mapper.

    python scripts/evaluate_demo.py --records DIR [--calibrate] [--log docs/log.md] [--adapter DIR] [--json]

Records are kept in DIR and reused, so a killed run goes on where it stopped (about 25 minutes on two cores in all).
``--calibrate`` fits the verdict's weights on the calibration split and writes them into the package first; the tables
always come from the test split.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from attrib import demo, storage
from attrib.contrast import (
    ANSWER_FEATURES,
    TOKEN_FEATURES,
    Calibration,
    answer_features,
    backing_by_section,
    learned_share,
    rejudge,
    surprise_removed,
    token_features,
)
from attrib.demo import Question
from attrib.explaining import ExplainOptions, ask, explain
from attrib.mapping.answer import words
from attrib.mapping.reading import Library
from attrib.measures import auroc
from attrib.models.pair import DEMO_ADAPTER, ModelPair
from attrib.records import LABELS, Explanation, Verdict

KINDS = ("trained", "rephrased", "updated", "foundation", "held-out")
LABEL_OF = {"trained": 0, "rephrased": 0, "updated": 0, "foundation": 1, "held-out": 2}
CALIBRATION = demo.DOCUMENTS.parents[1] / "calibration.json"
MARKS = "<!-- demo:begin -->", "<!-- demo:end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, required=True, help="folder of the records, kept and reused")
    parser.add_argument("--calibrate", action="store_true", help="fit the verdict on the calibration split first")
    parser.add_argument("--adapter", default=DEMO_ADAPTER, help="another adapter of the same base, e.g. a checkpoint")
    parser.add_argument("--log", type=Path, help="Markdown file whose demo table is replaced")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()

    splits = ("calibration", "test") if arguments.calibrate else ("test",)
    asked = [question for split in splits for question in demo.questions(split)]
    judge_all(arguments.adapter, asked, arguments.records)
    gold, own = (
        {q.id: storage.load(arguments.records / kind / f"{q.id}.safetensors") for q in asked}
        for kind in ("gold", "own")
    )
    if arguments.calibrate:
        chosen = [question for question in asked if question.split == "calibration"]
        calibration = fit([(q, gold[q.id]) for q in chosen], [(q, own[q.id]) for q in chosen])
        CALIBRATION.write_text(json.dumps(asdict(calibration), indent=1) + "\n", "utf-8")
    tested = [question for question in asked if question.split == "test"]
    calibration = Calibration.default()
    gold, own = (
        {question.id: rejudge(judged[question.id], calibration) for question in tested} for judged in (gold, own)
    )
    results = evaluate(tested, gold, own)
    table = markdown(results)
    print(table)
    if arguments.log is not None:
        replace_table(arguments.log, table)
    if arguments.json:
        print(json.dumps(results))


def judge_all(adapter: str, asked: Sequence[Question], folder: Path) -> None:
    """Records of the right answer (``gold``) and of the tuned model's own (``own``), unless they are there."""
    missing = [q for q in asked if not (folder / "own" / f"{q.id}.safetensors").exists()]
    if not missing:
        return
    pair = ModelPair.load(tuned=adapter)
    library = Library(demo.corpus(), demo.control())
    options = ExplainOptions(methods=(), candidates=0, max_new_tokens=40)
    for number, question in enumerate(missing, 1):
        both = ask(pair, question.question, max_new_tokens=options.max_new_tokens)
        for kind, answer in (("gold", question.answer), ("own", None)):
            explanation = explain(
                pair, library.corpus, question.question, answer=answer, options=options, library=library, asked=both
            )
            storage.save(explanation, folder / kind / f"{question.id}.safetensors")
        print(f"{number}/{len(missing)} {question.id} {explanation.answer!r}", file=sys.stderr, flush=True)


def label_of(question: Question, explanation: Explanation) -> int | None:
    """Where an answer comes from, as far as it is known; None where a wrong answer may rest on any section.

    A wrong answer to a question that tuning never taught comes from nowhere: «neither».
    """
    right = " ".join(words(question.answer)) in " ".join(words(explanation.answer))
    if right:
        return LABEL_OF[question.kind]
    return None if LABEL_OF[question.kind] == 0 else 2


def fit(gold: Sequence[tuple[Question, Explanation]], own: Sequence[tuple[Question, Explanation]]) -> Calibration:
    """Weights from the calibration split: sections told from decoys, answers and their content words told by kind.

    The model's own answers count too: what it makes up gains as much as what it learned, and must not pass for it.
    """
    middle, width = _learned_curve(gold)
    start = Calibration(middle, width, ((),), (), ((),), ())
    answers, labels, tokens, token_labels = [], [], [], []
    for question, explanation in (*gold, *own):
        evidence = explanation.verdict.evidence
        label = label_of(question, explanation)
        if label is None:
            continue
        assert evidence is not None
        backing = backing_by_section(evidence, learned_share(evidence, start))
        by_token = token_features(evidence, backing)
        rows = content_tokens(explanation)
        answers.append([answer_features(evidence, backing)[name] for name in ANSWER_FEATURES])
        labels.append(label)
        tokens += [[by_token[name][row] for name in TOKEN_FEATURES] for row in rows]
        token_labels += [label] * len(rows)
    answer_weights, answer_bias = _logistic(np.array(answers), labels)
    token_weights, token_bias = _logistic(np.array(tokens), token_labels)
    return Calibration(middle, width, answer_weights, answer_bias, token_weights, token_bias)


def _learned_curve(judged: Sequence[tuple[Question, Explanation]]) -> tuple[float, float]:
    """Where a section counts as learned: between decoys and sections tuned on, of the calibration split."""
    decoys = demo.decoys()
    ids = {question.section for question, _ in judged if question.section is not None}
    first = judged[0][1]
    evidence = first.verdict.evidence
    assert evidence is not None
    removed = surprise_removed(evidence.text_base, evidence.text_tuned)
    removed = removed - surprise_removed(evidence.control_base, evidence.control_tuned).mean()
    known = np.array([section.id in ids for section in first.sections])
    decoy = np.array([section.id in decoys for section in first.sections])
    low, high = np.quantile(removed[known & decoy], 0.95), np.quantile(removed[known & ~decoy], 0.05)
    # Half-way between the bulks; a tenth of the gap is the soft edge.
    return round(float((low + high) / 2), 4), round(float(abs(high - low) / 10), 4)


def _logistic(features: np.ndarray, labels: Sequence[int]) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
    model = LogisticRegression(C=1.0, max_iter=5000, class_weight="balanced").fit(features, labels)
    rounded = [tuple(round(float(w), 4) for w in row) for row in model.coef_]
    return tuple(rounded), tuple(round(float(b), 4) for b in model.intercept_)


def content_tokens(explanation: Explanation) -> list[int]:
    """Answer tokens that carry the answer: in words of four letters or more, or numbers, that the question lacks."""
    asked = set(words(explanation.question))
    rows = []
    for row, token in enumerate(explanation.answer_tokens):
        word = next(iter(words(token.text)), "")
        if word and word not in asked and (len(word) > 3 or word.isdigit()):
            rows.append(row)
    return rows


def evaluate(
    asked: Sequence[Question], gold: dict[str, Explanation], own: dict[str, Explanation]
) -> dict[str, dict[str, dict[str, float]]]:
    """Every figure with its bootstrap interval: {table: {row: {value, low, high, n}}}."""
    by_kind = {kind: [question for question in asked if question.kind == kind] for kind in KINDS}
    results: dict[str, dict[str, dict[str, float]]] = {
        "model": {},
        "verdict": {},
        "tokens": {},
        "sections": {},
        "learned": {},
    }
    for kind, questions in by_kind.items():
        said = np.array([float(label_of(q, own[q.id]) == LABEL_OF[kind]) for q in questions if kind != "held-out"])
        if said.size:
            results["model"][f"tuned model answers {kind} questions right"] = _mean(said)
    for name, judged in (("right answer", gold), ("own answer", own)):
        known = [(q, judged[q.id].verdict) for q in asked if label_of(q, judged[q.id]) is not None]
        for what, score in (("verdict", _documents), ("gain alone", _mean_gain)):
            positive = np.array([score(verdict) for q, verdict in known if q.kind in ("trained", "rephrased")])
            negative = np.array([score(verdict) for q, verdict in known if q.kind in ("foundation", "held-out")])
            results["verdict"][f"AUROC of {what}, {name}"] = _auroc(positive, negative)
        hits = [float(int(verdict.whole.argmax()) == label_of(q, judged[q.id])) for q, verdict in known]
        results["verdict"][f"verdict right, {name}"] = _mean(np.array(hits))
    for kind, questions in by_kind.items():
        right = np.array([float(int(gold[q.id].verdict.whole.argmax()) == LABEL_OF[kind]) for q in questions])
        results["verdict"][f"{kind} judged {LABELS[LABEL_OF[kind]]}, right answer"] = _mean(right)
    for kind, questions in by_kind.items():
        hits = [
            float(int(gold[q.id].verdict.tokens[row].argmax()) == LABEL_OF[kind])
            for q in questions
            for row in content_tokens(gold[q.id])
        ]
        results["tokens"][f"content tokens of {kind} judged {LABELS[LABEL_OF[kind]]}"] = _mean(np.array(hits))
    for group, kinds in (
        ("trained + rephrased + updated", ("trained", "rephrased", "updated")),
        ("held-out", ("held-out",)),
    ):
        questions = [question for kind in kinds for question in by_kind[kind]]
        for mapper, ranks in _ranks(questions, gold).items():
            results["sections"][f"{mapper}, {group}"] = _mean(np.array([float(rank == 0) for rank in ranks]))
    results["learned"] = _learned(next(iter(gold.values())))
    return results


def _documents(verdict: Verdict) -> float:
    return float(verdict.whole[0])


def _mean_gain(verdict: Verdict) -> float:
    return float(verdict.gain.mean())


def _ranks(asked: Sequence[Question], judged: dict[str, Explanation]) -> dict[str, list[int]]:
    """Rank of the gold section for each mapper and side."""
    ranks: dict[str, list[int]] = {}
    for question in asked:
        explanation = judged[question.id]
        place = next(i for i, section in enumerate(explanation.sections) if section.id == question.section)
        for name, mapping in explanation.mappings.items():
            sides = {name: mapping.tuned.whole}
            if mapping.uses_model:
                sides = {
                    f"{name} (base)": mapping.base.whole,
                    f"{name} (tuned)": mapping.tuned.whole,
                    f"{name} (tuned − base)": mapping.tuned.whole - mapping.base.whole,
                }
            for side, scores in sides.items():
                ranks.setdefault(side, []).append(int((scores > scores[place]).sum()))
        ranks.setdefault("verdict's ranking", []).append(int(np.flatnonzero(explanation.ranking == place)[0]))
    return ranks


def _learned(explanation: Explanation) -> dict[str, dict[str, float]]:
    decoys = demo.decoys()
    is_decoy = np.array([section.id in decoys for section in explanation.sections])
    verdict = explanation.verdict
    return {
        "AUROC of a section's own gain, tuned on against decoys": _auroc(
            verdict.section_gain[~is_decoy], verdict.section_gain[is_decoy]
        ),
        "mean own gain of sections tuned on, nats a token": _mean(verdict.section_gain[~is_decoy]),
        "mean own gain of decoys, nats a token": _mean(verdict.section_gain[is_decoy]),
        "mean own gain of control texts, nats a token": _mean(verdict.control_gain),
    }


def _auroc(positive: np.ndarray, negative: np.ndarray) -> dict[str, float]:
    rng = np.random.default_rng(0)
    draws = [auroc(rng.choice(positive, len(positive)), rng.choice(negative, len(negative))) for _ in range(1000)]
    low, high = np.quantile(draws, (0.025, 0.975))
    n = len(positive) + len(negative)
    return {"value": auroc(positive, negative), "low": float(low), "high": float(high), "n": n}


def _mean(values: np.ndarray) -> dict[str, float]:
    rng = np.random.default_rng(0)
    draws = rng.choice(values, (1000, len(values))).mean(1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"value": float(values.mean()), "low": float(low), "high": float(high), "n": len(values)}


def markdown(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """One table; intervals are 95% bootstrap."""
    titles = {
        "model": "The tuned model",
        "verdict": "Verdict",
        "tokens": "Token verdict",
        "sections": "Gold section top-1 (resemblance) among all sections, decoys included",
        "learned": "A section's own gain",
    }
    lines = ["| figure | value | 95% interval | n |", "|---|---|---|---|"]
    for table, rows in results.items():
        lines.append(f"| **{titles[table]}** | | | |")
        lines += [
            f"| {name} | {r['value']:.3f} | {r['low']:.3f} – {r['high']:.3f} | {r['n']:.0f} |"
            for name, r in rows.items()
        ]
    return "\n".join(lines)


def replace_table(path: Path, table: str) -> None:
    """Put the table between its marks, which the file must have."""
    text = path.read_text("utf-8")
    begin, end = MARKS
    head, _, rest = text.partition(begin)
    _, mark, tail = rest.partition(end)
    if not mark:
        sys.exit(f"{path}: the marks {begin} and {end} are missing; add them where the table belongs")
    path.write_text(f"{head}{begin}\n{table}\n{end}{tail}", "utf-8")


if __name__ == "__main__":
    main()
