"""Correlated noise on the weights: rows meet the heads, columns the inputs, each through its covariance.

Setting   any C (d, T), W (k, d), heads (k, T), inputs X (n, d) with S = X' X / n; N = L Z M', Z iid of zero mean and
          unit variance, so that rows have covariance A = L L' (k, k) and columns B = M M' (d, d): E N_ij N_lm = A_il
          B_jm.
Claim     E R(W + sigma N, heads) = R(W, heads) + sigma^2 tr(S B) tr(heads heads' A) / T.
Tight     an equality.
Proof     The cross term has mean zero; E |S^(1/2) N' heads|^2 = tr(M' S M) |L' heads|^2.
Source    new; statement 2 is A = I, B = I.
"""

import numpy as np
import sympy as sp

from theory.covariance import Covariance
from theory.evidence.lemmas import step
from theory.evidence.symbolic import dimensions, equal, expect, frob2, matrix, symmetric, trace
from theory.representation import risk
from theory.statement import Statement, Step
from theory.statements._draws import inputs, representation, risks, tasks, two_point


def sides(C, W, heads, X, L, M, sigma, odds):
    """The exact mean over all values of two-valued Z, against the formula."""
    (Z,), probability = two_point(odds, W.shape)
    mean = probability @ risks(W + sigma * (L @ Z @ M.T), heads, C, X)
    S = Covariance.of_inputs(X)
    columns, rows = float((S.factor(M) ** 2).sum()), float(((L.T @ heads) ** 2).sum())
    return mean, risk(W, heads, C, S) + sigma**2 * columns * rows / C.shape[1]


def generate(rng, i):
    C, k = tasks(rng, i, most=3)
    d = len(C)
    if k * d > 6:
        return None
    W, heads = representation(rng, i, C, k)
    L, M = (rng.standard_normal((n, n)) if i % 4 else np.eye(n) for n in (k, d))
    if i % 5 == 0:
        M[:, 0] = 0  # degenerate columns
    sigma = float(rng.choice([0.1, 1.0, 10.0]))
    X = inputs(rng, i, d)
    return {
        "C": C,
        "k": k,
        "W": W,
        "heads": heads,
        "X": X,
        "L": L,
        "M": M,
        "sigma": sigma,
        "odds": 1 + i % 3,
    }


def noise_meets_heads_and_inputs() -> Step:
    d, T, k = dimensions("d T k")
    C, W, heads = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T)
    L, M, Z = matrix("L", k, k), matrix("M", d, d), matrix("Z", k, d)
    S, sigma = symmetric("S", d), sp.Symbol("sigma", nonnegative=True)
    N, E = L @ Z @ M.T, C - W.T @ heads
    added = trace(S @ M @ M.T) * trace(heads @ heads.T @ L @ L.T)
    return step(
        "noise_meets_heads_and_inputs",
        r"\mathbb{E}\|S^{1/2}(E - \sigma N^\top\Gamma)\|^2 = \|S^{1/2}E\|^2 + "
        r"\sigma^2\operatorname{tr}(SB)\operatorname{tr}(\Gamma\Gamma^\top A)",
        lambda: equal(
            expect(frob2(C - (W + sigma * N).T @ heads, S), Z), frob2(E, S) + sigma**2 * added
        ),
    )


def covariance_of_the_noise() -> Step:
    """u'Nv and x'Ny are correlated through A and B: L Z M' is what the setting says."""
    d, k = dimensions("d k")
    L, M, Z = matrix("L", k, k), matrix("M", d, d), matrix("Z", k, d)
    u, x = (matrix(name, k, 1) for name in "ux")
    v, y = (matrix(name, d, 1) for name in "vy")
    N = L @ Z @ M.T
    return step(
        "covariance_of_the_noise",
        r"\mathbb{E}[(u^\top Nv)(x^\top Ny)] = (u^\top Ax)(v^\top By)",
        lambda: equal(
            expect(trace(u.T @ N @ v) * trace(x.T @ N @ y), Z),
            trace(u.T @ L @ L.T @ x) * trace(v.T @ M @ M.T @ y),
        ),
    )


STATEMENT = Statement(
    id="matrix-normal-noise",
    number=33,
    claim=r"E N_{ij}N_{lm} = A_{il}B_{jm}: \mathbb{E}R(W+\sigma N,\Gamma) = R(W,\Gamma) + "
    r"\sigma^2\operatorname{tr}(SB)\operatorname{tr}(\Gamma\Gamma^\top A)/T",
    source="new",
    relation="==",
    sides=sides,
    generate=generate,
    tight_at="an equality",
    proof=[covariance_of_the_noise(), noise_meets_heads_and_inputs()],
    mutants={
        "rows and columns apart": lambda C, W, heads, X, L, M, sigma, odds: (
            sides(C, W, heads, X, L, M, sigma, odds)[0],
            sides(C, W, heads, X, L, np.eye(len(C)), sigma, odds)[1],
        )
    },
    remark="No normal law is needed: only the covariance enters.",
)
