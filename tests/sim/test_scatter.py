"""Standard errors and tails: the theory's where it has them, else those of the draws."""

import numpy as np
import pytest
from scipy import stats

from sim.scatter import FEW_DRAWS, of_sample, scatter
from theory.distribution import GaussianQuadratic, normal_deviation, skewness
from theory.perturbation import NoClosedForm

UNKNOWN = NoClosedForm("unknown")


def test_the_sample_s_standard_error_is_unbiased() -> None:
    assert of_sample(np.array([1.0, 3.0])).standard_error == pytest.approx(1.0)
    assert of_sample(np.array([[0.0, 0.0, 3.0]])).standard_error == pytest.approx([1.0])


def test_few_draws_say_nothing_of_the_tails() -> None:
    risks = np.random.default_rng(0).exponential(size=(2, FEW_DRAWS))
    error, below, above = of_sample(risks[:, :-1])
    assert error.shape == (2,)
    assert np.isnan([below, above]).all()
    error, below, above = of_sample(risks)
    np.testing.assert_allclose(error, risks.std(axis=1, ddof=1) / 16, rtol=1e-12)
    # An exponential's skewness is 2, that of the mean an eighth.
    allowance = 3 * np.sqrt(6) / FEW_DRAWS + 13.5 / FEW_DRAWS
    np.testing.assert_allclose(above, stats.skew(risks, axis=1) / 16 + allowance, rtol=0.02)
    np.testing.assert_allclose(below, allowance, rtol=1e-12)


def test_the_allowance_covers_an_estimated_standard_error() -> None:
    w = np.linspace(3, 8, 20)
    for n in (FEW_DRAWS, 4096):
        t = stats.t.isf(stats.norm.sf(w), n - 1)
        assert (normal_deviation(t, np.full(20, 13.5 / n)) <= w).all()


def test_what_does_not_scatter_is_certain() -> None:
    assert of_sample(np.array([[2.0]])) == ([0.0], [0.0], [0.0])
    constant = of_sample(np.full((1, FEW_DRAWS), 0.5))
    assert constant.standard_error == 0
    assert not np.isnan(constant.skewness_above).any()


def test_what_the_theory_knows_comes_first() -> None:
    law = GaussianQuadratic(np.array([2.0]), np.array([1.0]))
    sample = of_sample(np.random.default_rng(1).standard_normal(9))
    assert scatter(9.0, law, sample, 9) == (1.0, *skewness(law, 9))
    partly = scatter(9.0, UNKNOWN, sample, 9)
    assert partly.standard_error == 1.0
    assert np.isnan(partly.skewness_above)
    assert scatter(UNKNOWN, UNKNOWN, sample, 9).standard_error == sample.standard_error
