"""The verdict's validation suite: pairs, adapters, answers, evidence, leave-one-pair-out, causal labels, figure.

Run by ``scripts/evaluate_verdict.py``. Everything big lies in a work folder outside the repository; what is stored in
``figures/`` are numbers, without texts of others.
"""
