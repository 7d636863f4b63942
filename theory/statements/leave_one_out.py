"""Leave-one-out: averaged over which task is left out, fewer tasks never have the smaller slope.

Setting   C (d, T) any real matrix with T >= 2; 1 <= k <= min(d, T); a slope without enough tasks for k is that of all.
Claim     rho_k(C) <= mean over t of rho_k(C without column t).
Tight     identical tasks; and k = T.
Proof     C C^T / T is the mean over t of C_{-t} C_{-t}^T / (T-1). The sum of the k largest eigenvalues is a maximum of
          linear functions of the matrix (Ky Fan), hence convex; Jensen. C_{-t} has rank at most T - 1, so that its
          eigenvalues beyond that are 0 and k = T adds nothing.
Source    new; on average over the task left out, Daras et al. 2022, Theorem 2.7, holds for all tasks in any dimension.
"""

from typing import Any

import numpy as np

from theory.evidence.lemmas import jensen, ky_fan_maximum_principle, step
from theory.evidence.scalars import identity
from theory.evidence.symbolic import (
    Definition,
    dimensions,
    equal,
    expect,
    matrix,
    trace,
)
from theory.spectra import slope
from theory.statement import Statement, Step


def slope_of_the_others(C: Any, k: int, t: int) -> Any:
    """rho_k of C without column t; 0 if that leaves no task."""
    others = np.delete(C, t, axis=1)
    return slope(others, min(k, *others.shape)) if others.size else 0.0


def sides(C: Any, k: int) -> tuple[Any, Any]:
    T = C.shape[1]
    return slope(C, k), sum(slope_of_the_others(C, k, t) for t in range(T)) / T


def gram_mean_is_mean_of_leave_one_out_means() -> Step:
    """C_{-t} C_{-t}' = C (I - e e') C' for the unit vector e = e_t; averaged over t, e e' is I/T (e = n / sqrt T)."""
    d, T = dimensions("d T")
    C, X = matrix("C", d, T), matrix("X", d, d)
    e, n = matrix("e", T, 1), matrix("n", T, 1)
    kept = C - C @ e @ e.T
    return step(
        "gram_mean_is_mean_of_leave_one_out_means",
        r"\tfrac1T C C^\top = \tfrac1T\sum_t \tfrac1{T-1}\,C_{-t}C_{-t}^\top, as "
        r"C_{-t}C_{-t}^\top = CC^\top - c_t c_t^\top and \sum_t c_t c_t^\top = CC^\top",
        lambda: equal(
            kept @ kept.T, C @ C.T - C @ e @ e.T @ C.T, [Definition("unit vector", (e,))]
        ),
        lambda: identity(
            expect(trace((C @ C.T - C @ n @ n.T @ C.T * (1 / T)) @ X), n) / (T - 1),
            trace(C @ C.T @ X) / T,
        ),
    )


def task_left_out_leaves_the_kernel() -> Step:
    d, T = dimensions("d T")
    C, e = matrix("C", d, T), matrix("e", T, 1)
    kept = C - C @ e @ e.T
    return step(
        "task_left_out_leaves_the_kernel",
        r"C(I - e_t e_t^\top)\,e_t = 0: one of the T eigenvalues of the Gram matrix of C_{-t}, padded to size T, is 0, "
        r"so that its sum of k = T equals that of T - 1",
        lambda: equal(kept @ e, 0 * (C @ e), [Definition("unit vector", (e,))]),
    )


STATEMENT = Statement(
    id="leave-one-out",
    number=11,
    claim=r"\rho_k(C) \le \tfrac1T \textstyle\sum_t \rho_k(C_{-t})",
    source="new; compare Daras et al. 2022, Theorem 2.7",
    hypotheses=["at_least_two_tasks"],
    sides=sides,
    tight_at={"C": np.ones((3, 4)), "k": 2},
    needed={"at_least_two_tasks": {"C": np.ones((1, 1)), "k": 1}},
    proof=[
        gram_mean_is_mean_of_leave_one_out_means(),
        ky_fan_maximum_principle(),
        jensen(),
        task_left_out_leaves_the_kernel(),
    ],
    mutants={
        "least instead of mean": lambda C, k: (
            slope(C, k),
            min(slope_of_the_others(C, k, t) for t in range(C.shape[1])),
        ),
    },
    remark="Taking expectations: for exchangeable tasks E rho_k(C_{T+1}) <= E rho_k(C_T), with no assumption on the "
    "geometry. Without any task the slope is 0, which is why two are needed.",
)
