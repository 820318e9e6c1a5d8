"""Text cut into words and other units. In: word and unit boundaries, shared word runs. Not in: files, models."""
