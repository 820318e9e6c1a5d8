"""Questions → the answers of base and tuned: many at once, kept on disk in parts, so that a killed run resumes.

Not covered: several turns, answers of models behind an interface.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from attrib.assess.questions import Question
from attrib.corpus.reading import ReadingReport
from attrib.errors import InputError
from attrib.files import digest_of, write_atomically
from attrib.models.chat import Chat
from attrib.models.fingerprint import versions
from attrib.models.law import block_of
from attrib.models.pair import Model, ModelPair
from attrib.models.prompt import decode, encode_prompt
from attrib.options.answers import AnswerOptions
from attrib.passes.generate import Generated, generate_batch
from attrib.progress import Progress
from attrib.store import Store, records_in

Side = Literal["base", "tuned"]
SIDES: tuple[Side, ...] = ("base", "tuned")
SCHEMA = 3
"""Raised when the stored answers change: older ones are then not found."""
PART = 4
"""Batches of answers in one file: the cost of a kill."""


@dataclass(frozen=True)
class Reply:
    """One answer of one model."""

    text: str
    logprob: float
    """Summed log p of its tokens, and of the end marker where it was said, nats, at temperature 1."""
    tokens: int
    """How many were summed."""
    ended: bool
    """Whether the model ended it; False: stopped at ``max_new_tokens``."""
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class AnsweredPrompts:
    """One part of the answers, as it is stored."""

    prompts: tuple[tuple[int, ...], ...]
    replies: tuple[tuple[Reply, ...], ...]
    """[prompt][sample]."""


def answer_all(
    pair: ModelPair,
    asked: Sequence[Question],
    options: AnswerOptions | None = None,
    *,
    out: Path | None = None,
    sides: Sequence[Side] = SIDES,
    progress: Progress | None = None,
) -> dict[Side, list[list[Reply]]]:
    """Each side's answers, [question][sample]; questions with the same words are asked once.

    With ``out`` each part that is done is kept in ``out/answers``, and none of its prompts is asked again of the same
    model with the same options, whatever else is asked; a part that is damaged is. Raises InputError for a prompt that
    cannot be, by question.
    """
    options = options or AnswerOptions()
    prompts = [_prompt(pair, question) for question in asked]
    blocks = [block_of(chat_for(pair.chat, question), question.question) for question in asked]
    # Like lengths together; the same order whatever is on disk.
    distinct = sorted(dict.fromkeys(prompts), key=lambda ids: (len(ids), ids))
    size = max(1, PART * options.batch // options.samples)
    found: dict[Side, list[list[Reply]]] = {}
    for side in sides:
        model = pair.base if side == "base" else pair.tuned
        store = _answers_of(pair, model, options, out)
        replies: dict[tuple[int, ...], tuple[Reply, ...]] = {}
        for stored in store.entries():
            replies |= zip(stored.prompts, stored.replies, strict=True)
        missing = [prompt for prompt in distinct if prompt not in replies]
        for first in range(0, len(missing), size):
            if progress is not None:
                progress(f"{side} answers", len(distinct) - len(missing) + first, len(distinct))
            part = tuple(missing[first : first + size])
            answers = generate_batch(model, part, **asdict(options))
            new = AnsweredPrompts(part, tuple(tuple(_reply(pair, answer) for answer in some) for some in answers))
            store.put(part, new)
            replies |= zip(new.prompts, new.replies, strict=True)
        if progress is not None:
            progress(f"{side} answers", len(distinct), len(distinct))
        found[side] = [
            [_shown(reply, block) for reply in replies[prompt]] for prompt, block in zip(prompts, blocks, strict=True)
        ]
    return found


def _answers_of(pair: ModelPair, model: Model, options: AnswerOptions, out: Path | None) -> Store[AnsweredPrompts]:
    """A model's answers in a folder of their own; each part lists its prompts."""
    key = {"model": model.fingerprint, "variant": pair.variant, "options": asdict(options)}
    folder = out / "answers" / digest_of(key)[:16] if out is not None else None
    return records_in(folder, key, AnsweredPrompts, "answers", SCHEMA)


def greedy(options: AnswerOptions) -> AnswerOptions:
    """The same options for the one answer that the model thinks best."""
    return replace(options, samples=1, temperature=0.0)


def questions_sha256(asked: Sequence[Question]) -> str:
    """Digest of all that was asked."""
    return digest_of([asdict(question) for question in asked])


def provenance(
    pair: ModelPair,
    asked: Sequence[Question],
    options: object,
    seed: int,
    *,
    reading: ReadingReport | None = None,
    **more: object,
) -> dict[str, object]:
    """Provenance of an assessment: models, questions, options (a dataclass), what was read, versions; ``more`` as
    given.

    Paths are left out but for their last part: a report names no machine.
    """
    return {
        "base": {"name": _name(pair.base.name), "sha256": pair.base.fingerprint},
        "tuned": {"name": _name(pair.tuned.name), "sha256": pair.tuned.fingerprint},
        "device": pair.device,
        "dtype": pair.dtype,
        **({"notes": list(pair.notes)} if pair.notes else {}),
        "questions_sha256": questions_sha256(asked),
        "options": asdict(options),  # type: ignore[call-overload]
        "seed": seed,
        "versions": versions(),
        **({"reading": reading.fields()} if reading is not None else {}),
        **more,
    }


def _name(name: str) -> str:
    """A hub id as it is, of a path its last part."""
    return Path(name).name if Path(name).is_absolute() or Path(name).exists() else name


def write_answers(asked: Sequence[Question], replies: dict[Side, list[list[Reply]]], file: Path) -> None:
    """One JSON line a question, side and sample, with the question, its right answer and the reply."""
    lines = [
        json.dumps(
            {
                "id": question.id,
                "kind": question.kind,
                "question": question.question,
                "answer": question.answer,
                "side": side,
                "sample": number,
                "text": reply.text,
                "logprob": reply.logprob,
                "tokens": reply.tokens,
                "ended": reply.ended,
            },
            ensure_ascii=False,
        )
        for i, question in enumerate(asked)
        for side, some in replies.items()
        for number, reply in enumerate(some[i])
    ]
    write_atomically(file, "".join(f"{line}\n" for line in lines).encode())


def chat_for(chat: Chat, question: Question) -> Chat:
    """The prompts of a question with the turns and tools of its row."""
    return chat.asking(question.turns, question.tools, raw=question.raw)


def _prompt(pair: ModelPair, question: Question) -> tuple[int, ...]:
    try:
        return encode_prompt(chat_for(pair.chat, question), question.question, context=pair.context)
    except InputError as error:
        raise InputError(f"question {question.id!r}: {str(error).removeprefix('question: ')}") from error


def _shown(reply: Reply, block: str) -> Reply:
    """The reply without the thinking block that the template itself writes, which is no answer."""
    return replace(reply, text=reply.text.removeprefix(block))


def _reply(pair: ModelPair, answer: Generated) -> Reply:
    return Reply(decode(pair.tokenizer, answer.ids), answer.logprob, answer.tokens, answer.ended, answer.ids)
