"""Figure → files, each whole or absent; the same figure gives the same bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.errors import InputError
from attrib.files import write_atomically
from attrib.records import Explanation
from attrib.render import view
from attrib.render.figures.latex import snippet
from attrib.render.figures.style import FORMATS, style
from attrib.render.tables import Rows, csv_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Metadata = Callable[[str], dict[str, str | None]]
"""Format → metadata of a file of that format."""


def drawn(
    name: str,
    figure: Figure,
    caption: str,
    formats: Sequence[str],
    *,
    preset: str,
    numbers: Rows = (),
    metadata: Metadata | None = None,
) -> dict[str, bytes]:
    """All that goes with a figure, by file name: pictures, caption, LaTeX snippet, and ``numbers`` as CSV where given.

    ``metadata`` defaults to a title made of the name. The CSV is RFC 4180's, one row a mark that is drawn.
    """
    of = metadata or (lambda form: plain_metadata(f"attrib {name}", form))
    files = {f"{name}.{form}": to_bytes(figure, form, of(form)) for form in formats}
    if numbers:
        rows = [{key: _rounded(value) for key, value in row.items()} for row in numbers]
        files[f"{name}.csv"] = csv_bytes(rows, list(numbers[0]), end="\r\n")
    return files | {
        f"{name}.caption.txt": f"{caption}\n".encode("utf-8", "replace"),
        f"{name}.tex": snippet(name, caption, preset).encode(),
    }


def _rounded(value: object) -> object:
    """Eight digits of a number: the last bits of sums differ from machine to machine."""
    return float(f"{value:.8g}") if isinstance(value, float) else value


def save(figure: Figure, explanation: Explanation, path: str | Path, *, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write the figure once a format beside ``path`` (its suffix, if a format, is dropped); returns the files.

    Each file appears whole or not at all, and carries the question and the record's provenance as metadata.
    Raises InputError for an unknown format or a folder that cannot be written.
    """
    if unknown := sorted(set(formats) - set(FORMATS)):
        raise InputError(f"cannot write a figure as {', '.join(unknown)}; choose from {', '.join(FORMATS)}")
    path = Path(path)
    stem = path.stem if path.suffix[1:] in FORMATS else path.name
    written = []
    for form in formats:
        target = path.parent / f"{stem}.{form}"
        write_atomically(target, to_bytes(figure, form, record_metadata(explanation, form)))
        written.append(target)
    return written


def record_metadata(explanation: Explanation, form: str) -> dict[str, str | None]:
    """Question and provenance under each format's own keys; no dates, which would change the bytes."""
    title = view.visible(" ".join(explanation.question.split()))
    plain = plain_metadata(title, form)
    subject = f"attrib: {view.verdict_line(explanation.verdict.whole)}"
    provenance = json.dumps(dict(explanation.provenance), sort_keys=True, default=str, ensure_ascii=True)
    if form == "pdf":
        return {**plain, "Subject": subject, "Keywords": provenance}
    return {**plain, "Description": f"{subject} {provenance}"}


def plain_metadata(title: str, form: str) -> dict[str, str | None]:
    """A title under the format's own keys; no dates, which would change the bytes."""
    dates: dict[str, dict[str, str | None]] = {
        "pdf": {"Creator": "attrib", "CreationDate": None},
        "svg": {"Creator": "attrib", "Date": None},
        "png": {"Software": "attrib"},
    }
    return {"Title": title, **dates[form]}


def to_bytes(figure: Figure, form: str, metadata: dict[str, str | None]) -> bytes:
    """The figure as a file of one of FORMATS; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=form, dpi=300 if form == "png" else 72, metadata=metadata)
    return buffer.getvalue()
