"""The verdict on every answer of a set."""
