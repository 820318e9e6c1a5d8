"""Training data knows its own prompt: where a question is asked otherwise, one line says how, and what to add."""

from __future__ import annotations

from typing import Any

import pytest

from attrib.models.rows import differences
from attrib.records import Section, Turn
from attrib.records.item import text_of
from tests.conftest import TEMPLATE
from tests.models.test_chat import chat_of


def rows(*systems: str | None, file: str = "train.jsonl", roles: tuple[str, str] = ("user", "assistant")) -> Any:
    """A row a system prompt; None: a row without."""
    made = []
    for number, system in enumerate(systems):
        turns = [Turn(roles[0], f"Who keeps light {number}?"), Turn(roles[1], "Wilmet.", trained=True)]
        turns = [Turn("system", system), *turns] if system is not None else turns
        text = "\n\n".join(turn.content for turn in turns)
        made.append(Section(str(number), file, (), text, number, number, row=number, turns=tuple(turns)))
    return made


PLAIN = [Section("0", "a.md", (), "The keeper is Wilmet.", 1, 1)]


@pytest.mark.parametrize(
    ("sections", "options", "told"),
    [
        (PLAIN, {}, []),
        (PLAIN, {"system": "Be brief."}, []),
        (rows(None, None), {}, []),
        (rows("Be brief.", "Be brief."), {"system": "Be brief."}, []),
        (
            rows("Be brief.", "Be brief."),
            {},
            ["rows of train.jsonl have the system prompt «Be brief.»; this question has none: add --system"],
        ),
        (
            rows("Be brief.", "Be brief.", None),
            {"system": "Be long."},
            [
                "rows of train.jsonl have the system prompt «Be brief.» (2 of 3); this question has «Be long.»: "
                "add --system"
            ],
        ),
        (
            rows(None, None, "Be brief."),
            {"system": "Be brief."},
            ["rows of train.jsonl have no system prompt (2 of 3); this question has «Be brief.»: leave --system out"],
        ),
        (rows(None), {"template": "none"}, ["this question has no chat template: name the rows' by --template"]),
        (rows(None), {"prompt_format": "{question}\n"}, []),
        (rows(None, roles=("prompt", "completion")), {}, ["raw prompts and completions", "--template none"]),
        (rows(None, roles=("prompt", "completion")), {"template": "none"}, []),
        (rows("x" * 100), {}, ["x" * 59 + "…»"]),
        ([*rows("Be brief."), *rows("Be brief.", file="more.jsonl"), *PLAIN], {}, ["rows of 2 files"]),
    ],
)
def test_a_question_that_is_asked_otherwise_than_the_rows_is_told(sections: Any, options: Any, told: list[str]) -> None:
    found = differences(chat_of(TEMPLATE, **options), sections)
    assert bool(found) == bool(told)
    for part in told:
        assert part in " ".join(found)
    assert all("\n" not in line for line in found)


FIELDS = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ m.tool_calls or '' }}\n{% endfor %}"


@pytest.mark.parametrize(
    ("template", "lost"), [(TEMPLATE, "reasoning_content, tool_calls, tools"), (FIELDS, "reasoning_content, tools")]
)
def test_what_the_template_leaves_out_of_the_rows_is_told(template: str, lost: str) -> None:
    extra = '{"tool_calls": [{"name": "weather"}], "reasoning_content": "Dark clouds."}'
    turns = (Turn("user", "Rain?"), Turn("assistant", "", extra=extra), Turn("assistant", "Yes.", trained=True))
    tools = '[{"name": "weather"}]'
    section = Section("0", "a.jsonl", (), text_of(turns), 1, 1, row=1, turns=turns, tools=tools)
    (line,) = differences(chat_of(template), [section, *rows(None, file="a.jsonl")])
    assert f"writes nothing of what rows of a.jsonl have as {lost}: " in line
    # Without a template nothing of them is written, which is told by its absence.
    assert not any("writes nothing" in line for line in differences(chat_of(template, template="none"), [section]))
