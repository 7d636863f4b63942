"""With heads refitted for the noise, more tasks never help on average over which task is left out.

Setting   Any C (d, T), T >= 2, inputs with S = I, W the orthonormal optimum and heads refitted for noise sigma on W.
Claim     The mean over t of the expected risk without task t is at most the expected risk with all of them.
Tight     Identical tasks.
Proof     The expected risk is |C|^2/T - rho_k/(1 + d sigma^2), statement 20. The first term is its own leave-one-out
          mean, and rho_k falls short of its own by statement 11.
Source    new; the gain of Daras et al. 2022 is that of heads which ignore the noise.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Array
from theory.evidence import lemmas
from theory.evidence.scalars import identity, nonnegative
from theory.evidence.symbolic import dimensions, equal, expect, frob2, matrix
from theory.perturbation import AdditiveNoise
from theory.representation import Representation, optimal_representation
from theory.statement import Statement, Step
from theory.statements import leave_one_out, noise_aware_readout
from theory.statements._failures import tasks_with


def refitted_risk(C: Array, k: int, sigma: float, refit: bool) -> float:
    """The expected risk with the best heads, or with those of the clean optimum; 0 without tasks."""
    if C.shape[1] == 0:
        return 0.0
    best = optimal_representation(C, min(k, *C.shape))
    heads = best.heads / (1 + len(C) * sigma**2) if refit else best.heads
    return float(AdditiveNoise(sigma).expected_risk(Representation(best.W, heads), C))  # type: ignore[arg-type]


def sides(C: Array, k: int, sigma: float, refit: bool = True) -> tuple[Any, Any]:
    others = [refitted_risk(np.delete(C, t, 1), k, sigma, refit) for t in range(C.shape[1])]
    return sum(others) / len(others), refitted_risk(C, k, sigma, refit)


def _mean_energy() -> Step:
    d, T = dimensions("d T")
    C, e = matrix("C", d, T), matrix("e", T, 1)
    return lemmas.step(
        "mean_energy_is_kept",
        r"\tfrac1T\sum_t \tfrac{1}{T-1}\|C_{-t}\|^2 = \tfrac1T\|C\|^2",
        lambda: equal(T * frob2(C) - expect(frob2(C @ e), e), (T - 1) * frob2(C)),
    )


def _difference() -> Step:
    energy, rho, others = sp.symbols("energy rho others", real=True)
    q, gap = sp.symbols("q gap", nonnegative=True)  # q = d sigma^2, gap = others - rho
    return lemmas.step(
        "difference",
        r"[\|C\|^2/T - \tfrac{\rho}{1+q}] - [\|C\|^2/T - \tfrac{\bar\rho}{1+q}] = \tfrac{\bar\rho - \rho}{1+q} \ge 0, "
        r"\bar\rho \ge \rho the leave-one-out mean",
        lambda: identity(
            (energy - rho / (1 + q)) - (energy - others / (1 + q)), (others - rho) / (1 + q)
        ),
        lambda: nonnegative(gap / (1 + q)),
    )


STATEMENT = Statement(
    id="noise-aware-more-tasks",
    number=20,
    claim=r"\tfrac1T \textstyle\sum_t \min_\Gamma E\,R(W^*_{-t} + \sigma N, \Gamma) \le "
    r"\min_\Gamma E\,R(W^* + \sigma N, \Gamma)",
    source="new",
    hypotheses=["at_least_two_tasks"],
    sides=sides,
    generate=tasks_with("sigma", (0.0, 1.0, 10.0), lambda rng: float(2 * rng.random())),
    tight_at={"C": np.ones((3, 4)), "k": 2, "sigma": 1.0},
    needed={
        "at_least_two_tasks": "not needed for a violation: without its one task nothing is left to average over"
    },
    scale="risk",
    proof=[
        *noise_aware_readout.STATEMENT.proof,
        _mean_energy(),
        *(s for s in leave_one_out.STATEMENT.proof if s.name != "ky_fan_maximum_principle"),
        _difference(),
    ],
    mutants={"heads not refitted": lambda C, k, sigma: sides(C, k, sigma, refit=False)},
)
