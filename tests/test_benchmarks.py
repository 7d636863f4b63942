"""The table of benchmarks: what it says of limits, of what was not measured, and of runs of some of them."""

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.table import Line, contents, keep, kept, machine, printed, record
from tests.places import ROOT

RUN = {
    "commit": "a" * 40,
    "versions": {"python": "3.11.7", "jax": "0.8"},
    "machine": {"processor": "Sprinter", "cores": 2, "isa": "AVX2", "accelerators": []},
}
LATER = RUN | {"commit": "b" * 40}
SLOW = Line("sorting over reading", most=1.5, run=RUN).measured([1.5, 1.7, 1.6])
FAST = Line("speed of two over one", least=1.8, run=RUN).measured([1.9])
ABSENT = Line("ours over theirs", most=1.0, note="needs theirs", run=RUN)


def rows(folder: Path) -> dict[str, list[str]]:
    """The first table of the page, by what was compared."""
    lines = (folder / "benchmarks.md").read_text().partition("## Runs")[0].splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {what: rest for what, *rest in cells[2:]}


def test_a_page_shows_what_is_beyond_its_limit_and_what_was_not_measured(tmp_path: Path) -> None:
    keep([SLOW, FAST, ABSENT, Line("unjudged", run=RUN).measured([1.0])], tmp_path)
    where = "Sprinter, 2 cores, AVX2"
    assert rows(tmp_path) == {
        "sorting over reading": ["1.6 [1.5, 1.7] of 3", "≤ 1.5", "**no**", where, "", "1"],
        "speed of two over one": ["1.9 [1.9, 1.9] of 1", "≥ 1.8", "yes", where, "", "1"],
        "ours over theirs": ["not measured", "≤ 1", "–", where, "needs theirs", "1"],
        "unjudged": ["1 [1, 1] of 1", "–", "–", where, "", "1"],
    }
    page = (tmp_path / "benchmarks.md").read_text()
    assert "4 lines, 3 measured, 1 outside their limits" in page
    assert page.count("commit aaaaaaaaaa") == 1
    assert "python 3.11.7, jax 0.8" in page


@pytest.mark.parametrize(
    ("most", "least", "met"),
    [(2.0, None, True), (1.9, None, False), (None, 2.0, True), (None, 2.1, False)],
)
def test_limits(most: float | None, least: float | None, met: bool) -> None:
    line = Line("this over that", most=most, least=least).measured([2.0])
    assert line.met is met


def test_what_was_not_measured_is_within_no_limit() -> None:
    assert ABSENT.met is None
    assert "not measured | ≤ 1 | – | needs theirs" in printed([ABSENT])
    assert "1.6 [1.5, 1.7] of 3 | ≤ 1.5 | no |" in printed([SLOW])


def test_a_run_of_some_replaces_their_lines_alone(tmp_path: Path) -> None:
    keep([SLOW, FAST, ABSENT], tmp_path)
    better = replace(SLOW, run=LATER).measured([1.2])
    failed = Line(FAST.what, least=1.8, note="failed (OSError)", run=LATER)
    new = Line("new over old", run=LATER).measured([0.5])
    keep([better, failed, new], tmp_path)
    assert kept(tmp_path) == [better, FAST, ABSENT, new]
    assert [row[-1] for row in rows(tmp_path).values()] == ["1", "2", "2", "1"]
    runs = json.loads((tmp_path / "benchmarks.json").read_text())["runs"]
    assert runs == [LATER, RUN]


def test_the_reason_of_what_was_never_measured_is_the_last(tmp_path: Path) -> None:
    keep([ABSENT], tmp_path)
    keep([replace(ABSENT, note="needs more", run=LATER)], tmp_path)
    assert [(line.note, line.run) for line in kept(tmp_path)] == [("needs more", LATER)]


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    odd = replace(SLOW, what='of "a, b"', note="a | b, c", run=RUN)
    files = contents([odd, FAST])
    keep([odd, FAST], tmp_path)
    assert kept(tmp_path) == [odd, FAST]
    assert files == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert all(len(row) == 9 for row in csv.reader(io.StringIO(files["benchmarks.csv"].decode())))


def test_a_record_names_code_and_machine_and_no_date() -> None:
    provenance = record()
    assert set(provenance) == {"commit", "versions", "machine"}
    assert provenance == record()
    assert f"{len(os.sched_getaffinity(0))} cores" in machine(provenance)


BENCHMARKS = """
import pytest

pytestmark = pytest.mark.benchmark

@pytest.mark.line("{name} over nothing")
@pytest.mark.parametrize(("name", "most"), [("much", 1), ("little", 9)])
def test_measured(judge, name, most):
    judge([3.0], note=name)

@pytest.mark.line("skipped")
def test_skipped(judge):
    pytest.skip("needs what is not there")

@pytest.mark.line("broken", least=2)
def test_broken(judge):
    raise OSError("in /some/folder")
"""


def test_a_session_keeps_every_line(tmp_path: Path) -> None:
    """In a process of its own, with the fixtures of the benchmarks."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "conftest.py").write_text("from tests.benchmarks.conftest import *\n")
    (folder / "test_some.py").write_text(BENCHMARKS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "benchmark",
        "-c",
        str(ROOT / "pyproject.toml"),
    ]
    command += ["-p", "no:cacheprovider", "-n", "0", str(folder), "--keep", str(tmp_path / "kept")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    lines = {what: (*row[:3], row[4]) for what, row in rows(tmp_path / "kept").items()}
    assert lines == {
        "much over nothing": ("3 [3, 3] of 1", "≤ 1", "**no**", "much"),
        "little over nothing": ("3 [3, 3] of 1", "≤ 9", "yes", "little"),
        "skipped": ("not measured", "–", "–", "needs what is not there"),
        "broken": ("not measured", "≥ 2", "–", "failed (OSError)"),
    }
    assert "| much over nothing | 3 [3, 3] of 1 | ≤ 1 | no | much |" in done.stdout
