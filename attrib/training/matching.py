"""Examples of a run of another program → the items that they were made of, by number and words.

An example is an item where the words of all its turns stand in it in their order, whatever a chat template puts
between them; where a trainer cut the end off, the rest must begin as the item goes on.
Not covered: examples that a program changed (other system prompts, shuffled turns), several items in one sequence.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from attrib.records import Item
from attrib.training.items import TrainingExample

_WORD = re.compile(r"[^\W_]+")
HEAD = 12
"""Words by which the item of an example is looked for."""


@dataclass(frozen=True)
class Matched:
    """Examples as items, with the counts of what did not fit."""

    items: tuple[Item, ...]
    cut: int
    """Examples whose end the trainer cut off."""
    unknown: int
    """Examples that are none of the items: they are plain texts without a section."""
    unseen: int
    """Items that are no example."""


def match(examples: Sequence[TrainingExample], texts: Sequence[str], items: Sequence[Item]) -> Matched:
    """The item of each example, with the example's own ids and labels; ``texts`` are the decoded examples.

    The item of the same number comes first, then those that begin with the same words and are no example yet.
    """
    contents = [[_words(turn.content) for turn in item.turns if _words(turn.content).strip()] for item in items]
    heads: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, turns in enumerate(contents):
        if turns:
            heads[tuple(max(turns, key=len).split()[:HEAD])].append(number)
    sizes = sorted({len(head) for head in heads}, reverse=True)
    uses: Counter[int] = Counter()
    found, cut, unknown = [], 0, 0
    for number, (example, text) in enumerate(zip(examples, texts, strict=True)):
        words = _words(text)
        near = [number] if number < len(items) else []
        chosen, how = _best(words, near, contents, uses)
        if chosen is None:
            chosen, how = _best(words, _candidates(words, heads, sizes), contents, uses)
        if chosen is None:
            unknown += 1
            found.append(replace(Item.plain(f"example-{number + 1}", text), ids=example.ids, labels=example.labels))
            continue
        cut += how == "cut"
        uses[chosen] += 1
        again = f"-again-{uses[chosen]}" if uses[chosen] > 1 else ""
        item = items[chosen]
        found.append(replace(item, id=item.id + again, ids=example.ids, labels=example.labels))
    return Matched(tuple(found), cut, unknown, sum(not uses[number] for number in range(len(items))))


def _words(text: str) -> str:
    """Its words in lower case with a space around each."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def _candidates(words: str, heads: dict[tuple[str, ...], list[int]], sizes: Sequence[int]) -> list[int]:
    """Numbers of the items that begin somewhere in the example, the longest beginnings first."""
    all_words = words.split()
    found: dict[int, None] = {}
    for size in sizes:
        for start in range(len(all_words) - size + 1):
            found.update(dict.fromkeys(heads.get(tuple(all_words[start : start + size]), ())))
    return list(found)


def _best(
    words: str, numbers: Sequence[int], contents: Sequence[Sequence[str]], uses: Counter[int]
) -> tuple[int | None, Literal["whole", "cut", ""]]:
    """The first item that fits and is no example yet, else the first that fits; whole ones before cut ones."""
    for wanted in ("whole", "cut"):
        fitting = [number for number in numbers if _covered(words, contents[number]) == wanted]
        if fitting:
            return min(fitting, key=lambda number: uses[number]), "whole" if wanted == "whole" else "cut"
    return None, ""


def _covered(words: str, contents: Sequence[str]) -> Literal["whole", "cut", ""]:
    """Whether an example has the words of all turns in their order, or what is left of them at its end."""
    at = 0
    for content in contents:
        found = words.find(content, at)
        if found < 0:
            return "cut" if _ends_within(words[at:], content) else ""
        # Two turns share the space between them.
        at = found + len(content) - 1
    return "whole" if contents else ""


def _ends_within(rest: str, content: str) -> bool:
    """Whether some end of ``rest``, of a word or more, is a beginning of ``content``."""
    first = f" {content.split()[0]}"
    start = rest.find(first)
    while start >= 0:
        if content.startswith(rest[start:].rstrip()):
            return True
        start = rest.find(first, start + 1)
    return False
