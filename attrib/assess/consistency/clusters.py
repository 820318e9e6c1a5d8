"""Which answers to one question mean the same: groups of texts → similarity [text, text] → clusters.

By embedding (the default) two answers are compared by the words that they add to the question: content words that the
question has not, embedded together. An answer that repeats the question (“The keeper of X was A.”) is then alike to
the short one (“A”) and not to “The keeper of X was B.”. This form and the threshold ``SAME`` were chosen among others
on pairs of answers to the demo's questions, and the figures are of the same pairs, so they flatter. Of one meaning: all
83 of “A” and “It is A.” and 41 of 45 paraphrases written by hand are joined. Of different meaning: none of 734 (right
answers to other questions of the same form), 2 of 283 that both repeat the question. The embedding of whole answers
joins 58% of the latter where it joins 88% of those of one meaning; that of «question + answer» 5% where it joins 98%,
and its threshold hangs on the question's length.
Embeddings are blind to digits, to “not”, and to one word exchanged for its like: the first two are guarded by words,
the last is not (7 of 16 such pairs are joined). An NLI model (``by_entailment``) is the remedy.

Not covered: word order (“A hit B”, “B hit A”), answers of several sentences that agree in part, ``yes`` and ``no``
said in other words, and what ``wording`` does not cover of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from attrib.assess.grading.quantities import quantities
from attrib.assess.grading.wording import words
from attrib.errors import ModelError
from attrib.models.quiet import quiet
from attrib.text.function_words import is_function_word
from attrib.text.words import WORD, key, keys

NEGATIONS = frozenset({"not", "no", "never", "none", "neither", "nor", "cannot"})
_APART = -1.0


@dataclass(frozen=True)
class AnswerGroup:
    """Answers to be compared with each other."""

    question: str
    """Question of the answers; several questions about one fact as one text."""
    texts: tuple[str, ...]
    """Each once."""


Relate = Callable[[Sequence[AnswerGroup]], list[np.ndarray]]
"""Similarity of each group's texts, [text, text]: symmetric, 1 on the diagonal."""


# ------------------------------------------------------------------------------------------- contents of an answer


def terms(question: str, text: str) -> dict[str, list[tuple[int, int]]]:
    """Content words of ``text`` that ``question`` has not: key → [start, end) of every place, in order."""
    question_words = set(keys(question))
    places: dict[str, list[tuple[int, int]]] = {}
    for match in WORD.finditer(text):
        word = key(match.group())
        if word not in question_words and not is_function_word(word):
            places.setdefault(word, []).append(match.span())
    return places


def meaning(question: str, text: str) -> str:
    """The part of an answer that is embedded: its content words that the question has not.

    Where the question offers a choice (“A or B?”) its words say something and are kept. Without any such word: the
    content words, or the whole text.
    """
    content = [match for match in WORD.finditer(text) if not is_function_word(key(match.group()))]
    question_words = set(keys(question))
    added = [match for match in content if "or" in question_words or key(match.group()) not in question_words]
    return " ".join(match.group() for match in added or content) or text.strip()


def numbers(text: str) -> dict[Decimal, frozenset[str]]:
    """Every number stated, in digits or in English words, with the units it has; ends of a range are two.

    Ordinals count from "third": the first two have other uses ("was first lit", "a second").
    """
    parsed = words(text)
    units: dict[Decimal, frozenset[str]] = {
        word.number: frozenset() for word in parsed if word.ordinal and word.number is not None and word.number > 2
    }
    for quantity in quantities(parsed):
        for value in (quantity.low, quantity.high):
            if value is not None:
                units[value] = units.get(value, frozenset()) | ({quantity.unit} if quantity.unit else set())
    return units


def negated(question: str, text: str) -> bool:
    """Whether an answer negates where its question does not."""
    return bool(_negations(text) - _negations(question))


def _negations(text: str) -> set[str]:
    return {word for word in keys(text) if word in NEGATIONS or word.endswith("n't")}


def contradict(question: str, a: str, b: str) -> bool:
    """Whether numbers, their units or a negation tell two answers apart, whatever their embeddings are.

    Numbers of the question do not count where one answer repeats them and the other has none.
    """
    if negated(question, a) != negated(question, b):
        return True
    units_a, units_b, given = numbers(a), numbers(b), numbers(question).keys()
    if units_a.keys() - given != units_b.keys() - given:
        return True
    if units_a and units_b and units_a.keys() != units_b.keys():
        return True
    return any(units_a[n] and units_b[n] and not units_a[n] & units_b[n] for n in units_a.keys() & units_b.keys())


# ------------------------------------------------------------------------------------------- relations


def by_embedding(embed: Callable[[Sequence[str]], np.ndarray]) -> Relate:
    """Cosine of ``meaning``; −1 where numbers or a negation tell two texts apart, or one is blank; 1 where both have
    the same words. ``embed`` gives unit vectors, [text, d]."""

    def relate(groups: Sequence[AnswerGroup]) -> list[np.ndarray]:
        parts = [[meaning(group.question, text) for text in group.texts] for group in groups]
        distinct = sorted({part for group in parts for part in group if part})
        rows = {part: i for i, part in enumerate(distinct)}
        vectors = embed(distinct) if distinct else np.zeros((0, 1))

        def similarity(group: AnswerGroup, parts: Sequence[str]) -> np.ndarray:
            return _guarded(group, lambda i, j: float(vectors[rows[parts[i]]] @ vectors[rows[parts[j]]]))

        return [similarity(*pair) for pair in zip(groups, parts, strict=True)]

    return relate


def by_entailment(entails: Callable[[Sequence[tuple[str, str]]], np.ndarray]) -> Relate:
    """The smaller probability of entailment of the two directions (Kuhn et al. 2302.09664, with the question before
    each answer); 0 where either is not the likeliest label, and the same guards as ``by_embedding``.

    ``entails`` gives for each (premise, hypothesis) the probability of entailment, 0 where another label is likelier.
    """

    def relate(groups: Sequence[AnswerGroup]) -> list[np.ndarray]:
        ordered = [
            (f"{group.question} {a}", f"{group.question} {b}")
            for group in groups
            for a in group.texts
            for b in group.texts
            if a != b and a.strip() and b.strip()
        ]
        distinct = sorted(set(ordered))
        known = dict(zip(distinct, entails(distinct).tolist() if distinct else [], strict=True))

        def similarity(group: AnswerGroup) -> np.ndarray:
            answers = [f"{group.question} {text}" for text in group.texts]
            return _guarded(group, lambda i, j: min(known[answers[i], answers[j]], known[answers[j], answers[i]]))

        return [similarity(group) for group in groups]

    return relate


def _guarded(group: AnswerGroup, similarity: Callable[[int, int], float]) -> np.ndarray:
    texts = group.texts
    matrix = np.eye(len(texts))
    words_of = [keys(text) for text in texts]
    for i in range(len(texts)):
        for j in range(i):
            if contradict(group.question, texts[i], texts[j]) or bool(texts[i].strip()) != bool(texts[j].strip()):
                value = _APART
            elif words_of[i] == words_of[j] and (words_of[i] or texts[i].strip() == texts[j].strip()):
                value = 1.0
            else:
                value = min(similarity(i, j), 1.0)
            matrix[i, j] = matrix[j, i] = value
    return matrix


@dataclass(frozen=True, eq=False)
class Nli:
    """A classifier of (premise, hypothesis) pairs that has a label for entailment."""

    model: Any
    tokenizer: Any
    label: int
    """Index of entailment among the labels."""
    batch: int = 16

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, " pair"]:
        """Probability of entailment, 0 where another label is likelier; a pair that is too long loses its end."""
        import torch

        entailment = np.zeros(len(pairs))
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        for first in range(0, len(order), self.batch):
            part = order[first : first + self.batch]
            encoded = self.tokenizer(
                [pairs[i][0] for i in part], [pairs[i][1] for i in part], padding=True, truncation=True,
                max_length=self._longest, return_tensors="pt",
            ).to(self.model.device)  # fmt: skip
            with torch.no_grad():
                p = self.model(**encoded).logits.float().softmax(-1).cpu().numpy()
            entailment[part] = np.where(p.argmax(1) == self.label, p[:, self.label], 0.0)
        return entailment

    @cached_property
    def _longest(self) -> int:
        known = getattr(self.model.config, "max_position_embeddings", None)
        # Some tokenizers name no limit, and RoBERTa's positions begin after the padding's.
        return int(min(self.tokenizer.model_max_length, (known or 514) - 2))


def load_nli(name: str, *, device: str = "cpu", batch: int = 16) -> Nli:
    """An NLI model from a local folder or hub id, safetensors alone.

    Raises ModelError, one line, where it cannot be loaded or its labels name no entailment.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            model = AutoModelForSequenceClassification.from_pretrained(
                name, use_safetensors=True, trust_remote_code=False
            )
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"NLI model {name}: it cannot be loaded ({reason}); leave consistency.nli out") from error
    labels = {int(i): str(label) for i, label in model.config.id2label.items()}
    entailment = [i for i, label in labels.items() if label.lower().startswith("entail")]
    if len(entailment) != 1:
        raise ModelError(
            f"NLI model {name}: its labels are {', '.join(labels.values())}, none or several of them entailment; "
            "give a model that was trained for NLI"
        )
    return Nli(model.to(device).eval(), tokenizer, entailment[0], batch)


# ------------------------------------------------------------------------------------------- clusters


def clusters(similarity: Float[np.ndarray, "text text"], threshold: float) -> Int[np.ndarray, " text"]:
    """Cluster of each text, numbered by first appearance: complete linkage, so that any two texts of a cluster are at
    least ``threshold`` alike.

    The closest two are joined first; of ties, the first in order: give texts in an order of their own (sorted) for
    clusters that do not depend on the order of sampling.
    """
    n = len(similarity)
    owner, linked = np.arange(n), similarity.astype(np.float64)
    np.fill_diagonal(linked, -np.inf)
    while n > 1:
        i, j = divmod(int(linked.argmax()), n)
        if linked[i, j] < threshold:
            break
        owner[owner == j] = i
        linked[i] = linked[:, i] = np.minimum(linked[i], linked[j])
        linked[j] = linked[:, j] = linked[i, i] = -np.inf
    renumbered: dict[int, int] = {}
    return np.array([renumbered.setdefault(int(cluster), len(renumbered)) for cluster in owner], dtype=np.int64)
