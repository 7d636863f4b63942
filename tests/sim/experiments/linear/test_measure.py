"""Measured risks against the theory's closed forms, and the promises of `measure`."""

from functools import cache
from itertools import combinations

import jax
import numpy as np
import pytest

from sim.config import STRENGTHS
from sim.experiments.linear import measure as module
from sim.experiments.linear.measure import Measured, measure
from sim.failures.named import MAKE, exposure, register
from theory.covariance import Covariance
from theory.perturbation import Adversarial
from theory.representation import Representation, optimal_representation

pytestmark = pytest.mark.usefixtures("soon_compiled")

D, K = 7, 3
RANDOM = [name for name in STRENGTHS if name not in ("magnitude-pruning", "quantisation")]


def models(n: int = 3) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Models far from any optimum, with different numbers of tasks."""
    rng = np.random.default_rng(5)
    tasks = [3 + i for i in range(n)]
    W = rng.standard_normal((n, K, D))
    return (
        W,
        [rng.standard_normal((K, T)) for T in tasks],
        [rng.standard_normal((D, T)) for T in tasks],
    )


def keys(n: int, seed: int = 3) -> jax.Array:
    return jax.random.split(jax.random.key(seed), n)


def covariance() -> Covariance:
    return Covariance.of_inputs(np.random.default_rng(8).standard_normal((5, D)))


DRAWS = 3000
"""In all tests that do not care how many: each failure's program is compiled for them."""


@cache
def measured(name: str, S: Covariance | None = None) -> Measured:
    return measure(name, STRENGTHS[name], *models(), keys(3), draws=DRAWS, covariance=S)


@pytest.mark.parametrize("S", [None, covariance()], ids=["isotropic", "singular S"])
@pytest.mark.parametrize("name", STRENGTHS)
def test_measured_risk_is_the_closed_form(name: str, S: Covariance | None) -> None:
    W, heads, C = models()
    strengths = STRENGTHS[name]
    measurement = measured(name, S)
    assert measurement.risk.shape == (3, len(strengths))
    for i in range(3):
        model = Representation(W[i], heads[i])
        for j, strength in enumerate(strengths):
            failure = MAKE[name](strength)
            if isinstance(failure, Adversarial):
                exact = failure.worst_risk(model, C[i], S)
                if isinstance(exact, float):
                    assert measurement.risk[i, j] <= exact * (
                        1 + 1e-12
                    )  # rounding of a sum of 3 k d terms
                    assert measurement.risk[i, j] >= exact * (1 - 1e-6)  # where ascent stops
            else:
                exact = failure.expected_risk(model, C[i], S)
                # 5 standard errors: two-sided chance 6e-7 a comparison, some 70 comparisons, seed fixed.
                assert (
                    abs(measurement.risk[i, j] - exact)
                    <= 5 * measurement.standard_error[i, j] + 1e-12 * exact
                )


@pytest.mark.parametrize("name", STRENGTHS)
def test_strength_zero_leaves_the_clean_risk(name: str) -> None:
    measurement = measured(name)
    np.testing.assert_allclose(measurement.risk[:, 0], measurement.clean, rtol=1e-15)


def test_draws_in_blocks_are_all_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for 3 draws at a time, 8 draws still are 8, and their spread is that of one model's risks."""
    W, heads, C = models(1)
    monkeypatch.setattr(module, "MEMORY", 3 * 8 * K * D * 2)
    measurement = measure("weight-deletion", (0.3, 0.5), W, heads, C, keys(1), draws=8)
    assert measurement.draws == 8
    assert (measurement.standard_error > 0).all()


def test_standard_errors_are_those_of_independent_draws() -> None:
    """Over 400 models with keys of their own, two draws give the exact variance of one on average."""
    W, heads, C = (part[:1] for part in models(1))
    copies = 400
    measurement = measure(
        "additive-noise",
        (0.5,),
        np.repeat(W, copies, 0),
        heads * copies,
        C * copies,
        keys(copies),
        draws=2,
    )
    failure = MAKE["additive-noise"](0.5)
    exact = failure.risk_variance(Representation(W[0], heads[0]), C[0])
    # A variance of two draws scatters by about 1.7 of itself: the mean of 400 by 9 %; half of it is 6 of those off.
    assert 2 * np.mean(measurement.standard_error**2) == pytest.approx(exact, rel=0.35)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_an_ascent_ends_after_its_steps(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    rng = np.random.default_rng(6)
    weights, W, N = (rng.standard_normal((K, D)) for _ in range(3))
    weights, radius = weights**2, 0.5
    monkeypatch.setattr(module, "ASCENT_STEPS", steps)
    with jax.enable_x64(True):
        worst_risk = module._attack(
            Adversarial("frobenius", radius),
            risk=lambda W: (weights * W**2).sum(),
            W=W,
            starts=N[None],
        )
    N = N / np.linalg.norm(N)
    for _ in range(steps):
        N = weights * (W + radius * N)
        N = N / np.linalg.norm(N)
    np.testing.assert_allclose(worst_risk, (weights * (W + radius * N) ** 2).sum(), rtol=1e-12)


def test_a_model_depends_on_its_key_alone() -> None:
    W, heads, C = models()
    together = measure("additive-noise", (0.1, 1.0), W, heads, C, keys(3), draws=DRAWS)
    for i in range(3):
        alone = measure(
            "additive-noise",
            (0.1, 1.0),
            W[i : i + 1],
            heads[i : i + 1],
            C[i : i + 1],
            keys(3)[i : i + 1],
            draws=DRAWS,
        )
        # The same draws; a batch may sum them in another order.
        np.testing.assert_allclose(alone.risk[0], together.risk[i], rtol=1e-13)
    other = measure("additive-noise", (0.1, 1.0), W, heads, C, keys(3, seed=4), draws=DRAWS)
    assert not np.isclose(other.risk, together.risk, rtol=1e-6).any()


def test_one_program_serves_all_strengths_and_task_numbers() -> None:
    W, heads, C = models(4)
    measure("neuron-deletion", (0.1, 0.2), W, heads, C, keys(4), draws=DRAWS)
    compiled = module._risks._cache_size()
    for name in ("neuron-deletion", "neuron-deletion-rescaled"):
        measure(name, (0.7, 0.9), W[:3], heads[:3], C[:3], keys(3), draws=DRAWS)
    assert module._risks._cache_size() == compiled


def test_failures_have_distinct_tree_structures() -> None:
    """Equal structures would let jit run one failure's program for another whenever their hashes collide."""
    register()
    structures = {
        name: jax.tree.structure(make(2.0 if name.startswith("quantisation") else 0.5))
        for name, make in MAKE.items()
    }
    for first, other in combinations(STRENGTHS, 2):
        same = other == f"{first}-rescaled"  # which is data
        assert (structures[first] == structures[other]) == same, (first, other)


@pytest.mark.parametrize("name", [n for n in RANDOM if n != "adversarial-frobenius"])
def test_exposure_turns_damage_into_the_slope(name: str) -> None:
    """At the orthonormal optimum the exact damage is exposure times rho_k."""
    C = np.random.default_rng(1).standard_normal((D, 5))
    optimum = optimal_representation(C, K)
    strength = STRENGTHS[name][2]
    failure = MAKE[name](strength)
    answer = failure.worst_risk if isinstance(failure, Adversarial) else failure.expected_risk
    damage = answer(optimum, C) - optimum.risk
    assert damage / exposure(name, strength, D, "orthonormal") == pytest.approx(
        optimum.slope, rel=1e-12
    )


def test_no_exposure_where_damage_is_no_slope() -> None:
    for name in STRENGTHS:
        assert np.isnan(exposure(name, STRENGTHS[name][1], D, "descent")) == (
            name != "additive-noise"
        )
    assert np.isnan(exposure("quantisation", 4, D, "orthonormal"))
