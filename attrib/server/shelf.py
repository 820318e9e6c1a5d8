"""Explanations kept in a folder, and their pages.

Records that come to the folder while the server runs are found. Not covered: records that somebody removes while their
page is being made.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

from attrib import storage
from attrib.errors import InputError
from attrib.files import write_atomically
from attrib.records import Explanation
from attrib.render import gallery, page

KEPT = 8
"""Pages held in memory; the largest have some 10 MB."""
Stamps = dict[Path, tuple[int, int]]
"""When each record was written, and its size."""


class Shelf:
    """A folder's explanations; its methods may be called from any thread."""

    def __init__(self, folder: Path, live: Mapping[str, str] | None = None) -> None:
        """``live``: addresses that pages ask (``ask``, ``home``); None where there is no model.

        Raises InputError for a folder that is none.
        """
        if not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder; name one that attrib explain or attrib assess wrote with --out"
            )
        self.folder = folder
        self.live = live
        self.writing = threading.Lock()
        """Held while a record is written: who holds it may end the process."""
        self._looking = threading.Lock()
        self._lock = threading.Lock()
        self._stamps: Stamps = {}
        self._own: dict[Path, gallery.Entry] = {}
        self._found = gallery.Listing(())
        self._entries: dict[str, gallery.Entry] = {}
        self._pages: OrderedDict[tuple[str, tuple[int, int]], bytes] = OrderedDict()
        self._index: tuple[gallery.Listing, bytes] | None = None
        self._look()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, explanation: Explanation, settle: Callable[[], None] = lambda: None) -> str:
        """Keep it; its address. The same explanation again has the same.

        ``settle`` is called directly before it is kept; what it raises comes out, and nothing is kept.
        """
        data = storage.to_bytes(explanation)
        file = self.folder / f"{hashlib.sha256(data).hexdigest()[:24]}.safetensors"
        with self.writing:
            settle()
            write_atomically(file, data)
        entry = gallery.entry_of(explanation, file)
        with self._lock:
            self._own[file] = entry
            self._stamps[file] = _stamp(file)
            self._show(self._found)
        return address(entry.id)

    def record(self, name: str) -> Path | None:
        """The file of a known explanation."""
        entry = self._entries.get(name)
        return entry.path if entry is not None else None

    def page(self, name: str) -> bytes | None:
        """The page of a known explanation."""
        file = self.record(name)
        if file is None:
            return None
        key = (name, _stamp(file))
        with self._lock:
            found = self._pages.get(key)
            if found is not None:
                self._pages.move_to_end(key)
                return found
        # Two threads may both make it; the second finds it made where the caller lets in one at a time.
        made = page.html(storage.load(file), live=self.live, home="/")
        with self._lock:
            self._pages[key] = made
            while len(self._pages) > KEPT:
                self._pages.popitem(last=False)
        return made

    def index(self) -> bytes:
        """The list of all, with the question box where there is a model."""
        self._look()
        with self._lock:
            found, links, index = self._found, {name: address(name) for name in self._entries}, self._index
        if index is None or index[0] is not found:
            index = self._index = found, gallery.index_html(found, links, live=self.live)
        return index[1]

    def _look(self) -> None:
        """Read the folder again where something in it changed."""
        with self._looking:
            now = {file: _stamp(file) for file in self.folder.rglob("*.safetensors")}
            with self._lock:
                if now == self._stamps:
                    return
            try:
                found = gallery.find([self.folder])
            except InputError:
                found = gallery.Listing(())
            with self._lock:
                self._stamps = now
                self._show(found)

    def _show(self, found: gallery.Listing) -> None:
        """Those found and those added since they were looked for."""
        entries = {entry.id: entry for entry in found.entries}
        for file, entry in self._own.items():
            if file.is_file():
                entries.setdefault(entry.id, entry)
        self._entries = entries
        self._found = gallery.Listing(tuple(entries.values()), found.problems)


def address(name: str) -> str:
    """Where an explanation's page is."""
    return f"/explanations/{name}"


def _stamp(file: Path) -> tuple[int, int]:
    """Zeros for a file that has gone."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
