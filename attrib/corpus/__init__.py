"""Files become documents and sections. In: readers of every format, BM25, the demo's texts. Not in: models.

files → formats (bytes → spans) → sections (cut, named, near-duplicates marked) → documents.Corpus
"""
