"""Explanation → text for a terminal or a pipe.

Colours where the console has them; without (NO_COLOR, a pipe) the same facts stand as marks, no escape code is written
and no blank ends a line. The width decides between tables and blocks. Text of documents, questions and answers is data:
never read as markup, control characters made visible. Not covered: interaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from attrib.measures import bits
from attrib.records import LABELS, Explanation, Verbatim, VocabularyShare
from attrib.render import view
from attrib.render.blocks import Flow, hanging, headed, indented, is_plain, print_parts, text_of, wide_table
from attrib.render.first_screen import STYLES, first_screen, quoted

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_PROMPT_WIDTH, _SHARES_WIDTH, _VERDICTS_WIDTH = 76, 94, 120
"""Columns from which these stand as tables, below them as blocks."""
_SECTION_WIDTH = 40
"""Columns that a section's text has beside its scores in a table."""


def show(explanation: Explanation, console: Console, *, top: int = 5, everything: bool = False) -> None:
    """Print where the answer comes from; ``everything``: then prompt tokens, p-values and the ``top`` sections too."""
    plain, width = is_plain(console), console.width
    print_parts(console, first_screen(explanation, plain, width, whole=everything))
    if everything:
        print_parts(console, _details(explanation, plain, top, width))


def verdict_table(explanations: Sequence[Explanation], console: Console) -> None:
    """Print one row an explanation: question, answer, percent per source, label, gain in bits, best section."""
    plain = is_plain(console)
    rows = [_verdict_row(explanation, plain) for explanation in explanations]
    if console.width < _VERDICTS_WIDTH:
        print_parts(console, (part for row in rows for part in _verdict_block(row)))
        return
    table = wide_table(plain, "question", "answer")
    for name in (*LABELS, "gain, bits"):
        table.add_column(text_of(name), justify="right")
    for name in ("verdict", "best section"):
        table.add_column(text_of(name), ratio=1, overflow="fold")
    for row in rows:
        table.add_row(*row)
    print_parts(console, [table])


def _details(explanation: Explanation, plain: bool, top: int, width: int) -> Iterator[RenderableType]:
    yield ""
    yield from _origins(explanation, plain)
    if explanation.attributions:
        yield from _prompts(explanation, plain, top, width)
    if explanation.vocabulary is not None and explanation.shares:
        yield from _vocabulary(explanation, plain, width)
    for found in explanation.verbatim[:top]:
        yield text_of(_verbatim(explanation, found))
    if explanation.verbatim:
        yield ""
    if explanation.sections:
        yield from _sections(explanation, plain, top, width)
        yield from _caveats(explanation, plain)


def _origins(explanation: Explanation, plain: bool) -> Iterator[RenderableType]:
    """Notes on models and prompt, the prompt's form, and what was read."""
    lines = [("Note", line) for line in view.notes(explanation)]
    if prompt := view.prompt_line(explanation):
        lines.append(("Prompt", prompt))
    lines += [("Read", line) for line in view.reading_lines(explanation)]
    yield from (headed(f"{name}: ", text_of(line), plain) for name, line in lines)
    if lines:
        yield ""


def _prompts(explanation: Explanation, plain: bool, top: int, width: int) -> Iterator[RenderableType]:
    """For each method: the question's parts with the most |score|, the template's share of it, the gap."""
    from rich.console import Group

    table = wide_table(plain)
    table.add_column(text_of("prompt tokens, most first"), min_width=21, max_width=32, overflow="fold")
    for side in ("base", "tuned"):
        table.add_column(text_of(side), ratio=1, overflow="fold")
    if width < _PROMPT_WIDTH:
        yield text_of("Prompt tokens, most first", "" if plain else "bold")
    for method, attribution in explanation.attributions.items():
        title = f"{method} (looked at)" if method == "attention" else method
        about = view.target_name(attribution.target).short
        if attribution.target != "logprob":
            title += f"\nof {about}"
        if said := view.gap_verdict(attribution):
            title += f"\n{said}"
        shares = view.template_share(explanation, attribution) or (None, None)
        gaps = view.gaps(attribution) or (None, None)
        sides = [
            _side(side, share, gap, attribution.target)
            for side, share, gap in zip(view.looked_at(explanation, method, top=top), shares, gaps, strict=True)
        ]
        if width < _PROMPT_WIDTH:
            yield text_of(title.replace("\n", ", "))
            for name, (pieces, notes) in zip(("base", "tuned"), sides, strict=True):
                yield indented(Flow([f"{name}:", *pieces, *notes]))
        else:
            cells = (Group(Flow(pieces), *(text_of(note) for note in notes)) for pieces, notes in sides)
            table.add_row(text_of(title), *cells)
    if width >= _PROMPT_WIDTH:
        yield table
    yield ""


def _side(
    best: Sequence[tuple[str, float]], share: float | None, gap: view.Gap | None, target: str
) -> tuple[list[str], list[str]]:
    """Words with their scores, and what must be said beside them, in brackets."""
    notes = [f"template {view.percent(share)}"] if share is not None else []
    notes += [f"gap {view.gap_line(gap, target)}"] if gap is not None else []
    return [f"{label} {_short(value)}" for label, value in best], [f"({'; '.join(notes)})"] if notes else []


def _vocabulary(explanation: Explanation, plain: bool, width: int) -> Iterator[RenderableType]:
    """For each method: the share of its scores in the question on words of the documents, beside chance."""
    vocabulary = explanation.vocabulary
    assert vocabulary is not None
    words = [word for word, own in zip(vocabulary.words, vocabulary.tuned_on, strict=True) if own]
    said = {"words": words, "phrases": [f"“{phrase.text}”" for phrase in vocabulary.phrases]}
    yield text_of("Share of each method's scores that falls on", "" if plain else "bold")
    for kind, tokens in {share.kind: share.token_share for share in explanation.shares}.items():
        listed = ", ".join(dict.fromkeys(said[kind])) or "none"
        yield indented(text_of(f"{kind} of the documents ({tokens:.0%} of the question's tokens): {listed}"))
    table = wide_table(plain, rows_apart=False)
    table.add_column("method", no_wrap=True)
    for name in ("base", "tuned", "difference"):
        table.add_column(name, ratio=1, overflow="fold")
    for share in explanation.shares:
        title, (base, tuned, difference) = f"{share.method}, {share.kind}", _share_cells(share)
        if width < _SHARES_WIDTH:
            yield text_of(title)
            yield indented(Flow([f"base {base}", f"tuned {tuned}", f"difference {difference}"]))
        else:
            table.add_row(*map(text_of, (title, base, tuned, difference)))
    if width >= _SHARES_WIDTH:
        yield table
    yield ""


def _share_cells(share: VocabularyShare) -> tuple[str, str, str]:
    """Base, tuned and difference of the whole answer."""
    base, tuned = (
        f"{view.percent(value[0])} (chance {view.percent(chance[0])}, {view.p_value(p[0])})"
        if np.isfinite(value[0])
        else "none"
        for value, chance, p in (
            (share.base, share.expected_base, share.p_base),
            (share.tuned, share.expected_tuned, share.p_tuned),
        )
    )
    difference = share.difference[0]
    last = f"{difference:+.0%} ({view.p_value(share.p_difference[0])})" if np.isfinite(difference) else "none"
    return base, tuned, last.replace("-", "−")


def _sections(explanation: Explanation, plain: bool, top: int, width: int) -> Iterator[RenderableType]:
    """The best sections with every mapper's score under base and tuned, and the best control text below them."""
    from rich.console import Group

    head = "" if plain else "bold"
    rows = view.section_rows(explanation, top=top)
    described = [(str(row.rank), _section(row, plain)) for row in rows]
    described.append(("–", text_of("best control (neither model was tuned on it)")))
    scores = [{name: (score.base, score.tuned) for name, score in row.scores.items()} for row in rows]
    scores.append({name: (score.control_base, score.control_tuned) for name, score in rows[0].scores.items()})
    if width < 4 + _SECTION_WIDTH + sum(max(len(name), 7) + 1 for name in explanation.mappings):
        yield text_of("Sections, with scores base → tuned", head)
        for (rank, section), own in zip(described, scores, strict=True):
            pieces = [f"{name} {_short(base)} → {_short(tuned)}" for name, (base, tuned) in own.items()]
            yield hanging(f"{rank} ", Group(section, Flow(pieces)))
        yield ""
        return
    table = wide_table(plain)
    table.add_column("#", no_wrap=True)
    table.add_column("section", ratio=1, overflow="fold")
    for mapper in explanation.mappings:
        table.add_column(text_of(f"{mapper}\nbase\ntuned"), justify="right", no_wrap=True)
    for (rank, section), own in zip(described, scores, strict=True):
        table.add_row(rank, section, *(text_of(f"\n{_short(base)}\n{_short(tuned)}") for base, tuned in own.values()))
    yield table
    yield ""


def _section(row: view.SectionRow, plain: bool) -> Text:
    """Title, place, whether it was learned, and the text around the match; of a conversation turn by turn."""
    learned = f"learned: {'yes' if row.learned >= view.LEARNED else 'no'} {view.percent(row.learned)}"
    place = text_of(f"\n{row.section.document} {row.section.lines}; {learned}")
    section = headed(row.section.title, place, plain)
    if not row.section.turns:
        return section.append("\n").append_text(quoted(view.snippet(row), "", plain))
    for turn, pieces in view.spoken(row):
        section.append_text(text_of(f"\n{turn.role}{', trained' if turn.trained else ''}: "))
        section.append_text(quoted(pieces, "" if turn.trained or plain else "dim", plain))
    return section


def _verdict_row(explanation: Explanation, plain: bool) -> list[Text]:
    found = view.headline(explanation)
    label, best = found.called, view.section_rows(explanation, top=1)
    return [
        text_of(explanation.question),
        text_of(explanation.answer.strip()),
        *map(text_of, view.percent_texts(explanation.verdict.whole)),
        text_of(_signed(_bits(explanation).sum())),
        text_of(label, "" if plain else STYLES[label]),
        text_of(f"{view.section_label(best[0].section)} ({best[0].section.lines})" if best else "none"),
    ]


def _verdict_block(row: Sequence[Text]) -> Iterator[RenderableType]:
    question, answer, *shares, gain, label, best = row
    yield question
    yield indented(text_of("“").append_text(answer).append("” → ").append_text(label))
    percents = [text_of(f"{name} ").append_text(share) for name, share in zip(LABELS, shares, strict=True)]
    yield indented(Flow([*percents, text_of("gain ").append_text(gain).append(" bits")]))
    yield indented(text_of("best section: ").append_text(best))


def _verbatim(explanation: Explanation, found: Verbatim) -> str:
    """``“words of the answer” verbatim in File.md L3–5 (and 2 more sections; the question says it too)``."""
    by_id = {section.id: section for section in explanation.sections}
    known = (by_id[s] for s in found.sections if s in by_id)
    where = next((f"{section.document} {section.lines}" for section in known), "a section that was not scored")
    more = found.sections_total - 1
    notes = [f"and {more} more section{'s' * (more > 1)}"] if more > 0 else []
    notes += ["the question says it too"] if found.in_question else []
    notes += ["control texts say it too"] if found.in_control else []
    return f"“{found.text}” verbatim in {where}" + (f" ({'; '.join(notes)})" if notes else "")


def _caveats(explanation: Explanation, plain: bool) -> Iterator[Text]:
    """Caveats of the scores, each with the names of the scores it holds for."""
    said: dict[str, list[str]] = {}
    for name in (*explanation.mappings, *explanation.attributions):
        if caveat := view.kind_in(explanation, name).caveat:
            said.setdefault(caveat, []).append(name)
    for caveat, names in said.items():
        yield headed(f"{', '.join(names)}: ", text_of(caveat), plain)


def _bits(explanation: Explanation) -> np.ndarray:
    return np.asarray(bits(explanation.verdict.gain.astype(np.float64)))


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _short(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if np.isfinite(value) else "none"
