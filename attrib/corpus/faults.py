"""What makes a value no text."""

from __future__ import annotations


def fault(cell: object, name: str) -> str | None:
    """Why a cell cannot be text, or None; an empty cell is no fault."""
    if cell is None:
        return None
    if not isinstance(cell, str):
        return f"{name} is of type {type(cell).__name__}, not a string"
    if "\0" in cell:
        return f"NUL in {name}"
    try:
        cell.encode()
    except UnicodeEncodeError as error:
        return f"half a surrogate pair in {name}, character {error.start + 1}"
    return None
