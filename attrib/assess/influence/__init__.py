"""Mappers checked by retraining without sections. Not in: the retraining itself, which ``retraining`` does."""
