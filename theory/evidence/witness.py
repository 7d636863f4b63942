"""Counterexamples: rounded to small exact numbers, confirmed beyond any rounding, made minimal.

An exact instance holds Fractions, and where tasks have norm 1 also the Surds that normalise a rational direction. The
claim's own `sides` are evaluated on it: in rationals if they only add, multiply and divide; else in 50 and 100 digits,
which must agree on the violation; else, where they use what only takes floats, in float64 against a stated bound.
"""

import importlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from theory.statement import Instance, Statement, Witness, call

EPS = float(np.finfo(float).eps)
DENOMINATORS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 30, 100, 1000, 10**4, 10**6, 10**9)


@dataclass(frozen=True)
class Surd:
    """numerator / sqrt(radicand): an entry of a unit task along a rational direction."""

    numerator: int
    radicand: int

    def __str__(self) -> str:
        return f"{self.numerator}/√{self.radicand}"

    def __float__(self) -> float:
        return self.numerator / math.sqrt(self.radicand)


def surd(numerator: int, radicand: int) -> Fraction | Surd:
    """numerator / sqrt(radicand), a Fraction where it is rational."""
    root = math.isqrt(radicand)
    if numerator == 0 or root * root == radicand:
        return Fraction(numerator, root)
    return Surd(numerator, radicand)


def exactly(instance: Instance) -> dict[str, Any]:
    """The very numbers of a float instance, as Fractions."""
    C = np.asarray(instance["C"])
    floats = dict(instance) | {"C": C if C.dtype == object else C.astype(float)}
    return {name: _each(value, _fraction) for name, value in floats.items()}


def approximately(instance: Instance) -> dict[str, Any]:
    """The float64 instance next to an exact one."""
    return {name: _each(value, _float) for name, value in instance.items()}


def readable(instance: Instance) -> dict[str, Any]:
    """An instance as it is shown: matrices as lists of rows, whole Fractions as ints."""
    shown = {name: _each(value, _whole) for name, value in instance.items()}
    return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in shown.items()}


def show(value: Any) -> str:
    """A value of an instance as it is printed: exact numbers as written by hand, arrays as rows."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return "[" + ", ".join(map(show, value)) + "]"
    if isinstance(value, Fraction | int) and not isinstance(value, bool):
        return _show_rational(Fraction(value))
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _show_rational(value: Fraction) -> str:
    def whole(n: int) -> str:
        significant = str(n).rstrip("0")
        zeros = len(str(n)) - len(significant)
        if zeros < 7:
            return str(n)
        return f"10^{zeros}" if significant == "1" else f"{significant}·10^{zeros}"

    top = whole(value.numerator)
    return top if value.denominator == 1 else f"{top}/{whole(value.denominator)}"


def normalised(directions: Any) -> np.ndarray | None:
    """Unit columns along rational directions (d, T), exact; None if one is zero."""
    columns = []
    for direction in np.asarray(directions, dtype=object).T:
        common = math.lcm(*(Fraction(x).denominator for x in direction))
        whole = [int(x * common) for x in direction]
        if not any(whole):
            return None
        shared = math.gcd(*whole)
        whole = [x // shared for x in whole]
        columns.append([surd(x, sum(y * y for y in whole)) for x in whole])
    return np.array(columns, dtype=object).T


def confirm(statement: Statement, exact: Instance) -> Witness | None:
    """The exact instance as a witness if it meets the hypotheses and violates the claim beyond any rounding."""
    near = approximately(exact)
    try:
        if not statement.admits(near):
            return None
    except Exception:
        return None
    for attempt in (_in_rationals, _in_digits, _in_floats):
        found = attempt(statement, exact, near)
        if found is not None:
            lhs, rhs, confirmed = found
            return Witness(readable(exact), lhs, rhs, confirmed) if confirmed else None
    return None


Found = tuple[
    Any, Any, str
]  # the sides, and how their violation was confirmed: empty if it is none


def _in_rationals(statement: Statement, exact: Instance, near: Instance) -> Found | None:
    sides = _evaluate(statement, exact)
    if sides is None or not all(isinstance(side, Fraction | int) for side in sides):
        return None
    if not any(isinstance(side, Fraction) for side in sides):
        return None  # two ints may come from a rounding of floats
    return *sides, "exactly, in rational arithmetic" * (_violation(statement, *sides) > 0)


def precise_sides(statement: Statement, exact: Instance, digits: int) -> tuple[Any, Any] | None:
    """Both sides in that many digits; None if the claim uses what takes floats only."""
    try:
        context, leaks = _context(digits)
    except ImportError:
        return None
    leaks.clear()

    def convert(x: Any) -> Any:
        if isinstance(x, Surd):
            return context.mpf(x.numerator) / context.sqrt(x.radicand)
        return (
            context.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else context.mpf(x)
        )

    sides = _evaluate(statement, {name: _each(v, convert) for name, v in exact.items()})
    if sides is None or leaks:
        return None
    if not any(isinstance(side, context.mpf) for side in sides):
        return None
    try:
        lhs, rhs = (convert(side) for side in sides)
    except (TypeError, ValueError):
        return None
    return None if context.isnan(lhs) or context.isnan(rhs) else (lhs, rhs)


def _in_digits(statement: Statement, exact: Instance, near: Instance) -> Found | None:
    # A float constant in the claim, sqrt(2) say, is off by its rounding: below the noise of the float evaluation.
    noise = _noise(statement, near, 2 * EPS)
    if noise is not None:
        sides = statement.values(near)
        if _violation(statement, *sides) <= 64 * noise:
            return *sides, ""
    low, high = (precise_sides(statement, exact, digits) for digits in (50, 100))
    if low is None or high is None:
        return None
    coarse, fine = _violation(statement, *low), _violation(statement, *high)
    floor = max(statement.tolerance * max(map(abs, high)), 64 * (noise or 0.0))
    real = fine > floor and abs(coarse - fine) <= fine * 1e-9
    return (
        _shown(high[0]),
        _shown(high[1]),
        "in 50-digit arithmetic, 100 digits agreeing" * bool(real),
    )


def _shown(side: Any) -> Any:
    """A multiprecision side as a float, or as text where a float would overflow or underflow."""
    value = side.context.mpf(side)
    ordinary = value == 0 or 1e-300 < abs(value) < 1e300
    return float(side.context.nstr(value, 17)) if ordinary else side.context.nstr(value, 12)


def _in_floats(statement: Statement, exact: Instance, near: Instance) -> Found | None:
    noise = _noise(statement, near, 1e-13)
    if noise is None:
        return None
    lhs, rhs = statement.values(near)
    scale = max(abs(lhs), abs(rhs), call(statement.scale, near) if statement.scale else 0.0)
    size = sum(np.size(value) for value in near.values())
    bound = max(64 * EPS * size, statement.tolerance) * scale + 64 * noise
    found = _violation(statement, lhs, rhs)
    real = np.isfinite(found) and found > bound
    return (
        lhs,
        rhs,
        f"in float64, {found:.2e} beyond a rounding of at most {bound:.1e}" * bool(real),
    )


def _noise(statement: Statement, near: Instance, size: float) -> float | None:
    """How far the violation moves when every number moves by `size` relative to the largest of its matrix.

    It is the rounding of the claim's own float arithmetic, cancellation and conditioning included.
    """
    rng = np.random.default_rng(0)

    def nudged(value: Any) -> Any:
        step = size * np.max(np.abs(value))
        moved = value + step * rng.choice([-1.0, 1.0], size=np.shape(value))
        return moved if isinstance(value, np.ndarray) else float(moved)

    noise = 0.0
    try:
        with np.errstate(all="ignore"):
            found = _violation(statement, *statement.values(near))
            for _ in range(16):
                other = {name: nudged(v) if _numeric(v) else v for name, v in near.items()}
                noise = max(noise, abs(_violation(statement, *statement.values(other)) - found))
                if 64 * noise > found:
                    break
    except ValueError:
        return None
    return noise if np.isfinite(noise) else None


def _violation(statement: Statement, lhs: Any, rhs: Any) -> Any:
    return lhs - rhs if statement.relation == "<=" else abs(lhs - rhs)


def _evaluate(statement: Statement, instance: Instance) -> tuple[Any, Any] | None:
    try:
        with np.errstate(all="ignore"):
            lhs, rhs = call(statement.sides, instance)
            return np.asarray(lhs).item(), np.asarray(rhs).item()
    except Exception:  # the claim does not take such numbers: floats decide
        return None


@cache
def _context(digits: int) -> tuple[Any, list[str]]:
    """An mpmath context of its own, and the record of its numbers that were rounded to a float."""
    mpmath = importlib.import_module("mpmath")
    context = mpmath.MPContext()
    leaks: list[str] = []
    context.dps = digits

    def rounded(number: Any) -> float:
        leaks.append("float")
        return float(mpmath.libmp.to_float(number._mpf_))

    def method(name: str) -> Callable[[Any], Any]:
        return lambda number: getattr(context, name)(number)

    context.mpf.__float__ = rounded
    for name in ("exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "log10", "expm1"):
        setattr(context.mpf, name, method(name))  # numpy's ufuncs call these on objects
    return context, leaks


# --- converting ------------------------------------------------------------------------------------------------------


def _numeric(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fO" and value.size > 0
    return isinstance(value, float | Fraction | Surd)


def _each(value: Any, convert: Callable[[Any], Any]) -> Any:
    if not _numeric(value):
        return value
    if not isinstance(value, np.ndarray):
        return convert(value)
    flat = [convert(x) for x in value.flat]
    return np.array(flat, dtype=float if convert is _float else object).reshape(value.shape)


def _fraction(x: Any) -> Any:
    return x if isinstance(x, Fraction | Surd) else Fraction(float(x))


def _float(x: Any) -> float:
    return float(x)


def _whole(x: Any) -> Any:
    return int(x) if isinstance(x, Fraction) and x.denominator == 1 else x


# --- rounding and minimising -----------------------------------------------------------------------------------------


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
                name: _each(value, lambda x: Fraction(float(x)).limit_denominator(q))  # noqa: B023
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


def minimised(
    statement: Statement, exact: Instance, witness: Witness, unit: bool, seconds: float
) -> tuple[Instance, Witness]:
    """A violating instance from which no task, dimension or digit can be taken, within the time."""
    end = time.monotonic() + seconds
    improved = True
    while improved and time.monotonic() < end:
        improved = False
        for smaller in _smaller(exact, unit):
            if _complexity(smaller) < _complexity(exact):
                found = confirm(statement, smaller)
                if found is not None:
                    exact, witness, improved = smaller, found, True
                    break
            if time.monotonic() > end:
                break
    return exact, witness


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
        if _numeric(value)
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
