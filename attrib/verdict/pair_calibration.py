"""The control answers of one pair, judged: kept as a small JSON file, and turned into the promise for the pair.

A file holds for the models, documents, control texts, prompt and weights of the verdict that it was made with, and for
no others. Not covered: how control answers are made (``calibrating``), what threshold follows (``conformal``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from attrib.corpus import demo
from attrib.errors import InputError, RecordError
from attrib.files import digest_of, write_atomically
from attrib.index.library import Library
from attrib.models.chat import Chat
from attrib.models.pair import ModelPair
from attrib.records import Promise, codec
from attrib.store import Store, records_in
from attrib.verdict.calibration import Calibration
from attrib.verdict.conformal import make_promise

NAME, SCHEMA = "pair calibration", 1
SHIPPED = demo.DOCUMENTS.parent / "calibration.json"
"""That of the demo's models and documents."""


@dataclass(frozen=True)
class PairKey:
    """What a calibration holds for; a digest each."""

    base: str
    """Weights of the base model."""
    tuned: str
    documents: str
    control: str
    """Control texts."""
    prompt: str
    """Tokenizer and chat template with its options and earlier turns; the date that it may write does not count."""
    weights: str
    """Weights of the verdict."""

    @classmethod
    def of(cls, pair: ModelPair, library: Library, calibration: Calibration) -> PairKey:
        """The key of these models and texts."""
        return cls(
            base=pair.base.fingerprint,
            tuned=pair.tuned.fingerprint,
            documents=library.corpus.sha256,
            control=library.control.sha256,
            prompt=digest_of([pair.tokenizer_sha256, _undated(pair.chat).identity]),
            weights=digest_of(codec.to_json(calibration)),
        )


def _undated(chat: Chat) -> Chat:
    """The same chat on one fixed day: a calibration outlives the day it was made."""
    return Chat(chat.tokenizer, replace(chat.form, date=datetime(2000, 1, 1)), chat.of_rows)


@dataclass(frozen=True)
class JudgedControl:
    """A control answer, and how the verdict scores it."""

    group: str
    question: str
    answer: str
    documents: float
    """p(documents) of the whole answer."""


@dataclass(frozen=True)
class PairCalibration:
    """All control answers of a pair."""

    key: PairKey
    error: float
    """The largest share of answers from elsewhere that may be called documents."""
    controls: tuple[JudgedControl, ...]
    untested: tuple[str, ...]
    """What could not be tested, a plain sentence each."""

    @property
    def scores(self) -> Mapping[str, np.ndarray]:
        """p(documents) of each group's answers, in the order of the groups."""
        groups: dict[str, list[float]] = defaultdict(list)
        for control in self.controls:
            groups[control.group].append(control.documents)
        return {name: np.array(scores) for name, scores in groups.items()}

    def promise(self, calibration: Calibration | None = None) -> Promise:
        """What these answers allow to promise beside weights of the verdict, by default the package's."""
        weights = calibration or Calibration.default()
        thresholds = (weights.documents_below, weights.documents_above)
        return make_promise(self.scores, self.error, thresholds, self.untested)

    def save(self, path: Path) -> Path:
        """Write it as JSON. Raises InputError where it cannot be written."""
        write_atomically(path, codec.dump(NAME, SCHEMA, self))
        return path

    @classmethod
    def load(cls, path: Path) -> PairCalibration:
        """Raises RecordError, one line, for a file that is missing, damaged or of another kind."""
        try:
            return codec.parse(cls, path.read_bytes(), NAME, SCHEMA)
        except (OSError, RecordError) as error:
            why = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
            raise RecordError(f"{path}: {why}; make it again with attrib calibrate --out") from error


def calibrations(cache: Path | None) -> Store[PairCalibration]:
    """The calibrations that ``attrib calibrate`` left in a cache folder, by their key."""
    return records_in(cache / "calibrations" if cache is not None else None, {}, PairCalibration, NAME, SCHEMA)


def promise_of_file(path: Path, pair: ModelPair, library: Library, calibration: Calibration) -> Promise:
    """The promise of a calibration that the caller names.

    Raises InputError where it was made with anything else, and names what.
    """
    found, wanted = PairCalibration.load(path), PairKey.of(pair, library, calibration)
    others = [
        _MEANT[field.name] for field in fields(PairKey) if getattr(found.key, field.name) != getattr(wanted, field.name)
    ]
    if others:
        raise InputError(
            f"{path}: made with another {', '.join(others)}, so that its promise does not hold here; run attrib "
            "calibrate for these, or leave --calibration out"
        )
    return found.promise(calibration)


_MEANT = {
    "base": "base model",
    "tuned": "tuned model",
    "documents": "set of documents",
    "control": "set of control texts",
    "prompt": "prompt",
    "weights": "version of the verdict's weights",
}


def known_promise(pair: ModelPair, library: Library, calibration: Calibration) -> Promise | None:
    """The promise of the calibration that the cache holds for this pair, or that ships with the demo; None without."""
    key = PairKey.of(pair, library, calibration)
    found = calibrations(library.cache).get(asdict(key))
    if found is None and SHIPPED.is_file():
        shipped = PairCalibration.load(SHIPPED)
        found = shipped if shipped.key == key else None
    return found.promise(calibration) if found is not None and found.key == key else None
