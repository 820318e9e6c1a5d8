"""Which scores may have a dot: those that a control can contradict, and none that speak of tuning under base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from attrib.mapping import NAMES, has_q, mapper_kind
from attrib.records import Explanation, MappingSide
from attrib.render import figures, view
from attrib.render.payload import payload
from tests.make import make_explanation

TUNING = ("learned", "combined", "influence")


@pytest.mark.parametrize("mapper", NAMES)
@pytest.mark.parametrize("beside", [(), ("influence",)])
def test_no_score_that_speaks_of_tuning_is_compared_under_base(mapper: str, beside: Sequence[str]) -> None:
    claim = mapper_kind(mapper, beside).claim
    assert has_q(claim, "base") == (mapper not in TUNING)
    assert has_q(claim, "tuned") == (mapper != "learned")


def test_combined_speaks_of_influence_only_where_it_was_computed() -> None:
    without, beside = (make_explanation(mappers=names) for names in (("combined",), ("influence", "combined")))
    assert view.kind_in(without, "combined").claim == "evidence"
    assert view.kind_in(beside, "combined").claim == "influence"
    assert "No influence is in it" in figures.caption(without, "combined")
    assert "influence in one score" in figures.caption(beside, "combined")


def degenerate(explanation: Explanation, mapper: str) -> Explanation:
    """No q on either side: all control texts score 0."""
    mapping = explanation.mappings[mapper]

    def side(found: MappingSide) -> MappingSide:
        none = np.full(found.q.shape, np.nan)
        return replace(found, control=0 * found.control, control_whole=0 * found.control_whole, q=none)

    changed = replace(mapping, base=side(mapping.base), tuned=side(mapping.tuned))
    return replace(explanation, mappings={**explanation.mappings, mapper: changed})


def test_a_degenerate_control_has_no_dot_in_any_view_and_the_reason_is_said() -> None:
    explanation = degenerate(make_explanation(mappers=("bm25", "combined")), "combined")
    heat = view.section_heat(explanation, "combined")
    assert not heat.marked
    assert not view.track(explanation, "combined").tuned.marks.any()
    assert all(not row.explains for row in view.section_rows(explanation, mapper="combined"))
    (found,) = [m for m in payload(explanation)["mappers"] if m["name"] == "combined"]  # type: ignore[attr-defined]
    assert (
        found["tuned"]["noDots"] == "no dots: all control texts score alike, so nothing tells these scores from chance"
    )
    assert found["base"]["noDots"] == "no dots under base: the score speaks of tuning"
    for flag in ("marked", "above"):
        assert set(found["tuned"][flag]["b"]) <= set("A="), "no token is marked, or above a control that cannot fail"
    said = figures.caption(explanation, "combined"), figures.track_caption(explanation, "combined")
    assert all("No dots: all control texts score alike" in one for one in said)
    (other,) = [m for m in payload(explanation)["mappers"] if m["name"] == "bm25"]  # type: ignore[attr-defined]
    assert other["base"]["noDots"] == ""
