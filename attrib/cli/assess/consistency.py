"""``attrib assess consistency``."""

from __future__ import annotations

from attrib.assess.consistency.options import ConsistencyOptions
from attrib.cli.assess.common import check_results, kept, read_material
from attrib.cli.common import check_placement, console_of, load_pair, print_json, read_control, show_progress
from attrib.cli.groups import Json, Results
from attrib.options.answers import QuestionOptions
from attrib.options.chat import ChatOptions
from attrib.options.loading import ControlledDocuments, Models

QUESTIONS = QuestionOptions(limit=30)


def assess_consistency(
    models: Models,
    documents: ControlledDocuments,
    chat: ChatOptions,
    consistency: ConsistencyOptions,
    results: Results,
    questions: QuestionOptions = QUESTIONS,
    as_json: Json = False,
) -> None:
    """Find what tuning added to answers, and how firmly.

    Does the tuned model bring terms, details and explanations that the base lacked, and does it stand by them?
    """
    from attrib.assess.consistency.run import assess_consistency as assess
    from attrib.assess.consistency.run import check_consistency
    from attrib.assess.consistency.tell import consistency_table, write_consistency
    from attrib.assess.stored import report_content
    from attrib.corpus import demo

    check_results(results)
    check_placement(models)
    corpus, asked, is_demo = read_material(models, documents, questions)
    check_consistency(asked, consistency)
    if is_demo:
        corpus = corpus.without(demo.decoys())
    control = read_control(documents) or demo.control()
    with kept(results.out), show_progress() as progress:
        pair = load_pair(models, progress, chat, corpus)
        report = assess(pair, asked, corpus, control, consistency, out=results.out, progress=progress)
    files = write_consistency(report, results.out, results.formats, results.preset)
    if as_json:
        print_json({**report_content(report), "files": files})
        return
    consistency_table(report, console_of(120))
    print("\n".join(files))
