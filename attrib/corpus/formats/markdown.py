"""Markdown: a span for the text below each heading.

Not covered: headings written in HTML; the values of front matter, which is left out.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from attrib.corpus.formats.outline import HeadedPart, outline, text_between
from attrib.corpus.spans import Found, ReadOptions, decode

_YAML_KEY = re.compile(r"[^\s:#-][^:]*:(\s|$)")


def read_markdown(data: bytes, options: ReadOptions) -> Found:
    """One span for the text below each heading, one for the text before the first, and one for a heading with nothing
    below it.

    Headings inside quotations and lists are part of the text. Outer blank lines and rules (``---``) are left out.
    """
    lines = decode(data).split("\n")
    top = front_matter(lines)
    lines[:top] = [""] * top
    return Found(outline(markdown_parts(lines)), left_out={"front matter": 1} if top else {})


def markdown_parts(lines: Sequence[str]) -> list[HeadedPart]:
    """The text before the first heading, then every heading with the text below it."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse("\n".join(lines))
    rules = {token.map[0] for token in tokens if token.type == "hr" and token.level == 0 and token.map}
    headings = [_Heading(0, "", 0, 0)]
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            headings.append(_Heading(int(token.tag[1]), _plain(inline.children or []), *token.map))
    ends = [*(heading.start for heading in headings[1:]), len(lines)]

    parts = []
    for heading, end in zip(headings, ends, strict=True):
        body = text_between(lines, heading.end, end, rules)
        parts.append(HeadedPart(heading.level, heading.title, heading.start + 1, heading.end, body))
    return parts


class _Heading(NamedTuple):
    level: int
    title: str
    start: int
    """First line of the heading itself, 0-based; its text starts at ``end``."""
    end: int


def front_matter(lines: Sequence[str]) -> int:
    """Number of lines of the YAML or TOML block at the very top; 0 when there is none."""
    mark = lines[0].rstrip()
    closing = {"---": ("---", "..."), "+++": ("+++",)}.get(mark, ())
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() in closing), 0)
    inside = lines[1:end]
    is_data = _is_toml(inside) if mark == "+++" else _is_yaml(inside)
    return end + 1 if end and is_data else 0


def _is_yaml(lines: Sequence[str]) -> bool:
    """Two rules with prose between them look alike; a YAML block starts with a key or a comment, prose must not be
    lost."""
    return _YAML_KEY.match(next((line for line in lines if not line.startswith("#")), "")) is not None


def _is_toml(lines: Sequence[str]) -> bool:
    try:
        return bool(tomllib.loads("\n".join(lines)))
    except (tomllib.TOMLDecodeError, RecursionError):
        return False


def _plain(inline: Sequence[Any]) -> str:
    """A heading's words, without the marks of emphasis, links and code."""
    shown = {"text", "code_inline", "image"}
    parts = (token.content if token.type in shown else " " * token.type.endswith("break") for token in inline)
    return " ".join("".join(parts).split())
