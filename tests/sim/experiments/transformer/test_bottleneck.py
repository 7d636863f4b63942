"""The last linear maps of a network whose targets are not linear in its features: formula against predictions."""

import numpy as np
import pytest

from sim.config import STRENGTHS
from sim.experiments.transformer import bottleneck as module
from sim.experiments.transformer.bottleneck import Bottleneck
from sim.failures.named import MAKE
from theory.perturbation import NoClosedForm
from theory.representation import Representation, risk

N, D, K, T = 40, 6, 3, 4
RANDOM = ("additive-noise", "multiplicative-noise", "weight-deletion", "neuron-deletion")
EXACT = ("magnitude-pruning", "quantisation")


def bottleneck(rank: int = D) -> Bottleneck:
    """Features of a rank, with a mean, and targets that are a sine of them and noise."""
    rng = np.random.default_rng(rank)
    features = rng.standard_normal((N, rank)) @ rng.standard_normal((rank, D)) + (rank == D)
    targets = np.sin(features @ rng.standard_normal((D, T))) + rng.standard_normal((N, T))
    return Bottleneck.fitted(features, targets)


def model(seed: int = 0) -> Representation:
    rng = np.random.default_rng(seed)
    return Representation(rng.standard_normal((K, D)), rng.standard_normal((K, T)))


@pytest.mark.parametrize("rank", [D, 2])
def test_risk_is_the_theory_s_and_a_part_that_no_weights_change(rank: int) -> None:
    net = bottleneck(rank)
    assert net.unexplained > 0.1
    for seed in range(5):
        weights = model(seed)
        in_theory = risk(weights.W, weights.heads, net.C, net.covariance)
        # Sums of N T squares, and a least squares fit of condition below 100: 1e-13 leaves a margin of ten.
        assert net.risk(weights.W, weights.heads) == pytest.approx(
            net.unexplained + in_theory, rel=1e-12
        )


def test_risk_is_the_mean_square_error() -> None:
    net, weights = bottleneck(), model()
    errors = [
        (net.targets[i, t] - weights.heads[:, t] @ weights.W @ net.features[i]) ** 2
        for i in range(N)
        for t in range(T)
    ]
    assert net.risk(weights.W, weights.heads) == pytest.approx(np.mean(errors), rel=1e-13)


@pytest.mark.parametrize("rank", [D, 2])
@pytest.mark.parametrize("name", RANDOM)
def test_measured_risk_is_the_exact_expectation(name: str, rank: int) -> None:
    net, weights, strengths = bottleneck(rank), model(), STRENGTHS[name]
    risks = net.measured_risks(name, strengths, weights, 2000, np.random.default_rng(7))
    assert risks.shape == (len(strengths), 2000)
    for strength, samples in zip(strengths, risks, strict=True):
        exact = net.expected_risk(MAKE[name](strength), weights)
        error = samples.std(ddof=1) / np.sqrt(2000)
        # 5 standard errors: chance 6e-7 each, some 40 comparisons, seeds fixed; rounding where nothing is random.
        assert abs(samples.mean() - exact) <= 5 * error + 1e-12 * exact
        if strength > 0:
            assert error < 0.1 * exact
    np.testing.assert_allclose(risks[0], net.risk(weights.W, weights.heads), rtol=1e-13)


@pytest.mark.parametrize("name", EXACT)
def test_a_failure_without_randomness_is_measured_once(name: str) -> None:
    net, weights, strengths = bottleneck(), model(), STRENGTHS[name]
    risks = net.measured_risks(name, strengths, weights, 100, np.random.default_rng(0))
    assert risks.shape == (len(strengths), 1)
    exact = [net.expected_risk(MAKE[name](strength), weights) for strength in strengths]
    np.testing.assert_allclose(risks[:, 0], exact, rtol=1e-12)


def test_no_closed_form_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = MAKE["additive-noise"](0.1)
    unknown = lambda *_: NoClosedForm("none is known")  # noqa: E731
    monkeypatch.setattr(type(failure), "expected_risk", unknown)
    assert np.isnan(bottleneck().expected_risk(failure, model()))


def test_blocks_use_all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    net, weights = bottleneck(), model()
    measure = lambda: net.measured_risks(  # noqa: E731
        "additive-noise", (0.1, 1.0), weights, 8, np.random.default_rng(3)
    )
    whole = measure()
    monkeypatch.setattr(module, "MEMORY", 3 * 8 * N * T)
    in_blocks = measure()
    # One stream of normal numbers, whatever the blocks; BLAS may sum a block in another order.
    np.testing.assert_allclose(in_blocks, whole, rtol=1e-12)
    assert len(np.unique(whole[1])) == 8


def test_strengths_share_their_draws() -> None:
    net, weights = bottleneck(), model()
    risks = net.measured_risks(
        "additive-noise", (0.0, 1.0, 2.0, 3.0), weights, 4, np.random.default_rng(3)
    )
    # In one draw the risk is a quadratic in sigma, whose third difference vanishes; risks near 1e3 round at 1e-13.
    np.testing.assert_allclose(np.diff(risks, n=3, axis=0), 0, atol=1e-9)
