"""Scalars checked by machine: identities, signs, flows, limits, and identities entry by entry for explicit shapes."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sympy as sp

from theory.statement import Checked, Inconclusive, Verdict


def identity(lhs: Any, rhs: Any) -> Verdict:
    """Whether lhs = rhs wherever both are defined, for all values that the symbols' assumptions allow."""
    difference = exact_expression(lhs) - exact_expression(rhs)
    for simplify in (sp.expand, sp.cancel, sp.trigsimp, sp.simplify):
        if simplify(difference) == 0:
            return Checked("symbolic", scope_of(difference.free_symbols))
    return Inconclusive(f"the sides differ by {sp.simplify(difference)}, not shown to be 0")


def exact_expression(expr: Any) -> sp.Expr:
    expr = sp.sympify(expr)
    if expr.has(sp.Float):
        raise ValueError(f"{expr} has rounded numbers, which prove nothing: write sympy.Rational")
    return expr


def scope_of(names: Iterable[Any]) -> str:
    return "all " + (", ".join(sorted(map(str, names), key=str.lower)) or "values")


def explicit_shapes(sides: Callable[..., tuple[Any, Any]], shapes: Iterable[Any]) -> Verdict:
    """An identity between scalars or sympy matrices in explicit entries, at each shape: sides(*shape) -> (lhs, rhs)."""
    shapes = [tuple(shape) for shape in shapes]
    if not shapes:
        raise ValueError("no shapes to check: pass at least one, such as [(2, 3)]")
    for shape in shapes:
        lhs, rhs = sides(*shape)
        for entry in sp.Matrix([lhs - rhs]):
            if not isinstance(verdict := identity(entry, 0), Checked):
                return Inconclusive(f"at shape {shape}: {verdict}")
    names = ", ".join(inspect.signature(sides).parameters)
    return Checked("symbolic", f"({names}) = {', '.join(map(str, shapes))}")


def entries(name: str, rows: int, cols: int) -> sp.Matrix:
    """A (rows, cols) sympy matrix of real symbols, for `explicit_shapes`."""
    return sp.Matrix(rows, cols, lambda i, j: sp.Symbol(f"{name}_{i}{j}", real=True))


def expected_quadratic(q: sp.Expr, moments: Mapping[sp.Symbol, tuple[Any, Any]]) -> sp.Expr:
    """E q for a polynomial q of degree <= 2 in uncorrelated entries with these (mean, variance).

    q at the mean, plus half of each unmixed second derivative times the variance.
    """
    if sp.Poly(q, *moments).total_degree() > 2:
        raise ValueError(
            "q is of degree > 2 in the random entries: mean and variance do not fix E q"
        )
    spread = sum(sp.diff(q, x, 2) * variance / 2 for x, (_, variance) in moments.items())
    return sp.expand((q + spread).subs({x: mean for x, (mean, _) in moments.items()}))


def ode_solution(
    solution: sp.Expr, t: sp.Symbol, rhs: Callable[[sp.Expr], sp.Expr], initial: Any
) -> Verdict:
    """Whether s(t) solves s' = rhs(s), s(0) = initial."""
    flow = identity(sp.diff(solution, t), rhs(solution))
    start = identity(solution.subs(t, 0), initial)
    return flow if isinstance(start, Checked) else start


def limit(expr: sp.Expr, x: sp.Symbol, point: Any, value: Any, side: str = "+") -> Verdict:
    """Whether expr -> value as x -> point."""
    try:
        reached = sp.limit(expr, x, point, side)
    except NotImplementedError as error:
        return Inconclusive(f"sympy finds no limit of {expr}: {error}")
    if not isinstance(verdict := identity(reached, value), Checked):
        return verdict
    return Checked("symbolic", scope_of(expr.free_symbols - {x}))


POLYA_POWERS = 9
"""How many powers of (1 + sum y) `nonnegative` tries."""

Region = Mapping[sp.Symbol, tuple[Any, Any]]
"""Closed intervals by symbol, with rational or infinite ends."""


def nonnegative(
    expr: sp.Expr, region: Region | None = None, squares: Sequence[tuple[Any, Any]] = ()
) -> Verdict:
    """Whether a rational function is >= 0 on the region (default: where the symbols' assumptions allow).

    `squares` is a certificate, expr = sum of weight * root^2 over its pairs with every weight >= 0. Without it, the
    sign comes factor by factor, each settled by one of: assumptions, Sturm's count of real roots (one symbol), a
    positive semidefinite matrix (quadratics), coefficients >= 0 after the region is mapped to the positive orthant.
    """
    expr = exact_expression(expr)
    region = {x: _interval(x, region or {}) for x in sorted(expr.free_symbols, key=str)}
    within = ", ".join(_says_interval(x, *ends) for x, ends in region.items()) or "all values"
    if squares:
        for weight, _ in squares:
            if not isinstance(verdict := nonnegative(weight, region), Checked):
                return verdict
        verdict = identity(expr, sum(weight * root**2 for weight, root in squares))
        return Checked("symbolic", within) if isinstance(verdict, Checked) else verdict
    numerator, denominator = sp.fraction(sp.together(expr))
    try:
        constant, factors = sp.factor_list(sp.expand(numerator * denominator))
    except sp.PolynomialError:
        constant, factors = sp.Integer(1), [(expr, 1)]
    sign = constant
    for factor, power in factors:
        if power % 2:
            sign *= _sign(factor, region)
    if sign.is_nonnegative:
        return Checked("symbolic", within)
    return Inconclusive(f"no proof that {sp.factor(expr)} >= 0 on {within}")


def _interval(x: sp.Symbol, region: Region) -> tuple[sp.Expr, sp.Expr]:
    """The interval asked for, cut down to what the symbol's own assumptions allow."""
    if not x.is_real:
        raise ValueError(f"{x} has no sign: declare it with symbols({str(x)!r}, real=True)")
    low, high = map(exact_expression, region.get(x, (-sp.oo, sp.oo)))
    if not all(end.is_rational or end.is_infinite for end in (low, high)):
        raise ValueError(f"{x} in [{low}, {high}]: the ends must be rational or infinite")
    low = sp.Max(low, 0) if x.is_nonnegative else low
    high = sp.Min(high, 0) if x.is_nonpositive else high
    if not low <= high:
        raise ValueError(f"{x} has the empty interval [{low}, {high}]: swap or widen its ends")
    return low, high


def _says_interval(x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> str:
    if low.is_infinite and high.is_infinite:
        return f"all {x}"
    return " <= ".join(str(end) for end in (low, x, high) if not end.is_infinite)


def _sign(p: sp.Expr, region: Region) -> sp.Expr:
    """1 or -1 if p or -p is >= 0 on the region, nan if neither is shown."""
    return next(
        (sign for sign in (sp.S.One, -sp.S.One) if _is_nonnegative(sign * p, region)), sp.nan
    )


def _is_nonnegative(p: sp.Expr, region: Region) -> bool:
    if p.is_nonnegative:
        return True
    symbols = sorted(p.free_symbols, key=str)
    if not p.is_polynomial(*symbols):
        return False
    poly = sp.Poly(p, *symbols)
    if not all(c.is_rational for c in poly.coeffs()):
        return False
    alone = len(symbols) == 1 and _sturm(poly, *region[symbols[0]])
    return alone or _quadratic(poly) or _orthant(poly, region)


def _sturm(p: sp.Poly, low: sp.Expr, high: sp.Expr) -> bool:
    """No root on the closed interval and a value > 0 there. Roots at its ends are left to `_orthant`."""
    ends = [end if end.is_finite else None for end in (low, high)]
    point = next((end for end in ends if end is not None), sp.S.Zero)
    return bool(p.count_roots(*ends) == 0 and p.eval(point) > 0)


def _quadratic(p: sp.Poly) -> bool:
    """p = z' Q z in z = (1, x, y, ...) with Q positive semidefinite: p >= 0 everywhere."""
    if p.total_degree() > 2:
        return False
    one = sp.Dummy()
    form = sp.expand(one**2 * p.as_expr().subs({x: x / one for x in p.gens}, simultaneous=True))
    return bool(sp.hessian(form, [one, *p.gens]).is_positive_semidefinite)


def _orthant(p: sp.Poly, region: Region) -> bool:
    """Coefficients >= 0 in y >= 0, x = low + y, high - y or (low + high y) / (1 + y), denominators cleared.

    Multiplying by (1 + sum y)^n first lets more polynomials through (Polya). The end y = oo follows by continuity.
    """
    value, positive = p.as_expr(), []
    for x in p.gens:
        (low, high), y = region[x], sp.Dummy()
        if low.is_infinite and high.is_infinite:
            return False
        if low.is_finite and high.is_finite:
            value = (1 + y) ** p.degree(x) * value.subs(x, (low + high * y) / (1 + y))
        else:
            value = value.subs(x, low + y if low.is_finite else high - y)
        positive.append(y)
    mapped, factor = (sp.Poly(q, *positive) for q in (sp.cancel(value), 1 + sum(positive)))
    return any(all(c >= 0 for c in (mapped * factor**n).coeffs()) for n in range(POLYA_POWERS))
