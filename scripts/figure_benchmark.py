"""Draw the README's benchmark figure again from its stored report: python scripts/figure_benchmark.py [REPORT [FOLDER]]

The report is made with: attrib assess benchmark --out DIR
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from attrib.assess.benchmark.tell import benchmark_files, benchmark_of
from attrib.render.tables import write_files

FIGURES = Path(__file__).parents[1] / "figures"
NAME, PRESET = "benchmark", "neurips-double"


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURES / f"{NAME}.json"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else FIGURES
    report = benchmark_of(json.loads(file.read_text("utf-8")))
    for path in write_files(folder, benchmark_files(report, ("pdf", "png"), PRESET)):
        print(path)


if __name__ == "__main__":
    main()
