"""The world's facts → sections that carry them with different weight, and the questions. Needs no model.

Each fact is told by one of five patterns of carriers: stated, repeated, in other words, implied by two sections
together, as a row of chat data, contradicted by another edition; distractors have all rare words and tell nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scripts.truth.world import FAMILIES, Family

PATTERNS = (
    ("plain", "other", "asked", "distractor"),
    ("plain+again", "other", "asked_otherwise", "against"),
    ("alike", "link", "asked", "distractor"),
    ("plain", "asked", "asked_otherwise", "against"),
    ("plain+again", "other", "asked", "asked_otherwise", "distractor"),
)
"""Roles of the sections that carry a fact; a family's things take one each."""
HELPING = ("plain", "plain+again", "other", "alike", "link", "asked", "asked_otherwise")
ROWS = ("asked", "asked_otherwise")
TEXTS, CHATS = 27, 14
"""Sections that are texts, and conversations."""


@dataclass(frozen=True)
class Fact:
    """One thing's value."""

    id: str
    family: Family
    thing: str
    value: str
    rival: str
    between: str
    roles: tuple[str, ...]

    def say(self, form: str) -> str:
        text: str = getattr(self.family, form)
        return text.format(e=self.thing, v=self.value, r=self.rival, k=self.between)

    def told(self, role: str) -> str:
        """The sentence or sentences of a role."""
        return " ".join(self.say(form) for form in role.split("+"))


@dataclass(frozen=True)
class Mention:
    """A fact in a section."""

    fact: Fact
    role: str


@dataclass(frozen=True)
class Told:
    """One section: sentences of a text, or exchanges of a conversation."""

    title: str
    mentions: tuple[Mention, ...]
    chat: bool

    @property
    def text(self) -> str:
        return " ".join(m.fact.told(m.role) for m in self.mentions)

    @property
    def messages(self) -> list[dict[str, str]]:
        turns = []
        for mention in self.mentions:
            turns.append({"role": "user", "content": mention.fact.say(mention.role)})
            turns.append({"role": "assistant", "content": answer(mention.fact)})
        return turns


def answer(fact: Fact) -> str:
    """The right answer to all questions on a fact."""
    return fact.value[0].upper() + fact.value[1:]


def facts() -> list[Fact]:
    """The facts that are taught."""
    found = []
    for f, family in enumerate(FAMILIES):
        for t, thing in enumerate(family.things):
            roles = PATTERNS[(f + t) % len(PATTERNS)]
            found.append(
                Fact(f"{family.name}-{t}", family, thing, family.values[t], family.rivals[t], family.links[t], roles)
            )
    return found


def decoys() -> list[Fact]:
    """Facts of the same kinds that stand in sections that nobody is taught."""
    return [Fact(f"{f.name}-decoy", f, *f.decoy, "", "", ("plain",)) for f in FAMILIES]


def sections(seed: int = 0) -> tuple[list[Told], list[Told]]:
    """Sections that are taught, and decoys."""
    rng = np.random.default_rng(seed)
    mentions = [Mention(fact, role) for fact in facts() for role in fact.roles]
    texts = _dealt([m for m in mentions if m.role not in ROWS], TEXTS, rng)
    rows = _dealt([m for m in mentions if m.role in ROWS], CHATS, rng)
    taught = [Told(f"Leaf {i + 1}", group, False) for i, group in enumerate(texts)]
    taught += [Told(f"Row {i + 1}", group, True) for i, group in enumerate(rows)]
    unseen = [Mention(fact, "plain") for fact in decoys()]
    pairs = [tuple(unseen[i : i + 2]) for i in range(0, len(unseen), 2)]
    return taught, [Told(f"Leaf {len(texts) + i + 1}", pair, False) for i, pair in enumerate(pairs)]


def _dealt(mentions: list[Mention], count: int, rng: np.random.Generator) -> list[tuple[Mention, ...]]:
    """Mentions dealt to ``count`` groups of like size, no fact twice in a group and as few of a family as possible."""
    size = -(-len(mentions) // count)
    groups: list[list[Mention]] = [[] for _ in range(count)]
    for number in rng.permutation(len(mentions)):
        mention = mentions[int(number)]
        others = [g for g in groups if all(m.fact.id != mention.fact.id for m in g)]
        room = [g for g in others if len(g) < size] or others
        same = [sum(m.fact.family is mention.fact.family for m in g) for g in room]
        best = [g for g, n in zip(room, same, strict=True) if n == min(same)]
        fewest = [g for g in best if len(g) == min(map(len, best))]
        fewest[int(rng.integers(len(fewest)))].append(mention)
    return [tuple(group) for group in groups]
