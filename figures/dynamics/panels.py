"""What the figures of study B22 share: its tasks, the axis of steps, and how far an axis shows wide intervals."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from figures.engine import style

IN, CROSS = "in-language", "cross-lingual"
"""As neural.dynamics.results has them."""
TASKS = (
    *("parts-of-speech", "arcs", "relations", "topics", "pairing", "xnli"),
    *("bits per character", "retrieval", "argmax", "itermax"),
)
"""In the order in which they are shown; the first six are of probes."""
TITLES = {"xnli": "XNLI", "argmax": "words, argmax", "itermax": "words, itermax"}
"""Of panels; of other tasks their name. The last two are of word alignment."""
UNITS = {
    "bits per character": "bits per character",
    "retrieval": "part retrieved",
    "argmax": "F1",
    "itermax": "F1",
}
"""What scores are; of other tasks accuracy."""
LOOKS: dict[str, dict[str, Any]] = {
    IN: {"label": "in-language", **style.category(0)},
    CROSS: {"label": "cross-lingual (zero-shot)", **style.category(1)},
}
BEYOND = 0.6
"""Of the range of values that an axis shows of their intervals on either side, at most."""


def titled(task: str) -> str:
    return TITLES.get(task, task.replace("-", " "))


def ordered(tasks: Iterable[str]) -> list[str]:
    """Those of TASKS, in its order."""
    there = set(tasks)
    return [task for task in TASKS if task in there]


def sort(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """By keys, tasks in the order of TASKS, and in-language before cross-lingual."""
    order = {"task": TASKS.index, "kind": (IN, CROSS).index}
    return table.sort_values(
        keys,
        key=lambda c: c.map(order[c.name]) if c.name in order else c,
        ignore_index=True,
        kind="stable",
    )


def name_steps(
    axes: Axes, steps: Iterable[int], places: Iterable[float], apart: float = 0.17
) -> None:
    """Ticks at the places of steps on the x-axis: of the first and the last, and of some between that have room.

    apart: of the axis' length that lies between two that are named, at least.
    """
    at = dict(zip(map(int, steps), map(float, places), strict=True))
    first, last = min(at), max(at)
    room = apart * max(at[last] - at[first], 1e-9)
    chosen = [first]
    for step in sorted(at):
        if at[step] - at[chosen[-1]] >= room and at[last] - at[step] >= room:
            chosen.append(step)
    chosen.append(last)
    axes.set_xticks([at[step] for step in chosen], [str(step) for step in chosen])


def limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Of an axis: all of `value`, and of `low` and `high` what is not far beyond; nothing wider hides the values."""
    low, high = float(rows["value"].min()), float(rows["value"].max())
    span = max(high - low, 1e-3)
    ends = rows[["low", "high"]].to_numpy(float)
    if np.isfinite(ends).any():
        low, high = (
            max(min(low, float(np.nanmin(ends))), low - BEYOND * span),
            min(max(high, float(np.nanmax(ends))), high + BEYOND * span),
        )
    return low - 0.06 * (high - low) - 1e-4, high + 0.06 * (high - low) + 1e-4
