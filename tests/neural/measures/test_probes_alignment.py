import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.measures.probes.align import (
    against_identity,
    argmax,
    itermax,
    matched,
    projected,
    scored,
    similarity,
)
from tests.strategies import seeded

S = np.array(
    [
        [0.9, 0.8, 0.1, 0.1],
        [0.7, 0.6, 0.2, 0.1],
        [0.1, 0.2, 0.5, 0.45],
    ]
)


def links(alignment):
    return [(int(i), int(j)) for i, j in np.argwhere(alignment)]


def test_argmax_by_hand():
    """Word 1 prefers 0, which prefers word 0."""
    assert links(argmax(S)) == [(0, 0), (2, 2)]


def test_itermax_by_hand():
    """Left are word 1 and words 1 and 3. S times the weights is

    0     .72    0     .09
    .63   .6     .18   .1
    0     .18    0     .405

    where word 1 still prefers 0, which now prefers it; of the aligned ones word 0 takes 1 too, and word 2 takes 3.
    """
    assert links(itermax(S)) == [(0, 0), (0, 1), (1, 0), (2, 2), (2, 3)]


def test_itermax_discounts_words_that_are_aligned():
    """At 0.9 of it 0.63 is still the most similar to word 1, at 0.8 of it 0.56 is not; word 1 itself is worth 0.6."""
    assert links(itermax(S, alpha=0.8)) == [(0, 0), (0, 1), (2, 2), (2, 3)]
    assert links(itermax(S, alpha=0.7)) == [(0, 0), (1, 1), (2, 2), (2, 3)]


def test_itermax_goes_on_only_while_both_have_words_left():
    assert links(itermax(S, iterations=1)) == links(argmax(S))
    assert links(itermax(S[:2])) == links(argmax(S[:2]))  # two words: one round, as in SimAlign
    diagonal = np.eye(3) + S[:, :3] / 10
    np.testing.assert_array_equal(itermax(diagonal, iterations=9), np.eye(3, dtype=bool))
    wide = np.c_[diagonal, [0.9, 0.9, 0.9]]
    np.testing.assert_array_equal(itermax(wide, iterations=9), np.eye(3, 4, dtype=bool))


def test_matched_is_the_largest_sum():
    """0.85 + 0.7 is more than 0.9 + 0.6."""
    sim = S + 0.05 * (S == 0.8)
    assert links(matched(sim[:2, :2])) == [(0, 1), (1, 0)]
    assert links(matched(sim.T)) == [(0, 1), (1, 0), (2, 2)]


def simalign_itermax(sim, rounds):
    """Written after the algorithm of the paper, entry by entry."""
    m, n = sim.shape
    aligned = np.zeros((m, n), bool)
    for _ in range(rounds):
        weight = np.ones((m, n))
        for i in range(m):
            for j in range(n):
                row, column = aligned[i].any(), aligned[:, j].any()
                weight[i, j] = 0.0 if row and column else 0.9 if row or column else 1.0
        if aligned.any(axis=1).all() or aligned.any(axis=0).all():
            break
        weighted = sim * weight
        new = [
            (i, j)
            for i in range(m)
            for j in range(n)
            if weight[i, j] > 0 and j == weighted[i].argmax() and i == weighted[:, j].argmax()
        ]
        for i, j in new:
            aligned[i, j] = True
    return aligned


@seeded
@given(st.integers(0, 10**6), st.integers(3, 9), st.integers(3, 9), st.integers(1, 4))
def test_itermax_follows_the_algorithm(seed, m, n, rounds):
    sim = np.maximum(np.random.default_rng(seed).random((m, n)) - 0.4, 0)
    aligned = itermax(sim, iterations=rounds)
    np.testing.assert_array_equal(aligned, simalign_itermax(sim, rounds))
    assert (argmax(sim) <= aligned).all()


def test_similarity_of_directions():
    similarities = similarity([[1, 0], [0, 2]], [[3, 0], [-1, 0], [0, 0], [1, 1]])
    np.testing.assert_allclose(
        similarities, [[1, 0, 0.5, (1 + 0.5**0.5) / 2], [0.5] * 3 + [similarities[0, 3]]]
    )
    with pytest.raises(ValueError, match="0 or more"):
        argmax([[0.1, -0.2]])


def test_scores_by_hand():
    """Four links, of which two are sure and one more is possible, of three sure ones."""
    A = np.zeros((3, 4), bool)
    A[[0, 1, 2, 2], [0, 1, 2, 3]] = True
    sure, possible = np.zeros((2, 3, 4), bool)
    sure[[0, 1, 1], [0, 1, 2]] = True
    possible[2, 2] = True
    score = scored([A], [sure], [possible])
    assert (score.precision, score.recall) == (3 / 4, 2 / 3)
    assert score.f1 == pytest.approx(2 * (3 / 4) * (2 / 3) / (3 / 4 + 2 / 3))
    assert score.aer == pytest.approx(1 - (2 + 3) / (4 + 3))
    twice = scored([A, A], [sure, sure], [possible, possible])
    assert twice == score
    assert scored([A], [A]).aer == 0
    assert np.isnan(scored([A & False], [sure]).precision)


def test_words_of_clones_are_their_own_gold():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((2, 8, 64))
    same = [argmax(similarity(v, v)) for v in vectors]
    assert against_identity(same).f1 == 1
    shuffled = [argmax(similarity(v, v[[1, 0, *range(2, 8)]])) for v in vectors]
    assert against_identity(shuffled).f1 == pytest.approx(6 / 8)


def test_spans_that_translate_each_other():
    A = np.zeros((4, 5), bool)
    A[[1, 1, 2, 3], [2, 4, 3, 0]] = True
    projection = projected([A], [(1, 3)], [(2, 4)])
    assert (projection.links, projection.precision, projection.chance) == (
        3,
        2 / 3,
        pytest.approx(2 / 5),
    )
    with pytest.raises(ValueError, match="spans"):
        projected([A], [(1, 5)], [(2, 4)])
