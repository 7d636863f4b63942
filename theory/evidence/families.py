"""Families of task matrices C (d, T) for the search: each has one number that runs over all that it can look like.

A family draws C at a point of [0, 1]: a coherence, the place of a ratio or a scale among its decades, a density. Those
that need no number ignore it. `None` says that the family does not exist at that shape.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from theory import geometry

Array = NDArray[np.float64]
Generator = np.random.Generator
Draw = Callable[[int, int, float, Generator], Array | None]

DECADES = 12.0
"""Of ratios between singular values, norms of tasks and perturbations; float64 resolves some 15."""
SCALES = 150.0
"""Decades of the entries on either side of 1: what theory.spectra promises."""


def _haar(rng: Generator, n: int, m: int) -> Array:
    """Uniform orthonormal columns (n, m), m <= n."""
    Q, R = np.linalg.qr(rng.standard_normal((n, m)))
    return Q * np.where(np.diagonal(R) < 0, -1.0, 1.0)


def with_spectrum(d: int, T: int, sigma: Array, rng: Generator, *, diagonal: bool) -> Array:
    """A matrix with these singular values (r,), on the diagonal or between uniform orthonormal factors."""
    if diagonal:
        C = np.zeros((d, T))
        np.fill_diagonal(C[: len(sigma), : len(sigma)], sigma)
        return C
    return (_haar(rng, d, len(sigma)) * sigma) @ _haar(rng, T, len(sigma)).T


def _unit(C: Array) -> Array:
    norms = np.linalg.norm(C, axis=0)
    return C / np.where(norms == 0, 1.0, norms)


def flat(d: int, T: int, rng: Generator) -> Array:
    """Unit tasks whose nonzero singular values are equal: axes, uniform orthonormal tasks, or a tight frame."""
    choice = rng.integers(2)
    if choice == 0:
        return np.eye(d)[:, np.arange(T) % d]
    return geometry.sample("tight-frame", d, T, int(rng.integers(2**31)))


def _rank(rng: Generator, d: int, T: int, least: int = 1) -> int:
    """A rank from least to min(d, T): two, full, and the others."""
    full = min(d, T)
    least = min(least, full)
    return (min(max(2, least), full), full, int(rng.integers(least, full + 1)))[rng.integers(3)]


# --- one number: coherence -------------------------------------------------------------------------------------------


def _correlated(d: int, T: int, at: float, rng: Generator) -> Array:
    """Unit tasks, each at correlation sqrt(at) to one direction, tight in the others: coherence `at` where d > T."""
    if d == 1:
        return np.where(rng.random((1, T)) < at, 1.0, -1.0)
    return np.vstack([np.full((1, T), np.sqrt(at)), np.sqrt(1 - at) * flat(d - 1, T, rng)])


def _anticorrelated(d: int, T: int, at: float, rng: Generator) -> Array | None:
    """Unit tasks, every two at correlation -at / (T - 1)."""
    correlation = -at / (T - 1) if T > 1 else 0.0
    kind = geometry.KINDS["equicorrelated"]
    if not kind.exists(d, T, correlation=correlation):
        return None
    return kind.sampler(rng, d, T, correlation=correlation)


def _one_pair(d: int, T: int, at: float, rng: Generator) -> Array | None:
    """Orthonormal tasks but for one pair at correlation +-at."""
    if T < 2 or d < T:
        return None
    C = np.eye(d, T)
    C[0, 1], C[1, 1] = at * rng.choice([-1.0, 1.0]), np.sqrt(1 - at**2)
    return C


def _graph(d: int, T: int, at: float, rng: Generator) -> Array | None:
    """Unit tasks with Gram matrix I + at A / |least eigenvalue of A|, A a random signed graph."""
    if T < 2 or d < T:
        return None
    signs = rng.choice([-1.0, 1.0] if rng.random() < 0.5 else [-1.0, 0.0, 1.0], size=(T, T))
    A = np.triu(signs, 1) + np.triu(signs, 1).T
    values, vectors = np.linalg.eigh(A)
    if values[0] == 0:
        return None
    root = np.sqrt(np.maximum(1 - at * values / values[0], 0))[:, None] * vectors.T
    return np.vstack([_unit(root), np.zeros((d - T, T))])


def _fan(d: int, T: int, at: float, rng: Generator) -> Array | None:
    """Unit tasks in a plane, neighbours at the angle pi at."""
    if d < 2:
        return None
    angles = np.pi * at * np.arange(T)
    return np.vstack([np.cos(angles), np.sin(angles), np.zeros((d - 2, T))])


def _autoregressive(d: int, T: int, at: float, rng: Generator) -> Array:
    """Entries (2 at - 1)^|i - j|."""
    return (2.0 * at - 1) ** np.abs(np.subtract.outer(np.arange(d), np.arange(T)))


def _clustered(d: int, T: int, at: float, rng: Generator) -> Array:
    """Unit tasks at 10^(-DECADES at) from a few centres."""
    clusters = int(rng.integers(1, min(4, T) + 1))
    spread = 10 ** (-DECADES * at)
    return geometry.sample(
        "clustered", d, T, int(rng.integers(2**31)), clusters=clusters, spread=spread
    )


def _nearly_parallel(d: int, T: int, at: float, rng: Generator) -> Array:
    direction = rng.choice([np.ones(d), np.eye(d)[0], rng.standard_normal(d)])
    return direction[:, None] + 10 ** (-(DECADES + 3) * at) * rng.standard_normal((d, T))


def _nearly_flat(d: int, T: int, at: float, rng: Generator) -> Array:
    return flat(d, T, rng) + 10 ** (-(DECADES + 3) * at) * rng.standard_normal((d, T))


# --- one number: a ratio ---------------------------------------------------------------------------------------------


def _two_levels(d: int, T: int, at: float, rng: Generator) -> Array:
    """Some singular values 1, the rest 10^(-DECADES at), of any rank."""
    rank = _rank(rng, d, T, 2)
    large = int(rng.integers(1, max(rank, 2)))
    sigma = np.where(np.arange(rank) < large, 1.0, 10 ** (-DECADES * at))
    return with_spectrum(d, T, sigma, rng, diagonal=rng.random() < 0.4)


def _graded_spectrum(d: int, T: int, at: float, rng: Generator) -> Array:
    """Singular values in geometric progression from 1 to 10^(-DECADES at), of any rank."""
    rank = _rank(rng, d, T, 2)
    sigma = 10 ** (-DECADES * at * np.arange(rank) / max(rank - 1, 1))
    return with_spectrum(d, T, sigma, rng, diagonal=rng.random() < 0.4)


def _power_law(d: int, T: int, at: float, rng: Generator) -> Array:
    return geometry.sample("power-law", d, T, int(rng.integers(2**31)), alpha=4 * at)


def _nearly_equal_spectrum(d: int, T: int, at: float, rng: Generator) -> Array:
    rank = _rank(rng, d, T, 2)
    sigma = 1.0 + 10 ** (-DECADES * at) * np.arange(float(rank))[::-1]
    return with_spectrum(d, T, sigma, rng, diagonal=rng.random() < 0.4)


def _scaled(
    axis: int, graded: bool, sign: float, d: int, T: int, at: float, rng: Generator
) -> Array:
    """Unit tasks, one of them (or of the rows) 10^(sign DECADES at) times longer, or each longer than the last."""
    C = _unit(rng.standard_normal((d, T))) if rng.random() < 0.7 else flat(d, T, rng)
    n = C.shape[axis]
    place = np.arange(n) / max(n - 1, 1) if graded else np.arange(n) == rng.integers(n)
    factors = 10 ** (sign * DECADES * at * place)
    return C * (factors if axis == 1 else factors[:, None])


def _dominant_entry(d: int, T: int, at: float, rng: Generator) -> Array:
    C = rng.standard_normal((d, T))
    C[rng.integers(d), rng.integers(T)] = 10 ** (DECADES * at)
    return C


def _one_scale(d: int, T: int, at: float, rng: Generator) -> Array:
    """A small matrix of any kind at a scale from 10^-SCALES to 10^SCALES."""
    kind = rng.integers(4)
    C = (
        flat(d, T, rng)
        if kind == 0
        else np.ones((d, T))
        if kind == 1
        else rng.integers(-2, 3, size=(d, T)).astype(float)
        if kind == 2
        else rng.standard_normal((d, T))
    )
    return C * 10 ** (SCALES * (2 * at - 1))


def _one_norm(d: int, T: int, at: float, rng: Generator) -> Array:
    """Tasks of one norm, from 1e-3 to 1e3, uniform or around a direction."""
    C = rng.standard_normal((d, T)) + rng.choice([0.0, 1.0, 10.0])
    return 10 ** (6 * at - 3) * _unit(C)


# --- one number: others ----------------------------------------------------------------------------------------------


def _sparse(d: int, T: int, at: float, rng: Generator) -> Array:
    values = rng.standard_normal((d, T)) if rng.random() < 0.5 else np.ones((d, T))
    return np.where(rng.random((d, T)) < at, values, 0.0)


def _offset(d: int, T: int, at: float, rng: Generator) -> Array:
    """Gaussian entries about a mean from 0.01 to 100."""
    return rng.standard_normal((d, T)) + 10 ** (4 * at - 2)


def _integers(d: int, T: int, at: float, rng: Generator) -> Array:
    """Uniform integers in [-b, b] for b = 1 to 1000."""
    bound = int(10 ** (3 * at))
    return rng.integers(-bound, bound, size=(d, T), endpoint=True).astype(float)


def _blocks(d: int, T: int, at: float, rng: Generator) -> Array:
    """Identical tasks, and a multiple `at` of orthogonal ones in the other dimensions."""
    D, S = int(rng.integers(1, d + 1)), int(rng.integers(1, T + 1))
    C = np.zeros((d, T))
    C[:D, :S] = 1 / np.sqrt(D)
    if d > D and S < T:
        C[D:, S:] = at * flat(d - D, T - S, rng)
    return C


def _low_rank(d: int, T: int, at: float, rng: Generator) -> Array:
    """Exactly singular where it can be: integer factors of a rank below min(d, T)."""
    rank = max(1, min(d, T) - 1 - int(at * max(min(d, T) - 1, 0)))
    factors = (rng.integers(-2, 3, size=(d, rank)), rng.integers(-2, 3, size=(rank, T)))
    return (factors[0] @ factors[1]).astype(float)


# --- no number -------------------------------------------------------------------------------------------------------


def hadamard(n: int) -> Array:
    """Sylvester's matrix of signs, orthogonal, of the least power of two >= n."""
    H = np.ones((1, 1))
    while len(H) < n:
        H = np.block([[H, H], [H, -H]])
    return H


def _square(d: int, T: int, at: float, rng: Generator) -> Array | None:
    """Structured square matrices: symmetric, positive, skew, circulant, triangular, nilpotent, Hilbert, projections."""
    if d != T:
        return None
    G = rng.standard_normal((d, d))
    i, j = np.indices((d, d))
    P = _haar(rng, d, int(rng.integers(1, d + 1)))
    forms = [
        G + G.T,
        G @ G.T,
        G - G.T,
        G[0][(j - i) % d],
        np.tril(np.ones((d, d))),
        np.eye(d, k=1),
        1.0 / (i + j + 1),
        P @ P.T,
        np.eye(d)[rng.permutation(d)],
        d * np.eye(d) - 1,
        np.triu(-np.ones((d, d)), 1) + np.eye(d),
    ]
    return forms[int(rng.integers(len(forms)))]


def _plain(name: str, d: int, T: int, at: float, rng: Generator) -> Array | None:
    if name == "signs":
        return rng.choice([-1.0, 1.0], size=(d, T))
    if name == "hadamard":
        return hadamard(max(d, T))[:d, :T]
    if name == "ones":
        return np.ones((d, T))
    if name == "one axis":
        return np.eye(d)[:, np.zeros(T, dtype=int)]
    if name == "flat":
        return flat(d, T, rng)
    if name == "positive":
        return np.abs(rng.standard_normal((d, T)))
    if name == "spare task":
        return np.hstack([flat(d, T - 1, rng), np.zeros((d, 1))]) if T > 1 else None
    if name == "copied task":
        C = rng.standard_normal((d, T))
        C[:, -1] = C[:, 0] * rng.choice([-1.0, 1.0])
        return C
    if name == "vandermonde":
        return np.vander(np.linspace(-1, 1, d), T)
    kind = geometry.KINDS[name]
    if not kind.exists(d, T, **kind.defaults):
        return None
    return kind.sampler(rng, d, T, **kind.defaults)


_NUMBERED: dict[str, Draw] = {
    "correlated": _correlated,
    "anticorrelated": _anticorrelated,
    "one pair": _one_pair,
    "graph": _graph,
    "fan": _fan,
    "autoregressive": _autoregressive,
    "clustered": _clustered,
    "nearly parallel": _nearly_parallel,
    "nearly flat": _nearly_flat,
    "two levels": _two_levels,
    "graded spectrum": _graded_spectrum,
    "power law": _power_law,
    "nearly equal spectrum": _nearly_equal_spectrum,
    "dominant task": partial(_scaled, 1, False, 1.0),
    "weak task": partial(_scaled, 1, False, -1.0),
    "graded tasks": partial(_scaled, 1, True, 1.0),
    "dominant row": partial(_scaled, 0, False, 1.0),
    "graded rows": partial(_scaled, 0, True, 1.0),
    "dominant entry": _dominant_entry,
    "one norm": _one_norm,
    "sparse": _sparse,
    "offset": _offset,
    "integers": _integers,
    "blocks": _blocks,
    "low rank": _low_rank,
    "one scale": _one_scale,
}
_NAMED = (
    *("ones", "flat", "gaussian", "sphere", "signs", "one axis", "hadamard", "positive", "simplex"),
    *("copied task", "spare task", "vandermonde"),
)

FAMILIES: dict[str, Draw] = (
    _NUMBERED | {name: partial(_plain, name) for name in _NAMED} | {"square": _square}
)
"""Every family by name."""
NUMBERED = tuple(_NUMBERED)
"""Those that turn on their number."""
