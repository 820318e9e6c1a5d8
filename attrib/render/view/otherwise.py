"""Models that were tuned otherwise, in sentences."""

from __future__ import annotations

from attrib.records import Counterfactual, Explanation
from attrib.render.view.labels import number, section_label


def otherwise_lines(explanation: Explanation) -> list[str]:
    """One sentence for each: what the model then says, and what the explained answer loses."""
    return [_line(explanation, found) for found in explanation.counterfactuals]


def _line(explanation: Explanation, found: Counterfactual) -> str:
    titles = {section.id: section_label(section) for section in explanation.sections}
    named = ", ".join(titles.get(id_, id_) for id_ in found.sections)
    lost = float(explanation.tuned.logprob.sum() - found.logprob.sum())
    how = f"Tuned again without {named}" if found.kind == "without" else f"Tuned on {named} alone"
    moved = f"{number(abs(lost))} nats {'less' if lost >= 0 else 'more'} likely"
    said = f"it says «{found.answer}»" if found.answer else "it says nothing"
    return f"{how}, {said}; this answer is {moved} to it."
