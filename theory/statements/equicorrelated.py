"""Tasks that are equally correlated: the slope in closed form, and the gain of more tasks saturates at the correlation.

Setting   C (d, T) unit tasks, <c_s, c_t> = r >= 0 for all s != t; 1 <= k <= min(d, T).
Claim     rho_k(C) = [1 + (T-1) r + (k-1)(1-r)]/T, which tends to r as T grows.
Proof     C^T C = (1-r) I + r 1 1^T has the eigenvalue 1 + (T-1) r at the vector 1 and 1 - r on its complement. The
          first is greater by rT, so that it is among the k largest if r >= 0.
Source    elementary.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.evidence.lemmas import step
from theory.evidence.scalars import identity, limit, nonnegative
from theory.evidence.symbolic import Rule, dimensions, equal, eye, matrix, trace
from theory.geometry import sample
from theory.spectra import slope
from theory.statement import Hypothesis, Instance, Statement, Step


def correlation(C: Any) -> Any:
    """<c_1, c_2>; 0 for a single task, which has none."""
    return C[:, 0] @ C[:, 1] if C.shape[1] > 1 else 0


def _equal_correlations(C: Any) -> bool:
    others = ~np.eye(C.shape[1], dtype=bool)
    # Inner products of unit tasks are 1e-16 off, times a few dimensions.
    return bool(np.allclose((C.T @ C)[others], correlation(C), rtol=0, atol=1e-12))


EQUAL = Hypothesis("equal_correlations", r"\langle c_s, c_t\rangle = r", _equal_correlations)
NONNEGATIVE = Hypothesis(
    "nonnegative_correlation", r"r \ge 0", lambda C: bool(correlation(C) >= -1e-12)
)


def sides(C: Any, k: int) -> tuple[Any, Any]:
    T, r = C.shape[1], correlation(C)
    return slope(C, k), (1 + (T - 1) * r + (k - 1) * (1 - r)) / T


def equicorrelated_tasks(rng: np.random.Generator, i: int) -> Instance:
    T = 1 + i % 6
    d = T + int(rng.integers(0, 3))
    r = [0.0, 1.0, rng.uniform(), 10 ** rng.uniform(-8, 0)][int(rng.integers(4))]
    k = int(rng.integers(1, T, endpoint=True))
    return {"C": sample("equicorrelated", d, T, i, correlation=r), "k": k}


def gram_spectrum() -> Step:
    """one is the vector of ones, x any vector orthogonal to it; the trace fixes the multiplicities 1 and T - 1."""
    (T,) = dimensions("T")
    r, all_ones, x = sp.Symbol("r", real=True), matrix("1", T, 1), matrix("x", T, 1)
    gram = (1 - r) * eye(T) + r * (all_ones @ all_ones.T)
    ones: list[Rule] = [(all_ones.T @ all_ones, T * eye(1))]
    complement: list[Rule] = [(all_ones.T @ x, 0)]
    return step(
        "gram_spectrum",
        r"G = (1-r)I + r\,11^\top: G1 = (1+(T-1)r)1, Gx = (1-r)x for x \perp 1, \operatorname{tr} G = T",
        lambda: equal(gram @ all_ones, (1 + (T - 1) * r) * all_ones, ones),
        lambda: equal(gram @ x, (1 - r) * x, complement),
        lambda: identity(trace(gram).subs(trace(all_ones.T @ all_ones), T), T),
        lambda: identity((1 + (T - 1) * r) + (T - 1) * (1 - r), T),
    )


def order_of_the_eigenvalues() -> Step:
    T = sp.Symbol("T", positive=True)
    r, size = sp.symbols("r size", nonnegative=True)
    top, other = 1 + (T - 1) * r, 1 - r
    return step(
        "order_of_the_eigenvalues",
        r"1+(T-1)r - (1-r) = rT \ge 0: the k largest sum to 1 + (T-1)r + (k-1)(1-r); for r < 0 and k < T to k(1-r)",
        lambda: identity(top - other, r * T),
        lambda: nonnegative(r * T),
        # r = -size < 0 puts the eigenvalue at 1 last; at k = T both orders sum to the trace.
        lambda: nonnegative((other - top).subs(r, -size)),
        lambda: identity(top + (T - 1) * other, T),
    )


def saturation() -> Step:
    T, k = sp.symbols("T k", positive=True)
    r = sp.Symbol("r", real=True)
    slope_at = (1 + (T - 1) * r + (k - 1) * (1 - r)) / T
    return step(
        "saturation",
        r"\rho_k - r = k(1-r)/T \to 0 as T \to \infty",
        lambda: identity(slope_at - r, k * (1 - r) / T),
        lambda: limit(slope_at, T, sp.oo, r, "-"),
    )


STATEMENT = Statement(
    id="equicorrelated",
    number=13,
    claim=r"\langle c_s, c_t\rangle = r \ge 0 \Rightarrow "
    r"\rho_k = \tfrac1T[1 + (T-1)r + (k-1)(1-r)] \to r \text{ as } T \to \infty",
    source="elementary",
    relation="==",
    hypotheses=["unit_tasks", EQUAL, NONNEGATIVE],
    sides=sides,
    generate=equicorrelated_tasks,
    tight_at="an equality",
    needed={
        "unit_tasks": {"C": np.array([[2.0]]), "k": 1},
        "equal_correlations": {"C": np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), "k": 1},
        "nonnegative_correlation": {"C": np.array([[1.0, -1.0]]), "k": 1},
    },
    proof=[gram_spectrum(), order_of_the_eigenvalues(), saturation()],
    remark="For r < 0 the eigenvalue at the vector 1 is the least, and rho_k = k(1-r)/T for k < T; at k = T both forms "
    "are 1. A single task has no correlation, and the formula gives 1 for any r.",
)
