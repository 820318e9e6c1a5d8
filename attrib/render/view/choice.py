"""Words that a person names → tokens of the answer, positions of the question."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from attrib.errors import InputError
from attrib.records import Explanation, Token
from attrib.render.view.labels import joined_label, visible
from attrib.text.units import question_positions


def answer_part(explanation: Explanation, text: str) -> tuple[int, ...]:
    """Answer tokens that hold ``text`` where it first stands as words, else inside of one.

    Raises InputError where it stands nowhere.
    """
    return _part("answer", explanation.answer_tokens, range(len(explanation.answer_tokens)), text)


def question_part(explanation: Explanation, text: str) -> tuple[int, ...]:
    """Positions in the prompt that hold ``text`` where the question first has it. Raises InputError as above."""
    asked = question_positions(explanation.prompt_tokens, explanation.question)
    return _part("question", [explanation.prompt_tokens[i] for i in asked], asked, text)


def _part(what: str, tokens: Sequence[Token], places: Sequence[int], text: str) -> tuple[int, ...]:
    whole = "".join(token.text for token in tokens)
    wanted = text.strip()
    at = _place(whole, wanted)
    if at < 0:
        shown = visible(whole.strip())
        raise InputError(
            f"{what}-part {text!r}: the {what} does not have it; copy it from “{shown[:80]}{'…' * (len(shown) > 80)}”"
        )
    ends = np.cumsum([len(token.text) for token in tokens])
    starts = ends - [len(token.text) for token in tokens]
    inside = (ends > at) & (starts < at + len(wanted))
    return tuple(place for place, held in zip(places, inside, strict=True) if held)


def _place(whole: str, wanted: str) -> int:
    """First place of ``wanted`` at the start of a word, else the first of all; −1 for none."""
    if not wanted:
        return -1
    found = re.search(rf"(?<!\w){re.escape(wanted)}", whole)
    return found.start() if found else whole.find(wanted)


def checked(what: str, chosen: Sequence[int] | None, size: int) -> tuple[int, ...]:
    """The indices that were chosen, or all; InputError for none and for those that do not exist."""
    if not size:
        raise InputError(f"the {what} has no tokens, so there is nothing to draw; explain a non-empty one")
    if chosen is None:
        return tuple(range(size))
    if not chosen or not all(0 <= i < size for i in chosen):
        raise InputError(f"{what} tokens {tuple(chosen)}: name some from 0 to {size - 1}")
    return tuple(sorted(set(chosen)))


def quoted(tokens: Sequence[Token], chosen: Sequence[int]) -> str:
    """``“thirty-six”``: the chosen tokens' text, an ellipsis where some between them are missing."""
    return f"“{joined_label(tokens, chosen)}”"
