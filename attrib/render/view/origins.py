"""What a record says of its documents, its prompt and its models, in lines; records that say nothing have none.

Not covered: digests and versions (``payload.verdict``), and the command that makes the record again (``command``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from attrib.corpus.reading import ReadingReport, count
from attrib.errors import RecordError
from attrib.records import Explanation
from attrib.records.codec import from_json, to_json

SYSTEM = 60
"""Characters of a system prompt that are shown."""


def reading_lines(explanation: Explanation) -> tuple[str, ...]:
    """Counts of the reading, the total first."""
    documents = explanation.provenance.get("documents")
    fields = documents.get("reading") if isinstance(documents, Mapping) else None
    if not isinstance(fields, Mapping):
        return ()
    try:
        report: ReadingReport = from_json(ReadingReport, to_json({k: v for k, v in fields.items() if k != "losses"}))
    except RecordError:
        return ()
    return report.lines()


def prompt_line(explanation: Explanation) -> str:
    """Where the prompt's form comes from, and what was added to it."""
    said = explanation.provenance.get("prompt")
    return "; ".join(_prompt_parts(said)) if isinstance(said, Mapping) else ""


def _prompt_parts(said: Mapping[str, object]) -> Iterator[str]:
    source = str(said.get("source"))
    yield "no chat template" if source == "none" else source
    if said.get("format"):
        yield json.dumps(said["format"], ensure_ascii=False)
    if system := said.get("system"):
        line = " ".join(str(system).split())
        yield f"system prompt “{line if len(line) <= SYSTEM else line[:SYSTEM].rstrip() + '…'}”"
    if isinstance(earlier := said.get("conversation"), Sequence) and earlier:
        yield count(len(earlier), "earlier turn")
    if isinstance(options := said.get("options"), Mapping):
        yield from (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in options.items())
    if said.get("date"):
        yield f"date {str(said['date'])[:10]}"


def notes(explanation: Explanation) -> tuple[str, ...]:
    """What may make the record's numbers wrong, one line each: notes on the models, then how the prompt of the question
    differs from the rows of chat data."""
    said = explanation.provenance
    prompt = said.get("prompt")
    return (*_lines(said.get("notes")), *_lines(prompt.get("rows") if isinstance(prompt, Mapping) else None))


def _lines(found: object) -> tuple[str, ...]:
    return tuple(map(str, found)) if isinstance(found, Sequence) and not isinstance(found, str) else ()
