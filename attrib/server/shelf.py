"""Explanations stored in a folder, and their pages.

Records added to the folder while the server runs are found, and only changed files are read again. Nothing outside
the folder is shown: links are skipped, and a file that was replaced after listing is not opened.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from attrib.errors import RecordError
from attrib.files import write_atomically
from attrib.progress import Progress
from attrib.records import Explanation, storage
from attrib.render import gallery, page

KEPT = 8
"""Pages held in memory; the largest have about 10 MB."""
Stamp = tuple[int, int, int, int]
"""Device, inode, modification time and size of a file."""


class Shelf:
    """The explanations of a folder; all methods are thread-safe."""

    def __init__(self, folder: Path, live: Mapping[str, str] | None = None, progress: Progress | None = None) -> None:
        """``live``: addresses that pages call (``ask``, ``home``); None without models.
        ``progress``: progress of reading the folder.

        Raises InputError for a path that is not a folder.
        """
        gallery.check_folder(folder)
        self.folder = folder
        self.live = live
        self.writing = threading.Lock()
        """Held while a record is written; its holder may end the process."""
        self._looking = threading.Lock()
        self._lock = threading.Lock()
        self._looks: dict[Path, tuple[Stamp, gallery.Look]] = {}
        self._found = gallery.Listing(())
        self._entries: dict[str, gallery.Entry] = {}
        self._pages: OrderedDict[tuple[str, Stamp], bytes] = OrderedDict()
        self._index: tuple[gallery.Listing, bytes] | None = None
        self._look(progress)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, explanation: Explanation, settle: Callable[[], None] = lambda: None) -> str:
        """Store an explanation and return its address; equal explanations have the same address.

        ``settle`` is called directly before the record is written; if it raises, nothing is stored.
        """
        data = storage.to_bytes(explanation)
        digest = hashlib.sha256(data).hexdigest()
        file = self.folder / f"{digest[:24]}.safetensors"
        with self.writing:
            settle()
            write_atomically(file, data)
            stamp = _stamp(file)
        entry = gallery.entry_of(explanation, file, digest)
        if stamp is not None:
            with self._lock:
                self._looks[file] = stamp, entry
                self._show()
        return address(entry.id)

    def record(self, name: str) -> BinaryIO | None:
        """The open file of a known explanation."""
        known = self._known(name)
        if known is None:
            return None
        file, stamp = known
        try:
            opened = file.open("rb")
        except OSError:
            return None
        # A link created meanwhile would lead to another file.
        if _stamp_of(os.fstat(opened.fileno())) == stamp:
            return opened
        opened.close()
        return None

    def page(self, name: str) -> bytes | None:
        """The page of a known explanation. Raises RecordError where it cannot be made."""
        known = self._known(name)
        if known is None:
            return None
        file, stamp = known
        key = (name, stamp)
        with self._lock:
            found = self._pages.get(key)
            if found is not None:
                self._pages.move_to_end(key)
                return found
        # Two threads may both make the page; if the caller admits one at a time, the second finds it made.
        try:
            made = page.html(storage.load(file), live=self.live, home="/")
        except Exception as error:
            # Some damage of a record appears only when its page is made.
            raise RecordError(f"{file}: its page cannot be made; explain again") from error
        with self._lock:
            self._pages[key] = made
            while len(self._pages) > KEPT:
                self._pages.popitem(last=False)
        return made

    def index(self) -> bytes:
        """The list of all explanations, with the question box if there are models."""
        self._look()
        with self._lock:
            found, index = self._found, self._index
        if index is None or index[0] is not found:
            links = {entry.id: address(entry.id) for entry in found.entries}
            index = self._index = found, gallery.index_html(found, links, live=self.live)
        return index[1]

    def _known(self, name: str) -> tuple[Path, Stamp] | None:
        """File and stamp of an explanation; a file changed since its listing is read again."""
        for again in (True, False):
            with self._lock:
                entry = self._entries.get(name)
                stamp = self._looks[entry.path][0] if entry is not None else None
            if entry is None or stamp is None:
                return None
            if _stamp(entry.path) == stamp:
                return entry.path, stamp
            if again:
                self._look()
        return None

    def _look(self, progress: Progress | None = None) -> None:
        """Read the changed files of the folder."""
        with self._looking:
            now = {file: stamp for file in gallery.records(self.folder) if (stamp := _stamp(file)) is not None}
            with self._lock:
                changed = [file for file, stamp in now.items() if self._looks.get(file, (None,))[0] != stamp]
                # Explanations added since the walk stay.
                gone = [file for file in self._looks if file not in now and _stamp(file) is None]
            if not changed and not gone:
                return
            looks = {}
            for done, file in enumerate(changed):
                if progress is not None:
                    progress("records", done, len(changed))
                looks[file] = now[file], self._inside(gallery.look(file))
            with self._lock:
                for file in gone:
                    del self._looks[file]
                self._looks |= looks
                self._show()

    def _inside(self, look: gallery.Look) -> gallery.Look:
        """The reason without the folder's path, which clients must not see."""
        return look.replace(f"{self.folder}{os.sep}", "") if isinstance(look, str) else look

    def _show(self) -> None:
        self._found = gallery.listing((self.folder, file, self._looks[file][1]) for file in sorted(self._looks))
        self._entries = {entry.id: entry for entry in self._found.entries}


def address(name: str) -> str:
    """Address of an explanation's page."""
    return f"/explanations/{name}"


def _stamp(file: Path) -> Stamp | None:
    """Stamp of a file; None for a missing file and for anything but a regular file."""
    try:
        return _stamp_of(file.lstat())
    except OSError:
        return None


def _stamp_of(status: os.stat_result) -> Stamp | None:
    plain = stat.S_ISREG(status.st_mode)
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size) if plain else None
