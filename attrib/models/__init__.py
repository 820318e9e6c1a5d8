"""Models: names → files → networks → a pair of base and tuned behind one tokenizer; questions and answers as tokens.

In: loading, adapters, refusals, fingerprints, the bundled models, the prompt, the sentence embedder. A family of
models is known by TransformerLens's bridge alone, which only this package imports; what the other packages need of it
are its hook points and ``max_position_embeddings``, and what they cannot serve is refused by ``checks`` and
``adapters`` (models) and by the method itself (``attribution.flow``, ``attribution.relevance``).
Not here: running the models (``passes``) and tuning them (``training``).
"""
