"""Orthonormal tasks beyond k lower the slope as 1/T: diversity at its best.

Setting   C (d, T) with C' C = I, 1 <= k <= T; a wider representation holds all T tasks and has the slope of k = T.
Claim     rho_k(C) = min(k, T) / T.
Proof     tr(P C'C) = tr P = k for every P that Ky Fan's principle admits, and for k >= T all of |C|^2 = T is kept.
Source    Daras et al. 2022, sec. 2, for orthogonal tasks.
"""

import numpy as np

from theory.evidence import lemmas
from theory.evidence.lemmas import step
from theory.evidence.symbolic import (
    dimensions,
    equal,
    frob2,
    matrix,
    orthonormal_rows,
    symmetric,
    trace,
)
from theory.spectra import slope
from theory.statement import Statement, Step


def _proof() -> list[Step]:
    d, T = dimensions("d T")
    C, P = matrix("C", d, T), symmetric("P", T)
    rule = [orthonormal_rows(C.T)]
    return [
        lemmas.ky_fan_maximum_principle(),
        step(
            "every_projection_keeps_its_rank",
            r"\operatorname{tr}(P\, C^\top C) = \operatorname{tr} P = k",
            lambda: equal(trace(P @ C.T @ C), trace(P), rule),
        ),
        step(
            "all_of_the_energy_is_the_number_of_tasks",
            r"\|C\|^2 = T, so that k \ge T keeps T",
            lambda: equal(frob2(C), T, rule),
        ),
    ]


STATEMENT = Statement(
    id="orthonormal-tasks",
    number=8,
    claim=r"\rho_k(C) = \min(k, T) / T",
    source="Daras et al. 2022, sec. 2",
    relation="==",
    hypotheses=["orthonormal_tasks"],
    sides=lambda C, k: (slope(C, k), min(k, C.shape[1]) / C.shape[1]),
    tight_at="an equality",
    needed={"orthonormal_tasks": {"C": np.array([[1.0, 1.0], [0.0, 0.0]]), "k": 1}},
    proof=_proof(),
)
