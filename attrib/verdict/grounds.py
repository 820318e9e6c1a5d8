"""Evidence → the few numbers that a verdict weighs, for the answer and for each of its tokens.

A passage backs what it says as far as tuning TAUGHT it and the question is ABOUT it: both at once, since base would say
what was not taught as readily, and a section about something else taught another answer. It was taught where its own
text was learned, or where tuning raised the answer far beyond form: what was learned from questions leaves a section's
own text as unlikely as before.
Not covered: the weights (``calibration``), and what follows from them (``judge``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import expit

from attrib.measures import beyond_form
from attrib.records import Counterpart, Evidence
from attrib.verdict.calibration import FEATURES, Calibration

FLOOR = -10.0
"""Log-probs below this count as this, nats: a token is not more than impossible."""
RAISED = (2.0, 6.0)
"""Gains of an answer's content words, nats a token, up to which they may be form, and from which they are learning."""
SAME = (0.1, 0.5)
"""Shares of the own answer's surprise that being told the judged answer removes: up to the first it says something
else, from the second the same."""
LIKELY = 6.0
"""A word is base's own the less, the more nats it costs base after the words before it; none at so many."""
WORD_RAISED = 2.0
"""Gain of a word, nats, from which tuning made the model say it: one it says no more than base is not from there."""
STEADY = 10.0
"""Tokens of its section that a passage's own learned share is pooled with: few tokens say little."""
SPREAD = 0.05
"""Least standard deviation of control texts' cosines with a question."""


@dataclass(frozen=True, eq=False)
class Grounds:
    """What is derived from the evidence of one answer, given the constants of a calibration."""

    evidence: Evidence
    calibration: Calibration

    @cached_property
    def removed(self) -> np.ndarray:
        """Share of each section's surprise that tuning removed, beyond that of control texts, −1 to 1, [section]."""
        found = self.evidence
        removed = beyond_form(
            (found.text_base, found.text_tuned, found.text_form),
            (found.control_base, found.control_tuned, found.control_form),
        )
        # A text of a single token has no log-prob, so that nothing shows that it was learned.
        return np.where(found.text_tokens > 0, np.clip(removed, -1.0, 1.0), -1.0)

    @cached_property
    def learned(self) -> np.ndarray:
        """Degree to which each section was learned, 0 to 1, [section]."""
        return self._curve(self.removed)

    @cached_property
    def learned_passage(self) -> np.ndarray:
        """The same of each passage, pooled with its section, [passage]."""
        found, own = self.evidence, self.evidence.passage_of
        form = 1 - found.text_tuned / np.minimum(found.text_base, -1e-9) - self.removed
        alone = 1 - found.passage_tuned / np.minimum(found.passage_base, -1e-9) - form[own]
        n = found.passage_tokens
        pooled = (np.clip(alone, -1.0, 1.0) * n + self.removed[own] * STEADY) / (n + STEADY)
        return np.where(found.text_tokens[own] > 0, self._curve(pooled), 0.0)

    def _curve(self, removed: np.ndarray) -> np.ndarray:
        c = self.calibration
        return np.asarray(expit((removed - c.learned_middle) / c.learned_width))

    @cached_property
    def about(self) -> np.ndarray:
        """Degree to which the question is about each passage, 0 to 1, [passage].

        By meaning against control texts, or by shared words, whichever is more; less the more another passage is
        nearer to the question.
        """
        found, c = self.evidence, self.calibration
        if not len(found.about):
            return np.zeros(0)
        z = (found.about - found.control_about.mean()) / max(float(found.control_about.std()), SPREAD)
        alike = np.maximum(expit((z - c.about_middle) / c.about_width), found.question_cover)
        near = np.exp((found.about - found.about.max()) / c.about_near)
        return np.asarray(alike * near)

    @cached_property
    def raised(self) -> float:
        """How far tuning raised the answer beyond form, 0 to 1."""
        found = self.evidence
        if not len(found.logprob_base):
            return 0.0
        base, tuned = (np.maximum(one, FLOOR)[self.counted] for one in (found.logprob_base, found.logprob_tuned))
        low, high = RAISED
        return float(np.clip(((tuned - base).mean() - low) / (high - low), 0.0, 1.0))

    @cached_property
    def taught_passage(self) -> np.ndarray:
        """Its text was learned, or the answer was raised, 0 to 1, [passage]."""
        return np.asarray(np.maximum(self.learned_passage, self.raised))

    @cached_property
    def backing(self) -> np.ndarray:
        """Taught and asked about, 0 to 1, [passage]."""
        return np.asarray(self.taught_passage * self.about)

    @cached_property
    def backing_section(self) -> np.ndarray:
        """The most that a passage of each section has, [section]."""
        found = np.zeros(len(self.evidence.text_base))
        np.maximum.at(found, self.evidence.passage_of, self.backing)
        return found

    @cached_property
    def weight(self) -> np.ndarray:
        """Rarity of each content word that the question lacks; of all words where there is none, [word]."""
        return _weight(self.evidence)

    @cached_property
    def counted(self) -> np.ndarray:
        """Tokens of the weighted words; all where there are none, bool [answer]."""
        words = np.flatnonzero(self.weight > 0)
        found = np.isin(self.evidence.word_of_token, words)
        return found if found.any() else np.ones(len(found), dtype=bool)

    @cached_property
    def answer(self) -> dict[str, np.ndarray]:
        """One number of each of FEATURES."""
        support, shown = self._over_words(self._support_word), np.asarray(self._shown[self.counted].mean())
        return {
            "support": np.maximum(support * self._consistent, self._same),
            "shown": np.maximum(shown * self._consistent, self._same),
            "base_says": self._over_words(self.evidence.base_says.astype(float)),
        }

    @cached_property
    def tokens(self) -> dict[str, np.ndarray]:
        """Each of FEATURES per answer token, [answer]; a token without a word has the mean of the words."""
        raised = self._to_tokens(np.clip(self._word_gain / WORD_RAISED, 0.0, 1.0))
        base_says = np.maximum(self.evidence.base_says, self._likely_word)
        return {
            "support": np.maximum(self._to_tokens(self._support_word) * self._consistent, self._same) * raised,
            "shown": np.maximum(self._by_word(self._shown) * self._consistent, self._same) * raised,
            "base_says": self._to_tokens(base_says),
        }

    @cached_property
    def own_support(self) -> float:
        """Backing of the tuned model's own answer, where another one is judged, 0 to 1."""
        found, own = self.evidence, self.evidence.counterpart
        if own is None:
            return 0.0
        evidence = replace(
            found, word_of_token=own.word_of_token, word_idf=own.word_idf, novel=own.novel, content=own.content,
            base_says=np.zeros(len(own.word_idf), dtype=bool), covered=own.covered, logprob_base=own.logprob_base,
            logprob_tuned=own.logprob_tuned, logprob_shown=own.logprob_shown, counterpart=None,
        )  # fmt: skip
        answer = Grounds(evidence, self.calibration).answer
        return float(np.clip(max(answer["support"], answer["shown"]), 0.0, 1.0))

    @cached_property
    def _same(self) -> float:
        """Backing that an answer has from saying what the model's own answer says, 0 to 1."""
        own = self.evidence.counterpart
        if own is None or self._other_number:
            return 0.0
        low, high = SAME
        return self.own_support * float(np.clip((self._told - low) / (high - low), 0.0, 1.0))

    @property
    def _told(self) -> float:
        """Share of the own answer that the judged one says, in its words or by making them likely, 0 to 1."""
        own = self.evidence.counterpart
        assert own is not None
        base, told = (_word_sum(own, np.maximum(values, FLOOR)) for values in (own.logprob_base, own.logprob_told))
        says = np.where(own.said, 1.0, np.clip((told - base) / np.maximum(-base, 0.5), 0.0, 1.0))
        weight = _weight(own)
        return float(weight @ says / weight.sum()) if weight.any() else float(says.mean() if says.size else 0.0)

    @property
    def _other_number(self) -> bool:
        """Whether the two answers name different numbers."""
        own = self.evidence.counterpart
        if own is None or not own.other_number:
            return False
        numbers = own.number & (_weight(own) > 0)
        return bool(numbers.any() and not (own.said & numbers).any())

    @property
    def _consistent(self) -> float:
        """What another number than the taught one leaves of an answer's backing, 0 to 1."""
        return 1.0 - self.own_support if self._other_number else 1.0

    @property
    def _likely_word(self) -> np.ndarray:
        """How likely each word is to base after the words before it, 0 to 1, [word]."""
        found = self.evidence
        written = np.isin(np.arange(len(found.word_idf)), found.word_of_token)
        likely = np.clip(1.0 + _word_sum(found, found.logprob_base) / LIKELY, 0.0, 1.0)
        return np.where(written, likely, 0.0)

    @property
    def _word_gain(self) -> np.ndarray:
        """log p of each word, tuned − base, nats, [word]."""
        found = self.evidence
        return _word_sum(found, np.maximum(found.logprob_tuned, FLOOR) - np.maximum(found.logprob_base, FLOOR))

    @property
    def _support_word(self) -> np.ndarray:
        """Most backing of a passage that has the word, [word]."""
        found = self.evidence
        if not len(self.backing):
            return np.zeros(len(found.word_idf))
        return np.asarray((self.backing[None] * found.covered).max(1, initial=0.0))

    @cached_property
    def _shown(self) -> np.ndarray:
        """Share of base's surprise that a shown section removes, as far as the section backs the answer, [answer]."""
        found = self.evidence
        base = np.maximum(found.logprob_base, FLOOR)
        shown = np.zeros(len(base))
        for place, logprob in zip(found.shown, found.logprob_shown, strict=True):
            share = np.clip((np.maximum(logprob, FLOOR) - base) / np.maximum(-base, 0.5), -1.0, 1.0)
            shown = np.maximum(shown, self.backing_section[place] * share)
        return shown

    def _to_tokens(self, words: np.ndarray) -> np.ndarray:
        """Each token with its word's value, the others with the mean of the words, [answer]."""
        owner = self.evidence.word_of_token
        found = np.full(len(owner), words.mean() if words.size else 0.0)
        found[owner >= 0] = words[owner[owner >= 0]]
        return found

    def _by_word(self, values: np.ndarray) -> np.ndarray:
        """Each token's value replaced by the mean of its word's, [answer]."""
        owner = self.evidence.word_of_token
        found = values.astype(np.float64)
        for word in np.unique(owner[owner >= 0]):
            found[owner == word] = values[owner == word].mean()
        return found

    def _over_words(self, values: np.ndarray) -> np.ndarray:
        total = self.weight.sum()
        return np.asarray(self.weight @ values / total) if total else np.asarray(values.mean() if values.size else 0.0)


def _word_sum(words: Evidence | Counterpart, values: np.ndarray) -> np.ndarray:
    """Sum of the tokens' values over each word, [word]."""
    owner = words.word_of_token
    return np.bincount(owner[owner >= 0], values[owner >= 0], minlength=len(words.word_idf))


def _weight(words: Evidence | Counterpart) -> np.ndarray:
    """Rarity of each content word that the question lacks; of all words where there is none, [word]."""
    for chosen in (words.novel & words.content, words.content, np.ones(len(words.content), dtype=bool)):
        if (words.word_idf * chosen).any():
            return np.asarray(words.word_idf * chosen)
    return np.asarray(words.word_idf)


def stack(features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Features side by side in the order of FEATURES, [..., feature]."""
    return np.stack([features[name] for name in FEATURES], -1)
