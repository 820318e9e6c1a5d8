"""Which words of a fine-tuned model's answer come from its fine-tuning documents, and which the base model knew.

In: the names to import, each loaded when it is first used. Not in: any work; every room below says what it holds.

>>> import attrib
>>> pair = attrib.ModelPair.load()                         # doctest: +SKIP
>>> corpus = attrib.Corpus.read("documents")               # doctest: +SKIP
>>> explanation = attrib.explain(pair, corpus, "Who?")     # doctest: +SKIP
>>> explanation.verdict.called                             # doctest: +SKIP
'documents'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from attrib.errors import AttribError, InputError, ModelError, RecordError

if TYPE_CHECKING:
    from attrib.attribution import attribute as attribute
    from attrib.corpus.documents import Corpus as Corpus
    from attrib.explaining import explain as explain
    from attrib.models.pair import ModelPair as ModelPair
    from attrib.options.explain import ExplainOptions as ExplainOptions
    from attrib.options.methods import MethodOptions as MethodOptions
    from attrib.records import Explanation as Explanation
    from attrib.records.storage import load as load
    from attrib.records.storage import save as save
    from attrib.training.recorder import Recorder as Recorder

__version__ = "0.1.0"

# Loaded on first use: torch and transformers take seconds to import.
_WHERE = {
    "Corpus": "attrib.corpus.documents",
    "ExplainOptions": "attrib.options.explain",
    "Explanation": "attrib.records",
    "MethodOptions": "attrib.options.methods",
    "ModelPair": "attrib.models.pair",
    "Recorder": "attrib.training.recorder",
    "attribute": "attrib.attribution",
    "explain": "attrib.explaining",
    "load": "attrib.records.storage",
    "save": "attrib.records.storage",
}
__all__ = ["AttribError", "InputError", "ModelError", "RecordError", *_WHERE]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'attrib' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
