"""Intervals over seeds whose coverage is known, and what they say of a claim."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from neural.measures.intervals import (
    Interval,
    at_most,
    difference,
    expanded_percentiles,
    interval,
    rank_correlation,
    verdict,
    within,
)


def test_interval_is_student_s() -> None:
    samples = np.random.default_rng(0).standard_normal((5, 3))
    estimate = interval(samples)
    for i, of_column in enumerate(samples.T):
        expected = stats.ttest_1samp(of_column, 0).confidence_interval()
        assert estimate.low[i] == pytest.approx(expected.low, rel=1e-12)
        assert estimate.high[i] == pytest.approx(expected.high, rel=1e-12)
    np.testing.assert_array_equal(estimate.value, samples.mean(axis=0))
    alone = interval([3.0])
    assert alone.value == 3
    assert np.isnan([alone.low, alone.high]).all()


def test_difference_is_taken_seed_by_seed() -> None:
    rng = np.random.default_rng(0)
    of_seed = 100 * rng.standard_normal(5)
    effect = 1 + 0.1 * rng.standard_normal(5)
    estimate, expected = difference(of_seed, of_seed + effect), interval(effect)
    for end in ("value", "low", "high"):
        # Rounding of numbers of order 100.
        assert getattr(estimate, end) == pytest.approx(getattr(expected, end), abs=1e-12)


@pytest.mark.parametrize(
    ("low", "high", "sign", "expected"),
    [
        (1, 3, 1, "replicated"),
        (1, 3, -1, "opposite"),
        (-3, -1, -1, "replicated"),
        (-3, -1, 1, "opposite"),
        (-1, 3, 1, "not replicated"),
        (-1, 3, -1, "not replicated"),
        (0, 3, 1, "not replicated"),
    ],
)
def test_verdict(low: float, high: float, sign: int, expected: str) -> None:
    ends = Interval(*(np.array(float(end)) for end in ((low + high) / 2, low, high)))
    assert verdict(ends, sign) == expected


def test_no_verdict_without_an_interval() -> None:
    with pytest.raises(ValueError, match="two seeds or more"):
        verdict(interval([3.0]), 1)
    with pytest.raises(ValueError, match="give 1 or -1"):
        verdict(interval([3.0, 4.0]), 0)


def test_student_s_interval_covers_at_five_seeds() -> None:
    """Of paired differences with an effect of seeds and scatter of draws: 95 %."""
    trials = 20_000
    rng = np.random.default_rng(0)
    of_seed = rng.standard_normal((5, trials))
    first, other = (of_seed + 0.5 * rng.standard_normal((2, 5, trials))) + np.array([0, 0.3])[
        :, None, None
    ]
    estimate = difference(first, other)
    covered = ((estimate.low <= 0.3) & (estimate.high >= 0.3)).mean()
    assert covered == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / trials))  # 0.6 %


def test_expanded_percentiles_of_many_units_are_the_plain_ones() -> None:
    samples = np.random.default_rng(0).standard_normal(100_001)
    plain = np.percentile(samples, [2.5, 97.5])
    assert expanded_percentiles(samples, 10**6) == pytest.approx(plain, abs=1e-3)
    assert expanded_percentiles(samples, 1) == pytest.approx(plain, abs=1e-3)
    low, high = expanded_percentiles(samples, 5)
    # sqrt(5 / 4) x 2.776 standard deviations, where 100,000 samples have a hundred beyond: 1 / sqrt(100) / 3.3.
    assert (-low, high) == pytest.approx((3.104, 3.104), abs=4 / 33)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.04, 0.04, "replicated"),
        (-0.04, 0.06, "not replicated"),
        (0.04, 0.3, "not replicated"),
        (0.06, 0.3, "opposite"),
        (-0.3, -0.06, "opposite"),
    ],
)
def test_no_effect_is_an_interval_within_the_margin(low: float, high: float, said: str) -> None:
    estimate = Interval(np.array((low + high) / 2), np.array(low), np.array(high))
    assert within(estimate, 0.05) == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.3, -0.06, "replicated"),
        (-0.3, 0.04, "replicated"),
        (-0.3, 0.06, "not replicated"),
        (0.06, 0.3, "opposite"),
    ],
)
def test_at_most_a_margin_has_one_side(low: float, high: float, said: str) -> None:
    estimate = Interval(np.array((low + high) / 2), np.array(low), np.array(high))
    assert at_most(estimate, 0.05) == said


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: difference([1.0], [1.0, 2.0]), "those of the same seeds"),
    ],
)
def test_refused(call: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


def test_two_units_say_nothing_of_what_lies_between_them() -> None:
    """Student's quantile of 1 degree of freedom is 12.7: the interval ends at the least and the greatest resample."""
    samples = np.random.default_rng(0).permutation(1001)
    assert expanded_percentiles(samples, 2) == (0.0, 1000.0)
    assert expanded_percentiles(samples, 1) == (25.0, 975.0)  # draws of one unit: plain percentiles


def test_rank_correlations() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
    assert rank_correlation(x, [5, 3, 2, 4, np.nan]) == pytest.approx(-0.4)  # ranks 1234, 4213
    assert np.isnan(rank_correlation(x[:3], x[:3], fewest=4))
    assert np.isnan(rank_correlation(x, np.ones(5)))
    assert np.isnan(rank_correlation(x, x[::-1], given=x))
    a, b = np.random.default_rng(0).integers(0, 5, (2, 12))  # with ties
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_a_partial_correlation_is_that_of_the_residuals() -> None:
    rng = np.random.default_rng(0)
    ranks = np.array([rng.permutation(12) for _ in range(3)], dtype=float)
    a, b = (y - np.polyval(np.polyfit(ranks[2], y, 1), ranks[2]) for y in ranks[:2])
    expected = np.corrcoef(a, b)[0, 1]
    assert rank_correlation(*ranks) == pytest.approx(expected)
