"""What convolutional networks learn the tasks of images, how they are trained, and how they fail, as a frozen value."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.runs.errors import UserError

if TYPE_CHECKING:
    from sim.experiments.data.inputs import LabelledInputs

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
    failures: tuple[str, ...] = tuple(name for name in STRENGTHS if "rescaled" not in name)
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
            ("failure of networks", self.failures, tuple(STRENGTHS)),
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
