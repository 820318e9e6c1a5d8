"""Documents, base or neither: what each answer token comes from.

In: evidence, its calibrated judgement, and the words that question, answer and documents share. Not here: the scores
that evidence is drawn from (``passes``, ``mapping``).
"""
