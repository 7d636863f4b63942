"""One batch of cells from configuration to rows: sample the tasks, train, measure, and set the closed forms beside.

A batch holds cells of equal shape, which train and are measured together. Its rows are a function of the configuration
alone, so it can be done anywhere, in any order, and again.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.config import CELLS_AT_ONCE, DATA_STRENGTHS, STRENGTHS, Cell, Config, DataSource
from sim.experiments.networks import rows as image_networks
from sim.experiments.networks.rows import NetworkBatch
from sim.experiments.transformer.config import TransformerBatch
from sim.failures.named import MAKE, exposure
from sim.runs.identity import identity
from sim.scatter import Scatter, of_sample, scatter
from sim.stopwatch import stopwatch
from sim.table import tidy
from sim.verdict import ASCENT_SHORTFALL
from theory.covariance import Array
from theory.geometry import KINDS, sample
from theory.perturbation import Adversarial, Deterministic, NoClosedForm
from theory.representation import Representation, optimal_representation
from theory.spectra import balanced_slope, slope

if TYPE_CHECKING:
    import pandas as pd

    from sim.experiments.data.inputs import LabelledInputs
    from sim.experiments.data.tasks import TrainingRecord
    from sim.experiments.linear.measure import Measured
    from sim.experiments.linear.train import Trained

MORE_STARTS = 64
"""At most, of an attack whose first ascents ended short of the worst case."""

STARTS_AT_ONCE = 16
"""Of those, before it is asked again whether the worst case is attained."""


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


Batch = SyntheticBatch | DataBatch | LearntBatch | NetworkBatch | TransformerBatch


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
    for source in config.data if config.networks is None else ():
        made += [DataBatch(source, T) for T in config.data_T]
        made += [LearntBatch(source, trainer) for trainer in config.trainers]
    if config.networks is not None:
        made += image_networks.batches(config.networks, config.data)
    if config.transformer is not None:
        made += config.transformer.batches()
    return made


def table_of(batch: Batch, config: Config) -> "pd.DataFrame":
    """The tidy rows of a batch: one a cell, perturbation and strength."""
    with stopwatch() as spent:
        table = _table_of(batch, config)
    table["seconds"] = spent.running / len(table)
    table["seconds_compiling"] = spent.compiling / len(table)
    return table


def _table_of(batch: Batch, config: Config) -> "pd.DataFrame":
    if isinstance(batch, SyntheticBatch):
        tasks = [sample(cell.geometry, cell.d, cell.T, cell.seed) for cell in batch.cells]
        return _isotropic_table(batch.cells, tasks, config)
    if isinstance(batch, DataBatch):
        return tidy(list(_data_rows(batch, config)))
    if isinstance(batch, NetworkBatch):
        assert config.networks is not None
        return tidy(
            list(
                image_networks.rows(
                    batch, config.networks, config.data_seed_range, read(batch.source)
                )
            )
        )
    if isinstance(batch, TransformerBatch):
        from sim.experiments.transformer import rows as transformer_rows

        assert config.transformer is not None
        return tidy(list(transformer_rows.rows(batch, config.transformer)))
    grid = [(T, seed) for T in config.data_T for seed in config.data_seed_range]
    tasks = [_learn(batch.source, T, seed)[0] for T, seed in grid]
    cells = tuple(
        config.cell(batch.source.name, len(C), T, config.data_k, seed, batch.trainer)
        for C, (T, seed) in zip(tasks, grid, strict=True)
    )
    return _isotropic_table(cells, tasks, config, batch.source)


def _isotropic_table(
    cells: tuple[Cell, ...], C: list[Array], config: Config, source: DataSource | None = None
) -> "pd.DataFrame":
    """Rows of cells of one (d, k) and trainer, on inputs with S = I."""
    from sim.experiments.linear.measure import measure
    from sim.experiments.linear.train import train

    first = cells[0]
    names = [identity((cell, source)) for cell in cells]
    trained = train(first.trainer, C, first.k, _keys(names, "train"), ridge=first.ridge)
    stacks = _stacks(trained, C)
    of_model = {
        **_cell_columns(cells, names),
        "inputs": "isotropic",
        "risk_zero": _by_model(stacks, lambda _, C: (C**2).sum(axis=(-2, -1)) / C.shape[-1]),
        "slope_closed_form": _by_model(stacks, lambda _, C: _optimal_slopes(first, C)),
        "slope_trained": _by_model(stacks, lambda model, _: model.slope),
        "converged": trained.converged,
        "residual": trained.residual,
        "iterations": trained.steps,
    }

    parts = []
    for perturbation in config.perturbations:
        strengths = STRENGTHS[perturbation]
        measured = measure(
            perturbation,
            strengths,
            trained.W,
            trained.heads,
            C,
            _keys(names, perturbation),
            draws=config.draws,
        )
        closed_form, bound = _closed_forms(perturbation, strengths, stacks)
        if isinstance(MAKE[perturbation](strengths[0]), Adversarial):
            measured = _attacked_again(perturbation, measured, closed_form, trained, C, names)
        chance = _scatter(perturbation, strengths, stacks, measured)
        exposed = np.array([exposure(perturbation, s, first.d, first.trainer) for s in strengths])
        exposed[exposed == 0] = np.nan
        of_model |= {
            "perturbation": perturbation,
            "draws": measured.draws,
            "risk_clean": measured.clean,
        }
        of_row = {
            "strength": np.broadcast_to(np.array(strengths, dtype=float), measured.risk.shape),
            "risk_closed_form": closed_form,
            "risk_bound": bound,
            "risk_measured": measured.risk,
            **chance._asdict(),
            "slope_measured": (measured.risk - measured.clean[:, None]) / exposed,
            "slope_standard_error": chance.standard_error / exposed,
        }
        repeated = {
            name: np.repeat(np.broadcast_to(np.asarray(values), len(cells)), len(strengths))
            for name, values in of_model.items()
        }
        parts.append(repeated | {name: rows.ravel() for name, rows in of_row.items()})
    return tidy({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


Stacks = list[tuple[NDArray[np.intp], Representation, Array]]
"""Models of one T: their places in the batch, themselves as a stack, and their tasks (n, d, T)."""


def _stacks(trained: "Trained", C: list[Array]) -> Stacks:
    """The trained models by their number of tasks, for closed forms that take a whole stack at once."""
    T = np.array([tasks.shape[1] for tasks in C])
    places = [np.flatnonzero(tasks == T) for tasks in np.unique(T)]
    return [
        (
            place,
            Representation(trained.W[place], np.stack([trained.heads[i] for i in place])),
            np.stack([C[i] for i in place]),
        )
        for place in places
    ]


def _by_model(stacks: Stacks, question: Callable[[Representation, Array], Any]) -> Array:
    """The answers (n,) in the order of the batch."""
    answers = np.empty(sum(len(place) for place, _, _ in stacks))
    for place, models, tasks in stacks:
        answers[place] = _number(question(models, tasks))
    return answers


def _closed_forms(
    perturbation: str, strengths: tuple[float, ...], stacks: Stacks
) -> tuple[Array, Array]:
    """Exact risks (n, strengths) of the trained models, worst case for an adversary, and a-priori bounds, else NaN."""
    exact, bound = [], []
    for strength in strengths:
        failure = MAKE[perturbation](strength)
        adversary = isinstance(failure, Adversarial)
        exact.append(_by_model(stacks, failure.worst_risk if adversary else failure.expected_risk))
        if isinstance(failure, Deterministic):
            bound.append(_by_model(stacks, failure.risk_bound))
        else:
            bound.append(np.full_like(exact[-1], np.nan))
    return np.stack(exact, axis=1), np.stack(bound, axis=1)


def _scatter(
    perturbation: str, strengths: tuple[float, ...], stacks: Stacks, measured: "Measured"
) -> Scatter:
    """Of the measured risks (n, strengths): exact where the theory knows the law of a draw."""
    scatters = Scatter(*(np.array(column) for column in measured.scatter))
    for j, strength in enumerate(strengths):
        failure = MAKE[perturbation](strength)
        for place, models, tasks in stacks:
            of_place = scatter(
                failure.risk_variance(models, tasks),
                failure.risk_distribution(models, tasks),
                Scatter(*(column[place, j] for column in scatters)),
                measured.draws,
            )
            for column, values in zip(scatters, of_place, strict=True):
                column[place, j] = values
    return scatters


def _attacked_again(
    perturbation: str,
    measured: "Measured",
    worst: Array,
    trained: "Trained",
    C: list[Array],
    names: list[str],
) -> "Measured":
    """The attacks, those that ended short of the worst case (n, strengths) again from more starts."""
    from sim.experiments.linear.measure import ASCENT_STARTS, measure

    risk = measured.risk.copy()
    rounds = range(MORE_STARTS // ASCENT_STARTS)
    for first in rounds[:: STARTS_AT_ONCE // ASCENT_STARTS]:
        short = np.flatnonzero((risk < worst * (1 - ASCENT_SHORTFALL)).any(axis=1))
        if not len(short):
            break
        numbers = rounds[first : first + STARTS_AT_ONCE // ASCENT_STARTS]
        repeated = np.tile(short, len(numbers))
        again = measure(
            perturbation,
            STRENGTHS[perturbation],
            trained.W[repeated],
            [trained.heads[i] for i in repeated],
            [C[i] for i in repeated],
            _keys(
                [f"{names[i]} {number}" for number in numbers for i in short],
                f"{perturbation} again",
            ),
            draws=1,
        )
        highest = again.risk.reshape(len(numbers), len(short), -1).max(axis=0)
        risk[short] = np.maximum(risk[short], highest)
    return replace(measured, risk=risk)


def _optimal_slopes(cell: Cell, C: Array) -> Array:
    """The spectral slopes (n,) at the optima of the trainer's problem: rho_k, or beta_k for balanced weights."""
    slopes: Array = (
        slope(C, cell.k) if cell.trainer == "orthonormal" else balanced_slope(C, cell.k, cell.ridge)
    )
    return slopes


def _data_rows(batch: DataBatch, config: Config) -> Iterator[dict[str, Any]]:
    """Rows of D22's procedure on its own test inputs."""
    from sim.experiments.data.tasks import binary_tasks

    source, T, k = batch.source, batch.T, config.data_k
    tasks = binary_tasks(read(source), T)
    square_norm = float(np.mean([task.covariance.trace for task in tasks.tasks]))
    for seed in config.data_seed_range:
        C, record = _learn(source, T, seed)
        cell = Cell(source.name, len(C), T, k, seed, "d22")
        name = identity((cell, source))
        model = optimal_representation(C, k)
        clean = tasks.clean_risk(model)
        of_model = {
            **{column: values[0] for column, values in _cell_columns((cell,), [name]).items()},
            "inputs": "data",
            "risk_zero": 1.0,
            "risk_clean": clean,
            "slope_closed_form": slope(C, k),
            "slope_trained": model.slope,
            "converged": True,
            "residual": record.last_change,
            "iterations": record.steps,
        }
        for perturbation in [name for name in DATA_STRENGTHS if name in config.perturbations]:
            for strength in DATA_STRENGTHS[perturbation]:
                failure = MAKE[perturbation](strength)
                draws = 1 if isinstance(failure, Deterministic) else config.data_draws
                # One stream a perturbation: strengths share their draws.
                rng = np.random.default_rng(int(identity((name, perturbation)), 16))
                risks = tasks.measured_risks(model, failure, draws, rng)
                chance = scatter(
                    tasks.risk_variance(model, failure),
                    tasks.risk_distribution(model, failure),
                    of_sample(risks),
                    draws,
                )
                noisy = perturbation == "additive-noise" and strength > 0
                exposed = strength**2 * square_norm if noisy else np.nan
                yield of_model | {
                    "perturbation": perturbation,
                    "strength": strength,
                    "draws": draws,
                    "risk_closed_form": _number(tasks.closed_form_risk(model, failure)),
                    "risk_measured": risks.mean(),
                    **chance._asdict(),
                    "slope_measured": (risks.mean() - clean) / exposed,
                    "slope_standard_error": chance.standard_error / exposed,
                }


def _cell_columns(cells: tuple[Cell, ...], names: list[str]) -> dict[str, Any]:
    """What names the cells in the table, (n,) each."""
    of_cell = {
        name: [getattr(cell, name) for cell in cells]
        for name in ("geometry", "d", "T", "k", "seed", "trainer")
    }
    options = [json.dumps(_options(cell)) for cell in cells]
    linear = {"network": ["linear"] * len(cells), "group": ["W"] * len(cells)}
    return {"identity": names, **linear, **of_cell, "options": options}


def _options(cell: Cell) -> dict[str, Any]:
    """Of the geometry and the trainer."""
    options = dict(KINDS[cell.geometry].defaults) if cell.geometry in KINDS else {}
    return options | {"ridge": cell.ridge} if cell.ridge else options


def read(source: DataSource) -> "LabelledInputs":
    """The labelled inputs of a source, read once a process."""
    return _read(source.path)


@cache
def _read(path: str) -> "LabelledInputs":
    from sim.experiments.data.inputs import digits, load

    return load(path) if path else digits()


@cache
def _learn(source: DataSource, T: int, seed: int) -> "tuple[Array, TrainingRecord]":
    """D22's task matrix, learnt once a process."""
    from sim.experiments.data.tasks import learn_task_matrix

    return learn_task_matrix(read(source), T, seed)


def _number(answer: Any) -> Any:
    return np.nan if isinstance(answer, NoClosedForm) else answer


def _keys(names: list[str], purpose: str) -> Any:
    """A jax key for each cell and purpose."""
    import jax

    digests = [sha256(f"{purpose} {name}".encode()).digest()[:8] for name in names]
    words = np.frombuffer(b"".join(digests), dtype="<u4").reshape(-1, 2)
    return jax.random.wrap_key_data(jax.numpy.asarray(words))
