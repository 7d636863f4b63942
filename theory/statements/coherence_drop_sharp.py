"""Coherence, sharply: one more unit task strictly lowers the slope if correlations are below about k T^(-3/2).

Setting   C (d, T+1) unit tasks, C_T its first T; 1 <= k <= T; mu = max over i != j of |<c_i, c_j>| < k / (T nu), with
          nu = sqrt T + sqrt((k-1)(T-1)/(T-k+1)).
Claim     rho_k(C) <= [T (1 + mu nu/k) / (T+1)] rho_k(C_T), and the factor is below 1.
Tight     T orthonormal tasks and one of correlation mu with each, k = 1, at every mu. For k < T there the slope rises
          past mu = k T^(-3/2), which k / (T nu) approaches for T much larger than k.
Proof     G is the Gram matrix of C_T, g = C_T^T c, S_k the sum of the k largest eigenvalues. The Gram matrix of C is
          diag(G, 1) plus the border g, which adds at most |g| <= mu sqrt T to S_k. The eigenvalue 1 adds
          delta = max(0, 1 - lambda_k), which is 0 for k = 1. The lambda_i - 1 sum to 0, so that where delta > 0 those
          of i < k sum to at least m delta, m = T-k+1; hence (Cauchy-Schwarz) m delta^2 + (m delta)^2/(k-1) is at most
          |G - I|^2 <= T(T-1) mu^2, which is delta^2 <= (k-1)(T-1) mu^2/m. In all S_k grows by mu nu or less, from k or
          more.
Source    new; sharpens statement 9, whose condition is mu < T^(-2).
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.evidence.lemmas import cauchy_schwarz, ky_fan_maximum_principle, step
from theory.evidence.scalars import identity, limit, nonnegative, positive
from theory.evidence.symbolic import Rule, dimensions, equal, eye, frob2, matrix, symmetric, trace
from theory.spectra import coherence, slope
from theory.statement import Hypothesis, Statement, Step
from theory.statements.coherence_drop import (
    largest_have_their_share,
    near_orthogonal,
    unit_trace,
)

CORRELATED = np.column_stack([np.eye(5, 4), [0.1, 0.1, 0.1, 0.1, np.sqrt(0.96)]])


def growth(T: int, k: int) -> float:
    """nu: S_k grows by at most mu nu."""
    k = min(k, T)
    return T**0.5 + ((k - 1) * (T - 1) / (T - k + 1)) ** 0.5


def _low_coherence(C: Any, k: int) -> bool:
    T = C.shape[1] - 1
    return bool(coherence(C) * T * growth(T, k) < k)


LOW_COHERENCE = Hypothesis("low_coherence", r"\mu < k/(T\nu)", _low_coherence)


def sides(C: Any, k: int) -> tuple[Any, Any]:
    T = C.shape[1] - 1
    factor = T * (1 + coherence(C) * growth(T, k) / k) / (T + 1)
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
        lambda: equal(v @ e.T + e @ v.T, Y - R),
        lambda: equal(trace(Y), s, rules),
    )


def one_more_eigenvalue() -> Step:
    """Any k of the eigenvalues and 1: k eigenvalues, or 1 and k - 1 of them. S, z: S_k and lambda_k."""
    S, z = sp.symbols("S z", real=True)
    return step(
        "one_more_eigenvalue",
        r"S_k(\operatorname{diag}(G, 1)) = \max(S_k, 1 + S_{k-1}) = S_k + \max(0, 1 - \lambda_k)",
        lambda: identity(1 + (S - z), S + (1 - z)),
    )


def eigenvalues_near_one() -> Step:
    """y_i = lambda_i - 1; those of i >= k are at most -delta, m = T - k + 1 of them, below by x or by more in sum."""
    (T,) = dimensions("T")
    G = symmetric("G", T)
    m, others, delta, mu = sp.symbols("m others delta mu", positive=True)
    x, more = sp.symbols("x more", nonnegative=True)
    n = m + others  # T, with others = k - 1
    least = m * delta**2 + (m * delta) ** 2 / others
    bound = others * (n - 1) * mu**2 / m
    return step(
        "eigenvalues_near_one",
        r"\sum_i y_i^2 = \|G - I\|_F^2 \le T(T-1)\mu^2 and \sum_i y_i = 0 for y_i = \lambda_i - 1; "
        r"\sum_{i\ge k}y_i^2 \ge m\delta^2, \sum_{i<k}y_i^2 \ge \tfrac{(m\delta)^2}{k-1}: "
        r"\delta^2 \le \tfrac{(k-1)(T-1)}m\mu^2; k = 1: \lambda_1 \ge 1, the mean, and \delta = 0",
        lambda: equal(frob2(G - eye(T)), trace(G @ G) - 2 * trace(G) + T),
        lambda: nonnegative((delta + x) ** 2 - delta**2),
        lambda: nonnegative((m * delta + more) ** 2 - (m * delta) ** 2),
        cauchy_schwarz().check,
        lambda: identity(least, n * m * delta**2 / others),
        lambda: identity(bound - delta**2, others / (n * m) * (n * (n - 1) * mu**2 - least)),
    )


def factor_below_one() -> Step:
    """S = k + over is at least k."""
    T, k, mu, nu = sp.symbols("T k mu nu", positive=True)
    over, margin = sp.Symbol("over", nonnegative=True), sp.Symbol("margin", positive=True)
    share = mu * nu / k
    return step(
        "factor_below_one",
        r"S_k + \mu\nu \le (1 + \tfrac{\mu\nu}k)S_k for S_k \ge k; "
        r"1 - \tfrac T{T+1}(1 + \tfrac{\mu\nu}k) = \tfrac{1 - \mu T\nu/k}{T+1} > 0",
        lambda: identity((1 + share) * (k + over) - (k + over + mu * nu), share * over),
        lambda: nonnegative(share * over),
        lambda: identity(1 - T * (1 + share) / (T + 1), (1 - mu * T * nu / k) / (T + 1)),
        lambda: positive(((1 - mu * T * nu / k) / (T + 1)).subs(mu, (1 - margin) * k / (T * nu))),
        lambda: positive(k / T),  # the slope of C_T is at least that, so that the drop is strict
    )


def sharp() -> Step:
    """Orthonormal tasks and c of correlation mu with each: the Gram matrix [[I, mu 1], [mu 1', 1]] at (1, sqrt T)."""
    T, mu, k = sp.symbols("T mu k", positive=True)
    root, nu = sp.sqrt(T), sp.sqrt(T) + sp.sqrt((k - 1) * (T - 1) / (T - k + 1))
    return step(
        "sharp",
        r"\begin{bmatrix}I&\mu1\\\mu1^\top&1\end{bmatrix}\begin{bmatrix}1\\\sqrt T\end{bmatrix} = "
        r"(1+\mu\sqrt T)\begin{bmatrix}1\\\sqrt T\end{bmatrix}, 1 on y \perp 1: "
        r"\rho_k goes from \tfrac kT to \tfrac{k+\mu\sqrt T}{T+1}, more iff \mu > kT^{-3/2}; \nu/\sqrt T \to 1",
        lambda: identity(mu * T + root, (1 + mu * root) * root),
        lambda: identity((k + mu * root) / (T + 1) - k / T, (mu * T * root - k) / (T * (T + 1))),
        lambda: limit(nu / root, T, sp.oo, 1, "-"),
    )


STATEMENT = Statement(
    id="coherence-drop-sharp",
    claim=r"\mu = \max_{i\ne j}|\langle c_i,c_j\rangle| < \tfrac k{T\nu}, "
    r"\nu = \sqrt T + \sqrt{\tfrac{(k-1)(T-1)}{T-k+1}} \Rightarrow "
    r"\rho_k(C_{T+1}) \le \tfrac T{T+1}\bigl(1+\tfrac{\mu\nu}k\bigr)\rho_k(C_T) < \rho_k(C_T)",
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
        eigenvalues_near_one(),
        factor_below_one(),
        sharp(),
    ],
    remark="sides caps the factor at 1, which is what the hypothesis on mu is needed for; for k > T the slope of C_T "
    "is that of all its tasks. Sharp for k = 1, and for fixed k in the limit of large T.",
)
