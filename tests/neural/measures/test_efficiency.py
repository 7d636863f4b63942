import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.measures.efficiency import fit, interpolated
from tests.neural.refusal import message
from tests.strategies import seeded

BUDGETS = np.repeat(2.0 ** np.arange(17, 26), 3)
A, B, C = 4.0, 0.4, 0.06


def perplexities(budgets, a=A, b=B, c=C, noise=0.0, seed=0):
    inverse = c - a * budgets**-b
    return 1 / (inverse * (1 + noise * np.random.default_rng(seed).standard_normal(len(budgets))))


@seeded
@given(st.floats(0.2, 0.9), st.floats(0.01, 0.5), st.floats(0.2, 0.9))
def test_the_curve_of_exact_runs_is_found(b, c, least):
    """least: what the smallest budget's 1/PPL is of c."""
    a = (1 - least) * c * BUDGETS.min() ** b
    curve = fit(BUDGETS, perplexities(BUDGETS, a, b, c))
    # Least squares stops at relative changes of 1e-8; a is the curve's value extrapolated to one token.
    np.testing.assert_allclose([curve.a, curve.b, curve.c], [a, b, c], rtol=1e-4)


def test_tokens_and_perplexity_invert_each_other():
    curve = fit(BUDGETS, perplexities(BUDGETS, noise=0.003))
    for tokens in (3e5, 1e6, 2e7):
        assert curve.tokens(curve.perplexity(tokens).value).value == pytest.approx(tokens, rel=1e-9)


def test_a_monolingual_model_has_an_efficiency_of_1():
    curve = fit(BUDGETS, perplexities(BUDGETS, noise=0.003))
    eff = curve.efficiency(perplexities(np.array([1e6]))[0], 1e6)
    assert eff.low < 1 < eff.high
    assert eff.value == pytest.approx(1, abs=0.1)
    doubled = curve.efficiency(perplexities(np.array([2e6]))[0], 1e6)
    assert doubled.value == pytest.approx(2, abs=0.2)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    """95 % of 400 fits, within four binomial standard deviations (4.4 %)."""
    inside = np.zeros(2)
    for seed in range(400):
        curve = fit(BUDGETS, perplexities(BUDGETS, noise=0.01, seed=seed))
        mlpe = curve.perplexity(1e6)
        mlte = curve.tokens(perplexities(np.array([1e6]))[0])
        truth = perplexities(np.array([1e6]))[0]
        inside += [mlpe.low <= truth <= mlpe.high, mlte.low <= 1e6 <= mlte.high]
    assert (np.abs(inside / 400 - 0.95) < 0.044).all(), inside / 400


def test_what_lies_beyond_the_budgets_is_marked():
    curve = fit(BUDGETS, perplexities(BUDGETS, noise=0.003))
    above = curve.tokens(curve.perplexity(BUDGETS.max()).value * 0.98)
    assert (above.beyond, above.high) == ("above", np.inf)
    below = curve.tokens(curve.perplexity(BUDGETS.min()).value * 1.2)
    assert (below.beyond, below.low) == ("below", 0.0)
    assert curve.tokens(1 / curve.c / 1.01).value == np.inf  # no number of tokens reaches it
    assert curve.tokens(0.5).value == np.inf  # nor what no model has
    for none in (0.0, -1.0):
        with pytest.raises(ValueError, match="above 0"):
            curve.tokens(none)
    assert curve.perplexity(BUDGETS.max() * 2).beyond == "above"
    assert curve.perplexity(BUDGETS.min() / 2).beyond == "below"
    assert curve.perplexity(1e6).beyond == curve.tokens(curve.perplexity(1e6).value).beyond == ""


@pytest.mark.parametrize(
    ("budgets", "values", "words"),
    [
        ([1e5, 1e6, 1e7], [50, 40, 30], "3 monolingual budgets"),
        ([1e5, 1e5, 1e6, 1e7], [50, 50, 40, 30], "3 monolingual budgets"),
        ([1e5, 1e6, 1e7, 1e8], [50, 40, np.inf, 20], "have to be finite"),
        ([1e5, 1e6, 1e7, 1e8], [20, 30, 40, 50], "perplexity does not fall with tokens"),
        # Two runs are no better together than each of them.
        ([1e5, 1e6, 1e7, 1e8, 1e8], [50, 40, 30, 60, 60], "perplexity does not fall with tokens"),
        ([1e5, 1e5, 1e6, 1e7, 1e8], [20, 20, 30, 40, 25], "perplexity does not fall with tokens"),
    ],
)
def test_runs_that_give_no_curve_are_refused(budgets, values, words):
    assert words in message(fit, budgets, values)


def test_a_language_without_tokens_has_no_efficiency():
    with pytest.raises(ValueError, match="not trained on"):
        fit(BUDGETS, perplexities(BUDGETS)).efficiency(50.0, 0)


def test_no_perplexity_is_below_1():
    """Runs that fall as the logarithm of the budget, as no power law with c below 1 does."""
    curve = fit(BUDGETS, 1 / (0.01 * np.log(BUDGETS)))
    assert curve.c <= 1
    # The logarithm is the limit of b -> 0 with c -> infinity. With c = 1 the curve bends: over a range of 0.055 of
    # 1/PPL near 0.14 by 0.055^2 / (8 (1 - 0.14)) = 4.4e-4, 0.3 %.
    assert curve.perplexity(1e6).value == pytest.approx(1 / (0.01 * np.log(1e6)), rel=3e-3)


@seeded
@given(st.floats(0, 1), st.integers(0, 3))
def test_between_two_runs_tokens_are_on_their_line(part, place):
    budgets, losses = np.array([1e3, 2e3, 8e3, 9e3, 1e5]), np.array([6.0, 5.5, 4.0, 3.9, 2.0])
    shuffled = np.array([3, 0, 4, 1, 2])
    loss = losses[place] + part * (losses[place + 1] - losses[place])
    tokens = np.exp(np.log(budgets[place]) + part * np.log(budgets[place + 1] / budgets[place]))
    estimate, beyond = interpolated(budgets[shuffled], np.exp(losses[shuffled]), np.exp(loss))
    assert estimate == pytest.approx(tokens, rel=1e-9)
    assert beyond == "" or part in (0, 1)


def test_beyond_the_runs_is_the_nearest_and_a_worse_run_does_not_count():
    budgets, perplexities = [1e3, 2e3, 4e3, 8e3], np.exp([5.0, 4.0, 4.5, 3.0])
    assert interpolated(budgets, perplexities, np.exp(5.1)) == (pytest.approx(1e3), "below")
    assert interpolated(budgets, perplexities, np.exp(2.9)) == (pytest.approx(8e3), "above")
    assert interpolated(budgets, perplexities, perplexities[0]) == (pytest.approx(1e3), "")
    assert interpolated(budgets, perplexities, perplexities[-1]) == (pytest.approx(8e3), "")
    tokens, _ = interpolated(budgets, perplexities, np.exp(3.5))
    assert tokens == pytest.approx(4e3 * np.sqrt(2))  # between 4.0, the best so far, and 3.0
