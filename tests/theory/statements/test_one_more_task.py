"""What the registry's own tests do not see of statements 9 to 15: draws, constants, and checks that can fail."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from theory.evidence import chance
from theory.geometry import sample
from theory.spectra import slope
from theory.statement import Checked, Inconclusive, Refuted, Supported
from theory.statements import (
    d22_theorem_2_7,
    equicorrelated,
    gaussian_drop,
    marchenko_pastur,
)

EPS = float(np.finfo(float).eps)


def test_draws_support_refute_or_do_not_tell():
    seeds = []
    always = chance.at_least(lambda seed: seeds.append(seed) or True, Fraction(9, 10), 100)
    assert seeds == list(range(100))
    # The lower bound p of 100 out of 100 solves p^100 = 1/1000; it is a multiple of 2^-20.
    assert isinstance(always, Supported)
    assert always.n == 100
    assert always.worst_slack == pytest.approx(0.001**0.01 - 0.9, abs=2**-20)
    never = chance.at_least(lambda seed: False, Fraction(1, 10), 100)
    assert isinstance(never, Refuted)
    assert "0 of 100" in never.witness.confirmed
    half = chance.at_least(lambda seed: seed % 2 == 0, Fraction(1, 2), 100)
    assert isinstance(half, Inconclusive)
    assert "50 of 100" in half.reason


@pytest.mark.parametrize("T", [1, 2, 5, 50])
def test_gaussian_drop_constants(T):
    widest = (np.sqrt(T + 1) - np.sqrt(T)) ** 2
    assert gaussian_drop.factor(1 / (4 * T + 2), T) < 1
    # 1 per cent off the threshold moves the factor by 1 per cent of 4 widest, about 1e-2 / T.
    assert gaussian_drop.factor(0.99 * widest, T) < 1 < gaussian_drop.factor(1.01 * widest, T)
    d, eps = 16 * (2 * T + 1) ** 2 * (T + 1), 1 / (8 * T + 4)
    # Both are 1/(4T+2) up to the rounding of a root and a sum.
    assert np.sqrt((T + 1) / d) + eps == pytest.approx(1 / (4 * T + 2), rel=8 * EPS)


def test_near_isometries_reach_every_shape_and_the_edge_of_the_condition():
    rng = np.random.default_rng(0)
    met = [gaussian_drop.near_isometry(rng, i) for i in range(60)]
    admitted = [x for x in met if gaussian_drop.STATEMENT.admits(x)]
    assert {x["C"].shape[1] for x in admitted} == {2, 3, 4, 5, 6}
    edge = max(
        gaussian_drop.factor(gaussian_drop.spread(x["C"]), x["C"].shape[1] - 1) for x in admitted
    )
    assert 0.9 < edge < 1


@pytest.mark.parametrize("wrong", [1e-8, -1e-8])
def test_a_wrong_limit_is_not_enclosed(monkeypatch, wrong):
    tau, kappa = Fraction(1, 2), Fraction(1, 5)
    assert isinstance(marchenko_pastur.enclosed(tau, kappa), Checked)
    right = marchenko_pastur.marchenko_pastur_partial_mean
    monkeypatch.setattr(
        marchenko_pastur, "marchenko_pastur_partial_mean", lambda *given: right(*given) + wrong
    )
    assert isinstance(marchenko_pastur.enclosed(tau, kappa), Inconclusive)
    # Past the atom the limit is exactly 1.
    assert isinstance(marchenko_pastur.enclosed(Fraction(5), Fraction(1, 2)), Inconclusive)


def test_negative_correlations_put_the_vector_of_ones_last():
    for T in (2, 3, 5):
        C, r = sample("simplex", T, T, 0), -1 / (T - 1)
        assert not equicorrelated.STATEMENT.admits({"C": C, "k": 1})
        for k in range(1, T):
            # An eigensolver's rounding at T <= 5.
            assert slope(C, k) == pytest.approx(k * (1 - r) / T, rel=64 * EPS * T)


@pytest.mark.parametrize(("C0", "T"), [(1.0, 3.0), (1.0, 10.0), (1.0, 100.0), (16.0, 10.0)])
def test_the_bound_on_failing_is_below_the_exact_chi_square(C0, T):
    d = C0 * T**3
    spectral = (1 + np.sqrt(T / d) + np.sqrt(2 / d)) ** 2
    # Both come from a handful of operations.
    assert (1 + d22_theorem_2_7.excess(T, C0, np.sqrt)) / (T + 1) == pytest.approx(
        spectral / T, rel=16 * EPS
    )
    reached = d * (1 + d22_theorem_2_7.excess(T, C0, np.sqrt))
    exact = stats.chi2.logsf(reached, d) + np.log(1 - 1 / np.e)
    bound, _ = d22_theorem_2_7.sides(T, C0, 1.0)
    # Given away: t^(a-1) >= x^(a-1), Stirling's bound, delta - delta^2/2, and constants: below log d + 3.
    assert exact - np.log(d) - 3 < bound < exact


@pytest.mark.parametrize("seed", range(5))
def test_a_long_last_task_does_not_lower_the_slope(seed):
    d, T = 27, 3
    C = sample("gaussian", d, T + 1, seed)
    C[:, -1] *= np.sqrt(T * slope(C[:, :-1], 1) * (T + 1) / T) / np.linalg.norm(C[:, -1])
    # Gaussian tasks are not orthogonal, so that the rise is far above rounding.
    assert slope(C, 1) > slope(C[:, :-1], 1) * (1 + 1e-6)
