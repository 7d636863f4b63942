"""The joined table and the claims of the study across the four, on planted numbers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neural.across.claims import claims, correlations, onsets, rank_correlation, slopes
from neural.across.join import Results, gained
from sim.runs.errors import UserError
from tests.figures.fake_across import LEAST, Numbers, damage, small, write
from tests.figures.fake_imbalance import perplexity

MORE = "models that share more are more robust"
CREATED = "90/10 shares more than 50/50"
WORTH = "90/10 is worth more tokens than 50/50"
ROBUST = "90/10 is more robust than 50/50"
TWO = "two languages are more robust than one"
BEFORE = "sharing comes before robustness"
EARLIER = "sharing comes earlier with 90/10 than with 50/50"


def judged(folder, numbers, **changes):
    planned = small(**changes)
    found = claims(Results(planned, write(folder, planned, numbers)))
    return found.set_index(["claim", "setting"])["verdict"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Of a study as expected."""
    planned = small()
    return Results(planned, write(tmp_path_factory.mktemp("across"), planned, Numbers()))


@pytest.fixture(scope="module")
def found(results):
    return claims(results).set_index(["claim", "setting"])


def test_what_is_expected_is_replicated(found):
    found = found["verdict"]
    for measure in ("overlap of tickets", "what one ticket alone holds", "state cosine"):
        for how in (
            "pairs and shares, last step",
            "shares and steps within pairs",
            "slope over shares within pairs and steps",
        ):
            assert found[MORE, f"{measure}; area, all parameters; {how}"] == "replicated"
        assert found[CREATED, f"{measure}; en-fr"] == "replicated"
    assert found[WORTH, "TEff of the first language; c0-c1"] == "replicated"
    assert found[WORTH, "TEff of the second language; en-fr"] == "replicated"
    assert found[ROBUST, "slope, attention; c0-c1"] == "replicated"
    assert found[TWO, "area, attention; en-fr, 50/50"] == "replicated"
    assert found[BEFORE, "state cosine; c0-c1, 90/10"] == "replicated"


def test_the_contrary_is_opposite(tmp_path):
    numbers = Numbers(
        balanced=0.3, imbalanced=0.1, robust=-1.0, majority=0.6, minority=0.7, late=0.5, early=2.0
    )
    found = judged(tmp_path, numbers)
    assert found[MORE, "gradient cosine; slope, attention; pairs and shares, last step"] == (
        "opposite"
    )
    assert found[CREATED, "overlap of tickets; c0-c1"] == "opposite"
    assert found[CREATED, "parts of speech, transferred; c0-c1"] == "opposite"
    assert found[WORTH, "TEff of the second language; c0-c1"] == "opposite"
    assert found[TWO, "area, all parameters; c0-c1, 90/10"] == "opposite"
    # Less is shared at 90/10, and less is the damage: that is more robust.
    assert found[ROBUST, "area, all parameters; c0-c1"] == "replicated"
    assert found[BEFORE, "state cosine; c0-c1, 50/50"] == "no gain of robustness to time"


@pytest.mark.parametrize(
    ("late", "early", "before", "earlier"),
    [(2.0, 0.4, "replicated", "replicated"), (0.4, 2.0, "opposite", "opposite")],
)
def test_onsets_are_held_against_each_other(late, early, before, earlier, tmp_path):
    planned = small(seeds=(0, 1, 2, 3, 4), others=(), first=4)
    numbers = Numbers(late=late, early=early, balanced=0.3, scatter=0.001)
    results = Results(planned, write(tmp_path, planned, numbers))
    found = claims(results).set_index(["claim", "setting"])["verdict"]
    assert found[BEFORE, "gradient cosine; c0-c1, 50/50"] == before
    assert found[EARLIER, "gradient cosine; c0-c1"] == earlier
    times = onsets(results).query("share == 0.5 and measure == 'state_cosine'")
    # Half of what grows with log2(1 + step) is reached at about the root of the last step.
    expected = np.log2(np.sqrt(1 + planned.optimiser.steps) - 1)
    assert times["log2"].mean() == pytest.approx(expected, abs=0.2)  # straight between octaves
    assert times["sure"].all()


def test_an_onset_before_the_first_look_is_a_bound(found):
    row = found.loc[(EARLIER, "overlap of tickets; en-fr")]
    assert row["verdict"] == "starts before the first look"
    assert np.isnan(row["low"])


def test_one_seed_has_no_verdict(tmp_path):
    found = judged(tmp_path, Numbers(), seeds=(0,), others=())
    assert "one seed" in set(found)
    assert not set(found) & {"replicated", "opposite", "not replicated"}


def between(planned, tokens):
    """What is read off a line in logarithms through the monolingual runs instead of so many tokens, of seed 2."""
    budgets = np.array([*planned.reference, 1.0]) * planned.tokens(planned.studied[0])
    runs = [np.log(perplexity(max(budget, LEAST), 64, 2)) for budget in budgets]
    wanted = np.log(perplexity(max(tokens, LEAST), 64, 2))
    return float(np.exp(np.interp(-wanted, -np.array(runs), np.log(budgets))))


def test_the_joined_table_has_the_planted_numbers(results):
    planned, numbers = results.study, Numbers()
    models = results.models
    (recipe,) = [r for r in planned.studied if r.pair == "en-fr" and r.share == 0.1]
    row = models.query("pair == 'en-fr' and share == 0.1 and seed == 2 and last").iloc[0]
    area = damage(planned, numbers, recipe, 2, planned.optimiser.steps)
    assert row["area_attention"] == pytest.approx(area, rel=1e-12)
    assert row["slope_all"] == pytest.approx(3 * area, rel=1e-12)
    alone = models.query("pair == 'en-fr' and share == 0 and seed == 2 and last").iloc[0]
    assert row["spared_all"] == pytest.approx(alone["area_all"] - row["area_all"])
    for role, worth, share in (("second", numbers.minority, 0.1), ("first", numbers.majority, 0.9)):
        tokens = planned.tokens(recipe)
        wanted = between(planned, worth * share * tokens) / (share * tokens)
        assert row[f"teff_{role}"] == pytest.approx(wanted, rel=1e-3)  # tokens are whole
        assert row[f"teff_{role}"] == pytest.approx(worth, rel=0.1)
    assert row["specific"] == pytest.approx(0.1, abs=0.02)  # 0.5 less what is shared less 0.1
    assert row["state_cosine"] == pytest.approx(0.1 + numbers.imbalanced, abs=0.02)
    gain = gained(models, "retrieval")
    assert gain[models["share"] == 0].eq(0).all()
    assert gain[row.name] == pytest.approx(row["retrieval"] - alone["retrieval"])


def test_what_lies_beyond_the_budgets_is_no_effect(tmp_path):
    planned = small(others=())
    results = Results(planned, write(tmp_path, planned, Numbers(majority=2.0)))
    rows = results.efficiency.query("role == 'first' and share == 0.1")
    assert set(rows["beyond"]) == {"above"}
    np.testing.assert_allclose(rows["teff"], 1 / 0.9, rtol=1e-3)  # all tokens over those seen
    found = claims(results).set_index(["claim", "setting"])["verdict"]
    assert found[WORTH, "TEff of the first language; c0-c1"] == "above the monolingual runs"


def test_a_study_that_is_not_done_is_said_to_be(tmp_path):
    planned = small(others=())
    folder = write(tmp_path / "one", planned, Numbers(), without="ablation")
    with pytest.raises(UserError, match="no table ablation"):
        Results(planned, folder)
    folder = write(tmp_path / "two", planned, Numbers())
    with pytest.raises(UserError, match="no table loss of en-fr"):
        Results(small(), folder)


def test_rank_correlations():
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
    assert rank_correlation(x, [5, 3, 2, 4, np.nan]) == pytest.approx(-0.4)  # ranks 1234, 4213
    assert np.isnan(rank_correlation(x[:3], x[:3]))
    assert np.isnan(rank_correlation(x, np.ones(5)))
    assert np.isnan(rank_correlation(x, x[::-1], given=x))


def test_a_partial_correlation_is_that_of_the_residuals():
    rng = np.random.default_rng(0)
    ranks = np.array([rng.permutation(12) for _ in range(3)], dtype=float)
    a, b = (y - np.polyval(np.polyfit(ranks[2], y, 1), ranks[2]) for y in ranks[:2])
    expected = np.corrcoef(a, b)[0, 1]
    assert rank_correlation(*ranks) == pytest.approx(expected)


def test_effects_over_models_are_taken_within_seeds_and_groups():
    """Between seeds and between pairs everything runs the other way."""
    rows = [
        {"seed": seed, "pair": pair, "x": 10 * seed + 10 * k + i, "y": 3 * i - 50 * (seed + k)}
        for seed in (0, 1)
        for k, pair in enumerate(("a", "b"))
        for i in range(4)
    ]
    table = pd.DataFrame(rows)
    np.testing.assert_allclose(correlations(table, "x", "y", ["pair"]), [1, 1])
    np.testing.assert_allclose(slopes(table, "x", "y", ["pair"]), [3, 3])
    assert (correlations(table, "x", "y", []) < 0).all()
    level = table.assign(x=1.0)
    assert np.isnan(correlations(level, "x", "y", ["pair"])).all()
    assert np.isnan(slopes(level, "x", "y", ["pair"])).all()


@pytest.mark.slow
def test_numbers_that_do_not_depend_on_sharing_are_not_replicated(tmp_path):
    numbers = replace(Numbers(), robust=0.0, scatter=0.05)
    found = judged(tmp_path, numbers, seeds=(0, 1, 2, 3, 4))
    counts = found[MORE].value_counts()
    assert counts["not replicated"] > 0.8 * counts.sum()  # 95 % of independent ones
