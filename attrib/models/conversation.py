"""A file of messages → the turns before a question.

Not covered: content that is no text (images), training data (``corpus``).
"""

from __future__ import annotations

import json
from pathlib import Path

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
    turns = tuple(
        _turn(message, f"{file}, message {number}") for number, message in enumerate(_messages(text, file), 1)
    )
    if not turns:
        raise InputError(f"{file}: it has no messages; leave --conversation out")
    if turns[-1].role == "user":
        raise InputError(
            f"{file}: the last message is the user's, and the question is the next; end with the assistant's"
        )
    return turns


def _messages(text: str, file: Path) -> list[object]:
    try:
        content = json.loads(text)
    except ValueError:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise InputError(f"{file}: it is neither JSON nor JSONL ({error}); give a list of messages") from error
    if isinstance(content, dict) and isinstance(content.get("messages"), list):
        content = content["messages"]
    return content if isinstance(content, list) else [content]


def _turn(message: object, where: str) -> Turn:
    if not isinstance(message, dict) or not all(isinstance(message.get(key), str) for key in ("role", "content")):
        raise InputError(
            f"{where}: it needs a role and a content, both texts; as in " + '{"role": "user", "content": …}'
        )
    extra = {key: value for key, value in message.items() if key not in ("role", "content")}
    return Turn(message["role"], message["content"], extra=json.dumps(extra, ensure_ascii=False) if extra else "")
