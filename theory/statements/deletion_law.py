"""Losing weights costs what the slope explains, and so hurts more tasks more, whatever the rate of loss.

Setting   Unit tasks C (d, T), inputs with S = I, W and heads at the orthonormal optimum. Every weight, or every whole
          neuron (row of W), is lost independently with probability p.
Claim     E R = 1 - (1 - p) rho_k. There is no crossover in p: at every p < 1 the smaller slope has the larger risk.
          The general form is the statement `independent-factors`.
Proof     A weight kept with probability 1-p has mean (1-p) w and variance p(1-p) w^2. The risk is a quadratic in the
          weights, so its mean is its value at the mean weights plus the variances times its curvatures. At the optimum
          the first is |C|^2/T - (1-p^2) rho_k, the second p(1-p) rho_k.
Source    Daras et al. 2022, section 3, tests deletion in language models; this law says that the linear theory does
          not predict what is reported there.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Array
from theory.evidence import lemmas
from theory.evidence.scalars import identity, positive
from theory.evidence.symbolic import equal, frob2
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
    failure = NeuronDeletion(p) if neurons else WeightDeletion(p)
    return failure.expected_risk(optimal_representation(C, k), C), 1 - (1 - p) * slope(C, k)


def generate(rng: np.random.Generator, i: int) -> Instance | None:
    drawn = draw(rng, i)
    return None if drawn is None else {**drawn, "neurons": i % 4 < 2}


def _proof() -> list[Step]:
    p, w, rho = (sp.Symbol(name, real=True) for name in ("p", "w", "rho"))
    mean = (1 - p) * w
    drop, kept = (sp.Symbol(name, positive=True) for name in ("delta", "kept"))
    o = lemmas.optimum()

    def risk(rho: Any) -> Any:
        return 1 - (1 - p) * rho

    return [
        lemmas.step(
            "moments",
            r"w M with M = 1 of probability 1-p, else 0: mean (1-p)w, variance p(1-p)w^2",
            lambda: identity(p * 0 + (1 - p) * w, mean),
            lambda: identity(p * mean**2 + (1 - p) * (w - mean) ** 2, p * (1 - p) * w**2),
        ),
        mean_of_a_quadratic(),
        curvatures(),
        rows_of_unit_energy(),
        lemmas.step(
            "risk_of_the_mean_weights",
            r"T R((1-p)W^*, \Gamma^*) = \|C\|^2 - (1-p^2)\,T\rho_k",
            lambda: equal(
                frob2(o.C - (1 - p) * o.W.T @ o.heads), frob2(o.C) - (1 - p**2) * o.kept, o.rules
            ),
        ),
        optimum_splits_the_energy(),
        lemmas.step(
            "total",
            r"[1 - (1-p^2)\rho] + p(1-p)\rho = 1 - (1-p)\rho",
            lambda: identity(1 - (1 - p**2) * rho + p * (1 - p) * rho, risk(rho)),
        ),
        lemmas.step(
            "no_crossover",
            r"the risk at slope \rho - \delta exceeds that at \rho by (1-p)\delta > 0 for \delta > 0, p < 1",
            lambda: identity(risk(rho - drop) - risk(rho), (1 - p) * drop),
            lambda: positive(((1 - p) * drop).subs(p, 1 - kept)),
        ),
    ]


draw = tasks_with("p", (0.0, 0.5, 1.0), lambda rng: float(rng.random()), unit=True)

STATEMENT = Statement(
    id="deletion-law",
    number=16,
    claim=r"E\,R(W^* \circ M, \Gamma^*) = 1 - (1-p)\,\rho_k(C), decreasing in \rho_k for every p < 1",
    source="new; the failure is that of Daras et al. 2022, sec. 3",
    relation="==",
    hypotheses=["unit_tasks"],
    sides=sides,
    generate=generate,
    tight_at="an equality",
    needed={"unit_tasks": {"C": np.array([[2.0]]), "k": 1, "p": 0.5, "neurons": False}},
    scale="risk",  # of risks of unit tasks; at p = 0 and full rank both sides are rounding
    proof=_proof(),
    remark="the linear theory does not predict a crossover when weights are deleted, as reported for language models",
)
