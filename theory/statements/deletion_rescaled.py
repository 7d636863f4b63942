"""With survivors rescaled, losing weights has one crossing point for all tasks: half of the weights lost.

Setting   Unit tasks C (d, T), inputs with S = I, W and heads at the orthonormal optimum. Every weight, or every whole
          neuron, is lost independently with probability p < 1 and the survivors are divided by 1 - p.
Claim     E R = 1 - rho_k + rho_k p / (1 - p). The smaller slope has the larger risk for p < 1/2 and the smaller one for
          p > 1/2; at p = 1/2 every model is as bad as predicting 0.
Proof     The mean weights are W* themselves, so that only the variance p/(1-p) w^2 adds to R* = 1 - rho_k, and it adds
          p/(1-p) rho_k. The sum is 1 + rho_k (2p - 1)/(1 - p).
Source    new; rescaling is that of dropout.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Array
from theory.evidence import lemmas
from theory.evidence.scalars import identity, nonnegative
from theory.perturbation import NeuronDeletion, WeightDeletion
from theory.representation import optimal_representation
from theory.spectra import slope
from theory.statement import Instance, Statement, Step
from theory.statements._failures import (
    curvatures,
    mean_of_a_quadratic,
    optimum_splits_the_energy,
    rows_of_unit_energy,
    tasks_with,
)


def sides(C: Array, k: int, p: float, neurons: bool) -> tuple[Any, Any]:
    failure = NeuronDeletion if neurons else WeightDeletion
    risk = failure(p, rescale=True).expected_risk(optimal_representation(C, k), C)
    return risk, 1 - slope(C, k) + slope(C, k) * p / (1 - p)


def generate(rng: np.random.Generator, i: int) -> Instance | None:
    instance = draw(rng, i)
    return None if instance is None else {**instance, "neurons": i % 4 < 2}


def _proof() -> list[Step]:
    p, w, rho, delta = (sp.Symbol(name, real=True) for name in ("p", "w", "rho", "delta"))
    scaled = w / (1 - p)

    def risk(rho: Any) -> Any:
        return 1 - rho + rho * p / (1 - p)

    return [
        lemmas.step(
            "moments",
            r"w M/(1-p) with M = 1 of probability 1-p, else 0: mean w, variance \tfrac{p}{1-p} w^2",
            lambda: identity(p * 0 + (1 - p) * scaled, w),
            lambda: identity(p * w**2 + (1 - p) * (scaled - w) ** 2, p / (1 - p) * w**2),
        ),
        mean_of_a_quadratic(),
        curvatures(),
        rows_of_unit_energy(),
        optimum_splits_the_energy(),
        lemmas.step(
            "crossing",
            r"1 - \rho + \rho\tfrac{p}{1-p} = 1 + \rho\tfrac{2p-1}{1-p}: of the sign of 2p-1 in \rho, and 1 at p = 1/2",
            lambda: identity(risk(rho), 1 + rho * (2 * p - 1) / (1 - p)),
            lambda: identity(risk(rho + delta) - risk(rho), delta * (2 * p - 1) / (1 - p)),
            lambda: nonnegative((2 * p - 1) / (1 - p), {p: (sp.Rational(1, 2), 1)}),
            lambda: nonnegative((1 - 2 * p) / (1 - p), {p: (0, sp.Rational(1, 2))}),
            lambda: identity(risk(rho).subs(p, sp.Rational(1, 2)), 1),
        ),
    ]


draw = tasks_with("p", (0.0, 0.5, 0.75), lambda rng: float(0.9 * rng.random()), unit=True)

STATEMENT = Statement(
    id="deletion-rescaled",
    number=17,
    claim=r"E\,R(W^* \circ M/(1-p), \Gamma^*) = 1 - \rho_k(C) + \rho_k(C)\,\frac{p}{1-p}",
    source="new",
    relation="==",
    hypotheses=["unit_tasks"],
    sides=sides,
    generate=generate,
    tight_at="an equality",
    needed={"unit_tasks": {"C": np.array([[2.0]]), "k": 1, "p": 0.25, "neurons": False}},
    scale="risk",  # of risks of unit tasks; at p = 0 and full rank both sides are rounding
    proof=_proof(),
)
