"""The error of the verdict «documents», measured for one pair on answers that do not come from its documents.

In: which control answers there are (``controls``), and how they are judged (``run``). Not in: the threshold that
follows from their scores, and where it is kept (``verdict``).
"""
