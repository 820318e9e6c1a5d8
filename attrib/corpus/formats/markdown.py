"""Markdown: a span for the text below each heading.

Not covered: headings written in HTML, TOML front matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from attrib.corpus.spans import Found, ReadOptions, Span, blank, decode

_YAML_KEY = re.compile(r"[^\s:#-][^:]*:(\s|$)")


def read_markdown(data: bytes, options: ReadOptions) -> Found:
    """One span for the text below each heading, and one for the text before the first.

    Headings inside quotations and lists are part of the text. Outer blank lines and rules (``---``) are left out.
    """
    from markdown_it import MarkdownIt

    lines = decode(data).split("\n")
    top = _front_matter(lines)
    lines[:top] = [""] * top
    tokens = MarkdownIt("commonmark").parse("\n".join(lines))
    rules = {token.map[0] for token in tokens if token.type == "hr" and token.level == 0 and token.map}
    headings = [_Heading(0, "", 0, 0)]
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            headings.append(_Heading(int(token.tag[1]), _plain(inline.children or []), *token.map))
    ends = [*(heading.start for heading in headings[1:]), len(lines)]

    spans = []
    path: list[_Heading] = []
    for heading, end in zip(headings, ends, strict=True):
        path = [*(above for above in path if above.level < heading.level), heading]
        filled = [i for i in range(heading.end, end) if not blank(lines[i]) and i not in rules]
        if filled:
            first, last = filled[0], filled[-1] + 1
            titles = tuple(above.title for above in path if above.title)
            spans.append(Span("", titles, "\n".join(lines[first:last]).rstrip(), first + 1, last))
    return Found(spans)


class _Heading(NamedTuple):
    level: int
    title: str
    start: int
    """First line of the heading itself, 0-based; its text starts at ``end``."""
    end: int


def _front_matter(lines: Sequence[str]) -> int:
    """Number of lines of the YAML block at the very top; 0 when there is none."""
    if lines[0].rstrip() != "---":
        return 0
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), 0)
    # Two rules with prose between them look alike; a YAML block starts with a key or a comment, prose must not be lost.
    inside = next((line for line in lines[1:end] if not line.startswith("#")), "")
    return end + 1 if _YAML_KEY.match(inside) else 0


def _plain(inline: Sequence[Any]) -> str:
    """A heading's words, without the marks of emphasis, links and code."""
    shown = {"text", "code_inline", "image"}
    parts = (token.content if token.type in shown else " " * token.type.endswith("break") for token in inline)
    return " ".join("".join(parts).split())
