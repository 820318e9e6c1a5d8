"""How much likelier tuning made each text: sections that it saw, sections held out of it, control texts.

It is the best evidence that documents were learned at all, whatever the answer. Not covered: what was learned of a
section (``verdict.learned``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attrib.errors import InputError
from attrib.measures import bits
from attrib.records import Explanation
from attrib.render.view.headline import headline
from attrib.render.view.sureness import held_out


@dataclass(frozen=True, eq=False)
class GainGroup:
    """The texts of one kind."""

    name: str
    texts: tuple[str, ...]
    """Id of each section, or number of each control text."""
    gain_bits: Float[np.ndarray, " text"]
    """log p tuned − log p base of each text, bits a token."""


@dataclass(frozen=True, eq=False)
class Gains:
    """Every scored text's own gain."""

    groups: tuple[GainGroup, ...]
    """Control texts, held-out sections where there are some, then the other sections."""
    named: float | None
    """Gain of the section that the headline names; None without sections."""


def gains(explanation: Explanation) -> Gains:
    """Raises InputError for a record without a scored text."""
    verdict = explanation.verdict
    held = set(held_out(explanation))
    others = [i for i in range(len(explanation.sections)) if i not in held]

    def sections(name: str, indices: list[int]) -> GainGroup:
        ids = tuple(explanation.sections[i].id for i in indices)
        return GainGroup(name, ids, np.asarray(bits(verdict.section_gain[indices].astype(float))))

    control = np.asarray(bits(verdict.control_gain.astype(float)))
    groups = [GainGroup("control texts", tuple(f"control {i + 1}" for i in range(len(control))), control)]
    groups.append(sections("held-out sections", sorted(held)))
    groups.append(sections("trained sections" if held else "sections", others))
    found = headline(explanation).section
    named = None if found is None else float(bits(float(verdict.section_gain[found])))
    kept = tuple(group for group in groups if len(group.gain_bits))
    if not kept:
        raise InputError("this explanation has no scored text; explain again with --mappers and --candidates")
    return Gains(kept, named)
