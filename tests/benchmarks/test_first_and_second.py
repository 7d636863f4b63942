"""How long commands take that compile their programs, and that have them kept, on this machine.

The quick sweep, first and second, beside that of an earlier commit; the second of a study beside its first. Each turn
begins with an empty cache and runs them one after another.
"""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.benchmarks.timing import seconds
from tests.places import ROOT

OTHER = "d73669d"


STUDIES = ("robustness", "imbalance", "subnetworks", "dynamics", "across")


def run(module: str, tree: Path, folder: Path, programs: Path) -> None:
    """What a command does without options, by the code of a tree."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    environment |= {"PYTHONPATH": str(tree), "COGNITIVE_RESERVE_PROGRAMS": str(programs)}
    command = [sys.executable, "-m", module, "--out", str(folder)]
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd=folder.parent)


sweep = partial(run, "sim.sweep")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of the earlier commit."""
    command = ["git", "-C", str(ROOT), "archive", OTHER]
    try:
        archive = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"needs commit {OTHER}, which is not in this checkout")
    tree = tmp_path_factory.mktemp("other")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tree, filter="data")
    return tree


@pytest.fixture(scope="module")
def ratios(
    other: Path, turns: Callable[[int], int], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[float]]:
    """Of the first and of the second sweep to the other, turn by turn."""
    measured: dict[str, list[float]] = {"first": [], "second": []}
    for number in range(turns(3)):
        place = tmp_path_factory.mktemp(str(number))
        theirs = seconds(lambda: sweep(other, place / "other", place / "none of its"))  # noqa: B023
        for name, of_name in measured.items():
            ours = seconds(lambda: sweep(ROOT, place / name, place / "programs"))  # noqa: B023
            of_name.append(ours / theirs)
    return measured


@pytest.mark.benchmark
@pytest.mark.line(f"{{which}} quick sweep ({{programs}}) over that of commit {OTHER}")
@pytest.mark.parametrize(
    ("which", "programs", "most"),
    [("first", "programs compiled", 0.55), ("second", "programs kept", 0.35)],
)
def test_a_quick_sweep(ratios, judge, which: str, programs: str, most: float) -> None:
    judge(ratios[which])


@pytest.mark.benchmark
@pytest.mark.line(
    "second smoke run of study {study} (programs kept) over its first (compiled)", most=0.6
)
@pytest.mark.parametrize("study", STUDIES)
def test_a_smoke_run(turns, judge, study: str, tmp_path: Path) -> None:
    measured = []
    for number in range(turns(3)):
        programs = tmp_path / f"programs{number}"
        first, second = (
            seconds(lambda: run(f"neural.{study}", ROOT, tmp_path / folder, programs))  # noqa: B023
            for folder in (f"first{number}", f"second{number}")
        )
        measured.append(second / first)
    judge(measured)
