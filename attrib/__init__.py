"""Which words of a fine-tuned model's answer come from its fine-tuning documents, and which the base model knew."""
