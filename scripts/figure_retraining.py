"""Draw mappers against retraining again from the stored outcomes: python scripts/figure_retraining.py [FILE [FOLDER]]

The file is made with: attrib assess influence --out DIR
"""

from __future__ import annotations

import sys
from pathlib import Path

from attrib.assess.influence.run import InfluenceReport, table
from attrib.assess.influence.tell import write_retraining

FIGURES = Path(__file__).parents[1] / "figures"
NAME, PRESET = "influence", "neurips-double"


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURES / f"{NAME}.json"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else FIGURES
    found = InfluenceReport.from_json(file.read_text("utf-8"))
    for path in write_retraining(found, table(found), folder, ("pdf", "png"), PRESET):
        print(path)


if __name__ == "__main__":
    main()
