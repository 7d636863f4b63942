"""Unit tasks have a slope of at least k/r: the singular values beyond k are not the larger ones.

Setting   unit tasks C (d, T) of rank r, 1 <= k <= r.
Claim     k / r <= rho_k(C).
Tight     k = r always; k < r iff all r nonzero singular values are equal (a tight frame of its span).
Proof     The energies L of C C' sum to T. With J the first k of the r unit vectors,
          r tr(LJ) - k tr(L) = sum over i <= k < j of sigma_i^2 - sigma_j^2
                             = (r - k) tr((L - c)J) + k tr((c - L)(I - J))
          with c = sigma_k^2: two terms >= 0. Both vanish, with r > k, only if every energy is c.
Source    new; unit tasks as in Daras et al. 2022, sec. 2.
"""

import numpy as np
import sympy as sp

from theory.evidence.lemmas import optimum, psd_product, step
from theory.evidence.scalars import identity
from theory.evidence.symbolic import equal, eye, frob2, trace
from theory.spectra import Array, singular_values, slope
from theory.statement import Statement, Step


def rank(C: Array) -> int:
    """Singular values above 1e-10 sigma_1, the cut of the hypothesis k_at_most_rank."""
    values = singular_values(C)
    return int((values > values[0] * 1e-10).sum())


def energies_sum_to_tasks() -> Step:
    """|C|^2 = T for unit tasks, and it is the sum of all sigma^2."""
    o = optimum()
    return step(
        "energies_sum_to_tasks",
        r"\sum_i \sigma_i^2 = \|C\|^2 = \sum_t \|c_t\|^2 = T",
        lambda: equal(frob2(o.C), trace(o.D @ o.D), o.rules),
    )


def _proof() -> list[Step]:
    o = optimum()
    L, J, r = o.D @ o.D, o.J, o.D.rows
    c, k = sp.Symbol("c", real=True), trace(o.J)
    beyond = eye(r) - J
    gap = trace(L @ J) * trace(beyond) - trace(J) * trace(L @ beyond)
    top, tasks, rest = sp.symbols("top T r", positive=True)
    return [
        energies_sum_to_tasks(),
        step(
            "gap_over_pairs",
            r"r \sum_{i\le k}\sigma_i^2 - k \sum_{i\le r}\sigma_i^2 = "
            r"\sum_{i\le k<j\le r} (\sigma_i^2 - \sigma_j^2)",
            lambda: equal(trace(eye(r)) * trace(L @ J) - k * trace(L), gap),
        ),
        step(
            "every_pair_is_ordered",
            r"\sum_{i\le k<j}(\sigma_i^2 - \sigma_j^2) = (r-k)\sum_{i\le k}(\sigma_i^2 - \sigma_k^2) + "
            r"k\sum_{j>k}(\sigma_k^2 - \sigma_j^2) \ge 0; 0 only if all equal \sigma_k^2, or k = r",
            lambda: equal(
                gap,
                trace(beyond) * trace((L - c * eye(r)) @ J) + k * trace((c * eye(r) - L) @ beyond),
            ),
            psd_product().check,
        ),
        step(
            "divide",
            r"r \sum_{i\le k}\sigma_i^2 - kT = rT(\rho_k - k/r)",
            lambda: identity(
                rest * top - sp.Symbol("k", positive=True) * tasks,
                rest * tasks * (top / tasks - sp.Symbol("k", positive=True) / rest),
            ),
        ),
    ]


STATEMENT = Statement(
    id="slope-range-lower",
    number=4,
    claim=r"k/r \le \rho_k(C), \quad r = \operatorname{rank} C",
    source="new; unit tasks as in Daras et al. 2022, sec. 2",
    hypotheses=["unit_tasks", "k_at_most_rank"],
    sides=lambda C, k: (k / rank(C), slope(C, k)),
    tight_at={"C": np.hstack([np.eye(3), np.eye(3)]), "k": 2},
    needed={
        "unit_tasks": {"C": np.array([[0.5]]), "k": 1},
        "k_at_most_rank": {"C": np.array([[1.0, 1.0], [0.0, 0.0]]), "k": 2},
    },
    proof=_proof(),
    remark="theory.md has equality iff the r singular values are equal: that is for k < r, at k = r it always holds",
)
