"""Which images the networks of a seed see: samples of its T tasks to train on, and test images with their labels.

Task t of seed s tells class (s + t) mod M from the next, of M pairs of neighbours in ascending order of label.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from sim.experiments.data.inputs import LabelledInputs
from sim.experiments.networks.config import ImageNetworks, image_shape
from theory.covariance import Array


def training_samples(
    data: LabelledInputs, T: int, networks: ImageNetworks, budget: str, seed: int
) -> tuple[NDArray[np.int64], Array]:
    """Rows of training inputs and labels -1 or 1, (steps, batch): the sequence's i-th is of task i mod T of the seed.

    Every pass over a task's samples shuffles them. Those of few samples are the first of those of many.
    """
    count, batch = networks.per_task(T, budget)
    length = networks.steps * batch
    rows, y = np.empty(length, dtype=np.int64), np.empty(length)
    for t in range(T):
        rng = np.random.default_rng([seed, t])
        of_task = np.flatnonzero(_labels(data, data.train_labels, seed, t))
        more = rng.choice(of_task, networks.samples)  # for a task of too few examples
        samples = np.concatenate([rng.permutation(of_task), more])[:count]
        places = len(range(t, length, T))
        passes = [rng.permutation(samples) for _ in range(-(-places // count))]
        rows[t::T] = np.concatenate(passes)[:places]
        y[t::T] = _labels(data, data.train_labels[rows[t::T]], seed, t)
    return rows.reshape(networks.steps, -1), y.reshape(networks.steps, -1)


def held_out(
    data: LabelledInputs, T: int, networks: ImageNetworks, seed: int
) -> tuple[Array, Array]:
    """Test images (m, rows, columns, channels) of the seed's tasks, and their labels (m, T).

    A label is -1 or 1, or 0 where the image is not of the task. Of each class there are as many images, the first in an
    order that the seed shuffles: the same whatever T.
    """
    order = np.random.default_rng([seed, zlib.crc32(b"test")]).permutation(len(data.test_labels))
    of_class = data.test_labels[order][:, None] == data.classes
    count = min(networks.test_images, of_class.sum(axis=0).min())
    first = of_class & (np.cumsum(of_class, axis=0) <= count)
    order = order[first.any(axis=1)]
    labels = [_labels(data, data.test_labels[order], seed, t) for t in range(T)]
    y = np.stack(labels, axis=1)
    used = y.any(axis=1)
    return data.test_inputs[order[used]].reshape(-1, *image_shape(data)), y[used]


def _labels(data: LabelledInputs, labels: NDArray[np.int64], seed: int, t: int) -> Array:
    """-1 for the lower and 1 for the upper class of the seed's task t, 0 for other classes: as many as labels."""
    lower = (seed + t) % (len(data.classes) - 1)
    below, above = (labels == data.classes[lower + i] for i in (0, 1))
    return above.astype(np.float64) - below
