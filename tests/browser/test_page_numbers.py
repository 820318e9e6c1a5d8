"""What the page says is what the record says: control texts, dots, words for scores, notes on the prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attrib.records import Explanation, Mapping
from attrib.render import page as pages
from attrib.render import view
from attrib.render.payload import Detail
from attrib.render.payload.build import payload_of
from attrib.text.units import question_units
from tests.browser.conftest import Visit
from tests.make import make_explanation
from tests.make_heads import with_heads
from tests.make_shares import with_shares

FOLDS = {"sum": np.sum, "mean": np.mean, "max": np.max}


def with_detail(explanation: Explanation, detail: Detail) -> str:
    """The page with only so much of the record, however many bytes that takes."""
    return pages.document(
        "page.html.jinja", pages.MODULES, ("page.css",), payload_of(explanation, detail, pages.BUDGET),
        title="", question=explanation.question, answer=explanation.answer,
    ).decode()  # fmt: skip


def shown(text: str) -> float:
    return float(text.replace("−", "-").replace("+", ""))


def every_row(tab: Any) -> None:
    """List all sections, not only those worth showing first."""
    while tab.locator("#more").count():
        tab.locator("#more").click()


def reduced(name: str, mapping: Mapping, what: str, selection: tuple[int, int], model: str) -> np.ndarray:
    """The record's scores of sections (``tokens``) or control texts (``control``) for a selection, under a model."""
    fold = FOLDS[view.kind_of(name).reduction]
    rows = slice(selection[0], selection[1] + 1)
    base, tuned = (fold(getattr(side, what)[rows], axis=0) for side in (mapping.base, mapping.tuned))
    found = {"base": base, "tuned": tuned, "difference": tuned - base}[model]
    return np.asarray(found)


@pytest.mark.parametrize("mapper", ["hidden", "learned", "combined"])
@pytest.mark.parametrize("model", ["base", "tuned", "difference"])
@pytest.mark.parametrize("selection", [(4, 4), (2, 8)])
def test_control_texts_are_reduced_like_sections(
    ready: Visit, mapper: str, model: str, selection: tuple[int, int]
) -> None:
    explanation = make_explanation(answer=11, sections=20, mappers=(mapper,), controls=12)
    mapping = explanation.mappings[mapper]
    scores, control = (reduced(mapper, mapping, what, selection, model) for what in ("tokens", "control"))
    tab = ready(explanation, f"t={selection[0]}-{selection[1]}&model={model}&unit=token")
    every_row(tab)
    row = tab.locator(".control")
    assert shown(row.locator(".score").inner_text()) == pytest.approx(control.max(), abs=0.006)
    assert f"rank {int((scores >= control.max()).sum()) + 1} " in row.inner_text()
    low, high = np.percentile(control, (5, 95))
    side = mapping.base if model == "base" else mapping.tuned
    sure = (side.q[selection[0] : selection[1] + 1] < view.SIGNIFICANT).any(0)
    ordinary = (scores >= low) & (scores <= high) if model == "difference" else (scores <= high) & ~sure
    dim = tab.locator(".section.null").evaluate_all("nodes => nodes.map(node => Number(node.dataset.index))")
    assert sorted(dim) == np.flatnonzero(ordinary).tolist()
    said = tab.locator("#map-what").inner_text()
    assert shown(said.split("≤ ")[1][:-1] if model != "difference" else said.split(" to ")[1][:-1]) == pytest.approx(
        high, rel=0.06, abs=0.006
    )


@pytest.mark.parametrize("model", ["base", "tuned", "difference"])
def test_the_whole_answers_control_text_is_the_records(ready: Visit, model: str) -> None:
    explanation = make_explanation(answer=11, mappers=("hidden",))
    mapping = explanation.mappings["hidden"]
    base, tuned = mapping.base.control_whole, mapping.tuned.control_whole
    best = {"base": base, "tuned": tuned, "difference": tuned - base}[model].max()
    tab = ready(explanation, f"model={model}")
    assert shown(tab.locator(".control .score").inner_text()) == pytest.approx(best, abs=0.006)


@pytest.mark.parametrize("model", ["base", "tuned", "difference"])
def test_the_best_section_left_out_is_the_best_by_what_is_shown(ready: Visit, model: str) -> None:
    explanation = make_explanation(answer=11, sections=60, mappers=("hidden",))
    rest = explanation.ranking[10:]
    scores = reduced("hidden", explanation.mappings["hidden"], "tokens", (5, 5), model)
    tab = ready(with_detail(explanation, Detail(sections=10)), f"t=5&model={model}&unit=token")
    row = tab.locator(".control", has_text="leaves out")
    assert shown(row.locator(".score").inner_text()) == pytest.approx(scores[rest].max(), abs=0.006)
    better = int((scores[explanation.ranking[:10]] >= scores[rest].max()).sum())
    assert row.inner_text().endswith(f"rank {better + 1}")


def test_without_single_control_texts_several_tokens_have_no_mark_and_the_row_says_so(ready: Visit) -> None:
    explanation = make_explanation(answer=11, mappers=("combined",), controls=12)
    html = with_detail(explanation, Detail(texts_of_control=False))
    mapping = explanation.mappings["combined"]
    for model in ("base", "tuned", "difference"):
        tab = ready(html, f"t=4&model={model}&unit=token")
        control = reduced("combined", mapping, "control", (4, 4), model)
        assert shown(tab.locator(".control .score").inner_text()) == pytest.approx(control.max(), abs=0.006)
        assert tab.locator(".section .tick").count() > 0
        tab = ready(html, f"t=4-6&model={model}&unit=token")
        assert tab.locator(".tick, .section.null").count() == 0
        assert "at most this" in tab.locator(".control").inner_text()
        assert "no tick" in tab.locator(".control").inner_text()
        control = reduced("combined", mapping, "control", (4, 6), model)
        assert shown(tab.locator(".control .score").inner_text()) >= control.max() - 0.01


def test_a_score_that_equals_the_best_control_text_is_not_above_it(ready: Visit) -> None:
    explanation = make_explanation(answer=11, sections=4, mappers=("hidden",))
    side = explanation.mappings["hidden"].tuned
    tokens = side.tokens.copy()
    tokens[:, 2] = side.control.max(1)
    tokens[3, 2] = np.nextafter(tokens[3, 2], 2)
    made = Mapping("hidden", True, explanation.mappings["hidden"].base, replace(side, tokens=tokens, q=side.q * 0 + 1))
    tab = ready(replace(explanation, mappings={"hidden": made}), f"section={explanation.sections[2].id}")
    marked = tab.locator(".token.above").evaluate_all("nodes => nodes.map(node => Number(node.dataset.token))")
    assert marked == [3]


@pytest.mark.parametrize(
    ("mapper", "model", "says", "verb"),
    [
        ("bm25", "tuned", "says the same", "says the same as"),
        ("hidden", "base", "says the same", "says the same as"),
        ("combined", "tuned", "says the same, and was trained", "says the same as"),
        ("influence", "tuned", "learned from (estimate)", "may have taught"),
        ("influence", "base", "before tuning: the control of the estimate", "scores high before tuning on"),
        ("learned", "difference", "was learned, whatever the answer", None),
        ("learned", "base", "was likely before tuning, whatever the answer", None),
    ],
)
def test_words_for_a_score_are_those_of_its_mapper_and_model(
    ready: Visit, mapper: str, model: str, says: str, verb: str | None
) -> None:
    explanation = make_explanation(answer=11, sections=4, mappers=(mapper,))
    mapping = explanation.mappings[mapper]
    q = np.ones_like(mapping.tuned.q)
    q[2:5, 1] = 0.01
    sides = (replace(side, q=q) for side in (mapping.base, mapping.tuned))
    verdict = replace(explanation.verdict, learned=np.ones(4))
    explanation = replace(explanation, verdict=verdict, mappings={mapper: Mapping(mapper, mapping.uses_model, *sides)})
    tab = ready(explanation, f"model={model}&section={explanation.sections[1].id}")
    assert tab.locator("#sections-what").inner_text().startswith(says)
    tab.keyboard.press("ArrowRight")  # something to say
    line, said = tab.locator("#backed").inner_text(), tab.locator("#live").inner_text()
    if verb is None:
        assert "does not look at the answer" in line
        assert tab.locator(".token.sure, .token.above").count() == 0
        assert not said.endswith("tokens")
    else:
        assert f"{verb} 3 tokens more than control texts and other sections" in line
        assert said.endswith(f", {verb} 3 tokens")
    assert "explains" not in tab.locator("body").inner_text()


def test_only_what_was_learned_may_have_taught(ready: Visit) -> None:
    """A decoy with a high estimate of influence taught nothing: it was never trained."""
    explanation = make_explanation(answer=11, sections=4, mappers=("influence",))
    verdict = replace(explanation.verdict, learned=np.array([0.99, 0.01, 0.4, 0.6]))
    tab = ready(replace(explanation, verdict=verdict))
    for index, learned in enumerate((True, False, False, True)):
        tab.evaluate("id => { location.hash = `section=${id}` }", explanation.sections[index].id)
        tab.wait_for_function("i => document.querySelector('.section.chosen')?.dataset.index === String(i)", arg=index)
        said = tab.locator("#backed").inner_text()
        assert ("may have taught" in said) == (learned and "stands out from the control texts at no" not in said)
        assert learned or "may have taught" not in said


def test_a_verdict_that_is_not_the_documents_stands_beside_the_section(ready: Visit) -> None:
    explanation = make_explanation(answer=11, sections=4, mappers=("combined",))
    verdict = explanation.verdict
    tokens = np.tile([0.9, 0.05, 0.05], (11, 1))
    tokens[4] = [0.1, 0.8, 0.1]  # a content word, which no other word goes with
    documents = replace(explanation, verdict=replace(verdict, tokens=tokens, whole=np.array([0.9, 0.05, 0.05])))
    base = replace(explanation, verdict=replace(verdict, tokens=tokens, whole=np.array([0.1, 0.8, 0.1])))
    mapping = explanation.mappings["combined"]
    q = np.ones_like(mapping.tuned.q)
    q[2:5, 1] = 0.01
    tuned = replace(mapping.tuned, q=q, control=mapping.tuned.control + 9)
    marked = {"combined": Mapping("combined", True, mapping.base, tuned)}
    hash = f"section={explanation.sections[1].id}"
    tab = ready(replace(documents, mappings=marked), hash)
    assert "Verdict: base at 3 of 3 tokens." in tab.locator("#backed").inner_text()
    assert "verdict" not in tab.locator("#sections-what").inner_text()
    token = tab.locator(".token[data-token='4']")
    token.click()
    assert "verdict: base" in tab.locator("#sections-what").inner_text()
    tab = ready(replace(base, mappings=marked), hash)
    assert "base at 3 of 3 tokens, base for the whole answer." in tab.locator("#backed").inner_text()
    assert "verdict: base" in tab.locator("#sections-what").inner_text()


def test_what_is_nearly_certain_is_not_printed_as_certain(ready: Visit) -> None:
    explanation = make_explanation(answer=11)
    shares = np.array([1 - 1e-9, 1e-9, 0.0])
    verdict = replace(explanation.verdict, whole=shares, shares=shares, tokens=np.tile(shares, (11, 1)))
    tab = ready(replace(explanation, verdict=verdict), "t=2")
    assert "documents >99% · base <1% · neither 0%" in tab.locator("#readout").inner_text()
    assert "documents >99% · base <1% · neither 0%" in tab.locator("#sure").text_content()


@pytest.mark.parametrize(("q", "said"), [(0.0499, "q < 0.05"), (0.0, "q < 0.001"), (0.012, "q 0.012"), (0.05, None)])
def test_a_q_agrees_with_its_dot(ready: Visit, q: float, said: str | None) -> None:
    explanation = make_explanation(answer=11, sections=4, mappers=("hidden",))
    mapping = explanation.mappings["hidden"]
    every = np.ones_like(mapping.tuned.q)
    every[5, 1] = q
    made = replace(mapping, tuned=replace(mapping.tuned, q=every))
    tab = ready(replace(explanation, mappings={"hidden": made}), "t=5&numbers=1")
    row = tab.locator(".section[data-index='1']")
    assert row.locator(".dot").count() == (1 if said else 0)
    if said:
        assert row.locator(".dot").get_attribute("title") == said
    assert (said or "q 0.050") in row.locator(".remark").all_inner_texts()


def test_small_shares_of_heads_are_the_records(ready: Visit) -> None:
    explanation = with_heads(make_explanation(answer=8), layers=4, heads=3)
    heads = explanation.tuned.heads
    assert heads is not None
    small = heads.copy()
    small[2, 1, 4, 6] = 0.0007  # below the step of a byte
    tab = ready(replace(explanation, tuned=replace(explanation.tuned, heads=small)), "t=4&focus=6")
    canvas = tab.locator("#heads-map")
    box = canvas.bounding_box()
    canvas.hover(position={"x": 22 + (box["width"] - 23) / 4 * 2.5, "y": 11 * 1.5})
    said = tab.locator("#tip").inner_text()
    assert shown(said.split("tuned ")[1].split(" ")[0]) == pytest.approx(0.0007, abs=0.00006)


def test_what_a_method_does_not_score_is_not_counted(ready: Visit) -> None:
    tab = ready(make_explanation(answer=11, methods=("leave_one_out",)), "t=4")
    said = tab.locator("#prompt-where").inner_text()
    assert said == "Scored: question alone; not scored: answer so far, template"
    assert tab.locator("#prompt .folded").count() == 0
    tab = ready(make_explanation(answer=11, methods=("saliency",)), "t=4")
    said = tab.locator("#prompt-where").inner_text()
    assert said.startswith("Of all |score|: question ")
    assert "not scored" not in said
    assert tab.locator("#prompt .folded").inner_text().startswith("template ")


def total(explanation: Explanation, row: np.ndarray, fold: Any) -> float:
    """All |score| of a row where words, and the template, are one column each."""
    prompt = len(explanation.prompt_tokens)
    words = question_units(explanation.prompt_tokens, explanation.question, "word")
    parts = [*words, view.template_positions(explanation), *((i,) for i in range(prompt, len(row)))]
    return float(sum(fold(row[list(part)]) for part in parts))


def test_earlier_tokens_together_are_put_together_as_the_method_does(ready: Visit) -> None:
    explanation = make_explanation(answer=80, methods=("attention_max", "attention"))
    prompt = len(explanation.prompt_tokens)
    for name, fold in (("attention_max", np.max), ("attention", np.sum)):
        row = explanation.attributions[name].tuned[75]
        tab = ready(explanation, f"t=75&method={name}&unit=token")
        said = tab.locator("#prompt-earlier .note").inner_text()
        share = fold(row[prompt : prompt + 15]) / total(explanation, np.abs(row), fold)
        assert shown(said.split("together: ")[1][:-2]) == pytest.approx(100 * share, rel=0.06)


def test_shares_on_vocabulary_are_the_selections_or_said_to_be_the_whole_answers(ready: Visit) -> None:
    explanation = with_shares(make_explanation(answer=11, methods=("attention",)))
    (share,) = explanation.shares
    for hash, row, of in (("t=4", 5, "These scores"), ("", 0, "The whole answer"), ("t=4-5", 0, "The whole answer")):
        tab = ready(explanation, f"{hash}&unit=token")
        tab.locator("#prompt-notes summary").click()
        said = tab.locator("#prompt-notes").inner_text()
        assert f"{of}: share" in said
        assert f"tuned {round(100 * float(share.tuned[row]))}% (chance" in said


def test_a_selection_that_cuts_any_row_says_that_the_scores_are_of_more(ready: Visit) -> None:
    """thirty-six are three tokens and one row; a selection of the word before and one token of it cuts the second."""
    explanation = make_explanation(answer=11, unit="word")
    tab = ready(explanation, "t=5-6&unit=token")
    assert "several answer tokens at once" in tab.locator("#prompt-notes").text_content()
    tab = ready(explanation, "t=5-8&unit=token")
    assert "several answer tokens at once" not in tab.locator("#prompt-notes").text_content()


def test_numbers_of_the_prompt_can_be_read_without_a_pointer(ready: Visit) -> None:
    explanation = make_explanation(answer=11, methods=("attention",))
    tab = ready(explanation, "t=4&numbers=1")
    box = tab.locator("#prompt-numbers")
    assert box.get_attribute("tabindex") == "0"
    cells = box.locator("tbody tr").nth(3).locator("th, td").all_inner_texts()
    method = explanation.attributions["attention"]
    # Row 0 is the template, row 1 the question's first word.
    word = question_units(explanation.prompt_tokens, explanation.question, "word")[2]
    assert cells[0].strip() == explanation.prompt_tokens[word[0]].text.replace(" ", "␣").strip()
    sides = [side[4] / total(explanation, side[4], np.sum) for side in (method.base, method.tuned)]
    base, tuned = (100 * float(side[list(word)].sum()) for side in sides)
    assert [shown(cell[:-1]) for cell in cells[2:]] == pytest.approx([base, tuned, tuned - base], rel=0.06)


def test_the_title_is_left_out_of_a_text_where_characters_are_wide(ready: Visit) -> None:
    texts = ["It begins with these words and goes on."] * 2
    tab = ready(make_explanation(sections=2, titles=["🙂🙂🙂🙂 T"] * 2, texts=texts, controls=0), "mapper=bm25")
    said = tab.locator(".section .text").first.inner_text()
    assert "It begins" in said
    assert said.startswith(("It begins", "🙂"))


def test_the_tuned_models_own_answer_is_shown_where_another_is_explained(ready: Visit) -> None:
    explanation = replace(make_explanation(), tuned_answer="Tuned\u202e says so.")
    assert "Tuned said" not in ready(explanation).locator("#said").inner_text()
    for source in ("given", "base"):
        said = ready(replace(explanation, answer_source=source)).locator("#said").inner_text()
        assert "Tuned said" in said
        assert "Tuned<202E> says so." in said


def test_a_token_without_text_is_said_to_be_a_part_of_a_character(ready: Visit) -> None:
    tab = ready(make_explanation(answer_texts=["", "🙂"]))
    tab.locator(".token").first.hover()
    assert "id 100 · part of a character" in tab.locator("#tip").inner_text()


def test_a_small_budget_is_said_in_its_own_unit(ready: Visit) -> None:
    explanation = make_explanation(answer=40, sections=300)
    said = ready(pages.html(explanation, budget=250_000).decode()).locator("#foot").inner_text()
    assert "Left out to stay under 250 kB" in said
