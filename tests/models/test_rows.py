"""Training data knows its own prompt: where a question is asked otherwise, one line says how, and what to add."""

from __future__ import annotations

from typing import Any

import pytest

from attrib.models.rows import differences
from attrib.records import Section, Turn
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
