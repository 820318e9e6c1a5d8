"""Draw the README's benchmark figure again from its stored report.

    python scripts/figure_benchmark.py [--report figures/benchmark.json] [--out figures] [--preset neurips-double]

The report is what ``attrib assess benchmark --out DIR`` writes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from attrib.render.benchmark import NAME, benchmark_caption, benchmark_figure, benchmark_of
from attrib.render.tables import drawn, write_files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=Path("figures/benchmark.json"))
    parser.add_argument("--out", type=Path, default=Path("figures"))
    parser.add_argument("--preset", default="neurips-double")
    arguments = parser.parse_args()
    report = benchmark_of(json.loads(arguments.report.read_text("utf-8")))
    figure = benchmark_figure(report, preset=arguments.preset)
    for file in write_files(arguments.out, drawn(NAME, figure, benchmark_caption(report), ("pdf", "png"))):
        print(file)


if __name__ == "__main__":
    main()
