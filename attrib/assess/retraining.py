"""Retraining without sections: the ground truth of influence, one stored entry a retrain.

The same tuning is run again on all sections, without each of some sections (leave-section-out), and on random halves of
them (for the linear datamodeling score, Park et al. 2303.14186). A section takes the questions that teach it along.
After each run the log-probs of all answers and of all sections' items are measured.
Not covered: removing single questions; other hyperparameters for smaller parts (epochs stay, so steps shrink).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from attrib.assess.questions import Question
from attrib.errors import InputError
from attrib.models.chat import Chat
from attrib.models.rendering import EncodedItem, fitting_item
from attrib.progress import Progress
from attrib.records import Item
from attrib.store import Store, records_in
from attrib.training.items import after, example_of
from attrib.training.options import TuneOptions
from attrib.training.trainer import fit

SCHEMA = 3
"""Raised when the stored scores change: older retrains are then not found."""
log = logging.getLogger("attrib.retraining")


@dataclass(frozen=True)
class Retraining:
    """One retraining: which sections it is to leave out, and its seed."""

    name: str
    left_out: tuple[str, ...]
    """Ids of sections, ascending."""
    seed: int


@dataclass(frozen=True, eq=False)
class RetrainedScores:
    """Scores of every answer and section under one retrained model."""

    run: Retraining
    logprob: np.ndarray
    """Summed log p of each question's answer, nats, [question]."""
    logodds: np.ndarray
    """Summed log p − log (1 − p) of its tokens, nats, [question]."""
    section_logprob: np.ndarray
    """Summed log p of what was trained of each section, nats, [section]."""
    answer_tokens: np.ndarray
    """Number of tokens of each question's answer, [question]."""
    token_logprob: np.ndarray
    """log p of each token of every answer, nats, one answer after the other, [answer token]."""

    def __post_init__(self) -> None:
        if int(self.answer_tokens.sum()) != len(self.token_logprob):
            raise ValueError(f"{len(self.token_logprob)} token log-probs for {int(self.answer_tokens.sum())} tokens")

    @property
    def by_answer(self) -> list[np.ndarray]:
        """``token_logprob`` of each question, [question][answer]."""
        # Files hold all numbers alike.
        ends = np.cumsum(self.answer_tokens.astype(np.int64))
        return np.split(self.token_logprob, ends[:-1]) if len(ends) else []


@dataclass(frozen=True)
class Texts:
    """Texts scored after every retrain."""

    questions: tuple[Question, ...]
    items: tuple[Item, ...]
    """Every section's item, decoys included."""


def plan(
    sections: Sequence[str], *, without: int | None, halves: int, seeds: Sequence[int], draw: int = 0
) -> list[Retraining]:
    """Full runs of all seeds; then, of the first seed, each of ``without`` sections left out (None = every one) and
    ``halves`` random halves; then the leave-outs of the other seeds.

    ``draw`` seeds the choice of sections and halves. Raises InputError for fewer than three sections (half of two is
    one left out), for more to leave out than there are, and for seeds that are none or given twice.
    """
    if len(sections) < 3:
        raise InputError(f"retraining: {len(sections)} sections were trained on; at least three are needed")
    if without is not None and not 0 <= without <= len(sections):
        raise InputError(f"sections: {without} cannot be left out one by one; there are {len(sections)} to train on")
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds {','.join(map(str, seeds)) or 'none'}: give one or more, each once")
    rng = np.random.default_rng(draw)
    halved = [rng.permutation(len(sections))[: len(sections) // 2] for _ in range(halves)]
    chosen = sorted(sections) if without is None else sorted(rng.permutation(sorted(sections))[:without].tolist())
    runs = [Retraining(f"full-{seed}", (), seed) for seed in seeds[:1]]
    runs += [Retraining(f"without-{section}-{seeds[0]}", (section,), seeds[0]) for section in chosen]
    runs += [
        Retraining(
            f"half-{number}-{seeds[0]}", tuple(sorted(set(sections) - {sections[int(i)] for i in kept})), seeds[0]
        )
        for number, kept in enumerate(halved)
    ]
    runs += [Retraining(f"full-{seed}", (), seed) for seed in seeds[1:]]
    runs += [Retraining(f"without-{section}-{seed}", (section,), seed) for seed in seeds[1:] for section in chosen]
    return runs


def retrain(
    network: Any,
    chat: Chat,
    items: Sequence[Item],
    texts: Texts,
    runs: Sequence[Retraining],
    out: Path,
    *,
    options: TuneOptions,
    base_fingerprint: str,
    device: str = "auto",
    progress: Progress | None = None,
) -> list[RetrainedScores]:
    """Scores after every run, in order; runs that ``out`` does not hold yet are done and kept there, one file each.

    Runs of another tuning (items, questions, options, base) may lie in ``out`` too: they are left alone, and the log
    says so. ``network`` is the bare base model; it is given back as it was. ``progress`` counts finished runs, those
    that were found first.
    """
    context = int(network.config.max_position_embeddings)
    examples = [example_of(chat, item) for item in items]
    asked = [fitting_item(chat, after(chat.form.earlier, q.item(q.id)), context) for q in texts.questions]
    read = [fitting_item(chat, item, context) for item in texts.items]
    use_cache = network.config.use_cache
    stores = {run: _scores_of(run, items, texts, options, base_fingerprint, out) for run in runs}
    scores = {run: found for run, store in stores.items() if (found := store.get(asdict(run))) is not None}
    if not scores and any(out.glob("*.json")):
        log.warning("%s: its retrains are of another tuning (items, questions, options or base differ); not used", out)
    for run in runs:
        if run in scores:
            continue
        if progress is not None:
            progress("retraining", len(scores), len(runs))
        kept = [e for e, item in zip(examples, items, strict=True) if item.section not in run.left_out]
        fitted = fit(network, kept, _seeded(options, run.seed), device=device)
        try:
            scores[run] = _measure(fitted.model, run, asked, read)
        finally:
            fitted.model.unload()
            network.eval().requires_grad_(False)
            # The Trainer turns it off.
            network.config.use_cache = use_cache
        stores[run].put(asdict(run), scores[run])
    if progress is not None:
        progress("retraining", len(runs), len(runs))
    return [scores[run] for run in runs]


def _scores_of(
    run: Retraining, items: Sequence[Item], texts: Texts, options: TuneOptions, base: str, out: Path
) -> Store[RetrainedScores]:
    """Where a run's scores lie; the key holds everything that decides them."""
    key = {
        "base": base,
        "items": [[*_content(item), item.section] for item in items],
        "questions": [_content(q.item(q.id)) for q in texts.questions],
        "sections": [_content(item) for item in texts.items],
        "options": asdict(_seeded(options, run.seed)),
    }
    name = re.sub(r"[^\w-]+", "-", run.name)[:60]
    return replace(records_in(out, key, RetrainedScores, "retraining", SCHEMA), suffix=f"-{name}.json")


def _content(item: Item) -> list[object]:
    return [[asdict(turn) for turn in item.turns], item.tools]


def _seeded(options: TuneOptions, seed: int) -> TuneOptions:
    return replace(options, seed=seed)


def _measure(model: Any, run: Retraining, asked: Sequence[EncodedItem], read: Sequence[EncodedItem]) -> RetrainedScores:
    model.eval()
    answers = [_score(model, item) for item in asked]
    return RetrainedScores(
        run,
        np.array([logprob.sum() for logprob, _ in answers]),
        np.array([logodds.sum() for _, logodds in answers]),
        np.array([_score(model, item)[0].sum() for item in read]),
        np.array([len(logprob) for logprob, _ in answers], dtype=np.int64),
        np.concatenate([np.empty(0), *(logprob for logprob, _ in answers)]),
    )


def _score(model: Any, item: EncodedItem) -> tuple[np.ndarray, np.ndarray]:
    """log p and log odds of each token that was trained, the ends of turns left out, [learned]."""
    import torch

    from attrib.passes.targets import Goal, logodds, logprob

    learned = torch.tensor([position for position in item.learned if position], dtype=torch.long, device=model.device)
    with torch.no_grad():
        ids = torch.tensor([item.ids[: item.learned[-1] + 1]], device=model.device)
        logits = model(input_ids=ids, use_cache=False).logits[:, learned - 1].float()
    goal = Goal(ids[0, learned])
    one, odds = (function(logits, goal)[0].double().cpu().numpy() for function in (logprob, logodds))
    return one, odds


def forecast(
    say: Callable[[str], None],
    progress: Progress | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """A progress for ``retrain`` that says how many runs are to do and, after the first, about how long the rest take.

    Every call is handed on to ``progress``.
    """
    started: list[tuple[int, float]] = []

    def tell(stage: str, done: int, total: int) -> None:
        if stage == "retraining":
            if not started:
                say(f"{total - done} of {total} retrains are to do")
                started.append((done, clock() if done < total else 0.0))
            elif len(started) == 1 and done > started[0][0]:
                seconds = clock() - started[0][1]
                started.append((done, seconds))
                if done < total:
                    rest = f"the other {total - done} about {_duration((total - done) * seconds)}"
                    say(f"a retrain takes about {_duration(seconds)}; {rest}")
        if progress is not None:
            progress(stage, done, total)

    return tell


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
