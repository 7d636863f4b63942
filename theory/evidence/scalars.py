"""Scalars checked by machine: identities, signs, flows, limits, and identities entry by entry for explicit shapes.

What sympy answers is also evaluated at random points that the symbols' assumptions allow, to 30 digits. What a check
had to assume (a denominator that is not 0) is a hypothesis of its verdict.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp

from theory.evidence import examples
from theory.evidence.scope import all_checked, every, quantified
from theory.statement import Checked, Inconclusive, Verdict

Region = Mapping[sp.Symbol, tuple[Any, Any]]
"""Closed intervals by symbol, with rational or infinite ends."""

POINTS = 6
"""Random points at which an answer is evaluated."""
AGREE = 1e-12
"""Relative difference of sides that are evaluated to 30 digits, and whose traces are float64 numbers."""


def identity(lhs: Any, rhs: Any) -> Verdict:
    """Whether lhs = rhs wherever both are defined, for all values that the symbols' assumptions allow."""
    lhs, rhs = exact_expression(lhs), exact_expression(rhs)
    difference = lhs - rhs
    symbols = lhs.free_symbols | rhs.free_symbols
    if clash := twice_named(symbols):
        return Inconclusive(f"two symbols are called {clash}: rename one of them")
    for simplify in (sp.expand, sp.cancel, sp.trigsimp, sp.simplify):
        if simplify(difference) == 0:
            break
    else:
        return Inconclusive(f"the sides differ by {sp.simplify(difference)}, not shown to be 0")
    seen = 0
    for at, (left, right) in points([lhs, rhs]):
        seen += 1
        if abs(left - right) > AGREE * max(1.0, abs(left), abs(right)):
            return Inconclusive(f"the sides are {left:.6g} and {right:.6g} at {at}")
    if not seen:
        return Inconclusive("the sides are real numbers at no point that was tried")
    return Checked("symbolic", every(map(quantified, symbols)), nonzero_hypotheses([lhs, rhs]))


def points(
    exprs: Sequence[sp.Expr], region: Region | None = None
) -> Iterator[tuple[str, list[float]]]:
    """The values of the expressions at random points where all are real numbers, and each point in words."""
    rng = np.random.default_rng(0)
    symbols = sorted({x for e in exprs for x in e.free_symbols}, key=str)
    atoms = sorted(
        {a for e in exprs for a in e.atoms(sp.AtomicExpr) if hasattr(a, "word")}, key=str
    )
    numbers = {atom: sp.Dummy(real=True) for atom in atoms}
    scalars = [e.xreplace(numbers) for e in exprs]
    for _ in range(4 * POINTS if symbols or atoms else 1):
        values = {x: _point(x, (region or {}).get(x), rng) for x in symbols}
        values |= {x: float(rng.normal()) for x in numbers.values()}
        evaluated = examples.numbers(scalars, values)
        if not any(np.isnan(evaluated)):
            yield ", ".join(f"{x} = {values[x]:.6g}" for x in symbols) or "its value", evaluated


def _point(x: sp.Symbol, ends: tuple[Any, Any] | None, rng: np.random.Generator) -> float:
    value = examples.value_of(x, rng)
    if ends is None or (ends[0] <= value and value <= ends[1]):
        return value
    low, high = (float(end) if end.is_finite else None for end in ends)
    if low is not None and high is not None:
        return low + (high - low) * float(rng.random())
    return low + abs(value) if low is not None else (high or 0.0) - abs(value)


def twice_named(names: Iterable[Any]) -> str:
    """A name that two different symbols or letters have; empty if there is none."""
    counts = Counter(getattr(x, "name", str(x)) for x in set(names))
    return next((name for name, n in sorted(counts.items()) if n > 1), "")


def nonzero_hypotheses(exprs: Iterable[sp.Expr]) -> tuple[str, ...]:
    """That denominators which may vanish do not, and that logarithms have a positive argument."""
    said: dict[str, None] = {}
    for expr in exprs:
        for power in sorted(expr.atoms(sp.Pow), key=str):
            if power.exp.could_extract_minus_sign() and not power.base.is_nonzero:
                factors = sp.Mul.make_args(sp.factor_terms(power.base))
                said |= {f"{f} != 0": None for f in factors if not f.is_nonzero}
        for log in sorted(expr.atoms(sp.log), key=str):
            if not log.args[0].is_positive:
                said[f"{log.args[0]} > 0"] = None
    return tuple(said)


def exact_expression(expr: Any) -> sp.Expr:
    expr = sp.sympify(expr)
    if expr.has(sp.Float):
        raise ValueError(f"{expr} has rounded numbers, which show nothing: write sympy.Rational")
    return expr


def explicit_shapes(sides: Callable[..., tuple[Any, Any]], shapes: Iterable[Any]) -> Verdict:
    """An identity between scalars or sympy matrices in explicit entries, at each shape: sides(*shape) -> (lhs, rhs)."""
    shapes = [tuple(shape) for shape in shapes]
    if not shapes:
        raise ValueError("no shapes to check: pass at least one, such as [(2, 3)]")
    names = inspect.signature(sides).parameters
    hypotheses: dict[str, None] = {}
    for shape in shapes:
        lhs, rhs = sides(*shape)
        for left, right in zip(sp.Matrix([lhs]), sp.Matrix([rhs]), strict=True):
            verdict = identity(left, right)
            if not isinstance(verdict, Checked):
                return Inconclusive(f"at shape {shape}: {verdict}")
            hypotheses |= dict.fromkeys(verdict.hypotheses)
    said = [" x ".join(map(str, shape)) for shape in shapes]
    if len(names) == 1:
        said = [f"{name} = {size}" for name in names for size in said]
    return Checked("symbolic", ", ".join(said), tuple(hypotheses))


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
    return all_checked([start, flow])


def limit(expr: sp.Expr, x: sp.Symbol, point: Any, value: Any, side: str = "+") -> Verdict:
    """Whether expr -> value as x -> point."""
    try:
        reached = sp.limit(expr, x, point, side)
    except NotImplementedError as error:
        return Inconclusive(f"sympy finds no limit of {expr}: {error}")
    if not isinstance(verdict := identity(reached, value), Checked):
        return verdict
    if not _approaches(expr, exact_expression(value), x, sp.sympify(point), side):
        return Inconclusive(f"{expr} does not come nearer to {value} where it is evaluated")
    others = expr.free_symbols - {x}
    said = every(map(quantified, others | exact_expression(value).free_symbols))
    return Checked("symbolic", said, nonzero_hypotheses([exact_expression(value)]))


def _approaches(expr: sp.Expr, value: sp.Expr, x: sp.Symbol, point: sp.Expr, side: str) -> bool:
    """Whether expr comes ever nearer to value, at random values of the other symbols."""
    steps = [sp.Rational(1, 10**n) for n in (2, 4, 8)]
    if point.is_infinite:
        at = [1 / step if point.is_extended_positive else -1 / step for step in steps]
    else:
        at = [point + step if side == "+" else point - step for step in steps]
    for _, (end, *reached) in points([value, *(expr.subs(x, near) for near in at)]):
        far, nearer, nearest = (abs(y - end) for y in reached)
        rounding = 1e-9 * max(1.0, abs(end))  # of float64 differences of what evalf rounds
        if nearest > rounding and not (nearest <= nearer <= far and nearest < far / 2):
            return False
    return True


POLYA_POWERS = 9
"""How many powers of (1 + sum y) `nonnegative` tries."""


def nonnegative(
    expr: sp.Expr, region: Region | None = None, squares: Sequence[tuple[Any, Any]] = ()
) -> Verdict:
    """Whether a rational function is >= 0 on the region (default: where the symbols' assumptions allow).

    `squares` is a certificate, expr = sum of weight * root^2 over its pairs, every weight >= 0, every root real.
    Without it, the sign comes factor by factor, each settled by one of: assumptions, Sturm's count of real roots (one
    symbol), a positive semidefinite matrix (quadratics), coefficients >= 0 after the region is mapped to the positive
    orthant.
    """
    expr = exact_expression(expr)
    region = {x: _interval(x, region or {}) for x in sorted(expr.free_symbols, key=str)}
    if clash := twice_named(expr.free_symbols):
        return Inconclusive(f"two symbols are called {clash}: rename one of them")
    within = every(_says_interval(x, *ends) for x, ends in region.items())
    for at, (value,) in points([expr], region):
        if value < -AGREE:
            return Inconclusive(f"{expr} is {value:.6g} at {at}")
    if squares:
        return _sum_of_squares(expr, region, squares, within)
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
        return Checked("symbolic", within, _poles(expr, region))
    return Inconclusive(f"no proof that {sp.factor(expr)} >= 0 for {within}")


def positive(expr: Any) -> Verdict:
    """Whether expr > 0 where it is defined: >= 0 as `nonnegative` says, and by the symbols' assumptions never 0."""
    expr = sp.factor(exact_expression(expr))
    verdict = nonnegative(expr)
    if isinstance(verdict, Checked) and not expr.is_positive:
        return Inconclusive(f"{expr} is not known to differ from 0")
    return verdict


def _sum_of_squares(
    expr: sp.Expr, region: Region, squares: Sequence[tuple[Any, Any]], within: str
) -> Verdict:
    verdicts = [nonnegative(weight, region) for weight, _ in squares]
    for _, root in squares:
        if not _is_real(exact_expression(root)):
            return Inconclusive(f"{root} is not known to be real: its square has no sign")
    verdicts.append(identity(expr, sum(weight * root**2 for weight, root in squares)))
    verdict = all_checked(verdicts)
    if not isinstance(verdict, Checked):
        return verdict
    return Checked("symbolic", within, verdict.hypotheses)


def _is_real(root: sp.Expr) -> bool:
    """Whether it is real wherever it is defined: known to sympy, or a rational function of real symbols."""
    symbols = root.free_symbols
    numbers = root.atoms(sp.Number, sp.NumberSymbol)
    rational = root.is_rational_function(*symbols) and all(x.is_rational for x in numbers)
    rational = rational and not root.has(sp.I)
    return bool(root.is_real) or (rational and all(x.is_real for x in symbols))


def _poles(expr: sp.Expr, region: Region) -> tuple[str, ...]:
    """The denominators that may vanish on the region."""
    positive = {x: sp.Dummy(positive=True) for x, (low, _) in region.items() if low.is_positive}
    back = {dummy: x for x, dummy in positive.items()}
    said = nonzero_hypotheses([expr.xreplace(positive)])
    for dummy, x in back.items():
        said = tuple(line.replace(str(dummy), str(x)) for line in said)
    return said


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
    if (low.is_infinite and high.is_infinite) or _bound_by_itself(x, low, high):
        return quantified(x)
    return " <= ".join(str(end) for end in (low, x, high) if not end.is_infinite)


def _bound_by_itself(x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> bool:
    """Whether the interval is what the symbol's own assumptions say."""
    own = (sp.S.Zero if x.is_nonnegative else -sp.oo, sp.S.Zero if x.is_nonpositive else sp.oo)
    return (low, high) == own


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
    homogeniser = sp.Dummy()
    form = sp.expand(
        homogeniser**2 * p.as_expr().subs({x: x / homogeniser for x in p.gens}, simultaneous=True)
    )
    return bool(sp.hessian(form, [homogeniser, *p.gens]).is_positive_semidefinite)


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
