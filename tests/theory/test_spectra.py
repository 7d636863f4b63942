"""Norms, slopes and limits against independent computations, at every scale and corner."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq

from tests.strategies import seeded, task_matrices, task_matrices_and_ranks
from theory import spectra
from theory.geometry import sample
from theory.spectra import (
    balanced_slope,
    coherence,
    ky_fan,
    majorises,
    marchenko_pastur_density,
    marchenko_pastur_partial_mean,
    schatten,
    singular_values,
    slope,
    slopes,
    task_matrix,
)

EPS = float(np.finfo(float).eps)


def rounding(C: np.ndarray) -> float:
    """Relative rounding of a sum of singular values: LAPACK's backward error, n eps of the norm."""
    return 64 * EPS * max(C.shape)


@seeded
@given(task_matrices_and_ranks())
def test_norms_and_slopes_agree_with_a_plain_svd(drawn) -> None:
    C, k = drawn
    T = C.shape[1]
    scale = np.abs(C).max() or 1.0
    sigma = np.linalg.svd(C / scale, compute_uv=False)
    tolerance = rounding(C) * sigma[0]
    assert singular_values(C) / scale == pytest.approx(sigma, rel=0, abs=tolerance)
    assert ky_fan(C, k) / scale == pytest.approx(sigma[:k].sum(), rel=0, abs=k * tolerance)
    energy = (sigma[:k] ** 2).sum() / T
    assert slope(C, k) / scale / scale == pytest.approx(energy, rel=4 * rounding(C), abs=1e-300)
    assert slope(C, k) == slopes(C)[k - 1]
    assert balanced_slope(C, k) == pytest.approx(ky_fan(C, k) / T, rel=4 * EPS)
    assert balanced_slope(C, k, ridge=2 * scale * max(C.shape)) == 0
    assert schatten(C, 1) == pytest.approx(ky_fan(C, min(C.shape)), rel=rounding(C))
    frobenius = np.linalg.norm(C / scale)
    assert schatten(C, 2) / scale == pytest.approx(frobenius, rel=rounding(C))
    assert schatten(C, np.inf) == singular_values(C)[0]


@pytest.mark.parametrize("exponent", [-150, -30, 30, 150])
def test_scales(exponent: int) -> None:
    C = sample("gaussian", 5, 4, 0)
    factor = 10.0**exponent
    # Scaling by a power of ten rounds each entry once.
    assert singular_values(factor * C) == pytest.approx(factor * singular_values(C), rel=1e-13)
    assert slope(factor * C, 2) == pytest.approx(factor * (factor * slope(C, 2)), rel=1e-13)
    assert schatten(factor * C, 3) == pytest.approx(factor * schatten(C, 3), rel=1e-13)
    assert (
        singular_values(2.0**exponent * C).tolist() == (2.0**exponent * singular_values(C)).tolist()
    )


def test_norms_of_a_known_spectrum() -> None:
    C = np.diag([3.0, 1.0, 2.0])
    assert singular_values(C) == pytest.approx([3, 2, 1])
    assert ky_fan(C, 2) == pytest.approx(5)
    assert schatten(C, 3) == pytest.approx(36 ** (1 / 3))
    assert slopes(C) == pytest.approx([9 / 3, 13 / 3, 14 / 3])
    assert slope(C, 2) == pytest.approx(13 / 3)
    assert balanced_slope(C, 2, ridge=2.5) == pytest.approx(0.5 / 3)
    assert balanced_slope(C, 3, ridge=1.5) == pytest.approx(2 / 3)
    assert schatten(np.zeros((2, 3)), 3) == 0
    assert isinstance(slope(C, 1), float)
    assert slope([[1, 2], [2, 4]], 1) == pytest.approx(12.5)


def test_stacks() -> None:
    stack = np.stack([sample("gaussian", 4, 3, seed) for seed in range(6)]).reshape(2, 3, 4, 3)
    stack[1, 2] *= 1e-150
    stack[0, 1] *= 1e150
    for index in np.ndindex(2, 3):
        C = stack[index]
        assert singular_values(stack)[index].tolist() == singular_values(C).tolist()
        assert slopes(stack)[index].tolist() == slopes(C).tolist()
        assert slope(stack, 2)[index] == slope(C, 2)
        assert ky_fan(stack, 2)[index] == ky_fan(C, 2)
        assert balanced_slope(stack, 2, 0.1)[index] == balanced_slope(C, 2, 0.1)


@pytest.mark.parametrize("T", [2, 3, 7])
@pytest.mark.parametrize("r", [0.0, 0.3, 1.0])
def test_slope_of_equicorrelated_tasks(T: int, r: float) -> None:
    """Statement 13."""
    C = sample("equicorrelated", T, T, 0, correlation=r)
    for k in range(1, T + 1):
        claimed = (1 + (T - 1) * r + (k - 1) * (1 - r)) / T
        assert slope(C, k) == pytest.approx(claimed, rel=rounding(C))


def test_slope_of_orthonormal_and_tight_tasks() -> None:
    """Statements 4 and 8: min(k, T)/T, and k/r for r equal nonzero singular values."""
    assert slopes(sample("orthonormal", 6, 4, 0)) == pytest.approx(np.arange(1, 5) / 4)
    assert slopes(sample("tight-frame", 3, 8, 0)) == pytest.approx(np.arange(1, 4) / 3)


@pytest.mark.parametrize("tau", [1e-4, 0.3, 1.0, 2.5, 50.0])
def test_marchenko_pastur_density_moments(tau: float) -> None:
    low, high = (1 - np.sqrt(tau)) ** 2, (1 + np.sqrt(tau)) ** 2
    moments = [
        quad(lambda x, m=m: x**m * marchenko_pastur_density(x, tau), low, high, epsabs=1e-10)[0]
        for m in range(3)
    ]
    # Mass min(1, 1/tau); tr G / T -> 1; tr G^2 / T -> 1 + tau. quad meets square roots at the ends.
    assert moments == pytest.approx([min(1, 1 / tau), 1, 1 + tau], rel=1e-6)
    outside = marchenko_pastur_density([-1.0, 0.0, low * 0.99, low, high, 2 * high], tau)
    assert outside.tolist() == [0.0] * 6


@pytest.mark.parametrize("tau", [0.05, 0.5, 1.0, 1.7, 4.0])
def test_marchenko_pastur_partial_mean_is_the_integral(tau: float) -> None:
    low, high = (1 - np.sqrt(tau)) ** 2, (1 + np.sqrt(tau)) ** 2

    def above(q: float, power: int) -> float:
        def integrand(x: float) -> float:
            return x**power * float(marchenko_pastur_density(x, tau))

        return quad(integrand, q, high, epsabs=1e-11, limit=200)[0]

    for share in (0.01, 0.3, 0.8):
        kappa = share * min(1, 1 / tau)
        q = brentq(lambda q, kappa=kappa: above(q, 0) - kappa, low, high)
        # quad's own error near the square-root ends.
        assert marchenko_pastur_partial_mean(tau, kappa) == pytest.approx(above(q, 1), rel=1e-6)


@pytest.mark.parametrize("tau", [1e-12, 1e-3, 0.3, 1.0, 3.0, 1e6])
def test_marchenko_pastur_partial_mean_shape(tau: float) -> None:
    top = min(1, 1 / tau)
    kappas = np.linspace(0, top, 21)
    means = np.array([marchenko_pastur_partial_mean(tau, kappa) for kappa in kappas])
    assert means[0] == 0
    assert means[-1] == pytest.approx(1, abs=1e-12)
    assert marchenko_pastur_partial_mean(tau, 1.0) == 1
    steps = np.diff(means) / np.diff(kappas)  # the mean eigenvalue between two quantiles
    low, high = (1 - np.sqrt(tau)) ** 2, (1 + np.sqrt(tau)) ** 2
    slack = 1e-12 * 20 / top  # the root finder's error in a mean, over a step of kappa
    assert (np.diff(steps) <= slack).all()
    assert low - slack <= steps[-1]
    assert steps[0] <= high + slack


def test_marchenko_pastur_partial_mean_is_continuous_where_its_formula_changes() -> None:
    below, above = (
        marchenko_pastur_partial_mean(1e-6 * (1 + sign * 1e-12), 0.4) for sign in (-1, 1)
    )
    # The closed form at sqrt(tau) = 1e-3 loses eps/1e-3 to cancellation.
    assert below == pytest.approx(above, abs=4 * EPS / 1e-3)
    assert below > 0.4


@pytest.mark.parametrize("tau", [0.25, 1.0, 2.0])
def test_gaussian_slopes_approach_marchenko_pastur(tau: float) -> None:
    """Statement 14."""
    d = 400
    T = int(tau * d)
    slope_by_rank = slopes(sample("gaussian", d, T, 0))
    # Linear spectral statistics scatter by O(1/T), the trace by sqrt(2 tau)/T: five of those, and
    # one eigenvalue, at most the upper edge, on either side of the quantile.
    tolerance = (5 * np.sqrt(2 * tau) + (1 + np.sqrt(tau)) ** 2) / T
    for k in range(1, len(slope_by_rank) + 1, 7):
        limit = marchenko_pastur_partial_mean(tau, k / T)
        assert slope_by_rank[k - 1] == pytest.approx(limit, rel=0, abs=tolerance)


def test_majorises() -> None:
    assert majorises([3, 0, 0], [1, 1, 1])
    assert majorises([0, 3, 0], [1, 2, 0])
    assert not majorises([1, 1, 1], [3, 0, 0])
    assert not majorises([1, 1, 1], [0, 0, 3])
    assert not majorises([3, 0, 0], [1, 1, 0.9])
    assert not majorises([2, 2, 0], [3, 0.5, 0.5])
    assert not majorises([3, 0.5, 0.5], [2, 2, 0])
    assert not majorises([1, 1 - 1e-12], [1, 1])
    assert majorises([0.1 + 0.2, 0.0], [0.3, 0.0])


@seeded
@given(task_matrices(corners=("none", "identical", "zero column", "equal singular values")))
def test_schur_horn(C: np.ndarray) -> None:
    """Eigenvalues of a Gram matrix majorise its diagonal (behind statement 25)."""
    G = C.T @ C
    # eigvalsh errs by n eps of the norm, more than majorises allows for.
    diagonal, eigenvalues = np.diagonal(G), np.linalg.eigvalsh(G)
    excess = rounding(C) * np.trace(G)
    eigenvalues[-1] += excess
    assert majorises(eigenvalues, diagonal + (eigenvalues.sum() - diagonal.sum()) / len(diagonal))
    if diagonal.max() + 1e-6 < eigenvalues.max():
        assert not majorises(diagonal, eigenvalues)


def test_coherence() -> None:
    assert coherence([[1.0, 0.0], [0.0, 2.0]]) == 0
    assert coherence([[1.0, 5.0], [0.0, -5.0]]) == pytest.approx(np.sqrt(0.5))
    assert coherence([[1e-200, 1e200], [1e-200, 1e200]]) == pytest.approx(1)
    assert coherence([[2.0], [1.0]]) == 0
    C = sample("equicorrelated", 5, 5, 0, correlation=-0.2)
    assert coherence(C * [1, 2, 3, 4, 5]) == pytest.approx(0.2, rel=1e-13)
    with pytest.raises(ValueError, match=r"task 1 is zero .* drop column 1"):
        coherence([[1.0, 0.0], [0.0, 0.0]])


@seeded
@given(task_matrices(), st.integers(-1, 7))
def test_rank_is_checked(C: np.ndarray, k: int) -> None:
    top = min(C.shape)
    if 1 <= k <= top:
        assert spectra.check_rank(k, C) == k
        return
    for function in (slope, ky_fan, balanced_slope):
        with pytest.raises(ValueError, match=rf"k={k} .* pass an integer from 1 to {top}"):
            function(C, k)


@pytest.mark.parametrize("k", [1.0, "1", None, True, np.nan])
def test_rank_must_be_an_integer(k: object) -> None:
    with pytest.raises(ValueError, match="pass an integer from 1 to 2"):
        slope(np.eye(2), k)  # type: ignore[arg-type]
    assert slope(np.eye(2), np.int64(1)) == 0.5


@pytest.mark.parametrize(
    ("C", "message"),
    [
        ([1.0, 2.0], r"shape \(2,\), not \(d, T\)"),
        (np.ones((2, 2, 2)), r"shape \(2, 2, 2\), not \(d, T\)"),
        (np.ones((0, 2)), r"shape \(0, 2\): pass at least one task"),
        ([[1.0, np.nan]], r"C\[0, 1\] is nan"),
        ([[1.0], [-np.inf]], r"C\[1, 0\] is -inf"),
        ([[1j]], r"complex"),
        ([[1.0], [1.0, 2.0]], r"real numbers"),
        ([["a"]], r"real numbers"),
        ([[10**400]], r"real numbers"),
    ],
)
def test_bad_task_matrix(C: object, message: str) -> None:
    for function in (task_matrix, coherence, lambda C: schatten(C, 1)):
        with pytest.raises(ValueError, match=message) as caught:
            function(C)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", [singular_values, slopes, lambda C: ky_fan(C, 1)])
def test_a_stack_of_tasks_has_two_axes_at_least(function) -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\), not \(d, T\) or \(\.\.\., d, T\)"):
        function([1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schatten(np.eye(2), 0.5), "p=0.5 .* pass 1 <= p"),
        (lambda: schatten(np.eye(2), np.nan), "p=nan"),
        (lambda: balanced_slope(np.eye(2), 1, -1.0), "ridge=-1.0 .* >= 0"),
        (lambda: balanced_slope(np.eye(2), 1, np.nan), "ridge=nan"),
        (lambda: marchenko_pastur_partial_mean(0.0, 0.5), "tau=0.0"),
        (lambda: marchenko_pastur_density(1.0, np.inf), "tau=inf"),
        (lambda: marchenko_pastur_partial_mean(1.0, 1.5), "kappa=1.5"),
        (lambda: majorises([1.0], [1.0, 2.0]), "pad the shorter"),
        (lambda: majorises([], []), "pad the shorter"),
        (lambda: majorises([np.nan], [1.0]), "finite"),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
