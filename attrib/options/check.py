"""How many texts ``attrib check`` reads, and which."""

from __future__ import annotations

from dataclasses import dataclass

from attrib.options.fields import everyday


@dataclass(frozen=True)
class CheckOptions:
    """Rows of the data and control texts that both models read."""

    rows: int = everyday(3, "Run", low=1)
    """Rows of the data, and as many control texts, evenly spaced."""
    seed: int = everyday(0, "Run", low=0)
    """Seed of other rows between; 0 takes the middle of each part."""
