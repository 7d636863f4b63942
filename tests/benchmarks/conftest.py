"""Ratios of times measured side by side in one run: run with `pytest -m benchmark`, on an idle machine."""

import statistics
import time
from collections.abc import Callable

import pytest

Work = Callable[[], object]


@pytest.fixture
def ratio(benchmark) -> Callable[..., float]:
    """ratio(work, baseline): median time of the work over that of the baseline, which takes turns with it.

    With `resume`, either works once untimed at each turn: what it lost in the pause (caches; pages the machine below
    took back) is not counted against it.
    """

    def measured(work: Work, baseline: Work, *, rounds: int = 9, resume: bool = False) -> float:
        seconds = []

        def baseline_first() -> None:
            if resume:
                baseline()
            started = time.perf_counter()
            baseline()
            seconds.append(time.perf_counter() - started)
            if resume:
                work()

        baseline()
        work()  # both warm: compiled, with threads and memory at hand
        benchmark.pedantic(work, setup=baseline_first, rounds=rounds)
        found = benchmark.stats.stats.median / statistics.median(seconds)
        benchmark.extra_info |= {"ratio": found, "baseline": statistics.median(seconds)}
        print(
            f"\nratio {found:.3g} ({rounds} rounds, baseline {min(seconds):.3g} to {max(seconds):.3g} s)"
        )
        return found

    return measured
