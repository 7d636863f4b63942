"""No change of the weights within a Frobenius ball is worse than the root of a secular equation says.

Setting   Any C (d, T), W (k, d), heads (k, T), inputs X (n, d) with S = X' X / n; a change N (k, d), |N|_F <= eps.
Claim     R(W + N) <= R + (1/T) min over u >= h_1 of [u eps^2 + sum_i b_i^2 / (u - h_i)], and some N attains it: h_i
          are the products of eigenvalues of S and of heads heads', b_i the coordinates of heads E' S in their
          eigenvectors.
Proof     In these coordinates m of N the change of T R is sum_i (h_i m_i^2 - 2 b_i m_i), and each term is
          u m_i^2 + b_i^2/(u - h_i) - (u - h_i) (m_i + b_i/(u - h_i))^2. Dropping the squares is the S-lemma's bound.
          They vanish at m_i = -b_i/(u - h_i), whose length falls from oo to 0 as u grows and equals eps at the root.
          Where b_1 = 0 it may stay below eps down to u = h_1: then m_1 makes up the length at no loss.
Source    More and Sorensen 1983 for the trust-region problem; Yakubovich 1971 for the S-lemma.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Array, Covariance
from theory.evidence import lemmas
from theory.evidence.scalars import identity, limit, nonnegative
from theory.evidence.symbolic import (
    Definition,
    diagonal,
    dimensions,
    equal,
    frob2,
    matrix,
    symmetric,
    trace,
)
from theory.perturbation import Adversarial
from theory.representation import Representation
from theory.statement import Instance, Statement, Step
from theory.statements._draws import inputs, representation, risks, tasks


def sides(C: Array, W: Array, heads: Array, X: Array, N: Array, radius: float) -> tuple[Any, Any]:
    """The risk after a change along N of that length, against the claimed worst."""
    changed = W + N * (radius / np.linalg.norm(N))
    worst = Adversarial("frobenius", radius).worst_risk(
        Representation(W, heads), C, Covariance.of_inputs(X)
    )
    return risks(changed[None], heads, C, X)[0], worst


def generate(rng: np.random.Generator, i: int) -> Instance | None:
    C, k = tasks(rng, i, most=3)
    W, heads = representation(rng, i, C, k)
    X, N = inputs(rng, i // 3, len(C)), rng.standard_normal(W.shape)
    radius = float(rng.choice([0.1, 1.0, 3.0]))
    return {"C": C, "k": k, "W": W, "heads": heads, "X": X, "N": N, "radius": radius}


def _proof() -> list[Step]:
    d, T, k = dimensions("d T k")
    C, W, G, N = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T), matrix("N", k, d)
    S, P, Q = symmetric("S", d), matrix("P", d, d), matrix("Q", k, k)
    s, theta = diagonal("s", d), diagonal("theta", k)
    E, B = C - W.T @ G, matrix("B", k, d)
    M = Q.T @ N @ P
    rules = [Definition("orthogonal", (X,)) for X in (P, Q)]
    h, b, m, norm2 = sp.symbols("h b m norm2", real=True)
    u, left = sp.symbols("u left", nonnegative=True)  # left: eps^2 - |m|^2
    gap = sp.Symbol("gap", positive=True)  # u - h
    dual = b**2 / gap
    return [
        lemmas.step(
            "change_of_the_risk",
            r"\|S^{1/2}(C - (W+N)^\top\Gamma)\|^2 = \|S^{1/2}E\|^2 - 2\operatorname{tr}(N S E \Gamma^\top) + "
            r"\operatorname{tr}(N S N^\top \Gamma\Gamma^\top)",
            lambda: equal(
                frob2(C - (W + N).T @ G, S),
                frob2(E, S) - 2 * trace(N @ S @ E @ G.T) + trace(N @ S @ N.T @ G @ G.T),
            ),
        ),
        lemmas.step(
            "eigenbases_make_it_diagonal",
            r"S = P s P^\top, \Gamma\Gamma^\top = Q\theta Q^\top, M = Q^\top N P: \operatorname{tr}(N S N^\top "
            r"\Gamma\Gamma^\top) = \operatorname{tr}(M s M^\top\theta) = \sum \theta_i s_j M_{ij}^2, \|M\| = \|N\|",
            lambda: equal(
                trace(N @ (P @ s @ P.T) @ N.T @ (Q @ theta @ Q.T)),
                trace(M @ s @ M.T @ theta),
                rules,
            ),
            lambda: equal(frob2(M), frob2(N), rules),
            lambda: equal(trace(N @ B.T), trace(M @ (Q.T @ B @ P).T), rules),
        ),
        lemmas.step(
            "s_lemma_bound",
            r"h m^2 - 2bm = u m^2 + \tfrac{b^2}{u-h} - (u-h)(m + \tfrac{b}{u-h})^2 at each coordinate; the sum is at "
            r"most u\epsilon^2 + \sum \tfrac{b^2}{u-h} as u\|m\|^2 \le u\epsilon^2",
            lambda: identity(
                (u - gap) * m**2 - 2 * b * m, u * m**2 + dual - gap * (m + b / gap) ** 2
            ),
            lambda: nonnegative(gap * (m + b / gap) ** 2, squares=[(gap, m + b / gap)]),
            lambda: identity(u * (norm2 + left) - u * norm2, u * left),
            lambda: nonnegative(u * left),
        ),
        lemmas.step(
            "attained_at_the_root",
            r"m = -\tfrac{b}{u-h} with \|m\| = \epsilon loses no square, nor u(\epsilon^2 - \|m\|^2)",
            lambda: identity((m + b / gap).subs(m, -b / gap), 0),
            lambda: identity(
                ((u - gap) * m**2 - 2 * b * m).subs(m, -b / gap), u * (b / gap) ** 2 + dual
            ),
        ),
        lemmas.step(
            "there_is_a_root_or_the_hard_case",
            r"(\tfrac{b}{u-h})^2 falls in u, from \infty at u = h (b \ne 0) to 0; and at u = h_1, b_1 = 0, "
            r"m_1 adds h_1 m_1^2 = u m_1^2: any length at no loss",
            lambda: nonnegative(-sp.diff(dual / gap, gap)),
            lambda: limit(dual / gap, gap, sp.oo, 0, "-"),
            lambda: limit(gap / sp.Symbol("b", positive=True) ** 2 * gap, gap, 0, 0),
            lambda: identity((h * m**2 - 2 * b * m).subs({b: 0, h: u}), u * m**2),
        ),
    ]


STATEMENT = Statement(
    id="worst-change",
    number=21,
    claim=r"R(W + N, \Gamma) \le R + \tfrac1T \min_{u \ge h_1} \Big[u\epsilon^2 + \sum_i \frac{b_i^2}{u - h_i}\Big] "
    r"\text{ for } \|N\|_F \le \epsilon, \text{ attained}",
    source="Moré and Sorensen 1983; the S-lemma",
    sides=sides,
    generate=generate,
    tight_at={"k": 1, "W": np.zeros((1, 1)), "N": -np.ones((1, 1)), "radius": 1.0}
    | {name: np.ones((1, 1)) for name in ("C", "heads", "X")},
    proof=_proof(),
)
