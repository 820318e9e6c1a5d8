"""A file of messages → the turns before a question.

Messages are read as those of training data are (``corpus.shapes.messages``): ShareGPT's names and contents in parts
too. Not covered: content that is no text (images).
"""

from __future__ import annotations

from pathlib import Path

from attrib.corpus.formats.jsonl import lines_table, parse_json
from attrib.corpus.shapes.cells import RowError
from attrib.corpus.shapes.messages import read_messages, untrained
from attrib.errors import InputError
from attrib.records import Turn


def read_conversation(file: Path) -> tuple[Turn, ...]:
    """Earlier turns from JSON (a list of messages, or an object with ``messages``) or JSONL (one message a line).

    Raises InputError for a file that cannot be read, and for turns after which no question can come.
    """
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; check the path of --conversation") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error}); give JSON in UTF-8") from error
    turns = [turn for number, message in enumerate(_messages(text, file), 1) for turn in _turn(message, file, number)]
    if not turns:
        raise InputError(f"{file}: it has no messages; leave --conversation out")
    if turns[-1].role == "user":
        raise InputError(
            f"{file}: the last message is the user's, and the question is the next; end with the assistant's"
        )
    return tuple(turns)


def _messages(text: str, file: Path) -> list[object]:
    try:
        content = parse_json(text)
    except (ValueError, RecursionError) as error:
        by_line = lines_table(text)
        if by_line.faults:
            raise InputError(f"{file}: it is neither JSON nor JSONL ({error}); give a list of messages") from error
        return [row.cells for row in by_line.rows]
    if isinstance(content, dict) and isinstance(content.get("messages"), list):
        content = content["messages"]
    return content if isinstance(content, list) else [content]


def _turn(message: object, file: Path, number: int) -> list[Turn]:
    try:
        turns = untrained(read_messages([message], "messages"))
    except RowError:
        turns = []
    # A message of tool calls has no text, but fields of its own.
    if not all(turn.content or turn.extra for turn in turns) or not turns:
        raise InputError(
            f"{file}, message {number}: it needs a role and a content, both texts; as in "
            '{"role": "user", "content": …}'
        )
    return turns
