"""Examples find the items that they were made of: shuffled, cut, repeated, and never those of another file."""

from __future__ import annotations

import random

from attrib.models.chat import Chat
from attrib.records import Item, Turn
from attrib.training.items import TrainingExample, example_of
from attrib.training.matching import Matched, match
from tests.conftest import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
CHAT = Chat(TOKENIZER)
ITEMS = tuple(
    Item.answered(f"s{number}", f"Who keeps light number {number}?", f"Keeper {7 * number} keeps it.", f"s{number}")
    for number in range(20)
)


def found(items: tuple[Item, ...], examples: list[TrainingExample]) -> Matched:
    return match(examples, [TOKENIZER.decode(example.ids) for example in examples], items)


def examples_of(*items: Item) -> list[TrainingExample]:
    return [example_of(CHAT, item) for item in items]


def test_every_row_is_found_in_whatever_order_and_keeps_its_own_tokens() -> None:
    order = list(range(20))
    random.Random(0).shuffle(order)
    examples = examples_of(*(ITEMS[number] for number in order))
    got = found(ITEMS, examples)
    assert [item.section for item in got.items] == [f"s{number}" for number in order]
    assert [(item.ids, item.labels) for item in got.items] == [(one.ids, one.labels) for one in examples]
    assert (got.cut, got.unknown, got.unseen) == (0, 0, 0)


def test_numbers_that_begin_alike_are_told_apart() -> None:
    """Row 1 is no row 11: whole words are compared."""
    got = found(ITEMS, examples_of(ITEMS[1], ITEMS[11]))
    assert [item.section for item in got.items] == ["s1", "s11"]
    assert got.unseen == 18


def test_rows_of_another_file_are_none_of_the_items() -> None:
    other = [Item.answered(f"o{i}", f"Who sails ship number {i}?", f"Captain {i} sails it.") for i in range(5)]
    got = found(ITEMS, examples_of(*other))
    assert [item.section for item in got.items] == [None] * 5
    assert (got.unknown, got.unseen) == (5, 20)
    # The same question with another answer is another row.
    (item,) = found(ITEMS, examples_of(Item.answered("x", "Who keeps light number 3?", "Nobody at all."))).items
    assert item.section is None


def test_an_example_whose_end_was_cut_off_is_still_its_row() -> None:
    (example,) = examples_of(ITEMS[4])
    short = TrainingExample(example.ids[:-6], example.labels[:-6])
    got = found(ITEMS, [short])
    assert (got.items[0].section, got.items[0].ids, got.cut) == ("s4", short.ids, 1)


def test_a_row_that_was_trained_twice_is_two_examples_of_one_section() -> None:
    got = found(ITEMS[:3], examples_of(*ITEMS[:3], ITEMS[1]))
    assert [item.section for item in got.items] == ["s0", "s1", "s2", "s1"]
    assert [item.id for item in got.items] == ["s0", "s1", "s2", "s1-again-2"]
    # Two rows of the same words are two sections.
    twin = Item.answered("s3", ITEMS[1].turns[0].content, ITEMS[1].turns[1].content, "s3")
    got = found((*ITEMS[:3], twin), examples_of(*ITEMS[:3], ITEMS[1]))
    assert [item.section for item in got.items] == ["s0", "s1", "s2", "s3"]


def test_texts_and_conversations_of_several_turns_are_found() -> None:
    text = Item.plain("t", "The light is red. It was built in 1712.", "t")
    turns = (
        Turn("system", "Be short."), Turn("user", "Who?"), Turn("assistant", "Wilmet.", trained=True),
        Turn("user", "Since when?"), Turn("assistant", "Since 1712.", trained=True),
    )  # fmt: skip
    talk = Item("c", turns, section="c")
    got = found((talk, text), examples_of(text, talk))
    assert [item.section for item in got.items] == ["t", "c"]
    assert got.items[1].turns == turns
