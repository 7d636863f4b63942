"""One more task lowers the slope if and only if it adds less energy than the slope was.

Setting   C (d, T + 1), its last column c the added task, C_T (d, T) the others; k any, sigma_i = 0 beyond min(d, T).
          Delta = sum_{i<=k} [sigma_i(C)^2 - sigma_i(C_T)^2], the energy that c adds to the k leading directions.
Claim     (T + 1) [rho_k(C) - rho_k(C_T)] = Delta - rho_k(C_T): the slope drops iff Delta < rho_k(C_T).
          `drop-criterion-lower` and `drop-criterion-upper` bound Delta by what W_T and W_{T+1} see of c.
Proof     rho_k(C) = (T rho_k(C_T) + Delta) / (T + 1).
Source    new; Daras et al. 2022, Thm 2.7 is the Gaussian case in high dimension.
"""

from typing import Any

import sympy as sp

from theory.evidence.lemmas import step
from theory.evidence.scalars import identity
from theory.spectra import Array, slope
from theory.spectra import singular_values as values
from theory.statement import Statement, Step
from theory.statements._scales import LARGEST


def energy(C: Array, k: int) -> Any:
    """sum_{i<=k} sigma_i^2, with zeros beyond min(d, T)."""
    return (values(C)[:k] ** 2).sum()


def added_energy(C: Array, k: int) -> Any:
    """Delta, for the last column of C as the added task."""
    return energy(C, k) - energy(C[:, :-1], k)


def sides(C: Array, k: int) -> tuple[Any, Any]:
    before = energy(C[:, :-1], k) / (C.shape[1] - 1)
    return C.shape[1] * (slope(C, k) - before), added_energy(C, k) - before


def _proof() -> list[Step]:
    T = sp.Symbol("T", positive=True)
    kept, delta = sp.symbols("T*rho_T Delta", real=True)
    before, after = kept / T, (kept + delta) / (T + 1)
    return [
        step(
            "mean_with_one_more",
            r"(T+1)(\rho_{T+1} - \rho_T) = \Delta - \rho_T, where T\rho_T + \Delta = (T+1)\rho_{T+1}",
            lambda: identity((T + 1) * (after - before), delta - before),
        ),
    ]


STATEMENT = Statement(
    id="drop-criterion",
    number=7,
    claim=r"(T+1)\,[\rho_k(C_{T+1}) - \rho_k(C_T)] = \Delta - \rho_k(C_T)",
    source="new; Daras et al. 2022, Thm 2.7 is a special case",
    relation="==",
    hypotheses=["at_least_two_tasks"],
    sides=sides,
    # Both sides are differences of energies as large as sigma_1^2.
    scale=LARGEST,
    tight_at="an equality",
    needed={
        "at_least_two_tasks": "not needed for a violation: without a task before it there is no slope to lower"
    },
    proof=_proof(),
)
