"""The joined table and the claims of the study across the four, on planted numbers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from neural.across.claims import claims, correlations, onsets, slopes
from neural.across.join import Results, gained
from sim.runs.errors import UserError
from tests.figures.fake_across import LEAST, Numbers, damage, small, write
from tests.figures.fake_imbalance import perplexity
from tests.neural.by_hand import assert_effect, chosen, student

MORE = "models that share more are more robust"
CREATED = "90/10 shares more than 50/50"
WORTH = "90/10 is worth more tokens than 50/50"
ROBUST = "90/10 is more robust than 50/50"
TWO = "two languages are more robust than one"
BEFORE = "sharing comes before robustness"
EARLIER = "sharing comes earlier with 90/10 than with 50/50"


def judged(folder, numbers, **changes):
    planned = small(**changes)
    table = claims(Results(planned, write(folder, planned, numbers)))
    return table.set_index(["claim", "setting"])["verdict"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Of a study as expected."""
    planned = small()
    return Results(planned, write(tmp_path_factory.mktemp("across"), planned, Numbers()))


@pytest.fixture(scope="module")
def judgements(results):
    return claims(results).set_index(["claim", "setting"])


def test_what_is_expected_is_replicated(judgements):
    judgements = judgements["verdict"]
    for measure in ("overlap of tickets", "what one ticket alone holds", "state cosine"):
        for how in (
            "pairs and shares, last step",
            "shares and steps within pairs",
            "slope over shares within pairs and steps",
        ):
            assert judgements[MORE, f"{measure}; area, all parameters; {how}"] == "replicated"
        assert judgements[CREATED, f"{measure}; en-fr"] == "replicated"
    assert judgements[WORTH, "TEff of the first language; c0-c1"] == "replicated"
    assert judgements[WORTH, "TEff of the second language; en-fr"] == "replicated"
    assert judgements[ROBUST, "slope, attention; c0-c1"] == "replicated"
    assert judgements[TWO, "area, attention; en-fr, 50/50"] == "replicated"
    assert judgements[BEFORE, "state cosine; c0-c1, 90/10"] == "replicated"


def test_the_contrary_is_opposite(tmp_path):
    numbers = Numbers(
        balanced=0.3, imbalanced=0.1, robust=-1.0, majority=0.6, minority=0.7, late=0.5, early=2.0
    )
    verdicts = judged(tmp_path, numbers)
    assert verdicts[MORE, "gradient cosine; slope, attention; pairs and shares, last step"] == (
        "opposite"
    )
    assert verdicts[CREATED, "overlap of tickets; c0-c1"] == "opposite"
    assert verdicts[CREATED, "parts of speech, transferred; c0-c1"] == "opposite"
    assert verdicts[WORTH, "TEff of the second language; c0-c1"] == "opposite"
    assert verdicts[TWO, "area, all parameters; c0-c1, 90/10"] == "opposite"
    # Less is shared at 90/10, and less is the damage: that is more robust.
    assert verdicts[ROBUST, "area, all parameters; c0-c1"] == "replicated"
    assert verdicts[BEFORE, "state cosine; c0-c1, 50/50"] == "no gain of robustness to time"


@pytest.mark.parametrize(
    ("late", "early", "before", "earlier"),
    [(2.0, 0.4, "replicated", "replicated"), (0.4, 2.0, "opposite", "opposite")],
)
def test_onsets_are_held_against_each_other(late, early, before, earlier, tmp_path):
    planned = small(seeds=(0, 1, 2, 3, 4), others=(), first=4)
    numbers = Numbers(late=late, early=early, balanced=0.3, scatter=0.001)
    results = Results(planned, write(tmp_path, planned, numbers))
    verdicts = claims(results).set_index(["claim", "setting"])["verdict"]
    assert verdicts[BEFORE, "gradient cosine; c0-c1, 50/50"] == before
    assert verdicts[EARLIER, "gradient cosine; c0-c1"] == earlier
    times = onsets(results).query("share == 0.5 and measure == 'state_cosine'")
    # Half of what grows with log2(1 + step) is reached at about the root of the last step.
    expected = np.log2(np.sqrt(1 + planned.optimiser.steps) - 1)
    assert times["log2"].mean() == pytest.approx(expected, abs=0.2)  # straight between octaves
    assert times["sure"].all()


def test_an_onset_before_the_first_look_is_a_bound(judgements):
    row = judgements.loc[(EARLIER, "overlap of tickets; en-fr")]
    assert row["verdict"] == "starts before the first look"
    assert np.isnan(row["low"])


def test_one_seed_has_no_verdict(tmp_path):
    verdicts = judged(tmp_path, Numbers(), seeds=(0,), others=())
    assert "one seed" in set(verdicts)
    assert not set(verdicts) & {"replicated", "opposite", "not replicated"}


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
    verdicts = claims(results).set_index(["claim", "setting"])["verdict"]
    assert verdicts[WORTH, "TEff of the first language; c0-c1"] == "above the monolingual runs"


def test_a_study_that_is_not_done_is_said_to_be(tmp_path):
    planned = small(others=())
    folder = write(tmp_path / "one", planned, Numbers(), without="ablation")
    with pytest.raises(UserError, match="no table ablation"):
        Results(planned, folder)
    folder = write(tmp_path / "two", planned, Numbers())
    with pytest.raises(UserError, match="no table loss of en-fr"):
        Results(small(), folder)


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
    verdicts = judged(tmp_path, numbers, seeds=(0, 1, 2, 3, 4))
    counts = verdicts[MORE].value_counts()
    assert counts["not replicated"] > 0.8 * counts.sum()  # 95 % of independent ones


# --- numbers without a pattern, and each effect computed again --------------------------------------------------------

SEEDS = (0, 1, 2)
SHARED = {
    "overlap": ("overlap of tickets", "overlap", 1),
    "specific": ("what one ticket alone holds", "nats", -1),
    "state_cosine": ("state cosine", "cosine", 1),
    "gradient_cosine": ("gradient cosine", "cosine", 1),
}
LOST = {
    "area_all": ("area, all parameters", "nats"),
    "area_attention": ("area, attention", "nats"),
    "slope_all": ("slope, all parameters", "nats / σ²"),
    "slope_attention": ("slope, attention", "nats / σ²"),
}
PROBED = {
    "retrieval": ("retrieval of translations", "accuracy"),
    "transferred": ("parts of speech, transferred", "accuracy"),
}
TEFF = {
    "teff_first": ("TEff of the first language", "log TEff"),
    "teff_second": ("TEff of the second language", "log TEff"),
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    planned = small()
    made = Results(planned, write(tmp_path_factory.mktemp("drawn"), planned, Numbers()))
    models, rng = made.models.copy(), np.random.default_rng(0)
    for column in (*SHARED, *LOST, *PROBED, *TEFF, "loss_first", "spared_all"):
        there = models[column].notna()
        models.loc[there, column] = rng.uniform(0.1, 0.9, int(there.sum()))
    models["beyond_first"] = models["beyond_second"] = ""
    made.models = models
    return made


@pytest.fixture(scope="module")
def effects(drawn):
    table = claims(drawn)
    assert not table.duplicated(["claim", "setting"]).any()
    return table.set_index(["claim", "setting"])


def partial(x, y, given):
    """Of ranks: the correlation of what least squares on the third's leave of the two."""
    x, y, given = (stats.rankdata(values) for values in (x, y, given))
    left = [values - np.polyval(np.polyfit(given, values, 1), given) for values in (x, y)]
    return np.corrcoef(*left)[0, 1]


def correlated(table, x, y, within, given):
    """By seed: the mean over groups of at least four models."""
    values = []
    for seed in SEEDS:
        own = chosen(table, seed=seed)
        groups = [part for _, part in own.groupby(within)] if within else [own]
        of_groups = []
        for part in groups:
            columns = [x, y, *([given] if given else [])]
            known = part.dropna(subset=columns)
            if len(known) >= 4:
                columns = [known[name] for name in columns]
                of_groups.append(
                    partial(*columns) if given else stats.spearmanr(*columns).statistic
                )
        values.append(np.mean(of_groups))
    return values


def within_bounds(ends):
    return ends[0], max(ends[1], -1), min(ends[2], 1)


def test_sharing_against_robustness(drawn, effects):
    models = drawn.models
    tested = models[models["step"].isin(drawn.study.ticket_steps) & (models["step"] > 0)]
    last = chosen(models, last=True)
    for shared, (said, unit, sign) in SHARED.items():
        for lost, (lost_said, lost_unit) in LOST.items():
            for where, table, within in (
                ("pairs and shares, last step", last, []),
                ("shares and steps within pairs", tested, ["pair"]),
            ):
                for given, held in ((None, ""), ("loss_first", ", clean loss held")):
                    row = effects.loc[MORE, f"{said}; {lost_said}; {where}{held}"]
                    ends = student(correlated(table, shared, lost, within, given))
                    assert_effect(row, within_bounds(ends), -sign, "rank correlation")
            slopes_of_seeds = []
            for seed in SEEDS:
                own = chosen(tested, seed=seed).dropna(subset=[shared, lost])
                groups = [part for _, part in own.groupby(["pair", "step"])]
                x, y = (
                    np.concatenate([part[name] - part[name].mean() for part in groups])
                    for name in (shared, lost)
                )
                slopes_of_seeds.append(stats.linregress(x, y).slope)
            row = effects.loc[
                MORE, f"{said}; {lost_said}; slope over shares within pairs and steps"
            ]
            unit_said = "1" if unit == lost_unit else f"{lost_unit} per {unit}"
            assert_effect(row, student(slopes_of_seeds), -sign, unit_said)


def test_measures_of_sharing(drawn, effects):
    last = chosen(drawn.models, last=True)
    signs = {name: sign for name, (_, _, sign) in SHARED.items()}
    names = {**SHARED, **PROBED, "teff_second": TEFF["teff_second"]}
    for name, (said, *_) in names.items():
        if name == "overlap":
            continue
        row = effects.loc[
            "measures of sharing agree",
            f"overlap of tickets; {said}; pairs and shares, last step",
        ]
        ends = student(correlated(last, "overlap", name, [], None))
        assert_effect(row, within_bounds(ends), signs.get(name, 1), "rank correlation")
    assert len(effects.loc["measures of sharing agree"]) == len(names) - 1


def test_what_imbalance_and_a_second_language_change(drawn, effects):
    last = chosen(drawn.models, last=True)

    def values(pair, share, column):
        table = chosen(last, pair=pair, share=share).set_index("seed")[column]
        by_seed = table.loc[list(SEEDS)].to_numpy()
        return np.log(by_seed) if column in TEFF else by_seed

    pairs = ["-".join(pair) for pair in drawn.study.pairs]
    for pair in pairs:
        for claim, measures in ((CREATED, {**SHARED, **PROBED}), (WORTH, TEFF), (ROBUST, LOST)):
            for column, (said, unit, *_) in measures.items():
                sign = -1 if column in LOST or column == "specific" else 1
                change = values(pair, 0.1, column) - values(pair, 0.5, column)
                assert_effect(effects.loc[claim, f"{said}; {pair}"], student(change), sign, unit)
        for column, (said, unit) in LOST.items():
            for share, name in ((0.5, "50/50"), (0.1, "90/10")):
                change = values(pair, share, column) - values(pair, 0.0, column)
                assert_effect(
                    effects.loc[TWO, f"{said}; {pair}, {name}"], student(change), -1, unit
                )
    assert len(effects.loc[ROBUST]) == len(pairs) * len(LOST)
    assert len(effects.loc[TWO]) == 2 * len(pairs) * len(LOST)


def test_how_onsets_are_held_against_each_other(judgements, results):
    """Seed by seed, over those that have both."""
    times = onsets(results)
    for column, (said, *_) in {**SHARED, **PROBED}.items():
        if column == "specific":
            continue
        for pair in ("-".join(pair) for pair in results.study.pairs):

            def log2(measure, share, pair=pair):
                own = chosen(times, pair=pair, share=share, measure=measure)
                return own.set_index("seed").loc[list(SEEDS), "log2"].to_numpy()

            for share, name in ((0.5, "50/50"), (0.1, "90/10")):
                later = log2(column, share) - log2("spared_all", share)
                row = judgements.loc[BEFORE, f"{said}; {pair}, {name}"]
                assert row["effect"] == pytest.approx(np.nanmean(later))
                assert (row["unit"], row["expected"]) == ("log2 steps", -1)
            sooner = log2(column, 0.1) - log2(column, 0.5)
            row = judgements.loc[EARLIER, f"{said}; {pair}"]
            assert row["effect"] == pytest.approx(np.nanmean(sooner))
            if np.isfinite(row["low"]):
                assert_effect(row, student(sooner), -1, "log2 steps")
