"""``prompt`` and ``completion``: two strings trained as one text without a chat template, or two lists of messages.

Only the completion is trained. Strings keep every blank: the completion follows its prompt directly. A ``label`` that
is false (KTO) says that the completion was not wanted: nothing of the row is learned.
"""

from __future__ import annotations

from attrib.corpus.shapes.cells import Cells
from attrib.corpus.shapes.messages import answer_turns, has_messages, prompt_turns, untrained
from attrib.records import COMPLETION, PROMPT, Turn


def read_completion(cells: Cells) -> list[Turn]:
    """The prompt's turns, then the completion's."""
    turns = completed(cells, "completion")
    label = str(cells.peek("label")).strip().lower()
    if label in ("true", "false"):
        cells.take("label")
    return untrained(turns) if label == "false" else turns


def completed(cells: Cells, name: str) -> list[Turn]:
    """The column ``prompt``, then the column ``name``, which alone is trained."""
    if has_messages(cells, "prompt") or has_messages(cells, name):
        return [*prompt_turns(cells, "prompt"), *answer_turns(cells, name)]
    return [Turn(PROMPT, cells.text("prompt")), Turn(COMPLETION, cells.text(name), trained=True)]
