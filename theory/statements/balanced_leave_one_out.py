"""Leave-one-out for balanced weights: averaged over which task is left out, fewer tasks never have the smaller slope.

Setting   C (d, T) any real matrix with T >= 2; 1 <= k <= min(d, T); weight decay >= 0 per task, so that the mean risk
          |C - W' heads|^2 / T + decay (|W|^2 + |heads|^2) has ridge = T decay in the form of statement 26.
Claim     beta_k(C; T decay) <= mean over t of beta_k(C without column t; (T - 1) decay), k capped at the rank
          available.
Tight     orthonormal tasks with k = T and no decay.
Proof     C is T/(T-1) times the mean of C with one column set to 0. T beta_k = max over j <= k and orthonormal rows
          A, B of tr(A C B') - j T decay, a maximum of functions linear in (C, T decay); Jensen.
Source    new; statement 11 for the normalisation that gradient descent finds.
"""

import numpy as np
import sympy as sp

from theory.evidence.lemmas import jensen, ky_fan_norm_maximum, step
from theory.evidence.scalars import identity, nonnegative
from theory.evidence.symbolic import diagonal, dimensions, equal, expect, matrix, trace
from theory.spectra import balanced_slope
from theory.statement import Statement, Step
from theory.statements._draws import tasks


def slope_of_the_others(C, k, t, ridge):
    """beta_k of C without column t; 0 if that leaves no task."""
    others = np.delete(C, t, axis=1)
    return balanced_slope(others, min(k, *others.shape), ridge) if others.size else 0.0


def mean_of_the_others(C, k, ridge):
    """The mean of beta_k over which task is left out."""
    T = C.shape[1]
    return sum(slope_of_the_others(C, k, t, ridge) for t in range(T)) / T


def sides(C, k, decay):
    T = C.shape[1]
    return balanced_slope(C, k, T * decay), mean_of_the_others(C, k, (T - 1) * decay)


def generate(rng, i):
    C, k = tasks(rng, i, most=6 if i % 3 else 2)
    share = float(rng.choice([0.0, 0.1, 0.5, 0.9])) / C.shape[1]
    return {"C": C, "k": k, "decay": share * float(np.linalg.norm(C, 2))}


def mean_of_the_cut_tasks() -> Step:
    """C with column t set to 0 is C (I - e e'), e = e_t; averaged over t, e e' is I/T (e = n / sqrt T)."""
    d, T, j = dimensions("d T j")
    C, A, B, n = matrix("C", d, T), matrix("A", j, d), matrix("B", j, T), matrix("n", T, 1)
    decay = sp.Symbol("decay", nonnegative=True)
    whole = trace(A @ C @ B.T) - j * T * decay
    cut = trace(A @ (C - C @ n @ n.T * (1 / T)) @ B.T) - j * (T - 1) * decay
    return step(
        "mean_of_the_cut_tasks",
        r"\operatorname{tr}(ACB^\top) - jT\delta = \tfrac1{T-1}\sum_t[\operatorname{tr}(AC_{-t}B_{-t}^\top) - "
        r"j(T-1)\delta]",
        lambda: identity(expect(cut, n) * T / (T - 1), whole),
    )


def shrunk_sum_is_a_maximum() -> Step:
    """D - ridge = P - N with P, N >= 0; J and M pick the first j <= k values and the others among the first k."""
    (r,) = dimensions("r")
    P, N, J, M = (diagonal(name, r) for name in ("P", "N", "J", "M"))
    gap = trace((J + M) @ P) - trace(J @ (P - N))
    return step(
        "shrunk_sum_is_a_maximum",
        r"\sum_{i\le k}(\sigma_i-\lambda)_+ - [\sum_{i\le j}\sigma_i - j\lambda] = \sum_{j<i\le "
        r"k}(\sigma_i-\lambda)_+ + \sum_{i\le j}(\lambda-\sigma_i)_+ \ge 0, and 0 for the j with \sigma_j > "
        r"\lambda \ge \sigma_{j+1}",
        lambda: equal(gap, trace(M @ P) + trace(J @ N)),
        lambda: equal(gap, 0, [(M @ P, 0), (J @ N, 0)]),
    )


def rank_is_capped() -> Step:
    """Singular values of C_{-t} beyond its own number are zeros of the padded matrix: they add (0 - ridge)_+ = 0."""
    ridge = sp.Symbol("ridge", nonnegative=True)
    return step(
        "rank_is_capped",
        r"(0 - \lambda)_+ = 0: k = T adds nothing to C_{-t}",
        lambda: nonnegative(ridge - 0),
    )


STATEMENT = Statement(
    id="balanced-leave-one-out",
    number=27,
    claim=r"\beta_k(C; T\delta) \le \tfrac1T \textstyle\sum_t \beta_k(C_{-t}; (T-1)\delta)",
    source="new",
    hypotheses=["at_least_two_tasks"],
    sides=sides,
    generate=generate,
    tight_at={"C": np.eye(2), "k": 2, "decay": 0.0},
    needed={"at_least_two_tasks": {"C": np.ones((1, 1)), "k": 1, "decay": 0.0}},
    proof=[
        shrunk_sum_is_a_maximum(),
        ky_fan_norm_maximum(),
        mean_of_the_cut_tasks(),
        jensen(),
        rank_is_capped(),
    ],
    mutants={
        "least instead of mean": lambda C, k, decay: (
            sides(C, k, decay)[0],
            min(slope_of_the_others(C, k, t, (C.shape[1] - 1) * decay) for t in range(C.shape[1])),
        ),
        "fixed ridge": lambda C, k, decay: (
            sides(C, k, decay)[0],
            mean_of_the_others(C, k, C.shape[1] * decay),
        ),
    },
    remark="At decay = 0 this is the triangle inequality of a norm. With one ridge for all T it fails: see "
    "balanced-leave-one-out-fixed-ridge.",
)
