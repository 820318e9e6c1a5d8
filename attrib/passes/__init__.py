"""Forward and backward passes. In: capture, generation, likelihood, gradients, targets. Not in: what scores mean."""
