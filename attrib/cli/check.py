"""``attrib check``: do the inputs fit together, and is the adapter doing anything?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrib.cli.common import (
    check_placement,
    console_of,
    load_pair,
    print_json,
    read_control,
    read_corpus,
    show_progress,
)
from attrib.cli.groups import Given, Json
from attrib.errors import InputError
from attrib.options.chat import ChatOptions
from attrib.options.check import CheckOptions
from attrib.options.fields import options_of
from attrib.options.loading import ControlledDocuments, Models

if TYPE_CHECKING:
    from attrib.checking.run import Check

EXAMPLE = "attrib check --tuned ./adapter --documents ./train.jsonl"


def check(
    given: Given,
    models: Models,
    documents: ControlledDocuments,
    chat: ChatOptions,
    check: CheckOptions,
    as_json: Json = False,
) -> None:
    """Check models and data in seconds, before anything long.

    What was read, the prompt, how large the change of the weights is, log p of a few rows and control texts before
    and after, what influence can use, and the next command. Without documents the rest is still checked.
    """
    from attrib.checking.run import check as check_pair
    from attrib.checking.tell import as_fields, parts
    from attrib.corpus import demo
    from attrib.models.bundled import cache_dir
    from attrib.render.blocks import print_parts

    check_placement(models)
    if models.base is not None and models.tuned is None:
        raise InputError("tuned: no tuned model is named; add --tuned")
    bare = documents.path is None and models.tuned is not None
    corpus = None if bare else read_corpus(models, documents)[0]
    control = read_control(documents) or demo.control()
    with show_progress() as progress:
        pair = load_pair(models, progress, chat, corpus)
        found = check_pair(pair, corpus, control, check, cache=cache_dir(), progress=progress)
    command = _next(found, {"models": models, "documents": documents, "chat": chat}, given, bare=bare)
    if as_json:
        print_json(as_fields(found, command))
        return
    print_parts(console_of(), parts(found))
    if command is not None:
        # On one line, whatever its length, to be copied.
        print(f"Next: {command}")


def _next(found: Check, groups: Mapping[str, object], given: Given, *, bare: bool) -> str | None:
    """The command to run next, with the options of this one; None where the tuned model is base."""
    from attrib.render.command import option_words, quoted

    if found.effect.finding == "nothing":
        return None
    words = ["attrib", "check"] if bare else ["attrib", "explain", found.prompt.question]
    for group, options in groups.items():
        for option in options_of(options, group):
            if option.key in given:
                words += option_words(option, option.default)
    if bare:
        words += ["--documents", "DOCUMENTS"]
    elif found.prompt.missing_system and not {"chat.system", "chat.conversation"} & set(given):
        # The rows' own, which the warning names.
        words += ["--system", found.prompt.missing_system]
    return " ".join(map(quoted, words))
