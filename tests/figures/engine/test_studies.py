"""Every figure and page takes the runs of one kind, and refuses those of all others."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from figures.engine import page, rooms
from figures.engine.runs import OtherKind, kind
from neural.study.kind import MARKS
from sim.config import Config
from sim.runs.errors import UserError
from sim.runs.store import Run
from tests.figures import (
    fake_across,
    fake_dynamics,
    fake_imbalance,
    fake_study,
    fake_subnetworks,
)
from tests.places import ROOT

CONFIGURATIONS: dict[str, Any] = {
    "sweep": Config(geometries=("sphere",)),
    "imbalance": fake_imbalance.small(),
    "robustness": fake_study.small(),
    "subnetworks": fake_subnetworks.small(),
    "across": fake_across.small(),
    "dynamics": fake_dynamics.small(),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of every kind that have only begun."""
    folder = tmp_path_factory.mktemp("kinds")
    for name, config in CONFIGURATIONS.items():
        Run.open(folder / name, config, resume=False, parts=["part-0"])
    return {name: folder / name for name in CONFIGURATIONS}


def test_runs_are_told_apart(runs: dict[str, Path]) -> None:
    assert {name: kind(run) for name, run in runs.items()} == {name: name for name in runs}
    assert CONFIGURATIONS.keys() == {"sweep", *MARKS}
    assert MARKS.keys() == rooms.pages().keys()


@pytest.mark.parametrize("figure", rooms.figures())
def test_every_figure_is_of_one_kind_of_run(figure: str, runs: dict[str, Path]) -> None:
    assert sum(not _refused(figure, run) for run in runs.values()) == 1


REFUSED = """
import importlib, sys
from pathlib import Path
from figures.engine import render, rooms, runs as run_folders
from sim.runs.errors import UserError
render.get_ready()
before = set(sys.modules)
for name, module in rooms.figures().items():
    try:
        getattr(importlib.import_module(module), "table")(Path(sys.argv[1]))
    except run_folders.OtherKind:
        print(name, *sorted(set(sys.modules) - before))
    except UserError:  # it is of this kind, and has no rows
        pass
"""


def test_a_run_of_another_kind_is_refused_before_anything_is_imported(
    runs: dict[str, Path],
) -> None:
    command = [sys.executable, "-c", REFUSED, str(runs["across"])]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    lines = done.stdout.splitlines()
    assert set(lines) == rooms.figures().keys() - {"across"}, done.stderr


def _refused(figure: str, run: Path) -> bool:
    """As being of another kind; that a run which has only begun lacks rows is no refusal."""
    try:
        importlib.import_module(rooms.figures()[figure]).table(run)
    except OtherKind:
        return True
    except UserError:
        return False
    return False


@pytest.mark.parametrize("name", rooms.pages())
def test_every_page_is_of_one_kind_of_run(
    name: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for other, run in runs.items():
        assert page.main([name, "--from", str(run), "--out", str(tmp_path / "out")]) == 2
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        assert (f"is no {rooms.called(name)}" in printed) == (other != name)
    assert not (tmp_path / "out").exists()
