"""One batch of cells from configuration to rows: sample the tasks, train, measure, and set the closed forms beside.

A batch holds cells of equal shape, which train and are measured together. Its rows are a function of the configuration
alone, so it can be done anywhere, in any order, and again.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.config import DATA_STRENGTHS, STRENGTHS, Cell, Config, DataSource
from sim.failures import MAKE, exposure
from sim.runs.identity import identity
from theory.covariance import Array
from theory.geometry import KINDS, sample
from theory.perturbation import Adversarial, Deterministic, NoClosedForm
from theory.representation import Representation, optimal_representation
from theory.spectra import balanced_slope, slope

if TYPE_CHECKING:
    import pandas as pd

    from sim.data import LabelledInputs
    from sim.tasks import TrainingRecord

CELLS_AT_ONCE = 64


@dataclass(frozen=True)
class SyntheticBatch:
    """Cells of one shape and trainer whose tasks are sampled from geometries."""

    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class DataBatch:
    """All seeds of D22's procedure for T neighbouring classes of one data set, broken on the test inputs."""

    source: DataSource
    T: int


@dataclass(frozen=True)
class LearntBatch:
    """One trainer on the task matrices that D22's procedure learns from a data set, for every T and seed; S = I."""

    source: DataSource
    trainer: str


Batch = SyntheticBatch | DataBatch | LearntBatch


def batches(config: Config) -> list[Batch]:
    """The whole sweep, in the order of its parts."""
    made: list[Batch] = []
    for _, group in groupby(
        config.cells(), key=lambda cell: (cell.d, cell.T, cell.k, cell.trainer)
    ):
        cells = tuple(group)
        made += [
            SyntheticBatch(cells[i : i + CELLS_AT_ONCE])
            for i in range(0, len(cells), CELLS_AT_ONCE)
        ]
    for source in config.data:
        made += [DataBatch(source, T) for T in config.data_T]
        made += [LearntBatch(source, trainer) for trainer in config.trainers]
    return made


def table_of(batch: Batch, config: Config) -> "pd.DataFrame":
    """The tidy rows of a batch: one a cell, perturbation and strength."""
    import pandas as pd

    if isinstance(batch, SyntheticBatch):
        tasks = [sample(cell.geometry, cell.d, cell.T, cell.seed) for cell in batch.cells]
        rows = _isotropic_rows(batch.cells, tasks, config)
    elif isinstance(batch, DataBatch):
        rows = _data_rows(batch, config)
    else:
        grid = [(T, seed) for T in config.data_T for seed in config.data_seed_range]
        tasks = [_learn(batch.source, T, seed)[0] for T, seed in grid]
        cells = tuple(
            config.cell(batch.source.name, len(C), T, config.data_k, seed, batch.trainer)
            for C, (T, seed) in zip(tasks, grid, strict=True)
        )
        rows = _isotropic_rows(cells, tasks, config, batch.source)
    return pd.DataFrame.from_records(list(rows))


def _isotropic_rows(
    cells: tuple[Cell, ...], C: list[Array], config: Config, source: DataSource | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of cells of one (d, k) and trainer, on inputs with S = I."""
    from sim.measure import measure
    from sim.train import train

    first = cells[0]
    names = [identity((cell, source)) for cell in cells]
    started = time.perf_counter()
    trained = train(first.trainer, C, first.k, _keys(names, "train"), ridge=first.ridge)
    training = (time.perf_counter() - started) / len(cells)
    optimum = [_optimal_slope(cell, tasks) for cell, tasks in zip(cells, C, strict=True)]
    zero = [float((tasks**2).sum()) / tasks.shape[1] for tasks in C]

    for perturbation in config.perturbations:
        strengths = STRENGTHS[perturbation]
        started = time.perf_counter()
        found = measure(
            perturbation,
            strengths,
            trained.W,
            trained.heads,
            C,
            _keys(names, perturbation),
            draws=config.draws,
        )
        seconds = training + (time.perf_counter() - started) / len(cells)
        for i, cell in enumerate(cells):
            model = Representation(trained.W[i], trained.heads[i])
            for j, strength in enumerate(strengths):
                closed_form, bound = _closed_form(perturbation, strength, model, C[i])
                yield _row(
                    cell,
                    identity=names[i],
                    inputs="isotropic",
                    perturbation=perturbation,
                    strength=strength,
                    draws=found.draws,
                    clean=found.clean[i],
                    closed_form=closed_form,
                    bound=bound,
                    measured=found.risk[i, j],
                    error=found.standard_error[i, j],
                    optimum=optimum[i],
                    model=model,
                    zero=zero[i],
                    exposed=exposure(perturbation, strength, cell.d, cell.trainer),
                    converged=bool(trained.converged[i]),
                    residual=float(trained.residual[i]),
                    iterations=int(trained.steps[i]),
                    seconds=seconds,
                )


def _data_rows(batch: DataBatch, config: Config) -> Iterator[dict[str, Any]]:
    """Rows of D22's procedure on its own test inputs."""
    from sim.tasks import binary_tasks

    source, T, k = batch.source, batch.T, config.data_k
    tasks = binary_tasks(read(source), T)
    square_norm = float(np.mean([task.covariance.trace for task in tasks.tasks]))
    for seed in config.data_seed_range:
        started = time.perf_counter()
        C, record = _learn(source, T, seed)
        cell = Cell(source.name, len(C), T, k, seed, "d22")
        name = identity((cell, source))
        model = optimal_representation(C, k)
        optimum, clean = slope(C, k), tasks.clean_risk(model)
        training = time.perf_counter() - started
        for perturbation in [name for name in DATA_STRENGTHS if name in config.perturbations]:
            for strength in DATA_STRENGTHS[perturbation]:
                started = time.perf_counter()
                failure = MAKE[perturbation](strength)
                draws = 1 if isinstance(failure, Deterministic) else config.data_draws
                # One stream a perturbation: strengths share their draws.
                rng = np.random.default_rng(int(identity((name, perturbation)), 16))
                risks = tasks.measured_risks(model, failure, draws, rng)
                noisy = perturbation == "additive-noise"
                yield _row(
                    cell,
                    identity=name,
                    inputs="data",
                    perturbation=perturbation,
                    strength=strength,
                    draws=draws,
                    clean=clean,
                    closed_form=_number(tasks.closed_form_risk(model, failure)),
                    bound=np.nan,
                    measured=risks.mean(),
                    error=risks.std(ddof=1) / np.sqrt(draws) if draws > 1 else 0.0,
                    optimum=optimum,
                    model=model,
                    zero=1.0,
                    exposed=strength**2 * square_norm if noisy else np.nan,
                    converged=True,
                    residual=record.last_change,
                    iterations=record.steps,
                    seconds=training + time.perf_counter() - started,
                )


def read(source: DataSource) -> "LabelledInputs":
    """The labelled inputs of a source, read once a process."""
    return _read(source.path)


@cache
def _read(path: str) -> "LabelledInputs":
    from sim.data import digits, load

    return load(path) if path else digits()


@cache
def _learn(source: DataSource, T: int, seed: int) -> "tuple[Array, TrainingRecord]":
    """D22's task matrix, learnt once a process."""
    from sim.tasks import learn_task_matrix

    return learn_task_matrix(read(source), T, seed)


def _row(
    cell: Cell,
    *,
    clean: float,
    closed_form: float,
    bound: float,
    measured: float,
    error: float,
    optimum: float,
    model: Representation,
    zero: float,
    exposed: float,
    **columns: Any,
) -> dict[str, Any]:
    """One row of the table. `zero` is the risk of predicting 0; the slope is damage over exposure."""
    exposed = exposed if exposed > 0 else np.nan
    options = dict(KINDS[cell.geometry].defaults) if cell.geometry in KINDS else {}
    if cell.ridge:
        options["ridge"] = cell.ridge
    return {
        "identity": columns.pop("identity"),
        "geometry": cell.geometry,
        "options": json.dumps(options),
        "inputs": columns.pop("inputs"),
        "d": cell.d,
        "T": cell.T,
        "k": cell.k,
        "seed": cell.seed,
        "trainer": cell.trainer,
        "perturbation": columns.pop("perturbation"),
        "strength": float(columns.pop("strength")),
        "draws": columns.pop("draws"),
        "risk_zero": zero,
        "risk_clean": float(clean),
        "risk_closed_form": closed_form,
        "risk_measured": float(measured),
        "standard_error": float(error),
        "risk_bound": bound,
        "slope_closed_form": float(optimum),
        "slope_trained": model.slope,
        "slope_measured": float((measured - clean) / exposed),
        "slope_standard_error": float(error / exposed),
        **columns,
    }


def _optimal_slope(cell: Cell, C: Array) -> float:
    """The spectral slope at the optimum of the trainer's problem: rho_k, or beta_k for balanced weights."""
    if cell.trainer == "orthonormal":
        return float(slope(C, cell.k))
    return float(balanced_slope(C, cell.k, cell.ridge))


def _closed_form(
    perturbation: str, strength: float, model: Representation, C: Array
) -> tuple[float, float]:
    """The exact risk of the trained model, worst case for an adversary, and its a-priori bound where it has one."""
    failure = MAKE[perturbation](strength)
    if isinstance(failure, Adversarial):
        return _number(failure.worst_risk(model, C)), np.nan
    bound = failure.risk_bound(model, C) if isinstance(failure, Deterministic) else np.nan
    return _number(failure.expected_risk(model, C)), bound


def _number(answer: float | NoClosedForm) -> float:
    return np.nan if isinstance(answer, NoClosedForm) else float(answer)


def _keys(names: list[str], purpose: str) -> Any:
    """A jax key for each cell and purpose."""
    import jax

    return jax.vmap(jax.random.key)(
        np.array([int(identity((name, purpose))[:8], 16) for name in names], dtype=np.uint32)
    )
