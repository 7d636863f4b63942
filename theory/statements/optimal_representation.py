"""The best k-dimensional representation misses exactly the energy of the singular values beyond k.

Setting   C (d, T) any tasks, S = I, 1 <= k <= min(d, T).
Claim     min over W (k, d) and heads (k, T) of R(W, heads) is (1/T) sum_{i>k} sigma_i^2; the closed form attains it.
          `no-better-representation` is the other half, for every S; `weighted-optimum` has S and shares of tasks.
Proof     In the singular value decomposition C = U D V' take W = U_k', heads = D_k V_k' = W C. What is left of C is
          U (I - J) D V', with J the first k of the unit matrix. The lower bound is that of `no-better-representation`.
Source    Eckart & Young 1936, Mirsky 1960; Daras et al. 2022, eq. (2) and (4).
"""

from typing import Any

from theory.evidence import lemmas
from theory.representation import optimal_representation, risk
from theory.spectra import Array, singular_values
from theory.statement import Statement
from theory.statements import no_better_representation


def sides(C: Array, k: int) -> tuple[Any, Any]:
    best = optimal_representation(C, k)
    return risk(best.W, best.heads, C), (singular_values(C)[k:] ** 2).sum() / C.shape[1]


STATEMENT = Statement(
    id="optimal-representation",
    number=1,
    claim=r"\min_{W, \Gamma} R(W, \Gamma) = R(U_k^\top, \Sigma_k V_k^\top) = \tfrac1T \sum_{i>k} \sigma_i^2",
    source="Eckart & Young 1936; Mirsky 1960; Daras et al. 2022, eq. (2), (4)",
    relation="==",
    sides=sides,
    # Where C has rank k the risk is the rounding of C - W' heads: eps |C|^2.
    scale="risk",
    tight_at="an equality",
    proof=[lemmas.optimum_attains(), *no_better_representation.PROOF],
)
