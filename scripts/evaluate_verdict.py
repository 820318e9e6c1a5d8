"""The verdict judged on pairs of model and documents that its weights never saw.

    python scripts/evaluate_verdict.py STAGE … --work DIR [--pairs NAME,…]

Stages, in order: train (the adapters), answers (what the models say), judge (the evidence of every answer), causal
(retraining without sections), score (leave-one-pair-out), draw, fit (the package's weights, from all pairs). Each
resumes where it was stopped; everything big lies in DIR. Needs $ATTRIB_SHARED for FineTuneBench's pairs and the network
once for Gemma's; without them these are skipped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from suite import table
from suite.answers import answers_of
from suite.causal import causal_table, retrained, stored_runs
from suite.corpora import SuiteCorpus, read_corpus
from suite.draw import write_verdict
from suite.fit import fit_calibration
from suite.gemma import NotFetchedError
from suite.judge import judged_rows, stored_rows
from suite.others import read_suite
from suite.pairs import SuitePair, chosen
from suite.score import PairRows, score_pairs
from suite.train import COST, TunedPair, trained

from attrib.errors import AttribError, InputError
from attrib.records.codec import to_json

FIGURES = Path(__file__).parents[1] / "figures"
WEIGHTS = FIGURES.with_name("attrib") / "data" / "calibration.json"
CAUSAL_PAIR = "retraining"
"""The pair whose tokens have causal labels: tuned as the retrains are."""


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def progress(what: str, done: int, total: int) -> None:
    """A line for every tenth."""
    if done == total or done % max(1, total // 10) == 0:
        say(f"  {what} {done}/{total}")


def there(pairs: Sequence[SuitePair]) -> tuple[list[tuple[SuitePair, SuiteCorpus]], dict[str, str]]:
    """Pairs whose corpus is there, and why the others are skipped."""
    found, skipped = [], {}
    for pair in pairs:
        try:
            found.append((pair, read_suite(pair.corpus)))
        except InputError as error:
            skipped[pair.name] = str(error)
            say(f"{pair.name}: skipped ({error})")
    return found, skipped


def tuned_pairs(
    pairs: Sequence[SuitePair], work: Path, what: str
) -> Iterator[tuple[SuitePair, SuiteCorpus, TunedPair]]:
    """Each pair with its models; one whose base cannot be fetched is skipped with a line."""
    for pair, suite in there(pairs)[0]:
        say(f"{what} {pair.name}")
        try:
            models = trained(pair, suite, work, progress)
        except NotFetchedError as error:
            say(f"{pair.name}: skipped ({error})")
            continue
        yield pair, suite, models


def train_all(pairs: Sequence[SuitePair], work: Path) -> None:
    """Stage ``train``."""
    for _ in tuned_pairs(pairs, work, "train"):
        pass


def answer_all(pairs: Sequence[SuitePair], work: Path) -> None:
    """Stage ``answers``."""
    for _, suite, models in tuned_pairs(pairs, work, "answers of"):
        answers_of(models.load(), suite, work, progress)


def judge_all(pairs: Sequence[SuitePair], work: Path) -> None:
    """Stage ``judge``."""
    for pair, suite, models in tuned_pairs(pairs, work, "judge"):
        judged_rows(models.load(), pair.name, suite, work, progress)


def causal_runs(pairs: Sequence[SuitePair], work: Path) -> None:
    """Stage ``causal``."""
    retrained(work, progress)


def score_all(pairs: Sequence[SuitePair], work: Path) -> None:
    """Stage ``score``: pairs that are not judged yet are left out, and said."""
    rows: dict[str, PairRows] = {}
    found, skipped = there(pairs)
    for pair, _ in found:
        stored = stored_rows(pair.name, work)
        if stored is None:
            skipped[pair.name] = "not judged"
            say(f"{pair.name}: skipped (not judged; run the stages before)")
        else:
            rows[pair.name] = PairRows(*stored)
    if len(rows) < 2:
        raise InputError(f"score: {len(rows)} pairs are judged; leave-one-pair-out needs two")
    scored = score_pairs(rows)
    causal, runs = None, stored_runs(work)
    if runs is None:
        say("causal labels: skipped (run stage causal)")
    elif CAUSAL_PAIR in rows:
        own = next(pair for pair in scored if pair.name == CAUSAL_PAIR)
        causal = causal_table(read_corpus(CAUSAL_PAIR), runs, own.answers)
    costs = json.loads((work / COST).read_text("utf-8")) if (work / COST).is_file() else {}
    content = table.content_of(scored, pairs, costs, skipped, causal)
    table.write(content, work / "verdict.json")
    print(table.markdown(content))


def draw(pairs: Sequence[SuitePair], work: Path) -> None:
    """Stage ``draw``: the table and its figure go into ``figures/``."""
    content = table.read(work / "verdict.json")
    table.write(content, FIGURES / "verdict.json")
    for name in write_verdict(FIGURES / "verdict.json", FIGURES, ("pdf", "png"), "neurips-double"):
        print(name)


def fit(pairs: Sequence[SuitePair], work: Path) -> None:
    """Stage ``fit``: weights of all judged pairs become the package's."""
    rows = {pair.name: found[0] for pair, _ in there(pairs)[0] if (found := stored_rows(pair.name, work)) is not None}
    made = to_json(fit_calibration(rows))
    WEIGHTS.write_text(f"{json.dumps(made, indent=1)}\n", encoding="utf-8")
    print(f"{WEIGHTS}: {', '.join(rows)}")


STAGES: dict[str, Callable[[Sequence[SuitePair], Path], None]] = {
    "train": train_all, "answers": answer_all, "judge": judge_all, "causal": causal_runs, "score": score_all,
    "draw": draw, "fit": fit,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="+", choices=tuple(STAGES), metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--work", type=Path, required=True, help="folder of adapters, answers and evidence")
    parser.add_argument("--pairs", help="names, comma-separated; default: all")
    options = parser.parse_args(arguments)
    try:
        for stage in options.stages:
            STAGES[stage](chosen(options.pairs), options.work)
    except AttribError as error:
        parser.exit(2, f"evaluate_verdict: {error}\n")


if __name__ == "__main__":
    main()
