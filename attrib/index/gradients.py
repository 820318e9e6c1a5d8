"""Gradients of section texts and of an answer at every checkpoint that tuning saved.

Not covered: how gradients are compared (``mapping.influence``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from attrib.errors import InputError
from attrib.files import digest, sha256, write_atomically
from attrib.models.pair import Model, ModelPair
from attrib.models.prompt import Encoded
from attrib.options.explain import Form, GradientOptions, InfluenceOptions
from attrib.passes.gradients import GradientReader
from attrib.progress import Progress
from attrib.records import Section
from attrib.training.items import IGNORED, Item, TrainingExample, example_of, text_example
from attrib.training.schedule import Schedule, read_schedule

SCHEMA = 1
"""Raised when what is kept of a text changes."""


WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Stage:
    """One state of the weights at which gradients are taken."""

    name: str
    kind: Literal["untuned", "checkpoint", "final"]
    folder: Path | None
    """Of a checkpoint."""
    weight: float
    """Learning rate spent around it: the sum over the steps that are nearest to it."""
    target: Literal["logprob", "logodds"]
    """Of the answer; sections are always read by log p, which tuning raised."""


@dataclass(frozen=True, eq=False)
class Vector:
    """A gradient as it is kept: its direction times √length, so that half precision holds it, and its norm."""

    direction: Float[np.ndarray, " gradient"]
    norm: float

    @classmethod
    def of(cls, gradient: np.ndarray) -> Vector:
        """Shorten a gradient to float16."""
        norm = float(np.linalg.norm(gradient))
        return cls((gradient * (len(gradient) ** 0.5 / max(norm, 1e-30))).astype(np.float16), norm)


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients at one stage: of the answer's tokens and of texts."""

    stage: Stage
    answer: Float[np.ndarray, "answer gradient"]
    texts: Mapping[int, Vector]
    """By number of the text."""
    slices: tuple[slice, ...]
    """The layers' parts."""
    form: Form
    centred: bool = False
    threshold: float = 0.0


def stages(pair: ModelPair, side: Literal["base", "tuned"], options: InfluenceOptions) -> tuple[Stage, ...]:
    """The states of the weights that a side stands for: before tuning (base), or along it (tuned).

    Raises InputError where checkpoints are asked for and there are none.
    """
    folder = pair.tuned.folder
    # Adapters of other programs have checkpoints at best.
    schedule = read_schedule(folder) if folder is not None and (folder / "schedule.json").is_file() else None
    spent = sum(schedule.learning_rates) if schedule is not None else 1.0
    if side == "base":
        return (Stage("untuned", "untuned", None, spent, "logodds" if options.target == "logodds" else "logprob"),)
    if options.checkpoints == "final":
        return (Stage("final", "final", None, spent, "logprob" if options.target == "logprob" else "logodds"),)
    saved = (folder / "checkpoints").glob("[1-9]*") if folder is not None else ()
    found = sorted((file for file in saved if file.name.isdecimal()), key=lambda file: int(file.name))
    if folder is None or not found:
        raise InputError(
            f"influence: {pair.tuned.name} has no checkpoints; tune it with attrib tune, or use "
            "-o influence.checkpoints=final, which is weaker"
        )
    folders = [*found, folder]
    weights = _spent(schedule, len(folders))
    return tuple(
        Stage(
            f"checkpoint-{number}",
            "checkpoint",
            folder,
            weight,
            "logodds" if options.target == "logodds" else "logprob",
        )
        for number, (folder, weight) in enumerate(zip(folders, weights, strict=True), 1)
    )


def _spent(schedule: Schedule | None, checkpoints: int) -> list[float]:
    """Learning rate of the steps nearest to each checkpoint, summed; shares of equal size without a schedule."""
    if schedule is None:
        return [1 / checkpoints] * checkpoints
    if len(schedule.checkpoints) != checkpoints:
        raise InputError(
            f"influence: {checkpoints} checkpoints, but {len(schedule.checkpoints)} in schedule.json; tune again"
        )
    steps = np.arange(1, len(schedule.learning_rates) + 1)
    nearest = np.abs(steps[:, None] - np.array(schedule.checkpoints)).argmin(1)
    return [float(np.array(schedule.learning_rates)[nearest == i].sum()) for i in range(checkpoints)]


def has_checkpoints(model: Model) -> bool:
    """Whether tuning left states of the weights on the way."""
    return model.folder is not None and any((model.folder / "checkpoints").glob("[1-9]*"))


@contextmanager
def at_stage(pair: ModelPair, stage: Stage) -> Iterator[Model]:
    """The model whose weights are those of ``stage``."""
    if stage.kind == "final" or pair.tuned.adapter is None:
        yield pair.base if stage.kind == "untuned" else pair.tuned
    else:
        with pair.tuned.at_checkpoint(stage.folder):
            yield pair.tuned


@dataclass(frozen=True, eq=False)
class TrainedQuestions:
    """What tuning made of sections: their texts, and the questions that teach them."""

    items: Mapping[str, tuple[Item, ...]]
    """By text of the section: the questions that were trained for it."""

    @classmethod
    def of(cls, sections: Sequence[Section], items: Sequence[Item]) -> TrainedQuestions:
        """``items`` as ``read_trained`` gives them; those that are no question of one of the sections are left out."""
        text_of = {section.id: section.full_text for section in sections}
        found: dict[str, list[Item]] = {}
        for item in items:
            if item.question is not None and item.section in text_of:
                found.setdefault(text_of[item.section], []).append(item)
        return cls({text: tuple(asked) for text, asked in found.items()})

    def examples(self, tokenizer: Any, text: str, context: int) -> list[TrainingExample]:
        """The text as it was learned, and its questions."""
        return [
            text_example(tokenizer, text),
            *(example_of(tokenizer, item, context) for item in self.items.get(text, ())),
        ]


NOTHING = TrainedQuestions({})


@dataclass(frozen=True, eq=False)
class GradientEncoder:
    """Texts → their gradients at one stage, one text at a time: a text's numbers do not depend on the others."""

    pair: ModelPair
    stage: Stage
    options: GradientOptions
    taught: TrainedQuestions = NOTHING

    @property
    def name(self) -> str:
        """Of its part of an index."""
        return f"gradients-{self.stage.name}"

    @property
    def weights(self) -> dict[str, object]:
        """What decides a text's gradient beside what was trained on it."""
        # The final model is the last checkpoint.
        folder = self.pair.tuned.folder if self.stage.kind == "final" else self.stage.folder
        weights = folder / WEIGHTS if folder is not None else None
        return {
            "schema": SCHEMA,
            "base": self.pair.base.fingerprint,
            "tuned": self.pair.tuned.fingerprint,
            "untuned": self.stage.kind == "untuned",
            "weights": sha256(weights) if weights is not None else None,
            # Whichever GPU it is: processes that share an index have one each.
            "variant": f"{self.pair.device.split(':')[0]}-{self.pair.dtype}-{self.pair.tokenizer_sha256}",
            "options": asdict(self.options),
        }

    @property
    def describe(self) -> dict[str, object]:
        """Everything that changes the numbers."""
        return {**self.weights, "trained_questions": digest("".join(map(self.file, sorted(self.taught.items))))}

    def file(self, text: str) -> str:
        """A name for a text with the questions that teach it."""
        return digest(json.dumps([text, *(asdict(item) for item in self.taught.items.get(text, ()))], sort_keys=True))

    @property
    def key(self) -> str:
        """Hash of ``describe``."""
        return digest(json.dumps(self.describe, sort_keys=True))

    @cached_property
    def reader(self) -> GradientReader:
        """Of the weights that the pair's tuned side has (base's, where there is no adapter and nothing is tuned)."""
        whole = self.pair.tuned.adapter is None and self.stage.kind == "untuned"
        return GradientReader.make(self.pair.base if whole else self.pair.tuned, self.options)

    def encode(self, texts: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """``direction`` [1, gradient] float16 and ``norm`` [1] float32 of each text."""
        out = []
        with at_stage(self.pair, self.stage) as model:
            for text in texts:
                vector = Vector.of(self._gradient(model, text))
                out.append({"direction": vector.direction[None], "norm": np.array([vector.norm], dtype=np.float32)})
        return out

    def _gradient(self, model: Model, text: str) -> np.ndarray:
        """Of log p of every token that is learned from the text and its questions."""
        total = np.zeros(self.reader.size, dtype=np.float32)
        for example in self.taught.examples(model.tokenizer, text, model.context):
            if len(example.ids) > model.context:
                raise InputError(
                    f"section {text[:40]!r}: {len(example.ids):,} tokens, the model reads {model.context:,}; "
                    "cut sections with a smaller documents.max_tokens"
                )
            learned = [i for i in range(1, len(example.ids)) if example.labels[i] != IGNORED]
            if learned:
                total += self.reader.read(example.ids, [learned])[0]
        return total


def read_gradients(
    pair: ModelPair,
    side: Literal["base", "tuned"],
    encoded: Encoded,
    texts: Mapping[int, str],
    options: InfluenceOptions,
    *,
    taught: TrainedQuestions = NOTHING,
    stored: Callable[[str, int], Vector | None] = lambda part, number: None,
    cache: Path | None = None,
    whole: bool = False,
    progress: Progress | None = None,
) -> tuple[Gradients, ...]:
    """Gradients of the answer's tokens and of the texts at every stage of a side.

    ``whole``: the answer in one row, which costs as much as one token.

    A text's come from an index (``stored``, by part and number), from the cache folder, or are made now and kept there.
    """
    found = []
    chosen = stages(pair, side, options)
    for number, stage in enumerate(chosen):
        if progress is not None:
            progress(f"gradients, {side}", number, len(chosen))
        encoder = GradientEncoder(pair, stage, options.gradients, taught)
        vectors = _vectors(encoder, texts, stored, cache, progress)
        answer = _answer(encoder, encoded, whole, cache)
        found.append(
            Gradients(stage, answer, vectors, encoder.reader.slices, options.form, options.centred, options.threshold)
        )
    if progress is not None:
        progress(f"gradients, {side}", len(chosen), len(chosen))
    return tuple(found)


def _answer(encoder: GradientEncoder, encoded: Encoded, whole: bool, cache: Path | None) -> np.ndarray:
    """Of the answer's tokens, or of the answer in one row, which is kept in the cache folder."""
    prompt, target = len(encoded.prompt_ids), encoder.stage.target
    tokens = [prompt + i for i in range(len(encoded.answer_ids))]
    name = digest(json.dumps([encoder.weights, encoded.ids, prompt, target], sort_keys=True))
    file = cache / "gradients" / "answers" / f"{name}.safetensors" if whole and cache is not None else None
    stored = _load(file) if file is not None else None
    if stored is not None:
        return stacked([stored], scaled=True)
    with at_stage(encoder.pair, encoder.stage):
        rows = encoder.reader.read(encoded.ids, [tokens] if whole else [[token] for token in tokens], target)
    if file is not None:
        _keep(file, Vector.of(rows[0]))
        # The same digits whether read back or made now.
        return stacked([Vector.of(rows[0])], scaled=True)
    return rows


def _vectors(
    encoder: GradientEncoder,
    texts: Mapping[int, str],
    stored: Callable[[str, int], Vector | None],
    cache: Path | None,
    progress: Progress | None,
) -> dict[int, Vector]:
    """Of each text: from the index, from the cache folder, or made now and kept there."""
    weights = digest(json.dumps(encoder.weights, sort_keys=True))
    folder = cache / "gradients" / weights if cache is not None else None
    found: dict[int, Vector] = {}
    for number in texts:
        vector = stored(encoder.name, number)
        if vector is None and folder is not None:
            vector = _load(folder / f"{encoder.file(texts[number])}.safetensors")
        if vector is not None:
            found[number] = vector
    missing = [number for number in texts if number not in found]
    # Small groups: each sets the weights once, and an interrupted run keeps what it has read.
    for done in range(0, len(missing), 8):
        if progress is not None:
            progress(f"gradients of sections, {encoder.stage.name}", done, len(missing))
        group = missing[done : done + 8]
        for number, arrays in zip(group, encoder.encode([texts[i] for i in group]), strict=True):
            found[number] = Vector(arrays["direction"][0], float(arrays["norm"][0]))
            if folder is not None:
                _keep(folder / f"{encoder.file(texts[number])}.safetensors", found[number])
    if progress is not None and missing:
        progress(f"gradients of sections, {encoder.stage.name}", len(missing), len(missing))
    return found


def _keep(file: Path, vector: Vector) -> None:
    from safetensors.numpy import save

    norm = np.array([vector.norm], dtype=np.float32)
    write_atomically(file, save({"direction": vector.direction[None], "norm": norm}))


def _load(file: Path) -> Vector | None:
    """A stored gradient; None where it is absent or damaged (it is then made again)."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(file)
        return Vector(arrays["direction"][0], float(arrays["norm"][0]))
    except (OSError, SafetensorError, KeyError, IndexError):
        return None


def stacked(vectors: Sequence[Vector], *, scaled: bool) -> np.ndarray:
    """[text, gradient], float32: of length 1, or as long as they were."""
    if not vectors:
        return np.zeros((0, 0), dtype=np.float32)
    units = np.stack([v.direction for v in vectors]).astype(np.float32) / len(vectors[0].direction) ** 0.5
    norms = np.array([[v.norm] for v in vectors], dtype=np.float32)
    return np.asarray(units * norms if scaled else units)
