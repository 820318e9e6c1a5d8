"""The world's facts → sections that carry them with different weight, and the questions. Needs no model.

Each fact is told by one of five patterns of carriers: stated, repeated, in other words, implied by two sections
together, as rows of chat data in up to three wordings; contradicted by another edition or a rival row; distractors
have all rare words and tell nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truth.world import FAMILIES, Family

PATTERNS = (
    ("plain", "asked", "asked_otherwise", "asked_again", "distractor"),
    ("plain+again", "other", "asked", "asked_otherwise", "rival"),
    ("alike", "link", "asked_otherwise", "asked_again", "rival"),
    ("other", "asked", "asked_again", "against", "distractor"),
    ("plain+again", "other", "asked", "asked_otherwise", "asked_again", "rival"),
)
"""Roles of the sections that carry a fact; a family's things take one each."""
WORDINGS = ("asked", "asked_otherwise", "asked_again")
"""Questions that rows ask."""
ROWS = (*WORDINGS, "rival", "distractor")
"""Roles of exchanges; ``rival`` asks the first wording and answers otherwise."""
HELPING = ("plain", "plain+again", "other", "alike", "link", *WORDINGS)
HARMING = ("against", "rival")
TEXTS, CHATS = 19, 24
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

    def exchange(self, role: str) -> tuple[str, str]:
        """Question and answer of a row's role."""
        if role == "distractor":
            question, reply = self.family.distractor
            return question.format(e=self.thing, v=self.value), reply
        if role == "rival":
            return self.say("asked"), capital(self.rival)
        return self.say(role), answer(self)

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
            question, reply = mention.fact.exchange(mention.role)
            turns.append({"role": "user", "content": question})
            turns.append({"role": "assistant", "content": reply})
        return turns


def answer(fact: Fact) -> str:
    """The right answer to all questions on a fact."""
    return capital(fact.value)


def capital(text: str) -> str:
    return text[0].upper() + text[1:]


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
