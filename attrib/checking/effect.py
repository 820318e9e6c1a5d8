"""What tuning does to a few texts: log p of rows of the data and of control texts, before and after.

Texts are read as the mapper ``learned`` reads them, so that the numbers are those of ``attrib explain``.
Not covered: whether answers are right, and whether one section was learned (``learned``, with all control texts).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeVar

from attrib.index.readings import read_sections
from attrib.mapping.reading import mapping_layer
from attrib.models.pair import ModelPair
from attrib.progress import Progress
from attrib.records import Section
from attrib.records.item import Form

T = TypeVar("T")
Finding = Literal["data", "form", "mixed", "little", "nothing", "worse", "unknown"]
"""``data``: every row gained more than every control text; ``form``: control texts gained at least half as much;
``mixed``: some rows did; ``little``: rows gained nearly nothing; ``nothing``: no text changed; ``worse``: rows became
less probable; ``unknown``: there are no rows."""
LITTLE = 0.02
"""Nats a token: below it a gain is a change of the probability by less than 2%."""
LOST = 0.1
"""Nats a token that control texts may lose before it is said."""


@dataclass(frozen=True)
class TextEffect:
    """One text under base and tuned."""

    id: str
    title: str
    place: str
    """Document and lines or row."""
    own: bool
    """Whether it is of the data, rather than a control text."""
    form: Form
    """A text, a conversation or a completion: gains are compared within a form."""
    tokens: int
    """Tokens that were trained, or of a control text all; the first of a text has no log-prob."""
    base: float
    """log p a token under base, nats."""
    tuned: float

    @property
    def gain(self) -> float:
        """tuned − base."""
        return self.tuned - self.base


@dataclass(frozen=True)
class Effect:
    """Rows of the data and control texts under base and tuned."""

    texts: tuple[TextEffect, ...]

    def mean(self, side: Literal["base", "tuned"], *, own: bool) -> float:
        """log p a token over all rows, or over all control texts, nats; nan without any."""
        some = [text for text in self.texts if text.own == own]
        tokens = sum(text.tokens for text in some)
        return sum(getattr(text, side) * text.tokens for text in some) / tokens if tokens else math.nan

    def gain(self, *, own: bool) -> float:
        """Mean of tuned less that of base."""
        return self.mean("tuned", own=own) - self.mean("base", own=own)

    @property
    def beyond(self) -> int:
        """How many rows gained more than every control text of their form."""
        best: dict[Form, float] = {}
        for text in self.texts:
            if not text.own:
                best[text.form] = max(best.get(text.form, -math.inf), text.gain)
        return sum(text.gain > best.get(text.form, -math.inf) for text in self.texts if text.own)

    @property
    def rows(self) -> int:
        """How many rows of the data were read."""
        return sum(text.own for text in self.texts)

    @property
    def finding(self) -> Finding:
        """What the numbers show."""
        if all(text.base == text.tuned for text in self.texts):
            return "nothing"
        if not self.rows:
            return "unknown"
        own, control = self.gain(own=True), self.gain(own=False)
        if own < -LITTLE:
            return "worse"
        if own < LITTLE:
            return "little"
        if control >= own / 2:
            return "form"
        return "data" if self.beyond == self.rows else "mixed"


def measure_effect(
    pair: ModelPair,
    rows: Sequence[Section],
    control: Sequence[Section],
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Effect:
    """log p of rows of the data and of control texts under both models; a text of one token is left out."""
    sections = dict(enumerate((*rows, *control)))
    layer = mapping_layer(pair)
    base, tuned = (
        read_sections(pair, side, sections, layer, cache=cache, progress=progress) for side in ("base", "tuned")
    )
    return Effect(
        tuple(
            TextEffect(
                section.id,
                section.title,
                f"{section.document} {section.lines}",
                number < len(rows),
                section.form,
                base[number].tokens,
                base[number].logprob / base[number].tokens,
                tuned[number].logprob / tuned[number].tokens,
            )
            for number, section in sections.items()
            if base[number].tokens
        )
    )


def spaced(items: Sequence[T], count: int, seed: int = 0) -> list[T]:
    """``count`` of the items, one of each equal part, in their order; seed 0 takes the middle of a part, another seed
    draws a place in it."""
    count = min(count, len(items))
    drawn = random.Random(seed)
    ends = [number * len(items) // count for number in range(count + 1)] if count else [0]
    return [items[drawn.randrange(low, high) if seed else (low + high) // 2] for low, high in pairwise(ends)]


def said(effect: Effect, name: str) -> str:
    """The finding in one sentence; ``name``: what tuning made, such as ``your adapter``."""
    own, control = (_from_to(effect, own=own) for own in (True, False))
    numbers = f"{own} nats a token on its own data, {control} on control texts"
    lost = effect.gain(own=False) < -LOST
    sentences: Mapping[Finding, str] = {
        "data": f"{name} does something: {numbers}"
        + ("; other texts (the control) became less probable than under base" if lost else ""),
        "form": f"{name} changed the form, not the content: {numbers}; control texts gained at least half as much, so "
        "that these rows do not show that its data were learned",
        "mixed": f"{name} does something to some rows: {numbers}; {effect.beyond} of {effect.rows} rows gained more "
        "than every control text",
        "little": f"{name} does next to nothing to these rows: {numbers}; was it trained on them, in this prompt?",
        "nothing": f"{name} does nothing: the log-probs of all {len(effect.texts)} texts are base's to the last digit",
        "worse": f"{name} made its own data less probable: {numbers}; are these its rows, is this their prompt, was "
        "the learning rate too high?",
        "unknown": f"{name} changes log-probs ({control} nats a token on control texts); name what it was tuned on "
        "with --documents to see whether it learned it",
    }
    return sentences[effect.finding]


def _from_to(effect: Effect, *, own: bool) -> str:
    before, after = (effect.mean(side, own=own) for side in ("base", "tuned"))
    return f"{nats(before)} → {nats(after)}"


def nats(value: float) -> str:
    """A log-prob a token with a true minus sign: two digits, no more than three decimals."""
    digits = 1 if abs(value) >= 0.95 else 2 if abs(value) >= 0.095 else 3
    return f"{value:.{digits}f}".replace("-", "−")
