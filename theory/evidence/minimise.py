"""Witnesses made simple: rounded to small exact numbers, and minimal in tasks, dimensions, digits and rank."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from theory.evidence.numbers import (
    Surd,
    approximately,
    each,
    exactly,
    is_numeric,
    normalised,
)
from theory.evidence.retractions import retract
from theory.evidence.witness import admits, confirm, within_noise
from theory.statement import Instance, Statement, Witness

DENOMINATORS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 30, 100, 1000, 10**4, 10**6, 10**9)

WORK = 5000.0
"""What confirming and minimising one witness may cost; a matrix of n entries costs n^1.5 in digits, 0.2 in floats."""


class Confirmation:
    """Confirms exact instances one by one and keeps account of the work, so that it is the same under any load.

    `doubtful` violations are below the float noise of the claim, so that floats cannot rule a candidate out;
    `excluded` says which instances are not to be taken.
    """

    def __init__(
        self, statement: Statement, *, doubtful: bool, excluded: Callable[[Instance], bool]
    ) -> None:
        self.statement, self.doubtful, self.excluded = statement, doubtful, excluded
        self.left = WORK

    def __call__(self, exact: Instance) -> Witness | None:
        near = approximately(exact)
        self.left -= 0.2
        if not (self.doubtful or violates(self.statement, near)):
            return None
        if not admits(self.statement, near) or self.excluded(near):
            return None
        self.left -= np.size(near["C"]) ** 1.5
        return confirm(self.statement, exact)


def ordinary(instance: Instance) -> bool:
    """Whether float64 has room for powers of the entries."""
    size = float(np.abs(np.asarray(instance["C"], dtype=float)).max())
    return size < 1e20 and (size == 0 or size > 1e-20)


def violates(statement: Statement, instance: Instance) -> bool:
    """Whether float64 sees a violation, or has no room to tell."""
    if not ordinary(instance):
        return True
    try:
        with np.errstate(all="ignore"):
            return statement.slack(instance) < -statement.tolerance
    except ValueError:
        return False


def reduced(statement: Statement, instance: Instance, retraction: str) -> Instance:
    """The instance with as few tasks, dimensions and ranks as float64 can take away."""
    if set(instance) != {"C", "k"}:
        return instance

    def holds(smaller: Instance) -> bool:
        if not violates(statement, smaller) or not admits(statement, smaller):
            return False
        return not within_noise(statement, smaller)

    improved = True
    while improved:
        improved = False
        for smaller in _without_one(instance, retraction):
            if holds(smaller):
                instance, improved = smaller, True
                break
    return instance


def _without_one(instance: Instance, retraction: str) -> Iterator[dict[str, Any]]:
    C, k = instance["C"], instance["k"]
    for axis in (1, 0):
        for index in reversed(range(C.shape[axis] if C.shape[axis] > 1 else 0)):
            fewer = np.delete(C, index, axis=axis)
            near = retract(retraction, fewer, fewer)
            if near is not None:
                for rank in sorted({min(k, *near.shape), max(1, min(k - 1, *near.shape))}):
                    yield {"C": near, "k": rank}
    if k > 1:
        yield {"C": C, "k": k - 1}


def rationalised(statement: Statement, instance: Instance, unit: bool) -> Iterator[dict[str, Any]]:
    """Exact instances near a float one, or with its singular values or its Gram matrix, simplest first."""
    C = np.asarray(instance["C"], dtype=float)
    largest = float(np.abs(C).max())
    power = round(math.log10(largest)) if largest else 0
    ten = Fraction(10) ** (power if abs(power) > 6 else 0)
    forms = [C / float(ten)] if not unit else [C]
    if set(instance) == {"C", "k"}:
        forms = [form for base in forms for form in _canonical(base, unit)]
    for q in DENOMINATORS:
        for form in forms:
            rounded = _rounded(form, q)
            others = {
                name: each(value, lambda x: Fraction(float(x)).limit_denominator(q))  # noqa: B023
                for name, value in instance.items()
                if name != "C"
            }
            for tasks in (
                (_rational_points(form, q), normalised(rounded)) if unit else (rounded * ten,)
            ):
                if tasks is not None:
                    yield {"C": tasks} | others
    yield exactly(instance)


def _rational_points(C: np.ndarray, q: int) -> np.ndarray:
    """Rational unit columns near those of C, by stereographic projection from the pole opposite the largest entry."""
    points = np.empty(C.shape, dtype=object)
    for t, column in enumerate(C.T):
        pole = int(np.argmax(np.abs(column)))
        plane = [Fraction(x / (1 + abs(column[pole]))).limit_denominator(q) for x in column]
        plane[pole] = Fraction(0)
        energy = sum(x * x for x in plane)
        points[:, t] = [2 * x / (1 + energy) for x in plane]
        points[pole, t] = (1 - energy) / (1 + energy) * (1 if column[pole] > 0 else -1)
    return points


def _rounded(C: np.ndarray, q: int) -> np.ndarray:
    return np.array([[Fraction(x).limit_denominator(q) for x in row] for row in C], dtype=object)


def _canonical(C: np.ndarray, unit: bool) -> list[np.ndarray]:
    """C, and simpler matrices with its Gram matrix (triangular) or, for free tasks, its singular values (diagonal)."""
    upper = np.linalg.qr(C, mode="complete")[1]
    signs = np.sign(np.diagonal(upper))
    upper[: len(signs)] *= np.where(signs < 0, -1.0, 1.0)[:, None]
    if unit:
        return [upper, C]
    diagonal = np.zeros_like(C)
    sigma = np.linalg.svd(C, compute_uv=False)
    np.fill_diagonal(diagonal, sigma)
    forms = [diagonal, upper, C]
    return forms + [form / sigma[0] for form in forms if sigma[0] > 0]


def minimised(exact: Instance, witness: Witness, unit: bool, confirmed: Confirmation) -> Witness:
    """The witness from which no task, dimension or digit can be taken, as far as the work reaches."""
    improved = True
    while improved and confirmed.left > 0:
        improved = False
        for smaller in _smaller(exact, unit):
            if _complexity(smaller) < _complexity(exact):
                better = confirmed(smaller)
                if better is not None:
                    exact, witness, improved = smaller, better, True
                    break
            if confirmed.left <= 0:
                break
    return witness


def _smaller(exact: Instance, unit: bool) -> Iterator[dict[str, Any]]:
    C, k = exact["C"], exact.get("k", 1)
    if set(exact) == {"C", "k"}:
        for axis in (1, 0):
            for index in range(C.shape[axis] if C.shape[axis] > 1 else 0):
                fewer = np.delete(C, index, axis=axis)
                kept = _unit_again(fewer) if unit and axis == 0 else fewer
                if kept is not None:
                    for rank in sorted({min(k, *kept.shape), max(1, min(k - 1, *kept.shape))}):
                        yield {"C": kept, "k": rank}
        if k > 1:
            yield {"C": C, "k": k - 1}
    if unit:
        for t in range(C.shape[1]):
            for column in [*np.eye(len(C), dtype=int).T, *C.T]:
                changed = C.copy()
                changed[:, t] = [
                    Fraction(int(x)) if isinstance(x, np.integer) else x for x in column
                ]
                yield dict(exact) | {"C": changed}
        return
    for name, value in exact.items():
        if isinstance(value, Fraction):
            yield from (dict(exact) | {name: simple} for simple in _simpler(value))
        elif isinstance(value, np.ndarray) and value.dtype == object:
            sizes = {Fraction(1), *(abs(x) for x in value.flat if x)}
            yield from (dict(exact) | {name: value / size} for size in sorted(sizes) if size != 1)
            for place in np.ndindex(value.shape):
                entry: Any = value[place]
                for simple in _simpler(entry):
                    changed = value.copy()
                    changed[place] = simple
                    yield dict(exact) | {name: changed}


def _unit_again(directions: np.ndarray) -> np.ndarray | None:
    if any(isinstance(x, Surd) for x in directions.flat):
        for column in directions.T:  # one radicand per column: the numerators are a direction
            column[:] = [Fraction(x.numerator) if isinstance(x, Surd) else x for x in column]
    return normalised(directions)


def _simpler(x: Fraction) -> list[Fraction]:
    if x == 0:
        return []
    sign = 1 if x > 0 else -1
    power = math.floor(math.log10(abs(x.numerator)) - math.log10(x.denominator))
    powers = {power, power + 1, power // 2, 2 * power // 3, power - 1, power - (power > 0) * 10}
    shorter = [x.limit_denominator(q) for q in DENOMINATORS if q < x.denominator]
    return (
        [Fraction(n) for n in (0, sign, 2 * sign)]
        + shorter[:8]
        + [sign * Fraction(10) ** n for n in powers]
    )


def _complexity(exact: Instance) -> tuple[float, ...]:
    """Size, then length of the numbers, then rank: what minimising lowers."""
    numbers = [
        x
        for value in exact.values()
        if is_numeric(value)
        for x in (value.flat if isinstance(value, np.ndarray) else [value])
    ]
    return np.size(exact["C"]), float(sum(_length(x) for x in numbers)), exact.get("k", 1)


def _length(x: Any) -> float:
    """Bits of a number as it is written: a power of ten takes few."""
    if isinstance(x, Surd):
        return 8 + math.log2(1 + abs(x.numerator)) + math.log2(x.radicand)
    return _digits(x.numerator) + 2 * _digits(x.denominator) - 2 + (0.5 if x < 0 else 0.0)


def _digits(n: int) -> float:
    text = str(abs(n)) if n else "0"
    shown = text.rstrip("0") or "0"
    zeros = len(text) - len(shown)
    return math.log2(1 + int(shown)) + 0.05 * zeros if zeros >= 7 else math.log2(1 + abs(n))
