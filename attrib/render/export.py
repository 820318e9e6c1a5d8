"""Explanation → the files of ``--out`` and the object of ``--json``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from attrib.errors import InputError
from attrib.measures import bits
from attrib.options.figures import FIGURE_KINDS, FigureKind, FigureOptions
from attrib.records import LABELS, Attribution, Counterfactual, Explanation, Verbatim, codec, storage
from attrib.render import drawing, view
from attrib.render.drawing import Drawing
from attrib.render.figures.style import FORMATS
from attrib.render.payload import BUDGET


def write(explanation: Explanation, folder: Path, formats: Sequence[str]) -> list[str]:
    """Record, page and all figures with what goes beside them; every file is whole or absent."""
    files = [str(storage.save(explanation, folder / "explanation.safetensors"))]
    if "html" in formats:
        files.append(page(explanation, folder / "explanation.html"))
    return [*files, *figures(explanation, folder, formats, FigureOptions())]


def page(explanation: Explanation, file: Path, *, budget: int = BUDGET) -> str:
    """The page as one file, of at most ``budget`` bytes; the file."""
    from attrib.render import page as made

    return str(made.write(explanation, file, budget=budget))


def figures(explanation: Explanation, folder: Path, formats: Sequence[str], options: FigureOptions) -> list[str]:
    """The figures that ``options`` ask for: pictures, numbers (CSV), captions, LaTeX snippets; returns the files.

    Formats that are no picture's are passed over. Raises InputError for what the record lacks.
    """
    pictures = [form for form in formats if form in FORMATS]
    files: list[str] = []
    if not pictures:
        check(explanation, options, ())
        return files
    # All are drawn before the first is written: what is refused leaves nothing half done.
    for made in list(drawings(explanation, options)):
        files += drawing.write(explanation, made, folder, pictures, options.preset)
    return files


def drawings(explanation: Explanation, options: FigureOptions) -> Iterator[Drawing]:
    """One after the other, as they are asked for."""
    kinds = _first(explanation, options) if options.kinds is None else options.kinds
    check(explanation, options, kinds)
    names: set[str] = set()
    for kind in kinds:
        for made in _of_kind(explanation, kind, options):
            yield replace(made, name=_free(made.name, names))


def _free(name: str, taken: set[str]) -> str:
    """``name``, with a number where another figure has it in any case: two names of a record may make one file's."""
    made = next(new for n in count(1) if (new := name if n == 1 else f"{name}-{n}").lower() not in taken)
    taken.add(made.lower())
    return made


_USES: dict[str, tuple[FigureKind, ...]] = {
    "mapper": ("sections", "track"),
    "method": ("prompt",),
    "top": ("sections",),
    "document": ("track",),
    "answer_part": ("heads", "track"),
    "question_part": ("heads",),
}
"""Option that may be left out → figures that it changes."""


def check(explanation: Explanation, options: FigureOptions, kinds: Sequence[FigureKind]) -> None:
    """InputError for an option that names what the record lacks, or that none of ``kinds`` uses."""
    if options.mapper is not None:
        view.mapping_of(explanation, options.mapper)
    if options.method is not None:
        view.attribution_of(explanation, options.method)
    if options.document is not None:
        view.track(explanation, options.mapper, document=options.document)
    if options.answer_part is not None:
        view.answer_part(explanation, options.answer_part)
    if options.question_part is not None:
        view.question_part(explanation, options.question_part)
    for name, users in _USES.items():
        if getattr(options, name) is not None and not set(users) & set(kinds):
            flag = name.replace("_", "-")
            raise InputError(f"--{flag}: no figure that is drawn uses it; leave it out or draw {' or '.join(users)}")


FIRST: tuple[FigureKind, ...] = ("strip", "sections", "prompt")
"""Figures that are drawn where none is named."""


def _first(explanation: Explanation, options: FigureOptions) -> list[FigureKind]:
    """The first figures that the record can have, and those that an option asks for."""
    wanted = set(FIRST).union(*(users[-1:] for name, users in _USES.items() if getattr(options, name) is not None))
    return [kind for kind in _able(explanation) if kind in wanted]


def _able(explanation: Explanation) -> list[FigureKind]:
    """Figures that the record can have; one method alone is not compared."""
    answered = bool(explanation.answer_tokens)
    scored = bool(explanation.mappings) and bool(explanation.sections)
    able: dict[FigureKind, bool] = {
        "sections": scored and answered,
        "prompt": bool(explanation.attributions) and answered,
        "comparison": len(explanation.attributions) > 1 and answered,
        "heads": explanation.base.heads is not None and explanation.tuned.heads is not None and answered,
        "strip": answered,
        "track": scored,
        "gains": bool(explanation.sections),
    }
    return [kind for kind in FIGURE_KINDS if able[kind]]


def _of_kind(explanation: Explanation, kind: FigureKind, options: FigureOptions) -> Iterator[Drawing]:
    preset = options.preset
    answer, question = options.answer_part, options.question_part
    tokens = view.answer_part(explanation, answer) if answer is not None else None
    # Where no figure is named, one of each kind: the mapper with all evidence, the method that is most faithful.
    first = -1 if options.kinds is None else None
    if kind == "sections":
        names = (options.mapper,) if options.mapper else tuple(explanation.mappings)[first:]
        if not names:
            raise InputError("this explanation has no mapper; explain again with --mappers")
        if not explanation.sections:
            raise InputError("this explanation has no scored section; explain again with --mappers and --candidates")
        for name in names:
            yield drawing.sections(explanation, name, preset=preset, top=options.top)
    elif kind == "prompt":
        every = tuple(explanation.attributions)
        names = (options.method,) if options.method else (view.faithful(every),) if first and every else every
        if not names:
            raise InputError("this explanation has no method; explain again with --methods")
        for name in names:
            yield drawing.prompt(explanation, name, preset=preset, special=options.special)
    elif kind == "comparison":
        yield drawing.comparison(explanation, preset=preset)
    elif kind == "heads":
        positions = view.question_part(explanation, question) if question is not None else None
        yield drawing.heads(explanation, tokens, positions, preset=preset)
    elif kind == "strip":
        yield drawing.strip(explanation, preset=preset)
    elif kind == "gains":
        yield drawing.gains(explanation, preset=preset)
    else:
        yield drawing.track(explanation, options.mapper, document=options.document, tokens=tokens, preset=preset)


def summary(explanation: Explanation, files: list[str]) -> dict[str, object]:
    """The object that ``--json`` prints."""
    return {
        "question": explanation.question,
        "answer": explanation.answer,
        "summary": view.headline(explanation).sentence,
        "base_answer": explanation.base_answer,
        "tokens": _tokens(explanation),
        "verdict": _verdict(explanation),
        "sections": [_section(explanation, i) for i in view.section_order(explanation)],
        "attributions": {name: _attribution(explanation, a) for name, a in explanation.attributions.items()},
        "vocabulary": _vocabulary(explanation),
        "verbatim": [_verbatim(found) for found in explanation.verbatim],
        "counterfactuals": [_counterfactual(explanation, found) for found in explanation.counterfactuals],
        "reading": _reading(explanation),
        "files": files,
    }


def _counterfactual(explanation: Explanation, found: Counterfactual) -> dict[str, object]:
    return {
        "kind": found.kind,
        "sections": list(found.sections),
        "answer": found.answer,
        "logprob": [float(value) for value in found.logprob],
        "logprob_lost": float(explanation.tuned.logprob.sum() - found.logprob.sum()),
    }


def _reading(explanation: Explanation) -> object:
    """What became of all files, rows and columns of the documents; None in a record that was made without them."""
    documents = explanation.provenance.get("documents")
    return documents.get("reading") if isinstance(documents, Mapping) else None


def _tokens(explanation: Explanation) -> list[dict[str, object]]:
    verdict = explanation.verdict
    return [
        {
            "text": token.text,
            "id": token.id,
            "logprob_base": float(explanation.base.logprob[i]),
            "logprob_tuned": float(explanation.tuned.logprob[i]),
            "gain": float(verdict.gain[i]),
            "verdict": label,
            "confidence": float(verdict.tokens[i].max()),
        }
        for i, (token, label) in enumerate(zip(explanation.answer_tokens, view.token_calls(explanation), strict=True))
    ]


def _verdict(explanation: Explanation) -> dict[str, object]:
    verdict = explanation.verdict
    return {
        "called": verdict.called,
        "label": verdict.label,
        "documents_below": verdict.thresholds[0],
        "documents_above": verdict.thresholds[1],
        "promise": codec.to_json(verdict.promise),
        "said": verdict.said,
        "said_gain": verdict.said_gain,
        "sentences": [view.headline(explanation).sentence, view.promise_line(verdict.promise)],
        **_by_label(verdict.whole),
        "gain_bits": bits(float(verdict.gain.sum())),
        "shares": _by_label(verdict.shares),
    }


def _by_label(shares: np.ndarray) -> dict[str, float]:
    return {label: float(share) for label, share in zip(LABELS, shares, strict=True)}


def _section(explanation: Explanation, index: int) -> dict[str, object]:
    section = explanation.sections[index]
    return {
        "id": section.id,
        "document": section.document,
        "title": section.title,
        "lines": section.lines,
        "learned": float(explanation.verdict.learned[index]),
        "scores": {
            name: {"base": float(mapping.base.whole[index]), "tuned": float(mapping.tuned.whole[index])}
            for name, mapping in explanation.mappings.items()
        },
    }


def _verbatim(found: Verbatim) -> dict[str, object]:
    return {
        "text": found.text,
        "start": found.start,
        "end": found.end,
        "sections": list(dict.fromkeys(found.sections)),
        "sections_total": found.sections_total,
        "in_question": found.in_question,
        "in_control": found.in_control,
    }


_SHARE_NUMBERS = ("base", "tuned", "expected_base", "expected_tuned", "p_base", "p_tuned", "p_difference")


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
                **{name: number(getattr(share, name)[0]) for name in _SHARE_NUMBERS},
                "permutations": share.permutations,
            }
            for share in explanation.shares
        ],
    }


def _attribution(explanation: Explanation, attribution: Attribution) -> dict[str, object]:
    """Target, rows and columns, distance of the scores from their sum, and the method's settings."""
    sides = dict(zip(("base", "tuned"), view.gaps(attribution) or (None, None), strict=True))
    shares = view.template_share(explanation, attribution)
    return {
        "target": attribution.target,
        "unit": view.row_unit(explanation, attribution.rows),
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
