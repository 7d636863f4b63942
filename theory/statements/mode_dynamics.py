"""From balanced weights aligned with the tasks every singular value is learned on its own, along a sigmoid.

Setting   C = U diag(sigma) V', start W = sqrt(s_0) U_k', heads = sqrt(s_0) V_k', s_0 > 0; flow of L = |C - W'
          heads|^2 / 2, not divided by T: the flow of the mean risk at time t is this one at time 2 t / T.
Claim     2 L(t) = sum_{i<=k} (sigma_i - s_i(t))^2 + sum_{i>k} sigma_i^2, with
          s(t) = sigma e^{2 sigma t} / (e^{2 sigma t} - 1 + sigma/s_0), or s_0 / (1 + 2 t s_0) at sigma = 0.
Tight     an equality.
Proof     W = A U_k', heads = A V_k' with a diagonal A is kept by the flow: A' = A (sigma - A^2). s = a^2 obeys
          s' = 2 s (sigma - s), a Bernoulli equation, which the formula solves (the solution is unique, Picard). What
          is left of C is U_k (Sigma_k - s) V_k' and, orthogonal to it, the modes beyond k: their squares are 2 L.
Source    Saxe, McClelland, Ganguli 2014, arXiv 1312.6120.
"""

import numpy as np
import sympy as sp

from theory.dynamics import balanced_flow
from theory.evidence.lemmas import optimum_attains, step
from theory.evidence.scalars import identity, limit, ode_solution
from theory.evidence.symbolic import (
    diagonal,
    dimensions,
    equal,
    frob2,
    matrix,
    orthonormal_rows,
    trace,
)
from theory.spectra import singular_values
from theory.statement import Hypothesis, Scale, Statement, Step
from theory.statements._draws import tasks

t = sp.Symbol("t", nonnegative=True)
sigma, s0, T = sp.symbols("sigma s_0 T", positive=True)
growth = sp.exp(2 * sigma * t)
learned = sigma * growth / (growth - 1 + sigma / s0)
unlearned = s0 / (1 + 2 * t * s0)


def strength(sigma, t, start):
    """s(t) as it is printed."""
    if sigma == 0:
        return start / (1 + 2 * t * start)
    growth = np.expm1(2 * sigma * t)
    return sigma * (growth + 1) / (growth + sigma / start)


def sides(C, k, t, start):
    W, heads = balanced_flow(C, k, t, start)
    sigma = singular_values(C)
    left = sum((value - strength(value, t, start)) ** 2 for value in sigma[:k])
    return ((C - W.T @ heads) ** 2).sum(), left + (sigma[k:] ** 2).sum()


def generate(rng, i):
    C, k = tasks(rng, i)
    largest = float(np.linalg.norm(C, 2)) or 1.0
    t, start = rng.choice([0.0, 0.3, 2.0, 10.0]), rng.choice([1e-3, 0.2, 1.5])
    return {"C": C, "k": k, "t": float(t / largest), "start": float(start * largest)}


def alignment_is_kept() -> Step:
    """Where C = U D V' + R and R is what lies beyond the first k singular vectors: U' R = 0, R V = 0."""
    d, tasks_, k = dimensions("d T k")
    U, V, R = matrix("U", d, k), matrix("V", tasks_, k), matrix("R", d, tasks_)
    D, A = diagonal("D", k), diagonal("A", k)
    rules = [orthonormal_rows(U.T), orthonormal_rows(V.T), (U.T @ R, 0), (R @ V, 0)]
    W, heads = A @ U.T, A @ V.T
    E = U @ D @ V.T + R - W.T @ heads
    speed = A @ (D - A @ A)
    return step(
        "alignment_is_kept",
        r"W = AU_k^\top, \Gamma = AV_k^\top: \Gamma E^\top = A(\Sigma_k - A^2)U_k^\top and WE = "
        r"A(\Sigma_k-A^2)V_k^\top",
        lambda: equal(heads @ E.T, speed @ U.T, rules),
        lambda: equal(W @ E, speed @ V.T, rules),
    )


def loss_of_the_modes() -> Step:
    """C as in alignment_is_kept; R holds the singular values beyond the first k, by optimum_attains."""
    d, tasks_, k = dimensions("d T k")
    U, V, R = matrix("U", d, k), matrix("V", tasks_, k), matrix("R", d, tasks_)
    D, A = diagonal("D", k), diagonal("A", k)
    rules = [orthonormal_rows(U.T), orthonormal_rows(V.T), (U.T @ R, 0), (R @ V, 0)]
    left = D - A @ A
    return step(
        "loss_of_the_modes",
        r"W = AU_k^\top, \Gamma = AV_k^\top, s = A^2: 2L = \|C - W^\top\Gamma\|^2 = \sum_{i\le k}(\sigma_i-s_i)^2 + "
        r"\|C - U_k\Sigma_kV_k^\top\|^2, the last \sum_{i>k}\sigma_i^2",
        lambda: equal(
            frob2(U @ D @ V.T + R - (A @ U.T).T @ (A @ V.T)), trace(left @ left) + frob2(R), rules
        ),
    )


def strength_of_a_mode() -> Step:
    a, c = sp.symbols("a sigma", real=True)
    return step(
        "strength_of_a_mode",
        r"s = a^2, \dot a = a(\sigma-a^2): \dot s = 2a\dot a = 2s(\sigma-s)",
        lambda: identity(2 * a * (a * (c - a**2)), (2 * c * a**2 - 2 * a**4)),
    )


def formula_solves_the_flow() -> Step:
    return step(
        "formula_solves_the_flow",
        r"s(t) solves \dot s = 2s(\sigma-s), s(0) = s_0, for \sigma > 0; s_0/(1+2ts_0) for \sigma = 0, its limit",
        lambda: ode_solution(learned, t, lambda s: 2 * s * (sigma - s), s0),
        lambda: ode_solution(unlearned, t, lambda s: -2 * s**2, s0),
        lambda: limit(learned, sigma, 0, unlearned),
    )


def everything_is_learned() -> Step:
    return step(
        "everything_is_learned",
        r"s(t) \to \sigma as t \to \infty: aligned balanced weights end at the optimum",
        lambda: limit(learned, t, sp.oo, sigma, "-"),
        lambda: limit(unlearned, t, sp.oo, 0, "-"),
    )


def mean_risk_is_slower() -> Step:
    """The mean risk has 2/T times the gradient of L."""
    slower = learned.subs(t, 2 * t / T)
    return step(
        "mean_risk_is_slower",
        r"s(2t/T) solves \dot s = \tfrac2T \cdot 2s(\sigma-s)",
        lambda: ode_solution(slower, t, lambda s: 4 * s * (sigma - s) / T, s0),
    )


STATEMENT = Statement(
    id="mode-dynamics",
    number=29,
    claim=r"s(t) = \sigma e^{2\sigma t}/(e^{2\sigma t} - 1 + \sigma/s_0), "
    r"2L(t) = \sum_{i\le k}(\sigma_i - s_i(t))^2 + \sum_{i>k}\sigma_i^2",
    source="Saxe, McClelland, Ganguli 2014, arXiv 1312.6120",
    relation="==",
    hypotheses=[
        Hypothesis("positive_start", r"s_0 > 0, t \ge 0", lambda t, start: start > 0 and t >= 0)
    ],
    sides=sides,
    generate=generate,
    # Of the terms of 2 L, which cancel as modes are learned.
    scale=Scale(
        "|C|_F^2 + T s_0^2",
        lambda C, start: float((C**2).sum()) + C.shape[1] * start**2,
    ),
    tight_at="an equality",
    needed={"positive_start": "weights that start at 0 stay there, and the formula divides by s_0"},
    proof=[
        alignment_is_kept(),
        loss_of_the_modes(),
        optimum_attains(),
        strength_of_a_mode(),
        formula_solves_the_flow(),
        everything_is_learned(),
        mean_risk_is_slower(),
    ],
    mutants={
        "the pace of the mean risk": lambda C, k, t, start: (
            sides(C, k, t, start)[0],
            sides(C, k, 2 * t / C.shape[1], start)[1],
        )
    },
)
