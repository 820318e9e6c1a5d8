"""Sections as encoders read them, on disk. In: embeddings, hidden states, gradients, the index. Not in: scoring.

library   documents and control texts, with BM25, embeddings, index and cache folder
encoder   protocols of the encoders; embeddings, readings and gradients are the encoders
texts     texts → arrays: from the index, from the cache, or computed now
parts     which encoders an index has
build, index, blocks   an index: building, opening, its format on disk
"""
