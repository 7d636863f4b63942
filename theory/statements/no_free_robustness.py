"""A representation optimised for its failure never gains from more tasks on average.

Setting   any failure, any class of shared representations (not depending on the tasks), any class of heads; r_t(W) is
          the expected risk of task t under the failure at its best heads, R(tasks) = min over W of the mean of
          r_t(W).
Claim     R(C) >= mean over t of R(C without task t). The instances are statement 34's: additive noise sigma N,
          representations W (k, d) with |W|_F^2 <= k, heads refitted.
Tight     identical tasks.
Proof     The mean over all tasks is the mean of the leave-one-out means, for every W; a minimum of a mean is at least
          the mean of the minima.
Source    new.
"""

import numpy as np
import sympy as sp

from theory.evidence.lemmas import step
from theory.evidence.scalars import identity, limit
from theory.evidence.symbolic import diagonal, dimensions, equal, expect, frob2, matrix, trace
from theory.perturbation import AdditiveNoise
from theory.representation import optimal_representation
from theory.statement import Hypothesis, Statement, Step
from theory.statements._draws import tasks
from theory.water_filling import water_filling


def without(C, t):
    return np.delete(C, t, axis=1)


def least_risk(C, k, sigma):
    """R(C) for weights (k, d) of energy k; directions beyond the rank of C serve no task."""
    return water_filling(C, min(k, *C.shape), sigma, energy=k).risk


def d22_risk(C, k, sigma):
    """The expected risk where W is not optimised for the noise, as in Daras et al. 2022."""
    return AdditiveNoise(sigma).expected_risk(optimal_representation(C, min(k, *C.shape)), C)


def mean_without_one(risk, C, k, sigma):
    T = C.shape[1]
    return sum(risk(without(C, t), k, sigma) for t in range(T)) / T


def sides(C, k, sigma):
    return mean_without_one(least_risk, C, k, sigma), least_risk(C, k, sigma)


def generate(rng, i):
    C, k = tasks(rng, i, most=6 if i % 3 else 2)
    return {"C": C, "k": k, "sigma": float(rng.choice([0.0, 0.03, 0.3, 1.0, 10.0]))}


def mean_is_the_mean_of_leave_one_out_means() -> Step:
    """r_t = e_t' R e_t for R = diag(r_1, ..., r_T); averaged over t, e e' is I/T (e = n / sqrt T)."""
    (T,) = dimensions("T")
    R, n = diagonal("R", T), matrix("n", T, 1)
    others = (trace(R) - trace(n.T @ R @ n) / T) / (T - 1)
    return step(
        "mean_is_the_mean_of_leave_one_out_means",
        r"\tfrac1T\sum_t \tfrac1{T-1}\sum_{s\ne t} r_s(W) = \tfrac1T\sum_s r_s(W) for every W",
        lambda: identity(expect(sp.expand(others), n), trace(R) / T),
    )


def minimum_of_a_mean() -> Step:
    """At any W: M_t the leave-one-out means, O_t their minima over W, so that each M_t - O_t >= 0."""
    (T,) = dimensions("T")
    M, minima = diagonal("M", T), diagonal("O", T)
    slack, shortfall = sp.symbols("slack epsilon", positive=True)
    return step(
        "minimum_of_a_mean",
        r"\tfrac1T\sum_t M_t(W) - \tfrac1T\sum_t \min_{W'} M_t(W') = \tfrac1T\sum_t(M_t(W) - \min M_t) \ge 0 at "
        r"every W, the best one for all tasks too; where it is not attained, up to every \epsilon > 0",
        lambda: equal(trace(M) / T - trace(minima) / T, trace(M - minima) / T),
        lambda: limit(slack + shortfall, shortfall, 0, slack),
    )


def tasks_are_refitted_apart() -> Step:
    """The heads of one task do not enter another's risk: the instances' risk is a mean of r_t at one W."""
    d, T, k = dimensions("d T k")
    C, W, heads, e = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T), matrix("e", T, 1)
    q = sp.Symbol("q", nonnegative=True)
    E = C - W.T @ heads
    return step(
        "tasks_are_refitted_apart",
        r"\|C-W^\top\Gamma\|^2 + q\|\Gamma\|^2 = \sum_t(\|c_t-W^\top\gamma_t\|^2 + q\|\gamma_t\|^2)",
        lambda: equal(expect(frob2(E @ e) + q * frob2(heads @ e), e), frob2(E) + q * frob2(heads)),
    )


STATEMENT = Statement(
    id="no-free-robustness",
    number=35,
    claim=r"R^\circ(C) = \min_W \tfrac1T\textstyle\sum_t r_t(W) \ge \tfrac1T\sum_t R^\circ(C_{-t})",
    source="new",
    hypotheses=[
        "at_least_two_tasks",
        Hypothesis("noise", r"\sigma \ge 0", lambda sigma: sigma >= 0),
    ],
    sides=sides,
    generate=generate,
    # Without noise both sides vanish up to the rounding of |C|^2 / T.
    scale="risk",
    tight_at={"C": np.ones((2, 3)), "k": 2, "sigma": 0.7},
    needed={
        "at_least_two_tasks": "with one task nothing is left to average over",
        "noise": "the strength of a failure is a number >= 0",
    },
    proof=[
        mean_is_the_mean_of_leave_one_out_means(),
        minimum_of_a_mean(),
        tasks_are_refitted_apart(),
    ],
    mutants={
        "not optimised for the failure": lambda C, k, sigma: (
            mean_without_one(d22_risk, C, k, sigma),
            d22_risk(C, k, sigma),
        ),
        "greatest instead of mean": lambda C, k, sigma: (
            max(least_risk(without(C, t), k, sigma) for t in range(C.shape[1])),
            least_risk(C, k, sigma),
        ),
    },
    remark="The first mutant is Daras et al. 2022's gain: it exists because their representation is not optimised "
    "for the failure. The steps are checked for every failure and class; the instances evaluate additive noise.",
)
