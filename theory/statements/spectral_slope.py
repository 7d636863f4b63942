"""At the orthonormal optimum the slope of the risk in the noise variance is read off the singular values.

Setting   C (d, T), S = I, W = U_k', heads = D_k V_k', the optimum under W W' = I; noise sigma on W.
Claim     |heads|_F^2 / T = rho_k(C), hence E R(W + sigma N) = (1/T) sum_{i>k} sigma_i^2 + sigma^2 d rho_k(C).
Proof     |D_k V_k'|^2 = tr(J D D) as V has orthonormal columns; then statement 2 with tr(S) = d.
Source    Daras et al. 2022, eq. (8), where the risk is per input coordinate: without the factor d.
"""

from typing import Any

import numpy as np

from theory.evidence import lemmas
from theory.perturbation import AdditiveNoise
from theory.representation import optimal_representation
from theory.spectra import singular_values, slope
from theory.statement import Hypothesis, Instance, Statement
from theory.statements import noise_decomposition
from theory.statements._draws import Array, tasks


def sides(C: Array, k: int, sigma: float, S: Array) -> tuple[Any, Any]:
    d, T = C.shape
    best = optimal_representation(C, k, covariance=S)
    missed = (singular_values(C)[k:] ** 2).sum() / T
    return AdditiveNoise(sigma).expected_risk(best, C, S), missed + sigma**2 * d * slope(C, k)


def generate(rng: np.random.Generator, i: int) -> Instance:
    C, k = tasks(rng, i, most=6)
    sigma = float(rng.choice([0.0, 0.1, 1.0, 10.0]))
    return {"C": C, "k": k, "sigma": sigma, "S": np.ones(len(C), dtype=int)}


STATEMENT = Statement(
    id="spectral-slope",
    number=3,
    claim=r"\|\Gamma^*\|_F^2 / T = \rho_k(C), \quad "
    r"E\,R(W^* + \sigma N, \Gamma^*) = R^* + d\,\sigma^2 \rho_k(C)",
    source="Daras et al. 2022, eq. (8)",
    relation="==",
    hypotheses=[Hypothesis("isotropic", "S = I", lambda S: bool((S == 1).all()))],
    sides=sides,
    generate=generate,
    tight_at="an equality",
    needed={
        "isotropic": {"C": np.eye(2), "k": 1, "sigma": 1.0, "S": np.array([4, 1])},
    },
    # Where C has rank k and sigma = 0 the risk is the rounding of C - W' heads.
    scale="risk",
    proof=[lemmas.optimum_attains(), *noise_decomposition.STATEMENT.proof],
)
