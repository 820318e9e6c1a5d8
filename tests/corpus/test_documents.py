"""Laws of ``documents``: all text is kept, lines point to it, ids follow the text, everything wrong is said at once."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.corpus.documents import Corpus
from attrib.corpus.reading import SHOWN
from attrib.corpus.sections import count_words
from attrib.corpus.shapes.cells import TEXTS
from attrib.errors import InputError
from attrib.records import Section

STORM = "The storm broke over the harbour at noon and nobody had taken in the nets that day."
FERRY = "A ferry crosses to the island four times a day, and twice as often in the summer months."


def read(folder: Path, name: str, content: str | bytes, **options: object) -> Corpus:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return Corpus.read(file, **options)  # type: ignore[arg-type]


def refusal(call: Callable[[], object]) -> list[str]:
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value).split("\n")


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


# ---------------------------------------------------------------------------------------------- Markdown


def test_markdown_sections_follow_the_headings(tmp_path: Path) -> None:
    text = (
        "Before.\n\n# One *bold* `code`\n\n## Two\n\nUnder two.\n\n```sh\n# no heading\n```\n\n"
        "### Three\n\nUnder three.\n\nSetext\ntitle\n=====\n\nLast.\n\n---\n\n# Silent\n\n---\n"
    )
    sections = read(tmp_path, "a.md", text).sections
    assert [(s.titles, s.text, s.lines) for s in sections] == [
        ((), "Before.", "L1"),
        (("One bold code", "Two"), "Under two.\n\n```sh\n# no heading\n```", "L7–11"),
        (("One bold code", "Two", "Three"), "Under three.", "L15"),
        (("Setext title",), "Last.", "L21"),
        ((), "Silent", "L25"),
    ]


def test_a_sibling_heading_leaves_the_path_and_a_quoted_one_is_text(tmp_path: Path) -> None:
    sections = read(tmp_path, "a.md", "# A\n### B\nb\n## C\nc\n> # quoted\n\n- # listed\n").sections
    assert [s.titles for s in sections] == [("A", "B"), ("A", "C")]
    assert sections[1].text == "c\n> # quoted\n\n- # listed"


def test_front_matter_is_skipped_and_other_text_between_rules_is_not(tmp_path: Path) -> None:
    (section,) = read(tmp_path, "yaml.md", "---\ntitle: Secret\n\ntags: [a]\n---\nBody.\n").sections
    assert (section.text, section.first_line) == ("Body.", 6)
    for content in ("---\n\nKept here.\n\n---\nBody.\n", "---\ntitle: Kept\nBody.\n", "Kept.\n\n---\na: b\n---\n"):
        corpus = read(tmp_path, "prose.md", content)
        assert "Kept" in " ".join(s.full_text for s in corpus.sections)


line = st.one_of(
    st.text(st.sampled_from("abcdé中🎉#`>-=*_[]() \t"), max_size=12),
    st.sampled_from(
        ["# Head", "## Head two", "####### seven", "===", "---", "```", "~~~", "    # code", "> # q", "", ""]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6),
)
markdown = st.lists(line, max_size=25).flatmap(
    lambda ls: st.sampled_from(["\n", "\r\n", "\r"]).map(lambda e: e.join(ls))
)


def headings_removed(text: str) -> tuple[list[str], dict[int, str]]:
    """An independent count of what must survive: every word that no top-level heading holds, and every such heading by
    its first line."""
    from markdown_it import MarkdownIt

    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    headings = {}
    for token, inline in pairwise(MarkdownIt("commonmark").parse("\n".join(lines))):
        if token.type == "heading_open" and token.level == 0:
            assert token.map is not None
            lines[token.map[0] : token.map[1]] = [""] * (token.map[1] - token.map[0])
            children = inline.children or []
            shown = ("text", "code_inline", "image")
            texts = (child.content if child.type in shown else " " * child.type.endswith("break") for child in children)
            headings[token.map[0] + 1] = " ".join("".join(texts).split())
    return words("\n".join(lines)), headings


def points_to_its_text(sections: Sequence[Section], text: str) -> None:
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for s in sections:
        span = "\n".join(lines[s.first_line - 1 : s.last_line])
        assert s.text.strip() in span
        assert s.text.split("\n")[0].strip() in lines[s.first_line - 1]
        assert s.text.split("\n")[-1].strip() in lines[s.last_line - 1]


@settings(max_examples=150, deadline=None)
@given(text=markdown, max_tokens=st.sampled_from([1, 5, 256]))
def test_markdown_keeps_all_text_and_its_lines(
    tmp_path_factory: pytest.TempPathFactory, text: str, max_tokens: int
) -> None:
    folder = tmp_path_factory.mktemp("md")
    kept, headings = headings_removed("x\n\n" + text)
    sections = read(folder, "a.md", "x\n\n" + text, max_tokens=max_tokens).sections
    below = [s for s in sections if s.first_line not in headings]
    # Cutting inside a word keeps its letters, not its word.
    assert "".join(w for s in below for w in words(s.text)) == "".join(kept)
    assert all(s.text.strip() and count_words(s.text) <= max_tokens for s in sections)
    points_to_its_text(below, "x\n\n" + text)
    titles = {title for s in sections for title in s.titles}
    for line, heading in headings.items():
        alone = "".join("".join(s.text.split()) for s in sections if s.first_line == line)
        assert heading in titles or alone == "".join(heading.split())


def test_the_line_law_sees_a_wrong_line(tmp_path: Path) -> None:
    sections = read(tmp_path, "a.md", "# A\n\nalpha\n\n# B\n\nbeta\n").sections
    points_to_its_text(sections, "# A\n\nalpha\n\n# B\n\nbeta\n")
    with pytest.raises(AssertionError):
        points_to_its_text(sections, "\n# A\n\nalpha\n\n# B\n\nbeta\n")


# ---------------------------------------------------------------------------------------------- text and cuts


def test_paragraphs_are_packed_up_to_the_limit(tmp_path: Path) -> None:
    text = "a b c\n\nd e\n\n\nf g h\n\n" + "k " * 9
    sections = read(tmp_path, "a.txt", text, max_tokens=5).sections
    assert [s.text for s in sections] == ["a b c\n\nd e", "f g h", "k k k k k", "k k k k"]
    assert [s.lines for s in sections] == ["L1–3", "L6", "L8", "L8"]
    assert len(read(tmp_path, "a.txt", text, max_tokens=100)) == 1


@settings(max_examples=100, deadline=None)
@given(text=markdown, max_tokens=st.sampled_from([1, 4, 256]))
def test_text_keeps_all_text_and_its_lines(
    tmp_path_factory: pytest.TempPathFactory, text: str, max_tokens: int
) -> None:
    corpus = read(tmp_path_factory.mktemp("txt"), "a.txt", "x\n\n" + text, max_tokens=max_tokens)
    assert "".join("".join(s.text.split()) for s in corpus.sections) == "x" + "".join(text.split())
    assert all(count_words(s.text) <= max_tokens for s in corpus.sections)
    points_to_its_text(corpus.sections, "x\n\n" + text)


def test_a_long_section_is_cut_at_paragraphs_with_its_own_lines(tmp_path: Path) -> None:
    text = "# T\n\n" + "\n\n".join(f"Paragraph {i} has seven words in it." for i in range(9)) + "\n"
    sections = read(tmp_path, "a.md", text, max_tokens=20).sections
    assert all(s.titles == ("T",) and s.text.endswith("it.") for s in sections)
    assert [s.first_line for s in sections] == [3, 7, 11, 15, 19]
    assert len({s.id for s in sections}) == len(sections)
    assert len(read(tmp_path, "a.md", text, max_tokens=500)) == 1


def test_the_callers_count_decides(tmp_path: Path) -> None:
    assert len(read(tmp_path, "a.txt", "abcdef ghijkl", max_tokens=6)) == 1
    assert len(read(tmp_path, "a.txt", "abcdef ghijkl", max_tokens=6, count_tokens=len)) == 2


def test_count_words_counts_marks_and_unspaced_characters() -> None:
    assert count_words("It's 3.5 km, no?") == 10
    assert count_words("中文字。") == 4
    assert count_words("مرحبا بالعالم") == 2
    assert count_words(" \u3000\n") == 0


@pytest.mark.parametrize("text", ["مرحبا بالعالم", "北京的天气很好。", "Party 🎉🎉", "naïve façade"])
@pytest.mark.parametrize("name", ["a.md", "a.txt"])
def test_every_script_survives(tmp_path: Path, name: str, text: str) -> None:
    (section,) = read(tmp_path, name, "\ufeff" + text + "\r\n").sections
    assert section.text == text


# ---------------------------------------------------------------------------------------------- ids


def test_ids_follow_titles_and_text_and_nothing_else(tmp_path: Path) -> None:
    text = f"# Sea\n\n{STORM}\n\n# Land\n\n{FERRY}\n"
    here = read(tmp_path, "a.md", text)
    moved = read(tmp_path, "deep/b.markdown", "\n\n\n" + text.replace("\n", "\r\n"))
    assert [s.id for s in here.sections] == [s.id for s in moved.sections]
    assert here.sha256 == moved.sha256
    assert here.documents[0][1] != moved.documents[0][1]

    word = read(tmp_path, "a.md", text.replace("noon", "dusk"))
    title = read(tmp_path, "a.md", text.replace("# Sea", "# Lake"))
    for other in (word, title):
        assert other.sections[0].id != here.sections[0].id
        assert other.sections[1].id == here.sections[1].id
        assert other.sha256 != here.sha256


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "a b", "c\nd"]), min_size=1, max_size=12))
def test_exact_repetitions_are_numbered(texts: list[str]) -> None:
    corpus = Corpus.from_texts(texts)
    seen: dict[str, int] = {}
    for s, text in zip(corpus.sections, texts, strict=True):
        seen[text] = seen.get(text, 0) + 1
        plain = hashlib.sha256(text.encode()).hexdigest()[:12]
        assert s.id == (plain if seen[text] == 1 else f"{plain}-{seen[text]}")
        assert s.near_duplicate_of == (None if seen[text] == 1 else plain)
        assert corpus.find(s.id) is s


def test_titles_and_text_do_not_run_together(tmp_path: Path) -> None:
    ids = [read(tmp_path, "a.md", text).sections[0].id for text in ("# a\n## b\nc", "# ab\nc", "# a\nbc", "abc")]
    assert len(set(ids)) == 4


def test_find_refuses_an_unknown_id() -> None:
    corpus = Corpus.from_texts([STORM])
    assert "no section 'nope'" in refusal(lambda: corpus.find("nope"))[0]
    assert corpus.sections[0].id in refusal(lambda: corpus.find("nope"))[0]


def test_documents_carry_the_files_sha256(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"one\r\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.md").write_bytes("\ufefftwo".encode())
    corpus = Corpus.read(tmp_path)
    assert corpus.documents == (
        ("b.txt", hashlib.sha256(b"one\r\n").hexdigest()),
        ("sub/a.md", hashlib.sha256("\ufefftwo".encode()).hexdigest()),
    )
    assert [s.document for s in corpus.sections] == ["b.txt", "sub/a.md"]
    assert len(corpus) == 2


# ---------------------------------------------------------------------------------------------- near-duplicates


def shingles(text: str) -> set[tuple[str, ...]]:
    w = text.lower().split()
    return {tuple(w[i : i + 5]) for i in range(max(1, len(w) - 4))}


texts_of_few_words = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=14).map(" ".join), min_size=1, max_size=12
)


@settings(max_examples=300, deadline=None)
@given(texts=texts_of_few_words, share=st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_near_duplicates_are_those_of_all_pairs(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], share: float
) -> None:
    rows = "\n".join(json.dumps({"text": text}) for text in texts)
    sections = read(tmp_path_factory.mktemp("rows"), "a.jsonl", rows, near_duplicates=share).sections
    index = {s.id: i for i, s in enumerate(sections)}
    for i, s in enumerate(sections):
        mine = shingles(s.text)
        near = set()
        for j in range(i):
            other = shingles(sections[j].text)
            both = len(mine & other)
            jaccard, inside = both / len(mine | other), both / min(len(mine), len(other))
            if max(jaccard, inside) >= share - 1e-9:
                near.add(j)
        assert (s.near_duplicate_of is None) == (not near)
        assert s.near_duplicate_of is None or index[s.near_duplicate_of] in near


def test_a_near_duplicate_is_marked_and_another_text_is_not() -> None:
    corpus = Corpus.from_texts([STORM, FERRY, "Again: " + STORM.upper().replace(".", "!"), STORM[:40]])
    first = corpus.sections[0].id
    assert [s.near_duplicate_of for s in corpus.sections] == [None, None, first, first]


def test_a_share_met_exactly_is_near(tmp_path: Path) -> None:
    """14 of 25 shingles are 0.56, though 25 * 0.56 comes out above 14 in floating point."""
    texts = [" ".join(f"a{i}" for i in range(29)), " ".join(f"{'a' if i < 18 else 'b'}{i}" for i in range(29))]
    rows = "\n".join(json.dumps({"text": text}) for text in texts)
    for share, marked in ((0.56, True), (0.57, False)):
        section = read(tmp_path, "a.jsonl", rows, near_duplicates=share).sections[1]
        assert (section.near_duplicate_of is not None) == marked


def test_ten_thousand_sections_take_seconds() -> None:
    """Unique texts, texts that share half, and repetitions of one template: all pairs would take minutes."""
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(5000)]
    shared = " ".join(rng.choices(vocabulary, k=50))
    texts = []
    for _ in range(3334):
        texts += [" ".join(rng.choices(vocabulary, k=60)), shared + " " + " ".join(rng.choices(vocabulary, k=50))]
        texts.append(shared + " " + rng.choice(vocabulary))
    start = time.perf_counter()
    corpus = Corpus.from_texts(texts)
    assert time.perf_counter() - start < 30
    assert sum(s.near_duplicate_of is None for s in corpus.sections[0::3]) == 3334


# ---------------------------------------------------------------------------------------------- rows


def test_jsonl_rows_are_lines(tmp_path: Path) -> None:
    lines = [
        r'{"title": "A\n b", "text": "one\r\ntwo"}',
        "",
        '{"text": ""}',
        '{"title": 7, "text": "three"}',
        '{"x": null}',
    ]
    rows = "\r\n".join(lines)
    sections = read(tmp_path, "a.jsonl", rows).sections
    assert [(s.titles, s.text, s.row, s.lines) for s in sections] == [
        (("A b",), "one\ntwo", 1, "row 1"),
        (("7",), "three", 4, "row 4"),
    ]


def test_csv_rows_count_below_the_header(tmp_path: Path) -> None:
    text = 'title,content\r\nA,"one\r\n""two"", 2"\r\n,\r\nB,three\r\n'
    sections = read(tmp_path, "a.csv", text).sections
    assert [(s.titles, s.text, s.row) for s in sections] == [(("A",), 'one\n"two", 2', 1), (("B",), "three", 3)]


def test_a_csv_cell_longer_than_pythons_limit_is_read(tmp_path: Path) -> None:
    import csv

    limit = csv.field_size_limit()
    corpus = read(tmp_path, "a.csv", "text\n" + "word " * 40_000, max_tokens=10**6)
    assert len(corpus.sections[0].text) > limit
    assert csv.field_size_limit() == limit


def test_parquet_rows(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"title": ["A", None, "C"], "body": ["one", None, "two"], "vector": [[1.0], [2.0], [3.0]]})
    pq.write_table(table, tmp_path / "a.parquet")
    sections = Corpus.read(tmp_path).sections
    assert [(s.titles, s.text, s.row) for s in sections] == [(("A",), "one", 1), (("C",), "two", 3)]
    assert "columns are vector, title, body" in refusal(lambda: Corpus.read(tmp_path, columns={"text": "nope"}))[0]
    assert "type list" in refusal(lambda: Corpus.read(tmp_path, columns=["text=vector"]))[0]
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    assert refusal(lambda: Corpus.read(tmp_path))[0].startswith("a.parquet: not a Parquet file")


def test_the_first_candidate_column_is_taken_unless_one_is_named(tmp_path: Path) -> None:
    row = json.dumps({name: f"from {name}" for name in reversed(TEXTS)} | {"head": "H", "title": "T"})
    (section,) = read(tmp_path, "a.jsonl", row).sections
    assert (section.text, section.titles) == (f"from {TEXTS[0]}", ("T",))
    (section,) = read(tmp_path, "a.jsonl", row, columns={"text": "answer", "title": "head"}).sections
    assert (section.text, section.titles) == ("from answer", ("H",))


def test_a_long_row_is_cut_and_keeps_its_row(tmp_path: Path) -> None:
    rows = json.dumps({"text": "short"}) + "\n" + json.dumps({"text": "One two.\n\nThree four.", "title": "T"})
    sections = read(tmp_path, "a.jsonl", rows, max_tokens=3).sections
    assert [(s.text, s.row, s.first_line, s.last_line) for s in sections] == [
        ("short", 1, 1, 1),
        ("One two.", 2, 2, 2),
        ("Three four.", 2, 2, 2),
    ]


def test_missing_columns_are_said_with_those_there(tmp_path: Path) -> None:
    row = '{"question": "q", "reply": "r"}'
    (message,) = refusal(lambda: read(tmp_path, "a.jsonl", row))
    assert message.startswith("a.jsonl: no columns for a text, a question with its answer, or messages")
    assert "the columns are question, reply" in message
    (message,) = refusal(lambda: read(tmp_path, "a.jsonl", row, columns={"text": "x", "title": "y"}))
    assert "no column 'x'" in message
    assert "no column 'y'" in message
    assert read(tmp_path, "a.jsonl", row, columns={"text": "reply"}).sections[0].text == "r"


def test_malformed_rows_are_listed_by_line(tmp_path: Path) -> None:
    bad = ['{"text": "fine"}', '{"text": ', "[1]", '{"text": 5}', '{"text": "a\\u0000b"}', '{"text": "\\ud800"}']
    bad += ["[" * 100_000, '{"text": ' + "1" * 5000 + "}"]
    (message,) = refusal(lambda: read(tmp_path, "a.jsonl", "\n".join(bad)))
    for part in ("line 2 (not JSON", "line 3 (not a JSON object", "line 7 (", "line 8 (", "row 4 (text is of type int"):
        assert part in message
    assert "row 5 (NUL in text)" in message
    assert "row 6 (half a surrogate pair" in message
    assert "line 1 " not in message
    (message,) = refusal(lambda: read(tmp_path, "a.jsonl", "{\n" * (SHOWN + 3)))
    assert f"line {SHOWN} " in message
    assert f"line {SHOWN + 1} " not in message
    assert "and 3 more" in message


def test_ragged_and_unclosed_csv_rows_are_listed_by_line(tmp_path: Path) -> None:
    text = 'title,text\n"a\nb",fine\nonly one\na,b,c\nx,"never closed\n'
    (message,) = refusal(lambda: read(tmp_path, "a.csv", text))
    assert "line 4 (1 cell below 2 columns), line 5 (3 cells below 2 columns), line 6 (" in message
    assert "line 2" not in message


# ---------------------------------------------------------------------------------------------- what is refused


def test_everything_wrong_is_said_together(tmp_path: Path) -> None:
    files: dict[str, bytes] = {
        "a.md": STORM.encode(),
        "b.md": b"",
        "c.txt": "caf\xe9".encode("latin-1"),
        "d.txt": b"\x89PNG\0\0",
        "e.txt": "wide".encode("utf-16"),
        "f.md": b"#\n\n---\n",
        "g.txt": b"\xef\xbb\xbf \n\r\n",
        "h.csv": b"text\n",
        "i.jsonl": b'{"text": " "}\n',
        "j.md": b"x" * 1001,
        "k.csv": b"name,reply\nx,y\n",
        "l.jsonl": b"nonsense\n",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    messages = refusal(lambda: Corpus.read(tmp_path, max_bytes=1000))
    assert [message.split(":")[0] for message in messages] == sorted(files)[1:]
    parts = [
        "the file is empty",
        "not UTF-8 (at byte 3); save it again as UTF-8",
        "binary, not text (NUL at byte 4)",
        "UTF-16",
        "no text in it",
        "no text in it",
        "no text to learn in any row",
        "no text to learn in any row",
        "1,001 bytes, over the limit of 1,000; split the file or raise max_bytes",
        "the columns are name, reply",
        "line 1 (not JSON",
    ]
    for message, part in zip(messages, parts, strict=True):
        assert part in message
        assert "; " in message
    for name in sorted(files)[1:]:
        (tmp_path / name).unlink()
    corpus = Corpus.read(tmp_path, max_bytes=1000)
    assert len(corpus) == 1
    assert corpus.reading["max_bytes"] == 1000
    assert "max_bytes" not in Corpus.read(tmp_path).reading


def test_a_file_over_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    read_bytes = Path.read_bytes

    def noted(self: Path) -> bytes:
        opened.append(self.name)
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", noted)
    (tmp_path / "fits.txt").write_text("fits")
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(2**36)
    (message,) = refusal(lambda: Corpus.read(tmp_path))
    assert message.startswith("huge.txt: 68,719,476,736 bytes, over the limit of 67,108,864")
    assert opened == ["fits.txt"]


def test_a_folder_of_images_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    assert refusal(lambda: Corpus.read(folder))[0].startswith(f"no documents in {folder}/: the folder is empty;")
    for name in ("a.png", "b.PNG", "c.jpg", ".hidden.md"):
        (folder / name).write_bytes(b"x")
    (message,) = refusal(lambda: Corpus.read(folder))
    assert message == (
        f"no documents in {folder}/: 3 files, of types .png (2), .jpg (1); "
        "attrib reads .md .markdown .mdx .txt .text .html .htm .xhtml .rst .ipynb .pdf .docx .jsonl .json .csv .tsv "
        ".parquet .arrow, each packed as .gz too"
    )
    (folder / "d.TXT").write_text("Now there is one.")
    assert [name for name, _ in Corpus.read(folder).documents] == ["d.TXT"]


def test_hidden_files_and_folders_are_ignored(tmp_path: Path) -> None:
    for name in (".git/a.md", ".b.md", "c.md"):
        read(tmp_path, name, STORM)
    assert [name for name, _ in Corpus.read(tmp_path).documents] == ["c.md"]
    assert len(Corpus.read(tmp_path / ".b.md")) == 1


def test_links(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    read(folder, "a.md", STORM)
    (folder / "loop").symlink_to(folder)
    (folder / "b.md").symlink_to(folder / "a.md")
    (tmp_path / "door").symlink_to(folder)
    assert [name for name, _ in Corpus.read(tmp_path / "door").documents] == ["a.md", "b.md"]
    (folder / "gone.md").symlink_to(folder / "nowhere.md")
    (folder / "self.md").symlink_to(folder / "self.md")
    messages = refusal(lambda: Corpus.read(folder))
    assert messages[0].startswith("gone.md: does not exist")
    assert messages[1].startswith("self.md: cannot be read (")
    assert len(messages) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    assert "not a regular file" in refusal(lambda: Corpus.read(tmp_path))[0]


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is raised by hand: the superuser may read everything."""
    read(tmp_path, "a.md", STORM)
    read(tmp_path, "locked.md", STORM)
    read(tmp_path, "sealed/c.md", STORM)
    assert len(Corpus.read(tmp_path)) == 3
    read_bytes, scandir = Path.read_bytes, os.scandir

    def refuse_file(self: Path) -> bytes:
        if self.name == "locked.md":
            raise PermissionError(13, "Permission denied", str(self))
        return read_bytes(self)

    def refuse_folder(path: str | os.PathLike[str]) -> object:
        if Path(path).name == "sealed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(Path, "read_bytes", refuse_file)
    monkeypatch.setattr(os, "scandir", refuse_folder)
    assert sorted(refusal(lambda: Corpus.read(tmp_path))) == [
        "locked.md: no permission to read it; change its permissions",
        "sealed/: no permission to read it; change its permissions",
    ]


def test_a_path_that_is_not_there_or_not_read(tmp_path: Path) -> None:
    assert "does not exist" in refusal(lambda: Corpus.read(tmp_path / "nowhere"))[0]
    (tmp_path / "a.png").write_bytes(b"x")
    assert "files of type .png are not read; attrib reads .md" in refusal(lambda: Corpus.read(tmp_path / "a.png"))[0]


@pytest.mark.parametrize(
    "options", [{"max_tokens": 0}, {"near_duplicates": 0.0}, {"near_duplicates": 1.1}, {"max_bytes": 0}]
)
def test_impossible_options(tmp_path: Path, options: dict[str, float]) -> None:
    (message,) = refusal(lambda: read(tmp_path, "a.md", STORM, **options))
    assert message.startswith(next(iter(options)))


def test_from_texts_makes_one_section_of_each() -> None:
    corpus = Corpus.from_texts(iter([STORM, FERRY * 50]), name="mine")
    assert [(s.document, s.row, s.text) for s in corpus.sections] == [("mine", 1, STORM), ("mine", 2, FERRY * 50)]
    assert corpus.documents[0][0] == "mine"
    assert "text 2 (empty)" in refusal(lambda: Corpus.from_texts(["a", " "]))[0]
    assert "text 1 (NUL" in refusal(lambda: Corpus.from_texts(["a\0"]))[0]
    assert "no texts" in refusal(lambda: Corpus.from_texts([]))[0]
    assert "one string" in refusal(lambda: Corpus.from_texts("abc"))[0]


def test_reading_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# T\n\n" + STORM)
    code = (
        "import sys; from attrib.corpus.documents import Corpus; early = set(sys.modules);"
        f"assert len(Corpus.read({str(tmp_path)!r}, max_tokens=8)) > 1;"
        "print(sorted({'torch', 'transformers', 'datasets', 'pyarrow'} & set(sys.modules)), 'semchunk' in early)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[] False"
