"""A set of questions, base against tuned.

One folder an assessment: ``run`` measures, ``draw`` draws, ``tell`` tells.
"""
