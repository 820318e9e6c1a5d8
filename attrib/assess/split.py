"""Sections and questions → a part that is tuned on and a part that is held out.

What belongs together stays together: near-duplicates, the questions of a section, of a fact, and of one wording. A
*group* is such a set, however long the chain that ties it.
Not covered: paraphrases that nothing ties (no fact, no near-duplicate), and more than two parts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from attrib.assess.holdout.options import By, SplitOptions, Stratify
from attrib.assess.questions import Question
from attrib.errors import InputError
from attrib.records import Section

Part = Literal["tuned-on", "held-out", "general"]
PARTS: tuple[Part, Part, Part] = ("tuned-on", "held-out", "general")
"""Learned, kept out, and what no section says."""
COLUMN: dict[str, Part] = {"tuned": "tuned-on", "tuned-on": "tuned-on", "held-out": "held-out", "general": "general"}
"""Values of the column ``split``."""
KINDS: dict[str, Part] = {
    "trained": "tuned-on", "rephrased": "tuned-on", "updated": "tuned-on", "memorization": "tuned-on",
    "held-out": "held-out", "foundation": "general",
}  # fmt: skip
"""The part of each kind of question, for a model that was tuned already."""
REPHRASED = ("rephrased",)
"""Kinds that are asked of what was learned, and never learned themselves."""


@dataclass(frozen=True)
class Split:
    """Which sections are tuned on, and the part of every question."""

    kept: tuple[str, ...]
    """Ids of the sections that are tuned on, in the documents' order."""
    held: tuple[str, ...]
    """Ids of the sections that are held out."""
    parts: tuple[Part, ...]
    """Part of each question."""
    groups: tuple[int, ...]
    """Number of each question's group: questions of one group are not independent."""
    section_groups: tuple[int, ...] = ()
    """The same of each kept and then of each held section; a section and its questions are of one group."""
    leaks: tuple[str, ...] = ()
    """Overlaps of the two parts, a sentence each; empty unless the split was given."""


def split(
    sections: Sequence[Section],
    asked: Sequence[Question],
    *,
    by: By = SplitOptions.by,
    share: float = SplitOptions.share,
    stratify: Stratify = SplitOptions.stratify,
    seed: int = 0,
) -> Split:
    """Part ``sections`` and ``asked``; the same arguments give the same parts.

    ``by`` section or document: about ``share`` of all sections are tuned on, each with the same chance, and as much of
    every document (or of every set of question kinds), up to the size of its largest group. ``by`` column: the
    questions' ``split`` says which part they are of (COLUMN), and their sections follow.
    A question without a section is general, unless a question of its fact has one.
    Raises InputError for sections that are none of these, a share outside 0 to 1, a column that ties the two parts
    together, and for parts that are empty.
    """
    if not 0 < share < 1:
        raise InputError(f"share {share:g}: give the share of the sections to tune on, above 0 and below 1")
    _check_sections(sections, asked)
    ties = _tie(sections, asked, documents=by == "document")
    groups = [ties.root(("section", s.id)) for s in sections]
    if by == "column":
        held = _held_by_column(sections, asked, ties)
    else:
        held = set(groups) - _draw(sections, asked, groups, ties, share, "none" if by == "document" else stratify, seed)
    found = _split(sections, asked, ties, held)
    _refuse_empty(found, asked, by, share)
    return found


def given_split(sections: Sequence[Section], asked: Sequence[Question], held: Iterable[str] | None = None) -> Split:
    """The split of a model that was tuned already.

    ``held``: ids of the sections that it never saw; or None: the part of a question is what its ``split`` says
    (COLUMN), else what its ``kind`` says (KINDS), and a section is held out where all its questions are. What ties the
    parts together is listed in ``leaks``, since nobody can change it any more.
    Raises InputError for ids that are no sections, for a question whose part is not known, and for empty parts.
    """
    _check_sections(sections, asked)
    ties = _tie(sections, asked, documents=False)
    known = {s.id for s in sections}
    if held is not None:
        out = frozenset(held)
        for id_ in sorted(out - known):
            raise InputError(f"held-out: {id_!r} is no section of the documents; attrib sections lists them")
        parts = [_part_of_section(q, out) for q in asked]
    else:
        parts = [_declared(q) for q in asked]
        by_section: dict[str, set[Part]] = {}
        for question, part in zip(asked, parts, strict=True):
            if question.section is not None:
                by_section.setdefault(question.section, set()).add(part)
        out = frozenset(id_ for id_, found in by_section.items() if found == {"held-out"})
    found = _split(sections, asked, ties, set())
    number = dict(zip(found.kept, found.section_groups, strict=True))
    kept, gone = (tuple(s.id for s in sections if (s.id in out) is held_out) for held_out in (False, True))
    found = replace(
        found,
        kept=kept,
        held=gone,
        parts=tuple(parts),
        section_groups=tuple(number[id_] for id_ in (*kept, *gone)),
        leaks=_leaks(sections, asked, parts, out),
    )
    for part in PARTS[:2]:
        if part not in parts:
            raise InputError(f"questions: none is {part}; give questions of both parts, tuned-on and held-out")
    return found


def learned(asked: Sequence[Question], parts: Sequence[Part]) -> tuple[Question, ...]:
    """The questions to tune on: those of the tuned-on part that have an answer and are no rephrasings (REPHRASED)."""
    return tuple(
        question
        for question, part in zip(asked, parts, strict=True)
        if part == "tuned-on" and question.answer is not None and question.kind not in REPHRASED
    )


# ------------------------------------------------------------------------------------------- groups

Node = tuple[str, Hashable]


class _Ties:
    """Disjoint sets of nodes; the root of a set is its node that was seen first."""

    def __init__(self) -> None:
        self._up: dict[Node, Node] = {}
        self._seen: dict[Node, int] = {}

    def root(self, node: Node) -> Node:
        self._seen.setdefault(node, len(self._seen))
        while (up := self._up.get(node, node)) != node:
            self._up[node] = self._up.get(up, up)
            node = up
        return node

    def tie(self, a: Node, b: Node) -> None:
        first, second = sorted((self.root(a), self.root(b)), key=self._seen.__getitem__)
        self._up[second] = first


def _tie(sections: Sequence[Section], asked: Sequence[Question], *, documents: bool) -> _Ties:
    ties = _Ties()
    for section in sections:
        ties.root(("section", section.id))
    for section in sections:
        if section.near_duplicate_of is not None:
            ties.tie(("section", section.near_duplicate_of), ("section", section.id))
        if documents:
            ties.tie(("section", section.id), ("document", section.document))
    for i, question in enumerate(asked):
        me: Node = ("question", i)
        if question.section is not None:
            ties.tie(("section", question.section), me)
        ties.tie(me, ("text", " ".join(question.question.casefold().split())))
        if question.fact:
            ties.tie(me, ("fact", question.fact))
    return ties


def _split(sections: Sequence[Section], asked: Sequence[Question], ties: _Ties, held: set[Node]) -> Split:
    """Everything follows from which groups are held out."""
    number: dict[Node, int] = {}
    of_section = {s.id: number.setdefault(ties.root(("section", s.id)), len(number)) for s in sections}
    with_section = set(number)
    parts: list[Part] = []
    groups = []
    for i in range(len(asked)):
        root = ties.root(("question", i))
        parts.append("general" if root not in with_section else "held-out" if root in held else "tuned-on")
        groups.append(number.setdefault(root, len(number)))
    kept = tuple(s.id for s in sections if ties.root(("section", s.id)) not in held)
    out = tuple(s.id for s in sections if ties.root(("section", s.id)) in held)
    return Split(kept, out, tuple(parts), tuple(groups), tuple(of_section[id_] for id_ in (*kept, *out)))


# ------------------------------------------------------------------------------------------- choice


def _draw(
    sections: Sequence[Section],
    asked: Sequence[Question],
    groups: Sequence[Node],
    ties: _Ties,
    share: float,
    stratify: Stratify,
    seed: int,
) -> set[Node]:
    """Groups to tune on: a systematic sample of groups in the order of their strata, largest first within each.

    A running quota with a random start gives every section the chance ``share`` and every stratum its share.
    """
    size = Counter(groups)
    kinds: dict[Node, set[str]] = {}
    for i, question in enumerate(asked):
        kinds.setdefault(ties.root(("question", i)), set()).add(question.kind)
    document: dict[Node, str] = {}
    for section, group in zip(sections, groups, strict=True):
        document.setdefault(group, section.document)
    rng = np.random.default_rng(seed)
    unique = list(dict.fromkeys(groups))
    chance = dict(zip(unique, rng.permutation(len(unique)).tolist(), strict=True))

    def order(group: Node) -> tuple[object, ...]:
        of = sorted(kinds.get(group, ()))
        stratum: tuple[object, ...] = ()
        if stratify == "document":
            # Whether anything is asked about it: so that the questions are parted as evenly as the sections.
            stratum = (document[group], not of, -size[group])
        elif stratify == "kind":
            stratum = (of, document[group], -size[group])
        return (*stratum, chance[group])

    kept: set[Node] = set()
    taken, seen, start = 0, 0, float(rng.random()) - 0.5
    for group in sorted(unique, key=order):
        seen += size[group]
        if taken + size[group] / 2 <= share * seen + start * size[group]:
            kept.add(group)
            taken += size[group]
    return kept


def _held_by_column(sections: Sequence[Section], asked: Sequence[Question], ties: _Ties) -> set[Node]:
    first: dict[Node, tuple[Part, str]] = {}
    with_section = {ties.root(("section", s.id)) for s in sections}
    for i, question in enumerate(asked):
        root = ties.root(("question", i))
        if not question.split or root not in with_section:
            continue
        part = _column(question)
        was, who = first.setdefault(root, (part, question.id))
        if was != part:
            raise InputError(
                f"questions: {who!r} is {was} and {question.id!r} is {part}, but they hang together (one section, near-"
                "duplicate sections, one fact or one wording); put both in one part"
            )
    return {root for root, (part, _) in first.items() if part == "held-out"}


def _column(question: Question) -> Part:
    if question.split not in COLUMN:
        raise InputError(
            f"questions: the split {question.split!r} of {question.id!r} is no part; write {' or '.join(COLUMN)}"
        )
    return COLUMN[question.split]


def _declared(question: Question) -> Part:
    """Part that a question's own columns name."""
    if question.split in COLUMN:
        return COLUMN[question.split]
    if question.kind in KINDS:
        return KINDS[question.kind]
    raise InputError(
        f"questions: neither the split {question.split!r} nor the kind {question.kind!r} of {question.id!r} says its "
        f"part; write {' or '.join(COLUMN)} in the column split, or name the sections that were held out"
    )


def _part_of_section(question: Question, held: frozenset[str]) -> Part:
    if question.section is None:
        return "general"
    return "held-out" if question.section in held else "tuned-on"


# ------------------------------------------------------------------------------------------- checks


def _check_sections(sections: Sequence[Section], asked: Sequence[Question]) -> None:
    known = {s.id for s in sections}
    for question in asked:
        if question.section is not None and question.section not in known:
            raise InputError(
                f"questions: the section {question.section!r} of {question.id!r} is none of the documents; "
                "attrib sections lists them"
            )


def _refuse_empty(found: Split, asked: Sequence[Question], by: By, share: float) -> None:
    for part, ids in (("tuned-on", found.kept), ("held-out", found.held)):
        if not ids:
            mend = (
                "write it beside some questions" if by == "column" else "give another share or seed, or more documents"
            )
            raise InputError(f"split by {by}, share {share:g}: no section is {part}; {mend}")
        if asked and part not in found.parts:
            raise InputError(
                f"split by {by}, share {share:g}: no question is {part}; ask about more sections, name the section of "
                "each question, or give another seed"
            )


def _leaks(
    sections: Sequence[Section], asked: Sequence[Question], parts: Sequence[Part], held: frozenset[str]
) -> tuple[str, ...]:
    """Overlap of a held-out question or section with the tuned-on part."""
    leaks = []
    known = {s.id for s in sections}
    twins = sum(s.near_duplicate_of in known and (s.id in held) != (s.near_duplicate_of in held) for s in sections)
    if twins:
        leaks.append(f"{_many(twins, 'near-duplicate')} across the parts: what is held out was partly tuned on.")
    for what, keys in (
        ("fact", [q.fact for q in asked]),
        ("wording", [" ".join(q.question.casefold().split()) for q in asked]),
    ):
        sides: dict[str, set[Part]] = {}
        for key, part in zip(keys, parts, strict=True):
            if key:
                sides.setdefault(key, set()).add(part)
        shared = sum({"tuned-on", "held-out"} <= found for found in sides.values())
        if shared:
            leaks.append(f"{_many(shared, what)} asked for in both parts: what is held out was partly tuned on.")
    return tuple(leaks)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"
