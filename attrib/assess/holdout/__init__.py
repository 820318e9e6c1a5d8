"""Answers on a part that was tuned on, beside a part kept away. Not in: how parts are made, which ``split`` does."""
