"""The energy that a task adds is at most what the new representation sees of it.

Setting   C (d, T + 1), its last column c the added task, C_T the others; W_{T+1} the optimum of all T + 1.
Claim     Delta = sum_{i<=k} [sigma_i(C)^2 - sigma_i(C_T)^2] <= |W_{T+1} c|^2.
Tight     rank C <= k, as then nothing of c is lost; k = d.
Proof     W_{T+1} is one of the representations over which C_T has its best, |W_{T+1} C_T|^2 <= sum_{i<=k}
          sigma_i(C_T)^2, and |W_{T+1} C_T|^2 = sum_{i<=k} sigma_i(C)^2 - |W_{T+1} c|^2.
Source    new.
"""

from typing import Any

import numpy as np

from theory.evidence import lemmas
from theory.representation import optimal_representation
from theory.spectra import Array
from theory.statement import Statement
from theory.statements._scales import LARGEST
from theory.statements.drop_criterion import added_energy
from theory.statements.drop_criterion_lower import one_more_task


def sides(C: Array, k: int) -> tuple[Any, Any]:
    W = optimal_representation(C, k).W
    return added_energy(C, k), ((W @ C[:, -1]) ** 2).sum()


STATEMENT = Statement(
    id="drop-criterion-upper",
    number=7,
    claim=r"\Delta \le \|W_{T+1} c\|^2",
    source="new",
    hypotheses=["at_least_two_tasks"],
    sides=sides,
    # Delta is a difference of energies as large as sigma_1^2.
    scale=LARGEST,
    tight_at={"C": np.array([[1.0, 1.0], [0.0, 0.0]]), "k": 1},
    needed={
        "at_least_two_tasks": "not needed for a violation: without other tasks there is no C_T"
    },
    proof=[
        one_more_task(),
        lemmas.orthonormal_rows_contract(),
        lemmas.ky_fan_maximum_principle(),
        lemmas.optimum_attains(),
    ],
)
