"""One law for every prompt: the conversation as the template writes it begins with prompt + answer.

Where it does not hold, the model was trained on something else than what it would be judged by. Not covered: token
ids (``prompt``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

from attrib.errors import InputError
from attrib.models.chat import Chat

PROBE = "Answer."
SHOWN = 24
"""Characters shown on each side of a difference."""
THINKING = ("enable_thinking", "thinking")
"""Options by which templates switch their thinking blocks."""


def check_prompt(chat: Chat, question: str, markers: Collection[str]) -> None:
    """Raises InputError where no answer can follow the prompt as the template writes conversations.

    What a template writes between the two is left to ``block_before`` unless it has one of ``markers``, which no answer
    begins with.
    """
    if not chat.has_template:
        return
    prompt, whole = chat.prompt(question), chat.answered(question, PROBE)
    end = whole.find(PROBE, len(prompt))
    if not whole.startswith(prompt) or end < 0 or any(marker in whole[len(prompt) : end] for marker in markers):
        raise InputError(f"question: {_difference(prompt + PROBE, whole)}; {_mend(chat, question, PROBE)}")


def block_before(chat: Chat, question: str, answer: str, *, generated: bool = False) -> str:
    """The thinking block that the template itself writes before an answer, where ``answer`` begins with it; else empty.

    Raises InputError where the conversation does not begin with prompt + answer. Blanks around a generated answer are
    the model's own. Without a template an answer must not run into the question's last word.
    """
    prompt = chat.prompt(question)
    if not chat.has_template:
        if not chat.form.around and not generated and _runs_together(prompt, answer):
            raise InputError(
                f"answer: without a chat template it would continue the question as {prompt[-12:] + answer[:12]!r}; "
                r'begin it with a space, or give --prompt-format "{question}\n"'
            )
        return ""
    block = block_of(chat, question)
    rest = answer[len(block) :] if block and answer.startswith(block) else ""
    if rest.strip() and _holds(chat, question, prompt + block, rest, generated):
        return block
    if not _holds(chat, question, prompt, answer, generated):
        whole = chat.answered(question, answer)
        raise InputError(f"answer: {_difference(prompt + answer, whole)}; {_mend(chat, question, answer)}")
    return ""


def _holds(chat: Chat, question: str, prompt: str, answer: str, generated: bool) -> bool:
    """Whether a conversation with this answer begins with the prompt and the answer."""
    whole = chat.answered(question, answer)
    if generated and whole.startswith(prompt):
        return whole[len(prompt) :].lstrip().startswith(answer.strip())
    if whole.startswith(prompt + answer):
        return True
    blank = blank_of(chat, question)
    content = answer.removeprefix(blank)
    return bool(blank) and chat.answered(question, content).startswith(prompt + blank + content)


def block_of(chat: Chat, question: str) -> str:
    """What the template writes between prompt and answer; empty without a template, and for blanks alone."""
    found = _between(chat, question)
    return found if found.strip() else ""


def blank_of(chat: Chat, question: str) -> str:
    """Blanks that the template writes between prompt and answer, as Llama 2's does; empty without."""
    found = _between(chat, question)
    return "" if found.strip() else found


def _between(chat: Chat, question: str) -> str:
    if not chat.has_template:
        return ""
    prompt = chat.prompt(question)
    whole = chat.answered(question, PROBE)
    end = whole.find(PROBE, len(prompt))
    return whole[len(prompt) : end] if whole.startswith(prompt) and end >= 0 else ""


def _runs_together(prompt: str, answer: str) -> bool:
    """Whether two texts touch that a blank would part; scripts of wide characters have none."""
    last, first = prompt[-1:], answer[:1]
    return not any(
        character.isspace() or unicodedata.east_asian_width(character) in "WF" for character in (last, first)
    )


def _difference(want: str, whole: str) -> str:
    """Where two texts part, in one line."""
    n = min(len(want), len(whole))
    at = next((i for i in range(n) if want[i] != whole[i]), n)
    return (
        f"after {want[max(0, at - SHOWN) : at]!r} the chat template writes {whole[at : at + SHOWN]!r} where prompt and "
        f"answer have {want[at : at + SHOWN]!r}"
    )


def _mend(chat: Chat, question: str, answer: str) -> str:
    """What makes the law hold, where it is known; every change is tried."""
    for name in THINKING:
        for value in (False, True):
            if name in chat.variables and _would_hold(chat.with_variables({name: value}), question, answer):
                return f"give --template-option {name}={str(value).lower()}"
    if answer.strip() != answer and _would_hold(chat, question, answer.strip()):
        return f"give it without the blanks around it, {answer.strip()[:SHOWN]!r}"
    if answer != PROBE and _would_hold(chat, question, " " + answer):
        return "begin it with a space"
    return "name the template that the model was trained with by --template FILE, or give --prompt-format"


def _would_hold(chat: Chat, question: str, answer: str) -> bool:
    try:
        return _holds(chat, question, chat.prompt(question), answer, False)
    except InputError:
        return False
