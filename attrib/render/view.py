"""Explanation → plain rows and columns that every drawing shares, so that no two drawings disagree.

Scores keep the record's units; gains are turned into bits here, once. Not covered: colours, sizes, markup; targets of
the caller's own are shown by their function's name and have no unit.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import stdtrit

from attrib.attribution import METHODS
from attrib.errors import InputError
from attrib.mapping import NAMES as MAPPER_NAMES
from attrib.mapping import mapper_kind
from attrib.measures import bits
from attrib.records import LABELS, Attribution, Explanation, Label, Mapping, Section
from attrib.records.kind import ScoreKind
from attrib.text.units import question_units, units, words
from attrib.text.units import template_positions as positions_of_template

Unit = Literal["token", "word", "sentence", "answer", "span"]
Special = Literal["show", "fold", "hide"]
"""Columns of the chat template: each by itself, summed to one, or left out (their share is then in the caption)."""
Side = Literal["both", "base", "tuned"]
Group = tuple[int, ...]
ColumnKind = Literal["section", "token", "other", "template", "answer", "control"]
SIGNIFICANT = 0.05
"""q-value below which a score is marked."""
LEARNED = 0.5
"""``verdict.learned`` from which a section is called learned."""
GAP_SHARE = 0.1
"""Share of a row's change from which its gap is called too large."""


@dataclass(frozen=True)
class TargetName:
    """How a target is called beside scores."""

    short: str
    unit: str = ""
    """Of the target, and so of gaps; empty for pure numbers."""
    explained: str = ""
    """What the short name leaves open."""


_PRIME = "′: the contrast answer's token at the same place"
TARGET_NAMES: dict[str, TargetName] = {
    "logprob": TargetName("log p", "nats"),
    "logit": TargetName("logit"),
    "logodds": TargetName("log-odds", "nats"),
    "probability": TargetName("p"),
    "probability_difference": TargetName("p − p′", "", f"p{_PRIME}"),
    "logprob_difference": TargetName("log p − log p′", "nats", f"p{_PRIME}"),
    "kl": TargetName("KL(tuned‖base)", "nats", "each model varied while the other is held fast"),
    "entropy": TargetName("entropy", "nats", "of the next token"),
}


@dataclass(frozen=True, eq=False)
class AnswerRow:
    """One answer token, or one word of several."""

    label: str
    members: tuple[int, ...]
    """Indices of its answer tokens."""
    verdict: Label
    gain_bits: float
    """Sum over its tokens of log p tuned − log p base, bits."""


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
        """Is it set apart from the columns that show one thing each?"""
        return self.kind not in ("section", "token")


@dataclass(frozen=True, eq=False)
class Heat:
    """The numbers behind one three-panel heatmap."""

    name: str
    kind: ScoreKind
    unit: Unit
    rows: tuple[AnswerRow, ...]
    cut: int
    """Rows left out at the end."""
    columns: tuple[Column, ...]
    base: Float[np.ndarray, "row column"]
    tuned: Float[np.ndarray, "row column"]
    base_marks: Bool[np.ndarray, "row column"]
    """Where some token of the row has q < SIGNIFICANT; all False for methods without a control."""
    tuned_marks: Bool[np.ndarray, "row column"]
    merged: bool = True
    """Whether rows of several tokens were put together here, and not by the method."""
    hidden: tuple[float, float] | None = None
    """Share of |score| in the template's columns that are not drawn, base and tuned; None where none is left out."""

    @property
    def difference(self) -> Float[np.ndarray, "row column"]:
        """tuned − base."""
        difference: np.ndarray = self.tuned - self.base
        return difference

    @property
    def marked(self) -> bool:
        """Does some cell of base or tuned have a mark?"""
        return bool(self.base_marks.any() or self.tuned_marks.any())


@dataclass(frozen=True)
class Gap:
    """How far one model's scores are from the sums that the method promises, in the target's unit."""

    largest: float
    """|sum of the scores − what it should be| of the row where it is largest."""
    change: float | None
    """|what that row should sum to|; None where the record lacks it."""
    median: float
    """Median |gap| over rows."""
    missed: int | None
    """Rows whose |gap| exceeds GAP_SHARE of their change, or of the rows' mean change where that is larger: a row that
    hardly changes has no scale of its own. None where the changes are not known."""
    rows: int

    @property
    def broken(self) -> bool:
        """Does some row miss its sum by far?"""
        return bool(self.missed)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several methods over the question's words, whole answer: shares of the method's largest |score| in that model."""

    methods: tuple[str, ...]
    kinds: tuple[ScoreKind, ...]
    columns: tuple[Column, ...]
    base: Float[np.ndarray, "method column"]
    tuned: Float[np.ndarray, "method column"]
    agreement_base: Float[np.ndarray, "method method"]
    """Spearman's ρ over all words of the question; NaN where a method gives all words one score."""
    agreement_tuned: Float[np.ndarray, "method method"]
    ratio: Float[np.ndarray, " method"]
    """Largest |score| under tuned ÷ under base; NaN where base's scores are all zero."""
    words: int
    """Words of the question; those beyond the columns are put together as "other"."""


@dataclass(frozen=True)
class Score:
    """One section under one mapper: whole answer, base and tuned, beside the best control section."""

    base: float
    tuned: float
    control_base: float
    control_tuned: float
    q: float
    """Smallest q-value over the answer's tokens, tuned."""


@dataclass(frozen=True, eq=False)
class SectionRow:
    """One section as a table shows it."""

    rank: int
    """1 = best by the record's ranking."""
    index: int
    section: Section
    scores: dict[str, Score]
    """By mapper name."""
    learned: float
    matches: tuple[tuple[int, int], ...]
    """Matching [start, end) spans of the section's ``full_text``, sorted, not overlapping."""
    explains: tuple[tuple[int, int], ...]
    """[start, end) spans of the answer that it backs with q < SIGNIFICANT, sorted, not overlapping."""


def kind_of(name: str, target: str = "logprob") -> ScoreKind:
    """Kind of a mapper's or method's scores of ``target``; an unknown name is an unsigned score without a caveat."""
    return _kind(name).of_target(target_name(target).short)


def _kind(name: str) -> ScoreKind:
    if name in METHODS:
        return METHODS[name].kind
    if name in MAPPER_NAMES:
        return mapper_kind(name)
    return ScoreKind(reduction="max", signed=False, unit=name, meaning=f"{name} score")


def target_name(target: str) -> TargetName:
    """How a target is called; a function of the caller's own by its name."""
    return TARGET_NAMES.get(target, TargetName(visible(target)))


def method_label(method: str) -> str:
    """A method's name for people: ``input × gradient``."""
    return _kind(method).label or method.replace("_x_", " × ").replace("_", " ")


def model_name(name: str) -> str:
    """A model's name for others: of a folder on some machine its last part, a relative path or hub id as it is."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(name).is_absolute():
            return kind(name).name or name
    return name


def number(value: float) -> str:
    """Two significant digits, no exponent from 100 up, zero for rounding errors, a true minus sign."""
    if abs(value) < 1e-9:
        return "0"
    return (f"{value:.0f}" if abs(value) >= 99.5 else f"{value:.2g}").replace("-", "−")


def visible(text: str, *, keep: str = "") -> str:
    """Text with every character that would act instead of showing made visible, except those in ``keep``.

    Covers terminal escapes and direction overrides, which documents may hold and which must not act on a reader.
    """
    return "".join(char if char in keep else _shown(char) for char in text)


def _shown(char: str) -> str:
    if char in _SIGNS:
        return _SIGNS[char]
    return f"<{ord(char):02X}>" if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _BIDI else char


_SIGNS = {"\n": "↵", "\r": "␍", "\t": "⇥"}
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def token_label(text: str) -> str:
    """How a token stands beside an axis: never empty, never with a line break."""
    if not text:
        return "∅"
    if not text.strip(" "):
        return "␠" * len(text)
    return visible(text.strip(" "))


def section_label(section: Section) -> str:
    """A short name: the innermost heading, or file and place where there is none."""
    return visible(" ".join(section.titles[-1].split()) if section.titles else f"{section.document} {section.lines}")


def percents(shares: Float[np.ndarray, " label"]) -> tuple[int, ...]:
    """Whole percents that sum to 100 (largest remainder)."""
    exact = 100 * np.asarray(shares, dtype=float) / np.sum(shares)
    whole = np.floor(exact).astype(int)
    for i in np.argsort(whole - exact, kind="stable")[: 100 - int(whole.sum())]:
        whole[i] += 1
    return tuple(int(n) for n in whole)


def verdict_line(shares: Float[np.ndarray, " 3"]) -> str:
    """``documents 71% · base 18% · neither 11%``."""
    return " · ".join(f"{label} {said}" for label, said in zip(LABELS, percent_texts(shares), strict=True))


def percent_texts(shares: Float[np.ndarray, " label"]) -> tuple[str, ...]:
    """``percents`` in words: ``<1%`` and ``>99%`` for what is not wholly nothing or all."""
    # A share may be 1 by rounding alone: it is all only where no other is left.
    several = int(np.count_nonzero(shares)) > 1
    return tuple(
        ">99%" if several and n >= 100 else _whole_percent(n, float(one))
        for n, one in zip(percents(shares), shares, strict=True)
    )


def percent(share: float) -> str:
    """One share of 0…1, as in ``percent_texts``; ``none`` for what is not finite."""
    if not np.isfinite(share):
        return "none"
    return _whole_percent(int(f"{100 * share:.0f}"), share)


def _whole_percent(percents: int, share: float) -> str:
    if percents <= 0 and share > 0:
        return "<1%"
    return ">99%" if percents >= 100 and share < 1 else f"{percents}%"


def p_value(p: float) -> str:
    """``p 0.04``; ``p <0.01`` for what two decimals would call zero."""
    return "p <0.01" if p < 0.005 else f"p {p:.2f}"


def answer_rows(explanation: Explanation, unit: Literal["token", "word"] = "token") -> tuple[AnswerRow, ...]:
    """One row a token or word; a word's verdict is the most probable by the mean over its tokens."""
    return _rows(explanation, units(explanation.answer_tokens, unit))


def _rows(explanation: Explanation, groups: Sequence[Group]) -> tuple[AnswerRow, ...]:
    return tuple(
        AnswerRow(
            label=joined_label([explanation.answer_tokens[i].text for i in group], group),
            members=group,
            verdict=LABELS[int(explanation.verdict.tokens[list(group)].mean(0).argmax())],
            gain_bits=float(bits(float(explanation.verdict.gain[list(group)].sum()))),
        )
        for group in groups
    )


def joined_label(texts: Sequence[str], members: Group) -> str:
    """The tokens' text, an ellipsis where some between them are missing."""
    parts = [("…" if at and members[at] != members[at - 1] + 1 else "") + text for at, text in enumerate(texts)]
    return token_label("".join(parts))


def verdict_spans(explanation: Explanation) -> tuple[tuple[str, Label], ...]:
    """The answer as runs of text with one verdict each, in order."""
    runs: list[tuple[str, Label]] = []
    for token, label in zip(explanation.answer_tokens, explanation.verdict.token_labels, strict=True):
        if runs and runs[-1][1] == label:
            runs[-1] = (runs[-1][0] + token.text, label)
        else:
            runs.append((token.text, label))
    return tuple(runs)


def gain_ends(gain_bits: Sequence[float]) -> tuple[float, float]:
    """Smallest and largest gain that has a number, zero among them, as the ends of a scale that is never empty."""
    finite = [value for value in gain_bits if np.isfinite(value)]
    return min([0.0, *finite]), max([*finite, 1e-9])


def drawn_gain(value: float, low: float, high: float) -> float:
    """A gain as long as the scale lets it be; nothing where there is no number."""
    return 0.0 if np.isnan(value) else min(max(value, low), high)


def section_columns(explanation: Explanation, mapper: str, top: int) -> tuple[Column, ...]:
    """The ``top`` first of the record's ranking in document order, the other sections as one column, the control.

    Raises InputError for a mapper that the record lacks or for ``top`` below 1.
    """
    mapping_of(explanation, mapper)
    if not explanation.sections:
        raise InputError("this explanation has no scored section; explain again with --mappers and --candidates")
    if top < 1:
        raise InputError(f"top={top}: a heatmap needs at least one section; give top=1 or more")
    best = sorted(int(i) for i in explanation.ranking[:top])
    others = tuple(sorted(int(i) for i in explanation.ranking[top:]))
    columns = [
        Column(section_label(explanation.sections[i]), "section", (i,), explanation.sections[i].document) for i in best
    ]
    if others:
        columns.append(Column(f"other {len(others):,}", "other", others))
    if mapping_of(explanation, mapper).base.control.shape[1]:
        columns.append(Column("control", "control"))
    return tuple(columns)


def prompt_columns(
    explanation: Explanation, method: str, *, special: Special = "show", top: int | None = None
) -> tuple[Column, ...]:
    """Prompt tokens, or what was taken away together, in order; earlier answer tokens as one column.

    The template is shown, folded or left out by ``special``; all but the ``top`` columns with the most |score| are
    "other". Raises InputError for a method that the record lacks, ``top`` below 1, or where no column is left.
    """
    attribution = attribution_of(explanation, method)
    if top is not None and top < 1:
        raise InputError(f"top={top}: a heatmap needs at least one prompt token; give top=1 or more")
    if special not in get_args(Special):
        raise InputError(f"special={special!r}: choose from {', '.join(get_args(Special))}")
    template, question, answer = _families(explanation, attribution)
    shown = question if special != "show" else sorted(template + question)
    weight = np.abs(attribution.base).sum(0) + np.abs(attribution.tuned).sum(0)
    best = sorted(shown, key=lambda i: -float(weight[i]))[:top]

    def positions(members: Sequence[int]) -> Group:
        return tuple(sorted(i for member in members for i in attribution.columns[member]))

    columns = []
    if special == "fold" and template:
        folded = positions(template)
        columns.append(Column(f"template {len(folded)}", "template", folded))
    for i in sorted(best, key=lambda i: min(attribution.columns[i])):
        group = attribution.columns[i]
        columns.append(Column(joined_label([explanation.tokens[at].text for at in group], group), "token", group))
    if others := [i for i in shown if i not in set(best)]:
        columns.append(Column(f"other {len(others):,}", "other", positions(others)))
    if answer:
        columns.append(Column("answer so far", "answer", positions(answer)))
    if not columns:
        raise InputError(f"method {method!r}: the chat template's columns are all it has; draw with special='show'")
    return tuple(columns)


def _families(explanation: Explanation, attribution: Attribution) -> tuple[list[int], list[int], list[int]]:
    """Indices of the columns that are the template's, the question's and the answer's.

    A column that reaches into the question is the question's.
    """
    template, prompt = set(template_positions(explanation)), len(explanation.prompt_tokens)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for i, members in enumerate(attribution.columns):
        family = 0 if set(members) <= template else 2 if min(members) >= prompt else 1
        parts[family].append(i)
    return parts


def column_unit(attribution: Attribution) -> str:
    """What one prompt column is: tokens, words, sentences, or parts where the record does not say."""
    if all(len(members) == 1 for members in attribution.columns):
        return "tokens"
    sources = _side_settings(attribution, "tuned").get("sources")
    return f"{sources}s" if isinstance(sources, str) else "parts"


def template_share(explanation: Explanation, attribution: Attribution) -> tuple[float, float] | None:
    """Share of |score| that the template's columns have, or had before they were excluded; base and tuned."""
    template, _, _ = _families(explanation, attribution)
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


def section_heat(explanation: Explanation, mapper: str, *, top: int = 12, max_rows: int | None = None) -> Heat:
    """Answer row × section column, base and tuned.

    "other" and the control show the best score among theirs, so that one column is comparable with one section.
    """
    columns = section_columns(explanation, mapper, top)
    kind, mapping = kind_of(mapper), mapping_of(explanation, mapper)
    unit, rows, cut = _fit_rows(explanation, max_rows)

    def scores(tokens: np.ndarray, control: np.ndarray) -> np.ndarray:
        ours, theirs = (reduced(block, [row.members for row in rows], kind) for block in (tokens, control))
        picked = [theirs if column.kind == "control" else ours[:, list(column.members)] for column in columns]
        return np.stack([block.max(1) for block in picked], 1)

    def marks(q: np.ndarray) -> np.ndarray:
        found = np.stack([(q[list(row.members)] < SIGNIFICANT).any(0) for row in rows])
        none = np.zeros((len(rows), 1), bool)
        return np.stack(
            [(none if column.kind == "control" else found[:, list(column.members)]).any(1) for column in columns], 1
        )

    base, tuned = mapping.base, mapping.tuned
    return Heat(
        name=mapper,
        kind=kind,
        unit=unit,
        rows=rows,
        cut=cut,
        columns=columns,
        base=scores(base.tokens, base.control),
        tuned=scores(tuned.tokens, tuned.control),
        base_marks=marks(base.q),
        tuned_marks=marks(tuned.q),
    )


def prompt_heat(
    explanation: Explanation,
    method: str,
    *,
    special: Special = "show",
    top: int | None = None,
    max_rows: int | None = None,
) -> Heat:
    """Answer row × prompt column, base and tuned; folded columns are put together by the method's ``fold``."""
    columns = prompt_columns(explanation, method, special=special, top=top)
    attribution = attribution_of(explanation, method)
    kind = kind_of(method, attribution.target)
    fit = fit_attribution(explanation, attribution, max_rows)
    base, tuned = (
        reduced(fold(side, [column.members for column in columns], kind), fit.groups, kind)
        for side in attribution.expanded(len(explanation.tokens))
    )
    none = np.zeros(base.shape, bool)
    excluded = special == "hide" or "excluded_base" in attribution.settings
    hidden = template_share(explanation, attribution) if excluded else None
    return Heat(
        method, kind, fit.unit, fit.rows, fit.cut, columns, base, tuned, none, none, merged=fit.merged, hidden=hidden
    )


@dataclass(frozen=True, eq=False)
class Fit:
    """Rows as drawn, and which of the record's rows are in each."""

    unit: Unit
    rows: tuple[AnswerRow, ...]
    groups: tuple[Group, ...]
    cut: int
    merged: bool


def fit_attribution(explanation: Explanation, attribution: Attribution, max_rows: int | None) -> Fit:
    """The record's rows; tokens are merged to words where they do not fit; then the last ones are cut."""
    if not attribution.rows or not explanation.answer_tokens:
        raise InputError("the answer has no tokens, so there is nothing to draw; explain a non-empty answer")
    n, most = len(attribution.rows), max_rows or len(attribution.rows)
    members, groups, merged = attribution.rows, _alone(n), False
    unit = row_unit(explanation, attribution)
    if n > most and all(len(row) == 1 for row in attribution.rows):
        place = {row[0]: i for i, row in enumerate(attribution.rows)}
        inside = (tuple(i for i in word if i in place) for word in words(explanation.answer_tokens))
        members = tuple(word for word in inside if word)
        groups, merged, unit = tuple(tuple(place[i] for i in word) for word in members), True, "word"
    rows = _rows(explanation, members[:most])
    return Fit(unit, rows, groups[:most], max(0, len(members) - most), merged)


def _alone(n: int) -> tuple[Group, ...]:
    return tuple((i,) for i in range(n))


def row_unit(explanation: Explanation, attribution: Attribution) -> Unit:
    """What one row of the record is."""
    names: tuple[Literal["token", "word", "answer", "sentence"], ...] = ("token", "word", "answer", "sentence")
    return next((name for name in names if attribution.rows == units(explanation.answer_tokens, name)), "span")


def fold(scores: np.ndarray, groups: Sequence[Group], kind: ScoreKind) -> np.ndarray:
    """[..., position] → [..., group]."""
    if all(len(group) == 1 for group in groups):
        return np.asarray(scores[..., [group[0] for group in groups]])
    blocks = [scores[..., list(group)] for group in groups]
    return np.stack([block.max(-1) if kind.fold == "max" else block.sum(-1) for block in blocks], -1)


def _fit_rows(explanation: Explanation, max_rows: int | None) -> tuple[Unit, tuple[AnswerRow, ...], int]:
    """Tokens where they fit, else words, else the first words and how many were cut."""
    rows = answer_rows(explanation, "token")
    if not rows:
        raise InputError("the answer has no tokens, so there is nothing to draw; explain a non-empty answer")
    if max_rows is None or len(rows) <= max_rows:
        return "token", rows, 0
    rows = answer_rows(explanation, "word")
    return "word", rows[:max_rows], max(0, len(rows) - max_rows)


def reduced(scores: np.ndarray, groups: Sequence[Group], kind: ScoreKind) -> np.ndarray:
    """[any, column] → [group, column]."""
    blocks = [scores[list(group)] for group in groups]
    if kind.reduction == "sum":
        return np.stack([block.sum(0) for block in blocks])
    return np.stack([block.mean(0) if kind.reduction == "mean" else block.max(0) for block in blocks])


def gaps(attribution: Attribution) -> tuple[Gap, Gap] | None:
    """Base and tuned; None for methods that promise no sum."""
    base, tuned = attribution.gap_base, attribution.gap_tuned
    if base is None or tuned is None or not len(base):
        return None
    return _gap(attribution, "base", base), _gap(attribution, "tuned", tuned)


def _gap(attribution: Attribution, side: Literal["base", "tuned"], gap: np.ndarray) -> Gap:
    size, change = np.abs(gap), _change(attribution, side, gap)
    worst = int(size.argmax())
    missed = None
    if change is not None:
        missed = int((size > GAP_SHARE * np.maximum(change, change.mean())).sum())
    return Gap(
        largest=float(size[worst]),
        change=None if change is None else float(change[worst]),
        median=float(np.median(size)),
        missed=missed,
        rows=len(size),
    )


def _change(attribution: Attribution, side: Literal["base", "tuned"], gap: np.ndarray) -> np.ndarray | None:
    """|What each row should sum to|; columns that were excluded are missing from the sum, so that it tells nothing."""
    if "excluded_base" not in attribution.settings:
        scores = attribution.base if side == "base" else attribution.tuned
        return np.asarray(np.abs(scores.sum(1) - gap))
    known = _side_settings(attribution, side).get("change")
    if isinstance(known, list | tuple) and len(known) == len(gap):
        return np.asarray(np.abs(np.asarray(known, dtype=float)))
    return None


def _side_settings(attribution: Attribution, side: str) -> MappingABC[str, object]:
    settings = attribution.settings.get(side)
    return settings if isinstance(settings, MappingABC) else {}


def gap_line(gap: Gap, target: str) -> str:
    """``0.05 of 7.9 nats``: the largest gap and what its row should sum to."""
    of = "" if gap.change is None else f" of {number(gap.change)}"
    return f"{number(gap.largest)}{of} {target_name(target).unit}".rstrip()


def gap_note(attribution: Attribution) -> str:
    """One line for beside a figure; empty for methods that promise no sum."""
    found = gaps(attribution)
    if found is None:
        return ""
    base, tuned = (gap_line(gap, attribution.target) for gap in found)
    return f"gap (largest row): base {base}, tuned {tuned}{'; ' if (said := gap_verdict(attribution)) else ''}{said}"


def gap_verdict(attribution: Attribution) -> str:
    """``not converged: over 10% in 2 of 8 rows (tuned)``; empty where the gaps are small or nothing is promised."""
    found = gaps(attribution)
    broken = [(name, gap) for name, gap in zip(("base", "tuned"), found or (), strict=False) if gap.broken]
    if not broken:
        return ""
    word = kind_of(attribution.method).broken or "not converged"  # a method that this module does not know
    where = ", ".join(f"{gap.missed} of {gap.rows} row{'s' * (gap.rows > 1)} ({name})" for name, gap in broken)
    return f"{word}: over {GAP_SHARE:.0%} in {where}"


def comparison(explanation: Explanation, methods: Sequence[str] | None = None, *, top: int | None = None) -> Comparison:
    """``methods`` (default: all of the record) over the question's words, and how far their orders agree.

    Rows are summed where a word is the sum of its tokens, else averaged. Two signed methods are compared by their
    scores, other pairs by |score|, which is all that an unsigned method has. Raises InputError for a method that the
    record lacks, for none at all, and for a question without words.
    """
    methods = tuple(explanation.attributions if methods is None else methods)
    if not methods:
        raise InputError("methods: none to compare; name some that the record has, or explain again with --methods")
    if top is not None and top < 1:
        raise InputError(f"top={top}: a comparison needs at least one word; give top=1 or more")
    groups = _question_words(explanation)
    kinds = tuple(kind_of(m, attribution_of(explanation, m).target) for m in methods)
    base, tuned = (
        np.stack([_whole(explanation, m, kind, groups, side) for m, kind in zip(methods, kinds, strict=True)])
        for side in (0, 1)
    )
    largest = [np.abs(side).max(1) for side in (base, tuned)]
    # One scale for both models would blank tuned: where it is sure of its answer, all gradients are small.
    base, tuned = (
        side / np.where(most > 0, most, 1)[:, None] for side, most in zip((base, tuned), largest, strict=True)
    )
    weight = np.abs(base).sum(0) + np.abs(tuned).sum(0)
    best = sorted(sorted(range(len(groups)), key=lambda i: -float(weight[i]))[:top])
    others = [i for i in range(len(groups)) if i not in set(best)]
    texts = [[explanation.prompt_tokens[at].text for at in group] for group in groups]
    columns = [Column(joined_label(texts[i], groups[i]), "token", groups[i]) for i in best]
    if others:
        columns.append(Column(f"other {len(others):,}", "other", tuple(at for i in others for at in groups[i])))

    def shown(side: np.ndarray) -> np.ndarray:
        rest = [
            fold(row[None], [tuple(others)], kind)[0] if others else row[:0]
            for row, kind in zip(side, kinds, strict=True)
        ]
        return np.concatenate([side[:, best], np.stack(rest)], 1)

    signed = [kind.signed for kind in kinds]
    return Comparison(
        methods=methods,
        kinds=kinds,
        columns=tuple(columns),
        base=shown(base),
        tuned=shown(tuned),
        agreement_base=_agreement(base, signed),
        agreement_tuned=_agreement(tuned, signed),
        ratio=np.divide(largest[1], largest[0], out=np.full(len(methods), np.nan), where=largest[0] > 0),
        words=len(groups),
    )


def _question_words(explanation: Explanation) -> tuple[Group, ...]:
    found = question_units(explanation.prompt_tokens, explanation.question, "word")
    if not found:
        raise InputError("the question has no words, so there is nothing to compare; ask one")
    return found


def _whole(explanation: Explanation, method: str, kind: ScoreKind, groups: Sequence[Group], side: int) -> np.ndarray:
    """[group]: one method's scores of the whole answer under base (0) or tuned (1)."""
    attribution = explanation.attributions[method]
    if not attribution.rows:
        raise InputError("the answer has no tokens, so there is nothing to draw; explain a non-empty answer")
    scores = fold(attribution.expanded(len(explanation.tokens))[side], groups, kind)
    if kind.reduction == "sum":
        return np.asarray(scores.sum(0))
    # A word's attention is the mean of its tokens': long words weigh more in the answer's mean.
    weights = [len(row) for row in attribution.rows] if kind.reduction == "mean" else None
    return np.asarray(np.average(scores, axis=0, weights=weights))


def _agreement(scores: np.ndarray, signed: Sequence[bool]) -> np.ndarray:
    """Spearman's ρ of each pair of rows, [method, method]."""
    from scipy import stats

    n = len(scores)
    out = np.full((n, n), np.nan)
    by_score, by_size = stats.rankdata(scores, axis=1), stats.rankdata(np.abs(scores), axis=1)
    for i in range(n):
        for j in range(n):
            ranks = by_score if signed[i] and signed[j] else by_size
            a, b = ranks[i] - ranks[i].mean(), ranks[j] - ranks[j].mean()
            size = float(np.sqrt((a @ a) * (b @ b)))
            if size > 0 and scores.shape[1] > 1:
                out[i, j] = float(a @ b) / size
    return out


def chance_correlation(n: int, significance: float = SIGNIFICANT) -> float | None:
    """|ρ| that two unrelated orders of ``n`` words exceed with this probability (t approximation); None below 5."""
    if n < 5:
        return None
    t = float(stdtrit(n - 2, 1 - significance / 2))
    return float(t / np.sqrt(n - 2 + t**2))


def attribution_of(explanation: Explanation, method: str) -> Attribution:
    """The record's attribution; InputError names those that it has."""
    if method not in explanation.attributions:
        raise InputError(_unknown("method", method, explanation.attributions))
    return explanation.attributions[method]


def mapping_of(explanation: Explanation, mapper: str) -> Mapping:
    """The record's mapping; InputError names those that it has."""
    if mapper not in explanation.mappings:
        raise InputError(_unknown("mapper", mapper, explanation.mappings))
    return explanation.mappings[mapper]


def _unknown(what: str, name: str, known: object) -> str:
    have = ", ".join(sorted(known)) or "none"  # type: ignore[call-overload]
    return f"this explanation has no {what} {name!r}; it has {have}: name one of them or explain again with {name!r}"


def section_rows(explanation: Explanation, *, top: int = 5, mapper: str | None = None) -> tuple[SectionRow, ...]:
    """The ``top`` best sections; matches and explained spans are those of ``mapper`` (default: the record's first)."""
    name = mapper or next(iter(explanation.mappings), None)
    chosen = None if name is None else mapping_of(explanation, name)
    return tuple(
        _section_row(explanation, rank, int(index), chosen)
        for rank, index in enumerate(explanation.ranking[:top], start=1)
    )


def _section_row(explanation: Explanation, rank: int, index: int, chosen: Mapping | None) -> SectionRow:
    matches: tuple[tuple[int, int], ...] = ()
    explains: tuple[tuple[int, int], ...] = ()
    if chosen is not None and explanation.answer_tokens:
        backed = np.flatnonzero(chosen.tuned.q[:, index] < SIGNIFICANT)
        scores = chosen.tuned.tokens[:, index]
        above = np.flatnonzero(scores > chosen.tuned.control.max(1, initial=-np.inf))
        # Short answers are rarely significant: then what beats every control text is marked, or the best token.
        marked = next(rows for rows in (backed, above, np.array([scores.argmax()])) if len(rows))
        spans = chosen.tuned.spans[marked, index]
        matches = merge((int(start), int(end)) for start, end in spans)
        explains = merge((explanation.answer_tokens[i].start, explanation.answer_tokens[i].end) for i in backed)
    return SectionRow(
        rank=rank,
        index=index,
        section=explanation.sections[index],
        scores={
            name: Score(
                base=float(mapping.base.whole[index]),
                tuned=float(mapping.tuned.whole[index]),
                control_base=float(mapping.base.control_whole.max(initial=-np.inf)),
                control_tuned=float(mapping.tuned.control_whole.max(initial=-np.inf)),
                q=float(mapping.tuned.q[:, index].min(initial=1.0)),
            )
            for name, mapping in explanation.mappings.items()
        },
        learned=float(explanation.verdict.learned[index]),
        matches=matches,
        explains=explains,
    )


def merge(spans: Iterator[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Non-empty [start, end) spans, sorted, those that touch or overlap made one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def snippet(row: SectionRow, length: int = 160) -> tuple[tuple[str, bool], ...]:
    """About ``length`` characters of the section around its first match, as (text, is a match) pieces."""
    text = row.section.full_text
    first = row.matches[0][0] if row.matches else 0
    start = max(0, min(first - length // 4, len(text) - length))
    stop = min(len(text), start + length)
    pieces: list[tuple[str, bool]] = [("…", False)] if start else []
    at = start
    for left, right in row.matches:
        left, right = max(left, start), min(right, stop)
        if left < right:
            pieces += [(text[at:left], False), (text[left:right], True)]
            at = right
    pieces += [(text[at:stop], False), ("…" if stop < len(text) else "", False)]
    return tuple((visible(piece.replace("\n", " ")), match) for piece, match in pieces if piece)


def looked_at(
    explanation: Explanation, method: str, *, top: int = 5
) -> tuple[tuple[tuple[str, float], ...], tuple[tuple[str, float], ...]]:
    """For base and tuned: the question's columns with the largest mean |score| over the rows, with that score."""
    attribution = attribution_of(explanation, method)
    _, question, _ = _families(explanation, attribution)
    groups = [attribution.columns[i] for i in question]
    labels = [joined_label([explanation.prompt_tokens[at].text for at in group], group) for group in groups]

    def best(side: np.ndarray) -> tuple[tuple[str, float], ...]:
        weight = np.abs(side[:, question]).sum(0) / max(len(side), 1)
        order = sorted(range(len(question)), key=lambda i: -float(weight[i]))[:top]
        return tuple((labels[i], float(weight[i])) for i in order)

    return best(attribution.base), best(attribution.tuned)
