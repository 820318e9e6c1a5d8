"""Models, data and options → what fits, what does not, and what tuning did: one ``Check``.

Not covered: reading files and loading models (``cli``), and how it is told (``tell``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrib.checking.effect import Effect, measure_effect, spaced
from attrib.checking.prompt import ShownPrompt, show_prompt
from attrib.checking.training import RunRecord, read_run, trained_ids
from attrib.corpus import demo
from attrib.corpus.control import in_form_of
from attrib.corpus.documents import Corpus
from attrib.models.change import Change, measure_change
from attrib.models.pair import ModelPair
from attrib.models.rows import differences
from attrib.options.check import CheckOptions
from attrib.progress import Progress
from attrib.records import Section


@dataclass(frozen=True)
class Check:
    """Everything that ``attrib check`` found."""

    base: str
    tuned: str
    shares_weights: bool
    """Whether the tuned model is an adapter on the base's own weights."""
    reading: Mapping[str, Any] | None
    """Counts of the reading; None without documents."""
    lines: tuple[str, ...]
    """The same in words."""
    prompt: ShownPrompt
    change: Change
    effect: Effect
    run: RunRecord
    own_control: bool
    """Whether the control texts are the caller's, rather than those of the package."""
    left_out: int
    """Sections that the run's trained.jsonl does not name, where it names others: none of the rows is one."""
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """What tuning made."""
        return "your adapter" if self.shares_weights else "your fine-tune"


def check(
    pair: ModelPair,
    corpus: Corpus | None,
    control: Corpus,
    options: CheckOptions | None = None,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Check:
    """Look at the pair, its data and a few texts; a few forward passes. Raises InputError for a row that cannot be
    read as it was trained."""
    options = options or CheckOptions()
    tell = progress or (lambda what, done, total: None)
    sections = corpus.sections if corpus is not None else ()
    trained = trained_ids(pair)
    known = tuple(section for section in sections if trained is None or section.id in trained)
    rows = spaced(known or sections, options.rows, options.seed)
    asking = next((row for row in rows if row.turns), rows[0] if rows else None)
    prompt = show_prompt(pair.chat, asking, pair.context)
    tell("measuring the change of the weights", 0, 1)
    change = measure_change(pair)
    tell("measuring the change of the weights", 1, 1)
    forms = {row.form for row in rows}
    formed = in_form_of(corpus, control) if corpus is not None else control
    texts = [text for text in formed.sections if text.form in forms] or formed.sections
    return Check(
        base=pair.base.name,
        tuned=pair.tuned.name,
        shares_weights=pair.shares_weights,
        reading=corpus.report.fields() if corpus is not None else None,
        lines=corpus.report.lines() if corpus is not None else (),
        prompt=prompt,
        change=change,
        effect=measure_effect(pair, rows, spaced(texts, options.rows, options.seed), cache=cache, progress=progress),
        run=read_run(pair, {section.id for section in sections}),
        own_control=control.sha256 != demo.control().sha256,
        left_out=len(sections) - len(known) if known else 0,
        warnings=_warnings(pair, known, sections),
    )


def _warnings(pair: ModelPair, known: Sequence[Section], every: Sequence[Section]) -> tuple[str, ...]:
    """What may make numbers wrong, one line each."""
    lines = [*pair.notes, *differences(pair.chat, every)]
    if every and not known:
        lines.append(
            "trained.jsonl beside the adapter names none of these sections: other documents, or cut in another way "
            "(documents.max_tokens)"
        )
    return tuple(lines)
