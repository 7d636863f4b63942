"""Gaussian tasks, many of them: the slope tends to a partial mean of the Marchenko-Pastur law, in closed form.

Setting   C (d, T) iid N(0, 1/d), T/d -> tau > 0, k/T -> kappa in [0, 1].
Claim     rho_k(C) -> integral of x over (q, b) against MP_tau, where (q, b) has mass kappa and b = (1 + sqrt tau)^2.
          For tau > 1 the law has an atom 1 - 1/tau at 0, so that the limit is 1 from kappa = 1/tau on.
          With q = 1 + tau + 2 sqrt(tau) cos(theta), tau <= 1, it is (theta - sin theta cos theta)/pi, and the mass is
          [theta - s - (1 - tau)(s - arctan(s / (1 + sqrt(tau) cos theta)))/tau]/pi, s = sqrt(tau) sin theta.
Proof     Differentiate both closed forms; they are 0 at theta = 0. For tau > 1 pass from C^T C to C C^T. The
          convergence is Marchenko and Pastur's, cited here and tested on draws of finite size.
Source    Marchenko & Pastur 1967; the closed form is elementary.
"""

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import sympy as sp

from theory.evidence import chance, interval
from theory.evidence.lemmas import step
from theory.evidence.scalars import identity
from theory.evidence.symbolic import dimensions, equal, matrix
from theory.geometry import sample
from theory.spectra import marchenko_pastur_partial_mean, slope
from theory.statement import Checked, Inconclusive, Instance, Statement, Step, Verdict

THETA = sp.Symbol("theta", positive=True)
ROOT = sp.Symbol("root(tau)", positive=True)
EIGENVALUE = 1 + ROOT**2 + 2 * ROOT * sp.cos(THETA)
RATIOS = [Fraction(n) for n in ("1/100", "1/4", "1/2", "1", "2", "5")]
SHARES = [Fraction(n) for n in ("1/20", "1/5", "1/2", "9/10")]
SIZES = ((40, 20, 5), (80, 40, 10), (40, 40, 20), (20, 40, 8), (40, 80, 16))
DRAWS = 300
DEVIATION = 8
"""In units of 1/d, as the standard deviation of rho_k is at most 2 sqrt(E rho_k / tau) / d (Gaussian Poincare)."""


@cache
def _limits(tau: Fraction, kappa: Fraction) -> tuple[float, float]:
    closed_form = marchenko_pastur_partial_mean(float(tau), float(kappa))
    return closed_form, float(interval.marchenko_pastur_partial_mean(tau, kappa).mid())


def sides(C: Any, k: int) -> tuple[Any, Any]:
    d, T = C.shape
    return _limits(Fraction(T, d), Fraction(k, T))


def shapes(rng: np.random.Generator, i: int) -> Instance:
    """A draw at each small shape: tau = T/d and kappa = k/T are read off it."""
    d, T = (1, 1) if i == 0 else (int(n) for n in rng.integers(1, 20, size=2, endpoint=True))
    k = int(rng.integers(1, min(d, T), endpoint=True))
    return {"C": sample("gaussian", d, T, i), "k": k}


def density_in_the_angle() -> Step:
    low, high = (1 - ROOT) ** 2, (1 + ROOT) ** 2
    squared = (high - EIGENVALUE) * (EIGENVALUE - low)
    half = 2 * ROOT * sp.sin(THETA)
    return step(
        "density_in_the_angle",
        r"x = 1+\tau+2\sqrt\tau\cos\theta: (b-x)(x-a) = (2\sqrt\tau\sin\theta)^2, |dx/d\theta| = 2\sqrt\tau\sin\theta, "
        r"\frac{\sqrt{(b-x)(x-a)}}{2\pi\tau x}dx = \frac{2\sin^2\theta}{\pi x}d\theta",
        lambda: identity(squared, half**2),
        lambda: identity(-sp.diff(EIGENVALUE, THETA), half),
        lambda: identity(
            half / (2 * sp.pi * ROOT**2 * EIGENVALUE) * half,
            2 * sp.sin(THETA) ** 2 / (sp.pi * EIGENVALUE),
        ),
    )


def closed_forms() -> Step:
    """Their derivatives are x times the density, and the density, of the step before; both start at 0."""
    across = ROOT * sp.sin(THETA)
    angle = sp.atan(across / (1 + ROOT * sp.cos(THETA)))
    mass = (THETA - across - (1 - ROOT**2) * (across - angle) / ROOT**2) / sp.pi
    mean = (THETA - sp.sin(THETA) * sp.cos(THETA)) / sp.pi
    density = 2 * sp.sin(THETA) ** 2 / (sp.pi * EIGENVALUE)
    cosine = sp.Symbol("cos", real=True)

    def algebraic(expr: sp.Expr) -> sp.Expr:
        return expr.subs({sp.sin(THETA): sp.sqrt(1 - cosine**2), sp.cos(THETA): cosine})

    return step(
        "closed_forms",
        r"\tfrac{d}{d\theta}\tfrac{\theta - \sin\theta\cos\theta}\pi = x\cdot\tfrac{2\sin^2\theta}{\pi x}, the mass "
        r"above \theta has the derivative \tfrac{2\sin^2\theta}{\pi x}, both are 0 at 0; the whole mass is 1",
        lambda: identity(sp.diff(mean, THETA), EIGENVALUE * density),
        lambda: identity(algebraic(sp.diff(mass, THETA)), algebraic(density)),
        lambda: identity(mean.subs(THETA, 0), 0),
        lambda: identity(mass.subs(THETA, 0), 0),
        lambda: identity(mass.subs(THETA, sp.pi), 1),
    )


def transposed_above_one() -> Step:
    """C (d, T) is sqrt(tau) times a matrix (d, T) iid N(0, 1/T), whose transpose has ratio 1/tau."""
    d, T = dimensions("d T")
    C, u = matrix("C", d, T), matrix("u", d, 1)
    x, tau = sp.symbols("x tau", positive=True)

    def density(at: sp.Expr, ratio: sp.Expr) -> sp.Expr:
        low, high = (1 - sp.sqrt(ratio)) ** 2, (1 + sp.sqrt(ratio)) ** 2
        return (high - at) * (at - low) / (2 * sp.pi * ratio * at) ** 2  # squared

    return step(
        "transposed_above_one",
        r"CC^\top u = \lambda u \Rightarrow C^\top C(C^\top u) = \lambda C^\top u: the density is "
        r"\mathrm{mp}_\tau(x) = \tau^{-2}\,\mathrm{mp}_{1/\tau}(x/\tau), of mass 1/\tau for \tau > 1, the rest is at 0",
        lambda: equal(C.T @ C @ (C.T @ u), C.T @ (C @ C.T @ u)),
        lambda: identity(density(x, tau), density(x / tau, 1 / tau) / tau**4),
    )


def enclosed(tau: Fraction, kappa: Fraction, tolerance: Fraction = Fraction(1, 10**9)) -> Verdict:
    """Whether the product's limit is right to the tolerance, by Arb's quadrature of the density.

    The angle of the product's value, a little less and a little more: (theta - sin theta cos theta)/pi stays within the
    tolerance, and the mass above passes kappa in between.
    """
    from flint import acb, arb
    from scipy.optimize import brentq

    scope = f"tau = {tau}, kappa = {kappa}"
    value = marchenko_pastur_partial_mean(float(tau), float(kappa))
    mass = kappa * max(tau, Fraction(1))
    if mass >= 1:
        return Checked("interval", scope) if value == 1 else Inconclusive(f"{scope}: not 1")
    root = interval.sqrt(min(tau, 1 / tau))
    hint = brentq(lambda x: (x - np.sin(x) * np.cos(x)) / np.pi - value, 0, np.pi, xtol=1e-15)
    low, high = (arb(hint) + sign * interval.ball(tolerance) for sign in (-1, 1))

    def mean(theta: arb) -> arb:
        return (theta - theta.sin() * theta.cos()) / arb.pi()

    def above(theta: arb) -> arb:
        def density(x: acb, _: bool) -> acb:
            return 2 * x.sin() ** 2 / (acb.pi() * (1 + root**2 + 2 * root * x.cos()))

        return acb.integral(density, 0, theta).real

    around = interval.ball(value)
    reach = interval.ball(tolerance)
    near = around - reach < mean(low) and mean(high) < around + reach
    if near and above(low) < interval.ball(mass) < above(high):
        return Checked("interval", scope)
    return Inconclusive(f"{scope}: the product's {value} is not enclosed to {tolerance}")


def quadrature_encloses_the_limit() -> Step:
    def check() -> Verdict:
        for tau in RATIOS:
            for kappa in SHARES:
                verdict = enclosed(tau, kappa)
                if not isinstance(verdict, Checked):
                    return verdict
        ratios, shares = (", ".join(map(str, numbers)) for numbers in (RATIOS, SHARES))
        return Checked("interval", f"tau = {ratios} with kappa = {shares}")

    return Step(
        "quadrature_encloses_the_limit",
        r"theory.spectra's limit lies within 10^{-9} of the integral, by Arb's quadrature of the density",
        check,
    )


def finite_draws() -> Step:
    def close(seed: int) -> bool:
        return all(
            abs(
                slope(sample("gaussian", d, T, seed), k)
                - marchenko_pastur_partial_mean(T / d, k / T)
            )
            <= DEVIATION / d
            for d, T, k in SIZES
        )

    return Step(
        "finite_draws",
        rf"P \ge 0.97 that |\rho_k - \lim| \le {DEVIATION}/d at each (d, T, k) of {', '.join(map(str, SIZES))}: "
        rf"{DRAWS} draws, Clopper-Pearson at confidence {chance.CONFIDENCE}",
        lambda: chance.at_least(close, Fraction(97, 100), DRAWS),
    )


STATEMENT = Statement(
    id="marchenko-pastur",
    number=14,
    claim=r"C \sim N(0, 1/d), T/d \to \tau, k/T \to \kappa \Rightarrow "
    r"\rho_k \to \textstyle\int_q^b x\,d\mathrm{MP}_\tau(x), \mathrm{MP}_\tau(q, b) = \kappa",
    source="Marchenko & Pastur 1967; the closed form is elementary",
    relation="==",
    sides=sides,
    generate=shapes,
    tight_at="an equality",
    proof=[
        density_in_the_angle(),
        closed_forms(),
        transposed_above_one(),
        quadrature_encloses_the_limit(),
        finite_draws(),
    ],
    mutants={
        "no atom": lambda C, k: (
            marchenko_pastur_partial_mean(
                C.shape[1] / C.shape[0], k / C.shape[1] / max(1, C.shape[1] / C.shape[0])
            ),
            sides(C, k)[1],
        ),
    },
    remark="sides compares theory.spectra's float64 with an Arb enclosure at tau = T/d, kappa = k/T; the entries of C "
    "play no part. The steps of the closed form are checked; the convergence of random spectra is cited and tested, so "
    "that the verdict is no more than Supported.",
)
