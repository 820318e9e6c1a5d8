"""``attrib sections``: what the reader makes of documents."""

from __future__ import annotations

from attrib.cli.common import console_of, print_json, read_documents
from attrib.cli.groups import DocumentsFolder, Json
from attrib.options.loading import ReadingOptions

EXAMPLE = "attrib sections ./docs -o documents.max_tokens=128"


def sections(path: DocumentsFolder, documents: ReadingOptions, as_json: Json = False) -> None:
    """List the sections of documents; needs no model."""
    from attrib.corpus.reading import count
    from attrib.corpus.sections import count_words

    corpus = read_documents(path, documents)
    rows = [
        {
            "id": s.id,
            "document": s.document,
            "title": s.title,
            "lines": s.lines,
            "words": count_words(s.text),
            "near_duplicate_of": s.near_duplicate_of,
            "text": s.text,
        }
        for s in corpus.sections
    ]
    if as_json:
        found = {"sha256": corpus.sha256, "documents": len(corpus.documents), "sections": rows}
        print_json(found | {"reading": corpus.report.fields()})
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("id", "document", "lines", "title", "words", "near-duplicate of"):
        table.add_column(name, justify="right" if name == "words" else "left", overflow="fold")
    for row in rows:
        cells = (row["id"], row["document"], row["lines"], row["title"], row["words"], row["near_duplicate_of"] or "")
        table.add_row(*(Text(str(cell)) for cell in cells))
    console_of().print(table)
    total = f"{count(len(rows), 'section')} in {count(len(corpus.documents), 'document')}"
    print(f"{total}, corpus {corpus.sha256[:12]}")
