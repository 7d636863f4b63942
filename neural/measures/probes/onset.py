"""When a score is reached, how much of it is lost again, and in which layer it is best, over the steps of training.

Scores are (seeds, K, ...) at K steps; further axes (layers, pairs of languages) are kept. Blevins et al. 2022 take the
first checkpoint that reaches 98 % of the best score, whatever an untrained model reaches; with a floor it is 98 % of
the range above that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from neural.measures.intervals import Interval, interval
from neural.measures.probes.linear import Array, Ints

SHARE = 0.98


@dataclass(frozen=True, eq=False)
class Onset:
    """Of each seed, (seeds, ...): the first step that reaches the share of the best, and the step of the best.

    log2 (seeds, ...): where the score, drawn straight in log2 of the step from the checkpoint before, crosses the
    share. It does not jump from checkpoint to checkpoint, whose spacing would hide the scatter over seeds. Step 0
    counts as half the first after it. over_seeds: the mean of log2, with its interval.
    """

    first: Ints
    best: Ints
    log2: Array
    over_seeds: Interval


def onset(
    scores: ArrayLike, steps: ArrayLike, *, share: float = SHARE, floor: ArrayLike | None = None
) -> Onset:
    """Of scores (seeds, K, ...) of which more is better (negate a loss) at steps (K,).

    floor: the score of knowing nothing, (seeds, ...) or what broadcasts to it; None: 0. Where the best is not above the
    floor nothing is reached: NaN, and step -1. Raises ValueError for steps that do not rise, and scores below 0
    without a floor, of which a share means nothing.
    """
    x, t = _checked(scores, steps)
    if floor is None and x.min() < 0:
        raise ValueError("scores below 0 have no share of the best: give their floor")
    base = np.broadcast_to(0.0 if floor is None else np.asarray(floor, np.float64), x[:, 0].shape)
    best = x.argmax(axis=1)
    threshold = base + share * (x.max(axis=1) - base)
    first = (x >= threshold[:, None]).argmax(axis=1)
    before = np.maximum(first - 1, 0)
    above, below = _at(x, first), _at(x, before)
    rise = np.where(first > 0, above - below, 1.0)
    part = np.where(first > 0, (threshold - below) / rise, 1.0)
    place = log2_steps(t)
    log2 = place[before] + part * (place[first] - place[before])
    there = x.max(axis=1) > base
    log2 = np.where(there, log2, np.nan)
    return Onset(np.where(there, t[first], -1), np.where(there, t[best], -1), log2, interval(log2))


def log2_steps(steps: ArrayLike) -> Array:
    """log2 of steps (K,) that rise, 0 counted as half the first after it (1 where there is none)."""
    t = np.asarray(steps, np.float64)
    later = t[t > 0]
    logs: Array = np.log2(np.where(t > 0, t, later[0] / 2 if len(later) else 1.0))
    return logs


def forgetting(
    scores: ArrayLike, *, by: ArrayLike | None = None, floor: ArrayLike | None = None
) -> Interval:
    """The relative change (final - best) / (best - floor) of scores (seeds, K, ...), its mean and interval over seeds.

    The best of noisy scores is too high, so that without `by` every change is 0 or less, and an interval below 0 shows
    nothing. by: scores of the same shape on other examples (dev), by which the best checkpoint is chosen.
    """
    x = np.asarray(scores, np.float64)
    chosen = x if by is None else np.asarray(by, np.float64)
    if chosen.shape != x.shape:
        raise ValueError(f"scores {x.shape} chosen by {chosen.shape}: give the same shape")
    base = np.broadcast_to(0.0 if floor is None else np.asarray(floor, np.float64), x[:, 0].shape)
    best = _at(x, chosen.argmax(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where(best > base, (x[:, -1] - best) / (best - base), np.nan)
    return interval(change)


def best_layer(scores: ArrayLike) -> Ints:
    """The layer whose score is best, (seeds, K, ...) of scores (seeds, K, ..., L); of equal ones the lowest."""
    layers: Ints = np.asarray(scores).argmax(axis=-1)
    return layers


def centre(scores: ArrayLike, floor: ArrayLike = 0.0) -> Array:
    """The centre of mass over layers, (seeds, K, ...), of scores (seeds, K, ..., L) above the floor.

    floor broadcasts to the scores: of the untrained model, or chance. NaN where no layer is above it.
    """
    mass = np.maximum(np.asarray(scores, np.float64) - np.asarray(floor, np.float64), 0)
    total = mass.sum(axis=-1)
    layers = np.arange(mass.shape[-1])
    with np.errstate(invalid="ignore"):
        centres: Array = np.where(total > 0, mass @ layers / total, np.nan)
    return centres


def _at(x: Array, places: Ints) -> Array:
    """Of x (seeds, K, ...) the values at places (seeds, ...) of its second axis."""
    picked: Array = np.take_along_axis(x, places[:, None], axis=1)[:, 0]
    return picked


def _checked(scores: ArrayLike, steps: ArrayLike) -> tuple[Array, Ints]:
    x, t = np.asarray(scores, np.float64), np.asarray(steps, np.int64)
    if x.ndim < 2 or t.shape != x.shape[1:2]:
        raise ValueError(f"scores {x.shape} at steps {t.shape}: give (seeds, K, ...) and (K,)")
    if not len(t) or t[0] < 0 or (np.diff(t) <= 0).any():
        raise ValueError(f"steps {t}: give some that rise, from 0")
    if not np.isfinite(x).all():
        raise ValueError("scores that are not finite: leave these checkpoints out")
    return x, t
