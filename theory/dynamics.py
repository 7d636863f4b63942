"""Gradient flow of the multitask linear model in closed form: statement 29.

Loss and time unit: W' = -dL/dW and heads' = -dL/dheads with L = 1/2 ||C - W^T heads||_F^2, not
divided by T, so time (learning rate times steps) is in units of 1/sigma. The mean risk R = 2 L / T
takes the same path at another pace: its flow at time t is this one at time 2 t / T.

Source  Saxe, McClelland, Ganguli 2014, arXiv 1312.6120.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.spectra import check_rank, task_matrix

Array = NDArray[np.float64]


def _range(name: str, values: ArrayLike, meaning: str, *, positive: bool = False) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(array).all() and ((array > 0) if positive else (array >= 0)).all()):
        bound = "> 0" if positive else ">= 0"
        raise ValueError(f"{name}={values!r} is not {meaning}: pass finite numbers {bound}")
    return array


def _number(values: Any) -> Any:
    return float(values) if np.ndim(values) == 0 else values


def mode(t: ArrayLike, sigma: ArrayLike, initial: ArrayLike) -> Any:
    """Strength s(t) of a mode with singular value sigma >= 0 that starts at s(0) = initial > 0.

    s' = 2 s (sigma - s), hence s = sigma e^{2 sigma t} / (e^{2 sigma t} - 1 + sigma/initial), and
    s = initial / (1 + 2 t initial) at sigma = 0. Arguments broadcast; t >= 0.
    """
    t = _range("t", t, "a time")
    sigma = _range("sigma", sigma, "a singular value")
    initial = _range("initial", initial, "a starting strength", positive=True)
    exponent = 2 * sigma * t
    small = exponent < 1e-8  # there 1 - x/2 is (1 - e^{-x}) / x to x^2/6 < eps
    saturating = -np.expm1(-exponent) / np.where(small, 1.0, sigma)
    growth = np.where(small, 2 * t * (1 - np.where(small, exponent, 0.0) / 2), saturating)
    return _number(1 / (growth + np.exp(-exponent) / initial))


def balanced_flow(C: ArrayLike, k: int, t: float, initial_scale: float) -> tuple[Array, Array]:
    """W (k, d) and heads (k, T) at time t >= 0, from balanced weights aligned with C (d, T).

    C = U diag(sigma) V^T and s0 = initial_scale > 0: the flow starts at W = sqrt(s0) U_k^T and
    heads = sqrt(s0) V_k^T, and W^T heads keeps those vectors with strengths mode(t, sigma_i, s0).
    """
    matrix = task_matrix(C)
    k = check_rank(k, matrix)
    if np.ndim(t) or np.ndim(initial_scale):
        raise ValueError("t and initial_scale must be numbers: call balanced_flow once per time")
    left, sigma, right = np.linalg.svd(matrix, full_matrices=False)
    root = np.sqrt(mode(t, sigma[:k], initial_scale))[:, None]
    return root * left[:, :k].T, root * right[:k]


def imbalance(W: ArrayLike, heads: ArrayLike) -> Array:
    """W W^T - heads heads^T (k, k), which gradient flow at any W (k, d), heads (k, T) keeps."""
    first, second = np.asarray(W, dtype=np.float64), np.asarray(heads, dtype=np.float64)
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second):
        raise ValueError(
            f"W {first.shape} and heads {second.shape} do not share k rows: "
            "pass W (k, d) and heads (k, T)"
        )
    return first @ first.T - second @ second.T


def learning_time(sigma: ArrayLike, initial: ArrayLike, fraction: ArrayLike) -> Any:
    """Time at which mode(t, sigma, initial) reaches fraction * sigma; 0 if it starts above.

    log[fraction (sigma - initial) / (initial (1 - fraction))] / (2 sigma), for sigma, initial > 0
    and 0 < fraction < 1. Arguments broadcast.
    """
    sigma = _range("sigma", sigma, "a singular value that is learned", positive=True)
    initial = _range("initial", initial, "a starting strength", positive=True)
    share = np.asarray(fraction, dtype=np.float64)
    if not ((share > 0) & (share < 1)).all():
        raise ValueError(f"fraction={fraction!r} is never or always reached: pass 0 < fraction < 1")
    gap = np.maximum(share * sigma - initial, 0)
    with np.errstate(divide="ignore"):  # a mode that starts above has log 0, hence time 0
        log_ratio = np.log(gap) - np.log(initial) - np.log1p(-share)
    return _number(np.logaddexp(0, log_ratio) / (2 * sigma))
