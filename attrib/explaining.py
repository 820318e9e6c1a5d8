"""One question → one Explanation: the whole route on one screen."""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from attrib.attribution import attribute, check_methods, without_template
from attrib.corpus import demo
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.index.encoders import PARTS, check_index, encoders, stored_gradient, stored_reading
from attrib.index.gradients import NOTHING, Gradients, TrainedQuestions, has_checkpoints, read_gradients
from attrib.index.index import Index, build
from attrib.index.library import Library
from attrib.index.readings import read_texts
from attrib.mapping import MAPPERS, check_mappers, map_answer
from attrib.mapping.answer import Answer
from attrib.mapping.combined import Side
from attrib.mapping.mixture import settings
from attrib.mapping.reading import Reading
from attrib.models.bundled import cache_dir
from attrib.models.fingerprint import versions
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded, decode, encode, encode_answer, encode_prompt
from attrib.options.explain import ExplainOptions
from attrib.passes.capture import CaptureOptions, TextCapture, capture, resolve_layers
from attrib.passes.generate import generate
from attrib.passes.targets import name_of
from attrib.progress import Progress
from attrib.records import (
    AnswerSource,
    Attribution,
    Capture,
    Explanation,
    Mapping,
    Vocabulary,
    VocabularyKind,
    VocabularyShare,
    codec,
)
from attrib.text.units import question_positions
from attrib.text.words import WORD
from attrib.training.items import read_trained
from attrib.verdict.calibration import Calibration
from attrib.verdict.evidence import gather
from attrib.verdict.judge import judge
from attrib.verdict.share import share_of_vocabulary
from attrib.verdict.verbatim import find_verbatim
from attrib.verdict.vocabulary import Lexicon, find_vocabulary


@dataclass(frozen=True, eq=False)
class OwnAnswers:
    """A question's prompt and what each model answers by itself, as ids."""

    prompt_ids: tuple[int, ...]
    base_ids: tuple[int, ...]
    tuned_ids: tuple[int, ...]


def ask(pair: ModelPair, question: str, *, max_new_tokens: int = 64, progress: Progress | None = None) -> OwnAnswers:
    """Both models' own greedy answers to ``question``; ``progress`` counts their tokens and may raise to stop."""
    prompt_ids = encode_prompt(pair.tokenizer, question, context=pair.context)
    tell = progress or (lambda what, done, total: None)

    def after(before: int) -> Progress:
        return lambda what, done, total: tell("answers", before + done, 2 * total)

    answers = [
        generate(model, prompt_ids, max_new_tokens=max_new_tokens, progress=after(before))
        for model, before in ((pair.base, 0), (pair.tuned, max_new_tokens))
    ]
    return OwnAnswers(prompt_ids, *answers)


def explain(
    pair: ModelPair,
    corpus: Corpus,
    question: str,
    *,
    answer: str | None = None,
    answer_from: Literal["tuned", "base"] = "tuned",
    control: Corpus | None = None,
    options: ExplainOptions | None = None,
    library: Library | None = None,
    index: Path | None = None,
    asked: OwnAnswers | None = None,
    calibration: Calibration | None = None,
    cache: Path | Literal["default"] | None = "default",
    progress: Progress | None = None,
) -> Explanation:
    """Judge every token of one answer: documents, base or neither, and from which sections.

    The answer is the tuned model's, the base's (``answer_from``) or the given one; both models are run on the SAME
    answer. ``control`` are texts that neither model was tuned on (default: texts that ship with the package; better:
    held-out documents of your own). ``library`` of an earlier call on the same corpus saves its indexing, ``asked``
    of one on the same question the models' answers. ``index``: a folder made by ``attrib index`` of these documents and
    models; what it holds is not made again.

    Raises InputError and ModelError with one line each.

    >>> pair = attrib.ModelPair.load("base", "adapter")                                    # doctest: +SKIP
    >>> explanation = attrib.explain(pair, attrib.Corpus.read("documents"), "Who founded it?")  # doctest: +SKIP
    """
    options = options or ExplainOptions()
    check_options(options)
    _check_reused(pair, corpus, question, control, library, index, asked)
    calibration = calibration or Calibration.default()
    seed_all(options.seed)
    folder = cache_dir() if cache == "default" else cache
    library = library or make_library(pair, corpus, control, index, folder, progress)
    tell = progress or (lambda what, done, total: None)

    asked = asked or ask(pair, question, max_new_tokens=options.max_new_tokens, progress=progress)
    prompt_ids = asked.prompt_ids
    given_ids = encode_answer(pair.tokenizer, question, prompt_ids, answer) if answer is not None else ()
    source: AnswerSource = "given" if answer is not None else answer_from
    answer_ids = {"given": given_ids, "base": asked.base_ids, "tuned": asked.tuned_ids}[source]
    if not answer_ids:
        raise InputError(f"answer: the {source} model said nothing to this question; give an answer with --answer")
    encoded = encode(pair.tokenizer, prompt_ids, answer_ids, context=pair.context, question=question)

    layer, *keep = resolve_layers((mapping_layer(pair, options), *options.keep_layers), pair.base.n_layers)
    captures: list[Capture] = []
    for number, model in enumerate((pair.base, pair.tuned)):
        tell("captures", number, 2)
        captures.append(capture(model, encoded, _capture_options(options, layer, keep)))
    tell("captures", 2, 2)
    # Shares of ALL scores need the template's too: it is left out afterwards.
    prompt = replace(options.prompt, seed=options.seed, memory_gb=options.memory_gb, special="keep")
    attributions = attribute(pair, encoded, options.methods, prompt, progress)

    lexicon = Lexicon(corpus, library.control)
    vocabulary, shares = _vocabulary(encoded, attributions, lexicon, options.seed)
    if options.prompt.special == "exclude":
        attributions = {name: without_template(found, encoded) for name, found in attributions.items()}

    chosen = library.choose(question, encoded.answer, options.candidates)
    sides = read_sides(pair, library, encoded, captures, chosen, options, folder, progress)
    mappings = map_sections(sides, options.mappers)
    readings = [reading for _, reading in sides]

    base_answer = decode(pair.tokenizer, asked.base_ids)
    evidence = gather(library, chosen, sides[1][0], base_answer, captures, readings)
    verdict, ranking = judge(evidence, calibration)
    return Explanation(
        question=question,
        answer=encoded.answer,
        answer_source=source,
        base_answer=base_answer,
        tuned_answer=decode(pair.tokenizer, asked.tuned_ids),
        prompt_tokens=encoded.prompt_tokens,
        answer_tokens=encoded.answer_tokens,
        base=_slim(captures[0], tuple(keep)),
        tuned=_slim(captures[1], tuple(keep)),
        attributions=attributions,
        sections=tuple(corpus.sections[i] for i in chosen),
        sections_total=len(corpus),
        mappings=mappings,
        ranking=ranking,
        verdict=verdict,
        # As it is stored: the record is the same before and after.
        provenance=codec.to_json(_provenance(pair, library, options, layer, calibration)),
        vocabulary=vocabulary,
        shares=shares,
        verbatim=find_verbatim(encoded.answer, encoded.answer_tokens, question, lexicon),
    )


def make_library(
    pair: ModelPair,
    corpus: Corpus,
    control: Corpus | None = None,
    index: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Library:
    """The corpus with its control texts (None: those of the package), over an index where one is named.

    Raises InputError for an index of other texts or of another embedder.
    """
    null = control if control is not None else demo.control()
    found = None
    if index is not None:
        found = Index.open(index, corpus=corpus, control=null)
        check_index(found, encoders(["embedding"], None, device=pair.device))
    return Library(corpus, null, device=pair.device, cache=cache, progress=progress, index=found)


def build_index(
    pair: ModelPair | None,
    corpus: Corpus,
    control: Corpus,
    out: Path,
    *,
    parts: Sequence[str] | None = None,
    options: ExplainOptions | None = None,
    progress: Progress | None = None,
) -> Index:
    """Make or bring up to date the index of a corpus in the folder ``out``; see ``index.build``.

    ``parts``: by default all that there can be; without models the embeddings alone, and gradients only where tuning
    left checkpoints.
    """
    options = options or ExplainOptions()
    layer = resolve_layers((mapping_layer(pair, options),), pair.base.n_layers)[0] if pair is not None else 0
    taught = trained_questions(pair, corpus) if pair is not None else NOTHING
    if parts is None:
        tuned = pair.tuned if pair is not None else None
        final = options.influence.checkpoints == "final"
        parts = [
            part
            for part, there in zip(
                PARTS,
                (True, tuned is not None, tuned is not None and (final or has_checkpoints(tuned))),
                strict=True,
            )
            if there
        ]
    made = encoders(
        parts,
        pair,
        layer=layer,
        influence=options.influence,
        taught=taught,
        device=pair.device if pair is not None else "cpu",
    )
    return build(corpus, made, out, control=control, progress=progress)


def _vocabulary(
    encoded: Encoded, attributions: MappingABC[str, Attribution], lexicon: Lexicon, seed: int
) -> tuple[Vocabulary | None, tuple[VocabularyShare, ...]]:
    """The question's words that the documents have, and the share of each method's scores on them."""
    positions = question_positions(encoded.prompt_tokens, encoded.question)
    if not WORD.search("".join(encoded.prompt_tokens[i].text for i in positions)):
        return None, ()
    vocabulary = find_vocabulary(encoded.prompt_tokens, positions, lexicon)
    kinds: list[VocabularyKind] = ["words", "phrases"] if vocabulary.phrases else ["words"]
    shares = [
        share_of_vocabulary(vocabulary, name, *attribution.expanded(len(encoded.ids)), kind=kind, seed=seed)
        for name, attribution in attributions.items()
        for kind in kinds
    ]
    return vocabulary, tuple(shares)


def seed_all(seed: int) -> None:
    """Seed numpy and torch: decoding is greedy, but a model may draw numbers of its own."""
    import torch

    np.random.seed(seed)
    torch.manual_seed(seed)


def check_options(options: ExplainOptions) -> None:
    """InputError for an option that cannot be used, before any model is loaded."""
    check_methods(options.methods, options.prompt)
    check_mappers(options.mappers)
    if options.candidates < 0:
        raise InputError(f"candidates is {options.candidates}; give a positive number, or 0 for all sections")
    if not 0 <= options.seed < 2**32:
        raise InputError(f"seed is {options.seed}; give a number from 0 to {2**32 - 1}")


def _check_reused(
    pair: ModelPair,
    corpus: Corpus,
    question: str,
    control: Corpus | None,
    library: Library | None,
    index: Path | None,
    asked: OwnAnswers | None,
) -> None:
    """What an earlier call made must belong to this one."""
    if library is not None:
        if library.corpus.sha256 != corpus.sha256:
            raise InputError("library: it was made of other documents; leave it out or make it of these")
        if control is not None and library.control.sha256 != control.sha256:
            raise InputError("library: it was made with other control texts; leave one of the two out")
        if index is not None:
            raise InputError("index: the library has one, or none; leave one of the two out")
    if asked is not None and asked.prompt_ids != encode_prompt(pair.tokenizer, question, context=pair.context):
        raise InputError("asked: it is of another question; leave it out or ask again")


def _capture_options(options: ExplainOptions, layer: int, keep: Sequence[int]) -> CaptureOptions:
    return CaptureOptions(
        attention=True,
        heads=options.heads,
        layers=tuple(dict.fromkeys((layer, *keep))),
        memory_gb=options.memory_gb,
    )


def mapping_layer(pair: ModelPair, options: ExplainOptions) -> int:
    """The layer whose states are compared."""
    return options.hidden.layer if options.hidden.layer is not None else settings().layer(pair.base.n_layers)


def read_sides(
    pair: ModelPair,
    library: Library,
    encoded: Encoded,
    captures: Sequence[Capture],
    chosen: np.ndarray,
    options: ExplainOptions,
    cache: Path | None,
    progress: Progress | None = None,
) -> tuple[Side, Side]:
    """What base and tuned make of the answer (``captures``: base, tuned) and of the chosen sections and the control."""
    layer = resolve_layers((mapping_layer(pair, options),), pair.base.n_layers)[0]
    named = layer if options.hidden.layer is not None else None
    numbers = library.with_control(chosen)
    texts = {int(i): library.texts[i] for i in numbers}
    wanted = {MAPPERS[mapper].needs for mapper in options.mappers if mapper in MAPPERS}
    taught = trained_questions(pair, library.corpus) if "gradients" in wanted else None
    if library.index is not None:
        # What the index lacks is made now; what it has must be of these models.
        parts = [part for part, needed in (("hidden", True), ("gradients", taught is not None)) if needed]
        check_index(
            library.index, encoders(parts, pair, layer=layer, influence=options.influence, taught=taught or NOTHING)
        )
    sides = []
    names: tuple[Literal["base", "tuned"], ...] = ("base", "tuned")
    for name, model, side in zip(names, (pair.base, pair.tuned), captures, strict=True):
        read: MappingABC[int, TextCapture] = read_texts(
            model,
            texts,
            layer,
            variant=pair.variant,
            cache=cache,
            stored=partial(stored_reading, library.index, name),
            progress=progress,
        )
        gradients: tuple[Gradients, ...] = ()
        if taught is not None:
            gradients = read_gradients(
                pair,
                name,
                encoded,
                texts,
                options.influence,
                taught=taught,
                stored=partial(stored_gradient, library.index),
                cache=cache,
                progress=progress,
            )
        reading = Reading(library, numbers, read, model, named, gradients)
        sides.append((_answer(encoded, side, layer), reading))
    return sides[0], sides[1]


def map_sections(sides: tuple[Side, Side], mappers: Sequence[str]) -> dict[str, Mapping]:
    """Every mapper on both sides."""
    base, tuned = sides
    library = base[1].library
    sections = int((base[1].chosen < len(library.corpus)).sum())
    return map_answer(mappers, base, tuned, sections)


def trained_questions(pair: ModelPair, corpus: Corpus) -> TrainedQuestions:
    """The questions that taught each section, where the adapter says which they were."""
    folder = pair.tuned.folder
    if folder is None or not (folder / "trained.jsonl").is_file():
        return NOTHING
    return TrainedQuestions.of(corpus.sections, read_trained(folder))


def _answer(encoded: Encoded, side: Capture, layer: int) -> Answer:
    assert side.hidden is not None
    states = side.hidden[side.layers.index(layer), len(encoded.prompt_ids) :]
    return Answer(encoded.question, encoded.answer, encoded.answer_tokens, states)


def _slim(side: Capture, keep: tuple[int, ...]) -> Capture:
    """The capture without the states that were only needed on the way."""
    kept = [side.layers.index(layer) for layer in keep]
    return replace(side, hidden=side.hidden[kept] if kept and side.hidden is not None else None, layers=keep)


def _provenance(
    pair: ModelPair, library: Library, options: ExplainOptions, layer: int, calibration: Calibration
) -> dict[str, object]:
    import torch

    return {
        "base": {"name": pair.base.name, "sha256": pair.base.fingerprint},
        "tuned": {"name": pair.tuned.name, "sha256": pair.tuned.fingerprint, "shares_weights": pair.shares_weights},
        "tokenizer": {"sha256": pair.tokenizer_sha256},
        "loading": dict(pair.loading),
        "documents": {
            "sha256": library.corpus.sha256,
            "files": [{"name": name, "sha256": sha256} for name, sha256 in library.corpus.documents],
            **library.corpus.reading,
        },
        "control": {"sha256": library.control.sha256},
        "device": pair.device,
        "dtype": pair.dtype,
        "threads": torch.get_num_threads(),
        "seed": options.seed,
        "layer": layer,
        "calibration": asdict(calibration),
        "options": _plain(asdict(options)),
        "versions": versions(),
    }


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as JSON can hold them: a target of the caller's own by its name."""
    return options | {"prompt": options["prompt"] | {"target": name_of(options["prompt"]["target"])}}
