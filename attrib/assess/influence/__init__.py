"""Mappers checked by retraining without sections."""
