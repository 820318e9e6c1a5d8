"""Explanation → plain rows and columns that every drawing shares, so that no two drawings disagree.

Scores keep the record's units; gains are turned into bits here, once. Not covered: colours, sizes, markup.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from attrib.errors import InputError
from attrib.measures import bits
from attrib.records import LABELS, Explanation, Label, Mapping, Section, Token

Unit = Literal["token", "word"]
ColumnKind = Literal["section", "token", "other", "template", "answer", "control"]
SIGNIFICANT = 0.05
"""q-value below which a score is marked."""
LEARNED = 0.5
"""``verdict.learned`` from which a section is called learned."""


@dataclass(frozen=True)
class Kind:
    """What the scores of one mapper or method are, and what must be said beside them."""

    reduction: Literal["sum", "max"]
    """How the tokens of one word are put together."""
    signed: bool
    """True where zero is the middle of the scale, not its low end."""
    unit: str
    """What a colour bar says."""
    meaning: str
    """What a caption says."""
    caveat: str = ""


_SIMILAR = "Similarity is not influence: a section that says the same need not be what the model learned from."
_WEIGHTS = "A gradient is a local effect: only changing the prompt shows what the answer depends on."
KINDS: dict[str, Kind] = {
    "bm25": Kind("sum", False, "BM25", "BM25 score of shared words", _SIMILAR),
    "embedding": Kind("max", False, "cosine", "cosine of sentence embeddings", _SIMILAR),
    "hidden": Kind("max", False, "cosine", "cosine of hidden states", _SIMILAR),
    "influence": Kind(
        "sum",
        True,
        "influence",
        "estimated influence through the gradients",
        "Only retraining without a section shows what it caused.",
    ),
    "attention": Kind(
        "max",
        False,
        "attention",
        "attention, mean over layers and heads",
        "Attention is not cause: it shows where the model looked.",
    ),
    "saliency": Kind("max", False, "saliency", "gradient magnitude of the token's log-prob", _WEIGHTS),
    "input_x_gradient": Kind("sum", True, "input × gradient", "input × gradient of the token's log-prob", _WEIGHTS),
    "integrated_gradients": Kind(
        "sum", True, "integrated gradient", "integrated gradient of the token's log-prob", _WEIGHTS
    ),
    "relevance": Kind("sum", True, "relevance", "relevance propagated back from the token's logit", _WEIGHTS),
    "ablation": Kind("sum", True, "drop, nats", "drop of the token's log-prob when the prompt token is taken away"),
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
    kind: Kind
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

    @property
    def difference(self) -> Float[np.ndarray, "row column"]:
        """tuned − base."""
        difference: np.ndarray = self.tuned - self.base
        return difference


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


def kind_of(name: str) -> Kind:
    """What a mapper's or method's scores are; a name unknown here is an unsigned score without a caveat."""
    return KINDS.get(name, Kind("max", False, name, f"{name} score"))


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
    return " · ".join(f"{label} {n}%" for label, n in zip(LABELS, percents(shares), strict=True))


def words(tokens: Sequence[Token]) -> tuple[tuple[int, ...], ...]:
    """Token indices grouped to words: a word starts at white space, at a special token, at each wide character."""
    groups: list[list[int]] = []
    for i, token in enumerate(tokens):
        if i == 0 or _starts_word(tokens[i - 1], token):
            groups.append([])
        groups[-1].append(i)
    return tuple(tuple(group) for group in groups)


def _starts_word(before: Token, token: Token) -> bool:
    if not token.text:
        return False
    edges = (before.text[-1:], token.text[0])
    wide = any(char and unicodedata.east_asian_width(char) in "WF" for char in edges)
    return before.special or token.special or token.text[0].isspace() or before.text[-1:].isspace() or wide


def answer_rows(explanation: Explanation, unit: Unit = "token") -> tuple[AnswerRow, ...]:
    """One row a token or word; a word's verdict is the most probable by the mean over its tokens."""
    tokens = explanation.answer_tokens
    groups = words(tokens) if unit == "word" else tuple((i,) for i in range(len(tokens)))
    return tuple(
        AnswerRow(
            label=token_label("".join(tokens[i].text for i in group)),
            members=group,
            verdict=LABELS[int(explanation.verdict.tokens[list(group)].mean(0).argmax())],
            gain_bits=float(bits(float(explanation.verdict.gain[list(group)].sum()))),
        )
        for group in groups
    )


def verdict_spans(explanation: Explanation) -> tuple[tuple[str, Label], ...]:
    """The answer as runs of text with one verdict each, in order."""
    runs: list[tuple[str, Label]] = []
    for token, label in zip(explanation.answer_tokens, explanation.verdict.token_labels, strict=True):
        if runs and runs[-1][1] == label:
            runs[-1] = (runs[-1][0] + token.text, label)
        else:
            runs.append((token.text, label))
    return tuple(runs)


def section_columns(explanation: Explanation, mapper: str, top: int) -> tuple[Column, ...]:
    """The ``top`` best sections in document order, the other sections as one column, the control.

    Raises InputError for a mapper that the record lacks or for ``top`` below 1.
    """
    mapping_of(explanation, mapper)
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
    explanation: Explanation, method: str, *, fold_template: bool = False, top: int | None = None
) -> tuple[Column, ...]:
    """Prompt tokens in order, earlier answer tokens as one column; template and all but ``top`` folded on request.

    Raises InputError for a method that the record lacks or for ``top`` below 1.
    """
    if method not in explanation.attributions:
        raise InputError(_unknown("method", method, explanation.attributions))
    if top is not None and top < 1:
        raise InputError(f"top={top}: a heatmap needs at least one prompt token; give top=1 or more")
    template = template_positions(explanation) if fold_template else ()
    shown = [i for i in range(len(explanation.prompt_tokens)) if i not in set(template)]
    weight = sum(np.abs(side).sum(0) for side in _sides(explanation, method))
    best = sorted(shown, key=lambda i: -float(weight[i]))[:top]
    others = tuple(i for i in shown if i not in set(best))
    columns = [Column(f"template {len(template)}", "template", template)] if template else []
    columns += [Column(token_label(explanation.prompt_tokens[i].text), "token", (i,)) for i in sorted(best)]
    if others:
        columns.append(Column(f"other {len(others):,}", "other", others))
    prompt, answer = len(explanation.prompt_tokens), len(explanation.answer_tokens)
    return (*columns, Column("answer so far", "answer", tuple(range(prompt, prompt + answer))))


def template_positions(explanation: Explanation) -> tuple[int, ...]:
    """Prompt tokens that are not the question: the chat template's markers, roles and system message.

    Where the question's text is not found in the prompt, the special tokens alone.
    """
    tokens = explanation.prompt_tokens
    ends = np.cumsum([len(token.text) for token in tokens])
    starts = ends - [len(token.text) for token in tokens]
    text, question = "".join(token.text for token in tokens), explanation.question.strip()
    # The last place that ends where a token ends: a role name after the question may hold a short question's letters.
    at = text.rfind(question) if question else -1
    while at > 0 and at + len(question) not in ends:
        at = text.rfind(question, 0, at + len(question) - 1)
    if at < 0:
        return tuple(i for i, token in enumerate(tokens) if token.special)
    inside = (ends > at) & (starts < at + len(question))
    return tuple(i for i, token in enumerate(tokens) if token.special or not inside[i])


def section_heat(explanation: Explanation, mapper: str, *, top: int = 12, max_rows: int | None = None) -> Heat:
    """Answer row × section column, base and tuned.

    "other" and the control show the best score among theirs, so that one column is comparable with one section.
    """
    columns = section_columns(explanation, mapper, top)
    kind, mapping = kind_of(mapper), mapping_of(explanation, mapper)
    unit, rows, cut = _fit_rows(explanation, max_rows)

    def scores(tokens: np.ndarray, control: np.ndarray) -> np.ndarray:
        ours, theirs = _reduce(tokens, rows, kind), _reduce(control, rows, kind)
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
    fold_template: bool = False,
    top: int | None = None,
    max_rows: int | None = None,
) -> Heat:
    """Answer row × prompt column, base and tuned; folded columns are sums."""
    columns = prompt_columns(explanation, method, fold_template=fold_template, top=top)
    kind = kind_of(method)
    unit, rows, cut = _fit_rows(explanation, max_rows)
    base, tuned = (
        np.stack([_reduce(side, rows, kind)[:, list(column.members)].sum(1) for column in columns], 1)
        for side in _sides(explanation, method)
    )
    none = np.zeros(base.shape, bool)
    return Heat(method, kind, unit, rows, cut, columns, base, tuned, none, none)


def _sides(explanation: Explanation, method: str) -> tuple[np.ndarray, np.ndarray]:
    attribution = explanation.attributions[method]
    return attribution.base, attribution.tuned


def _fit_rows(explanation: Explanation, max_rows: int | None) -> tuple[Unit, tuple[AnswerRow, ...], int]:
    """Tokens where they fit, else words, else the first words and how many were cut."""
    rows = answer_rows(explanation, "token")
    if not rows:
        raise InputError("the answer has no tokens, so there is nothing to draw; explain a non-empty answer")
    if max_rows is None or len(rows) <= max_rows:
        return "token", rows, 0
    rows = answer_rows(explanation, "word")
    return "word", rows[:max_rows], max(0, len(rows) - max_rows)


def _reduce(scores: np.ndarray, rows: Sequence[AnswerRow], kind: Kind) -> np.ndarray:
    """[answer, any] → [row, any]."""
    blocks = [scores[list(row.members)] for row in rows]
    return np.stack([block.sum(0) if kind.reduction == "sum" else block.max(0) for block in blocks])


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
    """For base and tuned: the question's tokens with the largest mean |score| over the answer, with that score."""
    template = set(template_positions(explanation))
    question = [i for i in range(len(explanation.prompt_tokens)) if i not in template]

    def best(side: np.ndarray) -> tuple[tuple[str, float], ...]:
        weight = np.abs(side).sum(0) / max(len(side), 1)
        order = sorted(question, key=lambda i: -float(weight[i]))[:top]
        return tuple((token_label(explanation.prompt_tokens[i].text), float(weight[i])) for i in order)

    base, tuned = _sides(explanation, method)
    return best(base), best(tuned)
