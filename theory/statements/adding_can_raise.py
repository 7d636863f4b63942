"""Adding a task can raise the slope: the claim that it never does is false.

Setting   C (d, T+1) any real matrix, C_T its first T columns; 1 <= k <= T.
Claim     rho_k(C) <= rho_k(C_T): false.
Witness   C_T = I_3 and the added task c = e_1, with k = 1: the slope goes from 1/3 to 1/2.
Proof     Repeating one of T orthonormal tasks makes one eigenvalue of the Gram matrix 2 and leaves T - 1 ones, so that
          rho_k goes from k/T to (k+1)/(T+1), which is more for every k < T.
Source    new: the unconditional reading of Daras et al. 2022, Theorem 2.7.
"""

from fractions import Fraction

import numpy as np
import sympy as sp

from theory.evidence import exact
from theory.evidence.lemmas import step
from theory.evidence.scalars import identity, nonnegative
from theory.evidence.symbolic import Definition, Given, dimensions, equal, matrix, orthonormal_rows
from theory.spectra import slope
from theory.statement import Checked, Statement, Step, Verdict

REPEATED = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]])


def slopes_at_the_witness() -> Step:
    def check() -> Verdict:
        before = exact.holds(
            lambda q: (exact.slope_bracket(REPEATED[:, :-1], 1, denominator=q), Fraction(1, 3)),
            "this instance",
            relation="==",
        )
        after = exact.holds(
            lambda q: (exact.slope_bracket(REPEATED, 1, denominator=q), Fraction(1, 2)),
            "this instance",
            relation="==",
        )
        return after if isinstance(before, Checked) else before

    return Step("slopes_at_the_witness", r"\rho_1(I_3) = 1/3, \rho_1([I_3, e_1]) = 1/2", check)


def repeated_orthonormal_task() -> Step:
    """Q are the tasks, c = Q e the repeated one: Q Q' + c c' has eigenvalue 2 at c, 1 at the rest of their span."""
    d, T = dimensions("d T")
    Q, e, y = matrix("Q", d, T), matrix("e", T, 1), matrix("y", T, 1)
    rules: list[Given] = [orthonormal_rows(Q.T), Definition("unit vector", (e,)), (e.T @ y, 0)]
    gram = Q @ Q.T + Q @ e @ e.T @ Q.T
    size, k, more = sp.symbols("T k more", positive=True)
    return step(
        "repeated_orthonormal_task",
        r"Q^\top Q = I, c = Qe_1: (QQ^\top + cc^\top)c = 2c, and it keeps Qy for y \perp e_1; "
        r"\tfrac{k+1}{T+1} - \tfrac kT = \tfrac{T-k}{T(T+1)} > 0",
        lambda: equal(gram @ Q @ e, 2 * (Q @ e), rules),
        lambda: equal(gram @ Q @ y, Q @ y, rules),
        lambda: identity((k + 1) / (size + 1) - k / size, (size - k) / (size * (size + 1))),
        lambda: nonnegative(((k + 1) / (size + 1) - k / size).subs(size, k + more)),
    )


STATEMENT = Statement(
    id="adding-can-raise",
    number=12,
    claim=r"\rho_k(C_{T+1}) \le \rho_k(C_T) \text{ whatever task is added}",
    source="the unconditional reading of Daras et al. 2022, Theorem 2.7",
    hypotheses=["k_below_tasks"],
    sides=lambda C, k: (slope(C, k), slope(C[:, :-1], k)),
    as_refuted={"C": REPEATED, "k": 1},
    proof=[slopes_at_the_witness(), repeated_orthonormal_task()],
    remark="False. Averaged over which task came last it never rises, without any hypothesis (statement 11).",
)
