"""Pieces of a page written once, as Markdown, and rendered as HTML.

All text is data: ``escape`` leaves nothing in it that acts as a mark, a tag, a script or a link in either form. Marks
that Markdown lacks are single private characters, which ``escape`` makes visible in data; ``to_markdown`` and
``to_html`` replace them by fixed tags, so that HTML stays off in the parser.
Not covered: the content of the pieces (the assessments' ``tell``), and the page around them (``report.pages``).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape as escape_html
from typing import TYPE_CHECKING, Any, Literal

from attrib.records import Called
from attrib.render.view import visible

if TYPE_CHECKING:
    from markdown_it.token import Token

Mark = Literal["", "strong", "new", "made-up"] | Called
LETTERS: dict[Called, str] = {"documents": "D", "base": "B", "neither": "N", "cannot tell": "?"}
"""Sign of a verdict beside its colour."""
_MARKS: dict[str, tuple[str, str]] = {
    "strong": ("\ue000", "\ue001"), "new": ("\ue002", "\ue003"), "made-up": ("\ue004", "\ue005"),
    "documents": ("\ue006", "\ue007"), "base": ("\ue008", "\ue009"), "neither": ("\ue00a", "\ue00b"),
    "cannot tell": ("\ue00e", "\ue00f"),
}  # fmt: skip
_BREAK, _APART = "\ue00c", "\ue00d"
"""A line break, and nothing, which keeps an address from becoming a link."""
_OURS = "".join("".join(pair) for pair in _MARKS.values()) + _BREAK + _APART
_MARKDOWN: dict[str, tuple[str, str]] = {
    "strong": ("<b>", "</b>"), "new": ("<b><ins>", "</ins></b>"), "made-up": ("<em>", "</em>"),
    **{label: ("", f"<sup>{letter}</sup>") for label, letter in LETTERS.items()},
}  # fmt: skip
"""Tags, since asterisks do not mark inside a word or beside punctuation."""
_HTML: dict[str, tuple[str, str]] = {
    "strong": ("<strong>", "</strong>"), "new": ("<ins>", "</ins>"), "made-up": ("<em>", "</em>"),
    **{
        label: (f'<mark class="{label.replace(" ", "-")}">', f"<sup>{letter}</sup></mark>")
        for label, letter in LETTERS.items()
    },
}  # fmt: skip
_ALT = 240  # characters of a caption that stand for its figure
_ACTING = re.compile(r"([\\`*_\[\]|~$^#])")
_LINKS = re.compile(r"(?i)(?<=http)(?=s?://)|(?<=www)(?=\.)|(?<=ftp)(?=://)|(?<=mailto)(?=:)|(?<=xmpp)(?=:)")


# ------------------------------------------------------------------------------------------- inside a line


def escape(text: str) -> str:
    """Text inside a paragraph or a table's cell, none of which acts as a mark, tag, entity or link."""
    shown = visible(text.replace("\r\n", "\n"), keep="\n\t").replace("\t", " ")
    shown = "".join(f"<{ord(char):X}>" if char in _OURS else char for char in shown)
    parts = [part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for part in _LINKS.split(shown)]
    plain = _APART.join(_ACTING.sub(r"\\\1", part).replace("@", "&#64;") for part in parts)
    return re.sub(r" *\n *", _BREAK, plain.strip())


def one_line(text: str) -> str:
    """The same without line breaks."""
    return escape(" ".join(text.split()))


def mark(text: str, kind: Mark = "") -> str:
    """Text escaped and marked, the blanks at its ends outside the mark."""
    core = text.strip()
    if not core:
        return _gap(text)
    lead, trail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    start, end = _MARKS.get(kind, ("", ""))
    return f"{_gap(lead)}{start}{escape(core)}{end}{_gap(trail)}"


def _gap(blank: str) -> str:
    return _BREAK if "\n" in blank else " " if blank else ""


def code(text: str) -> str:
    """A command of attrib; never data."""
    return f"`{text}`"


def lines(parts: Sequence[str]) -> str:
    """Markdown of several lines inside one paragraph or cell."""
    return _BREAK.join(parts)


def answer(text: str) -> str:
    """An answer of a model, or that there is none."""
    return escape(text) or "(nothing)"


# ------------------------------------------------------------------------------------------- blocks


def paragraph(*parts: str) -> str:
    """Markdown of one line as a paragraph: it never starts a list, a rule or a heading."""
    text = "".join(parts).strip()
    return re.sub(r"^(?:([-+=])|(\d{1,9})([.)]))(?=\s|[-+=]|$)", _escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[1]}" if match[1] else f"{match[2]}\\{match[3]}"


def sentences(plain: Sequence[str]) -> list[str]:
    """Plain sentences as one paragraph; nothing where there are none."""
    return [paragraph(escape(" ".join(plain)))] if plain else []


def items(title: str, lines: Sequence[str]) -> list[str]:
    """A list of Markdown lines under its own heading; nothing where it would be empty."""
    return [f"### {one_line(title)}", "\n".join(f"- {paragraph(line)}" for line in lines)] if lines else []


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> list[str]:
    """Plain cells under heads, the first ``texts`` columns words, the others numbers; nothing without rows."""
    if not rows:
        return []
    cells = [[escape(cell) for cell in row] for row in rows]
    return [f"**{one_line(caption)}**", grid([one_line(head) for head in heads], cells, texts)]


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """Markdown cells as a table."""
    ruled = f"|{'|'.join('---' if i < texts else '--:' for i in range(len(heads)))}|"
    lines = [f"| {' | '.join(row)} |" for row in (heads, *rows)]
    return "\n".join([lines[0], ruled, *lines[1:]])


def picture(name: str, caption: str) -> list[str]:
    """The PNG in the file ``name``, with the caption's beginning in whole words as what stands for it."""
    text = " ".join(visible(caption, keep="\n").split())
    alt = text if len(text) <= _ALT else f"{text[:_ALT].rsplit(' ', 1)[0]} …"
    return [f"![{one_line(alt)}]({name})", paragraph(one_line(caption))]


def example(title: str, entries: Sequence[tuple[str, str]]) -> str:
    """A question and what was said, name by name, as Markdown."""
    lines = [f"### {one_line(title)}", "", *(f"- {one_line(name)}: {text}" for name, text in entries)]
    return "\n".join(f"> {line}".rstrip() for line in lines)


# ------------------------------------------------------------------------------------------- whole texts


def to_markdown(blocks: Sequence[str]) -> str:
    """Blocks in GitHub's Markdown."""
    return "\n\n".join(blocks).translate(_tags(_MARKDOWN, "<br>", "<!-- -->"))


def to_html(blocks: Sequence[str], images: Mapping[str, bytes]) -> str:
    """The same blocks as HTML; ``images``: the PNG of every picture by its name, which is put inside."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = list(_shaped(parser.parse("\n\n".join(blocks)), images))
    made: str = parser.renderer.render(tokens, parser.options, {})
    # Lines of a text break by the style sheet.
    return made.translate(_tags(_HTML, "\n", ""))


def _tags(marks: Mapping[str, tuple[str, str]], line_break: str, apart: str) -> dict[int, str]:
    both = {ord(ours): tag for name, tags in marks.items() for ours, tag in zip(_MARKS[name], tags, strict=True)}
    return both | {ord(_BREAK): line_break, ord(_APART): apart}


def _shaped(tokens: Sequence[Token], images: Mapping[str, bytes]) -> Iterator[Token]:
    """Tables with the paragraph before them as caption and with scopes, figures inside, directions of text."""
    first_cell = in_head = after_picture = False
    for i, token in enumerate(tokens):
        if token.type == "paragraph_open":
            inside = tokens[i + 1]
            # The caption moves into the table.
            if i + 3 < len(tokens) and tokens[i + 3].type == "table_open":
                inside.hidden = True
                continue
            token.attrSet("dir", "auto")
            if after_picture:
                token.attrSet("class", "caption")
            after_picture = _embed(token, inside, images)
        elif (token.type == "inline" and token.hidden) or (token.type == "paragraph_close" and tokens[i - 1].hidden):
            continue
        elif token.type in ("heading_open", "list_item_open"):
            token.attrSet("dir", "auto")
        elif token.type in ("table_open", "table_close"):
            token.type, token.content = "html_block", _table_end(tokens, i)
        elif token.type in ("thead_open", "tbody_open"):
            in_head = token.type == "thead_open"
        elif token.type == "tr_open":
            first_cell = True
        elif token.type in ("th_open", "td_open"):
            _shape_cell(token, "col" if in_head else "row" if first_cell else "")
        elif token.type == "td_close" and first_cell:
            token.tag, first_cell = "th", False
        yield token


def _embed(opened: Token, inside: Token, images: Mapping[str, bytes]) -> bool:
    """Put the PNG inside the paragraph's picture; whether it has one."""
    pictures = [child for child in inside.children or () if child.type == "image"]
    for child in pictures:
        name = str(child.attrs["src"])
        child.attrSet("src", f"data:image/png;base64,{base64.b64encode(images[name]).decode('ascii')}")
        opened.attrs = {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": name}
    return bool(pictures)


def _table_end(tokens: Sequence[Token], i: int) -> str:
    if tokens[i].nesting < 0:
        return "</table>\n</div>\n"
    caption = escape_html("".join(child.content for child in tokens[i - 2].children or () if child.type == "text"))
    scrolled = f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}">'
    return f"{scrolled}\n<table>\n<caption>{caption}</caption>\n"


def _shape_cell(token: Token, scope: str) -> None:
    """A head of a column or a row, or a cell; numbers are those that Markdown aligns."""
    attributes: dict[str, Any] = {"class": "number"} if "style" in token.attrs else {"class": "text", "dir": "auto"}
    if scope:
        token.tag = "th"
        attributes["scope"] = scope
    token.attrs = attributes
