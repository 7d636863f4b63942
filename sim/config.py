"""What a sweep computes, as frozen values: the grid of cells, the failures and their strengths, and the presets."""

from dataclasses import dataclass, field
from itertools import product

from sim.experiments.networks.config import ImageNetworks
from sim.experiments.transformer.config import TransformerTasks
from sim.runs.errors import UserError
from sim.runs.memory import require

CELLS_AT_ONCE = 256
"""Of one batch, at most."""
BATCHES_AT_ONCE = 2
"""Of small models on a CPU: one is compiled while another computes."""
CELL = 500
"""Bytes of a Cell in a list, at least."""
FLOAT = 8

TRAINERS = ("orthonormal", "ridge", "descent")

STRENGTHS: dict[str, tuple[float, ...]] = {
    "additive-noise": (0.0, 0.05, 0.1, 0.2, 0.4),
    "multiplicative-noise": (0.0, 0.1, 0.3, 1.0),
    "weight-deletion": (0.0, 0.1, 0.3, 0.5, 0.9),
    "weight-deletion-rescaled": (0.0, 0.1, 0.3, 0.5),
    "neuron-deletion": (0.0, 0.1, 0.3, 0.5, 0.9),
    "neuron-deletion-rescaled": (0.0, 0.1, 0.3, 0.5),
    "magnitude-pruning": (0.0, 0.2, 0.5, 0.8, 1.0),
    "quantisation": (float("inf"), 8.0, 4.0, 3.0, 2.0),
    "adversarial-frobenius": (0.0, 0.1, 0.3, 1.0),
    "adversarial-spectral": (0.0, 0.1, 0.3, 1.0),
}
"""Strengths on isotropic inputs: sigma, p, fraction, bits or radius."""

DATA_STRENGTHS: dict[str, tuple[float, ...]] = {
    "additive-noise": tuple(round(0.2 * i, 1) for i in range(11)),
    "weight-deletion": tuple(round(0.1 * i, 1) for i in range(11)),
    "magnitude-pruning": tuple(round(0.2 * i, 1) for i in range(6)),
}
"""Strengths on a data set's own inputs: those of Daras et al. 2022."""


@dataclass(frozen=True)
class Cell:
    """One trained model: a task matrix C (d, T), its representation's size k, and who trains it."""

    geometry: str
    d: int
    T: int
    k: int
    seed: int
    trainer: str
    ridge: float = 0.0


@dataclass(frozen=True)
class DataSource:
    """Labelled inputs: the bundled "digits", or a file named by its content."""

    name: str
    sha256: str = ""
    path: str = field(default="", metadata={"identity": False})


@dataclass(frozen=True)
class Config:
    """A sweep. Equal configurations give equal tables, whatever the machine's number of workers."""

    geometries: tuple[str, ...] = ()
    d: tuple[int, ...] = (24,)
    T: tuple[int, ...] = (6, 12)
    k: tuple[int, ...] = (4,)
    seeds: int = 2
    trainers: tuple[str, ...] = TRAINERS
    ridge: float = 0.2
    perturbations: tuple[str, ...] = tuple(STRENGTHS)
    draws: int = 512
    data: tuple[DataSource, ...] = ()
    data_T: tuple[int, ...] = (4, 5, 6, 7, 8, 9)
    data_k: int = 4
    data_seeds: int = 2
    data_draws: int = 100
    seed: int = 0
    networks: ImageNetworks | None = None
    """What learns the tasks of the data sets: None, the linear models; else convolutional networks."""
    transformer: TransformerTasks | None = None
    """Small transformers on geometries of their own."""

    def check(self) -> None:
        """Raise UserError, in one line, for the first thing that cannot be swept."""
        from theory.geometry import KINDS

        for part in (self.networks, self.transformer):
            if part is not None:
                part.check()

        _known("geometry", self.geometries, tuple(KINDS))
        _known("trainer", self.trainers, TRAINERS)
        _known("perturbation", self.perturbations, tuple(STRENGTHS))
        counts = {
            "d": self.d,
            "T": self.T,
            "k": self.k,
            "data_T": self.data_T,
            "data_k": (self.data_k,),
        }
        counts |= {"seeds": (self.seeds,), "data_seeds": (self.data_seeds,)}
        for name, values in counts.items():
            if not values or min(values) < 1:
                raise UserError(f"--{name} {' '.join(map(str, values))}: give whole numbers >= 1")
        if min(self.draws, self.data_draws) < 2:
            raise UserError("--draws must be at least 2: a standard error needs two draws")
        if self.seed < 0:
            raise UserError(f"--seed {self.seed}: give a whole number >= 0")
        if not 0 <= self.ridge < float("inf"):
            raise UserError(f"--ridge {self.ridge}: give a finite number >= 0")
        for d, T, k in product(self.d, self.T, self.k) if self.geometries else ():
            if k > min(d, T):
                raise UserError(
                    f"k = {k} exceeds min(d, T) = {min(d, T)} at d = {d}, T = {T}: lower --k, or raise --d and --T"
                )
        if self.data and self.networks is None and self.data_k > min(self.data_T):
            raise UserError(
                f"k = {self.data_k} exceeds T = {min(self.data_T)} of the data's tasks: lower --k or raise --T"
            )
        if not (self.geometries or self.data or self.transformer):
            raise UserError(
                "the set of tasks is empty: name --geometries, or a data set with --images"
            )

    def check_memory(self) -> None:
        """Raise UserError where the list of cells, the task matrices of a batch or the risks of its draws cannot fit.

        Of every model of a batch the risk of each draw at each strength is held three times: in the parts that are
        measured together, joined, and less its mean.
        """
        models = len(self.geometries) * self.seeds
        shapes = len(self.d) * len(self.T) * len(self.k) * len(self.trainers)
        require(CELL * models * shapes, f"a list of {models * shapes:,} models", "lower --seeds")
        largest = max(self.d) * max(self.T) if self.geometries else 0
        require(
            FLOAT * min(models, CELLS_AT_ONCE) * largest,
            f"tasks of d = {max(self.d)}, T = {max(self.T)}",
            "lower --d or --T",
        )
        draws = max(self.draws, self.data_draws)
        if self.transformer is not None:
            draws = self.transformer.draws
        if self.networks is not None:
            draws = self.networks.draws
        strengths = max((len(STRENGTHS[name]) for name in self.perturbations), default=1)
        batches = 1 if self.transformer or self.networks else BATCHES_AT_ONCE
        models_at_once = batches * max(min(models, CELLS_AT_ONCE), 1)
        of_draws = 3 * FLOAT * models_at_once * strengths * draws
        require(of_draws, f"{draws:,} draws", "lower --draws")

    def cells(self) -> list[Cell]:
        """Every synthetic cell, shape by shape; combinations that do not exist (orthonormal, T > d) are left out."""
        from theory.geometry import existing

        shapes = list(product(self.d, self.T, self.k))
        exist = {(d, T): set(existing(d, T)) for d, T, _ in shapes}
        cells = [
            self.cell(geometry, d, T, k, seed, trainer)
            for (d, T, k), trainer in product(shapes, self.trainers)
            for geometry, seed in product(self.geometries, self.seed_range)
            if geometry in exist[d, T]
        ]
        missing = set(self.geometries) - {cell.geometry for cell in cells}
        if missing:
            raise UserError(
                f"no {sorted(missing)[0]} tasks exist for d = {self.d}, T = {self.T}: most geometries need d >= T"
            )
        return cells

    def cell(self, geometry: str, d: int, T: int, k: int, seed: int, trainer: str) -> Cell:
        """A cell of this sweep; only the ridge trainer has a ridge."""
        return Cell(geometry, d, T, k, seed, trainer, self.ridge if trainer == "ridge" else 0.0)

    @property
    def seed_range(self) -> range:
        return range(self.seed, self.seed + self.seeds)

    @property
    def data_seed_range(self) -> range:
        return range(self.seed, self.seed + self.data_seeds)


def presets() -> dict[str, Config]:
    """The named sweeps."""
    from theory.geometry import KINDS

    every = tuple(KINDS)
    digits = (DataSource("digits"),)
    return {
        "quick": Config(geometries=every, data=digits),
        "digits": Config(data=digits, data_seeds=5, data_draws=400),
        "images": Config(data_seeds=3, draws=128),
        "full": Config(
            geometries=every,
            d=(16, 64),
            T=(4, 8, 16, 32),
            k=(1, 2, 4),
            seeds=5,
            draws=1024,
            data=digits,
            data_seeds=5,
        ),
        "transformer": Config(transformer=TransformerTasks()),
        "images-nonlinear": Config(data=digits, data_seeds=5, networks=ImageNetworks()),
    }


def _known(what: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"unknown {what} {name!r}: choose from {', '.join(known)}")
