"""Did tuning teach more than its own words? The part that was tuned on against the part held out, base against tuned.

The route: a ``Split`` (given, or made and tuned by ``hold_out``), both models' answers and log-probs, then for each
part accuracy and gain, the gap between the parts, membership scores and blind baselines. A question's group (``split``)
is the unit of every interval and permutation.
Not covered: sampled answers; a model tuned again without some sections (``removal``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrib.assess.answering import Side, answer_all, provenance, write_answers
from attrib.assess.holdout.comparing import compare
from attrib.assess.holdout.measuring import alternatives, chosen_sections, encode_section, measure
from attrib.assess.holdout.options import HoldoutOptions
from attrib.assess.holdout.records import (
    HoldoutReport,
)
from attrib.assess.questions import Question, check_questions
from attrib.assess.split import Split, learned
from attrib.corpus.documents import Corpus
from attrib.models.chat import PromptForm
from attrib.models.pair import Model, ModelPair
from attrib.options.chat import ChatOptions
from attrib.options.loading import Loading
from attrib.progress import Progress
from attrib.training.items import corpus_items
from attrib.training.options import TuneOptions
from attrib.training.tune import tune


def hold_out(
    base: str,
    corpus: Corpus,
    questions: Sequence[Question],
    split: Split,
    out: Path,
    *,
    tuning: TuneOptions,
    options: HoldoutOptions | None = None,
    loading: Loading | None = None,
    chat: ChatOptions | None = None,
    progress: Progress | None = None,
) -> HoldoutReport:
    """Tune ``base`` on the kept part, sections and their questions, into ``out/adapter``; then ``assess_holdout``.

    ``chat``: how questions become prompts. If interrupted, the same call resumes. Raises what ``tune`` raises.
    """
    loading = loading or Loading()
    kept = set(split.kept)
    earlier = PromptForm.of(chat or ChatOptions()).earlier
    sections = [s for s in corpus.sections if s.id in kept]
    items = corpus_items(sections, learned(questions, split.parts), earlier=earlier)
    adapter = tune(base, items, out / "adapter", options=tuning, loading=loading, chat=chat, progress=progress)
    pair = ModelPair.load(base, adapter, **loading.arguments(), chat=chat)
    return assess_holdout(pair, corpus, questions, split, options, out=out, progress=progress)


def assess_holdout(
    pair: ModelPair,
    corpus: Corpus | None,
    questions: Sequence[Question],
    split: Split,
    options: HoldoutOptions | None = None,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
) -> HoldoutReport:
    """Ask both models everything and compare the parts of ``split``; answers are kept in ``out``.

    Raises InputError for questions without an answer, and for prompts and answers that cannot be read.
    """
    options = options or HoldoutOptions()
    check_questions(questions, answered=True)
    wrong = alternatives(questions, split.parts, options.candidates, options.seed)
    sections = tuple(
        section
        for section in chosen_sections(corpus.sections if corpus is not None else (), split, options)
        # A single token has nothing before it to be predicted from.
        if encode_section(pair.chat, section, pair.context)[1]
    )
    replies = answer_all(pair, questions, options.answers, out=out, progress=progress)
    if out is not None:
        write_answers(questions, replies, out / "answers.jsonl")
    models: tuple[tuple[Side, Model], ...] = (("base", pair.base), ("tuned", pair.tuned))
    base, tuned = (
        measure(model, replies[side], questions, wrong, sections, options, context=pair.context, progress=progress)
        for side, model in models
    )
    return compare(
        questions,
        split,
        base,
        tuned,
        sections,
        options,
        provenance(
            pair,
            questions,
            options,
            options.seed,
            documents_sha256=corpus.sha256 if corpus is not None else None,
            reading=corpus.report if corpus is not None else None,
        ),
    )
