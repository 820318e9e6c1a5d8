"""Pieces of terminal output: text that cannot act, tables without rules, lines that hang or flow.

Colours where the console has them; without (NO_COLOR, a pipe) no escape code is written and no blank ends a line.
Not covered: what is said (``terminal``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from attrib.printable import printable
from attrib.render import view

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text


class Flow:
    """Pieces side by side, as many a line as fit; only a piece wider than the line is broken."""

    def __init__(self, pieces: Sequence[str | Text]) -> None:
        self.pieces = [text_of(piece) if isinstance(piece, str) else piece for piece in pieces]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line: Text | None = None
        for piece in self.pieces:
            if line is not None and line.cell_len + 2 + piece.cell_len <= options.max_width:
                line.append("  ").append_text(piece)
                continue
            if line is not None:
                yield line
            line = piece.copy()
        yield line or text_of("")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        widths = [piece.cell_len for piece in self.pieces]
        return Measurement(max(widths, default=0), sum(widths) + 2 * len(widths)).with_maximum(options.max_width)


def text_of(text: str, style: str = "") -> Text:
    """Text that shows as it is written: no markup, no control characters but line breaks."""
    from rich.text import Text

    return Text(view.visible(text, keep="\n"), style)


def is_plain(console: Console) -> bool:
    """True where no escape code may be written: NO_COLOR, a pipe, a dumb terminal."""
    return console.no_color or console.color_system is None


def print_parts(console: Console, parts: Iterable[RenderableType]) -> None:
    """Print the parts in turn; plain ones without the blanks that pad tables."""
    with printable(console.file):
        if not is_plain(console):
            for part in parts:
                console.print(part)
            return
        with console.capture() as captured:
            for part in parts:
                console.print(part)
        lines = [line.rstrip(" ") for line in captured.get().split("\n")]
        console.print(text_of("\n".join(lines)), soft_wrap=True, end="")


def grid(heads: Sequence[str], *, left: Collection[int] = (0,), no_wrap: bool = False) -> Table:
    """An empty table without lines: columns ``left`` aligned left, the others right; ``no_wrap`` spares the first."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i in left else "right", no_wrap=no_wrap and i > 0)
    return table


def wide_table(plain: bool, *columns: str, rows_apart: bool = True) -> Table:
    """A table without rules, as wide as the console; ``columns`` share the width."""
    from rich.table import Table

    table = Table(
        box=None, expand=True, padding=(0, 1, int(rows_apart), 0), pad_edge=False, header_style="" if plain else "bold"
    )
    for name in columns:
        table.add_column(text_of(name), ratio=1, overflow="fold")
    return table


def headed(head: str, text: Text, plain: bool) -> Text:
    """``text`` behind ``head``, which alone is bold: the style of a Text would hold for all that is appended to it."""
    return text_of("").append_text(text_of(head, "" if plain else "bold")).append_text(text)


def indented(part: RenderableType) -> RenderableType:
    from rich.padding import Padding

    return Padding(part, (0, 0, 0, 2))


def hanging(first: str, part: RenderableType) -> RenderableType:
    """``first`` before the first line, the others below its end."""
    from rich.table import Table

    lines = Table.grid(expand=True)
    lines.add_column(no_wrap=True)
    lines.add_column(ratio=1, overflow="fold")
    lines.add_row(text_of(first), part)
    return lines
