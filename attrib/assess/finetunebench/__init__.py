"""FineTuneBench (arXiv 2411.05059) as questions. In: its layout, its comparison labels. Not in: asking them."""
