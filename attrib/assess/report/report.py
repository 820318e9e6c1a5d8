"""The stored assessments of one model pair → one page, as HTML and as Markdown.

The page asks in turn: did the model learn, does it generalise, what do its answers rest on, what was forgotten, and how
far is all that to be trusted. Each assessment answers by its ``chapter``; here stand the title, the summary, what was
not assessed, and provenance.
Not covered: several model pairs on one page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrib.assess import markdown as md
from attrib.assess import sentences as say
from attrib.assess.attribution import tell as attribution
from attrib.assess.benchmark import tell as benchmark
from attrib.assess.consistency import tell as consistency
from attrib.assess.faithfulness import tell as faithfulness
from attrib.assess.holdout import tell as holdout
from attrib.assess.influence import tell as influence
from attrib.assess.report.find import NAMES, Assessment, ModelName, StoredAssessments
from attrib.assess.report.pages import Page, PageSection, html, markdown
from attrib.assess.report.provenance import made_with, provenance
from attrib.render.tables import write_files

CHAPTERS: dict[str, Callable[[Any, say.Surroundings], say.Chapter]] = {
    "benchmark": benchmark.chapter,
    "consistency": consistency.chapter,
    "holdout": holdout.chapter,
    "attribution": attribution.chapter,
    "faithfulness": faithfulness.chapter,
    "influence": influence.chapter,
}
MISSING = {
    "benchmark": "right answers by kind of question, beside baselines",
    "consistency": "agreement of answers, and new terms beside a control",
    "holdout": "what was tuned on against what was held out, membership",
    "attribution": "what answers rest on, and on which sections",
    "faithfulness": "whether attributions to words of the question are better than random ones",
    "influence": "whether scores of sections say what retraining without them shows",
}
"""Content that each missing assessment would add."""
LIMITS = (
    "Intervals cover the choice of questions, not the noise of tuning: one tuned model was assessed.",
    "Attention says what a model looked at, similarity which section says the same, influence what it learned from; "
    "only retraining without a section says what it caused.",
)
_PNG = b"\x89PNG\r\n\x1a\n"


def write_report(found: StoredAssessments, out: Path) -> list[str]:
    """``report.html``, ``report.md`` and ``figures/``, the PNGs that the Markdown shows; their paths.

    The same assessments give the same bytes. Raises InputError where ``out`` cannot be written.
    """
    images = {f"figures/{name}.png": png for name, one in found.assessments.items() if (png := _png(one))}
    page = report_page(found, images)
    return write_files(out, {"report.html": html(page), "report.md": markdown(page), **page.images})


def report_page(found: StoredAssessments, images: dict[str, bytes]) -> Page:
    """Everything that both forms show."""
    base, tuned = found.pair()
    explanations = tuple(one.record for one in found.explanations)
    chapters = {}
    for name, one in found.assessments.items():
        page = say.Surroundings(tuple(_figure(one, images)), tuned.sha256, explanations)
        chapters[name] = CHAPTERS[name](one.report, page)
    ordered = [chapters[name] for name in NAMES if name in chapters]
    # Verdicts stand before answers side by side.
    rests_on = [block for one in reversed(ordered) for block in one.rests_on]
    if "attribution" not in chapters:
        rests_on = [*_missing(chapters, "attribution"), *attribution.examples(explanations, ()), *rests_on]
    return Page(
        f"What tuning changed: {base.name or 'base'} and {tuned.name or 'tuned'}",
        (
            PageSection("summary", "In one paragraph", tuple(md.sentences(list(_abstract(found, ordered))))),
            PageSection("learned", "Did it learn?", (
                *_missing(chapters, "benchmark", "whether its answers are right, by kind of question"),
                *(block for one in ordered for block in one.learned),
                *_missing(chapters, "consistency", "how far its answers agree, and which terms are new in them"),
            )),
            PageSection("generalises", "Does it generalise?", (
                *_missing(chapters, "benchmark", "rephrased and further questions"),
                *(block for one in ordered for block in one.generalises),
                *_missing(chapters, "holdout"),
            )),
            PageSection("rests-on", "What do its answers rest on, and on which sections?", tuple(rests_on)),
            PageSection("forgotten", "What was forgotten?", tuple(_forgotten(chapters))),
            PageSection("trust", "How far to trust it", tuple(_trust(chapters))),
            PageSection("provenance", "Provenance", tuple(provenance(found))),
        ),
        images,
    )  # fmt: skip


def _missing(chapters: dict[str, say.Chapter], name: str, what: str = "") -> list[str]:
    """Note that an assessment is missing; empty if it is there."""
    return [] if name in chapters else [say.not_assessed(what or MISSING[name], name)]


def _png(one: Assessment) -> bytes:
    """The figure beside an assessment's JSON; empty where there is none."""
    try:
        png = one.file.with_suffix(".png").read_bytes()
    except OSError:
        return b""
    return png if png.startswith(_PNG) else b""


def _figure(one: Assessment, images: dict[str, bytes]) -> list[str]:
    """The figure with its caption, or that there is none."""
    name = f"figures/{one.name}.png"
    if name not in images:
        return md.sentences([f"No figure: {one.name}.png does not stand beside {one.name}.json."])
    try:
        caption = one.file.with_suffix(".caption.txt").read_text("utf-8", "replace").strip()
    except OSError:
        caption = ""
    # They are listed as caveats.
    for note in getattr(one.report, "notes", ()):
        caption = caption.replace(note, "")
    return md.picture(name, " ".join(caption.split()) or f"Figure of attrib assess {one.name}.")


def _abstract(found: StoredAssessments, chapters: list[say.Chapter]) -> Iterator[str]:
    """The findings in sentences that stand alone."""
    base, tuned = found.pair()
    yield f"We compared {_model(base, 'the base model')} with {_model(tuned, 'its tuned version')}."
    for one in chapters:
        yield from one.abstract
    yield from next((one.forgetting for one in chapters if one.forgetting), ())
    missing = [name for name in NAMES[:4] if name not in found.assessments]
    if missing:
        yield f"Not assessed: {', '.join(missing)}."
    if found.assessments:
        yield f"Brackets: 95% bootstrap intervals. {made_with(found)}"


def _model(model: ModelName, fallback: str) -> str:
    name = model.name or fallback
    return f"{name} (sha256 {model.sha256[:12]})" if model.sha256 else name


def _forgotten(chapters: dict[str, say.Chapter]) -> list[str]:
    """Foundation questions, by the first assessment that asked some."""
    for name in ("benchmark", "holdout"):
        if name in chapters and chapters[name].forgotten:
            return [*md.sentences(chapters[name].forgetting), *chapters[name].forgotten]
    asked = [name for name in ("benchmark", "holdout") if name in chapters]
    if not asked:
        return [say.not_assessed("foundation questions before and after tuning", "benchmark")]
    what = (
        f"{' and '.join(asked)} asked no foundation questions, which base can answer and tuning should leave alone. "
        "Add some of kind foundation to the questions"
    )
    return [say.not_assessed(what, "benchmark")]


def _trust(chapters: dict[str, say.Chapter]) -> list[str]:
    missing = [name for name in NAMES if name not in chapters]
    lines = [f"{name}: {md.escape(MISSING[name])}; run: {md.code(say.command(name))}" for name in missing]
    return [
        *(block for name in NAMES if name in chapters for block in chapters[name].trust),
        *md.items("Not assessed", lines),
        *md.items("What no number here says", [md.escape(line) for line in LIMITS]),
    ]
