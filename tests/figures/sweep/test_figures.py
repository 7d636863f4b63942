"""Figures from a small run whose numbers are the theory's own: closed forms, and Monte Carlo
through its failures."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from figures.engine import render, rooms, style
from figures.engine import runs as results
from figures.engine.runs import COLUMNS, MissingRows, rows
from figures.sweep import (
    crossing_point,
    noisy_risk,
    nonlinear_tasks,
    phase_diagram,
    quadratic_regime,
    spectral_vs_robustness,
    transformer_slope,
)
from sim.config import Config, DataSource
from sim.runs.errors import UserError
from sim.runs.identity import canonical
from sim.runs.store import Run
from sim.table import tidy
from tests.places import ROOT
from theory.geometry import existing, sample
from theory.perturbation import AdditiveNoise
from theory.representation import Representation, optimal_representation, risk
from theory.spectra import balanced_slope, slope

LINEAR = ["spectral-vs-robustness", "noisy-risk", "crossing-point", "phase-diagram"]
"""The figures of linear models; those of networks have their own tests."""
DRAWS = 40
SIGMAS = (0.0, 0.1, 0.2, 0.4)
CONFIG = Config(
    geometries=("sphere",), d=(24,), T=(4, 6, 12), seed=11, data=(DataSource("digits"),)
)


def additive_noise_rows(
    model: Representation,
    C: np.ndarray,
    covariance: np.ndarray | None,
    predicted: float,
    seed: int,
    **cell: object,
) -> list[dict[str, object]]:
    """What a sweep writes of one model under additive noise, measured by plain Monte Carlo."""
    clean = risk(model.W, model.heads, C, covariance)
    power = len(C) if covariance is None else float(np.trace(covariance))
    table = []
    for sigma in SIGMAS:
        noise = AdditiveNoise(sigma)
        rng = np.random.default_rng([seed, int(10 * sigma)])
        risks = [risk(noise.sample(model.W, rng), model.heads, C, covariance) for _ in range(DRAWS)]
        mean, error = float(np.mean(risks)), float(np.std(risks, ddof=1) / DRAWS**0.5)
        unit = sigma**2 * power if sigma else np.nan
        table.append(
            {
                "identity": f"{seed:016x}",
                "network": "linear",
                "group": "W",
                "iterations": 0,
                "options": "{}",
                "d": len(C),
                "T": C.shape[1],
                "k": len(model.W),
                "seed": seed,
                "perturbation": "additive-noise",
                "strength": sigma,
                "draws": DRAWS,
                "risk_clean": clean,
                "risk_closed_form": noise.expected_risk(model, C, covariance),
                "risk_measured": mean,
                "standard_error": error,
                "slope_closed_form": predicted,
                "slope_measured": (mean - clean) / unit,
                "slope_standard_error": error / unit,
                "converged": True,
            }
            | cell
        )
    return table


def synthetic_rows() -> list[dict[str, object]]:
    k, d, seed, table = 4, 24, 0, []
    for T in (4, 6, 12):
        for geometry in [name for name in existing(d, T) if name != "adversarial"]:
            C = sample(geometry, d, T, seed=seed)
            for trainer, ridge, predicted in (
                ("orthonormal", 0.0, slope(C, k)),
                ("ridge", 0.2, balanced_slope(C, k, 0.2)),
                ("descent", 0.0, balanced_slope(C, k)),
            ):
                model = optimal_representation(C, k, ridge=ridge, balanced=trainer != "orthonormal")
                cell = {"geometry": geometry, "inputs": "isotropic", "trainer": trainer}
                table += additive_noise_rows(model, C, None, predicted, seed, **cell)
                seed += 1
    return table


def data_rows() -> list[dict[str, object]]:
    """Two seeds of tasks on inputs of unequal variances, T = 4..9."""
    table, S = [], np.diag(np.linspace(0.1, 2.0, 40))
    for T in range(4, 10):
        for seed in (100, 101):
            C = sample("sphere", 40, T, seed=seed)
            model = optimal_representation(C, 4)
            cell = {"geometry": "digits", "inputs": "data", "trainer": "d22"}
            table += additive_noise_rows(model, C, S, model.slope, 10 * seed + T, **cell)
    return table


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    store = Run.open(folder, CONFIG, resume=False, parts=["part-0", "part-1"])
    store.write("part-0", tidy(synthetic_rows()))
    store.write("part-1", tidy(data_rows()))
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(run, tmp_path / "copy")


def rewrite(run: Path, change: object) -> None:
    """Replace the run's parts by one that holds change(table)."""
    table = change(pd.read_parquet(run))  # type: ignore[operator]
    for part in run.glob("part-*.parquet"):
        part.unlink()
    table.to_parquet(run / "part-0.parquet", index=False)


SMALL: dict[str, Any] = {"DIMENSIONS": (4, 8, 16), "DRAWS": 30}


@pytest.fixture
def small_phase_diagram(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phase diagram of few dimensions, for tests that do not read it."""
    for name, value in SMALL.items():
        monkeypatch.setattr(phase_diagram, name, value)


@pytest.fixture(scope="module")
def each(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the linear figures, each rendered alone; the phase diagram is small."""
    out = tmp_path_factory.mktemp("each")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(phase_diagram, name, value)
        for name in LINEAR:
            render.render([name], run, out)
    return contents(out)


def named(names: Sequence[str], files: dict[str, bytes]) -> dict[str, bytes]:
    """The files of some of the figures."""
    return {name: content for name, content in files.items() if Path(name).stem in names}


def cli(*arguments: object) -> int:
    return render.main([str(argument) for argument in arguments])


def test_spectral_vs_robustness_holds_measured_against_predicted(run: Path) -> None:
    table = spectral_vs_robustness.table(run)
    assert set(table["trainer"]) == set(spectral_vs_robustness.PANELS)
    assert len(table) == table["identity"].nunique() == pd.read_parquet(run)["identity"].nunique()
    assert set(table["strength"]) == {max(SIGMAS)}
    assert table["geometry"].nunique() >= 12
    # Of n standard normal deviations the largest stays below 6 but for a chance of n * 2e-9;
    # averages of 40 draws of a chi-square-like risk have heavier tails, and these seeds are fixed.
    assert table["deviation"].abs().max() < 6
    by_hand = (table["slope_measured"] - table["slope_closed_form"]) / table["slope_standard_error"]
    pd.testing.assert_series_equal(table["deviation"], by_hand, check_names=False)


def test_spectral_vs_robustness_shows_cells_that_did_not_converge_apart(copy: Path) -> None:
    rewrite(copy, lambda t: t.assign(converged=t["geometry"] != "sphere"))
    table = spectral_vs_robustness.table(copy)
    assert not table["converged"].all()
    with style.use():
        figure = spectral_vs_robustness.draw(table)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-1] == spectral_vs_robustness.NOT_CONVERGED
    crosses = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "x"]
    drawn = sum(len(line.get_xdata()) for line in crosses)
    assert drawn == 2 * (~table["converged"]).sum()  # among the slopes and among the deviations


def test_noisy_risk_draws_the_closed_form_through_the_runs_own(run: Path) -> None:
    table = noisy_risk.table(run)
    source = rows(run, "inputs == 'data' and perturbation == 'additive-noise'")
    assert set(table["T"]) == set(range(4, 10))
    for T in range(4, 10):
        cell = (
            source[source["T"] == T]
            .groupby("strength")[["risk_closed_form", "risk_measured"]]
            .mean()
        )
        line = table[(table["T"] == T) & (table["kind"] == "closed-form")]
        # The parabola goes through the closed form at every sigma: interpolated between 81 points,
        # h^2/8 of the second derivative 2 a/sigma_max^2 is 4e-5 of its height.
        at = np.interp(cell.index, line["sigma"], line["loss"])
        # At T = k and sigma = 0 the risk is 0 up to rounding (eps^2 of tasks of norm 1).
        np.testing.assert_allclose(at, cell["risk_closed_form"] / 2, rtol=1e-4, atol=1e-28)
        points = table[(table["T"] == T) & (table["kind"] == "measured")].set_index("sigma")["loss"]
        np.testing.assert_allclose(points, cell["risk_measured"] / 2, rtol=1e-14)
    assert set(table["seeds"]) == {2}


def test_noisy_risk_averages_errors_as_those_of_a_mean(copy: Path) -> None:
    rewrite(copy, lambda t: t.assign(standard_error=1.0))
    measured = noisy_risk.table(copy).query("kind == 'measured'")
    # The mean of two seeds with error 1 each has error 1/sqrt(2); the loss is half the risk.
    np.testing.assert_allclose(measured["standard_error"], 0.5 / 2**0.5, rtol=1e-14)


def test_noisy_risk_leaves_out_cells_that_did_not_converge(copy: Path) -> None:
    rewrite(copy, lambda t: t.assign(converged=t["T"] != 7))
    assert set(noisy_risk.table(copy)["T"]) == {4, 5, 6, 8, 9}


def test_noisy_risk_needs_noise(copy: Path) -> None:
    rewrite(copy, lambda t: t[t["strength"] == 0])
    with pytest.raises(MissingRows, match="without noise only"):
        noisy_risk.table(copy)


def test_crossing_point_crosses_at_one(run: Path) -> None:
    table = crossing_point.table(run)
    lines = table[(table["kind"] == "closed-form") & (table["readout"] == "optimal")]
    assert lines["T"].nunique() == 3
    assert table[["geometry", "d", "k"]].drop_duplicates().shape == (1, 3)
    at_one = lines[np.isclose(lines["noise"], 1)]
    assert len(at_one) == 3
    np.testing.assert_allclose(at_one["risk"], 1, rtol=1e-14)
    for noise, smaller in ((0.5, False), (2.0, True)):
        risks = lines[np.isclose(lines["noise"], noise)].sort_values("T")["risk"]
        assert risks.is_monotonic_decreasing == smaller
        assert risks.is_monotonic_increasing != smaller
    aware = table[(table["readout"] == "noise-aware") & np.isclose(table["noise"], 2.0)]
    assert aware.sort_values("T")["risk"].is_monotonic_increasing
    assert (table.loc[table["readout"] == "noise-aware", "risk"] < 1).all()


def test_crossing_point_measures_what_it_draws(run: Path) -> None:
    measured = crossing_point.table(run).query("kind == 'measured' and noise > 0")
    expected = 1 + measured["slope"] * (measured["noise"] - 1)
    # Within 6 standard errors, as above.
    assert ((measured["risk"] - expected).abs() < 6 * measured["standard_error"]).all()


def test_crossing_point_takes_unit_tasks_only(copy: Path) -> None:
    rewrite(copy, lambda t: t[t["geometry"].isin(["gaussian", "integer", "dominant"])])
    with pytest.raises(MissingRows, match="unit tasks"):
        crossing_point.table(copy)


def test_phase_diagram_agrees_with_statements(run: Path) -> None:
    table = phase_diagram.table(run)
    shares = table[table["rows"] == "gaussian"]
    assert len(shares) == len(phase_diagram.DIMENSIONS) * len(phase_diagram.TASKS)
    # Statement 10, observed: at d = 512 >= 300 with k = 4 the slope falls in all draws for T =
    # 4..10.
    assert (shares.query("d == 512 and T <= 10")["share"] == 1).all()
    assert shares.query("d == 4")["share"].mean() < 0.8
    changes = table[table["rows"] == "coherence"]
    below = changes[changes["coherence"] < 1 / changes["T"] ** 2]
    assert set(below["geometry"]) >= {"equicorrelated", "clustered"}
    assert (below["change"] < 0).all()  # statement 9
    assert changes["change"].max() > 0  # statement 12: beyond the bound a task can raise the slope
    # Statement 13 for T and T + 1: r + k (1 - r) / T. The sampler and the singular values each
    # round at 1e-15.
    equal = changes[changes["geometry"] == "equicorrelated"]
    r, k, T = equal["coherence"], equal["k"], equal["T"]
    expected = (r + k * (1 - r) / (T + 1)) / (r + k * (1 - r) / T) - 1
    np.testing.assert_allclose(equal["change"], expected, atol=1e-13)


@pytest.mark.usefixtures("small_phase_diagram")
def test_phase_diagram_counts_draws_whose_slope_falls(run: Path) -> None:
    shares = phase_diagram.table(run).query("rows == 'gaussian'").set_index(["d", "T"])["share"]
    for d, T in ((4, 5), (8, 4), (16, 12)):
        draws = [
            sample("gaussian", d, 17, number) for number in phase_diagram._seeds(CONFIG.seed, d)
        ]
        falls = [
            slope(C[:, : T + 1], phase_diagram.K) < slope(C[:, :T], phase_diagram.K) for C in draws
        ]
        assert shares[d, T] == np.mean(falls)


@pytest.mark.usefixtures("small_phase_diagram")
def test_phase_diagram_is_drawn_with_the_seed_of_the_run(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    Run.open(other, Config(geometries=("sphere",), seed=12), resume=False, parts=["part-0"])
    first, again, second = (phase_diagram.table(folder) for folder in (run, run, other))
    pd.testing.assert_frame_equal(first, again)
    assert not first["share"].equals(second["share"])


@pytest.mark.parametrize(
    ("names", "formats"), [(LINEAR, ["png"]), (["noisy-risk"], ["pdf", "svg"])]
)
def test_same_run_gives_the_same_bytes(
    names: list[str], formats: list[str], run: Path, each: dict[str, bytes], tmp_path: Path
) -> None:
    """In two processes, and with a reader's own rcParams in the second."""
    here, there = each, tmp_path / "there"
    if formats != ["png"]:
        render.render(names, run, tmp_path / "here", formats)
        here = contents(tmp_path / "here")
    script = (
        "import sys, matplotlib; matplotlib.rcParams['axes.facecolor'] = 'red'; "
        f"from figures.engine import style; style.RC.update({style.RC}); "
        f"from figures.sweep import phase_diagram; vars(phase_diagram).update({SMALL}); "
        "from figures.render import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = [*names, "--from", run, "--out", there, "--format", ",".join(formats)]
    command = [sys.executable, "-c", script, *map(str, arguments)]
    subprocess.run(command, check=True, timeout=600, cwd=ROOT, capture_output=True)
    files = [f"{name}.{end}" for name in names for end in (*formats, "csv", "json")]
    assert sorted(here) == sorted(files)
    assert here == contents(there)


@pytest.mark.parametrize(
    ("said", "files"), [("", 0), ("[cut sho", 0), ("{}\n", 0), ("{}\ndraw\n", 3)]
)
def test_a_process_that_waits_draws_when_told(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, files: int
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(said))
    assert cli("noisy-risk", "--when-told", "--from", run, "--out", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*"))) == files


@pytest.mark.parametrize("said", ["draw\n", "[]\n"])
def test_a_process_that_waits_wants_a_configuration(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    said: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(said))
    assert cli("noisy-risk", "--when-told", "--from", run, "--out", tmp_path / "out") == 2
    assert "is no configuration" in capsys.readouterr().err


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("small_phase_diagram")
def test_what_needs_the_configuration_alone_is_drawn_before_the_run_is_done(
    run: Path, each: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = []

    class Input(io.StringIO):
        def readline(self, size: int = -1, /) -> str:
            events.append("waits")
            return super().readline(size)

    draw = phase_diagram.draw
    monkeypatch.setattr(
        phase_diagram, "draw", lambda table: (events.append("draws"), draw(table))[1]
    )
    monkeypatch.setattr(sys, "stdin", Input(json.dumps(canonical(CONFIG)) + "\ndraw\n"))
    assert cli(*LINEAR, "--when-told", "--from", run, "--out", tmp_path / "early") == 0
    assert events == ["waits", "draws", "waits"]
    assert contents(tmp_path / "early") == each


@pytest.mark.usefixtures("small_phase_diagram")
def test_a_figure_of_another_configuration_is_drawn_again(
    run: Path, each: dict[str, bytes], tmp_path: Path
) -> None:
    other = canonical(replace(CONFIG, seed=12))
    early = render.draw_early(other, ["phase-diagram"], ["png"])
    render.render(["phase-diagram"], run, tmp_path / "early", early=early)
    assert contents(tmp_path / "early") == named(["phase-diagram"], each)
    shares = pd.read_csv(tmp_path / "early" / "phase-diagram.csv")["share"]
    assert not np.array_equal(shares, early.figures["phase-diagram"].table["share"], equal_nan=True)


@pytest.mark.parametrize(("piece", "times"), [(10**6, 1), (50, 3)])
def test_a_table_that_is_not_large_is_read_once_for_all_figures(
    piece: int,
    times: int,
    run: Path,
    each: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads = []
    tables = Run.tables
    monkeypatch.setattr(Run, "tables", lambda store: (reads.append(store), tables(store))[1])
    monkeypatch.setattr(results, "PIECE", piece)
    names = ["spectral-vs-robustness", "noisy-risk", "crossing-point"]
    render.render(names, run, tmp_path / "all")
    assert len(reads) == times
    assert contents(tmp_path / "all") == named(names, each)


def test_pieces_of_a_table_hold_every_row_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rows(run, "draws > 0")
    monkeypatch.setattr(results, "PIECE", 50)
    assert len(list(results._pieces(run))) == 2
    pd.testing.assert_frame_equal(rows(run, "draws > 0"), whole)


def test_a_changed_run_is_read_again(copy: Path, tmp_path: Path) -> None:
    render.render(["noisy-risk"], copy, tmp_path / "before")
    rewrite(copy, lambda t: t[t["T"] != 7])
    render.render(["noisy-risk"], copy, tmp_path / "after")
    drawn = [pd.read_csv(tmp_path / name / "noisy-risk.csv") for name in ("before", "after")]
    assert [7 in set(table["T"]) for table in drawn] == [True, False]


def test_files_of_a_figure(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    assert cli("noisy-risk", "--from", run, "--out", out) == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "noisy-risk.csv",
        "noisy-risk.json",
        "noisy-risk.png",
    ]
    drawn = pd.read_csv(out / "noisy-risk.csv")
    pd.testing.assert_frame_equal(drawn, noisy_risk.table(run), check_dtype=False)
    source = json.loads((out / "noisy-risk.json").read_text())
    assert source["run"] == json.loads((run / "_provenance.json").read_text())
    assert source["rendered"]["command"].startswith(
        "python -m figures.render noisy-risk --from run"
    )
    assert {"matplotlib", "numpy"} <= set(source["rendered"]["versions"])
    height, width = matplotlib.image.imread(out / "noisy-risk.png").shape[:2]
    assert abs(width - style.RC["savefig.dpi"] * style.COLUMN) <= 1
    assert height > style.RC["savefig.dpi"]


def test_default_place_is_inside_the_run_and_no_part_of_its_table(copy: Path) -> None:
    before = pd.read_parquet(copy)
    assert cli("crossing-point", "--from", copy) == 0
    assert (copy / "_figures" / "crossing-point.png").is_file()
    pd.testing.assert_frame_equal(pd.read_parquet(copy), before)


@pytest.mark.usefixtures("small_phase_diagram")
def test_without_names_it_leaves_out_what_the_run_cannot_show(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(copy, lambda t: t[t["inputs"] == "isotropic"])
    assert cli("--from", copy, "--out", tmp_path / "out") == 0
    assert not (tmp_path / "out" / "noisy-risk.png").exists()
    assert (tmp_path / "out" / "phase-diagram.png").exists()
    assert "left out noisy-risk" in capsys.readouterr().err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("--list") == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == list(rooms.figures())


@pytest.mark.parametrize(
    "module",
    [
        spectral_vs_robustness,
        noisy_risk,
        crossing_point,
        phase_diagram,
        transformer_slope,
        quadratic_regime,
        nonlinear_tasks,
    ],
)
def test_registry_and_modules_agree(module: object) -> None:
    assert rooms.figures()[module.NAME] == module.__name__  # type: ignore[attr-defined]


def broken(case: str, run: Path, tmp_path: Path) -> list[object]:
    """The arguments of a bad call; what it needs is made or broken below tmp_path."""
    out = tmp_path / "out"
    if case == "unknown figure":
        return ["nosy-risk", "--from", run, "--out", out]
    if case == "unknown format":
        return ["--from", run, "--out", out, "--format", "png,gif"]
    if case == "no format":
        return ["--from", run, "--out", out, "--format", ""]
    if case == "no run given":
        return ["noisy-risk"]
    if case == "unknown option":
        return ["--form", "png", "--from", run]
    if case == "no such run":
        return ["--from", tmp_path / "nowhere", "--out", out]
    if case == "run is a file":
        return ["--from", run / "_provenance.json", "--out", out]
    if case == "out is a file":
        (tmp_path / "file").write_text("mine")
        return ["--from", run, "--out", tmp_path / "file"]
    if case == "out below a file":
        (tmp_path / "file").write_text("mine")
        return ["noisy-risk", "--from", run, "--out", tmp_path / "file" / "out"]
    copy = shutil.copytree(run, tmp_path / "copy")
    if case == "not a run":
        (copy / "_provenance.json").unlink()
    elif case == "provenance cut short":
        (copy / "_provenance.json").write_text("{")
    elif case == "no results":
        for part in copy.glob("part-*"):
            part.unlink()
    elif case == "part cut short":
        part = copy / "part-0.parquet"
        part.write_bytes(part.read_bytes()[:2000])
    elif case == "column missing":
        rewrite(copy, lambda t: t.drop(columns="slope_measured"))
    elif case == "no rows for it":
        rewrite(copy, lambda t: t[t["inputs"] == "isotropic"])
    elif case == "unknown trainer":
        rewrite(copy, lambda t: t.assign(trainer="newton"))
    name = "noisy-risk" if case == "no rows for it" else "spectral-vs-robustness"
    return [name, "--from", copy, "--out", out]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("unknown figure", "unknown figure 'nosy-risk': choose from crossing-point"),
        ("unknown format", "unknown format 'gif': choose from png, pdf, svg"),
        ("no format", "choose from png, pdf, svg"),
        ("no run given", "--from RUN"),
        ("unknown option", "--form"),
        ("no such run", "not a run"),
        ("run is a file", "not a run"),
        ("out is a file", "is a file"),
        ("out below a file", "cannot write"),
        ("not a run", "not a run"),
        ("provenance cut short", "not a run"),
        ("no results", "no results"),
        ("part cut short", "is damaged"),
        ("column missing", "slope_measured"),
        ("no rows for it", "no rows"),
        ("unknown trainer", "newton"),
    ],
)
def test_bad_input_is_one_line_and_code_two(
    case: str, said: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = broken(case, run, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    try:
        code = cli(*arguments)
    except SystemExit as exit_:
        code = exit_.code  # type: ignore[assignment]
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_full_disk_leaves_what_was_there(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli("noisy-risk", "crossing-point", "--from", run, "--out", out) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    written = []
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) == 4:
            write(path, content[:9])
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    capsys.readouterr()
    assert cli("noisy-risk", "crossing-point", "--from", run, "--out", out) == 2
    printed = capsys.readouterr().err
    assert "No space left on device" in printed
    assert printed.count("\n") == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_rows_do_not_depend_on_how_the_run_was_written(copy: Path) -> None:
    query = "perturbation == 'additive-noise'"
    before = rows(copy, query)
    rewrite(copy, lambda t: t.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(rows(copy, query), before)
    assert list(before.columns) == list(COLUMNS)


def test_categories_are_distinct() -> None:
    styles = [tuple(style.category(i).values()) for i in range(84)]
    assert len(set(styles)) == 84


def test_sequence_darkens_monotonically() -> None:
    """Relative luminance decides what a colour-blind reader can order."""
    luminance = [
        float(np.dot(colour[:3], (0.2126, 0.7152, 0.0722))) for colour in style.sequence(6)
    ]
    assert luminance == sorted(luminance)
    assert min(np.diff(luminance)) > 0.05
    assert luminance[-1] < 0.8


def test_user_error_is_what_render_raises(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown figure"):
        render.render(["nothing"], tmp_path)
