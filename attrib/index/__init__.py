"""What is kept of every section. In: embeddings, hidden states, gradients, the index on disk. Not in: scoring."""
