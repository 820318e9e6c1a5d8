"""PDF: the text of each page, as far as the file holds text; needs the extra ``documents`` (pypdf).

A section's row is its page. Not covered: headings, columns and tables by their look; pictures of text (scans).
"""

from __future__ import annotations

import io
import logging

from attrib.corpus.faults import fault
from attrib.corpus.reading import listed
from attrib.corpus.spans import Found, ReadOptions, Span, blank, trim, unix
from attrib.errors import InputError


def read_pdf(data: bytes, options: ReadOptions) -> Found:
    """One span for each page with text."""
    pages = _pages(data)
    if faults := [f"page {i} ({problem})" for i, text in enumerate(pages, 1) if (problem := fault(text, "its text"))]:
        raise InputError(f"{listed(faults)}; save it again as text")
    spans = [Span("", (), trim(text), i, i, i) for i, text in enumerate(pages, 1) if not blank(text)]
    bare = len(pages) - len(spans)
    return Found(spans, left_out={"pages without text, such as scans": bare} if bare else {})


def _pages(data: bytes) -> list[str]:
    from pypdf import PdfReader
    from pypdf.errors import FileNotDecryptedError

    # pypdf warns of every flaw that it mends.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        return [unix(page.extract_text()) for page in PdfReader(io.BytesIO(data)).pages]
    except FileNotDecryptedError:
        raise InputError("a PDF with a password; save it again without") from None
    # Damaged files raise errors of many kinds from deep inside.
    except Exception as error:
        raise InputError(
            f"not a PDF that can be read ({' '.join(str(error).split()) or type(error).__name__}); save it again"
        ) from None
