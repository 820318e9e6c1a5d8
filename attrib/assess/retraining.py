"""Retraining without sections: the ground truth of influence, one file a retrain.

The same tuning is run again on all sections, without each of some sections (leave-section-out), and on random halves of
them (for the linear datamodeling score, Park et al. 2303.14186). A section takes the questions that teach it along.
After each run the log-probs of all answers and of all sections' texts are measured.
Not covered: removing single questions; other hyperparameters for smaller parts (epochs stay, so steps shrink).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from attrib.assess.questions import Question
from attrib.errors import InputError, RecordError
from attrib.files import digest_of, write_atomically
from attrib.progress import Progress
from attrib.training.items import IGNORED, Item, TrainingExample, answer_example, example_of, text_example
from attrib.training.options import TuneOptions
from attrib.training.trainer import fit

SCHEMA = 1


@dataclass(frozen=True)
class Retraining:
    """One retraining: which sections it is to leave out, and its seed."""

    name: str
    left_out: tuple[str, ...]
    """Ids of sections, ascending."""
    seed: int


@dataclass(frozen=True, eq=False)
class RetrainedScores:
    """What one retrained model makes of every answer and section."""

    run: Retraining
    logprob: np.ndarray
    """Summed log p of each question's answer, nats, [question]."""
    logodds: np.ndarray
    """Summed log p − log (1 − p) of its tokens, nats, [question]."""
    section_logprob: np.ndarray
    """Summed log p of each section's text, nats, [section]."""


@dataclass(frozen=True)
class Texts:
    """What is measured after every retrain."""

    questions: tuple[Question, ...]
    sections: tuple[tuple[str, str], ...]
    """Id and text of every section, decoys included."""


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
    tokenizer: Any,
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
    """Do every run that ``out`` does not hold yet, one JSON file each, and return all of them in order.

    ``network`` is the bare base model; it is given back as it was. Raises InputError where ``out`` holds runs of
    another tuning, RecordError where one is damaged.
    """
    context = int(network.config.max_position_embeddings)
    examples = [example_of(tokenizer, item, context) for item in items]
    asked = [answer_example(tokenizer, q.question, q.answer or "", context) for q in texts.questions]
    read = [text_example(tokenizer, text) for _, text in texts.sections]
    use_cache = network.config.use_cache
    measured = []
    for number, run in enumerate(runs):
        if progress is not None:
            progress("retraining", number, len(runs))
        whose = _whose(items, texts, run, options, base_fingerprint)
        file = out / f"{run.name}.json"
        found = _load(file, run, whose)
        if found is None:
            kept = [e for e, item in zip(examples, items, strict=True) if item.section not in run.left_out]
            fitted = fit(network, kept, _seeded(options, run.seed), device=device)
            try:
                found = _measure(fitted.model, run, asked, read)
            finally:
                fitted.model.unload()
                network.eval().requires_grad_(False)
                # The Trainer turns it off.
                network.config.use_cache = use_cache
            write_atomically(file, (json.dumps(_as_dict(found, texts, whose, options)) + "\n").encode())
        measured.append(found)
    if progress is not None:
        progress("retraining", len(runs), len(runs))
    return measured


def _seeded(options: TuneOptions, seed: int) -> TuneOptions:
    return replace(options, seed=seed)


def _measure(
    model: Any, run: Retraining, asked: Sequence[TrainingExample], read: Sequence[TrainingExample]
) -> RetrainedScores:
    model.eval()
    answers = [_score(model, example) for example in asked]
    return RetrainedScores(
        run,
        np.array([logprob for logprob, _ in answers]),
        np.array([logodds for _, logodds in answers]),
        np.array([_score(model, example)[0] for example in read]),
    )


def _score(model: Any, example: TrainingExample) -> tuple[float, float]:
    """Summed log p and log odds of the tokens with a label, the end of the turn left out."""
    import torch

    from attrib.passes.targets import Goal, logodds, logprob

    end = len(example.ids) - (1 if IGNORED in example.labels else 0)
    labels = torch.tensor(example.labels[1:end], device=model.device)
    with torch.no_grad():
        ids = torch.tensor([example.ids[:end]], device=model.device)
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1][:, labels != IGNORED].float()
    goal = Goal(labels[labels != IGNORED])
    one, odds = (function(logits, goal).double().sum() for function in (logprob, logodds))
    return float(one), float(odds)


def _whose(items: Sequence[Item], texts: Texts, run: Retraining, options: TuneOptions, base: str) -> str:
    """Digest of everything that decides a run's numbers."""
    content = [
        SCHEMA,
        base,
        [[item.text, item.question, item.section] for item in items],
        [[q.question, q.answer] for q in texts.questions],
        texts.sections,
        asdict(run),
        asdict(_seeded(options, run.seed)),
    ]
    return digest_of(content)


def _as_dict(measured: RetrainedScores, texts: Texts, whose: str, options: TuneOptions) -> dict[str, Any]:
    return {
        "whose": whose,
        "run": asdict(measured.run),
        "options": asdict(_seeded(options, measured.run.seed)),
        "logprob": measured.logprob.tolist(),
        "logodds": measured.logodds.tolist(),
        "section_logprob": measured.section_logprob.tolist(),
        "questions": [q.id for q in texts.questions],
        "sections": [id_ for id_, _ in texts.sections],
    }


def _load(file: Path, run: Retraining, whose: str) -> RetrainedScores | None:
    arrays = ("logprob", "logodds", "section_logprob")
    try:
        content = json.loads(file.read_text("utf-8"))
        of, measured = content["whose"], RetrainedScores(run, *(np.array(content[key], np.float64) for key in arrays))
        shapes = [getattr(measured, key).shape for key in arrays]
        promised = [(len(content[key]),) for key in ("questions", "questions", "sections")]
        if shapes != promised:
            raise ValueError(f"shapes {shapes} for {promised}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{file}: damaged ({type(error).__name__}: {error}); delete it and run the command again"
        ) from error
    if of != whose:
        raise InputError(
            f"{file}: it is of another tuning (items, questions, options or base differ); name a new --out"
        )
    return measured


def forecast(
    runs: Sequence[Retraining],
    out: Path,
    say: Callable[[str], None],
    progress: Progress | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """A progress for ``retrain`` that says how many runs ``out`` lacks and, after the first, about how long they take.

    The first line is said at once. Everything told is handed on to ``progress``.
    """
    missing = [not (out / f"{run.name}.json").is_file() for run in runs]
    say(f"{sum(missing)} of {len(runs)} retrains are to do")
    started: list[tuple[int, float]] = []

    def tell(what: str, done: int, total: int) -> None:
        if what == "retraining" and done <= len(runs):
            if len(started) == 1 and done > started[0][0]:
                seconds = clock() - started[0][1]
                left = sum(missing[done:])
                if left:
                    rest = f"the other {left} about {_duration(left * seconds)}"
                    say(f"a retrain takes about {_duration(seconds)}; {rest}")
                started.append((done, seconds))
            elif not started and done < len(runs) and missing[done]:
                started.append((done, clock()))
        if progress is not None:
            progress(what, done, total)

    return tell


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
