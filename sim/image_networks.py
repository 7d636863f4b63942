"""Daras et al. 2022's non-linear experiment at our scale: convolutional networks that learn T binary tasks, then fail.

Task t tells class t from class t + 1, and all tasks share everything but one linear unit each. What may differ between
numbers of tasks is chosen so that little but the number does:

- Every network takes the same number of steps. Under the budget "divided" it has the same samples in all and batches
  of the same size, both split evenly between its tasks, so that more tasks have less data each (D22's convention).
  Under "each" a task has samples / max T samples and batch / max T of a batch whatever T, as though it were alone, so
  that more tasks are more data. What holds under both is due neither to the data in all nor to the data of a task.
- The mean over T tasks compares different tasks, of different difficulty. So seed s learns tasks s, s + 1, ..., modulo
  the number of pairs: its first task is common to its networks of every T, is measured by itself (`accuracy_common`),
  and is another task for another seed. The samples of a task for a larger T are among those for a smaller one, and
  test images, initial weights and the draws of failures are the same for all T of a seed.
  T's are compared seed by seed.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.groups import FAILURES
from sim.runs.errors import UserError
from sim.runs.identity import identity

if TYPE_CHECKING:
    from sim.config import DataSource
    from sim.data import LabelledInputs

NETWORK = "convolutional"
TRAINER = "adam"
BUDGETS = ("divided", "each")

STRENGTHS: dict[str, tuple[float, ...]] = {
    "additive-noise": (0.0, 0.05, 0.1, 0.2, 0.4),
    "additive-noise-relative": (0.0, 0.25, 0.5, 1.0, 2.0),
    "multiplicative-noise": (0.0, 0.25, 0.5, 1.0, 2.0),
    "weight-deletion": (0.0, 0.2, 0.4, 0.6, 0.8),
    "weight-deletion-rescaled": (0.0, 0.2, 0.4, 0.6, 0.8),
    "neuron-deletion": (0.0, 0.2, 0.4, 0.6, 0.8),
    "neuron-deletion-rescaled": (0.0, 0.2, 0.4, 0.6, 0.8),
    "magnitude-pruning": (0.0, 0.5, 0.7, 0.8, 0.9, 0.95),
    "quantisation": (float("inf"), 8.0, 4.0, 3.0, 2.0),
}
"""Strengths by failure, weakest first; relative noise in standard deviations of each tensor."""


@dataclass(frozen=True)
class ImageNetworks:
    """The networks, their training and their failures. One with every T, budget and seed."""

    T: tuple[int, ...] = tuple(range(1, 10))
    budgets: tuple[str, ...] = BUDGETS
    channels: tuple[int, ...] = (8, 16)
    """Of the convolutions: 3 x 3, stride 2, ReLU."""
    hidden: int = 64
    samples: int = 10_000
    epochs: int = 5
    """Passes over the samples."""
    batch: int = 128
    learning_rate: float = 2e-3
    failures: tuple[str, ...] = tuple(name for name in FAILURES if "rescaled" not in name)
    draws: int = 8
    test_images: int = 50
    """Of each class, or as many as the smallest has."""

    def check(self) -> None:
        """Raise UserError, in one line, for the first thing that cannot be done."""
        whole = {"T": self.T, "channels": self.channels}
        whole |= {
            name: (getattr(self, name),)
            for name in ("hidden", "samples", "epochs", "batch", "test_images")
        }
        for name, values in whole.items():
            if not values or min(values) < 1:
                given = " ".join(map(str, values))
                raise UserError(f"{name} = {given} of image networks: give whole numbers >= 1")
        if self.draws < 2:
            raise UserError(
                "draws of image networks must be at least 2: a standard error needs two"
            )
        if not 0 < self.learning_rate < math.inf:
            raise UserError(f"learning_rate = {self.learning_rate}: give a finite number > 0")
        if min(self.samples, self.batch) < max(self.T):
            raise UserError(
                f"samples = {self.samples}, batch = {self.batch} for T = {max(self.T)} tasks: give one for each"
            )
        for what, names, known in (
            ("budget", self.budgets, BUDGETS),
            ("failure of networks", self.failures, FAILURES),
        ):
            for name in names:
                if name not in known:
                    raise UserError(f"unknown {what} {name!r}: choose from {', '.join(known)}")
            if not names:
                raise UserError(f"no {what} is named: choose from {', '.join(known)}")

    def check_data(self, data: "LabelledInputs") -> None:
        """Raise UserError for inputs that are no square images, or of too few classes for T."""
        image_shape(data)
        pairs = len(data.classes) - 1
        if max(self.T) > pairs:
            raise UserError(
                f"T = {max(self.T)} tasks from {data.name}: its {pairs + 1} classes make {pairs} pairs; lower --T"
            )

    @property
    def groups(self) -> tuple[str, ...]:
        """What fails together: every parameter, or those of one layer."""
        return ("all", *self.layers)

    @property
    def layers(self) -> tuple[str, ...]:
        return (*(f"convolution-{i + 1}" for i in range(len(self.channels))), "hidden", "heads")

    @property
    def steps(self) -> int:
        """Of training; what is left over of the last pass is not used."""
        return max(1, self.epochs * self.samples // self.batch)

    def per_task(self, T: int, budget: str) -> tuple[int, int]:
        """Samples of a task, and the size of a batch of T tasks."""
        if budget == "divided":
            return self.samples // T, self.batch
        return self.samples // max(self.T), self.batch // max(self.T) * T


@dataclass(frozen=True)
class NetworkBatch:
    """All seeds of the networks of T tasks, under every budget."""

    source: "DataSource"
    T: int


def batches(networks: ImageNetworks, sources: Sequence["DataSource"]) -> list[NetworkBatch]:
    """The units of work."""
    return [NetworkBatch(source, T) for source in sources for T in networks.T]


def image_shape(data: "LabelledInputs") -> tuple[int, int, int]:
    """(rows, columns, channels) of square images of 1 or 3 channels, whose pixels are in that order."""
    d = data.train_inputs.shape[1]
    for channels in (1, 3):
        side = math.isqrt(d // channels)
        if isinstance(data.train_inputs, np.ndarray) and channels * side**2 == d:
            return side, side, channels
    raise UserError(
        f"{data.name} has {d} numbers an input, no square image of 1 or 3 channels: crop the images, or give others"
    )


def rows(
    batch: NetworkBatch, networks: ImageNetworks, seeds: Sequence[int], data: "LabelledInputs"
) -> Iterator[dict[str, Any]]:
    """The rows of a batch in the sweep's table: one a seed, group of parameters, failure and strength.

    A risk is the mean over tasks of the logistic loss (nats) on their test images, and log 2 that of predicting 0;
    accuracies are fractions of test images told right, of which an undecided network has half.
    """
    for budget in networks.budgets:
        yield from _rows(batch, budget, networks, seeds, data)


def _rows(
    batch: NetworkBatch,
    budget: str,
    networks: ImageNetworks,
    seeds: Sequence[int],
    data: "LabelledInputs",
) -> Iterator[dict[str, Any]]:
    from sim.convolutional import measure, train

    model = train(data, batch.T, networks, budget, seeds)
    names = [identity((batch, budget, seed, networks)) for seed in seeds]
    for name in networks.failures:
        strengths = STRENGTHS[name]
        found = measure(data, model, networks, name, strengths)
        for g, group in enumerate(networks.groups):
            for i, seed in enumerate(seeds):
                for j, strength in enumerate(strengths):
                    risk, accuracy, common = found.mean[:, g, i, j]
                    errors = found.standard_error[:, g, i, j]
                    yield {
                        "identity": names[i],
                        "network": NETWORK,
                        "geometry": batch.source.name,
                        "options": json.dumps({"samples": budget}),
                        "inputs": "data",
                        "d": data.train_inputs.shape[1],
                        "T": batch.T,
                        "k": networks.hidden,
                        "seed": seed,
                        "trainer": TRAINER,
                        "perturbation": name,
                        "group": group,
                        "strength": strength,
                        "draws": found.draws,
                        "risk_zero": math.log(2),
                        "risk_clean": float(found.clean[i]),
                        "risk_measured": float(risk),
                        "standard_error": float(errors[0]),
                        "accuracy": float(accuracy),
                        "accuracy_standard_error": float(errors[1]),
                        "accuracy_common": float(common),
                        "accuracy_common_standard_error": float(errors[2]),
                        "converged": True,
                        "residual": float(model.last_change[i]),
                        "iterations": networks.steps,
                    }
