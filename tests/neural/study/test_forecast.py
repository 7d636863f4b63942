"""A dry run of every study: what it would train, how long that takes, and the refusals of the run itself."""

import sys
from importlib import import_module
from types import SimpleNamespace

import pytest

from neural.gpt.config import preset
from neural.study.forecast import Training, forecast

STUDIES = ("robustness", "imbalance", "subnetworks", "dynamics", "across")


@pytest.fixture
def timed(monkeypatch):
    """Shapes that were timed, each at a microsecond a token."""
    shapes = []

    def measure(config, compute, batch, *, seeds, steps):
        shapes.append((config, batch, seeds))
        tokens = seeds * batch * config.context
        return SimpleNamespace(seconds=1e-6 * tokens, tokens=tokens)

    monkeypatch.setattr("neural.train.bench.measure", measure)
    return shapes


def test_tokens_models_and_seconds_are_added_up(timed):
    shape = preset("tiny")
    text = forecast(
        [
            Training("a", shape, 8, models=2, steps=100),
            Training("a", shape, 8, models=2, steps=50),
            Training("b", shape, 4, models=3, steps=1000),
        ]
    )
    tokens = [2 * 150 * 8 * shape.context, 3 * 1000 * 4 * shape.context]
    rows = [line.split() for line in text.splitlines()[1:3]]
    assert [row[0] for row in rows] == ["a", "b"]
    assert [row[3:5] for row in rows] == [["2", "4"], ["1", "3"]]
    assert [row[5] for row in rows] == [f"{n:,}" for n in tokens]
    assert [row[6] for row in rows] == [f"{n / 1e6:.0f}" for n in tokens]
    minutes = sum(tokens) / 6e7
    last = f"3 runs, 7 models, {sum(tokens):,} tokens; some {minutes:.0f} minutes of training here"
    assert text.splitlines()[3].startswith(last)
    assert len(timed) == 2  # each shape once


@pytest.mark.parametrize("name", STUDIES)
def test_a_dry_run_tells_what_is_trained_and_trains_nothing(
    name, timed, monkeypatch, tmp_path, capsys
):
    command = import_module(f"neural.{name}.__main__")
    study = import_module(f"neural.{name}.plan").presets()["smoke"]
    line = ["neural", "--dry-run", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", line)
    assert command.main() == 0
    printed = capsys.readouterr().out
    tokens = sum(training.tokens for training in study.trainings)
    models = sum(training.models for training in study.trainings)
    assert f"{len(study.trainings)} runs, {models} models, {tokens:,} tokens; some " in printed
    assert {shape for shape, _, _ in timed} == {training.shape for training in study.trainings}
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_models_that_exist_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["neural", "--dry-run", "--run", str(tmp_path)])
    assert import_module("neural.robustness.__main__").main() == 2
    assert "--dry-run tells what would be trained" in capsys.readouterr().err


@pytest.mark.parametrize("name", STUDIES)
def test_a_dry_run_refuses_what_the_run_refuses(name, timed, monkeypatch, tmp_path, capsys):
    command = import_module(f"neural.{name}.__main__")
    refusals = []
    for dry in ([], ["--dry-run"]):
        line = ["neural", *dry, "--corpus", "nowhere.txt", "--out", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", line)
        assert command.main() == 2
        refusals.append(capsys.readouterr().err)
    assert refusals[0] == refusals[1]
    assert "no such file or folder" in refusals[0]
    assert refusals[0].count("\n") == 1
    assert not timed
    assert not list(tmp_path.iterdir())
