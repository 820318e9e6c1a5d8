"""Tuning an adapter so that its influence can be traced: items → trainer → a folder with checkpoints and schedule.

In: LoRA and QLoRA tuning (``tune``), runs of other programs, recorded (``recorder``) or finished (``imported``), what
was learned (``items``, ``trained``), and when (``schedule``).
Not here: gradients of the checkpoints (``index``), and retraining without sections (``assess``).
"""
