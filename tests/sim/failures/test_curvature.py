"""Predicted and measured slopes under small noise, on risks whose expectations are known."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim.failures.curvature import (
    all_leaves_at_once,
    leaf_by_leaf,
    measured_damages,
    predicted_slopes,
)

pytestmark = pytest.mark.usefixtures("soon_compiled")

GROUPS = ("below", "above")
SIGMAS = (0.0, 0.1, 0.5, 1.0)


@pytest.fixture(autouse=True)
def _float64() -> Any:
    with jax.enable_x64(True):
        yield


def parameters() -> dict[str, Any]:
    """Two groups, of a matrix and a vector and of one vector, and weights that no group names."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.standard_normal(shape))  # noqa: E731
    return {"below": {"A": draw(2, 3), "b": draw(2)}, "above": draw(4), "rest": draw(3)}


def flat(tree: Any) -> Any:
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


def quadratic(coupled: bool) -> tuple[Any, np.ndarray]:
    """A risk with a known Hessian in all 15 parameters, those of "above" (the first 4 leaves) coupled to the rest."""
    rng = np.random.default_rng(1)
    H = rng.standard_normal((15, 15))
    H = H + H.T + np.diag(np.arange(15.0)) if coupled else np.diag(np.diag(H))
    slant = rng.standard_normal(15)
    return lambda p: flat(p) @ H @ flat(p) / 2 + slant @ flat(p), H


def slopes(risk: Any, key: int, probes: int, like: Any = leaf_by_leaf) -> np.ndarray:
    sample = jax.jit(lambda p, key: predicted_slopes(risk, p, GROUPS, key, probes, like))
    return np.asarray(sample(parameters(), jax.random.key(key)))


def damages(risk: Any, key: int, pairs: int, like: Any = leaf_by_leaf) -> np.ndarray:
    sigmas = np.array(SIGMAS)
    sample = jax.jit(lambda p, key: measured_damages(risk, p, GROUPS, sigmas, key, pairs, like))
    return np.asarray(sample(parameters(), jax.random.key(key)))


def test_probes_read_off_a_diagonal_hessian_exactly() -> None:
    risk, H = quadratic(coupled=False)
    samples = slopes(risk, 0, 3)
    # jax.tree.leaves goes by name: above (4), below.A and below.b (8), rest (3). A sum of 8 terms rounds at 8 eps.
    exact = np.array([np.trace(H[4:12, 4:12]), np.trace(H[:4, :4])]) / 2
    np.testing.assert_allclose(samples, np.repeat(exact[:, None], 3, axis=1), rtol=1e-13)


@pytest.mark.parametrize("like", [leaf_by_leaf, all_leaves_at_once])
def test_each_group_has_the_trace_of_its_own_block(like: Any) -> None:
    risk, H = quadratic(coupled=True)
    samples = slopes(risk, 0, 4000, like)
    error = samples.std(axis=1, ddof=1) / np.sqrt(4000)
    exact = np.array([np.trace(H[4:12, 4:12]), np.trace(H[:4, :4])]) / 2
    # 5 standard errors: chance 1e-6, seed fixed. The errors themselves are a fiftieth of what is told apart.
    assert (np.abs(samples.mean(axis=1) - exact) < 5 * error).all()
    assert (error < 0.15).all()
    assert np.abs(exact[0] - exact[1]) > 1


@pytest.mark.parametrize("like", [leaf_by_leaf, all_leaves_at_once])
def test_damage_of_a_quartic_risk(like: Any) -> None:
    """E (x + sigma N)^4 = x^4 + 6 x^2 sigma^2 + 3 sigma^4: the small-noise slope, and what comes after it."""
    risk = lambda p: jnp.sum(p["above"] ** 4)  # noqa: E731
    below, above = damages(risk, 1, 4000, like)
    assert below.shape == above.shape == (len(SIGMAS), 4000)
    # The risk does not depend on "below": anything beyond the rounding of a sum of 4 terms would be another group's.
    assert np.abs(below).max() < 1e-14
    x2 = float(np.sum(np.asarray(parameters()["above"]) ** 2))
    for sigma, samples in zip(SIGMAS, above, strict=True):
        exact = 6 * x2 * sigma**2 + 3 * 4 * sigma**4
        error = samples.std(ddof=1) / np.sqrt(4000)
        assert abs(samples.mean() - exact) <= 5 * error + 1e-14  # chance 1e-6 each, seed fixed
        assert error <= 0.05 * exact + 1e-14
    np.testing.assert_allclose(slopes(risk, 0, 2)[1], 6 * x2, rtol=1e-13)


def test_pairs_cancel_the_gradient_and_sigmas_share_draws() -> None:
    risk, _ = quadratic(coupled=True)
    growth = damages(risk, 2, 5)
    assert np.abs(growth[:, 0]).max() < 1e-13  # rounding of a risk of order 10
    per_square = growth[:, 1:] / np.array(SIGMAS[1:])[:, None] ** 2
    # Without the linear part every pair is sigma^2 times one number; a risk of order 10 rounds at 1e-15, over 0.01.
    np.testing.assert_allclose(per_square, np.repeat(per_square[:, :1], 3, axis=1), atol=1e-12)
    assert np.ptp(per_square[:, 0], axis=1).min() > 0.1


def test_same_key_same_bits() -> None:
    risk, _ = quadratic(coupled=True)
    for function in (
        lambda key: predicted_slopes(risk, parameters(), GROUPS, key, 4),
        lambda key: measured_damages(risk, parameters(), GROUPS, np.array(SIGMAS), key, 4),
    ):
        samples = jax.jit(function)
        first, two, other = (np.asarray(samples(jax.random.key(i))) for i in (3, 3, 4))
        assert first.tobytes() == two.tobytes()
        assert first.tobytes() != other.tobytes()
