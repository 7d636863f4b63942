"""Statistics of curves whose areas and crossings are known, and how often their intervals cover the truth."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from neural.measures.degradation import area, crossover, degradation, resampled_means

X = np.array([0, 0.1, 0.2, 0.4])


def curves(*means: list[float], seeds: int = 2, draws: int = 3) -> Iterator[np.ndarray]:
    """Curves (seeds, levels, draws) without any scatter."""
    for mean in means:
        yield np.broadcast_to(np.array(mean)[:, None], (seeds, len(mean), draws)).astype(float)


def test_degradation_is_less_the_clean_model_of_the_seed() -> None:
    y = np.arange(12.0).reshape(2, 3, 2)
    loss_added = degradation(y, [1, 2])
    np.testing.assert_array_equal(loss_added, np.stack([y[0] - 1, y[1] - 2]))
    # In nats, the log of the ratio of perplexities.
    assert loss_added[1, 2, 0] == pytest.approx(np.log(np.exp(y[1, 2, 0]) / np.exp(2)), rel=1e-14)


def test_area_is_the_mean_over_strengths() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((3, 4, 5))
    noise -= noise.mean(axis=-1, keepdims=True)  # draws are averaged
    slopes = np.array([1.0, 2.0, 5.0])
    areas = area(X, slopes[:, None, None] * X[:, None] + noise)
    np.testing.assert_allclose(areas, slopes * 0.2, rtol=1e-14)  # of a straight line, its middle
    (bent,) = curves([0, 0, 1, 3])
    # (0.1 * 0 + 0.1 * 0.5 + 0.2 * 2) / 0.4
    np.testing.assert_allclose(area(X, bent), 1.125, rtol=1e-14)


@pytest.mark.parametrize(
    ("gaps", "value", "direction"),
    [
        ([-1, -1, 1, 2], 0.15, 1),
        ([3, 1, -1, 2], 0.15, -1),  # the first of two
        ([-1, 3, 4, 4], 0.025, 1),
        ([0, 0, -2, 2], 0.3, 1),  # where they start equal they do not cross
        ([-1, 0, 0, 1], 0.1, 1),
        ([-1, 0, -1, 1], 0.3, 1),  # they only touch at 0.1
        ([-1, -2, -1, 0], None, 0),
        ([2, 1, 0, 1], None, 0),
        ([0, 0, 0, 0], None, 0),
    ],
)
def test_crossover_of_known_curves(gaps: list[float], value: float | None, direction: int) -> None:
    base, gap = curves([1, 4, 2, 8], gaps)
    estimate = crossover(X, base, base + gap, resamples=10)
    if value is None:
        assert (estimate.value, estimate.low, estimate.high, estimate.crossing) == (
            None,
            None,
            None,
            0,
        )
    else:
        # Nothing scatters, so every resample is the same.
        assert estimate.value == pytest.approx(value, rel=1e-14)
        assert estimate.low == estimate.high == pytest.approx(value, rel=1e-14)
        assert estimate.crossing == 1
    assert estimate.direction == direction
    back = crossover(X, base + gap, base, resamples=10)
    assert back.direction == -direction
    assert back.value == estimate.value


def test_the_interval_of_few_seeds_ends_at_single_seeds() -> None:
    gaps = np.stack([X - 0.1, X - 0.2, X - 0.3])[..., None]
    estimate = crossover(X, np.zeros_like(gaps), gaps)
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx(
        (0.1, 0.2, 0.3), rel=1e-12
    )
    assert estimate.crossing == 1


def test_seeds_that_never_cross_open_the_interval_on_their_side() -> None:
    base = np.zeros((3, 4, 1))
    after = crossover(X, base, np.stack([X - 0.1, X - 0.2, X - 0.6])[..., None])
    assert after.value == pytest.approx(0.3, rel=1e-12)
    assert after.low == pytest.approx(0.1, rel=1e-12)
    assert after.high == np.inf
    # Of 27 resamples those without a crossing have 3 x the last seed, 2 x and another: 1 + 3 + 3.
    assert after.crossing == pytest.approx(20 / 27, abs=4 * np.sqrt(20 * 7 / 27**2 / 10_000))
    before = crossover(X, base, np.stack([X - 0.3, X - 0.2, X + 0.4])[..., None])
    assert before.value == pytest.approx(0.1 / 3, rel=1e-12)
    assert before.low == -np.inf
    assert before.high == pytest.approx(0.3, rel=1e-12)


def test_none_in_range_says_how_often_resamples_cross() -> None:
    base = np.zeros((2, 4, 1))
    estimate = crossover(X, base, np.stack([X - 0.3, X + 1])[..., None])
    assert (estimate.value, estimate.direction) == (None, 0)
    # One resample in four is of the first seed alone.
    assert estimate.crossing == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 10_000))


def test_one_seed_has_the_interval_of_its_draws() -> None:
    rng = np.random.default_rng(0)
    draws = 100
    gaps = (X - 0.15)[:, None] + 0.05 * rng.standard_normal((1, 4, draws))
    estimate = crossover(X, np.zeros_like(gaps), gaps)
    # Where the line through two independent levels, 0.1 apart, is 0 midway: sd / sqrt(2 draws) over a slope of 1.
    error = 0.05 / np.sqrt(2 * draws)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_resamples_scatter_by_seeds_and_by_draws() -> None:
    rng = np.random.default_rng(0)
    S, D = 6, 8
    y = rng.standard_normal((S, 1, 1)) + 2 * rng.standard_normal((S, 3, D))
    means = resampled_means(y, resamples=20_000)
    assert means.shape == (20_000, 3)
    expected = (y.mean(axis=-1).var(axis=0) + y.var(axis=-1).mean(axis=0) / D) / S
    # The variance of 20,000 samples is known to sqrt(2 / 20000) = 1 %.
    np.testing.assert_allclose(means.var(axis=0), expected, rtol=0.04)
    np.testing.assert_array_equal(means, resampled_means(y, resamples=20_000))
    assert (means != resampled_means(y, resamples=20_000, seed=1)).any()


@pytest.mark.slow
def test_crossovers_are_covered_at_five_seeds() -> None:
    """Of lines with a level and a slope for each seed and scatter of draws, which cross at 0.5 in the mean."""
    trials, S, D = 1000, 5, 4
    rng = np.random.default_rng(1)
    x = np.linspace(0, 1, 6)
    covered = {"expanded": 0, "plain": 0}
    for trial in range(trials):
        level, slope = 0.15 * rng.standard_normal((2, S, 1, 1))
        gaps = (x[:, None] - 0.5) * (1 + slope) + level + 0.1 * rng.standard_normal((S, 6, D))
        estimate = crossover(x, np.zeros_like(gaps), gaps, resamples=1000, seed=trial)
        assert estimate.low is not None
        assert estimate.high is not None
        covered["expanded"] += estimate.low <= 0.5 <= estimate.high
        seeds = rng.integers(S, size=(1000, S))
        means = gaps.mean(axis=-1)[seeds].mean(axis=1)
        plain = 0.5 - (means @ (x - 0.5)) ** -1 * means.mean(axis=1) * ((x - 0.5) ** 2).sum()
        low, high = np.percentile(plain, [2.5, 97.5])
        covered["plain"] += low <= 0.5 <= high
    error = np.sqrt(0.05 * 0.95 / trials)  # 0.7 %
    assert covered["expanded"] / trials == pytest.approx(0.95, abs=4 * error)
    # Resampled seeds and plain percentiles do not: 84 %.
    assert covered["plain"] / trials < 0.88


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: area([0, 1], np.zeros((2, 3, 1))), "in increasing order"),
        (lambda: area([0, 2, 1], np.zeros((2, 3, 1))), "in increasing order"),
        (lambda: area([0, 1], np.zeros((2, 2))), r"give \(seeds, levels, draws\)"),
        (lambda: area([0, 1], np.zeros((2, 2, 0))), "one or more each"),
        (lambda: area([0, 1], np.array([[[0.0], [np.nan]]])), r"\[0, 1, 0\] is not finite"),
        (lambda: degradation(np.zeros((2, 3, 1)), [0.0]), "give one number a seed"),
        (lambda: crossover(X, *curves([0] * 4), np.zeros((3, 4, 3))), "give equal shapes"),
    ],
)
def test_refused(call: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


def test_it_needs_no_jax() -> None:
    import subprocess

    code = "import sys, neural.measures.degradation; assert 'jax' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
