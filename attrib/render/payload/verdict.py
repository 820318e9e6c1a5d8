"""The verdict with its intervals and its null, the other model's answer word by word, where everything comes from.

Not covered: evidence section by section (``sections``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import numpy as np

from attrib.measures import bits, grouped_interval
from attrib.records import Explanation
from attrib.render import view
from attrib.render.payload.codes import Json, probabilities, rounded, unsure
from attrib.text.units import units

_FEW_WORDS = 5
"""Below so many words an interval would say more of chance than of the answer."""


def verdict_of(explanation: Explanation, place: Mapping[int, int]) -> Json:
    verdict = explanation.verdict
    low, high, words = share_interval(explanation)
    p, section = null_p(explanation)
    return {
        "label": verdict.called,
        "floor": verdict.thresholds[0],
        "threshold": verdict.thresholds[1],
        "promise": view.promise_line(verdict.promise),
        "said": view.said_line(verdict),
        "whole": probabilities(verdict.whole),
        "shares": probabilities(verdict.shares),
        "sharesLow": low,
        "sharesHigh": high,
        "sharesWords": words,
        "percents": list(view.percents(verdict.shares)),
        "nullP": p,
        "nullSection": place.get(section),
        "controls": len(verdict.control_gain),
        "gainBits": rounded(bits(float(verdict.gain.sum()))),
        "baseBits": rounded(-bits(float(explanation.base.logprob.sum()))),
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
    tokens = unsure(explanation.verdict.tokens)
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
    return rounded((1 + as_much) / (1 + len(verdict.control_gain))), best


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


def origin(explanation: Explanation) -> list[list[str]]:
    """Names and digests of models, texts and numbers, as [label, value]."""
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
        *(("read", line) for line in view.reading_lines(explanation)),
        ("prompt", view.prompt_line(explanation)),
        ("control texts", digest("control")),
        ("tokenizer", digest("tokenizer")),
        ("seed", str(said.get("seed", ""))),
        ("device", " ".join(str(said[key]) for key in ("device", "dtype") if key in said)),
        ("versions", " · ".join(f"{k} {v}" for k, v in versions.items()) if isinstance(versions, Mapping) else ""),
    ]
    return [[name, value] for name, value in rows if value]
