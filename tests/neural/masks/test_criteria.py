import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural.gpt.config import ModelConfig
from neural.gpt.model import loss, states
from neural.masks.criteria import (
    fisher,
    highest,
    highest_of_outputs,
    inputs,
    magnitude,
    movement,
    one_shot,
    wanda,
)
from neural.masks.mask import flat, full, prunable, size
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message
from tests.strategies import seeded

MODEL = ModelConfig(layers=1, width=4, heads=2, context=6, vocabulary=11)
n = size(MODEL)
WINDOWS = np.random.default_rng(0).integers(11, size=(5, 7))


@pytest.fixture(scope="module")
def parameters():
    return random_parameters(MODEL)


TOKENS = WINDOWS[:, :-1]


@pytest.fixture(scope="module")
def reached(parameters):
    """What reaches each matrix, and the states (layers + 1, tokens, d) of the model."""
    arrays = jax.jit(lambda p: (inputs(p, TOKENS, MODEL), states(p, TOKENS, MODEL)))(parameters)
    return jax.tree.map(np.asarray, arrays)


def test_magnitude_and_movement(parameters):
    name, initial = prunable(MODEL)[3], random_parameters(MODEL, seed=1)
    np.testing.assert_array_equal(magnitude(parameters, MODEL)[name], np.abs(parameters[name]))
    moved = movement(parameters, initial, MODEL)
    np.testing.assert_array_equal(moved[name], np.abs(parameters[name] - initial[name]))
    assert tuple(moved) == prunable(MODEL)


@seeded
@given(st.integers(0, n), st.integers(1, 3), st.integers(0, 99))
def test_the_highest_scores_are_kept_exactly_as_many(kept, levels, seed):
    rng = np.random.default_rng(seed)
    scores = {name: rng.integers(levels, size=array.shape) for name, array in full(MODEL).items()}
    mask = highest(scores, MODEL, kept)
    assert mask.kept == kept
    values = flat(scores, MODEL)
    if 0 < kept < n:
        assert values[mask.bits].min() >= values[~mask.bits].max()
    of_outputs = highest_of_outputs(scores, MODEL, kept)
    assert of_outputs.kept == kept
    for name, array in of_outputs.items():
        share = kept / n * len(array)
        for score, chosen in zip(scores[name].T, array.T, strict=True):
            assert abs(chosen.sum() - share) < 1
            order = sorted((s, i) for i, s in enumerate(score))
            assert set(np.flatnonzero(chosen)) == {i for _, i in order[len(order) - chosen.sum() :]}


def test_fisher_of_a_loss_that_is_known(parameters):
    """Gradients of example x: x on the first weight, w on the second, nothing elsewhere."""
    name = prunable(MODEL)[0]

    def risk(p, x):
        return x * p[name][0, 0] + p[name][0, 1] ** 2 / 2 + p["wte.weight"][0, 0]

    scores = fisher(parameters, MODEL, np.array([1.0, 2.0, 3.0], np.float32), risk)
    a, b = (float(parameters[name][0, i]) for i in range(2))
    wanted = {key: np.zeros_like(value) for key, value in scores.items()}
    wanted[name][0, :2] = [(1 + 4 + 9) / 3 * a**2 / 2, b**2 * b**2 / 2]
    for key, value in scores.items():
        np.testing.assert_allclose(value, wanted[key], rtol=1e-6)  # some roundings of float32


@pytest.mark.slow
def test_fisher_of_text_is_the_mean_of_squared_gradients_of_sequences(parameters):
    scores = fisher(parameters, MODEL, WINDOWS)
    gradient = jax.jit(jax.grad(lambda p, w: loss(p, w[None, :-1], w[None, 1:], MODEL)))
    each = [gradient(parameters, window) for window in WINDOWS]
    for name, value in scores.items():
        squares = np.mean([np.square(of_one[name]) for of_one in each], axis=0)
        # Gradients of two programs differ by rounding of their largest entries.
        wanted = squares * parameters[name] ** 2 / 2
        np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=1e-6 * wanted.max())


def test_inputs_are_what_the_model_multiplies(parameters, reached):
    """Layer norms by numpy; the rest by what the block makes of it, which the model's own states must equal."""
    matrices, stream = reached[0], reached[1].reshape(MODEL.layers + 1, -1, MODEL.width)

    def norm(x, name):
        centred = x - x.mean(axis=1, keepdims=True)
        scale = np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + 1e-5)
        return centred / scale * parameters[f"{name}.weight"] + parameters[f"{name}.bias"]

    def through(name):
        return (
            matrices[f"{name}.weight"] @ parameters[f"{name}.weight"] + parameters[f"{name}.bias"]
        )

    close = {"rtol": 1e-4, "atol": 1e-5}  # sums of tens of float32 of order 1
    for layer in range(MODEL.layers):
        h, x = f"h.{layer}", stream[layer]
        np.testing.assert_allclose(
            matrices[f"{h}.attn.c_attn.weight"], norm(x, f"{h}.ln_1"), **close
        )
        middle = x + through(f"{h}.attn.c_proj")
        np.testing.assert_allclose(
            matrices[f"{h}.mlp.c_fc.weight"], norm(middle, f"{h}.ln_2"), **close
        )
        u = through(f"{h}.mlp.c_fc")
        gelu = u / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (u + 0.044715 * u**3)))
        np.testing.assert_allclose(matrices[f"{h}.mlp.c_proj.weight"], gelu, **close)
        after = middle + through(f"{h}.mlp.c_proj")
        np.testing.assert_allclose(stream[layer + 1], after, **close)


def test_wanda_is_magnitude_times_the_norm_of_the_input(parameters, reached):
    for name, score in wanda(parameters, MODEL, WINDOWS).items():
        norms = np.sqrt(np.square(reached[0][name]).sum(axis=0))
        wanted = np.abs(parameters[name]) * norms[:, None]
        # One sum over all tokens, the other sequence by sequence.
        np.testing.assert_allclose(score, wanted, rtol=1e-4, atol=1e-6)


def test_wanda_of_a_case_worked_by_hand():
    """Sun et al. 2023, figure 1: weights are compared within an output, weighed by the norm of their input."""
    scores = {name: np.ones(array.shape) for name, array in full(MODEL).items()}
    weights = np.array([[4, 1, 3], [0, -2, -1], [-1, -3, 1], [3, 0, 2]])
    norms = np.array([1, 2, 8, 3])
    name = "h.0.attn.c_attn.weight"
    scores[name][:, :3] = np.abs(weights) * norms[:, None]
    mask = highest_of_outputs(scores, MODEL, n // 2)
    # Scores 4 0 8 9 | 1 4 24 0 | 3 2 8 6; by magnitude alone rows 0 and 3 would win in the first and last column.
    assert mask[name][:, :3].T.astype(int).tolist() == [[0, 0, 1, 1], [0, 1, 1, 0], [0, 0, 1, 1]]
    assert mask[name].sum(axis=0).tolist() == [2] * 12


@settings(seeded, max_examples=10)
@given(st.floats(0, 1))
def test_every_criterion_keeps_the_density_asked_for(parameters, density):
    initial = random_parameters(MODEL, seed=1)
    for criterion in ("magnitude", "movement", "fisher", "wanda"):
        mask = one_shot(criterion, parameters, MODEL, density, initial=initial, windows=WINDOWS)
        assert mask.kept == round(density * n)


def test_criteria_differ_and_are_what_they_say(parameters):
    initial = random_parameters(MODEL, seed=1)
    masks = {
        criterion: one_shot(criterion, parameters, MODEL, 0.5, initial=initial, windows=WINDOWS)
        for criterion in ("magnitude", "movement", "fisher", "wanda")
    }
    assert len(set(masks.values())) == 4
    assert masks["magnitude"] == highest(magnitude(parameters, MODEL), MODEL, n // 2)
    assert masks["movement"] == highest(movement(parameters, initial, MODEL), MODEL, n // 2)
    assert masks["fisher"] == highest(fisher(parameters, MODEL, WINDOWS), MODEL, n // 2)
    assert masks["wanda"] == highest_of_outputs(wanda(parameters, MODEL, WINDOWS), MODEL, n // 2)


def test_what_a_criterion_lacks_is_said(parameters):
    assert "'random': choose from magnitude" in message(one_shot, "random", parameters, MODEL, 0.5)
    assert "0 to 1" in message(one_shot, "magnitude", parameters, MODEL, 1.5)
    for criterion, lacking in (
        ("movement", "initial"),
        ("fisher", "windows"),
        ("wanda", "windows"),
    ):
        with pytest.raises(ValueError, match=lacking):
            one_shot(criterion, parameters, MODEL, 0.5)
    nan = {name: np.full(array.shape, np.nan) for name, array in full(MODEL).items()}
    assert "not finite" in message(highest_of_outputs, nan, MODEL, 3)
    assert "not finite" in message(highest, nan, MODEL, 3)
