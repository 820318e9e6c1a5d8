"""Models: names → files → networks → a pair of base and tuned behind one tokenizer; questions and answers as tokens.

In: loading, adapters, refusals, fingerprints, the bundled models, the prompt, the sentence embedder.
Not here: running the models (``passes``) and tuning them (``training``).

A family of models works once transformers loads it as a causal language model and TransformerLens, which only this
package imports, lists it, or ``families`` has a line for it. Nothing else knows families by name. The other packages
need of a bridge

    hook points    embed.hook_out, blocks.N.hook_in, blocks.N.hook_resid_post, blocks.N.attn.hook_pattern and .hook_out
    its ``cfg``    n_layers, n_heads, d_model, d_head; d_mlp and n_key_value_heads where they differ from the usual
    its config     max_position_embeddings

Further hook points are needed by ``attribution.relevance`` and ``attribution.flow``, which refuse a family that lacks
them or adds parts that their rules do not cover. ``checks`` refuses encoders, ``adapters`` refuses adapters that the
bridge computes past. The tests run every law on the families in ``tests/oracles.py``.
"""
