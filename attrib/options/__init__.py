"""Every option of a run, with its default and its meaning: defined here once, read by library and command line alike.

In: frozen dataclasses of options, and the presets in which commands differ. Not in: what checks them against models and
documents (that stands with the code that uses them), and the options of figures (``render``). Imports nothing heavy, so
that ``attrib --help`` is instant.
"""
