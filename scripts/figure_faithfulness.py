"""Draw the faithfulness figure again from a stored report: python scripts/figure_faithfulness.py [REPORT [FOLDER]]

The report is made with: attrib assess faithfulness --limit 20 --random-orders 8 --out DIR
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from attrib.assess.faithfulness.run import FaithfulnessReport, FaithfulnessRow
from attrib.assess.faithfulness.tell import write_faithfulness

FIGURES = Path(__file__).parents[1] / "figures"
NAME, PRESET = "faithfulness", "neurips-double"


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURES / f"{NAME}.json"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else FIGURES
    content = json.loads(file.read_text("utf-8"))
    rows = tuple(
        FaithfulnessRow(**{name: row[name] for name in FaithfulnessRow.__dataclass_fields__}) for row in content["rows"]
    )
    report = FaithfulnessReport(rows, content["seconds"], content["provenance"])
    for path in write_faithfulness(report, folder, ("pdf", "png"), PRESET):
        print(path)


if __name__ == "__main__":
    main()
