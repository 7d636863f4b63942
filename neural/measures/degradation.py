"""The statistics of failure curves: degradation, area and crossovers, beside measures.intervals.

A curve is y (seeds, levels, draws): what one kind of model measures, in nats a token, bits a byte or accuracy, for each
seed of training, each strength x (levels,) of a failure and each draw of it. Two kinds of model are paired by seed:
crossover compares y[s] with y[s], whatever the seeds have in common.

A crossover is no mean over seeds, and bootstrapped by expanded percentiles. At 5 seeds of 4 draws they cover 92 % where
seeds alone scatter, 94 to 98 % where draws do too, and more where draws alone do; of 3 seeds they cover as little as
76 %, since a bootstrap can hardly reach beyond the single seeds. With one seed they are over its draws alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from neural.measures.intervals import expanded_percentiles
from sim.failures.named import KIND

Array = NDArray[np.float64]

RESAMPLES = 10_000
AT_ONCE = 2**22
"""Numbers resampled at once: 32 MiB."""


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


def crossover(
    x: ArrayLike,
    baseline: ArrayLike,
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
    a, b = _curves(baseline), _curves(other)
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


class Curve(NamedTuple):
    """Losses (seeds, levels, draws) at strengths (levels,), of models with these clean losses (seeds,)."""

    strengths: Array
    losses: Array

    @property
    def clean(self) -> Array:
        return self.losses[:, 0].mean(axis=-1)

    @property
    def areas(self) -> Array:
        """Of the degradation, (seeds,)."""
        return area(self.strengths, degradation(self.losses, self.clean))


def curve(rows: pd.DataFrame, measure: str = "nats_per_token") -> Curve:
    """Of the rows of one failure of one stack of models on one text.

    The strength of rounding is its step, 1/(2^(bits-1) - 1) of the greatest weight.
    """
    seeds, levels, draws = (int(rows[column].nunique()) for column in ("seed", "level", "draw"))
    ordered = rows.sort_values(["seed", "level", "draw"])
    strengths = ordered["strength"].to_numpy().reshape(seeds, levels, draws)[0, :, 0]
    if kind := KIND.get(ordered["failure"].iat[0]):
        strengths = kind.damage_scale(strengths)
    return Curve(strengths, ordered[measure].to_numpy().reshape(seeds, levels, draws))
