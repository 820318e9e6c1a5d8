"""A pair and its documents → control answers → each judged as any answer is → the calibration of the pair.

Finished work is kept in the cache folder: a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace

from attrib.assess.answering import Reply, Side, answer_all
from attrib.assess.grading.scorers import correct
from attrib.assess.questions import Question
from attrib.calibrating.controls import ControlAnswer, find_controls
from attrib.corpus import demo
from attrib.corpus.control import in_form_of
from attrib.explaining import OwnAnswers, explain
from attrib.index.library import Library
from attrib.models.pair import ModelPair
from attrib.models.prompt import encode_prompt
from attrib.options.answers import AnswerOptions
from attrib.options.calibrate import CalibrateOptions
from attrib.options.explain import ExplainOptions
from attrib.progress import Progress
from attrib.store import Store, records_in
from attrib.verdict.calibration import Calibration
from attrib.verdict.pair_calibration import JudgedControl, PairCalibration, PairKey, calibrations

SCHEMA = 1
"""Raised when control answers or their judgement change: older ones are then not found."""
JUDGING = ExplainOptions(methods=(), mappers=())
"""A verdict needs neither prompt attribution nor the mappers' scores."""


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
    key, options, calibration = made_with
    shared = {"pair": asdict(key), "variant": pair.variant, "options": [options.max_new_tokens, repr(JUDGING)]}
    folder = library.cache / "calibrations" / "controls" if library.cache is not None else None
    store: Store[JudgedControl] = records_in(folder, shared, JudgedControl, "judged control", SCHEMA)
    libraries = {"": library, **_with_decoys(library)}
    tell = progress or (lambda what, done, total: None)
    judged = []
    for number, control in enumerate(controls):
        tell("control answers", number, len(controls))
        base, tuned = replies["base"][number][0], replies["tuned"][number][0]
        if control.answer is None and correct(control.asked, tuned.text) != 1:
            continue

        def judge(control: ControlAnswer = control, base: Reply = base, tuned: Reply = tuned) -> JudgedControl:
            where = libraries[control.decoy]
            return _judged(pair, where, control, (base, tuned), calibration)

        judged.append(store.get_or_make([asdict(control), base.ids, tuned.ids], judge))
    tell("control answers", len(controls), len(controls))
    return tuple(judged)


def _judged(
    pair: ModelPair, library: Library, control: ControlAnswer, own: tuple[Reply, Reply], calibration: Calibration
) -> JudgedControl:
    """The verdict that ``explain`` gives the answer, without thresholds. The one place where controls are judged."""
    asked, (base, tuned) = control.asked, own
    pair = pair.asking(asked.turns, asked.tools, raw=asked.raw)
    prompt = encode_prompt(pair.chat, asked.question, context=pair.context)
    answers = OwnAnswers(asked.question, prompt, base.ids, tuned.ids)
    found = explain(
        pair, library, answers, answer=control.answer, options=JUDGING, calibration=calibration, promise=None
    )
    return JudgedControl(control.group, asked.question, found.answer, float(found.verdict.whole[0]))


def _with_decoys(library: Library) -> dict[str, Library]:
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
