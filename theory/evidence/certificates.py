"""What a step holds as data, and how the checker evaluates it: an identity, a sign, a limit, a certificate, a citation.

A certificate answers nothing for itself: it is frozen values, which `evaluate` looks at with the functions of this
package. In a user's file only steps of certificates are checked; there they are written as plain data and evaluated in
a process that never ran the file (`theory.evidence.apart`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import sympy as sp

from theory.evidence import scalars, symbolic
from theory.evidence.scope import all_checked
from theory.evidence.symbolic import Definition, Matrix, Rule, Trace, letters_of
from theory.statement import Checked, Inconclusive, Verdict


@dataclass(frozen=True)
class Certificate:
    """One thing that a step says; called, it is evaluated."""

    def __call__(self) -> Verdict:
        return evaluate(self)


@dataclass(frozen=True)
class Mean:
    """The expectation of a scalar over the random letter `noise`, independent of every other letter in it.

    The law is that of `symbolic.expect`: "white" (zero mean, unit variance, uncorrelated) or "gaussian".
    """

    expr: Any
    noise: Matrix
    law: Literal["white", "gaussian"] = "white"


@dataclass(frozen=True)
class Identity(Certificate):
    """lhs = rhs: scalars (sympy, traces, Mean) or Matrix expressions, for all shapes and values, given the rules.

    A rule (word, shorter expression) is a hypothesis; a `symbolic.Definition` is none.
    """

    lhs: Any
    rhs: Any
    rules: tuple[Rule | Definition, ...] = ()


@dataclass(frozen=True)
class Entries(Certificate):
    """lhs = rhs entry by entry: two tables of sympy scalars of one shape, which is the scope."""

    lhs: tuple[tuple[Any, ...], ...]
    rhs: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Nonnegative(Certificate):
    """expr >= 0 on the region, symbol by symbol (symbol, low, high); by (weight, root) squares if there are any."""

    expr: Any
    region: tuple[tuple[Any, Any, Any], ...] = ()
    squares: tuple[tuple[Any, Any], ...] = ()


@dataclass(frozen=True)
class Limit(Certificate):
    """expr -> value as x -> point, from above (+) or below (-)."""

    expr: Any
    x: Any
    point: Any
    value: Any
    side: Literal["+", "-"] = "+"


@dataclass(frozen=True)
class PositiveSemidefinite(Certificate):
    """A symmetric matrix of rationals (Fractions, ints, or texts such as "2/3") is >= 0, by L diag(D) L' if given.

    Without L (n, r) and D (r,) they are computed; both are multiplied out.
    """

    A: tuple[tuple[Any, ...], ...]
    L: tuple[tuple[Any, ...], ...] = ()
    D: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Inequality(Certificate):
    """lhs <= rhs (or ==) between numbers without symbols, by Arb's enclosures."""

    lhs: Any
    rhs: Any
    relation: Literal["<=", "=="] = "<="


@dataclass(frozen=True)
class Citation(Certificate):
    """A lemma of theory.evidence.lemmas by name, with what its letters stand for; its conditions are hypotheses."""

    lemma: str
    at: Mapping[str, Matrix] = field(default_factory=dict)


@dataclass(frozen=True)
class All(Certificate):
    """Several checks as one; none is no check."""

    parts: tuple[Callable[[], Verdict], ...]


KINDS = (
    Mean,
    Identity,
    Entries,
    Nonnegative,
    Limit,
    PositiveSemidefinite,
    Inequality,
    Citation,
    All,
)
"""What a step may hold as data, by exact type."""


def evaluate(certificate: Any) -> Verdict:
    """The verdict on a certificate. Raises ValueError, with the remedy, if it is not well formed."""
    match certificate:
        case All(parts):
            if not parts:
                return Inconclusive("no check: a step holds what a machine can check")
            return all_checked(part() for part in parts)
        case Identity(lhs, rhs, rules):
            return _identity(lhs, rhs, rules)
        case Entries(lhs, rhs):
            tables = sp.Matrix(lhs), sp.Matrix(rhs)
            if tables[0].shape != tables[1].shape:
                return Inconclusive(f"tables of shapes {tables[0].shape} and {tables[1].shape}")
            if tables[0] == tables[1]:
                return Inconclusive(SAME)
            return scalars.explicit_shapes(lambda rows, cols: tables, [tables[0].shape])
        case Nonnegative(expr, region, squares):
            return scalars.nonnegative(expr, {x: (low, high) for x, low, high in region}, squares)
        case Limit(expr, x, point, value, side):
            return scalars.limit(expr, x, point, value, side)
        case PositiveSemidefinite(A, L, D):
            return _positive_semidefinite(A, L, D)
        case Inequality(lhs, rhs, relation):
            from theory.evidence import interval

            balls = [scalars.exact_expression(side) for side in (lhs, rhs)]
            return interval.holds(
                lambda: (_ball(balls[0]), _ball(balls[1])),
                f"{balls[0]} {relation} {balls[1]}",
                relation=relation,
            )
        case Citation(lemma, at):
            return _citation(lemma, at)
    raise ValueError(f"{type(certificate).__name__} is no certificate: see theory.evidence")


SAME = "both sides are the same expression, which checks nothing"


def _identity(lhs: Any, rhs: Any, rules: tuple[Rule | Definition, ...]) -> Verdict:
    assumed = [_assumed(side) for side in (lhs, rhs) if isinstance(side, Mean)]
    for side in (lhs, rhs):
        if isinstance(side, Mean):
            spoken = {x for rule in rules for M in _matrices(rule) for x in letters_of(M)}
            if letters_of(side.noise) & spoken:
                raise ValueError(f"a rule speaks of the noise {side.noise}: average first")
    left, right = (_mean(side) if isinstance(side, Mean) else side for side in (lhs, rhs))
    if isinstance(left, Matrix) != isinstance(right, Matrix):
        raise ValueError("an identity between a matrix and a scalar: take a trace")
    if not isinstance(left, Matrix):
        left, right = scalars.exact_expression(left), scalars.exact_expression(right)
    # The algebra of traces is done as they are written down: there equal sides may be an identity.
    about_matrices = isinstance(left, Matrix) or left.atoms(Trace) | right.atoms(Trace)
    if not (assumed or about_matrices) and left == right:
        return Inconclusive(SAME)
    verdict: Verdict = Inconclusive("")
    if about_matrices or rules:
        verdict = symbolic.equal(left, right, rules, owned=False)
    if not (isinstance(verdict, Checked) or isinstance(left, Matrix) or rules):
        verdict = scalars.identity(left, right)
    if not isinstance(verdict, Checked):
        return verdict
    return Checked(verdict.kind, verdict.scope, (*verdict.hypotheses, *dict.fromkeys(assumed)))


def _matrices(rule: Rule | Definition) -> list[Matrix]:
    sides = rule.letters if isinstance(rule, Definition) else rule
    return [side for side in sides if isinstance(side, Matrix)]


def _mean(side: Mean) -> sp.Expr:
    return symbolic.expect(scalars.exact_expression(side.expr), side.noise, side.law)


def _assumed(side: Mean) -> str:
    """What a mean takes for granted: the noise's law, and its independence of what else is averaged."""
    (noise,) = letters_of(side.noise)
    others = sorted({x.name for x in letters_of(sp.sympify(side.expr))} - {noise.name})
    free = f", independent of {', '.join(others)}" if others else ""
    return f"{noise.name} {side.law} noise{free}"


def _positive_semidefinite(A: Any, L: Any, D: Any) -> Verdict:
    from theory.evidence import exact

    matrix = exact.rational([[Fraction(x) for x in row] for row in A])
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (matrix != matrix.T).any():
        raise ValueError("a matrix that is not symmetric: give A == A'")
    if len(L) or len(D):
        factor = exact.rational([[Fraction(x) for x in row] for row in L])
        weights = exact.rational([Fraction(x) for x in D])
        if min(weights, default=0) < 0 or ((factor * weights) @ factor.T != matrix).any():
            return Inconclusive("L diag(D) L' with D >= 0 is not this matrix")
    elif not exact.is_psd(matrix):
        return Inconclusive("the matrix is not positive semidefinite")
    return Checked("exact", f"one matrix {matrix.shape[0]} x {matrix.shape[1]}")


def _ball(expr: sp.Expr) -> Any:
    """A number without symbols as an Arb ball, from its parts."""
    from flint import arb

    from theory.evidence import interval

    parts = [_ball(part) for part in expr.args]
    match expr:
        case sp.Integer() | sp.Rational():
            return interval.ball(Fraction(int(expr.p), int(expr.q)))
        case _ if expr is sp.pi:
            return arb.pi()
        case _ if expr is sp.E:
            return arb(1).exp()
        case sp.Add():
            return sum(parts, arb(0))
        case sp.Mul():
            product = arb(1)
            for part in parts:
                product = product * part
            return product
        case sp.Pow():
            if expr.exp == sp.Rational(1, 2):
                return interval.sqrt(parts[0])
            if expr.exp.is_Integer:
                return parts[0] ** int(expr.exp)
            return (parts[1] * interval.log(parts[0])).exp()
        case sp.exp() | sp.log() | sp.sin() | sp.cos():
            name = type(expr).__name__
            return interval.log(parts[0]) if name == "log" else getattr(parts[0], name)()
    raise ValueError(
        f"{expr} has no enclosure: use numbers, pi, E, +, *, powers, exp, log, sin, cos"
    )


def _citation(name: str, at: Mapping[str, Matrix]) -> Verdict:
    from theory.evidence.lemmas import LEMMAS

    if name not in LEMMAS:
        raise ValueError(f"unknown lemma {name!r}: use {', '.join(LEMMAS)}")
    lemma = LEMMAS[name]
    verdict = lemma.prove()
    if not isinstance(verdict, Checked):
        return verdict
    there = ", ".join(f"{x} = {str(M).rpartition(' (')[0]}" for x, M in at.items())
    conditions = [f"{said}{f' at {there}' if there else ''}" for said in lemma.conditions]
    return Checked(
        verdict.kind, verdict.scope, tuple(dict.fromkeys([*conditions, *verdict.hypotheses]))
    )
