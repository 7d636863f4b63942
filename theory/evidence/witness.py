"""Counterexamples confirmed beyond any rounding.

The claim's own `sides` are evaluated on an exact instance: in rationals if they only add, multiply and divide; else in
50 and 100 digits, which must agree on the violation; else, where they use what only takes floats, in float64 against a
stated bound.
"""

from fractions import Fraction
from typing import Any

import numpy as np

from theory.evidence.numbers import approximately, each, is_numeric, readable
from theory.evidence.precise import evaluate, precise_sides
from theory.statement import Instance, Statement, Witness

EPS = float(np.finfo(float).eps)


def confirm(statement: Statement, exact: Instance) -> Witness | None:
    """The exact instance as a witness if it meets the hypotheses and violates the claim beyond any rounding."""
    near = approximately(exact)
    if not admits(statement, near):
        return None
    for attempt in (_in_rationals, _in_digits, _in_floats):
        verdict = attempt(statement, exact, near)
        if verdict is not None:
            lhs, rhs, confirmed = verdict
            return Witness(readable(exact), lhs, rhs, confirmed) if confirmed else None
    return None


def admits(statement: Statement, instance: Instance) -> bool:
    """Whether the hypotheses hold; not where one is not defined."""
    try:
        with np.errstate(all="ignore"):
            return statement.admits(instance)
    except Exception:
        return False


Found = tuple[
    Any, Any, str
]  # the sides, and how their violation was confirmed: empty if it is none


def _in_rationals(statement: Statement, exact: Instance, near: Instance) -> Found | None:
    sides = evaluate(statement, exact)
    if sides is None or not all(isinstance(side, Fraction | int) for side in sides):
        return None
    if not any(isinstance(side, Fraction) for side in sides):
        return None  # two ints may come from a rounding of floats
    return *sides, "exactly, in rational arithmetic" * (_violation(statement, *sides) > 0)


def _in_digits(statement: Statement, exact: Instance, near: Instance) -> Found | None:
    low = precise_sides(statement, exact, 50)
    if low is None:
        return None
    coarse = _violation(statement, *low)
    if not coarse > statement.tolerance * max(map(abs, low)):
        return *low, ""
    high = precise_sides(statement, exact, 100)
    if high is None:
        return None
    fine = _violation(statement, *high)
    real = abs(coarse - fine) <= fine * 1e-9
    if real and _below_noise(statement, near, float(fine)):
        real = _stands(statement, exact, low)
    return (
        _shown(high[0]),
        _shown(high[1]),
        "in 50-digit arithmetic, 100 digits agreeing" * bool(real),
    )


def _stands(statement: Statement, exact: Instance, sides: tuple[Any, Any]) -> bool:
    """Whether a violation below the float noise of the claim is its own and not of what was rounded before.

    A float constant in the claim, sqrt(2) say, is off by its rounding, and so are entries that hypotheses take for unit
    or zero within a tolerance. So every constant that is no short binary number is moved by two units in its last
    place; under hypotheses, so is every entry. The violation must stay what it is.
    """
    violation = _violation(statement, *sides)
    for turn, constants in enumerate((2 * EPS, -2 * EPS)):
        rng = np.random.default_rng(turn)

        def moved(x: Any, rng: np.random.Generator = rng) -> Any:
            # A Surd is exactly unit, and stays on its line.
            return x * (1 + Fraction(2 * EPS) * int(rng.choice([-1, 1]))) if _rational(x) else x

        there = {name: each(value, moved) for name, value in exact.items()}
        other = precise_sides(
            statement, there if statement.hypotheses else exact, 50, constants=constants
        )
        if other is None or abs(_violation(statement, *other) - violation) > violation / 8:
            return False
    return True


def _rational(x: Any) -> bool:
    return isinstance(x, Fraction)


def _below_noise(statement: Statement, near: Instance, violation: float) -> bool:
    noise = _noise(statement, near, 2 * EPS)
    return noise is not None and violation <= 64 * noise


def within_noise(statement: Statement, instance: Instance) -> bool:
    """Whether the violation in float64 is within what rounding of the entries alone makes of it."""
    try:
        with np.errstate(all="ignore"):
            violation = _violation(statement, *statement.values(instance))
    except ValueError:
        return True
    return not np.isfinite(violation) or _below_noise(statement, instance, float(violation))


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
    scale = statement.size(near, lhs, rhs)
    size = sum(np.size(value) for value in near.values())
    bound = max(64 * EPS * size, statement.tolerance) * scale + 64 * noise
    violation = _violation(statement, lhs, rhs)
    real = np.isfinite(violation) and violation > bound
    return (
        lhs,
        rhs,
        f"in float64, {violation:.2e} beyond a rounding of at most {bound:.1e}" * bool(real),
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
            violation = _violation(statement, *statement.values(near))
            for _ in range(16):
                other = {name: nudged(v) if is_numeric(v) else v for name, v in near.items()}
                noise = max(noise, abs(_violation(statement, *statement.values(other)) - violation))
                if 64 * noise > violation:
                    break
    except ValueError:
        return None
    return noise if np.isfinite(noise) else None


def _violation(statement: Statement, lhs: Any, rhs: Any) -> Any:
    return lhs - rhs if statement.relation == "<=" else abs(lhs - rhs)
