"""A page of Markdown blocks → one self-contained HTML file, and one Markdown file with its figures beside it.

The HTML has no script and asks for nothing from outside, which its content security policy enforces.
Not covered: what the blocks say (``report``), and how text is kept from acting (``assess.markdown``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from attrib.assess import markdown as md
from attrib.render.view import visible

TEMPLATES = Path(__file__).parents[2] / "data" / "templates"


@dataclass(frozen=True)
class PageSection:
    """A question and the blocks that answer it."""

    anchor: str
    title: str
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    """Plain text."""
    sections: tuple[PageSection, ...]
    images: Mapping[str, bytes]
    """The PNG of every picture, by the name that the blocks call it."""


def markdown(page: Page) -> bytes:
    """The page in GitHub's Markdown."""
    blocks = [f"# {md.one_line(page.title)}"]
    for number, one in enumerate(page.sections, 1):
        blocks += [f"## {number}. {one.title}", *one.blocks]
    return f"{md.to_markdown(blocks)}\n".encode()


def html(page: Page) -> bytes:
    """One file, every figure inside it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    bodies = [Markup(md.to_html(one.blocks, page.images)) for one in page.sections]
    template = environment.get_template("report.html.jinja")
    return template.render(title=visible(page.title), sections=list(zip(page.sections, bodies, strict=True))).encode()
