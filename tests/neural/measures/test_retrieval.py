"""Retrieval: the ratio margin as written, hubs that deceive plain cosines alone, and vectors of sentences."""

from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from neural.gpt.config import ModelConfig
from neural.gpt.model import states
from neural.measures.retrieval import accuracy, cosines, margins, retrieval, sentence_states
from neural.measures.words import encoded
from neural.text.tokenizer import ByteTokenizer
from tests.neural.random_model import random_parameters
from tests.strategies import seeded

CONFIG = ModelConfig(layers=1, width=16, heads=2, context=12, vocabulary=257)


def as_written(x: NDArray[np.float64], y: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """The margin of every pair by the formula, one pair after another."""

    def similar(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return (1 + float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))) / 2

    def near(a: NDArray[np.float64], others: NDArray[np.float64]) -> float:
        return sum(sorted((similar(a, z) for z in others), reverse=True)[:k]) / (2 * k)

    return np.array([[similar(a, b) / (near(a, y) + near(b, x)) for b in y] for a in x])


@seeded
@given(st.integers(0, 2**16), st.integers(4, 9), st.integers(1, 4))
def test_margins_are_as_written(seed: int, N: int, k: int) -> None:
    x, y = np.random.default_rng(seed).standard_normal((2, N, 3)) + 2
    # Rounding of some ten float64 operations.
    np.testing.assert_allclose(margins(cosines(x, y), k), as_written(x, y, k), rtol=1e-12)


def test_margins_see_through_a_hub_and_cosines_do_not() -> None:
    """All x share a direction, which y₀ has and no other y: to every x it is nearer (0.78) than its own y (0.72)."""
    g, *rest = np.eye(25)
    own, other = np.array(rest[:12]), np.array(rest[12:])
    x = 0.8 * g + 0.6 * own
    y = 0.3 * g + 0.8 * own + np.sqrt(1 - 0.73) * other
    y[0] = 0.98 * g + np.sqrt(1 - 0.98**2) * own[0]
    plain, margin = retrieval(x, y, None), retrieval(x, y)
    assert (plain.forward, plain.backward) == (1 / 12, 1)
    assert plain.mean == (1 / 12 + 1) / 2
    assert (margin.forward, margin.backward) == (1, 1)


@pytest.mark.parametrize("apart", [0.0, 2.0, 4.0])
def test_languages_on_opposite_sides_find_each_other(apart: float) -> None:
    """At 4 all cosines are below 0: a ratio of them would put the least similar first."""
    rng = np.random.default_rng(2)
    said, side = rng.standard_normal((40, 64)), np.eye(64)[0]
    x, y = (said + direction * 3 * side for direction in (apart, -apart))
    assert (cosines(x, y).max() < 0) == (apart == 4)
    assert retrieval(x, y).mean == 1


def test_layers_and_models_lead_and_each_is_measured_alone() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, 20, 5)).astype(np.float32) + 1
    y = x + rng.uniform(0, 1.5, (2, 3, 1, 1)) * rng.standard_normal(x.shape)
    y[1, 2] = y[1, 2, ::-1]
    for neighbours in (4, None):
        scores = retrieval(x, y, neighbours)
        assert scores.forward.shape == scores.backward.shape == (2, 3)
        alone = retrieval(x[0, 1], y[0, 1], neighbours)
        assert (scores.forward[0, 1], scores.backward[0, 1]) == (alone.forward, alone.backward)
        assert len(set(scores.forward.reshape(-1).tolist())) > 3
        assert scores.forward[1, 2] < 0.2
    assert np.all(retrieval(x, x).mean == 1)


def test_directions_are_told_apart() -> None:
    """Both x find their y; the first y finds the second x."""
    scores = accuracy(np.array([[0.9, 0.1], [0.95, 0.99]]))
    assert (scores.forward, scores.backward) == (1.0, 0.5)


def test_vectors_of_sentences_are_means_of_their_tokens() -> None:
    data = encoded(["abcdef", "ab", "ghijklmnopqrst"], ByteTokenizer(), 12)
    parameters = random_parameters(CONFIG)
    vectors = sentence_states(parameters, CONFIG, data.ids, data.lengths, batch=2)
    stream = np.asarray(jax.jit(partial(states, config=CONFIG))(parameters, data.ids))
    for place, length in enumerate((6, 2, 11)):
        expected = stream[:, place, 1 : length + 1].mean(axis=1)
        # Sums of float32 in another order.
        np.testing.assert_allclose(vectors[:, place], expected, rtol=1e-5, atol=1e-5)


def test_texts_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="row by row"):
        retrieval(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="give fewer"):
        retrieval(np.ones((3, 2)), np.ones((3, 2)), 4)
