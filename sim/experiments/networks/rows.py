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

from sim.config import DataSource
from sim.experiments.networks.config import STRENGTHS, ImageNetworks
from sim.runs.identity import identity

if TYPE_CHECKING:
    from sim.experiments.data.inputs import LabelledInputs

NETWORK = "convolutional"
TRAINER = "adam"


@dataclass(frozen=True)
class NetworkBatch:
    """All seeds of the networks of T tasks, under every budget."""

    source: DataSource
    T: int


def batches(networks: ImageNetworks, sources: Sequence[DataSource]) -> list[NetworkBatch]:
    """The units of work."""
    return [NetworkBatch(source, T) for source in sources for T in networks.T]


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
    from sim.experiments.networks.convolutional import measure, train

    model = train(data, batch.T, networks, budget, seeds)
    names = [identity((batch, budget, seed, networks)) for seed in seeds]
    for name in networks.failures:
        strengths = STRENGTHS[name]
        measurement = measure(data, model, networks, name, strengths)
        for g, group in enumerate(networks.groups):
            for i, seed in enumerate(seeds):
                for j, strength in enumerate(strengths):
                    risk, accuracy, common = measurement.mean[:, g, i, j]
                    errors = measurement.standard_error[:, g, i, j]
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
                        "draws": measurement.draws,
                        "risk_zero": math.log(2),
                        "risk_clean": float(measurement.clean[i]),
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
