"""Do the inputs fit together, and does the adapter do anything? Seconds, before any long run.

In: how large the change of the weights is, what it does to a few texts, the prompt, what influence can use.
Not in: answers (``explaining``), sets of questions (``assess``).
"""
