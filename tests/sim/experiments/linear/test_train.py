"""The trainers reach the optima that the theory names."""

import jax
import numpy as np
import pytest

from sim.experiments.linear import train as module
from sim.experiments.linear.train import INITIAL_SCALE, LANES, ROUND, TOLERANCE, train
from theory.geometry import existing, sample
from theory.representation import optimal_representation, risk
from theory.spectra import balanced_slope, slope

RIDGE = 0.2


def keys(n: int, seed: int = 0) -> jax.Array:
    return jax.random.split(jax.random.key(seed), n)


@pytest.mark.parametrize("trainer", ["orthonormal", "ridge", "descent"])
@pytest.mark.parametrize(("d", "T", "k"), [(6, 4, 2), (5, 8, 3), (3, 3, 3), (4, 1, 1), (1, 3, 1)])
def test_trained_models_are_optimal(trainer: str, d: int, T: int, k: int) -> None:
    C = [sample(kind, d, T, seed=1) for kind in existing(d, T)]
    ridge = RIDGE if trainer == "ridge" else 0.0
    trained = train(trainer, C, k, keys(len(C)), ridge=ridge)
    assert trained.converged.all()
    for c, W, heads in zip(C, trained.W, trained.heads, strict=True):
        best = optimal_representation(c, k, ridge=ridge, balanced=trainer != "orthonormal")
        scale = np.linalg.norm(c, ord=2) ** 2
        # The risk is stationary at the optimum: a gradient of 1e-8 leaves 1e-16 over the least gap of
        # these spectra, and unlearnt modes of descent leave INITIAL_SCALE^2.
        assert risk(W, heads, c) == pytest.approx(best.risk, abs=2 * INITIAL_SCALE**2 * scale)
        optimum = slope(c, k) if trainer == "orthonormal" else balanced_slope(c, k, ridge)
        size = scale if trainer == "orthonormal" else np.sqrt(scale)
        assert (heads**2).sum() / T == pytest.approx(optimum, abs=4 * INITIAL_SCALE**2 * size)


def test_orthonormal_weights_are_orthonormal() -> None:
    trained = train("orthonormal", [sample("gaussian", 12, 7, 0)], 3, keys(1))
    # Householder QR: orthonormal to a few eps.
    np.testing.assert_allclose(trained.W[0] @ trained.W[0].T, np.eye(3), atol=1e-14)


def test_plain_descent_ends_balanced() -> None:
    """W W^T - heads heads^T is conserved by the flow (statement 29), and small steps nearly conserve it."""
    C = sample("gaussian", 5, 7, 0)
    trained = train("descent", [C], 3, keys(1))
    W, heads = trained.W[0], trained.heads[0]
    drift = np.linalg.norm(W @ W.T - heads @ heads.T)
    assert drift < 1e-5 * np.linalg.norm(W) ** 2


def test_models_do_not_depend_on_their_batch() -> None:
    C = [sample("sphere", 8, T, 0) for T in (3, 5, 4)]
    together = train("ridge", C, 2, keys(3), ridge=RIDGE)
    for i, c in enumerate(C):
        alone = train("ridge", [c], 2, keys(3)[i : i + 1], ridge=RIDGE)
        # Only the initial heads see the padding, through the signs of a QR; the optimum is the same.
        assert risk(together.W[i], together.heads[i], c) == pytest.approx(
            risk(alone.W[0], alone.heads[0], c), rel=1e-7
        )


@pytest.mark.parametrize("trainer", ["ridge", "descent"])
def test_padding_takes_no_part_in_training(trainer: str) -> None:
    """A few steps from the start, where heads of tasks that only pad the batch would still pull at W."""
    C = [sample("sphere", 8, T, 0) for T in (3, 6)]
    together = train(trainer, C, 2, keys(2), ridge=RIDGE, max_steps=ROUND)
    alone = train(trainer, C[:1], 2, keys(2)[:1], ridge=RIDGE, max_steps=ROUND)
    assert together.heads[0].shape == (2, 3)
    # Products of other shapes round otherwise, and steps grow that by the rate at which the weights grow.
    np.testing.assert_allclose(together.W[0], alone.W[0], rtol=0, atol=1e-10)
    np.testing.assert_allclose(together.residual[0], alone.residual[0], rtol=1e-6)


@pytest.mark.parametrize("trainer", ["orthonormal", "ridge", "descent"])
def test_the_invariant_space_changes_no_step(trainer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    C = [sample("sphere", 20, 4, 0)]
    inside = train(trainer, C, 2, keys(1), ridge=RIDGE, max_steps=50)
    monkeypatch.setattr(module, "_invariant_basis", lambda C, W: None)
    outside = train(trainer, C, 2, keys(1), ridge=RIDGE, max_steps=50)
    # Fifty steps of rounding, grown by at most the rate at which modes separate.
    np.testing.assert_allclose(inside.W, outside.W, atol=1e-10)
    np.testing.assert_allclose(inside.residual, outside.residual, rtol=1e-8)


def test_same_key_same_bits() -> None:
    C = [sample("sphere", 8, 5, seed) for seed in range(3)]
    first, two = (train("descent", C, 2, keys(3)) for _ in range(2))
    assert first.W.tobytes() == two.W.tobytes()
    assert train("descent", C, 2, keys(3, seed=1)).W.tobytes() != first.W.tobytes()


def test_an_unfinished_model_says_so() -> None:
    C = [sample("dominant", 8, 5, 0), sample("orthonormal", 8, 5, 0)]
    trained = train("ridge", C, 2, keys(2), ridge=RIDGE, max_steps=300)
    assert trained.converged.tolist() == [False, True]
    assert trained.steps[0] == 300
    assert trained.residual[0] > TOLERANCE


def test_zero_tasks_train() -> None:
    for trainer in ("orthonormal", "ridge", "descent"):
        trained = train(trainer, [np.zeros((6, 3))], 2, keys(1), ridge=RIDGE)
        assert risk(trained.W[0], trained.heads[0], np.zeros((6, 3))) < INITIAL_SCALE**2


def test_unknown_trainer() -> None:
    with pytest.raises(ValueError, match="unknown trainer 'sgd': choose orthonormal"):
        train("sgd", [np.eye(3)], 1, keys(1))


@pytest.mark.parametrize("trainer", ["orthonormal", "ridge"])
def test_models_that_wait_for_a_lane_train_as_alone(trainer: str) -> None:
    n = 2 * LANES + 3
    C, key = [sample("sphere", 5, 3, seed) for seed in range(n)], keys(n)
    together = train(trainer, C, 2, key, ridge=0.1)
    assert len(set(together.steps)) > 3  # they end at different times, some after several rounds
    assert together.steps.max() > 2 * ROUND
    for i in (0, LANES, n - 1):
        alone = train(trainer, C[i : i + 1], 2, key[i : i + 1], ridge=0.1)
        assert alone.steps[0] == together.steps[i]
        # Products of other batch sizes may round otherwise, and a small step later stop elsewhere by as little.
        np.testing.assert_allclose(alone.W[0], together.W[i], atol=1e-12)
