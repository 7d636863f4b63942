"""No representation and heads have less risk than the singular values beyond k, whatever the inputs.

Setting   C (d, T), W (k, d), heads (k, T) any; S = X' X / n for any sample X (n, d) of inputs.
Claim     R(W, heads) >= (1/T) sum_{i>k} sigma_i(S^(1/2) C)^2.
Tight     W = U_k', heads = W C, if S = I; W' heads = S^(-1/2) A_k with A_k the first k terms of the singular value
          decomposition of S^(1/2) C and S^(-1/2) the pseudo-inverse, in general.
Proof     With B = S^(1/2) the risk is that of the tasks B C and the weights W B under S = I. An orthonormal basis Q
          (k, d) whose span contains the rows of W gives W' heads = Q' H. Then T R = |C|^2 - |QC|^2 + |H - QC|^2, and
          |QC|^2 = tr(C C' Q'Q) is at most the sum of the k largest eigenvalues of C C', by Ky Fan.
Source    Eckart & Young 1936, Mirsky 1960; Daras et al. 2022, eq. (2).
"""

from typing import Any

import numpy as np

from theory.covariance import Covariance
from theory.evidence import lemmas
from theory.evidence.lemmas import step
from theory.evidence.symbolic import dimensions, equal, frob2, matrix, symmetric, trace
from theory.representation import optimal_representation, risk
from theory.spectra import singular_values
from theory.statement import Instance, Scale, Statement, Step
from theory.statements._draws import Array, inputs, representation, tasks


def sides(C: Array, k: int, W: Array, heads: Array, X: Array) -> tuple[Any, Any]:
    missed = singular_values(X @ C / np.sqrt(len(X)))[k:]
    return (missed**2).sum() / C.shape[1], risk(W, heads, C, Covariance.of_inputs(X))


def generate(rng: np.random.Generator, i: int) -> Instance:
    C, k = tasks(rng, i)
    X = inputs(rng, i, len(C))
    if i % 3 == 2:
        best = optimal_representation(C, k, covariance=Covariance.of_inputs(X))
        W, heads = best.W, best.heads
    else:
        W, heads = representation(rng, i, C, k)
    return {"C": C, "k": k, "W": W, "heads": heads, "X": X}


def _proof() -> list[Step]:
    d, T, k = dimensions("d T k")
    C, W, heads, B = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T), symmetric("B", d)
    Q, M = matrix("Q", k, d), matrix("M", k, k)
    return [
        step(
            "inputs_are_absorbed",
            r"\|S^{1/2}(C - W^\top\Gamma)\|^2 = \|BC - (WB)^\top\Gamma\|^2, \quad B = S^{1/2}",
            lambda: equal(frob2(C - W.T @ heads, B @ B), frob2(B @ C - (W @ B).T @ heads)),
        ),
        step(
            "orthonormal_without_loss",
            r"W = MQ with QQ^\top = I (Gram-Schmidt): W^\top\Gamma = Q^\top(M^\top\Gamma)",
            lambda: equal((M @ Q).T @ heads, Q.T @ (M.T @ heads)),
        ),
        lemmas.orthonormal_expansion(),
        step(
            "captured_energy_is_linear",
            r"\|QC\|^2 = \operatorname{tr}(CC^\top \, Q^\top Q)",
            lambda: equal(frob2(Q @ C), trace(C @ C.T @ Q.T @ Q)),
        ),
        lemmas.orthonormal_rows_contract(),
        lemmas.ky_fan_maximum_principle(),
    ]


PROOF = _proof()

STATEMENT = Statement(
    id="no-better-representation",
    number=1,
    claim=r"R(W, \Gamma) \ge \tfrac1T \sum_{i>k} \sigma_i(S^{1/2} C)^2",
    source="Eckart & Young 1936; Mirsky 1960; Daras et al. 2022, eq. (2)",
    sides=sides,
    generate=generate,
    scale=Scale("R(W, 0)", lambda C, X: float(((X @ C) ** 2).sum()) / (len(X) * C.shape[1])),
    tight_at={
        "C": np.diag([3.0, 2.0, 1.0]),
        "k": 2,
        "W": np.eye(2, 3),
        "heads": np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]]),
        "X": np.sqrt(3) * np.eye(3),
    },
    proof=PROOF,
)
