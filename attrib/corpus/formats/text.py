"""Plain text: paragraphs, packed into spans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrib.corpus.spans import Found, ReadOptions, Span, blank, decode


def read_text(data: bytes, options: ReadOptions) -> Found:
    """Paragraphs, packed into spans of at most ``options.max_tokens``; a longer paragraph is a span by itself."""
    lines = decode(data).split("\n")
    packed: list[tuple[int, int]] = []
    for first, last in _paragraphs(lines):
        joined = "\n".join(lines[packed[-1][0] : last]) if packed else ""
        if packed and options.count_tokens(joined) <= options.max_tokens:
            packed[-1] = (packed[-1][0], last)
        else:
            packed.append((first, last))
    return Found([Span("", (), "\n".join(lines[first:last]).rstrip(), first + 1, last) for first, last in packed])


def _paragraphs(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """[first, last) lines of each run of lines that are not blank."""
    first = None
    for i, line in enumerate([*lines, ""]):
        if blank(line):
            if first is not None:
                yield first, i
            first = None
        elif first is None:
            first = i
