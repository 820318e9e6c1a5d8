"""Mappers against retraining: does a score say what happens to the answer when the section is not trained on?

Three claims, three tables, never mixed. *Resemblance*: is the gold section found among all (MRR, recall)? *Influence*:
does the score predict the log-prob lost when the section is left out (Pearson, Spearman over question × section pairs),
and the log-prob after training on random halves (linear datamodeling score, Park et al. 2303.14186)? *Decoys*: is the
score of an own section that was trained above that of one that was not, pairs within one document (AUROC)?
Not covered: significance across tunings (one adapter is scored; seeds of the retrains only tell their noise).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from attrib.assess.influence.options import RetrainOptions
from attrib.assess.influence.records import InfluenceReport
from attrib.assess.influence.scoring import score_questions
from attrib.assess.questions import Question
from attrib.assess.retraining import RetrainedScores, Texts, plan, retrain
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.files import digest_of
from attrib.index.library import Library
from attrib.mapping.reading import mapping_layer
from attrib.models.chat import Chat, PromptForm
from attrib.models.fingerprint import fingerprint, versions
from attrib.models.loading import load_network
from attrib.models.pair import ModelPair
from attrib.options.explain import ExplainOptions
from attrib.options.loading import Loading
from attrib.progress import Progress
from attrib.records import Item
from attrib.training.items import corpus_items
from attrib.training.options import TuneOptions, check_loading
from attrib.training.recording import MANIFEST
from attrib.training.trained import read_trained
from attrib.training.tune import tune
from attrib.training.workfolder import read_manifest


def assess_influence(
    base: str,
    corpus: Corpus,
    control: Corpus,
    questions: Sequence[Question],
    decoys: frozenset[str],
    out: Path,
    *,
    options: RetrainOptions,
    explain: ExplainOptions | None = None,
    loading: Loading | None = None,
    progress: Progress | None = None,
) -> InfluenceReport:
    """Tune on all sections but the decoys, retrain without some, score every question by every mapper.

    Questions of kind ``trained`` (or of none) are trained along with their section; the others are only asked. Each
    retrain is one file in ``out/runs``; if interrupted, the same call resumes. Tuning is in float32; the dtype of
    ``loading`` is for the pair that is scored. Raises InputError for questions without answer or section, decoys that
    are no sections, a device map, and an ``out`` of another assessment.
    """
    loading = loading or Loading()
    # The retrains' precision, whatever the device.
    precise = replace(loading, dtype="float32")
    questions = tuple(replace(q, kind=q.kind or "trained") for q in questions)
    _check(corpus, questions, decoys)
    trained = [s for s in corpus.sections if s.id not in decoys]
    earlier = PromptForm.of(options.chat).earlier
    items = corpus_items(trained, [q for q in questions if q.kind == "trained"], earlier=earlier)
    adapter = _tuned_on_all(base, items, out / "adapter", options, precise, progress)
    network, tokenizer = load_network(base, **precise.arguments())
    base_fingerprint = fingerprint(base, network)
    chat = Chat.of_base(tokenizer, options.chat)
    identity = _identity(base_fingerprint, loading, chat)
    _check_adapter(adapter, items, replace(options.tune, seed=options.seeds[0]), identity)
    texts = Texts(questions, tuple(section.item for section in corpus.sections))
    sections = [s.id for s in trained]
    runs = plan(sections, without=options.without, halves=options.halves, seeds=options.seeds, draw=options.draw)
    measured = retrain(
        network, chat, items, texts, runs, out / "runs",
        options=options.tune, base_fingerprint=digest_of(identity) if identity[1:] != ({}, "") else base_fingerprint,
        device=loading.device, progress=progress,
    )  # fmt: skip
    del network
    pair = ModelPair.load(base, adapter, **loading.arguments(), chat=options.chat)
    library = Library(corpus, control, device=pair.device, cache=out / "cache", progress=progress)
    scores = score_questions(pair, library, questions, options=explain, progress=progress)
    return _report(
        questions, corpus, decoys, measured, scores,
        {
            "base": base, "base_sha256": base_fingerprint, "tuned_sha256": pair.tuned.fingerprint,
            "documents": corpus.sha256, "control": control.sha256,
            "reading": corpus.report.fields(),
            "options": {name: value for name, value in asdict(options).items() if name != "chat"},
            "prompt": pair.chat.provenance(),
            "explain": {"layer": mapping_layer(pair, (explain or ExplainOptions()).hidden.layer)},
            "device": pair.device, "dtype": pair.dtype,
            **({"loading": loading.identity()} if loading.identity() else {}),
            "versions": versions(),
        },
    )  # fmt: skip


def _identity(base_fingerprint: str, loading: Loading, chat: Chat) -> tuple[str, Mapping[str, str | bool], str]:
    """Base of the retrains: its weights, how they were loaded, and the prompts where they are of another form."""
    return base_fingerprint, loading.identity(), chat.identity


def _tuned_on_all(
    base: str, items: Sequence[Item], adapter: Path, options: RetrainOptions, loading: Loading,
    progress: Progress | None,
) -> Path:  # fmt: skip
    """The adapter that is scored; one that lies there is taken."""
    check_loading(loading)
    if not (adapter / MANIFEST).is_file():
        first = replace(options.tune, seed=options.seeds[0])
        tune(base, items, adapter, options=first, loading=loading, chat=options.chat, progress=progress)
    return adapter


def _report(
    questions: tuple[Question, ...],
    corpus: Corpus,
    decoys: frozenset[str],
    measured: Sequence[RetrainedScores],
    scores: dict[str, np.ndarray],
    provenance: dict[str, object],
) -> InfluenceReport:
    is_trained = np.array([s.id not in decoys for s in corpus.sections])
    drop, noise, halves, after = outcomes(measured, [s.id for s in corpus.sections], is_trained)
    return InfluenceReport(
        questions=questions,
        sections=tuple(s.id for s in corpus.sections),
        documents=tuple(s.document for s in corpus.sections),
        titles=tuple(s.title for s in corpus.sections),
        trained=is_trained,
        drop=_rounded(drop),
        noise=_rounded(noise),
        halves=halves,
        after=_rounded(after),
        scores={name: _rounded(values) for name, values in scores.items()},
        provenance=provenance,
    )


def _check(corpus: Corpus, questions: Sequence[Question], decoys: frozenset[str]) -> None:
    known = {s.id for s in corpus.sections}
    if stray := sorted(decoys - known):
        raise InputError(f"decoys: {stray[0]!r} is no section of the documents; attrib sections lists them")
    for q in questions:
        if q.answer is None:
            raise InputError(f"questions: {q.id!r} has no answer, whose log-prob is measured; add one")
        if q.section not in known:
            raise InputError(f"questions: {q.id!r} names no section of the documents as its own; add its id")
        if q.kind == "trained" and q.section in decoys:
            raise InputError(f"questions: {q.id!r} is to be trained, but its section is a decoy; call it held-out")
        if q.kind == "rephrased" and q.section in decoys:
            raise InputError(f"questions: {q.id!r} is rephrased, but its section is a decoy; call it held-out")
        if q.kind == "held-out" and q.section not in decoys:
            raise InputError(f"questions: {q.id!r} is held-out, but its section is no decoy; name it with --decoys")
    if not any(q.kind == "trained" for q in questions):
        raise InputError("questions: none is trained, so there is nothing to predict; give some of kind trained")


def _check_adapter(
    adapter: Path, items: Sequence[Item], options: TuneOptions, base: tuple[str, Mapping[str, str | bool], str]
) -> None:
    """An adapter that lay there already must be of the same tuning as the retrains."""
    manifest = read_manifest(adapter)
    learned = [(item.turns, item.tools, item.section) for item in read_trained(adapter)]
    asked = [(item.turns, item.tools, item.section) for item in items]
    made = (manifest.base_fingerprint, manifest.loading, manifest.prompt)
    if (made, manifest.options, learned) != (base, options, asked):
        raise InputError(
            f"{adapter}: it is of another tuning (items, options, prompt, base or its loading differ); name a new --out"
        )


def _rounded(values: np.ndarray) -> np.ndarray:
    """To five digits, which is more than retraining can tell."""
    return np.array([float(f"{value:.5g}") for value in values.ravel()], np.float64).reshape(values.shape)


def outcomes(
    measured: Sequence[RetrainedScores], sections: Sequence[str], trained: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """``drop``, ``noise``, ``halves`` and ``after`` of a InfluenceReport from its runs.

    A drop is against the mean of the full runs of all seeds: one run's own noise would shift a whole column.
    """
    number = {id_: i for i, id_ in enumerate(sections)}
    full = np.array([m.logprob for m in measured if not m.run.left_out])
    if not len(full):
        raise InputError("retraining: there is no run on all sections; let the command finish")
    dropped: dict[int, list[np.ndarray]] = {}
    halves, after = [], []
    for one in measured:
        left_out = [number[id_] for id_ in one.run.left_out]
        if len(left_out) == 1:
            dropped.setdefault(left_out[0], []).append(full.mean(0) - one.logprob)
        elif left_out:
            kept = np.array(trained)
            kept[left_out] = False
            halves.append(kept)
            after.append(one.logprob)
    drop = np.full((full.shape[1], len(sections)), np.nan)
    for column, found in dropped.items():
        drop[:, column] = np.mean(found, 0)
    noise = full.std(0, ddof=1) if len(full) > 1 else np.full(full.shape[1], np.nan)
    return (
        drop,
        noise,
        np.array(halves, dtype=bool).reshape(-1, len(sections)),
        np.array(after).reshape(-1, full.shape[1]),
    )
