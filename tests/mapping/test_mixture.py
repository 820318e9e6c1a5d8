"""Mixtures: units and offsets of a mapper do not matter, weights do; the stored choice can be read."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from attrib.errors import InputError
from attrib.mapping.mixture import STORED, Choice, Weights, Windows, combine, mix, settings, standardised
from attrib.records.codec import from_json

A, B = np.array([3.0, 1.0, 2.0, 0.0]), np.array([0.1, 0.4, 0.2, 0.2])


def test_a_closed_case() -> None:
    want = 2 * (A - 1.5) / np.sqrt(1.25) + (B - 0.225) / B.std()
    np.testing.assert_allclose(mix({"a": A, "b": B, "c": A}, {"a": 2.0, "b": 1.0}), want)


def test_units_and_offsets_change_nothing_and_weights_decide_the_order() -> None:
    weights = {"a": 1.0, "b": 0.5}
    got = mix({"a": A, "b": B}, weights)
    np.testing.assert_allclose(mix({"a": 1000 * A - 7, "b": B / 3 + 2}, weights), got)
    assert got.argmax() == 0
    assert mix({"a": A, "b": B}, {"a": 0.5, "b": 1.0}).argmax() == 1


def test_scores_that_are_all_equal_say_nothing() -> None:
    for flat in (np.zeros(4), np.full(4, 0.1), np.full(4, 1e9) + 1e-7 * np.arange(4)):
        np.testing.assert_array_equal(standardised(flat), np.zeros(4))
    np.testing.assert_allclose(mix({"a": A, "b": np.full(4, 0.3)}, {"a": 1.0, "b": 9.0}), standardised(A))
    assert np.isfinite(mix({"a": np.zeros((3, 0))}, {"a": 1.0})).all()


def test_rows_are_standardised_one_by_one() -> None:
    rows = mix({"a": np.stack([A, 5 * B]), "b": np.stack([B, B])}, {"a": 1.0, "b": 2.0})
    np.testing.assert_allclose(rows[0], mix({"a": A, "b": B}, {"a": 1.0, "b": 2.0}))
    np.testing.assert_allclose(rows[1], mix({"a": B, "b": B}, {"a": 1.0, "b": 2.0}))


def test_a_missing_mapper_and_no_weight_are_refused() -> None:
    with pytest.raises(InputError, match="mapper b has a weight but no scores"):
        mix({"a": A}, {"a": 1.0, "b": 0.1})
    assert mix({"a": A}, {"a": 1.0, "b": 0.0}).shape == (4,)
    for weights in ({}, {"a": 0.0}):
        with pytest.raises(InputError, match="every weight is 0"):
            mix({"a": A}, weights)
        with pytest.raises(InputError, match="every weight is 0"):
            combine({"a": A}, {"a": A}, Weights(weights, weights))


def test_rows_and_what_is_around_them_are_weighed_apart() -> None:
    weights = Weights({"a": 1.0}, {"b": 2.0})
    got = combine({"a": np.stack([A, A[::-1]])}, {"b": B}, weights)
    np.testing.assert_allclose(got[0], standardised(A) + 2 * standardised(B))
    np.testing.assert_allclose(got[1], standardised(A[::-1]) + 2 * standardised(B))
    np.testing.assert_allclose(combine({"a": A}, {}, Weights({"a": 1.0}, {"b": 0.0})), standardised(A))


@pytest.mark.parametrize(("depth", "layers", "want"), [(0.5, 30, 14), (1.0, 30, 29), (0.01, 3, 0), (18 / 30, 30, 17)])
def test_a_depth_names_a_layer_of_any_model(depth: float, layers: int, want: int) -> None:
    choice = Choice(depth, 1.0, Windows(0.5, 1, 1), Weights({}, {}))
    assert choice.layer(layers) == want
    assert choice.context_layer(layers) == layers - 1


def test_a_choice_survives_its_file() -> None:
    choice = Choice(0.5, 0.25, Windows(0.7, 5, 16), Weights({"a": 0.125}, {"b": 2.0}))
    assert from_json(Choice, json.loads(json.dumps(asdict(choice)))) == choice


def test_the_stored_choice_is_whole() -> None:
    choice = settings()
    assert json.loads(STORED.read_text("utf-8")) == asdict(choice)
    assert 0 < choice.depth <= 1
    assert 0 < choice.context_depth <= 1
    assert 0 < choice.windows.threshold < 1
    assert any((*choice.weights.span.values(), *choice.weights.whole.values()))
