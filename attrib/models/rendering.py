"""Item → token ids, labels and characters, as a trainer sees it: the whole conversation rendered and tokenized once.

Trained are the tokens of the trained turns' contents, and the end-of-turn marker after each. Everything else is
context: other turns, headers, and thinking blocks that the template inserts.
Not covered: calls of tools, which are context even in a trained turn; several items packed into one sequence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from attrib.errors import InputError
from attrib.models.chat import Chat
from attrib.models.law import block_before
from attrib.models.prompt import common_prefix, markers, refuse_unusable
from attrib.records import Item, Turn
from attrib.records.item import ASKING, RAW_ROLES

IGNORED = -100
"""Label that the loss leaves out."""


@dataclass(frozen=True, eq=False)
class EncodedItem:
    """One item as token ids, with the labels of the loss."""

    ids: tuple[int, ...]
    """Up to the last one that is learned."""
    labels: tuple[int, ...]
    learned: tuple[int, ...]
    """Positions of the trained turns' own tokens, without markers, ascending."""
    characters: tuple[tuple[int, int], ...]
    """[start, end) of each of them in ``Item.text``; empty places where the ids were recorded by another program."""
    tokens: int
    """Number of ids before the item was cut at a context."""


@dataclass(frozen=True)
class _Rendered:
    """An item as one text, and where its trained turns stand in it."""

    text: str
    special: bool
    """Whether the tokenizer adds its own markers."""
    spans: tuple[tuple[int, int, int], ...]
    """[start, end) of each trained content in ``text``, and its first character in ``Item.text``."""
    ended: bool
    """Whether the template writes the end of a turn; else the tokenizer's end of text is learned after the last."""


def encode_item(chat: Chat, item: Item) -> EncodedItem:
    """The item as it was trained.

    Raises InputError where nothing of it is trained, for a chat marker in a conversation's text, for a template that
    changes a trained turn by more than the blanks at its ends, and for a token that lies half in a trained turn.
    """
    if item.ids:
        return _recorded(item)
    if item.is_text:
        return _encode_text(chat.tokenizer, item.turns[0].content)
    if not any(turn.trained and turn.content.strip() for turn in item.turns):
        raise InputError("no turn with text was trained; mark one, or leave the row out")
    chat, special = chat.of_rows, markers(chat.tokenizer)
    for turn in item.turns:
        # Raw strings may hold the markers that they were trained with.
        if turn.role not in RAW_ROLES:
            refuse_unusable(special, turn.content, turn.role)
    return _label(chat.tokenizer, _render(chat, item), special)


def fitting_item(chat: Chat, item: Item, context: int) -> EncodedItem:
    """The item as a model with ``context`` tokens read it in training: a longer conversation is cut at its end.

    Raises InputError as ``encode_item`` does, for a text that is longer (its document can be cut into shorter
    sections), and for a conversation that has no trained token left.
    """
    found = encode_item(chat, item)
    if item.is_text and not 1 <= len(found.ids) <= context:
        raise InputError(
            f"{len(found.ids):,} tokens, from 1 to {context:,} can be read; cut sections with a smaller "
            "documents.max_tokens"
        )
    if len(found.ids) <= context:
        return found
    kept = sum(position < context for position in found.learned)
    if not kept:
        raise InputError(
            f"nothing that was trained is in its first {context:,} tokens, the model's context; shorten it"
        )
    return replace(
        found, ids=found.ids[:context], labels=found.labels[:context], learned=found.learned[:kept],
        characters=found.characters[:kept],
    )  # fmt: skip


def begin_of_text(tokenizer: Any) -> tuple[int, ...]:
    """The marker that the tokenizer puts before every text by itself, if any; models trained with it need it."""
    bos = tokenizer.bos_token_id
    return (bos,) if bos is not None and tokenizer("a").input_ids[:1] == [bos] else ()


def _recorded(item: Item) -> EncodedItem:
    learned = tuple(position for position, label in enumerate(item.labels) if label != IGNORED)
    return EncodedItem(item.ids, item.labels, learned, ((0, 0),) * len(learned), len(item.ids))


def _encode_text(tokenizer: Any, text: str) -> EncodedItem:
    """Plain text: every token is learned."""
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    bos = begin_of_text(tokenizer)
    ids = (*bos, *read.input_ids)
    characters = tuple((int(start), int(end)) for start, end in read.offset_mapping)
    return EncodedItem(ids, ids, tuple(range(len(bos), len(ids))), characters, len(ids))


def _render(chat: Chat, item: Item) -> _Rendered:
    """All turns as one text: glued where they are raw strings or there is no template."""
    if item.form == "completion":
        return _glue(item, [turn.content for turn in item.turns])
    if not chat.has_template:
        if [turn.role for turn in item.turns] != ["user", "assistant"]:
            mend = "give --template in place of --prompt-format" if chat.form.around else "name the rows' by --template"
            raise InputError(
                f"the row has more turns than a question and its answer, and no chat template to write them; {mend}"
            )
        question, answer = item.turns
        block_before(chat, question.content, answer.content)
        return _glue(item, [chat.prompt(question.content), answer.content])
    text = chat.conversation(item.turns, item.tools)
    places = _places(chat, item, text)
    spans = []
    for turn, first, place in zip(item.turns, item.starts, places, strict=True):
        if turn.trained and turn.content.strip():
            if place is None:
                raise InputError(_difference(turn, text))
            start, end, skipped = place
            spans.append((start, end, first + skipped))
    return _Rendered(text, False, tuple(spans), True)


def _glue(item: Item, parts: Sequence[str]) -> _Rendered:
    """Turns one after the other, as they are."""
    spans, start = [], 0
    for turn, first, part in zip(item.turns, item.starts, parts, strict=True):
        if turn.trained:
            spans.append((start, start + len(part), first))
        start += len(part)
    return _Rendered("".join(parts), True, tuple(spans), False)


Place = tuple[int, int, int]
"""[start, end) of a turn's content in a rendering, and how many blanks the template dropped before it."""


def _places(chat: Chat, item: Item, text: str) -> list[Place | None]:
    """Where each turn's content stands in the rendering ``text``; None for one that is not there, or not for sure.

    The same conversation is rendered with marks for contents: what is around them is the template. A short answer may
    stand in a header or in a default system prompt too, so that looking for it would find the wrong place.
    """
    marks = [f"\ue000{number}\ue001" for number in range(len(item.turns))]
    marked = [
        replace(turn, content=mark) if turn.content else turn for turn, mark in zip(item.turns, marks, strict=True)
    ]
    frame = chat.conversation(marked, item.tools)
    for ways in product((False, True), repeat=2):
        trimmed = [ways[turn.role != "assistant"] for turn in item.turns]
        found = _filled(frame, marks, item.turns, trimmed)
        if found is not None and found[0] == text:
            _refuse_lost(item.turns, found[1], text)
            return found[1]
    # The template looks at contents (thinking blocks): only what occurs once is sure.
    return [_only_place(turn, text) for turn in item.turns]


def _filled(
    frame: str, marks: Sequence[str], turns: Sequence[Turn], trimmed: Sequence[bool]
) -> tuple[str, list[Place | None]] | None:
    """``frame`` with contents in the place of their marks, and where they are; None where a mark occurs twice."""
    places: list[Place | None] = [None] * len(turns)
    order = sorted((frame.find(mark), number) for number, mark in enumerate(marks) if mark in frame)
    pieces, length, before = [], 0, 0
    for at, number in order:
        if frame.count(marks[number]) > 1:
            return None
        whole = turns[number].content
        content = whole.strip() if trimmed[number] else whole
        pieces += [frame[before:at], content]
        start = length + at - before
        length = start + len(content)
        places[number] = start, length, len(whole) - len(whole.lstrip()) if trimmed[number] else 0
        before = at + len(marks[number])
    return "".join([*pieces, frame[before:]]), places


def _refuse_lost(turns: Sequence[Turn], places: Sequence[Place | None], text: str) -> None:
    """A template that drops what was asked would leave the answer without its context."""
    for turn, place in zip(turns, places, strict=True):
        # Its words the template must keep, trained or not.
        if place is None and turn.role in ASKING and turn.content.strip():
            raise InputError(_difference(turn, text))


def _only_place(turn: Turn, text: str) -> Place | None:
    content = turn.content.strip()
    if not content or text.count(content) != 1:
        return None
    start = text.find(content)
    return start, start + len(content), len(turn.content) - len(turn.content.lstrip())


def _difference(turn: Turn, text: str) -> str:
    """What the template makes of a turn, in one line."""
    content = turn.content.strip()[:2000]
    # The place that keeps most of it.
    best = max(range(len(text) + 1), key=lambda at: common_prefix(text[at : at + len(content)], content))
    kept = common_prefix(text[best : best + len(content)], content)
    there, wanted = text[best + kept : best + kept + 20], content[kept : kept + 20]
    if kept < min(5, len(content)):
        return f"the chat template leaves out the {turn.role}'s {content[:30]!r}; name the template it was trained with"
    if kept == len(content):
        return f"the {turn.role}'s {content[:30]!r} stands in the chat template more than once, so its place is a guess"
    return (
        f"the chat template changes the {turn.role}'s text: {wanted!r} becomes {there!r}; name the template that it "
        "was trained with"
    )


def _label(tokenizer: Any, rendered: _Rendered, special: Collection[int]) -> EncodedItem:
    """Tokens of the rendering with labels on those that were trained."""
    bos = begin_of_text(tokenizer) if rendered.special else ()
    read = tokenizer(rendered.text, add_special_tokens=False, return_offsets_mapping=True)
    ids = [*bos, *read.input_ids]
    offsets = [(0, 0)] * len(bos) + [(int(start), int(end)) for start, end in read.offset_mapping]
    labels = [IGNORED] * len(ids)
    learned, characters = [], []
    for span, following in _with_next(rendered.spans, len(rendered.text)):
        start, end, first = span
        own = list(_inside(rendered.text, offsets, start, end))
        for position in own:
            labels[position] = ids[position]
            learned.append(position)
            low, high = (min(max(at, start), end) for at in offsets[position])
            characters.append((first + low - start, first + high - start))
        if rendered.ended and own:
            behind = range(own[-1] + 1, len(ids))
            marker = next((p for p in behind if offsets[p][0] < following and ids[p] in special), None)
            if marker is not None:
                labels[marker] = ids[marker]
    if not rendered.ended:
        end_of_text = tokenizer.eos_token_id
        # After the last turn alone: glued turns have no other end.
        if end_of_text is not None and labels and labels[-1] not in (IGNORED, end_of_text):
            ids.append(end_of_text)
            labels.append(end_of_text)
    last = max((p for p, label in enumerate(labels) if label != IGNORED), default=-1) + 1
    return EncodedItem(tuple(ids[:last]), tuple(labels[:last]), tuple(learned), tuple(characters), last)


def _with_next(spans: Sequence[tuple[int, int, int]], length: int) -> Iterator[tuple[tuple[int, int, int], int]]:
    """Each span, and where the next one starts."""
    return zip(spans, [*(start for start, _, _ in spans[1:]), length], strict=True)


def _inside(text: str, offsets: Sequence[tuple[int, int]], start: int, end: int) -> Iterator[int]:
    """Positions of the tokens of [start, end). A token may take blanks around it along, nothing else."""
    for position, (first, last) in enumerate(offsets):
        low, high = max(first, start), min(last, end)
        if low >= high:
            continue
        beyond = text[first:low] + text[high:last]
        if beyond and (beyond.strip() or not text[low:high].strip()):
            raise InputError(
                f"{text[low : low + 20]!r} merges with {beyond[:20]!r} beside it when tokenized, so that what was "
                "trained is a guess; separate them with a blank"
            )
        yield position
