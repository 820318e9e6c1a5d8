"""Question → prompt ids, answer → answer ids, and the boundary between them.

The prompt's ids are always a prefix of the whole sequence: an answer that merges with the end of its prompt
is refused, never re-tokenized. Ids are kept as they were generated; decoded text is for people only.
Not covered: images, and padding (one sequence at a time).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attrib.errors import InputError
from attrib.models.chat import Chat
from attrib.models.law import blank_of, block_before, check_prompt
from attrib.records import Token


@dataclass(frozen=True, eq=False)
class Encoded:
    """One question and one answer as ids and as tokens with character offsets."""

    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    prompt_tokens: tuple[Token, ...]
    answer_tokens: tuple[Token, ...]
    answer: str
    question: str = ""
    """The question's text, to tell it from the chat template; empty where unknown."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and answer together."""
        return self.prompt_ids + self.answer_ids


def encode_prompt(chat: Chat, question: str, *, context: int) -> tuple[int, ...]:
    """Ids of the question in its prompt.

    Raises InputError for an empty question, a chat marker or half a surrogate pair inside it, a template that fails or
    breaks the law (``law``), or a prompt that leaves no room in ``context``.
    """
    if not question.strip():
        raise InputError("question: it is empty; write at least one word")
    special = markers(chat.tokenizer)
    refuse_unusable(special, question, "question")
    for turn in chat.form.earlier:
        refuse_unusable(special, turn.content, "system" if turn.role == "system" else "conversation")
    # Twenty characters a token is beyond any natural text: spares minutes of tokenizing what cannot fit.
    if len(question) > 20 * context:
        raise InputError(
            f"question: {len(question):,} characters cannot fit the model's {context:,} tokens; shorten it"
        )
    check_prompt(chat, question, special.values())
    ids = _ids(chat, chat.prompt(question))
    if len(ids) >= context:
        raise InputError(
            f"question: its prompt has {len(ids):,} tokens, the model's context is {context:,}; shorten the question"
        )
    return ids


def encode_answer(chat: Chat, question: str, prompt_ids: Sequence[int], answer: str) -> tuple[int, ...]:
    """Ids of a given answer after its prompt, or after the prompt with the thinking block that the template writes; a
    blank that the template writes before every answer is the answer's.

    Raises InputError for a blank answer, a chat marker inside it, one that the template writes otherwise (``law``), or
    one whose first characters merge with the prompt's last token, so that the boundary would be a guess.
    """
    if not answer.strip():
        raise InputError(
            "answer: it has only blanks; give the words to explain, or leave it out to let the model answer"
        )
    refuse_unusable(markers(chat.tokenizer), answer, "answer")
    prompt, n = chat.prompt(question), len(prompt_ids)
    # The prompt may have the block already.
    block = decode(chat.tokenizer, prompt_ids[len(_ids(chat, prompt)) :])
    whole = block + answer.removeprefix(block)
    block_before(chat, question, whole)
    # Tokenizers join the template's blank with the answer's first word.
    blank = blank_of(chat, question)
    ids = _ids(chat, prompt + (whole if whole.startswith(blank) else blank + whole))
    if ids[:n] != tuple(prompt_ids) or len(ids) == n:
        mend = "a letter" if answer[0].isspace() else "a space"
        raise InputError(
            f"answer: {answer[:20]!r} merges with the end of the prompt when tokenized; begin it with {mend}"
        )
    return ids[n:]


def encode_given(chat: Chat, question: str, answer: str, *, context: int) -> Encoded:
    """A question with a given answer; InputError as the parts raise it."""
    prompt = encode_prompt(chat, question, context=context)
    ids = encode_answer(chat, question, prompt, answer)
    return encode_whole(chat, question, prompt, ids, context=context, answer=answer)


def encode_whole(
    chat: Chat,
    question: str,
    prompt_ids: Sequence[int],
    answer_ids: Sequence[int],
    *,
    context: int,
    answer: str | None = None,
) -> Encoded:
    """Prompt and answer ids with their tokens; a thinking block that the template writes belongs to the prompt.

    Raises InputError where the conversation does not begin with prompt and answer (``law``), and for what exceeds the
    model's ``context``. ``answer``: the text that was given, None for ids that a model wrote.
    """
    text = decode(chat.tokenizer, answer_ids) if answer is None else answer
    block = block_before(chat, question, text, generated=answer is None)
    n = 0
    while block and decode(chat.tokenizer, answer_ids[:n]) != block:
        n += 1
        if n >= len(answer_ids):
            raise InputError(
                f"answer: the thinking block of the template, {block!r}, ends inside a token; give the answer without "
                "it, and the template's option for it"
            )
    prompt_ids, answer_ids = (*prompt_ids, *answer_ids[:n]), answer_ids[n:]
    return encode(chat.tokenizer, prompt_ids, answer_ids, context=context, question=question)


def _ids(chat: Chat, text: str) -> tuple[int, ...]:
    """A template writes the special tokens itself."""
    return tuple(chat.tokenizer(text, add_special_tokens=not chat.has_template).input_ids)


def encode(
    tokenizer: Any, prompt_ids: Sequence[int], answer_ids: Sequence[int], *, context: int, question: str = ""
) -> Encoded:
    """Prompt and answer ids with their tokens; refuses what exceeds the model's ``context``."""
    total = len(prompt_ids) + len(answer_ids)
    if total > context:
        raise InputError(
            f"answer: prompt and answer have {total:,} tokens, the model's context is {context:,}; shorten it"
        )
    answer, answer_tokens = _tokens(tokenizer, answer_ids)
    _, prompt_tokens = _tokens(tokenizer, prompt_ids)
    return Encoded(tuple(prompt_ids), tuple(answer_ids), prompt_tokens, answer_tokens, answer, question)


def decode(tokenizer: Any, ids: Sequence[int]) -> str:
    """Ids as text, markers included, nothing cleaned up."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def strip_end(tokenizer: Any, ids: Sequence[int]) -> tuple[int, ...]:
    """Generated ids up to the first end-of-turn marker."""
    stop = set(markers(tokenizer))
    kept: list[int] = []
    for token in ids:
        if token in stop:
            break
        kept.append(int(token))
    return tuple(kept)


def _tokens(tokenizer: Any, ids: Sequence[int]) -> tuple[str, tuple[Token, ...]]:
    """Text of ids and each token's place in it.

    A character that spans several tokens (half an emoji each) belongs to the last of them.
    """
    text = decode(tokenizer, ids)
    special = markers(tokenizer)
    tokens, start = [], 0
    for i, token in enumerate(ids):
        # Decoding the tail from a few tokens back is enough for every byte-level and sentencepiece tokenizer,
        # but only whole prefixes are exact; answers are short.
        end = max(start, common_prefix(decode(tokenizer, ids[: i + 1]), text))
        tokens.append(Token(int(token), text[start:end], start, end, int(token) in special))
        start = end
    return text, tuple(tokens)


def common_prefix(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Length of the beginning that two texts, or two sequences of ids, have in common."""
    n = min(len(one), len(other))
    # Faster by far where all of one is in common, as for most texts.
    return n if one[:n] == other[:n] else next((i for i in range(n) if one[i] != other[i]), n)


def markers(tokenizer: Any) -> dict[int, str]:
    """Special tokens by id: those with a role (end of turn …) and those that only the chat template uses."""
    roles = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
    added = ((id_, token.content) for id_, token in tokenizer.added_tokens_decoder.items() if token.special)
    return {int(id_): str(text) for id_, text in (*roles, *added)}


def refuse_unusable(special: Mapping[int, str], text: str, what: str) -> None:
    """A chat marker inside a text would end the turn: the model would see another prompt than the person."""
    inside = [marker for marker in special.values() if marker and marker in text]
    if inside:
        raise InputError(f"{what}: it contains the chat marker {inside[0]!r}; remove it")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"{what}: it contains half of a surrogate pair, which is no character; write it in UTF-8")
