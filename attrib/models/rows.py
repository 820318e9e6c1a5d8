"""Whether a question is asked as the rows of the training data were written: system prompt, template or raw text; and
whether the template writes all that the rows have.

Not covered: wording, language, turns before the question, and what another tokenizer or template makes of the rows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from attrib.errors import InputError
from attrib.models.chat import Chat
from attrib.records import Section

SHOWN = 60
"""Characters shown of a system prompt."""
TOOLS = "tools"
"""What the tools offered in a conversation are called, as the column of the rows."""
TRIED = 3
"""Rows with a field by which it is told whether the template writes it."""


def differences(chat: Chat, sections: Sequence[Section]) -> tuple[str, ...]:
    """One line for each way in which the prompt of a question differs from the rows; empty without rows of chat data.

    The most frequent form of the rows counts.
    """
    rows = [section for section in sections if section.turns]
    if not rows:
        return ()
    names = {section.document for section in rows}
    what = f"rows of {next(iter(names))}" if len(names) == 1 else f"rows of {len(names)} files"
    raw = sum(section.form == "completion" for section in rows)
    if 2 * raw > len(rows):
        if not chat.has_template:
            return ()
        return (
            f"{what} are raw prompts and completions; this question stands in a chat template ({chat.source}): add "
            "--template none, or --prompt-format",
        )
    found = []
    if not chat.has_template and not chat.form.around:
        found.append(f"{what} are conversations; this question has no chat template: name the rows' by --template")
    if line := _system(chat, [section for section in rows if section.form == "conversation"]):
        found.append(f"{what} {line}")
    if lost := _left_out(chat.of_rows, rows):
        found.append(
            f"the chat template writes nothing of what {what} have as {', '.join(lost)}: if they were trained with it, "
            "name their template by --template"
        )
    return tuple(found)


def _left_out(chat: Chat, rows: Sequence[Section]) -> list[str]:
    """Fields of messages, and tools, without which the template writes the rows that have them just the same; of each
    a few rows are tried, since a template may write it in some places only."""
    having: dict[str, list[Section]] = {}
    for section in rows if chat.has_template else ():
        fields = {name for turn in section.turns if turn.extra for name in json.loads(turn.extra)}
        for name in sorted(fields | ({TOOLS} if section.tools else set())):
            having.setdefault(name, []).append(section)
    return [name for name, some in having.items() if not any(_writes(chat, one, name) for one in some[:TRIED])]


def _writes(chat: Chat, section: Section, name: str) -> bool:
    """Whether the row is written otherwise without the field; a row that cannot be written is refused elsewhere."""
    turns = [replace(turn, extra=_without(turn.extra, name)) for turn in section.turns]
    try:
        whole = chat.conversation(section.turns, section.tools)
        return whole != chat.conversation(turns, "" if name == TOOLS else section.tools)
    except InputError:
        return True


def _without(extra: str, name: str) -> str:
    kept = {key: value for key, value in json.loads(extra).items() if key != name} if extra else {}
    return json.dumps(kept, ensure_ascii=False) if kept else ""


def _system(chat: Chat, rows: Sequence[Section]) -> str:
    """How the system prompts differ; empty where the most frequent one is the question's."""
    asked = next((turn.content for turn in chat.form.earlier if turn.role == "system"), None)
    counted = Counter(next((turn.content for turn in section.turns if turn.role == "system"), None) for section in rows)
    most, count = counted.most_common(1)[0]
    if most == asked or chat.form.around:
        return ""
    this = f"this question has «{_short(asked)}»" if asked is not None else "this question has none"
    share = f" ({count} of {len(rows)})" if count < len(rows) else ""
    if most is None:
        return f"have no system prompt{share}; {this}: leave --system out"
    return f"have the system prompt «{_short(most)}»{share}; {this}: add --system"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
