"""The two models as a pair. In: loading, adapters, prompts, the embedder, the bundled default. Not in: passes.

The only importer of transformer_lens.
"""
