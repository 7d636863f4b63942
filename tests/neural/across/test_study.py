"""The study across the four: its plan, and the whole of it at its smallest from the command line."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neural.across import __main__ as command
from neural.across import study
from neural.across.claims import COLUMNS, claims
from neural.across.join import Results
from neural.across.plan import ALONE, CLONES, Recipe, presets
from neural.across.subjects import Subjects
from neural.masks.overlap import only, overlap, without
from neural.measures.perturb import failed
from neural.measures.scoring import score
from neural.study.results import read
from neural.text.mixture import BALANCED, IMBALANCED
from sim.runs.errors import UserError

SMOKE = presets()["smoke"]
REAL = ("s1", "s2")


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["neural.across", *map(str, arguments)])
    return command.main()


@pytest.mark.parametrize("name", ["smoke", "laptop", "gpu"])
def test_a_plan_can_be_done(name):
    planned = presets()[name]
    planned.check()
    names = [recipe.name for recipe in planned.runs]
    assert len(set(names)) == len(names)
    assert {recipe.pair for recipe in planned.studied} >= {"c0-c1"}
    for pair in planned.pairs:
        studied = [recipe for recipe in planned.studied if recipe.languages == pair]
        assert {recipe.share for recipe in studied} == {BALANCED, IMBALANCED, ALONE}
        assert len({planned.tokens(recipe) for recipe in studied}) == 1
        for share in (0.0,) if pair == CLONES else (0.0, 1.0):
            alone = [r for r in planned.runs if r.languages == pair and r.share == share]
            assert len({planned.tokens(recipe) for recipe in alone}) >= 4
    last = planned.optimiser.steps
    assert planned.steps[0] == 0
    assert planned.steps[-1] == planned.ticket_steps[-1] == last
    assert set(np.diff(np.log2(planned.steps[1:-1])).tolist()) <= {1.0}


def test_runs_learn_what_their_names_say():
    assert Recipe(CLONES, 0.1).mixture == "c0:9/10,c1:1/10"
    assert Recipe(("en", "fr"), 1.0, 0.25).mixture == "fr:1"
    assert Recipe(("en", "fr"), 1.0, 0.25).trained == ("fr",)
    assert Recipe(CLONES, 0.0).studied
    assert not Recipe(CLONES, 0.0, 0.5).studied
    assert not Recipe(CLONES, 1.0).studied


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shares": (0.5, 0.0)}, "no share of 0.1"),
        ({"shares": (0.5, 0.1, 0.0, 0.7)}, "share 0.7"),
        ({"others": ("s1",)}, "beside itself"),
        ({"tickets": replace(SMOKE.tickets, steps=(5,))}, "tickets of step 5"),
        ({"tickets": replace(SMOKE.tickets, orders=1)}, "no ceiling"),
        ({"tickets": replace(SMOKE.tickets, rounds=11)}, "11 rounds"),
        ({"reference": (0.5, 1.0, 2.0)}, "monolingual budgets"),
        ({"tagged": (8, 8)}, "tagged"),
    ],
)
def test_a_plan_that_cannot_be_done_is_refused(change, said):
    with pytest.raises(UserError, match=said):
        replace(SMOKE, **change).check()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "huge"], "unknown preset 'huge'"),
        (["--seeds", "0"], "--seeds 0"),
        (["--rounds", "12"], "12 rounds"),
        (["--others", "xx"], "xx"),
        (["--preset", "laptop", "--data-dir", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line(arguments, said, monkeypatch, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(monkeypatch, *arguments, "--out", out) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.startswith("neural.across: ")
    assert message.count("\n") == 1
    assert not out.exists()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of the preset `smoke`."""
    out = tmp_path_factory.mktemp("across") / "smoke"
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "--out", out) == 0
    return out


@pytest.fixture(scope="module")
def results(done):
    return Results(SMOKE, done)


@pytest.mark.slow
def test_every_model_is_a_row_of_the_joined_table(results):
    models = results.models
    keys = ["pair", "share", "seed", "step"]
    assert not models.duplicated(keys).any()
    assert len(models) == len(SMOKE.studied) * len(SMOKE.seeds) * len(SMOKE.steps)
    everywhere = [name for name in models if name.startswith(("loss_", "area_", "slope_"))]
    everywhere += ["state_cosine", "gradient_cosine", "retrieval", "language", "tags"]
    assert len(everywhere) == 11
    assert np.isfinite(models[[*everywhere, "transferred"]]).all(axis=None)
    with_tickets = models["step"].isin(SMOKE.ticket_steps)
    for column in ("jaccard", "ceiling", "untuned", "specific"):
        assert (models[column].notna() == with_tickets).all(), column
    last = models[models["last"]]
    for column in ("teff_first", "teff_second"):
        assert (last[column].notna() == (last["share"] > 0)).all()
    assert models.loc[~models["last"], "teff_first"].isna().all()
    alone = models["share"] == ALONE
    assert (models.loc[alone, "spared_all"] == 0).all()
    claimed = claims(results)
    assert tuple(claimed.columns) == COLUMNS
    assert not claimed.duplicated(["claim", "setting"]).any()


@pytest.mark.slow
def test_models_of_a_seed_begin_alike(results):
    """A pair's models of equal seeds have the same initial weights, whatever they learn."""
    first = results.models[results.models["step"] == 0]
    for _, rows in first.groupby(["pair", "seed"]):
        assert len(rows) == 3
        assert rows["loss_first"].nunique() == rows["area_all"].nunique() == 1


@pytest.mark.slow
def test_rows_are_what_measuring_by_hand_gives(results, done):
    subjects = Subjects(SMOKE, done)
    recipe = Recipe(CLONES, IMBALANCED)
    step, place = SMOKE.optimiser.steps, 1
    models, clones = subjects.stack(recipe, step), subjects.texts_of(CLONES)
    model = models.model(place)
    rows = results.models.query("pair == 'c0-c1' and share == 0.1 and seed == 1 and last")
    (row,) = rows.itertuples()

    def nats(parameters, language):
        scores = score(parameters, SMOKE.model, clones.held_out[language], SMOKE.sliding)
        return scores.nats.sum(axis=-1) / scores.scored.sum()

    # The same programs on the same numbers, in stacks of other sizes: float32 sums may round otherwise.
    assert row.loss_second == pytest.approx(nats(model, "c1"), rel=1e-5)
    masks = study.tickets(subjects, recipe, step)
    pair = [masks["c0", 0][place], masks["c1", 0][place]]
    assert pair[0].kept == pair[1].kept < pair[0].size
    assert row.jaccard == overlap(pair).total
    again = [overlap([masks[name, 0][place], masks[name, 1][place]]).total for name in CLONES]
    assert row.ceiling == pytest.approx(np.mean(again))
    ablated = results.ablation.query(
        "pair == 'c0-c1' and share == 0.1 and seed == 1 and step == 16 and removed == 'c0'"
    ).set_index(["how", "language"])["nats"]
    broken = without(model, only(pair, 0))
    assert ablated["only this ticket's", "c1"] == pytest.approx(nats(broken, "c1"), rel=1e-5)
    deleted = results.failures.query(
        "pair == 'c0-c1' and share == 0.1 and seed == 1 and step == 16 and group == 'all' "
        "and failure == 'magnitude-pruning' and level == 1"
    )["nats_per_token"]
    pruned = failed(model, SMOKE.model, "all", "magnitude-pruning", 0.5, level=1)
    assert deleted.item() == pytest.approx(nats(pruned, "c0").item(), rel=1e-5)


@pytest.mark.slow
def test_pairs_are_read_by_the_ids_of_their_models(done):
    subjects = Subjects(SMOKE, done)
    clones, real = subjects.texts_of(CLONES), subjects.texts_of(REAL)
    end = clones.data.tokenizer.end_of_text
    original, other = (clones.held_out[name].ids for name in CLONES)
    np.testing.assert_array_equal(np.where(original == end, end, original + SMOKE.ids), other)
    for pair in (clones, real):
        sides = pair.sentences
        assert sides[0].ids.shape == sides[1].ids.shape
        assert len(sides[0].lengths) == SMOKE.sentences
        for name, text in pair.held_out.items():
            assert text.ids.max() < SMOKE.model.vocabulary
            assert pair.train[name].max() < SMOKE.model.vocabulary
    for part in ("train", "dev", "test"):
        first, second = (clones.words[name, part] for name in CLONES)
        np.testing.assert_array_equal(first.labels, second.labels)
        assert len(first.labels) == first.examples.there.sum()
        moved = np.where(first.examples.ids == end, end, first.examples.ids + SMOKE.ids)
        np.testing.assert_array_equal(moved, second.examples.ids)


@pytest.mark.slow
def test_a_study_that_was_stopped_goes_on(done, monkeypatch, capsys):
    """With a part gone it needs --resume, and makes that part alone again, from the masks kept, to the same numbers."""
    part = done / "part-overlap-c0-c1-0.1-16.parquet"
    masks = sorted((done / "masks").rglob("*.safetensors"))
    assert len(masks) == len(SMOKE.studied) * len(SMOKE.ticket_steps) * 4 * len(SMOKE.seeds)
    before, made = pd.read_parquet(part), [path.stat().st_mtime_ns for path in masks]
    part.unlink()
    assert run(monkeypatch, "--out", done) == 2
    assert "add --resume" in capsys.readouterr().err
    assert run(monkeypatch, "--out", done, "--resume") == 0
    pd.testing.assert_frame_equal(pd.read_parquet(part), before)
    assert made == [path.stat().st_mtime_ns for path in masks]
    assert len(read(done, "overlap")) == len(SMOKE.studied) * 2 * len(SMOKE.seeds)


@pytest.mark.slow
def test_more_seeds_leave_the_others_as_they_were(results, tmp_path_factory):
    """A model is a function of its seed: what else is trained and measured with it changes nothing but rounding."""
    out = tmp_path_factory.mktemp("across") / "three"
    planned = replace(SMOKE, seeds=(0, 1, 2), others=(), shares=(0.5, 0.1, 0.0))
    study.do(planned, out)
    keys = ["pair", "share", "seed", "step"]
    ours, theirs = (
        joined.models.query("pair == 'c0-c1' and seed < 2").set_index(keys).sort_index()
        for joined in (results, Results(planned, out))
    )
    for column in ("loss_second", "area_all", "state_cosine", "jaccard"):
        # Stacks of other sizes sum in another order; of masks a few weights may change places.
        np.testing.assert_allclose(ours[column], theirs[column], rtol=2e-2, atol=2e-2)
