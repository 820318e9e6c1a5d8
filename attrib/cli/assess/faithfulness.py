"""``attrib assess faithfulness``."""

from __future__ import annotations

from attrib.assess.faithfulness.options import FaithfulnessOptions
from attrib.cli.assess.common import DEMO_QUESTIONS, check_results
from attrib.cli.common import check_placement, console_of, load_pair, note, print_json, show_progress
from attrib.cli.groups import Json, OptionalResults
from attrib.options.answers import QuestionOptions
from attrib.options.chat import ChatOptions
from attrib.options.loading import Documents, Models

QUESTIONS = QuestionOptions(limit=24)


def assess_faithfulness(
    models: Models,
    documents: Documents,
    chat: ChatOptions,
    faithfulness: FaithfulnessOptions,
    results: OptionalResults,
    questions: QuestionOptions = QUESTIONS,
    as_json: Json = False,
) -> None:
    """Check attribution by removing words.

    Does the answer suffer more without the words that a method names than without random ones? --documents serve a
    control that ranks rare words first.
    """
    from attrib.assess.faithfulness.run import assess_faithfulness as assess
    from attrib.assess.faithfulness.run import check_assessment
    from attrib.assess.faithfulness.tell import faithfulness_table, write_faithfulness
    from attrib.assess.questions import demo_questions
    from attrib.assess.stored import report_content
    from attrib.cli.common import read_asked, read_documents
    from attrib.corpus import demo
    from attrib.corpus.reading import ReadingReport

    check_results(results)
    check_placement(models)
    demo_model = models.base is None and models.tuned is None
    corpus = demo.corpus() if demo_model else None
    if documents.path is not None:
        corpus = read_documents(documents.path, documents)
    read = corpus.report if corpus is not None else None
    if questions.path is None:
        asked = demo_questions(questions.limit)
    else:
        asked, read = read_asked(questions.path, questions.columns, read or ReadingReport(), strict=documents.strict)
        asked = asked[: questions.limit]
    check_assessment(asked, faithfulness, results.out)
    if demo_model:
        note("using the demo's model (name your own with --base and --tuned)")
    if questions.path is None:
        note(DEMO_QUESTIONS)
    with show_progress() as progress:
        pair = load_pair(models, progress, chat, corpus)
        report = assess(pair, asked, corpus, faithfulness, reading=read, out=results.out, progress=progress)
    files = []
    if results.out is not None:
        files = write_faithfulness(report, results.out, results.formats, results.preset)
    if as_json:
        print_json({**report_content(report), "files": files})
        return
    faithfulness_table(report, console_of())
    for file in files:
        print(file)
