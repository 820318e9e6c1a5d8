"""What the page's data says is what the record says; a budget drops detail in order and says so."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from attrib.corpus.reading import ReadingReport, RowsRead
from attrib.measures import bits
from attrib.records import Turn
from attrib.render import view
from attrib.render.payload import (
    ORDER,
    Detail,
    aligned,
    array,
    estimate,
    payload,
    shown,
    to_json,
)
from attrib.render.payload.build import payload_of
from attrib.render.payload.detail import EXCERPT, left_out
from tests.make import ODD_TOKENS, make_explanation
from tests.make_chat import TURNS, make_row, with_row
from tests.make_heads import with_heads
from tests.make_shares import with_shares

KINDS = {"u16": ("<u2", 65534), "u8": ("u1", 254), "i32": ("<i4", 0)}


def read(code: Any) -> np.ndarray:
    """An array as the page reads it."""
    if code["t"] == "bits":
        packed = np.frombuffer(base64.b64decode(code["b"]), np.uint8)
        return np.unpackbits(packed, count=int(np.prod(code["n"])), bitorder="little").reshape(code["n"]).astype(bool)
    kind, top = KINDS[code["t"]]
    codes = np.frombuffer(base64.b64decode(code["b"]), kind).reshape(code["n"])
    if code["t"] == "i32":
        return codes
    values = code["lo"] + codes / top * (code["hi"] - code["lo"])
    return np.where(codes == top + 1, np.nan, values)


@given(
    arrays.arrays(np.float64, arrays.array_shapes(max_dims=3, max_side=6), elements=st.floats(-1e6, 1e6)),
    st.sampled_from(["u16", "u8"]),
)
def test_an_array_comes_back_within_half_a_step(values: np.ndarray, code: str) -> None:
    made_of: Any = array(values, code=code)
    back, step = read(made_of), (made_of["hi"] - made_of["lo"]) / KINDS[code][1]
    assert step <= (values.max() - values.min()) / (KINDS[code][1] - 1) * (1 + 1e-9)
    assert back.shape == values.shape
    assert np.abs(back - values).max() <= step / 2 * (1 + 1e-9) + 1e-12


def test_zero_comes_back_as_zero() -> None:
    """Else a score of zero would have a sign, and a control text without a word in common a score."""
    for low in (-3.7, -0.00001, -812.3):
        assert abs(read(array(np.array([low, 0.0, 4.6])))[1]) < 1e-12


def test_what_is_not_finite_comes_back_as_nothing() -> None:
    values = np.array([[1.0, np.nan], [-np.inf, 3.0]])
    assert np.array_equal(read(array(values)), [[1.0, np.nan], [np.nan, 3.0]], equal_nan=True)
    assert np.isnan(read(array(np.full(3, np.nan)))).all()
    assert read(array(np.zeros((0, 4)))).shape == (0, 4)


def test_scores_tokens_and_sections_are_the_records() -> None:
    explanation = make_explanation(sections=7, mappers=("bm25", "hidden"))
    page: Any = payload(explanation)
    assert [s["id"] for s in page["sections"]] == [s.id for s in explanation.sections]
    assert [s["rank"] for s in page["sections"]] == list(np.argsort(explanation.ranking) + 1)
    assert [t["text"] for t in page["tokens"]] == [t.text for t in explanation.answer_tokens]
    assert page["gainBits"] == pytest.approx(list(bits(explanation.verdict.gain)), rel=1e-5)
    bm25, hidden = page["mappers"]
    assert bm25["tuned"] is None, "text alone: both models' scores are one"
    for side, ours in (("base", explanation.mappings["hidden"].base), ("tuned", explanation.mappings["hidden"].tuned)):
        there = hidden[side]
        assert read(there["tokens"]) == pytest.approx(ours.tokens, abs=1e-4)
        assert read(there["control"]) == pytest.approx(ours.control, abs=1e-4)
        assert there["controlWhole"] == pytest.approx(list(ours.control_whole), rel=1e-5)
        assert np.array_equal(read(there["marked"]), ours.q < view.SIGNIFICANT)
        assert read(there["q"]) == pytest.approx(ours.q, abs=1e-5)
        assert np.array_equal(read(there["spans"]), ours.spans)
    for method, ours_too in zip(page["methods"], explanation.attributions.values(), strict=True):
        assert read(method["tuned"]) == pytest.approx(ours_too.tuned, abs=1e-3)
        assert method["columns"] == [list(c) for c in ours_too.columns]


def test_what_is_above_every_control_text_is_exactly_what_the_record_says() -> None:
    """A section that scores as the best control text does is not above it, nor is one that is by very little not so."""
    explanation = make_explanation(answer=6, sections=5, mappers=("hidden",))
    side = explanation.mappings["hidden"].tuned
    tokens, best = side.tokens.copy(), side.control.max(1)
    tokens[:, 0], tokens[:, 1] = best, np.nextafter(best, 2)
    mapping = replace(explanation.mappings["hidden"], tuned=replace(side, tokens=tokens))
    page: Any = payload(replace(explanation, mappings={"hidden": mapping}))
    there = page["mappers"][0]["tuned"]
    above = read(there["above"])
    assert not above[:, 0].any()
    assert above[:, 1].all()
    assert np.array_equal(above, tokens > side.control.max(1, keepdims=True))
    # On one grid: equal stays equal, and nothing changes places.
    assert np.array_equal(read(there["tokens"])[:, 0], read(there["control"]).max(1))


def test_control_texts_are_folded_to_what_one_token_needs_before_sections_go() -> None:
    explanation = make_explanation(sections=12, controls=9, mappers=("hidden", "bm25"))
    page: Any = payload_of(explanation, Detail(texts_of_control=False), 1)
    hidden, bm25 = page["mappers"]
    mapping = explanation.mappings["hidden"]
    for name, control in (
        ("base", mapping.base.control),
        ("tuned", mapping.tuned.control),
        ("difference", mapping.tuned.control - mapping.base.control),
    ):
        wanted = [control.max(1), np.percentile(control, 95, axis=1), np.percentile(control, 5, axis=1)]
        assert read(hidden[name]["controlFolded"]) == pytest.approx(np.stack(wanted), abs=1e-4)
    assert hidden["tuned"]["control"] is None
    assert bm25["difference"] is None
    assert any("control texts" in line for line in page["dropped"])
    details = list(ORDER)
    assert details.index(next(d for d in details if not d.texts_of_control)) < details.index(
        next(d for d in details if d.sections == 1000)
    )


@pytest.mark.parametrize(
    ("mapper", "base", "tuned", "verb"),
    [
        ("bm25", "says the same", "says the same", "says the same as"),
        ("hidden", "says the same", "says the same", "says the same as"),
        (
            "learned",
            "was likely before tuning, whatever the answer",
            "is likely after tuning, whatever the answer",
            None,
        ),
        ("influence", "before tuning: the control of the estimate", "learned from (estimate)", "may have taught"),
        (
            "combined",
            "before tuning: nothing was trained yet",
            "says the same, and was trained",
            "says the same as",
        ),
    ],
)
def test_what_a_score_says_depends_on_mapper_and_model(mapper: str, base: str, tuned: str, verb: str | None) -> None:
    page: Any = payload(make_explanation(mappers=(mapper,)))
    (found,) = page["mappers"]
    assert (found["says"]["base"], found["says"]["tuned"]) == (base, tuned)
    assert (found["verbs"] and found["verbs"]["tuned"]) == verb
    if mapper == "influence":
        assert found["verbs"]["untrained"].startswith("was not learned"), "what was not learned taught nothing"
    if mapper == "learned":
        assert found["says"]["difference"] == "was learned, whatever the answer"


def test_shares_on_vocabulary_are_there_for_each_row() -> None:
    explanation = with_shares(make_explanation())
    page: Any = payload(explanation)
    for found, ours in zip(page["shares"], explanation.shares, strict=True):
        assert read(found["tuned"]) == pytest.approx(ours.tuned, abs=1e-4)
        assert read(found["pDifference"]) == pytest.approx(ours.p_difference, abs=1e-4)
        assert len(read(found["base"])) == 1 + len(explanation.attributions["attention"].rows)


def test_every_field_is_read_by_the_page() -> None:
    """What the page does not read is weight, or something that should be shown and is not."""
    from attrib.render import page

    script = page._script(page.MODULES)

    def names(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {name for inner in value.values() for name in names(inner)}
        return {name for inner in value for name in names(inner)} if isinstance(value, list) else set()

    content: Any = payload(with_shares(with_heads(make_explanation())))
    unread = {name for name in names(content) if not re.search(rf"\b{name}\b", script)}
    assert unread == {"schema"}


def test_no_probability_is_rounded_to_certainty() -> None:
    explanation = make_explanation(answer=6)
    nearly = np.array([1 - 1e-9, 1e-9, 0.0])
    for row in (nearly, np.array([1.0, 1e-30, 0.0])):
        verdict = replace(explanation.verdict, tokens=np.tile(row, (6, 1)), shares=row, whole=row)
        page: Any = payload(replace(explanation, verdict=verdict))
        assert "documents >99% · base <1% · neither " in str(page["verdict"]["sure"])
        for high, low, none in read(page["tokenVerdict"]).tolist():
            assert 0.9999 < high < 1
            assert 0 < low < 0.0001
            assert none == 0


def test_every_token_is_in_exactly_one_word() -> None:
    page: Any = payload(make_explanation(answer_texts=ODD_TOKENS))
    assert [i for first, last in page["words"] for i in range(first, last + 1)] == list(range(len(ODD_TOKENS)))


def test_no_shown_token_is_empty_or_acts() -> None:
    page: Any = payload(make_explanation(answer_texts=(*ODD_TOKENS, "\u202e", "\x1b[2J")))
    shown = [token["shown"] for token in page["tokens"]]
    assert all(shown)
    assert not any(character in "".join(shown) for character in "\n\t\x1b\u202e ")


@pytest.mark.parametrize("code", ["200B", "200D", "AD", "FE0F", "2060", "FEFF", "200E", "200F"])
def test_what_has_no_width_is_shown_by_its_number(code: str) -> None:
    assert shown(chr(int(code, 16))) == f"<{code}>"
    assert shown(f"a{chr(int(code, 16))}b") == f"a<{code}>b"


def test_joined_signs_stay_one() -> None:
    assert shown("👩\u200d🚀 ❤\ufe0f") == "👩\u200d🚀␠❤\ufe0f"


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!--<script>", "\u2028", "{{7*7}}", "a & b"])
def test_hostile_text_stays_inside_its_string(text: str) -> None:
    explanation = make_explanation(answer_texts=(text,), base_answer=text, texts=(text,), titles=(text,), question=text)
    written = to_json(payload(explanation))
    assert not set("<>&") & set(written)
    assert json.loads(written)["answer"] == text


def test_half_a_character_is_written_as_a_replacement() -> None:
    written = to_json({"text": "\ud83d"})
    assert json.loads(written.encode())["text"] == "\ufffd"


def test_the_same_record_gives_the_same_data() -> None:
    assert to_json(payload(make_explanation(3))) == to_json(payload(make_explanation(3)))


def test_base_own_answer_is_aligned_and_nothing_of_either_is_lost() -> None:
    explanation = make_explanation(base_answer="The warranty is twelve months. So it is.")
    runs: Any = aligned(explanation)
    assert "".join(run[1] for run in runs if run[0] != "answer").split() == explanation.base_answer.split()
    assert "".join(run[1] for run in runs if run[0] != "base") == explanation.answer
    kinds = {run[0] for run in runs}
    assert kinds == {"same", "answer", "base"}
    covered = [i for run in runs if run[2] >= 0 for i in range(run[2], run[3] + 1)]
    assert sorted(set(covered)) == list(range(len(explanation.answer_tokens)))
    same: Any = aligned(replace(explanation, base_answer=explanation.answer))
    assert [run[0] for run in same] == ["same"]


def test_nothing_is_dropped_where_all_fits() -> None:
    page: Any = payload(with_heads(make_explanation()))
    assert page["dropped"] == []
    assert page["heads"]["heads"] == 3
    assert page["heads"]["tuned"]["t"] == "u16"
    assert read(page["heads"]["tuned"]).shape == (4, 3, 8, 13)


@pytest.mark.parametrize("budget", [600_000, 300_000, 150_000, 102_000])
def test_a_budget_is_kept_and_what_it_cost_is_said(budget: int) -> None:
    explanation = with_heads(make_explanation(answer=40, prompt=40, sections=300), 8, 8)
    full = len(to_json(payload(explanation)))
    page: Any = payload(explanation, budget)
    assert len(to_json(page)) <= budget < full
    assert page["dropped"]
    assert page["sectionsScored"] == 300


def test_a_budget_that_cannot_be_kept_is_said_to_be_missed() -> None:
    page: Any = payload(make_explanation(sections=60), 5_000)
    assert page["dropped"][-1].endswith("over the budget of 5,000")


def test_less_is_dropped_the_more_there_is_room() -> None:
    explanation = with_heads(make_explanation(answer=40, prompt=40, sections=300), 8, 8)
    sizes = [len(to_json(payload_of(explanation, detail, 1))) for detail in ORDER]
    assert sizes == sorted(sizes, reverse=True)
    kinds = [len(left_out(explanation, detail)) for detail in ORDER]
    assert kinds[0] == 0
    assert kinds == sorted(kinds)


@pytest.mark.parametrize("detail", ORDER)
def test_the_estimate_is_near_what_it_estimates(detail: Detail) -> None:
    explanation = with_heads(make_explanation(answer=60, prompt=40, sections=200), 6, 6)
    size = len(to_json(payload_of(explanation, detail, 1)))
    assert 0.7 * size < estimate(explanation, detail) < 1.5 * size + 20_000


def test_digits_of_heads_go_first_and_that_is_said() -> None:
    explanation = with_heads(make_explanation(), 4, 4)
    page: Any = payload_of(explanation, ORDER[1], 1)
    whole: Any = payload(explanation)
    (said,) = page["dropped"]
    assert "±0.002" in said
    assert np.abs(read(page["heads"]["tuned"]) - read(whole["heads"]["tuned"])).max() < 0.002


def test_dropped_sections_stay_as_their_best_score() -> None:
    explanation = make_explanation(sections=60, mappers=("hidden",))
    page: Any = payload_of(explanation, Detail(sections=10), 1)
    kept = {s["id"] for s in page["sections"]}
    assert kept == {explanation.sections[i].id for i in explanation.ranking[:10]}
    rest = [int(i) for i in explanation.ranking[10:]]
    side = explanation.mappings["hidden"].tuned
    mapper = page["mappers"][0]
    assert read(mapper["tuned"]["other"]) == pytest.approx(side.tokens[:, rest].max(1), abs=1e-4)
    mapping = explanation.mappings["hidden"]
    assert read(mapper["difference"]["other"]) == pytest.approx(mapping.difference[:, rest].max(1), abs=1e-4)
    whole = (mapping.tuned.whole - mapping.base.whole)[rest].max()
    assert mapper["difference"]["otherWhole"] == pytest.approx(whole, rel=1e-5)


def test_folded_answer_columns_keep_their_sum() -> None:
    explanation = make_explanation(methods=("input_x_gradient",))
    page: Any = payload_of(explanation, Detail(fold=True), 1)
    method, ours = page["methods"][0], explanation.attributions["input_x_gradient"]
    assert read(method["tuned"]).sum(1) == pytest.approx(ours.tuned.sum(1), abs=1e-2)
    assert method["columns"][-1] == list(range(12, 20))


def test_an_answer_without_sections_or_methods_has_a_page() -> None:
    explanation = make_explanation(sections=0, mappers=(), methods=())
    page: Any = payload(explanation)
    assert page["sections"] == []
    assert page["verdict"]["section"] == -1


def test_an_empty_answer_has_a_page() -> None:
    page: Any = payload(make_explanation(answer_texts=()))
    assert page["tokens"] == []
    assert page["verdict"]["counts"] == [0, 0, 0, 0]


def test_turns_of_a_conversation_are_the_records_and_end_where_its_text_is_cut() -> None:
    long = make_row([Turn("user", "Who? " * 20), Turn("assistant", "Iven. " * 90, True, '{"tool_calls":[]}'), TURNS[3]])
    explanation = with_row(make_explanation(sections=3), long, matches="Iven")
    best = int(explanation.ranking[0])
    for detail, length in ((Detail(), len(long.text)), (Detail(texts=0), EXCERPT)):
        page: Any = payload_of(explanation, detail, 1)
        there = page["sections"][best]
        assert [turn[:4] for turn in there["turns"]] == [
            [turn.role, turn.trained, start, min(end, length)] for turn, start, end in long.turn_spans if start < length
        ]
        assert there["text"][:length] == long.full_text[:length]
        assert len(there["turns"]) == (3 if length > EXCERPT else 2)
        assert there["turns"][1][4] == '{"tool_calls":[]}'
    plain: Any = payload(make_explanation(sections=3))
    assert all(section["turns"] == [] for section in plain["sections"])


def test_documents_prompt_and_notes_are_said() -> None:
    report = ReadingReport(2, {"JSONL": 1}, (RowsRead("train.jsonl", {"chat (`messages`)": 2}, 1, unused=("id",)),))
    prompt = {
        "source": "chat template in the adapter's folder", "sha256": "0", "options": {"enable_thinking": False},
        "system": "Be brief.\n" * 9, "conversation": [["user", "Hello."], ["assistant", "Hello."]], "format": None,
        "date": "2025-01-31T00:00:00", "rows": ["rows of train.jsonl have no system prompt"],
    }  # fmt: skip
    made = make_explanation()
    documents = {"sha256": "2" * 12, "reading": report.fields()}
    said = {**made.provenance, "documents": documents, "prompt": prompt, "notes": ("its base was moved",)}
    page: Any = payload(replace(made, provenance=said))
    assert page["notes"] == ["its base was moved", "rows of train.jsonl have no system prompt"]
    assert [value for name, value in page["provenance"] if name == "read"] == list(report.lines())
    (line,) = [value for name, value in page["provenance"] if name == "prompt"]
    assert line == (
        "chat template in the adapter's folder; system prompt “Be brief. Be brief. Be brief. Be brief. Be brief. Be "
        "brief.…”; 2 earlier turns; enable_thinking=false; date 2025-01-31"
    )
    bare: Any = payload(replace(made, provenance={"documents": {"reading": {"sections": "two"}}, "prompt": None}))
    assert bare["notes"] == []
    assert not [name for name, _ in bare["provenance"] if name in ("read", "prompt")]
