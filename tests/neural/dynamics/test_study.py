"""Study B22: its plan, the whole of it at its smallest from the command line, and some of it on the shared data."""

import sys
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from neural.dynamics import __main__ as command
from neural.dynamics import measure
from neural.dynamics.claims import COLUMNS, claims
from neural.dynamics.examples import tagged
from neural.dynamics.plan import PARTS, Sizes, Study, presets
from neural.dynamics.readings import Readings
from neural.dynamics.results import CROSS, IN, Results
from neural.dynamics.study import do
from neural.dynamics.subjects import Subjects
from neural.measures.probes import logistic
from neural.measures.probes.align import argmax, similarity
from neural.measures.probes.linear import Part, score
from neural.measures.scoring import score as text_score
from neural.measures.words import word_features
from neural.study.pretrained import MODELS
from neural.study.record import recorded
from neural.study.results import read
from neural.study.stack import stack
from tests.neural.refusal import message
from tests.neural.text.test_treebank import DATA, needs_data

SMOKE = presets()["smoke"]
LANGUAGES = set(SMOKE.languages)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["neural.dynamics", *map(str, arguments)])
    return command.main()


@pytest.mark.parametrize("name", ["smoke", "laptop", "gpu"])
def test_a_plan_looks_from_step_0_to_the_last_at_log_spaced_steps(name):
    planned = presets()[name]
    planned.check()
    steps = np.array(planned.steps)
    assert (steps[0], steps[-1]) == (0, planned.optimiser.steps)
    octaves = np.diff(np.log2(steps[1:]))
    assert octaves.max() <= 1.01
    assert octaves[steps[1:-1] >= planned.finer].max(initial=0) <= 0.51
    assert sum(planned.groups, ()) == planned.steps
    coarse = planned.coarse_steps
    assert {0, steps[-1]} <= set(coarse) < set(planned.steps)
    assert tuple(sorted(coarse)) == coarse
    if name != "smoke":
        assert len(planned.languages) >= 6
        assert len(planned.seeds) >= {"laptop": 2, "gpu": 3}[name]
        assert planned.draws == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"languages": ("s1", "s1")}, "languages s1, s1: give two or more"),
        ({"tasks": ("arcs", "xnli")}, "xnli without languages"),
        ({"controls": ("arcs",)}, "no control task of 'arcs'"),
        ({"together": 0}, "together = 0"),
        ({"arcs": Sizes(8, 4, 8)}, "arcs = Sizes"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(change, said):
    assert said in message(replace(SMOKE, **change).check)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "huge"], "unknown preset 'huge': choose from smoke, laptop, gpu"),
        (["--tasks", "colours"], "unknown task 'colours'"),
        (["--tasks"], "no tasks"),
        (["--tasks", "topics"], "topics are read from a folder: give it by --data-dir"),
        (["--seeds", "0"], "--seeds 0"),
        (["--draws", "0"], "--draws 0"),
        (["--languages", "s1"], "give two or more"),
        (["--languages", "s1", "xx"], "unknown language 'xx'"),
        (["--preset", "laptop"], "--data-dir"),
        (["--preset", "laptop", "--data-dir", "nowhere"], "nowhere"),
        (["--xnli", "en"], "xnli in en: the models learn s1"),
        (["--xnli", "s1"], "xnli needs the datasets package"),
        (["--corpus", "synthetic:seed=3,sentences=600"], "is no word of s1"),
        (["--aligned", "synthetic:sentences=600,held_out=24"], "24 sentences of"),
    ],
)
def test_bad_input_is_one_line(arguments, said, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    out = tmp_path / "out"
    assert run(monkeypatch, *arguments, "--out", out) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.startswith("neural.dynamics: ")
    assert printed.count("\n") == 1
    assert not out.exists()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of the preset `smoke`."""
    out = tmp_path_factory.mktemp("dynamics") / "smoke"
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "--out", out) == 0
    return out


@pytest.fixture(scope="module")
def readings(done):
    return Readings(Subjects(SMOKE, done), SMOKE.groups[1])


def test_every_task_is_probed_in_every_language_step_and_layer(done):
    probes = read(done, "probes")
    P = len(SMOKE.steps) * len(SMOKE.seeds) * (SMOKE.model.layers + 1)
    for task in SMOKE.tasks:
        rows = probes[(probes["task"] == task) & ~probes["removed"]]
        sources = set(SMOKE.languages[1:]) if task == "pairing" else LANGUAGES
        draws = 1 if task == "parts-of-speech" else SMOKE.draws
        assert set(rows["train"]) == set(rows["test"]) == sources
        assert len(rows) == P * draws * len(sources) ** 2
    assert len(probes[probes["removed"]]) == P * 9
    assert probes["converged"].all()
    assert probes["accuracy"].between(0, 1).all()
    assert np.isfinite(probes["loss"]).all()
    assert (probes["majority"][probes["task"] != "parts-of-speech"] == 0.5).all()
    known = probes[(probes["task"] == "parts-of-speech") & (probes["train"] == probes["test"])]
    assert known["accuracy"].mean() > known["majority"].mean() + 0.1
    coarse = len(SMOKE.coarse_steps) * P // len(SMOKE.steps)
    for table in ("controls", "length"):
        rows = read(done, table)
        assert len(rows) == coarse * SMOKE.draws * 3
        assert set(rows["step"]) == set(SMOKE.coarse_steps)
    assert (read(done, "length")["compression"] > 1).mean() > 0.9
    assert len(read(done, "identity")) == 2 * P
    assert len(read(done, "retrieval")) == 2 * P * 3
    assert len(read(done, "alignment")) == P * 3 * 2 * 2
    assert len(read(done, "similarity")) == 3
    bits = read(done, "bits")
    means = bits.groupby("step")["bits_per_character"].mean()
    assert means[SMOKE.steps[-1]] < means[0]
    # One byte a letter in Latin script, two in Greek, spaces and full stops apart.
    ratio = (bits["bits_per_character"] / bits["bits_per_byte"]).groupby(bits["language"]).mean()
    assert ratio["s1"] == 1
    assert 1.7 < ratio["s2"] < 2


def test_rows_are_what_measuring_by_hand_gives(done, readings):
    """Of the last step and the second seed."""
    step = SMOKE.steps[-1]
    models = stack(done / MODELS, step)
    model, subjects = models.model(1), readings.subjects
    keys = {"step": step, "seed": 1}

    def part(language, name):
        words = subjects.words[language, name]
        states = word_features(model, models.config, words.examples)
        return tagged(words, SMOKE.words.size(name)).part(states)

    fitted = logistic.fit(part("s1", "train"), part("s1", "dev"), 17)
    expected = score(fitted, part("s2", "test"))
    where = keys | {"task": "parts-of-speech", "train": "s1", "test": "s2", "removed": False}
    rows = _chosen(read(done, "probes"), **where).sort_values("layer")
    np.testing.assert_array_equal(rows["accuracy"], expected.accuracy)
    # The same program on states of other batches of models: their rounding.
    np.testing.assert_allclose(rows["loss"], expected.loss, rtol=1e-3)

    text = subjects.held_out["s3"]
    nats = text_score(models.parameters, models.config, text, SMOKE.sliding).nats[1].sum()
    letters = text.bytes / subjects.bytes_per_character["s3"]
    row = _chosen(read(done, "bits"), **keys, language="s3")
    # Tokens are all scored, and the bytes of each passage are rounded.
    np.testing.assert_allclose(row["bits_per_character"], nats / np.log(2) / letters, rtol=1e-2)

    # Of the untrained models, whose words still differ.
    model = stack(done / MODELS, 0).model(1)
    sides, words = subjects.answers.sides, subjects.answers.words
    states = {
        name: np.split(
            word_features(model, models.config, words[name])[1],
            np.cumsum(words[name].there.sum(axis=1))[:-1],
        )
        for name in ("s1", "s2")
    }
    inside = links = 0
    for i, side in enumerate(sides):
        A = argmax(similarity(states["s1"][i], states["s2"][i]))
        (a, b), (c, d) = side["s1"].answer, side["s2"].answer
        inside, links = inside + A[a:b, c:d].sum(), links + A[a:b].sum()
    where = {"one": "s1", "other": "s2", "method": "argmax", "answers": "all", "layer": 1}
    row = _chosen(read(done, "alignment"), **where, step=0, seed=1)
    np.testing.assert_allclose(row["precision"], inside / links, rtol=1e-12)


def _chosen(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    return table


def test_pairs_of_sentences_are_of_the_first_language_and_the_other(readings, monkeypatch):
    """Probes of pairing read the pivot's states first, and those of the language second."""
    seen = []
    monkeypatch.setattr(
        measure, "_transferred", lambda *given: seen.append(given[2]) or pd.DataFrame({"x": [0]})
    )
    measure.probes(readings, "pairing")
    data = seen[0]["s3", "test"]
    np.testing.assert_array_equal(data.states, readings.sentences("pairing", "s1", "test"))
    np.testing.assert_array_equal(data.others, readings.sentences("pairing", "s3", "test"))
    rows = readings.subjects.aligned.rows
    assert [len(rows[name]) for name in PARTS] == [80, 32, 64]
    assert len(set().union(*(set(rows[name]) for name in PARTS))) == 176
    assert set(data.examples.one) == set(rows["test"])


def test_no_probe_tells_the_language_without_its_subspace(readings):
    X, languages = measure._mixed(readings, "train")
    basis = measure.subspace.mean_directions(X, languages)
    train, dev = (
        Part(measure.subspace.removed(measure._mixed(readings, name)[0], basis), labels)
        for name in ("train", "dev")
        for labels in [measure._mixed(readings, name)[1]]
    )
    assert score(logistic.fit(train, dev, 3), train).accuracy.max() < 0.45  # chance is a third


def test_it_ends_with_the_claims_and_resumes_to_the_same_tables(done, monkeypatch, capsys):
    parts = {path.name: path.read_bytes() for path in done.glob("part-*")}
    first, last = SMOKE.groups[1][0], SMOKE.groups[1][-1]
    lost = [f"part-{name}-steps-{first}-{last}.parquet" for name in ("bits-text", "probes-arcs")]
    for name in lost:
        (done / name).unlink()
    assert run(monkeypatch, "--out", done) == 2
    assert "--resume" in capsys.readouterr().err
    assert run(monkeypatch, "--out", done, "--resume") == 0
    for name in lost:
        again = pd.read_parquet(done / name)
        pd.testing.assert_frame_equal(again, pd.read_parquet(BytesIO(parts[name])))
    said = capsys.readouterr().out
    assert "no one checkpoint is best for all" in said
    assert recorded(done, Study, "dynamics") == SMOKE


def test_claims_and_their_tables(done):
    results = Results(SMOKE, done)
    verdicts = claims(results)
    assert tuple(verdicts.columns) == COLUMNS
    assert not verdicts.duplicated(["claim", "setting", "task"]).any()
    curves = results.curves
    assert set(curves["task"]) == {
        *SMOKE.tasks,
        *("bits per character", "retrieval", "argmax", "itermax"),
    }
    assert set(curves["kind"]) == {IN, CROSS}
    assert not curves.duplicated(["task", "train", "test", "seed", "step"]).any()
    assert len(results.selectivity) == len(SMOKE.coarse_steps) * 2 * 2 * 3


@needs_data
@pytest.mark.slow
def test_a_little_of_it_on_the_shared_data(tmp_path):
    """Treebanks, topics, NTREX and XQuAD; Finnish has no answers."""
    planned = replace(
        SMOKE,
        corpus=("mozilla_www",),
        languages=("en", "de", "fi"),
        aligned=("ntrex",),
        model=replace(SMOKE.model, context=128),
        optimiser=replace(SMOKE.optimiser, steps=16),
        tasks=presets()["laptop"].tasks,
        controls=("relations",),
        together=4,
        data_dir=DATA,
    )
    do(planned, tmp_path / "out")
    results = Results(planned, tmp_path / "out")
    assert set(results.probes["task"]) == set(planned.tasks)
    assert results.probes["accuracy"].between(0, 1).all()
    answers = results.alignment
    assert set(zip(answers["one"], answers["other"], strict=True)) == {("en", "de")}
    differing = answers.groupby("answers")["n"].first()
    assert 0 < differing["differing"] < differing["all"] == planned.answers
    similar = results.similarity.set_index(["one", "other"])["distance"]
    assert similar["en", "de"] == 0 < similar["de", "fi"]
    assert set(results.selectivity["task"]) == {"relations"}
    assert "low-level skills come before complex ones" in set(claims(results)["claim"])
