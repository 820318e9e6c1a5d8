"""Rehearsal: base's own answers to general questions, learned beside the taught items so that tuning forgets less.

Each step that sees a batch of taught items sees as many rehearsed answers, drawn anew in each epoch. Their loss is the
divergence KL(base ‖ tuned) a token (learning without forgetting, Li and Hoiem 1606.09282): it is 0 as long as tuned is
what base was, where the cross-entropy would sharpen base's own greedy answers.
Not covered: sampling (answers are greedy), answers longer than ``REHEARSED`` tokens, which are cut, and the
probabilities of tokens beyond base's ``TOP`` first ones, which count as one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import zip_longest
from pathlib import Path
from typing import Any

from attrib import processes
from attrib.errors import InputError
from attrib.models.chat import Chat
from attrib.models.prompt import decode, encode_prompt, strip_end
from attrib.models.rendering import IGNORED
from attrib.progress import Progress
from attrib.records import Item, Turn
from attrib.store import records_in
from attrib.training.items import TrainingExample, collate

REHEARSED = 32
"""Longest rehearsed answer in tokens."""
TOP = 64
"""Tokens whose probabilities under base are kept at each place of an answer."""
BATCH = 16
"""Questions that base answers at a time."""
LEAST = 1e-6
"""Least probability of all tokens beyond the first ones."""


@dataclass(frozen=True)
class RehearsedAnswer:
    """An answer of the base as an item, and as the very tokens that it wrote."""

    item: Item
    example: TrainingExample


@dataclass(frozen=True)
class RehearsedAnswers:
    """All of a run, as they are stored."""

    answers: tuple[RehearsedAnswer, ...]


def general(most: int | None = None) -> tuple[str, ...]:
    """The general questions that ship for rehearsal, at most so many, spread over all; none is asked elsewhere."""
    lines = (resources.files("attrib") / "data" / "rehearsal.txt").read_text("utf-8").splitlines()
    count = len(lines) if most is None else min(most, len(lines))
    return tuple(lines[number * len(lines) // count] for number in range(count))


def rehearse(
    network: Any, chat: Chat, questions: Sequence[str], context: int, work: Path, progress: Progress | None
) -> tuple[RehearsedAnswer, ...]:
    """Answers to all questions, shared out over the processes and kept in ``work`` for a run that resumes."""
    if not questions:
        return ()
    # It is the work folder of one set of questions.
    store = records_in(work / "rehearsal", {}, RehearsedAnswers, "rehearsal", 1)
    stored = processes.on_first(lambda: store.get(None))
    if stored is not None:
        return stored.answers
    mine: list[RehearsedAnswer] = []
    numbers = range(processes.rank(), len(questions), processes.world())
    for start in range(0, len(numbers), BATCH):
        some = numbers[start : start + BATCH]
        named = [(f"rehearsal-{number + 1}", questions[number]) for number in some]
        mine += rehearsed(network, chat, named, context)
        if progress is not None:
            progress("rehearsal", min(some[-1] + processes.world(), len(questions)), len(questions))
    turns = zip_longest(*processes.gather(mine))
    answers = tuple(answer for turn in turns for answer in turn if answer is not None)
    processes.on_first(lambda: store.put(None, RehearsedAnswers(answers)))
    return answers


def rehearsed(network: Any, chat: Chat, named: Sequence[tuple[str, str]], context: int) -> list[RehearsedAnswer]:
    """The base's greedy answers to questions with names, in one batch."""
    import torch

    prompts = []
    for name, question in named:
        try:
            # Room for the answer too.
            prompts.append(encode_prompt(chat, question, context=context - REHEARSED))
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=network.device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=network.device)
    with torch.no_grad():
        out = network.generate(ids, attention_mask=mask, max_new_tokens=REHEARSED, do_sample=False, pad_token_id=0)
    ends = _ends(network)
    found = []
    for (name, question), prompt, row in zip(named, prompts, out[:, width:].tolist(), strict=True):
        end = next((place for place, token in enumerate(row, 1) if token in ends), len(row))
        answer = tuple(row[:end])
        said = Turn("assistant", decode(chat.tokenizer, strip_end(chat.tokenizer, answer)), trained=True)
        item = Item(name, (*chat.form.earlier, Turn("user", question), said))
        found.append(RehearsedAnswer(item, TrainingExample(prompt + answer, (IGNORED,) * len(prompt) + answer)))
    return found


def _ends(network: Any) -> set[int]:
    """Tokens that end an answer."""
    end = network.generation_config.eos_token_id
    return set() if end is None else set(end) if isinstance(end, list) else {end}


@dataclass(frozen=True, eq=False)
class BaseTokens:
    """What base expects at each learned token of an example."""

    ids: Any
    """[token, TOP], long: its most likely tokens."""
    logprobs: Any
    """[token, TOP]: their log p under base."""


def base_tokens(network: Any, examples: Sequence[TrainingExample]) -> list[BaseTokens]:
    """What ``network``, without an adapter yet, expects at the learned tokens of each example."""
    import torch

    found = []
    was_training = network.training
    network.eval()
    with torch.no_grad():
        for start in range(0, len(examples), BATCH):
            rows = [{"input_ids": e.ids, "labels": e.labels} for e in examples[start : start + BATCH]]
            given = {name: tensor.to(network.device) for name, tensor in collate(rows).items()}
            learned = given.pop("labels")[:, 1:] != IGNORED
            logits = network(**given, use_cache=False).logits[:, :-1][learned].float()
            best = logits.log_softmax(-1).topk(min(TOP, logits.shape[-1]))
            counts = learned.sum(1).tolist()
            for ids, logprobs in zip(best.indices.split(counts), best.values.split(counts), strict=True):
                found.append(BaseTokens(ids.cpu(), logprobs.cpu()))
    network.train(was_training)
    return found


def collate_rehearsed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """``collate``, with ``base`` where rows have it: which rows these are, and all their ``BaseTokens`` in one."""
    import torch

    batch = collate(rows)
    theirs = [row["base"] for row in rows if "base" in row]
    if theirs:
        batch["base"] = {
            "rows": torch.tensor(["base" in row for row in rows]),
            "ids": torch.cat([one.ids for one in theirs]),
            "logprobs": torch.cat([one.logprobs for one in theirs]),
        }
    return batch


def rehearsal_excess(logits: Any, labels: Any, base: dict[str, Any]) -> Any:
    """Sum over the rehearsed tokens of KL(base ‖ tuned) − cross-entropy, nats: added to a summed cross-entropy, it
    leaves the divergence of the rehearsed tokens in its place.

    ``logits`` [row, position, d_vocab], ``labels`` [row, position], ``base`` of ``collate_rehearsed``.
    """
    import torch

    labels = labels[:, 1:]
    learned = (labels != IGNORED) & base["rows"][:, None]
    logprobs = logits[:, :-1][learned].float().log_softmax(-1)
    tuned, wanted = logprobs.gather(1, base["ids"]), base["logprobs"]
    share = wanted.exp()
    rest = (1 - share.sum(-1)).clamp(min=LEAST)
    left = (1 - tuned.exp().sum(-1)).clamp(min=LEAST)
    divergence = (share * (wanted - tuned)).sum(-1) + rest * (rest.log() - left.log())
    said = logprobs.gather(1, labels[learned][:, None]).squeeze(1)
    return torch.sum(divergence + said)


class RehearsalSampler:
    """Numbers of rows for batches of ``batch`` taught ones and as many rehearsed ones, in the order of ``generator``.

    Rows of like length are taught together, as without rehearsal. What the last batch lacks of taught rows it has of
    rehearsed ones, so that all batches are of one size.
    """

    def __init__(self, lengths: Sequence[int], rehearsed: int, batch: int, generator: Any) -> None:
        """``lengths``: of the taught rows; the ``rehearsed`` ones come after them."""
        from transformers.trainer_pt_utils import LengthGroupedSampler

        self.taught, self.rehearsed, self.batch, self.generator = len(lengths), rehearsed, batch, generator
        self._sampler = LengthGroupedSampler(batch, lengths=list(lengths), generator=generator)

    def __len__(self) -> int:
        return math.ceil(self.taught / self.batch) * 2 * self.batch

    def __iter__(self) -> Iterator[int]:
        order = list(self._sampler)
        draws = self._draws()
        for start in range(0, self.taught, self.batch):
            taught = order[start : start + self.batch]
            yield from taught
            for _ in range(2 * self.batch - len(taught)):
                yield next(draws)

    def _draws(self) -> Iterator[int]:
        """The rehearsed rows, each once before any comes again."""
        import torch

        while True:
            for number in torch.randperm(self.rehearsed, generator=self.generator).tolist():
                yield self.taught + number
