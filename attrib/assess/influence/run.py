"""Mappers against retraining: does a score say what happens to the answer when the section is not trained on?

Three claims, three tables, never mixed. *Resemblance*: is the gold section found among all (MRR, recall)? *Influence*:
does the score predict the log-prob lost when the section is left out (Pearson, Spearman over question × section pairs),
and the log-prob after training on random halves (linear datamodeling score, Park et al. 2303.14186)? *Decoys*: is the
score of an own section that was trained above that of one that was not, pairs within one document (AUROC)?
Not covered: significance across tunings (one adapter is scored; seeds of the retrains only tell their noise).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from attrib.assess.influence.options import RetrainOptions
from attrib.assess.questions import Question, described, restored
from attrib.assess.retraining import Measured, Texts, plan, retrain
from attrib.corpus.documents import Corpus
from attrib.errors import InputError, RecordError
from attrib.explaining import ExplainOptions, map_sections, mapping_layer, read_sides, trained_questions
from attrib.index.gradients import NOTHING, Gradients, InfluenceOptions, read_gradients
from attrib.index.library import Library
from attrib.mapping import MAPPERS
from attrib.mapping.answer import MapperScores
from attrib.mapping.combined import Side, blend, learned_share, mix
from attrib.mapping.influence import score
from attrib.models.fingerprint import fingerprint, versions
from attrib.models.loading import load_network
from attrib.models.pair import ModelPair
from attrib.models.prompt import encode_given
from attrib.passes.capture import CaptureOptions, capture, resolve_layers
from attrib.progress import Progress
from attrib.training.items import Item, corpus_items, read_trained
from attrib.training.options import TuneOptions
from attrib.training.tune import tune

TEXTUAL = ("bm25", "bm25_answer", "verbatim", "embedding")
INFLUENCE: dict[str, tuple[InfluenceOptions, bool]] = {
    "influence": (InfluenceOptions(), False),
    "influence, no threshold": (InfluenceOptions(threshold=0.0), False),
    "influence, centred": (InfluenceOptions(centred=True), False),
    "influence, dot products": (InfluenceOptions(form="dot"), False),
    "influence, preconditioned": (InfluenceOptions(form="preconditioned"), False),
    "influence, log-odds": (InfluenceOptions(target="logodds"), False),
    "influence, texts alone": (InfluenceOptions(), True),
    "influence, final model": (InfluenceOptions(checkpoints="final"), False),
    "influence, final model, log p": (InfluenceOptions(checkpoints="final", target="logprob"), False),
}
"""Options of the tuned side, and whether a section's gradient is of its text alone, without its trained questions."""
GATED = ("influence × learned", "influence, texts alone × learned", "combined", "combined, no influence")
BEFORE, CONTRAST = "gradients before tuning", "influence − before tuning"
BEFORE_RAW = f"{BEFORE}, no threshold"
SCORERS = (
    *TEXTUAL, "hidden (base)", "hidden (tuned)", "hidden (tuned − base)", "learned", *INFLUENCE, BEFORE, BEFORE_RAW,
    CONTRAST, *GATED, "random",
)  # fmt: skip
"""Rows of every table: mappers and their controls."""


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
    device: str = "auto",
    progress: Progress | None = None,
) -> InfluenceReport:
    """Tune on all sections but the decoys, retrain without some, score every question by every mapper.

    Questions of kind ``trained`` (or of none) are trained along with their section; the others are only asked. Each
    retrain is one file in ``out/runs``; a run that was cut off goes on when called again with the same arguments.
    Raises InputError for questions without answer or section, decoys that are no sections, and an ``out`` of another
    assessment.
    """
    questions = tuple(replace(q, kind=q.kind or "trained") for q in questions)
    _check(corpus, questions, decoys)
    trained = [s for s in corpus.sections if s.id not in decoys]
    items = corpus_items(trained, [q for q in questions if q.kind == "trained"])
    adapter = out / "adapter"
    first = replace(options.tune, seed=options.seeds[0])
    if not (adapter / "attrib.json").is_file():
        # The retrains' precision, whatever the device.
        tune(base, items, adapter, options=first, device=device, dtype="float32", progress=progress)
    network, tokenizer = load_network(base, device=device)
    texts = Texts(tuple(questions), tuple((s.id, s.full_text) for s in corpus.sections))
    runs = plan(
        [s.id for s in trained], without=options.without, halves=options.halves, seeds=options.seeds, draw=options.draw
    )
    print_base = fingerprint(base, network)
    _check_adapter(adapter, items, first, print_base)
    measured = retrain(
        network, tokenizer, items, texts, runs, out / "runs",
        options=options.tune, base_fingerprint=print_base, device=device, progress=progress,
    )  # fmt: skip
    del network
    pair = ModelPair.load(base, adapter, device=device)
    library = Library(corpus, control, device=pair.device, cache=out / "cache", progress=progress)
    scores = score_questions(pair, library, questions, options=explain, cache=out / "cache", progress=progress)
    is_trained = np.array([s.id not in decoys for s in corpus.sections])
    drop, noise, halves, after = outcomes(measured, [s.id for s in corpus.sections], is_trained)
    found = InfluenceReport(
        questions=tuple(questions),
        sections=tuple(s.id for s in corpus.sections),
        documents=tuple(s.document for s in corpus.sections),
        titles=tuple(s.title for s in corpus.sections),
        trained=is_trained,
        drop=drop,
        noise=noise,
        halves=halves,
        after=after,
        scores=scores,
        provenance={
            "base": base,
            "base_sha256": print_base,
            "tuned_sha256": pair.tuned.fingerprint,
            "documents": corpus.sha256,
            "control": control.sha256,
            "options": asdict(options),
            "explain": {"layer": mapping_layer(pair, explain or ExplainOptions())},
            "device": pair.device,
            "dtype": pair.dtype,
            "versions": versions(),
        },
    )
    # As it is stored: tables and figures drawn again are then the same to the byte.
    return InfluenceReport.from_json(found.to_json())


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


def _check_adapter(adapter: Path, items: Sequence[Item], options: TuneOptions, base: str) -> None:
    """An adapter that lay there already must be of the same tuning as the retrains."""
    try:
        manifest = json.loads((adapter / "attrib.json").read_text("utf-8"))
        of = [manifest["base_fingerprint"], manifest["options"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{adapter}: damaged ({type(error).__name__}: {error}); delete it and start again") from error
    learned = [(item.text, item.question, item.section) for item in read_trained(adapter)]
    asked = [(item.text, item.question, item.section) for item in items]
    if of != [base, json.loads(json.dumps(asdict(options)))] or learned != asked:
        raise InputError(f"{adapter}: it is of another tuning (items, options or base differ); name a new --out")


def score_questions(
    pair: ModelPair,
    library: Library,
    questions: Sequence[Question],
    *,
    options: ExplainOptions | None = None,
    cache: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Whole-answer scores of every section by every scorer, [question, section] each."""
    options = replace(options or ExplainOptions(), mappers=(*TEXTUAL, "hidden", "learned"))
    rows: dict[str, list[np.ndarray]] = {name: [] for name in SCORERS}
    rng = np.random.default_rng(seed)
    for number, asked in enumerate(questions):
        if progress is not None:
            progress("scores", number, len(questions))
        found = _score(pair, library, asked, options, cache)
        found["random"] = rng.normal(size=len(library.corpus))
        for name in SCORERS:
            rows[name].append(found[name])
    if progress is not None:
        progress("scores", len(questions), len(questions))
    return {name: np.stack(found) for name, found in rows.items()}


def _score(
    pair: ModelPair, library: Library, asked: Question, options: ExplainOptions, cache: Path | None
) -> dict[str, np.ndarray]:
    encoded = encode_given(pair.tokenizer, asked.question, asked.answer or "", context=pair.context)
    layer = resolve_layers((mapping_layer(pair, options),), pair.base.n_layers)
    captures = [capture(m, encoded, CaptureOptions(layers=layer)) for m in (pair.base, pair.tuned)]
    everything = np.arange(len(library.corpus))
    sides = read_sides(pair, library, encoded, captures, everything, options, cache)
    maps = map_sections(sides, options.mappers)
    numbers = [int(i) for i in library.with_control(everything)]
    texts = {i: library.texts[i] for i in numbers}
    asked_for = trained_questions(pair, library.corpus)

    def whole(side: Literal["base", "tuned"], how: InfluenceOptions, alone: bool) -> tuple[Gradients, ...]:
        chosen = replace(how, gradients=options.influence.gradients)
        taught = NOTHING if alone else asked_for
        return read_gradients(pair, side, encoded, texts, chosen, taught=taught, cache=cache, whole=True)

    found = {name: maps[name].tuned.whole for name in TEXTUAL}
    read: dict[tuple[str, str, bool], tuple[Gradients, ...]] = {}
    for name, (how, alone) in INFLUENCE.items():
        key = (how.checkpoints, how.target, alone)
        # Forms differ in what is made of the gradients alone.
        read[key] = read[key] if key in read else whole("tuned", how, alone)
        gradients = [replace(one, form=how.form, centred=how.centred, threshold=how.threshold) for one in read[key]]
        found[name] = score(gradients, numbers, numbers[len(everything) :])[0, : len(everything)]
    null = numbers[len(everything) :]
    untuned = whole("base", InfluenceOptions(), False)
    before, before_raw = (
        score([replace(one, threshold=threshold) for one in untuned], numbers, null)[0, : len(everything)]
        for threshold in (InfluenceOptions.threshold, 0.0)
    )
    raw = [replace(one, threshold=0.0) for one in read["all", "auto", False]]
    gated = _gated(sides, score(raw, numbers, null), found)
    return found | {
        "hidden (base)": maps["hidden"].base.whole,
        "hidden (tuned)": maps["hidden"].tuned.whole,
        "hidden (tuned − base)": maps["hidden"].tuned.whole - maps["hidden"].base.whole,
        "learned": maps["learned"].tuned.whole - maps["learned"].base.whole,
        BEFORE: before,
        BEFORE_RAW: before_raw,
        CONTRAST: found["influence"] - before,
        **gated,
    }


def _gated(sides: tuple[Side, Side], raw: np.ndarray, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The scorers that look at what was learned; ``raw``: influence without threshold on all texts, [1, text]."""
    base, tuned = sides
    sections = int((tuned[1].chosen < len(tuned[1].library.corpus)).sum())
    learned = learned_share(base[1], tuned[1], blend())
    # The whole answer in one row, as the gradients are.
    parts = {name: MAPPERS[name].score(*tuned) for name in blend().resemblance}
    rows = {name: MapperScores(one.whole[None], one.whole, one.spans) for name, one in parts.items()}
    everything = {**rows, "influence": MapperScores(raw, raw[0], next(iter(rows.values())).spans)}
    control = tuned[1].chosen >= len(tuned[1].library.corpus)
    combined, without = (mix(chosen, control, blend()).whole * learned for chosen in (everything, rows))
    return {
        "influence × learned": found["influence"] * learned[:sections],
        "influence, texts alone × learned": found["influence, texts alone"] * learned[:sections],
        "combined": combined[:sections],
        "combined, no influence": without[:sections],
    }


# ------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True, eq=False)
class InfluenceReport:
    """Everything that the tables and the figure are made of; small, and needs no model."""

    questions: tuple[Question, ...]
    sections: tuple[str, ...]
    """Ids, decoys included."""
    documents: tuple[str, ...]
    """Of each section."""
    titles: tuple[str, ...]
    trained: Bool[np.ndarray, " section"]
    """Whether each section was trained on; the others are decoys."""
    drop: Float[np.ndarray, "question section"]
    """log p of the answer lost when the section is left out, nats, mean over seeds; nan where it was not left out."""
    noise: Float[np.ndarray, " question"]
    """Standard deviation of the answer's log p over the seeds of full runs, nats; nan with one seed."""
    halves: Bool[np.ndarray, "half section"]
    """Which sections each half was trained on."""
    after: Float[np.ndarray, "half question"]
    """log p of the answer after training on each half, nats."""
    scores: dict[str, Float[np.ndarray, "question section"]]
    """By scorer."""
    provenance: dict[str, object]

    def __post_init__(self) -> None:
        q, s, h = len(self.questions), len(self.sections), len(self.halves)
        shapes = {
            "documents": (np.shape(self.documents), (s,)),
            "titles": (np.shape(self.titles), (s,)),
            "trained": (self.trained.shape, (s,)),
            "drop": (self.drop.shape, (q, s)),
            "noise": (self.noise.shape, (q,)),
            "halves": (self.halves.shape, (h, s)),
            "after": (self.after.shape, (h, q)),
            **{f"scores of {name}": (found.shape, (q, s)) for name, found in self.scores.items()},
        }
        for name, (is_, should) in shapes.items():
            if is_ != should:
                raise RecordError(f"retraining: {name} has shape {is_}, its questions and sections ask for {should}")

    @property
    def gold(self) -> Int[np.ndarray, " question"]:
        """Index of each question's own section, −1 for none."""
        number = {id_: i for i, id_ in enumerate(self.sections)}
        return np.array([number.get(q.section or "", -1) for q in self.questions])

    def rows(self, kind: str) -> np.ndarray:
        """Questions of a kind."""
        return np.array([i for i, q in enumerate(self.questions) if q.kind == kind], dtype=np.int64)

    def to_json(self) -> str:
        """One JSON object; numbers to five digits, which is more than retraining can tell."""
        content = {
            "questions": [described(q) for q in self.questions],
            "sections": self.sections,
            "documents": self.documents,
            "titles": self.titles,
            "trained": self.trained.tolist(),
            "drop": _short(self.drop),
            "noise": _short(self.noise),
            "halves": self.halves.astype(int).tolist(),
            "after": _short(self.after),
            "scores": {name: _short(found) for name, found in self.scores.items()},
            "provenance": self.provenance,
        }
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> InfluenceReport:
        """Read what ``to_json`` wrote; RecordError when it is not that."""
        try:
            c = json.loads(text)
            return cls(
                questions=tuple(restored(row) for row in c["questions"]),
                sections=tuple(c["sections"]),
                documents=tuple(c["documents"]),
                titles=tuple(c["titles"]),
                trained=np.array(c["trained"], dtype=bool),
                drop=_floats(c["drop"]),
                noise=_floats(c["noise"]),
                halves=np.array(c["halves"], dtype=bool).reshape(-1, len(c["sections"])),
                after=_floats(c["after"]).reshape(-1, len(c["questions"])),
                scores={name: _floats(found) for name, found in c["scores"].items()},
                provenance=c["provenance"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"retraining: damaged ({error}); make it again with attrib assess influence") from error


def _short(values: np.ndarray) -> Any:
    """Nested lists with None for nan."""
    if values.ndim > 1:
        return [_short(row) for row in values]
    return [None if np.isnan(v) else float(f"{v:.5g}") for v in values]


def _floats(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def outcomes(
    measured: Sequence[Measured], sections: Sequence[str], trained: np.ndarray
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


@dataclass(frozen=True)
class InfluenceRow:
    """One scorer by one metric on one kind of question."""

    scorer: str
    metric: str
    kind: str
    value: float
    low: float
    high: float
    """95% bootstrap interval over questions (LDS: over halves too, decoys: over those too); nan where none could be."""
    behind: float
    """The reference scorer's value less this one's, same resamples."""
    behind_low: float
    behind_high: float
    n: int
    """Questions (decoys: held-out questions)."""


METRICS = {
    "MRR": "mean reciprocal rank of the question's own section among all, decoys included (ties: the mean rank)",
    "recall@1": "own section first",
    "recall@3": "own section among the first three",
    "pearson": "Pearson correlation of score and log p lost without the section, question × section pairs",
    "spearman": "the same, ranks",
    "LDS": "rank correlation of summed scores and log p over random halves, mean over questions",
    "decoys": "AUROC of own sections that were trained against decoys, pairs of one document",
}
REFERENCE = "influence"


def table(found: InfluenceReport, *, resamples: int = 1000, seed: int = 0) -> list[InfluenceRow]:
    """Every scorer by every metric on trained and rephrased questions."""
    rows = []
    for kind in ("trained", "rephrased"):
        questions = found.rows(kind)
        if len(questions):
            for metric in METRICS:
                rows += _rows(found, metric, kind, questions, resamples, seed)
    return rows


Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""How often each draw takes each question [draw, question], and each half or decoy [draw, other] → values [draw]."""


def _rows(
    found: InfluenceReport, metric: str, kind: str, questions: np.ndarray, resamples: int, seed: int
) -> list[InfluenceRow]:
    names = [name for name in found.scores if _applies(found, metric, kind)]
    rng = np.random.default_rng(seed)
    n, others = len(questions), len(found.rows("held-out") if metric == "decoys" else found.halves)
    # The first draw is the sample itself.
    taken, taken_others = (np.concatenate([np.ones((1, k)), _counts(rng, resamples, k)]) for k in (n, others))
    drawn = {name: _statistic(found, metric, found.scores[name], questions)(taken, taken_others) for name in names}
    out = []
    for name in names:
        ends = [_interval(values[1:]) for values in (drawn[name], drawn[REFERENCE] - drawn[name])]
        value, behind = float(drawn[name][0]), float(drawn[REFERENCE][0] - drawn[name][0])
        out.append(
            InfluenceRow(name, metric, kind, value, *ends[0], behind, *ends[1], others if metric == "decoys" else n)
        )
    return out


def _counts(rng: np.random.Generator, draws: int, n: int) -> np.ndarray:
    """How often each of ``n`` is drawn when ``n`` are drawn with replacement, [draw, n]."""
    return rng.multinomial(n, np.full(n, 1 / n), draws) if n else np.zeros((draws, 0))


def _interval(values: np.ndarray) -> tuple[float, float]:
    """95% of the draws that could be computed; nan, nan where none could."""
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _applies(found: InfluenceReport, metric: str, kind: str) -> bool:
    if metric in ("pearson", "spearman"):
        return bool(np.isfinite(found.drop).any())
    if metric == "LDS":
        return len(found.halves) > 2
    if metric == "decoys":
        return kind == "trained" and bool(len(found.rows("held-out")))
    return True


def _statistic(found: InfluenceReport, metric: str, scores: np.ndarray, questions: np.ndarray) -> Statistic:
    mine = scores[questions]
    if metric in ("MRR", "recall@1", "recall@3"):
        rank = ranks(mine, found.gold[questions])
        value = 1 / rank if metric == "MRR" else rank <= int(metric[-1])
        return lambda q, h: q @ value / q.sum(1)
    if metric == "decoys":
        return _decoys(found, scores, questions)
    if metric == "LDS":
        sums, after = found.halves.astype(float) @ mine.T, found.after[:, questions]
        return lambda q, h: (q * correlations(sums, after, h)).sum(1) / q.sum(1)
    drop = found.drop[questions]
    columns = np.isfinite(drop).all(0)
    x, y = mine[:, columns], drop[:, columns]
    if metric == "spearman":
        # Ranks among all pairs, not among those of a draw.
        x, y = (stats.rankdata(values).reshape(values.shape) for values in (x, y))
    return lambda q, h: _pearson(x, y, q)


def ranks(scores: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Rank of each question's own section, 1 = best; among equals the mean of their ranks, [question]."""
    own = scores[np.arange(len(gold)), gold][:, None]
    return np.asarray(1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2)


def correlations(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Spearman correlation of each column of ``a`` with that of ``b``, [row, column] each, where draw d takes row i
    ``counts[d, i]`` times, [draw, column]; 0 where one does not vary."""
    # All draws at once would take columns × rows × draws numbers.
    parts = np.array_split(counts, -(-len(counts) // 200))
    return np.concatenate([_drawn_correlations(a, b, np.asarray(part, np.float64).T) for part in parts])


def _drawn_correlations(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``counts`` is [row, draw] here."""
    ranked = []
    for values in (a, b):
        # What sums in another order leaves in the last digits is no order.
        values = np.round(values, 9).T
        lower = (values[:, None] < values[:, :, None]) + 0.5 * (values[:, None] == values[:, :, None])
        ranks_of = lower @ counts  # [column, row, draw]
        ranked.append(ranks_of - (counts * ranks_of).sum(1, keepdims=True) / counts.sum(0))
    x, y = ranked
    spread = np.sqrt((counts * x**2).sum(1) * (counts * y**2).sum(1))
    return np.asarray(np.where(spread > 1e-9, (counts * x * y).sum(1) / np.where(spread > 1e-9, spread, 1), 0.0).T)


def _pearson(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Over all pairs of the rows that each draw takes ``counts`` times, [draw]; 0 where one does not vary."""
    # Near their means sums of squares lose no digits.
    x, y = x - x.mean(), y - y.mean()
    n = counts.sum(1) * x.shape[1]
    sx, sy, sxx, syy, sxy = (counts @ values.sum(1) for values in (x, y, x * x, y * y, x * y))
    spread = np.sqrt(np.maximum(sxx - sx**2 / n, 0) * np.maximum(syy - sy**2 / n, 0))
    floor = 1e-12 * np.sqrt(float((x * x).sum() * (y * y).sum()))
    return np.asarray(np.where(spread > floor, (sxy - sx * sy / n) / np.where(spread > floor, spread, 1), 0.0))


def _decoys(found: InfluenceReport, scores: np.ndarray, questions: np.ndarray) -> Statistic:
    """Pairs of a trained and a held-out question whose own sections are of one document; decoys are drawn again too."""
    held = found.rows("held-out")
    own = scores[np.arange(len(scores)), found.gold]
    documents = np.array(found.documents)[found.gold]
    wins = (own[questions][:, None] > own[held]) + 0.5 * (own[questions][:, None] == own[held])
    same = (documents[questions][:, None] == documents[held]).astype(float)

    def statistic(q: np.ndarray, h: np.ndarray) -> np.ndarray:
        won, pairs = ((q @ matrix * h).sum(1) for matrix in (wins * same, same))
        return np.asarray(np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1), np.nan))

    return statistic
