"""Coherence, sharply: one more unit task strictly lowers the slope if all correlations are below T^(-3/2).

Setting   C (d, T+1) unit tasks, C_T its first T; 1 <= k <= T; mu = max over i != j of |<c_i, c_j>| < T^(-3/2).
Claim     rho_k(C) <= [T (1 + mu sqrt T) / (T+1)] rho_k(C_T), and the factor is below 1.
Tight     T orthonormal tasks and one of correlation mu with each, k = 1, at every mu: past T^(-3/2) the slope rises.
Proof     G is the Gram matrix of C_T, g = C_T^T c, S_k the sum of the k largest eigenvalues. The Gram matrix of C is
          diag(G, 1) plus the border g, which adds at most |g| <= mu sqrt T to S_k. The eigenvalue 1 adds
          delta = max(0, 1 - lambda_k): none for k = 1, and else T - k + 1 eigenvalues are at most 1 - delta while all
          squared distances from 1 sum to at most T(T-1) mu^2, so that delta <= (k-1) mu sqrt T. In all S_k grows by
          k mu sqrt T at most, and S_k >= k.
Source    new; sharpens statement 9, from T^(-2) to T^(-3/2).
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.evidence.lemmas import ky_fan_maximum_principle, step
from theory.evidence.symbolic import (
    Rule,
    dimensions,
    equal,
    eye,
    frob2,
    identity,
    matrix,
    nonnegative,
    symmetric,
    trace,
)
from theory.spectra import coherence, slope
from theory.statement import Hypothesis, Statement, Step
from theory.statements.coherence_drop import (
    largest_have_their_share,
    near_orthogonal,
    unit_trace,
)

CORRELATED = np.column_stack([np.eye(5, 4), [0.1, 0.1, 0.1, 0.1, np.sqrt(0.96)]])


def _low_coherence(C: Any) -> bool:
    return bool(coherence(C) * (C.shape[1] - 1) ** 1.5 < 1)


LOW_COHERENCE = Hypothesis("low_coherence", r"\mu < T^{-3/2}", _low_coherence)


def sides(C: Any, k: int) -> tuple[Any, Any]:
    T = C.shape[1] - 1
    factor = T * (1 + T**0.5 * coherence(C)) / (T + 1)
    return slope(C, k), min(1, factor) * slope(C[:, :-1], min(k, T, len(C)))


def border_adds_its_length() -> Step:
    """v is (g, 0), e the last axis, s = |g|: v e' + e v' = Y - R with Y, R >= 0: tr(P border) <= tr(P Y) <= tr Y."""
    (n,) = dimensions("n")
    v, e, s = matrix("v", n, 1), matrix("e", n, 1), sp.Symbol("s", positive=True)
    Y = (v + s * e) @ (v + s * e).T * (1 / (2 * s))
    R = (v - s * e) @ (v - s * e).T * (1 / (2 * s))
    rules: list[Rule] = [(v.T @ v, s**2 * eye(1)), (e.T @ e, eye(1)), (v.T @ e, 0)]
    return step(
        "border_adds_its_length",
        r"0 \le P \le I: \operatorname{tr} P(ve^\top + ev^\top) \le \operatorname{tr} PY \le "
        r"\operatorname{tr} Y = |g|, Y = \tfrac{1}{2|g|}(v+|g|e)(v+|g|e)^\top, "
        r"Y - (ve^\top + ev^\top) = \tfrac{1}{2|g|}(v-|g|e)(v-|g|e)^\top \ge 0",
        "all T",
        lambda: equal(v @ e.T + e @ v.T, Y - R),
        lambda: equal(trace(Y), s, rules),
    )


def one_more_eigenvalue() -> Step:
    """Any k of the eigenvalues and 1: k eigenvalues, or 1 and k - 1 of them. S, z: S_k and lambda_k."""
    S, z = sp.symbols("S z", real=True)
    delta = sp.Symbol("delta", nonnegative=True)
    x = sp.Symbol("x", nonnegative=True)
    (T,) = dimensions("T")
    G = symmetric("G", T)
    return step(
        "one_more_eigenvalue",
        r"1 + S_{k-1}(G) = S_k(G) + (1 - \lambda_k); \sum_i(\lambda_i - 1)^2 = \|G - I\|_F^2 \le T(T-1)\mu^2 "
        r"(T(T-1) entries are not 0), of which T-k+1 terms are at least \delta^2 = (1-\lambda_k)^2 if \lambda_k < 1",
        "all T, k",
        lambda: identity(1 + (S - z), S + (1 - z)),
        lambda: equal(frob2(G - eye(T)), trace(G @ G) - 2 * trace(G) + T),
        # lambda_i = 1 - delta - x.
        lambda: nonnegative((delta + x) ** 2 - delta**2),
    )


def growth_at_most_k() -> Step:
    """k = 2 + p and T = k + q; for k = 1 delta is 0, as lambda_1 is at least the mean, 1."""
    p, q, mu, T = sp.symbols("p q mu T", nonnegative=True)
    k, over = 2 + p, sp.Symbol("over", nonnegative=True)
    border, delta = mu * sp.sqrt(T), (k - 1) * mu * sp.sqrt(T)
    return step(
        "growth_at_most_k",
        r"\tfrac{T(T-1)}{T-k+1}\mu^2 \le (k-1)^2 T\mu^2 for 2 \le k \le T; "
        r"S_k + \mu\sqrt T + (k-1)\mu\sqrt T \le (1 + \mu\sqrt T)S_k for S_k \ge k",
        "all T, k",
        lambda: nonnegative(sp.expand((k - 1) ** 2 * (k + q - k + 1) - (k + q - 1))),
        lambda: identity((1 + border) * (k + over) - (k + over + border + delta), border * over),
        lambda: nonnegative(border * over),
    )


def factor_below_one_and_sharp() -> Step:
    """Q orthonormal, c of correlation mu with each: Gram matrix [[I, mu 1], [mu 1', 1]] and its vector (1, sqrt T)."""
    T, mu = sp.symbols("T mu", positive=True)
    (m,) = dimensions("T")
    one, root = matrix("1", m, 1), sp.sqrt(T)
    factor = T * (1 + mu * root) / (T + 1)
    return step(
        "factor_below_one_and_sharp",
        r"1 - \tfrac{T(1+\mu\sqrt T)}{T+1} = \tfrac{1-T^{3/2}\mu}{T+1} > 0; "
        r"\begin{bmatrix}I&\mu1\\\mu1^\top&1\end{bmatrix}\begin{bmatrix}1\\\sqrt T\end{bmatrix} = "
        r"(1+\mu\sqrt T)\begin{bmatrix}1\\\sqrt T\end{bmatrix}, from \rho_1 = 1/T to \tfrac{1+\mu\sqrt T}{T+1}",
        "all T",
        lambda: identity(1 - factor, (1 - T ** sp.Rational(3, 2) * mu) / (T + 1)),
        lambda: equal(one + mu * root * one, (1 + mu * root) * one),
        lambda: identity(mu * T + root, (1 + mu * root) * root),
        lambda: identity((1 + mu * root) / (T + 1), factor / T),
    )


STATEMENT = Statement(
    id="coherence-drop-sharp",
    claim=r"\mu = \max_{i\ne j}|\langle c_i,c_j\rangle| < T^{-3/2} \Rightarrow "
    r"\rho_k(C_{T+1}) \le \tfrac{T(1+\mu\sqrt T)}{T+1}\,\rho_k(C_T) < \rho_k(C_T)",
    source="new",
    hypotheses=["unit_tasks", "k_below_tasks", LOW_COHERENCE],
    sides=sides,
    generate=near_orthogonal,
    tight_at={"C": CORRELATED, "k": 1},
    needed={
        "unit_tasks": {"C": np.diag([1.0, 3.0]), "k": 1},
        "k_below_tasks": {"C": np.eye(2), "k": 2},
        "low_coherence": {"C": np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), "k": 1},
    },
    proof=[
        unit_trace(),
        largest_have_their_share(),
        ky_fan_maximum_principle(),
        border_adds_its_length(),
        one_more_eigenvalue(),
        growth_at_most_k(),
        factor_below_one_and_sharp(),
    ],
    mutants={
        "mu sqrt(T-1)": lambda C, k: (
            slope(C, k),
            (C.shape[1] - 1)
            * (1 + (C.shape[1] - 2) ** 0.5 * coherence(C))
            / C.shape[1]
            * slope(C[:, :-1], k),
        ),
    },
    remark="sides caps the factor at 1, which is what the hypothesis on mu is needed for; for k > T the slope of C_T "
    "is that of all its tasks. Sharp for k = 1.",
)
