"""Leave-one-out fails for balanced weights under one ridge for every number of tasks.

Setting   C (d, T), T >= 2; the ridge of statement 26, the same with T tasks as with T - 1.
Claim     (false) beta_k(C; ridge) <= mean over t of beta_k(C without column t; ridge).
Witness   C = [3 4], ridge = 4: together the tasks have sigma_1 = 5 > 4, alone 3 and 4: none survives the ridge.
Source    new; statement 27 holds with ridge = T decay, which is what weight decay on the mean risk amounts to.
"""

from fractions import Fraction

import numpy as np

from theory.spectra import balanced_slope
from theory.statement import Statement
from theory.statements.balanced_leave_one_out import mean_of_the_others

STATEMENT = Statement(
    id="balanced-leave-one-out-fixed-ridge",
    number=27,
    claim=r"\beta_k(C;\lambda) \le \tfrac1T \textstyle\sum_t \beta_k(C_{-t};\lambda)",
    source="27 of the theory read with one ridge for all T",
    hypotheses=["at_least_two_tasks"],
    sides=lambda C, k, ridge: (balanced_slope(C, k, ridge), mean_of_the_others(C, k, ridge)),
    as_refuted={
        "C": np.array([[Fraction(3), Fraction(4)]], dtype=object),
        "k": 1,
        "ridge": Fraction(4),
    },
    remark="Tasks that are too faint to be learned alone can be learned together; their slope then rises from 0.",
)
