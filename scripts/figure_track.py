"""Draw the scores along the documents again from a stored record: python scripts/figure_track.py [RECORD [FOLDER]]

The record is made with: attrib explain "What happened to Tern Hollow Light in 1743?" --out DIR
--methods attention --mappers bm25,hidden,combined --candidates 0
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from attrib.records import storage
from attrib.render import export

FIGURES = Path(__file__).parents[1] / "figures"
RECORD, NAME, PRESET = "track.safetensors", "demo-track", "neurips-double"


def main() -> None:
    record = Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURES / RECORD
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else FIGURES
    explanation = storage.load(record)
    drawing = replace(export.track(explanation, "hidden", preset=PRESET), name=NAME)
    for path in export.write_drawing(explanation, drawing, folder, ("pdf", "png"), PRESET):
        print(path)


if __name__ == "__main__":
    main()
