"""The verdict on every answer of a set, counted. Not in: figures of single answers, which ``render`` draws."""
