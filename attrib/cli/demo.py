"""``attrib demo``: four questions of the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrib.cli.common import (
    check_placement,
    check_writable,
    console_of,
    load_pair,
    print_json,
    show_explanation,
    show_progress,
)
from attrib.cli.groups import Json, Output
from attrib.cli.texts import EXPLANATION_FORMATS, check_formats
from attrib.errors import InputError
from attrib.options.explain import PRESETS, ExplainOptions
from attrib.options.loading import Loading, Models

if TYPE_CHECKING:
    from attrib.corpus.demo import DemoQuestion

EXAMPLE = "attrib demo --out attrib-demo"
OUTPUT = Output(out=Path("attrib-demo"), formats=("pdf", "png", "html"))


def demo(
    models: Loading,
    explain: ExplainOptions = PRESETS["demo"],
    output: Output = OUTPUT,
    as_json: Json = False,
) -> None:
    """Explain four questions of the demo and draw their figures.

    One question was trained, one asks what the base knew, one was held out, one is about an updated fact. The
    models are the demo's own: names and revisions are fixed.
    """
    from attrib.corpus import demo
    from attrib.explaining import check_options
    from attrib.explaining import explain as explain_one
    from attrib.index.library import Library
    from attrib.render import export
    from attrib.render.terminal import verdict_table

    check_placement(models)
    if models.revision is not None:
        raise InputError("models.revision: the demo's models come with the package and have none; leave it out")
    assert output.out is not None
    check_writable(output.out)
    check_options(explain)
    kinds = check_formats(output.formats, EXPLANATION_FORMATS)
    explanations, files = {}, []
    with show_progress() as progress:
        pair = load_pair(Models(**models.arguments()), progress)
        library = Library.make(demo.corpus(), device=pair.device, progress=progress)
        for asked in demo.showcase():
            explanation = explain_one(
                pair, library, asked.question, answer=_given(asked), options=explain, progress=progress
            )
            explanations[asked.kind] = explanation
            files += export.write(explanation, output.out / asked.kind, kinds)
    if as_json:
        print_json({kind: export.summary(e, []) for kind, e in explanations.items()} | {"files": files})
        return
    console = console_of()
    for kind, explanation in explanations.items():
        console.rule(f"{kind}", characters="─")
        show_explanation(explanation, 3)
    console.rule("verdicts", characters="─")
    verdict_table(tuple(explanations.values()), console)
    print(f"{len(files)} files in {output.out}")


def _given(asked: DemoQuestion) -> str | None:
    """Held-out questions are shown with their right answer, which the tuned model cannot know."""
    return asked.answer if asked.kind == "held-out" else None
