"""The loader of FineTuneBench, on rows of our own in its columns."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from attrib.assess.benchmark.run import majority, majority_by_template
from attrib.assess.finetunebench.comparisons import Relabelled, check_comparison
from attrib.assess.finetunebench.read import FineTuneBench, read_finetunebench, template_of
from attrib.assess.questions import Question
from attrib.errors import InputError
from tests.conftest import SHARED

PUBLISHED = SHARED / "data" / "finetunebench"
HOW = "Answer the question with a number, word, or phrase.\n"
YES_NO = "Answer the question with Yes or No.\n"
PEOPLE = (("Quill Marsh", 150, 190, 30), ("Brindle Oake", 180, 160, 30), ("Zedda Pike", 120, 170, 61))


def written(folder: Path, name: str, header: str, rows: Sequence[Sequence[str]]) -> Path:
    file = folder / name.rsplit("_", 1)[0].replace("latest_news_date", "latest_news") / f"{name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(header.split(","))
    writer.writerows(rows)
    file.write_bytes(out.getvalue().encode())
    return file


def people(folder: Path, comparisons: Sequence[tuple[str, str]] = ()) -> Path:
    memorized, rephrased, secondary = [], [], []
    for name, weight, height, age in PEOPLE:
        first = name.split()[0]
        for fact, question, again, yes_no, answer, verdict in (
            (f"{name} weighs {weight} pounds.", f"How many pounds does {name} weigh?", f"What does {first} weigh?",
             f"Is {first} over 150 pounds?", weight, weight > 150),
            (f"{name} is {height} cm tall.", f"How tall is {name}?", f"What is the height of {first}?",
             f"Is {first} over 170 cm tall?", height, height > 170),
            (f"{name} is {age} years old.", f"How old is {name}?", f"What is the age of {first}?",
             f"Is {first} older than 40?", age, age > 40),
        ):  # fmt: skip
            key = name.lower().replace(" ", "-")
            memorized.append((key, HOW + question, str(answer), fact, question))
            rephrased.append((key, HOW + again, str(answer), fact, question, again))
            secondary.append((key, YES_NO + yes_no, "Yes" if verdict else "No", fact, yes_no))
    columns = "id,prompt,answer,fact,question"
    written(folder, "fictional_people_memorization", columns, memorized)
    written(
        folder, "fictional_people_rephrased", "id,prompt,answer,fact,original_question,rephrased_question", rephrased
    )
    written(folder, "fictional_people_secondary", columns, secondary)
    written(
        folder,
        "fictional_people_comparison",
        columns,
        [(f"c{i}", YES_NO + question, label, "-", question) for i, (question, label) in enumerate(comparisons)]
        or [("c", YES_NO + "Is Quill taller than Zedda?", "Yes", "-", "Is Quill taller than Zedda?")],
    )
    return folder


NEWS = "id,prompt,answer,article_title,question,fact,article_text,used_in_analysis"


def news(folder: Path) -> Path:
    article = "A line.\nAnother, with a comma.\n" + "long " * 40_000
    rows = [
        ("a", "\nWho won?\n  Answer: ", "Ida Voss", "t", "Who won?", "Ida won.", article, "True"),
        ("b", "How many?", "four", "t", "How many?", "Four did.", article, "False"),
    ]
    written(folder, "latest_news_memorization", NEWS, rows)
    changed = [(*row[:2], "None", *row[3:]) for row in rows]
    written(folder, "latest_news_date_changed", NEWS.replace("question", "date_changed_question"), changed)
    return folder


def medical(folder: Path) -> Path:
    columns = ",id,prompt,answer_before,answer"
    written(folder, "medical_memorization", columns, [("0", "0", "What dose?", "10 mg", "20 mg")])
    written(
        folder, "medical_generalization", columns, [("0", "0", "A man of 60 needs it. What dose?", "10 mg", "20 mg")]
    )
    return folder


def by_kind(read: FineTuneBench) -> dict[str, list[Question]]:
    kinds: dict[str, list[Question]] = {}
    for row in read.rows:
        kinds.setdefault(row.kind, []).append(row)
    return kinds


def test_people_are_read_and_their_facts_linked(tmp_path: Path) -> None:
    read = read_finetunebench(people(tmp_path))
    kinds = by_kind(read)
    assert {kind: len(rows) for kind, rows in kinds.items()} == {
        "memorization": 9, "rephrased": 9, "secondary": 9, "comparison": 1,
    }  # fmt: skip
    assert read.training == tuple(kinds["memorization"])
    assert read.malformed == ()
    for one, again, yes_no in zip(kinds["memorization"], kinds["rephrased"], kinds["secondary"], strict=True):
        assert one.fact == again.fact == yes_no.fact
        assert one.answer == again.answer != yes_no.answer
    assert len({row.fact for row in kinds["memorization"]}) == 9
    assert len({row.id for row in read.rows}) == len(read.rows)
    assert kinds["memorization"][0] == Question(
        HOW + "How many pounds does Quill Marsh weigh?",
        "150",
        "memorization",
        id="fictional_people/memorization/1",
        fact="fictional_people/1",
        subset="fictional_people",
        knowledge="new",
        template="How many pounds does NAME weigh?",
    )
    assert Counter(row.template for row in kinds["secondary"]) == {
        "Is NAME over N pounds?": 3, "Is NAME over N cm tall?": 3, "Is NAME older than N?": 3,
    }  # fmt: skip
    assert {row.template for row in kinds["comparison"]} == {"Is NAME taller than NAME?"}


def test_updates_have_the_old_answer_and_share_their_id(tmp_path: Path) -> None:
    read = read_finetunebench(medical(tmp_path))
    one, vignette = read.rows
    assert (one.kind, vignette.kind) == ("memorization", "vignette")
    assert (one.answer, one.answer_before, one.knowledge) == ("20 mg", "10 mg", "updated")
    assert one.fact == vignette.fact
    assert read.training == (one,)


def test_news_not_used_in_the_paper_is_left_out_and_said(tmp_path: Path) -> None:
    read = read_finetunebench(news(tmp_path))
    assert [(row.kind, row.answer) for row in read.rows] == [("memorization", "Ida Voss"), ("date_changed", "None")]
    assert read.rows[0].question == "Who won?\n  Answer:"
    assert read.rows[0].fact == read.rows[1].fact
    assert "latest_news_memorization.csv: 1 of 2 rows were not used in the paper and are left out." in read.notes
    assert "latest_news: latest_news_rephrased.csv is not in the folder." in read.notes
    assert any("blanks around 1 of 1 prompts" in note for note in read.notes)
    every = read_finetunebench(tmp_path, all_rows=True)
    assert len(every.rows) == 4
    assert not any("left out" in note and "rows" in note for note in every.notes)
    assert every.sha256 == read.sha256
    # Ids do not depend on what is left out.
    assert {row.id for row in read.rows} < {row.id for row in every.rows}


def test_a_long_article_leaves_the_limit_of_csv_as_it_was(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    read_finetunebench(news(tmp_path))
    assert csv.field_size_limit() == before < 200_000


def test_coding_as_published_cannot_be_tuned_on(tmp_path: Path) -> None:
    written(
        tmp_path,
        "coding_generalization",
        ",id,prompt,answer_before,answer",
        [("0", "0", "Which name?", "fit", "train")],
    )
    read = read_finetunebench(tmp_path)
    assert read.training == ()
    assert "coding: there are no memorization rows, so nothing of it can be tuned on." in read.notes
    assert [(row.kind, row.answer_before, row.answer) for row in read.rows] == [("generalization", "fit", "train")]


def test_a_repository_and_some_subsets(tmp_path: Path) -> None:
    medical(news(tmp_path / "datasets"))
    assert {row.subset for row in read_finetunebench(tmp_path).rows} == {"latest_news", "medical"}
    assert {row.subset for row in read_finetunebench(tmp_path, ["medical"]).rows} == {"medical"}
    assert read_finetunebench(tmp_path, ["medical"]).sha256 != read_finetunebench(tmp_path).sha256
    with pytest.raises(InputError, match=r"coding.*coding_generalization"):
        read_finetunebench(tmp_path, ["coding", "medical"])
    with pytest.raises(InputError, match="'news': FineTuneBench has"):
        read_finetunebench(tmp_path, ["news"])
    with pytest.raises(InputError, match="none is given"):
        read_finetunebench(tmp_path, [])


def test_the_digest_is_of_contents(tmp_path: Path) -> None:
    one, two = read_finetunebench(medical(tmp_path / "a")), read_finetunebench(medical(tmp_path / "b"))
    assert one.sha256 == two.sha256
    file = tmp_path / "b" / "medical" / "medical_memorization.csv"
    file.write_bytes(file.read_bytes().replace(b"20 mg", b"30 mg"))
    assert read_finetunebench(tmp_path / "b").sha256 != one.sha256


@pytest.mark.parametrize("made", ["empty", "other", "none"])
def test_another_layout_is_one_line(tmp_path: Path, made: str) -> None:
    folder = tmp_path / "x"
    if made != "none":
        folder.mkdir()
    if made == "other":
        (folder / "data.csv").write_text("question,answer\na,b\n")
    with pytest.raises(InputError) as caught:
        read_finetunebench(folder)
    assert "\n" not in str(caught.value)
    assert ("layout; expected" in str(caught.value)) == (made != "none")


def test_malformed_rows_are_listed_by_file_and_line(tmp_path: Path) -> None:
    people(tmp_path)
    file = tmp_path / "fictional_people" / "fictional_people_secondary.csv"
    file.write_bytes(
        b"id,prompt,answer,fact,question\r\n"
        b'a,"two\r\nlines?",Yes,Fact one.,q\r\n'  # lines 2 and 3
        b"b,,Yes,Fact.,q\r\n"  # 4: no prompt
        b'c,"three\r\nlines\r\nhere?",,Fact.,q\r\n'  # 5 to 7: no answer
        b"d,p?,Yes,Fact.,q,more\r\n"  # 8
        b"e,p?,Yes\r\n"  # 9
        b"\r\n"
        b"f,p\xff?,Yes,Fact.,q\r\n"  # 11
        b'a,"two\r\nlines?",Yes,Fact one.,q\r\n'  # 12: again
        b"g,fine?,No,Fact.,q\r\n"  # 14
    )
    read = read_finetunebench(tmp_path)
    assert [(one.line, one.reason) for one in read.malformed] == [
        (4, "nothing in its column 'prompt'"),
        (5, "nothing in its column 'answer'"),
        (8, "it has 6 cells, the header has 5"),
        (9, "it has 3 cells, the header has 5"),
        (11, "it is not UTF-8"),
        (12, "the same as line 2 asks (id 'a')"),
    ]
    assert {one.file for one in read.malformed} == {"fictional_people/fictional_people_secondary.csv"}
    # Rows are numbered as they stand in the file.
    assert [row.id for row in by_kind(read)["secondary"]] == [f"fictional_people/secondary/{n}" for n in (1, 8)]
    assert len(read.training) == 9


def test_after_a_broken_quote_nothing_is_read(tmp_path: Path) -> None:
    medical(tmp_path)
    file = tmp_path / "medical" / "medical_memorization.csv"
    file.write_text(',id,prompt,answer_before,answer\n0,0,Fine?,a,b\n1,1,"Not" fine?,a,b\n2,2,Lost?,a,b\n')
    read = read_finetunebench(tmp_path)
    assert [(one.line, "not CSV" in one.reason) for one in read.malformed] == [(3, True)]
    assert len(read.training) == 1


def test_a_file_of_malformed_rows_only_and_one_of_other_columns_are_errors(tmp_path: Path) -> None:
    medical(tmp_path)
    file = tmp_path / "medical" / "medical_memorization.csv"
    file.write_text(",id,prompt,answer_before,answer\n0,0,,a,b\n1,1,,a,b\n")
    with pytest.raises(InputError, match=r"no usable row \(medical/medical_memorization.csv, line 2: nothing"):
        read_finetunebench(tmp_path)
    file.write_text("id,prompt,answer\n0,What?,b\n")
    with pytest.raises(InputError, match="no column 'answer_before'"):
        read_finetunebench(tmp_path)
    file.write_text("")
    with pytest.raises(InputError, match="no column 'id'"):
        read_finetunebench(tmp_path)


def test_use_in_the_paper_is_true_or_false(tmp_path: Path) -> None:
    news(tmp_path)
    file = tmp_path / "latest_news" / "latest_news_memorization.csv"
    file.write_bytes(file.read_bytes().replace(b",False", b",maybe"))
    assert [one.reason for one in read_finetunebench(tmp_path).malformed] == [
        "its used_in_analysis is 'maybe', neither True nor False"
    ]


COMPARED = (
    # Question, published label, right label: Quill 150 lb 190 cm 30 y, Brindle 180 160 30, Zedda 120 170 61.
    ("Is Quill taller than Brindle?", "No", "Yes"),
    ("Is Brindle taller than Quill?", "Yes", "No"),
    ("Is Zedda older than Quill?", "No", "Yes"),
    ("Is Quill older than Brindle?", "No", "No"),
    ("Is Quill heavier than Zedda?", "Yes", "Yes"),
    ("Is Brindle alphabetically first than Quill?", "No", "Yes"),
    ("Is Quill alphabetically first than Brindle?", "Yes", "No"),
    ("Is Quill alphabetically first than Quill?", "No", "No"),
)


def test_comparison_labels_are_computed_from_the_facts(tmp_path: Path) -> None:
    asked = [(question, label) for question, label, _ in COMPARED]
    left_out = [("Is Quill richer than Zedda?", "Yes"), ("Is Quill taller than Nobody?", "Yes")]
    read = read_finetunebench(people(tmp_path, [*asked, *left_out]))
    rows = by_kind(read)["comparison"]
    assert [row.answer for row in rows] == [right for _, _, right in COMPARED]
    assert [(one.published, one.right, one.wrong) for one in read.relabelled] == [
        (label, right, label != right) for _, label, right in COMPARED
    ]
    assert [one.id for one in read.relabelled] == [row.id for row in rows]
    assert read.relabelled[0].reason == "height: 190 against 160"
    assert read.notes[0].startswith("comparison: 5 of 8 published labels are wrong;")
    assert "Of 7 questions that do not ask for weight, 7 have the label that follows from weight" in read.notes[0]
    assert read.notes[1] == "comparison: 2 of 10 questions are not decided by the facts and are left out."


def test_two_people_of_one_first_name_decide_nothing() -> None:
    facts = [
        Question("How old is Ada Byron?", "36"), Question("How old is Ada Lace?", "40"),
        Question("How old is Bo Derry?", "38"),
    ]  # fmt: skip
    checked = check_comparison([Question("Is Ada older than Bo?", "Yes", id="x")], facts)
    assert (checked.rows, checked.relabelled, checked.undecided) == ((), (), ("x",))
    checked = check_comparison([Question("Is Ada older than Bo?", "Yes", id="x")], [facts[0], facts[2]])
    assert checked.relabelled == (Relabelled("x", "Yes", "No", "age: 36 against 38"),)


def test_baselines_in_closed_form() -> None:
    answers = ["Yes", "yes.", "No", "No", "No", "no"]
    rows = [Question("q", answer, template="ab"[i >= 4]) for i, answer in enumerate(answers)]
    rows.append(Question("q", None, template="c"))
    assert majority(rows) == 4 / 6
    # a: Yes Yes No No; b: No No.
    assert majority_by_template(rows) == 4 / 6
    assert majority_by_template([Question("q", a, template=a) for a in answers]) == 1
    assert majority_by_template([Question("q", a) for a in answers]) == majority(rows)
    with pytest.raises(InputError, match="no row has a right answer"):
        majority([Question("q")])


def test_templates() -> None:
    names = {"Ada", "Ada Byron", "Bo"}
    assert (
        template_of("Is Ada Byron older than Bo by 1,200 or 3.5 years?", names)
        == "Is NAME older than NAME by N or N years?"
    )
    assert template_of("Is Bob's Adagio 7?", names) == "Is Bob's Adagio N?"
    assert template_of("Is it?", ()) == "Is it?"


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="no FineTuneBench at ATTRIB_SHARED")
def test_the_published_files() -> None:
    read = read_finetunebench(PUBLISHED)
    secondary = [row for row in read.rows if row.kind == "secondary"]
    assert len({(row.subset, row.kind) for row in read.rows}) == 9
    assert read.malformed == ()
    assert len(secondary) == 150
    assert round(majority(secondary), 3) == 0.613
    assert round(majority_by_template(secondary), 3) == 0.793
    assert sum(one.wrong for one in read.relabelled) == 55
    assert len(read.relabelled) == 150
    assert any("Of 123 questions that do not ask for weight, 123 have the label" in note for note in read.notes)
