"""Explanation → what its page shows, as JSON: arrays in few bytes, and what a byte budget leaves out, said.

Arrays are base64 of little-endian codes: 16 bits (``u16``: value = low + code / 65534 × (high − low), 65535 = none) or
8 bits (``u8``: the same with 254 and 255), ``i32`` for whole numbers, ``bits`` for yes and no. Not covered: markup
(``page``).
"""

from __future__ import annotations

import base64
import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from attrib.measures import bits, grouped_interval
from attrib.records import Attribution, Explanation, MappingSide, Section
from attrib.records import Mapping as SectionMapping
from attrib.render import view
from attrib.render.command import command
from attrib.text.units import units

BUDGET = 10_000_000
"""Bytes that one page may take."""
SCHEMA = 1
_NEVER = -1  # as a limit: no limit
_EXCERPT = 300  # characters of a section whose text is cut
_FEW_WORDS = 5
"""Below so many words an interval would say more of chance than of the answer."""
_LOOKS, _EFFECT = "looked at", "depends on (estimate)"

Json = dict[str, object]
_SIMILAR = {"base": "says the same", "tuned": "says the same", "difference": "says the same"}
_ESTIMATE = {
    "base": "before tuning: the control of the estimate",
    "tuned": "learned from (estimate)",
    "difference": "learned from (estimate)",
}
_LIKELY = {
    "base": "was likely before tuning, whatever the answer",
    "tuned": "is likely after tuning, whatever the answer",
    "difference": "was learned, whatever the answer",
}
_WORDS = {"learned": _LIKELY, "influence": _ESTIMATE}
"""What a section's score says of it, by the mapper's claim and the model; other mappers compare texts."""
_SAME = {"base": "says the same as", "tuned": "says the same as"}
_TAUGHT = {"base": "scores high before tuning on", "tuned": "may have taught"}
_VERBS = {"learned": None, "influence": _TAUGHT}
"""What a section with a high score does to answer tokens; None where the score does not look at them."""


@dataclass(frozen=True)
class Detail:
    """How much of a record its page holds; limits count the best sections, −1 = all."""

    heads: Literal["all", "rounded", "layers", "none"] = "all"
    fold: bool = False
    """Earlier answer tokens are one column of each method."""
    spans: int = _NEVER
    texts: int = _NEVER
    texts_of_control: bool = True
    """Control texts one by one, not only their best and their spread at each token."""
    sections: int = _NEVER
    methods: int = _NEVER


def _order() -> Iterator[Detail]:
    """From everything to little, each leaving out more than the one before."""
    detail = Detail()
    yield detail
    for change in (
        {"heads": "rounded"}, {"heads": "layers"}, {"heads": "none"}, {"fold": True}, {"spans": 100}, {"texts": 100},
        {"texts_of_control": False}, {"sections": 1000}, {"sections": 500}, {"sections": 200}, {"spans": 20},
        {"sections": 100}, {"sections": 50}, {"methods": 1},
    ):  # fmt: skip
        detail = replace(detail, **change)
        yield detail


ORDER = tuple(_order())
"""In which order detail is dropped."""


def payload(explanation: Explanation, budget: int = BUDGET, *, taken: int = 0) -> Json:
    """All that the page shows, in at most ``budget`` bytes of which the page without data has ``taken``.

    What is dropped for that, and a budget that even then is missed, is said in it.
    """
    room = budget - taken
    for detail in ORDER[:-1]:
        if estimate(explanation, detail) <= room:
            made = _payload(explanation, detail, budget)
            if len(to_json(made).encode()) <= room:
                return made
    made = _payload(explanation, ORDER[-1], budget)
    size = len(to_json(made).encode())
    if size <= room:
        return made
    over = f"nothing more: the page takes {taken + size:,} bytes, over the budget of {budget:,}"
    return made | {"dropped": [*_dropped(explanation, ORDER[-1]), over]}


def to_json(content: Json) -> str:
    """JSON that may stand inside a script element: nothing in it ends the element or starts a comment."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Lone halves of characters have no UTF-8.
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def estimate(explanation: Explanation, detail: Detail) -> int:
    """About how many bytes the page's data takes, before any of it is made."""
    n, prompt = len(explanation.answer_tokens), len(explanation.prompt_tokens)
    kept = _kept(explanation, detail)
    cells = n * len(kept)
    size = 200 * n + 80 * prompt + 20_000
    for mapping in explanation.mappings.values():
        sides = 2 if mapping.uses_model else 1
        size += sides * (17 * cells // 4 + 8 * n * min(len(kept), _limit(detail.spans, len(kept)))) * 4 // 3
        controls = mapping.tuned.control.shape[1]
        size += sides * 2 * n * (controls if detail.texts_of_control else 5) * 4 // 3 + sides * 9 * controls
    for attribution in _methods(explanation, detail):
        size += 2 * 2 * len(attribution.rows) * len(_columns(explanation, attribution, detail)) * 4 // 3
        size += 12 * (len(attribution.columns) + n)
    if explanation.base.heads is not None and detail.heads != "none":
        layers, heads = explanation.base.heads.shape[:2]
        cell = 2 if detail.heads != "rounded" else 1
        size += 2 * cell * layers * (1 if detail.heads == "layers" else heads) * n * (prompt + 1) * 4 // 3
    size += sum(2 * 7 * len(share.base) * 4 // 3 + 500 for share in explanation.shares)
    lengths = [len(explanation.sections[i].full_text.encode("utf-8", "replace")) for i in kept]
    full = _limit(detail.texts, len(kept))
    best = {int(i) for i in explanation.ranking[:full]}
    size += sum(400 + (length if i in best else min(length, _EXCERPT)) for i, length in zip(kept, lengths, strict=True))
    return size


def _limit(limit: int, count: int) -> int:
    return count if limit == _NEVER else min(limit, count)


def _kept(explanation: Explanation, detail: Detail) -> list[int]:
    """Indices of the sections that stay, in document order."""
    most = _limit(detail.sections, len(explanation.sections))
    return sorted(int(i) for i in explanation.ranking[:most])


def _methods(explanation: Explanation, detail: Detail) -> list[Attribution]:
    every = list(explanation.attributions.values())
    return every[: _limit(detail.methods, len(every))]


def _payload(explanation: Explanation, detail: Detail, budget: int) -> Json:
    kept = _kept(explanation, detail)
    place = {index: at for at, index in enumerate(kept)}
    tokens, verdict = explanation.answer_tokens, explanation.verdict
    return {
        "schema": SCHEMA,
        "question": explanation.question,
        "answer": explanation.answer,
        "answerSource": explanation.answer_source,
        "baseAnswer": explanation.base_answer,
        "tunedAnswer": explanation.tuned_answer,
        "prompt": _prompt(explanation),
        "tokens": [
            {"text": token.text, "shown": shown(token.text), "id": token.id, "label": label}
            for token, label in zip(tokens, verdict.token_labels, strict=True)
        ],
        "words": [[group[0], group[-1]] for group in units(tokens, "word")],
        "verdict": _verdict(explanation, place),
        "tokenVerdict": array(_unsure(verdict.tokens), 0.0, 1.0),
        "gainBits": _floats(bits(verdict.gain)),
        "logpBase": _floats(explanation.base.logprob),
        "logpTuned": _floats(explanation.tuned.logprob),
        "rankBase": [int(i) for i in explanation.base.rank],
        "rankTuned": [int(i) for i in explanation.tuned.rank],
        "entropyBase": _floats(explanation.base.entropy),
        "entropyTuned": _floats(explanation.tuned.entropy),
        "support": _floats(verdict.support),
        "baseAligned": aligned(explanation),
        "sections": _sections(explanation, kept, detail),
        "sectionsScored": len(explanation.sections),
        "sectionsTotal": explanation.sections_total,
        "mappers": [_mapper(explanation, name, m, kept, detail) for name, m in explanation.mappings.items()],
        "methods": [_method(explanation, a, detail) for a in _methods(explanation, detail)],
        "heads": _heads(explanation, detail),
        "verbatim": _verbatim(explanation, place),
        "vocabulary": _vocabulary(explanation),
        "shares": _shares(explanation),
        "settings": {"significant": view.SIGNIFICANT, "learned": view.LEARNED},
        "provenance": _provenance(explanation),
        "command": command(explanation),
        "dropped": _dropped(explanation, detail),
        "budgetBytes": budget,
    }


# ------------------------------------------------------------------------------------------- numbers


def array(values: np.ndarray, low: float | None = None, high: float | None = None, *, code: str = "u16") -> Json:
    """``values`` as codes between ``low`` and ``high`` (default: their own); what is not finite has no code.

    Zero comes back as zero.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    low = float(values[finite].min(initial=np.inf)) if low is None else low
    high = float(values[finite].max(initial=-np.inf)) if high is None else high
    if not low <= high:
        low = high = 0.0
    top, kind = (65534, "<u2") if code == "u16" else (254, "u1")
    if low < 0 < high:
        step = (high - low) / (top - 1)
        low = -math.ceil(-low / step) * step
        high = low + top * step
    scaled = np.zeros(values.shape) if high == low else (np.where(finite, values, low) - low) / (high - low)
    codes = np.where(finite, np.rint(np.clip(scaled, 0, 1) * top), top + 1).astype(kind)
    return {"t": code, "n": list(values.shape), "lo": low, "hi": high, "b": _base64(codes)}


def whole_numbers(values: np.ndarray) -> Json:
    """Whole numbers as they are."""
    return {"t": "i32", "n": list(values.shape), "lo": 0, "hi": 0, "b": _base64(np.asarray(values).astype("<i4"))}


def flags(values: np.ndarray) -> Json:
    """Yes or no by flat cell, eight a byte, the first in the lowest bit."""
    return {
        "t": "bits",
        "n": list(values.shape),
        "lo": 0,
        "hi": 1,
        "b": _base64(np.packbits(values, bitorder="little")),
    }


def _base64(codes: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(codes).tobytes()).decode("ascii")


def _unsure(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities that no rounding makes certain: 0 and 1 are only those that are, and 1 only where others are 0."""
    between = (probabilities > 0) & ((probabilities < 1) | ((probabilities > 0).sum(-1, keepdims=True) > 1))
    step = 1 / 65534
    return np.where(between, np.clip(probabilities, step, 1 - step), probabilities)


def _probabilities(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in _unsure(values)]


def _number(value: float) -> float | None:
    """Six digits; None for what is not finite, which JSON cannot say."""
    return float(f"{float(value):.6g}") if np.isfinite(value) else None


def _floats(values: np.ndarray | float) -> list[float | None]:
    return [_number(float(value)) for value in np.atleast_1d(values)]


# ------------------------------------------------------------------------------------------- texts


# Zero-width characters; joiners and variation selectors only where no sign stands before them that they may change.
_FORMAT = re.compile(
    "[\u00ad\u200b\u200e\u200f\u2060\ufeff]|(?<![\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])[\u200d\ufe0f]"
)


def shown(text: str) -> str:
    """A raw token: blanks, breaks, controls and what has no width made visible, never empty."""
    seen = view.visible(text.replace(" ", "␠"))
    return _FORMAT.sub(lambda found: f"<{ord(found.group()):02X}>", seen) if text else "∅"


def _prompt(explanation: Explanation) -> list[Json]:
    template = set(view.template_positions(explanation))
    return [
        {"text": token.text, "shown": shown(token.text), "id": token.id, "template": i in template}
        for i, token in enumerate(explanation.prompt_tokens)
    ]


def _verdict(explanation: Explanation, place: Mapping[int, int]) -> Json:
    verdict = explanation.verdict
    low, high, words = share_interval(explanation)
    p, section = null_p(explanation)
    return {
        "label": verdict.label,
        "whole": _probabilities(verdict.whole),
        "shares": _probabilities(verdict.shares),
        "sharesLow": low,
        "sharesHigh": high,
        "sharesWords": words,
        "percents": list(view.percents(verdict.shares)),
        "nullP": p,
        "nullSection": place.get(section),
        "controls": len(verdict.control_gain),
        "gainBits": _number(bits(float(verdict.gain.sum()))),
        "baseBits": _number(-bits(float(explanation.base.logprob.sum()))),
    }


def share_interval(explanation: Explanation) -> tuple[list[float | None], list[float | None], int]:
    """95% interval of each share of the answer where its words are drawn again, and how many words there are.

    None for fewer than 5 words: too few to draw from.
    """
    n = len(explanation.answer_tokens)
    evidence = explanation.verdict.evidence
    if evidence is not None and (evidence.word_of_token >= 0).any():
        groups = np.asarray(evidence.word_of_token)
    else:
        groups = np.full(n, -1)
        for word, members in enumerate(units(explanation.answer_tokens, "word")):
            groups[list(members)] = word
    rows = np.flatnonzero(groups >= 0)
    words, numbers = np.unique(groups[rows], return_inverse=True)
    if len(words) < _FEW_WORDS:
        return [None] * 3, [None] * 3, len(words)
    tokens = _unsure(explanation.verdict.tokens)
    ends = [grouped_interval(tokens[rows, label], numbers) for label in range(3)]
    return [low for low, _ in ends], [high for _, high in ends], len(words)


def null_p(explanation: Explanation) -> tuple[float | None, int]:
    """P(a text that was never trained on gains as much as the section most like question and answer), and that section.

    The section is chosen by its words alone, so that choosing it favours no gain; (1 + control texts that gain as much)
    / (1 + control texts). None and −1 without sections, control texts or what the verdict was judged from.
    """
    verdict = explanation.verdict
    if not len(verdict.section_gain) or not len(verdict.control_gain) or verdict.evidence is None:
        return None, -1
    best = int(verdict.evidence.resemblance.argmax())
    as_much = int((verdict.control_gain >= verdict.section_gain[best]).sum())
    return _number((1 + as_much) / (1 + len(verdict.control_gain))), best


_PIECE = re.compile(r"\s*\S+|\s+")


def aligned(explanation: Explanation) -> list[list[object]]:
    """Base's own answer against the explained one, word by word: [kind, text, first token, last token].

    Kinds: ``same``, ``answer`` (only there), ``base`` (only in base's own, tokens −1).
    """
    ours = [(match.group(), match.start(), match.end()) for match in _PIECE.finditer(explanation.answer)]
    theirs = [match.group() for match in _PIECE.finditer(explanation.base_answer)]
    runs: list[list[object]] = []

    def add(kind: str, text: str, start: int, end: int) -> None:
        inside = [i for i, token in enumerate(explanation.answer_tokens) if token.start < end and token.end > start]
        if text:
            runs.append([kind, text, inside[0] if inside else -1, inside[-1] if inside else -1])

    matcher = difflib.SequenceMatcher(None, [_bare(text) for text, _, _ in ours], [_bare(t) for t in theirs], False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if a < b:
            add("same" if tag == "equal" else "answer", "".join(o[0] for o in ours[a:b]), ours[a][1], ours[b - 1][2])
        if tag != "equal" and c < d:
            runs.append(["base", "".join(theirs[c:d]), -1, -1])
    return runs


def _bare(piece: str) -> str:
    return piece.strip().casefold().strip(".,;:!?\"'“”‘’()[]") or piece.strip()


def _sections(explanation: Explanation, kept: Sequence[int], detail: Detail) -> list[Json]:
    rank = {int(index): at for at, index in enumerate(explanation.ranking, 1)}
    full = _limit(detail.texts, len(kept))
    return [_section(explanation, i, rank[i], cut=rank[i] > full) for i in kept]


def _section(explanation: Explanation, index: int, rank: int, *, cut: bool) -> Json:
    section, verdict = explanation.sections[index], explanation.verdict
    text = section.full_text
    short = cut and len(text) > _EXCERPT
    return {
        "id": section.id,
        "document": section.document,
        "title": _title(section),
        "lines": section.lines,
        "text": text[:_EXCERPT] + "…" if short else text,
        "cut": short,
        "learned": _probabilities(verdict.learned[index : index + 1])[0],
        "gainBits": _number(bits(float(verdict.section_gain[index]))),
        "rank": rank,
        "nearDuplicateOf": section.near_duplicate_of,
    }


def _title(section: Section) -> str:
    return " › ".join(section.titles[-2:]) or section.document


# ------------------------------------------------------------------------------------------- sections × tokens


def _mapper(explanation: Explanation, name: str, mapping: SectionMapping, kept: Sequence[int], detail: Detail) -> Json:
    kind = view.kind_of(name)
    others = sorted(set(range(len(explanation.sections))) - set(kept))
    spans = sorted(int(i) for i in explanation.ranking[: _limit(detail.spans, len(explanation.sections))])
    with_span = np.isin(kept, spans)

    def side(found: MappingSide) -> Json:
        return _side(found, kept, others, with_span, fold=not detail.texts_of_control)

    return {
        "name": name,
        "label": view.method_label(name),
        "unit": kind.unit,
        "meaning": kind.meaning,
        "caveat": kind.caveat,
        "signed": kind.signed,
        "fold": kind.reduction,
        "usesModel": mapping.uses_model,
        "says": _WORDS.get(kind.claim, _SIMILAR),
        "verbs": _VERBS.get(kind.claim, _SAME),
        "base": side(mapping.base),
        "tuned": side(mapping.tuned) if mapping.uses_model else None,
        "difference": _beside(mapping, others, fold=not detail.texts_of_control) if mapping.uses_model else None,
    }


def _side(side: MappingSide, kept: Sequence[int], others: Sequence[int], with_span: np.ndarray, *, fold: bool) -> Json:
    """One model's scores of the kept sections, beside control and the best of the others.

    All scores of tokens are on one grid, so that what is equal or larger in the record is so on the page.
    """
    chosen = list(kept)
    tokens, q, spans = side.tokens[:, chosen], side.q[:, chosen], side.spans[:, chosen]
    every = np.concatenate([side.tokens.ravel(), side.control.ravel()])
    ends = np.nanmin(every, initial=np.inf), np.nanmax(every, initial=-np.inf)
    above = tokens > side.control.max(1, keepdims=True) if side.control.shape[1] else np.zeros(tokens.shape, bool)
    return {
        "tokens": array(tokens, *ends),
        "whole": _floats(side.whole[chosen]),
        "control": None if fold else array(side.control, *ends),
        "controlFolded": array(_spread(side.control), *ends) if fold else None,
        "controlWhole": _floats(side.control_whole),
        "other": array(side.tokens[:, list(others)].max(1), *ends) if others else None,
        "otherWhole": _number(float(side.whole[list(others)].max())) if others else None,
        "q": array(q, 0.0, 1.0),
        "marked": flags(q < view.SIGNIFICANT),
        "above": flags(above),
        # Sections without a span have none of any token: the page then shows the text unmarked.
        "spans": whole_numbers(spans[:, with_span]),
        "withSpan": None if with_span.all() else [int(i) for i in np.flatnonzero(with_span)],
    }


def _beside(mapping: SectionMapping, others: Sequence[int], *, fold: bool) -> Json:
    """What tuned − base cannot be told from the sides: the best of the differences is no difference of the bests."""
    base, tuned, rest = mapping.base, mapping.tuned, list(others)
    return {
        "controlFolded": array(_spread(tuned.control - base.control)) if fold else None,
        "other": array(mapping.difference[:, rest].max(1)) if rest else None,
        "otherWhole": _number(float((tuned.whole - base.whole)[rest].max())) if rest else None,
    }


def _spread(control: np.ndarray) -> np.ndarray:
    """Best, 95th and 5th percentile of the control texts at each token: [3, answer]."""
    if not control.shape[1]:
        return np.full((3, len(control)), np.nan)
    return np.stack([control.max(1), *np.percentile(control, (95, 5), axis=1)])


def _verbatim(explanation: Explanation, place: Mapping[int, int]) -> list[Json]:
    index = {section.id: place[i] for i, section in enumerate(explanation.sections) if i in place}
    found = []
    for run in explanation.verbatim:
        there = [at for at, section in enumerate(run.sections) if section in index]
        found.append(
            {
                "text": run.text,
                "tokens": list(run.tokens),
                "sections": [index[run.sections[at]] for at in there],
                "spans": [[int(run.spans[at, 0]), int(run.spans[at, 1])] for at in there],
                "sectionsTotal": run.sections_total,
                "inQuestion": run.in_question,
                "inControl": run.in_control,
            }
        )
    return found


# ------------------------------------------------------------------------------------------- prompt × tokens


def _method(explanation: Explanation, attribution: Attribution, detail: Detail) -> Json:
    kind = view.kind_of(attribution.method, attribution.target)
    columns = _columns(explanation, attribution, detail)
    base, tuned = (view.fold(scores, columns, kind) for scores in (attribution.base, attribution.tuned))
    return {
        "name": attribution.method,
        "label": view.method_label(attribution.method),
        "unit": kind.unit,
        "meaning": kind.meaning,
        "caveat": kind.caveat,
        "signed": kind.signed,
        "says": _LOOKS if kind.claim == "attention" else _EFFECT,
        "reduction": kind.reduction,
        "fold": kind.fold,
        "rows": [list(row) for row in attribution.rows],
        "columns": [sorted(i for c in group for i in attribution.columns[c]) for group in columns],
        "base": array(base),
        "tuned": array(tuned),
        "gapNote": view.gap_note(attribution),
        "gapBroken": view.gap_verdict(attribution),
    }


def _columns(explanation: Explanation, attribution: Attribution, detail: Detail) -> list[tuple[int, ...]]:
    """The record's columns, those of earlier answer tokens as one where they are folded."""
    every: list[tuple[int, ...]] = [(i,) for i in range(len(attribution.columns))]
    if not detail.fold:
        return every
    prompt = len(explanation.prompt_tokens)
    late = tuple(i for i, members in enumerate(attribution.columns) if min(members) >= prompt)
    rest = [group for group in every if group[0] not in set(late)]
    return [*rest, late] if late else rest


def _heads(explanation: Explanation, detail: Detail) -> Json | None:
    """Attention of every layer and head on each prompt token, and on all earlier answer tokens together."""
    base, tuned = explanation.base.heads, explanation.tuned.heads
    if base is None or tuned is None or detail.heads == "none":
        return None
    prompt, reduced = len(explanation.prompt_tokens), detail.heads == "layers"
    sides = [np.concatenate([s[..., :prompt], s[..., prompt:].sum(-1, keepdims=True)], -1) for s in (base, tuned)]
    if reduced:
        sides = [side.mean(1, keepdims=True) for side in sides]
    code = "u8" if detail.heads == "rounded" else "u16"
    return {
        "layers": int(base.shape[0]),
        "heads": 1 if reduced else int(base.shape[1]),
        "reduced": reduced,
        "positions": prompt,
        "base": array(sides[0], 0.0, 1.0, code=code),
        "tuned": array(sides[1], 0.0, 1.0, code=code),
    }


def _vocabulary(explanation: Explanation) -> Json | None:
    vocabulary = explanation.vocabulary
    if vocabulary is None:
        return None
    said = [word for word, own in zip(vocabulary.words, vocabulary.tuned_on, strict=True) if own]
    return {"words": list(dict.fromkeys(said)), "tokens": list(vocabulary.tokens("words"))}


def _shares(explanation: Explanation) -> list[Json]:
    """Row 0 of each array is the whole answer, the others are the method's rows."""
    return [
        {
            "method": view.method_label(share.method),
            "kind": share.kind,
            "tokenShare": _number(share.token_share),
            "base": array(share.base, 0.0, 1.0),
            "tuned": array(share.tuned, 0.0, 1.0),
            "expectedBase": array(share.expected_base, 0.0, 1.0),
            "expectedTuned": array(share.expected_tuned, 0.0, 1.0),
            "pBase": array(share.p_base, 0.0, 1.0),
            "pTuned": array(share.p_tuned, 0.0, 1.0),
            "pDifference": array(share.p_difference, 0.0, 1.0),
        }
        for share in explanation.shares
    ]


# ------------------------------------------------------------------------------------------- where it comes from


def _provenance(explanation: Explanation) -> list[list[str]]:
    """What a reader needs to name the same models, texts and numbers: [label, value]."""
    said = explanation.provenance

    def model(side: str) -> str:
        found = said.get(side)
        if not isinstance(found, Mapping):
            return ""
        return f"{view.model_name(str(found.get('name')))} · sha256 {found.get('sha256')}"

    def digest(name: str) -> str:
        found = said.get(name)
        return f"sha256 {found.get('sha256')}" if isinstance(found, Mapping) else ""

    versions = said.get("versions")
    rows = [
        ("base", model("base")),
        ("tuned", model("tuned")),
        ("documents", digest("documents")),
        ("control texts", digest("control")),
        ("tokenizer", digest("tokenizer")),
        ("seed", str(said.get("seed", ""))),
        ("device", " ".join(str(said[key]) for key in ("device", "dtype") if key in said)),
        ("versions", " · ".join(f"{k} {v}" for k, v in versions.items()) if isinstance(versions, Mapping) else ""),
    ]
    return [[name, value] for name, value in rows if value]


_HEADS_LEFT = {
    "rounded": "digits of the attention of layers and heads: layer × head shares to ±0.002",
    "layers": "attention of single heads: each layer shows the mean over its heads",
    "none": "attention of layers and heads",
}


def _dropped(explanation: Explanation, detail: Detail) -> list[str]:
    """What the page leaves out of the record, one line each."""
    lines, count = [], len(explanation.sections)
    if explanation.base.heads is not None and detail.heads != "all":
        lines.append(_HEADS_LEFT[detail.heads])
    columns = [_columns(explanation, attribution, detail) for attribution in explanation.attributions.values()]
    if any(len(group) > 1 for found in columns for group in found):
        lines.append("single earlier answer tokens in the prompt methods: they are one column")
    if not detail.texts_of_control and any(m.tuned.control.shape[1] > 1 for m in explanation.mappings.values()):
        lines.append("scores of single control texts: each token has their best and their spread, several have no mark")
    if _limit(detail.sections, count) < count:
        left = count - detail.sections
        lines.append(f"the {left:,} sections ranked below the {detail.sections:,} best: their best score is one row")
    best = {int(i) for i in explanation.ranking[: _limit(detail.texts, count)]}
    if any(len(explanation.sections[i].full_text) > _EXCERPT for i in _kept(explanation, detail) if i not in best):
        lines.append(f"the text of sections ranked below {detail.texts:,} beyond {_EXCERPT} characters")
    if _limit(detail.spans, count) < count:
        lines.append(f"matching spans of sections ranked below {detail.spans:,}")
    if _limit(detail.methods, len(explanation.attributions)) < len(explanation.attributions):
        lines.append(f"all prompt methods but the first {detail.methods}")
    return lines
