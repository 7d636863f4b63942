"""Description lengths, control tasks and the language's subspace."""

import numpy as np
import pytest

from neural.measures.probes import logistic
from neural.measures.probes.controls import control_labels, distribution, memorisable, selectivity
from neural.measures.probes.description_length import block_ends, description_length
from neural.measures.probes.linear import Part, score
from neural.measures.probes.subspace import (
    centred,
    discriminants,
    identity,
    language_means,
    mean_directions,
    removed,
    share,
)

D, C = 6, 4
"""Those of the tests of logistic probes, so that one program serves all."""

ROUNDING = 1e-12


def part(n, seed, noise=0.1):
    """Of two probes: one that sees the label, and one that sees nothing."""
    rng = np.random.default_rng([n, seed])
    y = rng.integers(C, size=n)
    blind = rng.standard_normal((n, D))
    return Part(np.stack([np.eye(C, D)[y] + noise * rng.standard_normal((n, D)), blind]), y)


def test_blocks_end_at_the_portions():
    assert block_ends(5000).tolist() == [5, 10, 20, 40, 80, 160, 312, 625, 1250, 2500, 5000]
    assert block_ends(200).tolist() == [1, 2, 3, 6, 12, 25, 50, 100, 200]
    with pytest.raises(ValueError, match="rise to 1"):
        block_ends(100, (0.5, 0.2, 1.0))


def test_description_length_by_hand():
    train, dev = part(200, 0), part(100, 1)
    description = description_length(train, dev, C, seed=3, portions=(0.1, 0.4, 1.0))
    order = np.random.default_rng(3).permutation(200)
    bits = np.full((2, 3), 20 * 2.0)
    for block, (start, end) in enumerate([(20, 80), (80, 200)], start=1):
        before, after = train.take(order[:start]), train.take(order[start:end])
        bits[:, block] = score(logistic.fit(before, dev, C), after).loss * (end - start)
    bits[:, 1:] /= np.log(2)
    np.testing.assert_allclose(description.blocks, bits, rtol=1e-6)
    np.testing.assert_allclose(description.bits, bits.sum(axis=1), rtol=1e-6)
    assert description.ends.tolist() == [20, 80, 200]
    assert description.uniform == 400
    assert description.converged.all()
    np.testing.assert_allclose(description.compression, 400 / description.bits)
    assert description.compression[0] > 3
    # A probe that sees nothing pays for what it overfits, little where dev chooses the strength.
    assert 0.9 < description.compression[1] < 1.02


TYPES = [f"word {i}" for i in range(4000)]


def test_a_type_has_one_label_drawn_from_the_distribution():
    p = np.array([0.5, 0.3, 0.2, 0.0])
    labels = control_labels(TYPES, p, seed=0)
    # Four standard deviations of a share of 4000: 4 sqrt(1/4 / 4000)
    np.testing.assert_allclose(distribution(labels, C), p, atol=0.032)
    np.testing.assert_array_equal(control_labels(TYPES[::-1], 10 * p, seed=0), labels[::-1])
    np.testing.assert_array_equal(control_labels(TYPES[:3] * 2, p, seed=0), [*labels[:3]] * 2)
    other = control_labels(TYPES, p, seed=1)
    # Independent: equal as often as two draws are.
    assert np.mean(other == labels) == pytest.approx((p**2).sum(), abs=0.032)
    pairs = control_labels([("a", "b"), ("b", "a"), ("a", "b")], np.ones(1000), seed=0)
    assert pairs[0] == pairs[2] != pairs[1]
    with pytest.raises(ValueError, match="not all 0"):
        control_labels(TYPES, [0, 0], seed=0)


def test_selectivity_is_what_controls_do_not_reach():
    np.testing.assert_allclose(selectivity([0.9, 0.8], [[0.3, 0.7], [0.5, 0.5]]), [0.5, 0.2])
    assert memorisable(["a", "b"], ["a", "a", "c", "d"], [3, 1]) == 0.5 + 0.5 * 0.75


def test_a_control_of_types_the_features_tell_apart_is_learnt():
    """Six types, one a dimension: six labels at random are no harder than the real ones, selectivity is small."""
    rng = np.random.default_rng(0)
    types = rng.integers(D, size=300)
    X = (np.eye(D)[types] + 0.01 * rng.standard_normal((300, D)))[None]
    y = control_labels(types.tolist(), np.ones(C), seed=0)
    train, dev = Part(X, y).take(np.arange(200)), Part(X, y).take(np.arange(200, 300))
    scored = score(logistic.fit(train, dev, C), dev)
    assert scored.accuracy[0] == 1


def languages(n, seed, L=C):
    """Two probes of L languages whose means differ along few directions, and elongated otherwise."""
    rng = np.random.default_rng([n, seed])
    y = np.arange(n) % L
    means = np.random.default_rng(9).standard_normal((2, L, D)) @ np.diag([2, 1, 1, 0, 0, 0])
    return Part(means[:, y] + rng.standard_normal((2, n, D)) * [1, 1, 1, 2, 2, 2], y)


def test_removal_leaves_equal_means():
    train = languages(200, 0)
    basis = mean_directions(train.features, train.labels)
    assert basis.shape == (2, D, C - 1)
    np.testing.assert_allclose(np.swapaxes(basis, 1, 2) @ basis, [np.eye(C - 1)] * 2, atol=ROUNDING)
    left = removed(train.features, basis)
    means = language_means(left, train.labels)
    np.testing.assert_allclose(means, np.broadcast_to(means[:, :1], means.shape), atol=ROUNDING)
    np.testing.assert_allclose(removed(left, basis), left, atol=ROUNDING)
    kept = np.array(train.features) - left
    np.testing.assert_allclose((kept * left).sum(axis=-1), 0, atol=1e-10)
    assert (share(left, basis) < ROUNDING).all()
    np.testing.assert_allclose(share(kept, basis), 1, atol=ROUNDING)


def test_means_that_span_less_have_a_smaller_basis():
    X = np.zeros((6, 3))
    X[:, 0] = [0, 0, 1, 1, 2, 2]
    basis = mean_directions(X, [0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(np.abs(basis), [[1, 0], [0, 0], [0, 0]], atol=ROUNDING)
    with pytest.raises(ValueError, match="each with one"):
        mean_directions(X, [0, 0, 2, 2, 2, 2])


def test_centring_leaves_means_of_zero():
    train = languages(200, 0)
    means = language_means(train.features, train.labels)
    left = language_means(centred(train.features, train.labels, means), train.labels)
    np.testing.assert_allclose(left, 0, atol=ROUNDING)


def test_discriminants_are_fisher_s_for_two_languages():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 2)) @ np.array([[1.0, 0.9], [0.0, 0.3]])
    y = np.arange(400) % 2
    X[y == 1] += [0.5, 0.0]
    gap = X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)
    within = sum(np.cov(X[y == label].T, bias=True) / 2 for label in (0, 1))
    expected = np.linalg.solve(within, gap)
    direction = discriminants(X, y, shrinkage=0.0)[:, 0]
    cosine = direction @ expected / np.linalg.norm(expected)
    assert abs(cosine) == pytest.approx(1)
    assert (
        abs(direction @ gap) / np.linalg.norm(gap) < 0.9
    )  # not the difference of the means itself


def test_discriminants_shrink_the_covariance_towards_a_multiple_of_the_identity():
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((60, 3)) * [3.0, 1.0, 0.2] + 1, np.arange(60) % 2
    X[y == 1] += 0.5
    gap = X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)
    within = sum(np.cov(X[y == label].T, bias=True) / 2 for label in (0, 1))
    expected = np.linalg.solve(within + 0.25 * np.diag(within).mean() * np.eye(3), gap)
    direction = discriminants(X, y, shrinkage=0.25)[:, 0]
    assert abs(direction @ expected) / np.linalg.norm(expected) == pytest.approx(1, rel=1e-12)


def test_discriminants_of_a_stack_are_those_of_each():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((2, 60, 4)), np.arange(60) % 3
    for directions, features in zip(discriminants(X, y), X, strict=True):
        alone = discriminants(features, y)
        assert directions.shape == (4, 2)
        np.testing.assert_allclose(directions @ directions.T, alone @ alone.T, atol=1e-12)


def test_a_probe_tells_the_language_until_its_directions_are_gone():
    train, dev, test = languages(200, 0), languages(100, 1), languages(120, 2)
    identified = identity(train, dev, test)
    assert identified.majority == 1 / C
    assert (identified.accuracy > 0.5).all()
    # Chance, and four standard deviations of 120 answers: 4 sqrt(3/16 / 120)
    assert (identified.without < 1 / C + 0.16).all()
    assert ((identified.share > 0) & (identified.share < 1)).all()
