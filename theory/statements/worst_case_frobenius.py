"""The worst change of the weights of a given Frobenius length attacks the one strongest direction.

Setting   Any C (d, T), inputs with S = I, W and heads at the orthonormal optimum; radius eps >= 0.
Claim     max over |N|_F <= eps of R(W + N) = R* + eps^2 sigma_1^2 / T.
Proof     At the optimum a change has no first-order effect and costs |N' heads|^2 <= sigma_1^2 |N|^2. This is
          attained by N = eps e f' for the top eigenvector e of heads heads' and any unit vector f.
Source    new; the general case, any weights, heads and S, is the statement `worst-change`.
"""

from typing import Any

import sympy as sp

from theory.covariance import Array
from theory.evidence import lemmas
from theory.evidence.symbolic import (
    Definition,
    Given,
    dimensions,
    equal,
    eye,
    frob2,
    matrix,
    trace,
)
from theory.perturbation import Adversarial
from theory.representation import optimal_representation
from theory.spectra import singular_values, slope
from theory.statement import Statement, Step
from theory.statements._failures import change_at_the_optimum, tasks_with


def sides(C: Array, k: int, radius: float) -> tuple[Any, Any]:
    best = optimal_representation(C, k)
    worst_risk = Adversarial("frobenius", radius).worst_risk(best, C)
    return worst_risk, best.risk + radius**2 * singular_values(C)[0] ** 2 / C.shape[1]


def top_direction_bounds() -> Step:
    o = lemmas.optimum()
    N, top = matrix("N", o.W.rows, o.W.cols), sp.Symbol("sigma_1", nonnegative=True)
    return lemmas.step(
        "top_direction_bounds",
        r"\sigma_1^2\|N\|^2 - \|N^\top\Gamma^*\|^2 = "
        r"\operatorname{tr}(K^\top(\sigma_1^2 I - \Sigma^2)K\,N N^\top) \ge 0: K chooses the first k, and "
        r"\sigma_1^2 I - \Sigma^2 \ge 0",
        lambda: equal(
            top**2 * frob2(N) - frob2(N.T @ o.heads),
            trace(o.K.T @ (top**2 * eye(o.D.rows) - o.D @ o.D) @ o.K @ N @ N.T),
            o.rules,
        ),
        lemmas.psd_product().check,
    )


def _attained() -> Step:
    d, T, k = dimensions("d T k")
    G, e, f = matrix("Γ", k, T), matrix("e", k, 1), matrix("f", d, 1)
    top, eps = sp.symbols("sigma_1 epsilon", nonnegative=True)
    N = eps * e @ f.T
    rules: list[Given] = [
        Definition("unit vector", (e,)),
        Definition("unit vector", (f,)),
        (G @ G.T @ e, top**2 * e),
    ]
    return lemmas.step(
        "attained",
        r"N = \epsilon e f^\top with \Gamma\Gamma^\top e = \sigma_1^2 e: \|N\| = \epsilon, "
        r"\|N^\top\Gamma\|^2 = \epsilon^2\sigma_1^2",
        lambda: equal(frob2(N), eps**2, rules),
        lambda: equal(frob2(N.T @ G), eps**2 * top**2, rules),
    )


STATEMENT = Statement(
    id="worst-case-frobenius",
    number=21,
    claim=r"\max_{\|N\|_F \le \epsilon} R(W^* + N, \Gamma^*) = R^* + \epsilon^2 \sigma_1(C)^2 / T",
    source="new",
    relation="==",
    sides=sides,
    generate=tasks_with("radius", (0.0, 1.0, 10.0), lambda rng: float(2 * rng.random())),
    tight_at="an equality",
    scale="risk",  # at radius 0 and full rank both sides are rounding
    proof=[
        lemmas.optimum_attains(),
        change_at_the_optimum(),
        top_direction_bounds(),
        _attained(),
    ],
    mutants={
        "every direction counts": lambda C, k, radius: (
            sides(C, k, radius)[0],
            optimal_representation(C, k).risk + radius**2 * slope(C, k),
        )
    },
)
