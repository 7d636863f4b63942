"""Water-filling against the conditions of optimality, other representations, and the risk of the noise itself."""

import numpy as np
import pytest

from theory.geometry import sample
from theory.perturbation import AdditiveNoise
from theory.representation import optimal_representation
from theory.spectra import slope
from theory.water_filling import refitted_risk, water_filling, water_filling_energies

EPS = float(np.finfo(float).eps)
CASES = [(1, 1, 1), (4, 3, 2), (3, 5, 3), (6, 4, 4)]
SIGMAS = [1e-6, 0.1, 0.7, 30.0]


@pytest.mark.parametrize(("d", "T", "k"), CASES)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_energies_are_optimal(d: int, T: int, k: int, sigma: float) -> None:
    """Kuhn-Tucker: the marginal gain sigma_i^2 / (e_i + q)^2 is one number where e_i > 0, and less elsewhere."""
    C, q = sample("gaussian", d, T, 0), d * sigma**2
    optimum = water_filling(C, k, sigma)
    values = optimal_representation(C, k).singular_values
    gain = values / (optimum.energies + q)
    used = optimum.energies > 0
    # A few roundings each, divided by energies + q that are at worst all q and energy alike.
    assert gain[used] == pytest.approx(gain[0], rel=64 * EPS)
    assert (gain[~used] <= gain[0] * (1 + 64 * EPS)).all()
    assert optimum.energies.sum() == pytest.approx(k, rel=64 * EPS)
    assert (optimum.W**2).sum(axis=1) == pytest.approx(optimum.energies, rel=64 * EPS)


@pytest.mark.parametrize(("d", "T", "k"), CASES)
@pytest.mark.parametrize("sigma", [0.0, *SIGMAS])
def test_risk_is_that_of_the_noise(d: int, T: int, k: int, sigma: float) -> None:
    C = sample("gaussian", d, T, 1)
    optimum = water_filling(C, k, sigma)
    # |C|^2 / T and its parts, summed in two orders.
    scale = 64 * EPS * float((C**2).sum()) / T
    assert AdditiveNoise(sigma).expected_risk(optimum, C) == pytest.approx(optimum.risk, abs=scale)
    assert refitted_risk(optimum.W, C, sigma) == pytest.approx(optimum.risk, abs=scale)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_no_representation_of_that_energy_is_better(sigma: float) -> None:
    rng = np.random.default_rng(0)
    C = sample("gaussian", 4, 5, 2)
    best = water_filling(C, 3, sigma)
    for spread in (1e-3, 0.1, 3.0):
        for _ in range(20):
            W = best.W + spread * rng.standard_normal((3, 4))
            W *= np.sqrt(3 / (W**2).sum())
            assert refitted_risk(W, C, sigma) >= best.risk * (1 - 64 * EPS)


def test_below_orthonormal_unless_the_values_are_equal() -> None:
    sigma = 0.3
    q = 3 * sigma**2
    for C, equal in ((np.diag([2.0, 1.0, 0.5]), False), (np.diag([2.0, 2.0, 0.5]), True)):
        orthonormal = float((C**2).sum()) / 3 - slope(C, 2) / (1 + q)
        optimum = water_filling(C, 2, sigma)
        assert refitted_risk(np.eye(3)[:2], C, sigma) == pytest.approx(orthonormal, rel=8 * EPS)
        if equal:
            assert optimum.risk == pytest.approx(orthonormal, rel=8 * EPS)
            assert optimum.energies == pytest.approx([1, 1], rel=8 * EPS)
        else:
            assert optimum.risk < 0.99 * orthonormal


def test_energies_by_hand() -> None:
    # q = 1, energy 1: 2 nu - 1 = 1 leaves nu = 1, and a mode at sigma = 1 just at the water's edge.
    assert water_filling_energies([2.0, 1.0], 1.0, 1.0).tolist() == [1.0, 0.0]
    # energy 4: nu = 2, energies 2 * 2 - 1 and 2 - 1.
    assert water_filling_energies([2.0, 1.0], 1.0, 4.0) == pytest.approx([3.0, 1.0], rel=4 * EPS)
    # Without noise, in proportion; without tasks, equal.
    assert water_filling_energies([3.0, 1.0], 0.0, 2.0) == pytest.approx([1.5, 0.5], rel=4 * EPS)
    assert water_filling_energies([0.0, 0.0], 0.5, 2.0).tolist() == [1.0, 1.0]
    # Noise that dwarfs the energy: equal values still share it.
    assert water_filling_energies([5.0, 5.0], 1e30, 2.0).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
def test_energies_do_not_depend_on_scale(scale: float) -> None:
    C = sample("gaussian", 4, 3, 3)
    unit, scaled = water_filling(C, 2, 0.4), water_filling(scale * C, 2, 0.4)
    assert scaled.energies == pytest.approx(unit.energies, rel=64 * EPS)
    assert scaled.risk / scale / scale == pytest.approx(unit.risk, rel=64 * EPS)


def test_more_energy_than_k_helps() -> None:
    C = sample("gaussian", 4, 3, 4)
    assert water_filling(C, 2, 0.5, energy=4).risk < water_filling(C, 2, 0.5).risk


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: water_filling(np.eye(2), 1, -0.1), "finite number >= 0"),
        (lambda: water_filling(np.eye(2), 1, float("nan")), "finite number >= 0"),
        (lambda: water_filling(np.eye(2), 3, 0.1), "pass an integer from 1 to 2"),
        (lambda: water_filling(np.eye(2), 1, 0.1, energy=0.0), "energy > 0"),
        (lambda: water_filling_energies([1.0, 2.0], 0.1, 1.0), "largest first"),
        (lambda: water_filling_energies([1.0, -1.0], 0.1, 1.0), "largest first"),
        (lambda: water_filling_energies([], 0.1, 1.0), "largest first"),
        (lambda: refitted_risk(np.eye(3), np.eye(2), 0.1), r"W is \(k, d\)"),
    ],
)
def test_errors(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
