"""Explanation → the files of ``--out`` and the object of ``--json``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.errors import InputError
from attrib.measures import bits
from attrib.options.figures import FIGURE_KINDS, FigureKind, FigureOptions
from attrib.records import Attribution, Explanation, storage
from attrib.render import figures as draw
from attrib.render import view
from attrib.render.figures.style import FORMATS
from attrib.render.payload import BUDGET
from attrib.render.tables import write_files
from attrib.render.view import Side, Special

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure with what goes beside it."""

    name: str
    """Of its files."""
    figure: Figure
    caption: str
    numbers: list[dict[str, object]]


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
    for drawing in list(drawings(explanation, options)):
        files += write_drawing(explanation, drawing, folder, pictures, options.preset)
    return files


def write_drawing(
    explanation: Explanation, drawing: Drawing, folder: Path, formats: Sequence[str], preset: str
) -> list[str]:
    """One figure and what goes beside it; returns the files."""
    files = draw.drawn(
        drawing.name, drawing.figure, drawing.caption, formats, preset=preset, numbers=drawing.numbers,
        metadata=lambda form: draw.record_metadata(explanation, form),
    )  # fmt: skip
    return write_files(folder, files)


def drawings(explanation: Explanation, options: FigureOptions) -> Iterator[Drawing]:
    """One after the other, as they are asked for."""
    makers = {
        "sections": _sections, "prompt": _prompts, "comparison": _comparison, "heads": _heads, "strip": _strip,
        "track": _track,
    }  # fmt: skip
    kinds = _able(explanation, options) if options.kinds is None else options.kinds
    check(explanation, options, kinds)
    names: set[str] = set()
    for kind in kinds:
        for drawing in makers[kind](explanation, options):
            yield replace(drawing, name=_free(drawing.name, names))


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
        draw.track(explanation, options.mapper, document=options.document)
    if options.answer_part is not None:
        draw.answer_part(explanation, options.answer_part)
    if options.question_part is not None:
        draw.question_part(explanation, options.question_part)
    for name, users in _USES.items():
        if getattr(options, name) is not None and not set(users) & set(kinds):
            flag = name.replace("_", "-")
            raise InputError(f"--{flag}: no figure that is drawn uses it; leave it out or draw {' or '.join(users)}")


def _able(explanation: Explanation, options: FigureOptions) -> list[FigureKind]:
    """What the record can have; one method alone is not compared."""
    answered = bool(explanation.answer_tokens)
    scored = bool(explanation.mappings) and bool(explanation.sections)
    able: dict[FigureKind, bool] = {
        "sections": scored and answered,
        "prompt": bool(explanation.attributions) and answered,
        "comparison": len(explanation.attributions) > 1 and options.method is None and answered,
        "heads": explanation.base.heads is not None and explanation.tuned.heads is not None and answered,
        "strip": answered,
        "track": scored,
    }
    return [kind for kind in FIGURE_KINDS if able[kind]]


def _sections(explanation: Explanation, options: FigureOptions) -> Iterator[Drawing]:
    names = (options.mapper,) if options.mapper else tuple(explanation.mappings)
    if not names:
        raise InputError("this explanation has no mapper; explain again with --mappers")
    if not explanation.sections:
        raise InputError("this explanation has no scored section; explain again with --mappers and --candidates")
    for name in names:
        yield sections(explanation, name, preset=options.preset, top=options.top)


def sections(
    explanation: Explanation, mapper: str, *, preset: str = "neurips-double", top: int | None = None
) -> Drawing:
    """The section heatmap."""
    return Drawing(
        file_name(f"sections-{mapper}"),
        draw.section_heatmap(explanation, mapper, preset=preset, top=top),
        draw.caption(explanation, mapper, preset=preset, top=top),
        draw.section_numbers(explanation, mapper, preset=preset, top=top),
    )


def _prompts(explanation: Explanation, options: FigureOptions) -> Iterator[Drawing]:
    names = (options.method,) if options.method else tuple(explanation.attributions)
    if not names:
        raise InputError("this explanation has no method; explain again with --methods")
    for name in names:
        yield prompt(explanation, name, preset=options.preset, special=options.special)


def prompt(
    explanation: Explanation, method: str, *, preset: str = "neurips-double", special: Special = "fold"
) -> Drawing:
    """The prompt heatmap."""
    return Drawing(
        file_name(f"prompt-{method}"),
        draw.prompt_heatmap(explanation, method, preset=preset, special=special),
        draw.caption(explanation, method, preset=preset, special=special),
        draw.prompt_numbers(explanation, method, preset=preset, special=special),
    )


def _comparison(explanation: Explanation, options: FigureOptions) -> Iterator[Drawing]:
    yield comparison(explanation, preset=options.preset)


def comparison(
    explanation: Explanation,
    methods: Sequence[str] | None = None,
    *,
    side: Side = "both",
    preset: str = "neurips-double",
) -> Drawing:
    """The methods side by side over the question's words."""
    return Drawing(
        "prompt-comparison",
        draw.method_comparison(explanation, methods, side, preset=preset),
        draw.comparison_caption(explanation, methods, side, preset=preset),
        draw.comparison_numbers(explanation, methods, side, preset=preset),
    )


def _heads(explanation: Explanation, options: FigureOptions) -> Iterator[Drawing]:
    tokens = draw.answer_part(explanation, options.answer_part) if options.answer_part is not None else None
    asked = draw.question_part(explanation, options.question_part) if options.question_part is not None else None
    yield heads(explanation, tokens, asked, preset=options.preset)


def heads(
    explanation: Explanation,
    tokens: Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    *,
    preset: str = "neurips-double",
) -> Drawing:
    """The layer × head map."""
    return Drawing(
        "heads",
        draw.head_heatmap(explanation, tokens, positions, preset=preset),
        draw.head_caption(explanation, tokens, positions),
        draw.head_numbers(explanation, tokens, positions),
    )


def _strip(explanation: Explanation, options: FigureOptions) -> Iterator[Drawing]:
    yield strip(explanation, preset=options.preset)


def strip(explanation: Explanation, *, preset: str = "neurips-double") -> Drawing:
    """The answer with its verdicts."""
    return Drawing(
        "answer",
        draw.answer_strip(explanation, preset=preset),
        draw.strip_caption(explanation, preset=preset),
        draw.strip_numbers(explanation),
    )


def _track(explanation: Explanation, options: FigureOptions) -> Iterator[Drawing]:
    tokens = draw.answer_part(explanation, options.answer_part) if options.answer_part is not None else None
    yield track(explanation, options.mapper, document=options.document, tokens=tokens, preset=options.preset)


def track(
    explanation: Explanation,
    mapper: str | None = None,
    *,
    document: str | None = None,
    tokens: Sequence[int] | None = None,
    preset: str = "neurips-double",
) -> Drawing:
    """The scores along the documents."""
    of: dict[str, Any] = {"document": document, "tokens": tokens}
    return Drawing(
        file_name(f"track-{draw.track(explanation, mapper, **of).mapper}"),
        draw.section_track(explanation, mapper, **of, preset=preset),
        draw.track_caption(explanation, mapper, **of),
        draw.track_numbers(explanation, mapper, **of),
    )


def file_name(name: str) -> str:
    """A name from a record as one of a file: it comes from elsewhere and must not name a folder."""
    return re.sub("[^A-Za-z0-9._-]+", "-", name)[:100]


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
                "verdict": label,
                "confidence": float(verdict.tokens[i].max()),
            }
            for i, (token, label) in enumerate(zip(explanation.answer_tokens, verdict.token_labels, strict=True))
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
