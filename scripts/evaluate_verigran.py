"""Passage accuracy of mappers on VERI-GRAN (Phukan et al. 2024): from which passage was each span of an answer copied?

    python scripts/evaluate_verigran.py verifiability_granular_dev.jsonl --cache DIR --json

The file is yours: nothing of it is kept but what a model made of it, in the cache. Layers, threshold, anchors, windows
and weights are chosen on questions, split in two by a hash:

    --split cross        every half with what was chosen on the other (the default; for the development file)
    --split calibration  the half that the stored choice was made on, as stored
    --split held-out     the other half, as stored
    --split all          every row, as stored (for a file that nothing was chosen on)
    --write              choose on the calibration half and store it in attrib/data/mapping.json first

A pick is right where its text is the gold passage's; passages of equal score share it. Intervals are 95% bootstrap
over questions, whose statements share their passages. The first run reads 0.7 million tokens (40 minutes on one core,
4 GB of states); it goes on where it was stopped, and later runs take seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attrib.corpus import demo
from attrib.corpus.documents import Corpus
from attrib.errors import AttribError, InputError
from attrib.files import write_atomically
from attrib.index.library import Library
from attrib.mapping.answer import Answer, MapperScores
from attrib.mapping.hidden import hidden, unit
from attrib.mapping.hidden_context import Context, best_windows, make_contexts
from attrib.mapping.lexical import bm25_answer
from attrib.mapping.mixture import STORED, Choice, Weights, Windows, combine, settings, standardised
from attrib.mapping.reading import Reading
from attrib.mapping.verbatim import verbatim
from attrib.models.chat import Chat
from attrib.models.embedder import embed, load_embedder
from attrib.models.loading import load_network
from attrib.models.prompt import encode_prompt
from attrib.models.rendering import begin_of_text
from attrib.passes.capture import TextCapture
from attrib.records import Token
from attrib.text.words import WORD, words

MODEL = "smollm2-135m-instruct"
LAYERS = (2, 5, 8, 11, 14, 17)
"""Layers whose states are kept, so that their choice needs no second pass; higher ones of the default model were no
better on a part of the development split (late interaction; layers up to 28)."""
LIMIT = 8192
"""Tokens of one context."""
SEED = 0
"""Of the random weights."""
ANCHORS = (1, 5, 20, 50)
LONGEST = (4, 8, 16, 32)
"""Tried for the windows of the published method."""
CALIBRATION = 0
"""The half that the stored choice was made on."""
MIXED = ("bm25_answer", "verbatim", "embedding", "hidden", "hidden_context")
"""Mappers that ``combined`` may weigh, each for the span and for its sentence."""
RIDGE = 1.0
SPAN = re.compile(r"\[ (\d+) (.*?) \]", re.S)
"""A span that was copied, with the number of its passage."""


# ------------------------------------------------------------------------------------------- data


@dataclass(frozen=True)
class Span:
    """A piece of the answer and the passage that it was copied from."""

    start: int
    """First character in the answer."""
    end: int
    gold: int
    """Index of the passage."""


@dataclass(frozen=True)
class Statement:
    """One sentence of an answer, its spans, and the passages of its question."""

    question: str
    answer: str
    """The whole answer without marks."""
    sentence: str
    passages: tuple[str, ...]
    spans: tuple[Span, ...]

    @property
    def start(self) -> int:
        """First character of the sentence in the answer."""
        return self.answer.index(self.sentence)

    @property
    def half(self) -> int:
        """0 or 1, by question: statements of one question share their passages."""
        return int(hashlib.sha256(self.question.encode()).hexdigest(), 16) % 2


def read_statements(path: Path) -> list[Statement]:
    """Statements of a JSONL file; a line that is not as described is named and left out. InputError where all are."""
    statements, faults = [], []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            statements.append(parse(row["question"], row["summary"], row["chunk"], row["passages"]))
        except (ValueError, KeyError, TypeError) as error:
            faults.append(
                f"{path.name}: line {number} is not a VERI-GRAN row ({error}); it needs question, summary, chunk, "
                "passages"
            )
    if not statements:
        raise InputError(faults[0] if faults else f"{path.name}: it has no rows; name the file of VERI-GRAN's split")
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    return statements


def parse(question: str, summary: str, sentence: str, passages: Sequence[str]) -> Statement:
    """One row; ValueError for a span of a passage that does not exist or a sentence that is not the answer's."""
    answer, spans, last = "", [], 0
    for match in SPAN.finditer(summary):
        answer += summary[last : match.start()]
        last, text, gold = match.end(), match[2], int(match[1]) - 1
        if not 0 <= gold < len(passages):
            raise ValueError(f"span of passage {gold + 1} of {len(passages)}")
        blanks = len(text) - len(text.lstrip())
        spans.append(Span(len(answer) + blanks, len(answer) + len(text), gold))
        answer += text
    answer += summary[last:]
    if sentence not in answer:
        raise ValueError(f"sentence {sentence[:30]!r} is not in the answer")
    return Statement(question, answer, sentence, tuple(passages), tuple(spans))


# ------------------------------------------------------------------------------------------- states


@dataclass(frozen=True, eq=False)
class Network:
    """A causal language model that is only read, and where what it made of texts is kept."""

    network: Any
    tokenizer: Any
    name: str
    """What tells it from others in the cache."""
    layers: tuple[int, ...]
    cache: Path | None

    @property
    def context(self) -> int:
        """Longest sequence in tokens."""
        return int(self.network.config.max_position_embeddings)

    @property
    def n_layers(self) -> int:
        """Transformer blocks."""
        return int(self.network.config.num_hidden_layers)

    def kept(self, what: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Arrays from the cache, or made and stored there; ``what`` names all that they depend on besides the model."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file, save

        key = hashlib.sha256(f"{self.name}\0{self.layers}\0{what}".encode()).hexdigest()[:24]
        file = self.cache / f"{key}.safetensors" if self.cache is not None else None
        try:
            if file is not None:
                return dict(load_file(file))
        except (OSError, SafetensorError):
            pass  # absent or damaged: made again
        made = {name: np.ascontiguousarray(array) for name, array in make().items()}
        if file is not None:
            write_atomically(file, save(made))
        return made

    def states(self, batch: Sequence[Sequence[int]]) -> Any:
        """Residual stream after each of ``layers``, [layer, sequence, position, d_model]; shorter ones are padded.

        What stands after a token changes nothing for it, so the padding needs no mask.
        """
        import torch

        ids = torch.zeros(len(batch), max(len(sequence) for sequence in batch), dtype=torch.long)
        for row, sequence in enumerate(batch):
            ids[row, : len(sequence)] = torch.tensor(sequence)
        with torch.no_grad():
            read = self.network.base_model(
                ids.to(self.network.device), use_cache=False, output_hidden_states=True
            ).hidden_states
        # The first is the embedding's.
        return torch.stack([read[layer + 1] for layer in self.layers]).float().cpu()


def load(name: str, cache: Path | None, layers: Sequence[int] | None = None) -> Network:
    """The model; InputError for a layer that cannot be read."""
    network, tokenizer = load_network(name)
    last = int(network.config.num_hidden_layers) - 1
    chosen = tuple(sorted(layers)) if layers else tuple(layer for layer in LAYERS if layer < last)
    # What transformers gives as the last layer's states has gone through the final norm.
    if not chosen or not all(0 <= layer < last for layer in chosen):
        raise InputError(f"--layers: {name} can be read at layers 0 to {last - 1}; give some of these")
    return Network(_prepared(network, chosen), tokenizer, name, chosen, cache)


def _prepared(network: Any, layers: Sequence[int]) -> Any:
    """Without the blocks above the last layer that is kept, where they can be told; attention that keeps no weights."""
    blocks = getattr(network.base_model, "layers", None)
    if blocks is not None:
        # One more: what transformers gives after the last block has gone through the final norm.
        network.base_model.layers = blocks[: max(layers) + 2]
    network.set_attn_implementation("sdpa")
    return network


def randomised(network: Network, layers: Sequence[int]) -> Network:
    """A model of the same shape with random weights, as deep as ``layers`` need."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(SEED)
    made = AutoModelForCausalLM.from_config(network.network.config).eval().requires_grad_(False)
    made = _prepared(made, layers)
    return replace(network, network=made, name=f"{network.name}, random weights {SEED}", layers=tuple(layers))


def packed(states: Any, *, norms: bool = False) -> dict[str, np.ndarray]:
    """Unit vectors in fp16, and their lengths, of states [layer, token, d_model]."""
    import torch

    units = torch.nn.functional.normalize(states, dim=-1).to(torch.float16).numpy()
    return {"units": units, "norms": states.norm(dim=-1).numpy()} if norms else {"units": units}


def read_alone(network: Network, texts: Sequence[str]) -> list[np.ndarray]:
    """Unit states of each text read by itself, [layer, token, d_model] each."""
    made = network.kept("alone\0" + "\0".join(texts), lambda: _alone(network, texts))
    return np.split(made["units"], np.cumsum(made["lengths"])[:-1], axis=1)


def _alone(network: Network, texts: Sequence[str]) -> dict[str, np.ndarray]:
    import torch

    bos = begin_of_text(network.tokenizer)
    ids = [(*bos, *network.tokenizer(text, add_special_tokens=False).input_ids) for text in texts]
    lengths = np.array([len(sequence) - len(bos) for sequence in ids])
    found: dict[int, Any] = {}
    order = np.argsort(lengths, kind="stable").tolist()
    for first in range(0, len(order), 32):
        batch = order[first : first + 32]
        states = network.states([ids[i] for i in batch])
        found.update({i: states[:, row, len(bos) : len(ids[i])] for row, i in enumerate(batch)})
    return {**packed(torch.cat([found[i] for i in range(len(texts))], 1)), "lengths": lengths}


def read_answer(network: Network, statement: Statement) -> np.ndarray:
    """Unit states of the answer's tokens after its question alone, [layer, token, d_model]."""
    prompt = encode_prompt(Chat(network.tokenizer), statement.question, context=network.context)
    ids = (*prompt, *answer_tokens(network.tokenizer, statement)[0])
    what = f"answer\0{statement.question}\0{statement.answer}"
    return network.kept(what, lambda: packed(network.states([ids])[:, 0, len(prompt) :]))["units"]


def answer_tokens(tokenizer: Any, statement: Statement) -> tuple[tuple[int, ...], np.ndarray]:
    """Ids of the answer and the characters of each token, [answer, 2]."""
    read = tokenizer(statement.answer, add_special_tokens=False, return_offsets_mapping=True)
    return tuple(read.input_ids), np.asarray(read.offset_mapping, dtype=np.int64).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class InContext:
    """States of one context, [layer, token, d_model] each."""

    answer: np.ndarray
    """Unit states of the answer's tokens, fp16."""
    answer_norms: np.ndarray
    """[layer, answer]"""
    sections: np.ndarray
    section_norms: np.ndarray
    owner: np.ndarray
    """Passage of each section token."""


def read_in_context(network: Network, statement: Statement) -> list[InContext]:
    """States with the passages before question and answer."""
    ids, _ = answer_tokens(network.tokenizer, statement)
    texts = dict(enumerate(statement.passages))
    out = []
    limit = min(LIMIT, network.context)
    for read in make_contexts(
        Chat(network.tokenizer), texts, statement.question, ids, limit=limit, context=network.context
    ):
        made = network.kept(f"context\0{read.ids}", partial(_in_context, network, read))
        n = len(ids)
        out.append(
            InContext(
                made["units"][:, -n:],
                made["norms"][:, -n:],
                made["units"][:, :-n],
                made["norms"][:, :-n],
                read.owner[read.owner >= 0],
            )
        )
    return out


def _in_context(network: Network, read: Context) -> dict[str, np.ndarray]:
    keep = np.append(read.owner >= 0, np.ones(len(read.ids) - read.prompt, dtype=bool))
    return packed(network.states([read.ids])[:, 0, keep], norms=True)


def read_all(network: Network, statements: Sequence[Statement], *, contexts: bool) -> None:
    """Fill the cache; progress to stderr."""
    work: list[tuple[str, Callable[[], object]]] = [("control", partial(read_alone, network, control_texts()))]
    for question in dict.fromkeys(statement.question for statement in statements):
        work.append(("passages", partial(read_alone, network, passages_of(statements, question))))
    for statement in {(s.question, s.answer, s.passages): s for s in statements}.values():
        work.append(("answers", partial(read_answer, network, statement)))
        if contexts:
            work.append(("contexts", partial(read_in_context, network, statement)))
    for done, (what, read) in enumerate(work, 1):
        read()
        progress(f"{network.name} reads {what}", done, len(work))


def progress(what: str, done: int, total: int) -> None:
    """One line on stderr, written over."""
    print(f"\r{what}: {done} of {total}  ", end="\n" if done == total else "", file=sys.stderr, flush=True)


def passages_of(statements: Sequence[Statement], question: str) -> list[str]:
    """Every passage of a question, once."""
    own = [s.passages for s in statements if s.question == question]
    return list(dict.fromkeys(text for passages in own for text in passages))


def control_texts() -> list[str]:
    """Texts whose mean state centres the states of ``hidden``, as in the package."""
    return [section.full_text for section in demo.control().sections]


# ------------------------------------------------------------------------------------------- scores


def text_scores(statement: Statement) -> dict[str, list[np.ndarray]]:
    """Scores [passage] of mappers that know words alone, one array a span."""
    library = Library(Corpus.from_texts(statement.passages), Corpus((), ()))
    reading = Reading(library, np.arange(len(statement.passages)))
    found = {"bm25_answer": bm25_answer, "verbatim": verbatim}
    sentence = Answer("", statement.sentence, word_tokens(statement.sentence))
    places = np.array([(token.start, token.end) for token in sentence.tokens]).reshape(-1, 2) + statement.start
    out: dict[str, list[np.ndarray]] = {
        "random": [np.zeros(len(statement.passages)) for _ in statement.spans],
        "substring": [substring(statement, span) for span in statement.spans],
    }
    for name, score in found.items():
        got = score(sentence, reading)
        out[name] = [got.tokens[inside(places, span)].sum(0) for span in statement.spans]
        out[f"{name}_sentence"] = [got.whole for _ in statement.spans]
    return out


def substring(statement: Statement, span: Span) -> np.ndarray:
    """1 where the passage holds the span, case and punctuation aside."""
    said = f" {' '.join(words(statement.answer[span.start : span.end]))} "
    return np.array([float(said in f" {' '.join(words(text))} ") for text in statement.passages])


def word_tokens(text: str) -> tuple[Token, ...]:
    """One token a word."""
    return tuple(Token(i, match.group(), *match.span()) for i, match in enumerate(WORD.finditer(text)))


def inside(places: np.ndarray, span: Span) -> np.ndarray:
    """Which of the places [start, end) overlap the span; the nearest one where none does."""
    overlap = np.minimum(places[:, 1], span.end) - np.maximum(places[:, 0], span.start)
    return np.asarray(overlap > 0 if (overlap > 0).any() else overlap == overlap.max())


def embedding_scores(statements: Sequence[Statement], network: Network) -> list[dict[str, list[np.ndarray]]]:
    """Cosines [passage] of span and of sentence with each passage, one array a span, one dict a statement."""
    texts: dict[str, int] = {}
    for s in statements:
        for text in (*s.passages, s.sentence, *(s.answer[span.start : span.end] for span in s.spans)):
            texts.setdefault(text, len(texts))
    what = "embeddings\0" + "\0".join(texts)
    vectors = network.kept(what, lambda: {"vectors": embed(list(texts), embedder=load_embedder())})["vectors"]
    out = []
    for s in statements:
        passages = vectors[[texts[text] for text in s.passages]]
        sentence = passages @ vectors[texts[s.sentence]]
        spans = [passages @ vectors[texts[s.answer[span.start : span.end]]] for span in s.spans]
        out.append({"embedding": spans, "embedding_sentence": [sentence for _ in s.spans]})
    return out


def hidden_scores(network: Network, statements: Sequence[Statement], statement: Statement) -> np.ndarray:
    """Late interaction at each layer, span and sentence: [layer, span, 2, passage]."""
    what = f"hidden\0{statement}"
    return network.kept(what, partial(_hidden_scores, network, statements, statement))["scores"]


def _hidden_scores(network: Network, statements: Sequence[Statement], statement: Statement) -> dict[str, np.ndarray]:
    asked = passages_of(statements, statement.question)
    read = dict(zip(asked, read_alone(network, asked), strict=True))
    control = control_texts()
    library = Library(Corpus.from_texts(statement.passages), Corpus.from_texts(control))
    states = [*(read[text] for text in statement.passages), *read_alone(network, control)]
    answer, places = read_answer(network, statement), answer_tokens(network.tokenizer, statement)[1]
    tokens = tuple(Token(0, "x", int(start), int(end)) for start, end in places)
    out = np.zeros((len(network.layers), len(statement.spans), 2, len(statement.passages)), dtype=np.float32)
    for layer in range(len(network.layers)):
        captures = {i: _capture(one[layer]) for i, one in enumerate(states)}
        reading = Reading(library, np.arange(len(states)), captures)
        centre = reading.centre
        only = Reading(library, np.arange(len(statement.passages)), captures)
        only.__dict__["centre"] = centre
        got = hidden(Answer(statement.question, statement.answer, tokens, answer[layer]), only)
        out[layer] = _span_and_sentence(got, statement, places)
    return {"scores": out}


def _capture(states: np.ndarray) -> TextCapture:
    places = np.arange(len(states))
    return TextCapture(
        0.0, len(states) - 1, np.zeros(len(states)), np.ones(len(states), bool), states, places, places + 1
    )


def _span_and_sentence(got: MapperScores, statement: Statement, places: np.ndarray) -> np.ndarray:
    """Mean of the tokens' rows, [span, 2, passage]."""
    whole = Span(statement.start, statement.start + len(statement.sentence), 0)
    sentence = got.tokens[inside(places, whole)].mean(0)
    return np.stack([np.stack([got.tokens[inside(places, span)].mean(0), sentence]) for span in statement.spans])


class ContextScores(NamedTuple):
    """What the published method makes of one statement."""

    windows: np.ndarray
    """[layer, anchors, longest, span, 2, passage]; span, then sentence."""
    cosine: np.ndarray
    """Each answer token's best cosine with a section token, [layer, answer]."""


def context_scores(network: Network, statement: Statement) -> ContextScores:
    """The published method at every layer, with every number of anchors and longest window."""
    what = f"windows\0{ANCHORS}\0{LONGEST}\0{statement}"
    made = network.kept(what, lambda: _context_scores(network, statement)._asdict())
    return ContextScores(made["windows"], made["cosine"])


def _context_scores(network: Network, statement: Statement) -> ContextScores:
    read, places = read_in_context(network, statement), answer_tokens(network.tokenizer, statement)[1]
    whole = Span(statement.start, statement.start + len(statement.sentence), 0)
    shape = (len(network.layers), len(ANCHORS), len(LONGEST), len(statement.spans), 2, len(statement.passages))
    scores = np.full(shape, -1.0, dtype=np.float32)
    cosine = np.full((len(network.layers), len(places)), -1.0, dtype=np.float32)
    sentence = inside(places, whole)
    rows = [(inside(places, span), sentence) for span in statement.spans]
    for layer, one in product(range(len(network.layers)), read):
        answer = one.answer[layer].astype(np.float32) * one.answer_norms[layer][:, None]
        sections = one.sections[layer].astype(np.float32) * one.section_norms[layer][:, None]
        cosine[layer] = np.maximum(cosine[layer], (unit(answer) @ unit(sections).T).max(1))
        for (a, anchors), (w, longest) in product(enumerate(ANCHORS), enumerate(LONGEST)):
            windows = Windows(0.0, anchors, longest)
            of_sentence = best_windows(answer[sentence].mean(0), sections, one.owner, windows)
            for number, (span, _) in enumerate(rows):
                for part, (texts, found, _) in enumerate(
                    (best_windows(answer[span].mean(0), sections, one.owner, windows), of_sentence)
                ):
                    scores[layer, a, w, number, part, texts] = found
    return ContextScores(scores, cosine)


# ------------------------------------------------------------------------------------------- choice


@dataclass(frozen=True, eq=False)
class Item:
    """One span with every score that a choice may be made from."""

    question: str
    half: int
    right: np.ndarray
    """Which passages have the gold passage's text, [passage]."""
    fixed: Mapping[str, np.ndarray]
    """Scores that nothing is chosen for, [passage]."""
    hidden: np.ndarray
    """[layer, 2, passage]"""
    context: np.ndarray
    """[layer, anchors, longest, 2, passage]"""


@dataclass(frozen=True, eq=False)
class Copied:
    """Tokens of one sentence: which were copied, and their best cosines."""

    question: str
    half: int
    gold: np.ndarray
    """[token]"""
    cosine: np.ndarray
    """[layer, token]"""


def accuracy(scores: np.ndarray, right: np.ndarray) -> float:
    """1 where the best passage is right; passages of equal score share."""
    best = scores >= scores.max() - 1e-9 * max(1.0, abs(float(scores.max())))
    return float(right[best].mean())


def choose(items: Sequence[Item], copied: Sequence[Copied], layers: Sequence[int], n_layers: int) -> Choice:
    """Layers, threshold, windows and weights that do best on ``items``; the first of equals."""
    layer = _best([np.mean([accuracy(i.hidden[k, 0], i.right) for i in items]) for k in range(len(layers))])
    grid = list(product(range(len(layers)), range(len(ANCHORS)), range(len(LONGEST))))
    at, a, w = grid[_best([np.mean([accuracy(i.context[k][0], i.right) for i in items]) for k in grid])]
    found = Choice(
        depth=(layers[layer] + 1) / n_layers,
        context_depth=(layers[at] + 1) / n_layers,
        windows=Windows(best_threshold([(c.gold, c.cosine[at]) for c in copied]), ANCHORS[a], LONGEST[w]),
        weights=Weights({}, {}),
    )
    weights = fit([parts(item, found, layers, n_layers) for item in items], [item.right for item in items])
    return Choice(found.depth, found.context_depth, found.windows, weights)


def _best(values: Sequence[Any]) -> int:
    return int(np.argmax(np.round(np.asarray(values, dtype=np.float64), 9)))


def best_threshold(tokens: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """The cosine, to two decimals, from which counting a token as copied gives the best F1."""
    tried = np.round(np.arange(0.0, 1.0, 0.01), 2)
    return float(tried[_best([f1(tokens, threshold) for threshold in tried])])


def f1(tokens: Sequence[tuple[np.ndarray, np.ndarray]], threshold: float) -> float:
    """F1 of «cosine ≥ threshold» for copied tokens, over all tokens together; pairs of gold and cosine, [token]."""
    gold = np.concatenate([gold for gold, _ in tokens])
    said = np.concatenate([cosine for _, cosine in tokens]) >= threshold
    return float(2 * (gold & said).sum() / max(gold.sum() + said.sum(), 1))


def parts(
    item: Item, choice: Choice, layers: Sequence[int], n_layers: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Scores [passage] of each mixed mapper, of the span and of its sentence."""
    layer, context = layers.index(choice.layer(n_layers)), layers.index(choice.context_layer(n_layers))
    windows = ANCHORS.index(choice.windows.anchors), LONGEST.index(choice.windows.longest)
    late, read = item.hidden[layer], item.context[context][windows]
    span = {name: item.fixed[name] for name in MIXED if name in item.fixed}
    sentence = {name: item.fixed[f"{name}_sentence"] for name in span}
    return (
        {**span, "hidden": late[0], "hidden_context": read[0]},
        {**sentence, "hidden": late[1], "hidden_context": read[1]},
    )


def fit(
    scores: Sequence[tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]], right: Sequence[np.ndarray]
) -> Weights:
    """Weights ≥ 0 of a softmax over each item's passages that give the right ones most probability; ridge of 1."""
    from scipy.optimize import minimize

    keys = [(part, name) for part in (0, 1) for name in MIXED]
    features = [np.stack([standardised(one[part][name]) for part, name in keys], 1) for one in scores]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = float(RIDGE * weights @ weights), 2 * RIDGE * weights
        for x, gold in zip(features, right, strict=True):
            logits = x @ weights
            chance = np.exp(logits - logits.max())
            chance /= chance.sum()
            kept = max(float(chance[gold].sum()), 1e-12)
            total -= float(np.log(kept))
            slope = slope + x.T @ (chance - chance * gold / kept)
        return total, slope

    start = np.full(len(keys), 0.1)
    found = minimize(loss, start, jac=True, bounds=[(0, None)] * len(keys), method="L-BFGS-B").x
    both: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for (part, name), weight in zip(keys, found, strict=True):
        both[part][name] = round(float(weight), 3)
    return Weights(*both)


def collect(statements: Sequence[Statement], network: Network) -> tuple[list[Item], list[Copied]]:
    """Every span with its scores, and every sentence's tokens; what takes long is kept in the cache."""
    items, copied = [], []
    embedded = embedding_scores(statements, network)
    for done, (s, embeddings) in enumerate(zip(statements, embedded, strict=True), 1):
        if s.spans:
            fixed = {**text_scores(s), **embeddings}
            late, read = hidden_scores(network, statements, s), context_scores(network, s)
            for k, span in enumerate(s.spans):
                right = np.array([text == s.passages[span.gold] for text in s.passages])
                own = {name: scores[k] for name, scores in fixed.items()}
                items.append(Item(s.question, s.half, right, own, late[:, k], read.windows[:, :, :, k]))
            copied.append(_copied(network, s, read))
        progress("scores of statements", done, len(statements))
    return items, copied


def with_random(
    items: Sequence[Item], statements: Sequence[Statement], network: Network, choices: Mapping[int, Choice]
) -> list[Item]:
    """Items with the scores of ``hidden`` under random weights, at the layer chosen for their half."""
    layers = sorted({choice.layer(network.n_layers) for choice in choices.values()})
    random = randomised(network, layers)
    read_all(random, statements, contexts=False)
    scores: list[np.ndarray] = []
    for s in statements:
        if s.spans:
            layer = layers.index(choices[s.half].layer(network.n_layers))
            scores += list(hidden_scores(random, statements, s)[layer, :, 0])
    return [replace(item, fixed={**item.fixed, "hidden_random": own}) for item, own in zip(items, scores, strict=True)]


def _copied(network: Network, s: Statement, read: ContextScores) -> Copied:
    places = answer_tokens(network.tokenizer, s)[1]
    sentence = inside(places, Span(s.start, s.start + len(s.sentence), 0))
    gold = np.any([inside(places, span) for span in s.spans], axis=0)
    return Copied(s.question, s.half, gold[sentence], read.cosine[:, sentence])


def judge(item: Item, choice: Choice, layers: Sequence[int], n_layers: int) -> dict[str, float]:
    """Whether each mapper's best passage is right."""
    span, sentence = parts(item, choice, layers, n_layers)
    scores = {
        **item.fixed,
        "hidden": span["hidden"],
        "hidden_sentence": sentence["hidden"],
        "hidden_context": span["hidden_context"],
        "hidden_context_sentence": sentence["hidden_context"],
        "combined": combine(span, sentence, choice.weights),
    }
    return {name: accuracy(values, item.right) for name, values in scores.items()}


# ------------------------------------------------------------------------------------------- report


def interval(values: Sequence[tuple[str, float]], seed: int = 0) -> dict[str, float]:
    """Mean with a 95% bootstrap interval over whole questions."""
    by_question: dict[str, list[float]] = {}
    for question, value in values:
        by_question.setdefault(question, []).append(value)
    sums = np.array([(sum(own), len(own)) for own in by_question.values()])
    draws = np.random.default_rng(seed).integers(len(sums), size=(2000, len(sums)))
    means = sums[draws].sum(1)
    low, high = np.quantile(means[:, 0] / means[:, 1], (0.025, 0.975))
    mean = float(np.mean([value for _, value in values]))
    return {"accuracy": mean, "low": float(low), "high": float(high), "n": len(values)}


def results(
    items: Sequence[Item], copied: Sequence[Copied], choices: Mapping[int, Choice], layers: Sequence[int], n_layers: int
) -> tuple[dict[str, dict[str, float]], str]:
    """Figures by mapper, and what there is to say of copied tokens; each half by the choice that is given for it."""
    judged = [(item.question, judge(item, choices[item.half], layers, n_layers)) for item in items]
    figures = {name: interval([(question, values[name]) for question, values in judged]) for name in judged[0][1]}
    said = [
        (c.gold, (c.cosine[layers.index(choice.context_layer(n_layers))] >= choice.windows.threshold).astype(float))
        for c in copied
        for choice in [choices[c.half]]
    ]
    everything = [(gold, np.ones(len(gold))) for gold, _ in said]
    return figures, f"copied tokens: F1 {f1(said, 0.5):.3f}; every token {f1(everything, 0.5):.3f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 something of yours to mend."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="JSONL file with question, summary, chunk, passages")
    parser.add_argument("--split", choices=("cross", "calibration", "held-out", "all"), default="cross")
    parser.add_argument("--model", default=MODEL, help="base model: folder, hub id or bundled name")
    parser.add_argument("--layers", help=f"comma-separated layers to read and to choose from (default {LAYERS})")
    parser.add_argument("--cache", type=Path, help="folder where states and scores are kept")
    parser.add_argument("--write", action="store_true", help="choose on the calibration half and store the choice")
    parser.add_argument("--no-control", action="store_true", help="leave out hidden with random weights (20 minutes)")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    options = parser.parse_args(arguments)
    try:
        layers = [int(layer) for layer in options.layers.split(",")] if options.layers else None
        figures = evaluate(
            read_statements(options.path), options.split, options.model, layers, options.cache, options.write,
            control=not options.no_control,
        )  # fmt: skip
    except (AttribError, OSError, ValueError) as error:
        print(f"evaluate_verigran: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(figures))
    return 0


def evaluate(
    statements: Sequence[Statement],
    split: str,
    model: str,
    layers: Sequence[int] | None,
    cache: Path | None,
    write: bool,
    *,
    control: bool = True,
) -> dict[str, dict[str, float]]:
    """Read, choose where ``split`` says so, judge, print."""
    network = load(model, cache, layers)
    read_all(network, statements, contexts=True)
    items, copied = collect(statements, network)
    read, n_layers = list(network.layers), network.n_layers

    def chosen_on(half: int) -> Choice:
        own = [item for item in items if item.half == half]
        if not own:
            raise InputError("--split: one half has no spans, so nothing can be chosen on it; give more questions")
        return choose(own, [c for c in copied if c.half == half], read, n_layers)

    if write:
        store(chosen_on(CALIBRATION))
    if split == "cross":
        choices = {half: chosen_on(1 - half) for half in (0, 1)}
    else:
        choices = dict.fromkeys((0, 1), settings())
        if not {choices[0].layer(n_layers), choices[0].context_layer(n_layers)} <= set(read):
            raise InputError("--layers: the stored layers are not among them; add them")
    if control:
        items = with_random(items, statements, network, choices)
    kept = {"calibration": (CALIBRATION,), "held-out": (1 - CALIBRATION,)}.get(split, (0, 1))
    items = [item for item in items if item.half in kept]
    copied = [c for c in copied if c.half in kept]
    if not items:
        raise InputError(f"--split {split}: it has no spans; try --split all")
    figures, tokens = results(items, copied, choices, read, n_layers)
    for name, figure in figures.items():
        low, high = 100 * figure["low"], 100 * figure["high"]
        print(f"{name:24} {100 * figure['accuracy']:5.1f}  [{low:.1f}, {high:.1f}]  n = {figure['n']}")
    print(tokens)
    for half, choice in choices.items():
        print(f"half {half} scored with {json.dumps(asdict(choice))}")
    return figures


def store(choice: Choice) -> None:
    """Write the choice where the package reads it."""
    write_atomically(STORED, (json.dumps(asdict(choice), indent=2) + "\n").encode())
    settings.cache_clear()


if __name__ == "__main__":
    sys.exit(main())
