"""Whether a question is asked as the rows of the training data were written: system prompt, template or raw text.

Not covered: wording, language, turns before the question, and what another tokenizer or template makes of the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from attrib.models.chat import Chat
from attrib.records import Section

RAW = frozenset({"prompt", "completion"})
"""Roles of rows that were trained without a chat template."""
SHOWN = 60
"""Characters shown of a system prompt."""


def differences(chat: Chat, sections: Sequence[Section]) -> tuple[str, ...]:
    """One line for each way in which the prompt of a question differs from the rows; empty without rows of chat data.

    The most frequent form of the rows counts.
    """
    rows = [section for section in sections if section.turns]
    if not rows:
        return ()
    names = {section.document for section in rows}
    what = f"rows of {next(iter(names))}" if len(names) == 1 else f"rows of {len(names)} files"
    raw = sum(all(turn.role in RAW for turn in section.turns) for section in rows)
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
    if line := _system(chat, [section for section in rows if section.turns[0].role not in RAW]):
        found.append(f"{what} {line}")
    return tuple(found)


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
