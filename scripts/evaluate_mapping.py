"""Do mappers find the section that a question is about, in corpora whose answers are known?

    python scripts/evaluate_mapping.py [--finetunebench FOLDER [--set people]] [--split test] [--limit N] [--json]

The demo: its trained, rephrased, updated and held-out questions against all sections, decoys included. Or FineTuneBench
(2411.05059), from a folder of yours in its published layout: each fictional person's fact against all facts, each
medical guideline against all snippets, each news question against the pieces of all articles. Gold sections are those
the data name. Resemblance only, no influence: base alone is asked, and ``combined`` is its resemblance. Intervals are
95% bootstrap over questions; equal scores share the place; ``random`` draws scores. Top-1 of each set is printed; with
--json the last line is one object {mapper: {accuracy, low, high, n}} over all questions of the sets that ran.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attrib.corpus import demo
from attrib.corpus.documents import Corpus
from attrib.errors import AttribError, InputError
from attrib.index.library import Library
from attrib.index.readings import read_sections
from attrib.mapping import MAPPERS
from attrib.mapping.answer import Answer
from attrib.mapping.combined import blend, mix
from attrib.mapping.reading import Reading, mapping_layer
from attrib.measures import bootstrap_interval
from attrib.models.bundled import cache_dir
from attrib.models.pair import ModelPair
from attrib.models.prompt import encode_given
from attrib.passes.capture import CaptureOptions, capture

SCORED = ("bm25", "bm25_answer", "verbatim", "embedding", "hidden")
SETS = {
    "people": ("fictional_people/fictional_people_memorization.csv", "question", "fact"),
    "people, rephrased": ("fictional_people/fictional_people_rephrased.csv", "rephrased_question", "fact"),
    "medical": ("medical/medical_memorization.csv", "prompt", "update_reference_snippet"),
    "news": ("latest_news/latest_news_memorization.csv", "question", "article_text"),
    "news, rephrased": ("latest_news/latest_news_rephrased.csv", "rephrased_question", "article_text"),
}
"""File, question's column, gold text's column; the answer's is ``answer``."""


@dataclass(frozen=True)
class Task:
    """Questions whose gold sections are known."""

    name: str
    corpus: Corpus
    questions: tuple[tuple[str, str, frozenset[int]], ...]
    """Question, answer, numbers of the gold sections: all pieces of a long article."""


def demo_task(split: str | None) -> Task:
    """The demo's questions about documents."""
    corpus = demo.corpus()
    number = {section.id: i for i, section in enumerate(corpus.sections)}
    asked = [q for q in demo.questions(split) if q.section is not None]
    rows = [(q.question, q.answer, frozenset({number[q.section or ""]})) for q in asked]
    return Task("demo", corpus, tuple(rows))


def finetunebench_tasks(folder: Path) -> list[Task]:
    """One task a file of ``SETS`` that is there. Raises InputError where none is, and for missing columns."""
    tasks = []
    for name, (file, question, gold) in SETS.items():
        path = folder / file
        if path.is_file():
            tasks.append(_read(name, path, question, gold))
    if not tasks:
        raise InputError(f"{folder}: none of {', '.join(file for file, _, _ in SETS.values())} is there")
    return tasks


def chosen_tasks(folder: Path | None, only: str | None, split: str) -> list[Task]:
    """The demo's questions, or those of a FineTuneBench folder. Raises InputError for a set that is not there."""
    if folder is None:
        if only is not None:
            raise InputError(f"set {only!r}: it is one of FineTuneBench's; add --finetunebench FOLDER")
        return [demo_task(None if split == "all" else split)]
    tasks = [task for task in finetunebench_tasks(folder) if only in (None, task.name)]
    if not tasks:
        raise InputError(f"{folder}: its set {only!r} is not there; check the folder")
    return tasks


def _read(name: str, path: Path, question: str, gold: str) -> Task:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    missing = [column for column in (question, "answer", gold) if not rows or column not in rows[0]]
    if missing:
        raise InputError(f"{path}: no column {missing[0]!r}; give the file as it was published")
    texts = list(dict.fromkeys(row[gold].strip() for row in rows))
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "texts.jsonl"
        written.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
        # Articles are longer than a section, and than many a model's context.
        corpus = Corpus.read(written)
    pieces: dict[str, set[int]] = {}
    for i, section in enumerate(corpus.sections):
        assert section.row is not None
        pieces.setdefault(texts[section.row - 1], set()).add(i)
    asked = [(row[question].strip(), row["answer"].strip(), frozenset(pieces[row[gold].strip()])) for row in rows]
    return Task(name, corpus, tuple(asked))


def evaluate(pair: ModelPair, task: Task, cache: Path | None, seed: int = 0) -> dict[str, np.ndarray]:
    """Share of the first place that each question's gold section has, by mapper, [question]."""
    library = Library.make(task.corpus, cache=cache, device=pair.device)
    layer = mapping_layer(pair)
    numbers = library.with_control(np.arange(len(task.corpus)))
    sections = {int(i): library.sections[i] for i in numbers}
    captures = read_sections(pair, "base", sections, layer, cache=cache, progress=_progress)
    reading = Reading(library, numbers, captures)
    control = numbers >= len(task.corpus)
    rng = np.random.default_rng(seed)
    hits: dict[str, list[float]] = {}
    for done, (question, answer, gold) in enumerate(task.questions):
        _progress(task.name, done, len(task.questions))
        mapped = _answer(pair, question, answer, layer)
        scores = {name: MAPPERS[name].score(mapped, reading) for name in SCORED}
        whole = {name: found.whole for name, found in scores.items()}
        whole["combined"] = mix({name: scores[name] for name in blend().resemblance}, control, blend()).whole
        whole["random"] = rng.normal(size=len(numbers))
        for name, values in whole.items():
            hits.setdefault(name, []).append(first_place(values[: len(task.corpus)], gold))
    return {name: np.array(values) for name, values in hits.items()}


def first_place(scores: np.ndarray, gold: frozenset[int]) -> float:
    """1 where a gold section is first alone, its share where others have the same score, 0 else."""
    best = np.flatnonzero(scores >= scores.max() - 1e-9)
    return len(gold.intersection(best.tolist())) / len(best)


def _answer(pair: ModelPair, question: str, answer: str, layer: int) -> Answer:
    encoded = encode_given(pair.chat, question, answer, context=pair.context)
    states = capture(pair.base, encoded, CaptureOptions(attention=False, layers=(layer,))).hidden
    assert states is not None
    return Answer(question, encoded.answer, encoded.answer_tokens, states[0, len(encoded.prompt_ids) :])


def _progress(what: str, done: int, total: int) -> None:
    if done % 20 == 0:
        print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)


def summary(hits: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Accuracy and its interval by mapper."""
    out = {}
    for name, values in hits.items():
        low, high = bootstrap_interval(values)
        out[name] = {"accuracy": float(values.mean()), "low": low, "high": high, "n": len(values)}
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finetunebench", type=Path, help="folder of FineTuneBench as published")
    parser.add_argument("--set", choices=tuple(SETS), help="one of its sets; default: all that are there")
    parser.add_argument("--split", default="test", choices=("calibration", "test", "all"), help="of the demo")
    parser.add_argument("--limit", type=int, help="questions of each corpus at most")
    parser.add_argument("--no-cache", action="store_true", help="keep nothing of what the model makes of texts")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    options = parser.parse_args(arguments)
    try:
        pair = ModelPair.load(device="cpu")
        hits: dict[str, list[np.ndarray]] = {}
        for task in chosen_tasks(options.finetunebench, options.set, options.split):
            task = Task(task.name, task.corpus, task.questions[: options.limit])
            found = evaluate(pair, task, None if options.no_cache else cache_dir())
            for name, row in sorted(summary(found).items(), key=lambda item: -item[1]["accuracy"]):
                low, high = row["low"], row["high"]
                print(f"{task.name:18} {name:12} {row['accuracy']:.3f} [{low:.3f}, {high:.3f}]  n = {row['n']}")
                hits.setdefault(name, []).append(found[name])
    except AttribError as error:
        parser.exit(2, f"evaluate_mapping: {error}\n")
    if options.json:
        print(json.dumps(summary({name: np.concatenate(some) for name, some in hits.items()})))


if __name__ == "__main__":
    main()
