"""Intervals of 95 %, over the seeds that might have been trained, and what they say of a claim.

The primary one, `interval`, is Student's t over one number for each seed. With few seeds it is the honest one: exact
for normal effects, and the scatter of draws is in the numbers already. A percentile bootstrap of 5 seeds covers 84 %
where it says 95 %, because it has sqrt(4/5) of their spread and quantiles of the normal; what is no mean over seeds is
bootstrapped all the same, by percentiles expanded to make up for both (Hesterberg 2015). With one seed there are no
bounds (NaN).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

CONFIDENCE = 0.95

Verdict = Literal["replicated", "not replicated", "opposite"]


@dataclass(frozen=True, eq=False)
class Interval:
    """A value with the ends of its 95 % interval, NaN where there is none; numbers, or arrays of one shape."""

    value: Array
    low: Array
    high: Array


def interval(values: ArrayLike) -> Interval:
    """Mean over seeds (seeds, ...) with Student's interval, exact for normal values: the primary one."""
    from scipy.special import stdtrit  # what scipy.stats asks, fifty times as slowly

    samples = np.asarray(values, np.float64)
    n = len(samples)
    mean = samples.mean(axis=0)
    if n < 2:
        return Interval(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    quantile = stdtrit(n - 1, (1 + CONFIDENCE) / 2)
    half = quantile * samples.std(axis=0, ddof=1) / np.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def difference(baseline: ArrayLike, other: ArrayLike) -> Interval:
    """other - one of any statistic (seeds, ...) of two models, seed by seed."""
    a, b = np.asarray(baseline, np.float64), np.asarray(other, np.float64)
    if a.shape != b.shape:
        raise ValueError(
            f"statistics {a.shape} and {b.shape} cannot be paired: give those of the same seeds"
        )
    return interval(b - a)


def verdict(estimate: Interval, expected_sign: int) -> Verdict:
    """replicated: the interval excludes 0 on the expected side; opposite: on the other; not replicated: it has 0 in it.

    Raises ValueError without an interval, since then nothing was tested.
    """
    if expected_sign not in (-1, 1):
        raise ValueError(f"expected_sign = {expected_sign}: give 1 or -1")
    low, high = float(estimate.low), float(estimate.high)
    if np.isnan([low, high]).any():
        raise ValueError("an effect without an interval has no verdict: train two seeds or more")
    if low <= 0 <= high:
        return "not replicated"
    return "replicated" if (low > 0) == (expected_sign > 0) else "opposite"


def within(estimate: Interval, margin: float) -> Verdict:
    """Of an effect that is expected to be none. replicated: the interval lies within the margin about 0; opposite: it
    lies wholly outside.
    """
    low, high = float(estimate.low), float(estimate.high)
    if -margin <= low and high <= margin:
        return "replicated"
    return "opposite" if low > margin or high < -margin else "not replicated"


def at_most(estimate: Interval, margin: float) -> Verdict:
    """Of an effect that is expected to be no greater than the margin, in which it may be as small as it likes."""
    if float(estimate.high) <= margin:
        return "replicated"
    return "opposite" if float(estimate.low) > margin else "not replicated"


def effect(
    estimate: Interval,
    unit: str,
    expected: int,
    *,
    none: Callable[[Interval], Verdict] | None = None,
    without: str = "",
    alone: str = "one seed",
) -> dict[str, Any]:
    """What a table of claims says of an effect: effect, low, high, unit, expected and verdict.

    expected: its sign, or 0 where there should be none, which `none` then judges. without: why it has no verdict, as a
    bound, which has no interval either. alone: the verdict of an effect without an interval.
    """
    low, high = float(estimate.low), float(estimate.high)
    judged: str
    if without:
        judged, low, high = without, np.nan, np.nan
    elif np.isnan(estimate.value):
        judged = "not measured"
    elif np.isnan(low):
        judged = alone
    elif expected or none is None:
        judged = verdict(estimate, expected)
    else:
        judged = none(estimate)
    return {
        "effect": float(estimate.value),
        "low": low,
        "high": high,
        "unit": unit,
        "expected": expected,
        "verdict": judged,
    }


def expanded_percentiles(samples: ArrayLike, n: int) -> tuple[float, float]:
    """The ends of the 95 % interval of bootstrap samples (resamples,) of n units, infinities among them.

    The percentiles at Phi(-sqrt(n / (n - 1)) t) with t the quantile of Student's law (Hesterberg 2015, What teachers
    should know about the bootstrap); plain ones for n = 1, where units were not resampled.
    """
    from scipy.special import ndtr, stdtrit

    tail = (1 - CONFIDENCE) / 2
    if n > 1:
        tail = float(ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, tail)))
    # No interpolation, since there is none between a number and an infinity.
    ordered = np.sort(np.asarray(samples, np.float64))
    first = int(tail * (len(ordered) - 1))
    return float(ordered[first]), float(ordered[-1 - first])


def rank_correlation(
    first: ArrayLike, other: ArrayLike, given: ArrayLike | None = None, *, fewest: int = 2
) -> float:
    """Spearman's of two variables (n,), or the partial one with a third held; what is not finite is left out.

    NaN for fewer than that, where one does not vary, and where the third tells one of them wholly.
    """
    from scipy import stats

    columns = [np.asarray(x, np.float64) for x in (first, other, given) if x is not None]
    there = np.isfinite(columns).all(axis=0)
    ranks = [stats.rankdata(column[there]) for column in columns]
    if there.sum() < fewest or min(np.ptp(rank) for rank in ranks) == 0:
        return float("nan")
    r = np.corrcoef(ranks)
    if given is None:
        return float(r[0, 1])
    rest = (1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2)
    if rest < 1e-12:  # ranks alike up to rounding
        return float("nan")
    return float((r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt(rest))
