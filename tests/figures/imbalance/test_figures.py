"""The figures of study S24, from a study whose numbers are given by a formula."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from figures.engine import rooms, style
from figures.engine.runs import MissingRows
from figures.engine.studies import over_seeds
from figures.imbalance import alignment_layers as layers
from figures.imbalance import perplexity as ppl
from figures.imbalance import phase, schedules, tables
from figures.imbalance import token_efficiency as teff
from figures.imbalance.read import imbalance
from neural.imbalance.plan import Recipe, Study
from tests.figures import fake_imbalance as fake
from tests.figures.fake_imbalance import Numbers, write

pytestmark = pytest.mark.usefixtures("read_once")

STUDY = fake.small()
NUMBERS = Numbers()
OURS = ("imbalance-ppl", "token-efficiency", "imbalance-phase", "alignment-layers", "schedules")
T = 0.95 / np.sqrt(2 * 0.975 * 0.025)
"""Student's t of 2 degrees of freedom is t(p) = (2 p - 1) / sqrt(2 p (1 - p))."""
CLOSE = {"rtol": 1e-9}
"""Sums of a few numbers round at 1e-15; scipy's quantile is good to 1e-10."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("imbalance") / "out", STUDY, NUMBERS)


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeds alike, but for what a fit needs."""
    return write(tmp_path_factory.mktemp("exact") / "out", STUDY, Numbers(scatter=1e-6))


def recipe(**where: object) -> Recipe:
    """The run of the grid, at the base width, with these values."""
    (chosen,) = [
        planned_run
        for planned_run in STUDY.runs
        if planned_run.experiment == "grid"
        and planned_run.width == STUDY.model.width
        and all(getattr(planned_run, name) == value for name, value in where.items())
    ]
    return chosen


def losses(planned_run: Recipe, language: int, study: Study = STUDY) -> np.ndarray:
    return np.array(
        [fake.nats(study, NUMBERS, planned_run, language, seed) for seed in study.seeds]
    )


def test_perplexity_is_of_the_mean_loss_with_its_interval(run: Path) -> None:
    table = ppl.table(run)
    model = table[table["kind"] == "model"].set_index(["budget", "share", "language"])
    assert set(table["width"]) == {64}
    assert len(model) == 3 * (2 * 4 + 1)  # budgets; shares of two languages, and of one
    for budget, share, language in ((0.25, 0.02, 1), (1.0, 0.1, 0), (4.0, 0.5, 1), (1.0, 0.0, 0)):
        row = model.loc[(budget, share, f"c{language}")]
        nats = losses(recipe(budget=budget, share=share), language)
        half = T * nats.std(ddof=1) / np.sqrt(3)
        want = np.exp([nats.mean(), nats.mean() - half, nats.mean() + half])
        np.testing.assert_allclose(row[["value", "low", "high"]].astype(float), want, **CLOSE)
        assert row["seeds"] == 3
        assert row["tokens"] == budget * STUDY.unit


def test_one_language_alone_is_drawn_only_within_its_budgets(exact: Path) -> None:
    table = ppl.table(exact)
    alone = table[table["kind"] == "monolingual"].set_index(["budget", "share", "language"])
    least = STUDY.unit / 16
    for _, row in table[table["kind"] == "model"].iterrows():
        place = (row["budget"], row["share"], row["language"])
        assert (place in alone.index) == (row["seen"] >= least)
        if row["seen"] >= least:
            want = fake.perplexity(row["seen"])
            # A curve fitted to 1/PPL that scatters by 1e-6 among seeds.
            np.testing.assert_allclose(alone.loc[place, "value"], want, rtol=1e-4)
    assert len(alone) < (table["kind"] == "model").sum()


def test_every_perplexity_is_drawn_inside_its_panel(run: Path) -> None:
    table = ppl.table(run)
    with style.use():
        figure = ppl.draw(table)
        figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 3
    for axes, budget in zip(shown, (0.25, 1, 4), strict=True):
        drawn = np.concatenate([line.get_ydata() for line in axes.lines])
        values = table.loc[table["budget"] == budget, "value"]
        assert set(values) <= set(drawn)
        low, high = axes.get_ylim()
        assert low < values.min()
        assert values.max() < high


def test_efficiency_is_that_of_the_formula(exact: Path) -> None:
    table = teff.table(exact)
    rows = table[table["kind"] == "efficiency"].set_index(["budget", "share", "language"])
    for (budget, share, language), row in rows[rows["beyond"] == ""].iterrows():
        want = fake.efficiency(NUMBERS, recipe(budget=budget, share=share), language)
        # Perplexities scatter by 1e-6, and tokens by 1 / (B (C PPL - 1)) times that: less than 1e-4.
        np.testing.assert_allclose(row["value"], want, rtol=1e-3)
    curve = table[(table["kind"] == "curve") & (table["width"] == 64)]
    want = [1 / fake.perplexity(tokens) for tokens in curve["tokens"]]
    np.testing.assert_allclose(curve["value"], want, rtol=1e-4)
    assert curve["tokens"].min() == pytest.approx(STUDY.unit / 16)  # geomspace rounds its ends
    assert curve["tokens"].max() == pytest.approx(STUDY.unit * 4)


def test_bounds_are_hollow_arrows_without_intervals(run: Path) -> None:
    table = teff.table(run)
    rows = table[table["kind"] == "efficiency"].set_index(["budget", "share", "language"])
    row = rows.loc[(0.25, 0.02, "c1")]
    # 2 % of a quarter, worth some 2 of alone, against a sixteenth: the least that was trained.
    assert row["beyond"] == "below"
    assert row["value"] == pytest.approx((1 / 16) / (0.25 * 0.02), rel=1e-3)  # of whole tokens
    assert rows.loc[rows["beyond"] != "", ["low", "high"]].isna().all(axis=None)
    assert rows.loc[rows["beyond"] == "", ["low", "high"]].notna().all(axis=None)
    with style.use():
        figure = teff.draw(table)
    lines = [line for axes in figure.axes for line in axes.lines]
    hollow = [line for line in lines if line.get_markerfacecolor() == "white"]
    down = [y for line in hollow if line.get_marker() == "v" for y in line.get_ydata()]
    up = [y for line in hollow if line.get_marker() == "^" for y in line.get_ydata()]
    assert sorted(down) == sorted(rows.loc[rows["beyond"] == "below", "value"])
    assert sorted(up) == sorted(rows.loc[rows["beyond"] == "above", "value"])
    assert len(down) >= 1


def test_bounds_on_both_sides_are_no_value(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = imbalance(run)
    rows = results.efficiency.copy()
    chosen = (rows["run"] == recipe(budget=1.0, share=0.1).name) & (rows["language"] == "c1")
    rows.loc[chosen, "beyond"] = ["above", "below", ""]
    monkeypatch.setitem(vars(results), "efficiency", rows)
    scores = tables.scores(results, "experiment == 'grid' and width == 64 and budget == 1")
    row = scores.set_index(["share", "language"]).loc[(0.1, "c1")]
    assert row["beyond"] == "both"
    assert np.isnan(row[["teff", "teff_low", "teff_high"]].astype(float)).all()
    assert row["perplexity"] > 1


def test_phase_is_of_the_worse_language_and_framed_where_sure(run: Path) -> None:
    table = phase.table(run)
    trained = table[table["kind"] == "trained"]
    assert len(trained) == 2 * 3 * 3  # widths, budgets, unequal shares
    row = trained.set_index(["width", "budget", "share"]).loc[(64, 1.0, 0.1)]
    gaps = [
        losses(recipe(budget=1.0, share=0.1), language)
        - losses(recipe(budget=1.0, share=0.5), language)
        for language in (0, 1)
    ]
    np.testing.assert_allclose(row["value"], np.mean(gaps, axis=1).max(), **CLOSE)
    linear = table[table["kind"] == "linear"]
    # Statement 30: no share is better than a half for both; risks of unit tasks round at 1e-16.
    assert (linear["value"] >= -1e-15).all()
    # r = 0.5, s = 0.1: D^2 = 1 - 0.36 * 0.75 = 0.73, and R_1 = 1 - (0.1 + 0.9 / 4 - (1 - D) / 2) / D.
    D = np.sqrt(0.73)
    want = 1 - (0.325 - (1 - D) / 2) / D - 0.25
    at = linear[(linear["correlation"] == 0.5) & (linear["share"] == 0.1)]
    np.testing.assert_allclose(at["value"], [want], rtol=1e-12)
    with style.use():
        figure = phase.draw(table)
    frames = [
        patch
        for axes in figure.axes
        for patch in axes.patches
        if isinstance(patch, Rectangle) and not patch.get_fill()
    ]
    sure = (trained["low"] > 0) | (trained["high"] < 0)
    assert len(frames) == sure.sum()
    assert 0 < sure.sum() < len(trained)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert len(texts) == len(table)


def test_alignment_is_by_place_and_over_training(run: Path) -> None:
    table = layers.table(run)
    place = table[(table["kind"] == "place") & (table["part"] == "paired")]
    place = place.set_index(["measure", "share", "place"])
    planned_run = recipe(budget=4.0, share=0.1)
    scatter = [NUMBERS.scatter * fake.z("alike", planned_run.name, seed) for seed in STUDY.seeds]
    more = fake.alike(NUMBERS, planned_run) + np.mean(scatter)
    np.testing.assert_allclose(place.loc[("state cosine", 0.1, "2"), "value"], 0.3 + more, **CLOSE)
    # Of a layer the tensors of attention are numbers 5 and 8 of those of the fake: 0.01 each.
    attention = place.loc[("gradient cosine", 0.1, "attention"), "value"]
    np.testing.assert_allclose(attention, more + 0.01 * (5 + 8) / 2, **CLOSE)
    groups = place.loc["gradient cosine"].loc[0.1].sort_values("position").index
    assert list(groups) == ["tokens", "positions", "attention", "mlp", "norms", "output"]
    rare = place.loc[("embedding cosine", 0.1, "bin 0")]
    assert rare["frequency"] == pytest.approx(10)
    assert set(place.reset_index()["share"]) == {0.5, 0.3, 0.1, 0.02}
    course = table[(table["kind"] == "step") & (table["measure"] == "state cosine")]
    assert set(course["share"]) == {0.5, 0.1}
    assert course["step"].min() == 0
    last = course[course["step"] == course["step"].max()].set_index(["share", "part"])
    np.testing.assert_allclose(last.loc[(0.1, "paired"), "value"], 0.3 + more, **CLOSE)
    np.testing.assert_allclose(last.loc[(0.1, "unrelated"), "value"], 0.3, **CLOSE)
    with style.use():
        figure = layers.draw(table)
        figure.draw_without_rendering()
    drawn = {len(line.get_xdata()) for axes in figure.axes[:4] for line in axes.lines}
    assert drawn == {2, 3, 4, 6, 0}  # layers, states, bins, groups; no unrelated gradients
    (legend,) = figure.legends
    assert legend.get_texts()[-1].get_text() == "unrelated text or ids"


def test_a_study_without_kept_steps_has_alignment_of_the_end_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", STUDY, NUMBERS)
    for name in ("alignment", "embedding"):
        part = folder / f"part-{name}-all.parquet"
        pd.read_parquet(part).query("last").to_parquet(part)
    table = layers.table(folder)
    assert set(table["kind"]) == {"place"}
    with style.use():
        assert len(layers.draw(table).axes) == 4


def test_gained_is_the_difference_of_shares_seed_by_seed(run: Path) -> None:
    onsets = tables.onset(imbalance(run)).set_index(["part", "measure", "share", "step"])
    last = STUDY.optimisation(recipe(budget=4.0, share=0.5)).steps
    by_share = [
        [
            fake.alike(NUMBERS, planned_run)
            + NUMBERS.scatter * fake.z("alike", planned_run.name, seed)
            for seed in STUDY.seeds
        ]
        for planned_run in (recipe(budget=4.0, share=share) for share in (0.1, 0.5))
    ]
    gaps = np.subtract(*by_share)
    row = onsets.loc[("gained", "gradient cosine", 0.1, last)]
    np.testing.assert_allclose(row["value"], gaps.mean(), **CLOSE)
    half = T * gaps.std(ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(row["high"] - row["value"], half, **CLOSE)


def test_schedules_are_held_against_equal_shares(run: Path) -> None:
    table = schedules.table(run)
    names = list(dict.fromkeys(table["schedule"]))
    assert names[:2] == ["0.5 throughout", "0.1 throughout"]
    assert names[2:] == [
        "0.1 → 0.9",
        "0.1 → 0.9 → 0.5 → 0.5",
        "0.05 → 0.65 → 0.65 → 0.65",
        "0 → 1",
    ]
    gaps = table[table["kind"] == "difference"].set_index(["schedule", "language"])
    assert "0.5 throughout" not in gaps.index.get_level_values(0)
    (sequence,) = [planned_run for planned_run in STUDY.runs if planned_run.schedule == "0 > 1"]
    for language in (0, 1):
        gap = losses(sequence, language) - losses(recipe(budget=1.0, share=0.5), language)
        row = gaps.loc[("0 → 1", f"c{language}")]
        np.testing.assert_allclose(row["value"], gap.mean(), rtol=1e-9, atol=1e-13)
        half = T * gap.std(ddof=1) / np.sqrt(3)
        np.testing.assert_allclose(row["value"] - row["low"], half, rtol=1e-9, atol=1e-13)
    with style.use():
        figure = schedules.draw(table)
        figure.draw_without_rendering()
    for axes in figure.axes:
        points = [line for line in axes.lines if line.get_marker() in ("o", "s")]
        low, high = axes.get_xlim()
        values = np.concatenate([line.get_xdata() for line in points])
        assert low < values.min()
        assert values.max() < high


def test_one_seed_has_no_interval_and_is_drawn(tmp_path: Path) -> None:
    run = write(tmp_path / "out", fake.small(seeds=(0,), widths=(64,), others=()), NUMBERS)
    for name in OURS:
        module = importlib.import_module(rooms.figures()[name])
        table = module.table(run)
        assert table[["low", "high"]].isna().all(axis=None)
        with style.use():
            module.draw(table)


def test_over_seeds_means_rows_of_a_seed_first() -> None:
    rows = pd.DataFrame({"k": "a", "seed": [0, 0, 1, 1, 2], "x": [1.0, 3.0, 4.0, np.nan, 6.0]})
    (average,) = over_seeds(rows, ["k"], "x").itertuples(index=False)
    assert average.value == pytest.approx(4)
    assert average.seeds == 3
    assert average.high - 4 == pytest.approx(T * 2 / np.sqrt(3), rel=1e-9)
    (log,) = over_seeds(rows.query("seed > 0"), ["k"], "x", log=True).itertuples(index=False)
    assert log.value == pytest.approx(np.sqrt(24))


@pytest.mark.parametrize(
    ("case", "said"),
    [("no table", "no table alignment.*--resume"), ("not done", "no perplexity of grid.*--resume")],
)
def test_a_study_that_is_not_done_is_missing_rows(case: str, said: str, tmp_path: Path) -> None:
    without = "alignment" if case == "no table" else ""
    folder = write(tmp_path / "out", fake.small(others=()), NUMBERS, without=without)
    if case == "not done":
        part = folder / "part-perplexity-all.parquet"
        rows = pd.read_parquet(part)
        rows[rows["run"] != recipe(budget=1.0, share=0.3).name].to_parquet(part)
    with pytest.raises(MissingRows, match=said):
        ppl.table(folder)
