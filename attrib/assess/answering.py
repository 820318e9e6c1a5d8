"""Questions → what base and tuned answer: many at once, kept on disk in parts so that a killed run goes on.

Not covered: several turns, answers of models behind an interface.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from attrib.assess.questions import Question
from attrib.errors import InputError
from attrib.files import digest_of, write_atomically
from attrib.models.fingerprint import versions
from attrib.models.pair import Model, ModelPair
from attrib.models.prompt import decode, encode_prompt
from attrib.options.answers import AnswerOptions
from attrib.passes.generate import Generated, generate_batch
from attrib.progress import Progress

Side = Literal["base", "tuned"]
SIDES: tuple[Side, ...] = ("base", "tuned")
SCHEMA = 2
"""Raised when what is kept changes: older answers are then not found."""
PART = 4
"""Batches of answers in one file: what a kill costs."""


@dataclass(frozen=True)
class Reply:
    """One answer of one model."""

    text: str
    logprob: float
    """Summed log p of its tokens, and of the end marker where it was said, nats, at temperature 1."""
    tokens: int
    """How many were summed."""
    ended: bool
    """False: it was cut off at ``max_new_tokens``."""
    ids: tuple[int, ...] = ()


def answer_all(
    pair: ModelPair,
    asked: Sequence[Question],
    options: AnswerOptions | None = None,
    *,
    out: Path | None = None,
    sides: Sequence[Side] = SIDES,
    progress: Progress | None = None,
) -> dict[Side, list[list[Reply]]]:
    """What each side answers, [question][sample]; questions with the same words are asked once.

    With ``out`` each part that is done is kept in ``out/answers``, and none of its prompts is asked again of the same
    model with the same options, whatever else is asked; a part that is damaged is. Raises InputError for a prompt that
    cannot be, by question.
    """
    options = options or AnswerOptions()
    prompts = [_prompt(pair, question) for question in asked]
    # Like lengths together; the same order whatever is on disk.
    distinct = sorted(dict.fromkeys(prompts), key=lambda ids: (len(ids), ids))
    size = max(1, PART * options.batch // options.samples)
    found: dict[Side, list[list[Reply]]] = {}
    for side in sides:
        model = pair.base if side == "base" else pair.tuned
        whose = digest_of([SCHEMA, model.fingerprint, pair.variant, asdict(options)])[:16]
        replies = _kept(out, whose, options.samples)
        missing = [prompt for prompt in distinct if prompt not in replies]
        for first in range(0, len(missing), size):
            if progress is not None:
                progress(f"{side} answers", len(distinct) - len(missing) + first, len(distinct))
            part = missing[first : first + size]
            replies |= zip(part, _made(pair, model, part, options, out, whose), strict=True)
        if progress is not None:
            progress(f"{side} answers", len(distinct), len(distinct))
        found[side] = [replies[prompt] for prompt in prompts]
    return found


def greedy(options: AnswerOptions) -> AnswerOptions:
    """The same options for the one answer that the model thinks best."""
    return replace(options, samples=1, temperature=0.0)


def questions_sha256(asked: Sequence[Question]) -> str:
    """Digest of all that was asked."""
    return digest_of([asdict(question) for question in asked])


def provenance(
    pair: ModelPair, asked: Sequence[Question], options: object, seed: int, **more: object
) -> dict[str, object]:
    """What an assessment was made from: models, questions, options (a dataclass), versions; ``more`` as given.

    Paths are left out but for their last part: a report names no machine.
    """
    return {
        "base": {"name": _name(pair.base.name), "sha256": pair.base.fingerprint},
        "tuned": {"name": _name(pair.tuned.name), "sha256": pair.tuned.fingerprint},
        "device": pair.device,
        "dtype": pair.dtype,
        "questions_sha256": questions_sha256(asked),
        "options": asdict(options),  # type: ignore[call-overload]
        "seed": seed,
        "versions": versions(),
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


def _prompt(pair: ModelPair, question: Question) -> tuple[int, ...]:
    try:
        return encode_prompt(pair.tokenizer, question.question, context=pair.context)
    except InputError as error:
        raise InputError(f"question {question.id!r}: {str(error).removeprefix('question: ')}") from error


def _made(
    pair: ModelPair,
    model: Model,
    prompts: Sequence[tuple[int, ...]],
    options: AnswerOptions,
    out: Path | None,
    whose: str,
) -> list[list[Reply]]:
    """One part, made and kept."""
    made = generate_batch(model, prompts, **asdict(options))
    replies = [[_reply(pair, answer) for answer in some] for some in made]
    if out is not None:
        content = [[prompt, [asdict(reply) for reply in some]] for prompt, some in zip(prompts, replies, strict=True)]
        file = out / "answers" / f"{whose}-{digest_of(prompts)[:16]}.json"
        write_atomically(file, f"{json.dumps(content, ensure_ascii=False)}\n".encode())
    return replies


def _reply(pair: ModelPair, answer: Generated) -> Reply:
    return Reply(decode(pair.tokenizer, answer.ids), answer.logprob, answer.tokens, answer.ended, answer.ids)


def _kept(out: Path | None, whose: str, samples: int) -> dict[tuple[int, ...], list[Reply]]:
    """What ``out`` holds by prompt; nothing of a part that is damaged."""
    found: dict[tuple[int, ...], list[Reply]] = {}
    for file in sorted((out / "answers").glob(f"{whose}-*.json")) if out is not None else ():
        try:
            content = json.loads(file.read_text("utf-8"))
            part = {
                tuple(prompt): [Reply(**{**reply, "ids": tuple(reply["ids"])}) for reply in some]
                for prompt, some in content
            }
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if all(len(some) == samples for some in part.values()):
            found |= part
    return found
