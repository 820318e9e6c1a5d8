"""Laws of headings in every document format: their words stand in the titles or the text of a section, those
below it in its text, and lines, cells and pages point to them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.corpus.documents import Corpus
from attrib.records import Section
from tests.make_documents import docx, notebook


class Block(NamedTuple):
    """A heading, its words and paragraphs below it; level 0 for text before any heading."""

    level: int
    words: int
    paragraphs: int


class Word(NamedTuple):
    """A word of a file that stands there once."""

    text: str
    level: int
    """Of the heading that it stands in; 0 in a paragraph."""
    line: int


blocks = st.lists(st.builds(Block, st.integers(1, 4), st.integers(0, 2), st.integers(0, 2)), max_size=8)
Written = tuple[bytes, list[Word]]


def write(
    outline: list[Block], heading: Callable[[int, str], list[str]], paragraph: Callable[[str], list[str]]
) -> Written:
    """Lines of a file, and every word in it."""
    lines: list[str] = []
    found: list[Word] = []

    def word(level: int) -> str:
        found.append(Word(f"word{len(found)}x", level, len(lines) + 1))
        return found[-1].text

    lines += paragraph(word(0))
    for block in outline:
        made = heading(block.level, " ".join(word(block.level) for _ in range(block.words)))
        at = len(lines) + next((i for i, line in enumerate(made) if "word" in line), 0) + 1
        found = [one._replace(line=at) if one.level and one.line == len(lines) + 1 else one for one in found]
        lines += made
        for _ in range(block.paragraphs):
            lines += paragraph(word(0))
    return "\n".join(lines).encode(), found


def markdown(outline: list[Block]) -> Written:
    return write(outline, lambda level, text: [f"{'#' * level} {text}", ""], lambda text: [text, ""])


def html(outline: list[Block]) -> Written:
    return write(outline, lambda level, text: [f"<h{level}>{text}</h{level}>"], lambda text: [f"<p>{text}</p>"])


def rst(outline: list[Block]) -> Written:
    """docutils wants levels without gaps, and words in every heading."""
    depth, fitting = 0, []
    for block in outline:
        depth = min(block.level, depth + 1)
        fitting.append(block._replace(level=depth, words=max(1, block.words)))
    marks = "=-~^"
    return write(fitting, lambda level, text: [text, marks[level - 1] * len(text), ""], lambda text: [text, ""])


def in_cells(outline: list[Block]) -> Written:
    """A cell each for headings and paragraphs, whose number stands for the line."""
    data, found = markdown(outline)
    cells = [line for line in data.decode().split("\n") if line]
    kinds = ["markdown" if cell.startswith("#") else ("code", "markdown", "raw")[i % 3] for i, cell in enumerate(cells)]
    by_cell = {word: i for i, cell in enumerate(cells, 1) for word in cell.split()}
    placed = [word._replace(line=by_cell[word.text]) for word in found]
    return notebook(list(zip(kinds, cells, strict=True))), placed


def in_word(outline: list[Block]) -> Written:
    """Lines of the converted text are no lines of a file: those of its words are not checked."""
    data, found = markdown(outline)
    paragraphs = []
    for line in filter(None, data.decode().split("\n")):
        mark = re.match("#+ ", line)
        paragraphs.append((f"Heading{len(mark[0]) - 1}" if mark else "", line[mark.end() if mark else 0 :]))
    return docx(paragraphs), [word._replace(line=0) for word in found]


FORMATS = {
    ".md": markdown,
    ".mdx": markdown,
    ".html": html,
    ".htm": html,
    ".rst": rst,
    ".ipynb": in_cells,
    ".docx": in_word,
}


def check(sections: tuple[Section, ...], found: list[Word]) -> None:
    """Every word of a paragraph stands in one text; every word of a heading in titles, or in one text of its own."""
    for word in found:
        texts = [one for one in sections if word.text in one.text.split()]
        titles = [one for one in sections if word.text in " ".join(one.titles).split()]
        if word.level == 0:
            assert len(texts) == 1
            assert not titles
        else:
            assert bool(texts) != bool(titles)
            assert len(texts) <= 1
        for one in texts:
            assert not word.line or one.first_line <= word.line <= one.last_line
            assert word.text not in one.titles


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=40, deadline=None)
@given(outline=blocks)
def test_every_word_of_headings_and_text_is_kept(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, outline: list[Block]
) -> None:
    data, found = FORMATS[suffix](outline)
    file = tmp_path_factory.mktemp("outline") / f"a{suffix}"
    file.write_bytes(data)
    corpus = Corpus.read(file)
    check(corpus.sections, found)
    alone = {word.text for word in found if word.level} & {w for one in corpus.sections for w in one.text.split()}
    assert corpus.report.headings == sum(one.text.split()[0] in alone for one in corpus.sections)


def test_the_law_sees_a_lost_heading_and_a_wrong_line(tmp_path: Path) -> None:
    data, found = markdown([Block(1, 1, 1), Block(2, 1, 0), Block(1, 1, 1)])
    file = tmp_path / "a.md"
    file.write_bytes(data)
    sections = Corpus.read(file).sections
    check(sections, found)
    alone = next(one for one in sections if one.text == found[3].text)
    with pytest.raises(AssertionError):
        check(tuple(one for one in sections if one is not alone), found)
    with pytest.raises(AssertionError):
        check(sections, [word._replace(line=word.line + 1) for word in found])


def test_a_heading_alone_is_the_fact_and_is_said(tmp_path: Path) -> None:
    file = tmp_path / "faq.md"
    file.write_text("# Questions\n\n## Iven Marsh kept the *light* first\n\n## Who kept it last?\n\nOrla Dane.\n")
    corpus = Corpus.read(file)
    assert [(one.titles, one.text, one.lines) for one in corpus.sections] == [
        (("Questions",), "Iven Marsh kept the light first", "L3"),
        (("Questions", "Who kept it last?"), "Orla Dane.", "L7"),
    ]
    assert corpus.sections[0].full_text == "Questions\nIven Marsh kept the light first"
    assert "1 heading without text, each a section of its own" in corpus.report.lines()
    assert not corpus.report.losses


def test_headings_with_sub_headings_and_empty_ones_are_no_sections(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("# A\n## B\n### C\nText.\n## \n#\n### D\n")
    assert [(one.titles, one.text) for one in Corpus.read(file).sections] == [(("A", "B", "C"), "Text."), ((), "D")]
    # An empty heading of a higher level ends the one before it.
    file.write_text("## A\n#\n### C\nText.\n")
    assert [(one.titles, one.text) for one in Corpus.read(file).sections] == [((), "A"), (("C",), "Text.")]
