"""Weights or neurons multiplied by independent factors: the risk of the mean weights, plus a spread.

Setting   Any C (d, T), W (k, d), heads (k, T), inputs X (n, d) with S = X' X / n. Every weight, or every row of W, is
          multiplied by its own factor of mean m and variance v: lost with probability p, lost and the survivors
          rescaled, or 1 + sigma times noise.
Claim     E R = R(m W) + (v/T) sum_i e_i |gamma^i|^2 with e_i = sum_j S_jj W_ij^2 for weights, w_i' S w_i for neurons.
Proof     The risk is a quadratic in the weights, so its mean is its value at the mean weights plus the variances
          (v W_ij^2, or v for a whole row) times its curvatures.
Source    new in this form; the general law behind statements 16, 17 and 18.
"""

from typing import Any

import numpy as np
import sympy as sp

from theory.covariance import Array, Covariance
from theory.evidence import lemmas
from theory.evidence.scalars import identity
from theory.perturbation import MultiplicativeNoise, NeuronDeletion, WeightDeletion
from theory.representation import Representation
from theory.statement import Instance, Statement, Step
from theory.statements._draws import inputs, representation, risks, tasks, two_point
from theory.statements._failures import curvatures, mean_of_a_quadratic

Failure = WeightDeletion | NeuronDeletion | MultiplicativeNoise


def outcomes(failure: Failure, W: Array, odds: int) -> tuple[Array, Array]:
    """Every failed W (m, k, d) and its probability (m,); the noise of a multiplicative failure has two values."""
    shape = failure.draw_shape(W.shape)
    (noise,), probability = two_point(odds, shape)
    if isinstance(failure, MultiplicativeNoise):
        return failure.apply(W, noise), probability
    lost = (noise > 0).sum(axis=(-2, -1))
    size = noise[0].size
    return failure.apply(W, np.where(noise > 0, 0.0, 1.0)), (
        failure.p**lost * (1 - failure.p) ** (size - lost)
    )


def sides(
    C: Array, W: Array, heads: Array, X: Array, failure: Failure, odds: int
) -> tuple[Any, Any]:
    """The exact mean over all outcomes, against the failure's own expected risk."""
    failed, probability = outcomes(failure, W, odds)
    mean_risk = probability @ risks(failed, heads, C, X)
    return mean_risk, failure.expected_risk(Representation(W, heads), C, Covariance.of_inputs(X))


def generate(rng: np.random.Generator, i: int) -> Instance | None:
    C, k = tasks(rng, i, most=3)
    if k * len(C) > 6:
        return None
    W, heads = representation(rng, i, C, k)
    tasks_and_weights = {"C": C, "k": k, "W": W, "heads": heads}
    p = float(rng.choice([0.1, 0.5, 0.9, rng.random()]))
    failures = (
        WeightDeletion(p),
        NeuronDeletion(p),
        WeightDeletion(p, rescale=True),
        NeuronDeletion(p, rescale=True),
        MultiplicativeNoise(3 * p),
    )
    X, failure = inputs(rng, i, len(C)), failures[i % len(failures)]
    return tasks_and_weights | {"X": X, "failure": failure, "odds": 1 + i % 4}


def _moments() -> Step:
    p, w, sigma = (sp.Symbol(name, real=True) for name in ("p", "w", "sigma"))
    kept, scaled = (1 - p) * w, w / (1 - p)
    return lemmas.step(
        "moments",
        r"w M: mean (1-p)w, variance p(1-p)w^2; w M/(1-p): w, \tfrac{p}{1-p}w^2; w(1+\sigma N): w, \sigma^2w^2",
        lambda: identity(p * kept**2 + (1 - p) * (w - kept) ** 2, p * (1 - p) * w**2),
        lambda: identity((1 - p) * scaled, w),
        lambda: identity(p * w**2 + (1 - p) * (scaled - w) ** 2, p / (1 - p) * w**2),
        # noise of two values, 1 and -1: any other has the same mean and variance
        lambda: identity(((w * sigma) ** 2 + (-w * sigma) ** 2) / 2, sigma**2 * w**2),
    )


STATEMENT = Statement(
    id="independent-factors",
    number=16,
    claim=r"E\,R(W \circ M, \Gamma) = R(mW, \Gamma) + \frac{v}{T} \sum_i e_i \|\gamma^i\|^2, "
    r"e_i = \textstyle\sum_j S_{jj} W_{ij}^2 \text{ or } w_i^\top S w_i",
    source="new",
    relation="==",
    sides=sides,
    generate=generate,
    tight_at="an equality",
    proof=[_moments(), mean_of_a_quadratic(), curvatures()],
    mutants={
        "spread left out": lambda C, W, heads, X, failure, odds: (
            sides(C, W, heads, X, failure, odds)[0],
            float(risks(outcomes(failure, W, 1)[0].mean(axis=0)[None], heads, C, X)[0]),
        ),
    },
)
