"""Draw figures/ again from its stored records: python scripts/figures.py [NAME …] [--record FILE] [--out FOLDER]

Without a NAME all are drawn. How the record of each is made:

sections, prompt, methods: attrib explain "Who was the first keeper of Carrow Point Light?" --out DIR
    --methods attention,saliency,input_x_gradient,relevance,information_flow,leave_one_out
heads: attrib explain "Who was the first keeper of Carrow Point Light?" --out DIR --max-new-tokens 16
    -o explain.heads=true --methods attention --mappers bm25,hidden
strip: attrib explain "Who was the first keeper of Carrow Point Light?" --out DIR --methods attention
    --mappers bm25,hidden --answer "Its first keeper was Wilmet Dallin, a retired whaler, who came from London, the
    capital of the United Kingdom, and married Jane Porter."
track, gains: attrib explain "What happened to Tern Hollow Light in 1743?" --out DIR --methods attention
    --mappers bm25,hidden,combined --candidates 0
benchmark: attrib assess benchmark --out DIR
faithfulness: attrib assess faithfulness --limit 20 --random-orders 8 --out DIR
influence: attrib assess influence --out DIR
verdict: python scripts/evaluate_verdict.py train answers judge causal score draw --work DIR
truth: python scripts/make_truth.py documents runs tables scores gate --work DIR
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from suite.draw import write_verdict
from truth.draw import write_truth

from attrib.assess.benchmark.run import BenchmarkReport
from attrib.assess.benchmark.tell import benchmark_files
from attrib.assess.faithfulness.run import FaithfulnessReport
from attrib.assess.faithfulness.tell import write_faithfulness
from attrib.assess.influence.metrics import table
from attrib.assess.influence.records import InfluenceReport
from attrib.assess.influence.tell import write_retraining
from attrib.assess.stored import read_report
from attrib.records import Explanation, storage
from attrib.render import drawing
from attrib.render.tables import write_files

FOLDER = Path(__file__).parents[1] / "figures"
FORMATS, PRESET = ("pdf", "png"), "neurips-double"


def benchmark(record: Path, out: Path) -> list[str]:
    return write_files(out, benchmark_files(read_report(BenchmarkReport, record), FORMATS, PRESET))


def faithfulness(record: Path, out: Path) -> list[str]:
    return write_faithfulness(read_report(FaithfulnessReport, record), out, FORMATS, PRESET)


def influence(record: Path, out: Path) -> list[str]:
    report = read_report(InfluenceReport, record)
    return write_retraining(report, table(report), out, FORMATS, PRESET)


def verdict(record: Path, out: Path) -> list[str]:
    return write_verdict(record, out, FORMATS, PRESET)


def truth(record: Path, out: Path) -> list[str]:
    return write_truth(record, out, FORMATS, PRESET)


ANSWERS: dict[str, tuple[str, Callable[[Explanation], drawing.Drawing]]] = {
    "sections": ("demo", lambda explanation: drawing.sections(explanation, "hidden", preset=PRESET)),
    "prompt": ("demo", lambda explanation: drawing.prompt(explanation, "leave_one_out", preset=PRESET)),
    "methods": ("demo", lambda explanation: drawing.comparison(explanation, preset=PRESET)),
    "heads": ("heads", lambda explanation: drawing.heads(explanation, preset=PRESET)),
    "strip": ("strip", lambda explanation: drawing.strip(explanation, preset=PRESET)),
    "track": ("track", lambda explanation: drawing.track(explanation, "hidden", preset=PRESET)),
    "gains": ("track", lambda explanation: drawing.gains(explanation, preset=PRESET)),
}
"""Figures of one answer, drawn as demo-NAME: the stored record and what draws it."""
REPORTS: dict[str, Callable[[Path, Path], list[str]]] = {
    "benchmark": benchmark,
    "faithfulness": faithfulness,
    "influence": influence,
    "verdict": verdict,
    "truth": truth,
}
"""Figures of assessments: what draws the report of the same name."""
NAMES = (*ANSWERS, *REPORTS)


def record_of(name: str) -> Path:
    """The stored record that a figure is drawn from."""
    if name == "truth":
        return Path(__file__).parent / "truth" / "data" / "gate.json"
    return FOLDER / (f"{ANSWERS[name][0]}.safetensors" if name in ANSWERS else f"{name}.json")


def draw(name: str, record: Path, out: Path) -> list[str]:
    """Write one figure with its caption, numbers and LaTeX snippet; returns the files."""
    if name in REPORTS:
        return REPORTS[name](record, out)
    explanation = storage.load(record)
    made = replace(ANSWERS[name][1](explanation), name=f"demo-{name}")
    return drawing.write(explanation, made, out, FORMATS, PRESET)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw figures/ again from its stored records.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"figures to draw (default: all): {', '.join(NAMES)}")
    parser.add_argument("--record", type=Path, help="draw from this record instead of the stored one")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to (default: figures/)")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.names) - set(NAMES)):
        parser.error(f"no figure {', '.join(unknown)}; choose from {', '.join(NAMES)}")
    for name in asked.names or NAMES:
        for path in draw(name, asked.record or record_of(name), asked.out):
            print(path)


if __name__ == "__main__":
    main()
