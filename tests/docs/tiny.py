"""The command line with tiny models in place of the demo's: python -m tests.docs.tiny BASE ADAPTER serve …"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def replacements(base: Path, adapter: Path) -> list[tuple[Any, str, Any]]:
    """What must be set so that the default model and the demo's adapter are these: object, attribute, value."""
    from attrib.models import bundled, sources

    resolve = sources.resolve
    return [
        (bundled, "get_default_model", lambda progress=None: base),
        (sources, "resolve", lambda name: str(adapter) if name == sources.DEMO_ADAPTER else resolve(name)),
    ]


def main() -> None:
    from attrib import cli

    base, adapter, *arguments = sys.argv[1:]
    for owner, name, value in replacements(Path(base), Path(adapter)):
        setattr(owner, name, value)
    sys.argv = ["attrib", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
