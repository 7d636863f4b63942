"""Effects as rows of a table, with intervals and verdicts: over seeds, over languages, over pairs of languages."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.measures.intervals import CONFIDENCE, Interval, effect, interval, within
from neural.study.claims import Claim

Array = NDArray[np.float64]

COLUMNS = (
    *("id", "claim", "setting", "measured", "over", "task", "effect", "low", "high", "unit"),
    *("expected", "verdict"),
)
"""setting says in words what `measured` and `over` hold."""

FEWEST = 3
"""Pairs that a rank correlation is of, at least."""

Over = Literal["seeds", "languages", "pairs", ""]
"""What an interval is over; "" where the variance between cells is held against that between seeds."""


def row(
    claim: Claim,
    measured: str,
    over: Over,
    task: str,
    estimate: Interval,
    unit: str,
    *,
    expected: int | None = None,
    margin: float = float("nan"),
    counted: str = "",
) -> dict[str, Any]:
    """expected: the sign of this effect, where it is not the claim's. margin: within which none counts as none.

    counted: how many languages it is of, if not all.
    """
    judged = effect(
        estimate,
        unit,
        claim.expected if expected is None else expected,
        none=partial(within, margin=margin),
        alone="too few languages" if over == "languages" else "one seed",
    )
    where = {
        "setting": (f"{measured}, over {over}" if over else measured) + counted,
        "measured": measured,
        "over": over,
    }
    return {"id": claim.id, "claim": claim.says, **where, "task": task, **judged}


def two_rows(
    claim: Claim, measured: str, task: str, table: pd.Series, unit: str
) -> Iterator[dict[str, Any]]:
    """Two rows of numbers by seed and language, over seeds and over languages.

    Both are of the languages that have a number for every seed; where some lack one, as an onset of what never rose,
    the setting says how many there are.
    """
    numbers = table.unstack("language")
    whole = numbers.dropna(axis=1)
    some = whole.shape[1] < numbers.shape[1] and whole.size
    counted = f" ({whole.shape[1]} of {numbers.shape[1]} languages)" if some else ""
    sides: tuple[tuple[Over, int], ...] = (("seeds", 1), ("languages", 0))
    for over, axis in sides:
        values = whole.to_numpy(np.float64).mean(axis=axis) if whole.size else []
        estimate = interval(values) if len(values) else nothing()
        yield row(claim, measured, over, task, estimate, unit, counted=counted)


def nothing() -> Interval:
    return Interval(*(np.array(np.nan),) * 3)


def shared_variance(values: Array) -> Interval:
    """Of values (seeds, cells) the part of the variance that is between cells, and not between seeds of a cell.

    The intraclass correlation of one-way analysis, with its exact interval for normal values (Shrout & Fleiss 1979),
    which takes cells for independent. Below 0 where cells differ less than their seeds.
    """
    from scipy import stats

    k, n = values.shape
    if k < 2 or n < 2:
        return nothing()
    means = values.mean(axis=0)
    between = k * means.var(ddof=1)
    inside = ((values - means) ** 2).sum() / (n * (k - 1))
    if not between + inside:
        return nothing()  # nothing varies
    if not inside:
        return Interval(*(np.array(1.0),) * 3)
    F = between / inside
    tail = (1 - CONFIDENCE) / 2
    freedom = n - 1, n * (k - 1)
    bounds = F / stats.f.ppf(1 - tail, *freedom), F * stats.f.ppf(1 - tail, *freedom[::-1])
    value, low, high = (np.array((x - 1) / (x + k - 1)) for x in (F, *bounds))
    return Interval(value, low, high)


def jackknife(value: Callable[[Sequence[str]], float], languages: Sequence[str]) -> Interval:
    """A value of languages, with the interval of its pseudo-values, each without one language."""
    n = len(languages)
    whole = value(languages)
    if n < 4 or np.isnan(whole):
        return Interval(np.array(whole), np.array(np.nan), np.array(np.nan))
    less = [value([other for other in languages if other != omitted]) for omitted in languages]
    around = interval((n - 1) * np.array(less))  # as wide as that of n whole - (n - 1) less
    shift = whole - around.value  # the value itself, not that corrected for bias
    return Interval(np.array(whole), around.low + shift, around.high + shift)
