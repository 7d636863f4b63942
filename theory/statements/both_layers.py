"""Noise on both layers costs each layer's energy, and a product of noises that no training can lower.

Setting   any C (d, T), W (k, d), heads (k, T), inputs X (n, d) with S = X' X / n; N (k, d) and M (k, T) independent,
          each iid of zero mean and unit variance.
Claim     E R(W + sigma N, heads + sigma M) = R + sigma^2 (tr(S) |heads|^2 + T |S^(1/2) W'|^2) / T + sigma^4 k tr(S).
          For S = I: sigma^2 (d |heads|^2 + T |W|^2) / T + sigma^4 d k.
Proof     Average over N with M fixed (statement 2), then over M: the weights' own energy meets T heads, and
          E |heads + sigma M|^2 = |heads|^2 + sigma^2 k T.
Source    new; the one-layer case is Daras et al. 2022, sec. 2.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Covariance
from theory.evidence.lemmas import step
from theory.evidence.symbolic import dimensions, equal, expect, eye, frob2, matrix, symmetric, trace
from theory.representation import Representation, risk
from theory.statement import Instance, Statement, Step
from theory.statements._draws import Array, inputs, representation, risks, tasks, two_point


def sides(
    C: Array, k: int, W: Array, heads: Array, X: Array, sigma: float, odds: int
) -> tuple[Any, Any]:
    """The exact mean over all values of both noises, against the closed form."""
    (N, M), probability = two_point(odds, W.shape, heads.shape)
    mean = probability @ risks(W + sigma * N, heads + sigma * M, C, X)
    S = Covariance.of_inputs(X)
    weights = float((S.factor(W.T) ** 2).sum())
    one_layer = S.trace * Representation(W, heads).slope + weights
    return mean, risk(W, heads, C, S) + sigma**2 * one_layer + sigma**4 * k * S.trace


def without_product(
    C: Array, k: int, W: Array, heads: Array, X: Array, sigma: float, odds: int
) -> tuple[Any, Any]:
    mean, claimed = sides(C, k, W, heads, X, sigma, odds)
    return mean, claimed - sigma**4 * k * Covariance.of_inputs(X).trace


def one_sign(
    C: Array, k: int, W: Array, heads: Array, X: Array, sigma: float, odds: int
) -> tuple[Any, Any]:
    """Noises that are not independent: the same sign everywhere."""
    sign = sigma * np.array([1.0, -1.0])[:, None, None]
    claimed = sides(C, k, W, heads, X, sigma, odds)[1]
    return risks(W + sign, heads + sign, C, X).mean(), claimed


def generate(rng: np.random.Generator, i: int) -> Instance | None:
    C, k = tasks(rng, i, most=3)
    if k * sum(C.shape) > 8:
        return None
    W, heads = representation(rng, i, C, k)
    X, sigma = inputs(rng, i, len(C)), float(rng.choice([0.1, 1.0, 10.0]))
    return {"C": C, "k": k, "W": W, "heads": heads, "X": X, "sigma": sigma, "odds": 1 + i % 4}


def _proof() -> list[Step]:
    d, T, k = dimensions("d T k")
    C, W, heads = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T)
    N, M = matrix("N", k, d), matrix("M", k, T)
    S, sigma = symmetric("S", d), sp.Symbol("sigma", nonnegative=True)
    noisy = heads + sigma * M
    after_first = frob2(C - W.T @ noisy, S) + sigma**2 * trace(S) * frob2(noisy)
    return [
        step(
            "mean_over_the_weights",
            r"E_N \|S^{1/2}(C - (W + \sigma N)^\top(\Gamma + \sigma M))\|^2 = "
            r"\|S^{1/2}(C - W^\top(\Gamma + \sigma M))\|^2 + \sigma^2\operatorname{tr}(S)\|\Gamma + \sigma M\|^2",
            lambda: equal(expect(frob2(C - (W + sigma * N).T @ noisy, S), N), after_first),
        ),
        step(
            "mean_over_the_heads",
            r"E_M: \|S^{1/2}(C - W^\top\Gamma)\|^2 + \sigma^2(\operatorname{tr}(S)\|\Gamma\|^2 + "
            r"T\|S^{1/2}W^\top\|^2) + \sigma^4 kT\operatorname{tr}(S)",
            lambda: equal(
                expect(after_first, M),
                frob2(C - W.T @ heads, S)
                + sigma**2 * (trace(S) * frob2(heads) + T * frob2(W.T, S))
                + sigma**4 * k * T * trace(S),
            ),
        ),
        step(
            "isotropic",
            r"S = I: \operatorname{tr} S = d, \|S^{1/2}W^\top\|^2 = \|W\|^2",
            lambda: equal(trace(eye(d)), d),
            lambda: equal(frob2(W.T, eye(d)), frob2(W)),
        ),
    ]


STATEMENT = Statement(
    id="both-layers",
    number=5,
    claim=r"E\,R(W + \sigma N, \Gamma + \sigma M) = R + \tfrac{\sigma^2}{T}(\operatorname{tr}(S)\|\Gamma\|^2 + "
    r"T\|S^{1/2}W^\top\|^2) + \sigma^4 k \operatorname{tr}(S)",
    source="new; one layer in Daras et al. 2022, sec. 2",
    relation="==",
    sides=sides,
    generate=generate,
    tight_at="an equality",
    proof=_proof(),
    mutants={"without the product of noises": without_product, "one sign for all": one_sign},
)
