"""The rotation that spreads the head energy evenly over neurons, and that no rotation does better."""

import numpy as np
import pytest
from hypothesis import given

from tests.strategies import seeded, task_matrices_and_ranks
from theory.geometry import sample
from theory.representation import Representation, equal_energy, optimal_representation, risk
from theory.spectra import level_columns, slope

EPS = float(np.finfo(float).eps)


def energies(representation: Representation) -> np.ndarray:
    return (representation.weigh(representation.heads) ** 2).sum(axis=1)


@seeded
@given(task_matrices_and_ranks())
def test_every_neuron_carries_its_share(drawn: tuple[np.ndarray, int]) -> None:
    C, k = drawn
    C = C / (np.abs(C).max() or 1.0)  # scales have a test of their own
    optimum = optimal_representation(C, k)
    level = equal_energy(optimum)
    share = C.shape[1] * slope(C, k) / k
    # k - 1 rotations, a few eps of the whole energy k * share each.
    assert np.abs(energies(level) - share).max() <= 16 * EPS * k * k * share
    # Orthonormal rows keep to eps a rotation and eps d for the optimum itself.
    assert np.abs(level.W @ level.W.T - np.eye(k)).max() <= 16 * EPS * sum(C.shape)
    assert np.abs(level.W.T @ level.heads - optimum.W.T @ optimum.heads).max() <= (
        16 * EPS * sum(C.shape) * np.linalg.norm(C)
    )


def test_losing_any_neuron_costs_the_same_and_less_than_the_worst_of_any_other_basis() -> None:
    C, k = sample("dominant", 9, 6, 0), 4
    optimum = optimal_representation(C, k)
    level = equal_energy(optimum)

    def losses(representation: Representation) -> np.ndarray:
        kept = 1 - np.eye(k)[:, :, None]
        return np.array([risk(m * representation.W, representation.heads, C) for m in kept])

    spread = 64 * EPS * np.linalg.norm(C) ** 2  # rounding of a risk of norm |C|^2 / T
    assert np.ptp(losses(level)) <= spread
    rng = np.random.default_rng(0)
    for _ in range(50):
        Q, _ = np.linalg.qr(rng.standard_normal((k, k)))
        assert losses(Representation(Q @ optimum.W, Q @ optimum.heads)).max() > losses(level).max()
    assert losses(optimum).max() > 3 * losses(level).max()  # the SVD basis, with one dominant task


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_scale(scale: float) -> None:
    C = scale * sample("gaussian", 5, 7, 1)
    level = energies(equal_energy(optimal_representation(C, 3)))
    assert np.ptp(level) <= 64 * EPS * level.max()  # two rotations
    assert level.max() > 0


def test_task_weights() -> None:
    C = sample("sphere", 6, 5, 2)
    weights = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    optimum = optimal_representation(C, 3, task_weights=weights)
    level = equal_energy(optimum)
    assert level.task_weights is optimum.task_weights
    assert np.ptp(energies(level)) <= 64 * EPS * energies(level).sum()  # two rotations
    assert np.allclose(level.W.T @ level.heads, optimum.W.T @ optimum.heads, rtol=0, atol=64 * EPS)


def test_level_columns_measures_only_the_rows_asked_for() -> None:
    M = np.random.default_rng(3).standard_normal((7, 4))
    given = M.copy()
    level = level_columns(M, rows=3)
    assert np.array_equal(M, given)
    norms = np.linalg.norm(level[:3], axis=0)
    assert np.ptp(norms) <= 64 * EPS * norms.max()  # three rotations
    assert np.ptp(np.linalg.norm(level, axis=0)) > 0.1
    assert np.allclose(level @ level.T, M @ M.T, rtol=0, atol=64 * EPS * np.linalg.norm(M) ** 2)
    assert np.array_equal(level_columns(np.eye(3)), np.eye(3))
    assert not level_columns(np.zeros((2, 3))).any()
