"""The worst change of W in a ball, of the Frobenius norm (statement 21)."""

import numpy as np

from theory.covariance import Array
from theory.perturbation.problem import Problem


def worst_in_frobenius_ball(p: Problem, radius: Array) -> float | Array:
    """The largest R of W + N with |N|_F <= radius (...), exact for any W, heads and S. Statement 21.

    In the eigenbases of S and heads heads^T the problem is diagonal.
    """
    theta, Q = np.linalg.eigh(p.heads @ p.heads.mT)
    curvature = p.S.values[:, None] * np.maximum(theta, 0.0)[..., None, :]
    pull = p.S.coordinates(p.pull) @ Q
    radius = np.broadcast_to(radius, p.scale.shape)
    added = np.empty(p.scale.shape)
    for model in np.ndindex(added.shape):
        added[model] = _convex_maximum(curvature[model], pull[model], float(radius[model]))
    return p.risk(added=added)


def _convex_maximum(curvature: Array, pull: Array, radius: float) -> float:
    """max of sum(curvature M^2) + 2 sum(pull M) over |M|_F <= radius, curvature >= 0.

    Equal by strong duality (the S-lemma) to the minimum over u >= 0 of the convex
    (a_1 + u) radius^2 + sum(pull^2 / (a_1 - curvature + u)), a_1 the greatest curvature: the derivative vanishes where
    |pull / (a_1 - curvature + u)| = radius (secular equation, More and Sorensen 1983), or u = 0 in the hard case.
    """
    # Divided by `scale`, and in a ball of radius 1, everything below is at most 1 and no square underflows.
    scale = float(curvature.max(initial=0.0)) * radius + float(np.abs(pull).max(initial=0.0))
    if scale == 0:
        return 0.0
    curvature, pull = curvature * (radius / scale), np.abs(pull) / scale
    greatest = float(curvature.max(initial=0.0))
    pulled = pull > 1e-150
    b, gap = pull[pulled], greatest - curvature[pulled]

    def excess(u: float) -> float:
        return float(np.linalg.norm(b / (gap + u))) - 1

    # |b / (gap + u)| lies between |b at gap 0| / u and |b| / u.
    low, high = float(np.linalg.norm(b[gap == 0])), float(np.linalg.norm(b))
    if low == 0 and excess(0.0) <= 0:
        u = 0.0
    elif low == high:
        u = low
    else:
        from scipy.optimize import brentq

        # The value is stationary in u, so a root good to a relative 1e-12 gives every digit of it.
        u = brentq(
            excess, low * (1 - 1e-12), high * (1 + 1e-12), xtol=1e-300, rtol=1e-12, maxiter=1000
        )
    return (greatest + u + float((b**2 / (gap + u)).sum())) * scale * radius
