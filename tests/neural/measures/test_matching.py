from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.measures.matching import Matching, frequency_bins, match, rotation, share_matched
from neural.text.clone import Clones, pairs
from tests.strategies import seeded

CLONES = Clones(60, 2, (0,))
TRUE = pairs(CLONES, 1)


def drawn(n=120, d=12, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def cloned(noise):
    """Embeddings of clones: those of the first language, and noise."""
    E = drawn()
    E[60:] = E[:60] + noise * drawn(60, seed=1)
    return E


def test_it_is_the_best_of_all_matchings():
    E, first, other = drawn(), [3, 1, 4, 15, 9], [62, 110, 87, 71]
    unit = E / np.linalg.norm(E, axis=1, keepdims=True)
    best = max(
        sum(unit[i] @ unit[j] for i, j in zip(order, other, strict=True))
        for order in permutations(first, len(other))
    )
    matching = match(E, first, other)
    assert matching.cosine * 4 == pytest.approx(best, rel=1e-12)
    assert set(matching.pairs[:, 0]) < set(first)
    assert sorted(matching.pairs[:, 1]) == sorted(other)
    for (i, j), cosine in zip(matching.pairs, matching.cosines, strict=True):
        assert cosine == pytest.approx(unit[i] @ unit[j], rel=1e-12)


def test_random_embeddings_match_as_well_as_turned_ones():
    """Which is well: about 0.6 on average, where two of them have a cosine of 0."""
    matching = match(drawn(), TRUE[:, 0], TRUE[:, 1], rotations=20)
    assert matching.cosine > 0.5
    # One of 21 draws alike: beyond four of their standard deviations in one of 10 000.
    assert abs(matching.cosine - matching.null) < 4 * matching.turned.std(ddof=1)
    assert share_matched(matching, TRUE) < 0.1


def test_clones_find_each_other():
    shuffled = np.random.default_rng(2).permutation(TRUE[:, 1])
    matching = match(cloned(0.1), TRUE[:, 0], shuffled)
    assert share_matched(matching, TRUE) == 1
    assert sorted(map(tuple, matching.pairs)) == list(map(tuple, TRUE))
    assert matching.cosine > 0.98  # 1 / sqrt(1 + 0.1^2) is 0.995
    assert matching.null < 0.75
    assert 0.1 < share_matched(match(cloned(1.0), *TRUE.T), TRUE) < 0.95


def test_found_is_a_share_of_the_true_pairs():
    matching = Matching(np.array([[1, 61], [2, 63], [3, 62]]), np.ones(3), np.ones(0))
    assert share_matched(matching, [[1, 61], [2, 62]]) == 0.5
    assert share_matched(matching, [[61, 1]]) == 0
    assert np.isnan(matching.null)
    with pytest.raises(ValueError, match="no true pairs"):
        share_matched(matching, np.zeros((0, 2)))


def test_a_common_direction_is_no_agreement_between_centred_languages():
    E = drawn() + 3 * drawn(1, seed=5)
    whole, centred = (match(E, *TRUE.T, rotations=20, centred=given) for given in (False, True))
    assert whole.cosine > whole.null + 0.5
    # As of random embeddings, whose matchings differ by 0.015 from draw to draw.
    assert abs(centred.cosine - centred.null) < 0.06


def test_rotations_are_orthogonal_functions_of_the_seed():
    Q = rotation(9, (3, 1))
    np.testing.assert_allclose(Q @ Q.T, np.eye(9), atol=64 * np.finfo(float).eps * 9)
    np.testing.assert_array_equal(Q, rotation(9, (3, 1)))
    assert abs(Q - rotation(9, (3, 2))).max() > 0.1
    # Without the signs the first entry of every column's reflection is negative: the mean of 400 is 0 +- 0.017.
    traces = [np.trace(rotation(9, (number,))) / 9 for number in range(400)]
    assert abs(np.mean(traces)) < 0.03
    first, same, other = (
        match(drawn(), *TRUE.T, rotations=2, seed=seed).turned for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).all()
    assert first[0] != first[1]


@pytest.mark.parametrize(
    ("first", "other", "words"),
    [
        ([1, 2], [2, 3], "1 ids are of both"),
        ([1, 1], [2], "each once"),
        ([], [2], "one or more"),
    ],
)
def test_ids_that_cannot_be_matched_are_refused(first, other, words):
    with pytest.raises(ValueError, match=words):
        match(drawn(), first, other)


def test_bins_are_ordered_by_frequency():
    counts = np.array([9, 0, 5, 5, 5, 7, 100])
    parts = frequency_bins(counts, [6, 5, 4, 3, 2, 1], 3)
    assert [part.tolist() for part in parts] == [[1, 2], [3, 4], [5, 6]]


@seeded
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.data())
def test_bins_divide_the_ids_and_none_is_empty(counts, data):
    ids = data.draw(
        st.permutations(range(len(counts))).map(lambda order: order[: len(order) // 2 + 1])
    )
    bins = data.draw(st.integers(1, len(ids)))
    parts = frequency_bins(counts, ids, bins)
    sizes = [len(part) for part in parts]
    assert len(parts) == bins
    assert min(sizes) >= max(1, max(sizes) - 1)
    assert sorted(np.concatenate(parts)) == sorted(ids)
    for rare, frequent in pairwise(parts):
        keys = [[(counts[i], i) for i in part] for part in (rare, frequent)]
        assert max(keys[0]) < min(keys[1])


def test_more_bins_than_ids_are_refused():
    with pytest.raises(ValueError, match="3 bins of 2 ids"):
        frequency_bins([1, 2], [0, 1], 3)
