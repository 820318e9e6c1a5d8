"""Explanation → what its page shows, as JSON: arrays in few bytes, and what a byte budget leaves out, said.

In: codes, how much detail fits, and the data by what it is about. Not in: markup and script (``page``).
"""

from attrib.render.payload.build import BUDGET, payload
from attrib.render.payload.codes import Json, array, shown, to_json
from attrib.render.payload.detail import ORDER, Detail, estimate
from attrib.render.payload.verdict import aligned

__all__ = [
    "BUDGET", "ORDER", "Detail", "Json", "aligned", "array", "estimate", "payload", "shown", "to_json",
]  # fmt: skip
