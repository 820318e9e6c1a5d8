"""Preference data: the chosen side is what was learned; the rejected one is named as not used.

``chosen`` is a string, a message, or messages: the answer alone or the whole conversation. The prompt is in the column
``prompt``, in the columns of a question, or in a column of messages. Not covered: losses that teach what not to say.
"""

from __future__ import annotations

from attrib.corpus.shapes.asked import asked_turns
from attrib.corpus.shapes.cells import ASKED, CHATS, Cells
from attrib.corpus.shapes.completions import completed
from attrib.corpus.shapes.messages import (
    answer_turns,
    has_messages,
    prompt_turns,
    read_chat,
    read_messages,
    untrained,
    with_system,
)
from attrib.records import TEXT, Turn


def read_preference(cells: Cells) -> list[Turn]:
    """The conversation with the chosen side; the turns that both sides share are not trained."""
    if not has_messages(cells, "chosen"):
        if "prompt" in cells and not has_messages(cells, "prompt"):
            return completed(cells, "chosen")
        if not _has_prompt(cells):
            return [Turn(TEXT, cells.text("chosen"), trained=True)]
        return [*untrained(_prompt(cells)), *answer_turns(cells, "chosen")]
    chosen = answer_turns(cells, "chosen")
    if not any(turn.role == "user" for turn in chosen):
        return [*untrained(_prompt(cells)), *chosen] if _has_prompt(cells) else with_system(cells, chosen)
    shared = _shared(cells, chosen)
    chosen = [*untrained(chosen[:shared]), *chosen[shared:]]
    if "prompt" not in cells:
        return with_system(cells, chosen)
    # Kept where it says something that the conversation does not, as TRL joins the two.
    said = {turn.content.strip() for turn in chosen}
    prompt = prompt_turns(cells, "prompt")
    is_said = said.issuperset(turn.content.strip() for turn in prompt)
    return with_system(cells, chosen if is_said else [*prompt, *chosen])


def _has_prompt(cells: Cells) -> bool:
    return cells.first((*ASKED, *CHATS)) is not None


def _prompt(cells: Cells) -> list[Turn]:
    """What the chosen side answers."""
    if cells.first(CHATS) is not None:
        return read_chat(cells)
    if "prompt" in cells:
        return with_system(cells, prompt_turns(cells, "prompt"))
    return asked_turns(cells)


def _shared(cells: Cells, chosen: list[Turn]) -> int:
    """How many turns both sides begin with; without the other side all but the last answer."""
    rejected = cells.peek("rejected")
    if rejected is not None and not isinstance(rejected, str):
        other = read_messages(rejected, cells.label("rejected"))
        pairs = enumerate(zip(chosen, other, strict=False))
        shared = next((i for i, (mine, theirs) in pairs if mine != theirs), min(len(chosen), len(other)))
        if shared < len(chosen):
            return shared
    answers = [i for i, turn in enumerate(chosen) if turn.role == "assistant"]
    return answers[-1] if answers else len(chosen)
