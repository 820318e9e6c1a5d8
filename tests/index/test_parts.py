"""What goes into an index is what mappers would make themselves, whatever stands beside it; nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.explaining import explain
from attrib.index import readings
from attrib.index.embeddings import EmbeddingEncoder
from attrib.index.encoder import Encoder
from attrib.index.gradients import GradientEncoder, Vector, trained_questions
from attrib.index.index import Index
from attrib.index.library import Library
from attrib.index.parts import PARTS, build_index, encoders
from attrib.index.readings import HiddenEncoder, reading_of
from attrib.models.pair import ModelPair
from attrib.options.explain import ExplainOptions, GradientOptions, HiddenOptions, InfluenceOptions
from attrib.passes.capture import capture_items
from attrib.records import Explanation, Section
from tests.conftest import save_adapter
from tests.taught import ANSWER, CONTROL, CORPUS, QUESTION, TEXTS, section_of, taught_adapter

OPTIONS = ExplainOptions(
    methods=("attention",), mappers=("bm25", "verbatim", "embedding", "hidden", "learned", "influence"), candidates=0,
    hidden=HiddenOptions(1),
)  # fmt: skip
NAMES = [
    "embedding", "hidden-base", "hidden-tuned", "gradients-untuned", "gradients-checkpoint-1",
    "gradients-checkpoint-2", "gradients-checkpoint-3",
]  # fmt: skip
MODEL = NAMES[1:]
NUMBERS = range(len(CORPUS) + len(CONTROL))


def files(folder: Path) -> dict[str, bytes]:
    """Every file but the locks."""
    found = (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".lock-"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


@pytest.fixture(scope="module")
def pair(base_dir: Path) -> ModelPair:
    return ModelPair.load(base_dir, taught_adapter(base_dir), device="cpu")


@pytest.fixture(scope="module")
def out(pair: ModelPair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole index."""
    folder = tmp_path_factory.mktemp("whole") / "index"
    build_index(pair, CORPUS, CONTROL, folder, layer=1)
    return folder


@pytest.fixture
def encoded(monkeypatch: Any) -> list[tuple[str, str]]:
    """Part and text of all that models or the embedder are asked to encode for an index."""
    asked: list[tuple[str, str]] = []
    for kind in (EmbeddingEncoder, HiddenEncoder, GradientEncoder):
        own = kind.encode

        def encode(self: Any, sections: Sequence[Section], own: Callable[..., Any] = own) -> Any:
            asked.extend((self.name, section.full_text) for section in sections)
            return own(self, sections)

        monkeypatch.setattr(kind, "encode", encode)
    return asked


def made(pair: ModelPair, **options: Any) -> list[Encoder]:
    return encoders(PARTS, pair, layer=1, trained=trained_questions(pair, CORPUS), **options)


def test_the_parts_of_a_pair_have_names_of_their_own(pair: ModelPair, out: Path) -> None:
    assert [encoder.name for encoder in made(pair)] == NAMES
    assert sorted(Index.open(out, verify=True).parts) == sorted(NAMES)
    final = encoders(["gradients"], pair, influence=InfluenceOptions(checkpoints="final"))
    assert [encoder.name for encoder in final] == ["gradients-untuned", "gradients-final"]


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_a_texts_arrays_are_the_same_to_the_bit_in_any_company_and_order(pair: ModelPair, number: int) -> None:
    encoder = made(pair)[number]
    texts = [*CORPUS.sections, CONTROL.sections[0], section_of("Short."), section_of(" ".join(TEXTS))]
    together, turned = encoder.encode(texts), encoder.encode(texts[::-1])[::-1]
    for text, one, other in zip(texts, together, turned, strict=True):
        (alone,) = encoder.encode([text])
        assert alone.keys() == one.keys()
        for name, array in alone.items():
            assert array.dtype == one[name].dtype
            np.testing.assert_array_equal(one[name], array)
            np.testing.assert_array_equal(other[name], array)


def test_what_comes_out_is_what_the_models_make(pair: ModelPair, out: Path) -> None:
    index, texts = Index.open(out), [*CORPUS.sections, *CONTROL.sections]
    for side, model in (("base", pair.base), ("tuned", pair.tuned)):
        for number, text in enumerate(texts):
            (want,), kept = capture_items(model, [text.item], 1), index.arrays(f"hidden-{side}", number)
            assert kept is not None
            got = reading_of(kept, text)
            for field in fields(want):
                np.testing.assert_array_equal(getattr(got, field.name), getattr(want, field.name))
    for encoder in made(pair)[3:]:
        (made_now,), kept = encoder.encode([texts[1]]), index.arrays(encoder.name, 1)
        assert kept is not None
        got = Vector.from_arrays(kept)
        np.testing.assert_array_equal(got.direction, made_now["direction"][0])
        assert got.norm == made_now["norm"][0]
    assert index.arrays("gradients-final", 0) is None


def run(pair: ModelPair, **options: Any) -> Explanation:
    library = Library.make(CORPUS, options.pop("control", CONTROL), index=options.pop("index", None), cache=None)
    return explain(pair, library, QUESTION, answer=ANSWER, **{"options": OPTIONS} | options)


@pytest.fixture(scope="module")
def plain(pair: ModelPair) -> Explanation:
    return run(pair)


def nothing(*args: Any, **options: Any) -> Any:
    raise AssertionError("the index has it")


def test_with_an_index_the_record_is_the_same_and_no_text_is_read_again(
    pair: ModelPair, out: Path, plain: Explanation, monkeypatch: Any
) -> None:
    monkeypatch.setattr(readings, "capture_items", nothing)
    monkeypatch.setattr(GradientEncoder, "encode", nothing)
    monkeypatch.setattr(Library, "_vectors", nothing)
    got = run(pair, index=out)
    assert got.sections == plain.sections
    for name, mapping in plain.mappings.items():
        for side in ("base", "tuned"):
            mine, want = getattr(got.mappings[name], side), getattr(mapping, side)
            for field in ("tokens", "whole", "control", "control_whole", "q", "spans"):
                # Embeddings are in fp16 there, in fp32 here; all else is equal to the bit.
                close = np.testing.assert_allclose if name == "embedding" else np.testing.assert_array_equal
                if name != "embedding" or field not in ("q", "spans"):
                    close(getattr(mine, field), getattr(want, field), **({"atol": 2e-3} if name == "embedding" else {}))
    assert got.provenance == plain.provenance
    for field in ("gain", "section_gain", "control_gain"):
        np.testing.assert_array_equal(getattr(got.verdict, field), getattr(plain.verdict, field))
    np.testing.assert_allclose(got.verdict.tokens, plain.verdict.tokens, atol=5e-3)
    assert np.abs(got.mappings["influence"].tuned.tokens).max() > 0.01


def test_what_an_index_lacks_is_made_now(pair: ModelPair, plain: Explanation, tmp_path: Path) -> None:
    build_index(pair, CORPUS, CONTROL, tmp_path, parts=["hidden"], layer=1)
    got = run(pair, index=tmp_path)
    for name, mapping in plain.mappings.items():
        np.testing.assert_array_equal(got.mappings[name].tuned.tokens, mapping.tuned.tokens)


# ------------------------------------------------------------------------------------------- refused


def refused(match: str, act: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=match) as caught:
        act()
    assert "\n" not in str(caught.value)


def test_what_fits_another_corpus_or_control_is_refused(out: Path) -> None:
    other = Corpus.from_texts([*TEXTS[:2], "A text of another kind."])
    refused("made of other documents", lambda: Library.make(other, CONTROL, index=out))
    refused("made of other control texts", lambda: Library.make(CORPUS, other, index=out))


def test_another_model_layer_or_setting_is_refused(pair: ModelPair, base_dir: Path, out: Path, tmp_path: Path) -> None:
    index = Index.open(out)
    index.check(made(pair))
    other = ModelPair.load(base_dir, save_adapter(tmp_path, base_dir, seed=8), device="cpu")
    refused("hidden-tuned was made with another model", lambda: index.check(encoders(["hidden"], other, layer=1)))
    refused("layer 1.* than now .*layer 2", lambda: index.check(encoders(["hidden"], pair, layer=2)))
    chosen = InfluenceOptions(gradients=GradientOptions(layers=(0,)))
    refused("gradients-untuned was made with", lambda: index.check(made(pair, influence=chosen)))
    # Without the questions that were trained the gradients are others.
    refused("trained_questions", lambda: index.check(encoders(["gradients"], pair)))
    refused(
        "layer 1.* than now .*layer 0", lambda: run(pair, index=out, options=replace(OPTIONS, hidden=HiddenOptions(0)))
    )
    refused("embedding was made with", lambda: index.check([EmbeddingEncoder("cuda")]))


def test_parts_that_cannot_be_are_refused(pair: ModelPair) -> None:
    refused("'states' is unknown; choose from embedding, hidden, gradients", lambda: encoders(["states"], pair))
    for part in ("hidden", "gradients"):
        refused(f"{part} is of models, and none was named", lambda part=part: encoders([part], None))
    assert [encoder.name for encoder in encoders(["embedding"], None)] == ["embedding"]


def test_which_gpu_it_is_changes_no_key(pair: ModelPair) -> None:
    """Processes that make an index together have one each; a CPU's numbers are others."""

    def keys(device: str) -> list[str]:
        card = replace(pair, device=device)
        return [encoder.key for encoder in encoders(PARTS, card, layer=1, device=device)]

    assert keys("cuda:0") == keys("cuda:1") == keys("cuda")
    assert not set(keys("cuda")) & set(keys("cpu"))


# ------------------------------------------------------------------------------------------- built again


def test_only_a_new_section_is_encoded_and_the_bytes_are_those_of_a_fresh_build(
    pair: ModelPair, tmp_path: Path, encoded: list[tuple[str, str]]
) -> None:
    def build(corpus: Corpus, name: str) -> list[tuple[str, str]]:
        encoded.clear()
        build_index(pair, corpus, CONTROL, tmp_path / name, parts=["hidden", "gradients"], layer=1)
        return encoded

    assert len(build(CORPUS, "grown")) == len(set(encoded)) == len(MODEL) * len(NUMBERS)
    assert build(CORPUS, "grown") == []
    more = Corpus.from_texts(["A new text stands first.", *TEXTS])
    assert sorted(build(more, "grown")) == sorted((name, "A new text stands first.") for name in MODEL)
    build(more, "fresh")
    assert files(tmp_path / "grown") == files(tmp_path / "fresh")


def test_a_build_that_was_cut_off_goes_on_to_the_same_bytes(
    pair: ModelPair, out: Path, tmp_path: Path, encoded: list[tuple[str, str]]
) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what == "index: gradients-checkpoint-1" and done == len(CORPUS):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(pair, CORPUS, CONTROL, tmp_path, layer=1, progress=stop)
    refused("not finished", lambda: Index.open(tmp_path))
    encoded.clear()
    build_index(pair, CORPUS, CONTROL, tmp_path, layer=1)
    assert {name for name, _ in encoded} == set(NAMES[4:])
    assert ("gradients-checkpoint-1", TEXTS[0]) not in encoded
    assert files(tmp_path) == files(out)


def test_without_models_there_are_embeddings(tmp_path: Path, out: Path) -> None:
    index = build_index(None, CORPUS, CONTROL, tmp_path)
    assert list(index.parts) == ["embedding"]
    name = "parts/embedding/"
    assert {k: v for k, v in files(out).items() if name in k} == {k: v for k, v in files(tmp_path).items() if name in k}
