"""With heads refitted for the noise, a larger slope is an advantage at every noise.

Setting   Unit tasks C (d, T), inputs with S = I, W the orthonormal optimum; noise sigma on W, q = d sigma^2.
Claim     The best heads are heads* / (1 + q), and E R = 1 - rho_k / (1 + q); no other orthonormal W does better.
Proof     Complete the square in the heads: |C - W'G|^2 + q |G|^2 = |C|^2 - |WC|^2/(1+q) + (1+q) |G - WC/(1+q)|^2. So
          the best W has the largest |WC|^2, which is T rho_k (Ky Fan).
Source    new. With statement 11 more tasks never help on average, the statement `noise-aware-more-tasks`.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Array
from theory.evidence import lemmas
from theory.evidence.symbolic import dimensions, equal, frob2, matrix, orthonormal_rows
from theory.perturbation import AdditiveNoise
from theory.representation import Representation, optimal_representation
from theory.spectra import slope
from theory.statement import Statement, Step
from theory.statements import noise_decomposition
from theory.statements._failures import optimum_splits_the_energy, tasks_with


def sides(C: Array, k: int, sigma: float, shrink: int = 1) -> tuple[Any, Any]:
    """shrink (0 or 1): whether the heads are refitted."""
    best, q = optimal_representation(C, k), len(C) * sigma**2
    refitted = Representation(best.W, best.heads / (1 + shrink * q))
    return AdditiveNoise(sigma).expected_risk(refitted, C), 1 - slope(C, k) / (1 + q)


def _proof() -> list[Step]:
    d, T, k = dimensions("d T k")
    C, W, G = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T)
    s = sp.Symbol("s", positive=True)  # 1 / (1 + q)
    return [
        *noise_decomposition.STATEMENT.proof,
        lemmas.step(
            "best_heads",
            r"W W^\top = I: \|C - W^\top\Gamma\|^2 + q\|\Gamma\|^2 = \|C\|^2 - \tfrac{1}{1+q}\|WC\|^2 + "
            r"(1+q)\|\Gamma - \tfrac{1}{1+q}WC\|^2",
            lambda: equal(
                frob2(C - W.T @ G) + (1 / s - 1) * frob2(G),
                frob2(C) - s * frob2(W @ C) + frob2(G - s * W @ C) / s,
                [orthonormal_rows(W)],
            ),
        ),
        lemmas.orthonormal_rows_contract(),
        lemmas.ky_fan_maximum_principle(),
        lemmas.optimum_attains(),
        optimum_splits_the_energy(),
    ]


STATEMENT = Statement(
    id="noise-aware-readout",
    number=20,
    claim=r"\min_\Gamma E\,R(W^* + \sigma N, \Gamma) = 1 - \frac{\rho_k(C)}{1 + d\sigma^2}, "
    r"\text{ at } \Gamma = \Gamma^*/(1 + d\sigma^2)",
    source="new",
    relation="==",
    hypotheses=["unit_tasks"],
    sides=sides,
    generate=tasks_with("sigma", (0.0, 1.0, 10.0), lambda rng: float(2 * rng.random()), unit=True),
    tight_at="an equality",
    needed={"unit_tasks": {"C": np.array([[2.0]]), "k": 1, "sigma": 1.0}},
    scale="risk",  # of risks of unit tasks; at sigma = 0 and full rank both sides are rounding
    proof=_proof(),
    mutants={"heads not refitted": lambda C, k, sigma: sides(C, k, sigma, shrink=0)},
)
