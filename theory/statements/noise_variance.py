"""How much single draws of Gaussian noise scatter: the variance of the risk in closed form.

Setting   any C (d, T), W (k, d), heads (k, T), inputs X (n, d) with S = X' X / n; N (k, d) iid standard normal;
          E = C - W' heads.
Claim     Var R(W + sigma N, heads) = (2 sigma^4 |S|_F^2 |heads heads'|_F^2 + 4 sigma^2 |heads E' S|_F^2) / T^2.
Tight     an equality.
Proof     T R is a quadratic form in N; its fourth moments are sums over pairings (Isserlis). The instances read the
          quadratic's coefficients off `risk` itself: Var(b'n + n'Qn) = |b|^2 + 2 |Q|_F^2 + (kurtosis - 3) sum_i Q_ii^2
          for symmetric iid noise of unit variance.
Source    new.
"""

from itertools import combinations

import numpy as np
import sympy as sp

from theory.covariance import Covariance
from theory.evidence.lemmas import step
from theory.evidence.symbolic import dimensions, equal, expect, frob2, matrix, symmetric, trace
from theory.representation import risk
from theory.statement import Hypothesis, Scale, Statement, Step
from theory.statements._draws import inputs, representation, tasks


def quadratic(C, W, heads, X, sigma):
    """b (kd,) and Q (kd, kd) of R(W + sigma N) = R + b'n + n'Qn, n the entries of N, by differences of `risk`."""
    S, n = Covariance.of_inputs(X), W.size

    def at(direction):
        return risk(W + sigma * direction.reshape(W.shape), heads, C, S)

    units, here = np.eye(n), at(np.zeros(n))
    up, down = (np.array([at(sign * unit) for unit in units]) for sign in (1, -1))
    Q = np.diag((up + down) / 2 - here)
    for i, j in combinations(range(n), 2):
        Q[i, j] = Q[j, i] = (at(units[i] + units[j]) - up[i] - up[j] + here) / 2
    return (up - down) / 2, Q


def sides(C, W, heads, X, sigma, kurtosis):
    b, Q = quadratic(C, W, heads, X, sigma)
    variance = (b**2).sum() + 2 * (Q**2).sum() + (kurtosis - 3) * (np.diagonal(Q) ** 2).sum()
    S, T = X.T @ X / len(X), C.shape[1]
    spread = 2 * sigma**4 * (S**2).sum() * ((heads @ heads.T) ** 2).sum()
    pull = 4 * sigma**2 * ((heads @ (C - W.T @ heads).T @ S) ** 2).sum()
    return variance, (spread + pull) / T**2


def size(C, W, heads, X, sigma):
    """The square of the risks whose differences are taken."""
    S = Covariance.of_inputs(X)
    moved = sigma**2 * S.trace * float((heads**2).sum()) / C.shape[1]
    return (risk(W, heads, C, S) + moved) ** 2


def generate(rng, i):
    C, k = tasks(rng, i)
    if k * len(C) > 8 or not 1e-30 < np.abs(C).max() < 1e30:
        return None
    W, heads = representation(rng, i, C, k)
    sigma = float(rng.choice([0.1, 1.0, 5.0]))
    return {
        "C": C,
        "k": k,
        "W": W,
        "heads": heads,
        "X": inputs(rng, i, len(C)),
        "sigma": sigma,
        "kurtosis": 3.0,
    }


def variance_of_a_quadratic() -> Step:
    (n,) = dimensions("n")
    Q, b, z = symmetric("Q", n), matrix("b", n, 1), matrix("z", n, 1)
    form = trace(b.T @ z) + trace(z.T @ Q @ z)
    return step(
        "variance_of_a_quadratic",
        r"\operatorname{Var}(b^\top z + z^\top Qz) = |b|^2 + 2\|Q\|_F^2 for z standard normal",
        lambda: equal(
            expect(form**2, z, "gaussian") - expect(form, z, "gaussian") ** 2,
            frob2(b) + 2 * frob2(Q),
        ),
    )


def variance_of_the_risk() -> Step:
    d, T, k = dimensions("d T k")
    C, W, heads, N = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T), matrix("N", k, d)
    S, sigma = symmetric("S", d), sp.Symbol("sigma", nonnegative=True)
    E = C - W.T @ heads
    change = sigma**2 * frob2(N.T @ heads, S) - 2 * sigma * trace(E.T @ S @ N.T @ heads)
    mean = expect(change, N, "gaussian")
    return step(
        "variance_of_the_risk",
        r"T^2\operatorname{Var}R = \mathbb{E}[(\sigma^2\|S^{1/2}N^\top\Gamma\|^2 - 2\sigma\langle SE, "
        r"N^\top\Gamma\rangle)^2] - (\sigma^2\operatorname{tr}S\|\Gamma\|^2)^2 = "
        r"2\sigma^4\|S\|^2\|\Gamma\Gamma^\top\|^2 + 4\sigma^2\|\Gamma E^\top S\|^2",
        lambda: equal(frob2(C - (W + sigma * N).T @ heads, S), frob2(E, S) + change),
        lambda: equal(mean, sigma**2 * trace(S) * frob2(heads)),
        lambda: equal(
            expect(change**2, N, "gaussian") - mean**2,
            2 * sigma**4 * frob2(S) * frob2(heads @ heads.T)
            + 4 * sigma**2 * frob2(heads @ E.T @ S),
        ),
    )


_ONE = np.ones((1, 1))

STATEMENT = Statement(
    id="noise-variance",
    number=32,
    claim=r"\operatorname{Var}R(W+\sigma N,\Gamma) = (2\sigma^4\|S\|_F^2\|\Gamma\Gamma^\top\|_F^2 + "
    r"4\sigma^2\|\Gamma E^\top S\|_F^2)/T^2",
    source="new",
    relation="==",
    hypotheses=[Hypothesis("gaussian", "N_{ij} has kurtosis 3", lambda kurtosis: kurtosis == 3)],
    sides=sides,
    generate=generate,
    scale=Scale("the squared risks whose differences are taken", size),
    tight_at="an equality",
    needed={
        "gaussian": {
            "C": _ONE,
            "k": 1,
            "W": _ONE,
            "heads": _ONE,
            "X": _ONE,
            "sigma": 1.0,
            "kurtosis": 1.0,
        },
    },
    proof=[variance_of_a_quadratic(), variance_of_the_risk()],
    mutants={
        "without the pull": lambda C, W, heads, X, sigma, kurtosis: (
            sides(C, W, heads, X, sigma, kurtosis)[0],
            sides(W.T @ heads, W, heads, X, sigma, kurtosis)[1],
        )
    },
    remark="Random signs are the witness that the law matters: with kurtosis 1 and no error E the risk does not "
    "scatter at all for d = k = 1. Inputs of low effective rank have a large |S|_F / tr S, and single draws scatter.",
)
