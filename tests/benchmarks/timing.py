"""Times of two pieces of work that take turns."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Work = Callable[[], object]


def seconds(work: Work) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ratios(work: Work, baseline: Work, turns: int, *, resume: bool = False) -> NDArray[np.float64]:
    """The time of the work over that of the baseline before it, turn by turn; both are warm.

    With `resume`, either works once untimed at each turn: what it lost in the pause (caches; pages the machine below
    took back) is not counted against it.
    """
    baseline()
    work()  # compiled, with threads and memory at hand
    measured = np.empty(turns)
    for turn in range(turns):
        of_each = []
        for each in (baseline, work):
            if resume:
                each()
            of_each.append(seconds(each))
        measured[turn] = of_each[1] / of_each[0]
    return measured
