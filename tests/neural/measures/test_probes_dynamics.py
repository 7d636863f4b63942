import numpy as np
import pytest
from scipy import stats

from neural.measures.probes.onset import best_layer, centre, forgetting, log2_steps, onset

STEPS = np.array([0, 1, 2, 4, 8, 16, 32])


def test_the_first_step_that_reaches_the_share():
    scores = np.array([[0.2, 0.3, 0.5, 0.7, 0.79, 0.8, 0.75]])
    onsets = onset(scores, STEPS)
    assert (onsets.first[0], onsets.best[0]) == (8, 16)
    # 0.784 is 84/90 of the way from 0.7 at 2^2 to 0.79 at 2^3
    assert onsets.log2[0] == pytest.approx(2 + 84 / 90)
    above = onset(scores, STEPS, floor=0.2)  # 0.788 of the range
    assert (above.first[0], above.log2[0]) == (8, pytest.approx(2 + 88 / 90))
    assert onset(scores, STEPS, share=0.6).first[0] == 2
    assert np.isnan(onsets.over_seeds.low)


def test_onset_of_a_straight_line_is_where_it_crosses():
    """Over log2 of the step from 1 on the score rises by seed-dependent slopes; each best is that of the last step."""
    steps = 2 ** np.arange(9)
    slopes = np.array([1.0, 2.0, 3.0])
    scores = 1 + slopes[:, None] * np.arange(9)
    onsets = onset(scores, steps, share=0.5)
    expected = (0.5 * (1 + 8 * slopes) - 1) / slopes
    np.testing.assert_allclose(onsets.log2, expected)
    half = stats.t.ppf(0.975, 2) * expected.std(ddof=1) / np.sqrt(3)
    assert float(onsets.over_seeds.high - onsets.over_seeds.value) == pytest.approx(half)


def test_a_score_that_is_there_from_the_start():
    onsets = onset([[0.8, 0.8, 0.8]], [0, 4, 8])
    assert (onsets.first[0], onsets.best[0], onsets.log2[0]) == (0, 0, 1.0)
    np.testing.assert_allclose(log2_steps([0, 4, 8]), [1, 2, 3])


def test_a_score_that_never_leaves_its_floor_has_no_onset():
    onsets = onset([[0.5, 0.4, 0.5], [0.2, 0.4, 0.9]], [0, 1, 2], floor=[0.5, 0.2])
    assert onsets.first.tolist() == [-1, 2]
    assert np.isnan(onsets.log2[0])
    assert np.isfinite(onsets.log2[1])
    assert np.isnan(onsets.over_seeds.value)


def test_losses_are_negated_and_need_a_floor():
    losses = np.array([[3.0, 2.0, 1.0, 1.02]])
    with pytest.raises(ValueError, match="floor"):
        onset(-losses, [0, 1, 2, 4])
    onsets = onset(-losses, [0, 1, 2, 4], floor=-losses[:, 0], share=0.5)
    assert onsets.first[0] == 1


def test_further_axes_are_kept():
    rng = np.random.default_rng(0)
    scores = rng.random((3, len(STEPS), 2, 4))
    onsets = onset(scores, STEPS)
    alone = onset(scores[:, :, 1, 2], STEPS)
    assert onsets.log2.shape == (3, 2, 4)
    np.testing.assert_array_equal(onsets.first[:, 1, 2], alone.first)
    np.testing.assert_array_equal(onsets.over_seeds.low[1, 2], alone.over_seeds.low)
    with pytest.raises(ValueError, match="that rise"):
        onset(scores, STEPS[::-1])
    with pytest.raises(ValueError, match="at steps"):
        onset(scores, STEPS[1:])


def test_what_is_lost_after_the_best():
    scores = np.array([[0.2, 0.8, 0.6], [0.2, 0.5, 0.4]])
    lost = forgetting(scores)
    changes = np.array([-0.25, -0.2])
    assert float(lost.value) == pytest.approx(changes.mean())
    half = stats.t.ppf(0.975, 1) * changes.std(ddof=1) / np.sqrt(2)
    assert float(lost.value - lost.low) == pytest.approx(half)
    assert float(forgetting(scores, floor=0.2).value) == pytest.approx(-1 / 3)


def test_noise_alone_is_no_forgetting_where_dev_chooses_the_best():
    rng = np.random.default_rng(0)
    noise = 0.5 + 0.02 * rng.standard_normal((2, 40, 12))
    biased = forgetting(noise[0])
    fair = forgetting(noise[0], by=noise[1])
    assert biased.high < -0.02
    assert fair.low < 0 < fair.high


def test_layers():
    scores = np.array([[[0.5, 0.7, 0.6], [0.5, 0.5, 0.5], [0.9, 0.6, 0.8]]])
    np.testing.assert_array_equal(best_layer(scores), [[1, 0, 0]])
    centres = centre(scores, floor=0.5)
    np.testing.assert_allclose(centres, [[(0.2 + 0.2) / 0.3, np.nan, (0.1 + 0.6) / 0.8]])
