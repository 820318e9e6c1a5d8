"""How long a reader waits for the page: until its first paint, and for a token that was chosen.

    python scripts/bench_page.py [--sizes 200x500,2000x500,50x5000] [--repeats 5] [--json]

Sizes are answer tokens × sections of made-up records. Each page is a file that Chromium opens afresh: *first paint* is
from the start of the navigation until the views are drawn and painted (First Contentful Paint), *token* from a key that
chooses the next token until its frame is drawn, *model* the same for base → tuned. Medians of the repeats in
milliseconds, and the page's size.
Chromium is $ATTRIB_CHROMIUM, /usr/bin/chromium or playwright's own. With --json the last line is one object.
Not covered: GPUs, phones, networks.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from attrib.errors import AttribError, InputError
from attrib.records import Explanation
from attrib.render import page

# Records are made as the tests make theirs.
sys.path.insert(0, str(Path(__file__).parents[1]))

SIZES = "200x500,2000x500,50x5000"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
Figures = dict[str, float]

_PAINTED = """() => Math.max(
  ...performance.getEntriesByType("mark").filter((entry) => entry.name === "attrib-drawn").map((e) => e.startTime),
  ...performance.getEntriesByType("paint").filter((e) => e.name === "first-contentful-paint").map((e) => e.startTime),
)"""
# A frame's end: the task after the next animation frame runs when that frame was drawn.
_KEY = """(key) => new Promise((done) => {
  const start = performance.now();
  document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  requestAnimationFrame(() => {
    document.body.getBoundingClientRect();
    const channel = new MessageChannel();
    channel.port1.onmessage = () => done(performance.now() - start);
    channel.port2.postMessage(0);
  });
})"""


def executable() -> str | None:
    """$ATTRIB_CHROMIUM, else where Debian puts Chromium; None: playwright's own."""
    chosen, debian = os.environ.get("ATTRIB_CHROMIUM"), "/usr/bin/chromium"
    return chosen or (debian if Path(debian).exists() else None)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium; InputError where there is none."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
        except Error as error:
            raise InputError(
                f"Chromium does not start: {str(error).splitlines()[0]}; install it or name it in $ATTRIB_CHROMIUM"
            ) from None
        yield browser
        browser.close()


def record(answer: int, sections: int) -> Explanation:
    """A made-up record of this size; one mapper reads the text alone."""
    made: Explanation = importlib.import_module("tests.make").make_explanation(
        answer=answer, sections=sections, prompt=40, documents=max(1, sections // 20), controls=40
    )
    return made


def measure(browser: Any, file: Path, *, repeats: int, keys: int = 12) -> Figures:
    """Medians in milliseconds for one page."""
    paints, tokens, models = [], [], []
    for _ in range(repeats):
        tab = browser.new_page(viewport={"width": 1400, "height": 900})
        tab.goto(file.as_uri(), wait_until="commit")
        tab.wait_for_selector("html[data-ready]", state="attached")
        tab.wait_for_timeout(200)
        paints.append(float(tab.evaluate(_PAINTED)))
        tokens += [float(tab.evaluate(_KEY, "ArrowRight")) for _ in range(keys)]
        models += [float(tab.evaluate(_KEY, str(1 + i % 2))) for i in range(4)]
        tab.close()
    return {
        "first_paint_ms": statistics.median(paints),
        "token_ms": statistics.median(tokens),
        "token_ms_p90": float(np.percentile(tokens, 90)),
        "model_ms": statistics.median(models),
        "page_mb": file.stat().st_size / 1e6,
    }


def run(sizes: Sequence[tuple[int, int]], repeats: int) -> dict[str, Figures]:
    """Figures by size."""
    report = {}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for answer, sections in sizes:
            file = page.write(record(answer, sections), Path(folder) / f"{answer}x{sections}.html")
            report[f"{answer}x{sections}"] = measure(browser, file, repeats=repeats)
    return report


def read_sizes(text: str) -> list[tuple[int, int]]:
    """``200x500,50x5000`` → pairs."""
    try:
        pairs = [tuple(int(n) for n in size.split("x")) for size in text.split(",")]
    except ValueError:
        pairs = []
    if not pairs or any(len(pair) != 2 or min(pair) < 1 for pair in pairs):
        raise InputError(f"sizes {text!r}: write answer tokens x sections, e.g. 200x500,50x5000")
    return [(pair[0], pair[1]) for pair in pairs]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        report = run(read_sizes(options.sizes), options.repeats)
    except AttribError as error:
        print(error, file=sys.stderr)
        return 2
    table = Table("tokens x sections", *next(iter(report.values())))
    for size, figures in report.items():
        table.add_row(size, *(f"{value:.1f}" for value in figures.values()))
    Console().print(table)
    if options.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
