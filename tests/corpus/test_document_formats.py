"""Documents beside Markdown and text: what of each format is text, where it stands, and what is said of the rest."""

from __future__ import annotations

import gzip
import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.corpus import formats
from attrib.corpus.documents import Corpus
from attrib.corpus.formats.html import read_page
from attrib.corpus.formats.rst import read_rst
from attrib.corpus.shapes.cells import Columns
from attrib.corpus.spans import ReadOptions
from attrib.errors import InputError
from attrib.records import Section
from tests.make_documents import docx, notebook, pdf


def read(folder: Path, name: str, content: str | bytes) -> Corpus:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return Corpus.read(file)


def found(corpus: Corpus) -> list[tuple[tuple[str, ...], str, str]]:
    return [(s.titles, s.text, s.lines) for s in corpus.sections]


# ---------------------------------------------------------------------------------------------- HTML

PAGE = """<!doctype html>
<html><head><title>Light
 house</title><style>p { color: red }</style></head>
<body><nav><a>Home</a></nav><!-- not seen -->
<p>Before <b>bo</b>ld
two lines.</p>
<h2>One <i>x</i></h2>
<ul><li>first</li><li><p>second</p>
</ul>
<table><tr><th>A<th>B</tr><tr><td>1<td>2</table>
<pre>
  x = 1
    y
</pre>
<script>var a = "<p>no</p>";</script>
<h3>Alone</h3>
<h2>Fact &amp; more</h2>
<img src=x alt="the lamp"> last<br>caf&#233;
"""


def test_a_page_becomes_sections_with_its_own_lines(tmp_path: Path) -> None:
    corpus = read(tmp_path, "a.html", PAGE)
    assert found(corpus) == [
        (("Light house",), "Before bold two lines.", "L5–6"),
        (("Light house", "One x"), "- first\n- second\n\nA | B\n1 | 2\n\n  x = 1\n    y", "L8–13"),
        (("Light house", "One x"), "Alone", "L16"),
        (("Light house", "Fact & more"), "the lamp last\ncafé", "L18"),
    ]
    assert corpus.report.losses == ("not read: <nav> with words (1) in a.html",)


def test_the_pages_title_is_a_heading_only_where_there_is_no_h1(tmp_path: Path) -> None:
    corpus = read(tmp_path, "a.html", "<title>Site</title><h1>Light</h1>Text.")
    assert found(corpus) == [(("Light",), "Text.", "L1")]
    assert corpus.report.losses == ("not read: <title> of a page with an h1 (1) in a.html",)
    second = read(tmp_path, "d.html", "<title>One</title><h1></h1><title>Two</title>Text.")
    assert found(second) == [(("One",), "Two\nText.", "L1")]
    assert read(tmp_path, "b.html", "<title>Light</title><h1>Light</h1>Text.").report.losses == ()
    assert found(read(tmp_path, "c.html", "<title>A title alone</title>")) == [((), "A title alone", "L1")]


def test_a_long_section_is_cut_with_the_lines_of_its_parts(tmp_path: Path) -> None:
    text = "<p>One two three.\n\n\n<p>Four five six.\n<p>Seven eight nine."
    (tmp_path / "a.html").write_text(text)
    sections = Corpus.read(tmp_path, max_tokens=4).sections
    assert [(s.text, s.lines) for s in sections] == [
        ("One two three.", "L1"),
        ("Four five six.", "L4"),
        ("Seven eight nine.", "L5"),
    ]


@pytest.mark.parametrize("tag", ["script", "style", "nav", "svg", "template"])
def test_an_element_that_never_ends_is_refused(tmp_path: Path, tag: str) -> None:
    text = f"<p>Before.\n<{tag}>inside\n"
    with pytest.raises(InputError, match=rf"<{tag}> at line 2 never ends.*; close it"):
        read(tmp_path, "a.html", text + "<p>After.")
    assert found(read(tmp_path, "a.html", f"{text}</{tag}><p>After."))[0][1] == "Before.\n\nAfter."


def test_pages_in_other_encodings_that_say_so_are_read(tmp_path: Path) -> None:
    text = '<html><head><meta http-equiv="Content-Type" content="text/html; charset=windows-1252"></head>café – né'
    assert found(read(tmp_path, "a.html", text.encode("cp1252")))[0][1] == "café – né"
    xhtml = '<?xml version="1.0" encoding="iso-8859-1"?><html><body><p>café<![CDATA[ & né]]></p></body></html>'
    assert found(read(tmp_path, "a.xhtml", xhtml.encode("latin-1")))[0][1] == "café & né"
    with pytest.raises(InputError, match="not UTF-8"):
        read(tmp_path, "b.html", "<p>café".encode("latin-1"))
    with pytest.raises(InputError, match="not shift-nothing, which it says it is"):
        read(tmp_path, "c.html", "<meta charset=shift-nothing>")


inline = st.sampled_from(["b", "i", "a", "span", "code"])
block = st.sampled_from(["p", "div", "li", "td", "blockquote", "pre", "h2", "h4", "section", "dd"])
element = st.recursive(
    st.just(("", [])),
    lambda children: st.tuples(st.one_of(inline, block), st.lists(children, max_size=3)),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(trees=st.lists(element, min_size=1, max_size=6), ends=st.booleans(), odd=st.text("<>&\"' \nx", max_size=8))
def test_every_word_of_any_tree_is_kept_in_order_of_its_heading(
    trees: list[tuple[str, list[object]]], ends: bool, odd: str
) -> None:
    """Nested as it never should be, with and without end tags; a word stands once, in a title or in a text."""
    words: list[tuple[str, int]] = []
    out = ["start "]

    def write(node: tuple[str, list[object]]) -> None:
        tag, children = node
        word = f"w{len(words)}x"
        words.append((word, "".join(out).count("\n") + 1))
        out.append(f"<{tag}>{word} " if tag else f" {word}\n")
        for child in children:
            write(child)  # type: ignore[arg-type]
        if tag and ends:
            out.append(f"</{tag}>")

    for tree in trees:
        write(tree)
    out.append(f"\n<p>{html.escape(odd)} end")
    spans = read_page("".join(out)).spans
    texts = [word for span in spans for word in span.text.split()]
    titles = {word for span in spans for title in span.titles for word in title.split()}
    for word, line in words:
        assert (texts.count(word) == 1) != (word in titles)
        for span in spans:
            assert word not in span.text.split() or span.first_line <= line <= span.last_line
    in_order = [word for word in texts if word in dict(words)]
    assert in_order == [word for word, _ in words if word in in_order]


# ---------------------------------------------------------------------------------------------- reStructuredText


def test_rst_sections_are_the_text_as_it_stands(tmp_path: Path) -> None:
    text = (
        "=====\nLight\n=====\n\nIntro.\n\nKept *first*\n------------\n\nKept last\n---------\n\n"
        ".. note:: Orla Dane.\n\n.. unknown:: word\n   more\n\n::\n\n   Not\n   ===\n\n+---+\n| a |\n+---+\n"
    )
    corpus = read(tmp_path, "a.rst", text)
    below = ".. note:: Orla Dane.\n\n.. unknown:: word\n   more\n\n::\n\n   Not\n   ===\n\n+---+\n| a |\n+---+"
    assert found(corpus) == [
        (("Light",), "Intro.", "L5"),
        (("Light",), "Kept first", "L7–8"),
        (("Light", "Kept last"), below, "L13–25"),
    ]


def test_rst_reads_no_other_file_and_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret.txt").write_text("Secret words.")
    text = ".. include:: secret.txt\n\n.. raw:: html\n   :file: secret.txt\n\n"
    text += "Broken ``markup\n\nTitle\n==\n\n`x`_ :role:`y`\n"
    corpus = read(tmp_path, "a.rst", text)
    assert "".join(" ".join(s.text for s in corpus.sections).split()) == "".join(text.split())
    assert "Secret" not in str(found(corpus))
    assert capfd.readouterr() == ("", "")


rst_line = st.one_of(
    st.sampled_from(
        ["====", "----", "~~~~~~", "  ====", "::", "..", "", "", "+--+", "=== ===", "____", "* item", "    in"]
    ),
    st.sampled_from(
        [".. note:: words", ".. include:: file", ":field: value", "Title here", "``open", "`link`_", "|a|"]
    ),
    st.text("ab =-*`_|:.", max_size=8),
)


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(rst_line, max_size=14))
def test_rst_keeps_every_line_of_any_text(lines: list[str]) -> None:
    text = "\n".join(["start", *lines])
    spans = read_rst(text.encode(), ReadOptions(Columns.of(()), 256, len)).spans
    below = [span for span in spans if not span.heading]
    kept = [title for span in spans for title in span.titles] + [span.text for span in spans]
    for span in below:
        assert span.text == "\n".join(text.split("\n")[span.first_line - 1 : span.last_line]).rstrip()
    inside = {i for span in below for i in range(span.first_line, span.last_line + 1)}
    for number, line in enumerate(text.split("\n"), 1):
        if number not in inside:
            assert all(word in " ".join(kept) for word in re.findall("[a-z]+", line))


# ---------------------------------------------------------------------------------------------- notebooks


def test_a_notebooks_cells_are_sections_below_its_headings(tmp_path: Path) -> None:
    cells = [("markdown", "# Light\n\nIntro."), ("code", "x = 1\n\ny = 2"), ("markdown", "## Alone"), ("raw", " ")]
    corpus = read(tmp_path, "a.ipynb", notebook([*cells, ("markdown", "## Last"), ("raw", "raw words")], outputs=2))
    assert found(corpus) == [
        (("Light",), "Intro.", "cell 1"),
        (("Light",), "x = 1\n\ny = 2", "cell 2"),
        (("Light",), "Alone", "cell 3"),
        (("Light", "Last"), "raw words", "cell 6"),
    ]
    assert corpus.report.losses == ("not read: outputs of cells (1) in a.ipynb",)
    assert "printed" not in str(found(corpus))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("no json", "not a notebook (no JSON)"),
        ("[1]", "not a notebook (no cells)"),
        ('{"worksheets": []}', "a notebook of a format before 4"),
        ('{"cells": [{"cell_type": "code", "source": 7}]}', "cell 1 has no source that is text"),
        ('{"cells": [3]}', "cell 1 has no source that is text"),
        ('{"cells": []}', "no text in any cell"),
    ],
)
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, "a.ipynb", content)
    assert str(caught.value).startswith(f"a.ipynb: {why}")
    assert "; " in str(caught.value)


# ---------------------------------------------------------------------------------------------- PDF and DOCX


def test_a_pdf_is_read_by_page_and_pages_without_text_are_said(tmp_path: Path) -> None:
    corpus = read(tmp_path, "a.pdf", pdf([["Iven Marsh kept", "the light."], [], ["Orla Dane."]]))
    assert found(corpus) == [((), "Iven Marsh kept\nthe light.", "page 1"), ((), "Orla Dane.", "page 3")]
    assert corpus.report.losses == ("not read: pages without text, such as scans (1) in a.pdf",)
    with pytest.raises(InputError, match=r"no text on any page \(pictures of text are not read\); fill or remove"):
        read(tmp_path, "a.pdf", pdf([[], []]))


def test_a_docx_is_read_by_its_headings(tmp_path: Path) -> None:
    paragraphs = [
        ("", "Before."),
        ("Heading1", "Light"),
        ("", "Iven <Marsh> 1.5."),
        ("", "Two."),
        ("Heading2", "Alone"),
    ]
    corpus = read(tmp_path, "a.docx", docx(paragraphs))
    assert found(corpus) == [
        ((), "Before.", "L1"),
        (("Light",), "Iven <Marsh> 1.5.\n\nTwo.", "L2–4"),
        (("Light",), "Alone", "L5"),
    ]
    assert "a.docx: lines are those of the converted text" in corpus.report.lines()


@pytest.mark.parametrize("name", ["a.pdf", "a.docx"])
@pytest.mark.parametrize("content", [b"nothing of the kind", b"%PDF-1.4\n", b"PK\x03\x04 cut"])
def test_damaged_files_are_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, name, content)
    assert str(caught.value).startswith(f"{name}: not a {name[2:].upper()} that can be read (")
    assert "\n" not in str(caught.value)


def test_without_the_extra_a_file_is_refused_and_a_folder_says_what_it_skips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    (tmp_path / "a.pdf").write_bytes(pdf([["Text."]]))
    (tmp_path / "b.md").write_text("# One\n\nText.\n")
    with pytest.raises(InputError, match=r"a.pdf: reading .pdf needs more packages; pip install 'attrib\[documents\]'"):
        Corpus.read(tmp_path / "a.pdf")
    corpus = Corpus.read(tmp_path)
    assert [name for name, _ in corpus.documents] == ["b.md"]
    assert corpus.report.losses == ("not read: 1 file: .pdf needing pip install 'attrib[documents]' (1)",)


# ---------------------------------------------------------------------------------------------- all of them


def test_a_folder_of_all_formats_loses_nothing(tmp_path: Path) -> None:
    """What people keep beside each other: every file's own fact is found, and what is not read is counted."""
    files: dict[str, bytes] = {
        "a.md": b"# M\n\nfact0\n",
        "b.pdf": pdf([["fact1"]]),
        "c.docx": docx([("", "fact2")]),
        "d.html": b"<p>fact3",
        "e.json": b'[{"text": "fact4"}]',
        "f.ipynb": notebook([("code", "fact5")]),
        "g.md.gz": gzip.compress(b"# G\n\nfact6\n"),
        "h.rst": b"H\n=\n\nfact7\n",
        "i.mdx": b"# I\n\n<Note>fact8</Note>\n",
        "j.jsonl": json.dumps({"text": "fact9"}).encode(),
        "k.htm": "\ufeff<p>fact10\r\n".encode(),
        "l.txt": "\ufefffact11\r\n".encode(),
        "m.html.gz": gzip.compress(b"<p>fact12"),
        "n.toml.md": b'+++\ntitle = "N"\n+++\n\nfact13\n',
        "o.py": b"fact = 14\n",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    corpus = Corpus.read(tmp_path)
    text = "\n".join(s.text for s in corpus.sections)
    assert [i for i in range(14) if f"fact{i}" not in text.replace("</", " ").replace(">", " ").split()] == []
    assert corpus.report.losses == (
        "not read: 1 file: .py (1)",
        "not read: front matter (1) in n.toml.md",
    )
    assert sum(corpus.report.files.values()) == 14


@pytest.mark.parametrize(
    "text", ["+++\nprose, no key\n+++\n\nAfter.\n", "+++\na = 1\nAfter.\n", "Before.\n\n+++\na = 1\n+++\n"]
)
def test_what_only_looks_like_toml_front_matter_is_text(tmp_path: Path, text: str) -> None:
    corpus = read(tmp_path, "a.md", text)
    assert "".join("".join(s.text.split()) for s in corpus.sections) == "".join(text.split())
    assert corpus.report.losses == ()


def test_readers_load_their_parsers_only_when_needed(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# T\n\nText.")
    names = "{'docutils', 'pypdf', 'mammoth', 'datasets', 'pyarrow'}"
    code = f"import sys, attrib; attrib.Corpus.read({str(tmp_path)!r}); print(sorted({names} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


def test_places_are_said_by_kind_of_file() -> None:
    def place(document: str) -> str:
        return Section("i", document, (), "t", 3, 3, 3).lines

    assert [place(name) for name in ("a.pdf", "A.PDF.gz", "a.ipynb", "a.jsonl", "pdf")] == [
        "page 3",
        "page 3",
        "cell 3",
        "row 3",
        "row 3",
    ]
