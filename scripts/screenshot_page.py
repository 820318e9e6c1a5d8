"""Take the README's picture of the page from a stored record: python scripts/screenshot_page.py [RECORD [PICTURE]]

The record is that of ``figures.py strip``. Chromium is $ATTRIB_CHROMIUM, /usr/bin/chromium or playwright's own; another
version draws other pixels.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench_page import chromium

from attrib.errors import AttribError
from attrib.files import write_atomically
from attrib.records import storage
from attrib.render import page

ROOT = Path(__file__).parents[1]
RECORD, PICTURE = ROOT / "figures" / "strip.safetensors", ROOT / "docs" / "page.png"
SIZE = {"width": 1440, "height": 900}


def main() -> None:
    record = Path(sys.argv[1]) if len(sys.argv) > 1 else RECORD
    picture = Path(sys.argv[2]) if len(sys.argv) > 2 else PICTURE
    try:
        with tempfile.TemporaryDirectory() as folder, chromium() as browser:
            file = page.write(storage.load(record), Path(folder) / "page.html")
            tab = browser.new_page(viewport=SIZE, color_scheme="light")
            tab.goto(file.as_uri())
            tab.wait_for_selector("html[data-ready]")
            write_atomically(picture, tab.screenshot(animations="disabled"))
    except AttribError as error:
        sys.exit(f"screenshot_page: {error}")
    print(picture)


if __name__ == "__main__":
    main()
