"""What the pages tell people to type: shell lines, Python blocks, code in sentences, links.

Shell lines stand in blocks indented by four spaces or fenced as sh; other fences name their language. Not covered:
blocks inside lists.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SHELL = ("", "sh", "bash")
_FENCE = re.compile(r"^(```+)(\w*)\s*$")


@dataclass(frozen=True)
class Block:
    """Consecutive lines of code and where they begin."""

    page: str
    line: int
    language: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


@dataclass(frozen=True)
class Command:
    """One command of a shell block, comments cut off, ``A && B`` made two."""

    page: str
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def blocks(page: Path) -> list[Block]:
    """Fenced blocks, and blocks indented by four spaces (language "")."""
    found: list[Block] = []
    fence, language, start, lines, blank = "", "", 0, [], True
    for number, line in enumerate([*page.read_text("utf-8").split("\n"), ""], start=1):
        match = _FENCE.match(line)
        if fence:
            if match and match[1] == fence:
                found.append(Block(name_of(page), start, language or "text", tuple(lines)))
                fence, lines = "", []
            else:
                lines.append(line)
        elif match:
            fence, language, start = match[1], match[2], number + 1
        elif line.startswith("    ") and (lines or blank):
            start = start if lines else number
            lines.append(line[4:])
        elif lines:
            found.append(Block(name_of(page), start, "", tuple(lines)))
            lines = []
        blank = not line.strip()
    assert not fence, f"{page}: a fence is not closed"
    return found


def commands(page: Path) -> list[Command]:
    found = []
    for block in blocks(page):
        if block.language in SHELL:
            for at, line in enumerate(block.lines):
                text = re.sub(r"(^|\s+)#\s.*$", "", line).strip()
                found += [Command(block.page, block.line + at, part) for part in text.split(" && ") if part]
    return found


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


def prose(page: Path) -> str:
    """The page without its blocks, so that code in it is code in sentences."""
    kept = page.read_text("utf-8").split("\n")
    for block in blocks(page):
        for at in range(block.line - 1, block.line - 1 + len(block.lines)):
            kept[at] = ""
    return "\n".join(line for line in kept if not _FENCE.match(line))


def inline_code(page: Path) -> list[str]:
    """Code in sentences, line breaks made blanks."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(page))]


def links(page: Path) -> list[str]:
    """Targets of links and pictures, addresses on the web left out."""
    text = re.sub(r"`[^`]*`", "", prose(page))
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """What GitHub calls the page's headings."""
    found = set()
    for line in prose(page).split("\n"):
        if heading := re.match(r"#+\s+(.*)", line):
            plain = re.sub(r"[^\w\- ]", "", heading[1].strip().lower())
            found.add(plain.replace(" ", "-"))
    return found


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()
