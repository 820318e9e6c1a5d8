"""Answers, readings, words, meanings and probes → the evidence that verdicts rest on.

Not covered: what the evidence means (``judge``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from attrib.index.library import Library
from attrib.index.sentences import Sentences, read_sentences
from attrib.models.embedder import embed
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded
from attrib.passes.capture import TextCapture
from attrib.progress import Progress
from attrib.records import Counterpart, Evidence
from attrib.text.forms import forms
from attrib.text.function_words import is_function_word
from attrib.text.words import WORD, key, word_of_token
from attrib.verdict.counterparts import ReadCounterpart, read_counterparts
from attrib.verdict.probes import Probe, Probed, run_probes


@dataclass(frozen=True, eq=False)
class Case:
    """One answer to be judged, as both models read it."""

    encoded: Encoded
    base_answer: str
    logprob_base: np.ndarray
    """log p of each answer token, nats, [answer]."""
    logprob_tuned: np.ndarray
    chosen: np.ndarray
    """Numbers of the candidate sections, ascending, [section]."""
    own_ids: tuple[int, ...] = ()
    """The tuned model's own answer; empty: it has none."""


Readings = tuple[Mapping[int, TextCapture], Mapping[int, TextCapture]]
"""What base and tuned make of each text of the library, by its number."""


def gather(
    pair: ModelPair, library: Library, cases: Sequence[Case], readings: Readings, progress: Progress | None = None
) -> list[Evidence]:
    """Evidence for each of the cases; ``readings`` have their candidates and every control text."""
    numbers = sorted({int(i) for case in cases for i in library.with_control(case.chosen)})
    sentences = read_sentences(
        {i: library.sections[i] for i in numbers}, device=library.device, cache=library.cache, progress=progress
    )
    views = [_View.of(library, case, sentences) for case in cases]
    probes = [Probe(case.encoded, view.to_show(case.chosen)) for case, view in zip(cases, views, strict=True)]
    own = read_counterparts(pair, [case.encoded for case in cases], [case.own_ids for case in cases], progress)
    beside = [Probe(one.encoded, probe.shown) for one, probe in zip(own, probes, strict=True) if one is not None]
    probed = run_probes(pair, library, [*probes, *beside], progress)
    shown = iter(probed[len(cases) :])
    both = [None if one is None else (one, next(shown)) for one in own]
    return [
        _evidence(library, case, view, sentences, found, readings, other)
        for case, view, found, other in zip(cases, views, probed[: len(cases)], both, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _View:
    """Similarities of one question and its answer with the passages of its candidates."""

    passage_of: np.ndarray
    about: np.ndarray
    says: np.ndarray
    control_about: np.ndarray

    @classmethod
    def of(cls, library: Library, case: Case, sentences: Mapping[int, Sentences]) -> _View:
        question, answer = case.encoded.question, case.encoded.answer
        asked, told = embed([question, f"{question} {answer}"], embedder=library.embedder)
        own = [sentences[int(i)].vectors for i in case.chosen]
        vectors = np.concatenate(own)
        control = library.with_control(case.chosen)[len(case.chosen) :]
        about_control = [float((sentences[int(i)].vectors @ asked).max()) for i in control]
        return cls(
            np.repeat(np.arange(len(own)), [len(some) for some in own]),
            (vectors @ asked).astype(np.float64),
            (vectors @ told).astype(np.float64),
            np.array(about_control, dtype=np.float64),
        )

    def to_show(self, chosen: np.ndarray) -> tuple[int, ...]:
        """The section that the question is most about, and the one that question and answer are most like."""
        about, says = (np.argsort(-scores, kind="stable") for scores in (self.about, self.says))
        places = dict.fromkeys(self.passage_of[[*about[:1], *says]].tolist())
        return tuple(int(chosen[place]) for place in list(places)[:2])


def _evidence(
    library: Library,
    case: Case,
    view: _View,
    sentences: Mapping[int, Sentences],
    probed: Probed,
    readings: Readings,
    own: tuple[ReadCounterpart, Probed] | None,
) -> Evidence:
    encoded, chosen = case.encoded, case.chosen
    words = _Words.of(library, encoded)
    asked = list(dict.fromkeys(forms(encoded.question)))
    vocabularies = _vocabularies(library, chosen, sentences)
    idf = np.array([library.form_idf(form) for form in asked])
    control = library.with_control(chosen)[len(chosen) :]
    base, tuned = readings
    places = {int(number): place for place, number in enumerate(chosen)}
    passages = np.array(
        [row for i in chosen for row in _by_sentence(sentences[int(i)], base[int(i)], tuned[int(i)])], dtype=np.float64
    ).reshape(-1, 3)
    return Evidence(
        word_of_token=words.of_token,
        word_idf=words.idf,
        novel=words.novel,
        content=words.content,
        base_says=_occurrence(words.forms, [frozenset(forms(case.base_answer))])[:, 0],
        passage_of=view.passage_of,
        covered=_occurrence(words.forms, vocabularies),
        question_cover=idf @ _occurrence(asked, vocabularies).astype(float) / max(idf.sum(), 1e-9),
        about=view.about,
        says=view.says,
        passage_base=passages[:, 0],
        passage_tuned=passages[:, 1],
        passage_tokens=passages[:, 2].astype(np.int64),
        resemblance=library.bm25.query(f"{encoded.question} {encoded.answer}")[chosen],
        logprob_base=case.logprob_base,
        logprob_tuned=case.logprob_tuned,
        shown=np.array([places[number] for number in probed.shown], dtype=np.int64),
        logprob_shown=probed.logprob,
        text_base=_logprobs(base, chosen),
        text_tuned=_logprobs(tuned, chosen),
        text_tokens=_lengths(base, chosen),
        text_form=library.forms[chosen],
        control_base=_logprobs(base, control),
        control_tuned=_logprobs(tuned, control),
        control_tokens=_lengths(base, control),
        control_form=library.forms[control],
        control_about=view.control_about,
        counterpart=_counterpart(library, own, probed.shown, words, vocabularies) if own is not None else None,
    )


@dataclass(frozen=True, eq=False)
class _Words:
    """The words of an answer, each by its form."""

    forms: list[str]
    of_token: np.ndarray
    idf: np.ndarray
    novel: np.ndarray
    content: np.ndarray

    @classmethod
    def of(cls, library: Library, encoded: Encoded) -> _Words:
        question, answer = forms(encoded.question), forms(encoded.answer)
        spans = [match.span() for match in WORD.finditer(encoded.answer)]
        return cls(
            answer,
            word_of_token(encoded.answer_tokens, spans),
            np.array([library.form_idf(form) for form in answer]),
            np.array([form not in question for form in answer], dtype=bool),
            np.array([not is_function_word(key(encoded.answer[a:b])) for a, b in spans], dtype=bool),
        )

    @property
    def number(self) -> np.ndarray:
        """Whether each word is a number, or part of one, bool [word]."""
        return np.array([form.isdigit() for form in self.forms], dtype=bool)


def _counterpart(
    library: Library,
    own: tuple[ReadCounterpart, Probed],
    shown: Sequence[int],
    judged: _Words,
    vocabularies: Sequence[frozenset[str]],
) -> Counterpart:
    """``shown``: sections that base was shown before the judged answer; one that does not fit before the own answer
    raises nothing."""
    read, probed = own
    after = dict(zip(probed.shown, probed.logprob, strict=True))
    rows = [after.get(number, read.logprob_base) for number in shown]
    words = _Words.of(library, read.encoded)
    return Counterpart(
        word_of_token=words.of_token,
        word_idf=words.idf,
        novel=words.novel,
        content=words.content,
        covered=_occurrence(words.forms, vocabularies),
        number=words.number,
        said=_occurrence(words.forms, [frozenset(judged.forms)])[:, 0],
        other_number=bool((judged.number & judged.novel).any()),
        logprob_base=read.logprob_base,
        logprob_tuned=read.logprob_tuned,
        logprob_told=read.logprob_told,
        logprob_shown=np.array(rows).reshape(len(rows), len(read.logprob_base)),
    )


def _logprobs(reading: Mapping[int, TextCapture], numbers: np.ndarray) -> np.ndarray:
    return np.array([reading[int(i)].logprob for i in numbers])


def _lengths(reading: Mapping[int, TextCapture], numbers: np.ndarray) -> np.ndarray:
    return np.array([reading[int(i)].tokens for i in numbers], dtype=np.int64)


def _vocabularies(library: Library, chosen: np.ndarray, sentences: Mapping[int, Sentences]) -> list[frozenset[str]]:
    """Word forms of each passage with its section's title."""
    found = []
    for i in chosen:
        section = library.sections[int(i)]
        title = frozenset(forms(section.title))
        found += [title | frozenset(forms(section.full_text[a:b])) for a, b in sentences[int(i)].spans]
    return found


def _by_sentence(found: Sentences, base: TextCapture, tuned: TextCapture) -> np.ndarray:
    """Summed log p under base and tuned, and the number of tokens, of each sentence, [sentence, 3].

    A token counts where its last character is; what stands before the first sentence, a heading, counts there.
    """
    owner = np.searchsorted(found.spans[:, 0], np.maximum(base.ends - 1, base.starts), side="right") - 1
    owner = np.maximum(owner, 0)
    known = base.summed & tuned.summed
    rows = np.zeros((len(found.spans), 3))
    for column, values in enumerate((base.by_token, tuned.by_token, np.ones(len(owner)))):
        np.add.at(rows[:, column], owner[known], np.asarray(values, dtype=np.float64)[known])
    return rows


def _occurrence(words: Sequence[str], vocabularies: Sequence[frozenset[str]]) -> np.ndarray:
    """Whether a vocabulary has a word, [word, vocabulary]."""
    rows = [[word in vocabulary for vocabulary in vocabularies] for word in words]
    return np.array(rows, dtype=bool).reshape(len(words), len(vocabularies))
