"""Files become documents and sections. In: readers of every format, BM25, the demo's texts. Not in: models."""
