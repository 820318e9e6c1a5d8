"""A check in words: first the finding, then what it rests on.

Not covered: colours; text of the data is data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attrib.checking.effect import nats, said
from attrib.checking.run import Check
from attrib.records.codec import to_json
from attrib.render import view
from attrib.render.blocks import grid, indented, text_of

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN_LAYERS = 8
"""Kinds of layers that the table lists."""


def sentence(found: Check) -> str:
    """The answer to «is my adapter doing anything?»."""
    line = said(found.effect, found.name)
    if found.effect.finding != "nothing":
        return line
    return f"{line}; " + (
        "its weights are those of base: an adapter from before its first step?"
        if found.change.is_zero
        else "its weights differ from base's, by less than these texts show"
    )


def as_fields(found: Check, command: str | None) -> dict[str, Any]:
    """The whole check as JSON can hold it."""
    effect = found.effect
    content: dict[str, Any] = to_json(found)
    content["finding"] = effect.finding
    content["sentence"] = sentence(found)
    content["effect"] |= {
        "own": {side: effect.mean(side, own=True) for side in ("base", "tuned")} if effect.rows else None,
        "control": {side: effect.mean(side, own=False) for side in ("base", "tuned")},
        "beyond": effect.beyond,
    }
    return {"next": command, **content}


def parts(found: Check) -> Iterator[RenderableType]:
    """The check, part by part."""
    line = sentence(found)
    yield text_of(line[:1].upper() + line[1:] + ("" if line.endswith("?") else "."))
    yield ""
    if found.lines:
        yield text_of("Data")
        yield from (indented(text_of(line)) for line in found.lines)
        if found.left_out:
            line = (
                f"{found.left_out} of the sections were not trained, by trained.jsonl: the rows below are of the others"
            )
            yield indented(text_of(line))
    yield from _prompt(found)
    yield from _change(found)
    yield from _effect(found)
    yield text_of("Influence")
    yield from (indented(text_of(line)) for line in found.run.said)
    if found.warnings:
        yield text_of("Warnings")
        yield from (indented(text_of(line)) for line in found.warnings)


def _prompt(found: Check) -> Iterator[RenderableType]:
    prompt = found.prompt
    of = f", for the question of {prompt.row}" if prompt.row else ""
    yield text_of(f"Prompt ({prompt.source}){of}")
    yield indented(text_of(prompt.text))
    if prompt.trained:
        what = "in brackets what is taken as learned (by default TRL learns questions too)"
        yield text_of(f"The row as training writes it, {what}")
        yield indented(text_of("".join(f"[{text}]" if learned else text for text, learned in prompt.trained)))


def _change(found: Check) -> Iterator[RenderableType]:
    change = found.change
    yield text_of(f"Change of the weights: {change.kind}, {change.weights:,} numbers")
    table = grid(("layers", "matrices", "‖ΔW‖ / ‖W‖", "largest", "in"), left=(0, 4))
    for layer in change.layers[:SHOWN_LAYERS]:
        cells = (layer.kind, str(layer.matrices), _share(layer.relative), _share(layer.largest), layer.largest_at)
        table.add_row(*map(text_of, cells))
    yield indented(table)
    if len(change.layers) > SHOWN_LAYERS:
        yield indented(text_of(f"and {len(change.layers) - SHOWN_LAYERS} kinds of layers that changed less"))


def _share(value: float) -> str:
    """A share as percent with two digits; only what is nothing is 0%."""
    if value == 0:
        return "0%"
    return "<0.01%" if value < 1e-4 else f"{view.number(100 * value)}%"


def _effect(found: Check) -> Iterator[RenderableType]:
    effect = found.effect
    yield text_of("log p a token, nats")
    table = grid(("text", "", "tokens", "base", "tuned", "gain"), left=(0, 1))
    for one in effect.texts:
        kind = "data" if one.own else "control"
        numbers = (f"{one.tokens:,}", nats(one.base), nats(one.tuned), signed(one.gain))
        table.add_row(*map(text_of, (kind, f"{one.title} ({one.place})", *numbers)))
    yield indented(table)
    if effect.rows and effect.finding != "nothing":
        line = f"{effect.beyond} of {effect.rows} rows gained more than every control text"
        if not found.own_control:
            line += (
                "; control texts of the package differ from your rows in style: held-out rows are better (--control)"
            )
        yield indented(text_of(line))


def signed(value: float) -> str:
    """A gain with its sign, small ones with a digit more; 0 alone where nothing changed."""
    if value == 0:
        return "0"
    return (f"{value:+.2f}" if abs(value) >= 0.1 else f"{value:+.3f}").replace("-", "−")
