"""What the statements about failures share: instances with a strength, and the steps on which their proofs rest."""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from theory.evidence.lemmas import optimum, step
from theory.evidence.symbolic import (
    Definition,
    Given,
    diagonal,
    dimensions,
    equal,
    expect,
    eye,
    frob2,
    matrix,
    orthonormal_rows,
    symmetric,
    trace,
)
from theory.statement import Instance, Step
from theory.statements._draws import tasks

Generator = np.random.Generator


def tasks_with(
    name: str, corners: tuple[Any, ...], draw: Callable[[Generator], Any], *, unit: bool = False
) -> Callable[[Generator, int], Instance | None]:
    """A generator of instances: tasks (made unit vectors if `unit`), a k, and a strength by that name.

    Every other strength is one of the corners.
    """

    def generate(rng: Generator, i: int) -> Instance | None:
        C, k = tasks(rng, i, most=6 if i % 3 else 2)
        if unit:
            norms = np.linalg.norm(C, axis=0)
            if not norms.all():
                return None
            C = C / norms
        return {"C": C, "k": k, name: corners[i // 2 % len(corners)] if i % 2 else draw(rng)}

    return generate


def energy(C: Any) -> float:
    """|C|_F^2 / T, the risk of predicting 0 and the scale of every risk."""
    return float(np.linalg.norm(C)) ** 2 / C.shape[1]


def optimum_splits_the_energy() -> Step:
    """R* = |C|^2/T - rho_k, which is 1 - rho_k for unit tasks; the heads' energy is T rho_k."""
    o = optimum()
    d, T = dimensions("d T")
    C, e = matrix("C", d, T), matrix("e", T, 1)
    return step(
        "optimum_splits_the_energy",
        r"T R^* = \|C\|^2 - T\rho_k with T\rho_k = \sum_{i\le k}\sigma_i^2 = \|\Gamma^*\|^2; unit tasks have "
        r"\|C\|^2 = \sum_t \|c_t\|^2 = T",
        lambda: equal(frob2(o.C - o.W.T @ o.heads), frob2(o.C) - o.kept, o.rules),
        lambda: equal(frob2(o.heads), o.kept, o.rules),
        lambda: equal(expect(frob2(C @ e), e), frob2(C)),  # the sum over t of |c_t|^2
        lambda: equal(expect(frob2(e), e), T),  # the sum over t of 1
    )


def change_at_the_optimum() -> Step:
    """At W* a change N of the weights has no first-order effect: W* reads off singular vectors."""
    o = optimum()
    N = matrix("N", o.W.rows, o.W.cols)
    return step(
        "change_at_the_optimum",
        r"(C - W^{*\top}\Gamma^*)\Gamma^{*\top} = 0, hence T R(W^*+N) = T R^* + \|N^\top\Gamma^*\|^2",
        lambda: equal((o.C - o.W.T @ o.heads) @ o.heads.T, 0 * o.W.T, o.rules),
        lambda: equal(frob2(o.C - (o.W + N).T @ o.heads), o.lost + frob2(N.T @ o.heads), o.rules),
    )


def mean_of_a_quadratic() -> Step:
    """A quadratic's mean depends on its uncorrelated entries through their means and variances only."""
    (n,) = dimensions("n")
    Q, s, z = symmetric("Q", n), diagonal("s", n), matrix("z", n, 1)
    m, b = matrix("m", n, 1), matrix("b", n, 1)

    def quadratic(w: Any) -> sp.Expr:
        return trace(w.T @ Q @ w) + 2 * trace(b.T @ w)

    return step(
        "mean_of_a_quadratic",
        r"entries w_i uncorrelated, of mean m_i and variance s_i^2: \mathbb{E}\,q(w) = q(m) + \sum_i Q_{ii} s_i^2",
        lambda: equal(expect(quadratic(m + s @ z), z), quadratic(m) + trace(Q @ s @ s)),
    )


def curvatures() -> Step:
    """Changing one weight, or one row in proportion, by h costs h^2 times an input's energy times its heads'."""
    d, T, k = dimensions("d T k")
    C, W, G = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T)
    S, e, f = symmetric("S", d), matrix("e", k, 1), matrix("f", d, 1)
    h = sp.Symbol("h", real=True)
    E = C - W.T @ G

    def cost(direction: Any) -> sp.Expr:
        first = trace(direction @ S @ E @ G.T)
        return frob2(C - (W + h * direction).T @ G, S) - frob2(E, S) + 2 * h * first

    heads = trace(e.T @ G @ G.T @ e)
    return step(
        "curvatures",
        r"W + h\,e_i f_j^\top: h^2 has the coefficient S_{jj}\|\gamma^i\|^2 in T R; W + h\,e_i e_i^\top W: "
        r"(w_i^\top S w_i)\|\gamma^i\|^2",
        lambda: equal(cost(e @ f.T), h**2 * trace(f.T @ S @ f) * heads),
        lambda: equal(cost(e @ e.T @ W), h**2 * trace(e.T @ W @ S @ W.T @ e) * heads),
    )


def rows_of_unit_energy() -> Step:
    """For W W' = I and S = I, the input energies of the rows are 1, so that the spread is the heads' energy."""
    d, T, k = dimensions("d T k")
    W, G, e, f = matrix("W", k, d), matrix("Γ", k, T), matrix("e", k, 1), matrix("f", d, 1)
    rules: list[Given] = [orthonormal_rows(W), Definition("unit vector", (e,))]
    return step(
        "rows_of_unit_energy",
        r"W W^\top = I, S = I: \sum_j W_{ij}^2 = \|w_i\|^2 = 1 and \sum_i \|\gamma^i\|^2 = \|\Gamma\|^2, hence "
        r"\sum_{ij} W_{ij}^2 \|\gamma^i\|^2 = \|\Gamma\|^2",
        lambda: equal(expect(frob2(e.T @ W @ f), f), frob2(e.T @ W)),  # the sum over j
        lambda: equal(frob2(e.T @ W), 1, rules),
        lambda: equal(expect(frob2(e.T @ G), e), frob2(G)),  # the sum over i
    )


def length_of_orthonormal_weights() -> Step:
    """|W|_F^2 = k."""
    d, k = dimensions("d k")
    W = matrix("W", k, d)
    return step(
        "length_of_orthonormal_weights",
        r"W W^\top = I: \|W\|_F^2 = k",
        lambda: equal(frob2(W), trace(eye(k)), [orthonormal_rows(W)]),
    )
