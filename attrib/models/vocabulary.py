"""Two tokenizers → the tokens that tuning added; two embedding matrices → the rows that it added.

Tuning may add tokens (padding, ChatML markers) and rows for them. Base then reads a new token by tuning's row and
cannot write it: its log-probs are those over its own tokens, as if the new ones did not exist.
Not covered: tokens that tuning took away or gave another id, which are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrib.errors import ModelError

_PROBE = "Tokens must agree: 1,024 naïve cafés\n\tالعربية 漢字 🙂 don't  HTTPServer_2 x=-1.5e-3;"
_SAMPLED, _TOGETHER = 1024, 16
"""Tokens of the vocabulary that are read as text, and how many in one text."""


def added_tokens(base: Any, tuned: Any) -> tuple[str, ...] | None:
    """Tokens of tuned's tokenizer that base's lacks, by id; None where texts without them get other ids.

    Compared are the ids of all tokens, and of texts made from tokens all over the vocabulary: what two tokenizers do,
    not how their files put it.
    """
    own, other = base.get_vocab(), tuned.get_vocab()
    if not own.items() <= other.items():
        return None
    new = sorted(other.keys() - own.keys(), key=lambda token: int(other[token]))
    for text in _texts(base):
        if any(token in text for token in new):
            continue
        if base(text, add_special_tokens=False).input_ids != tuned(text, add_special_tokens=False).input_ids:
            return None
    return tuple(new)


def _texts(tokenizer: Any) -> Iterator[str]:
    yield _PROBE
    ids = sorted(tokenizer.get_vocab().values())
    ids = ids[:: max(1, len(ids) // _SAMPLED)]
    for start in range(0, len(ids), _TOGETHER):
        yield tokenizer.decode(ids[start : start + _TOGETHER], skip_special_tokens=True)


def shared_tokenizer(base_name: str, base: Any, tuned_name: str, tuned: Any, rows: int) -> Any:
    """The tokenizer of the pair, with base's template: base's own, or tuned's where it does more.

    ``rows`` tokens have embeddings.
    Raises ModelError where the two give a text without new tokens other ids, and for new tokens without embeddings.
    """
    new = added_tokens(base, tuned)
    if new is None:
        raise ModelError(f"{base_name} and {tuned_name} split text into different tokens; name the base that was tuned")
    if missing := [token for token in new if tuned.get_vocab()[token] >= rows]:
        raise ModelError(
            f"{tuned_name}: its tokenizer has {missing[0]!r} beyond the {rows:,} tokens that have embeddings; save the "
            "tuned model or adapter with its embeddings (peft: save_embedding_layers=True)"
        )
    # A beginning of text that only one of them marks is tuning's too.
    if not new and base(_PROBE).input_ids == tuned(_PROBE).input_ids:
        return base
    tuned.chat_template = base.chat_template
    return tuned


def rows_of(network: Any) -> int:
    """Number of tokens that a network has embeddings for."""
    return int(network.get_input_embeddings().weight.shape[0])


def add_rows(network: Any, rows: int) -> None:
    """Extend input and output embeddings to ``rows`` tokens. The new rows are to be filled in."""
    network.resize_token_embeddings(rows, mean_resizing=False)
    network.requires_grad_(False)


def fill_rows(embeddings: Any, own: int, rows: Any) -> None:
    """Give the tokens from ``own`` on the input embeddings that ``rows`` has for them."""
    import torch

    with torch.no_grad():
        embeddings[own:].copy_(rows[own:])


@contextmanager
def without_rows(network: Any, own: int | None) -> Iterator[None]:
    """The network's logits of tokens from ``own`` on are −∞ until leaving; None: of none."""
    import torch

    if own is None:
        yield
        return
    first = own

    def hide(module: Any, given: Any, output: Any) -> Any:
        tokens = torch.arange(output.logits.shape[-1], device=output.logits.device)
        output.logits = output.logits.masked_fill(tokens >= first, float("-inf"))
        return output

    handle = network.register_forward_hook(hide)
    try:
        yield
    finally:
        handle.remove()


def added_note(tokenizer: Any, own: int | None, base_name: str) -> tuple[str, ...]:
    """The note on tokens that tuning added to base's ``own``, by the first three; none where there are none."""
    if own is None:
        return ()
    new = [token for token, id_ in sorted(tokenizer.get_vocab().items(), key=lambda one: one[1]) if id_ >= own]
    if not new:
        return ()
    shown = ", ".join(map(repr, new[:3])) + (", …" if len(new) > 3 else "")
    number = "a token" if len(new) == 1 else f"{len(new):,} tokens"
    them = "it" if len(new) == 1 else "them"
    return (
        f"tuning added {number} ({shown}): {base_name} reads {them} by tuning's embedding and cannot write {them}, so "
        f"its log-probs leave {them} out",
    )
