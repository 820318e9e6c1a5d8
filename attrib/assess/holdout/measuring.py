"""One model's replies to questions, and its log-probs of right answers, wrong ones and sections.

Not covered: two models beside each other (``comparing``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attrib.assess.answering import Reply, chat_for
from attrib.assess.holdout.membership import (
    Scored,
)
from attrib.assess.holdout.options import HoldoutOptions
from attrib.assess.questions import Question
from attrib.assess.split import Part, Split
from attrib.errors import InputError, ModelError
from attrib.models.chat import Chat
from attrib.models.pair import Model
from attrib.models.prompt import Encoded, encode_answer, encode_given, encode_prompt
from attrib.models.rendering import encode_item, fitting_item
from attrib.passes.forward import at_least_float
from attrib.passes.likelihood import score_given
from attrib.progress import Progress
from attrib.records import Section


@dataclass(frozen=True, eq=False)
class ModelScores:
    """One model's replies and log-probs: every question, and some sections."""

    replies: tuple[str, ...]
    """Its greedy answers, [question]."""
    answers: tuple[Scored, ...]
    """Its log-probs of the right answers, [question]."""
    candidates: tuple[tuple[float, ...], ...]
    """Its mean log p of each question's wrong answers, nats a token, [question][candidate]."""
    sections: tuple[Scored, ...] = ()
    """Its log-probs of what was trained of the sections, in the order of ``chosen_sections``."""


def alternatives(
    questions: Sequence[Question], parts: Sequence[Part], count: int, seed: int = 0, source: Part | None = None
) -> tuple[tuple[str, ...], ...]:
    """``count`` wrong answers for each question, fewer where there are no more: right answers of other questions.

    From the part ``source``; None: from the question's own, so that the model has learned all of them or none. Of the
    same template first, then of the same form (``form_of``). None for general questions.
    """
    rng = np.random.default_rng(seed)
    folded = [_folded(question.answer or "") for question in questions]
    forms = [form_of(question.answer or "") for question in questions]
    chosen: list[tuple[str, ...]] = []
    for i, question in enumerate(questions):
        if parts[i] == "general" or not count:
            chosen.append(())
            continue
        right = {_folded(text) for text in (question.answer or "", *question.accept)}
        likeness: dict[str, tuple[int, str]] = {}
        for j, other in enumerate(questions):
            if parts[j] != (source or parts[i]) or folded[j] in right or _shared(question.fact, other.fact):
                continue
            rank = 0 if _shared(question.template, other.template) else 1 if forms[j] == forms[i] else 2
            if folded[j] not in likeness or rank < likeness[folded[j]][0]:
                likeness[folded[j]] = (rank, other.answer or "")
        chosen.append(_most_alike(likeness.values(), count, rng))
    return tuple(chosen)


def _shared(key: str, other: str) -> bool:
    """Whether two keys of facts or templates are equal and not empty."""
    return bool(key) and key == other


def _most_alike(ranked: Collection[tuple[int, str]], count: int, rng: np.random.Generator) -> tuple[str, ...]:
    """The ``count`` answers of lowest rank, equal ranks in random order."""
    chance = rng.random(len(ranked)).tolist()
    order = sorted(zip(ranked, chance, strict=True), key=lambda pair: (pair[0][0], pair[1]))
    return tuple(answer for (_, answer), _ in order[:count])


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


def chosen_sections(sections: Sequence[Section], split: Split, options: HoldoutOptions) -> tuple[Section, ...]:
    """At most ``options.sections`` of each part, drawn at random, in the documents' order."""
    rng = np.random.default_rng(options.seed)
    chosen: set[str] = set()
    for ids in (split.kept, split.held):
        chosen |= {ids[int(i)] for i in rng.permutation(len(ids))[: options.sections]}
    return tuple(section for section in sections if section.id in chosen)


def measure(
    model: Model,
    replies: Sequence[Sequence[Reply]],
    questions: Sequence[Question],
    wrong: Sequence[Sequence[str]],
    sections: Sequence[Section],
    options: HoldoutOptions,
    *,
    context: int,
    progress: Progress | None = None,
) -> ModelScores:
    """Log-probs of right answers, wrong ones and sections' texts, beside the first of the model's ``replies``."""
    given = [encode_given(chat_for(model.chat, q), q.question, q.answer or "", context=context) for q in questions]
    answers = score_given(model, given, batch=options.batch, progress=progress)
    candidates = score_alternatives(model, questions, wrong, context=context, progress=progress)
    items = [encode_section(model.chat, s, context) for s in sections]
    read = score_given(model, [encoded for encoded, _ in items], batch=max(1, options.batch // 4), progress=progress)
    chosen = [scores.at(rows) for scores, (_, rows) in zip(read, items, strict=True)]
    return ModelScores(tuple(samples[0].text for samples in replies), tuple(answers), tuple(candidates), tuple(chosen))


def encode_section(chat: Chat, section: Section, context: int) -> tuple[Encoded, tuple[int, ...]]:
    """A section's item as a prompt and what follows, and which tokens of that were trained, [token].

    A text has its first token as the prompt, a conversation all before its first trained token. Both are cut where the
    model's context ends. Raises InputError for a conversation that has no trained token before.
    """
    found = encode_item(chat, section.item) if section.item.is_text else fitting_item(chat, section.item, context)
    learned = [position for position in found.learned if 0 < position < context]
    first, end = (learned[0], learned[-1] + 1) if learned else (1, 1)
    encoded = Encoded(found.ids[:first], found.ids[first:end], (), (), section.full_text)
    return encoded, tuple(position - first for position in learned)


def score_alternatives(
    model: Model,
    questions: Sequence[Question],
    answers: Sequence[Sequence[str]],
    *,
    context: int,
    progress: Progress | None = None,
) -> list[tuple[float, ...]]:
    """Mean log p of a token of each of several answers to each question, nats; each prompt is read once.

    Raises InputError as ``encode_answer`` does, and for answers that exceed ``context``.
    """
    import torch

    scores = []
    with model.plain() as network, torch.no_grad():
        for i, (asked, texts) in enumerate(zip(questions, answers, strict=True)):
            if progress is not None:
                progress(f"{model.name} reads other answers", i, len(questions))
            question, chat = asked.question, chat_for(model.chat, asked)
            prompt = encode_prompt(chat, question, context=context)
            ids = [encode_answer(chat, question, prompt, text) for text in texts]
            if ids and len(prompt) + max(map(len, ids)) > context:
                raise InputError(f"answer: one does not fit the model's context after {question[:40]!r}; shorten it")
            means = _continuations(network, prompt, ids) if ids else ()
            if not all(map(math.isfinite, means)):
                raise ModelError(
                    f"{model.name}: log-probs of other answers are not finite; use -o models.dtype=float32"
                )
            scores.append(means)
    return scores


def _continuations(network: Any, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> tuple[float, ...]:
    """Mean log p of a token of each answer after one prompt."""
    import torch

    device = network.get_input_embeddings().weight.device
    longest = max(map(len, answers))
    read = network(input_ids=torch.tensor([list(prompt)], device=device), use_cache=True)
    # Padding follows the answer, which therefore cannot attend to it.
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


def _folded(text: str) -> str:
    """The answer without case, its blanks joined, blanks and full stops cut from its ends."""
    return " ".join(text.casefold().split()).strip(" .")
