"""Explanation → the files of ``--out`` and the object of ``--json``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib import storage
from attrib.files import write_atomically
from attrib.measures import bits
from attrib.records import Attribution, Explanation
from attrib.render import view
from attrib.render.view import Side, Special

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(explanation: Explanation, folder: Path, formats: Sequence[str]) -> list[str]:
    """Record, figures and captions; every file is whole or absent."""
    record = storage.save(explanation, folder / "explanation.safetensors")
    drawn = figures(
        explanation,
        folder,
        formats,
        mappers=tuple(explanation.mappings),
        methods=tuple(explanation.attributions),
        preset="neurips-double",
        top=12,
    )
    return [str(record), *drawn]


def figures(
    explanation: Explanation,
    folder: Path,
    formats: Sequence[str],
    *,
    mappers: tuple[str, ...],
    methods: tuple[str, ...],
    preset: str,
    top: int,
    special: Special = "fold",
) -> list[str]:
    """Heatmaps of the named mappers and methods, their comparison where there are several; returns the files."""
    from attrib.render import figures as draw

    files: list[str] = []
    for name in mappers:
        figure = draw.section_heatmap(explanation, name, preset=preset, top=top)
        text = draw.caption(explanation, name, preset=preset, top=top)
        files += _write(explanation, figure, text, folder / f"sections-{name}", formats)
    for name in methods:
        figure = draw.prompt_heatmap(explanation, name, preset=preset, special=special)
        text = draw.caption(explanation, name, preset=preset, special=special)
        files += _write(explanation, figure, text, folder / f"prompt-{name}", formats)
    if len(methods) > 1:
        files += comparison(explanation, folder, formats, methods=methods, preset=preset)
    return files


def comparison(
    explanation: Explanation,
    folder: Path,
    formats: Sequence[str],
    *,
    methods: tuple[str, ...],
    preset: str,
    side: Side = "both",
) -> list[str]:
    """The methods side by side over the question's words, with a caption; returns the files."""
    from attrib.render import figures as draw

    figure = draw.method_comparison(explanation, methods, side, preset=preset)
    text = draw.comparison_caption(explanation, methods, side, preset=preset)
    return _write(explanation, figure, text, folder / "prompt-comparison", formats)


def _write(explanation: Explanation, figure: Figure, text: str, stem: Path, formats: Sequence[str]) -> list[str]:
    from attrib.render import figures as draw

    files = [str(file) for file in draw.save(figure, explanation, stem, formats=formats)]
    caption = stem.with_name(f"{stem.name}.caption.txt")
    write_atomically(caption, f"{text}\n".encode())
    return [*files, str(caption)]


def summary(explanation: Explanation, files: list[str]) -> dict[str, object]:
    """What ``--json`` prints."""
    verdict = explanation.verdict
    order = [int(i) for i in explanation.ranking]
    return {
        "question": explanation.question,
        "answer": explanation.answer,
        "base_answer": explanation.base_answer,
        "tokens": [
            {
                "text": token.text,
                "id": token.id,
                "logprob_base": float(explanation.base.logprob[i]),
                "logprob_tuned": float(explanation.tuned.logprob[i]),
                "gain": float(verdict.gain[i]),
                "verdict": verdict.token_labels[i],
                "confidence": float(verdict.tokens[i].max()),
            }
            for i, token in enumerate(explanation.answer_tokens)
        ],
        "verdict": {
            "label": verdict.label,
            "documents": float(verdict.whole[0]),
            "base": float(verdict.whole[1]),
            "neither": float(verdict.whole[2]),
            "gain_bits": bits(float(verdict.gain.sum())),
            "shares": {
                "documents": float(verdict.shares[0]),
                "base": float(verdict.shares[1]),
                "neither": float(verdict.shares[2]),
            },
        },
        "sections": [
            {
                "id": explanation.sections[i].id,
                "document": explanation.sections[i].document,
                "title": explanation.sections[i].title,
                "lines": explanation.sections[i].lines,
                "learned": float(verdict.learned[i]),
                "scores": {
                    name: {"base": float(m.base.whole[i]), "tuned": float(m.tuned.whole[i])}
                    for name, m in explanation.mappings.items()
                },
            }
            for i in order
        ],
        "attributions": {name: _attribution(explanation, a) for name, a in explanation.attributions.items()},
        "vocabulary": _vocabulary(explanation),
        "verbatim": [
            {
                "text": found.text,
                "start": found.start,
                "end": found.end,
                "sections": list(dict.fromkeys(found.sections)),
                "sections_total": found.sections_total,
                "in_question": found.in_question,
                "in_control": found.in_control,
            }
            for found in explanation.verbatim
        ],
        "files": files,
    }


def _vocabulary(explanation: Explanation) -> dict[str, object] | None:
    vocabulary = explanation.vocabulary
    if vocabulary is None:
        return None

    def number(value: float) -> float | None:
        """A method with no score on the question has no share."""
        return float(value) if np.isfinite(value) else None

    return {
        "words": [word for word, own in zip(vocabulary.words, vocabulary.tuned_on, strict=True) if own],
        "phrases": [phrase.text for phrase in vocabulary.phrases],
        "shares": [
            {
                "method": share.method,
                "kind": share.kind,
                "share_of_tokens": share.token_share,
                **{
                    name: number(getattr(share, name)[0])
                    for name in (
                        "base",
                        "tuned",
                        "expected_base",
                        "expected_tuned",
                        "p_base",
                        "p_tuned",
                        "p_difference",
                    )
                },
                "permutations": share.permutations,
            }
            for share in explanation.shares
        ],
    }


def _attribution(explanation: Explanation, attribution: Attribution) -> dict[str, object]:
    """What was explained in which pieces, how far the scores miss their sum, and what the method used."""
    sides = dict(zip(("base", "tuned"), view.gaps(attribution) or (None, None), strict=True))
    shares = view.template_share(explanation, attribution)
    return {
        "target": attribution.target,
        "unit": view.row_unit(explanation, attribution),
        "rows": len(attribution.rows),
        "columns": len(attribution.columns),
        "value": {"base": _plain(attribution.value_base.sum()), "tuned": _plain(attribution.value_tuned.sum())},
        "template_share": None if shares is None else dict(zip(("base", "tuned"), shares, strict=True)),
        "gap": {side: None if gap is None else _plain(asdict(gap)) for side, gap in sides.items()},
        "gap_verdict": view.gap_verdict(attribution) or None,
        "settings": _plain(attribution.settings),
    }


def _plain(value: Any) -> Any:
    """Settings and numbers as JSON can hold them: what is not finite as None, what JSON lacks by its name."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return getattr(value, "__name__", str(value))
