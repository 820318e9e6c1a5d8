"""Draw the README's figures from a stored record: python scripts/figure_readme.py [RECORD]

The record is made with: attrib explain "Who was the first keeper of Carrow Point Light?" --out DIR
--methods attention,saliency,input_x_gradient,relevance,information_flow,leave_one_out
"""

from __future__ import annotations

import sys
from pathlib import Path

from attrib import storage
from attrib.render import figures

FIGURES = Path(__file__).parents[1] / "figures"


def main() -> None:
    record = Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURES / "demo.safetensors"
    explanation = storage.load(record)
    drawings = {
        "demo-sections": figures.section_heatmap(explanation, "hidden"),
        "demo-prompt": figures.prompt_heatmap(explanation, "leave_one_out"),
        "demo-methods": figures.method_comparison(explanation, tuple(explanation.attributions)),
    }
    for name, figure in drawings.items():
        for path in figures.save(figure, explanation, FIGURES / name, formats=("png", "pdf")):
            print(path)


if __name__ == "__main__":
    main()
