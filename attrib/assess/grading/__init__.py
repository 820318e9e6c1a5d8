"""Is an answer right? In: wording, scorers, an LLM judge. Not in: which questions are asked."""
