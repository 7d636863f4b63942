"""Noise on the shared weights adds its variance, times the energy of the inputs, times that of the heads.

Setting   any C (d, T), W (k, d), heads (k, T), inputs X (n, d) with S = X' X / n; N (k, d) iid of zero mean and unit
          variance, of any law.
Claim     E R(W + sigma N, heads) = R(W, heads) + sigma^2 tr(S) |heads|_F^2 / T.
Proof     Expand the square: the cross term has mean zero, and E N' A N = tr(A) I for any A. Only the first two moments
          enter, so that noise of any law will do, and entries that are merely uncorrelated too.
Source    Daras et al. 2022, sec. 2, where it is stated per input coordinate: without the factor tr(S) = d.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Covariance
from theory.evidence.lemmas import step
from theory.evidence.symbolic import dimensions, equal, expect, frob2, matrix, symmetric, trace
from theory.perturbation import AdditiveNoise
from theory.representation import Representation
from theory.statement import Hypothesis, Instance, Statement, Step
from theory.statements._draws import Array, inputs, representation, risks, tasks, two_point


def sides(
    C: Array,
    W: Array,
    heads: Array,
    X: Array,
    sigma: float,
    odds: int,
    mean: int = 0,
    deviation: int = 1,
) -> tuple[Any, Any]:
    """The exact mean over all values of the noise, against the failure's own expected risk."""
    (N,), probability = two_point(odds, W.shape)
    mean_risk = probability @ risks(W + sigma * (mean + deviation * N), heads, C, X)
    claimed = AdditiveNoise(sigma).expected_risk(
        Representation(W, heads), C, Covariance.of_inputs(X)
    )
    return mean_risk, claimed


def generate(rng: np.random.Generator, i: int) -> Instance | None:
    C, k = tasks(rng, i, most=3)
    if k * len(C) > 6:
        return None
    W, heads = representation(rng, i, C, k)
    X, sigma = inputs(rng, i, len(C)), float(rng.choice([0.1, 1.0, 10.0]))
    law = {"odds": 1 + i % 4, "mean": 0, "deviation": 1}
    return {"C": C, "k": k, "W": W, "heads": heads, "X": X, "sigma": sigma} | law


def _proof() -> list[Step]:
    d, T, k = dimensions("d T k")
    C, W, heads, N = matrix("C", d, T), matrix("W", k, d), matrix("Γ", k, T), matrix("N", k, d)
    S, sigma = symmetric("S", d), sp.Symbol("sigma", nonnegative=True)
    error = C - W.T @ heads
    return [
        step(
            "square_expands",
            r"\|S^{1/2}(E - \sigma N^\top\Gamma)\|^2 = \|S^{1/2}E\|^2 - 2\sigma\langle SE, N^\top\Gamma\rangle "
            r"+ \sigma^2\|S^{1/2}N^\top\Gamma\|^2, \quad E = C - W^\top\Gamma",
            lambda: equal(
                frob2(C - (W + sigma * N).T @ heads, S),
                frob2(error, S)
                - 2 * sigma * trace(error.T @ S @ N.T @ heads)
                + sigma**2 * frob2(N.T @ heads, S),
            ),
        ),
        step(
            "cross_term_vanishes",
            r"\mathbb E \langle SE, N^\top\Gamma\rangle = 0",
            lambda: equal(expect(trace(error.T @ S @ N.T @ heads), N), 0),
        ),
        step(
            "noise_energy",
            r"\mathbb E \|S^{1/2} N^\top\Gamma\|^2 = \operatorname{tr}(S)\,\|\Gamma\|^2",
            lambda: equal(expect(frob2(N.T @ heads, S), N), trace(S) * frob2(heads)),
        ),
    ]


_EXAMPLE = dict.fromkeys(("C", "W", "heads", "X"), np.ones((1, 1))) | {
    "k": 1,
    "sigma": 1.0,
    "odds": 1,
    "mean": 0,
    "deviation": 1,
}

STATEMENT = Statement(
    id="noise-decomposition",
    number=2,
    claim=r"E\,R(W + \sigma N, \Gamma) = R(W, \Gamma) + \sigma^2 \operatorname{tr}(S)\,\|\Gamma\|_F^2 / T",
    source="Daras et al. 2022, sec. 2 (there per input coordinate)",
    relation="==",
    hypotheses=[
        Hypothesis("zero_mean", r"E N_{ij} = 0", lambda mean: mean == 0),
        Hypothesis(
            "unit_variance", r"\operatorname{Var} N_{ij} = 1", lambda deviation: deviation == 1
        ),
    ],
    sides=sides,
    generate=generate,
    tight_at="an equality",
    needed={"zero_mean": _EXAMPLE | {"mean": 1}, "unit_variance": _EXAMPLE | {"deviation": 2}},
    proof=_proof(),
    mutants={
        "without tr S": lambda C, W, heads, X, sigma, odds: (
            sides(C, W, heads, X, sigma, odds)[0],
            AdditiveNoise(0.0).expected_risk(Representation(W, heads), C, Covariance.of_inputs(X))
            + sigma**2 * Representation(W, heads).slope,
        )
    },
    remark="iid is more than the proof uses: uncorrelated entries of zero mean and unit variance suffice",
)
