"""python -m sim.sweep: train linear multitask models over task geometries, break them, and hold them against theory."""

import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sim.runs.errors import UserError

if TYPE_CHECKING:
    from sim.config import Config, DataSource
    from sim.runs.store import Run
    from sim.verdict import Verdict
    from sim.work import Batch


@dataclass(frozen=True)
class Arguments:
    """Train linear multitask models over task geometries, break them in every way the theory covers, and compare each
    measured risk with its closed form. Ends with a table and a figure; exit code 0 if everything agrees, 1 if a cell
    contradicts the theory, 2 on bad input.

    Presets: quick (every geometry, failure and trainer, and the digits tasks), digits, images (needs --images), full.
    """

    preset: str = "quick"
    """quick, digits, images or full; the options below change it."""
    out: Path | None = None
    """Folder for the results (default: runs/PRESET-IDENTITY)."""
    resume: bool = False
    """Go on with an unfinished run in that folder."""
    workers: int = 1
    """Local processes."""
    seed: int = 0
    """Everything random is a function of it."""
    images: tuple[str, ...] = ()
    """Data sets for D22's procedure: files of images (.npz, IDX, CIFAR-10 binary) or word counts; digits; none."""
    geometries: tuple[str, ...] | None = None
    """Task geometries."""
    trainers: tuple[str, ...] | None = None
    """orthonormal, ridge, descent."""
    perturbations: tuple[str, ...] | None = None
    """Failures."""
    d: tuple[int, ...] | None = None
    """Input dimensions."""
    T: tuple[int, ...] | None = None
    """Numbers of tasks, of the geometries and of the data sets."""
    k: tuple[int, ...] | None = None
    """Representation dimensions."""
    seeds: int | None = None
    """Seeds a cell."""
    draws: int | None = None
    """Draws of each random failure."""
    ridge: float | None = None
    """Weight penalty of the ridge trainer."""


GRID = ("geometries", "trainers", "perturbations", "d", "T", "k", "seeds", "draws", "ridge")
"""Options that change a preset's field of the same name."""


def config_of(arguments: Arguments) -> "Config":
    """The sweep asked for. Raises UserError, in one line, for what cannot be swept."""
    from sim.config import presets

    known = presets()
    if arguments.preset not in known:
        raise UserError(f"unknown preset {arguments.preset!r}: choose from {', '.join(known)}")
    if arguments.preset == "images" and not arguments.images:
        raise UserError("preset images needs a data set: add --images FILE")
    if arguments.workers < 1:
        raise UserError(f"--workers {arguments.workers}: give a whole number >= 1")
    asked = {
        name: getattr(arguments, name) for name in GRID if getattr(arguments, name) is not None
    }
    for name, of_data in {"T": "data_T", "seeds": "data_seeds", "draws": "data_draws"}.items():
        if name in asked:
            asked[of_data] = asked[name]
    if arguments.k:
        asked["data_k"] = arguments.k[0]
    if arguments.images:
        asked["data"] = tuple(_source(name) for name in arguments.images if name != "none")
    config = replace(known[arguments.preset], seed=arguments.seed, **asked)
    config.check()
    for source in config.data:
        _check_classes(source, max(config.data_T))
    return config


def _source(name: str) -> "DataSource":
    from sim.config import DataSource
    from sim.runs.identity import digest
    from sim.work import read

    if name == "digits":
        return DataSource(name)
    path = Path(name).absolute()
    source = DataSource(path.name.split(".")[0], path=str(path))
    read(source)  # before its digest: a folder that holds no data set may hold anything
    return replace(source, sha256=digest(path))


def _check_classes(source: "DataSource", T: int) -> None:
    from sim.work import read

    classes = len(read(source).classes)
    if classes <= T:
        raise UserError(
            f"{source.name} has {classes} classes, so at most {classes - 1} tasks of neighbours: lower --T"
        )


def sweep(config: "Config", folder: Path, *, resume: bool = False, workers: int = 1) -> "Run":
    """Compute what is missing of the sweep in this folder, and return its run."""
    from tqdm import tqdm

    from sim.execute import execute
    from sim.runs.store import Run
    from sim.work import batches

    todo = {f"part-{index:05d}": batch for index, batch in enumerate(batches(config))}
    run = Run.open(folder, config, resume=resume, parts=list(todo))
    done = run.parts()
    missing = [(part, batch) for part, batch in todo.items() if part not in done]
    with tqdm(total=len(todo), initial=len(todo) - len(missing), unit="batch", disable=None) as bar:
        for _ in execute(partial(_write, run, config), missing, workers):
            bar.update()
    return run


def _write(run: "Run", config: "Config", item: "tuple[str, Batch]") -> None:
    from sim.work import table_of

    part, batch = item
    run.write(part, table_of(batch, config))


def render(run: "Run") -> str:
    """Have every figure drawn that the run has rows for, and say where they lie.

    In a process of its own: figures import the simulator, never the other way.
    """
    from sim.runs.store import FIGURES

    command = [sys.executable, "-m", "figures.render", "--from", str(run.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    figures = [path for path in done.stdout.splitlines() if path.endswith(".png")]
    return (
        f"{run.folder / FIGURES}  ({len(figures)} drawn)"
        if figures
        else f"none ({done.stderr.strip()})"
    )


def report(verdict: "Verdict", run: "Run", figures: str, seconds: float) -> str:
    """The closing table."""
    lines = {
        "cells": f"{verdict.cells} trained models, {verdict.rows} rows",
        "worst deviation": f"{verdict.worst_deviation:.2f} standard errors from the closed form; "
        f"chance allows {verdict.allowed_deviation:.2f} in {verdict.tests} tests",
        "beyond 3": f"{verdict.curves_beyond_three} of {verdict.curves} curves over strength; "
        f"chance allows {verdict.curves_beyond_three_allowed}",
        "not converged": f"{verdict.not_converged} models (their slopes are not compared)",
        "contradictions": f"{len(verdict.contradictions)} rows",
        "results": f"{run.folder}  (pandas.read_parquet reads it)",
        "figures": figures,
        "time": f"{seconds:.0f} s",
    }
    table = [f"{name:16} {value}" for name, value in lines.items()]
    columns = ["geometry", "d", "T", "k", "seed", "trainer", "perturbation", "strength"]
    columns += ["risk_closed_form", "risk_measured", "standard_error"]
    if len(verdict.contradictions):
        table += ["", verdict.contradictions[columns].head(10).to_string(index=False)]
    return "\n".join(table)


def main() -> int:
    """The command line; returns the exit code."""
    import tyro

    arguments = tyro.cli(Arguments, prog="python -m sim.sweep")
    started = time.perf_counter()
    try:
        config = config_of(arguments)
        from sim.runs.identity import identity
        from sim.verdict import judge

        folder = arguments.out or Path("runs") / f"{arguments.preset}-{identity(config)[:8]}"
        run = sweep(config, folder, resume=arguments.resume, workers=arguments.workers)
        verdict = judge(run.table())
        figures = render(run)
    except UserError as error:
        print(f"sim.sweep: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sim.sweep: interrupted; the same command with --resume goes on", file=sys.stderr)
        return 130
    print(report(verdict, run, figures, time.perf_counter() - started))
    return 1 if len(verdict.contradictions) else 0


if __name__ == "__main__":
    sys.exit(main())
