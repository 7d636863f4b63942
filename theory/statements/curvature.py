"""The slope under small noise is half the trace of the Hessian, for any smooth loss: the bridge to networks.

Setting   a loss L of the hit weights theta (p,), three times differentiable with third derivatives at most K everywhere
          (near theta is not enough); N iid of zero mean and unit variance with E |N|^3 finite.
Claim     d/d(sigma^2) E L(theta + sigma N) = tr(Hessian of L at theta) / 2 at sigma = 0. For the mean risk of the
          linear model that is tr(S) |heads|_F^2 / T, the slope of statement 2: the two sides evaluated here, with the
          trace taken by second differences, exact for a quadratic.
Tight     an equality.
Proof     Taylor: the linear term has mean 0, the quadratic one (sigma^2 / 2) tr H, the rest is O(sigma^3).
Source    standard (Bishop 1995 for noise on inputs); statement 2 for the linear model.
"""

import numpy as np
import sympy as sp

from theory.covariance import Covariance
from theory.evidence.lemmas import step
from theory.evidence.scalars import identity, limit
from theory.evidence.symbolic import dimensions, equal, expect, frob2, matrix, symmetric, trace
from theory.perturbation import AdditiveNoise
from theory.representation import Representation, risk
from theory.statement import Scale, Statement, Step
from theory.statements._draws import inputs, representation, tasks

sigma = sp.Symbol("sigma", positive=True)


def sides(C, W, heads, X):
    """Half the trace of the Hessian in W, and the slope that additive noise has by its own formula."""
    S, size = Covariance.of_inputs(X), W.size
    here = risk(W, heads, C, S)
    units = np.eye(size).reshape(size, *W.shape) * (np.abs(W).max() or 1.0)
    second = [risk(W + N, heads, C, S) + risk(W - N, heads, C, S) - 2 * here for N in units]
    noisy = AdditiveNoise(1.0).expected_risk(Representation(W, heads), C, S)
    assert isinstance(noisy, float)
    return sum(second) / 2 / units.max() ** 2, noisy - here


def size(C, W, heads, X):
    """Of the risks whose differences are taken."""
    S = Covariance.of_inputs(X)
    length = np.abs(W).max() or 1.0
    return (risk(W, heads, C, S) + S.trace * float((heads**2).sum())) * max(1.0, length**-2)


def generate(rng, i):
    C, k = tasks(rng, i)
    W, heads = representation(rng, i, C, k)
    return {"C": C, "k": k, "W": W, "heads": heads, "X": inputs(rng, i, len(C))}


def quadratic_term() -> Step:
    (p,) = dimensions("p")
    H, g, n = symmetric("H", p), matrix("g", p, 1), matrix("n", p, 1)
    s = sp.Symbol("sigma", real=True)
    return step(
        "quadratic_term",
        r"\mathbb{E}[\sigma\langle\nabla L, N\rangle + \tfrac{\sigma^2}2N^\top HN] = "
        r"\tfrac{\sigma^2}2\operatorname{tr}H",
        lambda: equal(
            expect(s * trace(g.T @ n) + s**2 / 2 * trace(n.T @ H @ n), n), s**2 / 2 * trace(H)
        ),
    )


def remainder_vanishes() -> Step:
    """|L - its second-order expansion| <= K |sigma N|^3 / 6 (Taylor)."""
    K, third = sp.symbols("K third_moment", nonnegative=True)
    return step(
        "remainder_vanishes",
        r"\tfrac1{\sigma^2}\cdot\tfrac K6\sigma^3\,\mathbb{E}|N|^3 \to 0 as \sigma \to 0",
        lambda: limit(K * sigma**3 * third / 6 / sigma**2, sigma, 0, 0),
    )


def bounded_near_theta_is_not_enough() -> Step:
    """L = exp(x^4) at theta = 0 has every derivative near 0, and no mean under normal noise, however small."""
    x, s = sp.symbols("x sigma", positive=True)
    exponent = s**4 * x**4 - x**2 / 2  # of L(sigma x) times the normal density
    return step(
        "bounded_near_theta_is_not_enough",
        r"L = e^{x^4}: L(\sigma x)e^{-x^2/2} \to \infty as x \to \infty for every \sigma > 0, so that "
        r"\mathbb{E}\,L(\sigma N) = \infty: the bound K must hold everywhere",
        lambda: limit(sp.exp(-exponent), x, sp.oo, 0, "-"),
    )


def waves_agree() -> Step:
    """E cos(a'(theta + sigma N) + b) = exp(-sigma^2 |a|^2 / 2) cos(a' theta + b) for normal N: no expansion needed."""
    phase, a2, s2 = sp.symbols("phase a2 sigma2", real=True)
    (p,) = dimensions("p")
    a = matrix("a", p, 1)
    return step(
        "waves_agree",
        r"L = \cos(a^\top\theta+b): \tfrac{d}{d\sigma^2}e^{-\sigma^2|a|^2/2}L|_0 = -\tfrac12|a|^2L = "
        r"\tfrac12\operatorname{tr}(-L\,aa^\top)",
        lambda: identity(
            sp.diff(sp.exp(-s2 * a2 / 2) * sp.cos(phase), s2).subs(s2, 0), -a2 / 2 * sp.cos(phase)
        ),
        lambda: equal(trace(a @ a.T), frob2(a)),
    )


def linear_model() -> Step:
    """The Hessian form of R in W is 2 |S^(1/2) N' heads|^2 / T; its trace is its mean over white N."""
    d, T, k = dimensions("d T k")
    C, W, heads, N = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T), matrix("N", k, d)
    S, h = symmetric("S", d), sp.Symbol("h", real=True)
    hessian = sp.diff(frob2(C - (W + h * N).T @ heads, S) / T, h, 2)
    return step(
        "linear_model",
        r"\tfrac{d^2}{dh^2}R(W+hN,\Gamma) = \tfrac2T\|S^{1/2}N^\top\Gamma\|^2, and half its trace is "
        r"\operatorname{tr}(S)\|\Gamma\|^2/T",
        lambda: equal(hessian, 2 * frob2(N.T @ heads, S) / T),
        lambda: equal(expect(hessian, N) / 2, trace(S) * frob2(heads) / T),
    )


STATEMENT = Statement(
    id="curvature",
    number=31,
    claim=r"\|\nabla^3L\| \le K, \mathbb{E}|N|^3 < \infty: "
    r"\tfrac{d}{d\sigma^2}\,\mathbb{E}\,L(\theta+\sigma N)\big|_{\sigma=0} = "
    r"\tfrac12\operatorname{tr}\nabla^2L(\theta), for the linear model \operatorname{tr}(S)\|\Gamma\|_F^2/T",
    source="standard; Bishop 1995",
    relation="==",
    sides=sides,
    generate=generate,
    scale=Scale("the risks whose differences are taken", size),
    tight_at="an equality",
    proof=[
        quadratic_term(),
        remainder_vanishes(),
        bounded_near_theta_is_not_enough(),
        waves_agree(),
        linear_model(),
    ],
    mutants={
        "without the half": lambda C, W, heads, X: (
            2 * sides(C, W, heads, X)[0],
            sides(C, W, heads, X)[1],
        )
    },
    remark="The trace is over the hit weights only; Hutchinson's estimator is E n' H n over the same white noise. For "
    "symmetric noise and a fourth derivative the error at finite sigma is O(sigma^4).",
)
