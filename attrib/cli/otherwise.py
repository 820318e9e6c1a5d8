"""``attrib explain --without`` and ``--only``: models that are tuned again, kept in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from attrib.options.explain import TOP, ExplainedAnswer, ExplainOptions
from attrib.options.loading import Models
from attrib.progress import Progress
from attrib.records import Counterfactual, CounterfactualKind, Explanation

if TYPE_CHECKING:
    from attrib.corpus.documents import Corpus
    from attrib.models.pair import ModelPair


def _chosen(options: ExplainedAnswer) -> list[tuple[CounterfactualKind, tuple[str, ...]]]:
    kinds: list[tuple[CounterfactualKind, tuple[str, ...]]] = [("without", options.without), ("only", options.only)]
    return [(kind, ids) for kind, ids in kinds if ids]


def check_sections(options: ExplainedAnswer, corpus: Corpus) -> None:
    """Raises InputError for ids that are no sections, before any model is loaded."""
    from attrib.training.without import with_twins

    for kind, ids in _chosen(options):
        with_twins(corpus.sections, [id_ for id_ in ids if id_ != TOP], kind)


def tune_otherwise(
    options: ExplainedAnswer,
    pair: ModelPair,
    corpus: Corpus,
    explanation: Explanation,
    models: Models,
    explain: ExplainOptions,
    progress: Progress,
) -> tuple[Counterfactual, ...]:
    """Every model that the options ask for, and what it says."""
    from attrib.explaining import tuned_otherwise
    from attrib.models.bundled import cache_dir
    from attrib.models.pair import ModelPair

    first = explanation.sections[int(explanation.ranking[0])].id if len(explanation.ranking) else TOP

    def named(ids: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(first if id_ == TOP else id_ for id_ in ids))

    return tuple(
        tuned_otherwise(
            pair, corpus, explanation, kind, named(ids), cache_dir() / "tuned-otherwise",
            load=lambda folder: ModelPair.load(**asdict(replace(models, base=pair.base.name, tuned=str(folder)))),
            loading=models, max_new_tokens=explain.max_new_tokens, progress=progress,
        )
        for kind, ids in _chosen(options)
    )  # fmt: skip
