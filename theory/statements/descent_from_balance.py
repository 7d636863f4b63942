"""Plain gradient flow from small balanced weights need not end at the optimum: balance alone can lock a mode out.

Setting   C (d, T), W (k, d), heads (k, T) with W W' = heads heads', no ridge, gradient flow. Here d = T = k = 1.
Claim     (false) the flow ends at the least risk.
Witness   C = 1, W = 1/2, heads = -1/2. The flow keeps heads = -W, so that the product -W^2 can never turn positive; it
          ends at 0 with risk 1 instead of 0.
Proof     heads = -W is invariant, u = W^2 obeys u' = -2u (sigma + u), u -> 0. For k = d = T the sign of det(W' heads)
          is conserved, since det W and det heads solve linear equations: weights with heads = W O and
          det(O) det(C) < 0, half of all O, never come closer to C than its least singular value.
Source    new; qualifies the last sentence of statement 26.
"""

from fractions import Fraction

import numpy as np
import sympy as sp

from theory.evidence.lemmas import step
from theory.evidence.scalars import entries, explicit_shapes, identity, limit, ode_solution
from theory.statement import Hypothesis, Statement, Step

t = sp.Symbol("t", nonnegative=True)
sigma, u0 = sp.symbols("sigma u_0", positive=True)
decaying = sigma * sp.exp(-2 * sigma * t) / (1 - sp.exp(-2 * sigma * t) + sigma / u0)
"""W^2 at time t from heads = -W, W^2 = u_0."""


def sides(C, W, heads):
    """The risk in the limit of infinite time, for d = T = k = 1, against the least risk."""
    task, product = C[0, 0], W[0, 0] * heads[0, 0]
    reached = task if task * product > 0 else 0 * task
    return (task - reached) ** 2, 0 * task


def opposite_weights_stay_opposite() -> Step:
    w, h, c = sp.symbols("w h c", real=True)
    return step(
        "opposite_weights_stay_opposite",
        r"\dot w = \gamma(\sigma-w\gamma), \dot\gamma = w(\sigma-w\gamma): (w+\gamma)^\cdot = "
        r"(w+\gamma)(\sigma-w\gamma) vanishes at \gamma = -w, where u = w^2 has \dot u = -2u(\sigma+u)",
        lambda: identity(h * (c - w * h) + w * (c - w * h), (w + h) * (c - w * h)),
        lambda: identity(2 * w * (h * (c - w * h)).subs(h, -w), -2 * w**2 * (c + w**2)),
    )


def opposite_weights_vanish() -> Step:
    return step(
        "opposite_weights_vanish",
        r"u(t) = \sigma e^{-2\sigma t}/(1 - e^{-2\sigma t} + \sigma/u_0) \to 0: the risk tends to \sigma^2",
        lambda: ode_solution(decaying, t, lambda u: -2 * u * (sigma + u), u0),
        lambda: limit(decaying, t, sp.oo, 0, "-"),
    )


def determinants_keep_their_sign() -> Step:
    """d/dt det W = det W tr(W^-1 W'), a linear equation: zero only if zero from the start. Explicit entries, n <= 3."""

    def derivatives(n):
        W, velocity, h = entries("W", n, n), entries("V", n, n), sp.Symbol("h", real=True)
        derivative = sp.diff((W + h * velocity).det(), h).subs(h, 0)
        return sp.expand(derivative), sp.expand((W.adjugate() * velocity).trace())

    return Step(
        "determinants_keep_their_sign",
        r"\tfrac{d}{dt}\det W = \operatorname{tr}(\operatorname{adj}(W)\dot W) = "
        r"\det(W)\operatorname{tr}(W^{-1}\dot W), and the same for \Gamma",
        lambda: explicit_shapes(derivatives, [(1,), (2,), (3,)]),
    )


_HALF = np.array([[Fraction(1, 2)]], dtype=object)

STATEMENT = Statement(
    id="descent-from-balance",
    number=26,
    claim=r"WW^\top = \Gamma\Gamma^\top small and nonzero: gradient flow of \tfrac12\|C-W^\top\Gamma\|^2 ends at "
    r"the least risk",
    source="folklore; theory.md 26 as first written",
    hypotheses=[
        Hypothesis(
            "balanced_scalars",
            r"d = T = k = 1, W^2 = \Gamma^2 > 0",
            lambda C, W, heads: C.size == 1 and bool(W.all()) and np.array_equal(heads**2, W**2),
        )
    ],
    sides=sides,
    as_refuted={"C": np.array([[Fraction(1)]], dtype=object), "k": 1, "W": _HALF, "heads": -_HALF},
    proof=[
        opposite_weights_stay_opposite(),
        opposite_weights_vanish(),
        determinants_keep_their_sign(),
    ],
    remark="What holds: from balanced weights aligned with C every mode reaches its sigma (statement 29). For "
    "k = d = T the risk of half the balanced starts never falls below sigma_min(C)^2/T. The lock is as exact as the "
    "balance: an imbalance delta grows like e^(sigma t), and rounding opens it after a time of log(1/delta)/sigma.",
)
