"""How far chance takes a mean of draws: its standard error, and how far its tails reach beyond a normal law's.

From the exact variance and law of a draw where the theory has them, else from the draws themselves. A measured risk
then lies beyond z standard errors as often as a standard normal beyond the w with z = w + skewness (w^2 - 1)/6.
"""

from typing import NamedTuple

import numpy as np

from theory.covariance import Array
from theory.distribution import Distribution, skewness
from theory.perturbation import NoClosedForm

FEW_DRAWS = 256
"""Under so many draws nothing is known of the tails of a law that the theory does not list."""


class Scatter(NamedTuple):
    """Of means of draws, (...) each; the skewness is NaN where the tails are not known."""

    standard_error: Array
    skewness_below: Array
    skewness_above: Array


def scatter(
    variance: float | Array | NoClosedForm,
    distribution: Distribution | NoClosedForm,
    sample: Scatter,
    draws: int,
) -> Scatter:
    """Of the mean of draws whose exact variance and law these are; what is not known is the sample's."""
    error = sample.standard_error
    if not isinstance(variance, NoClosedForm):
        error = np.sqrt(np.asarray(variance) / draws)
    if isinstance(distribution, NoClosedForm):
        return sample._replace(standard_error=error)
    return Scatter(error, *skewness(distribution, draws))


def of_sample(risks: Array) -> Scatter:
    """Of the means (...) of independent risks (..., draws), from their standard deviation and skewness.

    The skewness has an allowance for its own standard error sqrt(6/n), thrice, and for that of an estimated standard
    error, whose t law stays below z = w + (13.5/n) (w^2 - 1)/6 for w up to 8.
    """
    n = risks.shape[-1]
    if n == 1:
        nothing = np.zeros(risks.shape[:-1])
        return Scatter(nothing, nothing, nothing)
    deviation = risks.std(axis=-1, ddof=1)
    if n < FEW_DRAWS:
        unknown = np.full(risks.shape[:-1], np.nan)
        return Scatter(deviation / np.sqrt(n), unknown, unknown)
    third = ((risks - risks.mean(axis=-1, keepdims=True)) ** 3).mean(axis=-1)
    skew = np.divide(third, deviation**3, out=np.zeros_like(third), where=deviation > 0)
    allowance = 3 * np.sqrt(6 / n) / np.sqrt(n) + 13.5 / n
    below, above = (np.maximum(side * skew, 0.0) / np.sqrt(n) + allowance for side in (-1, 1))
    return Scatter(deviation / np.sqrt(n), below, above)
