"""Task geometries: seeded samplers of the task matrix C (d, T), one column per task.

`sample("sphere", 8, 4, seed=0)` draws one; KINDS says what each kind is, its options and where it
exists. Equal arguments give equal bits, and "nested in T" means that the first T columns of a
sample of T + 1 tasks are the sample of T.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.spectra import level_columns

Array = NDArray[np.float64]
Generator = np.random.Generator
Objective = Callable[[Array], tuple[float, Array]]
Sampler = Callable[..., Array]

# Not default_rng(seed) itself: noise drawn elsewhere from the same seed must not repeat C.
_STREAM = int.from_bytes(b"geometry", "big")
# An eigenvalue of an equicorrelated Gram matrix this near 0 is 0: -1/(T-1) comes rounded.
_ROUNDING = 16 * float(np.finfo(float).eps)


@dataclass(frozen=True)
class Kind:
    """One geometry: sampler(rng, d, T, **options) -> C, defined where exists(d, T, **options)."""

    description: str
    sampler: Sampler
    exists: Callable[..., bool]
    where: str  # `exists` in words
    unit: bool  # every column has norm 1
    defaults: Mapping[str, Any]


_kinds: dict[str, Kind] = {}
KINDS: Mapping[str, Kind] = MappingProxyType(_kinds)


def sample(kind: str, d: int, T: int, seed: int, **options: Any) -> Array:
    """Draw C (d, T) float64 of a kind in KINDS; options replace that kind's defaults.

    ValueError for an unknown kind or option, an option out of range, or a geometry that does not
    exist at this (d, T).
    """
    if kind not in KINDS:
        raise ValueError(f"unknown geometry {kind!r}: pass one of {', '.join(KINDS)}")
    chosen = KINDS[kind]
    d, T, seed = _whole("d", d, 1), _whole("T", T, 1), _whole("seed", seed, 0)
    if unknown := sorted(set(options) - set(chosen.defaults)):
        raise ValueError(
            f"geometry {kind!r} has no option {unknown[0]!r}: "
            f"its options are {', '.join(chosen.defaults) or 'none'}"
        )
    options = dict(chosen.defaults) | {
        name: _OPTIONS[name](name, options[name]) for name in options
    }
    if not chosen.exists(d, T, **options):
        given = "".join(f", {name}={value!r}" for name, value in options.items())
        raise ValueError(
            f"geometry {kind!r} does not exist at d={d}, T={T}{given}: it needs {chosen.where}"
        )
    rng = np.random.default_rng([seed, _STREAM])
    return np.ascontiguousarray(chosen.sampler(rng, d, T, **options))


def existing(d: int, T: int) -> list[str]:
    """The kinds that exist at (d, T) with their default options."""
    d, T = _whole("d", d, 1), _whole("T", T, 1)
    return [name for name, kind in KINDS.items() if kind.exists(d, T, **kind.defaults)]


def slope_rise(C: Array, k: int) -> tuple[float, Array]:
    """rho_k(C) - rho_k(C without its last column), and its gradient (d, T).

    Statement 11 bounds its mean over which column is last; 1 <= k <= min(d, T - 1). Where
    sigma_k = sigma_{k+1} the gradient is one of several.
    """
    value, gradient = _slope_and_gradient(C, k)
    without, gradient_without = _slope_and_gradient(C[:, :-1], k)
    gradient[:, :-1] -= gradient_without
    return value - without, gradient


def _slope_and_gradient(C: Array, k: int) -> tuple[float, Array]:
    left, sigma, right = np.linalg.svd(C, full_matrices=False)
    T = C.shape[1]
    return float((sigma[:k] ** 2).sum() / T), (2 / T) * (left[:, :k] * sigma[:k]) @ right[:k]


# --- the kinds -------------------------------------------------------------------------------


def _kind(
    name: str,
    description: str,
    exists: Callable[..., bool] = lambda d, T, **options: True,
    where: str = "d >= 1 and T >= 1",
    *,
    unit: bool = True,
    **defaults: Any,
) -> Callable[[Sampler], Sampler]:
    def register(sampler: Sampler) -> Sampler:
        options = MappingProxyType(defaults)
        _kinds[name] = Kind(description, sampler, exists, where, unit, options)
        return sampler

    return register


def _unit(C: Array) -> Array:
    return C / np.linalg.norm(C, axis=0)


@_kind("orthonormal", "uniform orthonormal tasks", lambda d, T: d >= T, "d >= T")
def _haar(rng: Generator, d: int, T: int) -> Array:
    Q, R = np.linalg.qr(rng.standard_normal((d, T)))
    return Q * np.where(np.diagonal(R) < 0, -1.0, 1.0)  # R's signs are LAPACK's, not uniform


@_kind("gaussian", "iid N(0, 1/d) entries, nested in T", unit=False)
def _gaussian(rng: Generator, d: int, T: int) -> Array:
    return rng.standard_normal((T, d)).T / np.sqrt(d)  # task after task, hence nested


@_kind("sphere", "iid uniform unit tasks, nested in T")
def _sphere(rng: Generator, d: int, T: int) -> Array:
    return _unit(_gaussian(rng, d, T))


def _equicorrelated_energies(T: int, correlation: float) -> Array:
    """Eigenvalues (T,) of (1-r) I + r 11^T, that of the vector 1 first, rounding removed."""
    energies = np.full(T, 1 - correlation)
    energies[0] = 1 + (T - 1) * correlation
    return np.where(np.abs(energies) <= _ROUNDING, 0.0, energies)


def _equicorrelated_exists(d: int, T: int, correlation: float) -> bool:
    energies = _equicorrelated_energies(T, correlation)
    return bool(energies.min() >= 0 and np.count_nonzero(energies) <= d)


@_kind(
    "equicorrelated",
    "unit tasks, every two with the same correlation",
    _equicorrelated_exists,
    "correlation >= -1/(T-1) and d >= T (d >= T-1 if they are equal, any d if correlation is 1)",
    correlation=0.5,
)
def _equicorrelated(rng: Generator, d: int, T: int, correlation: float) -> Array:
    helmert = np.tril(np.ones((T, T)), -1) - np.diag(np.arange(float(T)))
    helmert[0] = 1  # the vector 1, orthogonal to the other rows as they are to each other
    helmert /= np.linalg.norm(helmert, axis=1, keepdims=True)
    energies = _equicorrelated_energies(T, correlation)
    root = (np.sqrt(energies)[:, None] * helmert)[energies > 0]
    return _unit(_haar(rng, d, len(root)) @ root)


@_kind(
    "clustered",
    "unit tasks around uniform centres in turn; spread is the length of the deviation",
    lambda d, T, clusters, spread: clusters <= T,
    "clusters <= T",
    clusters=2,
    spread=0.3,
)
def _clustered(rng: Generator, d: int, T: int, clusters: int, spread: float) -> Array:
    centres = _sphere(rng, d, clusters)
    return _unit(centres[:, np.arange(T) % clusters] + spread * _gaussian(rng, d, T))


@_kind("power-law", "sigma_i = c i^-alpha, sum of squares T, Haar vectors", unit=False, alpha=1.0)
def _power_law(rng: Generator, d: int, T: int, alpha: float) -> Array:
    sigma = np.arange(1.0, min(d, T) + 1) ** -alpha
    sigma *= np.sqrt(T) / np.linalg.norm(sigma)
    return (_haar(rng, d, len(sigma)) * sigma) @ _haar(rng, T, len(sigma)).T


@_kind(
    "low-rank",
    "a gaussian product of that rank, mean squared norm 1, plus noise times gaussian",
    lambda d, T, rank, noise: rank <= min(d, T),
    "rank <= min(d, T)",
    unit=False,
    rank=2,
    noise=0.1,
)
def _low_rank(rng: Generator, d: int, T: int, rank: int, noise: float) -> Array:
    signal = _gaussian(rng, d, rank) @ rng.standard_normal((rank, T)) / np.sqrt(rank)
    return signal + noise * _gaussian(rng, d, T)


@_kind("tight-frame", "unit tasks, nonzero singular values equal; orthonormal for T <= d")
def _tight_frame(rng: Generator, d: int, T: int) -> Array:
    """A Haar tight frame, column norms made equal by T - 1 plane rotations."""
    if d >= T:
        return _haar(rng, d, T)
    return _unit(level_columns(_haar(rng, T, d).T))


@_kind("simplex", "unit tasks, every correlation -1/(T-1)", lambda d, T: d >= T - 1, "d >= T - 1")
def _simplex(rng: Generator, d: int, T: int) -> Array:
    return _equicorrelated(rng, d, T, -1 / (T - 1) if T > 1 else 0.0)


@_kind(
    "duplicated",
    "that many distinct uniform unit tasks, repeated in turn",
    lambda d, T, distinct: distinct <= T,
    "distinct <= T",
    distinct=2,
)
def _duplicated(rng: Generator, d: int, T: int, distinct: int) -> Array:
    return _sphere(rng, d, distinct)[:, np.arange(T) % distinct]


@_kind(
    "cloned",
    "neighbouring pairs of unit tasks at that angle in radians; an odd last task is alone",
    lambda d, T, angle: d >= 2 or T == 1,
    "d >= 2 or T = 1",
    angle=0.3,
)
def _cloned(rng: Generator, d: int, T: int, angle: float) -> Array:
    C = _sphere(rng, d, T)
    first, second = C[:, : T - T % 2 : 2], C[:, 1::2]
    for _ in range(2):  # the second pass removes what rounding left of the first
        second = _unit(second - first * (first * second).sum(axis=0))
    C[:, 1::2] = np.cos(angle) * first + np.sin(angle) * second
    return C


@_kind("dominant", "uniform unit tasks, the first made scale times longer", unit=False, scale=10.0)
def _dominant(rng: Generator, d: int, T: int, scale: float) -> Array:
    C = _sphere(rng, d, T)
    C[:, 0] *= scale
    return C


@_kind("integer", "iid uniform integers in [-bound, bound], not all zero", unit=False, bound=3)
def _integer(rng: Generator, d: int, T: int, bound: int) -> Array:
    C = np.zeros((d, T))
    while not C.any():
        C = rng.integers(-bound, bound, size=(d, T), endpoint=True).astype(np.float64)
    return C


def _adversarial_exists(
    d: int, T: int, k: int | None, steps: int, objective: Objective | None
) -> bool:
    return k is None if objective else (k or 1) <= min(d, T - 1)


@_kind(
    "adversarial",
    "unit tasks at a local maximum of objective(C) -> (value, gradient); default slope_rise at k",
    _adversarial_exists,
    "k <= min(d, T-1), where k is 1 unless given, or else an objective and no k",
    k=None,
    steps=100,
    objective=None,
)
def _adversarial(
    rng: Generator, d: int, T: int, k: int | None, steps: int, objective: Objective | None
) -> Array:
    """Ascent along the gradient in the product of spheres; a step that does not rise is undone."""
    rise = objective or partial(slope_rise, k=k or 1)
    C = _sphere(rng, d, T)
    value, gradient = _evaluate(rise, C)
    length = 1.0
    for _ in range(steps):
        tangent = gradient - C * (C * gradient).sum(axis=0)
        norm = np.linalg.norm(tangent)
        if norm == 0:
            break
        moved = _unit(C + tangent * (length / norm))
        moved_value, moved_gradient = _evaluate(rise, moved)
        if moved_value > value:
            C, value, gradient, length = moved, moved_value, moved_gradient, length * 2
        else:
            length /= 4
    return C


def _evaluate(objective: Objective, C: Array) -> tuple[float, Array]:
    value, gradient = objective(C.copy())
    gradient = np.asarray(gradient, dtype=np.float64)
    if gradient.shape != C.shape or not (np.isfinite(value) and np.isfinite(gradient).all()):
        raise ValueError(
            f"objective gave value {value!r} and a gradient of shape {gradient.shape}: "
            f"return a finite number and a finite {C.shape} array"
        )
    return float(value), gradient


# --- their options ---------------------------------------------------------------------------


def _whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        upper = "" if high is None else f" and <= {high}"
        raise ValueError(f"{name}={value!r} is out of range: pass an integer >= {low}{upper}")
    return number


def _real(name: str, value: Any, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not low <= number <= high:
        raise ValueError(
            f"{name}={value!r} is out of range: pass a number from {low:g} to {high:g}"
        )
    return number


def _objective(name: str, value: Any) -> Any:
    if not (value is None or callable(value)):
        raise ValueError(f"{name}={value!r} is no function: pass one from C to (value, gradient)")
    return value


_LENGTH = partial(_real, low=0, high=1e100)  # its square is still far from overflow
_COUNT = partial(_whole, low=1)
_OPTIONS: dict[str, Callable[[str, Any], Any]] = {
    "correlation": partial(_real, low=-1, high=1),
    "clusters": _COUNT,
    "spread": _LENGTH,
    "alpha": partial(_real, low=0, high=1e100),
    "rank": _COUNT,
    "noise": _LENGTH,
    "distinct": _COUNT,
    "angle": partial(_real, low=0, high=np.pi),
    "scale": partial(_real, low=1, high=1e100),
    "bound": partial(_whole, low=1, high=2**53),
    "k": lambda name, value: None if value is None else _COUNT(name, value),
    "steps": partial(_whole, low=0),
    "objective": _objective,
}
