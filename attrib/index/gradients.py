"""Gradients of sections' items and of an answer at every checkpoint that tuning saved.

Not covered: how gradients are compared (``mapping.influence``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.files import digest, sha256
from attrib.index.encoder import content_digest, device_kind, item_key, key_of
from attrib.index.index import Index
from attrib.index.texts import encode_sections
from attrib.models.chat import Chat
from attrib.models.pair import Model, ModelPair
from attrib.models.prompt import Encoded
from attrib.models.rendering import IGNORED, EncodedItem, encode_item, fitting_item
from attrib.models.sources import ModelSource
from attrib.models.stored import weights_file
from attrib.options.explain import Form, GradientOptions, InfluenceOptions
from attrib.passes.gradients import GradientReader
from attrib.progress import Progress
from attrib.records import Item, Section
from attrib.store import arrays_in
from attrib.training.schedule import Schedule, checkpoint_folders, read_schedule
from attrib.training.trained import read_trained

SCHEMA = 1
"""Raised when what is kept of a text changes."""


@dataclass(frozen=True)
class Stage:
    """One state of the weights at which gradients are taken."""

    name: str
    kind: Literal["untuned", "checkpoint", "final"]
    folder: Path | None
    """The checkpoint's folder; None where the model as loaded is meant."""
    weight: float
    """Learning rate spent around it: the sum over the steps that are nearest to it."""
    target: Literal["logprob", "logodds"]
    """The answer's target; sections are always read by log p, which tuning raised."""


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

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Vector:
        """The inverse of ``arrays``."""
        return cls(np.asarray(arrays["direction"][0]), float(arrays["norm"][0]))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """``direction`` [1, gradient] float16 and ``norm`` [1] float32, as an index and the cache keep them."""
        return {"direction": self.direction[None], "norm": np.array([self.norm], dtype=np.float32)}


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
    found = checkpoint_folders(folder) if folder is not None else []
    if folder is None or not found:
        raise InputError(
            f"influence: {pair.tuned.name} has no checkpoints; make them of its run's saves with attrib import, "
            "tune it with attrib tune, or use -o influence.checkpoints=final, which is weaker"
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
    return model.folder is not None and bool(checkpoint_folders(model.folder))


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
    """What was trained for sections beside their own items: the questions that teach them.

    Everything is found by what a section says, in hex of ``content_digest``: equal sections have equal gradients.
    """

    items: Mapping[str, tuple[Item, ...]]
    """The questions of a section."""
    recorded: Mapping[str, Item] = field(default_factory=dict)
    """The section's own item, where another program's token ids of it were recorded."""

    @classmethod
    def of(cls, sections: Sequence[Section], items: Sequence[Item]) -> TrainedQuestions:
        """``items`` as ``read_trained`` gives them; those that teach none of the sections are left out."""
        key_of_section = {section.id: content_digest(section).hex() for section in sections}
        questions: dict[str, list[Item]] = {}
        recorded: dict[str, Item] = {}
        for item in items:
            if item.section not in key_of_section:
                continue
            key = key_of_section[item.section]
            if item.id != item.section and not item.is_text:
                questions.setdefault(key, []).append(item)
            elif item.ids:
                recorded[key] = item
        return cls({key: tuple(asked) for key, asked in questions.items()}, recorded)

    def encoded(self, chat: Chat, section: Section, context: int) -> list[EncodedItem]:
        """The section as it was learned, and its questions; InputError as ``fitting_item`` raises it."""
        key = content_digest(section).hex()
        own = self.recorded.get(key, section.item)
        return [fitting_item(chat, item, context) for item in (own, *self.items.get(key, ()))]


NO_QUESTIONS = TrainedQuestions({})


def trained_questions(pair: ModelPair, corpus: Corpus) -> TrainedQuestions:
    """The questions that taught each section, where the adapter says which they were."""
    folder = pair.tuned.folder
    if folder is None or not (folder / "trained.jsonl").is_file():
        return NO_QUESTIONS
    return TrainedQuestions.of(corpus.sections, read_trained(folder))


@dataclass(frozen=True, eq=False)
class GradientEncoder:
    """Sections → their gradients at one stage, one at a time: the numbers of one do not depend on the others."""

    pair: ModelPair
    stage: Stage
    options: GradientOptions
    trained: TrainedQuestions = NO_QUESTIONS
    rendering: str = ""
    """``rendering_of`` all sections that it is to encode."""

    @property
    def name(self) -> str:
        """Its part of an index."""
        return f"gradients-{self.stage.name}"

    @cached_property
    def settings(self) -> dict[str, object]:
        """Everything that changes the gradients of all sections."""
        # The final model is the last checkpoint.
        folder = self.pair.tuned.folder if self.stage.kind == "final" else self.stage.folder
        weights = weights_file(ModelSource(str(folder), str(folder))) if folder is not None else None
        return {
            "schema": SCHEMA,
            "base": self.pair.base.fingerprint,
            "tuned": self.pair.tuned.fingerprint,
            "untuned": self.stage.kind == "untuned",
            "weights": sha256(weights) if weights is not None else None,
            "variant": f"{device_kind(self.pair.device)}-{self.pair.dtype}-{self.pair.tokenizer_sha256}",
            "options": asdict(self.options),
        }

    @property
    def describe(self) -> dict[str, object]:
        """Everything that changes the numbers."""
        keys = (
            digest(json.dumps([key, self._trained_key(key)], sort_keys=True))
            for key in sorted({*self.trained.items, *self.trained.recorded})
        )
        rendering = {"rendering": self.rendering} if self.rendering else {}
        return {**self.settings, "trained_questions": digest("".join(keys)), **rendering}

    def _trained_key(self, key: str) -> list[object]:
        """Tokens of all that was recorded for a section and of its questions."""
        recorded = self.trained.recorded.get(key)
        asked = [encode_item(self.pair.chat, item) for item in self.trained.items.get(key, ())]
        return [
            *([["recorded", recorded.ids, recorded.labels]] if recorded is not None else []),
            *([one.ids, one.labels] for one in asked),
        ]

    def section_key(self, section: Section) -> list[object]:
        """The section's item with the questions that teach it."""
        own = item_key(self.pair.chat, section, self.pair.tuned.context)
        return [own, *self._trained_key(content_digest(section).hex())]

    @property
    def key(self) -> str:
        """Hash of ``describe``."""
        return key_of(self.describe)

    @cached_property
    def reader(self) -> GradientReader:
        """Reads the weights of the tuned side (base's, where there is no adapter and the stage is untuned)."""
        whole = self.pair.tuned.adapter is None and self.stage.kind == "untuned"
        return GradientReader.make(self.pair.base if whole else self.pair.tuned, self.options)

    def encode(self, sections: Sequence[Section]) -> list[dict[str, np.ndarray]]:
        """``direction`` and ``norm`` of each section; see ``Vector.arrays``."""
        with at_stage(self.pair, self.stage) as model:
            return [Vector.of(self._gradient(model, section)).arrays for section in sections]

    def _gradient(self, model: Model, section: Section) -> np.ndarray:
        """Gradient of log p, summed over the tokens that are learned from the section and its questions."""
        total = np.zeros(self.reader.size, dtype=np.float32)
        try:
            examples = self.trained.encoded(model.chat, section, model.context)
        except InputError as error:
            raise InputError(f"section {section.full_text[:40]!r}: {error}") from error
        for example in examples:
            learned = [i for i in range(1, len(example.ids)) if example.labels[i] != IGNORED]
            if learned:
                total += self.reader.read(example.ids, [learned])[0]
        return total


def read_gradients(
    pair: ModelPair,
    side: Literal["base", "tuned"],
    encoded: Encoded,
    sections: Mapping[int, Section],
    options: InfluenceOptions,
    *,
    trained: TrainedQuestions = NO_QUESTIONS,
    index: Index | None = None,
    cache: Path | None = None,
    whole: bool = False,
    progress: Progress | None = None,
) -> tuple[Gradients, ...]:
    """Gradients of the answer's tokens and of the sections at every stage of a side; see ``encode_sections``.

    ``whole``: the answer in one row, which costs as much as one token.
    """
    found = []
    chosen = stages(pair, side, options)
    for number, stage in enumerate(chosen):
        if progress is not None:
            progress(f"gradients, {side}", number, len(chosen))
        encoder = GradientEncoder(pair, stage, options.gradients, trained)
        # Small groups: each sets the weights once.
        arrays = encode_sections(
            encoder, sections, index=index, cache=cache / "gradients" if cache is not None else None, group=8,
            task=f"gradients of sections, {stage.name}", progress=progress,
        )  # fmt: skip
        vectors = {i: Vector.from_arrays(one) for i, one in arrays.items()}
        answer = _whole_answer(encoder, encoded, cache) if whole else _answer_tokens(encoder, encoded)
        found.append(
            Gradients(stage, answer, vectors, encoder.reader.slices, options.form, options.centred, options.threshold)
        )
    if progress is not None:
        progress(f"gradients, {side}", len(chosen), len(chosen))
    return tuple(found)


def _answer_tokens(encoder: GradientEncoder, encoded: Encoded) -> np.ndarray:
    """[answer, gradient]: one row a token."""
    first = len(encoded.prompt_ids)
    with at_stage(encoder.pair, encoder.stage):
        rows = [[first + i] for i in range(len(encoded.answer_ids))]
        return encoder.reader.read(encoded.ids, rows, encoder.stage.target)


def _whole_answer(encoder: GradientEncoder, encoded: Encoded, cache: Path | None) -> np.ndarray:
    """[1, gradient]: of all tokens together, kept in the cache folder; the same digits whether read back or not."""
    first, target = len(encoded.prompt_ids), encoder.stage.target

    def compute() -> dict[str, np.ndarray]:
        tokens = [first + i for i in range(len(encoded.answer_ids))]
        with at_stage(encoder.pair, encoder.stage):
            return Vector.of(encoder.reader.read(encoded.ids, [tokens], target)[0]).arrays

    store = arrays_in(cache / "gradients" if cache is not None else None, {"of": "an answer", **encoder.settings})
    vector = Vector.from_arrays(store.get_or_make([encoded.ids, first, target], compute))
    return stacked([vector], scaled=True)


def stacked(vectors: Sequence[Vector], *, scaled: bool) -> np.ndarray:
    """[text, gradient], float32: of length 1, or as long as they were."""
    if not vectors:
        return np.zeros((0, 0), dtype=np.float32)
    units = np.stack([v.direction for v in vectors]).astype(np.float32) / len(vectors[0].direction) ** 0.5
    norms = np.array([[v.norm] for v in vectors], dtype=np.float32)
    return np.asarray(units * norms if scaled else units)
