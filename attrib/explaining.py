"""One question → one Explanation: generate → capture → attribute → map → judge.

Not covered: reading documents (``corpus``), what is computed once for many questions (``index.Library``), and drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from attrib.attribution import attribute, check_methods, without_template
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.files import digest_of
from attrib.index.gradients import stages
from attrib.index.library import Library
from attrib.index.readings import cut_note
from attrib.mapping import check_mappers, map_answer, needs_gradients
from attrib.mapping.reading import mapping_layer, read_sides
from attrib.models.fingerprint import versions
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded, decode, encode_answer, encode_prompt, encode_whole
from attrib.models.rows import differences
from attrib.options.explain import ExplainOptions, InfluenceOptions
from attrib.options.loading import Loading
from attrib.passes.capture import CaptureOptions, capture, resolve_layers
from attrib.passes.generate import generate
from attrib.passes.targets import name_of
from attrib.progress import Progress
from attrib.records import (
    AnswerSource,
    Attribution,
    Capture,
    Counterfactual,
    CounterfactualKind,
    Explanation,
    Promise,
    Verbatim,
    Vocabulary,
    VocabularyKind,
    VocabularyShare,
    codec,
)
from attrib.text.units import question_positions
from attrib.text.words import WORD
from attrib.training.without import retrain_without
from attrib.training.workfolder import held_out_of
from attrib.verdict.calibration import Calibration
from attrib.verdict.evidence import Case, gather
from attrib.verdict.judge import judge
from attrib.verdict.pair_calibration import known_promise
from attrib.verdict.share import share_of_vocabulary
from attrib.verdict.verbatim import find_verbatim
from attrib.verdict.vocabulary import Lexicon, find_vocabulary


@dataclass(frozen=True, eq=False)
class OwnAnswers:
    """A question, and each model's own greedy answer to it, as ids."""

    question: str
    prompt_ids: tuple[int, ...]
    base_ids: tuple[int, ...]
    tuned_ids: tuple[int, ...]


def explain(
    pair: ModelPair,
    documents: Library | Corpus,
    question: str | OwnAnswers,
    *,
    answer: str | None = None,
    answer_from: Literal["tuned", "base"] = "tuned",
    options: ExplainOptions | None = None,
    calibration: Calibration | None = None,
    promise: Promise | Literal["known"] | None = "known",
    progress: Progress | None = None,
) -> Explanation:
    """Judge every token of one answer: documents, base or neither, and from which sections.

    The answer is the tuned model's, the base's (``answer_from``) or the given one; both models run on the SAME answer.
    ``documents``: a ``Library`` serves many questions; from a corpus one is made with the defaults. ``question``: its
    text, or the result of ``ask``. ``promise``: default: attrib calibrate's. Raises InputError and ModelError.

    >>> pair = attrib.ModelPair.load("base", "adapter")                                    # doctest: +SKIP
    >>> explanation = attrib.explain(pair, attrib.Corpus.read("documents"), "Who founded it?")  # doctest: +SKIP
    """
    options, calibration = options or ExplainOptions(), calibration or Calibration.default()
    check_options(options)
    seed_all(options.seed)
    influence = _influence(pair, options)
    library = _library_of(documents, pair, progress)
    held = known_promise(pair, library, calibration) if promise == "known" else promise
    own = question if isinstance(question, OwnAnswers) else ask(pair, question, options.max_new_tokens, progress)
    source, encoded = _choose_answer(pair, own, answer, answer_from)
    captures = _capture_both(pair, encoded, options, progress)
    attributions = _attribute_whole_prompt(pair, encoded, options, progress)
    vocabulary, shares, verbatim = _find_words(library, encoded, attributions, options.seed)
    chosen = library.choose(own.question, encoded.answer, options.candidates)
    base, tuned = read_sides(pair, library, encoded, captures, chosen, options.hidden.layer, influence, progress)
    mappings = map_answer(options.mappers, base, tuned, len(chosen))
    base_answer, tuned_answer = (decode(pair.tokenizer, ids) for ids in (own.base_ids, own.tuned_ids))
    case = Case(encoded, base_answer, captures[0].logprob, captures[1].logprob, chosen, own.tuned_ids)
    [evidence] = gather(pair, library, [case], (base[1].captures, tuned[1].captures), progress)
    verdict, ranking = judge(evidence, calibration)
    return Explanation(
        question=own.question,
        answer=encoded.answer,
        answer_source=source,
        base_answer=base_answer,
        tuned_answer=tuned_answer,
        prompt_tokens=encoded.prompt_tokens,
        answer_tokens=encoded.answer_tokens,
        base=_kept(captures[0], pair, options),
        tuned=_kept(captures[1], pair, options),
        attributions=_shown(attributions, encoded, options),
        sections=tuple(library.corpus.sections[i] for i in chosen),
        sections_total=len(library.corpus),
        mappings=mappings,
        ranking=ranking,
        verdict=replace(verdict, promise=held),
        provenance=_provenance(pair, library, base[1].chosen, options, calibration),
        vocabulary=vocabulary,
        shares=shares,
        verbatim=verbatim,
    )


def ask(
    pair: ModelPair,
    question: str,
    max_new_tokens: int = ExplainOptions.max_new_tokens,
    progress: Progress | None = None,
) -> OwnAnswers:
    """Both models' own greedy answers to ``question``; ``progress`` counts their tokens and may raise to stop."""
    prompt_ids = encode_prompt(pair.chat, question, context=pair.context)
    tell = progress or (lambda what, done, total: None)

    def after(before: int) -> Progress:
        return lambda what, done, total: tell("answers", before + done, 2 * total)

    answers = [
        generate(model, prompt_ids, max_new_tokens=max_new_tokens, progress=after(before))
        for model, before in ((pair.base, 0), (pair.tuned, max_new_tokens))
    ]
    return OwnAnswers(question, prompt_ids, *answers)


def tuned_otherwise(
    pair: ModelPair,
    corpus: Corpus,
    explanation: Explanation,
    kind: CounterfactualKind,
    sections: Sequence[str],
    out: Path,
    *,
    load: Callable[[Path], ModelPair],
    loading: Loading | None = None,
    max_new_tokens: int = ExplainOptions.max_new_tokens,
    progress: Progress | None = None,
) -> Counterfactual:
    """What the model says when it is tuned again without these sections (or on them alone), as it was tuned before.

    ``load`` gives the pair of an adapter's folder. The new adapter is kept in ``out``, a folder for each choice, and
    taken from there the next time. Raises InputError for a tuned model that is no adapter of attrib tune, and what
    ``retrain_without`` raises.
    """
    folder = pair.tuned.folder
    if folder is None:
        raise InputError(
            f"{kind}: {pair.tuned.name} is no adapter of attrib tune, so it cannot be tuned again; use one"
        )
    chosen = digest_of([pair.base.fingerprint, pair.tuned.fingerprint, kind, sorted(sections)])[:16]
    again, found = retrain_without(
        pair.base.name, folder, corpus.sections, sections, out / chosen,
        only=kind == "only", option=kind, loading=loading, progress=progress,
    )  # fmt: skip
    other = load(again)
    prompt_ids, ids = (tuple(t.id for t in tokens) for tokens in (explanation.prompt_tokens, explanation.answer_tokens))
    encoded = encode_whole(other.chat, explanation.question, prompt_ids, ids, context=other.context)
    said = generate(other.tuned, prompt_ids, max_new_tokens=max_new_tokens, progress=progress)
    logprob = capture(other.tuned, encoded, CaptureOptions()).logprob
    return Counterfactual(kind, found, decode(other.tokenizer, said), logprob)


def check_options(options: ExplainOptions) -> None:
    """InputError for an option that cannot be used, before any model is loaded."""
    check_methods(options.methods, options.prompt)
    check_mappers(options.mappers)
    if options.candidates < 0:
        raise InputError(f"candidates is {options.candidates}; give a positive number, or 0 for all sections")
    if not 0 <= options.seed < 2**32:
        raise InputError(f"seed is {options.seed}; give a number from 0 to {2**32 - 1}")


def _influence(pair: ModelPair, options: ExplainOptions) -> InfluenceOptions | None:
    """Options of influence where a mapper needs gradients. Raises InputError where there are no checkpoints."""
    if not needs_gradients(options.mappers):
        return None
    # Refused before anything is computed.
    stages(pair, "tuned", options.influence)
    return options.influence


def seed_all(seed: int) -> None:
    """Seed numpy and torch: decoding is greedy, but a model may draw numbers of its own."""
    import torch

    np.random.seed(seed)
    torch.manual_seed(seed)


def _library_of(documents: Library | Corpus, pair: ModelPair, progress: Progress | None) -> Library:
    if isinstance(documents, Library):
        return documents
    return Library.make(documents, device=pair.device, progress=progress)


def _choose_answer(
    pair: ModelPair, own: OwnAnswers, answer: str | None, answer_from: Literal["tuned", "base"]
) -> tuple[AnswerSource, Encoded]:
    """Whose answer is explained, and its ids after the prompt's."""
    source: AnswerSource = answer_from if answer is None else "given"
    if answer is not None:
        answer_ids = encode_answer(pair.chat, own.question, own.prompt_ids, answer)
    else:
        answer_ids = own.base_ids if answer_from == "base" else own.tuned_ids
    if not answer_ids:
        raise InputError(f"answer: the {source} model said nothing to this question; give an answer with --answer")
    encoded = encode_whole(pair.chat, own.question, own.prompt_ids, answer_ids, context=pair.context, answer=answer)
    return source, encoded


def _capture_both(
    pair: ModelPair, encoded: Encoded, options: ExplainOptions, progress: Progress | None
) -> tuple[Capture, Capture]:
    """Log-probs, attention and the hidden states that mappers compare or the record keeps, under base and tuned."""
    tell = progress or (lambda what, done, total: None)
    layers = (mapping_layer(pair, options.hidden.layer), *_kept_layers(pair, options))
    wanted = CaptureOptions(
        attention=True, heads=options.heads, layers=tuple(dict.fromkeys(layers)), memory_gb=options.memory_gb
    )
    tell("captures", 0, 2)
    base = capture(pair.base, encoded, wanted)
    tell("captures", 1, 2)
    tuned = capture(pair.tuned, encoded, wanted)
    tell("captures", 2, 2)
    return base, tuned


def _kept_layers(pair: ModelPair, options: ExplainOptions) -> tuple[int, ...]:
    return resolve_layers(options.keep_layers, pair.base.n_layers)


def _kept(side: Capture, pair: ModelPair, options: ExplainOptions) -> Capture:
    """The capture without the states that only the mappers needed."""
    layers = _kept_layers(pair, options)
    kept = [side.layers.index(layer) for layer in layers]
    return replace(side, hidden=side.hidden[kept] if kept and side.hidden is not None else None, layers=layers)


def _attribute_whole_prompt(
    pair: ModelPair, encoded: Encoded, options: ExplainOptions, progress: Progress | None
) -> dict[str, Attribution]:
    """Scores with the chat template's, whatever the record keeps: shares of ALL scores need them too."""
    prompt = replace(options.prompt, seed=options.seed, memory_gb=options.memory_gb, special="keep")
    return attribute(pair, encoded, options.methods, prompt, progress)


def _shown(attributions: dict[str, Attribution], encoded: Encoded, options: ExplainOptions) -> dict[str, Attribution]:
    """Scores as the record keeps them: with the chat template's or without."""
    if options.prompt.special != "exclude":
        return attributions
    return {name: without_template(found, encoded) for name, found in attributions.items()}


def _find_words(
    library: Library, encoded: Encoded, attributions: MappingABC[str, Attribution], seed: int
) -> tuple[Vocabulary | None, tuple[VocabularyShare, ...], tuple[Verbatim, ...]]:
    """The question's words that the documents have, each method's share on them, and word runs of the answer."""
    lexicon = Lexicon(library.corpus, library.control)
    verbatim = find_verbatim(encoded.answer, encoded.answer_tokens, encoded.question, lexicon)
    positions = question_positions(encoded.prompt_tokens, encoded.question)
    if not WORD.search("".join(encoded.prompt_tokens[i].text for i in positions)):
        return None, (), verbatim
    vocabulary = find_vocabulary(encoded.prompt_tokens, positions, lexicon)
    kinds: list[VocabularyKind] = ["words", "phrases"] if vocabulary.phrases else ["words"]
    shares = [
        share_of_vocabulary(vocabulary, name, *attribution.expanded(len(encoded.ids)), kind=kind, seed=seed)
        for name, attribution in attributions.items()
        for kind in kinds
    ]
    return vocabulary, tuple(shares), verbatim


def _provenance(
    pair: ModelPair, library: Library, read: np.ndarray, options: ExplainOptions, calibration: Calibration
) -> dict[str, object]:
    """Models, texts, options and versions, as they are stored; ``read``: numbers of the texts that models read."""
    import torch

    # A target of the caller's own has no JSON but its name.
    plain = replace(options, prompt=replace(options.prompt, target=name_of(options.prompt.target)))
    found: dict[str, object] = codec.to_json(
        {
            "base": {"name": pair.base.name, "sha256": pair.base.fingerprint},
            "tuned": {"name": pair.tuned.name, "sha256": pair.tuned.fingerprint, "shares_weights": pair.shares_weights},
            "tokenizer": {"sha256": pair.tokenizer_sha256},
            "prompt": {**pair.chat.provenance(), "rows": differences(pair.chat, library.corpus.sections)},
            "loading": pair.loading,
            "notes": (*pair.notes, *cut_note(pair, [library.sections[int(i)] for i in read])),
            **library.provenance,
            "device": pair.device,
            "dtype": pair.dtype,
            "threads": torch.get_num_threads(),
            "seed": options.seed,
            "layer": mapping_layer(pair, options.hidden.layer),
            "held_out": sorted(held_out_of(pair.tuned.folder, (library.sections[int(i)].id for i in read))),
            "calibration": calibration,
            "options": plain,
            "versions": versions(),
        }
    )
    return found
