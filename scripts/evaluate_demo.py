"""Judge the demo's right answers and the tuned model's own: verdict AUROC, and gold section top-1 of every mapper.

    python scripts/evaluate_demo.py --records DIR [--log docs/log.md] [--adapter DIR] [--json]

Records are kept in DIR and reused, so a killed run goes on where it stopped (about 40 minutes on two cores in all).
The tables come from the test split; the verdict's weights are the package's (``scripts/evaluate_verdict.py``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attrib.corpus import demo
from attrib.corpus.demo import DemoQuestion
from attrib.explaining import ask, explain
from attrib.files import write_atomically
from attrib.index.library import Library
from attrib.measures import auroc
from attrib.models.bundled import get_default_model
from attrib.models.pair import ModelPair
from attrib.models.sources import DEMO_ADAPTER
from attrib.options.explain import ExplainOptions
from attrib.records import LABELS, Evidence, Explanation, Verdict, storage
from attrib.text.words import words
from attrib.verdict.calibration import Calibration
from attrib.verdict.judge import rejudge

KINDS = ("trained", "rephrased", "updated", "foundation", "held-out")
LABEL_OF = {"trained": 0, "rephrased": 0, "updated": 0, "foundation": 1, "held-out": 2}
MARKS = "<!-- demo:begin -->", "<!-- demo:end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, required=True, help="folder of the records, kept and reused")
    parser.add_argument("--adapter", default=DEMO_ADAPTER, help="another adapter of the same base, e.g. a checkpoint")
    parser.add_argument("--log", type=Path, help="Markdown file whose demo table is replaced")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()

    if arguments.log is not None and not set(MARKS) <= set(arguments.log.read_text("utf-8").splitlines()):
        parser.error(f"{arguments.log} lacks the lines {MARKS[0]} and {MARKS[1]}; add them where the table belongs")
    asked = demo.questions("test")
    judge_all(arguments.adapter, asked, arguments.records)
    gold, own = (
        {q.id: storage.load(arguments.records / kind / f"{q.id}.safetensors") for q in asked}
        for kind in ("gold", "own")
    )
    calibration = Calibration.default()
    gold, own = ({q.id: rejudge(judged[q.id], calibration) for q in asked} for judged in (gold, own))
    results = evaluate(asked, gold, own, judge_by_chance(asked, arguments.records))
    table = markdown(results)
    print(table)
    if arguments.log is not None:
        replace_table(arguments.log, table)
    if arguments.json:
        print(json.dumps(results))


def judge_all(adapter: str, asked: Sequence[DemoQuestion], folder: Path) -> None:
    """Records of the right answer (``gold``) and of the model's own (``own``), unless this adapter's are there."""
    pair = ModelPair.load(tuned=adapter)
    library = Library.make(demo.corpus(), device=pair.device)

    def done(question: DemoQuestion) -> bool:
        files = [folder / kind / f"{question.id}.safetensors" for kind in ("gold", "own")]
        wanted = (pair.tuned.fingerprint, library.corpus.sha256)
        return all(file.exists() and _made_from(storage.load(file)) == wanted for file in files)

    missing = [question for question in asked if not done(question)]
    options = ExplainOptions(methods=(), candidates=0, max_new_tokens=40)
    for number, question in enumerate(missing, 1):
        own = ask(pair, question.question, options.max_new_tokens)
        for kind, answer in (("gold", question.answer), ("own", None)):
            explanation = explain(pair, library, own, answer=answer, options=options)
            storage.save(explanation, folder / kind / f"{question.id}.safetensors")
        print(f"{number}/{len(missing)} {question.id} {explanation.answer!r}", file=sys.stderr, flush=True)


def _made_from(explanation: Explanation) -> tuple[str, str]:
    tuned, documents = explanation.provenance["tuned"], explanation.provenance["documents"]
    assert isinstance(tuned, dict)
    assert isinstance(documents, dict)
    return str(tuned["sha256"]), str(documents["sha256"])


def judge_by_chance(asked: Sequence[DemoQuestion], folder: Path) -> dict[str, Explanation]:
    """The right answers under the default model's architecture with random weights: the floor of every mapper."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    weights = folder / "random-weights"
    if not (weights / "model.safetensors").exists():
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(get_default_model()))
        network.save_pretrained(weights)
        AutoTokenizer.from_pretrained(get_default_model()).save_pretrained(weights)
    questions = [question for question in asked if question.section is not None]
    missing = [q for q in questions if not (folder / "random" / f"{q.id}.safetensors").exists()]
    if missing:
        pair = ModelPair.load(weights, weights)
        library = Library.make(demo.corpus(), cache=folder, device=pair.device)
        options = ExplainOptions(methods=(), mappers=("hidden",), candidates=0, max_new_tokens=1)
        for number, q in enumerate(missing, 1):
            explanation = explain(pair, library, q.question, answer=q.answer, options=options)
            storage.save(explanation, folder / "random" / f"{q.id}.safetensors")
            print(f"random weights {number}/{len(missing)}", file=sys.stderr, flush=True)
    return {q.id: storage.load(folder / "random" / f"{q.id}.safetensors") for q in questions}


def label_of(question: DemoQuestion, explanation: Explanation) -> int | None:
    """Where an answer comes from, as far as it is known, as an index into LABELS.

    A wrong answer may rest on sections about something else: None, unless the question is general knowledge. Then it
    is «base» where base says the same, else made up: «neither».
    """
    said = f" {' '.join(words(explanation.answer))} "
    if any(f" {' '.join(words(text))} " in said for text in (question.answer, *question.accept)):
        return LABEL_OF[question.kind]
    if question.kind != "foundation":
        return None
    return 1 if said in f" {' '.join(words(explanation.base_answer))} " else 2


def _sections(judged: Sequence[tuple[DemoQuestion, Explanation]]) -> tuple[Evidence, np.ndarray, np.ndarray]:
    """Evidence on all sections, which of them are gold in ``judged``, and which are decoys."""
    first = judged[0][1]
    evidence = first.verdict.evidence
    assert evidence is not None
    ids = {question.section for question, _ in judged if question.section is not None}
    decoys = demo.decoys()
    known = np.array([section.id in ids for section in first.sections])
    return evidence, known, np.array([section.id in decoys for section in first.sections])


def content_tokens(explanation: Explanation) -> list[int]:
    """Answer tokens that carry the answer: in words of four letters or more, or numbers, that the question lacks."""
    asked = set(words(explanation.question))
    rows = []
    for row, token in enumerate(explanation.answer_tokens):
        word = next(iter(words(token.text)), "")
        if word and word not in asked and (len(word) > 3 or word.isdigit()):
            rows.append(row)
    return rows


Figure = dict[str, float]


def evaluate(
    asked: Sequence[DemoQuestion],
    gold: dict[str, Explanation],
    own: dict[str, Explanation],
    chance: dict[str, Explanation],
) -> dict[str, dict[str, Figure]]:
    """Every figure with its bootstrap interval: {table: {row: {value, low, high, n}}}."""
    by_kind = {kind: [question for question in asked if question.kind == kind] for kind in KINDS}
    results: dict[str, dict[str, Figure]] = {"model": {}, "verdict": {}, "tokens": {}, "top1": {}, "mrr": {}}
    for kind in ("trained", "rephrased", "updated", "foundation"):
        hits = [(q.fact, label_of(q, own[q.id]) == LABEL_OF[kind]) for q in by_kind[kind]]
        results["model"][f"tuned model answers {kind} questions right"] = _mean(hits)
    for name, judged in (("right answer given", gold), ("model's own answer", own)):
        known = [(q, judged[q.id].verdict) for q in asked if label_of(q, judged[q.id]) is not None]
        for what, score in (("verdict", _documents), ("gain alone", _mean_gain)):
            positive = [(q.fact, score(verdict)) for q, verdict in known if q.kind in ("trained", "rephrased")]
            negative = [(q.fact, score(verdict)) for q, verdict in known if q.kind in ("foundation", "held-out")]
            row = f"AUROC of {what}, {name}: trained + rephrased against foundation + held-out"
            results["verdict"][row] = _auroc(positive, negative)
        right = [(q.fact, int(v.whole.argmax()) == label_of(q, judged[q.id])) for q, v in known]
        results["verdict"][f"verdict right, {name}"] = _mean(right)
    for kind, questions in by_kind.items():
        judged_so = [(q.fact, int(gold[q.id].verdict.whole.argmax()) == LABEL_OF[kind]) for q in questions]
        results["verdict"][f"{kind} judged {LABELS[LABEL_OF[kind]]}, right answer given"] = _mean(judged_so)
    wrong = [q for q in by_kind["held-out"] if label_of(q, own[q.id]) is None]
    invented = [(q.fact, own[q.id].verdict.called == "documents") for q in wrong]
    results["verdict"]["held-out, wrong own answer judged documents"] = _mean(invented)
    for kind, questions in by_kind.items():
        hits = [
            (q.fact, int(gold[q.id].verdict.tokens[row].argmax()) == LABEL_OF[kind])
            for q in questions
            for row in content_tokens(gold[q.id])
        ]
        results["tokens"][f"content tokens of {kind} judged {LABELS[LABEL_OF[kind]]}"] = _mean(hits)
    groups = {"trained + rephrased + updated": ("trained", "rephrased", "updated"), "held-out": ("held-out",)}
    for group, kinds in groups.items():
        questions = [question for kind in kinds for question in by_kind[kind]]
        for mapper, places in _places(questions, gold, chance).items():
            results["top1"][f"{mapper}, {group}"] = _mean([(fact, top1) for fact, top1, _ in places])
            results["mrr"][f"{mapper}, {group}"] = _mean([(fact, mrr) for fact, _, mrr in places])
    results["learned"] = _learned([(q, gold[q.id]) for q in asked])
    return results


def _documents(verdict: Verdict) -> float:
    return float(verdict.whole[0])


def _mean_gain(verdict: Verdict) -> float:
    return float(verdict.gain.mean())


def _places(
    asked: Sequence[DemoQuestion], judged: dict[str, Explanation], chance: dict[str, Explanation]
) -> dict[str, list[tuple[str, float, float]]]:
    """Fact, top-1 and reciprocal rank of the gold section, for each mapper and side; ties share their places."""
    places: dict[str, list[tuple[str, float, float]]] = {}
    for question in asked:
        explanation = judged[question.id]
        gold = next(i for i, section in enumerate(explanation.sections) if section.id == question.section)
        sides: dict[str, np.ndarray] = {}
        for name, mapping in explanation.mappings.items():
            if mapping.uses_model:
                sides[f"{name} (base)"] = mapping.base.whole
                sides[f"{name} (tuned)"] = mapping.tuned.whole
                sides[f"{name} (tuned − base)"] = mapping.tuned.whole - mapping.base.whole
                sides[f"{name} (random weights)"] = chance[question.id].mappings[name].base.whole
            else:
                sides[name] = mapping.tuned.whole
        order = np.empty(len(explanation.ranking))
        order[explanation.ranking] = -np.arange(len(order))
        sides["verdict's ranking"] = order
        for name, scores in sides.items():
            above, ties = int((scores > scores[gold]).sum()), int((scores == scores[gold]).sum())
            top1 = 1 / ties if above == 0 else 0.0
            mrr = float(np.mean(1 / np.arange(above + 1, above + ties + 1)))
            places.setdefault(name, []).append((question.fact, top1, mrr))
    return places


def _learned(judged: Sequence[tuple[DemoQuestion, Explanation]]) -> dict[str, Figure]:
    """How a section's own gain tells sections of the split that were tuned on from its decoys."""
    evidence, known, decoy = _sections(judged)
    own_gain = (evidence.text_tuned - evidence.text_base) / evidence.text_tokens
    control = (evidence.control_tuned - evidence.control_base) / evidence.control_tokens
    groups = {
        "sections tuned on": own_gain[known & ~decoy],
        "decoys": own_gain[known & decoy],
        "control texts": control,
    }
    named = {name: [(str(i), value) for i, value in enumerate(values)] for name, values in groups.items()}
    return {
        "AUROC, tuned on against decoys": _auroc(named["sections tuned on"], named["decoys"]),
        **{f"mean of {name}, nats a token": _mean(values) for name, values in named.items()},
    }


def _auroc(positive: Sequence[tuple[str, float]], negative: Sequence[tuple[str, float]]) -> Figure:
    if not positive or not negative:
        return {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0}
    rng = np.random.default_rng(0)
    draws = [auroc(_resample(positive, rng), _resample(negative, rng)) for _ in range(1000)]
    value = auroc(np.array([v for _, v in positive]), np.array([v for _, v in negative]))
    return _figure(value, draws, len(positive) + len(negative))


def _mean(values: Sequence[tuple[str, float]]) -> Figure:
    if not values:
        return {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0}
    rng = np.random.default_rng(0)
    draws = [float(_resample(values, rng).mean()) for _ in range(1000)]
    return _figure(float(np.mean([v for _, v in values])), draws, len(values))


def _resample(values: Sequence[tuple[str, float]], rng: np.random.Generator) -> np.ndarray:
    """A bootstrap draw of whole facts: a question and its rephrasing are not independent."""
    by_fact: dict[str, list[float]] = {}
    for fact, value in values:
        by_fact.setdefault(fact, []).append(float(value))
    facts = list(by_fact)
    return np.array([v for i in rng.integers(len(facts), size=len(facts)) for v in by_fact[facts[i]]])


def _figure(value: float, draws: Sequence[float], n: int) -> Figure:
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"value": value, "low": float(low), "high": float(high), "n": n}


def markdown(results: dict[str, dict[str, Figure]]) -> str:
    """One table; intervals are 95% bootstrap."""
    titles = {
        "model": "The tuned model",
        "verdict": "Verdict",
        "tokens": "Token verdict",
        "top1": "Gold section top-1 (resemblance) among all sections, decoys included",
        "mrr": "Gold section, mean reciprocal rank",
        "learned": "A section's own gain, sections of the test split",
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
    """Put the table between its marks."""
    text = path.read_text("utf-8")
    begin, end = MARKS
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    write_atomically(path, f"{head}{begin}\n{table}\n{end}{tail}".encode())


if __name__ == "__main__":
    main()
