"""Unit tasks have a slope of at most 1, and less where the representation cannot hold all of them.

Setting   unit tasks C (d, T) of rank r, 1 <= k <= min(d, T).
Claim     rho_k(C) = 1 - R* <= 1, with R* = (1/T) sum_{i>k} sigma_i^2 the risk that is left.
Tight     rho_k(C) = 1 iff r <= k.
Proof     The energies sum to T, and what is kept of them leaves sum_{i>k} sigma_i^2 = T R* >= 0, 0 iff sigma_{k+1} = 0.
Source    Daras et al. 2022, sec. 2 (unit tasks).
"""

import numpy as np

from theory.evidence.lemmas import optimum, step
from theory.evidence.symbolic import equal, eye, frob2, trace
from theory.representation import optimal_representation
from theory.spectra import slope
from theory.statement import Statement, Step
from theory.statements.slope_range_lower import energies_sum_to_tasks


def _proof() -> list[Step]:
    o = optimum()
    beyond = eye(o.D.rows) - o.J
    return [
        energies_sum_to_tasks(),
        step(
            "what_is_lost_is_a_square",
            r"T(1 - \rho_k) = \sum_{i>k}\sigma_i^2 = \|(I - J) D\|^2 \ge 0",
            lambda: equal(trace(o.D @ o.D) - o.kept, frob2(beyond @ o.D), o.rules),
        ),
    ]


STATEMENT = Statement(
    id="slope-range-upper",
    number=4,
    claim=r"\rho_k(C) = 1 - R^* \le 1",
    source="Daras et al. 2022, sec. 2",
    relation="==",
    hypotheses=["unit_tasks"],
    sides=lambda C, k: (slope(C, k), 1 - optimal_representation(C, k).risk),
    # A slope near 0 is the difference of 1 and the risk.
    scale="risk",
    tight_at={"C": np.array([[1.0, 0.6, 0.0], [0.0, 0.8, 1.0]]), "k": 2},
    needed={"unit_tasks": {"C": np.array([[2.0]]), "k": 1}},
    proof=_proof(),
)
