"""Rational linear algebra: what it certifies holds without a rounding error.

A rational matrix is a numpy array of Fractions, so C.T @ C, np.trace and np.delete(C, t, axis=1) are exact; `rational`
makes one, and every function here takes whatever `rational` takes. Floats enter only as hints, which are rounded and
repaired until the certificate built from them passes.

Trusted path: 92 lines (the functions in TRUSTED, without docstrings), plus Python's Fraction and numpy's object arrays.
"""

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import isqrt
from textwrap import dedent
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.statement import Checked, Inconclusive, Instance, Refuted, Verdict, Witness

Rational = NDArray[np.object_]
Scalar = int | Fraction

DENOMINATOR = 2**40
"""Denominators of a certificate's hints: the finest that float64 eigenvectors deserve."""


# Trusted.
def fraction(x: Any) -> Fraction:
    """x as a Fraction of Python ints (numpy's overflow); a float is the dyadic rational that it is."""
    exact = Fraction(x.item() if isinstance(x, np.generic) else x)
    return Fraction(int(exact.numerator), int(exact.denominator))


# Trusted.
def rational(C: Any) -> Rational:
    """C as an array of Fractions; a float is the dyadic rational that it is.

    An object array that holds floats has been rounded on its way: ValueError, as for what is not finite and real.
    """
    if (
        isinstance(C, np.ndarray)
        and C.dtype == object
        and any(isinstance(x, float) for x in C.ravel().tolist())
    ):
        raise ValueError("a rational array met a float and was rounded: use Fractions throughout")
    entries = np.array(C, dtype=object)
    exact = np.empty(entries.shape, dtype=object)
    try:
        for where, x in np.ndenumerate(entries):
            exact[where] = fraction(x)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"no rational array ({error}): pass finite real entries") from error
    return exact


# Trusted.
@dataclass(frozen=True)
class Bracket:
    """A real number known to lie between two rationals; +, -, * and / keep it so."""

    lower: Fraction
    upper: Fraction

    def __add__(self, other: "Bracket | Scalar") -> "Bracket":
        more = bracket(other)
        return Bracket(self.lower + more.lower, self.upper + more.upper)

    def __neg__(self) -> "Bracket":
        return Bracket(-self.upper, -self.lower)

    def __mul__(self, other: "Bracket | Scalar") -> "Bracket":
        more = bracket(other)
        ends = [a * b for a in (self.lower, self.upper) for b in (more.lower, more.upper)]
        return Bracket(min(ends), max(ends))

    def __sub__(self, other: "Bracket | Scalar") -> "Bracket":
        return self + -bracket(other)

    def __rsub__(self, other: Scalar) -> "Bracket":
        return -self + other

    def __truediv__(self, other: Scalar) -> "Bracket":
        return self * (1 / fraction(other))

    __radd__, __rmul__ = __add__, __mul__

    def __iter__(self) -> Iterator[Fraction]:
        return iter((self.lower, self.upper))

    def __str__(self) -> str:
        ends = [f"{Decimal(x.numerator) / x.denominator:.17g}" for x in self]
        return str(self.lower) if self.lower == self.upper else f"[{ends[0]}, {ends[1]}]"


# Trusted.
def bracket(x: "Bracket | Scalar | float") -> Bracket:
    """x as a Bracket, of width 0 if it is a number."""
    return x if isinstance(x, Bracket) else Bracket(fraction(x), fraction(x))


# Trusted.
def certainly_greater(lhs: "Bracket | Scalar", rhs: "Bracket | Scalar") -> bool:
    """Whether lhs > rhs wherever both lie in their brackets."""
    return bracket(lhs).lower > bracket(rhs).upper


# Trusted.
def certainly_at_most(lhs: "Bracket | Scalar", rhs: "Bracket | Scalar") -> bool:
    """Whether lhs <= rhs wherever both lie in their brackets."""
    return bracket(lhs).upper <= bracket(rhs).lower


# Trusted.
def is_psd(A: ArrayLike) -> bool:
    """Whether the symmetric rational A (n, n) is positive semidefinite.

    Yes is verified as A = L diag(D) L^T with D >= 0, no as x^T A x < 0; nothing is taken from the elimination itself.
    """
    A = rational(A)
    certificate = ldl(A)
    if isinstance(certificate, Negative):
        valid = certificate.x @ A @ certificate.x < 0
    else:
        L, D = certificate.L, certificate.D
        valid = min(D, default=0) >= 0 and bool(((L * D) @ L.T == A).all())
    if not valid:
        raise ArithmeticError("ldl returned a certificate that its multiplication contradicts")
    return isinstance(certificate, Factor)


# Trusted.
def primal_bound(G: ArrayLike, k: int, P: ArrayLike) -> Fraction | None:
    """tr(G P) <= the sum of the k largest eigenvalues of G, if 0 <= P <= I and tr P = k; else None."""
    G, P = rational(G), rational(P)
    feasible = np.trace(P) == k and is_psd(P) and is_psd(identity(len(P)) - P)
    return Fraction((G * P).sum()) if feasible else None


# Trusted.
def dual_bound(G: ArrayLike, k: int, z: Scalar, Y: ArrayLike) -> Fraction | None:
    """k z + tr Y >= the sum of the k largest eigenvalues of G, if Y >= 0 and Y + z I - G >= 0; else None."""
    G, Y, z = rational(G), rational(Y), fraction(z)
    feasible = is_psd(Y) and is_psd(Y + z * identity(len(G)) - G)
    return Fraction(k * z + np.trace(Y)) if feasible else None


# Trusted.
def identity(n: int) -> Rational:
    """The rational unit matrix (n, n)."""
    return rational(np.eye(n, dtype=int))


# Trusted.
def gram(C: ArrayLike) -> Rational:
    """C^T C (T, T), exact."""
    C = rational(C)
    return np.asarray(C.T @ C)


# Trusted.
def ky_fan_bracket(G: ArrayLike, k: int, *, denominator: int = DENOMINATOR) -> Bracket:
    """The sum of the k largest eigenvalues of a symmetric rational G (n, n), between certified bounds.

    Exact where the spectral projectors of G at its k-th eigenvalue are rational with denominators up to
    sqrt(denominator); else of a width that falls at least like k n max|G| / denominator. Beyond DENOMINATOR the hint
    comes from mpmath.
    """
    certificate = ky_fan_certificate(G, k, denominator=denominator)
    lower = primal_bound(G, k, certificate.P)
    upper = dual_bound(G, k, certificate.z, certificate.Y)
    if lower is None or upper is None:
        raise ArithmeticError("ky_fan_certificate returned one that does not certify")
    return Bracket(lower, upper)


# Trusted.
def slope_bracket(C: ArrayLike, k: int, *, denominator: int = DENOMINATOR) -> Bracket:
    """The slope rho_k(C) of rational C (d, T), 1 <= k <= min(d, T), between certified bounds; statement 3."""
    C = rational(C)
    if C.ndim != 2 or not 1 <= k <= min(C.shape):
        raise ValueError(f"no slope for k={k} and C of shape {C.shape}: pass 1 <= k <= min(d, T)")
    # C^T C and C C^T differ in zero eigenvalues only.
    smaller = gram(C) if C.shape[1] <= C.shape[0] else gram(C.T)
    return ky_fan_bracket(smaller, k, denominator=denominator) / C.shape[1]


# Trusted.
def holds(
    sides: Callable[[int], tuple[Any, Any]],
    scope: str,
    *,
    relation: Literal["<=", "=="] = "<=",
    instance: Instance | None = None,
    denominators: tuple[int, ...] = (DENOMINATOR, 2**80, 2**160),
) -> Verdict:
    """Decide lhs <= rhs (or ==) from sides(denominator) -> (lhs, rhs), Brackets or rationals, ever narrower.

    An equality is proved only where both brackets have width 0.
    """
    lhs = rhs = bracket(0)
    for denominator in denominators:
        lhs, rhs = map(bracket, sides(denominator))
        at_most, at_least = certainly_at_most(lhs, rhs), certainly_at_most(rhs, lhs)
        if at_most and (relation == "<=" or at_least):
            return Checked("exact", scope)
        if certainly_greater(lhs, rhs) or (relation == "==" and certainly_greater(rhs, lhs)):
            return Refuted(Witness(instance or {}, lhs, rhs, "rational certificates"))
    return Inconclusive(f"the brackets {lhs} and {rhs} overlap at the finest denominator")


TRUSTED: tuple[Callable[..., Any], ...] = (
    fraction, rational, Bracket, bracket, certainly_greater, certainly_at_most, is_psd, primal_bound,
    dual_bound, identity, gram, ky_fan_bracket, slope_bracket, holds,
)  # fmt: skip


def trusted_line_count() -> int:
    """Lines of TRUSTED as `ast.unparse` prints them, without docstrings and blank lines."""
    lines = 0
    for item in TRUSTED:
        tree = ast.parse(dedent(inspect.getsource(item)))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                node.body = node.body[1:]
        lines += sum(1 for line in ast.unparse(tree).splitlines() if line.strip())
    return lines


def frobenius_squared(C: ArrayLike) -> Fraction:
    """||C||_F^2, exact."""
    return Fraction((rational(C) ** 2).sum())


@dataclass(frozen=True)
class Factor:
    """A = L diag(D) L^T with D >= 0: L (n, r) and D (r,), r the rank of A."""

    L: Rational
    D: Rational


@dataclass(frozen=True)
class Negative:
    """A direction x (n,) with x^T A x < 0."""

    x: Rational


def ldl(A: ArrayLike) -> Factor | Negative:
    """LDL^T of a symmetric rational A (n, n), pivoting on the diagonal, or why A is not positive semidefinite."""
    A = rational(A)
    if A.ndim != 2 or A.shape[0] != A.shape[1] or (A != A.T).any():
        raise ValueError(
            f"A of shape {A.shape} is not symmetric: pass a matrix with A == A.T exactly"
        )
    rest, pivots, columns, D = A, [], [], []
    for _ in A:
        pivot = int(np.argmax(rest.diagonal()))
        largest = rest[pivot, pivot]
        if largest <= 0:
            break
        column = rest[:, pivot] / largest
        rest = rest - np.outer(column, column) * largest
        pivots.append(pivot)
        columns.append(column)
        D.append(largest)
    if not rest.any():
        L = np.array(columns, dtype=object).reshape(len(D), len(A)).T
        return Factor(L, np.array(D, dtype=object))
    # What is left has no positive diagonal entry, so any entry that is not zero gives a direction.
    x = rational(np.zeros(len(A), dtype=int))
    i, j = divmod(int(np.argmax(rest != 0)), len(A))
    x[i], x[j] = Fraction(1), Fraction(-1 if rest[i, j] > 0 else 1)
    for pivot, column in zip(reversed(pivots), reversed(columns), strict=True):
        x[pivot] -= column @ x  # orthogonal to the column: x^T A x is what `rest` gives
    return Negative(x)


@dataclass(frozen=True)
class KyFanCertificate:
    """P (n, n), z and Y (n, n) that bound a sum of largest eigenvalues by primal_bound and dual_bound."""

    P: Rational
    z: Fraction
    Y: Rational


def ky_fan_certificate(G: ArrayLike, k: int, *, denominator: int = DENOMINATOR) -> KyFanCertificate:
    """The certificate behind ky_fan_bracket: rational projectors first, then repaired roundings."""
    G = rational(G)
    n = len(G)
    if G.shape != (n, n) or (G != G.T).any() or not 1 <= k <= n:
        raise ValueError(
            f"no sum of the {k} largest eigenvalues of a {G.shape} matrix: pass a symmetric G, 1 <= k <= {n}"
        )
    largest = abs(G).max()
    scale = Fraction(2) ** (largest.numerator.bit_length() - largest.denominator.bit_length())
    values, vectors = _eigen(G / scale, denominator)
    tie = Fraction(n, denominator)  # closer eigenvalues are treated as equal
    above = upto = k
    if k < n and values[k - 1] - values[k] <= tie:
        above = sum(1 for value in values if value > values[k - 1] + tie)
        upto = sum(1 for value in values if value >= values[k - 1] - tie)
    below = values[k] if k < n else values[k - 1] - 1
    between = scale * ((values[k - 1] + below) / 2).limit_denominator(denominator)

    def certificate(top: Rational, wider: Rational, s: Fraction) -> KyFanCertificate:
        share, z = Fraction(0), between
        if upto > above:
            share = Fraction(k - above, upto - above)
            z = (G * (wider - top)).sum() / (upto - above)  # the mean of the tied eigenvalues
        P = (1 - share) * top + share * wider
        return KyFanCertificate(P, z + s, top @ (G - (z - s) * identity(n)) @ top)

    reduced = [_reduced(vectors[:, :m], denominator) for m in (above, upto)]
    simple = [(to_small_rationals(V, isqrt(denominator)), rows) for V, rows in reduced]
    if all(_invariant(G, V, rows) for V, rows in simple):
        top, wider = (_projector(V) for V, _ in simple)
        candidate = certificate(top, wider, Fraction(0))
        if dual_bound(G, k, candidate.z, candidate.Y) is not None:
            return candidate
    top, wider = (_projector(_rounded(V, denominator)) for V, _ in reduced)
    s = scale / denominator**2
    while True:  # ends once s exceeds the error of the projectors
        candidate = certificate(top, wider, s)
        if dual_bound(G, k, candidate.z, candidate.Y) is not None:
            return candidate
        s *= 64


def _entrywise(function: Callable[[Fraction], Fraction], X: Rational) -> Rational:
    return np.asarray(np.vectorize(function, otypes=[object])(X))


def _rounded(X: Rational, denominator: int) -> Rational:
    """X to the nearest multiples of 1/denominator."""
    return _entrywise(lambda x: Fraction(round(x * denominator), denominator), X)


def _eigen(G: Rational, denominator: int) -> tuple[list[Fraction], Rational]:
    """A hint: eigenvalues in decreasing order and eigenvectors (n, n) of G, entries at most about 1."""
    if denominator <= DENOMINATOR:
        values, vectors = np.linalg.eigh(G.astype(np.float64))
        return list(rational(values[::-1])), rational(vectors[:, ::-1])
    from mpmath import mp, mpf, workprec
    from mpmath.libmp import to_rational

    with workprec(denominator.bit_length() + 16 + 4 * len(G).bit_length()):
        entries = [[mpf(x.numerator) / x.denominator for x in row] for row in G]
        values, vectors = mp.eigsy(mp.matrix(entries))
        exact = np.vectorize(lambda x: Fraction(*map(int, to_rational(x._mpf_))), otypes=[object])
        return list(exact(list(values))[::-1]), exact(np.array(vectors.tolist(), object))[:, ::-1]


def _reduced(V: Rational, denominator: int) -> tuple[Rational, list[int]]:
    """The columns of V (n, m) recombined to the unit matrix on m rows, and these rows.

    The entries depend on the span alone, so that a rational span has rational entries to round to.
    """
    rows: list[int] = []
    for step in range(V.shape[1]):
        size = abs(V)
        size[np.array(rows, dtype=int)] = -1
        size[:, :step] = -1
        row, column = divmod(int(np.argmax(size)), V.shape[1])
        order = np.arange(V.shape[1])
        order[[step, column]] = order[[column, step]]
        V = V[:, order]
        pivot = V[:, step] / V[row, step]
        V = V - np.outer(pivot, V[row])
        V[:, step] = pivot
        V = _rounded(V, denominator**2)
        rows.append(row)
    return V, rows


def _invariant(G: Rational, V: Rational, rows: list[int]) -> bool:
    """Whether G keeps the span of V, the unit matrix on these rows, exactly."""
    image = G @ V
    return bool((image == V @ image[np.array(rows, dtype=int)]).all())


def _projector(V: Rational) -> Rational:
    """The orthogonal projector onto the columns of V (n, m), exact, by Gram-Schmidt."""
    P = 0 * identity(len(V))
    for column in V.T:
        left = column - P @ column
        P = P + np.outer(left, left) / (left @ left)
    return P


def to_small_rationals(C: ArrayLike, denominator: int) -> Rational:
    """C with every entry replaced by the nearest fraction whose denominator is at most `denominator`."""
    return _entrywise(lambda x: x.limit_denominator(denominator), rational(C))
