"""Intervals over seeds whose coverage is known, and what they say of a claim."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from neural.measures.intervals import (
    Interval,
    at_most,
    correlation,
    difference,
    expanded_percentiles,
    interval,
    verdict,
    within,
)


def test_interval_is_student_s() -> None:
    samples = np.random.default_rng(0).standard_normal((5, 3))
    found = interval(samples)
    for i, of_column in enumerate(samples.T):
        expected = stats.ttest_1samp(of_column, 0).confidence_interval()
        assert found.low[i] == pytest.approx(expected.low, rel=1e-12)
        assert found.high[i] == pytest.approx(expected.high, rel=1e-12)
    np.testing.assert_array_equal(found.value, samples.mean(axis=0))
    alone = interval([3.0])
    assert alone.value == 3
    assert np.isnan([alone.low, alone.high]).all()


def test_difference_is_taken_seed_by_seed() -> None:
    rng = np.random.default_rng(0)
    of_seed = 100 * rng.standard_normal(5)
    effect = 1 + 0.1 * rng.standard_normal(5)
    found, expected = difference(of_seed, of_seed + effect), interval(effect)
    for end in ("value", "low", "high"):
        # Rounding of numbers of order 100.
        assert getattr(found, end) == pytest.approx(getattr(expected, end), abs=1e-12)


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
    one, other = (of_seed + 0.5 * rng.standard_normal((2, 5, trials))) + np.array([0, 0.3])[
        :, None, None
    ]
    found = difference(one, other)
    covered = ((found.low <= 0.3) & (found.high >= 0.3)).mean()
    assert covered == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / trials))  # 0.6 %


def test_a_line_has_the_correlation_1_and_no_more() -> None:
    """Rounding takes some beyond 1, where Fisher's z has no number."""
    rng = np.random.default_rng(0)
    for sign in (1, -1):
        found = [correlation(a, sign * 3 * a) for a in rng.standard_normal((200, 7))]
        assert all(abs(float(c.value)) <= 1 and abs(float(c.value)) > 1 - 1e-12 for c in found)
        assert np.isfinite([[c.low, c.high] for c in found]).all()


def test_expanded_percentiles_of_many_units_are_the_plain_ones() -> None:
    samples = np.random.default_rng(0).standard_normal(100_001)
    plain = np.percentile(samples, [2.5, 97.5])
    assert expanded_percentiles(samples, 10**6) == pytest.approx(plain, abs=1e-3)
    assert expanded_percentiles(samples, 1) == pytest.approx(plain, abs=1e-3)
    low, high = expanded_percentiles(samples, 5)
    # sqrt(5 / 4) x 2.776 standard deviations, where 100,000 samples have a hundred beyond: 1 / sqrt(100) / 3.3.
    assert (-low, high) == pytest.approx((3.104, 3.104), abs=4 / 33)


@pytest.mark.parametrize("kind", ["linear", "rank"])
def test_correlation_covers(kind: Any) -> None:
    trials, n, r = 2000, 15, 0.6
    rng = np.random.default_rng(2)
    a = rng.standard_normal((trials, n))
    b = r * a + np.sqrt(1 - r**2) * rng.standard_normal((trials, n))
    truth = r if kind == "linear" else 6 / np.pi * np.arcsin(r / 2)  # of normal variables
    found = [correlation(*pair, kind=kind) for pair in zip(a, b, strict=True)]
    covered = np.mean([one.low <= truth <= one.high for one in found])
    # 4 x 0.5 % by chance; the laws of z are approximate at n = 15, by 1 %.
    assert covered == pytest.approx(0.95, abs=0.03)
    scipy = (stats.pearsonr if kind == "linear" else stats.spearmanr)(a[0], b[0]).statistic
    assert found[0].value == pytest.approx(scipy, rel=1e-12)


def test_correlation_at_its_ends() -> None:
    perfect = correlation([1, 2, 3, 4], [2, 4, 6, 8])
    assert (perfect.value, perfect.low, perfect.high) == pytest.approx((1, 1, 1))
    assert correlation([1, 2, 3, 4], [1, 10, 100, 9000], kind="rank").value == pytest.approx(1)
    a, b = np.random.default_rng(0).standard_normal((2, 12))
    for kind, error in (("linear", 1 / 3), ("rank", None)):
        found = correlation(a, b, kind=kind)  # type: ignore[arg-type]
        error = error or np.sqrt(1 + found.value**2 / 2) / 3
        ends = np.tanh(np.arctanh(found.value) + stats.norm.ppf([0.025, 0.975]) * error)
        assert (found.low, found.high) == pytest.approx(ends, rel=1e-12)
    few = correlation([1, 2, 3], [1, 5, 2])
    assert np.isnan([few.low, few.high]).all()


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
    found = Interval(np.array((low + high) / 2), np.array(low), np.array(high))
    assert within(found, 0.05) == said


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
    found = Interval(np.array((low + high) / 2), np.array(low), np.array(high))
    assert at_most(found, 0.05) == said


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: difference([1.0], [1.0, 2.0]), "those of the same seeds"),
        (lambda: correlation([1, 2], [1, 2], kind="other"), "choose from linear, rank"),  # type: ignore[arg-type]
        (lambda: correlation([1, 2, 3], [1, 2]), "two of one length"),
        (lambda: correlation([1, 1, 1], [1, 2, 3]), "leave it out"),
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


def test_how_few_points_have_a_correlation() -> None:
    both = correlation([1, 2], [5, 3])
    assert both.value == pytest.approx(-1)
    assert np.isnan(both.low)
    four = correlation([1, 2, 3, 4], [1, 3, 2, 4])
    assert four.value == pytest.approx(0.8)
    # Fisher's z with standard error 1 / sqrt(4 - 3).
    ends = np.tanh(np.arctanh(0.8) + np.array([-1, 1]) * stats.norm.ppf(0.975))
    assert (four.low, four.high) == pytest.approx(tuple(ends))
    ranked = correlation([1, 2, 3, 4], [1, 30, 20, 4000], kind="rank")
    error = np.sqrt(1 + 0.8**2 / 2)
    ends = np.tanh(np.arctanh(0.8) + np.array([-error, error]) * stats.norm.ppf(0.975))
    assert (ranked.low, ranked.high) == pytest.approx(tuple(ends))
