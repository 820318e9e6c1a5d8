"""``attrib explain``: one answer, judged token by token."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from attrib.cli.common import (
    check_placement,
    check_writable,
    load_pair,
    note,
    print_json,
    read_control,
    read_corpus,
    read_promise,
    show_explanation,
    show_progress,
)
from attrib.cli.groups import Given, Json, Output
from attrib.cli.otherwise import check_sections, tune_otherwise
from attrib.cli.texts import EXPLANATION_FORMATS, check_formats
from attrib.errors import InputError
from attrib.options.calibrate import PromiseOptions
from attrib.options.chat import ChatOptions
from attrib.options.explain import ExplainedAnswer, ExplainOptions
from attrib.options.loading import IndexedDocuments, Models

EXAMPLE = 'attrib explain "Who keeps the light?" --tuned ./adapter --documents ./docs --out ./figures'


def explain(
    question: Annotated[str, typer.Argument(help="The question, as you would ask the model.")],
    given: Given,
    models: Models,
    documents: IndexedDocuments,
    answer: ExplainedAnswer,
    chat: ChatOptions,
    explain: ExplainOptions,
    verdict: PromiseOptions,
    output: Output,
    as_json: Json = False,
) -> None:
    """Explain one answer: which words come from which sections.

    Every answer token is judged: documents, base, neither or cannot tell. Without --base, --tuned and --documents the
    demo's model and documents are used.
    """
    from attrib.explaining import check_options
    from attrib.explaining import explain as explain_one
    from attrib.index.library import Library
    from attrib.render import export

    if not question.strip():
        raise InputError("question: it is empty; write at least one word")
    if answer.text is not None and answer.source == "base":
        raise InputError("answer: --answer and answer.source=base contradict each other; give one of them")
    check_placement(models)
    check_options(explain)
    if "attention_head" not in explain.methods and any(key.startswith("attention_head.") for key in given):
        raise InputError("attention_head: its layer and head are given, but not the method; add it to --methods")
    if output.out is not None:
        check_writable(output.out)
    kinds = check_formats(output.formats, EXPLANATION_FORMATS)
    corpus, use_demo = read_corpus(models, documents)
    check_sections(answer, corpus)
    control = read_control(documents)
    if use_demo:
        note("using the demo's model and documents (name your own with --base, --tuned, --documents)")
    with show_progress() as progress:
        pair = load_pair(models, progress, chat, corpus)
        library = Library.make(corpus, control, index=documents.index, device=pair.device, progress=progress)
        explanation = explain_one(
            pair,
            library,
            question,
            answer=answer.text,
            answer_from=answer.source,
            options=explain,
            promise=read_promise(verdict, pair, library),
            progress=progress,
        )
        tuned_otherwise = tune_otherwise(answer, pair, corpus, explanation, models, explain, progress)
        explanation = replace(explanation, counterfactuals=tuned_otherwise)
        files = export.write(explanation, output.out, kinds) if output.out is not None else []
    if as_json:
        print_json(export.summary(explanation, files))
        return
    show_explanation(explanation)
    for file in files:
        print(file)
