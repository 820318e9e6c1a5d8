"""Explanation → something to look at: ``view`` (plain rows) feeds ``figures`` and ``terminal``."""
