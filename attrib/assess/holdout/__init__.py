"""Answers on a part that was tuned on, beside a part kept away."""
