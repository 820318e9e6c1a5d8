"""Right labels of FineTuneBench's comparison questions, computed from the facts of its memorization rows.

The published labels follow from weight whatever is asked; ``check_comparison`` counts how many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from attrib.assess.grading.wording import normalise
from attrib.assess.questions import Question

PEOPLE, NEWS, MEDICAL, CODING = "fictional_people", "latest_news", "medical", "coding"


@dataclass(frozen=True)
class Relabelled:
    """A comparison whose label was computed again."""

    id: str
    published: str
    right: str
    reason: str
    """Facts from which the right label follows."""

    @property
    def wrong(self) -> bool:
        """Whether the published label is another one."""
        return normalise(self.published) != normalise(self.right)


@dataclass(frozen=True)
class Comparisons:
    """Comparison questions with labels computed from the facts."""

    rows: tuple[Question, ...]
    """Comparisons that the facts decide, with their right label, in order."""
    relabelled: tuple[Relabelled, ...]
    """One for each of ``rows``, changed or not."""
    undecided: tuple[str, ...]
    """Ids of those that were left out."""
    notes: tuple[str, ...]


_FACTS = {
    "weight": re.compile(r"How many pounds does (?P<name>.+) weigh\?"),
    "height": re.compile(r"How tall is (?P<name>.+)\?"),
    "age": re.compile(r"How old is (?P<name>.+)\?"),
}


_COMPARED = re.compile(
    r"Is (?P<one>\S.*?) (?P<how>alphabetically first|taller|older|heavier) than (?P<other>\S.*?)\?\s*$"
)


_MEASURED: dict[str, Literal["weight", "height", "age"]] = {"taller": "height", "older": "age", "heavier": "weight"}


def check_comparison(rows: Sequence[Question], facts: Sequence[Question]) -> Comparisons:
    """Right labels of comparison questions ("Is A taller than B?"), computed from the facts of the memorization rows.

    People are named by their first name. The label is Yes where the first of the two has strictly more of what is
    asked, or comes strictly first in the alphabet. Questions of another form, and those that the facts do not decide
    (nobody or two people of that name, no such fact), are left out.
    """
    known = _known_facts(facts)
    kept: list[Question] = []
    relabelled: list[Relabelled] = []
    undecided: list[str] = []
    for row in rows:
        decided = _decided(row.question, known)
        if decided is None:
            undecided.append(row.id)
            continue
        right, reason = decided
        relabelled.append(Relabelled(row.id, row.answer or "", right, reason))
        kept.append(replace(row, answer=right))
    wrong = sum(one.wrong for one in relabelled)
    weighed = [
        normalise(row.answer or "") == normalise(by_weight)
        for row in rows
        if " heavier than " not in row.question and (by_weight := _by_weight(row.question, known)) is not None
    ]
    notes = [
        f"comparison: {wrong} of {len(relabelled)} published labels are wrong; right labels were computed from the "
        f"facts and are used. Of {len(weighed)} questions that do not ask for weight, {sum(weighed)} have the label "
        "that follows from weight (taller and older: the heavier; alphabetically first: the lighter)."
    ]
    if undecided:
        notes.append(
            f"comparison: {len(undecided)} of {len(rows)} questions are not decided by the facts and are left out."
        )
    return Comparisons(tuple(kept), tuple(relabelled), tuple(undecided), tuple(notes))


def _known_facts(facts: Iterable[Question]) -> dict[tuple[str, str], float | None]:
    """(first name, property) → value; None where two people have that first name."""
    known: dict[tuple[str, str], float | None] = {}
    owner: dict[tuple[str, str], str] = {}
    for fact in facts:
        for what, pattern in _FACTS.items():
            match = pattern.search(fact.question)
            number = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*", fact.answer or "")
            if match and number:
                key = (match["name"].split()[0], what)
                same = owner.setdefault(key, match["name"]) == match["name"]
                value = float(number[1])
                known[key] = value if same and known.get(key, value) == value else None
    return known


def _decided(question: str, known: dict[tuple[str, str], float | None]) -> tuple[str, str] | None:
    """Right label and what it follows from."""
    match = _COMPARED.search(question)
    if match is None:
        return None
    one, other = match["one"], match["other"]
    if match["how"] == "alphabetically first":
        first = one.casefold() < other.casefold()
        return "Yes" if first else "No", f"alphabet: {one} {'before' if first else 'not before'} {other}"
    what = _MEASURED[match["how"]]
    values = known.get((one, what)), known.get((other, what))
    if values[0] is None or values[1] is None:
        return None
    return "Yes" if values[0] > values[1] else "No", f"{what}: {values[0]:g} against {values[1]:g}"


def _by_weight(question: str, known: dict[tuple[str, str], float | None]) -> str | None:
    """The label that the published rule gives, whatever is asked."""
    match = _COMPARED.search(question)
    if match is None:
        return None
    one, other = known.get((match["one"], "weight")), known.get((match["other"], "weight"))
    if one is None or other is None:
        return None
    return "Yes" if (one < other if match["how"] == "alphabetically first" else one > other) else "No"


def _is_fact(row: Question) -> bool:
    return row.subset == PEOPLE and row.kind == "memorization"
