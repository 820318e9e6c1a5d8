"""One question → one Explanation: the whole route on one screen."""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from attrib import demo
from attrib.attribution import QUICK, MethodOptions, attribute, check_methods, without_template
from attrib.capture import CaptureOptions, TextCapture, capture, resolve_layers
from attrib.contrast import Calibration, gather, judge
from attrib.documents import Corpus
from attrib.errors import InputError
from attrib.generate import generate
from attrib.mapping import MAPPERS, check_mappers, map_answer
from attrib.mapping.answer import WORD, Answer
from attrib.mapping.reading import Library, Progress, Reading, read_texts
from attrib.models.bundled import cache_dir
from attrib.models.pair import Model, ModelPair, versions
from attrib.records import (
    AnswerSource,
    Attribution,
    Capture,
    Explanation,
    Vocabulary,
    VocabularyKind,
    VocabularyShare,
)
from attrib.targets import name_of
from attrib.tokens import Encoded, decode, encode, encode_answer, encode_prompt
from attrib.units import question_positions
from attrib.vocabulary import Lexicon, find_verbatim, find_vocabulary, share_of_vocabulary

MAPPING_DEPTH = 0.57
"""Share of the layers after which states are compared where no layer is named (chosen on the calibration split)."""


@dataclass(frozen=True)
class ExplainOptions:
    """What to compute, how much of it to keep, and from which seed."""

    methods: tuple[str, ...] = QUICK
    prompt: MethodOptions = field(default_factory=MethodOptions)
    """How the methods work; the seed and the memory budget below hold for them too."""
    mappers: tuple[str, ...] = tuple(MAPPERS)
    candidates: int = 24
    """Sections that are scored, the best of bm25 and embedding; 0 = all. More cost two forward passes each, once."""
    layer: int | None = None
    """Layer whose hidden states are compared; None = MAPPING_DEPTH of the model."""
    max_new_tokens: int = 64
    heads: bool = False
    """Keep the attention of every layer and head in the record."""
    keep_layers: tuple[int, ...] = ()
    """Layers whose hidden states stay in the record."""
    memory_gb: float = 2.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Asked:
    """A question's prompt and what each model answers by itself, as ids."""

    prompt_ids: tuple[int, ...]
    base_ids: tuple[int, ...]
    tuned_ids: tuple[int, ...]


def ask(pair: ModelPair, question: str, *, max_new_tokens: int = 64, progress: Progress | None = None) -> Asked:
    """Both models' own greedy answers to ``question``."""
    prompt_ids = encode_prompt(pair.tokenizer, question, context=pair.context)
    answers = []
    for number, model in enumerate((pair.base, pair.tuned)):
        if progress is not None:
            progress("answers", number, 2)
        answers.append(generate(model, prompt_ids, max_new_tokens=max_new_tokens))
    return Asked(prompt_ids, *answers)


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
    asked: Asked | None = None,
    calibration: Calibration | None = None,
    cache: Path | Literal["default"] | None = "default",
    progress: Progress | None = None,
) -> Explanation:
    """Judge every token of one answer: documents, base or neither, and from which sections.

    The answer is the tuned model's, the base's (``answer_from``) or the given one; both models are run on the SAME
    answer. ``control`` are texts that neither model was tuned on (default: texts that ship with the package; better:
    held-out documents of your own). ``library`` of an earlier call on the same corpus saves its indexing, ``asked``
    of one on the same question the models' answers.

    Raises InputError and ModelError with one line each.

    >>> pair = attrib.ModelPair.load("base", "adapter")                                    # doctest: +SKIP
    >>> explanation = attrib.explain(pair, attrib.Corpus.read("documents"), "Who founded it?")  # doctest: +SKIP
    """
    options = options or ExplainOptions()
    check_options(options)
    _check_reused(pair, corpus, question, control, library, asked)
    calibration = calibration or Calibration.default()
    seed_all(options.seed)
    folder = cache_dir() if cache == "default" else cache
    library = library or Library(
        corpus, control if control is not None else demo.control(), device=pair.device, cache=folder, progress=progress
    )
    tell = progress or (lambda what, done, total: None)

    asked = asked or ask(pair, question, max_new_tokens=options.max_new_tokens, progress=progress)
    prompt_ids = asked.prompt_ids
    given_ids = encode_answer(pair.tokenizer, question, prompt_ids, answer) if answer is not None else ()
    source: AnswerSource = "given" if answer is not None else answer_from
    answer_ids = {"given": given_ids, "base": asked.base_ids, "tuned": asked.tuned_ids}[source]
    if not answer_ids:
        raise InputError(f"answer: the {source} model said nothing to this question; give an answer with --answer")
    encoded = encode(pair.tokenizer, prompt_ids, answer_ids, context=pair.context, question=question)

    depth = pair.base.n_layers
    wanted = options.layer if options.layer is not None else int(MAPPING_DEPTH * depth)
    layer, *keep = resolve_layers((wanted, *options.keep_layers), depth)
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
    readings = [_read(model, pair, library, chosen, layer, folder, progress) for model in (pair.base, pair.tuned)]
    answers = [_answer(question, encoded, side, layer) for side in captures]
    sides = list(zip(answers, readings, strict=True))
    mappings = {mapper: map_answer(mapper, sides[0], sides[1], len(chosen)) for mapper in options.mappers}

    base_answer = decode(pair.tokenizer, asked.base_ids)
    evidence = gather(library, chosen, answers[1], base_answer, captures, readings)
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
        provenance=_provenance(pair, library, options, layer, calibration),
        vocabulary=vocabulary,
        shares=shares,
        verbatim=find_verbatim(encoded.answer, encoded.answer_tokens, question, lexicon),
    )


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
    asked: Asked | None,
) -> None:
    """What an earlier call made must belong to this one."""
    if library is not None:
        if library.corpus.sha256 != corpus.sha256:
            raise InputError("library: it was made of other documents; leave it out or make it of these")
        if control is not None and library.control.sha256 != control.sha256:
            raise InputError("library: it was made with other control texts; leave one of the two out")
    if asked is not None and asked.prompt_ids != encode_prompt(pair.tokenizer, question, context=pair.context):
        raise InputError("asked: it is of another question; leave it out or ask again")


def _capture_options(options: ExplainOptions, layer: int, keep: Sequence[int]) -> CaptureOptions:
    return CaptureOptions(
        attention=True,
        heads=options.heads,
        layers=tuple(dict.fromkeys((layer, *keep))),
        memory_gb=options.memory_gb,
    )


def _read(
    model: Model,
    pair: ModelPair,
    library: Library,
    chosen: np.ndarray,
    layer: int,
    cache: Path | None,
    progress: Progress | None,
) -> Reading:
    indices = library.with_control(chosen)
    texts = {int(i): library.texts[i] for i in indices}
    captures: MappingABC[int, TextCapture] = read_texts(
        model,
        texts,
        layer,
        variant=f"{pair.device}-{pair.dtype}-{pair.tokenizer_sha256}",
        cache=cache,
        progress=progress,
    )
    return Reading(library, indices, captures)


def _answer(question: str, encoded: Encoded, side: Capture, layer: int) -> Answer:
    assert side.hidden is not None
    states = side.hidden[side.layers.index(layer), len(encoded.prompt_ids) :]
    return Answer(question, encoded.answer, encoded.answer_tokens, states)


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
        "documents": {
            "sha256": library.corpus.sha256,
            "files": [{"name": name, "sha256": sha256} for name, sha256 in library.corpus.documents],
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
