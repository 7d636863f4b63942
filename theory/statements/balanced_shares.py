"""Equal shares of the data minimise the summed risk: no other mixture helps the tasks on average.

Setting   any C (d, T), 1 <= k <= min(d, T), S = I; task t gets the share pi_t = amounts_t / sum(amounts) of the data,
          and the representation is the optimum for these shares.
Claim     the risk averaged over tasks with equal weights is least for equal shares.
Tight     equal shares.
Proof     The weighted optimum is one orthonormal W with heads; equal shares choose the best of those (Ky Fan).
Source    new; a negative control for Schaefer et al. 2024, where 90/10 mixtures help both cloned languages.
"""

import numpy as np

from theory.evidence.lemmas import (
    ky_fan_maximum_principle,
    optimum_attains,
    orthonormal_expansion,
    orthonormal_rows_contract,
)
from theory.representation import optimal_representation, risk
from theory.statement import Hypothesis, Statement
from theory.statements._draws import tasks


def sides(C, k, amounts):
    weighted = optimal_representation(C, k, task_weights=amounts / amounts.sum())
    return optimal_representation(C, k).risk, risk(weighted.W, weighted.heads, C)


def generate(rng, i):
    C, k = tasks(rng, i)
    T = C.shape[1]
    amounts = (np.ones(T), rng.random(T) + 0.05, np.append(np.ones(T - 1), 9.0))[i % 3]
    return {"C": C, "k": k, "amounts": amounts}


STATEMENT = Statement(
    id="balanced-shares",
    number=30,
    claim=r"\tfrac1T\textstyle\sum_t R_t(W_{\text{equal}}, \Gamma_{\text{equal}}) \le \tfrac1T\sum_t R_t(W_\pi, "
    r"\Gamma_\pi)",
    source="new",
    hypotheses=[Hypothesis("shares", r"\pi_t \ge 0", lambda amounts: bool((amounts > 0).all()))],
    sides=sides,
    generate=generate,
    # Both risks vanish up to the rounding of |C|^2 / T where k reaches the rank.
    scale="risk",
    tight_at={"C": np.array([[1.0, 0.6, 0.0], [0.0, 0.8, 2.0]]), "k": 1, "amounts": np.ones(3)},
    needed={
        "shares": "not needed for the bound: any weights yield some representation of dimension k"
    },
    proof=[
        orthonormal_expansion(),
        orthonormal_rows_contract(),
        ky_fan_maximum_principle(),
        optimum_attains(),
    ],
    remark="So no shares help every task at once. The two-task case in closed form: imbalance-linear.",
)
