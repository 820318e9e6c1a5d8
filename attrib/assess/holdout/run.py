"""Did tuning teach more than its own words? What was tuned on against what was held out, base against tuned.

The route: a ``Split`` (given, or made and tuned by ``hold_out``), both models' answers and log-probs, then for each
part accuracy and gain, the gap between the parts, membership scores and blind baselines. A question's group (``split``)
is the unit of every interval and permutation. ``assess_removal`` compares a model with one that was tuned again without
some sections, as TOFU does (Maini et al. 2401.06121).
Not covered: approximate unlearning (the retrained model is the reference, not a candidate), sampled answers, permuting
within strata (a stratified split makes p a little too large).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats

from attrib.assess.answering import AnswerOptions, Reply, Side, answer_all, provenance, write_answers
from attrib.assess.grading import scorers
from attrib.assess.holdout.blind import Blind, blind
from attrib.assess.holdout.membership import (
    CONTROL,
    Auc,
    Scored,
    exposure,
    exposure_by_chance,
    loss,
    scores,
    tell_apart,
    truth_ratio,
)
from attrib.assess.holdout.options import HoldoutOptions
from attrib.assess.questions import Question
from attrib.assess.split import PARTS, REPHRASED, Part, Split, learned
from attrib.corpus.documents import Corpus
from attrib.errors import InputError, ModelError, RecordError
from attrib.measures import grouped_difference_interval, grouped_interval, permutation_p, sign_flip_p
from attrib.models.pair import Model, ModelPair
from attrib.models.prompt import Encoded, encode_answer, encode_given, encode_prompt
from attrib.passes.forward import at_least_float
from attrib.passes.likelihood import score_given
from attrib.progress import Progress
from attrib.records import Section
from attrib.training.items import corpus_items, read_trained, text_example
from attrib.training.options import TuneOptions
from attrib.training.tune import tune

MEASURES = {
    "accuracy": "share of right answers",
    "exact": "the normalised answer is the right one",
    "containment": "the answer holds the right one",
    "token_f1": "words shared with the right answer, F1",
    "logprob": "mean log p of the right answer's tokens, nats",
    "exposure": "bits by which the right answer outranks other questions' answers",
}
FEW = 8
"""Fewer groups than this in a part are too few for an interval: a note says so."""
GAP = "tuned-on − held-out"
REPHRASED_GAP = "trained − rephrased"
_NAN = float("nan")

Which = Literal["base", "tuned", "difference", "full", "retrained"]


@dataclass(frozen=True, eq=False)
class Measured:
    """What one model makes of every question and of some sections."""

    replies: tuple[str, ...]
    """Its greedy answers, [question]."""
    answers: tuple[Scored, ...]
    """Its log-probs of the right answers, [question]."""
    candidates: tuple[tuple[float, ...], ...]
    """Its mean log p of each question's wrong answers, nats a token, [question][candidate]."""
    sections: tuple[Scored, ...] = ()
    """Its log-probs of the sections' texts, in the order of ``chosen_sections``."""


@dataclass(frozen=True)
class HoldoutRow:
    """One question under one model."""

    id: str
    question: str
    answer: str
    kind: str
    part: Part
    group: int
    section: str | None
    fact: str
    side: str
    reply: str
    accuracy: float | None
    exact: float | None
    containment: float | None
    token_f1: float | None
    logprob: float | None
    """Mean log p of the right answer's tokens, nats."""
    exposure: float | None
    truth_ratio: float | None
    candidates: int
    """How many wrong answers exposure and truth ratio are made from."""


@dataclass(frozen=True)
class HoldoutQuantity:
    """One number of the summary."""

    measure: str
    part: str
    """A part; GAP, REPHRASED_GAP; removed or retained."""
    kind: str
    """Kind of question, or all."""
    side: Which
    value: float
    low: float
    """95% bootstrap interval over groups; nan where none could be."""
    high: float
    p: float
    """Two-sided: signs of groups flipped (differences within a part, REPHRASED_GAP), their labels permuted (GAP); nan
    elsewhere."""
    n: int
    """Questions (REPHRASED_GAP: facts)."""
    groups: int


@dataclass(frozen=True)
class ForgetQuality:
    """Truth ratios of one model on the removed part against those of the retrained one."""

    model: str
    statistic: float
    """Largest distance of the two distribution functions (Kolmogorov–Smirnov)."""
    p: float
    """TOFU's forget quality: high where the two cannot be told apart."""


@dataclass(frozen=True, eq=False)
class Removal:
    """The full model, the base and one tuned again without some sections."""

    sections: tuple[str, ...]
    """Ids that were left out, near-duplicates included."""
    rows: tuple[HoldoutRow, ...]
    """Questions of the removed and retained part by model: base, full, retrained."""
    removed: frozenset[str]
    """Ids of the questions on what was removed."""
    quantities: tuple[HoldoutQuantity, ...]
    quality: tuple[ForgetQuality, ...]

    def truth_ratios(self, model: str) -> np.ndarray:
        """Of the removed part under one model, where it could be made."""
        rows = [r for r in self.rows if r.side == model and r.part == "held-out"]
        return np.array([r.truth_ratio for r in rows if r.truth_ratio is not None], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class HoldoutReport:
    """Everything that is rendered."""

    rows: tuple[HoldoutRow, ...]
    quantities: tuple[HoldoutQuantity, ...]
    membership: tuple[Auc, ...]
    blind: tuple[Blind, ...]
    notes: tuple[str, ...]
    """Plain sentences: warnings and defects."""
    provenance: Mapping[str, object]
    removal: Removal | None = None

    def quantity(self, measure: str, part: str, side: str, kind: str = "all") -> HoldoutQuantity | None:
        """One number of the summary, if it is there."""
        key = (measure, part, side, kind)
        return next((q for q in self.quantities if (q.measure, q.part, q.side, q.kind) == key), None)


# ------------------------------------------------------------------------------------------- routes


def hold_out(
    base: str,
    corpus: Corpus,
    asked: Sequence[Question],
    found: Split,
    out: Path,
    *,
    tuning: TuneOptions,
    options: HoldoutOptions | None = None,
    rehearse: Sequence[str] = (),
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
) -> HoldoutReport:
    """Tune ``base`` on the kept part, sections and their questions, into ``out/adapter``; then ``assess_holdout``.

    A run that was cut off goes on when called again with the same arguments. Raises what ``tune`` raises.
    """
    kept = set(found.kept)
    items = corpus_items([s for s in corpus.sections if s.id in kept], learned(asked, found.parts))
    adapter = tune(
        base, items, out / "adapter",
        options=tuning, rehearse=rehearse, device=device, dtype=dtype, progress=progress,
    )  # fmt: skip
    pair = ModelPair.load(base, adapter, device=device, dtype=dtype)
    return assess_holdout(pair, corpus, asked, found, options, out=out, progress=progress)


def assess_holdout(
    pair: ModelPair,
    corpus: Corpus | None,
    asked: Sequence[Question],
    found: Split,
    options: HoldoutOptions | None = None,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
) -> HoldoutReport:
    """Ask both models everything and compare the parts of ``found``; answers are kept in ``out``.

    Raises InputError for questions without an answer, and for prompts and answers that cannot be read.
    """
    options = options or HoldoutOptions()
    _refuse_unanswered(asked)
    wrong = alternatives(asked, found.parts, options.candidates, options.seed)
    sections = tuple(
        section
        for section in chosen_sections(corpus.sections if corpus is not None else (), found, options)
        # A single token has nothing before it to be predicted from.
        if encode_text(pair.tokenizer, section.full_text, pair.context).answer_ids
    )
    replies = answer_all(pair, asked, _answering(options), out=out, progress=progress)
    if out is not None:
        write_answers(asked, replies, out / "answers.jsonl")
    models: tuple[tuple[Side, Model], ...] = (("base", pair.base), ("tuned", pair.tuned))
    base, tuned = (
        measure(model, _first(replies[side]), asked, wrong, sections, options, context=pair.context, progress=progress)
        for side, model in models
    )
    return compare(
        asked,
        found,
        base,
        tuned,
        sections,
        options,
        provenance(pair, asked, options, options.seed, documents_sha256=corpus.sha256 if corpus is not None else None),
    )


def retrain_without(
    base: str,
    adapter: Path,
    corpus: Corpus,
    removed: Iterable[str],
    out: Path,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> tuple[Path, tuple[str, ...]]:
    """Tune again as ``adapter`` was, without the sections ``removed``, their near-duplicates and their questions.

    Returns the new adapter's folder ``out/retrained`` and the ids that were left out. Epochs stay, so steps shrink.
    Raises InputError for ids that are no sections or were never trained, and for an adapter of another program.
    """
    removed = tuple(removed)
    gone = with_twins(corpus.sections, removed)
    items = read_trained(adapter)
    trained = {item.section for item in items}
    for id_ in removed:
        if id_ not in trained:
            raise InputError(f"remove: {adapter.name} was not tuned on the section {id_!r}; name one of its own")
    kept = [item for item in items if item.section not in gone]
    options, dtype, four_bit = _tuned_with(adapter)
    folder = tune(
        base, kept, out / "retrained",
        options=options, device=device, dtype=dtype, four_bit=four_bit, progress=progress,
    )  # fmt: skip
    return folder, gone


def assess_removal(
    full: ModelPair,
    retrained: ModelPair,
    asked: Sequence[Question],
    removed: Sequence[str],
    options: HoldoutOptions | None = None,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Removal:
    """What base, the full model and the retrained one know of the ``removed`` sections and of the rest.

    ``asked``: questions on what the full model was tuned on. Raises InputError where none is on the removed sections.
    """
    options = options or HoldoutOptions()
    _refuse_unanswered(asked)
    gone = set(removed)
    parts: list[Part] = ["held-out" if q.section in gone else "tuned-on" for q in asked]
    if "held-out" not in parts:
        raise InputError("remove: no question is on the removed sections; add some, or remove others")
    # Wrong answers that the full model and the retrained one have both learned.
    wrong = alternatives(asked, parts, options.candidates, options.seed, "tuned-on" if "tuned-on" in parts else None)
    sides: tuple[tuple[str, ModelPair, Side], ...] = (
        ("base", full, "base"), ("full", full, "tuned"), ("retrained", retrained, "tuned"),
    )  # fmt: skip
    models = {}
    for name, pair, side in sides:
        replies = answer_all(pair, asked, _answering(options), out=out, sides=(side,), progress=progress)[side]
        model = pair.base if side == "base" else pair.tuned
        models[name] = measure(
            model, _first(replies), asked, wrong, (), options, context=pair.context, progress=progress
        )
    return removal_of(asked, parts, models, tuple(removed), options)


# ------------------------------------------------------------------------------------------- measuring


def alternatives(
    asked: Sequence[Question], parts: Sequence[Part], count: int, seed: int = 0, of: Part | None = None
) -> tuple[tuple[str, ...], ...]:
    """``count`` wrong answers for each question, fewer where there are no more: right answers of other questions.

    From the part ``of``, or None: from the question's own, so that the model has learned all of them or none. Of the
    same template first, then of the same form (``form_of``). None for general questions.
    """
    rng = np.random.default_rng(seed)
    found: list[tuple[str, ...]] = []
    plain = [_plain(question.answer or "") for question in asked]
    forms = [form_of(question.answer or "") for question in asked]
    for i, question in enumerate(asked):
        if parts[i] == "general" or not count:
            found.append(())
            continue
        right = {_plain(text) for text in (question.answer or "", *question.accept)}
        tiers: dict[str, tuple[int, str]] = {}
        for j, other in enumerate(asked):
            same_fact = bool(question.fact) and other.fact == question.fact
            same_template = bool(question.template) and other.template == question.template
            if parts[j] != (of or parts[i]) or same_fact or plain[j] in right:
                continue
            tier = 0 if same_template else 1 if forms[j] == forms[i] else 2
            best = tiers.get(plain[j])
            if best is None or tier < best[0]:
                tiers[plain[j]] = (tier, other.answer or "")
        chance = rng.random(len(tiers))
        order = sorted(zip(tiers.values(), chance.tolist(), strict=True), key=lambda pair: (pair[0][0], pair[1]))
        found.append(tuple(answer for (_, answer), _ in order[:count]))
    return tuple(found)


def form_of(answer: str) -> str:
    """number, list, name, sentence or phrase, by the answer's looks."""
    words = answer.split()
    if any(c.isdigit() for c in answer):
        return "number"
    if "," in answer and (" and " in answer or answer.count(",") > 1):
        return "list"
    if words and all(word[:1].isupper() for word in words):
        return "name"
    return "sentence" if len(words) > 6 else "phrase"


def chosen_sections(sections: Sequence[Section], found: Split, options: HoldoutOptions) -> tuple[Section, ...]:
    """At most ``options.sections`` of each part, drawn at random, in the documents' order."""
    rng = np.random.default_rng(options.seed)
    chosen: set[str] = set()
    for ids in (found.kept, found.held):
        chosen |= {ids[int(i)] for i in rng.permutation(len(ids))[: options.sections]}
    return tuple(section for section in sections if section.id in chosen)


def measure(
    model: Model,
    replies: Sequence[str],
    asked: Sequence[Question],
    wrong: Sequence[Sequence[str]],
    sections: Sequence[Section],
    options: HoldoutOptions,
    *,
    context: int,
    progress: Progress | None = None,
) -> Measured:
    """What ``model`` makes of right answers, wrong ones and sections' texts, beside its ``replies``."""
    given = [encode_given(model.tokenizer, q.question, q.answer or "", context=context) for q in asked]
    answers = score_given(model, given, batch=options.batch, progress=progress)
    candidates = score_alternatives(model, [q.question for q in asked], wrong, context=context, progress=progress)
    texts = [encode_text(model.tokenizer, s.full_text, context) for s in sections]
    read = score_given(model, texts, batch=max(1, options.batch // 4), progress=progress)
    return Measured(tuple(replies), tuple(answers), tuple(candidates), tuple(read))


def encode_text(tokenizer: Any, text: str, context: int) -> Encoded:
    """A plain text as tuning reads it, its first token as the prompt; cut where the model's context ends."""
    ids = text_example(tokenizer, text).ids[:context]
    return Encoded(ids[:1], ids[1:], (), (), text)


def score_alternatives(
    model: Model,
    questions: Sequence[str],
    answers: Sequence[Sequence[str]],
    *,
    context: int,
    progress: Progress | None = None,
) -> list[tuple[float, ...]]:
    """Mean log p of a token of each of several answers to each question, nats; each prompt is read once.

    Raises InputError as ``encode_answer`` does, and for answers that exceed ``context``.
    """
    import torch

    found = []
    with model.plain() as network, torch.no_grad():
        for i, (question, texts) in enumerate(zip(questions, answers, strict=True)):
            if progress is not None:
                progress(f"{model.name} reads other answers", i, len(questions))
            prompt = encode_prompt(model.tokenizer, question, context=context)
            ids = [encode_answer(model.tokenizer, question, prompt, text) for text in texts]
            if ids and len(prompt) + max(map(len, ids)) > context:
                raise InputError(f"answer: one does not fit the model's context after {question[:40]!r}; shorten it")
            means = _continuations(network, prompt, ids) if ids else ()
            if not all(map(math.isfinite, means)):
                raise ModelError(f"{model.name}: log-probs of other answers are not finite; use --dtype float32")
            found.append(means)
    return found


def _continuations(network: Any, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> tuple[float, ...]:
    """Mean log p of a token of each answer after one prompt."""
    import torch

    device = network.get_input_embeddings().weight.device
    longest = max(map(len, answers))
    read = network(input_ids=torch.tensor([list(prompt)], device=device), use_cache=True)
    # Padded behind: what lies before cannot see it.
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in answers], device=device)
    logits = read.logits[:, -1:].expand(len(answers), -1, -1)
    if longest > 1:
        cache = read.past_key_values
        cache.batch_repeat_interleave(len(answers))
        mask = [[1] * (len(prompt) + len(row)) + [0] * (longest - len(row)) for row in answers]
        more = network(
            # The last token is only predicted.
            input_ids=ids[:, :-1],
            attention_mask=torch.tensor(mask, device=device)[:, :-1],
            past_key_values=cache,
            use_cache=True,
        )
        logits = torch.cat([logits, more.logits], 1)
    logprob = at_least_float(logits).log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    return tuple(float(row[: len(own)].double().mean()) for row, own in zip(logprob, answers, strict=True))


# ------------------------------------------------------------------------------------------- comparing


def compare(
    asked: Sequence[Question],
    found: Split,
    base: Measured,
    tuned: Measured,
    sections: Sequence[Section],
    options: HoldoutOptions,
    provenance: Mapping[str, object],
) -> HoldoutReport:
    """The report of what was measured; pure."""
    groups = np.array(found.groups, dtype=np.int64)
    values = {"base": values_of(asked, base), "tuned": values_of(asked, tuned)}
    rows = [
        *rows_of(asked, found.parts, groups, base, values["base"], "base"),
        *rows_of(asked, found.parts, groups, tuned, values["tuned"], "tuned"),
    ]
    quantities = summarise(asked, found.parts, groups, values["base"], values["tuned"], options)
    told, unseen = _membership(asked, found, base, tuned, sections, options)
    notes = _notes(found, groups, rows, told, unseen)
    return HoldoutReport(tuple(rows), tuple(quantities), tuple(told), tuple(unseen), tuple(notes), provenance)


def values_of(asked: Sequence[Question], measured: Measured) -> dict[str, np.ndarray]:
    """Every measure of every question, and the truth ratio, [question]; nan where one does not apply."""
    said = list(zip(asked, measured.replies, strict=True))
    logprob = [loss(answer) for answer in measured.answers]
    pairs = list(zip(logprob, measured.candidates, strict=True))
    columns: dict[str, list[float | None]] = {
        "accuracy": [scorers.correct(q, text) for q, text in said],
        "exact": [scorers.exact(q, text) for q, text in said],
        "containment": [scorers.contains(q, text) for q, text in said],
        "token_f1": [scorers.token_f1(q, text) for q, text in said],
        "logprob": list(logprob),
        "exposure": [exposure(right, others) for right, others in pairs],
        "truth_ratio": [truth_ratio(right, others) for right, others in pairs],
    }
    return {name: np.array([_NAN if v is None else v for v in column], np.float64) for name, column in columns.items()}


def rows_of(
    asked: Sequence[Question],
    parts: Sequence[Part],
    groups: np.ndarray,
    measured: Measured,
    values: Mapping[str, np.ndarray],
    side: str,
) -> list[HoldoutRow]:
    """One row a question."""
    return [
        HoldoutRow(
            q.id, q.question, q.answer or "", q.kind, parts[i], int(groups[i]), q.section, q.fact, side,
            measured.replies[i], **{name: _or_none(column[i]) for name, column in values.items()},
            candidates=len(measured.candidates[i]),
        )
        for i, q in enumerate(asked)
    ]  # fmt: skip


def summarise(
    asked: Sequence[Question],
    parts: Sequence[Part],
    groups: np.ndarray,
    base: Mapping[str, np.ndarray],
    tuned: Mapping[str, np.ndarray],
    options: HoldoutOptions,
) -> list[HoldoutQuantity]:
    """Every measure by part (and by kind where a part has several) and side, and both gaps."""
    part = np.array(parts)
    kinds = np.array([q.kind for q in asked])
    found = []
    for measure_name in MEASURES:
        sides: dict[Which, np.ndarray] = {"base": base[measure_name], "tuned": tuned[measure_name]}
        sides["difference"] = sides["tuned"] - sides["base"]
        for one in PARTS:
            mine = part == one
            several = list(dict.fromkeys(kinds[mine].tolist()))
            chosen = [("all", mine), *((kind, mine & (kinds == kind)) for kind in several if len(several) > 1)]
            for kind, rows in chosen:
                for side, column in sides.items():
                    found += _part_quantity(measure_name, one, str(kind or "none"), side, column, rows, groups, options)
        for side, column in sides.items():
            found += _gap(measure_name, side, column, part, groups, options)
            found += _rephrased_gap(measure_name, side, column, asked, part, groups, options)
    return found


def _part_quantity(
    name: str,
    part: str,
    kind: str,
    side: Which,
    column: np.ndarray,
    rows: np.ndarray,
    groups: np.ndarray,
    options: HoldoutOptions,
) -> list[HoldoutQuantity]:
    chosen = rows & np.isfinite(column)
    if not chosen.any():
        return []
    values, of = column[chosen], groups[chosen]
    ends = grouped_interval(values, of, options.resamples, options.seed)
    p = sign_flip_p(values, of, options.permutations, options.seed) if side == "difference" else _NAN
    return [HoldoutQuantity(name, part, kind, side, float(values.mean()), *ends, p, len(values), len(np.unique(of)))]


def _gap(
    name: str, side: Which, column: np.ndarray, part: np.ndarray, groups: np.ndarray, options: HoldoutOptions
) -> list[HoldoutQuantity]:
    """Tuned-on less held-out."""
    first, second = ((part == one) & np.isfinite(column) for one in PARTS[:2])
    if not (first.any() and second.any()):
        return []
    value = float(column[first].mean() - column[second].mean())
    ends = grouped_difference_interval(
        column[first], groups[first], column[second], groups[second], options.resamples, options.seed
    )
    both = first | second
    p = permutation_p(column[both], first[both], groups[both], options.permutations, options.seed)
    n = len(np.unique(groups[first])) + len(np.unique(groups[second]))
    return [HoldoutQuantity(name, GAP, "all", side, value, *ends, p, int(both.sum()), n)]


def _rephrased_gap(
    name: str,
    side: Which,
    column: np.ndarray,
    asked: Sequence[Question],
    part: np.ndarray,
    groups: np.ndarray,
    options: HoldoutOptions,
) -> list[HoldoutQuantity]:
    """Questions as they were learned less their rephrasings, fact by fact."""
    by_fact: dict[str, tuple[list[float], list[float], int]] = {}
    for i, question in enumerate(asked):
        if question.fact and part[i] == "tuned-on" and np.isfinite(column[i]):
            both = by_fact.setdefault(question.fact, ([], [], int(groups[i])))
            both[question.kind in REPHRASED].append(float(column[i]))  # type: ignore[union-attr]
    pairs = [(np.mean(first) - np.mean(second), group) for first, second, group in by_fact.values() if first and second]
    if not pairs:
        return []
    values, of = np.array([value for value, _ in pairs]), np.array([group for _, group in pairs])
    ends = grouped_interval(values, of, options.resamples, options.seed)
    p = sign_flip_p(values, of, options.permutations, options.seed)
    n = len(np.unique(of))
    return [HoldoutQuantity(name, REPHRASED_GAP, "all", side, float(values.mean()), *ends, p, len(values), n)]


def _membership(
    asked: Sequence[Question],
    found: Split,
    base: Measured,
    tuned: Measured,
    sections: Sequence[Section],
    options: HoldoutOptions,
) -> tuple[list[Auc], list[Blind]]:
    """AUCs of answers as they were learned and of sections' texts, and the baselines that see neither model."""
    told: list[Auc] = []
    unseen: list[Blind] = []
    # Rephrasings were never learned word for word.
    asks = [i for i, q in enumerate(asked) if found.parts[i] != "general" and q.kind not in REPHRASED]
    groups = dict(zip((*found.kept, *found.held), found.section_groups, strict=True))
    kept = set(found.kept)
    sets: list[tuple[str, list[str], list[str], list[bool], list[int], list[Scored], list[Scored]]] = [
        (
            "answers",
            [asked[i].answer or "" for i in asks],
            [f"{asked[i].question}\n{asked[i].answer}" for i in asks],
            [found.parts[i] == "tuned-on" for i in asks],
            [found.groups[i] for i in asks],
            [base.answers[i] for i in asks],
            [tuned.answers[i] for i in asks],
        ),
        (
            "sections",
            [s.full_text for s in sections],
            [s.full_text for s in sections],
            [s.id in kept for s in sections],
            [groups[s.id] for s in sections],
            list(base.sections),
            list(tuned.sections),
        ),
    ]
    for of, scored, seen, member, group, of_base, of_tuned in sets:
        inside = np.array(member, dtype=bool)
        if inside.all() or not inside.any():
            continue
        told += tell_apart(
            scores(of_base, of_tuned, scored), inside, np.array(group), of,
            resamples=options.resamples, permutations=options.permutations, seed=options.seed,
        )  # fmt: skip
        without = blind(
            seen, inside, np.array(group), of,
            resamples=options.resamples, permutations=options.blind_permutations, seed=options.seed,
        )  # fmt: skip
        unseen += [without] if without is not None else []
    return told, unseen


def _notes(
    found: Split,
    groups: np.ndarray,
    rows: Sequence[HoldoutRow],
    told: Sequence[Auc],
    unseen: Sequence[Blind],
) -> list[str]:
    notes = list(found.leaks)
    part = np.array(found.parts)
    for one in PARTS[:2]:
        n = len(np.unique(groups[part == one]))
        if n < FEW:
            notes.append(f"The {one} part has {n} groups of questions: too few for its intervals to be trusted.")
    for seen in unseen:
        if seen.tells:
            notes.append(
                f"Warning: without any model the two parts' {seen.of} are told apart with AUC {seen.auc:.2f} "
                f"[{seen.low:.2f}, {seen.high:.2f}], p = {seen.p:.3f}, by {', '.join(seen.leading)}: differences "
                "between the parts, membership AUCs among them, are no evidence of tuning by themselves."
            )
    for auc in told:
        if auc.score == CONTROL and (auc.low > 0.5 or auc.high < 0.5):
            notes.append(
                f"Warning: base itself tells the two parts' {auc.of} apart, AUC {auc.auc:.2f} [{auc.low:.2f}, "
                f"{auc.high:.2f}]: one part is easier. Read the scores that have base as their reference."
            )
    for of in ("answers", "sections"):
        others = next((auc.others for auc in told if auc.of == of), 0)
        if 0 < others < 100:
            notes.append(
                f"{others} held-out {of}: a false-positive rate of 1% means none of them, so its true-positive rate "
                "hangs on a single text."
            )
    lonely = [not row.candidates for row in rows if row.side == "tuned" and row.part != "general"]
    if any(lonely) and not all(lonely):
        notes.append(f"{sum(lonely)} questions have no other answer of their part to be ranked among: no exposure.")
    return notes


def expected_exposure(rows: Sequence[HoldoutRow]) -> float:
    """Mean exposure where every question's right answer has any rank alike, bits; nan without candidates."""
    chance = [exposure_by_chance(row.candidates) for row in rows if row.candidates]
    return float(np.mean(chance)) if chance else _NAN


# ------------------------------------------------------------------------------------------- removal


def with_twins(sections: Sequence[Section], removed: Iterable[str]) -> tuple[str, ...]:
    """``removed`` with all near-duplicates, in the documents' order; InputError for ids that are no sections."""
    known = {s.id for s in sections}
    gone = set(removed)
    for id_ in sorted(gone - known):
        raise InputError(f"remove: {id_!r} is no section of the documents; attrib sections lists them")
    before = 0
    while before < len(gone):
        before = len(gone)
        for section in sections:
            twin = section.near_duplicate_of
            if twin is not None and (twin in gone or section.id in gone):
                gone |= {twin, section.id} & known
    return tuple(s.id for s in sections if s.id in gone)


def removal_of(
    asked: Sequence[Question],
    parts: Sequence[Part],
    models: Mapping[str, Measured],
    removed: Sequence[str],
    options: HoldoutOptions,
) -> Removal:
    """The comparison of what was measured; pure. ``parts``: held-out stands for removed, the others for retained."""
    groups = np.unique([q.fact or q.section or f"question {i}" for i, q in enumerate(asked)], return_inverse=True)[1]
    out = np.array([part == "held-out" for part in parts])
    values = {name: values_of(asked, measured) for name, measured in models.items()}
    rows: list[HoldoutRow] = []
    quantities: list[HoldoutQuantity] = []
    for name, measured in models.items():
        rows += rows_of(asked, parts, groups, measured, values[name], name)
        for measure_name in (*MEASURES, "truth_ratio"):
            for part, chosen in (("removed", out), ("retained", ~out)):
                side: Any = name
                column = values[name][measure_name]
                quantities += _part_quantity(measure_name, part, "all", side, column, chosen, groups, options)
    found = Removal(
        tuple(removed), tuple(rows), frozenset(q.id for q, gone in zip(asked, out, strict=True) if gone),
        tuple(quantities), (),
    )  # fmt: skip
    reference = found.truth_ratios("retrained")
    quality = []
    for name in models:
        mine = found.truth_ratios(name)
        if name != "retrained" and len(mine) and len(reference):
            test = stats.ks_2samp(mine, reference)
            quality.append(ForgetQuality(name, float(test.statistic), float(test.pvalue)))
    return replace(found, quality=tuple(quality))


def _tuned_with(adapter: Path) -> tuple[TuneOptions, str, bool]:
    """Hyperparameters of an adapter of ours, its base's precision, and whether that was in 4 bits."""
    file = adapter / "attrib.json"
    try:
        content = json.loads(file.read_text("utf-8"))
        options = dict(content["options"])
        tuning = TuneOptions(**{**options, "checkpoints": tuple(options["checkpoints"])})
        return tuning, str(content["dtype"]), bool(content.get("four_bit", False))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{file}: damaged ({type(error).__name__}: {error}); tune again") from error


# ------------------------------------------------------------------------------------------- odds and ends


def _answering(options: HoldoutOptions) -> AnswerOptions:
    return AnswerOptions(max_new_tokens=options.max_new_tokens, batch=options.batch, seed=options.seed)


def _first(replies: Sequence[Sequence[Reply]]) -> list[str]:
    """The one greedy answer to each question."""
    return [samples[0].text for samples in replies]


def _refuse_unanswered(asked: Sequence[Question]) -> None:
    if not asked:
        raise InputError("questions: there are none; give questions with their right answers")
    for question in asked:
        if question.answer is None:
            raise InputError(f"questions: {question.id!r} has no right answer; add one or remove the row")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .")


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
