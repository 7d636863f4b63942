"""Retractions: ways to make a task matrix C (d, T) have what hypotheses ask for, and to learn which a claim needs.

A retraction maps any matrix to one with a property (unit tasks, sums of zero, a rank, signs), near it where it nearly
has the property; `like` is the matrix that a search started from, whose rank or norms are to be kept. It knows nothing
of the hypotheses: which of them makes matrices admissible is found by trying.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Retraction = Callable[[Array, Array], Array | None]


def unit_columns(C: Array) -> Array | None:
    """Every task over its norm; None if one is zero."""
    largest = np.abs(C).max(axis=0)
    if not largest.all():
        return None
    near = C / largest
    return near / np.linalg.norm(near, axis=0)


def _polar(C: Array) -> Array:
    left, _, right = np.linalg.svd(C, full_matrices=False)
    return left @ right


def _of_norm(order: Literal["fro", 2]) -> Callable[[Array], Array | None]:
    def scaled(C: Array) -> Array | None:
        largest = np.abs(C).max()
        return C / largest / np.linalg.norm(C / largest, order) if largest else None

    return scaled


def centred(C: Array) -> Array:
    """The tasks less their mean, so that they sum to zero."""
    return C - C.mean(axis=1, keepdims=True)


def _equal_norms(C: Array) -> Array | None:
    unit = unit_columns(C)
    return None if unit is None else unit * np.linalg.norm(C) / np.sqrt(C.shape[1])


def _alternating(first: Callable[[Array], Array], last: Retraction) -> Retraction:
    """Both properties, by alternating projections; None where they do not converge in 200 rounds."""

    def near(C: Array, like: Array) -> Array | None:
        for _ in range(200):
            moved = last(first(C), like)
            if moved is None:
                return None
            if np.abs(first(moved) - moved).max() <= 1e-13 * np.abs(moved).max():
                return moved
            C = moved
        return None

    return near


def rank_of(C: Array) -> int:
    """The numerical rank of C, at least 1."""
    return max(1, int(np.linalg.matrix_rank(C)))


def _same_rank(C: Array, like: Array) -> Array:
    left, sigma, right = np.linalg.svd(C, full_matrices=False)
    rank = rank_of(like)
    return (left[:, :rank] * sigma[:rank]) @ right[:rank]


def _same_norms(C: Array, like: Array) -> Array | None:
    unit = unit_columns(C)
    return None if unit is None else unit * np.linalg.norm(like, axis=0)


def _same_spectrum(C: Array, like: Array) -> Array:
    left, _, right = np.linalg.svd(C, full_matrices=False)
    return (left * np.linalg.svd(like, compute_uv=False)) @ right


def _same_support(C: Array, like: Array) -> Array:
    return np.where(like == 0, 0.0, C)


def _square(part: Callable[[Array], Array | None]) -> Callable[[Array], Array | None]:
    return lambda C: part(C) if C.shape[0] == C.shape[1] else None


def _semidefinite(C: Array) -> Array:
    values, vectors = np.linalg.eigh((C + C.T) / 2)
    return (vectors * np.maximum(values, 0)) @ vectors.T


def _doubly_centred(C: Array) -> Array:
    return centred(centred(C).T).T


def _stochastic(axis: int) -> Callable[[Array], Array | None]:
    def shares(C: Array) -> Array | None:
        total = np.abs(C).sum(axis=axis, keepdims=True)
        return np.abs(C) / total if total.all() else None

    return shares


def _unit_determinant(C: Array) -> Array | None:
    size = abs(np.linalg.det(C))
    return C / size ** (1 / len(C)) if size > 0 else None


def _transposed(projection: Callable[[Array], Array | None]) -> Callable[[Array], Array | None]:
    def rows(C: Array) -> Array | None:
        near = projection(C.T)
        return None if near is None else near.T

    return rows


def _alone(projection: Callable[[Array], Array | None]) -> Retraction:
    return lambda C, like: projection(C)


RETRACTIONS: dict[str, Retraction] = {
    "none": _alone(lambda C: C),
    "columns": _alone(unit_columns),
    "centred": _alone(centred),
    "centred columns": _alternating(centred, _alone(unit_columns)),
    "equal norms": _alone(_equal_norms),
    "centred equal norms": _alternating(centred, _alone(_equal_norms)),
    "orthonormal": _alone(_polar),
    "norm": _alone(_of_norm("fro")),
    "centred norm": _alone(lambda C: _of_norm("fro")(centred(C))),
    "spectral norm": _alone(_of_norm(2)),
    "nonnegative": _alone(np.abs),
    "nonnegative columns": _alone(lambda C: unit_columns(np.abs(C))),
    "rows": _alone(_transposed(unit_columns)),
    "centred rows": _alone(_transposed(centred)),
    "doubly centred": _alone(_doubly_centred),
    "symmetric": _alone(_square(lambda C: (C + C.T) / 2)),
    "semidefinite": _alone(_square(_semidefinite)),
    "skew": _alone(_square(lambda C: (C - C.T) / 2)),
    "traceless": _alone(_square(lambda C: C - np.trace(C) / len(C) * np.eye(len(C)))),
    "unit determinant": _alone(_square(_unit_determinant)),
    "rank": _same_rank,
    "rank columns": lambda C, like: unit_columns(_same_rank(C, like)),
    "norms": _same_norms,
    "spectrum": _same_spectrum,
    "support": _same_support,
    "column shares": _alone(_stochastic(0)),
    "row shares": _alone(_stochastic(1)),
    "below one": _alone(lambda C: C / max(1.0, np.abs(C).max())),
    "sum one": _alone(lambda C: C / C.sum() if C.sum() else None),
    "sum zero": _alone(lambda C: C - C.mean()),
    "integers": _alone(np.rint),
    "signs": _alone(lambda C: np.where(C < 0, -1.0, 1.0)),
    "zero or one": _alone(lambda C: np.where(C > 0, 1.0, 0.0)),
}
"""By name, the more general first where several may serve."""

DISCRETE = ("integers", "signs", "zero or one")
"""Those that small moves do not leave."""

NORMALISING = ("columns", "nonnegative columns", "orthonormal")
"""Those whose tasks have norm 1: a witness is made exact along rational directions."""


def retract(name: str, C: Array, like: Array) -> Array | None:
    """C with the property of that name; None where it has none, or where float64 has no room for it."""
    with np.errstate(all="ignore"):
        try:
            near = RETRACTIONS[name](C, like)
        except np.linalg.LinAlgError:
            return None
    return near if near is not None and np.isfinite(near).all() else None


def keeping(
    C: Array, admits: Callable[[Array], bool], rng: np.random.Generator, known: Iterator[str]
) -> str | None:
    """The first retraction by which small moves of C are admissible again; None if none is."""
    size = float(np.abs(C).max()) or 1.0
    moves = [size * step * rng.standard_normal(C.shape) for step in (1e-2, 1e-1)]
    for name in known:
        if name in DISCRETE:
            continue
        back = (retract(name, C + move, C) for move in moves)
        if all(near is not None and admits(near) for near in back):
            return name
    return None
