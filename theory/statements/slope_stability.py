"""The root of the slope is a norm: task vectors known up to an error give it up to the same error.

Setting   C and its estimate, both (d, T) and real; 1 <= k <= min(d, T).
Claim     |sqrt(T rho_k(estimate)) - sqrt(T rho_k(C))| <= |estimate - C|_F.
Tight     multiples of one matrix of rank at most k.
Proof     sqrt(T rho_k(C)) is the maximum of |W C|_F over W with W W^T = I (Ky Fan). Take the W that is best for the
          larger of the two: |W A| <= |W B| + |W (A - B)| <= sqrt(T rho_k(B)) + |A - B|, as W does not lengthen. The
          roles of the two can be exchanged.
Source    standard; Ky Fan norms, Horn & Johnson, Topics in Matrix Analysis, section 3.4.
"""

from typing import Any

import numpy as np

from theory.evidence.lemmas import (
    ky_fan_maximum_principle,
    orthonormal_rows_contract,
    step,
    triangle_inequality,
)
from theory.evidence.symbolic import dimensions, equal, frob2, matrix, orthonormal_rows, trace
from theory.spectra import slope
from theory.statement import Hypothesis, Instance, Scale, Statement, Step
from theory.statements._draws import tasks

SAME_SHAPE = Hypothesis(
    "same_shape", "C and its estimate have one shape", lambda C, estimate: C.shape == estimate.shape
)


def root(C: Any, k: int) -> Any:
    """sqrt(T rho_k(C))."""
    return (C.shape[1] * slope(C, k)) ** 0.5


def length(M: Any) -> Any:
    """|M|_F; squares of entries near 1e-200 and 1e200 stay in range."""
    largest = abs(M).max()
    return largest * ((M / largest) ** 2).sum() ** 0.5 if largest else largest


def sides(C: Any, estimate: Any, k: int) -> tuple[Any, Any]:
    return abs(root(estimate, k) - root(C, k)), length(estimate - C)


def estimates(rng: np.random.Generator, i: int) -> Instance:
    """Errors from 1e-6 to 10 times C, in general position, along C, or of rank one."""
    C, k = tasks(rng, i, most=5)
    size = float(abs(C).max()) * 10 ** rng.uniform(-6, 1)
    error = rng.standard_normal(C.shape)
    if i % 3 == 1:
        error = C / (abs(C).max() or 1)
    elif i % 3 == 2:
        error = np.outer(error[:, 0], rng.standard_normal(C.shape[1]))
    return {"C": C, "estimate": C + size * error, "k": k}


def root_slope_is_a_maximum() -> Step:
    """G = C C' and P = W' W in Ky Fan's principle."""
    d, T, k = dimensions("d T k")
    C, W = matrix("C", d, T), matrix("W", k, d)
    return step(
        "root_slope_is_a_maximum",
        r"\|WC\|_F^2 = \operatorname{tr}(CC^\top W^\top W): T\rho_k(C) = \max_{WW^\top = I}\|WC\|_F^2",
        lambda: equal(frob2(W @ C), trace(C @ C.T @ W.T @ W)),
    )


def no_lengthening() -> Step:
    d, T, k = dimensions("d T k")
    A, B, W = matrix("A", d, T), matrix("B", d, T), matrix("W", k, d)
    error = A - B
    return step(
        "no_lengthening",
        r"WA = WB + W(A-B) and \|A-B\|_F^2 - \|W(A-B)\|_F^2 = \|(I - W^\top W)(A-B)\|_F^2 \ge 0",
        lambda: equal(W @ A, W @ B + W @ error),
        lambda: equal(
            frob2(error) - frob2(W @ error),
            frob2(error - W.T @ W @ error),
            [orthonormal_rows(W)],
        ),
    )


STATEMENT = Statement(
    id="slope-stability",
    number=15,
    claim=r"\bigl|\sqrt{T\rho_k(\hat C)} - \sqrt{T\rho_k(C)}\bigr| \le \|\hat C - C\|_F",
    source="standard; Horn & Johnson, Topics in Matrix Analysis, section 3.4",
    hypotheses=[SAME_SHAPE],
    sides=sides,
    generate=estimates,
    tight_at={"C": np.ones((2, 3)), "estimate": 2 * np.ones((2, 3)), "k": 1},
    needed={
        "same_shape": "not needed: the difference of C and its estimate has no meaning without it"
    },
    proof=[
        ky_fan_maximum_principle(),
        orthonormal_rows_contract(),
        root_slope_is_a_maximum(),
        triangle_inequality(),
        no_lengthening(),
    ],
    # The difference of two roots carries their rounding.
    scale=Scale("|C|_F + |estimate|_F", lambda C, estimate: float(length(C) + length(estimate))),
    mutants={
        "spectral norm": lambda C, estimate, k: (
            sides(C, estimate, k)[0],
            np.linalg.norm(estimate - C, 2),
        ),
    },
)
