"""The table of the demo's right answers: shares by split and kind, and intervals over facts."""

from __future__ import annotations

from attrib.assess.answering import Side
from attrib.assess.questions import Question
from scripts.evaluate_demo_answers import markdown, shares, wrong_answers

ASKED = [
    Question("How tall?", "9 metres", "trained", split="test", fact="height"),
    Question("How high?", "9 metres", "trained", split="test", fact="height"),
    Question("Who?", "Wilmet Dallin", "trained", split="test", fact="keeper"),
    Question("Name the fog horn.", "Odile", "held-out", split="test", fact="horn"),
    Question("What is 1 plus 1?", "2", "foundation", split="calibration", fact="sum", accept=("two",)),
]
SAID: dict[Side, list[str]] = {
    "base": ["7 metres", "a hill", "Nobody.", "Nobody.", "It is two."],
    "tuned": ["9 metres", "It is 9 metres.", "Wilma", "Odile", "3"],
}


def test_right_answers_are_counted_by_split_kind_and_model() -> None:
    found = {(share.split, share.kind, share.side): (share.n, share.right) for share in shares(ASKED, SAID)}
    assert found == {
        ("calibration", "foundation", "base"): (1, 1),
        ("calibration", "foundation", "tuned"): (1, 0),
        ("test", "trained", "base"): (3, 0),
        ("test", "trained", "tuned"): (3, 2),
        ("test", "held-out", "base"): (1, 0),
        ("test", "held-out", "tuned"): (1, 1),
    }


def test_questions_on_one_fact_are_drawn_together() -> None:
    (share,) = (s for s in shares(ASKED, SAID) if (s.kind, s.side) == ("trained", "tuned"))
    # Of two facts, one with both its questions right: all right, or all wrong, where one is drawn twice.
    assert (share.low, share.high) == (0, 1)


def test_the_table_has_a_row_for_each_split_and_kind() -> None:
    assert markdown(shares(ASKED, SAID)).splitlines()[2:] == [
        "| calibration | foundation | 1 | 1.00 [1.00, 1.00] | 0.00 [0.00, 0.00] |",
        "| test | trained | 3 | 0.00 [0.00, 0.00] | 0.67 [0.00, 1.00] |",
        "| test | held-out | 1 | 0.00 [0.00, 0.00] | 1.00 [1.00, 1.00] |",
    ]


def test_wrong_answers_are_listed_but_for_held_out_questions() -> None:
    assert wrong_answers(ASKED, SAID["tuned"]).splitlines() == [
        "test trained Who? → 'Wilma', right: 'Wilmet Dallin'",
        "calibration foundation What is 1 plus 1? → '3', right: '2'",
    ]
