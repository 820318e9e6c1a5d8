"""The headline with how sure it is, the other model's answer word by word, where everything comes from.

Not covered: evidence section by section (``sections``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from attrib.records import CALLS, Explanation
from attrib.render import view
from attrib.render.payload.codes import Json


def verdict_of(explanation: Explanation, place: Mapping[int, int]) -> Json:
    found = view.headline(explanation)
    return {
        "label": found.called,
        "counts": [found.counts[called] for called in CALLS],
        "words": found.words,
        "short": f"{found.words} · {view.promise_short(explanation.verdict.promise)}",
        "pieces": [[piece.text, piece.role] for piece in found.pieces],
        "section": -1 if found.section is None else place.get(found.section, -1),
        "named": found.named,
        "sure": [[one.name, one.text, one.help] for one in view.sureness(explanation, found)],
    }


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
