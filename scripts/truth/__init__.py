"""The truth set: a corpus whose facts several sections carry, and what retraining without each of them does.

Made by ``scripts/make_truth.py``; the stored set in ``scripts/truth/data`` is read without attrib.
"""
