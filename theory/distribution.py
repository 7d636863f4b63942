"""The exact distribution of the risk under a random failure, and bounds on the tails of a mean of its draws.

A distribution is a sum of independent parts, known by its cumulant generating function K(t) = log E exp(t (R - E R)).
The tail of a mean of n draws then has an upper bound at every deviation z and every n, by Cramer's change of measure:
in the law tilted by t, where z is the mean, the sum is nearly normal, and how nearly Berry and Esseen bound,

    P(mean - E R >= K'(t)) <= exp(n (K(t) - t K'(t))) min(1, e^(u^2/2) Phi(-u) + 2 B),   u = t sqrt(n K''(t)),
    B = 0.56 sum_m E|X_m - E X_m|^3 / (sum_m Var X_m)^(3/2) / sqrt(n)                    (X_m the parts, tilted),

where the factor 1 alone is Chernoff's bound (Petrov 1975, chapter VIII; the constant 0.56 is Shevtsova's, 2010).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from theory.covariance import Array

BERRY_ESSEEN = 0.56

TILTS = np.geomspace(2.0, 64.0, 48)
"""Deviations, in standard errors of a normal mean, for which the law is tilted."""

NORMAL_RANGE = (3.0, 4.5, 8.0)
"""Normal deviations over which `skewness` bounds the tails: of probabilities 1e-3, 3e-6 (the first that may decide the
fate of a single mean) and 6e-16."""

TILTED_AT_ONCE = 2**13
"""Numbers of tilted laws held at once, where a law alone has fewer."""

EASE = 2.0
"""Below the middle of that range, where the bound above is loose for want of draws, tails may hold so much more."""


class Distribution(Protocol):
    """The law of a risk, or of a stack (...) of them."""

    @property
    def variance(self) -> Array:
        """Of one draw, (...)."""

    @property
    def size(self) -> int:
        """Of all numbers in the stack."""

    def limit(self, side: int) -> Array:
        """The size of t at which K(side t) ends to be finite, (...); inf where it never does."""

    def tilted(self, t: Array) -> tuple[Array, Array, Array, Array]:
        """K(t), K'(t), K''(t), and a bound on the parts' summed third absolute central moments, each as t (n, ...)."""


@dataclass(frozen=True, eq=False)
class GaussianQuadratic:
    """sum_m curvature_m (x_m^2 - 1) + pull_m x_m, x_m iid standard normal; curvature and pull (..., m)."""

    curvature: Array
    pull: Array

    @property
    def variance(self) -> Array:
        return np.sum(2 * self.curvature**2 + self.pull**2, axis=-1)

    @property
    def size(self) -> int:
        return self.curvature.size

    def limit(self, side: int) -> Array:
        with np.errstate(divide="ignore"):
            return 1 / (2 * np.maximum(side * self.curvature, 0.0).max(axis=-1))

    def tilted(self, t: Array) -> tuple[Array, Array, Array, Array]:
        t = np.asarray(t)[..., None]
        # The tilted x_m is normal of variance r, so each part stays a quadratic of a normal.
        r = 1 / (1 - 2 * t * self.curvature)
        curved, pulled = self.curvature * r, self.pull**2 * (r**2 * r)
        square = curved**2
        variance = 2 * square + pulled
        fourth = 3 * variance**2 + 48 * square * (square + pulled)
        cumulant = np.log(r) / 2 - t * self.curvature + (self.pull * t) ** 2 * r / 2
        mean = 2 * t * self.curvature * curved + self.pull**2 * t * r * (1 + r) / 2
        return (
            cumulant.sum(axis=-1),
            mean.sum(axis=-1),
            variance.sum(axis=-1),
            np.sqrt(variance * fourth).sum(axis=-1),  # E|X|^3 <= sqrt(E X^2 E X^4)
        )


@dataclass(frozen=True, eq=False)
class IndependentOutcomes:
    """A sum over m of independent parts, each of which takes a value (..., m, o) with its probability (o,)."""

    values: Array
    probabilities: Array

    @property
    def variance(self) -> Array:
        return (self._centred**2 @ self.probabilities).sum(axis=-1)

    @property
    def size(self) -> int:
        return self.values.size

    @property
    def _centred(self) -> Array:
        return self.values - (self.values @ self.probabilities)[..., None]

    def limit(self, side: int) -> Array:
        return np.full(self.values.shape[:-2], np.inf)

    def tilted(self, t: Array) -> tuple[Array, Array, Array, Array]:
        values = self._centred
        exponent = np.asarray(t)[..., None, None] * values
        most = exponent.max(axis=-1, keepdims=True)
        weight = self.probabilities * np.exp(exponent - most)
        total = weight.sum(axis=-1, keepdims=True)
        weight = weight / total
        mean = (weight * values).sum(axis=-1, keepdims=True)
        off = np.abs(values - mean)
        second = weight * off**2
        return (
            (np.log(total) + most).sum(axis=(-2, -1)),
            mean.sum(axis=(-2, -1)),
            second.sum(axis=(-2, -1)),
            (second * off).sum(axis=(-2, -1)),
        )


@dataclass(frozen=True, eq=False)
class GammaBound:
    """Any law with K(t) <= variance t^2 / (2 (1 - scale t)) above its mean, and no more than a normal law's below.

    Such is a quadratic of normal variables, of any size, whose curvatures lie between 0 and scale / 2.
    """

    variance: Array
    scale: Array

    @property
    def size(self) -> int:
        return self.variance.size

    def limit(self, side: int) -> Array:
        with np.errstate(divide="ignore"):
            return 1 / np.maximum(side * self.scale, 0.0)

    def tilted(self, t: Array) -> tuple[Array, Array, Array, Array]:
        r = 1 / (1 - np.maximum(t, 0.0) * self.scale)
        cumulant, mean = self.variance * t**2 * r / 2, self.variance * t * r * (1 + r) / 2
        return cumulant, mean, self.variance * r**3, np.full_like(mean, np.inf)


def skewness(distribution: Distribution, draws: int) -> tuple[Array, Array]:
    """How far the tails of the mean of n draws reach beyond a normal law's, below and above: (...) each, >= 0.

    A mean lies beyond z standard errors no more often than a standard normal beyond w, for z = w + skewness (w^2 - 1)/6
    and any w from 4.5 to 8, nor EASE times as often for w from 3 on. So it is for a law of this skewness, to the first
    order of Cornish and Fisher.
    """
    from scipy.special import erfcx, ndtri_exp

    root = np.sqrt(float(draws))
    deviation = np.sqrt(distribution.variance)
    unit = np.where(deviation > 0, deviation, 1.0)
    low, middle, high = NORMAL_RANGE
    blocks = -(-distribution.size * len(TILTS) // TILTED_AT_ONCE)
    tails = []
    for side in (-1, 1):
        reach = np.zeros(deviation.shape)
        for tilts in np.array_split(TILTS, min(blocks, len(TILTS))):
            tilt = tilts.reshape(-1, *(1 for _ in deviation.shape))
            t = side / (unit * root / tilt + 1 / distribution.limit(side))
            cumulant, mean, variance, third = distribution.tilted(t)
            spread = np.where(variance > 0, variance, 1.0)
            near_normal = erfcx(np.abs(t) * root * np.sqrt(spread / 2)) / 2
            factor = near_normal + 2 * BERRY_ESSEEN * third / spread**1.5 / root
            chernoff = draws * (cumulant - t * mean)
            log_bound = chernoff + np.log(np.minimum(1.0, factor))
            z, w = side * mean * root / unit, -ndtri_exp(log_bound)
            eased = np.minimum(-ndtri_exp(log_bound - np.log(EASE)), middle)
            beyond = np.maximum(np.where(w < middle, eased, w), low)
            needed = np.where((z > low) & (w <= high), 6 * (z - beyond) / (beyond**2 - 1), 0.0)
            reach = np.maximum(reach, needed.max(axis=0))
            # Chernoff's bound falls with t, so where it is past the range it stays so.
            if np.all((-ndtri_exp(chernoff[-1]) > high) | (deviation == 0)):
                break
        tails.append(reach)
    return tails[0], tails[1]


def normal_deviation(z: Array, skewness: Array) -> Array:
    """The w >= 0 with z = w + skewness (w^2 - 1)/6: how far a normal law leaves as much probability; 0 for z <= 0."""
    c = skewness / 6
    w: Array = 2 * (z + c) / (1 + np.sqrt(1 + 4 * c * np.maximum(z + c, 0.0)))
    return np.where(z > 0, w, 0.0)
