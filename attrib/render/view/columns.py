"""Sections and prompt tokens → columns: each by itself, folded into one, or left out.

Not covered: the numbers in them (``heat``).
"""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from attrib.errors import InputError
from attrib.options.methods import Unit
from attrib.records import Attribution, Explanation
from attrib.records.kind import ScoreKind
from attrib.render.view.kinds import attribution_of, mapping_of
from attrib.render.view.labels import joined_label, section_label
from attrib.text.units import template_positions as positions_of_template

Special = Literal["show", "fold", "hide"]
"""Columns of the chat template: each by itself, summed to one, or left out (their share is then in the caption)."""
ColumnKind = Literal["section", "token", "other", "template", "answer", "control"]


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a heatmap: a section, a prompt token, or several folded into one."""

    label: str
    kind: ColumnKind
    members: tuple[int, ...] = ()
    """Indices of its sections or positions; empty for the control."""
    document: str = ""

    @property
    def apart(self) -> bool:
        """Whether it is set apart from the columns that show one thing each."""
        return self.kind not in ("section", "token")


def section_columns(explanation: Explanation, mapper: str, top: int) -> tuple[Column, ...]:
    """The ``top`` first of the record's ranking in document order, the other sections as one column, the control.

    Raises InputError for a mapper that the record lacks or for ``top`` below 1.
    """
    mapping = mapping_of(explanation, mapper)
    if not explanation.sections:
        raise InputError("this explanation has no scored section; explain again with --mappers and --candidates")
    if top < 1:
        raise InputError(f"top={top}: a heatmap needs at least one section; give top=1 or more")
    best = sorted(int(i) for i in explanation.ranking[:top])
    others = tuple(sorted(int(i) for i in explanation.ranking[top:]))
    columns = []
    for i in best:
        section = explanation.sections[i]
        columns.append(Column(section_label(section), "section", (i,), section.document))
    if others:
        columns.append(Column(f"other {len(others):,}", "other", others))
    if mapping.base.control.shape[1]:
        columns.append(Column("control", "control"))
    return tuple(columns)


def prompt_columns(
    explanation: Explanation, method: str, *, special: Special = "show", top: int | None = None
) -> tuple[Column, ...]:
    """Prompt tokens, or the sources removed together, in order; earlier answer tokens as one column.

    The template is shown, folded or left out by ``special``; all but the ``top`` columns with the most |score| are
    "other". Raises InputError for a method that the record lacks, ``top`` below 1, or where no column is left.
    """
    attribution = attribution_of(explanation, method)
    if top is not None and top < 1:
        raise InputError(f"top={top}: a heatmap needs at least one prompt token; give top=1 or more")
    if special not in get_args(Special):
        raise InputError(f"special={special!r}: choose from {', '.join(get_args(Special))}")
    template, question, answer = families(explanation, attribution)
    shown = question if special != "show" else sorted(template + question)
    weight = np.abs(attribution.base).sum(0) + np.abs(attribution.tuned).sum(0)
    best = sorted(shown, key=lambda i: -float(weight[i]))[:top]

    def positions(members: Sequence[int]) -> Unit:
        return tuple(sorted(i for member in members for i in attribution.columns[member]))

    columns = []
    if special == "fold" and template:
        folded = positions(template)
        columns.append(Column(f"template {len(folded)}", "template", folded))
    for i in sorted(best, key=lambda i: min(attribution.columns[i])):
        group = attribution.columns[i]
        columns.append(Column(joined_label(explanation.tokens, group), "token", group))
    if others := [i for i in shown if i not in set(best)]:
        columns.append(Column(f"other {len(others):,}", "other", positions(others)))
    if answer:
        columns.append(Column("answer so far", "answer", positions(answer)))
    if not columns:
        raise InputError(f"method {method!r}: the chat template's columns are all it has; draw with special='show'")
    return tuple(columns)


def families(explanation: Explanation, attribution: Attribution) -> tuple[list[int], list[int], list[int]]:
    """Indices of the columns that are the template's, the question's and the answer's.

    A column that reaches into the question is the question's.
    """
    positions, prompt = set(template_positions(explanation)), len(explanation.prompt_tokens)
    template: list[int] = []
    question: list[int] = []
    answer: list[int] = []
    for i, members in enumerate(attribution.columns):
        if set(members) <= positions:
            template.append(i)
        elif min(members) >= prompt:
            answer.append(i)
        else:
            question.append(i)
    return template, question, answer


def column_unit(attribution: Attribution) -> str:
    """Unit of the prompt columns: tokens, words, sentences, or parts where the record does not say."""
    if all(len(members) == 1 for members in attribution.columns):
        return "tokens"
    sources = side_settings(attribution, "tuned").get("sources")
    return f"{sources}s" if isinstance(sources, str) else "parts"


def template_share(explanation: Explanation, attribution: Attribution) -> tuple[float, float] | None:
    """Share of |score| that the template's columns have, or had before they were excluded; base and tuned."""
    template, _, _ = families(explanation, attribution)
    before = [attribution.settings.get(f"excluded_{side}") for side in ("base", "tuned")]
    if not template:
        base, tuned = before
        known = isinstance(base, float) and isinstance(tuned, float)
        return (float(base), float(tuned)) if known else None  # type: ignore[arg-type]
    shares = []
    for scores in (attribution.base, attribution.tuned):
        total = float(np.abs(scores).sum())
        shares.append(float(np.abs(scores[:, template]).sum()) / total if total else 0.0)
    return shares[0], shares[1]


def template_positions(explanation: Explanation) -> tuple[int, ...]:
    """Prompt tokens that are not the question: the chat template's markers, roles and system message.

    Where the question's text is not found in the prompt, the special tokens alone.
    """
    return positions_of_template(explanation.prompt_tokens, explanation.question)


def fold(scores: np.ndarray, groups: Sequence[Unit], kind: ScoreKind) -> np.ndarray:
    """[..., position] → [..., group]."""
    if all(len(group) == 1 for group in groups):
        return np.asarray(scores[..., [group[0] for group in groups]])
    blocks = [scores[..., list(group)] for group in groups]
    return np.stack([block.max(-1) if kind.fold == "max" else block.sum(-1) for block in blocks], -1)


def side_settings(attribution: Attribution, side: str) -> MappingABC[str, object]:
    settings = attribution.settings.get(side)
    return settings if isinstance(settings, MappingABC) else {}


def looked_at(
    explanation: Explanation, method: str, *, top: int = 5
) -> tuple[tuple[tuple[str, float], ...], tuple[tuple[str, float], ...]]:
    """For base and tuned: the question's columns with the largest mean |score| over the rows, with that score."""
    attribution = attribution_of(explanation, method)
    _, question, _ = families(explanation, attribution)
    labels = [joined_label(explanation.tokens, attribution.columns[i]) for i in question]

    def best(side: np.ndarray) -> tuple[tuple[str, float], ...]:
        weight = np.abs(side[:, question]).sum(0) / max(len(side), 1)
        order = sorted(range(len(question)), key=lambda i: -float(weight[i]))[:top]
        return tuple((labels[i], float(weight[i])) for i in order)

    return best(attribution.base), best(attribution.tuned)
