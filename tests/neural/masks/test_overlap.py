import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.gpt.config import ModelConfig
from neural.masks import mask
from neural.masks.mask import COMPONENTS, Mask, from_tensors, full, random_like, size, sizes
from neural.masks.overlap import chance, corrected, expected, only, overlap, without
from tests.neural.random_model import random_parameters
from tests.strategies import seeded

MODEL = ModelConfig(layers=2, width=8, heads=2, context=3, vocabulary=5)
n = size(MODEL)


def mask_of(kept):
    bits = np.zeros(n, np.bool_)
    bits[list(kept)] = True
    return Mask(MODEL, bits)


@seeded
@given(st.lists(st.sets(st.integers(0, n - 1), min_size=1), min_size=2, max_size=4))
def test_jaccard_is_that_of_sets(kept):
    masks = [mask_of(of_one) for of_one in kept]
    jaccard = overlap(masks)
    assert jaccard.total == len(set.intersection(*kept)) / len(set.union(*kept))
    assert 0 <= jaccard.total <= overlap(masks[:2]).total <= 1
    assert overlap(masks[::-1]).total == jaccard.total
    assert overlap([masks[0], masks[0]]).total == 1
    for part in (jaccard.by_layer, jaccard.by_component):
        there = part[~np.isnan(part)]
        assert ((there >= 0) & (there <= 1)).all()


def test_layers_and_components_have_their_own_overlap():
    parts = [{name: np.zeros_like(array) for name, array in full(MODEL).items()} for _ in range(2)]
    parts[0]["h.0.attn.c_attn.weight"][:, 8:16] = True  # 64 keys, of which the other has half
    parts[1]["h.0.attn.c_attn.weight"][:4, 8:16] = True
    for half in parts:
        half["h.1.mlp.c_fc.weight"][:2] = True  # the same 64
    jaccard = overlap([from_tensors(MODEL, half) for half in parts])
    assert jaccard.by_layer.tolist() == [0.5, 1]
    np.testing.assert_array_equal(jaccard.by_component, [np.nan, 0.5, np.nan, np.nan, 1, np.nan])
    assert jaccard.total == (32 + 64) / (64 + 64)
    assert len(jaccard.by_component) == len(COMPONENTS)


def test_one_mask_has_no_overlap():
    for measure in (overlap, expected):
        with pytest.raises(ValueError, match="two or more"):
            measure([full(MODEL)])


def test_chance_is_known():
    assert chance(0.5) == pytest.approx(1 / 3, rel=1e-15)
    q = np.linspace(0.1, 1, 10)
    np.testing.assert_allclose(chance(q), q / (2 - q), rtol=1e-14)  # a few roundings
    np.testing.assert_allclose(chance(q, 0.3), 0.3 * q / (q + 0.3 - 0.3 * q), rtol=1e-14)
    assert chance(0.5, 0.5, 0.5) == pytest.approx((1 / 8) / (7 / 8))
    assert chance(1, 0.2) == pytest.approx(0.2)
    assert np.isnan(chance(0))


@pytest.mark.parametrize("k", [2, 3])
def test_the_null_is_the_mean_overlap_of_random_masks_of_the_same_densities(k):
    """Densities of matrices from 0.1 to 0.9, so that one of all weights would be wrong."""
    rng = np.random.default_rng(k)
    masks = []
    for _ in range(k):
        sparse = {
            name: rng.random(array.shape) < rng.choice([0.1, 0.5, 0.9])
            for name, array in full(MODEL).items()
        }
        masks.append(from_tensors(MODEL, sparse))
    masks[1] = masks[0] - mask.random(MODEL, 0, kept=n // 10) if k == 2 else masks[1]
    null, draws = expected(masks), 200
    drawn = [
        overlap([random_like(sampled, [5, draw, i]) for i, sampled in enumerate(masks)])
        for draw in range(draws)
    ]
    for measure, weights in (
        (lambda jaccard: jaccard.total, n),
        (lambda jaccard: jaccard.by_layer, sizes(MODEL).sum(axis=1)),
        (lambda jaccard: jaccard.by_component, sizes(MODEL).sum(axis=0)),
    ):
        overlaps = np.array([measure(sampled) for sampled in drawn])
        # Four standard errors, and what a ratio of means is from the mean ratio: below 1 / weights.
        room = 4 * overlaps.std(axis=0, ddof=1) / draws**0.5 + 1 / np.asarray(weights)
        assert (np.abs(overlaps.mean(axis=0) - measure(null)) <= room).all()
    plain = chance(*(sampled.density for sampled in masks))
    assert abs(plain - null.total) > 0.02


def test_the_null_of_equal_densities_is_chance():
    even = full(MODEL) - from_tensors(
        MODEL,
        {name: np.arange(a.size).reshape(a.shape) % 2 == 0 for name, a in full(MODEL).items()},
    )
    null = expected([even, ~even])
    assert null.total == pytest.approx(1 / 3)
    np.testing.assert_allclose(null.by_component, 1 / 3)
    assert overlap([even, ~even]).total == 0


def test_corrected_is_0_at_chance_and_1_at_the_ceiling():
    np.testing.assert_allclose(
        corrected([1 / 3, 0.6, 0.9, 0.1], 1 / 3, 0.9), [0, 0.8 / 1.7, 1, -0.7 / 1.7]
    )
    assert np.isnan(corrected(0.5, 0.4, 0.4))
    assert np.isnan(corrected(0.5, 0.4, 0.3))


@seeded
@given(st.lists(st.sets(st.integers(0, n - 1)), min_size=1, max_size=4))
def test_only_has_what_no_other_mask_keeps(kept):
    masks = [mask_of(of_one) for of_one in kept]
    for i, of_one in enumerate(kept):
        others = set().union(*kept[:i], *kept[i + 1 :])
        assert only(masks, i) == mask_of(of_one - others)
    assert only(masks, -1) == only(masks, len(masks) - 1)


def test_without_removes_the_weights_of_a_mask():
    parameters = random_parameters(MODEL)
    removed = mask.random(MODEL, 0, kept=100)
    left = without(parameters, removed)
    for name, value in parameters.items():
        gone = removed[name] if name in removed else np.zeros(value.shape, np.bool_)
        np.testing.assert_array_equal(left[name], np.where(gone, 0, value))
