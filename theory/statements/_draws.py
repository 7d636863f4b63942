"""Seeded random instances for statements that speak of more than C and k, and exact means over noise."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory import geometry
from theory.representation import optimal_representation

Array = NDArray[np.float64]

SCALES = (1.0, 1e-100, 1e100, 1e-6)


def tasks(rng: np.random.Generator, i: int, most: int = 4) -> tuple[Array, int]:
    """C (d, T) with d, T <= most and a k: every geometry in turn, repeated and zero tasks and scales among them."""
    d, T = (int(n) for n in rng.integers(1, most, size=2, endpoint=True))
    kinds = [kind for kind in geometry.existing(d, T) if kind != "adversarial"]
    C = geometry.sample(kinds[i % len(kinds)], d, T, int(rng.integers(2**31)))
    if i % 7 == 3:
        C[:, -1] = 0 if i % 2 else C[:, 0]
    if i % 11 == 5:
        C *= SCALES[(i // 11) % len(SCALES)]
    return C, int(rng.integers(1, min(d, T), endpoint=True))


def representation(rng: np.random.Generator, i: int, C: Array, k: int) -> tuple[Array, Array]:
    """W (k, d) and heads (k, T): free, near the optimum and the optimum itself, in turn."""
    best = optimal_representation(C, k)
    amount = (1.0, 1e-3, 0.0)[i % 3]
    keep = 0.0 if amount == 1 else 1.0
    size = float(np.abs(C).max())
    W = keep * best.W + amount * rng.standard_normal(best.W.shape)
    heads = keep * best.heads + amount * size * rng.standard_normal(best.heads.shape)
    return W, heads


def inputs(rng: np.random.Generator, i: int, d: int) -> Array:
    """X (n, d), the sample with S = X' X / n: S = I every other time, else of any rank from 1 to d."""
    if i % 2 == 0:
        return np.sqrt(d) * np.eye(d)
    n = int(rng.integers(1, d + 1, endpoint=True))
    return rng.standard_normal((n, d)) * rng.choice([0.1, 1.0, 3.0], size=d)


def two_point(odds: int, *shapes: tuple[int, ...]) -> tuple[list[Array], Array]:
    """Every value of iid noise with zero mean and unit variance that takes two values, and its probabilities (m,).

    An entry is sqrt(odds) with probability 1 / (1 + odds), else -1 / sqrt(odds): signs for odds = 1, skew beyond. One
    array (m, *shape) for each shape, m = 2^(number of entries).
    """
    sizes = [int(np.prod(shape)) for shape in shapes]
    high = (np.arange(2 ** sum(sizes))[:, None] >> np.arange(sum(sizes))) & 1
    noise = np.where(high == 1, np.sqrt(odds), -1 / np.sqrt(odds))
    count = high.sum(axis=1)
    probability = (1 / (1 + odds)) ** count * (odds / (1 + odds)) ** (sum(sizes) - count)
    parts = np.split(noise, np.cumsum(sizes)[:-1], axis=1)
    return [p.reshape(-1, *shape) for p, shape in zip(parts, shapes, strict=True)], probability


def risks(W: Any, heads: Any, C: Any, X: Any) -> Array:
    """|X (C - W' heads)|^2 / (n T) for a stack of W (m, k, d) and heads (k, T) or (m, k, T), shape (m,)."""
    errors = X @ (C - np.swapaxes(W, -1, -2) @ heads)
    return np.asarray((errors**2).sum(axis=(-2, -1)) / (len(X) * C.shape[1]))
