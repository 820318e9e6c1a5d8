"""A set of questions, base against tuned: one folder an assessment.

In each: ``options``, ``run`` (the route) with what it splits into, ``draw`` (figure and caption), ``tell`` (table,
files, chapter). Beside them what several share: questions, answers, split, retraining, grading, and ``report``, which
loops over the chapters. Not here: one answer by itself (``explaining``, ``render``).
"""
