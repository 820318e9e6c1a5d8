"""reStructuredText: a span for the text below each heading, as it stands in the file.

Not covered: directives and roles are text like any other; included files are not read.
"""

from __future__ import annotations

from attrib.corpus.formats.outline import HeadedPart, outline, text_between
from attrib.corpus.spans import Found, ReadOptions, decode


def read_rst(data: bytes, options: ReadOptions) -> Found:
    """One span for the text below each heading, one for the text before the first, and one for a heading with nothing
    below it."""
    text = decode(data)
    lines = text.split("\n")
    headings = [(0, "", 1, 0), *_headings(text, lines)]
    ends = [*(first - 1 for _, _, first, _ in headings[1:]), len(lines)]
    parts = []
    for (level, title, first, last), end in zip(headings, ends, strict=True):
        parts.append(HeadedPart(level, title, first, last, text_between(lines, last, end)))
    return Found(outline(parts))


def _headings(text: str, lines: list[str]) -> list[tuple[int, str, int, int]]:
    """Level, words, first and last line of every heading, in order."""
    from docutils import nodes
    from docutils.frontend import get_default_settings
    from docutils.parsers.rst import Parser
    from docutils.utils import new_document

    settings = get_default_settings(Parser)
    # A file's faults are no fault of its words; nothing outside the file is read, and nothing is printed.
    settings.report_level, settings.halt_level = 5, 6
    settings.file_insertion_enabled = settings.raw_enabled = False
    document = new_document("", settings)
    Parser().parse(text, document)
    found = []
    for section in document.findall(nodes.section):
        title = section[0]
        # docutils names the line of the underline.
        last = title.line
        is_overlined = last >= 3 and lines[last - 3].rstrip() == lines[last - 1].rstrip()
        level, parent = 1, section.parent
        while isinstance(parent, nodes.section):
            level, parent = level + 1, parent.parent
        found.append((level, " ".join(title.astext().split()), last - (2 if is_overlined else 1), last))
    return found
