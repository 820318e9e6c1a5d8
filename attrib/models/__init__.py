"""Base and tuned model: where they come from (``bundled``) and how they run (``pair``)."""
