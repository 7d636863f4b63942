"""When k reaches the number of unit tasks, geometry decides the balanced slope and leaves the orthonormal one at 1.

Setting   unit tasks, T <= k, ridge = 0: then k = T <= d.
Claim     rho_k = 1, and 1/sqrt(T) <= beta_k <= 1. Each instance names one of these inequalities as its `bound`.
Tight     identical tasks have beta_k = 1/sqrt(T), orthonormal tasks 1.
Proof     The T values sigma_i^2 sum to |C|^2 = T. Hence sigma_i <= sqrt(T), and sum sigma_i >= sum sigma_i^2 /
          sqrt(T) = sqrt(T); and sum (sigma_i - 1)^2 >= 0 gives 2 sum sigma_i <= sum sigma_i^2 + T = 2 T, equal iff
          all are 1.
Source    new.
"""

import numpy as np
import sympy as sp

from theory import geometry
from theory.evidence.lemmas import psd_product, step
from theory.evidence.scalars import identity
from theory.evidence.symbolic import (
    Definition,
    diagonal,
    dimensions,
    equal,
    expect,
    eye,
    frob2,
    matrix,
    orthonormal_rows,
    trace,
)
from theory.spectra import balanced_slope, slope
from theory.statement import Hypothesis, Statement, Step
from theory.statements._draws import tasks

BOUNDS = {
    "beta at least": lambda C, k: (1 / np.sqrt(C.shape[1]), balanced_slope(C, k)),
    "beta at most": lambda C, k: (balanced_slope(C, k), 1.0),
    "rho at least": lambda C, k: (1.0, slope(C, k)),
    "rho at most": lambda C, k: (slope(C, k), 1.0),
}


def generate(rng, i):
    """Unit tasks of every geometry with room for all, identical and orthonormal ones among them."""
    C, _ = tasks(rng, i)
    T = int(rng.integers(1, len(C), endpoint=True))
    if i % 9 == 0:
        C = geometry.sample("orthonormal", len(C), T, i)
    elif i % 9 == 1:
        C = np.ones((len(C), T))
    elif C.shape[1] > len(C):
        C = C[:, : len(C)]
    norms = np.linalg.norm(C, axis=0)
    if not norms.all():
        return None
    return {"C": C / norms, "k": C.shape[1], "bound": list(BOUNDS)[i % len(BOUNDS)]}


def unit_tasks_fix_the_energy() -> Step:
    d, T, r = dimensions("d T r")
    C, U, V, D = matrix("C", d, T), matrix("U", d, r), matrix("V", T, r), diagonal("D", r)
    e = matrix("e", T, 1)
    return step(
        "unit_tasks_fix_the_energy",
        r"T \le k: T\rho_k = \sum_i\sigma_i^2 = \|C\|^2 = \sum_t\|c_t\|^2 = T",
        lambda: equal(frob2(U @ D @ V.T), trace(D @ D), [Definition("singular values", (U, D, V))]),
        lambda: equal(expect(frob2(C @ e), e), frob2(C)),  # the sum over t of |c_t|^2
        lambda: equal(expect(frob2(e), e), T),  # the sum over t of 1
    )


def similarity_is_the_least() -> Step:
    """z = sqrt(T): the energy bounds every singular value, e a unit vector along one of them."""
    (T,) = dimensions("T")
    D, e, z = diagonal("D", T), matrix("e", T, 1), sp.Symbol("z", positive=True)
    return step(
        "similarity_is_the_least",
        r"z = \sqrt T: z^2 - \sigma_i^2 = \sum_{j\ne i}\sigma_j^2 \ge 0, "
        r"z\sum_i\sigma_i - \sum_i\sigma_i^2 = \sum_i\sigma_i(z-\sigma_i) \ge 0, hence \beta_k \ge z/T",
        lambda: equal(
            frob2(D) - trace(e.T @ D @ D @ e),
            frob2(D - D @ e @ e.T),
            [Definition("unit vector", (e,))],
        ),
        lambda: equal(z * trace(D) - trace(D @ D), trace(D @ (z * eye(T) - D))),
        psd_product().check,
        lambda: identity(z**2 / z / z**2, 1 / z),
    )


def diversity_is_the_most() -> Step:
    (T,) = dimensions("T")
    D = diagonal("D", T)
    return step(
        "diversity_is_the_most",
        r"\sum_i\sigma_i^2 + T - 2\sum_i\sigma_i = \sum_i(\sigma_i-1)^2 \ge 0: \beta_k \le 1, equal iff all "
        r"\sigma_i = 1",
        lambda: equal(trace(D @ D) + T - 2 * trace(D), frob2(D - eye(T))),
    )


def both_ends_are_reached() -> Step:
    """Identical tasks u 1' have the one eigenvalue T; orthonormal ones have C' C = I."""
    d, T = dimensions("d T")
    u, ones, Q = matrix("u", d, 1), matrix("1", T, 1), matrix("Q", T, d)
    C = u @ ones.T
    return step(
        "both_ends_are_reached",
        r"C = u1^\top: C^\top C\,1 = T\,1 and \|C\|^2 = T, hence \|C\|_* = \sqrt T; C^\top C = I: \|C\|_* = T",
        lambda: equal(
            C.T @ C @ ones, T * ones, [orthonormal_rows(u.T), (ones.T @ ones, T * eye(1))]
        ),
        lambda: equal(frob2(C), T, [orthonormal_rows(u.T), (ones.T @ ones, T * eye(1))]),
        lambda: equal(trace(Q @ Q.T), T, [orthonormal_rows(Q)]),
    )


STATEMENT = Statement(
    id="two-normalisations-disagree",
    number=28,
    claim=r"\|c_t\| = 1, T \le k, \lambda = 0: \rho_k = 1, while \tfrac1{\sqrt T} \le \beta_k = \|C\|_*/T \le 1",
    source="new",
    hypotheses=[
        "unit_tasks",
        "tasks_at_most_k",
        Hypothesis("a_bound", " or ".join(BOUNDS), lambda bound: bound in BOUNDS),
    ],
    sides=lambda C, k, bound: BOUNDS[bound](C, k),
    generate=generate,
    tight_at={"C": np.ones((3, 3)) / np.sqrt(3), "k": 3, "bound": "beta at least"},
    needed={
        "unit_tasks": {"C": 2 * np.eye(2), "k": 2, "bound": "beta at most"},
        "tasks_at_most_k": {"C": np.eye(2), "k": 1, "bound": "rho at least"},
        "a_bound": "it only names the inequality",
    },
    proof=[
        unit_tasks_fix_the_energy(),
        similarity_is_the_least(),
        diversity_is_the_most(),
        both_ends_are_reached(),
    ],
    remark="So diversity buys robustness under the orthonormal normalisation only against tasks beyond k, while "
    "under the normalisation that gradient descent finds similar tasks have the smaller slope.",
)
