"""Rehearsal: the base's own answers to general questions, learned again so that tuning forgets less.

Not covered: sampling (answers are greedy), and answers longer than ``REHEARSED`` tokens, which are cut.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from attrib import processes
from attrib.errors import InputError
from attrib.files import write_atomically
from attrib.models.chat import Chat
from attrib.models.prompt import decode, encode_prompt, strip_end
from attrib.models.rendering import IGNORED
from attrib.progress import Progress
from attrib.records import Item, Turn
from attrib.records.codec import from_json, to_json
from attrib.training.items import TrainingExample

REHEARSED = 40
"""Longest rehearsed answer in tokens."""


@dataclass(frozen=True)
class RehearsedAnswer:
    """An answer of the base as an item, and as the very tokens that it wrote."""

    item: Item
    example: TrainingExample


def rehearse(
    network: Any, chat: Chat, questions: Sequence[str], context: int, work: Path, progress: Progress | None
) -> tuple[RehearsedAnswer, ...]:
    """Answers to all questions, shared out over the processes and kept in ``work`` for a run that resumes."""
    if not questions:
        return ()
    file = work / "rehearsal.json"
    stored = processes.on_first(lambda: _read(file))
    if stored is not None:
        return stored
    mine = []
    for number in range(processes.rank(), len(questions), processes.world()):
        mine.append(rehearsed(network, chat, f"rehearsal-{number + 1}", questions[number], context))
        if progress is not None:
            progress("rehearsal", min(number + processes.world(), len(questions)), len(questions))
    turns = zip_longest(*processes.gather(mine))
    answers = tuple(answer for turn in turns for answer in turn if answer is not None)
    processes.on_first(lambda: write_atomically(file, (json.dumps(to_json(answers)) + "\n").encode()))
    return answers


def _read(file: Path) -> tuple[RehearsedAnswer, ...] | None:
    if not file.is_file():
        return None
    answers: tuple[RehearsedAnswer, ...] = from_json(tuple[RehearsedAnswer, ...], json.loads(file.read_text("utf-8")))
    return answers


def rehearsed(network: Any, chat: Chat, name: str, question: str, context: int) -> RehearsedAnswer:
    """The base's greedy answer to one question."""
    import torch

    try:
        # Room for the answer too.
        prompt = encode_prompt(chat, question, context=context - REHEARSED)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    ids = torch.tensor([prompt], device=network.device)
    with torch.no_grad():
        out = network.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=REHEARSED, do_sample=False, pad_token_id=0
        )
    answer = tuple(out[0, len(prompt) :].tolist())
    said = Turn("assistant", decode(chat.tokenizer, strip_end(chat.tokenizer, answer)), trained=True)
    item = Item(name, (*chat.form.earlier, Turn("user", question), said))
    return RehearsedAnswer(item, TrainingExample(prompt + answer, (IGNORED,) * len(prompt) + answer))
