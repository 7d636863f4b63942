"""The main job from the command line: what it writes, survives, refuses, and answers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim import sweep as module
from sim.config import STRENGTHS, Config, DataSource, presets
from sim.runs.errors import UserError
from sim.runs.identity import canonical, identity
from sim.sweep import Arguments, config_of, sweep
from sim.verdict import judge
from tests.command_line import ROOT, as_process, in_process
from theory.command.ending import start
from theory.geometry import KINDS

COMMAND = [sys.executable, "-m", "sim.sweep"]
SMALL = (
    "--geometries sphere --T 3 --k 2 --d 6 --seeds 1 --draws 64 --images none "
    "--trainers orthonormal --perturbations additive-noise"
).split()
ISOTROPIC = Config(geometries=("sphere", "duplicated"), d=(5,), T=(3, 4), k=(2,), seeds=1, draws=64)


def results(folder: Path) -> pd.DataFrame:
    """What must not depend on how a sweep was executed."""
    return pd.read_parquet(folder).drop(columns=["seconds", "seconds_compiling"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep") / "run"
    sweep(ISOTROPIC, folder)
    return folder


def test_rows_are_tidy_and_agree_with_theory(finished: Path) -> None:
    table = pd.read_parquet(finished)
    cells = 2 * 2 * 3
    assert len(table) == cells * sum(len(strengths) for strengths in STRENGTHS.values())
    assert not table.duplicated(["identity", "perturbation", "strength"]).any()
    assert table.identity.nunique() == cells
    assert table.converged.all()
    verdict = judge([table])
    assert verdict.without_closed_form == 0
    assert verdict.contradictions.empty, verdict.contradictions.to_string()
    noisy = table[(table.perturbation == "additive-noise") & (table.strength > 0)]
    assert (
        abs(noisy.slope_measured - noisy.slope_closed_form) < 6 * noisy.slope_standard_error
    ).all()


def test_a_wrong_closed_form_is_a_contradiction(finished: Path) -> None:
    """Had the theory claimed sigma^2 (d-1) rho instead of sigma^2 d rho, the sweep would have said so."""
    table = pd.read_parquet(finished)
    noisy = table.perturbation == "additive-noise"
    table.loc[noisy, "risk_closed_form"] -= (table.strength**2 * table.slope_trained)[noisy]
    assert not judge([table]).contradictions.empty


def test_workers_and_order_do_not_change_the_table(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def threads() -> int:
        raise AssertionError("JAX is asked by a process that only hands out work")

    monkeypatch.setattr("sim.execute.threads", threads)
    sweep(ISOTROPIC, tmp_path / "two", workers=2)
    pd.testing.assert_frame_equal(results(finished), results(tmp_path / "two"), check_exact=True)


def test_kill_and_resume_lose_and_repeat_nothing(
    finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "killed"
    options = "--geometries sphere duplicated --d 5 --T 3 4 --k 2 --seeds 1 --draws 64 --images none".split()
    arguments = [*options, "--out", str(folder)]
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 600
    while (
        not list(folder.glob("part-*")) and process.poll() is None and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    written = {path: path.stat().st_mtime_ns for path in folder.glob("part-*")}
    assert 0 < len(written) < 6
    for path in folder.glob(".*"):  # half a part: older than any that is being written
        os.utime(path, (0, 0))
    assert in_process(capfd, "sim.sweep", *arguments).returncode == 2
    again = in_process(capfd, "sim.sweep", *arguments, "--resume")
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in written} == written
    pd.testing.assert_frame_equal(results(finished), results(folder), check_exact=True)
    assert not list(folder.glob(".*"))


def test_the_table_at_the_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = [*SMALL, "--out", str(tmp_path / "run")]
    done = as_process("sim.sweep", *arguments)
    assert done.returncode == 0, done.stderr
    for line in (
        "cells",
        "worst deviation",
        "beyond 3",
        "not converged",
        "contradictions",
        "results",
        "figures",
    ):
        assert line in done.stdout
    assert (tmp_path / "run" / "_figures" / "spectral-vs-robustness.png").stat().st_size > 10_000
    again = in_process(capfd, "sim.sweep", *arguments)
    assert again.returncode == 0, again.stderr  # a finished run is read, not repeated


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit(sys.stdin.readline())", json.dumps(canonical(ISOTROPIC))),
        ("import sys; sys.stdin.close(); sys.exit('broken')", "broken"),
    ],
)
def test_figures_get_the_configuration_first(
    program: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever draws them, even if it has ended before it read anything."""

    def started(command: list[str]) -> "subprocess.Popen[str]":
        assert command[-2:] == ["--from", str(tmp_path)]
        process = start([sys.executable, "-c", program])
        if said == "broken":
            process.wait()
        return process

    monkeypatch.setattr(module, "start", started)
    with module.figures(tmp_path, ISOTROPIC) as drawn:
        assert drawn() == f"none ({said})"


def test_digits_on_their_own_inputs(tmp_path: Path) -> None:
    config = Config(
        data=(DataSource("digits"),),
        data_T=(4, 6),
        data_seeds=1,
        data_draws=40,
        draws=40,
        trainers=("orthonormal",),
    )
    table = sweep(config, tmp_path / "run").table()
    assert judge([table]).contradictions.empty
    own = table[table.inputs == "data"]
    assert set(own.perturbation) == {"additive-noise", "weight-deletion", "magnitude-pruning"}
    assert set(own.trainer) == {"d22"}
    assert own.risk_clean.max() < 0.6  # the tasks are learnt: predicting 0 has risk 1
    slopes = own.groupby("T").slope_closed_form.first()
    assert slopes[4] == pytest.approx(1)
    assert 4 / 6 < slopes[6] < 1


BAD: dict[str, list[str]] = {
    "unknown preset 'quik'": ["--preset", "quik"],
    "unknown geometry 'round'": ["--geometries", "round"],
    "unknown perturbation 'rust'": ["--perturbations", "rust"],
    "unknown trainer 'adam'": ["--trainers", "adam"],
    "k = 9 exceeds min": ["--k", "9"],
    "--k 0": ["--k", "0"],
    "--d -3": ["--d", "-3"],
    "--draws": ["--draws", "1"],
    "--ridge nan": ["--ridge", "nan"],
    "--seed -1": ["--seed", "-1"],
    "--workers 0": ["--workers", "0"],
    "the set of tasks is empty": ["--geometries", "--images", "none"],
    "needs a data set": ["--preset", "images"],
    "nowhere.npz: no such file": ["--preset", "images", "--images", "nowhere.npz"],
    "is a file": ["--out", "pyproject.toml"],
    "no orthonormal tasks exist": [
        "--geometries",
        "orthonormal",
        "--d",
        "4",
        "--T",
        "6",
        "--images",
        "none",
    ],
    "at most 9 tasks": ["--preset", "digits", "--T", "10"],
    "has no --ridge": ["--preset", "transformer", "--ridge", "1"],
    "has no --k": ["--preset", "images-nonlinear", "--k", "3"],
    "--d of preset transformer is one number": ["--preset", "transformer", "--d", "8", "16"],
    "--seed 99999999999999999999: give a whole number <=": ["--seed", "9" * 20],
    "--seeds 99999999999999999999: give a whole number <=": ["--seeds", "9" * 20],
    "--draws 99999999999999999999: give a whole number <=": ["--draws", "9" * 20],
    "2,000,000,000 draws: at least": ["--draws", "2000000000"],
    "tasks of d = 2000000000": ["--d", "2000000000", "--T", "2000000000"],
    "Unrecognized options: --bogus": ["--bogus"],
    "File name too long": ["--out", f"/tmp/{'x' * 300}"],
    "make 9 pairs; lower --T": ["--preset", "images-nonlinear", "--T", "10"],
}


PROCESSES = {"is a file", "File name too long", "Unrecognized options: --bogus", "needs a data set"}
"""Of these a process of its own: those refused last, which start another one before, first, and in between."""


@pytest.mark.parametrize("message", BAD)
def test_bad_input_ends_in_one_line(
    message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = [] if "--out" in BAD[message] else ["--out", str(tmp_path / "run")]
    arguments = [*BAD[message], *out]
    if message in PROCESSES:
        done = as_process("sim.sweep", *arguments)
    else:
        done = in_process(capfd, "sim.sweep", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_full_disk_ends_in_one_line(tmp_path: Path) -> None:
    """A limit on file size stands for the disk: writes beyond it fail as they do there."""

    command = [*COMMAND, *SMALL, "--out", str(tmp_path / "run")]
    done = subprocess.run(
        ["bash", "-c", "trap '' XFSZ; ulimit -f 4; exec \"$@\"", "bash", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "cannot write to" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"_provenance.json"}


def test_quick_covers_what_it_promises() -> None:
    quick = config_of(Arguments())
    cells = quick.cells()
    assert {cell.geometry for cell in cells} == set(KINDS)
    assert {cell.trainer for cell in cells} == {"orthonormal", "ridge", "descent"}
    assert set(quick.perturbations) == set(STRENGTHS)
    assert [source.name for source in quick.data] == ["digits"]


def test_options_reach_the_networks_of_a_preset() -> None:
    tasks = config_of(
        Arguments(
            preset="transformer",
            geometries=("sphere",),
            T=(8,),
            d=(12,),
            k=(2,),
            seeds=1,
            draws=9,
            seed=3,
        )
    ).transformer
    assert tasks is not None
    assert (tasks.geometries, tasks.T, tasks.d, tasks.k) == (("sphere",), (8,), 12, 2)
    assert (tasks.seeds, tasks.draws, tasks.seed) == (1, 9, 3)
    config = config_of(
        Arguments(
            preset="images-nonlinear",
            T=(1, 4),
            seeds=2,
            draws=7,
            perturbations=("quantisation",),
            seed=5,
        )
    )
    assert config.networks is not None
    assert (config.networks.T, config.networks.draws) == ((1, 4), 7)
    assert config.networks.failures == ("quantisation",)
    assert list(config.data_seed_range) == [5, 6]


def test_presets_have_distinct_identities() -> None:
    names = [identity(config) for config in presets().values()]
    assert len(set(names)) == len(names)


def test_a_data_set_is_named_by_its_content(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    for name in ("a.npz", "b.npz"):
        np.savez(tmp_path / name, x=x, y=y)
    first, two = (
        config_of(Arguments(preset="images", images=(tmp_path / name,)))
        for name in ("a.npz", "b.npz")
    )
    assert first.data[0].sha256 == two.data[0].sha256
    np.savez(tmp_path / "b.npz", x=x + 1, y=y)
    assert (
        config_of(Arguments(preset="images", images=(tmp_path / "b.npz",))).data[0].sha256
        != two.data[0].sha256
    )


def test_config_errors_name_the_remedy() -> None:
    with pytest.raises(UserError, match="lower --k, or raise"):
        config_of(Arguments(k=(7,)))
    assert module.config_of(Arguments(T=(5,), k=(3,))).data_k == 3
