"""The closed-form optimum beside what it could not do without: one product for T << d, one full SVD elsewhere."""

import numpy as np
import pytest

from theory.representation import optimal_representation

K = 10


@pytest.mark.benchmark
@pytest.mark.line("optimum of 200 tasks in 100,000 dimensions over one product", most=1.5)
def test_optimum_of_few_tasks_costs_less_than_one_and_a_half_products(side_by_side, judge) -> None:
    rng = np.random.default_rng(0)
    C, square = rng.standard_normal((100_000, 200)), rng.standard_normal((200, 200))
    judge(side_by_side(lambda: optimal_representation(C, K), lambda: C @ square, rounds=15))


@pytest.mark.benchmark
@pytest.mark.line("optimum of {T} tasks in {d} dimensions over a full SVD", most=1)
@pytest.mark.parametrize(("d", "T"), [(256, 256), (512, 512), (2000, 200), (200, 2000)])
def test_optimum_costs_no_more_than_a_full_svd(side_by_side, judge, d: int, T: int) -> None:
    """From about 200 dimensions on; below, an SVD takes less than a millisecond, and Python has a share of ours."""
    C = np.random.default_rng(0).standard_normal((d, T))
    judge(side_by_side(lambda: optimal_representation(C, K), lambda: np.linalg.svd(C)))
