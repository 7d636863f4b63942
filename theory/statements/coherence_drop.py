"""Coherence: one more unit task strictly lowers the slope if all tasks are nearly orthogonal.

Setting   C (d, T+1) unit tasks, C_T its first T; 1 <= k <= T; mu = max over i != j of |<c_i, c_j>| < 1/T^2.
Claim     rho_k(C) <= [T (1 + T mu) / (T+1)] rho_k(C_T), and the factor is below 1.
Tight     orthonormal tasks, mu = 0: k/(T+1) = [T/(T+1)] k/T.
Proof     The k largest eigenvalues of the Gram matrix of C_T have at least the share k/T of its trace T. Those of C are
          at most 1 + T mu each: (1 + T mu) I - C^T C is a sum of squares, pair by pair of tasks (Gershgorin). The
          quotient of the two bounds is the factor, and 1 - factor = (1 - T^2 mu)/(T+1).
Source    new, after the theme of Daras et al. 2022, Theorem 2.7; Gershgorin 1931.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.evidence.lemmas import step
from theory.evidence.scalars import identity, nonnegative, positive
from theory.evidence.symbolic import dimensions, equal, expect, frob2, matrix
from theory.geometry import sample
from theory.spectra import coherence, slope
from theory.statement import Hypothesis, Instance, Statement, Step


def _low_coherence(C: Any) -> bool:
    T = C.shape[1] - 1
    return bool(coherence(C) * T**2 < 1)


LOW_COHERENCE = Hypothesis("low_coherence", r"\mu < 1/T^2", _low_coherence)


def sides(C: Any, k: int) -> tuple[Any, Any]:
    T = C.shape[1] - 1
    factor = T * (1 + T * coherence(C)) / (T + 1)
    return slope(C, k), min(1, factor) * slope(C[:, :-1], min(k, T, len(C)))


def near_orthogonal(rng: np.random.Generator, i: int) -> Instance:
    """Orthonormal tasks with noise of every size from 1e-4 to 1, made unit again."""
    n = 2 + i % 5
    d = n + int(rng.integers(0, 6))
    C = sample("orthonormal", d, n, i) + 10 ** rng.uniform(-4, 0) * rng.standard_normal((d, n)) / d
    return {"C": C / np.linalg.norm(C, axis=0), "k": int(rng.integers(1, n))}


def unit_trace() -> Step:
    d, T = dimensions("d T")
    C, n = matrix("C", d, T), matrix("n", T, 1)
    return step(
        "unit_trace",
        r"\operatorname{tr} C^\top C = \sum_t \|C e_t\|^2, which is the number of tasks",
        lambda: equal(expect(frob2(C @ n), n), frob2(C)),
    )


def largest_have_their_share() -> Step:
    """above, below: the sums of the k largest and of the other n - k eigenvalues; z the k-th."""
    above, below, z = sp.symbols("above below z", real=True)
    k, more, p, q = sp.symbols("k more p q", nonnegative=True)
    n = k + more
    return step(
        "largest_have_their_share",
        r"\sum_{i\le k}\lambda_i - \tfrac kn \operatorname{tr} G = \tfrac{n-k}n \sum_{i\le k}(\lambda_i - \lambda_k) + "
        r"\tfrac kn \sum_{i>k}(\lambda_k - \lambda_i) \ge 0",
        lambda: identity(
            above - k * (above + below) / n, (more * (above - k * z) + k * (more * z - below)) / n
        ),
        lambda: nonnegative((more * p + k * q) / n),
    )


def pairs_of_tasks() -> Step:
    """For a pair, g = b - a and mu = a + b with a, b >= 0 say |g| <= mu; x is squared in n - 1 of the pairs."""
    x, y = sp.symbols("x y", real=True)
    a, b, n, total = sp.symbols("a b n total", nonnegative=True)
    return step(
        "pairs_of_tasks",
        r"(1 + T\mu)\|x\|^2 - \|Cx\|^2 = \sum_{i<j}\bigl[\mu(x_i^2 + x_j^2) - 2g_{ij}x_i x_j\bigr] = "
        r"\sum_{i<j}\bigl[\tfrac{\mu-g_{ij}}2(x_i+x_j)^2 + \tfrac{\mu+g_{ij}}2(x_i-x_j)^2\bigr] \ge 0, "
        r"g_{ij} = \langle c_i,c_j\rangle: every eigenvalue of C^\top C is at most 1 + T\mu",
        lambda: nonnegative(
            (a + b) * (x**2 + y**2) - 2 * (b - a) * x * y, squares=[(a, x + y), (b, x - y)]
        ),
        # Ordered pairs have n total + n total; without i = j, and halved:
        lambda: identity((n * total + n * total - 2 * total) / 2, (n - 1) * total),
    )


def factor_below_one() -> Step:
    T, k = sp.symbols("T k", positive=True)
    mu, margin = sp.Symbol("mu", nonnegative=True), sp.Symbol("margin", positive=True)
    factor = T * (1 + T * mu) / (T + 1)
    return step(
        "factor_below_one",
        r"\frac{k(1+T\mu)}{T+1} = \frac{T(1+T\mu)}{T+1}\cdot\frac kT, \quad 1 - \frac{T(1+T\mu)}{T+1} = "
        r"\frac{1-T^2\mu}{T+1} > 0, \rho_k(C_T) \ge \tfrac kT > 0",
        lambda: identity(k * (1 + T * mu) / (T + 1), factor * k / T),
        lambda: identity(1 - factor, (1 - T**2 * mu) / (T + 1)),
        lambda: positive(((1 - T**2 * mu) / (T + 1)).subs(mu, (1 - margin) / T**2)),
        lambda: positive(k / T),  # the slope of C_T is at least that, so that the drop is strict
    )


STATEMENT = Statement(
    id="coherence-drop",
    number=9,
    claim=r"\mu = \max_{i\ne j}|\langle c_i,c_j\rangle| < 1/T^2 \Rightarrow "
    r"\rho_k(C_{T+1}) \le \tfrac{T(1+T\mu)}{T+1}\,\rho_k(C_T) < \rho_k(C_T)",
    source="new; Gershgorin 1931",
    hypotheses=["unit_tasks", "k_below_tasks", LOW_COHERENCE],
    sides=sides,
    generate=near_orthogonal,
    tight_at={"C": np.eye(4, 3), "k": 2},
    needed={
        "unit_tasks": {"C": np.diag([1.0, 3.0]), "k": 1},
        "k_below_tasks": {"C": np.eye(2), "k": 2},
        "low_coherence": {"C": np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), "k": 1},
    },
    proof=[unit_trace(), largest_have_their_share(), pairs_of_tasks(), factor_below_one()],
    mutants={
        "1 + (T-1) mu": lambda C, k: (
            slope(C, k),
            (C.shape[1] - 1)
            * (1 + (C.shape[1] - 2) * coherence(C))
            / C.shape[1]
            * slope(C[:, :-1], k),
        ),
    },
    remark="sides caps the factor at 1, which is what the hypothesis on mu is needed for; for k > T the slope of C_T "
    "is that of all its tasks. coherence-drop-sharp has about k T^(-3/2) in place of T^(-2).",
)
