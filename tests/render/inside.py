"""Whether all texts of a figure are large enough, inside it and apart."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from attrib.render import figures


def texts(figure: Figure) -> list[Text]:
    """All that is drawn; matplotlib keeps ticks beyond an axis and does not draw them."""
    found: list[Text] = [text for legend in figure.legends for text in legend.get_texts()]
    for ax in figure.axes:
        found += [ax.title, ax._left_title, ax.xaxis.label]
        for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in found if text.get_text()]


def drawn_inside(figure: Figure, preset: str) -> None:
    """Asserts that the figure is as wide as its column, its texts at least 6 pt, inside it and apart."""
    with figures.style():
        FigureCanvasAgg(figure).draw()
    assert figure.get_size_inches()[0] == figures.width_of(preset)
    seen = texts(figure)
    assert seen
    boxes = [text.get_window_extent() for text in seen]
    for text, box in zip(seen, boxes, strict=True):
        assert text.get_fontsize() >= 6
        assert not text.get_parse_math() or "$" not in text.get_text()
        assert box.x0 >= -1, text.get_text()
        assert box.x1 <= figure.bbox.x1 + 1, text.get_text()
        assert box.y0 >= -1, text.get_text()
        assert box.y1 <= figure.bbox.y1 + 1, text.get_text()
    for i, one in enumerate(boxes):
        for j in range(i):
            lap = (
                min(one.x1, boxes[j].x1) - max(one.x0, boxes[j].x0),
                min(one.y1, boxes[j].y1) - max(one.y0, boxes[j].y0),
            )
            assert min(lap) < 1.5, (seen[i].get_text(), seen[j].get_text())
