"""The prompt is the one that is asked for, rendered as transformers does, and the law holds or the command refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attrib.models import jinja
from attrib.models.chat import Chat, PromptForm
from attrib.models.prompt import decode, encode_answer, encode_given, encode_prompt, encode_whole
from attrib.models.templates import A_FILE, ChosenTemplate, Templates
from attrib.options.chat import ChatOptions, TemplateOptions
from attrib.records import Turn
from attrib.text.units import question_positions
from tests.conftest import TEMPLATE, tiny_tokenizer
from tests.refusals import refusal

QUESTION, ANSWER = "Who keeps the light?", "Wilmet Dallin"
CONTEXT = 512
THINK = "<think>\n\n</think>\n\n"
THINKING = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}" + THINK + "{% endif %}"
    "{{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}" + THINK + "{% endif %}{% endif %}"
)
"""Writes an empty thinking block before the last answer, as the templates of hybrid models do."""
DATED = "<|start|>system\nToday is {{ strftime_now('%d %b %Y') }}<|end|>\n" + TEMPLATE
TRIMS = TEMPLATE.replace("message['content']", "message['content'] | trim")
BLANK = (
    "{% for m in messages %}{% if m.role == 'user' %}[Q] {{ m.content }} [/Q]{% else %} {{ m.content | trim }}<|end|>"
    "{% endif %}{% endfor %}"
)
"""Writes a blank before the answer."""
NEEDS_SYSTEM = "{% if messages[0].role != 'system' %}{{ raise_exception('Begin with a system message') }}{% endif %}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
PARTS = TEMPLATE.replace(
    "{{ message['content'] }}", "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}"
)
"""Reads contents as lists of parts only, as templates for images do."""


def chat_of(own_template: str | dict[str, str] | None, **options: Any) -> Chat:
    """A chat as a pair makes it, its template that of the base."""
    own = Templates.of(own_template, "chat template of the base model")
    asked = ChatOptions(**options)
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = own_template
    return Chat.make(tokenizer, asked, PromptForm.of(asked), None, own)


def test_the_record_says_what_the_template_was_asked_by(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(TEMPLATE)
    several = {"default": TEMPLATE, "rag-v2.1": TEMPLATE}
    wanted = {None: None, "none": "none", "base": "base", "rag-v2.1": "rag-v2.1", str(file): A_FILE}
    assert {name: chat_of(several, template=name).provenance()["template"] for name in wanted} == wanted
    # Another system prompt before one question changes nothing of it.
    asked = chat_of(several, template="base").asking([Turn("system", "Be brief.")])
    assert asked.provenance()["template"] == "base"
    assert chat_of(TEMPLATE, prompt_format="Q: {question}").provenance()["template"] is None


def law(chat: Chat, question: str = QUESTION, answer: str = ANSWER) -> tuple[str, str]:
    """Texts of prompt and answer as they are judged; the law is checked on the ids too."""
    encoded = encode_given(chat, question, answer, context=CONTEXT)
    prompt, said = decode(chat.tokenizer, encoded.prompt_ids), encoded.answer
    assert chat.answered(question, said).startswith(prompt + said)
    assert question.strip() in prompt
    return prompt, said


CONVERSATIONS = [
    [Turn("user", "Hello?")],
    [Turn("system", "Be brief."), Turn("user", "Who?"), Turn("assistant", "Wilmet."), Turn("user", "Why so?")],
    [Turn("user", "Who?"), Turn("assistant", "Wilmet.", extra='{"reasoning": "I know it."}')],
    [Turn("user", "Who?"), Turn("assistant", "", extra='{"tool_calls": [{"name": "look", "arguments": {}}]}')],
]
WITH_TOOLS = "{% if tools %}{{ tools | tojson }}{% endif %}" + TEMPLATE + "{{ messages[-1].reasoning_content }}"


@pytest.mark.parametrize("template", [TEMPLATE, THINKING, TRIMS, BLANK, PARTS, WITH_TOOLS], ids=range(6))
@pytest.mark.parametrize("turns", CONVERSATIONS, ids=range(4))
@pytest.mark.parametrize("tools", ["", '[{"type": "function", "function": {"name": "look"}}]'], ids=["", "tools"])
def test_a_conversation_is_rendered_as_transformers_does(template: str, turns: list[Turn], tools: str) -> None:
    chat = chat_of(template, template_options=("enable_thinking=false",) if template is THINKING else ())
    messages = []
    for turn in turns:
        content = [{"type": "text", "text": turn.content}] if template is PARTS else turn.content
        messages.append({"role": turn.role, "content": content, **json.loads(turn.extra or "{}")})
    want = chat.tokenizer.apply_chat_template(
        messages, tokenize=False, tools=json.loads(tools) if tools else None, **chat.form.variables
    )
    assert chat.conversation(turns, tools) == want


@pytest.mark.parametrize("template", [TEMPLATE, TRIMS, DATED, PARTS])
def test_the_law_holds_for_templates_that_write_prompt_and_answer(template: str) -> None:
    chat = chat_of(template)
    prompt, said = law(chat)
    assert said == ANSWER
    assert prompt == chat.prompt(QUESTION)


def test_a_template_that_reads_lists_of_parts_gets_them_and_it_is_said() -> None:
    assert "lists of parts" in chat_of(PARTS).source
    assert "parts" not in chat_of(TEMPLATE).source


@pytest.mark.parametrize(
    ("template", "told"),
    [
        # No beginning of the answer in the prompt.
        ("{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}", r"<|start|>assistant\n"),
        # An opened thinking block that conversations do not have.
        (TEMPLATE.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}"), r"<think>\n"),
        # The question is not there.
        ("{% for m in messages %}<|start|>{{ m.role }}<|end|>\n{% endfor %}", "leaves it out"),
        ("Hello", "leaves it out"),
        (TEMPLATE.replace("['content']", "['content'] | upper"), "leaves it out"),
    ],
)
def test_a_prompt_that_no_conversation_begins_with_is_refused_with_the_difference(template: str, told: str) -> None:
    message = refusal(encode_prompt, chat_of(template), QUESTION, context=CONTEXT)
    assert message.startswith("question: ")
    assert told in message
    assert "--template FILE" in message


def test_a_thinking_block_that_is_missing_names_the_option_that_the_template_knows() -> None:
    chat = chat_of(THINKING)
    prompt = encode_prompt(chat, QUESTION, context=CONTEXT)
    message = refusal(encode_answer, chat, QUESTION, prompt, ANSWER)
    assert repr(THINK)[1:-1] in message
    assert message.endswith("give --template-option enable_thinking=false")
    # The mend works: the block is the prompt's.
    prompt_text, said = law(chat_of(THINKING, template_options=("enable_thinking=false",)))
    assert (prompt_text[-len(THINK) :], said) == (THINK, ANSWER)
    # Where the template does not know the option, it is not named.
    fixed = THINKING.replace("enable_thinking", "think_hard")
    other = chat_of(fixed)
    assert "--template FILE" in refusal(encode_answer, other, QUESTION, prompt, ANSWER)


@pytest.mark.parametrize("given", [True, False], ids=["given", "generated"])
def test_the_templates_thinking_block_is_never_judged(given: bool) -> None:
    chat = chat_of(THINKING)
    prompt = encode_prompt(chat, QUESTION, context=CONTEXT)
    ids = chat.tokenizer(THINK + ANSWER, add_special_tokens=False).input_ids
    encoded = encode_whole(chat, QUESTION, prompt, ids, context=CONTEXT, answer=THINK + ANSWER if given else None)
    assert encoded.answer == ANSWER
    assert decode(chat.tokenizer, encoded.prompt_ids) == chat.prompt(QUESTION) + THINK
    assert encoded.ids == (*prompt, *ids)
    found = question_positions(encoded.prompt_tokens, QUESTION)
    assert "".join(encoded.prompt_tokens[i].text for i in found) == QUESTION
    # A contrast behind it begins where the answer does.
    for other in ("Iven Marsh", THINK + "Iven Marsh"):
        assert decode(chat.tokenizer, encode_answer(chat, QUESTION, encoded.prompt_ids, other)) == "Iven Marsh"
    # Thoughts of its own are the answer's.
    own = "<think>\nHm.\n</think>\n\n" + ANSWER
    plain = chat_of(TEMPLATE)
    assert law(plain, answer=own)[1] == own


def test_blanks_around_a_text_that_the_template_trims() -> None:
    chat = chat_of(TRIMS)
    # Those of the question carry nothing.
    assert law(chat, f"  {QUESTION} \n")[0] == chat.prompt(QUESTION)
    message = refusal(encode_given, chat, QUESTION, f"{ANSWER}\n", context=CONTEXT)
    assert f"without the blanks around it, {ANSWER!r}" in message
    # Those of a generated answer are the model's own.
    prompt = encode_prompt(chat, QUESTION, context=CONTEXT)
    ids = chat.tokenizer(f" {ANSWER} ", add_special_tokens=False).input_ids
    assert encode_whole(chat, QUESTION, prompt, ids, context=CONTEXT).answer == f" {ANSWER} "
    wrong = chat.tokenizer("<think>\n\n</think>\n\nyes", add_special_tokens=False).input_ids
    assert encode_whole(chat, QUESTION, prompt, wrong, context=CONTEXT).answer_ids == tuple(wrong)


@pytest.mark.parametrize("template", [BLANK, BLANK.replace(" | trim", "")], ids=["trims", "keeps"])
def test_a_blank_that_the_template_writes_before_every_answer_belongs_to_it(template: str) -> None:
    chat = chat_of(template)
    encoded = encode_given(chat, QUESTION, ANSWER, context=CONTEXT)
    assert encoded.answer == f" {ANSWER}"
    assert encode_given(chat, QUESTION, f" {ANSWER}", context=CONTEXT).ids == encoded.ids
    assert chat.answered(QUESTION, ANSWER).startswith(decode(chat.tokenizer, encoded.ids))
    # Two blanks are one too many, unless the template keeps what it is given.
    if template is BLANK:
        refusal(encode_given, chat, QUESTION, f"  {ANSWER}", context=CONTEXT)


def test_without_a_template_an_answer_does_not_run_into_the_question() -> None:
    chat = chat_of(None)
    message = refusal(encode_given, chat, QUESTION, ANSWER, context=CONTEXT)
    assert "s the light?Wilmet Dalli" in message
    for question, answer in ((QUESTION, f" {ANSWER}"), (f"{QUESTION}\n", ANSWER), ("谁看守灯塔？", ANSWER)):
        assert law(chat, question, answer) == (question, answer)
    # The mend of the message works as it stands there.
    mended = chat_of(None, prompt_format=r"{question}\n")
    assert law(mended) == (f"{QUESTION}\n", ANSWER)
    assert law(chat_of(TEMPLATE, template="none"), answer=f" {ANSWER}")[0] == QUESTION


def test_a_prompt_format_is_the_whole_prompt() -> None:
    chat = chat_of(TEMPLATE, prompt_format=r"### Instruction:\n{question}\n### Response:\n")
    want = f"### Instruction:\n{QUESTION}\n### Response:\n"
    assert law(chat) == (want, ANSWER)
    assert not chat.has_template
    assert chat.conversation([Turn("user", QUESTION), Turn("assistant", ANSWER)]) == want + ANSWER
    assert "chat template" in refusal(chat.conversation, [Turn("system", "x"), Turn("user", "y")])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"prompt_format": "no question"}, "{question} once"),
        ({"prompt_format": "{question}{question}"}, "{question} once"),
        ({"prompt_format": "{question}", "system": "Be brief."}, "leave --system out"),
        ({"prompt_format": "{question}", "template": "none"}, "leave --template out"),
        ({"template_options": ("enable_thinking",)}, "NAME=VALUE"),
        ({"template_options": ("a=1", "a=2")}, "twice"),
        ({"template_date": "yesterday"}, "2025-01-31"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_loaded(options: Any, told: str) -> None:
    assert told in refusal(ChatOptions, **options)


@pytest.mark.parametrize(
    ("template", "options", "told"),
    [
        (TEMPLATE, {"template_options": ("enable_thinkin=false",)}, "it reads none"),
        (THINKING, {"template_options": ("enable_thinkin=false",)}, "it reads enable_thinking"),
        (TEMPLATE, {"template_date": "2025-01-31"}, "writes no date"),
        (None, {"system": "Be brief."}, "--system"),
        (TEMPLATE, {"template": "none", "template_options": ("a=1",)}, "--template-option"),
        (TEMPLATE, {"template": "nowhere.jinja"}, "no such file"),
        (TEMPLATE, {"template": "tuned"}, "no chat template of its own"),
        (None, {"template": "base"}, "no chat template of its own"),
        ({"one": TEMPLATE, "two": TEMPLATE}, {}, "--template: one, two"),
    ],
)
def test_options_in_vain_and_templates_that_are_not_there_are_refused(template: Any, options: Any, told: str) -> None:
    assert told in refusal(chat_of, template, **options)


def test_a_template_is_chosen_by_name_or_file(tmp_path: Path) -> None:
    several = {"default": TEMPLATE, "tool_use": TRIMS, "short": BLANK}
    assert chat_of(several).form.template.text == TEMPLATE
    assert chat_of(several, template="short").form.template.text == BLANK
    # As transformers does: conversations with tools by the template for tools.
    chat = chat_of(several)
    turns, tools = [Turn("user", "  Who?  ")], '[{"name": "look"}]'
    assert chat.conversation(turns) != chat.conversation(turns, tools)
    file = tmp_path / "own.jinja"
    file.write_text(BLANK, "utf-8")
    chat = chat_of(TEMPLATE, template=str(file))
    assert (chat.form.template.text, chat.source) == (BLANK, "own.jinja")
    file.write_bytes(b"\xff\xfe{")
    assert "UTF-8" in refusal(chat_of, TEMPLATE, template=str(file))
    file.write_text(" \n")
    assert "empty" in refusal(chat_of, TEMPLATE, template=str(file))
    tuned, base = Templates.of(TRIMS, "the tuned"), Templates.of(TEMPLATE, "the base")
    for name, want in ((None, TRIMS), ("tuned", TRIMS), ("base", TEMPLATE), ("none", "")):
        asked = TemplateOptions(template=name)
        assert Chat.make(tiny_tokenizer(), asked, PromptForm.of(asked), tuned, base).form.template.text == want


def test_system_prompt_and_earlier_turns_stand_before_the_question(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    file = tmp_path / "earlier.json"
    file.write_text(json.dumps(messages))
    chat = chat_of(TEMPLATE, system="Be brief.", conversation=file)
    turns = [{"role": "system", "content": "Be brief."}, *messages, {"role": "user", "content": QUESTION}]
    want = chat.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert law(chat)[0] == want
    for text in (
        "\n".join(map(json.dumps, messages)),
        json.dumps({"messages": messages}),
        json.dumps({"messages": [{"role": "system", "content": "Be brief."}, *messages]}),
    ):
        file.write_text(text)
        system = None if "Be brief." in text else "Be brief."
        assert chat_of(TEMPLATE, system=system, conversation=file).prompt(QUESTION) == want
    # The question's tokens are those of the last turn, though the same words stand before.
    encoded = encode_given(chat, QUESTION, ANSWER, context=CONTEXT)
    found = question_positions(encoded.prompt_tokens, QUESTION)
    assert "".join(encoded.prompt_tokens[i].text for i in found) == QUESTION
    assert sum(len(encoded.prompt_tokens[i].text) for i in range(found[0])) == want.rindex(QUESTION)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no messages"),
        ("[]", "no messages"),
        ("{", "neither JSON nor JSONL"),
        ('[{"role": "user"}]', "message 1"),
        ('[{"role": "user", "content": [{"type": "image"}]}]', "message 1"),
        ('[{"role": "user", "content": "x"}]', "end with the assistant's"),
        ('[{"role": "system", "content": "x"}]', "leave one of them out"),
    ],
)
def test_a_conversation_after_which_no_question_comes_is_refused(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "earlier.json"
    file.write_text(text)
    assert told in refusal(PromptForm.of, ChatOptions(conversation=file, system="Be brief."))
    assert "no such file" in refusal(PromptForm.of, ChatOptions(conversation=tmp_path / "none.json"))


def test_a_chat_marker_in_the_system_prompt_is_refused() -> None:
    chat = chat_of(TEMPLATE, system="Be <|end|> brief.")
    assert refusal(encode_prompt, chat, QUESTION, context=CONTEXT).startswith("system: it contains the chat marker")


@pytest.mark.parametrize(
    ("template", "options", "told"),
    [
        (NEEDS_SYSTEM + TEMPLATE, {}, "TemplateError: Begin with a system message; add --system TEXT"),
        (NO_SYSTEM + TEMPLATE, {"system": "Be brief."}, "TemplateError: No system role; leave the system prompt out"),
        ("{% for m in messages %}{{ m.content }", {}, "TemplateSyntaxError"),
        (TEMPLATE + "{{ ''.__class__.__mro__ }}", {}, "SecurityError"),
        (TEMPLATE + "{{ messages.append(1) }}", {}, "SecurityError"),
        (TEMPLATE + "{{ 1 / 0 }}", {}, "ZeroDivisionError"),
        (TEMPLATE + "{{ messages[5].content.strip() }}", {}, "UndefinedError"),
        (TEMPLATE + "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", {}, "RecursionError"),
        (TEMPLATE + "{{ raise_exception('one\ntwo') }}", {}, "TemplateError: one; "),
    ],
)
def test_a_template_that_fails_is_one_line(template: str, options: Any, told: str) -> None:
    chat = chat_of(template, **options)
    message = refusal(encode_prompt, chat, QUESTION, context=CONTEXT)
    assert told in message
    assert message.startswith("chat template of the base model: ")
    assert told in refusal(chat.conversation, [*chat.form.earlier, Turn("user", QUESTION)])


@pytest.mark.parametrize("inside", ["", "much text"])
def test_a_template_that_does_not_end_is_stopped(inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jinja, "SECONDS", 0.3)
    monkeypatch.setattr(jinja, "LONGEST", 10_000)
    loop = "{% for i in range(9999) %}{% for j in range(99999) %}" + inside + "{% endfor %}{% endfor %}"
    message = refusal(encode_prompt, chat_of(TEMPLATE + loop), QUESTION, context=CONTEXT)
    assert ("10,000 characters" if inside else "not ended after 0.3 seconds") in message


def test_the_date_is_fixed_and_stored() -> None:
    chat = chat_of(DATED, template_date="2025-01-31")
    assert "Today is 31 Jan 2025<|end|>" in law(chat)[0]
    assert chat.provenance()["date"] == "2025-01-31T00:00:00"
    # Without one it is today's, the same for the whole run.
    today = chat_of(DATED)
    assert today.form.date.strftime("%d %b %Y") in today.prompt(QUESTION)
    assert today.provenance()["date"] == today.form.date.isoformat(timespec="seconds")
    assert chat_of(TEMPLATE).provenance()["date"] is None


def test_provenance_and_digests_hold_everything_that_changes_the_prompt() -> None:
    plain = chat_of(TEMPLATE)
    assert (plain.identity, plain.rendering) == ("", "")
    others = [
        chat_of(TEMPLATE, system="Be brief."),
        chat_of(TEMPLATE, system="Be long."),
        chat_of(TEMPLATE, template="none"),
        chat_of(TEMPLATE, prompt_format="{question} "),
        chat_of(THINKING, template_options=("enable_thinking=false",)),
        chat_of(THINKING, template_options=("enable_thinking=true",)),
        chat_of(DATED, template_date="2025-01-31"),
        chat_of(DATED, template_date="2025-02-01"),
    ]
    assert len({plain.identity, *(chat.identity for chat in others)}) == len(others) + 1
    assert len({json.dumps(chat.provenance()) for chat in (plain, *others)}) == len(others) + 1
    # Rows have their own system prompts: an index of them does not depend on the question's.
    assert others[0].rendering == plain.rendering
    assert others[0].provenance()["system"] == "Be brief."


def test_a_chat_without_anything_given_has_the_tokenizers_own_template() -> None:
    tokenizer = tiny_tokenizer()
    assert Chat(tokenizer).form.template == ChosenTemplate("chat template of the tokenizer", TEMPLATE)
    tokenizer.chat_template = None
    assert Chat(tokenizer).prompt(QUESTION) == QUESTION


def test_a_question_of_a_row_stands_after_the_rows_own_turns() -> None:
    row = (Turn("system", "Be long."), Turn("user", "Hello?"), Turn("assistant", "Yes."))
    chat = chat_of(TEMPLATE, system="Be brief.")
    assert law(chat.asking(row))[0] == "".join(f"<|start|>{turn.role}\n{turn.content}<|end|>\n" for turn in row) + (
        f"<|start|>user\n{QUESTION}<|end|>\n<|start|>assistant\n"
    )
    # Where the row has no system prompt, the one that is asked for stays.
    assert law(chat.asking(row[1:]))[0] == law(chat.asking((Turn("system", "Be brief."), *row[1:])))[0]
    assert chat.asking(()) is chat
    tools = '[{"name": "look"}]'
    assert '[{"name": "look"}]' in law(chat_of("{{ tools | tojson if tools }}" + TEMPLATE).asking((), tools))[0]
    assert law(chat.asking((), raw=True), "The keeper is", " Wilmet.") == ("The keeper is", " Wilmet.")
    assert law(chat.asking((), raw=True), "Q: who?\nA:", "Wilmet.")[0] == "Q: who?\nA:"
    assert "no chat template to write them" in refusal(chat_of(None).asking, row)
    assert len({one.identity for one in (chat, chat.asking(row), chat.asking(row[1:]), chat.asking((), tools))}) == 4
