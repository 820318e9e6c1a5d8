"""FineTuneBench (arXiv 2411.05059) as questions."""
