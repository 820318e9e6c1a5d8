"""A question and its answer in columns of their own: Alpaca, Dolly, question answering with a passage.

The user's turn is ``context``, a blank line and the question; Alpaca's ``input`` follows its instruction on the next
line. Turns of a ``history`` come before it; its answers are trained too, as LLaMA-Factory trains them.
Not covered: several right answers (``assess.questions`` reads them).
"""

from __future__ import annotations

from attrib.corpus.faults import fault
from attrib.corpus.shapes.cells import ANSWERED, ASKED, Cells, RowError
from attrib.corpus.shapes.messages import answer_turns, has_messages, parsed, prompt_turns, with_system
from attrib.records import Turn


def read_asked(cells: Cells) -> list[Turn]:
    """History, question and answer; without the answer where the row has none."""
    turns = asked_turns(cells)
    answer = cells.first(ANSWERED)
    return turns if answer is None else [*turns, *answer_turns(cells, answer)]


def asked_turns(cells: Cells) -> list[Turn]:
    """Everything before the answer; the last turn is the user's."""
    name = cells.first(ASKED)
    assert name is not None
    if has_messages(cells, name):
        return with_system(cells, [*_history(cells), *prompt_turns(cells, name)])
    question = cells.text(name)
    if name != "input" and "input" in cells:
        question = f"{question}\n{cells.text('input')}"
    if "context" in cells:
        question = f"{cells.text('context')}\n\n{question}"
    return with_system(cells, [*_history(cells), Turn("user", question)])


def _history(cells: Cells) -> list[Turn]:
    turns = []
    if not cells.is_nested("history"):
        return []
    history = parsed(cells.take("history"), cells.label("history"))
    if not isinstance(history, list):
        raise RowError(f"{cells.label('history')} is of type {type(history).__name__}, not a list of pairs")
    for i, pair in enumerate(history):
        name = f"{cells.label('history')}.{i}"
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise RowError(f"{name} is not a pair of question and answer")
        if problem := fault(pair[0], name) or fault(pair[1], name):
            raise RowError(problem)
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1], trained=True)]
    return turns
