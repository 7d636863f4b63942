"""Study F22: its plan, and the whole of it at its smallest from the command line."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neural.masks.mask import random_like, size
from neural.masks.overlap import only, overlap, without
from neural.measures.scoring import score
from neural.study.results import read
from neural.subnetworks import __main__ as command
from neural.subnetworks import study
from neural.subnetworks.claims import Results, claims
from neural.subnetworks.plan import Hunt, Member, presets
from neural.subnetworks.subjects import Subjects
from neural.text.languages import family_distance
from sim.runs.errors import UserError
from tests.neural.refusal import message

SMOKE = presets()["smoke"]
(TASK,) = SMOKE.tasks


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["neural.subnetworks", *map(str, arguments)])
    return command.main()


@pytest.mark.parametrize("name", ["smoke", "laptop", "gpu"])
def test_a_plan_can_be_done(name):
    planned = presets()[name]
    planned.check()
    names = [hunt.name for hunt in planned.hunts]
    assert len(set(names)) == len(names)
    for hunt in planned.hunts:
        members = planned.members(hunt)
        assert len(set(members)) == len(members)
        of_seed = [member for member in members if member.seed == planned.seeds[0]]
        expected = {
            "tickets": planned.orders * len(hunt.task.languages),
            "mixed": 1,
        }.get(hunt.variant, len(hunt.task.languages))
        assert len(of_seed) == expected
    if name != "smoke":
        assert len(planned.languages) >= 6
        assert {task.name for task in planned.tasks} >= {"language-modelling", "entities", "topics"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"early": 60}, "early = 60"),
        ({"orders": 1}, "two or more"),
        ({"tasks": (replace(TASK, languages=("s1",)),)}, "in one language"),
        ({"tasks": (replace(TASK, languages=("s1", "s9")),)}, "in s9"),
        ({"tasks": (replace(TASK, densities=(0.5,)),)}, "density 0.5"),
        ({"tasks": (replace(TASK, densities=(0.85,)),)}, "density 0.85"),
    ],
)
def test_a_plan_that_cannot_be_done_is_refused(change, said):
    with pytest.raises(UserError, match=said):
        replace(SMOKE, **change).check()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "huge"], "unknown preset 'huge'"),
        (["--tuning-steps", "0"], "--tuning-steps 0"),
        (["--tasks", "sums"], "unknown task 'sums'"),
        (["--tested", "s1"], "in one language"),
        (["--languages", "s1", "s2", "xx"], "xx"),
        (["--preset", "laptop"], "data"),
    ],
)
def test_bad_input_is_one_line(arguments, said, monkeypatch, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(monkeypatch, *arguments, "--out", out) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.startswith("neural.subnetworks: ")
    assert message.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("parts-of-speech", "no treebank of 's1'"),
        ("entities", "no named entities in 's1'"),
        ("topics", "sib200 is not below"),
    ],
)
def test_what_is_not_annotated_is_said_before_anything_is_trained(name, said, tmp_path):
    tasks = (TASK, replace(TASK, name=name))
    planned = replace(SMOKE, tasks=tasks, data_dir=tmp_path)
    assert said in message(study.do, planned, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_distance_of_families():
    assert family_distance("en", "de@bible") == 0
    assert family_distance("en", "el") == 1
    assert family_distance("el", "zh") == 2
    assert np.isnan(family_distance("en", "s1"))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of the preset `smoke`."""
    out = tmp_path_factory.mktemp("subnetworks") / "smoke"
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "--out", out) == 0
    return out


@pytest.fixture(scope="module")
def subjects(done):
    return Subjects(SMOKE, done)


def test_every_round_removes_as_much_of_every_model(subjects):
    removed = round(0.1 * size(SMOKE.model))
    for hunt in SMOKE.hunts:
        by_member = study.hunted(subjects, hunt)
        assert set(by_member) == set(SMOKE.members(hunt))
        for masks in by_member.values():
            assert [mask.kept for mask in masks] == [
                size(SMOKE.model) - removed * (number + 1) for number in range(hunt.rounds)
            ]
            assert masks[1] <= masks[0]
    tickets = study.hunted(subjects, Hunt(TASK, "tickets"))
    assert tickets[Member(0, "s1", 0)] != tickets[Member(0, "s1", 1)]
    assert tickets[Member(0, "s1", 0)] != tickets[Member(0, "s2", 0)]


def test_overlaps_are_those_of_the_masks(done, subjects):
    rows = read(done, "overlap")
    tickets = study.hunted(subjects, Hunt(TASK, "tickets"))
    pair = [tickets[Member(1, language, 0)][1] for language in ("s1", "s2")]
    row = rows.query(
        "kind == 'languages' and seed == 1 and round == 2 and scope == 'total'"
    ).squeeze()
    assert row["jaccard"] == overlap(pair).total
    assert row["chance"] == pytest.approx(0.8 / 1.2, rel=1e-3)  # of a whole number of weights
    layers = rows.query("kind == 'seeds' and seed == 0 and round == 1 and language == 's2'")
    assert set(layers["scope"]) >= {"total", "layer 0", "layer 1", "query", "mlp-out"}
    assert set(rows["kind"]) == {"languages", "seeds", "theta0", "shuffled"}


def test_every_ticket_is_trained_on_every_language_beside_the_controls(done):
    rows = read(done, "transfer")
    tickets = rows[rows["kind"] == "ticket"]
    assert len(tickets) == len(SMOKE.seeds) * 2 * 2
    assert np.isfinite(rows["nats"]).all()
    assert (rows["score"] == rows["nats"]).all()
    controls = rows[rows["kind"] == "control"].groupby("source").size()
    assert set(controls.index) >= {"full", "random", "magnitude of theta0", "wanda", "mixed"}
    assert (controls == len(SMOKE.seeds) * 2).all()
    n = size(SMOKE.model)
    assert (rows[rows["source"] == "full"]["kept"] == n).all()
    assert (rows[rows["source"] != "full"]["kept"] == n - 2 * round(0.1 * n)).all()


def test_an_ablation_is_what_removing_by_hand_gives(done, subjects):
    tickets = study.hunted(subjects, Hunt(TASK, "tickets"))
    masks = [tickets[Member(1, language, 0)][1] for language in ("s1", "s2")]
    own = only(masks, 1)
    model = {name: value[0] for name, value in subjects.start([1]).items()}
    rows = read(done, "ablation").query("seed == 1 and language == 's1'")
    variants = {
        ("", "whole"): model,
        ("s2", "only this ticket's"): without(model, own),
        ("s2", "random"): without(model, random_like(own, [1, 2, 1])),
    }
    for (removed, how), parameters in variants.items():
        scores = score(parameters, SMOKE.model, subjects.held_out["s1"], SMOKE.sliding)
        row = rows[(rows["removed"] == removed) & (rows["how"] == how)].squeeze()
        # One model against a stack of them: float32 sums in another order.
        assert row["nats"] == pytest.approx(scores.nats.sum() / scores.scored.sum(), rel=1e-5)
    assert own.kept == rows[rows["removed"] == "s2"]["weights"].iat[0]


def test_retrieval_and_costs_are_there(done):
    rows = read(done, "retrieval")
    assert set(rows["step"]) == set(SMOKE.steps)
    last = rows[rows["step"] == SMOKE.optimiser.steps]
    assert set(last["ticket"]) == {"", "s1", "s2"}
    assert set(rows[rows["step"] == 0]["ticket"]) == {""}
    assert rows["margin"].between(0, 1).all()
    costs = read(done, "costs")
    assert set(costs["form"]) == {"dense", "packed", "rows", "compacted"}
    packed = costs["form"] == "packed"
    assert costs.loc[packed, "seconds"].isna().all()
    assert costs.loc[~packed, "seconds"].gt(0).all()


def test_a_hunt_goes_on_from_its_last_whole_round(done, monkeypatch, capsys):
    folder = done / "masks" / "language-modelling-shuffled"
    before = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    for path in folder.glob("round-02-model-01.*"):
        path.unlink()
    part = done / "part-overlap-language-modelling.parquet"
    table = pd.read_parquet(part)
    part.unlink()
    assert run(monkeypatch, "--out", done) == 2
    assert "add --resume" in capsys.readouterr().err
    assert run(monkeypatch, "--out", done, "--resume") == 0
    assert before == {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    pd.testing.assert_frame_equal(pd.read_parquet(part), table)


def test_claims_are_made_of_all(done):
    verdicts = claims(Results(SMOKE, done))
    assert set(verdicts["verdict"]) <= {"replicated", "not replicated", "opposite"}
    # One pair of languages has no correlation.
    assert "pairs that overlap more transfer better" not in set(verdicts["claim"])
