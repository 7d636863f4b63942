"""The closed-form flow against a numerical integration of the matrix equations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from tests.strategies import seeded
from theory.dynamics import balanced_flow, imbalance, learning_time, mode
from theory.geometry import sample

EPS = float(np.finfo(float).eps)
# DOP853 at this relative tolerance per step; some hundred steps follow one another.
RTOL, GLOBAL = 1e-11, 1e-8


def integrate(
    C: np.ndarray, W: np.ndarray, heads: np.ndarray, t: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient flow of 1/2 ||C - W^T heads||_F^2, with the gradients written out."""
    k, d = W.shape

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        w, h = state[: k * d].reshape(k, d), state[k * d :].reshape(k, -1)
        error = C - w.T @ h
        return np.concatenate([(h @ error.T).ravel(), (w @ error).ravel()])

    start = np.concatenate([W.ravel(), heads.ravel()])
    end = solve_ivp(velocity, (0, t), start, method="DOP853", rtol=RTOL, atol=1e-13).y[:, -1]
    return end[: k * d].reshape(k, d), end[k * d :].reshape(k, -1)


SHAPES = [(1, 1, 1), (3, 2, 1), (2, 4, 2), (4, 4, 3), (5, 3, 3)]


@pytest.mark.parametrize(("d", "T", "k"), SHAPES)
@pytest.mark.parametrize("t", [0.0, 0.7, 4.0])
def test_balanced_flow_is_gradient_flow(d: int, T: int, k: int, t: float) -> None:
    C = sample("gaussian", d, T, 1)
    start = balanced_flow(C, k, 0.0, 0.05)
    assert start[0].shape == (k, d)
    assert start[1].shape == (k, T)
    assert start[0] @ start[0].T == pytest.approx(0.05 * np.eye(k), rel=0, abs=16 * EPS)
    W, heads = balanced_flow(C, k, t, 0.05)
    w, h = integrate(C, *start, t) if t else start
    # LAPACK repeats its bits, so both start from the same signs.
    assert pytest.approx(w, rel=0, abs=GLOBAL) == W
    assert pytest.approx(h, rel=0, abs=GLOBAL) == heads
    # Singular vectors are orthonormal to some eps.
    assert np.abs(imbalance(W, heads)).max() <= 16 * EPS * np.abs(W @ W.T).max()


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_balanced_flow_ends_at_the_best_rank_k(scale: float) -> None:
    C = scale * sample("gaussian", 5, 4, 2)
    left, sigma, right = np.linalg.svd(C, full_matrices=False)
    W, heads = balanced_flow(C, 2, 300 / sigma[1], 1e-3 * scale)
    best = (left[:, :2] * sigma[:2]) @ right[:2]
    assert W.T @ heads == pytest.approx(best, rel=0, abs=64 * EPS * sigma[0])


@pytest.mark.parametrize(("d", "T", "k"), SHAPES)
def test_imbalance_is_conserved_from_generic_weights(d: int, T: int, k: int) -> None:
    rng = np.random.default_rng(3)
    W, heads = rng.standard_normal((k, d)), rng.standard_normal((k, T))
    C = sample("gaussian", d, T, 4)
    w, h = integrate(C, W, heads, 2.0)
    assert np.abs(w - W).max() > 0.05
    assert imbalance(w, h) == pytest.approx(imbalance(W, heads), rel=0, abs=GLOBAL)
    assert np.abs(imbalance(W, heads)).max() > 0.1


def test_imbalance_by_hand() -> None:
    difference = imbalance([[1.0, 2.0], [0.0, 1.0]], [[3.0], [1.0]])
    assert difference.tolist() == [[5.0 - 9.0, 2.0 - 3.0], [2.0 - 3.0, 1.0 - 1.0]]


@seeded
@given(
    st.floats(0, 30),
    st.sampled_from([0.0, 1e-12, 1e-5]) | st.floats(1e-12, 10),
    st.floats(1e-6, 20),
)
def test_mode_formula(t: float, sigma: float, initial: float) -> None:
    if sigma == 0:
        claimed = initial / (1 + 2 * t * initial)
    else:  # Saxe et al. as printed: safe here, as sigma is normal and the exponent at most 600
        growth = np.exp(2 * sigma * t)
        claimed = sigma * growth / (np.expm1(2 * sigma * t) + sigma / initial)
    # exp amplifies the rounding of its argument, at most 600.
    assert mode(t, sigma, initial) == pytest.approx(claimed, rel=4 * EPS * 600)


def test_mode_limits() -> None:
    assert mode(0.0, 2.0, 0.3) == pytest.approx(0.3, rel=4 * EPS)
    assert mode(1e9, 2.0, 1e-300) == pytest.approx(2.0, rel=4 * EPS)
    assert mode(5.0, 2.0, 2.0) == pytest.approx(2.0, rel=4 * EPS)
    assert mode(1e3, 0.0, 1.0) == pytest.approx(1 / 2001, rel=4 * EPS)
    assert mode(1.0, 5e-324, 2.0) == pytest.approx(0.4, rel=4 * EPS)
    assert isinstance(mode(1.0, 1.0, 0.1), float)
    # Across the switch to the series of exp, at 2 sigma t = 1e-8, s is smooth.
    below, above = mode(1.0, np.array([0.5e-8 * (1 - 1e-9), 0.5e-8 * (1 + 1e-9)]), 1.0)
    assert below == pytest.approx(above, rel=1e-15)
    table = mode(np.linspace(0, 5, 7)[:, None], np.array([0.0, 1.0, 3.0]), 0.1)
    assert table.shape == (7, 3)
    assert (np.diff(table[:, 1:], axis=0) > 0).all()
    assert (np.diff(table[:, 0]) < 0).all()


@seeded
@given(st.floats(1e-3, 50), st.floats(1e-8, 2), st.floats(0.01, 0.99))
def test_learning_time_inverts_mode(sigma: float, ratio: float, fraction: float) -> None:
    initial = ratio * sigma
    t = learning_time(sigma, initial, fraction)
    if ratio >= fraction:
        assert t == pytest.approx(0, abs=8 * EPS / (1 - fraction) / sigma)
    else:
        assert t > 0
        # t carries a few eps of its logarithm, at most 2 sigma t < 24, and d log s = 2 sigma dt.
        assert mode(t, sigma, initial) == pytest.approx(fraction * sigma, rel=24 * 8 * EPS)


def test_learning_time_of_tiny_modes() -> None:
    # The ratio 1e450 overflows; its logarithm does not.
    assert learning_time(1e150, 1e-300, 0.5) == pytest.approx(450 * np.log(10) / 2e150, rel=8 * EPS)
    assert learning_time([1.0, 2.0], 1e-6, 0.5).shape == (2,)
    assert learning_time(2.0, 1e-6, 0.5) == pytest.approx(np.log(2e6 - 1) / 4, rel=8 * EPS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mode(-1.0, 1.0, 1.0), "t=-1.0 .* >= 0"),
        (lambda: mode(np.inf, 1.0, 1.0), "t=inf"),
        (lambda: mode(1.0, -1.0, 1.0), "sigma=-1.0 .* >= 0"),
        (lambda: mode(1.0, 1.0, 0.0), "initial=0.0 .* > 0"),
        (lambda: learning_time(0.0, 0.1, 0.5), "sigma=0.0 .* > 0"),
        (lambda: learning_time(1.0, 0.1, 1.0), "fraction=1.0 .* 0 < fraction < 1"),
        (lambda: learning_time(1.0, 0.1, np.nan), "fraction=nan"),
        (lambda: balanced_flow(np.eye(2), 3, 1.0, 0.1), "k=3 .* from 1 to 2"),
        (lambda: balanced_flow(np.eye(2), 1, 1.0, 0.0), "initial=0.0"),
        (lambda: balanced_flow(np.eye(2), 1, [1.0, 2.0], 0.1), "once per time"),
        (lambda: imbalance(np.ones((2, 3)), np.ones((1, 3))), r"W \(2, 3\) and heads \(1, 3\)"),
        (lambda: imbalance(np.ones(3), np.ones(3)), "k rows"),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
