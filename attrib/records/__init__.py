"""Frozen records that the stages hand on, and how an explanation is stored.

Every record is a frozen dataclass of CPU numpy arrays, tuples and plain values, without model handles, and checks its
own shapes. Axis names: ``answer`` answer tokens, ``prompt`` prompt tokens, ``position`` prompt + answer tokens,
``section`` sections, ``layer``, ``head``, ``d_model``. Log-probs and gains are in nats.
Not covered: how records are computed (``explaining``) or drawn (``render``).
"""

from attrib.records.answer import Capture, Section, Token
from attrib.records.counterfactual import Counterfactual, CounterfactualKind
from attrib.records.explanation import AnswerSource, Explanation
from attrib.records.item import COMPLETION, PROMPT, TEXT, Item, Turn
from attrib.records.scores import Attribution, Mapping, MappingSide
from attrib.records.verdict import CALLS, LABELS, Called, ControlGroup, Counterpart, Evidence, Label, Promise, Verdict
from attrib.records.vocabulary import Phrase, Verbatim, Vocabulary, VocabularyKind, VocabularyShare

__all__ = [
    "CALLS",
    "COMPLETION",
    "LABELS",
    "PROMPT",
    "TEXT",
    "AnswerSource",
    "Attribution",
    "Called",
    "Capture",
    "ControlGroup",
    "Counterfactual",
    "CounterfactualKind",
    "Counterpart",
    "Evidence",
    "Explanation",
    "Item",
    "Label",
    "Mapping",
    "MappingSide",
    "Phrase",
    "Promise",
    "Section",
    "Token",
    "Turn",
    "Verbatim",
    "Verdict",
    "Vocabulary",
    "VocabularyKind",
    "VocabularyShare",
]
