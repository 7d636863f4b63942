"""python -m sim.sweep: train linear multitask models over task geometries, break them, and hold them against theory."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.runs.command import command
from sim.runs.errors import UserError
from sim.runs.options import Count, Options, Seed, Seeds
from theory.command.ending import can_resume, start
from theory.command.progress import progress

if TYPE_CHECKING:
    from sim.config import Config, DataSource
    from sim.experiments.networks.config import ImageNetworks
    from sim.experiments.transformer.config import TransformerTasks
    from sim.runs.store import Run
    from sim.verdict import Verdict
    from sim.work import Batch

VISIBLE = 90.0
"""Seconds that a network file system may take to show one machine what another wrote (NFS: a minute)."""


@dataclass(frozen=True)
class Arguments(Options):
    """Train linear multitask models over task geometries, break them in every way the theory covers, and compare each
    measured risk with its closed form. Ends with a table and a figure; exit code 0 if everything agrees, 1 if a cell
    contradicts the theory, 2 on bad input.

    Presets: quick (every geometry, failure and trainer, and the digits tasks), digits, images (needs --images), full;
    transformer (small transformers whose last maps are linear), images-nonlinear (convolutional networks).
    """

    preset: str = "quick"
    """One of those above; the options below change it."""
    out: str | None = None
    """Folder for the results (default: runs/PRESET-IDENTITY), or a URL as of an object store (s3://bucket/run)."""
    resume: bool = False
    """Go on with an unfinished run in that folder."""
    workers: Count = 1
    """Local processes."""
    scheduler: str | None = None
    """Run on an existing Dask cluster: its scheduler's address (tcp://host:8786) or scheduler file."""
    seed: Seed = 0
    """Everything random is a function of it."""
    images: tuple[str, ...] = ()
    """Data sets for D22's procedure: files of images (.npz, IDX, CIFAR-10 binary) or word counts; digits; none."""
    geometries: tuple[str, ...] | None = None
    """Task geometries."""
    trainers: tuple[str, ...] | None = None
    """orthonormal, ridge, descent."""
    perturbations: tuple[str, ...] | None = None
    """Failures."""
    d: tuple[Count, ...] | None = None
    """Input dimensions."""
    T: tuple[Count, ...] | None = None
    """Numbers of tasks, of the geometries and of the data sets."""
    k: tuple[Count, ...] | None = None
    """Representation dimensions."""
    seeds: Seeds | None = None
    """Seeds a cell."""
    draws: Count | None = None
    """Draws of each random failure."""
    ridge: float | None = None
    """Weight penalty of the ridge trainer."""


GRID = ("geometries", "trainers", "perturbations", "d", "T", "k", "seeds", "draws", "ridge")
"""Options that change a preset's field of the same name."""

OF_TRANSFORMER = ("geometries", "perturbations", "d", "T", "k", "seeds", "draws")
OF_NETWORKS = ("perturbations", "T", "seeds", "draws")
"""Those that a preset of networks takes."""


def config_of(arguments: Arguments) -> "Config":
    """The sweep asked for. Raises UserError, in one line, for what cannot be swept."""
    from sim.config import presets
    from sim.work import read

    known = presets()
    if arguments.preset not in known:
        raise UserError(f"unknown preset {arguments.preset!r}: choose from {', '.join(known)}")
    if arguments.preset == "images" and not arguments.images:
        raise UserError("preset images needs a data set: add --images FILE")
    if arguments.scheduler is not None and arguments.workers > 1:
        raise UserError("--workers counts local processes: leave it out with --scheduler")
    asked = {
        name: getattr(arguments, name) for name in GRID if getattr(arguments, name) is not None
    }
    preset = known[arguments.preset]
    if preset.transformer is not None:
        tasks = _transformers(arguments, asked, preset.transformer)
        config = replace(preset, transformer=tasks)
    elif preset.networks is not None:
        config = _networks(arguments, asked, preset, preset.networks)
    else:
        config = _linear(arguments, asked, preset)
    config.check()
    config.check_memory()
    for source in config.data:
        if config.networks is None:
            _check_classes(source, max(config.data_T))
        else:
            config.networks.check_data(read(source))
    return config


def _linear(arguments: Arguments, asked: dict[str, Any], preset: "Config") -> "Config":
    for name, of_data in {"T": "data_T", "seeds": "data_seeds", "draws": "data_draws"}.items():
        if name in asked:
            asked[of_data] = asked[name]
    if arguments.k:
        asked["data_k"] = arguments.k[0]
    return replace(preset, seed=arguments.seed, **asked, **_data(arguments))


def _networks(
    arguments: Arguments, asked: dict[str, Any], preset: "Config", networks: "ImageNetworks"
) -> "Config":
    _known(arguments.preset, asked, OF_NETWORKS)
    fields = {"T": "T", "perturbations": "failures", "draws": "draws"}
    changes = {field: asked[name] for name, field in fields.items() if name in asked}
    return replace(
        preset,
        seed=arguments.seed,
        networks=replace(networks, **changes),
        data_seeds=asked.get("seeds", preset.data_seeds),
        **_data(arguments),
    )


def _transformers(
    arguments: Arguments, asked: dict[str, Any], tasks: "TransformerTasks"
) -> "TransformerTasks":
    _known(arguments.preset, asked, OF_TRANSFORMER)
    for name in ("d", "k"):
        if name in asked:
            if len(asked[name]) != 1:
                raise UserError(f"--{name} of preset {arguments.preset} is one number: give one")
            asked[name] = asked[name][0]
    if arguments.images:
        raise UserError(f"preset {arguments.preset} has no --images: leave them out")
    return replace(tasks, seed=arguments.seed, **asked)


def _known(preset: str, asked: dict[str, Any], options: tuple[str, ...]) -> None:
    for name in asked:
        if name not in options:
            raise UserError(f"preset {preset} has no --{name}: it takes {', '.join(options)}")


def _data(arguments: Arguments) -> dict[str, Any]:
    """The data sets asked for, if any are."""
    if not arguments.images:
        return {}
    return {"data": tuple(_source(name) for name in arguments.images if name != "none")}


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


def sweep(
    config: "Config",
    folder: Path | str,
    *,
    resume: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
) -> "Run":
    """Compute what is missing of the sweep in this folder, a local one or a URL, and return its run.

    It is computed here, in local processes, or on the Dask cluster of a scheduler; the table is the same.
    """
    from sim.execute import compute, connect, dashboard, execute, software, threads
    from sim.runs.identity import identity
    from sim.runs.store import Run
    from sim.work import batches

    todo = _named(batches(config))
    with connect(scheduler) as cluster:
        run = Run.open(folder, config, resume=resume, parts=list(todo))
        if todo.keys() <= run.parts():
            return run
        with run.held():
            done = run.parts()
            seen = Run(run.folder.absolute()) if isinstance(run.folder, Path) else run
            # Of equal names are the tasks, whoever submits them, that write the same part of the same folder.
            name = identity((config, str(seen.folder), software()))
            missing = {
                f"sweep-{name}-{part}": (part, batch)
                for part, batch in todo.items()
                if part not in done
            }
            if cluster is not None and (link := dashboard(cluster)):
                print(f"sim.sweep: dashboard of the cluster: {link}", file=sys.stderr)
            work = partial(compute, seen, config)
            # JAX is not asked in a process that only hands out work: it would take a share of an accelerator.
            small = not (config.transformer or config.networks)
            at_once = threads() if small and workers == 1 and cluster is None else 1
            with progress(len(todo), done=len(done), unit="batches") as bar:
                for _ in execute(work, missing, workers=workers, threads=at_once, cluster=cluster):
                    bar.update()
            _await(run, set(todo))
    return run


def _named(batches: "list[Batch]") -> "dict[str, Batch]":
    """Batches by the names of their parts, which sort in the order of the batches."""
    digits = max(5, len(str(len(batches) - 1)))
    return {f"part-{index:0{digits}d}": batch for index, batch in enumerate(batches)}


def _await(run: "Run", parts: set[str]) -> None:
    """Wait until every part is to be seen here, which a network file system may put off."""
    deadline = time.monotonic() + VISIBLE
    while missing := parts - run.parts():
        if time.monotonic() > deadline:
            raise UserError(
                f"{run.folder} lacks {len(missing)} parts that workers wrote elsewhere: "
                "give --out a folder that all workers share"
            )
        time.sleep(VISIBLE / 100)


@contextmanager
def figures(folder: Path | str, config: "Config") -> Iterator[Callable[[], str]]:
    """What draws every figure that the run of a folder has rows for, and says where they lie.

    A process of its own, since figures import the simulator, never the other way, that gets ready while the run is
    computed, and draws what the configuration is enough for. They are drawn from local runs.
    """
    from sim.runs.files import located
    from sim.runs.identity import canonical
    from sim.runs.store import FIGURES

    place = located(folder)
    if not isinstance(place, Path):
        yield (
            lambda: (
                "none (copy the results to a local folder, and python -m figures.render --from it)"
            )
        )
        return
    process = start([sys.executable, "-m", "figures.render", "--when-told", "--from", str(place)])
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended, and drawn() says why
        os.write(process.stdin.fileno(), f"{json.dumps(canonical(config))}\n".encode())

    def drawn() -> str:
        printed, complaint = process.communicate("draw\n")
        files = [path for path in printed.splitlines() if path.endswith(".png")]
        return (
            f"{place / FIGURES}  ({len(files)} drawn)" if files else f"none ({complaint.strip()})"
        )

    try:
        yield drawn
    finally:
        process.kill()
        process.communicate()


def report(verdict: "Verdict", run: "Run", figures: str, seconds: float) -> str:
    """The closing table."""
    work, compiling = _spent(run)
    lines = {
        "cells": f"{verdict.cells} trained models, {verdict.rows} rows",
        "worst deviation": f"{verdict.worst_deviation:.2f} standard errors from the closed form; "
        f"chance allows {verdict.allowed_deviation:.2f} in {verdict.tests} tests",
        "beyond 3": f"{verdict.curves_beyond_three} of {verdict.curves} curves over strength; "
        + _beyond(verdict),
        **_left_open(verdict),
        "not converged": f"{verdict.not_converged} models (their slopes are not compared)",
        "contradictions": f"{len(verdict.contradictions)} rows",
        "results": f"{run.folder}  (pandas.read_parquet reads it)",
        "figures": figures,
        "time": f"{seconds:.0f} s; all workers computed for {work:.0f} s, and compiled for {compiling:.0f} s",
    }
    table = [f"{name:16} {value}" for name, value in lines.items()]
    columns = ["geometry", "d", "T", "k", "seed", "trainer", "perturbation", "strength"]
    columns += ["risk_closed_form", "risk_measured", "standard_error"]
    if len(verdict.contradictions):
        table += ["", verdict.contradictions[columns].head(10).to_string(index=False)]
    return "\n".join(table)


def _beyond(verdict: "Verdict") -> str:
    """Of which failures more curves lie beyond three than chance allows."""
    failures = [
        f"{name} {beyond} of {curves} where chance allows {allowed}"
        for name, (beyond, curves, allowed) in verdict.failures_beyond.items()
    ]
    return "; ".join(failures) or "no failure has more than chance allows"


def _left_open(verdict: "Verdict") -> dict[str, str]:
    """Lines of what was not tested, was tested by estimates, and of attacks that ended short of the worst case."""
    from sim.scatter import FEW_DRAWS

    lines = {}
    if verdict.too_few_draws:
        lines["not tested"] = (
            f"{verdict.too_few_draws} rows of deletion, the law of whose risk is not known: give --draws {FEW_DRAWS}"
        )
    if verdict.estimated_errors:
        lines["estimated"] = (
            f"{verdict.estimated_errors} rows tested by a t law of their draws: their exact tails are not recorded"
        )
    if verdict.not_attained:
        lines["not attained"] = (
            f"{verdict.not_attained} worst cases that no ascent reached; the nearest ended at most "
            f"{verdict.shortfall:.1e} of the risk below"
        )
    return lines


def _spent(run: "Run") -> tuple[float, float]:
    """Seconds of computing and of compiling, of all workers and of every session of the run."""
    columns = ["seconds", "seconds_compiling"]
    work, compiling = sum(part.sum().to_numpy() for part in run.tables(columns))
    return work, compiling


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return command("sim.sweep", Arguments, _main, arguments)


def _main(arguments: Arguments) -> int:
    started = time.perf_counter()
    config = config_of(arguments)
    can_resume()
    from sim.runs.identity import identity
    from sim.runs.store import readable
    from sim.verdict import judge

    folder = arguments.out or Path("runs") / f"{arguments.preset}-{identity(config)[:8]}"
    with figures(folder, config) as drawn:
        run = sweep(
            config,
            folder,
            resume=arguments.resume,
            workers=arguments.workers,
            scheduler=arguments.scheduler,
        )
        with readable(run.folder):
            verdict = judge(run.tables())
        print(report(verdict, run, drawn(), time.perf_counter() - started))
    return 1 if len(verdict.contradictions) else 0


if __name__ == "__main__":
    sys.exit(main())
