"""The slope is also the worst case: the most that a change of spectral norm eps can add is eps^2 rho_k.

Setting   Any C (d, T), inputs with S = I, W and heads at the orthonormal optimum; radius eps >= 0.
Claim     max over |N|_2 <= eps of R(W + N) = R* + eps^2 rho_k. For any W and heads, E = C - W' heads, it is
          R + (eps^2 |heads|^2 + 2 eps |E heads'|_*) / T.
Proof     A change costs |N' heads|^2, less than eps^2 |heads|^2 by |A' heads|^2 where eps^2 I - N N' = A A'. Any N with
          N N' = eps^2 I attains it. Away from the optimum there is also the term -2 <N', E heads'>, largest at
          N' = -eps U V' by trace duality, and this N has N N' = eps^2 I as well.
Source    new.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Array
from theory.evidence import lemmas
from theory.evidence.symbolic import (
    Definition,
    diagonal,
    dimensions,
    equal,
    eye,
    frob2,
    matrix,
    orthonormal_rows,
    trace,
)
from theory.perturbation import Adversarial
from theory.representation import optimal_representation
from theory.spectra import slope
from theory.statement import Statement, Step
from theory.statements._failures import (
    change_at_the_optimum,
    optimum_splits_the_energy,
    tasks_with,
)


def sides(C: Array, k: int, radius: float) -> tuple[Any, Any]:
    best = optimal_representation(C, k)
    worst_risk = Adversarial("spectral", radius).worst_risk(best, C)
    return worst_risk, best.risk + radius**2 * slope(C, k)


def _proof() -> list[Step]:
    d, T, k = dimensions("d T k")
    C, W, G, N = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T), matrix("N", k, d)
    E, A = C - W.T @ G, matrix("A", k, k)
    U, V, D = matrix("U", d, k), matrix("V", k, k), diagonal("D", k)
    eps = sp.Symbol("epsilon", positive=True)
    a, b = matrix("a", k, 1), matrix("b", d, 1)
    polar, unit = (
        -eps * V @ U.T,
        [orthonormal_rows(U.T), orthonormal_rows(V), orthonormal_rows(V.T)],
    )
    return [
        lemmas.optimum_attains(),
        change_at_the_optimum(),
        optimum_splits_the_energy(),
        lemmas.step(
            "heads_bound",
            r"\epsilon^2 I - N N^\top = A A^\top: \epsilon^2\|\Gamma\|^2 - \|N^\top\Gamma\|^2 = "
            r"\|A^\top\Gamma\|^2 \ge 0",
            lambda: equal(trace(G.T @ (A @ A.T + N @ N.T) @ G) - frob2(N.T @ G), frob2(A.T @ G)),
        ),
        lemmas.step(
            "attained",
            r"N = \epsilon W: N N^\top = \epsilon^2 I and \|N^\top\Gamma\|^2 = \epsilon^2\|\Gamma\|^2",
            lambda: equal(eps * W @ (eps * W).T, eps**2 * eye(k), [orthonormal_rows(W)]),
            lambda: equal(frob2((eps * W).T @ G), eps**2 * frob2(G), [orthonormal_rows(W)]),
        ),
        lemmas.step(
            "first_order_term",
            r"\|C - (W+N)^\top\Gamma\|^2 = \|E\|^2 - 2\operatorname{tr}(N E\Gamma^\top) + \|N^\top\Gamma\|^2",
            lambda: equal(
                frob2(C - (W + N).T @ G),
                frob2(E) - 2 * trace(N @ E @ G.T) + frob2(N.T @ G),
            ),
        ),
        lemmas.step(
            "trace_duality",
            r"E\Gamma^\top = U D V^\top: -\operatorname{tr}(N E\Gamma^\top) = \sum_i D_{ii}(-v_i^\top N u_i), and unit "
            r"vectors have \|\epsilon a + N b\|^2 = 2\epsilon(\epsilon + a^\top N b) - (\epsilon^2 - \|N b\|^2) \ge 0",
            lambda: equal(trace(N @ U @ D @ V.T), trace(D @ (V.T @ N @ U))),
            lambda: equal(
                frob2(eps * a + N @ b),
                2 * eps * (eps + trace(a.T @ N @ b)) - (eps**2 - frob2(N @ b)),
                [Definition("unit vector", (a,)), Definition("unit vector", (b,))],
            ),
        ),
        lemmas.step(
            "attained_with_a_first_order_term",
            r"N = -\epsilon V U^\top, k \le d: N N^\top = \epsilon^2 I and -\operatorname{tr}(N E\Gamma^\top) = "
            r"\epsilon\operatorname{tr} D = \epsilon\|E\Gamma^\top\|_*",
            lambda: equal(polar @ polar.T, eps**2 * eye(k), unit),
            lambda: equal(-trace(polar @ U @ D @ V.T), eps * trace(D), unit),
        ),
    ]


STATEMENT = Statement(
    id="worst-case-spectral",
    number=22,
    claim=r"\max_{\|N\|_2 \le \epsilon} R(W^* + N, \Gamma^*) = R^* + \epsilon^2 \rho_k(C)",
    source="new",
    relation="==",
    sides=sides,
    generate=tasks_with("radius", (0.0, 1.0, 10.0), lambda rng: float(2 * rng.random())),
    tight_at="an equality",
    scale="risk",  # at radius 0 and full rank both sides are rounding
    proof=_proof(),
    mutants={
        "the strongest direction alone": lambda C, k, radius: (
            sides(C, k, radius)[0],
            optimal_representation(C, k).risk + radius**2 * np.linalg.norm(C, 2) ** 2 / C.shape[1],
        )
    },
)
