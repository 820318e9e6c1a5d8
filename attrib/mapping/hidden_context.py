"""Cosine of hidden states with the sections in the context: Phukan et al. 2024 (arXiv 2405.17980) as published.

The model reads the sections, then the question, then the answer (document + question + answer). The steps:

1. *Extractive tokens.* Cosine of the hidden states, at one layer, of each answer token with each section token. An
   answer token whose best cosine reaches the threshold was copied; the others are glue.
2. *Anchors and windows.* The states of a run of copied tokens are averaged. The section tokens whose states are
   closest to that mean are the anchors; windows of section tokens that hold an anchor are the candidates; the window
   whose mean state has the highest cosine with the run's mean is where the run was copied from.

Layer, threshold, number of anchors and longest window are chosen on a development split (``data/mapping.json``).
Ours, where the paper says nothing: windows do not leave their section; every section gets a score, that of its best
window or, where it has no anchor, of its best token, which never changes which section is first. Sections that do not
fit one context are read in several contexts of whole sections, each with the question and the answer: a cosine then
depends on which sections share its context. Memory is bounded by the longest context.
Not covered: the paper's own prompts and models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.errors import InputError
from attrib.mapping.answer import Answer, MapperScores, resemblance
from attrib.mapping.hidden import unit
from attrib.mapping.mixture import Windows, settings
from attrib.mapping.reading import Reading
from attrib.models.chat import Chat
from attrib.models.prompt import encode_prompt
from attrib.passes.forward import logits_at

if TYPE_CHECKING:
    from attrib.models.pair import Model

HIDDEN_CONTEXT = resemblance("max", "cosine", "cosine of hidden states, the sections in the context")

BETWEEN = "\n\n"
"""Separator of two sections, and of the last section and the question."""
CONTEXT = 2048
"""Tokens of one context unless a section needs more: attention's memory grows with the square."""


@dataclass(frozen=True, eq=False)
class Context:
    """One sequence of section texts, question and answer, and the text that each token lies in."""

    ids: tuple[int, ...]
    """Prompt and answer."""
    prompt: int
    """Number of prompt tokens."""
    owner: np.ndarray
    """Key of the text that each prompt token lies in, −1 for the template's, the question's and blanks, [prompt]."""
    spans: np.ndarray
    """[start, end) characters in that text, [prompt, 2]."""


def make_contexts(
    chat: Chat,
    texts: Mapping[int, str],
    question: str,
    answer_ids: Sequence[int],
    *,
    limit: int,
    context: int,
) -> list[Context]:
    """Contexts of at most ``limit`` tokens that hold every text once and whole, in order.

    A text that needs more than ``limit`` gets a context of its own; one that needs more than the model's ``context`` is
    refused with an InputError, and so is one with a chat marker in it.
    """
    room = limit - _length(chat.tokenizer, chat.prompt(question)) - len(answer_ids)
    groups: list[dict[int, str]] = []
    used = 0
    for key, text in texts.items():
        size = _length(chat.tokenizer, text + BETWEEN)
        if not groups or used + size > room:
            groups.append({})
            used = 0
        groups[-1][key] = text
        used += size
    return [_make_context(chat, group, question, answer_ids, context) for group in groups]


def _length(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False).input_ids)


def _make_context(
    chat: Chat, texts: Mapping[int, str], question: str, answer_ids: Sequence[int], context: int
) -> Context:
    content = BETWEEN.join([*texts.values(), question])
    size = _length(chat.tokenizer, chat.prompt(content)) + len(answer_ids)
    if size > context:
        raise InputError(
            f"sections: with question and answer they have {size:,} tokens, the model's context is {context:,}; cut "
            "sections with a smaller documents.max_tokens, or leave hidden_context out of --mappers"
        )
    ids = encode_prompt(chat, content, context=context)
    prompt = chat.prompt(content)
    read = chat.tokenizer(prompt, add_special_tokens=not chat.has_template, return_offsets_mapping=True)
    start = prompt.find(content)
    if start < 0 or tuple(read.input_ids) != ids:
        raise InputError("sections: the chat template changes their text, so its tokens cannot be assigned to sections")
    offsets = np.asarray(read.offset_mapping, dtype=np.int64).reshape(-1, 2)
    owner, spans = np.full(len(ids), -1), np.zeros((len(ids), 2), dtype=np.int64)
    for key, text in texts.items():
        inside = np.clip(offsets - start, 0, len(text))
        own = inside[:, 1] > inside[:, 0]
        owner[own], spans[own] = key, inside[own]
        start += len(text) + len(BETWEEN)
    return Context((*ids, *answer_ids), len(ids), owner, spans)


@dataclass(frozen=True, eq=False)
class States:
    """Hidden states of one context at one layer."""

    answer: np.ndarray
    """[answer, d_model]"""
    sections: np.ndarray
    """Tokens that lie in a section, in order, [token, d_model]."""
    owner: np.ndarray
    """Text of each of them, [token]."""
    spans: np.ndarray
    """[start, end) characters in that text, [token, 2]."""


def hidden_context(answer: Answer, reading: Reading) -> MapperScores:
    """The published method on the chosen texts: a token's row is its run's score in each text, 0 for glue.

    ``whole`` is the mean over the answer's tokens. Runs the model itself, one forward a context: with the best
    sections of a cheap mapper chosen it ranks them anew. Windows, and the layer unless the reading names one, are those
    of ``data/mapping.json``.
    """
    assert reading.model is not None
    model, choice = reading.model, settings()
    texts = dict(enumerate(reading.texts[i] for i in reading.chosen))
    ids = [token.id for token in answer.tokens]
    contexts = make_contexts(
        model.chat, texts, answer.question, ids, limit=min(CONTEXT, model.context), context=model.context
    )
    layer = reading.context_layer
    if layer is None:
        layer = choice.context_layer(model.n_layers)
    read = [read_context(model, context, layer) for context in contexts]
    scores, spans = attribute(read, len(texts), choice.windows)
    return MapperScores(scores, scores.mean(0), spans)


def read_context(model: Model, context: Context, layer: int) -> States:
    """Residual stream after ``layer`` in one forward over the context; tokens outside every section are dropped."""
    import torch

    kept: list[Any] = []
    hook = (f"blocks.{layer}.hook_resid_post", lambda value, hook: kept.append(value.detach()[0].float().cpu()))
    ids = torch.tensor([context.ids], device=model.device)
    with model.active() as bridge, torch.no_grad():
        logits_at(bridge, ids, range(len(context.ids) - 1, len(context.ids)), [hook])
    states = np.asarray(kept[0].numpy())
    own = context.owner >= 0
    return States(states[context.prompt :], states[: context.prompt][own], context.owner[own], context.spans[own])


# ------------------------------------------------------------------------------------------- arrays


def attribute(read: Sequence[States], texts: int, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Scores [answer, text] and the best window of each, [start, end) characters, [answer, text, 2].

    A token is extractive when it is in any context. Raises nothing; a text in no context scores 0.
    """
    answer = len(read[0].answer)
    copied = np.any([extractive(r.answer, r.sections, windows.threshold) for r in read], axis=0)
    scores, spans = np.zeros((answer, texts)), np.zeros((answer, texts, 2), dtype=np.int64)
    for first, end in runs(copied):
        for r in read:
            mine, found, places = best_windows(r.answer[first:end].mean(0), r.sections, r.owner, windows)
            scores[first:end, mine] = found
            spans[first:end, mine, 0] = r.spans[places[:, 0], 0]
            spans[first:end, mine, 1] = r.spans[places[:, 1] - 1, 1]
    return scores, spans


def extractive(answer: np.ndarray, sections: np.ndarray, threshold: float) -> np.ndarray:
    """Whether each answer token's best cosine with a section token reaches the threshold, [answer]."""
    return np.asarray((unit(answer) @ unit(sections).T).max(1, initial=-1.0) >= threshold)


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """[first, end) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def best_windows(
    span: np.ndarray, sections: np.ndarray, owner: np.ndarray, windows: Windows
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The window of each text most like the mean state ``span``: texts, scores [text], token windows [text, 2].

    Candidates are windows of up to ``longest`` tokens that hold one of the ``anchors`` tokens most like ``span`` and do
    not leave their text, and each text's most similar token. A text's tokens lie together in ``owner``.
    """
    cosine = unit(sections) @ unit(span)
    texts, first, count = np.unique(owner, return_index=True, return_counts=True)
    scores, places = np.zeros(len(texts)), np.zeros((len(texts), 2), dtype=np.int64)
    for row, (start, n) in enumerate(zip(first, count, strict=True)):
        best = start + int(cosine[start : start + n].argmax())
        scores[row], places[row] = cosine[best], (best, best + 1)
    for anchor in np.argsort(-cosine, kind="stable")[: windows.anchors]:
        row = int(np.searchsorted(texts, owner[anchor]))
        low = max(int(first[row]), int(anchor) - windows.longest + 1)
        high = min(int(first[row] + count[row]), int(anchor) + windows.longest)
        score, start, end = _best_window(span, sections[low:high], int(anchor) - low, windows.longest)
        if score > scores[row]:
            scores[row], places[row] = score, (low + start, low + end)
    return texts, scores, places


def _best_window(span: np.ndarray, states: np.ndarray, anchor: int, longest: int) -> tuple[float, int, int]:
    """Cosine, start and end of the best window of ``states`` that holds token ``anchor``."""
    # Differences of running sums, in float64: their last digits decide between windows.
    sums = np.concatenate([np.zeros((1, states.shape[1])), np.cumsum(states, 0, dtype=np.float64)])
    starts, ends = np.meshgrid(np.arange(anchor + 1), np.arange(anchor + 1, len(states) + 1), indexing="ij")
    fits = ends - starts <= longest
    starts, ends = starts[fits], ends[fits]
    means = sums[ends] - sums[starts]
    lengths = np.linalg.norm(means, axis=1) * max(float(np.linalg.norm(span)), 1e-12)
    cosines = means @ span.astype(np.float64) / np.maximum(lengths, 1e-12)
    best = int(cosines.argmax())
    return float(cosines[best]), int(starts[best]), int(ends[best])
