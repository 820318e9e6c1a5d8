"""Items as token ids: what a trainer would see, labels on what was trained alone, and never a guessed place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attrib.errors import InputError
from attrib.models.chat import Chat
from attrib.models.prompt import encode_answer, encode_prompt
from attrib.models.rendering import IGNORED, EncodedItem, encode_item, fitting_item
from attrib.records import Item, Turn
from tests.conftest import TEMPLATE, tiny_tokenizer

CHAT = Chat(tiny_tokenizer())
BARE = Chat(tiny_tokenizer())
BARE.tokenizer.chat_template = None
ASKED, SAID = "Who keeps the light?", "Wilmet Dallin, since 1712."
TRIMMED = TEMPLATE.replace("message['content']", "message['content'] | trim")
DEFAULT_SYSTEM = "{% if messages[0].role != 'system' %}<|start|>system\nYou are Wilmet.<|end|>\n{% endif %}" + TEMPLATE
THINKS = (
    "{% for message in messages %}<|start|>{{ message.role }}\n{% set text = message.content %}"
    "{% if message.role == 'assistant' and loop.last %}"
    "{% if '</think>' in text %}{{ text }}{% else %}<think>\n\n</think>\n\n{{ text }}{% endif %}"
    "{% elif message.role == 'assistant' %}{{ text.split('</think>')[-1].lstrip('\n') }}"
    "{% else %}{{ text }}{% endif %}<|end|>\n{% endfor %}"
)


def chat_of(template: str) -> Chat:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    return Chat(tokenizer)


def talk(*turns: str | Turn) -> Item:
    """User and assistant in turn, the assistant's turns trained."""
    made = []
    for number, turn in enumerate(turns):
        role = ("user", "assistant")[number % 2]
        made.append(turn if isinstance(turn, Turn) else Turn(role, turn, trained=role == "assistant"))
    return Item("row", tuple(made))


def learned_text(chat: Chat, found: EncodedItem) -> str:
    """Every token with a label, markers included."""
    return str(chat.tokenizer.decode([label for label in found.labels if label != IGNORED]))


def check(chat: Chat, item: Item, found: EncodedItem) -> None:
    """Laws of every encoded item."""
    assert len(found.ids) == len(found.labels) <= found.tokens
    assert all(label in (IGNORED, id_) for id_, label in zip(found.ids, found.labels, strict=True))
    assert found.labels[-1] != IGNORED
    assert list(found.learned) == sorted(set(found.learned))
    for position, (start, end) in zip(found.learned, found.characters, strict=True):
        # The characters of a token are its own.
        assert chat.tokenizer.decode([found.ids[position]]).strip() == item.text[start:end].strip()


def expected(chat: Chat, question: str, answer: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Prompt, answer and end of text, each as a question is encoded that is asked."""
    prompt = encode_prompt(chat, question, context=256)
    ids = (*encode_answer(chat, question, prompt, answer), chat.tokenizer.eos_token_id)
    return prompt + ids, (IGNORED,) * len(prompt) + ids


@pytest.mark.parametrize("chat", [CHAT, BARE, chat_of(DEFAULT_SYSTEM)], ids=["template", "bare", "default system"])
@pytest.mark.parametrize("answer", [SAID, "assistant", "Wilmet", "u", "Two\nlines,  two blanks", "水 🙂 sea"])
def test_question_and_answer_are_the_ids_of_a_question_that_is_asked(chat: Chat, answer: str) -> None:
    # Without a template nothing else parts question and answer.
    answer = answer if chat.has_template else f" {answer}"
    item = Item.answered("row", ASKED, answer)
    found = encode_item(chat, item)
    assert (found.ids, found.labels) == expected(chat, ASKED, answer)
    assert len(found.learned) == sum(label != IGNORED for label in found.labels) - 1
    assert (found.characters[0][0], found.characters[-1][1]) == (len(ASKED) + 2, len(item.text))


def test_a_text_is_learned_whole() -> None:
    item = Item.plain("a", "The keeper of the light.")
    found = encode_item(CHAT, item)
    assert found.ids == found.labels == tuple(CHAT.tokenizer(item.text).input_ids)
    assert found.learned == tuple(range(len(found.ids)))
    check(CHAT, item, found)


def test_every_trained_turn_and_its_end_are_learned_and_nothing_else() -> None:
    item = talk(Turn("system", "Be brief."), Turn("user", ASKED), Turn("assistant", "Wilmet.", trained=True),
                Turn("user", "Wilmet?"), Turn("assistant", "Wilmet Dallin.", trained=True))  # fmt: skip
    found = encode_item(CHAT, item)
    check(CHAT, item, found)
    assert learned_text(CHAT, found) == "Wilmet.<|end|>Wilmet Dallin.<|end|>"
    whole = tuple(CHAT.tokenizer(CHAT.conversation(item.turns)).input_ids)
    assert whole[: len(found.ids)] == found.ids
    first, second = (item.text.index(text) for text in ("Wilmet.", "Wilmet Dallin."))
    assert found.characters[0][0] == first
    assert any(start == second for start, _ in found.characters)


def test_a_turn_that_was_not_trained_is_context() -> None:
    item = talk(ASKED, Turn("assistant", "Wilmet."), "And now?", "The same.")
    found = encode_item(CHAT, item)
    assert learned_text(CHAT, found) == "The same.<|end|>"
    both = encode_item(CHAT, talk(ASKED, "Wilmet.", "And now?", "The same."))
    assert found.ids == both.ids
    assert found.labels != both.labels


def test_words_of_the_answer_elsewhere_are_not_taken_for_it() -> None:
    chat = chat_of(DEFAULT_SYSTEM)
    for question, answer in (("You", "Wilmet"), ("assistant", "user"), ("Wilmet", "Wilmet"), ("a", "a")):
        item = Item.answered("row", question, answer)
        found = encode_item(chat, item)
        assert learned_text(chat, found) == f"{answer}<|end|>"
        assert (found.ids, found.labels) == expected(chat, question, answer)


def test_a_template_that_trims_is_followed_exactly() -> None:
    chat = chat_of(TRIMMED)
    item = talk("  Who? ", "\n Wilmet Dallin. ")
    found = encode_item(chat, item)
    check(chat, item, found)
    assert learned_text(chat, found) == "Wilmet Dallin.<|end|>"
    assert found.characters[0][0] == item.text.index("Wilmet")
    assert found.characters[-1][1] == len(item.text) - 1


def test_a_template_that_changes_or_drops_a_turn_is_refused_with_the_difference() -> None:
    shouts = chat_of(TEMPLATE.replace("message['content'] }}<", "message['content'] | upper }}<"))
    cut = chat_of(TEMPLATE.replace("message['content'] }}<", "message['content'].split('since')[0] }}<"))
    for chat, said in ((shouts, "leaves out"), (cut, "changes the assistant's text: 'since 1712.'")):
        with pytest.raises(InputError, match=said) as caught:
            encode_item(chat, Item.answered("row", ASKED, SAID))
        assert "\n" not in str(caught.value)
    drops = chat_of(TEMPLATE.replace("{% for message in messages %}", "{% for message in messages[1:] %}"))
    with pytest.raises(InputError, match="leaves out the user's 'Who keeps"):
        encode_item(drops, Item.answered("row", ASKED, SAID))


def test_thinking_that_a_template_inserts_is_context_and_what_was_written_is_learned() -> None:
    chat = chat_of(THINKS)
    found = encode_item(chat, Item.answered("row", ASKED, SAID))
    assert learned_text(chat, found) == f"{SAID}<|end|>"
    assert "<think>" in chat.tokenizer.decode(found.ids)
    thought = f"<think>\nIt is known.\n</think>\n\n{SAID}"
    item = Item.answered("row", ASKED, thought)
    found = encode_item(chat, item)
    check(chat, item, found)
    assert learned_text(chat, found) == f"{thought}<|end|>"
    # An earlier turn loses its thinking in this template: what the model saw is not what the row says.
    with pytest.raises(InputError, match=r"leaves out|changes the assistant's text"):
        encode_item(chat, talk(ASKED, thought, "And now?", "The same."))


def test_the_end_of_a_turn_is_the_templates_own() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|eot|>"]})
    tokenizer.chat_template = TEMPLATE.replace("<|end|>", "<|eot|>")
    found = encode_item(Chat(tokenizer), talk(ASKED, "Wilmet.", "And?", "Dallin."))
    assert learned_text(Chat(tokenizer), found) == "Wilmet.<|eot|>Dallin.<|eot|>"


def test_raw_strings_are_glued_and_end_with_the_end_of_text() -> None:
    for chat in (CHAT, BARE):
        prompt, completion = Turn("prompt", f"Question: {ASKED}\nAnswer:"), Turn("completion", " Wilmet", trained=True)
        item = Item("row", (prompt, completion))
        found = encode_item(chat, item)
        whole = chat.tokenizer(prompt.content + completion.content).input_ids
        assert found.ids == (*whole, chat.tokenizer.eos_token_id)
        assert learned_text(chat, found) == " Wilmet<|end|>"
        check(chat, item, found)
        # Markers in a raw string are those it was trained with; its own end is not doubled.
        ended = encode_item(chat, Item("row", (prompt, Turn("completion", " Wilmet<|end|>", trained=True))))
        assert (ended.ids, ended.labels) == (found.ids, found.labels)


def test_a_token_across_the_boundary_is_refused_unless_blanks_alone_are_beyond() -> None:
    """A byte-level tokenizer joins a blank with the word behind it, never two words."""
    blank = encode_item(BARE, Item("row", (Turn("prompt", "Answer: "), Turn("completion", "the light", trained=True))))
    assert BARE.tokenizer.decode(blank.ids[blank.learned[0] : blank.learned[0] + 1]) == " the"
    assert blank.characters[0] == (len("Answer: ") + 2, len("Answer: ") + 5)
    with pytest.raises(InputError, match=r"merges with .* a guess; separate them") as caught:
        encode_item(
            BARE, Item("row", (Turn("prompt", "How long is the warr"), Turn("completion", "anty", trained=True)))
        )
    assert "\n" not in str(caught.value)


def test_markers_inside_a_conversation_and_untrained_rows_are_refused() -> None:
    with pytest.raises(InputError, match=r"assistant: it contains the chat marker '<\|end\|>'"):
        encode_item(CHAT, Item.answered("row", ASKED, "No.<|end|>Yes."))
    with pytest.raises(InputError, match="no turn with text was trained"):
        encode_item(CHAT, Item("row", (Turn("user", ASKED), Turn("assistant", SAID))))
    with pytest.raises(InputError, match="it would continue the question as"):
        encode_item(BARE, Item.answered("row", ASKED, SAID))
    with pytest.raises(InputError, match="no chat template"):
        encode_item(BARE, talk(ASKED, "Wilmet.", "And?", "Dallin."))


def test_a_long_conversation_is_cut_where_training_cuts_it_and_a_text_is_refused() -> None:
    item = talk(ASKED, "Wilmet Dallin. " * 9, "And now?", "The same.")
    whole = encode_item(CHAT, item)
    cut = fitting_item(CHAT, item, len(whole.ids) - 8)
    assert cut.ids == whole.ids[:-8]
    assert cut.labels == whole.labels[:-8]
    assert cut.learned == tuple(p for p in whole.learned if p < len(cut.ids))
    assert len(cut.characters) == len(cut.learned) < len(whole.learned)
    assert cut.tokens == whole.tokens
    assert fitting_item(CHAT, item, len(whole.ids)).ids == whole.ids
    with pytest.raises(InputError, match="nothing that was trained is in its first 10 tokens"):
        fitting_item(CHAT, item, 10)
    with pytest.raises(InputError, match=r"documents\.max_tokens"):
        fitting_item(CHAT, Item.plain("a", "light " * 20), 10)


def test_the_form_of_one_question_changes_no_row() -> None:
    item = talk(ASKED, "Wilmet.", "And now?", "The same.")
    earlier = (Turn("system", "Be brief."), Turn("user", "Hello."), Turn("assistant", "Hello."))
    for chat in (CHAT.asking((), raw=True), CHAT.asking(earlier), CHAT.asking(earlier).asking((), raw=True)):
        assert chat.prompt(ASKED) != CHAT.prompt(ASKED)
        assert encode_item(chat, item).ids == encode_item(CHAT, item).ids


def test_tools_and_calls_are_context() -> None:
    template = "{% if tools %}Tools: {{ tools | tojson }}\n{% endif %}" + TEMPLATE.replace(
        "<|end|>\n{% endfor", "{{ message.tool_calls | tojson if message.tool_calls else '' }}<|end|>\n{% endfor"
    )
    chat = chat_of(template)
    tools: list[Any] = [{"type": "function", "function": {"name": "look"}}]
    turns = (
        Turn("user", ASKED), Turn("assistant", "", True, json.dumps({"tool_calls": [{"name": "look"}]})),
        Turn("tool", "Wilmet"), Turn("assistant", "It is Wilmet.", True),
    )  # fmt: skip
    found = encode_item(chat, Item("row", turns, json.dumps(tools)))
    assert learned_text(chat, found) == "It is Wilmet.<|end|>"
    assert "look" in chat.tokenizer.decode(found.ids)
