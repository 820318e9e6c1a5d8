"""A chat template and messages → text, within bounds, as transformers renders it.

Not covered: which template (``templates``); tools as Python functions, documents, images.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

LONGEST = 10_000_000
"""Most characters of a rendering: beyond any context."""
SECONDS = 20.0
"""Longest time of a rendering, long enough for a busy machine."""
GIVEN = frozenset({"messages", "tools", "documents", "add_generation_prompt", "strftime_now"})
"""Variables that every template gets."""


class RenderingError(Exception):
    """A template does not compile, raises, or does not end; one line."""


class EndlessError(RenderingError):
    """A template that does not end."""


def render(
    template: str,
    messages: Sequence[Mapping[str, object]],
    *,
    tools: object = None,
    to_answer: bool,
    variables: Mapping[str, object],
    date: datetime,
) -> str:
    """The conversation as text; ``to_answer`` asks for the beginning of an answer. Raises RenderingError."""
    # Before the clock starts: the first one imports transformers.
    compiled = _compiled(template)
    context = {
        **variables,
        "messages": [_with_reasoning(message) for message in messages],
        "tools": tools,
        "documents": None,
        "add_generation_prompt": to_answer,
        "strftime_now": date.strftime,
    }

    def joined() -> str:
        parts: list[str] = []
        left = LONGEST
        for part in compiled.generate(**context):
            left -= len(part)
            if left < 0:
                raise EndlessError(f"it writes more than {LONGEST:,} characters")
            parts.append(part)
        return "".join(parts)

    return _in_time(joined)


def variables_of(template: str) -> frozenset[str]:
    """Names of the variables that a caller may set. Raises RenderingError where it does not compile."""
    from jinja2.meta import find_undeclared_variables

    environment = _compiled(template).environment
    names = find_undeclared_variables(environment.parse(template))
    return frozenset(name for name in names if name not in GIVEN and name not in environment.globals)


def writes_date(template: str) -> bool:
    """Whether a date may stand in the rendering."""
    return "strftime_now" in template


def _compiled(template: str) -> Any:
    # The environment of transformers itself, sandbox included: the public function takes no date.
    from transformers.utils.chat_template_utils import _compile_jinja_template

    try:
        return _compile_jinja_template(template)
    except Exception as error:
        raise RenderingError(_reason(error)) from error


def _with_reasoning(message: Mapping[str, object]) -> dict[str, object]:
    """As transformers does: reasoning by the names that templates read."""
    names = ("reasoning_content", "thinking", "reasoning")
    reasoning = next((message[name] for name in names if message.get(name) is not None), None)
    return dict(message) if reasoning is None else {"thinking": reasoning, **message, "reasoning_content": reasoning}


def _in_time(work: Callable[[], str]) -> str:
    """The result of ``work``, stopped after ``SECONDS``: a template can loop without writing anything."""
    done: list[str | Exception] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:
            done.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if thread.is_alive():
        # Raised at the thread's next step.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(RenderingError))
        raise EndlessError(f"it has not ended after {SECONDS:g} seconds")
    if isinstance(done[0], RenderingError):
        raise done[0]
    if isinstance(done[0], Exception):
        raise RenderingError(_reason(done[0])) from done[0]
    return done[0]


def _reason(error: Exception) -> str:
    """Kind of the error, and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160].rstrip('.')}" if lines else type(error).__name__
