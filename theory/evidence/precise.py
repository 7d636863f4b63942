"""A claim evaluated in as many digits as asked for, by handing it mpmath numbers in place of floats."""

import importlib
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from theory.evidence.numbers import Surd, each
from theory.statement import Instance, Statement, call


def precise_sides(
    statement: Statement, exact: Instance, digits: int, *, constants: float = 0.0
) -> tuple[Any, Any] | None:
    """Both sides in that many digits; None if the claim uses what takes floats only.

    `constants` moves every float in the claim that is no short binary number by that relative amount.
    """
    try:
        context, leaks = _context(digits, constants)
    except ImportError:
        return None
    leaks.clear()

    def convert(x: Any) -> Any:
        if isinstance(x, Surd):
            return context.mpf(x.numerator) / context.sqrt(x.radicand)
        return (
            context.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else context.mpf(x)
        )

    sides = evaluate(statement, {name: each(v, convert) for name, v in exact.items()})
    if sides is None or leaks:
        return None
    if not any(isinstance(side, context.mpf) for side in sides):
        return None
    try:
        lhs, rhs = (convert(side) for side in sides)
    except (TypeError, ValueError):
        return None
    return None if context.isnan(lhs) or context.isnan(rhs) else (lhs, rhs)


def evaluate(statement: Statement, instance: Instance) -> tuple[Any, Any] | None:
    """Both sides in the numbers of the instance; None where the claim does not take them."""
    try:
        with np.errstate(all="ignore"):
            lhs, rhs = call(statement.sides, instance)
            return np.asarray(lhs).item(), np.asarray(rhs).item()
    except Exception:  # the claim does not take such numbers: floats decide
        return None


@cache
def _context(digits: int, constants: float) -> tuple[Any, list[str]]:
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
    if constants:
        for name in ("add", "sub", "mul", "truediv", "pow"):
            for side in ("__", "__r"):
                operation = getattr(context.mpf, f"{side}{name}__")
                setattr(context.mpf, f"{side}{name}__", _moving(operation, context, constants))
    return context, leaks


def _moving(operation: Callable[..., Any], context: Any, constants: float) -> Callable[..., Any]:
    """The operation, with floats that are no short binary numbers moved by that relative amount."""

    def with_moved(number: Any, other: Any) -> Any:
        if isinstance(other, float) and float(np.float32(other)) != other:
            other = context.mpf(other) + context.mpf(other) * context.mpf(constants)
        return operation(number, other)

    return with_moved
