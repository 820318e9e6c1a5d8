"""Draw the prompt heatmap again from a stored record: python scripts/figure_prompt.py [RECORD [FOLDER]]

The record is made with: attrib explain "Who was the first keeper of Carrow Point Light?" --out DIR
--methods attention,saliency,input_x_gradient,relevance,information_flow,leave_one_out
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from attrib.records import storage
from attrib.render import export

FIGURES = Path(__file__).parents[1] / "figures"
RECORD, NAME, PRESET = "demo.safetensors", "demo-prompt", "neurips-double"


def main() -> None:
    record = Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURES / RECORD
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else FIGURES
    explanation = storage.load(record)
    drawing = replace(export.prompt(explanation, "leave_one_out", preset=PRESET), name=NAME)
    for path in export.write_drawing(explanation, drawing, folder, ("pdf", "png"), PRESET):
        print(path)


if __name__ == "__main__":
    main()
