"""Explanation → the paragraph under each of its figures: what is drawn, against what, and what it does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from attrib.records import Attribution, Explanation
from attrib.render import view
from attrib.render.figures.comparison import DAGGER, comparison_plan
from attrib.render.figures.heatplan import planned_prompt, planned_sections
from attrib.render.figures.style import style
from attrib.render.view import Heat, Side, Special


def caption(
    explanation: Explanation,
    kind: str,
    *,
    preset: str = "neurips-double",
    top: int | None = None,
    special: Special = "fold",
) -> str:
    """One paragraph for under the figure of mapper or method ``kind``, as drawn with the same options."""
    with style():
        if kind in explanation.mappings:
            heat, _ = planned_sections(explanation, kind, preset, top)
            return " ".join(_common(explanation, heat, _merged_rows(heat)) + _about_sections(explanation, heat))
        heat, _ = planned_prompt(explanation, kind, preset, special)
        rows = _prompt_rows(heat, explanation.attributions[kind])
        return " ".join(_common(explanation, heat, rows) + _about_prompt(explanation, heat))


def comparison_caption(
    explanation: Explanation,
    methods: Sequence[str] | None = None,
    side: Side = "both",
    *,
    preset: str = "neurips-double",
) -> str:
    """One paragraph for under the comparison drawn with the same options."""
    with style():
        plan, compared = comparison_plan(explanation, methods, side, preset)
    where = " (a) under base, (b) under tuned" if side == "both" else f" (a) under {side}"
    lines = [
        f"{asked(explanation)}, whole, by {len(compared.methods)} methods (rows) over the question's"
        f" {compared.words} words (columns),{where}.",
        "Colour: a word's score as a share of the method's largest |score| in that model; methods without a sign show"
        " sizes alone.",
    ]
    if side == "both":
        ratios = [
            f"{view.method_label(name)} {view.number(float(ratio))}"
            for name, ratio in zip(compared.methods, compared.ratio, strict=True)
            if np.isfinite(ratio)
        ]
        lines.append(f"Largest |score| under tuned ÷ under base: {', '.join(ratios) or 'none'}.")
    if any(column.kind == "other" for column in compared.columns):
        weakest = compared.words - len(compared.columns) + 1
        lines.append(f"Other: the {weakest} weakest words together; beyond 1 it takes the scale's last colour.")
    models = ", base below the diagonal and tuned above it" if side == "both" else f" under {side}"
    lines.append(
        f"({'c' if side == 'both' else 'b'}) Spearman's ρ of two methods over the words{models}: of scores where both"
        " have a sign, else of |score|; a cross: a method gives all words one score."
    )
    if (chance := view.chance_correlation(compared.words)) is not None:
        lines.append(f"Of two unrelated orders of {compared.words} words, one pair in 20 exceeds |ρ| = {chance:.2f}.")
    else:
        lines.append(f"With {compared.words} words any ρ may be chance.")
    for name in compared.methods:
        attribution = explanation.attributions[name]
        if note := view.gap_note(attribution):
            lines.append(f"{view.method_label(name)}: {note}.")
    if plan.note:
        lines.append(f"{DAGGER}: some row's scores miss their sum by more than {view.GAP_SHARE:.0%}.")
    lines.append("Methods that agree may be wrong together: only changing the prompt shows what the answer depends on.")
    return " ".join(lines)


def _common(explanation: Explanation, heat: Heat, rows: str) -> list[str]:
    if heat.cut:
        rows += f", the last {heat.cut} {heat.unit}s not drawn"
    return [
        f"{asked(explanation)} downwards, {rows}.",
        f"Colour: {heat.kind.meaning}{_sides(heat)}",
        "Beside the rows: the verdict on each (documents, base, neither, or hatched: cannot tell) and its gain,"
        f" log p tuned − log p base in bits; the answer: {answer_called(explanation)}.",
    ]


def answer_called(explanation: Explanation) -> str:
    """The one headline: ``mixed, 10 of 23 words documents, 9 base, 4 neither``."""
    found = view.headline(explanation)
    return f"{found.called}, {found.words}"


def _sides(heat: Heat) -> str:
    if heat.alike:
        return ", the same under base and tuned, since the score reads the text alone."
    return (
        ", (a) under the base model and (b) under the tuned model on one scale, (c) tuned − base on its own scale"
        " centred on zero, not tested for significance."
    )


def asked(explanation: Explanation) -> str:
    """The question, and whose answer was explained."""
    source = {"tuned": "the tuned model's", "base": "the base model's", "given": "a given"}[explanation.answer_source]
    return f"“{view.visible(' '.join(explanation.question.split()))}”: {source} answer"


def _merged_rows(heat: Heat) -> str:
    """Description of a row where words were put together from the record's tokens."""
    if heat.unit == "token":
        return "one row a token"
    how = {"sum": "the sum", "mean": "the mean", "max": "the largest"}[heat.kind.reduction]
    return f"one row a {heat.unit} ({how} of its tokens)"


def _prompt_rows(heat: Heat, attribution: Attribution) -> str:
    """Description of a row, and how several tokens became one, by the method or here."""
    if heat.unit == "token" or heat.merged:
        return _merged_rows(heat)
    name = "one row, the whole answer" if heat.unit == "answer" else f"one row a {heat.unit}"
    reduction = attribution.settings.get("reduction")
    if isinstance(reduction, str) or heat.kind.reduction == "mean":
        return f"{name} (the {reduction if isinstance(reduction, str) else 'mean'} of its tokens)"
    return f"{name} (for the sum of its tokens' {view.target_name(attribution.target).short})"


def _about_sections(explanation: Explanation, heat: Heat) -> list[str]:
    by_kind = {column.kind: column for column in heat.columns}
    shown = [column for column in heat.columns if column.kind == "section"]
    documents = list(dict.fromkeys(view.visible(column.document) for column in shown))
    scored, total = len(explanation.sections), explanation.sections_total
    of = f"{scored:,} scored sections" + (f" (of {total:,})" if total != scored else "")
    lines = [
        f"Columns: of {of} the {len(shown)} first in the verdict's order, drawn in document order,"
        f" thin lines between documents ({', '.join(documents)})"
    ]
    if "other" in by_kind:
        lines[0] += f"; other: the best score among the other {len(by_kind['other'].members):,}"
        lines[0] += " (the best of more sections is higher by chance alone)"
    lines[0] += "."
    bests = [name for name in ("other", "control") if name in by_kind]
    if bests and explanation.mappings[heat.name].uses_model:
        lines.append(
            f"(c), {' and '.join(bests)}: difference of the two models' bests, which may be of different sections."
        )
    mapping = explanation.mappings[heat.name]
    n = mapping.tuned.control.shape[1]
    if n:
        lines.append(f"Control: the best score among {n:,} sections that neither model was tuned on.")
    if heat.marked:
        of_word = "at least one of the word's tokens has " if heat.unit == "word" else ""
        lines.append(
            f"•: {of_word}q < {view.SIGNIFICANT:.2f} against the control and the other sections (Benjamini–Hochberg)."
        )
    elif why := view.no_q(explanation, heat.name, mapping.tuned, "tuned"):
        lines.append(f"{why[0].upper()}{why[1:]}.")
    return [*lines, *([heat.kind.caveat] if heat.kind.caveat else [])]


def _about_prompt(explanation: Explanation, heat: Heat) -> list[str]:
    attribution = explanation.attributions[heat.name]
    by_kind, name = {column.kind: column for column in heat.columns}, view.column_unit(attribution)
    shown = "prompt" if _template_shown(explanation, heat) else "question"
    together = "the sum over" if heat.kind.fold == "sum" else "the largest of"
    lines = [f"Columns: the {shown}'s {name}"]
    if "answer" in by_kind:
        lines[0] += f"; answer so far: {together} earlier answer tokens."
    else:
        lines[0] += "; earlier answer tokens have no scores by this method."
    if "template" in by_kind:
        lines.append(f"Template: {together} the {len(by_kind['template'].members)} tokens of the chat template.")
    if heat.hidden is not None:
        base, tuned = map(view.percent, heat.hidden)
        lines.append(f"Not drawn: the chat template, which has {base} (base) and {tuned} (tuned) of all |score|.")
    if "other" in by_kind:
        rest = set(by_kind["other"].members)
        weakest = sum(set(members) <= rest for members in attribution.columns)
        lines.append(f"Other: {together} the {weakest:,} weakest {name} of the {shown}.")
    if {"answer", "template", "other"} & set(by_kind):
        lines.append(f"The scale is that of the single {name}; sums beyond it take its last colour.")
    return [*lines, *_about_target(attribution), *([heat.kind.caveat] if heat.kind.caveat else [])]


def _template_shown(explanation: Explanation, heat: Heat) -> bool:
    template = set(view.template_positions(explanation))
    return any(column.kind == "token" and set(column.members) <= template for column in heat.columns)


def _about_target(attribution: Attribution) -> list[str]:
    """Target in full, gap and fit, as far as they are in the record."""
    name, lines = view.target_name(attribution.target), []
    if name.explained and name.short in view.kind_of(attribution.method, attribution.target).meaning:
        lines.append(f"{name.short}: {name.explained}.")
    if found := view.gaps(attribution):
        base, tuned = (view.gap_line(gap, attribution.target) for gap in found)
        medians = ", ".join(view.number(gap.median) for gap in found)
        lines.append(
            "Gap between a row's summed scores and what they should sum to, largest row:"
            f" base {base}, tuned {tuned}; median over rows: {medians}."
        )
    if said := view.gap_verdict(attribution):
        lines.append(
            f"{said[0].upper()}{said[1:]}; shares of what a row should sum to, or of the rows' mean where that is more."
        )
    fits = [_r2(attribution, side) for side in ("base", "tuned")]
    if all(fits):
        lines.append(f"R² of the fit, median over rows: base {fits[0]}, tuned {fits[1]}.")
    return lines


def _r2(attribution: Attribution, side: str) -> str:
    settings = attribution.settings.get(side)
    fits = settings.get("r2") if isinstance(settings, Mapping) else None
    return f"{float(np.median(fits)):.2f}".replace("-", "−") if isinstance(fits, list | tuple) and fits else ""
