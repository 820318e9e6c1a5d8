"""How much of a record its page holds, how many bytes that takes, and what is left out, said.

Not covered: the data itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from attrib.records import Attribution, Explanation

_NEVER = -1  # as a limit: no limit
EXCERPT = 300  # characters of a section whose text is cut


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
"""Order in which detail is dropped."""


def estimate(explanation: Explanation, detail: Detail) -> int:
    """About how many bytes the page's data takes, before any of it is made."""
    n, prompt = len(explanation.answer_tokens), len(explanation.prompt_tokens)
    kept = sections_kept(explanation, detail)
    cells = n * len(kept)
    size = 200 * n + 80 * prompt + 20_000
    for mapping in explanation.mappings.values():
        sides = 2 if mapping.uses_model else 1
        size += sides * (17 * cells // 4 + 8 * n * min(len(kept), limited(detail.spans, len(kept)))) * 4 // 3
        controls = mapping.tuned.control.shape[1]
        size += sides * 2 * n * (controls if detail.texts_of_control else 5) * 4 // 3 + sides * 9 * controls
    for attribution in methods_kept(explanation, detail):
        size += 2 * 2 * len(attribution.rows) * len(columns_kept(explanation, attribution, detail)) * 4 // 3
        size += 12 * (len(attribution.columns) + n)
    if explanation.base.heads is not None and detail.heads != "none":
        layers, heads = explanation.base.heads.shape[:2]
        cell = 2 if detail.heads != "rounded" else 1
        size += 2 * cell * layers * (1 if detail.heads == "layers" else heads) * n * (prompt + 1) * 4 // 3
    size += sum(2 * 7 * len(share.base) * 4 // 3 + 500 for share in explanation.shares)
    lengths = [len(explanation.sections[i].full_text.encode("utf-8", "replace")) for i in kept]
    full = limited(detail.texts, len(kept))
    best = {int(i) for i in explanation.ranking[:full]}
    size += sum(40 + len(turn.extra.encode()) for i in kept for turn in explanation.sections[i].turns)
    size += sum(400 + (length if i in best else min(length, EXCERPT)) for i, length in zip(kept, lengths, strict=True))
    return size


def limited(limit: int, count: int) -> int:
    return count if limit == _NEVER else min(limit, count)


def sections_kept(explanation: Explanation, detail: Detail) -> list[int]:
    """Indices of the sections that stay, in document order."""
    most = limited(detail.sections, len(explanation.sections))
    return sorted(int(i) for i in explanation.ranking[:most])


def methods_kept(explanation: Explanation, detail: Detail) -> list[Attribution]:
    every = list(explanation.attributions.values())
    return every[: limited(detail.methods, len(every))]


def columns_kept(explanation: Explanation, attribution: Attribution, detail: Detail) -> list[tuple[int, ...]]:
    """The record's columns, those of earlier answer tokens as one where they are folded."""
    every: list[tuple[int, ...]] = [(i,) for i in range(len(attribution.columns))]
    if not detail.fold:
        return every
    prompt = len(explanation.prompt_tokens)
    late = tuple(i for i, members in enumerate(attribution.columns) if min(members) >= prompt)
    rest = [group for group in every if group[0] not in set(late)]
    return [*rest, late] if late else rest


_HEADS_LEFT = {
    "rounded": "digits of the attention of layers and heads: layer × head shares to ±0.002",
    "layers": "attention of single heads: each layer shows the mean over its heads",
    "none": "attention of layers and heads",
}


def left_out(explanation: Explanation, detail: Detail) -> list[str]:
    """Parts of the record that the page leaves out, one line each."""
    lines, count = [], len(explanation.sections)
    if explanation.base.heads is not None and detail.heads != "all":
        lines.append(_HEADS_LEFT[detail.heads])
    columns = [columns_kept(explanation, attribution, detail) for attribution in explanation.attributions.values()]
    if any(len(group) > 1 for found in columns for group in found):
        lines.append("single earlier answer tokens in the prompt methods: they are one column")
    if not detail.texts_of_control and any(m.tuned.control.shape[1] > 1 for m in explanation.mappings.values()):
        lines.append("scores of single control texts: each token has their best and their spread, several have no mark")
    if limited(detail.sections, count) < count:
        left = count - detail.sections
        lines.append(f"the {left:,} sections ranked below the {detail.sections:,} best: their best score is one row")
    best = {int(i) for i in explanation.ranking[: limited(detail.texts, count)]}
    if any(
        len(explanation.sections[i].full_text) > EXCERPT for i in sections_kept(explanation, detail) if i not in best
    ):
        lines.append(f"the text of sections ranked below {detail.texts:,} beyond {EXCERPT} characters")
    if limited(detail.spans, count) < count:
        lines.append(f"matching spans of sections ranked below {detail.spans:,}")
    if limited(detail.methods, len(explanation.attributions)) < len(explanation.attributions):
        lines.append(f"all prompt methods but the first {detail.methods}")
    return lines
