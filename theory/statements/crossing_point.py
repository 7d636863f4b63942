"""Under additive noise the risks of all numbers of tasks cross at one point, where each is that of predicting 0.

Setting   Unit tasks C (d, T), inputs with S = I, W and heads at the orthonormal optimum; noise sigma on W.
Claim     E R = 1 + rho_k (d sigma^2 - 1). As functions of sigma^2 these are lines through the point (1/d, 1), whatever
          the tasks, T and k: before it the larger slope has the smaller risk; beyond it the smaller slope has, but
          there every risk exceeds 1, that of predicting 0.
Proof     Statement 3 with R* = 1 - rho_k.
Source    new; read off the decomposition of Daras et al. 2022.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Array
from theory.evidence import lemmas
from theory.evidence.scalars import identity, nonnegative
from theory.perturbation import AdditiveNoise
from theory.representation import optimal_representation
from theory.spectra import slope
from theory.statement import Statement, Step
from theory.statements import noise_decomposition
from theory.statements._failures import optimum_splits_the_energy, tasks_with


def sides(C: Array, k: int, sigma: float) -> tuple[Any, Any]:
    risk = AdditiveNoise(sigma).expected_risk(optimal_representation(C, k), C)
    return risk, 1 + slope(C, k) * (len(C) * sigma**2 - 1)


def _proof() -> list[Step]:
    rho, v, delta = sp.symbols("rho v delta", nonnegative=True)
    d = sp.Symbol("d", positive=True)
    beyond = sp.Symbol("beyond", nonnegative=True)  # v - 1/d, of one sign or the other

    def risk(rho: Any, v: Any) -> Any:
        return (1 - rho) + d * v * rho

    return [
        *noise_decomposition.STATEMENT.proof,
        lemmas.optimum_attains(),
        optimum_splits_the_energy(),
        lemmas.step(
            "lines_through_one_point",
            r"(1 - \rho) + d\sigma^2\rho = 1 + \rho(d\sigma^2 - 1), which is 1 at \sigma^2 = 1/d for every \rho",
            lambda: identity(risk(rho, v), 1 + rho * (d * v - 1)),
            lambda: identity(risk(rho, 1 / d), 1),
        ),
        lemmas.step(
            "order_beyond_and_before",
            r"\sigma^2 = 1/d \pm b: the risk at slope \rho + \delta exceeds that at \rho by \pm d b\delta, and 1 by "
            r"\pm d b\rho",
            lambda: identity(
                risk(rho + delta, 1 / d + beyond) - risk(rho, 1 / d + beyond), d * beyond * delta
            ),
            lambda: identity(
                risk(rho + delta, 1 / d - beyond) - risk(rho, 1 / d - beyond), -d * beyond * delta
            ),
            lambda: identity(risk(rho, 1 / d + beyond) - 1, d * beyond * rho),
            lambda: nonnegative(d * beyond * delta),
            lambda: nonnegative(d * beyond * rho),
        ),
    ]


STATEMENT = Statement(
    id="crossing-point",
    number=19,
    claim=r"E\,R(W^* + \sigma N, \Gamma^*) = 1 + \rho_k(C)\,(d\sigma^2 - 1)",
    source="new",
    relation="==",
    hypotheses=["unit_tasks"],
    sides=sides,
    generate=tasks_with("sigma", (0.0, 1.0, 0.5), lambda rng: float(2 * rng.random()), unit=True),
    tight_at="an equality",
    needed={"unit_tasks": {"C": np.array([[2.0]]), "k": 1, "sigma": 1.0}},
    scale="risk",  # of risks of unit tasks; at sigma = 0 and full rank both sides are rounding
    proof=_proof(),
    remark="multitasking wins only where every model is worse than the zero predictor",
)
