"""A page of plain blocks → one self-contained HTML file, and the same as Markdown.

All text is data: nothing of it acts as a mark, a tag, a script or a link in either form. The HTML has no script and
asks for nothing from outside, which its content security policy enforces.
Not covered: what the blocks say (``report``).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from attrib.assess.consistency.tell import escape_markdown
from attrib.render.view import visible

TEMPLATES = Path(__file__).parents[2] / "data" / "templates"
Mark = Literal["", "documents", "base", "neither", "new", "made-up", "strong", "code"]
LETTERS = {"documents": "D", "base": "B", "neither": "N"}
"""What says a verdict beside its colour."""
_TAGS = {"new": ("<b><ins>", "</ins></b>"), "made-up": ("<em>", "</em>"), "strong": ("<b>", "</b>")}
_ALT = 240  # characters of a caption that stand for its figure


@dataclass(frozen=True)
class Run:
    """Text under one mark; ``code`` is for texts of ours alone."""

    text: str
    mark: Mark = ""

    @property
    def letter(self) -> str:
        return LETTERS.get(self.mark, "")


Line = tuple[Run, ...]


def line(*parts: str | Run) -> Line:
    """Texts and runs as one line."""
    return tuple(part if isinstance(part, Run) else Run(part) for part in parts)


@dataclass(frozen=True)
class Paragraph:
    """One or more sentences."""

    block: ClassVar[str] = "paragraph"
    text: Line


@dataclass(frozen=True)
class Items:
    """A list under its own heading."""

    block: ClassVar[str] = "items"
    title: str
    items: tuple[Line, ...]


@dataclass(frozen=True)
class Table:
    """Rows under heads; the first column names the row."""

    block: ClassVar[str] = "table"
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]
    texts: int = 1
    """Columns from the left that hold words; the others hold numbers."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.heads):
                raise ValueError(f"table {self.caption!r}: a row of {len(row)} cells under {len(self.heads)} heads")


@dataclass(frozen=True)
class Picture:
    """A PNG with its caption; Markdown shows the file ``name``."""

    block: ClassVar[str] = "picture"
    name: str
    png: bytes
    caption: str

    @property
    def alt(self) -> str:
        """The caption's beginning, in whole words."""
        text = " ".join(visible(self.caption, keep="\n").split())
        return text if len(text) <= _ALT else f"{text[:_ALT].rsplit(' ', 1)[0]} …"

    @property
    def uri(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


@dataclass(frozen=True)
class Example:
    """What was asked and what was said, name by name."""

    block: ClassVar[str] = "example"
    title: str
    entries: tuple[tuple[str, Line], ...]


Block = Paragraph | Items | Table | Picture | Example


@dataclass(frozen=True)
class Chapter:
    """A question and what answers it."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    chapters: tuple[Chapter, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(b for chapter in self.chapters for b in chapter.blocks if isinstance(b, Picture))


# ------------------------------------------------------------------------------------------- HTML


def html(page: Page) -> bytes:
    """One file, every figure inside it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["shown"] = _shown
    return environment.get_template("report.html.jinja").render(page=page).encode()


def _shown(text: str) -> str:
    return visible(text.replace("\r\n", "\n"), keep="\n\t").replace("\t", " ")


# ------------------------------------------------------------------------------------------- Markdown


def markdown(page: Page) -> bytes:
    """The same in GitHub's Markdown."""
    lines = [f"# {_text(page.title)}", ""]
    for number, chapter in enumerate(page.chapters, 1):
        lines += [f"## {number}. {_text(chapter.title)}", ""]
        for block in chapter.blocks:
            lines += [*_block(block), ""]
    return ("\n".join(lines).rstrip("\n") + "\n").encode()


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield _start(inline(block.text))
    elif isinstance(block, Items):
        yield f"### {_text(block.title)}"
        yield ""
        yield from (f"- {_start(inline(item))}" for item in block.items)
    elif isinstance(block, Table):
        yield f"**{_text(block.caption)}**"
        yield ""
        yield _row(_text(head) for head in block.heads)
        yield f"|{'|'.join('---' if i < block.texts else '--:' for i in range(len(block.heads)))}|"
        yield from (_row(inline(cell) for cell in row) for row in block.rows)
    elif isinstance(block, Picture):
        yield f"![{_text(block.alt)}]({block.name})"
        yield ""
        yield _start(_text(block.caption))
    else:
        yield f"### {_text(block.title)}"
        yield ""
        yield from (f"- {_text(name)}: {inline(text)}" for name, text in block.entries)


def _row(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def inline(runs: Sequence[Run]) -> str:
    """Runs as Markdown that fits a paragraph, a list or a table's cell."""
    return "".join(map(_run, runs)).strip()


def _run(run: Run) -> str:
    if run.mark == "code":
        return f"`{run.text}`"
    core = run.text.strip()
    if not core:
        return _gap(run.text)
    lead, trail = run.text[: len(run.text) - len(run.text.lstrip())], run.text[len(run.text.rstrip()) :]
    # Tags, since asterisks do not mark inside a word or beside punctuation.
    start, end = _TAGS.get(run.mark, ("", f"<sup>{run.letter}</sup>" if run.letter else ""))
    return f"{_gap(lead)}{start}{escape_markdown(core)}{end}{_gap(trail)}"


def _gap(blank: str) -> str:
    return "<br>" if "\n" in blank else " " if blank else ""


def _text(text: str) -> str:
    return escape_markdown(" ".join(text.split()))


def _start(text: str) -> str:
    """Text at the start of a line: neither an item of a list nor a rule."""
    return re.sub(r"^(?:([-+=])|(\d{1,9})([.)]))(?=\s|[-+=]|$)", _escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[1]}" if match[1] else f"{match[2]}\\{match[3]}"
