"""Explanation → the files of ``--out`` and the object of ``--json``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrib import storage
from attrib.files import write_atomically
from attrib.measures import bits
from attrib.records import Explanation


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
) -> list[str]:
    """Heatmaps of the named mappers and methods, with their captions; returns the files."""
    from attrib.render import figures as draw

    files: list[str] = []
    for kind, names in (("sections", mappers), ("prompt", methods)):
        for name in names:
            heatmap: Callable[..., Any] = draw.section_heatmap if kind == "sections" else draw.prompt_heatmap
            extra = {"top": top} if kind == "sections" else {}
            figure = heatmap(explanation, name, preset=preset, **extra)
            stem = folder / f"{kind}-{name}"
            files += [str(f) for f in draw.save(figure, explanation, stem, formats=formats)]
            text = draw.caption(explanation, name, preset=preset, top=top)
            write_atomically(stem.with_name(f"{stem.name}.caption.txt"), f"{text}\n".encode())
            files.append(f"{stem}.caption.txt")
    return files


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
        "files": files,
    }
