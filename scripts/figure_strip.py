"""Draw the answer with its verdicts again from a stored record: python scripts/figure_strip.py [RECORD [FOLDER]]

The record is made with: attrib explain "Who was the first keeper of Carrow Point Light?" --out DIR
--methods attention --mappers bm25,hidden --answer "Its first keeper was Wilmet Dallin, a retired whaler, who came from
London, the capital of the United Kingdom, and married Jane Porter."
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from attrib.records import storage
from attrib.render import export

FIGURES = Path(__file__).parents[1] / "figures"
RECORD, NAME, PRESET = "strip.safetensors", "demo-strip", "neurips-double"


def main() -> None:
    record = Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURES / RECORD
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else FIGURES
    explanation = storage.load(record)
    drawing = replace(export.strip(explanation, preset=PRESET), name=NAME)
    for path in export.write_drawing(explanation, drawing, folder, ("pdf", "png"), PRESET):
        print(path)


if __name__ == "__main__":
    main()
