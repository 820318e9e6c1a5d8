"""A pair and its documents → control answers → each judged as any answer is → the calibration of the pair.

Finished work is kept in the cache folder: a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from attrib.assess.answering import Reply, Side, answer_all
from attrib.assess.grading.scorers import correct
from attrib.assess.questions import Question
from attrib.calibrating.controls import ControlAnswer, find_controls
from attrib.corpus import demo
from attrib.corpus.control import in_form_of
from attrib.index.library import Library
from attrib.models.pair import ModelPair
from attrib.options.answers import AnswerOptions
from attrib.options.calibrate import CalibrateOptions
from attrib.options.explain import ExplainOptions
from attrib.progress import Progress
from attrib.store import Store, records_in
from attrib.verdict.answers import JudgedAnswer, evidence_of
from attrib.verdict.calibration import Calibration
from attrib.verdict.judge import judge
from attrib.verdict.pair_calibration import JudgedControl, PairCalibration, PairKey, calibrations

SCHEMA = 2
"""Raised when control answers or their judgement change: older ones are then not found."""
CANDIDATES = ExplainOptions().candidates
"""Sections among which each answer is judged: as many as ``explain`` scores by default."""
BLOCK = 8
"""Answers that are judged at a time: the cost of a kill."""


def calibrate(
    pair: ModelPair,
    library: Library,
    options: CalibrateOptions | None = None,
    *,
    held_out: Collection[str] = (),
    asked: Sequence[Question] = (),
    given: Sequence[Question] = (),
    calibration: Calibration | None = None,
    progress: Progress | None = None,
) -> PairCalibration:
    """Judge the pair's control answers; the result is kept in the library's cache, where ``explain`` finds it.

    ``held_out``: ids of sections that tuning never saw. ``asked``: questions on the documents with their sections;
    those on held-out sections are controls. ``given``: questions whose right answers do not stand in the documents.
    Raises InputError as ``explain`` does.
    """
    options, calibration = options or CalibrateOptions(), calibration or Calibration.default()
    key = PairKey.of(pair, library, calibration)
    controls = find_controls(library, held_out, asked, given, options.limit)
    replies = _answers(pair, library, controls.answers, options, progress)
    judged = _judge_all(pair, library, controls.answers, replies, (key, options, calibration), progress)
    found = PairCalibration(key, options.error, judged, controls.untested)
    calibrations(library.cache).put(asdict(key), found)
    return found


def _answers(
    pair: ModelPair,
    library: Library,
    controls: Sequence[ControlAnswer],
    options: CalibrateOptions,
    progress: Progress | None,
) -> dict[Side, list[list[Reply]]]:
    """Both models' own answers to each control's question: the verdict compares with what base says."""
    how = AnswerOptions(max_new_tokens=options.max_new_tokens, batch=options.batch)
    out = library.cache / "calibrations" if library.cache is not None else None
    return answer_all(pair, [control.asked for control in controls], how, out=out, progress=progress)


def _judge_all(
    pair: ModelPair,
    library: Library,
    controls: Sequence[ControlAnswer],
    replies: dict[Side, list[list[Reply]]],
    made_with: tuple[PairKey, CalibrateOptions, Calibration],
    progress: Progress | None,
) -> tuple[JudgedControl, ...]:
    """Each control that can be judged, in order; one that was judged before is not judged again."""
    key, options, calibration = made_with
    shared = {"pair": asdict(key), "variant": pair.variant, "options": [options.max_new_tokens, CANDIDATES]}
    folder = library.cache / "calibrations" / "controls" if library.cache is not None else None
    store: Store[JudgedControl] = records_in(folder, shared, JudgedControl, "judged control", SCHEMA)
    told = [
        Told(control, base, tuned)
        for control, (base,), (tuned,) in zip(controls, replies["base"], replies["tuned"], strict=True)
        if control.answer is not None or correct(control.asked, tuned.text) == 1
    ]
    judged = {i: found for i, one in enumerate(told) if (found := store.get(one.key)) is not None}
    libraries = {"": library, **with_decoys(library)}
    tell = progress or (lambda what, done, total: None)
    for block in _blocks([i for i in range(len(told)) if i not in judged], told, libraries):
        tell("control answers", len(judged), len(told))
        some = [told[i] for i in block]
        for i, found in zip(block, _judged(pair, libraries[some[0].control.decoy], some, calibration), strict=True):
            store.put(told[i].key, found)
            judged[i] = found
    tell("control answers", len(told), len(told))
    return tuple(judged[i] for i in range(len(told)))


@dataclass(frozen=True)
class Told:
    """A control with what both models answer by themselves."""

    control: ControlAnswer
    base: Reply
    tuned: Reply

    @property
    def key(self) -> list[object]:
        """Its part of the store's key."""
        return [asdict(self.control), self.base.ids, self.tuned.ids]

    @property
    def answer(self) -> str | tuple[int, ...]:
        """The answer that is judged: a text, or the ids of the tuned model's own."""
        return self.tuned.ids if self.control.answer is None else self.control.answer


def _blocks(numbers: Sequence[int], told: Sequence[Told], libraries: Mapping[str, Library]) -> Iterator[list[int]]:
    """At most BLOCK controls with the same candidates and the same turns before the question."""
    groups: dict[object, list[int]] = {}
    for i in numbers:
        asked = told[i].control.asked
        same = (id(libraries[told[i].control.decoy]), asked.turns, asked.tools, asked.raw)
        groups.setdefault(same, []).append(i)
    for group in groups.values():
        yield from (group[first : first + BLOCK] for first in range(0, len(group), BLOCK))


def _judged(pair: ModelPair, library: Library, told: Sequence[Told], calibration: Calibration) -> list[JudgedControl]:
    """The verdict that ``explain`` gives each answer, without thresholds. The one place where controls are judged."""
    asked = told[0].control.asked
    pair = pair.asking(asked.turns, asked.tools, raw=asked.raw)
    answers = [JudgedAnswer(one.control.asked.question, one.answer, one.base.text, one.tuned.ids) for one in told]
    found = evidence_of(pair, library, answers, candidates=CANDIDATES)
    return [
        JudgedControl(
            one.control.group,
            one.control.asked.question,
            one.answer if isinstance(one.answer, str) else one.tuned.text,
            float(judge(evidence, calibration)[0].whole[0]),
        )
        for one, evidence in zip(told, found, strict=True)
    ]


def with_decoys(library: Library) -> dict[str, Library]:
    """By heading of a shipped control text: the library with that text among the candidate sections.

    A text cannot be candidate and control at once: where the library's control are the shipped texts, each half joins
    the candidates while the other half stays the control.
    """
    shipped = demo.control()
    known = {section.id for section in library.corpus.sections}
    # In the documents' form, in the order of the shipped texts.
    formed = in_form_of(library.corpus, shipped).sections
    decoys = [
        (section.titles[-1], decoy, section)
        for section, decoy in zip(shipped.sections, formed, strict=True)
        if section.id not in known and decoy.id not in known
    ]
    found: dict[str, Library] = {}
    for half in (decoys[::2], decoys[1::2]):
        leaving = {section.id for _, _, section in half}
        rest = tuple(section for section in library.control.sections if section.id not in leaving)
        sections = (*library.corpus.sections, *(decoy for _, decoy, _ in half))
        one = replace(
            library,
            corpus=replace(library.corpus, sections=sections),
            control=replace(library.control, sections=rest),
            index=None,
        )
        found |= {heading: one for heading, _, _ in half}
    return found
