"""What old runs recorded is read, resumed and rendered as it was, and no test is lost (tests/goldens)."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tyro

from sim.sweep import Arguments, config_of, sweep
from tests.fuzzing import module
from tests.goldens.make import HERE, IDENTITIES, RENDERED, STUDIES, identities, rendered

LEAST = {"files": 138, "tests": 4606}
"""Files of tests, and tests of the default run, before the packages were moved into rooms."""


def test_identities_are_those_of_old_runs() -> None:
    """Runs are resumed, and random draws seeded, by them."""
    assert identities() == json.loads(IDENTITIES.read_text())


@pytest.mark.parametrize("kind", ["sweep", *STUDIES])
def test_an_old_run_is_rendered_as_it_was(kind: str, tmp_path: Path) -> None:
    folder = HERE / kind
    run = tmp_path / kind  # its name is part of what is rendered
    shutil.copytree(folder / kind, run)
    texts = rendered(kind, run, tmp_path / "out")
    before = {path.name: path.read_text() for path in (folder / RENDERED).iterdir()}
    assert sorted(texts) == sorted(before)
    for name, text in texts.items():
        assert_same(text, before[name], name)


def assert_same(text: str, before: str, name: str) -> None:
    """Equal, or a table whose numbers another processor adds up in another order."""
    if text == before or not name.endswith(".csv"):
        assert text.splitlines() == before.splitlines(), name
        return
    ours, theirs = (cells(table) for table in (text, before))
    assert ours.shape == theirs.shape, name
    for mine, old in zip(ours.ravel(), theirs.ravel(), strict=True):
        if mine != old:
            assert float(mine) == pytest.approx(float(old), rel=1e-9, abs=1e-12), name


def cells(table: str) -> np.ndarray:
    """A table's words, one to each cell."""
    return np.array(list(csv.reader(table.splitlines())))


def test_tables_that_differ_are_seen() -> None:
    assert_same("a,b\nx,1.0000000000001", "a,b\nx,1.0", "t.csv")
    for other in ("a,b\nx,1.1", "a,b\ny,1.0", "a,c\nx,1.0", "a,b\nx,1.0\nx,1.0"):
        with pytest.raises((AssertionError, ValueError)):
            assert_same(other, "a,b\nx,1.0", "t.csv")
    with pytest.raises(AssertionError):
        assert_same("a 1.0000000000001", "a 1.0", "t.md")


SWEPT = (
    "--geometries orthonormal sphere duplicated --d 8 --T 3 4 --k 2 --seeds 1 --draws 32".split()
)


def resumed_sweep(run: Path) -> None:
    sweep(config_of(tyro.cli(Arguments, args=SWEPT)), run, resume=True)


def resumed_study(run: Path) -> None:
    words = ["--preset", "smoke", "--out", str(run), "--resume"]
    assert module("neural.dynamics").main(words) == 0


@pytest.mark.parametrize(
    ("kind", "resumed", "part"),
    [
        ("sweep", resumed_sweep, "part-00003"),
        ("dynamics", resumed_study, "part-bits-text-steps-8-16"),
    ],
)
def test_an_old_run_is_resumed(
    kind: str, resumed: Callable[[Path], None], part: str, tmp_path: Path
) -> None:
    """What is missing comes back, and nothing else is written but who resumed it."""
    run = tmp_path / kind
    shutil.copytree(HERE / kind / kind, run)
    record = json.loads((run / "_provenance.json").read_text())
    lost = run / f"{part}.parquet"
    before = pd.read_parquet(lost)
    lost.unlink()
    kept = [path for path in run.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    kept.remove(run / "_provenance.json")
    written = {path: path.stat().st_mtime_ns for path in kept}
    resumed(run)
    assert {path: path.stat().st_mtime_ns for path in kept} == written
    after = json.loads((run / "_provenance.json").read_text())
    assert {name: after[name] for name in ("identity", "config")} == {
        name: record[name] for name in ("identity", "config")
    }
    timings = [name for name in before if name.startswith("seconds")]
    # Another processor, and other options of XLA, round float32 otherwise.
    pd.testing.assert_frame_equal(
        pd.read_parquet(lost).drop(columns=timings), before.drop(columns=timings), rtol=1e-4
    )


WHOLLY_SLOW = {"test_interrupts.py", "test_fuzz.py"}


def test_no_test_is_lost(request: pytest.FixtureRequest) -> None:
    """Of a run of all that is not slow, which is a run that reached every file."""
    on_disk = {path for path in HERE.parent.rglob("test_*.py") if path.parent.name != "benchmarks"}
    assert len(on_disk) >= LEAST["files"]
    items, options = request.session.items, request.config.option
    reached = {path for path in on_disk if path.name not in WHOLLY_SLOW}
    if not reached <= {item.path for item in items} or options.keyword:
        pytest.skip("only some of the tests were asked for")
    assert len(items) >= LEAST["tests"]
