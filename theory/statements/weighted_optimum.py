"""Correlated inputs and unequal task shares are absorbed into the tasks, and the same optimum solves them.

Setting   C (d, T), inputs X (n, d) with S = X' X / n of any rank, shares pi (T,) of the tasks, >= 0 with sum 1.
Claim     The least sum_t pi_t |S^(1/2)(c_t - W' gamma_t)|^2 is (1/T) sum_{i>k} sigma_i^2 of S^(1/2) C diag(sqrt(T pi)).
Proof     B = S^(1/2) and F = diag(sqrt(T pi)) stand left and right of the error, so that A = B C F are the tasks of a
          problem with S = I and equal shares; `no-better-representation` bounds it from below. Its best A_k = A P, P a
          projector onto k right singular vectors, is reached by W' heads F = B+ A_k with the pseudo-inverse B+ also
          where S is singular, as the columns of A lie in the range of B.
Source    new; Daras et al. 2022, eq. (2) has S = I and equal shares.
"""

from typing import Any

import numpy as np

from theory.covariance import Covariance
from theory.evidence.lemmas import optimum, step
from theory.evidence.symbolic import diagonal, dimensions, equal, frob2, matrix, symmetric
from theory.representation import optimal_representation, risk
from theory.spectra import singular_values
from theory.statement import Instance, Scale, Statement, Step
from theory.statements import no_better_representation
from theory.statements._draws import Array, inputs, tasks


def sides(C: Array, k: int, X: Array, shares: Array) -> tuple[Any, Any]:
    S, pi = Covariance.of_inputs(X), shares / shares.sum()
    best = optimal_representation(C, k, covariance=S, task_weights=pi)
    each = [risk(best.W, best.heads[:, t : t + 1], C[:, t : t + 1], S) for t in range(len(pi))]
    values = singular_values(X @ C * np.sqrt(pi / len(X)))
    return pi @ np.array(each), (values[k:] ** 2).sum()


def generate(rng: np.random.Generator, i: int) -> Instance:
    C, k = tasks(rng, i)
    shares = np.asarray(rng.uniform(0.1, 1, size=C.shape[1]))
    if i % 5 == 4 and len(shares) > 1:
        shares[0] = 0.0
    return {"C": C, "k": k, "X": inputs(rng, i, len(C)), "shares": shares}


def _proof() -> list[Step]:
    d, T, k = dimensions("d T k")
    C, W, heads = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T)
    B, pinv, P = symmetric("B", d), symmetric("B⁺", d), symmetric("P", T)
    F, o = diagonal("F", T), optimum()
    A, error = B @ C @ F, C - W.T @ heads
    return [
        step(
            "inputs_and_shares_are_absorbed",
            r"T \sum_t \pi_t \|S^{1/2}(c_t - W^\top\gamma_t)\|^2 = \|B(C - W^\top\Gamma)F\|^2 = "
            r"\|A - (WB)^\top \Gamma F\|^2",
            lambda: equal(frob2(error @ F, B @ B), frob2(A - (W @ B).T @ (heads @ F))),
        ),
        step(
            "attained_though_the_inputs_be_singular",
            r"W^\top\Gamma F = B^+ A_k: \|BCF - BB^+A_k\|^2 = \|A - A_k\|^2, as BB^+B = B",
            lambda: equal(frob2(B @ (C @ F - pinv @ A @ P)), frob2(A - A @ P), [(B @ pinv @ B, B)]),
        ),
        step(
            "best_rank_k_of_the_absorbed_tasks",
            r"\|A - A V_k V_k^\top\|^2 = \sum_{i>k} \sigma_i(A)^2",
            lambda: equal(frob2(o.C - o.C @ o.V @ o.J @ o.V.T), o.lost, o.rules),
        ),
        *no_better_representation.PROOF,
    ]


STATEMENT = Statement(
    id="weighted-optimum",
    number=1,
    claim=r"\min_{W,\Gamma} \sum_t \pi_t \|S^{1/2}(c_t - W^\top\gamma_t)\|^2 = "
    r"\tfrac1T \sum_{i>k} \sigma_i(S^{1/2} C \operatorname{diag}\sqrt{T\pi})^2",
    source="new; Eckart & Young 1936 after whitening",
    relation="==",
    sides=sides,
    generate=generate,
    # Where S^(1/2) C has rank k the risk is rounding of this size.
    scale=Scale("|X|^2 |C|^2/n", lambda C, X: float((X**2).sum() * (C**2).sum()) / len(X)),
    tight_at="an equality",
    proof=_proof(),
    mutants={
        "equal shares": lambda C, k, X, shares: (
            sides(C, k, X, shares)[0],
            sides(C, k, X, np.ones_like(shares))[1],
        ),
        "isotropic": lambda C, k, X, shares: (
            sides(C, k, X, shares)[0],
            sides(C, k, np.sqrt(len(C)) * np.eye(len(C)), shares)[1],
        ),
    },
)
