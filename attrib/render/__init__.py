"""ONE answer as figures, page, gallery entry and terminal text. Not in: sets of questions (``assess``)."""
