"""Right and wrong answers of base and tuned."""
