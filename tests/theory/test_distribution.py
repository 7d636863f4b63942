"""Variances and laws of the risk against every outcome, and bounds on tails against laws whose tails are known."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from sim.failures.named import KIND, MAKE
from theory.covariance import Covariance, as_covariance
from theory.distribution import (
    EASE,
    Distribution,
    GammaBound,
    GaussianQuadratic,
    IndependentOutcomes,
    normal_deviation,
    skewness,
)
from theory.perturbation import Adversarial, MagnitudePruning, NeuronDeletion, NoClosedForm
from theory.representation import Representation

K, D, T = 2, 3, 3
RANDOM = [name for name in MAKE if KIND[name].randomness != "none" and not KIND[name].adversarial]
DRAWS = (1, 2, 4, 16, 64, 256, 4096)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


COVARIANCES = {
    "identity": None,
    "diagonal": np.array([2.0, 0.0, 0.5]),
    "dense": np.cov(normal(12, D, seed=1).T),
    "singular": Covariance.of_inputs(normal(2, D, seed=2)),
}
WEIGHTS = {"equal": None, "uneven": np.array([0.6, 0.0, 0.4])}


def model(weights: np.ndarray | None = None) -> tuple[Representation, np.ndarray]:
    """A representation far from any optimum, and its tasks."""
    rng = np.random.default_rng(3)
    W, heads = rng.standard_normal((K, D)), rng.standard_normal((K, T))
    return Representation(W, heads, weights), rng.standard_normal((D, T))


def outcomes(name: str, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Failed weights (m, K, D) and probabilities (m,) under which a quadratic has its exact mean and variance.

    Of deletion every outcome; of normal noise the nodes of Gauss and Hermite that integrate fourth powers.
    """
    failure = MAKE[name](strength)
    if failure.randomness == "normal":
        nodes, weights = np.polynomial.hermite_e.hermegauss(3)
        weights = weights / weights.sum()
    else:
        nodes, weights = np.array([0.0, 1.0]), np.array([strength, 1 - strength])
    shape = failure.draw_shape((K, D))
    size = int(np.prod(shape))
    draws = np.array(list(product(nodes, repeat=size))).reshape(-1, *shape)
    probabilities = np.array([np.prod(each) for each in product(weights, repeat=size)])
    W = model()[0].W
    return failure.apply(np.broadcast_to(W, (len(draws), K, D)), draws), probabilities


def risks(W: np.ndarray, rep: Representation, C: np.ndarray, covariance) -> np.ndarray:
    errors = C - np.swapaxes(W, -1, -2) @ rep.heads
    S = as_covariance(covariance, D).apply(np.eye(D))
    weights = np.full(T, 1 / T) if rep.task_weights is None else rep.task_weights
    return np.einsum("nit,ij,njt,t->n", errors, S, errors, weights)


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("covariance", COVARIANCES.values(), ids=COVARIANCES)
@pytest.mark.parametrize("name", RANDOM)
def test_the_variance_is_that_of_all_outcomes(name: str, covariance, weights) -> None:
    rep, C = model(weights)
    W, probability = outcomes(name, 0.3)
    each = risks(W, rep, C, covariance)
    mean = probability @ each
    exact = probability @ (each - mean) ** 2
    failure = MAKE[name](0.3)
    assert failure.expected_risk(rep, C, covariance) == pytest.approx(mean, rel=1e-12)
    assert failure.risk_variance(rep, C, covariance) == pytest.approx(exact, rel=1e-12)
    law = failure.risk_distribution(rep, C, covariance)
    coupled = as_covariance(covariance, D).vectors is not None
    if name.startswith("weight-deletion") and coupled:
        assert isinstance(law, NoClosedForm)
    else:
        assert not isinstance(law, NoClosedForm)
        assert law.variance == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("covariance", [None, COVARIANCES["diagonal"]], ids=["I", "diagonal"])
@pytest.mark.parametrize("name", [name for name in RANDOM if "deletion" in name])
def test_the_law_of_deletion_is_that_of_all_outcomes(name: str, covariance) -> None:
    rep, C = model()
    W, probability = outcomes(name, 0.3)
    each = risks(W, rep, C, covariance)
    centred = each - probability @ each
    law = MAKE[name](0.3).risk_distribution(rep, C, covariance)
    assert isinstance(law, IndependentOutcomes)
    for t in (-0.4, 0.0, 0.7):
        expected = np.log(probability @ np.exp(t * centred))
        assert law.tilted(np.asarray(t))[0] == pytest.approx(expected, rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("covariance", COVARIANCES.values(), ids=COVARIANCES)
@pytest.mark.parametrize("name", [name for name in RANDOM if "noise" in name])
def test_the_law_of_noise_is_that_of_its_quadratic(name: str, covariance) -> None:
    """log E exp(t x'Qx + t b'x) = (t^2 b'(I - 2tQ)^-1 b - log det(I - 2tQ)) / 2, Q and b by differences of the risk."""
    rep, C = model()
    failure = MAKE[name](0.3)
    units = np.eye(K * D).reshape(-1, K, D)

    def at(draw: np.ndarray) -> float:
        return float(risks(failure.apply(rep.W, draw)[None], rep, C, covariance)[0])

    zero = at(np.zeros((K, D)))
    up, down = (np.array([at(sign * unit) for unit in units]) for sign in (1, -1))
    b = (up - down) / 2
    Q = np.array([[at(u + v) for v in units] for u in units]) - up[:, None] - up[None, :] + zero
    Q /= 2
    law = failure.risk_distribution(rep, C, covariance)
    assert isinstance(law, GaussianQuadratic)
    for t in (-0.5, 0.3 / (2 * np.linalg.eigvalsh(Q)[-1])):
        M = np.eye(K * D) - 2 * t * Q
        exact = (t**2 * b @ np.linalg.solve(M, b) - np.linalg.slogdet(M)[1]) / 2 - t * np.trace(Q)
        # Q comes from differences of risks near 10, which round at 1e-15.
        assert law.tilted(np.asarray(t))[0] == pytest.approx(exact, rel=1e-9, abs=1e-12)


LAWS: dict[str, Distribution] = {
    "quadratic": GaussianQuadratic(np.array([0.5, 0.1, 0.0]), np.array([0.2, -1.0, 0.4])),
    "outcomes": IndependentOutcomes(normal(4, 8, seed=5), np.arange(1, 9) / 36),
    "gamma": GammaBound(np.asarray(2.0), np.asarray(0.7)),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_cumulants_are_the_derivatives_of_the_generating_function(law: Distribution) -> None:
    assert law.tilted(np.asarray(0.0))[2] == pytest.approx(float(law.variance), rel=1e-12)
    h = 1e-4
    for t in (-0.6, 0.4):
        below, here, above = (law.tilted(np.asarray(t + step)) for step in (-h, 0, h))
        # Central differences err by h^2 of the next derivatives, which are of order 10.
        assert here[1] == pytest.approx((above[0] - below[0]) / (2 * h), rel=1e-6)
        assert here[2] == pytest.approx((above[1] - below[1]) / (2 * h), rel=1e-6)


def within(chance: np.ndarray, z: np.ndarray, reach: float) -> None:
    """Whether tails are as rare as the skewness says."""
    w = normal_deviation(z, np.full_like(z, reach))
    counted = (w > 3) & (w < 8)
    allowed = stats.norm.sf(w) * np.where(w < 4.5, EASE, 1.0)
    # Between the tilts for which the bound is evaluated it is interpolated: to 1 %, by halving their steps.
    assert (chance <= 1.01 * allowed)[counted].all()


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("n", DRAWS)
def test_tails_of_a_binomial(n: int, p: float) -> None:
    """One neuron of one weight: the mean of n draws is a binomial share, with atoms."""
    rep, C = Representation(np.ones((1, 1)), np.ones((1, 1))), np.ones((1, 1))
    law = NeuronDeletion(p).risk_distribution(rep, C)
    assert not isinstance(law, NoClosedForm)
    below, above = skewness(law, n)
    lost = np.arange(n + 1)
    z = (lost - n * p) / np.sqrt(n * p * (1 - p))
    binomial = stats.binom(n, p)
    within(binomial.sf(lost - 1), z, float(above))
    within(binomial.cdf(lost), -z, float(below))


@pytest.mark.parametrize("n", DRAWS)
def test_tails_of_a_chi_square(n: int) -> None:
    z = np.linspace(0, 60, 500)
    law = GaussianQuadratic(np.array([0.25]), np.array([0.0]))
    total = n + z * np.sqrt(2 * n)
    for bound in (law, GammaBound(law.variance, np.asarray(0.5))):
        below, above = skewness(bound, n)
        within(stats.chi2.sf(total, n), z, float(above))
        within(stats.chi2.cdf(2 * n - total, n), z, float(below))


def test_bounds_are_near_the_law_where_draws_are_many() -> None:
    """A chi-square of 24 has the skewness sqrt(8/24), the mean of 256 of it a sixteenth: little is added to be safe."""
    below, above = skewness(GaussianQuadratic(np.ones(24), np.zeros(24)), 256)
    assert np.sqrt(8 / 24) / 16 <= above <= np.sqrt(8 / 24) / 16 + 0.04
    assert below == 0


@pytest.mark.parametrize("n", [4, 64])
def test_a_sum_of_outcomes_has_no_heavier_tails(n: int) -> None:
    """Of eight columns with two outcomes each, all sums of which are listed."""
    law = IndependentOutcomes(normal(8, 2, seed=6), np.array([0.2, 0.8]))
    grid = 1e-3 * float(np.sqrt(law.variance))
    steps = np.round(law.values / grid).astype(int)
    rounded = IndependentOutcomes(steps * grid, law.probabilities)
    columns = steps - steps.min(axis=1, keepdims=True)
    size = 1 << int(np.ceil(np.log2(n * columns.max(axis=1).sum() + 1)))
    spectrum = np.ones(size // 2 + 1, dtype=complex)
    for column in columns:
        spectrum *= np.fft.rfft(np.bincount(column, law.probabilities, size))
    probability = np.fft.irfft(spectrum**n, size)
    value = np.arange(size) * grid
    mean = n * float(np.sum((columns @ law.probabilities) * grid))
    z = (value - mean) / np.sqrt(n * rounded.variance)
    below, above = skewness(rounded, n)
    # The transform leaves 1e-16 of every probability.
    listed = np.abs(z) < 6
    within((np.cumsum(probability[::-1])[::-1] - 1e-14)[listed], z[listed], float(above))
    within((np.cumsum(probability) - 1e-14)[listed], -z[listed], float(below))


def test_a_stack_is_answered_model_by_model() -> None:
    rng = np.random.default_rng(4)
    W, heads, C = (rng.standard_normal((3, *shape)) for shape in ((K, D), (K, T), (D, T)))
    for name in RANDOM:
        failure = MAKE[name](0.3)
        law = failure.risk_distribution(Representation(W, heads), C)
        assert not isinstance(law, NoClosedForm)
        together = skewness(law, 16)
        for i in range(3):
            alone = failure.risk_distribution(Representation(W[i], heads[i]), C[i])
            assert not isinstance(alone, NoClosedForm)
            np.testing.assert_allclose(law.variance[i], alone.variance, rtol=1e-12)
            np.testing.assert_allclose([side[i] for side in together], skewness(alone, 16))


def test_normal_deviations_invert_the_expansion() -> None:
    w = np.linspace(0.5, 9, 50)
    for reach in (0.0, 1e-9, 0.2, 3.0):
        z = w + reach * (w**2 - 1) / 6
        expected = np.where(z > 0, w, 0.0)
        np.testing.assert_allclose(normal_deviation(z, np.full(50, reach)), expected, rtol=1e-9)


def test_what_is_certain_does_not_scatter_and_what_is_unknown_says_so() -> None:
    rep, C = model()
    assert MagnitudePruning(0.5).risk_variance(rep, C) == 0
    assert isinstance(Adversarial("spectral", 0.1).risk_variance(rep, C), NoClosedForm)
    wide = Representation(np.ones((13, 14)), np.ones((13, 2)))
    answer = NeuronDeletion(0.1).risk_distribution(wide, np.ones((14, 2)))
    assert isinstance(answer, NoClosedForm)
    assert "2^13" in answer.reason
    zero = NeuronDeletion(0.0).risk_distribution(rep, C)
    assert not isinstance(zero, NoClosedForm)
    assert skewness(zero, 4) == (0, 0)
