"""Arb balls: enclosures of what is not rational, at the working precision of flint.ctx.

Functions named as in theory.spectra enclose the same quantity. C is what exact.rational takes, scalars are rationals,
floats (the dyadic rationals they are), exact.Bracket values or balls. `holds` raises the precision until it decides.
"""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import comb
from typing import Any, Literal

from flint import arb, ctx, fmpq, fmpq_mat
from numpy.typing import ArrayLike

from theory.evidence.exact import Bracket, fraction, gram, rational
from theory.statement import Checked, Inconclusive, Instance, Refuted, Verdict, Witness


def ball(x: Any) -> arb:
    """x as a ball: a rational or float to working precision, a Bracket as the ball that covers it."""
    if isinstance(x, arb):
        return x
    if isinstance(x, Bracket):
        return ball(x.lower).union(ball(x.upper))
    exact = fraction(x)
    return arb(fmpq(exact.numerator, exact.denominator))


def sqrt(x: Any) -> arb:
    """The square root of x >= 0; a ball that reaches below 0 is cut there, one that lies below is a ValueError."""
    value = ball(x)
    if value < 0:
        raise ValueError(f"no real square root of {value}: pass x >= 0")
    return value.sqrt() if value >= 0 else arb(0).union(arb(value.upper()).sqrt())


def exp(x: Any) -> arb:
    """e^x."""
    return ball(x).exp()


def log(x: Any) -> arb:
    """The natural logarithm of x > 0."""
    value = ball(x)
    if not value > 0:
        raise ValueError(f"{value} is not certainly positive: raise the precision or pass x > 0")
    return value.log()


def eigenvalues(G: ArrayLike) -> list[arb]:
    """Eigenvalues of a symmetric rational G (n, n) in decreasing order, with multiplicity.

    They are the isolated roots of the characteristic polynomial, so that repeated ones share a ball and zero is exact.
    """
    G = rational(G)
    if G.ndim != 2 or G.shape[0] != G.shape[1] or (G != G.T).any():
        raise ValueError(f"G of shape {G.shape} is not symmetric: pass G == G.T exactly")
    entries = [fmpq(x.numerator, x.denominator) for x in G.ravel().tolist()]
    polynomial: Any = fmpq_mat(len(G), len(G), entries).charpoly().numer()
    bits = ctx.prec
    while True:
        with ctx.workprec(bits):
            roots = [(arb(root.real), count) for root, count in polynomial.complex_roots()]
            roots.sort(key=lambda pair: pair[0].mid(), reverse=True)
            # Roots of different multiplicity are isolated separately.
            if all(a[0] > b[0] for a, b in pairwise(roots)):
                return [root for root, count in roots for _ in range(count)]
        bits *= 2


def singular_values(C: ArrayLike) -> list[arb]:
    """Singular values of rational C (d, T) in decreasing order, min(d, T) of them."""
    C = rational(C)
    return [sqrt(value) for value in eigenvalues(gram(C if C.shape[1] <= C.shape[0] else C.T))]


def _largest(C: ArrayLike, k: int) -> tuple[list[arb], int]:
    C = rational(C)
    if C.ndim != 2 or not 1 <= k <= min(C.shape):
        raise ValueError(f"k={k!r} does not fit C of shape {C.shape}: pass 1 <= k <= min(d, T)")
    return singular_values(C)[:k], C.shape[1]


def ky_fan(C: ArrayLike, k: int) -> arb:
    """The Ky Fan norm sum_{i<=k} sigma_i."""
    return sum(_largest(C, k)[0], arb(0))


def nuclear(C: ArrayLike) -> arb:
    """The nuclear norm, the sum of all singular values."""
    return sum(singular_values(C), arb(0))


def slope(C: ArrayLike, k: int) -> arb:
    """The slope rho_k = (1/T) sum_{i<=k} sigma_i^2; statement 3."""
    values, T = _largest(C, k)
    return sum((value**2 for value in values), arb(0)) / T


def balanced_slope(C: ArrayLike, k: int, ridge: Any = 0) -> arb:
    """The balanced slope beta_k = (1/T) sum_{i<=k} (sigma_i - ridge)_+; statement 26."""
    values, T = _largest(C, k)
    return sum(((value - ball(ridge)).max(arb(0)) for value in values), arb(0)) / T


def marchenko_pastur_partial_mean(tau: Any, kappa: Any) -> arb:
    """The limit of rho_k, T/d -> tau > 0, k/T -> kappa in [0, 1], for rational tau and kappa; statement 14.

    In x = 1 + tau + 2 sqrt(tau) cos(theta) the mass above theta increases with theta, which is bisected for its root.
    """
    tau, kappa = fraction(tau), fraction(kappa)
    if not (tau > 0 and 0 <= kappa <= 1):
        raise ValueError(f"tau={tau}, kappa={kappa}: pass T/d > 0 and 0 <= k/T <= 1")
    mass, root = kappa * max(tau, 1), sqrt(min(tau, 1 / tau))
    if mass >= 1 or mass == 0:
        return arb(1 if mass else 0)

    def edge(certain: Callable[[arb], bool], inner: arb, outer: arb) -> arb:
        for _ in range(ctx.prec):
            middle = ((inner + outer) / 2).mid()
            excess = _upper_mass(middle, root) - ball(mass)
            inner, outer = (middle, outer) if certain(excess) else (inner, middle)
        return inner

    zero, pi = arb(0), arb.pi().upper()
    theta = edge(lambda excess: excess < 0, zero, pi).union(
        edge(lambda excess: excess > 0, pi, zero)
    )
    return (theta - theta.sin() * theta.cos()) / arb.pi()


def _upper_mass(theta: arb, root: arb) -> arb:
    """The mass of the Marchenko-Pastur law of ratio root^2 <= 1 above theta, the integral over (0, theta) of
    (2/pi) sin^2 / (1 + root^2 + 2 root cos)."""
    across = root * theta.sin()
    angle = arb.atan2(across, 1 + root * theta.cos())
    return (theta - across - (1 - root**2) * (across - angle) / root**2) / arb.pi()


def holds(
    sides: Callable[[], tuple[Any, Any]],
    scope: str,
    *,
    relation: Literal["<=", "=="] = "<=",
    instance: Instance | None = None,
    bits: tuple[int, ...] = (64, 128, 256, 512, 1024),
) -> Verdict:
    """Decide lhs <= rhs (or ==) from sides() -> (lhs, rhs), evaluated at each precision until the balls decide.

    Equal irrational sides can never be told apart by balls: Inconclusive.
    """
    lhs = rhs = arb(0)
    for precision in bits:
        with ctx.workprec(precision):
            lhs, rhs = map(ball, sides())
            if (relation == "<=" and lhs <= rhs) or (
                lhs.is_exact() and rhs.is_exact() and lhs == rhs
            ):
                return Checked("interval", scope)
            if lhs > rhs or (relation == "==" and lhs < rhs):
                confirmed = f"Arb balls at {precision} bits"
                return Refuted(Witness(instance or {}, lhs, rhs, confirmed))
    return Inconclusive(f"the balls {lhs} and {rhs} overlap at {bits[-1]} bits")


def binomial_lower(successes: int, draws: int, confidence: Any, *, bits: int = 20) -> Fraction:
    """Clopper-Pearson: a p with P(probability >= p) >= confidence, the largest multiple of 2^-bits that is one.

    It satisfies P(X >= successes) <= 1 - confidence for X ~ Binomial(draws, p), in integers; 0 if there were none.
    """
    level = fraction(confidence)
    if not (0 <= successes <= draws and draws >= 1 and 0 < level < 1):
        raise ValueError(
            f"{successes} of {draws} at confidence {confidence}: pass 0 <= successes <= draws, 0 < confidence < 1"
        )
    whole = 2**bits
    allowed = (1 - level) * whole**draws
    low, high = 0, whole
    while high - low > 1:
        p = (low + high) // 2
        tail, power = 0, 1
        for i in range(draws, successes - 1, -1):  # Horner's rule in p
            tail, power = tail * p + comb(draws, i) * power, power * (whole - p)
        tail *= p**successes
        low, high = (p, high) if tail <= allowed else (low, p)
    return Fraction(low, whole)


def binomial_upper(successes: int, draws: int, confidence: Any, *, bits: int = 20) -> Fraction:
    """The other side: a p with P(probability <= p) >= confidence."""
    return 1 - binomial_lower(draws - successes, draws, confidence, bits=bits)
