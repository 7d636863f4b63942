"""The optimal representation is unique up to rotation if, and for k < d only if, sigma_k > sigma_{k+1}.

Setting   C (d, T), S = I, sigma_i = 0 beyond min(d, T); W (k, d) with orthonormal rows and its best heads W C.
          Rotations W -> QW leave P = W' W alone, so that unique up to rotation means a unique P. P* is that of U_k.
Claim     T (R(W, WC) - R*) >= (sigma_k^2 - sigma_{k+1}^2) |P - P*|^2 / 2: where there is a gap, less than the optimal
          risk plus something leaves only P near P*, and the optimal risk P* alone. Where there is none, u_{k+1} may
          take the place of u_k. For k = d only P = I exists, gap or no gap.
Tight     k = 1, d = 2: the gap is all there is.
Proof     With Q = U' P U in the eigenbasis U of C C', L its eigenvalues and J the first k of the unit matrix,
          T (R - R*) = tr(LJ) - tr(LQ), and |P - P*|^2 / 2 = tr((I - J) Q). Their difference is a sum of two products
          of positive semidefinite matrices.
Source    new in this form; the theorem is Eckart & Young 1936, Davis & Kahan 1970 its perturbation.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.evidence import lemmas
from theory.evidence.lemmas import step
from theory.evidence.scalars import identity
from theory.evidence.symbolic import (
    Definition,
    diagonal,
    dimensions,
    equal,
    eye,
    frob2,
    matrix,
    orthonormal_rows,
    symmetric,
    trace,
)
from theory.representation import optimal_representation, risk
from theory.spectra import singular_values
from theory.statement import Instance, Statement, Step
from theory.statements._draws import Array, tasks
from theory.statements._scales import ENERGY


def sides(C: Array, k: int, basis: Array) -> tuple[Any, Any]:
    """W is an orthonormal basis of the columns of `basis` (d, k)."""
    W, best = np.linalg.qr(basis)[0].T, optimal_representation(C, k)
    energies = np.append(singular_values(C), 0.0)[k - 1 : k + 1] ** 2
    distance = float(((W.T @ W - best.W.T @ best.W) ** 2).sum())
    excess = C.shape[1] * (risk(W, W @ C, C) - best.risk)
    return (energies[0] - energies[1]) * distance / 2, excess


def generate(rng: np.random.Generator, i: int) -> Instance:
    C, k = tasks(rng, i)
    basis = rng.standard_normal((len(C), k))
    near = optimal_representation(C, k).W.T
    return {"C": C, "k": k, "basis": basis if i % 2 else near + 0.1 * basis}


def _proof() -> list[Step]:
    d, T, k = dimensions("d T k")
    C, W, R = matrix("C", d, T), matrix("W", k, d), matrix("R", k, k)
    U, L, J, Q = matrix("U", d, d), diagonal("L", d), diagonal("J", d), symmetric("Q", d)
    basis = [Definition("orthogonal", (U,))]
    z, y = sp.symbols("lambda_k lambda_{k+1}", real=True)
    P, best = W.T @ W, U @ J @ U.T
    return [
        lemmas.orthonormal_expansion(),
        lemmas.optimum_attains(),
        step(
            "rotations_keep_the_projector",
            r"(RW)^\top(RW) = W^\top W and (RW)^\top(RWC) = W^\top WC for R^\top R = I",
            lambda: equal((R @ W).T @ (R @ W), P, [orthonormal_rows(R.T)]),
            lambda: equal((R @ W).T @ (R @ W @ C), P @ C, [orthonormal_rows(R.T)]),
        ),
        step(
            "in_the_eigenbasis",
            r"CC^\top = ULU^\top, Q = U^\top P U: \|WC\|^2 = \operatorname{tr} LQ, \|P - P^*\|^2 = \|Q - J\|^2, "
            r"Q^2 = Q, \operatorname{tr} Q = k",
            lambda: equal(frob2(W @ C), trace(C @ C.T @ P)),
            lambda: equal(trace(U @ L @ U.T @ P), trace(L @ U.T @ P @ U)),
            lambda: equal(frob2(P - best), frob2(U.T @ P @ U - J), basis),
            lambda: equal(U.T @ P @ U @ U.T @ P @ U, U.T @ P @ U, [orthonormal_rows(W), *basis]),
            lambda: equal(trace(U.T @ P @ U), k, [orthonormal_rows(W), *basis]),
        ),
        step(
            "excess_minus_gap_times_distance",
            r"\operatorname{tr} LJ - \operatorname{tr} LQ - (\lambda_k-\lambda_{k+1})\tfrac12\|Q-J\|^2 = "
            r"\operatorname{tr}(L-\lambda_k)J(I-Q) + \operatorname{tr}(\lambda_{k+1}-L)(I-J)Q \ge 0",
            # The last term vanishes, as tr J = tr Q = k.
            lambda: equal(
                trace(L @ J) - trace(L @ Q) - (z - y) * frob2(Q - J) / 2,
                trace((L - z * eye(d)) @ J @ (eye(d) - Q))
                + trace((y * eye(d) - L) @ (eye(d) - J) @ Q)
                + (z + y) / 2 * (trace(J) - trace(Q)),
                [(J @ J, J), (Q @ Q, Q)],
            ),
            lemmas.psd_product().check,
        ),
        _without_a_gap(),
    ]


def _without_a_gap() -> Step:
    """u and v eigenvectors of G = C C' to one eigenvalue, w = a u + b v."""
    (d,) = dimensions("d")
    G, u, v = symmetric("G", d), matrix("u", d, 1), matrix("v", d, 1)
    value, a, b = sp.symbols("lambda a b", real=True)
    w = a * u + b * v
    eigen = [(G @ u, value * u), (G @ v, value * v)]
    rules = [*eigen, orthonormal_rows(u.T), orthonormal_rows(v.T), (u.T @ v, 0)]
    return step(
        "without_a_gap_a_turn_is_free",
        r"\sigma_k = \sigma_{k+1}: w = a u_k + b u_{k+1}, a^2 + b^2 = 1, has w^\top CC^\top w = \sigma_k^2, yet "
        r"\|ww^\top - u_k u_k^\top\|^2 = (a^2 + b^2)^2 + 1 - 2a^2 = 2b^2",
        lambda: equal(trace(w.T @ w), a**2 + b**2, rules),
        lambda: equal(trace(w.T @ G @ w), value * (a**2 + b**2), rules),
        lambda: equal(frob2(w @ w.T - u @ u.T), (a**2 + b**2) ** 2 + 1 - 2 * a**2, rules),
        lambda: identity(((a**2 + b**2) ** 2 + 1 - 2 * a**2).subs(a**2, 1 - b**2), 2 * b**2),
    )


STATEMENT = Statement(
    id="unique-representation",
    number=1,
    claim=r"T\,(R(W, WC) - R^*) \ge (\sigma_k^2 - \sigma_{k+1}^2)\,\tfrac12\|W^\top W - U_k U_k^\top\|_F^2, "
    r"\quad W W^\top = I",
    source="Eckart & Young 1936 (uniqueness); new as an inequality",
    sides=sides,
    generate=generate,
    # The excess risk is a difference of risks as large as |C|^2.
    scale=ENERGY,
    tight_at={
        "C": np.diag([2.0, 1.0]),
        "k": 1,
        "basis": np.array([[3.0], [4.0]]),
    },
    proof=_proof(),
    remark="theory.md says iff: for k = d it fails, as P = I is then unique even where sigma_d = 0",
)
