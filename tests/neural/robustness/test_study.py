"""The whole study in its smallest form, from the command line, and the measurement of models that exist."""

import errno
import os
import sys
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from neural.measures.degradation import Crossover, curve
from neural.measures.perturb import failed
from neural.measures.scoring import score
from neural.robustness import __main__ as command
from neural.robustness import study
from neural.robustness.claims import SURE, Results, claims, crossed
from neural.robustness.classification import Tuning, equal_epochs
from neural.robustness.plan import HALF, Classification, hit, presets
from neural.study.results import read
from neural.text.tokens import Tokens, passages
from neural.tune.classifier import FineTuning, Tuned
from neural.tune.head import correct
from tests.neural.refusal import message

SMOKE = presets()["smoke"]
LAST = SMOKE.optimiser.steps


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["neural.robustness", *map(str, arguments)])
    return command.main()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of the preset `smoke`."""
    out = tmp_path_factory.mktemp("robustness") / "smoke"
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "--preset", "smoke", "--out", out) == 0
    return out


def test_every_model_is_broken_in_every_way(done):
    curves = read(done, "curves")
    whole = curves[(curves["matched"] == "") & (curves["step"] == LAST)]
    for model in SMOKE.models:
        for each_hit in SMOKE.measures.hits:
            for failure, strengths in each_hit.failures:
                rows = whole[(whole["model"] == model) & (whole["failure"] == failure)]
                draws = 1 if "pruning" in failure else SMOKE.measures.draws
                assert len(rows) == 2 * len(model.split("+")) * len(strengths) * draws
    assert np.isfinite(curves["nats_per_token"]).all()
    assert set(curves["matched"]) == {"", "s1+s2", "s1+s2+s3"}


def test_strength_0_is_the_clean_model_and_loss_grows(done):
    curves, clean = read(done, "curves"), read(done, "clean")
    keys = ["model", "seed", "step", "text"]
    joined = curves[curves["level"] == 0].merge(clean, on=keys, suffixes=("", "_clean"))
    assert len(joined) == (curves["level"] == 0).sum()
    assert (joined["nats_per_token"] == joined["nats_per_token_clean"]).all()
    mean = curves[curves["failure"] == "head-deletion"].groupby("level")["nats_per_token"].mean()
    assert mean[1] > mean[0]


def test_a_row_is_what_breaking_the_model_by_hand_gives(done):
    place = study._Place(SMOKE, done)
    models, text = place.stack("s1+s2"), place.texts["s2"]
    alone = {name: value[1] for name, value in models.parameters.items()}
    copies = failed(alone, models.config, "attention", "weight-deletion", 0.3, level=2, draws=2)
    expected = score(copies, models.config, text, SMOKE.measures.sliding)
    rows = read(done, "curves").query(
        "model == 's1+s2' and text == 's2' and failure == 'weight-deletion' and level == 2"
        f" and seed == 1 and step == {LAST} and matched == ''"
    )
    nats = expected.nats.sum(axis=-1) / expected.scored.sum()
    # Float32 sums of 32 channels in another order: some eps of a loss of some nats.
    np.testing.assert_allclose(rows.sort_values("draw")["nats_per_token"], nats, rtol=1e-5)


def test_the_matched_model_is_stopped_at_the_nearest_loss(done):
    clean = read(done, "clean")
    rows = read(done, "curves").query("matched == 's1+s2' and level == 0 and draw == 0")
    target = clean.query(f"model == 's1+s2' and text == 's1' and step == {LAST}")
    for seed in SMOKE.seeds:
        loss = target.query(f"seed == {seed}")["nats_per_token"].iat[0]
        own = clean.query(f"model == 's1' and text == 's1' and seed == {seed}")
        gaps = (own["nats_per_token"] - loss).abs()
        step = rows.query(f"seed == {seed}")["step"].unique()
        assert step.tolist() == [own.loc[gaps.idxmin(), "step"]]


def test_it_resumes_to_the_same_tables(done, monkeypatch, capsys):
    parts = {path.name: path.read_bytes() for path in done.glob("part-*")}
    lost = [name for name in sorted(parts) if "curves-s1" in name]
    for name in lost:
        (done / name).unlink()
    assert run(monkeypatch, "--preset", "smoke", "--out", done) == 2
    assert "--resume" in capsys.readouterr().err
    assert run(monkeypatch, "--preset", "smoke", "--out", done, "--resume") == 0
    for name in lost:
        pd.testing.assert_frame_equal(
            pd.read_parquet(done / name),
            pd.read_parquet(BytesIO(parts[name])),
        )
    assert "clean loss" in capsys.readouterr().out


@pytest.mark.slow
def test_models_that_exist_are_measured_alike(done, tmp_path, monkeypatch, capsys):
    """On the text of their own run, by windows of their own context."""
    runs = [done / "models" / name for name in ("s1", "s1+s2")]
    options = ["--languages", "s1", "--draws", 2, "--text", 256, "--groups", "layer-1"]
    given = [part for folder in runs for part in ("--run", folder)]
    out = tmp_path / "survey"
    assert run(monkeypatch, *given, *options, "--corpus", *SMOKE.corpus, "--out", out) == 0
    curves = read(out, "curves")
    assert set(curves["model"]) == {"s1", "s1+s2"}
    assert set(curves["group"]) == set(read(out, "slopes")["group"]) == {"layer-1"}
    assert set(curves["failure"]) == set(HALF)
    assert len(read(out, "spectra")) == 2 * 2 * (2 + 2 * 6)
    assert "added, mean over strengths" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "huge"], "unknown preset 'huge': choose from smoke, laptop, gpu"),
        (["--pairs", "s1"], "give two or three texts"),
        (["--pairs", "s1,s1"], "give two different texts"),
        (["--pairs", "s1,nobody"], "unknown language 'nobody'"),
        (["--tasks", "nothing"], "no known task"),
        (["--tasks", "sib200:en"], "give --data-dir"),
        (["--seeds", "0"], "--seeds 0: give a whole number"),
        (["--steps", "0"], "--steps 0: give a whole number"),
        (["--text", "1"], "--text 1: give a whole number >= 2"),
        (["--draws", "0"], "--draws 0: give a whole number"),
        (["--preset", "laptop"], "--data-dir"),
        (["--run", "nowhere"], "cannot read nowhere"),
        (["--run", "nowhere", "--seeds", "3"], "--seeds does not belong here"),
        (["--groups", "attention"], "--groups does not belong here"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert run(monkeypatch, "--out", tmp_path / "out", *arguments) == 2
    printed = capsys.readouterr().err.strip()
    assert words in printed
    assert "\n" not in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("room", [0, 1, 2])
def test_a_full_disk_is_one_line(room, tmp_path, monkeypatch, capsys):
    """After so many files that were flushed to disk."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    flushed, fsync = [], os.fsync

    def full(descriptor):
        flushed.append(descriptor)
        if len(flushed) > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert run(monkeypatch, "--out", tmp_path / "out") == 2
    printed = capsys.readouterr().err.strip()
    assert "No space left on device" in printed
    assert "\n" not in printed
    assert not list(tmp_path.rglob("*.tmp"))


def test_sentences_that_are_not_there_are_missed_before_anything_is_trained(tmp_path):
    plan = Classification(("sib200:en",), ("language",), hit("attention", HALF), FineTuning())
    planned = replace(SMOKE, classification=plan, data_dir=tmp_path)
    assert "sib200 is not below" in message(study.do, planned, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def compared(done, tmp_path_factory):
    """Two stacks tuned to tell apart sentences of two words, and broken."""
    folder = tmp_path_factory.mktemp("task")
    for part, n in (("train", 60), ("dev", 12), ("test", 20)):
        rows = [f"{'ab'[i % 2]}\t{('yes', 'no')[i % 2]} {i}\n" for i in range(n)]
        (folder / f"{part}.tsv").write_text("".join(rows))
    everything = hit("attention", {"weight-deletion": (0.0, 0.5), "magnitude-pruning": (0.0, 1.0)})
    plan = Classification(
        (str(folder),),
        ("language",),
        everything,
        FineTuning(epochs=3, peak=3e-3),
        most=(40, 12, 20),
    )
    place = study._Place(SMOKE, done)
    tuning = Tuning(plan, SMOKE, place.tokenizer)
    return (
        tuning,
        str(folder),
        tuning.compared(str(folder), place.stack("s1"), place.stack("s1+s2")),
    )


def test_classifiers_are_broken_at_their_best_and_at_equal_accuracy(compared):
    tuning, folder, rows = compared
    keys = ["model", "at", "failure", "level"]
    counts = rows.groupby(keys).size()
    assert len(counts) == 2 * 2 * 2 * 2
    draws = counts.index.get_level_values("failure").map({"weight-deletion": 2}.get).fillna(1)
    assert (counts.to_numpy() == 2 * draws.to_numpy()).all()  # of two seeds
    assert len(tuning.examples(folder)[0]) == 40
    best = rows.query(
        "at == 'best' and level == 0 and draw == 0 and failure == 'magnitude-pruning'"
    )
    for model in ("s1", "s1+s2"):
        tuned = tuning._tuned[folder, model]
        right = correct(tuned.best, tuning.examples(folder)[2]).mean(axis=1)
        assert (
            best[best["model"] == model].sort_values("seed")["accuracy"].tolist() == right.tolist()
        )


def test_parts_are_files_of_one_folder_whatever_the_tasks(done):
    plan = Classification(
        ("/a/task", "sib200:en"), ("language",), SMOKE.hits_matched[0], FineTuning()
    )
    names = [
        name for name, _ in study._parts(study._Place(replace(SMOKE, classification=plan), done))
    ]
    assert len(set(names)) == len(names)
    assert not any("/" in name for name in names)
    assert sum(name.startswith("classification-") for name in names) == 2


def test_equal_epochs_meet_the_less_accurate_where_the_other_is_nearest():
    def rows_of(accuracy):
        accuracy = np.array(accuracy)
        return Tuned(None, accuracy.argmax(axis=0), accuracy, accuracy, ())

    first, other = (
        rows_of([[0.2, 0.5], [0.9, 0.6], [0.9, 0.4]]),
        rows_of([[0.3, 0.7], [0.4, 0.5], [0.1, 0.9]]),
    )
    epochs = equal_epochs(first, other)
    assert epochs[0].tolist() == [0, 1]  # 0.2 is nearest to 0.4; 0.6 is the seed's best
    assert epochs[1].tolist() == [1, 1]  # its best; and of 0.7 and 0.5, equally near, the later


def test_another_study_in_the_folder_is_refused(done, monkeypatch, capsys):
    assert run(monkeypatch, "--out", done, "--draws", 3, "--resume") == 2
    assert "another run" in capsys.readouterr().err


def test_passages_are_spread_over_the_text_and_closed():
    tokens = Tokens(
        np.arange(10_000, dtype=np.uint16), np.array([4000, 10_000]), np.array([8000, 12_000])
    )
    excerpts = passages(tokens, 1024, window=64, end_of_text=7)
    assert len(excerpts.ids) == 1024
    assert excerpts.ends.tolist() == [256, 512, 768, 1024]
    assert (excerpts.ids[excerpts.ends - 1] == 7).all()
    starts = [excerpts.document(i)[0] for i in range(4)]
    assert starts == np.linspace(0, 10_000 - 255, 4).astype(int).tolist()
    assert excerpts.sizes.tolist() == [510] * 4  # two bytes a token


def test_a_text_shorter_than_a_passage_is_one():
    tokens = Tokens(np.arange(20, dtype=np.uint16), np.array([20]), np.array([40]))
    assert passages(tokens, 1024, window=64, end_of_text=7).ids.tolist() == [*range(19), 7]
    assert passages(tokens, 9, window=64, end_of_text=7).ids.tolist() == [*range(8), 7]


def rows_of(losses, failure="weight-deletion", strengths=(0.0, 0.5, 1.0)):
    """A table of losses (seeds, levels, draws)."""
    seed, level, draw = (index.reshape(-1) for index in np.indices(np.shape(losses)))
    columns = {"seed": seed, "level": level, "draw": draw, "failure": failure}
    values = np.reshape(losses, -1)
    table = pd.DataFrame(
        {**columns, "strength": np.array(strengths)[level], "nats_per_token": values}
    )
    return table.sample(frac=1, random_state=0)


def test_a_curve_is_read_in_order_whatever_the_rows():
    losses = np.arange(12.0).reshape(2, 3, 2) ** 2
    failure_curve = curve(rows_of(losses))
    assert (failure_curve.losses == losses).all()
    assert failure_curve.strengths.tolist() == [0.0, 0.5, 1.0]
    assert failure_curve.clean.tolist() == losses[:, 0].mean(axis=-1).tolist()


def test_area_of_degradation():
    losses = np.array([[[1.0], [2.0], [4.0]], [[2.0], [2.0], [2.0]]])
    assert curve(rows_of(losses)).areas.tolist() == [(0 + 2 * 1 + 3) / 4, 0.0]


def test_rounding_counts_by_its_step():
    losses = np.ones((1, 3, 1))
    failure_curve = curve(rows_of(losses, "quantisation", (float("inf"), 3.0, 2.0)))
    assert failure_curve.strengths.tolist() == [0.0, 1 / 3, 1.0]


@pytest.mark.parametrize(
    ("direction", "crossing", "verdict"),
    [
        (-1, 1.0, "replicated"),
        (1, 1.0, "opposite"),
        (-1, SURE - 0.01, "not replicated"),
        (0, 0.0, "not replicated"),
    ],
)
def test_a_crossover_has_to_be_sure(direction, crossing, verdict):
    assert crossed(Crossover(0.1, 0.0, 0.2, direction, crossing)) == verdict


def test_claims_have_a_row_for_each_comparison_and_failure(done):
    rows = claims(Results(SMOKE, done))
    failures = [failure for each_hit in SMOKE.measures.hits for failure, _ in each_hit.failures]
    counts = rows["claim"].value_counts()
    assert counts["clean loss"] == 2
    assert counts["degradation"] == counts["crossover"] == 2 * len(failures)
    assert counts["degradation at equal clean loss"] == 2 * len(HALF)
    # A difference by hand.
    clean = read(done, "clean").query(f"text == 's1' and step == {LAST}")
    own = [clean[clean["model"] == m]["nats_per_token"].to_numpy() for m in ("s1", "s1+s2")]
    row = rows[(rows["claim"] == "clean loss") & (rows["several"] == "s1+s2")].iloc[0]
    assert row["effect"] == pytest.approx((own[1] - own[0]).mean(), rel=1e-12)


def test_one_seed_has_no_verdict(done, tmp_path, monkeypatch):
    single_seed = replace(SMOKE, seeds=(0,))
    for path in done.glob("part-*"):
        table = pd.read_parquet(path)
        table[table["seed"] == 0].to_parquet(tmp_path / path.name, index=False)
    rows = claims(Results(single_seed, tmp_path))
    assert set(rows.loc[rows["claim"] != "crossover", "verdict"]) == {"one seed"}
