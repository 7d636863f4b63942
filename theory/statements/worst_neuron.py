"""The singular basis is the worst for its worst neuron, and a rotation makes every neuron equally dispensable.

Setting   Any C (d, T), inputs with S = I, W and heads at the orthonormal optimum, and its rotations Q W, Q heads, which
          predict the same.
Claim     Losing neuron i costs |gamma^i|^2 / T. Over rotations the largest of these is at most sigma_1^2 / T, which the
          singular basis has, and at least rho_k / k, which `equal_energy` has: it is minimax.
Proof     The row energies are the diagonal of Q D^2 Q'. Each is a mean of the sigma_i^2 and their sum is T rho_k, so
          none exceeds the first and not all are below the mean (any m of them sum to at most the m first: Schur-Horn).
          A row below the mean and one above it can be rotated until the first has the mean, as a quadratic with two
          real roots says; after k - 1 such rotations the last row is at the mean, as the sum has stayed.
Source    new; Schur 1923 and Horn 1954 for the majorisation, Bendel and Mickey 1978 for the rotations.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Array
from theory.evidence import lemmas
from theory.evidence.scalars import identity, nonnegative
from theory.evidence.symbolic import (
    Definition,
    diagonal,
    dimensions,
    equal,
    expect,
    eye,
    frob2,
    matrix,
    orthonormal_rows,
    trace,
)
from theory.representation import Representation, equal_energy, optimal_representation, risk
from theory.spectra import slope
from theory.statement import Statement, Step

Rotation = Callable[[Representation], Representation]


def worst_loss(representation: Representation, C: Array) -> float:
    """The largest risk after the loss of one neuron."""
    kept = 1 - np.eye(len(representation.W))[:, :, None]
    return max(risk(keep * representation.W, representation.heads, C) for keep in kept)


def sides(C: Array, k: int, rotate: Rotation = equal_energy) -> tuple[Any, Any]:
    best = optimal_representation(C, k)
    return worst_loss(rotate(best), C), best.risk + slope(C, k) / k


def _proof() -> list[Step]:
    d, T, k = dimensions("d T k")
    C, W, Q, e = matrix("C", d, T), matrix("W", k, d), matrix("Q", k, k), matrix("e", k, 1)
    D = diagonal("D", k)
    rotation, orthonormal = [Definition("orthogonal", (Q,))], orthonormal_rows(W)
    unit, top = Definition("unit vector", (e,)), sp.Symbol("sigma_1", nonnegative=True)
    lost, heads = W - e @ e.T @ W, W @ C
    low, high, cross, root = sp.symbols("low high cross root", real=True)
    a, b = sp.symbols("a b", positive=True)  # how far below and above the mean
    # The rotation by t = -low / (cross + root) with root^2 = cross^2 - low high.
    tangent, excess = -low / (cross + root), (cross**2 - root**2) / low
    n, mean = sp.symbols("n mean", real=True)
    return [
        lemmas.step(
            "losing_a_neuron",
            r"W W^\top = I, \Gamma = W C, e_i a unit vector: T R(W - e_i e_i^\top W) = T R(W) + \|\gamma^i\|^2",
            lambda: equal(
                frob2(C - lost.T @ heads),
                frob2(C - W.T @ heads) + frob2(e.T @ heads),
                [orthonormal, unit],
            ),
        ),
        lemmas.step(
            "rotations_predict_the_same",
            r"Q Q^\top = I: (QW)(QW)^\top = I, Q\Gamma = (QW)C, (QW)^\top Q\Gamma = W^\top\Gamma",
            lambda: equal(Q @ W @ (Q @ W).T, eye(k), [orthonormal, *rotation]),
            lambda: equal((Q @ W).T @ Q @ heads, W.T @ heads, rotation),
        ),
        lemmas.optimum_attains(),
        lemmas.step(
            "no_row_above_the_first",
            r"\|\gamma^i\|^2 = e_i^\top Q\Sigma^2 Q^\top e_i = \sigma_1^2 - "
            r"e_i^\top Q(\sigma_1^2 I - \Sigma^2)Q^\top e_i",
            lambda: equal(
                frob2(e.T @ Q @ D),
                top**2 - trace((top**2 * eye(k) - D @ D) @ Q.T @ e @ e.T @ Q),
                [unit, *rotation],
            ),
            lemmas.psd_product().check,
        ),
        lemmas.step(
            "the_mean_stays",
            r"\sum_i \|\gamma^i\|^2 = \operatorname{tr}\Sigma^2 = T\rho_k, so the largest is at least T\rho_k/k",
            lambda: equal(expect(frob2(e.T @ Q @ D), e), trace(D @ D), rotation),
        ),
        lemmas.ky_fan_maximum_principle(),
        lemmas.step(
            "one_rotation_settles_a_row",
            r"energies mean + l, mean + h, l < 0 < h, inner product c: (\gamma^i + t\gamma^j)/\sqrt{1+t^2} has the "
            r"mean energy iff l + 2tc + t^2h = 0; t = -l/(c + r), r^2 = c^2 - lh > 0 solves it",
            lambda: identity(
                (mean + low + 2 * n * cross + n**2 * (mean + high)) - mean * (1 + n**2),
                low + 2 * n * cross + n**2 * high,
            ),
            lambda: identity((low + 2 * tangent * cross + tangent**2 * high).subs(high, excess), 0),
            lambda: nonnegative(cross**2 + a * b),
        ),
        lemmas.step(
            "the_last_row_follows",
            r"k \cdot \text{mean} - (k-1)\cdot\text{mean} = \text{mean}",
            lambda: identity(n * mean - (n - 1) * mean, mean),
        ),
    ]


STATEMENT = Statement(
    id="worst-neuron",
    number=25,
    claim=r"\min_{Q Q^\top = I} \max_i R(Q W^* \text{ without row } i, Q\Gamma^*) = R^* + \rho_k(C)/k, "
    r"\text{ while } Q = I \text{ gives } R^* + \sigma_1(C)^2/T",
    source="new; Schur 1923 and Horn 1954, Bendel and Mickey 1978",
    relation="==",
    sides=sides,
    tight_at="an equality",
    scale="risk",
    proof=_proof(),
    mutants={
        "singular basis": lambda C, k: sides(C, k, rotate=lambda best: best),
    },
)
