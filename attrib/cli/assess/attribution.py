"""``attrib assess attribution``."""

from __future__ import annotations

from attrib.assess.attribution.options import AttributionOptions
from attrib.cli.assess.common import check_results, kept, read_material
from attrib.cli.common import check_placement, console_of, load_pair, print_json, read_control, show_progress
from attrib.cli.groups import Json, Results
from attrib.options.answers import QuestionOptions
from attrib.options.chat import ChatOptions
from attrib.options.loading import ControlledDocuments, Models

QUESTIONS = QuestionOptions(limit=30)


def assess_attribution(
    models: Models,
    documents: ControlledDocuments,
    chat: ChatOptions,
    attribution: AttributionOptions,
    results: Results,
    questions: QuestionOptions = QUESTIONS,
    as_json: Json = False,
) -> None:
    """Explain the tuned model's answer to every question.

    Do the answers come from documents, base or neither, and from which sections?
    """
    from attrib.assess.attribution.run import assess_attribution as assess
    from attrib.assess.attribution.tell import verdicts_table, write_verdicts
    from attrib.assess.stored import report_content

    check_results(results)
    check_placement(models)
    corpus, asked, _ = read_material(models, documents, questions)
    control = read_control(documents)
    with kept(results.out), show_progress() as progress:
        pair = load_pair(models, progress, chat, corpus)
        report = assess(pair, corpus, asked, attribution, control=control, out=results.out, progress=progress)
    files = write_verdicts(report, results.out, results.formats, results.preset)
    if as_json:
        print_json({**report_content(report), "files": files})
        return
    verdicts_table(report, console_of(140))
    print("\n".join(files))
