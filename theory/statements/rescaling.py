"""Longer weights and shorter heads predict the same and suffer less: the normalisation of W carries the slope.

Setting   C (d, T), S = I, the orthonormal optimum W, heads; alpha != 0; noise sigma on the weights alpha W.
Claim     R(alpha W, heads / alpha) = R*, and E R(alpha W + sigma N, heads / alpha) = R* + d sigma^2 rho_k / alpha^2.
Proof     alpha cancels in the product W' heads, and divides |heads|^2 by alpha^2; then statement 2.
Source    new; the orthonormal W of Daras et al. 2022 is the choice alpha = 1.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.evidence import lemmas
from theory.evidence.lemmas import step
from theory.evidence.symbolic import dimensions, equal, frob2, matrix
from theory.perturbation import AdditiveNoise
from theory.representation import Representation, optimal_representation
from theory.spectra import singular_values, slope
from theory.statement import Hypothesis, Instance, Statement, Step
from theory.statements import noise_decomposition
from theory.statements._draws import Array, tasks


def sides(C: Array, k: int, alpha: float, sigma: float) -> tuple[Any, Any]:
    d, T = C.shape
    best = optimal_representation(C, k)
    scaled = Representation(alpha * best.W, best.heads / alpha)
    missed = (singular_values(C)[k:] ** 2).sum() / T
    claimed = missed + d * sigma**2 * slope(C, k) / alpha**2
    return AdditiveNoise(sigma).expected_risk(scaled, C), claimed


def generate(rng: np.random.Generator, i: int) -> Instance:
    C, k = tasks(rng, i, most=6)
    alpha = float(rng.choice([-1, 1]) * 10 ** rng.uniform(-2, 2))
    return {"C": C, "k": k, "alpha": alpha, "sigma": float(rng.choice([0.0, 0.1, 1.0, 10.0]))}


def _proof() -> list[Step]:
    d, T, k = dimensions("d T k")
    C, W, heads = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T)
    alpha = sp.Symbol("alpha", real=True, nonzero=True)
    return [
        step(
            "same_predictions",
            r"(\alpha W)^\top (\Gamma/\alpha) = W^\top\Gamma",
            lambda: equal(C - (alpha * W).T @ (heads * (1 / alpha)), C - W.T @ heads),
        ),
        step(
            "shorter_heads",
            r"\|\Gamma/\alpha\|^2 = \|\Gamma\|^2/\alpha^2",
            lambda: equal(frob2(heads * (1 / alpha)), frob2(heads) / alpha**2),
        ),
        lemmas.optimum_attains(),
        *noise_decomposition.STATEMENT.proof,
    ]


STATEMENT = Statement(
    id="rescaling",
    number=6,
    claim=r"E\,R(\alpha W^* + \sigma N, \Gamma^*/\alpha) = R^* + d\,\sigma^2 \rho_k(C) / \alpha^2",
    source="new; alpha = 1 in Daras et al. 2022, eq. (8)",
    relation="==",
    hypotheses=[Hypothesis("alpha_nonzero", r"\alpha \ne 0", lambda alpha: alpha != 0)],
    sides=sides,
    generate=generate,
    tight_at="an equality",
    needed={
        "alpha_nonzero": "not needed for a violation: heads / 0 are undefined, there is no claim"
    },
    # Where C has rank k and sigma = 0 the risk is the rounding of C - W' heads.
    scale="risk",
    proof=_proof(),
    mutants={
        "alpha, not squared": lambda C, k, alpha, sigma: (
            sides(C, k, alpha, sigma)[0],
            sides(C, k, np.sqrt(abs(alpha)), sigma)[1],
        )
    },
)
