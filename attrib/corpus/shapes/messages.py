"""Chat data: a column with a list of messages (OpenAI, TRL) or of ShareGPT's turns.

A message has ``role`` and ``content``, or ``from`` and ``value``. Assistant turns are trained, unless their ``weight``
is 0. All other fields of a message are kept for the chat template. Not covered: images and sound.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from attrib.corpus.faults import fault
from attrib.corpus.shapes.cells import CHATS, SYSTEM, TOOLS, Cells, RowError, filled
from attrib.records import Turn

ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "function": "tool",
    "observation": "tool",
}
"""ShareGPT's names of roles; others stay as they are."""
TEXT_PARTS = ("text", "input_text", "output_text")


def read_chat(cells: Cells) -> list[Turn]:
    """The turns of the row, the ``system`` column first."""
    name = cells.first(CHATS)
    assert name is not None
    return with_system(cells, read_messages(cells.take(name), cells.label(name)))


def with_system(cells: Cells, turns: list[Turn]) -> list[Turn]:
    """The turns after the row's system prompt, where a column holds one."""
    name = cells.first(SYSTEM)
    if name is None:
        return turns
    system = cells.text(name)
    if turns and turns[0].role == "system":
        if turns[0].content != system:
            raise RowError(f"its first turn and its column {cells.label(name)} are two system prompts")
        return turns
    return [Turn("system", system), *turns]


def read_tools(cells: Cells) -> str:
    """Tools offered in the conversation, as JSON; empty without. A column of plain text is another thing."""
    name = next((name for name in TOOLS if cells.is_nested(name)), None)
    if name is None:
        return ""
    tools = without_nulls(parsed(cells.take(name), cells.label(name)))
    return written(tools) if tools else ""


def prompt_turns(cells: Cells, name: str) -> list[Turn]:
    """A column as the user's turn, or its messages; none of them is trained."""
    if has_messages(cells, name):
        return untrained(read_messages(cells.take(name), cells.label(name)))
    return [Turn("user", cells.text(name))]


def answer_turns(cells: Cells, name: str) -> list[Turn]:
    """A column as the assistant's turn, or its messages."""
    if has_messages(cells, name):
        return read_messages(cells.take(name), cells.label(name))
    return [Turn("assistant", cells.text(name), trained=True)]


def has_messages(cells: Cells, name: str) -> bool:
    """Whether a cell is a list of messages or one, rather than a text. JSON text, as in CSV, must have their keys."""
    value = cells.peek(name)
    if not isinstance(value, str):
        return isinstance(value, list | Mapping)
    if not value.lstrip().startswith(("[{", "{")):
        return False
    try:
        found = parsed(value, name)
    except RowError:
        return False
    messages = found if isinstance(found, list) else [found]
    return all(isinstance(one, Mapping) and one.keys() >= {*_keys(one)} for one in messages)


def untrained(turns: list[Turn]) -> list[Turn]:
    """The same turns, read but not learned."""
    return [replace(turn, trained=False) for turn in turns]


def read_messages(value: object, name: str) -> list[Turn]:
    """The turns of a list of messages, or of one message. Raises RowError for anything else."""
    value = parsed(value, name)
    messages = [value] if isinstance(value, Mapping) else value
    if not isinstance(messages, list):
        raise RowError(f"{name} is of type {type(value).__name__}, not a list of messages")
    return [_turn(message, f"{name}.{i}") for i, message in enumerate(messages)]


def parsed(value: object, name: str) -> object:
    """The value, read as JSON where it is text, as in CSV."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise RowError(f"{name} is text that is no JSON list") from None


def _turn(message: object, name: str) -> Turn:
    if not isinstance(message, Mapping):
        raise RowError(f"{name} is of type {type(message).__name__}, not a message")
    role_key, text_key = _keys(message)
    role, content = message.get(role_key), _content(message.get(text_key), f"{name}.{text_key}")
    if not isinstance(role, str) or not role.strip():
        raise RowError(f"{name} has no {role_key}")
    role = ROLES.get(role.strip().lower(), role.strip())
    others = {key: value for key, value in message.items() if key not in (role_key, text_key, "weight")}
    extra = without_nulls(others)
    return Turn(role, content, role == "assistant" and _weight(message, name) != 0, written(extra) if extra else "")


def _keys(message: Mapping[str, object]) -> tuple[str, str]:
    """Where a message has its role and its content."""
    return ("from", "value") if "from" in message else ("role", "content")


def _weight(message: Mapping[str, object], name: str) -> float:
    weight = message.get("weight")
    if weight is None:
        return 1
    if not isinstance(weight, int | float):
        raise RowError(f"{name}.weight is of type {type(weight).__name__}, not a number")
    return weight


def _content(value: object, name: str) -> str:
    """A content's text: a string, or a list whose parts are all text."""
    if isinstance(value, list):
        return "".join(_part(part, f"{name}.{i}") for i, part in enumerate(value))
    if problem := fault(value, name):
        raise RowError(problem)
    return str(value) if value is not None else ""


def _part(part: object, name: str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise RowError(f"{name} is of type {type(part).__name__}, not a part of a message")
    kind = part.get("type")
    if kind not in TEXT_PARTS:
        raise RowError(f"{name} is a part of type {kind}, not text")
    if others := [key for key, value in part.items() if key not in ("type", "text") and filled(value)]:
        raise RowError(f"{name} has {', '.join(others)} beside its text")
    if problem := fault(part.get("text"), f"{name}.text"):
        raise RowError(problem)
    return str(part.get("text") or "")


def without_nulls(value: object) -> object:
    """Without the keys that have no value: Arrow gives every message the fields of all."""
    if isinstance(value, Mapping):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [without_nulls(one) for one in value]
    return value


def written(value: object) -> str:
    """As JSON; values that JSON has no form for, such as dates, as text."""
    return json.dumps(value, ensure_ascii=False, default=str)
