"""Row files on the command line: columns of the documents, and columns of the control texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from attrib.cli.common import read_control, read_documents
from attrib.errors import InputError
from attrib.options.loading import ControlledDocuments


def test_control_texts_have_the_columns_of_the_documents_or_their_own(tmp_path: Path) -> None:
    documents, control = tmp_path / "documents.jsonl", tmp_path / "control.tsv"
    documents.write_text('{"body_text": "The storm broke at noon.", "name": "Storm"}\n')
    control.write_text("words\tname\nA ferry crosses.\tFerry\n")
    given = ControlledDocuments(path=documents, control=control, columns=("text=body_text", "title=name"))
    assert read_documents(documents, given).sections[0].titles == ("Storm",)
    with pytest.raises(InputError, match=r"control\.tsv: no column 'body_text'; the columns are words, name"):
        read_control(given)
    own = ControlledDocuments(path=documents, control=control, columns=given.columns, control_columns=("text=words",))
    read = read_control(own)
    assert read is not None
    assert [section.text for section in read.sections] == ["A ferry crosses."]
    control.write_text("body_text;name\nA ferry crosses.;Ferry\n")
    read = read_control(given)
    assert read is not None
    assert read.sections[0].titles == ("Ferry",)
