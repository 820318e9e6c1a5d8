"""An adapter tuned again without some sections, or on them alone, as it was tuned the first time.

Not covered: adapters of other programs, whose tuning cannot be repeated; approximations of a retraining.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from attrib.errors import InputError
from attrib.models.tuned_prompt import FILE
from attrib.options.loading import Loading, TuneLoading
from attrib.progress import Progress
from attrib.records import Item, Section
from attrib.training.trained import read_trained
from attrib.training.tune import tune
from attrib.training.workfolder import Manifest, read_manifest


def retrain_without(
    base: str,
    adapter: Path,
    sections: Sequence[Section],
    removed: Iterable[str],
    out: Path,
    *,
    only: bool = False,
    option: str = "remove",
    loading: Loading | None = None,
    progress: Progress | None = None,
) -> tuple[Path, tuple[str, ...]]:
    """Tune again as ``adapter`` was, without the sections ``removed``, their near-duplicates and their questions.

    ``sections``: those of the documents. ``only``: on these sections and their questions alone instead. Returns the new
    adapter's folder ``out/retrained`` and the ids that were left out (or kept). Options stay, so steps shrink; general
    questions are rehearsed as they were. ``loading``: how the base is loaded, in the adapter's own dtype.
    Raises InputError, beginning with ``option``, for ids that are no sections or were never trained, for an adapter of
    another program, and where nothing is left to learn.
    """
    removed = tuple(removed)
    gone = with_twins(sections, removed, option)
    made = read_manifest(adapter)
    items, rehearsed = learned_and_rehearsed(adapter, made)
    trained = {item.section for item in items}
    for id_ in removed:
        if id_ not in trained:
            raise InputError(f"{option}: {adapter.name} was not tuned on the section {id_!r}; name one of its own")
    kept = [item for item in items if (item.section in gone) is only]
    if not kept:
        raise InputError(f"{option}: {adapter.name} learned nothing else; leave a section of its own to learn")
    if made.prompt:
        raise InputError(
            f"{option}: {adapter.name} was tuned with a prompt of its own ({FILE}), which retraining does not repeat; "
            "tune it with the base's chat template"
        )
    how = replace(loading or Loading(), dtype=made.dtype)
    folder = tune(
        base, kept, out / "retrained", options=made.options, rehearse=rehearsed,
        loading=TuneLoading(**how.arguments(), four_bit=made.four_bit), progress=progress,
    )  # fmt: skip
    return folder, gone


def learned_and_rehearsed(adapter: Path, made: Manifest) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """What the adapter was taught, and the general questions that it rehearsed beside it."""
    items = read_trained(adapter)
    taught = len(items) - made.rehearsed
    return items[:taught], tuple(item.turns[-2].content for item in items[taught:])


def with_twins(sections: Sequence[Section], removed: Iterable[str], option: str = "remove") -> tuple[str, ...]:
    """``removed`` with all near-duplicates, in the documents' order; InputError for ids that are no sections."""
    known = {s.id for s in sections}
    gone = set(removed)
    for id_ in sorted(gone - known):
        raise InputError(f"{option}: {id_!r} is no section of the documents; attrib sections lists them")
    before = 0
    while before < len(gone):
        before = len(gone)
        for section in sections:
            twin = section.near_duplicate_of
            if twin is not None and (twin in gone or section.id in gone):
                gone |= {twin, section.id} & known
    return tuple(s.id for s in sections if s.id in gone)
