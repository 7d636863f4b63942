"""Rounding the weights costs at most half a step in every weight but the largest, in the strongest direction.

Setting   Any C (d, T), inputs with S = I, W and heads at the orthonormal optimum; weights rounded to whole multiples of
          delta = max|W| / (2^(bits-1) - 1), bits >= 2: with one bit there is no step.
Claim     R <= R* + (delta^2/4) (d k - 1) sigma_1^2 / T, hence the bound with d k.
Proof     A weight moves by at most delta/2, and the largest, being 2^(bits-1) - 1 steps, not at all: the change of W is
          no longer than (delta/2) sqrt(d k - 1). Statement 21 says what a change of that length can cost.
Tight     C = (2, 1)': W = C' / sqrt(5), two bits, delta = 2 / sqrt(5): the second weight is half a step.
Source    new.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Array
from theory.evidence import lemmas
from theory.evidence.scalars import identity, nonnegative
from theory.perturbation import Quantisation
from theory.representation import optimal_representation
from theory.spectra import singular_values
from theory.statement import Hypothesis, Statement, Step
from theory.statements._failures import tasks_with
from theory.statements.worst_case_frobenius import STATEMENT as WORST


def sides(C: Array, k: int, bits: int, moved: int = 0) -> tuple[Any, Any]:
    """moved: how many of the weights are left out of the bound beyond the largest."""
    best, failure = optimal_representation(C, k), Quantisation(bits)
    reach = failure.step(best.W).item() ** 2 / 4 * (best.W.size - 1 - moved)
    expected = failure.expected_risk(best, C)
    return expected, best.risk + reach * singular_values(C)[0] ** 2 / C.shape[1]


def _half_a_step() -> Step:
    f, n = sp.symbols("f n", real=True)  # the weight is n + f steps, n whole
    delta, largest = sp.symbols("delta largest", positive=True)
    top = sp.Symbol("top", integer=True, positive=True)  # 2^(bits-1) - 1 >= 1 for bits >= 2
    half = sp.Rational(1, 2)
    return lemmas.step(
        "half_a_step",
        r"w = (n + f)\delta, n the nearest whole number: |f| \le \tfrac12 and \tfrac{\delta^2}{4} - (w - n\delta)^2 = "
        r"\delta^2(\tfrac12 - f)(\tfrac12 + f) \ge 0",
        lambda: identity(
            delta**2 / 4 - ((n + f) * delta - n * delta) ** 2, delta**2 * (half - f) * (half + f)
        ),
        lambda: nonnegative(delta**2 * (half - f) * (half + f), {f: (-half, half)}),
        lambda: identity(largest / (largest / top), top),  # the largest is a level
    )


STATEMENT = Statement(
    id="quantisation-bound",
    number=24,
    claim=r"R(\text{rounded } W^*, \Gamma^*) \le R^* + \tfrac{\delta^2}{4}(dk - 1)\,\sigma_1(C)^2 / T",
    source="new",
    hypotheses=[Hypothesis("two_bits", r"bits \ge 2", lambda bits: bits >= 2)],
    sides=sides,
    generate=tasks_with("bits", (2, 3, 60), lambda rng: int(rng.integers(2, 6))),
    tight_at={"C": np.array([[2.0], [1.0]]), "k": 1, "bits": 2},
    needed={"two_bits": "not needed for a violation: with one bit 2^(bits-1) - 1 = 0, and no step"},
    scale="risk",  # with many bits and full rank both sides are rounding
    proof=[_half_a_step(), *WORST.proof],
    mutants={"one weight fewer": lambda C, k, bits: sides(C, k, bits, moved=1)},
    remark="with d k in place of d k - 1 the bound is never tight: the largest weight is a level itself",
)
