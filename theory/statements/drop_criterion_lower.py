"""The energy that a task adds is at least what the old representation sees of it.

Setting   C (d, T + 1), its last column c the added task, C_T the others; W_T their optimum, 1 <= k <= min(d, T).
Claim     |W_T c|^2 <= Delta = sum_{i<=k} [sigma_i(C)^2 - sigma_i(C_T)^2].
Tight     c orthogonal to the other tasks and no longer than sigma_k(C_T) > 0; k = d.
Proof     W_T is one of the representations over which C has its best: |W_T C|^2 <= sum_{i<=k} sigma_i(C)^2, and
          |W_T C|^2 = |W_T C_T|^2 + |W_T c|^2.
Source    new.
"""

from typing import Any

import numpy as np

from theory.evidence import lemmas
from theory.evidence.lemmas import step
from theory.evidence.symbolic import dimensions, equal, frob2, matrix, trace
from theory.representation import optimal_representation
from theory.spectra import Array
from theory.statement import Statement, Step
from theory.statements._scales import LARGEST
from theory.statements.drop_criterion import added_energy


def sides(C: Array, k: int) -> tuple[Any, Any]:
    W = optimal_representation(C[:, :-1], k).W
    return ((W @ C[:, -1]) ** 2).sum(), added_energy(C, k)


def one_more_task() -> Step:
    """C C' = C_T C_T' + c c', so that the energy a representation captures is additive over tasks."""
    d, T, k = dimensions("d T k")
    W, C, c = matrix("W", k, d), matrix("C_T", d, T), matrix("c", d, 1)
    return step(
        "energy_is_additive_over_tasks",
        r"\|WC\|^2 = \operatorname{tr}(W^\top W (C_T C_T^\top + c c^\top)) = \|W C_T\|^2 + \|Wc\|^2",
        lambda: equal(trace(W.T @ W @ (C @ C.T + c @ c.T)), frob2(W @ C) + frob2(W @ c)),
    )


STATEMENT = Statement(
    id="drop-criterion-lower",
    number=7,
    claim=r"\|W_T c\|^2 \le \Delta",
    source="new",
    hypotheses=["k_below_tasks"],
    sides=sides,
    # Delta is a difference of energies as large as sigma_1^2.
    scale=LARGEST,
    tight_at={"C": np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 2.0]]), "k": 2},
    needed={"k_below_tasks": "not needed for a violation: W_T is defined for k <= T"},
    proof=[
        one_more_task(),
        lemmas.orthonormal_rows_contract(),
        lemmas.ky_fan_maximum_principle(),
        lemmas.optimum_attains(),
    ],
)
