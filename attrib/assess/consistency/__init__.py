"""Terms, details and explanations that tuning brought."""
