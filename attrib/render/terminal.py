"""Explanation → text for a terminal or a pipe.

Colours where the console has them; without (NO_COLOR, a pipe) the same facts stand as marks and no escape code is
written. Text of documents, questions and answers is data: never read as markup, control characters made visible.
Not covered: interaction; consoles that cannot print Unicode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from attrib.measures import bits
from attrib.records import LABELS, Explanation, Verbatim
from attrib.render import view

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

STYLES = {"documents": "bold underline blue", "base": "yellow", "neither": "bright_black"}
MARKS = {"documents": "[d]", "base": "[b]", "neither": "[n]"}
_BARS = "▁▂▃▄▅▆▇█"


def show(explanation: Explanation, console: Console, *, top: int = 5) -> None:
    """Print the whole explanation: question, verdict, answer, prompt tokens and the ``top`` sections."""
    plain = is_plain(console)
    for title, text in _parts(explanation, plain):
        line = text_of(f"{title}: ", "" if plain else "bold")
        console.print(line.append_text(text))
    console.print()
    if explanation.attributions:
        console.print(_prompt_table(explanation, plain, top))
    if explanation.vocabulary is not None and explanation.shares:
        console.print(_vocabulary_table(explanation, plain))
    for found in explanation.verbatim[:top]:
        console.print(text_of(_verbatim(explanation, found)))
    if explanation.verbatim:
        console.print()
    if explanation.sections:
        console.print(_section_table(explanation, plain, top))
        console.print(text_of(_caveats(explanation)))


def verdict_table(explanations: Sequence[Explanation], console: Console) -> None:
    """Print one row an explanation: question, answer, percent per source, label, gain in bits, best section."""
    plain = is_plain(console)
    table = _table(plain, "question", "answer")
    for name in (*LABELS, "gain, bits"):
        table.add_column(text_of(name), justify="right", header_style="" if plain else "bold")
    for name in ("label", "best section"):
        table.add_column(text_of(name), ratio=1, header_style="" if plain else "bold")
    for explanation in explanations:
        label = explanation.verdict.label
        best = view.section_rows(explanation, top=1)
        table.add_row(
            text_of(explanation.question),
            text_of(explanation.answer.strip()),
            *(text_of(f"{n}%") for n in view.percents(explanation.verdict.whole)),
            text_of(_signed(_bits(explanation).sum())),
            text_of(label, "" if plain else STYLES[label]),
            text_of(f"{view.section_label(best[0].section)} ({best[0].section.lines})" if best else "none"),
        )
    console.print(table)


def is_plain(console: Console) -> bool:
    """True where no escape code may be written: NO_COLOR, a pipe, a dumb terminal."""
    return console.no_color or console.color_system is None


def answer_text(explanation: Explanation, *, plain: bool) -> Text:
    """The answer with its verdicts: styled, or with a mark before each run of one verdict."""
    text = text_of("")
    for run, label in view.verdict_spans(explanation):
        if not plain:
            text.append_text(text_of(run, STYLES[label]))
            continue
        body = run.lstrip()
        text.append_text(text_of(run[: len(run) - len(body)] + MARKS[label] + body))
    return text


def sparkline(values: Sequence[float]) -> str:
    """One character a value, from the smallest (or zero) to the largest (or zero)."""
    if not len(values):
        return ""
    low, high = min(0.0, *values), max(0.0, *values)
    return "".join(_BARS[round((value - low) / ((high - low) or 1.0) * (len(_BARS) - 1))] for value in values)


def _parts(explanation: Explanation, plain: bool) -> Iterator[tuple[str, Text]]:
    verdict = explanation.verdict
    yield "Question", text_of(explanation.question)
    yield "Verdict", text_of(f"{view.verdict_line(verdict.whole)} → {verdict.label}")
    yield "Shares of the answer", text_of(view.verdict_line(verdict.shares))
    legend = text_of("")
    for label in LABELS:
        legend.append_text(text_of(f"{MARKS[label]} {label}  " if plain else label, "" if plain else STYLES[label]))
        legend.append("" if plain else "  ")
    if plain:
        legend.append("(a mark holds until the next)")
    yield f"Answer ({explanation.answer_source})", answer_text(explanation, plain=plain)
    yield "Key", legend
    yield "Base said", text_of(explanation.base_answer)
    bits = _bits(explanation)
    if len(bits):
        span = f"{_signed(bits.min())} to {_signed(bits.max())} bits a token, {_signed(bits.sum())} in all"
        yield "Gain", text_of(f"{sparkline(bits.tolist())}  {span} (log p tuned − log p base)")


def _prompt_table(explanation: Explanation, plain: bool, top: int) -> Table:
    """One row a method: the question's parts with the most |score|, the template's share of it, the gap."""
    table = _table(plain, "prompt tokens, most first", "base", "tuned")
    for method, attribution in explanation.attributions.items():
        title = f"{method} (looked at)" if method == "attention" else method
        about = view.target_name(attribution.target).short
        if attribution.target != "logprob":
            title += f"\nof {about}"
        if said := view.gap_verdict(attribution):
            title += f"\n{said}"
        shares = view.template_share(explanation, attribution) or (None, None)
        gaps = view.gaps(attribution) or (None, None)
        table.add_row(
            text_of(title),
            *(
                text_of(_side(side, share, gap, attribution.target))
                for side, share, gap in zip(view.looked_at(explanation, method, top=top), shares, gaps, strict=True)
            ),
        )
    return table


def _vocabulary_table(explanation: Explanation, plain: bool) -> Table:
    """One row a method: the share of its scores in the question on words of the documents, beside chance."""
    vocabulary = explanation.vocabulary
    assert vocabulary is not None
    said = [word for word, own in zip(vocabulary.words, vocabulary.tuned_on, strict=True) if own]
    phrases = [f"“{phrase.text}”" for phrase in vocabulary.phrases]
    title = "share of scores on words of the documents: " + (", ".join(dict.fromkeys([*said, *phrases])) or "none")
    table = _table(plain, title, "base", "tuned", "difference")
    for share in explanation.shares:
        sides = [
            f"{value[0]:.0%} (chance {chance[0]:.0%}, p {p[0]:.2f})" if np.isfinite(value[0]) else "none"
            for value, chance, p in (
                (share.base, share.expected_base, share.p_base),
                (share.tuned, share.expected_tuned, share.p_tuned),
            )
        ]
        difference = share.difference[0]
        last = f"{difference:+.0%} (p {share.p_difference[0]:.2f})" if np.isfinite(difference) else "none"
        cells = [f"{share.method}, {share.kind} ({share.token_share:.0%} of tokens)", *sides, last.replace("-", "−")]
        table.add_row(*(text_of(cell) for cell in cells))
    return table


def _verbatim(explanation: Explanation, found: Verbatim) -> str:
    """``“words of the answer” verbatim in File.md L3–5 (and 2 more sections; the question says it too)``."""
    by_id = {section.id: section for section in explanation.sections}
    where = [f"{by_id[s].document} {by_id[s].lines}" if s in by_id else s for s in dict.fromkeys(found.sections)]
    notes = [f"and {found.sections_total - 1} more sections"] if found.sections_total > 1 else []
    notes += ["the question says it too"] if found.in_question else []
    notes += ["control texts say it too"] if found.in_control else []
    return f"“{found.text}” verbatim in {where[0]}" + (f" ({'; '.join(notes)})" if notes else "")


def _side(best: Sequence[tuple[str, float]], share: float | None, gap: view.Gap | None, target: str) -> str:
    lines = ["  ".join(f"{label} {_short(value)}" for label, value in best)]
    notes = [f"template {share:.0%}"] if share is not None else []
    notes += [f"gap {view.gap_line(gap, target)}"] if gap is not None else []
    return "\n".join([*lines, *([f"({'; '.join(notes)})"] if notes else [])])


def _section_table(explanation: Explanation, plain: bool, top: int) -> Table:
    table = _table(plain)
    head = "" if plain else "bold"
    table.add_column("#", header_style=head, no_wrap=True)
    table.add_column("section", header_style=head, ratio=1, overflow="fold")
    table.add_column("learned", header_style=head)
    for mapper in explanation.mappings:
        table.add_column(text_of(f"{mapper}\nbase\ntuned"), header_style=head, justify="right")
    rows = view.section_rows(explanation, top=top)
    for row in rows:
        section = text_of(row.section.title, "" if plain else "bold")
        section.append_text(text_of(f"\n{row.section.document} {row.section.lines}\n“"))
        for piece, match in view.snippet(row):
            section.append_text(
                text_of(f"[{piece}]" if match else piece, "bold underline" if match and not plain else "")
            )
        section.append("”")
        table.add_row(
            str(row.rank),
            section,
            text_of(f"{'yes' if row.learned >= view.LEARNED else 'no'} {row.learned:.0%}"),
            *(text_of(f"\n{_short(score.base)}\n{_short(score.tuned)}") for score in row.scores.values()),
        )
    table.add_row(
        "–",
        text_of("best control (neither model was tuned on it)"),
        "",
        *(text_of(f"\n{_short(s.control_base)}\n{_short(s.control_tuned)}") for s in rows[0].scores.values()),
    )
    return table


def _caveats(explanation: Explanation) -> str:
    kinds = (view.kind_of(name) for name in (*explanation.mappings, *explanation.attributions))
    return " ".join(dict.fromkeys(kind.caveat for kind in kinds if kind.caveat))


def _table(plain: bool, *columns: str) -> Table:
    """A table without rules, as wide as the console; ``columns`` share the width."""
    from rich.table import Table

    table = Table(box=None, expand=True, padding=(0, 1, 1, 0), pad_edge=False, header_style="")
    for name in columns:
        table.add_column(text_of(name), ratio=1, overflow="fold", header_style="" if plain else "bold")
    return table


def text_of(text: str, style: str = "") -> Text:
    """Text that shows as it is written: no markup, no control characters but line breaks."""
    from rich.text import Text

    return Text(view.visible(text, keep="\n"), style)


def _bits(explanation: Explanation) -> np.ndarray:
    return np.asarray(bits(explanation.verdict.gain.astype(np.float64)))


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _short(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if np.isfinite(value) else "none"
