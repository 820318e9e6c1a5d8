"""One page from the assessments of a model pair. Not in: what a chapter says, which its assessment's ``tell`` does."""
