"""Every added unit task lowers the slope: false, and one correlated with a single other task may raise it.

Setting   C (d, T+1) unit tasks, C_T its first T columns; 1 <= k <= T.
Claim     rho_k(C) <= rho_k(C_T), as Daras et al. 2022 show for Gaussian tasks in high dimension: false in general.
Witness   C = (e_1, e_2, e_1), k = 1: the slope goes from 1/2 to 2/3.
Proof     Repeated orthonormal tasks raise it (statement 12). Nor does it take a repetition: to T orthonormal tasks add
          a unit c orthogonal to all but c_1, <c, c_1> = r > 1/T; with k = 1 the slope goes from 1/T to (1 + r)/(T+1).
Source    Daras et al. 2022, Remark 2.9: "the MSE under noise drops for every single new task added", without the
          assumptions of its Theorem 2.7.
"""

import numpy as np
import sympy as sp

from theory.evidence.lemmas import step
from theory.evidence.scalars import identity, nonnegative
from theory.spectra import slope
from theory.statement import Statement, Step
from theory.statements.adding_can_raise import repeated_orthonormal_task


def correlated_with_one() -> Step:
    """The Gram matrix of c_1 and c is [[1, r], [r, 1]], with greatest eigenvalue 1 + r; the other tasks keep 1."""
    r, T = sp.symbols("r T", positive=True)
    over = sp.Symbol("over", positive=True)
    gram, eigenvector = sp.Matrix([[1, r], [r, 1]]), sp.Matrix([1, 1])
    rise = (1 + r) / (T + 1) - 1 / T
    return step(
        "correlated_with_one",
        r"\tfrac{1+r}{T+1} - \tfrac1T = \tfrac{Tr-1}{T(T+1)} > 0 for r > 1/T",
        lambda: identity((gram * eigenvector - (1 + r) * eigenvector).norm() ** 2, 0),
        lambda: identity(gram.trace() - (1 + r), 1 - r),
        lambda: identity(rise, (T * r - 1) / (T * (T + 1))),
        lambda: nonnegative(rise.subs(r, (1 + over) / T)),
    )


STATEMENT = Statement(
    id="d22-every-task-lowers",
    claim=r"\|c_t\| = 1 \Rightarrow \rho_k(C_{T+1}) \le \rho_k(C_T)",
    source="Daras et al. 2022, Remark 2.9 read without the assumptions of Theorem 2.7",
    hypotheses=["unit_tasks", "k_below_tasks"],
    sides=lambda C, k: (slope(C, k), slope(C[:, :-1], k)),
    as_refuted={"C": np.array([[1, 0, 1], [0, 1, 0]]), "k": 1},
    proof=[repeated_orthonormal_task(), correlated_with_one()],
    remark="False. It holds on average over which task came last (statement 11), and for every task if the tasks are "
    "nearly orthogonal (statement 9) or Gaussian in high dimension, with high probability (statement 10).",
)
