"""Answer × prompt: every method's scores, attention by layer and head, and the documents' vocabulary.

Not covered: sections.
"""

from __future__ import annotations

import numpy as np

from attrib.records import Attribution, Explanation
from attrib.render import view
from attrib.render.payload.codes import Json, array, rounded, shown
from attrib.render.payload.detail import Detail, columns_kept
from attrib.text.units import question_units

_LOOKS, _EFFECT = "looked at", "depends on (estimate)"


def prompt_tokens(explanation: Explanation) -> list[Json]:
    template = set(view.template_positions(explanation))
    return [
        {"text": token.text, "shown": shown(token.text), "id": token.id, "template": i in template}
        for i, token in enumerate(explanation.prompt_tokens)
    ]


def prompt_words(explanation: Explanation) -> list[list[int]]:
    """Positions of each word of the question."""
    return [list(group) for group in question_units(explanation.prompt_tokens, explanation.question, "word")]


def method_of(explanation: Explanation, attribution: Attribution, detail: Detail) -> Json:
    kind = view.kind_of(attribution.method, attribution.target)
    columns = columns_kept(explanation, attribution, detail)
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


def heads_of(explanation: Explanation, detail: Detail) -> Json | None:
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


def vocabulary_of(explanation: Explanation) -> Json | None:
    vocabulary = explanation.vocabulary
    if vocabulary is None:
        return None
    said = [word for word, own in zip(vocabulary.words, vocabulary.tuned_on, strict=True) if own]
    return {"words": list(dict.fromkeys(said)), "tokens": list(vocabulary.tokens("words"))}


def shares_of(explanation: Explanation) -> list[Json]:
    """Row 0 of each array is the whole answer, the others are the method's rows."""
    return [
        {
            "method": view.method_label(share.method),
            "kind": share.kind,
            "tokenShare": rounded(share.token_share),
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
