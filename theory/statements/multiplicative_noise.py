"""Noise in proportion to the weights adds its variance times the slope, without the dimension d.

Setting   Any C (d, T), inputs with S = I, W and heads at the orthonormal optimum; N iid of zero mean, unit variance.
Claim     E R(W * (1 + sigma N)) = R* + sigma^2 rho_k.
Proof     A weight w (1 + sigma N) has mean w and variance sigma^2 w^2: the spread is sigma^2/T times the sum of
          W_ij^2 |gamma^i|^2, and the rows of W have norm 1. For unit tasks the sum is 1 + rho_k (sigma^2 - 1): like
          statement 19 with 1 in the place of d.
Source    the failure is that of Daras et al. 2022's released code; the formula is new.
"""

from typing import Any

import sympy as sp

from theory.covariance import Array
from theory.evidence import lemmas
from theory.evidence.scalars import identity
from theory.evidence.symbolic import equal, expect, matrix, trace
from theory.perturbation import MultiplicativeNoise
from theory.representation import optimal_representation
from theory.spectra import slope
from theory.statement import Statement, Step
from theory.statements._failures import (
    curvatures,
    mean_of_a_quadratic,
    optimum_splits_the_energy,
    rows_of_unit_energy,
    tasks_with,
)


def sides(C: Array, k: int, sigma: float) -> tuple[Any, Any]:
    best = optimal_representation(C, k)
    return MultiplicativeNoise(sigma).expected_risk(best, C), best.risk + sigma**2 * slope(C, k)


def _proof() -> list[Step]:
    w, sigma, rho = (sp.Symbol(name, real=True) for name in ("w", "sigma", "rho"))
    N = matrix("N", 1, 1)
    noise = w * sigma * trace(N)  # of one weight
    return [
        lemmas.step(
            "moments",
            r"w(1 + \sigma N): mean w, variance \sigma^2 w^2",
            lambda: equal(expect(w + noise, N), w),
            lambda: equal(expect(noise**2, N), sigma**2 * w**2),
        ),
        mean_of_a_quadratic(),
        curvatures(),
        rows_of_unit_energy(),
        optimum_splits_the_energy(),
        lemmas.step(
            "unit_tasks_cross_at_one",
            r"(1 - \rho) + \sigma^2\rho = 1 + \rho(\sigma^2 - 1)",
            lambda: identity((1 - rho) + sigma**2 * rho, 1 + rho * (sigma**2 - 1)),
        ),
    ]


STATEMENT = Statement(
    id="multiplicative-noise",
    number=18,
    claim=r"E\,R(W^* \circ (1 + \sigma N), \Gamma^*) = R^* + \sigma^2 \rho_k(C)",
    source="new; the failure is that of Daras et al. 2022, released code",
    relation="==",
    sides=sides,
    generate=tasks_with("sigma", (0.0, 1.0, 10.0), lambda rng: float(2 * rng.random())),
    tight_at="an equality",
    scale="risk",  # at sigma = 0 and full rank both sides are rounding
    proof=_proof(),
)
