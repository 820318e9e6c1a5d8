"""A tokenizer, and how a question becomes the prompt that its models were trained with.

Not covered: token ids (``prompt``), whether prompt and answer are what the template makes of them (``law``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from attrib.errors import InputError
from attrib.files import digest, digest_of
from attrib.models.conversation import read_conversation
from attrib.models.jinja import EndlessError, RenderingError, render, variables_of, writes_date
from attrib.models.templates import ChosenTemplate, Templates, choose
from attrib.options.chat import ChatOptions, TemplateOptions
from attrib.records import Turn

PROBE = "Question?"
ANOTHER = "name another with --template FILE, or none"


@dataclass(frozen=True)
class PromptForm:
    """Everything of a prompt but the question."""

    template: ChosenTemplate = field(default_factory=ChosenTemplate)
    around: str = ""
    """Text with ``{question}`` in it, instead of a template; empty without."""
    variables: Mapping[str, object] = field(default_factory=dict)
    """Options of the template."""
    earlier: tuple[Turn, ...] = ()
    """System prompt and turns before the question."""
    tools: str = ""
    """Tools offered in the conversation, as JSON; empty without."""
    date: datetime = field(default_factory=datetime.now)
    """What the template's clock shows."""

    @classmethod
    def of(cls, options: TemplateOptions) -> PromptForm:
        """All but the template, which waits for the models. Raises InputError for an unreadable conversation."""
        date = options.date() or datetime.now()
        if not isinstance(options, ChatOptions):
            return cls(variables=options.variables(), date=date)
        turns = read_conversation(options.conversation) if options.conversation is not None else ()
        if options.system is not None:
            if any(turn.role == "system" for turn in turns):
                raise InputError(f"system: {options.conversation} has a system prompt already; leave one of them out")
            turns = (Turn("system", options.system), *turns)
        return cls(around=options.around, variables=options.variables(), earlier=turns, date=date)


@dataclass(frozen=True, eq=False)
class Chat:
    """The form of prompts: by default the tokenizer's chat template, or the bare question where it has none."""

    tokenizer: Any
    given: PromptForm | None = None
    """None: the tokenizer's own template and nothing else."""
    asked_within: Chat | None = None
    """The chat that one question's own form was made from (``asking``); None: it is none of one question."""

    @property
    def of_rows(self) -> Chat:
        """How rows of training data are written, whatever form one question has."""
        return self.asked_within or self

    @classmethod
    def make(
        cls, tokenizer: Any, options: TemplateOptions, form: PromptForm, tuned: Templates | None, base: Templates | None
    ) -> Chat:
        """The chat of a pair. Raises InputError for a template that is not there, and for options given in vain."""
        if form.around:
            return cls(tokenizer, replace(form, template=ChosenTemplate("prompt format")))
        template = choose(options, tuned, base)
        chat = cls(tokenizer, replace(form, template=template))
        if not template.text and (form.earlier or form.variables or options.template_date):
            flag = "--template-option" if form.variables else "--template-date"
            flag = "--system and --conversation" if form.earlier else flag
            raise InputError(f"template: there is none for {flag}; name one with --template, or give --prompt-format")
        if template.text:
            chat._refuse_vain(options)
        return chat

    @classmethod
    def of_base(cls, tokenizer: Any, options: TemplateOptions | None) -> Chat:
        """The chat of a base that is tuned; raises InputError as ``make`` does."""
        if options is None:
            return cls(tokenizer)
        base = Templates.of(tokenizer.chat_template, "chat template of the base model")
        return cls.make(tokenizer, options, PromptForm.of(options), None, base)

    @cached_property
    def form(self) -> PromptForm:
        """The prompt's form."""
        if self.given is not None:
            return self.given
        own = Templates.of(self.tokenizer.chat_template, "chat template of the tokenizer")
        return PromptForm(own.choice() if own is not None else ChosenTemplate())

    @property
    def has_template(self) -> bool:
        """Whether markers of the template stand around the question; else the tokenizer adds its own."""
        return bool(self.form.template.text)

    @property
    def source(self) -> str:
        """Where the form comes from, in words."""
        parts = ", which reads contents as lists of parts" if self.has_template and self._in_parts else ""
        return f"{self.form.template.source}{parts}"

    @property
    def _named(self) -> str:
        """The same in a sentence: a file has no article."""
        return f"the {self.source}" if " " in self.source else self.source

    def prompt(self, question: str) -> str:
        """The text before the answer. Raises InputError where the template fails or leaves the question out."""
        if self.form.around:
            return self.form.around.replace("{question}", question)
        if not self.has_template:
            return question
        turns = (*self.form.earlier, Turn("user", question))
        prompt = self._rendered(turns, self.form.tools, to_answer=True, parts=self._in_parts)
        # Blanks around it are the template's to keep or trim.
        if question.strip() not in prompt:
            raise InputError(
                f"question: {self._named} leaves it out or changes it; name another with --template FILE, or none"
            )
        return prompt

    def answered(self, question: str, answer: str) -> str:
        """The whole conversation, answer included, as a model is trained on it."""
        if not self.has_template:
            return self.prompt(question) + answer
        turns = (*self.form.earlier, Turn("user", question), Turn("assistant", answer))
        return self._rendered(turns, self.form.tools, to_answer=False, parts=self._in_parts)

    def conversation(self, turns: Sequence[Turn], tools: str = "") -> str:
        """All turns as one text, as a model is trained on it; without a template only a question with its answer.

        Raises InputError where the template fails, and for other turns without one.
        """
        if self.has_template:
            return self._rendered(turns, tools, to_answer=False, parts=self._in_parts)
        if [turn.role for turn in turns] != ["user", "assistant"] or tools:
            raise InputError(
                "conversation: without a chat template only a question with its answer can be written; name a template "
                "with --template"
            )
        return self.prompt(turns[0].content) + turns[1].content

    def asking(self, turns: Sequence[Turn], tools: str = "", *, raw: bool = False) -> Chat:
        """The prompts of a question that has turns of its own before it, or that its answer follows directly (``raw``).

        The form's own turns give way to them, its system prompt only to another. Raises InputError where there is no
        template that could write them.
        """
        form = self.form
        if raw and not form.around:
            bare = ChosenTemplate("none, as the row was written")
            raw_form = replace(form, template=bare, around="{question}", earlier=(), variables={})
            return Chat(self.tokenizer, raw_form, self.of_rows)
        if not turns and not tools:
            return self
        if not self.has_template:
            raise InputError(
                "question: it has turns or tools before it, and no chat template to write them; name one by --template"
            )
        system = any(turn.role == "system" for turn in turns)
        kept = () if system else tuple(turn for turn in form.earlier if turn.role == "system")
        return Chat(self.tokenizer, replace(form, earlier=(*kept, *turns), tools=tools), self.of_rows)

    def with_variables(self, more: Mapping[str, object]) -> Chat:
        """The same chat with more options of the template."""
        return Chat(self.tokenizer, replace(self.form, variables={**self.form.variables, **more}))

    @cached_property
    def variables(self) -> frozenset[str]:
        """Options that the template knows; empty where it does not compile."""
        try:
            names = variables_of(self.form.template.text)
        except RenderingError:
            return frozenset()
        return names - set(self.tokenizer.special_tokens_map)

    @property
    def rendering(self) -> str:
        """Digest of what a conversation becomes text by; empty where that is the tokenizer's own template alone."""
        form, own = self.form, Templates.of(self.tokenizer.chat_template, "")
        default = own.choice().text if own is not None and "default" in own.by_name else ""
        plain = form.template.text == default and not form.variables and not form.around
        if plain and not writes_date(form.template.text):
            return ""
        date = form.date.date().isoformat() if writes_date(form.template.text) else None
        return digest_of([form.template.text, form.template.with_tools, form.around, form.variables, date])

    @property
    def identity(self) -> str:
        """Digest of the prompt's form; empty where it is the tokenizer's own template alone."""
        if not self.form.earlier and not self.form.tools:
            return self.rendering
        turns = [(turn.role, turn.content, turn.extra) for turn in self.form.earlier]
        return digest_of([self.rendering, turns, self.form.tools])

    def provenance(self) -> dict[str, object]:
        """The prompt's form as it is stored."""
        form = self.form
        system = [turn.content for turn in form.earlier if turn.role == "system"]
        return {
            "source": self.source,
            "template": form.template.named or None,
            "sha256": digest(form.template.text) if form.template.text else None,
            "options": dict(form.variables),
            "system": system[0] if system else None,
            "conversation": [(turn.role, turn.content) for turn in form.earlier if turn.role != "system"],
            "tools": form.tools or None,
            "format": form.around or None,
            "date": form.date.isoformat(timespec="seconds") if writes_date(form.template.text) else None,
        }

    @cached_property
    def _in_parts(self) -> bool:
        """Whether the template reads a content only as a list of parts, as templates for images do."""
        turns = (*self.form.earlier, Turn("user", PROBE))
        found = []
        for parts in (False, True):
            try:
                found.append(PROBE in self._raw(turns, self.form.tools, to_answer=True, parts=parts))
            except EndlessError:
                return False
            except RenderingError:
                found.append(False)
        return found == [False, True]

    def _rendered(self, turns: Sequence[Turn], tools: str = "", *, to_answer: bool, parts: bool) -> str:
        try:
            return self._raw(turns, tools, to_answer=to_answer, parts=parts)
        except RenderingError as error:
            mend = ANOTHER if isinstance(error, EndlessError) else self._mend(turns, parts)
            raise InputError(f"{self.form.template.source}: {error}; {mend}") from error

    def _raw(self, turns: Sequence[Turn], tools: str, *, to_answer: bool, parts: bool) -> str:
        messages = []
        for turn in turns:
            content = [{"type": "text", "text": turn.content}] if parts else turn.content
            messages.append({"role": turn.role, "content": content, **(json.loads(turn.extra) if turn.extra else {})})
        template = self.form.template
        return render(
            template.with_tools if tools and template.with_tools else template.text,
            messages,
            tools=json.loads(tools) if tools else None,
            to_answer=to_answer,
            variables={**self.tokenizer.special_tokens_map, **self.form.variables},
            date=self.form.date,
        )

    def _mend(self, turns: Sequence[Turn], parts: bool) -> str:
        """What to do about a template that fails."""
        has_system = any(turn.role == "system" for turn in turns)
        others = [turn for turn in turns if turn.role != "system"]
        tried = others if has_system else [Turn("system", PROBE), *others]
        try:
            self._raw(tried, "", to_answer=turns[-1].role == "user", parts=parts)
        except RenderingError:
            return ANOTHER
        return "leave the system prompt out" if has_system else "add --system TEXT"

    def _refuse_vain(self, options: TemplateOptions) -> None:
        """Raises InputError for options that the template does not read."""
        template = self.form.template.text
        if unknown := sorted(set(self.form.variables) - self.variables):
            names = f"it reads {', '.join(sorted(self.variables))}" if self.variables else "it reads none"
            raise InputError(f"template-option {unknown[0]}: {self._named} does not read it; {names}")
        if options.template_date is not None and not writes_date(template):
            raise InputError(f"template-date: {self._named} writes no date; leave it out")
