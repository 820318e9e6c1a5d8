"""One figure for all assessments: rows of points with intervals, in panels that share the rows, and a legend above.

A ``draw`` module turns its report into groups of panels; ``figure`` lays them out for a column's width, or draws them
in axes of the caller's. Not in: figures of one answer (``render.figures``).
"""

from attrib.assess.dots.drawing import figure
from attrib.assess.dots.plan import BASE, TUNED, Band, Bar, Dot, Look, Mark, Panel, PanelGroup, RowName, Rule

__all__ = ["BASE", "TUNED", "Band", "Bar", "Dot", "Look", "Mark", "Panel", "PanelGroup", "RowName", "Rule", "figure"]
