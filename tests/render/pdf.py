"""What a PDF says of itself: its size, its fonts, and how large each text is set."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np
from pypdf import PdfReader
from pypdf.generic import ContentStream


class Facts(NamedTuple):
    width: float
    """Inches."""
    fonts: tuple[str, ...]
    """Kind of each font's program: TrueType, or what else it is."""
    sizes: tuple[float, ...]
    """Points of every text that is shown."""
    pages: int


def read(data: bytes) -> Facts:
    """Facts of the first page and of everything that it draws."""
    reader = PdfReader(io.BytesIO(data))
    page = reader.pages[0]
    fonts: list[str] = []
    sizes: list[float] = []
    _walk(page.get_contents(), page["/Resources"], np.eye(3), reader, fonts, sizes)
    box = page.mediabox
    return Facts(float(box.width) / 72, tuple(fonts), tuple(sizes), len(reader.pages))


def _walk(
    stream: Any, resources: Any, above: np.ndarray, reader: PdfReader, fonts: list[str], sizes: list[float]
) -> None:
    named = resources.get("/Font", {})
    kinds = {name: _kind(font.get_object()) for name, font in named.items()}
    fonts += kinds.values()
    forms = resources.get("/XObject", {})
    if stream is None:
        return
    now, kept, text, size = above, [], np.eye(3), 0.0
    for operands, operator in ContentStream(stream, reader).operations:
        if operator == b"q":
            kept.append(now)
        elif operator == b"Q":
            now = kept.pop()
        elif operator == b"cm":
            now = _matrix(operands) @ now
        elif operator == b"BT":
            text = np.eye(3)
        elif operator == b"Tf":
            size = float(operands[1])
        elif operator == b"Tm":
            text = _matrix(operands)
        elif operator in (b"Tj", b"TJ"):
            sizes.append(size * float(np.sqrt(abs(np.linalg.det((text @ now)[:2, :2])))))
        elif operator == b"Do":
            form = forms[operands[0]].get_object()
            if form["/Subtype"] == "/Form":
                _walk(form, form.get("/Resources", {}), now, reader, fonts, sizes)


def _matrix(numbers: Any) -> np.ndarray:
    a, b, c, d, e, f = map(float, numbers)
    return np.array([[a, b, 0], [c, d, 0], [e, f, 1]])


def _kind(font: Any) -> str:
    """``TrueType`` where the font's program is embedded as such."""
    if font["/Subtype"] == "/Type0":
        font = font["/DescendantFonts"][0].get_object()
    descriptor = font.get("/FontDescriptor")
    embedded = descriptor is not None and "/FontFile2" in descriptor.get_object()
    return "TrueType" if embedded and font["/Subtype"] in ("/TrueType", "/CIDFontType2") else str(font["/Subtype"])
