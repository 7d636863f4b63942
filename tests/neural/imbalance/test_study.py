"""Study S24: its plan, the whole of it at its smallest from the command line, and its claims on planted numbers."""

import sys

import numpy as np
import pandas as pd
import pytest

from neural.imbalance import __main__ as command
from neural.imbalance import study
from neural.imbalance.claims import Results, chosen, claims
from neural.imbalance.linear import risks
from neural.imbalance.plan import presets
from neural.measures.alignment import embedding_cosines, state_cosines
from neural.measures.scoring import score
from neural.study.results import read
from neural.study.stack import stack
from neural.text.clone import pairs
from neural.text.tokens import Tokens, windows
from sim.runs.errors import UserError
from tests.figures.fake_imbalance import Numbers, small, write
from theory.representation import optimal_representation

SMOKE = presets()["smoke"]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["neural.imbalance", *map(str, arguments)])
    return command.main()


@pytest.mark.parametrize("name", ["smoke", "laptop", "gpu"])
def test_a_plan_has_every_run_once(name):
    planned = presets()[name]
    planned.check()
    names = [recipe.name for recipe in planned.runs]
    assert len(set(names)) == len(names)
    grid = [recipe for recipe in planned.runs if recipe.experiment == "grid"]
    assert len(grid) == len(planned.widths) * len(planned.budgets) * len(planned.shares)
    monolingual = {
        (recipe.width, recipe.budget)
        for recipe in planned.runs
        if recipe.experiment in ("grid", "reference") and recipe.share == 0
    }
    assert len(monolingual) == len(planned.widths) * len({*planned.reference, *planned.budgets})
    for recipe in planned.runs:
        assert planned.tokens(recipe) == pytest.approx(recipe.budget * planned.unit, rel=0.01)


def test_shares_are_those_of_the_second_language():
    by_name = {recipe.name: recipe for recipe in presets()["laptop"].runs}
    grid = by_name["grid-w64-4x-0.1"]
    assert grid.mixture == "c0:9/10,c1:1/10"
    assert grid.looks
    assert not by_name["grid-w32-4x-0.1"].looks
    assert by_name["grid-w64-4x-0"].mixture == "c0:1"
    changing = by_name["schedules-w64-2x-0.05_0.65_0.65_0.65"]
    assert changing.mixture.startswith("c0:19/20,c1:1/20 | c0:7/20,c1:13/20 | ")
    assert changing.share == pytest.approx(0.5)
    assert changing.schedule == "0.05 > 0.65 > 0.65 > 0.65"
    assert by_name["schedules-w64-2x-0_1"].mixture == "c0:1 | c1:1"
    majority = by_name["languages-w64-2x-10x0.5"]
    assert majority.mixture.split(",")[1] == "c1:1/18"
    assert by_name["real-w64-0.25x-1-disjoint-en-fr"].mixture == "fr:1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "huge"], "unknown preset 'huge'"),
        (["--seeds", "0"], "--seeds 0"),
        (["--widths", "33"], "width 33: give a multiple of 16"),
        (["--widths", "15"], "width 15: give a multiple of 16"),
        (["--budgets", "1e30"], "budget 1e+30 of 8 updates"),
        (["--tasks", "foo:s1"], "task foo:s1: no such folder"),
        (["--shares", "0.5", "0.2"], "--shares has no 0.1"),
        (["--shares", "0.5", "0.1", "0.7"], "share 0.7"),
        (["--budgets"], "--budgets is empty"),
        (["--budgets", "0.01"], "budget 0.01"),
        (["--preset", "laptop", "--data-dir", "nowhere"], "nowhere"),
        (["--others", "xx"], "xx"),
        (["--tasks", "colours"], "colours"),
    ],
)
def test_a_run_and_a_dry_run_refuse_bad_input_in_the_same_line(
    arguments, said, monkeypatch, tmp_path, capsys
):
    out = tmp_path / "out"
    lines = []
    for dry in ([], ["--dry-run"]):
        assert run(monkeypatch, *arguments, *dry, "--out", out) == 2
        lines.append(capsys.readouterr().err)
        assert said in lines[-1]
        assert not list(out.glob("models/*"))
    assert lines[0] == lines[1]
    assert lines[0].startswith("neural.imbalance: ")
    assert lines[0].count("\n") == 1


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of the preset `smoke`."""
    out = tmp_path_factory.mktemp("imbalance") / "smoke"
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "--out", out) == 0
    return out


def test_every_run_is_measured_in_each_language_that_it_learnt(done):
    perplexities = read(done, "perplexity")
    assert set(perplexities["run"]) == {recipe.name for recipe in SMOKE.runs}
    assert np.isfinite(perplexities["nats_per_token"]).all()
    last = perplexities[perplexities["last"] & (perplexities["experiment"] == "grid")]
    for recipe in SMOKE.runs:
        rows = last[last["run"] == recipe.name]
        if len(rows):
            assert set(rows["language"]) == ({"c0"} if not recipe.share else {"c0", "c1"})
            seen = rows[rows["seed"] == 1].set_index("language")["seen"]
            assert seen.sum() == SMOKE.tokens(recipe)
            if recipe.share:
                assert seen["c1"] == pytest.approx(recipe.share * SMOKE.tokens(recipe), rel=0.1)
    changing = perplexities[
        (perplexities["experiment"] == "schedules") & (perplexities["seed"] == 0)
    ]
    assert set(changing["language"]) == {"c0", "c1"}


def test_rows_are_what_measuring_by_hand_gives(done):
    place = study._Place(SMOKE, done)
    (recipe,) = (sample for sample in SMOKE.runs if sample.name == "grid-w32-2x-0.1")
    models = stack(done / "models" / recipe.name)
    keys = {"run": recipe.name, "last": True, "language": "c1"}
    clones, text = place.clones(recipe), place.held_out
    cloned = Tokens(clones.encode(text.ids, 1), text.ends, text.sizes)
    scores = score(models.parameters, models.config, cloned, SMOKE.measures.sliding)
    rows = chosen(read(done, "perplexity"), **keys)
    nats = scores.nats.sum(axis=-1) / scores.scored.sum()
    # The same program on the same numbers; sums over documents round once more.
    np.testing.assert_allclose(rows["nats_per_token"], nats, rtol=1e-9)
    sample = windows(text, SMOKE.measures.windows, SMOKE.model.context)
    expected = state_cosines(models.model(1), models.config, sample, clones.encode(sample, 1))
    rows = chosen(read(done, "alignment"), **keys, measure="state cosine", seed=1)
    np.testing.assert_allclose(rows.sort_values("place")["value"], expected.paired, rtol=1e-9)
    np.testing.assert_allclose(rows.sort_values("place")["unrelated"], expected.unpaired, rtol=1e-9)
    embedding = models.parameters["wte.weight"][0]
    cosines = embedding_cosines(embedding, pairs(clones, 1)).paired
    rows = chosen(read(done, "embedding"), **keys, seed=0)
    assert len(rows) == SMOKE.measures.bins
    # Bins are of nearly equal size: 299 clones in 3.
    np.testing.assert_allclose(rows["value"].mean(), cosines.mean(), atol=2e-3)
    frequency = rows.sort_values("bin")["frequency"].to_numpy()
    assert (np.diff(frequency) >= 0).all()  # most ids of an invented language never occur
    assert frequency[-1] > 0


def test_models_are_kept_in_the_course_of_training_where_that_is_compared(done):
    steps = read(done, "alignment").groupby("run")["step"].unique()
    assert set(steps["grid-w32-2x-0.1"]) == {0, 1, 2, 4, 8, 16}
    assert set(steps["grid-w32-1x-0.1"]) == {8}


def test_a_study_that_was_stopped_goes_on(done, monkeypatch, capsys):
    """With a part gone it needs --resume, and makes that part alone again, to the same numbers."""
    part = done / "part-perplexity-grid-w32-1x-0.1.parquet"
    before = pd.read_parquet(part)
    kept = {path: path.stat().st_mtime_ns for path in done.glob("part-*") if path != part}
    part.unlink()
    assert run(monkeypatch, "--out", done) == 2
    assert "add --resume" in capsys.readouterr().err
    assert run(monkeypatch, "--out", done, "--resume") == 0
    pd.testing.assert_frame_equal(pd.read_parquet(part), before)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


SHARES = (0.5, 0.1, 0.0)


def verdicts(numbers, folder):
    planned = small(shares=SHARES)
    claim_table = claims(Results(planned, write(folder, planned, numbers)))
    return claim_table.set_index(["claim", "setting", "language"])["verdict"]


def test_claims_on_numbers_as_s24_has_them(tmp_path):
    judged = verdicts(Numbers(), tmp_path)
    assert judged["balanced languages gain less than their tokens", "1x", "c0"] == "replicated"
    assert judged["a minority gains more than its tokens", "1x", "c1"] == "replicated"
    assert judged["a majority loses nothing", "1x", "c0"] == "replicated"
    assert judged["the first language is forgotten", "0 > 1", "c0"] == "replicated"
    assert judged["90/10 aligns more: state cosine", "4x", "c1"] == "replicated"
    assert judged["90/10 transfers more", "sib200:en", "c1"] == "replicated"
    trend = "the gain of balanced languages falls with the budget"
    assert judged[trend, "per doubling", "c1"] == "replicated"


def test_claims_on_the_opposite(tmp_path):
    numbers = Numbers(
        balanced=1.5, minority=0.5, majority=0.6, trend=-0.1, aligned=-0.2, accuracy=-0.2
    )
    judged = verdicts(numbers, tmp_path)
    assert judged["balanced languages gain less than their tokens", "1x", "c0"] == "opposite"
    assert judged["a minority gains more than its tokens", "4x", "c1"] == "opposite"
    assert judged["a majority loses nothing", "1x", "c0"] == "opposite"
    assert judged["90/10 beats 50/50 in both languages", "4x, width 64", "worse"] == "opposite"
    assert judged["90/10 aligns more: gradient cosine", "4x", "c1"] == "opposite"
    assert judged["90/10 transfers more", "sib200:en", "c1"] == "opposite"


def test_what_lies_beyond_the_budgets_is_no_effect(tmp_path):
    planned = small(shares=SHARES)
    results = Results(planned, write(tmp_path, planned, Numbers(minority=0.2)))
    rows = chosen(results.efficiency, experiment="grid", budget=0.25, share=0.1, language="c1")
    rows = rows[rows["width"] == 64]
    assert set(rows["beyond"]) == {"below"}
    # A bound: the least fitted budget over the tokens seen.
    least = min(planned.reference) * planned.unit
    np.testing.assert_allclose(rows["teff"], least / rows["seen"], rtol=1e-9)
    claim_table = claims(results).set_index(["claim", "setting"])
    interpolated = claim_table.loc[("a minority gains more than its tokens", "0.25x, interpolated")]
    assert interpolated["verdict"] == "below the fitted budgets"
    row = claim_table.loc[("a minority gains more than its tokens", "0.25x")]
    assert row["verdict"] == "below the fitted budgets"
    assert np.isnan(row["low"])


def test_linear_risks_are_those_of_the_optimal_representation():
    for r in (-0.9, 0.3, 0.8):
        C = np.array([[1.0, r], [0.0, np.sqrt(1 - r * r)]])
        for share in (0.0, 0.1, 0.45, 1.0):
            best = optimal_representation(C, 1, task_weights=[1 - share, share])
            projected = best.W.T @ np.linalg.pinv(best.W.T) @ C
            expected = ((C - projected) ** 2).sum(axis=0)
            np.testing.assert_allclose(risks(share, r), expected, atol=1e-12)
    with pytest.raises(ValueError, match="shares from 0 to 1"):
        risks(1.1, 0.0)


def test_no_share_of_linear_tasks_is_better_than_a_half_for_both():
    share, r = np.meshgrid(np.linspace(0, 1, 41), np.linspace(-0.99, 0.99, 45))
    worst = np.maximum(*risks(share, r)) - np.maximum(*risks(0.5, r))
    assert worst.min() >= -1e-12


def test_no_curve_is_no_efficiency(done):
    """Of a training too short for a curve the study is finished all the same."""
    results = Results(SMOKE, done)
    results.perplexity["nats_per_token"] = 5.0
    assert results.efficiency["teff"].isna().all()
    assert results.references.empty
    claim_table = claims(results)
    assert set(claim_table[claim_table["unit"] == "log TEff"]["verdict"]) == {"not measured"}
    with pytest.raises(UserError, match="no table transfer"):
        _ = results.transfer
