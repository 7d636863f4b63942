"""The cost of the optimal representation for T << d, beside one matrix product of the same size in the same run."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest

from theory.representation import optimal_representation

D, T, K = 100_000, 200, 10
REPEATS = 15


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@pytest.mark.benchmark
def test_optimum_costs_less_than_one_and_a_half_products() -> None:
    rng = np.random.default_rng(0)
    C, square = rng.standard_normal((D, T)), rng.standard_normal((T, T))
    ratios = []
    for _ in range(REPEATS + 1):
        product = seconds(lambda: C @ square)
        ratios.append(seconds(lambda: optimal_representation(C, K)) / product)
    ratios = ratios[1:]  # the first pair warms up threads and memory
    svd = seconds(lambda: np.linalg.svd(C, full_matrices=False)) / product
    median = statistics.median(ratios)
    print(
        f"\noptimum / product: {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); SVD / product: {svd:.1f}"
    )
    assert median < 1.5
