"""The statistics of failure curves: degradation, area, differences, crossovers, correlations, and their intervals.

A curve is y (seeds, levels, draws): what one kind of model measures, in nats a token, bits a byte or accuracy, for each
seed of training, each strength x (levels,) of a failure and each draw of it. Two kinds of model are paired by seed:
difference and crossover compare y[s] with y[s], whatever the seeds have in common.

Intervals are of 95 %, over the seeds that might have been trained. The primary one, `interval`, is Student's t over one
number for each seed. With few seeds it is the honest one: exact for normal effects, and the scatter of draws is in the
numbers already. A percentile bootstrap of 5 seeds covers 84 % where it says 95 %, because it has sqrt(4/5) of their
spread and quantiles of the normal. Only what is no mean over seeds is bootstrapped, a crossover, and that by
percentiles expanded to make up for both (Hesterberg 2015). At 5 seeds of 4 draws they cover 92 % where seeds alone
scatter, 94 to 98 % where draws do too, and more where draws alone do; of 3 seeds they cover as little as 76 %, since a
bootstrap can hardly reach beyond the single seeds. With one seed, `interval` has no bounds (NaN), and a crossover's are
over its draws alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 10_000
AT_ONCE = 2**22
"""Numbers resampled at once: 32 MiB."""

Verdict = Literal["replicated", "not replicated", "opposite"]
Kind = Literal["linear", "rank"]


@dataclass(frozen=True, eq=False)
class Interval:
    """A value with the ends of its 95 % interval, NaN where there is none; numbers, or arrays of one shape."""

    value: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Crossover:
    """Where the mean curves of two models first cross: at strength `value`, None if nowhere in range.

    direction: 1 if the other's curve rises through the one's there, -1 if it falls, 0 if they do not cross. low, high:
    the interval, -inf or inf where the range of strengths does not bound it, and None with value. crossing: the share
    of resamples whose mean curves cross in that direction; in either, where value is None.
    """

    value: float | None
    low: float | None
    high: float | None
    direction: Literal[-1, 0, 1]
    crossing: float


def degradation(curves: ArrayLike, clean: ArrayLike) -> Array:
    """y (seeds, levels, draws) less the clean model's (seeds,): in nats, the log of the ratio of perplexities."""
    y, of_seed = _curves(curves), np.asarray(clean, np.float64)
    if of_seed.shape != y.shape[:1]:
        raise ValueError(f"clean {of_seed.shape} of curves {y.shape}: give one number a seed")
    return y - of_seed[:, None, None]


def area(x: ArrayLike, curves: ArrayLike) -> Array:
    """The mean of each seed's curve over strengths x[0] to x[-1], by trapezoids between its levels: (seeds,)."""
    y = _curves(curves)
    strengths = _strengths(x, y)
    return np.trapezoid(y.mean(axis=-1), strengths) / (strengths[-1] - strengths[0])


def interval(values: ArrayLike) -> Interval:
    """Mean over seeds (seeds, ...) with Student's interval, exact for normal values: the primary one."""
    from scipy import stats

    samples = np.asarray(values, np.float64)
    n = len(samples)
    mean = samples.mean(axis=0)
    if n < 2:
        return Interval(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    half = quantile * samples.std(axis=0, ddof=1) / np.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def difference(one: ArrayLike, other: ArrayLike) -> Interval:
    """other - one of any statistic (seeds, ...) of two models, seed by seed."""
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if a.shape != b.shape:
        raise ValueError(
            f"statistics {a.shape} and {b.shape} cannot be paired: give those of the same seeds"
        )
    return interval(b - a)


def verdict(found: Interval, expected_sign: int) -> Verdict:
    """replicated: the interval excludes 0 on the expected side; opposite: on the other; not replicated: it has 0 in it.

    Raises ValueError without an interval, since then nothing was tested.
    """
    if expected_sign not in (-1, 1):
        raise ValueError(f"expected_sign = {expected_sign}: give 1 or -1")
    low, high = float(found.low), float(found.high)
    if np.isnan([low, high]).any():
        raise ValueError("an effect without an interval has no verdict: train two seeds or more")
    if low <= 0 <= high:
        return "not replicated"
    return "replicated" if (low > 0) == (expected_sign > 0) else "opposite"


def resampled_means(curves: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """Mean curves (resamples, levels) of as many seeds, drawn with replacement, and as many draws of each and level.

    The hierarchical bootstrap; seeds that differ by their draws alone get intervals that are too wide, since their
    means scatter by draws before these are resampled.
    """
    y = _curves(curves)
    S, L, D = y.shape
    rng = np.random.default_rng(seed)
    parts = []
    for count in _chunks(resamples, S * L * D):
        seeds = rng.integers(S, size=(count, S, 1, 1))
        draws = rng.integers(D, size=(count, S, L, D))
        parts.append(y[seeds, np.arange(L)[:, None], draws].mean(axis=(1, 3)))
    return np.concatenate(parts)


def expanded_percentiles(samples: ArrayLike, n: int) -> tuple[float, float]:
    """The ends of the 95 % interval of bootstrap samples (resamples,) of n units, infinities among them.

    The percentiles at Phi(-sqrt(n / (n - 1)) t) with t the quantile of Student's law (Hesterberg 2015, What teachers
    should know about the bootstrap); plain ones for n = 1, where units were not resampled.
    """
    from scipy import stats

    tail = (1 - CONFIDENCE) / 2
    if n > 1:
        tail = float(stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf(tail, n - 1)))
    # No interpolation, since there is none between a number and an infinity.
    ordered = np.sort(np.asarray(samples, np.float64))
    first = int(tail * (len(ordered) - 1))
    return float(ordered[first]), float(ordered[-1 - first])


def crossover(
    x: ArrayLike,
    one: ArrayLike,
    other: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Crossover:
    """Where the mean curves of two models (seeds, levels, draws), paired by seed and draw, first cross.

    Straight lines between levels; levels where the curves are equal count for neither side. A resample whose curves do
    not cross in the direction of the means counts as crossing before the range if it starts on the far side, else after
    it. So the interval is open where more of them leave the range than it may miss.
    """
    a, b = _curves(one), _curves(other)
    if a.shape != b.shape:
        raise ValueError(f"curves {a.shape} and {b.shape} cannot be paired: give equal shapes")
    strengths = _strengths(x, a)
    gaps = b - a
    (value,), (direction,) = _first_crossings(strengths, gaps.mean(axis=(0, 2))[None])
    means = resampled_means(gaps, resamples=resamples, seed=seed)
    places, directions = _first_crossings(strengths, means)
    if not direction:
        return Crossover(None, None, None, 0, float((directions != 0).mean()))
    same = directions == direction
    started = np.sign(means[np.arange(len(means)), (means != 0).argmax(axis=1)])
    samples = np.where(same, places, np.where(started == direction, -np.inf, np.inf))
    low, high = expanded_percentiles(samples, len(gaps))
    sign: Literal[-1, 1] = 1 if direction > 0 else -1
    return Crossover(float(value), low, high, sign, float(same.mean()))


def correlation(one: ArrayLike, other: ArrayLike, *, kind: Kind = "linear") -> Interval:
    """Pearson's ("linear") or Spearman's ("rank") correlation of two variables (n,), with its interval from n = 4 on.

    By Fisher's z, of standard error 1 / sqrt(n - 3), for ranks sqrt(1 + r^2 / 2) times that (Bonett & Wright 2000).
    Points must be independent: one a model, not several groups of the same.
    """
    from scipy import stats

    if kind not in get_args(Kind):
        raise ValueError(
            f"unknown kind of correlation {kind!r}: choose from {', '.join(get_args(Kind))}"
        )
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"variables {a.shape} and {b.shape}: give two of one length, 2 or more")
    if not (np.ptp(a) > 0 and np.ptp(b) > 0):
        raise ValueError("a variable that does not vary has no correlation: leave it out")
    if kind == "rank":
        a, b = stats.rankdata(a), stats.rankdata(b)
    r = np.clip(np.corrcoef(a, b)[0, 1], -1, 1)
    if len(a) < 4:
        return Interval(r, np.array(np.nan), np.array(np.nan))
    error = np.sqrt((1 + r**2 / 2 if kind == "rank" else 1) / (len(a) - 3))
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * error
    with np.errstate(divide="ignore"):
        z = np.arctanh(r)
    return Interval(r, np.tanh(z - half), np.tanh(z + half))


def _first_crossings(x: Array, gaps: Array) -> tuple[Array, NDArray[np.int64]]:
    """Where each line of gaps (n, levels) first goes through 0, NaN if nowhere, and whether it rises (1), falls or not.

    A line that reaches 0 at a level and leaves it on the other side goes through where it reached it.
    """
    places, directions = np.full(len(gaps), np.nan), np.zeros(len(gaps), np.int64)
    side = np.sign(gaps[:, 0])
    reached = np.full(len(gaps), np.nan)
    for i in range(1, len(x)):
        before, after = gaps[:, i - 1], gaps[:, i]
        now = np.sign(after)
        crossed = (directions == 0) & (side * now < 0)
        step = np.divide(before, before - after, out=np.zeros(len(gaps)), where=crossed)
        between = x[i - 1] + (x[i] - x[i - 1]) * step
        places = np.where(crossed, np.where(np.isnan(reached), between, reached), places)
        directions = np.where(crossed, now.astype(np.int64), directions)
        reached = np.where(now != 0, np.nan, np.where(np.isnan(reached), x[i], reached))
        side = np.where(now != 0, now, side)
    return places, directions


def _chunks(resamples: int, size: int) -> Iterator[int]:
    """How many resamples, of `size` numbers each, to make at once."""
    most = max(1, AT_ONCE // size)
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


def _curves(curves: ArrayLike) -> Array:
    y = np.asarray(curves, np.float64)
    if y.ndim != 3 or 0 in y.shape:
        raise ValueError(
            f"curves of shape {y.shape}: give (seeds, levels, draws), one or more each"
        )
    if not np.isfinite(y).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(y))[0]]
        raise ValueError(f"the curve at (seed, level, draw) {where} is not finite: leave it out")
    return y


def _strengths(x: ArrayLike, y: Array) -> Array:
    strengths = np.asarray(x, np.float64)
    if strengths.shape != y.shape[1:2] or len(strengths) < 2 or not (np.diff(strengths) > 0).all():
        raise ValueError(
            f"strengths {strengths.tolist()} of {y.shape[1]} levels: give as many, 2 or more, in increasing order"
        )
    return strengths
