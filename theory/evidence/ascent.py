"""Ascent on the violation of a claim, from the tightest instances, at any size and within what hypotheses ask for.

Moves are made in C and the other free numbers and brought back by the retraction that keeps the start admissible. Up to
FINE numbers: degenerate neighbours, a quasi-Newton method and a simplex. At any size: along the number of the start's
family, over its singular values, and by random pursuit along directions of all kinds. Each evaluation is an instance
that the search counts.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from theory.evidence.instances import Proposal, drawn
from theory.evidence.retractions import retract
from theory.statement import Instance

Array = NDArray[np.float64]

FINE = 30
"""Numbers up to which differences in each of them make a gradient."""


class Judge(Protocol):
    """What an ascent needs of the search: whether an instance is admissible, and its slack, which counts it."""

    def admissible(self, instance: Instance) -> bool: ...

    def meet(self, instance: Instance, retraction: str, *, base: bool = True) -> float: ...

    def difference(self, instance: Instance) -> float:
        """rhs - lhs at the instance met last."""
        ...


@dataclass(frozen=True)
class Start:
    """Where an ascent starts: the least slack of its kind, what keeps it admissible, and its family if it has one."""

    slack: float
    instance: Instance
    retraction: str
    proposal: Proposal | None = None


class _Enough(Exception):
    pass


def climb(judge: Judge, start: Start, calls: int, rng: np.random.Generator) -> None:
    """All that suits the start, within that many evaluations (each of the parts within its share)."""
    instance = start.instance
    if start.proposal is not None and start.proposal.family:
        instance = along_family(judge, start, min(40, calls // 6))
    size = sum(np.size(instance[name]) for name in _free(instance))
    if size > FINE:
        if set(instance) == {"C", "k"}:
            instance = spectral(judge, instance, start.retraction, calls // 3)
        pursue(judge, instance, start.retraction, calls // 2, rng)
        return
    best = hop(judge, instance, start.retraction, calls // 6)
    C = np.asarray(start.instance["C"], dtype=float)
    beside = C + 0.3 * (np.abs(C).max() or 1.0) * rng.standard_normal(C.shape)
    other = moved(judge, start.instance, {"C": beside}, start.retraction)
    ascend(judge, best, start.retraction, calls // 3, relative=True)
    ascend(judge, other or best, start.retraction, calls // 3, relative=False)


def moved(
    judge: Judge, instance: Instance, values: Instance, retraction: str
) -> dict[str, Any] | None:
    """The instance with other values, its C made admissible; None if they are not admissible."""
    C = np.asarray(values.get("C", instance["C"]), dtype=float)
    near = retract(retraction, C, np.asarray(instance["C"], dtype=float))
    if near is None:
        return None
    other = {**instance, **values, "C": near}
    return other if judge.admissible(other) else None


# --- any size --------------------------------------------------------------------------------------------------------


def along_family(judge: Judge, start: Start, calls: int) -> Instance:
    """The tightest instance of the start's family nearby: a golden section about its number."""
    proposal, best = start.proposal, start.instance
    assert proposal is not None
    d, T = proposal.C.shape
    least = start.slack

    def slack(at: float) -> float:
        nonlocal least, best
        C = drawn(proposal.family, d, T, min(max(at, 0.0), 1.0), proposal.seed)
        point = None if C is None else moved(judge, start.instance, {"C": C}, start.retraction)
        if point is None:
            return np.inf
        value = judge.meet(point, start.retraction, base=False)
        if value < least:
            least, best = value, point
        return value

    golden = (np.sqrt(5) - 1) / 2
    low, high = proposal.at - 0.04, proposal.at + 0.04
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = slack(left), slack(right)
    for _ in range(calls - 2):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = slack(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = slack(right)
    return best


def spectral(judge: Judge, instance: Instance, retraction: str, calls: int) -> Instance:
    """Ascent over the logarithms of the nonzero singular values, the singular vectors kept."""
    left, sigma, right = np.linalg.svd(np.asarray(instance["C"], dtype=float), full_matrices=False)
    kept = sigma > 1e-14 * sigma[0]
    if not kept.any():
        return instance
    left, logs, right = left[:, kept], np.log(sigma[kept]), right[kept]

    def at(x: Array) -> dict[str, Any] | None:
        C = (left * np.exp(np.clip(x, -300, 300))) @ right
        return moved(judge, instance, {"C": C}, retraction)

    return _minimise(judge, instance, retraction, logs, at, calls, ("L-BFGS-B",), relative=True)


def pursue(
    judge: Judge, instance: Instance, retraction: str, calls: int, rng: np.random.Generator
) -> Instance:
    """Random pursuit: steps along directions of every kind, longer after a success, shorter after a failure."""
    least, step = judge.meet(instance, retraction, base=False), 0.1
    for _ in range(calls // 2):
        C = np.asarray(instance["C"], dtype=float)
        direction = _direction(C, rng)
        norm = np.abs(direction).max()
        if not norm > 0:
            continue
        size = (np.abs(C).max() or 1.0) / norm
        for sign in (1.0, -1.0):
            point = moved(judge, instance, {"C": C + sign * step * size * direction}, retraction)
            slack = np.inf if point is None else judge.meet(point, retraction, base=False)
            if point is not None and slack < least:
                least, instance, step = slack, point, min(1.6 * step, 3.0)
                break
        else:
            step = max(step * 0.9, 1e-9)
    return instance


def _direction(C: Array, rng: np.random.Generator) -> Array:
    """Of a move: any, one entry, one task or row longer, a singular direction, one task towards another."""
    d, T = C.shape
    kind = rng.integers(6)
    if kind == 0:
        return rng.standard_normal(C.shape)
    direction = np.zeros_like(C)
    if kind == 1:
        direction[rng.integers(d), rng.integers(T)] = 1.0
    elif kind == 2:
        t = rng.integers(T)
        direction[:, t] = C[:, t] if rng.random() < 0.5 else rng.standard_normal(d)
    elif kind == 3:
        row = rng.integers(d)
        direction[row] = C[row]
    elif kind == 4:
        left, _, right = np.linalg.svd(C, full_matrices=False)
        i = (0, len(right) - 1, int(rng.integers(len(right))))[int(rng.integers(3))]
        direction = np.outer(left[:, i], right[i])
    else:
        s, t = rng.integers(T, size=2)
        direction[:, t] = C[:, s] - C[:, t]
    return direction


# --- few numbers -----------------------------------------------------------------------------------------------------


def hop(judge: Judge, instance: Instance, retraction: str, calls: int) -> Instance:
    """The instance reached by degenerate moves, each to the tightest neighbour."""
    least = judge.meet(instance, retraction)
    while calls > 0:
        here = instance
        for C in _degenerate(np.asarray(here["C"], dtype=float), here["k"]):
            other = moved(judge, here, {"C": C}, retraction)
            slack = np.inf if other is None else judge.meet(other, retraction, base=False)
            if other is not None and slack < least:
                least, instance = slack, other
            calls -= 1
            if calls <= 0:
                break
        if instance is here:
            break
    return instance


def _degenerate(C: Array, k: int) -> Iterator[Array]:
    """Neighbours of C: equal or vanishing singular values; equal, opposite or vanishing tasks; round entries."""
    left, sigma, right = np.linalg.svd(C, full_matrices=False)
    unit = sigma[0] or 1.0
    spectra = [np.full_like(sigma, sigma.mean()), np.round(2 * sigma / unit) * unit / 2]
    for i in range(len(sigma)):
        spectra.append(np.where(np.arange(len(sigma)) < i + 1, sigma, 0.0))
    if k < len(sigma):
        spectra.append(
            np.where(np.isin(np.arange(len(sigma)), (k - 1, k)), sigma[k - 1 : k + 1].mean(), sigma)
        )
    yield from ((left * values) @ right for values in spectra)
    largest = np.abs(C).max() or 1.0
    for steps in (1, 2, 3, 4):
        yield np.round(C / largest * steps) * largest / steps
    T = C.shape[1]
    for t in range(T):
        for column in (
            *(sign * C[:, s] for s in range(T) if s != t for sign in (1, -1)),
            0 * C[:, t],
        ):
            changed = C.copy()
            changed[:, t] = column
            yield changed
    for steps in (1, 2, 3, 4) if C.size <= 9 else ():
        rounded = np.round(C / largest * steps) * largest / steps
        for index in np.ndindex(C.shape):
            for change in (largest / steps, -largest / steps):
                changed = rounded.copy()
                changed[index] += change
                yield changed


def ascend(
    judge: Judge, start: Instance, retraction: str, calls: int, *, relative: bool
) -> Instance:
    """Quasi-Newton ascent on the violation, relative or not, then a simplex for its kinks."""
    free = _free(start)
    flat = np.concatenate([np.ravel(start[name]) for name in free])
    unit = float(np.abs(flat).max()) or 1.0

    def at(x: Array) -> dict[str, Any] | None:
        return moved(judge, start, _values(start, free, x * unit), retraction)

    methods = ("L-BFGS-B", "Nelder-Mead")
    return _minimise(judge, start, retraction, flat / unit, at, calls, methods, relative=relative)


def _minimise(
    judge: Judge,
    start: Instance,
    retraction: str,
    x: Array,
    at: Callable[[Array], dict[str, Any] | None],
    calls: int,
    methods: tuple[str, ...],
    *,
    relative: bool,
) -> Instance:
    """The tightest instance that scipy's methods, one after the other, reach among at(x)."""
    from scipy.optimize import minimize

    def value(point: Instance) -> float:
        slack = judge.meet(point, retraction, base=False)
        return slack if relative else judge.difference(point)

    least, best, instance = value(start), x, start
    if not np.isfinite(least):
        return start
    for method in methods:
        left = (
            2 * calls // 3 if method == methods[0] and len(methods) > 1 else calls // len(methods)
        )

        def height(x: Array) -> float:
            nonlocal least, best, instance, left
            left -= 1
            if left < 0:
                raise _Enough
            point = at(x)
            margin = np.inf if point is None else value(point)
            if point is not None and margin < least:
                least, best, instance = margin, x.copy(), point
            return margin if np.isfinite(margin) else least + abs(least) + 1

        with suppress(_Enough):
            minimize(height, best, method=method)
    return instance


def _free(instance: Instance) -> list[str]:
    """Names of the values that are real numbers."""
    return [
        name
        for name, value in instance.items()
        if isinstance(value, float)
        or (isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size > 0)
    ]


def _values(start: Instance, free: list[str], flat: Array) -> dict[str, Any]:
    """The free values of an instance from one vector."""
    values: dict[str, Any] = {}
    for name in free:
        size = np.size(start[name])
        values[name] = (
            flat[:size].reshape(np.shape(start[name])) if np.ndim(start[name]) else float(flat[0])
        )
        flat = flat[size:]
    return values
