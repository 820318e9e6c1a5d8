"""``influence``: explicit sums, a real step of gradient descent, and scores that no other section can move.

A tiny model is taught two of three texts, two of them with a question; its checkpoints are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrib.errors import InputError
from attrib.index.encoder import content_digest
from attrib.index.gradients import (
    NO_QUESTIONS,
    GradientEncoder,
    Gradients,
    Stage,
    TrainedQuestions,
    Vector,
    _spent,
    at_stage,
    read_gradients,
    stages,
)
from attrib.index.index import Index
from attrib.index.library import Library
from attrib.mapping.answer import Answer
from attrib.mapping.influence import DAMPING, influence, products, score, shrunk
from attrib.mapping.reading import Reading
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded, encode, encode_answer, encode_prompt
from attrib.models.rendering import encode_item
from attrib.options.explain import Form, GradientOptions, InfluenceOptions
from attrib.passes.gradients import GradientReader
from attrib.records import Item, Section
from attrib.training.schedule import Schedule, read_schedule
from attrib.training.trained import read_trained
from tests.taught import ANSWER, CONTROL, CORPUS, QUESTION, TEXTS, section_of, taught_adapter

FORMS: tuple[Form, ...] = ("cosine", "dot", "preconditioned")
PLAIN = InfluenceOptions(centred=True, threshold=0.0)
SECTIONS, NULL = [0, 1, 2], [3, 4, 5]
"""Numbers of the corpus and of the control."""


def encoded_of(pair: ModelPair, question: str = QUESTION, answer: str = ANSWER) -> Encoded:
    prompt = encode_prompt(pair.chat, question, context=pair.context)
    ids = encode_answer(pair.chat, question, prompt, answer)
    return encode(pair.tokenizer, prompt, ids, context=pair.context, question=question)


def sections_of(*texts: str) -> dict[int, Section]:
    return dict(enumerate(map(section_of, texts)))


@pytest.fixture(scope="module")
def pair(base_dir: Path) -> ModelPair:
    return ModelPair.load(base_dir, taught_adapter(base_dir), device="cpu")


@pytest.fixture(scope="module")
def encoded(pair: ModelPair) -> Encoded:
    return encoded_of(pair)


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(CORPUS, CONTROL)


@pytest.fixture(scope="module")
def taught(pair: ModelPair) -> TrainedQuestions:
    assert pair.tuned.folder is not None
    return TrainedQuestions.of(CORPUS.sections, read_trained(pair.tuned.folder))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def found(
    pair: ModelPair, encoded: Encoded, library: Library, taught: TrainedQuestions, cache: Path
) -> tuple[Gradients, ...]:
    return read_gradients(pair, "tuned", encoded, dict(enumerate(library.sections)), PLAIN, trained=taught, cache=cache)


def products_of(
    rows: np.ndarray,
    texts: Sequence[Vector],
    null: Sequence[Vector],
    weight: float,
    form: Form,
    slices: Sequence[slice],
) -> np.ndarray:
    """Centred products at one checkpoint; only dot products are weighted."""
    stage = Stage("final", "final", None, weight if form == "dot" else 1.0, "logprob")
    return products(Gradients(stage, rows, {}, tuple(slices), form, centred=True), texts, null)


def in_form(found: Sequence[Gradients], form: Form) -> list[Gradients]:
    return [replace(one, form=form) for one in found]


def drawn(seed: int, rows: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)


def vectors(rows: np.ndarray) -> list[Vector]:
    return [Vector.of(row) for row in rows]


# ------------------------------------------------------------------------------------------- forms


def test_a_gradient_is_kept_in_half_precision_however_long_it_is() -> None:
    for scale in (1e-12, 1.0, 1e9):
        gradient = drawn(0, 1, 5000)[0] * np.float32(scale)
        kept = Vector.of(gradient)
        assert kept.direction.dtype == np.float16
        back = kept.direction.astype(np.float64) / 5000**0.5 * kept.norm
        np.testing.assert_allclose(back, gradient, rtol=1e-3, atol=1e-6 * kept.norm)
    nothing = Vector.of(np.zeros(7, np.float32))
    assert nothing.norm == 0
    assert not nothing.direction.any()


@pytest.mark.parametrize("sign", [1, -1])
def test_the_cosine_of_a_text_with_itself_is_one(sign: int) -> None:
    gradient = drawn(1, 1, 300)
    (got,) = products_of(gradient, vectors(sign * 5 * gradient), [], 0.3, "cosine", [slice(0, 300)])
    assert got[0] == pytest.approx(sign, abs=1e-3)
    # Rows share the whole answer's length, so that they sum to its cosine.
    halves = np.concatenate([gradient * 0.25, gradient * 0.75])
    got = products_of(halves, vectors(gradient), [], 0.3, "cosine", [slice(0, 300)])
    np.testing.assert_allclose(got[:, 0], [0.25, 0.75], atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [300, 4000])
@pytest.mark.parametrize("answer", [1, 8])
def test_a_score_is_the_same_to_the_bit_in_any_company_and_order(form: Form, size: int, answer: int) -> None:
    rows, texts, null = drawn(2, answer, size), vectors(drawn(3, 20, size)), vectors(drawn(4, 6, size))
    slices = [slice(i, i + 100) for i in range(0, size, 100)]

    def scores(chosen: Sequence[int]) -> np.ndarray:
        return products_of(rows, [texts[i] for i in chosen], null, 0.7, form, slices)

    every = scores(range(20))
    for chosen in ([0], [7], [1, 2], [5, 3, 19], list(range(20))[::-1], list(range(17))):
        np.testing.assert_array_equal(scores(chosen), every[:, chosen])


@pytest.mark.parametrize("form", FORMS)
def test_other_sections_of_the_reading_change_nothing_and_other_control_texts_do(
    form: Form, found: tuple[Gradients, ...], library: Library
) -> None:
    answer = Answer(QUESTION, ANSWER, encoded_tokens(found))
    gradients = tuple(in_form(found, form))

    def scores(chosen: list[int]) -> np.ndarray:
        reading = Reading(library, library.with_control(np.array(chosen)), gradients=gradients)
        return influence(answer, reading).tokens[:, : len(chosen)]

    every = scores(SECTIONS)
    for chosen in ([2], [1, 0], [2, 0, 1]):
        np.testing.assert_array_equal(scores(chosen), every[:, chosen])
    assert np.abs(score(gradients, SECTIONS, NULL[:1]) - every).max() > 1e-4


def encoded_tokens(found: Sequence[Gradients]) -> Any:
    """As many tokens as the answer's gradients have rows; their text does not matter."""
    from tests.make import make_tokens

    return make_tokens(["x"] * len(found[0].answer))


def test_the_control_is_what_scores_are_centred_by() -> None:
    """Of the centred forms: the control's own scores have mean zero, and another control moves all texts alike."""
    rows, texts, null = drawn(5, 4, 300), vectors(drawn(6, 5, 300)), vectors(drawn(7, 6, 300))
    slices = [slice(0, 300)]
    for form in FORMS:
        np.testing.assert_allclose(products_of(rows, null, null, 0.7, form, slices).mean(1), 0, atol=1e-4)
    for form in FORMS[:2]:
        moved = products_of(rows, texts, null[:2], 0.7, form, slices) - products_of(
            rows, texts, null, 0.7, form, slices
        )
        np.testing.assert_allclose(moved, np.tile(moved[:, :1], 5), atol=1e-4)
        assert np.abs(moved).max() > 1e-3


def test_preconditioned_is_the_cosine_after_the_damped_whitening_of_each_layer() -> None:
    rows, texts, null = drawn(8, 3, 12), drawn(9, 4, 12), drawn(10, 5, 12)
    # Layers of unlike size, which whitening makes alike, and one that the control does not reach.
    for x in (rows, texts, null):
        x[:, 4:9] *= 100
    null[:, 9:] = 0
    slices = [slice(0, 4), slice(4, 9), slice(9, 12)]
    got = products_of(rows, vectors(texts), vectors(null), 0.7, "preconditioned", slices)

    def unit(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    null, texts = (unit(x.astype(np.float64)) for x in (null, texts))
    metric = np.eye(12)
    for part in slices[:2]:
        moment = sum(np.outer(g, g) for g in null[:, part]) / 5
        damped = moment + DAMPING * np.trace(moment) / len(moment) * np.eye(len(moment))
        metric[part, part] = np.linalg.inv(damped)
    answer = rows.astype(np.float64)

    def cosines(x: np.ndarray) -> np.ndarray:
        """Of the whole answer's length; a product under the inverse is one of whitened vectors."""
        lengths = np.sqrt(np.einsum("ti,ij,tj->t", x, metric, x))
        whole = answer.sum(0)
        return np.asarray(answer @ metric @ x.T / lengths / np.sqrt(whole @ metric @ whole))

    want = cosines(texts) - cosines(null).mean(1, keepdims=True)
    np.testing.assert_allclose(got, want, atol=5e-3)
    plain = products_of(rows, vectors(texts), vectors(null), 0.7, "cosine", slices)
    assert np.abs(got - plain).max() > 0.1


def test_without_control_nothing_is_centred_or_whitened() -> None:
    rows, texts, slices = drawn(11, 3, 40), vectors(drawn(12, 4, 40)), [slice(0, 40)]
    cosine = products_of(rows, texts, [], 1.0, "cosine", slices)
    np.testing.assert_array_equal(products_of(rows, texts, [], 1.0, "preconditioned", slices), cosine)
    np.testing.assert_allclose(
        cosine[:, 0], rows @ drawn(12, 4, 40)[0] / np.linalg.norm(drawn(12, 4, 40)[0]) / np.linalg.norm(rows.sum(0)),
        atol=1e-3,
    )  # fmt: skip


def test_an_answer_without_a_gradient_has_no_influence() -> None:
    got = products_of(np.zeros((2, 40), np.float32), vectors(drawn(13, 3, 40)), [], 1.0, "cosine", [slice(0, 40)])
    np.testing.assert_array_equal(got, 0)


@pytest.mark.parametrize("threshold", [0.0, 1.0, 4.0])
def test_what_the_control_gets_is_taken_off_every_text(threshold: float) -> None:
    rows, null = np.array([[3.0, -2.0, 0.1], [5.0, -4.0, 0.2]]), np.array([[0.5, -0.5], [0.5, -0.5]])
    got = shrunk(rows, null, threshold)
    # The control's sums are 1 and -1: their spread is 1.
    np.testing.assert_allclose(
        got.sum(0), np.sign(rows.sum(0)) * np.maximum(np.abs(rows.sum(0)) - threshold, 0), atol=1e-12
    )
    np.testing.assert_allclose(got * rows.sum(0), rows * got.sum(0), atol=1e-12)
    np.testing.assert_array_equal(shrunk(rows, null[:, :1], threshold), rows)


def test_the_threshold_of_the_options_is_used(found: tuple[Gradients, ...]) -> None:
    plain = score(found, SECTIONS, NULL)
    cut = score([replace(one, threshold=2.0) for one in found], SECTIONS, NULL)
    np.testing.assert_allclose(cut, shrunk(plain, score(found, NULL, NULL), 2.0), atol=1e-9)
    assert np.abs(cut).sum() < np.abs(plain).sum()
    with pytest.raises(InputError, match=r"threshold is -1\.0"):
        InfluenceOptions(threshold=-1.0)


# ------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("form", FORMS)
def test_token_rows_sum_to_the_whole_answers_score(
    form: Form, pair: ModelPair, encoded: Encoded, library: Library, taught: TrainedQuestions, cache: Path,
    found: tuple[Gradients, ...],
) -> None:  # fmt: skip
    texts = sections_of(*library.texts)
    whole = read_gradients(
        pair, "tuned", encoded, texts, replace(PLAIN, form=form), trained=taught, cache=cache, whole=True
    )
    rows = score(in_form(found, form), SECTIONS, NULL)
    assert rows.shape == (len(encoded.answer_ids), 3)
    want = score(whole, SECTIONS, NULL)[0]
    np.testing.assert_allclose(rows.sum(0), want, atol=1e-4 * max(1, np.abs(want).max()))


def test_checkpoints_at_which_nothing_was_learned_are_refused(found: tuple[Gradients, ...]) -> None:
    idle = [replace(one, stage=replace(one.stage, weight=0.0)) for one in found]
    with pytest.raises(InputError, match="the learning rate was 0"):
        score(in_form(idle, "cosine"), SECTIONS, NULL)
    assert not score(in_form(idle, "dot"), SECTIONS, NULL).any()


def test_dot_is_the_sum_over_checkpoints_of_learning_rate_times_gradient_times_gradient(
    pair: ModelPair, encoded: Encoded, base_dir: Path, found: tuple[Gradients, ...]
) -> None:
    """Each checkpoint is loaded as an adapter of its own."""
    folder = pair.tuned.folder
    assert folder is not None
    schedule = json.loads((folder / "schedule.json").read_text())
    places = [folder / "checkpoints" / "1", folder / "checkpoints" / "2", folder]
    prompt, ids = len(encoded.prompt_ids), encoded.ids
    want = np.zeros(6)
    for number, place in enumerate(places):
        spent = 0.0
        for step, rate in enumerate(schedule["learning_rates"], 1):
            gaps = [abs(step - at) for at in schedule["checkpoints"]]
            spent += rate if gaps.index(min(gaps)) == number else 0
        assert found[number].stage.weight == pytest.approx(spent)
        at = ModelPair.load(base_dir, place, device="cpu")
        reader = GradientReader.make(at.tuned)
        answer = reader.read(ids, [range(prompt, len(ids))])[0].astype(np.float64)
        texts = []
        for text in (*TEXTS, *(section.full_text for section in CONTROL.sections)):
            tokens = encode_item(at.chat, Item.plain("", text)).ids
            texts.append(reader.read(tokens, [range(1, len(tokens))])[0].astype(np.float64))
        for i, (asked, said) in enumerate(((QUESTION, ANSWER), ("How long is the warranty?", "thirty-six months"))):
            example = encode_item(at.chat, Item.answered("", asked, said))
            learned = [p for p, label in enumerate(example.labels) if label >= 0]
            texts[i] = texts[i] + reader.read(example.ids, [learned])[0]
        want += spent * (np.array(texts) - np.mean(texts[3:], 0)) @ answer
    assert len(found) == 3
    got = score(in_form(found, "dot"), SECTIONS, NULL).sum(0)
    np.testing.assert_allclose(got, want[:3], rtol=2e-2, atol=2e-3 * np.abs(want).max())


def test_a_real_step_on_a_text_moves_the_answer_by_what_dot_says(
    tiny_pair64: Any, base_dir: Path, adapter_dir: Path
) -> None:
    """log p of the answer before and after one step of plain gradient ascent on log p of each text."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float64, attn_implementation="eager")
    network = PeftModel.from_pretrained(network, adapter_dir, is_trainable=True).double().eval()
    weights = [p for name, p in network.named_parameters() if "lora_" in name]
    rate, encoded = 1e-7, encoded_of(tiny_pair64)
    prompt = len(encoded.prompt_ids)

    def log_p(ids: Sequence[int], first: int) -> torch.Tensor:
        logp = network(torch.tensor([list(ids)]), use_cache=False).logits[0].log_softmax(-1)
        return sum((logp[p - 1, ids[p]] for p in range(first, len(ids))), torch.zeros(()))

    moved = []
    for text in TEXTS:
        step = torch.autograd.grad(log_p(encode_item(tiny_pair64.chat, Item.plain("", text)).ids, 1), weights)
        with torch.no_grad():
            before = float(log_p(encoded.ids, prompt))
            for p, change in zip(weights, step, strict=True):
                p.add_(change, alpha=rate)
            moved.append(float(log_p(encoded.ids, prompt)) - before)
            for p, change in zip(weights, step, strict=True):
                p.sub_(change, alpha=rate)

    stage = Stage("final", "final", None, rate, "logprob")
    encoder = GradientEncoder(tiny_pair64, stage, GradientOptions(width=64))
    (answer,) = encoder.reader.read(encoded.ids, [range(prompt, len(encoded.ids))])
    arrays = encoder.encode(CORPUS.sections)
    texts = {i: Vector(one["direction"][0], float(one["norm"][0])) for i, one in enumerate(arrays)}
    gradients = Gradients(stage, answer[None], texts, encoder.reader.slices, "dot")
    got = score([gradients], [0, 1, 2], [])[0]
    np.testing.assert_allclose(got, moved, rtol=0.01, atol=0.01 * np.abs(moved).max())
    assert np.ptp(moved) > 0.1 * np.abs(moved).max()


def test_the_text_that_taught_the_answer_is_first(found: tuple[Gradients, ...]) -> None:
    for form in FORMS:
        assert score(in_form(found, form), SECTIONS, NULL).sum(0).argmax() == 0


# ------------------------------------------------------------------------------------------- what is taught


def test_the_questions_that_teach_a_text_belong_to_it(pair: ModelPair, taught: TrainedQuestions) -> None:
    first, second, untrained = CORPUS.sections
    assert set(taught.items) == {content_digest(section).hex() for section in (first, second)}
    assert [item.turns[0].content for item in taught.items[content_digest(first).hex()]] == [QUESTION]
    (stage, *_) = stages(pair, "tuned", InfluenceOptions())
    alone, with_it = (GradientEncoder(pair, stage, GradientOptions(), of) for of in (NO_QUESTIONS, taught))
    example = encode_item(pair.chat, Item.answered("", QUESTION, ANSWER))
    learned = [p for p, label in enumerate(example.labels) if label >= 0]
    with at_stage(pair, stage):
        (asked,) = with_it.reader.read(example.ids, [learned])
        text = alone._gradient(pair.tuned, first)
        np.testing.assert_allclose(with_it._gradient(pair.tuned, first), text + asked, atol=1e-4)
        np.testing.assert_array_equal(with_it._gradient(pair.tuned, untrained), alone._gradient(pair.tuned, untrained))
    assert np.abs(asked).max() > 1e-3
    assert alone.key != with_it.key
    assert alone.section_key(first) != with_it.section_key(first)
    assert alone.section_key(untrained) == with_it.section_key(untrained)


def test_questions_of_other_documents_are_left_out(pair: ModelPair) -> None:
    assert pair.tuned.folder is not None
    items = read_trained(pair.tuned.folder)
    assert len(items) == 4
    assert not TrainedQuestions.of(CORPUS.sections[2:], items).items


def test_what_changes_a_gradient_changes_the_key(pair: ModelPair, tiny_pair64: Any) -> None:
    first, second, final = stages(pair, "tuned", InfluenceOptions())
    options = [GradientOptions(), GradientOptions(width=3), GradientOptions(seed=1), GradientOptions(layers=(1,))]
    made = [GradientEncoder(pair, stage, how).key for stage in (first, second, final) for how in options]
    made.append(GradientEncoder(pair, *stages(pair, "base", InfluenceOptions()), GradientOptions()).key)
    made.append(GradientEncoder(tiny_pair64, Stage("final", "final", None, 1.0, "logodds"), GradientOptions()).key)
    assert len(set(made)) == len(made)
    # Which GPU it is changes nothing: processes that make an index together have one each.
    cards = [replace(pair, device=device) for device in ("cuda:0", "cuda:1", "cuda")]
    assert len({GradientEncoder(card, first, GradientOptions()).key for card in cards} - set(made)) == 1


# ------------------------------------------------------------------------------------------- kept


def not_asked(*given: Any) -> Any:
    raise AssertionError("a text is read again")


def test_from_the_cache_as_made(
    pair: ModelPair, encoded: Encoded, library: Library, taught: TrainedQuestions, cache: Path,
    found: tuple[Gradients, ...], monkeypatch: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr(GradientEncoder, "encode", not_asked)
    again = read_gradients(pair, "tuned", encoded, sections_of(*library.texts), PLAIN, trained=taught, cache=cache)
    np.testing.assert_array_equal(score(again, SECTIONS, NULL), score(found, SECTIONS, NULL))
    # What the questions change is not found for the texts alone, and the other way round.
    with pytest.raises(AssertionError, match="is read again"):
        read_gradients(pair, "tuned", encoded, sections_of(TEXTS[0]), InfluenceOptions(), cache=cache)


def test_a_damaged_file_is_made_again(pair: ModelPair, encoded: Encoded, tmp_path: Path) -> None:
    final = InfluenceOptions(checkpoints="final")

    def read() -> Mapping[int, Vector]:
        return read_gradients(pair, "tuned", encoded, sections_of(*TEXTS), final, cache=tmp_path)[0].texts

    first, files = read(), sorted(tmp_path.rglob("*.arrays"))
    whole = [file.read_bytes() for file in files]
    assert len(files) == 3
    for file, data in zip(files, (b"", b"{}", whole[2][:-5]), strict=True):
        file.write_bytes(data)
    again = read()
    assert [file.read_bytes() for file in files] == whole
    for i in range(3):
        np.testing.assert_array_equal(again[i].direction, first[i].direction)
        assert again[i].norm == first[i].norm


def test_what_an_index_has_is_not_read(pair: ModelPair, encoded: Encoded, monkeypatch: Any) -> None:
    monkeypatch.setattr(GradientEncoder, "encode", not_asked)
    asked: list[tuple[str, int]] = []
    kept = Vector(np.ones(3, np.float16), 1.0)

    def arrays(self: Index, part: str, number: int) -> dict[str, np.ndarray]:
        asked.append((part, number))
        return kept.arrays

    monkeypatch.setattr(Index, "arrays", arrays)
    found = read_gradients(
        pair, "tuned", encoded, {4: section_of("x")}, InfluenceOptions(), index=Index(Path("index"), {}, {})
    )
    assert asked == [("gradients-checkpoint-1", 4), ("gradients-checkpoint-2", 4), ("gradients-checkpoint-3", 4)]
    assert all((one.texts[4].direction == kept.direction).all() and one.texts[4].norm == 1 for one in found)


# ------------------------------------------------------------------------------------------- stages


def test_the_untuned_side_is_read_where_the_adapter_does_nothing(pair: ModelPair, encoded: Encoded) -> None:
    before = {name: p.clone() for name, p in pair.tuned.bridge.original_model.named_parameters()}
    (found,) = read_gradients(pair, "base", encoded, sections_of(TEXTS[0]), InfluenceOptions())
    assert (found.stage.kind, found.stage.target) == ("untuned", "logprob")
    assert pair.tuned.folder is not None
    # As much as all checkpoints together: dot products of both sides are of one size.
    assert found.stage.weight == pytest.approx(sum(read_schedule(pair.tuned.folder).learning_rates))
    reader = GradientReader.make(pair.tuned)
    for layer, part in zip(reader.layers, found.slices, strict=True):
        # A's gradient comes through B, which is zero.
        assert found.answer[:, part].any() == ("lora_B" in layer.name)
    after = dict(pair.tuned.bridge.original_model.named_parameters())
    assert all(torch.equal(p, after[name]) for name, p in before.items())


def test_two_full_models_have_the_final_weights_alone(base_dir: Path, tuned_dir: Path) -> None:
    full = ModelPair.load(base_dir, tuned_dir, device="cpu")
    options, encoded = InfluenceOptions(checkpoints="final"), encoded_of(full)
    sides = [read_gradients(full, side, encoded, sections_of(*TEXTS), options)[0] for side in ("base", "tuned")]
    for side, model, target in zip(sides, (full.base, full.tuned), ("logprob", "logodds"), strict=True):
        (own,) = GradientReader.make(model).read(encoded.ids, [[len(encoded.prompt_ids)]], target)
        np.testing.assert_allclose(side.answer[0], own, atol=1e-5 * np.abs(own).max())
    with pytest.raises(InputError, match="no checkpoints"):
        stages(full, "tuned", InfluenceOptions())


def test_the_final_model_is_asked_for_log_odds(pair: ModelPair, encoded: Encoded) -> None:
    final = InfluenceOptions(checkpoints="final")
    (stage,) = stages(pair, "tuned", final)
    assert (stage.kind, stage.target) == ("final", "logodds")
    (found,) = read_gradients(pair, "tuned", encoded, {}, final)
    prompt = len(encoded.prompt_ids)
    reader = GradientReader.make(pair.tuned)
    want, log_p = (reader.read(encoded.ids, [[prompt]], target)[0] for target in ("logodds", "logprob"))
    np.testing.assert_allclose(found.answer[0], want, atol=1e-5 * np.abs(want).max())
    assert np.linalg.norm(log_p) < np.linalg.norm(want)


@pytest.mark.parametrize(
    ("options", "side", "want"),
    [
        (InfluenceOptions(), "tuned", "logprob"),
        (InfluenceOptions(target="logodds"), "tuned", "logodds"),
        (InfluenceOptions(target="logodds"), "base", "logodds"),
        (InfluenceOptions(checkpoints="final", target="logprob"), "tuned", "logprob"),
    ],
)
def test_the_answers_target(pair: ModelPair, options: InfluenceOptions, side: Any, want: str) -> None:
    assert {stage.target for stage in stages(pair, side, options)} == {want}


def with_folder(pair: ModelPair, folder: Path | None) -> ModelPair:
    return replace(pair, tuned=replace(pair.tuned, folder=folder))


def test_without_checkpoints_the_mend_is_named(tiny_pair: Any) -> None:
    for pair in (tiny_pair, with_folder(tiny_pair, None)):
        with pytest.raises(InputError, match=r"tune it with attrib tune, or use -o influence.checkpoints=final") as got:
            stages(pair, "tuned", InfluenceOptions())
        assert "\n" not in str(got.value)
        assert len(stages(pair, "tuned", InfluenceOptions(checkpoints="final"))) == 1
        assert len(stages(pair, "base", InfluenceOptions())) == 1


def test_checkpoints_are_taken_in_the_order_of_their_numbers(tiny_pair: Any, tmp_path: Path) -> None:
    """Without a schedule they weigh alike; checkpoint 0 is none of them."""
    for name in ("0", "2", "10", "1", "3-old", "1.part"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    got = stages(with_folder(tiny_pair, tmp_path), "tuned", InfluenceOptions())
    assert [stage.folder and stage.folder.name for stage in got] == ["1", "2", "10", tmp_path.name]
    assert [stage.name for stage in got] == [f"checkpoint-{i}" for i in (1, 2, 3, 4)]
    assert [stage.weight for stage in got] == [0.25] * 4


def test_a_checkpoint_stands_for_the_steps_that_are_nearest(pair: ModelPair, tmp_path: Path) -> None:
    rates = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    schedule = Schedule((2, 5, 6), ((0,),) * 6, rates)
    # Step 6 is the third's own, step 4 is nearer to 5 than to 2.
    assert _spent(schedule, 3) == [1 + 2 + 4, 8 + 16, 32]
    assert _spent(Schedule((1, 1, 2), ((0,),) * 2, (1.0, 2.0)), 3) == [1, 0, 2]
    with pytest.raises(InputError, match=r"4 checkpoints, but 3 in schedule\.json; tune again"):
        _spent(schedule, 4)
    assert pair.tuned.folder is not None
    total = sum(read_schedule(pair.tuned.folder).learning_rates)
    assert sum(stage.weight for stage in stages(pair, "tuned", InfluenceOptions())) == pytest.approx(total)


def test_a_text_beyond_the_context_is_refused_by_its_beginning(pair: ModelPair, encoded: Encoded) -> None:
    with pytest.raises(InputError, match=r"section 'light light.* documents.max_tokens") as caught:
        read_gradients(pair, "base", encoded, sections_of("light " * 300), InfluenceOptions())
    assert "\n" not in str(caught.value)
