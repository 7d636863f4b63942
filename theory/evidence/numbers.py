"""Exact numbers of an instance: Fractions, and for tasks of norm 1 the Surds that normalise a rational direction."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from theory.statement import Instance


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
    return {name: each(value, as_fraction) for name, value in floats.items()}


def approximately(instance: Instance) -> dict[str, Any]:
    """The float64 instance next to an exact one."""
    return {name: each(value, as_float) for name, value in instance.items()}


def readable(instance: Instance) -> dict[str, Any]:
    """An instance as it is shown: matrices as lists of rows, whole Fractions as ints."""
    shown = {name: each(value, as_whole) for name, value in instance.items()}
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


def is_numeric(value: Any) -> bool:
    """Whether a value of an instance is a real number or an array of them."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fO" and value.size > 0
    return isinstance(value, float | Fraction | Surd)


def each(value: Any, convert: Callable[[Any], Any]) -> Any:
    """The value with each of its numbers converted; what is not numeric as it is."""
    if not is_numeric(value):
        return value
    if not isinstance(value, np.ndarray):
        return convert(value)
    flat = [convert(x) for x in value.flat]
    return np.array(flat, dtype=float if convert is as_float else object).reshape(value.shape)


def as_fraction(x: Any) -> Any:
    """A float as the Fraction that it is."""
    return x if isinstance(x, Fraction | Surd) else Fraction(float(x))


def as_float(x: Any) -> float:
    """The float next to an exact number."""
    return float(x)


def as_whole(x: Any) -> Any:
    """A whole Fraction as an int."""
    return int(x) if isinstance(x, Fraction) and x.denominator == 1 else x
