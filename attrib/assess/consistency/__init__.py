"""Terms, details and meanings that tuning brought. Not in: whether answers are right, which ``benchmark`` says."""
