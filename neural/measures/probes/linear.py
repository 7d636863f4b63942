"""Linear probes, the parts of the examples that they are fitted to and scored on, and what they get right."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Features = NDArray[np.floating]

CONSTANT = 1e-6
"""A feature that varies by less than this, relative to the largest of all, is taken for a constant: beyond float32."""


@dataclass(frozen=True, eq=False)
class Part:
    """N examples: features (P, N, d), as each of P probes sees them, and labels (N,), or (P, N) where they differ.

    Raises ValueError for shapes that do not belong together, and for labels below 0.
    """

    features: ArrayLike
    labels: ArrayLike

    def __post_init__(self) -> None:
        X, y = np.asarray(self.features), np.asarray(self.labels)
        if X.ndim != 3 or 0 in X.shape or y.shape not in (X.shape[1:2], X.shape[:2]):
            raise ValueError(
                f"features {X.shape} and labels {y.shape}: give (P, N, d) and (N,) or (P, N)"
            )
        if y.dtype.kind not in "iu" or y.min() < 0:
            raise ValueError(f"labels of {y.dtype} from {y.min()}: give numbers of classes, from 0")

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """P, N and d."""
        P, N, d = np.shape(self.features)
        return P, N, d

    def __len__(self) -> int:
        return self.shape[1]

    def __iter__(self) -> Iterator[tuple[Features, Ints]]:
        """Features (N, d) and labels (N,), probe by probe."""
        for probe in range(self.shape[0]):
            yield self.of_probe(probe)

    def of_probe(self, probe: int) -> tuple[Features, Ints]:
        """Features (N, d) and labels (N,) of one probe."""
        labels = np.asarray(self.labels, np.int64)
        return np.asarray(self.features)[probe], labels if labels.ndim == 1 else labels[probe]

    def take(self, places: ArrayLike) -> "Part":
        """The examples at these places."""
        chosen = np.asarray(places)
        return Part(np.asarray(self.features)[:, chosen], np.asarray(self.labels)[..., chosen])


@dataclass(frozen=True, eq=False)
class Probes:
    """P fitted probes: weights (P, d, C) and bias (P, C), which act on features as they are, standardised or not.

    strength (P,): of the L2 penalty, chosen by the loss on dev, which is dev (P, strengths) along the grid.
    gradient (P,): its norm where the fit ended, and iterations (P,) in all; of ridge both are 0.
    logistic: whether scores are logits. Those of ridge are not, and have no log-loss.
    """

    weights: Array
    bias: Array
    strength: Array
    dev: Array
    gradient: Array
    iterations: Ints
    tolerance: float
    logistic: bool = True

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(P,): whether the norm of the gradient is at most the tolerance."""
        return self.gradient <= self.tolerance


@dataclass(frozen=True, eq=False)
class Scores:
    """Of P probes, (P,): the share of examples whose class has the highest score, and the log-loss in nats an example.

    The log-loss of ridge is NaN.
    """

    accuracy: Array
    loss: Array


def score(probes: Probes, part: Part) -> Scores:
    """The probes on examples of their own or of another language. Raises ValueError for other shapes."""
    rows = []
    for scores, (_, y) in zip(class_scores(probes, part), part, strict=True):
        right = np.mean(scores.argmax(axis=1) == y)
        rows.append((right, losses(scores, y).mean() if probes.logistic else np.nan))
    accuracy, loss = np.array(rows).T
    return Scores(accuracy, loss)


def class_scores(probes: Probes, part: Part) -> Iterator[Array]:
    """The scores (N, C) of every class, probe by probe: logits of logistic probes."""
    P, d, C = probes.weights.shape
    if part.shape[::2] != (P, d) or np.max(part.labels) >= C:
        raise ValueError(
            f"features {part.shape} and labels up to {int(np.max(part.labels))}: give those of {P} probes of width {d} "
            f"and {C} classes"
        )
    for W, b, (X, _) in zip(probes.weights, probes.bias, part, strict=True):
        yield X.astype(np.float64) @ W + b


def losses(logits: Array, labels: Ints) -> Array:
    """-log softmax(logits (N, C)) at the labels (N,), in nats."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    at_labels = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    log_losses: Array = np.log(np.exp(shifted).sum(axis=1)) - at_labels
    return log_losses


def standardisation(X: Features) -> tuple[Array, Array]:
    """Mean and standard deviation (d,) of features (N, d); 1 for the deviation of a constant."""
    mean, scale = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    return mean, np.where(scale > CONSTANT * np.abs(X).max(), scale, 1.0)


def check_parts(train: Part, dev: Part, classes: int) -> None:
    """Raises ValueError where a probe cannot be fitted to one and its strength chosen on the other."""
    if train.shape[::2] != dev.shape[::2]:
        raise ValueError(
            f"features {train.shape}, {dev.shape} of dev: give as many probes of one width"
        )
    highest = max(np.max(train.labels), np.max(dev.labels))
    if highest >= classes:
        raise ValueError(f"a label {highest} among {classes} classes: labels start at 0")


def check_strengths(strengths: ArrayLike) -> Array:
    """The grid, from strong to weak. Raises ValueError for one that does not fall or is not positive."""
    grid = np.asarray(strengths, np.float64)
    if grid.ndim != 1 or not (len(grid) and (grid > 0).all() and (np.diff(grid) < 0).all()):
        raise ValueError(f"strengths {grid}: give positive ones that fall")
    return grid
