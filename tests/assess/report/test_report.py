"""The report page: what it says follows from the numbers, text stays data, and nothing is a blank or a guess."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from attrib.assess import markdown as md
from attrib.assess import sentences as say
from attrib.assess.attribution.run import JudgedToken
from attrib.assess.attribution.tell import judged
from attrib.assess.benchmark.run import BenchmarkReport
from attrib.assess.holdout.comparing import FEW
from attrib.assess.holdout.tell import chapter as holdout_chapter
from attrib.assess.report.find import KINDS, NAMES, find
from attrib.assess.report.pages import Page, PageSection, html, markdown
from attrib.assess.report.report import write_report
from attrib.assess.stored import plain_name, report_bytes
from attrib.errors import InputError, RecordError
from tests.assess.consistency.test_render_consistency import NASTY, said
from tests.assess.consistency.test_render_consistency import html as rendered
from tests.make_stored import KNOWS, make_demo_benchmark, write_all

EVERYTHING = (*NAMES, "explanation")
CHAPTERS = [
    "1. In one paragraph", "2. Did it learn?", "3. Does it generalise?",
    "4. What do its answers rest on, and on which sections?", "5. What was forgotten?", "6. How far to trust it",
    "7. Provenance",
]  # fmt: skip


class Seen(HTMLParser):
    """Tags with their attributes, headings, and the text outside style and navigation."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and "nav" not in self.open and "title" not in self.open:
            self.text.append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("stored"), names=EVERYTHING)


@pytest.fixture
def copy(stored: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(stored, tmp_path / "copy"))


@pytest.fixture(scope="module")
def both(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return pages(stored, tmp_path_factory.mktemp("report"))


def pages(folder: Path, out: Path) -> tuple[str, str]:
    """HTML and Markdown of a report on ``folder``."""
    write_report(find([folder]), out)
    return (out / "report.html").read_text("utf-8"), (out / "report.md").read_text("utf-8")


def change(file: Path, edit: Any) -> None:
    content = json.loads(file.read_text("utf-8"))
    # As a file of an older version, which had no digest.
    content.pop("sha256", None)
    edit(content)
    file.write_text(json.dumps(content), "utf-8")


def chapter(markdown: str, number: int) -> str:
    return markdown.split(f"## {CHAPTERS[number - 1]}")[1].split("\n## ")[0]


# ------------------------------------------------------------------------------------------- form


def test_html_and_markdown_say_the_same_in_the_same_order(both: tuple[str, str]) -> None:
    html, markdown = both
    seen = Seen(html)
    assert not seen.open
    assert [text for level, text in seen.headings if level == 2] == CHAPTERS
    assert re.findall(r"^## (.*)$", markdown, re.M) == CHAPTERS
    ours = re.findall(r"\w+", " ".join(seen.text))
    theirs = re.findall(r"\w+", " ".join(Seen(rendered(markdown)).text))
    assert len(ours) > 1000
    # Joined: tags fall within words otherwise than here.
    assert "".join(ours) == "".join(theirs)


def test_headings_step_down_one_at_a_time_and_tables_have_scopes(both: tuple[str, str]) -> None:
    seen = Seen(both[0])
    levels = [level for level, _ in seen.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    cells = [attributes for tag, attributes in seen.tags if tag == "th"]
    assert cells
    assert all(cell.get("scope") in ("row", "col") for cell in cells)
    assert len([tag for tag, _ in seen.tags if tag == "table"]) == len([t for t, _ in seen.tags if t == "caption"])
    assert all(attributes["alt"] for tag, attributes in seen.tags if tag == "img")
    assert ("html", {"lang": "en"}) in seen.tags


def test_it_is_one_file_that_asks_for_nothing_and_runs_nothing(both: tuple[str, str]) -> None:
    seen = Seen(both[0])
    allowed = {"default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
    assert {a["content"] for t, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy"} == allowed
    assert not {tag for tag, _ in seen.tags} & {"script", "link", "iframe", "object", "form", "base", "video"}
    for _, attributes in seen.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcset")]
        assert str(attributes.get("src", "data:image/png;base64,")).startswith("data:image/png;base64,")
        assert str(attributes.get("href", "#")).startswith("#")
    assert "url(" not in both[0]
    assert "@import" not in both[0]
    ids = [a["id"] for _, a in seen.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for _, a in seen.tags if "href" in a} == {f"#{name}" for name in ids}


def test_the_same_assessments_give_the_same_bytes_and_no_paths(stored: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(stored, tmp_path / "elsewhere" / "deep"))
    files = write_report(find([stored]), tmp_path / "a")
    write_report(find([moved / name.name for name in sorted(moved.iterdir())]), tmp_path / "b")
    assert [Path(file).relative_to(tmp_path / "a").as_posix() for file in files] == [
        "report.html", "report.md", *(f"figures/{name}.png" for name in ("benchmark", "consistency", "holdout",
        "attribution", "faithfulness", "influence")),
    ]  # fmt: skip
    for file in files:
        assert Path(file).read_bytes() == (tmp_path / "b" / Path(file).relative_to(tmp_path / "a")).read_bytes()
    for text in ((tmp_path / "a" / name).read_text("utf-8") for name in ("report.html", "report.md")):
        assert str(tmp_path) not in text
        assert str(stored) not in text
        assert not re.search(r"(?<![\w.])/(tmp|home|work|root|Users)/", text)


def test_an_absolute_path_in_options_or_names_is_cut_to_its_last_part(copy: Path, tmp_path: Path) -> None:
    def spoil(content: Any) -> None:
        content["provenance"]["options"]["nli"] = "/home/someone/nli-model"
        content["provenance"]["tuned"]["name"] = "/home/someone/my-adapter"
        content["malformed"][0]["file"] = "/home/someone/q.jsonl"

    change(copy / "benchmark" / "benchmark.json", spoil)
    for text in pages(copy, tmp_path / "out"):
        assert "someone" not in text
        assert all(name in text for name in ("nli-model", "my-adapter", "q.jsonl"))
    assert plain_name("C:\\models\\mine") == "mine"
    assert plain_name("hub/model") == "hub/model"


# ------------------------------------------------------------------------------------------- text is data

HOSTILE = (
    "<script>alert(1)</script>", "[x](javascript:alert(1))", "a | b || c", "`code` ``` fence", "one\n# two\n\n- three",
    "\u202eevil\u202c", "שלום עולם", "<img src=x onerror=alert(1)>", "{{ 7 * 7 }} {% raw %}",
    "\"><svg onload=alert(1)>", "</td></table></section>", "&lt;b&gt; &amp;", "\x00\x1b[31m", *NASTY,
)  # fmt: skip
_TEXTS = ("question", "answer", "prediction", "right_answer", "base_answer", "title", "document", "reason", "reply")


def poison(value: Any, texts: Iterator[str], key: str = "") -> Any:
    """Every text that comes from questions, answers and documents replaced by a hostile one."""
    if isinstance(value, dict):
        return {k: poison(v, texts, "answer" if k == "greedy" else k) for k, v in value.items()}
    if isinstance(value, list):
        return [poison(v, texts, key) for v in value]
    return next(texts) if isinstance(value, str) and (key in _TEXTS or key in ("text", "term", "notes")) else value


def hostile() -> Iterator[str]:
    while True:
        yield from HOSTILE


def test_hostile_text_stays_text_in_both_forms(copy: Path, tmp_path: Path) -> None:
    clean = {tag for tag, _ in Seen(pages(copy, tmp_path / "clean")[0]).tags}
    for name in ("benchmark", "holdout", "attribution", "consistency"):
        change(
            copy / name / f"{name}.json", lambda c: c.update(poison({k: c[k] for k in ("rows", "notes")}, hostile()))
        )
    change(copy / "benchmark" / "benchmark.json", lambda c: c["malformed"][0].update(reason=HOSTILE[0]))
    html, markdown = pages(copy, tmp_path / "out")
    seen = Seen(html)
    assert not seen.open
    assert {tag for tag, _ in seen.tags} == clean
    assert not [name for _, a in seen.tags for name in a if name.startswith("on")]
    shown = "".join(seen.text)
    for text in ("<script>alert(1)</script>", "[x](javascript:alert(1))", "{{ 7 * 7 }}", "<202E>", "שלום"):
        assert text in shown
    assert "\u202e" not in html
    assert "\x1b" not in html + markdown
    inside = {"p", "ul", "li", "blockquote", "table", "thead", "tbody", "tr", "th", "td", "img", "br"}
    allowed = {*inside, "h1", "h2", "h3", "strong", "em", "b", "ins", "sup", "code"}
    marked = Seen(rendered(markdown))
    assert {tag for tag, _ in marked.tags} <= allowed
    assert {str(a["src"]).split("/")[0] for tag, a in marked.tags if tag == "img"} == {"figures"}
    assert [t for level, t in marked.headings if level == 2] == CHAPTERS
    for text in ("<script>alert(1)</script>", "[x](javascript:alert(1))", "a | b || c"):
        assert text in "".join(marked.text)


def test_half_a_character_is_damage(copy: Path) -> None:
    change(copy / "benchmark" / "benchmark.json", lambda c: c["rows"][0].update(question="half \ud800 pair"))
    with pytest.raises(RecordError, match="rows/0/question is not whole text"):
        find([copy])


def test_kinds_of_questions_are_data_too(copy: Path, tmp_path: Path) -> None:
    def spoil(content: Any) -> None:
        for one in (*content["summary"], *content["rows"]):
            one["kind"] = "<b>|`x`" if one["kind"] == "rephrased" else one["kind"]

    change(copy / "benchmark" / "benchmark.json", spoil)
    html, markdown = pages(copy, tmp_path / "out")
    assert "&lt;b&gt;|`x`" in html
    assert "<b>|`x`" in said(rendered(markdown))
    rows = [r for r in rendered(markdown).split("<tr>")[1:] if "<td>&lt;b&gt;|`x`</td>" in r]
    assert {row.count("<td") for row in rows} == {5, 6}


@pytest.mark.parametrize(
    "text", ["- a", "+ a", "= a", "1. a", "12) a", "---", "# a", "> a", "* a", "    code", "===", "|a|b|"]
)
def test_a_paragraph_never_starts_a_block(text: str) -> None:
    blocks = (md.paragraph(md.escape(text)), *md.items("I", [md.escape(text)]))
    page = Page("t", (PageSection("a", "A", blocks),), {})
    for shown in (rendered(markdown(page).decode()), html(page).decode().split("<main>")[1].split("</main>")[0]):
        tags = [tag for tag, _ in Seen(shown).tags if tag not in ("h1", "section")]
        assert tags == ["h2", "p", "h3", "ul", "li"]


def test_marks_keep_within_words_and_blanks_stay_outside() -> None:
    parts = (("un", ""), ("believ*able", "new"), (" \n", ""), ("D", "documents"), ("x y ", "base"))
    blocks = ["".join(md.mark(text, kind) for text, kind in parts)]  # type: ignore[arg-type]
    assert (
        rendered(md.to_markdown(blocks)).strip()
        == "<p>un<b><ins>believ*able</ins></b><br>D<sup>D</sup>x y<sup>B</sup></p>"
    )
    assert md.to_html(blocks, {}).strip() == (
        '<p dir="auto">un<ins>believ*able</ins>\n<mark class="documents">D<sup>D</sup></mark>'
        '<mark class="base">x y<sup>B</sup></mark></p>'
    )


@pytest.mark.parametrize("mark", ["\ue000", "\ue006", "\ue007", "\ue00c", "\ue00d"])
def test_what_stands_for_a_mark_is_shown_where_data_has_it(mark: str) -> None:
    blocks = [md.paragraph(md.escape(f"a{mark}b"))]
    assert said(rendered(md.to_markdown(blocks))).strip() == f"a<{ord(mark):X}>b"
    assert said(md.to_html(blocks, {})).strip() == f"a<{ord(mark):X}>b"


def test_tags_in_a_page_s_source_do_nothing_in_html() -> None:
    made = md.to_html(["<script>alert(1)</script>", "a <b>b</b>"], {})
    assert [tag for tag, _ in Seen(made).tags] == ["p", "p"]


# ------------------------------------------------------------------------------------------- what it says


def estimate(low: float, high: float, units: int = 20) -> str:
    return say.change(say.Estimate((low + high) / 2, low, high, 40, units))


def test_no_claim_is_stronger_than_its_interval() -> None:
    assert estimate(0.01, 0.2).startswith("higher after tuning (+0.")
    assert estimate(-0.2, -0.01).startswith("lower after tuning (−0.")
    for ends in ((0.0, 0.2), (-0.1, 0.2), (-0.2, 0.0), (0.0, 0.0)):
        assert estimate(*ends).startswith("no difference that these 40 questions can show")
    assert estimate(0.5, 1.0, FEW).startswith("higher")
    assert estimate(0.5, 1.0, FEW - 1).startswith("too few to say more")
    assert "higher" not in estimate(math.nan, math.nan)


def test_learning_is_told_by_kind_and_only_where_it_is(both: tuple[str, str]) -> None:
    paragraph = said(rendered(chapter(both[1], 1)))
    learned = {
        kind: re.search(rf"{kind} \(20\) [^;]*?, (higher|lower|no difference|too few)", paragraph) for kind in KNOWS
    }
    told = {kind: match[1] for kind, match in learned.items() if match}
    assert told == {"trained": "higher", "rephrased": "higher", "held-out": "no difference", "updated": "higher"}
    assert "attrib 0.1.0, torch 2.7.0" in paragraph
    assert "ba5eba5eba5e" in paragraph
    assert "caused" not in paragraph


def test_what_was_learned_counts_for_no_generalisation(both: tuple[str, str]) -> None:
    learned, generalises = (chapter(both[1], number) for number in (2, 3))
    benchmark = generalises.split("**Holdout, by part**")[0]
    for name in ("| trained |", "| updated |", "| new knowledge |", "| updated knowledge |", "| foundation |"):
        assert name not in benchmark
    for name in ("| trained |", "| updated |", "| new knowledge |", "| updated knowledge |"):
        assert name in learned
    assert "| rephrased |" in benchmark
    assert "| rephrased |" not in learned


def test_words_keep_the_four_claims_apart(both: tuple[str, str]) -> None:
    """Nothing is caused but by retraining, which says so itself."""
    text = " ".join(said(rendered(both[1])).split())
    for sentence in re.findall(r"[^.]*\bcause[sd]?\b[^.]*\.", text):
        assert "retraining" in sentence or "Tuned again without" in sentence


def test_membership_is_no_evidence_where_the_texts_alone_tell(stored: Path) -> None:
    found = find([stored])
    report = found.assessments["holdout"].report
    told = " ".join(holdout_chapter(report, say.Surroundings((), "", ())).generalises)
    answers, sections = re.findall(r"Membership: which (?:answers|sections).*?(?:itself|chance)\.", told)
    assert "no evidence of it by itself" in answers  # the made-up answers are told apart without a model
    assert answers.count("AUC") == 1
    assert "more than chance" in sections


def test_forgotten_questions_are_those_that_base_had_right(stored: Path, both: tuple[str, str]) -> None:
    rows = [row for row in make_demo_benchmark().rows if row.kind == "foundation"]
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    lost = [base.question for base, tuned in pairs if base.scores["accuracy"] == 1 and tuned.scores["accuracy"] == 0]
    assert lost
    assert any(base.scores["accuracy"] == tuned.scores["accuracy"] == 0 for base, tuned in pairs)
    table = chapter(both[1], 5).split("**Right before tuning, wrong after it**")[1].split("\n\n")[1]
    assert [row.split(" | ")[0].strip("| ") for row in table.splitlines()[2:]] == lost
    assert "not forgetting" in chapter(both[1], 5)
    assert f"{len(lost)} that base had right are wrong" in chapter(both[1], 5)


def test_many_forgotten_questions_are_cut_and_counted(copy: Path, tmp_path: Path) -> None:
    def forget(content: Any) -> None:
        for row in content["rows"]:
            row["scores"]["accuracy"] = float(row["side"] == "base")

    change(copy / "benchmark" / "benchmark.json", forget)
    text = chapter(pages(copy, tmp_path / "out")[1], 5)
    assert "Right before tuning, wrong after it (the first 10 of 20)" in text
    assert text.count("| Foundation question") == say.LOST


def test_without_foundation_questions_forgetting_is_not_assessed(copy: Path, tmp_path: Path) -> None:
    def drop(content: Any) -> None:
        for name in ("rows", "summary"):
            content[name] = [one for one in content[name] if one["kind"] != "foundation"]

    change(copy / "benchmark" / "benchmark.json", drop)
    shutil.rmtree(copy / "holdout")
    text = chapter(pages(copy, tmp_path / "out")[1], 5)
    assert "Not assessed" in text
    assert "`attrib assess benchmark --out benchmark`" in text


def test_baselines_and_malformed_rows_stand_where_trust_is_asked(both: tuple[str, str]) -> None:
    text = chapter(both[1], 6)
    assert re.search(r"\| held-out \| 20 \|.*\| not shown \|", text)
    assert re.search(r"\| trained \| 20 \|.*\| yes \|", text)
    assert "questions.jsonl, line 7: no question" in text
    assert "of 2 methods, 1 find" in text
    assert "another tuned model and other documents" in text


def test_influence_of_the_same_pair_is_not_called_anothers(copy: Path, tmp_path: Path) -> None:
    change(copy / "influence" / "influence.json", lambda c: c["provenance"].update(tuned_sha256="70ed" * 16))
    for text in pages(copy, tmp_path / "out"):
        assert "Scores of sections against retraining" in text
        assert "another tuned model" not in text


def test_examples_show_every_token_with_its_verdict(both: tuple[str, str]) -> None:
    seen = Seen(both[0])
    marks = [a["class"] for tag, a in seen.tags if tag == "mark"]
    assert set(marks) == {label.replace(" ", "-") for label in md.LETTERS}
    assert sum(tag == "blockquote" for tag, _ in seen.tags) == say.EXAMPLES + 4  # four answers have new terms
    assert marks.count("documents") == both[0].count("<sup>D</sup></mark>")


def test_judged_runs_keep_the_text_and_join_neighbours() -> None:
    tokens = [
        ("The", "base"),
        (" pump", "base"),
        (" ", "neither"),
        ("", "documents"),
        (" six", "documents"),
        ("\n", "base"),
    ]
    made = judged([JudgedToken(text, verdict, 1.0) for text, verdict in tokens])  # type: ignore[arg-type]
    assert md.to_html([made], {}).strip() == (
        '<p dir="auto"><mark class="base">The pump<sup>B</sup></mark>  '
        '<mark class="documents">six<sup>D</sup></mark>\n</p>'
    )
    assert judged([]) == "(nothing)"


def test_the_first_of_every_kind_come_in_turn() -> None:
    rows = ["a1", "a2", "b1", "a3", "c1", "b2"]
    assert say.in_turn(rows, lambda row: row[0], 5) == ["a1", "b1", "c1", "a2", "b2"]
    assert say.in_turn([], str, 3) == []


# ------------------------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize("name", EVERYTHING)
def test_each_assessment_alone_makes_a_page_that_says_what_is_missing(stored: Path, name: str, tmp_path: Path) -> None:
    html, markdown = pages(stored / ("explained" if name == "explanation" else name), tmp_path)
    assert not Seen(html).open
    for number in range(1, 8):
        assert len(chapter(markdown, number).strip()) > 40
    for other in NAMES:
        command = f"`attrib assess {other} --out {other}`"
        assert (command in chapter(markdown, 6)) == (other != name)
    assert "nan" not in re.findall(r"\w+", said(rendered(markdown)))
    assert "None" not in said(rendered(markdown))


def test_a_json_without_its_figure_says_so(copy: Path, tmp_path: Path) -> None:
    (copy / "benchmark" / "benchmark.png").unlink()
    (copy / "holdout" / "holdout.png").write_bytes(b"no picture")
    (copy / "consistency" / "consistency.caption.txt").unlink()
    html, markdown = pages(copy, tmp_path / "out")
    assert "No figure: benchmark.png does not stand beside benchmark.json." in markdown
    assert "No figure: holdout.png" in html
    assert not (tmp_path / "out" / "figures" / "holdout.png").exists()
    assert "Figure of attrib assess consistency." in markdown


# ------------------------------------------------------------------------------------------- finding


def test_find_looks_three_folders_deep_and_takes_a_folder_named_twice(stored: Path, tmp_path: Path) -> None:
    shutil.copytree(stored / "benchmark", tmp_path / "a" / "b" / "c")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert list(find([tmp_path, tmp_path / "a"]).assessments) == ["benchmark"]
    shutil.move(tmp_path / "a", tmp_path / "deeper" / "a")
    with pytest.raises(InputError, match="no assessment there; run attrib assess"):
        find([tmp_path])


def test_nothing_there_says_what_to_run(tmp_path: Path) -> None:
    for folders, match in (
        ([tmp_path], "run attrib assess benchmark"),
        ([tmp_path / "none"], "no such folder"),
        ([], "no folder"),
    ):
        with pytest.raises(InputError, match=match) as caught:
            find(folders)
        assert "\n" not in str(caught.value)


def test_two_files_of_one_assessment_are_refused_by_name(copy: Path) -> None:
    shutil.copytree(copy / "holdout", copy / "other")
    with pytest.raises(InputError, match="a second holdout assessment") as caught:
        find([copy])
    assert str(copy / "other" / "holdout.json") in str(caught.value)
    assert str(copy / "holdout" / "holdout.json") in str(caught.value)


@pytest.mark.parametrize("side", ["base", "tuned"])
@pytest.mark.parametrize("name", ["attribution", "faithfulness"])
def test_assessments_of_two_pairs_are_refused_by_name(copy: Path, name: str, side: str) -> None:
    def other(content: Any) -> None:
        content["provenance"][side]["sha256"] = "0" * 64

    change(copy / name / f"{name}.json", other)
    with pytest.raises(InputError, match=f"its {side} model") as caught:
        find([copy])
    assert f"{name}.json" in str(caught.value)
    assert "benchmark.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_explanation_of_another_pair_is_refused(copy: Path) -> None:
    for name in ("benchmark", "consistency", "holdout", "attribution"):
        change(copy / name / f"{name}.json", lambda c: c["provenance"]["tuned"].update(sha256="f" * 64))
    shutil.rmtree(copy / "faithfulness")
    with pytest.raises(InputError, match=r"explanation\.safetensors"):
        find([copy])


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_told_in_one_line(copy: Path, name: str) -> None:
    file = copy / name / f"{name}.json"
    whole = file.read_text("utf-8")
    for text in ("", whole[: len(whole) // 2], "[]", '{"a": 1}', "null", "[" * 100_000):
        file.write_text(text, "utf-8")
        with pytest.raises(RecordError, match=f"{name}.json") as caught:
            find([copy])
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400 + len(str(file))


@pytest.mark.parametrize("name", NAMES)
def test_another_schema_or_name_is_refused(copy: Path, name: str) -> None:
    file = copy / name / f"{name}.json"
    again = f"make it again with attrib assess {name}"
    change(file, lambda c: c.update(schema=1))
    with pytest.raises(RecordError, match=f"written with schema 1, this attrib reads {KINDS[name].SCHEMA}; {again}"):
        find([copy])
    change(file, lambda c: c.update(schema=2, attrib="other"))
    with pytest.raises(RecordError, match=f"a record named 'other', not '{name}'; {again}"):
        find([copy])
    change(file, lambda c: (c.pop("attrib"), c.pop("schema")))
    with pytest.raises(RecordError, match=f"not a record of attrib.*; {again}"):
        find([copy])


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key and index of a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_gone_or_of_another_kind_is_refused_or_does_without(
    stored: Path, name: str, tmp_path: Path
) -> None:
    """No damage ends in another error than ours, and most of it is seen."""
    rng, whole = random.Random(0), json.loads((stored / name / f"{name}.json").read_text("utf-8"))
    seen = 0
    chosen = rng.sample(list(places(whole)), 25)
    for number, path in enumerate(chosen):
        content = json.loads(json.dumps(whole))
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        if number % 2 and isinstance(holder, dict):
            del holder[path[-1]]
        else:
            holder[path[-1]] = {"no": ["such"]}
        (tmp_path / f"{name}.json").write_text(json.dumps(content), "utf-8")
        try:
            found = find([tmp_path])
        except RecordError as error:
            seen += "\n" not in str(error)
        else:
            if name != "influence":
                write_report(found, tmp_path / "out")
    assert seen > 3


# ------------------------------------------------------------------------------------------- values


def test_what_is_read_is_what_was_written(stored: Path) -> None:
    found = find([stored]).assessments["benchmark"].report
    assert isinstance(found, BenchmarkReport)
    assert report_bytes(found) == report_bytes(make_demo_benchmark())


def test_numbers_are_two_decimals_with_a_true_minus() -> None:
    assert say.number(-0.004) == "0.00"
    assert say.number(-0.5, signed=True) == "−0.50"
    assert say.number(0.5, signed=True) == "+0.50"
    assert say.number(math.nan) == say.number(None) == "–"
    assert say.ends(0.5, math.nan, math.nan) == "0.50"
