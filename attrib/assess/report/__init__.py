"""One page from the assessments of a model pair."""
