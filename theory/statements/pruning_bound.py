"""Pruning the smallest weights costs at most their share of the weights, in the strongest direction.

Setting   Any C (d, T), inputs with S = I, W and heads at the orthonormal optimum; the floor(q k d) weights of least
          magnitude set to zero.
Claim     R <= R* + q k sigma_1^2 / T.
Proof     The least m of n squares sum to at most m/n of the total, and |W|_F^2 = k: the change of W is no longer than
          sqrt(q k). Statement 21 says what a change of that length can cost.
Source    new; the failure is that of Daras et al. 2022, section 3.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Array
from theory.evidence import lemmas
from theory.evidence.scalars import identity, nonnegative
from theory.perturbation import MagnitudePruning
from theory.representation import optimal_representation
from theory.spectra import singular_values
from theory.statement import Statement, Step
from theory.statements._failures import length_of_orthonormal_weights, tasks_with
from theory.statements.worst_case_frobenius import STATEMENT as WORST


def sides(C: Array, k: int, q: float) -> tuple[Any, Any]:
    best = optimal_representation(C, k)
    risk = MagnitudePruning(q).expected_risk(best, C)
    return risk, best.risk + q * k * singular_values(C)[0] ** 2 / C.shape[1]


def _least_squares() -> Step:
    m, l, A, B, t = sp.symbols("m l A B t", nonnegative=True)  # noqa: E741
    n = m + l
    pruned, total = m * t - A, n * t - A + B
    return lemmas.step(
        "least_m_of_n",
        r"m squares t - \alpha_i, the other n - m t + \beta_j: \tfrac{m}{n}\,\text{total} - \text{pruned} = "
        r"[m\sum\beta_j + (n-m)\sum\alpha_i]/n \ge 0",
        lambda: identity(n * (sp.Rational(1) * m / n * total - pruned), m * B + l * A),
        lambda: nonnegative(m * B + l * A),
    )


def _reach() -> Step:
    k, d, q, left = sp.symbols("k d q left", nonnegative=True)
    m = q * k * d - left  # the floor
    return lemmas.step(
        "reach",
        r"m \le q k d of the k d weights, \|W\|^2 = k: \|N\|^2 \le \tfrac{m}{kd} k \le q k",
        lambda: identity(q * k - m / (k * d) * k, left / d),
        lambda: nonnegative(left / d),
    )


STATEMENT = Statement(
    id="pruning-bound",
    number=23,
    claim=r"R(\text{pruned } W^*, \Gamma^*) \le R^* + q\,k\,\sigma_1(C)^2 / T",
    source="new",
    sides=sides,
    generate=tasks_with("q", (0.0, 0.5, 1.0), lambda rng: float(rng.random())),
    tight_at={"C": np.eye(2), "k": 2, "q": 1.0},
    scale="risk",  # at q = 0 and full rank both sides are rounding
    proof=[_least_squares(), length_of_orthonormal_weights(), _reach(), *WORST.proof],
)
