"""DOCX: the text below each heading; needs the extra ``documents`` (mammoth).

Lines are those of the converted text. Not covered: pictures, comments, headers and footers, deleted text; headings are
paragraphs with a style of that name, whatever else looks like one.
"""

from __future__ import annotations

import io
from dataclasses import replace

from attrib.corpus.formats.html import read_page
from attrib.corpus.spans import Found, ReadOptions, unix
from attrib.errors import InputError


def read_docx(data: bytes, options: ReadOptions) -> Found:
    """One span for the text below each heading, one for the text before the first, and one for a heading with nothing
    below it."""
    spans, line = [], 1
    found = read_page(_html(data))
    for span in found.spans:
        # mammoth writes everything in one line.
        last = line + span.text.count("\n")
        spans.append(replace(span, first_line=line, last_line=last, places=()))
        line = last + 1
    return Found(spans, left_out=found.left_out, remarks=("lines are those of the converted text",))


def _html(data: bytes) -> str:
    import mammoth

    try:
        made = mammoth.convert_to_html(io.BytesIO(data), convert_image=mammoth.images.img_element(lambda image: {}))
    # Damaged files raise errors of many kinds from deep inside.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"not a DOCX that can be read ({reason}); save it again") from None
    return unix(made.value)
