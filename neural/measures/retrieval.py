"""Sentence retrieval: of N sentences and their translations, how many find each other by their vectors.

By the ratio margin of Artetxe and Schwenk 2019, as in Foroutan et al. 2022, the similarity of a pair stands against
those that either side has with its k nearest of the other language, so that hubs, which are near to everything, lose
what plain cosines give them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import DEFAULT, Parameters, states

Floats = NDArray[np.floating[Any]]

NEIGHBOURS = 4
SMALL = 1e-30
"""Keeps the cosine of a zero vector 0."""


@dataclass(frozen=True, eq=False)
class Accuracy:
    """The part of sentences x whose y scores most of all y, and of y whose x does; (...,) each, as the vectors lead."""

    forward: Floats
    backward: Floats

    @property
    def mean(self) -> Floats:
        """Of both directions."""
        return (self.forward + self.backward) / 2


def sentence_states(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    ids: NDArray[np.integer[Any]],
    lengths: ArrayLike,
    *,
    batch: int = 32,
    compute: Compute = DEFAULT,
) -> NDArray[np.float32]:
    """Mean states of one model over each sentence's tokens, after the embeddings and each block: (layers + 1, N, d).

    ids (N, T) and lengths (N,) as `neural.measures.words.encoded` gives them: the tokens of a sentence stand at 1 ..
    length, behind an end-of-text, which counts for nothing. A sentence without tokens has zeros.
    """
    program, placed = _program(config, compute), jax.device_put(dict(parameters))
    mean_states = np.empty((config.layers + 1, len(ids), config.width), dtype=np.float32)
    for start in range(0, len(ids), batch):
        there = np.arange(start, min(start + batch, len(ids)))
        rows = np.resize(there, batch)
        means = program(placed, np.asarray(ids)[rows], np.asarray(lengths)[rows])
        mean_states[:, there] = np.asarray(means)[:, : len(there)]
    return mean_states


def cosines(x: ArrayLike, y: ArrayLike) -> Floats:
    """Of all pairs of vectors x (..., N, d) and y (..., M, d): (..., N, M)."""
    a, b = (_unit(np.asarray(side)) for side in (x, y))
    return a @ b.swapaxes(-1, -2)


def margins(cosine: Floats, neighbours: int = NEIGHBOURS) -> Floats:
    """The ratio margin of each pair, from all cosines (..., N, M): its own over the mean of its two neighbourhoods'.

    s(x, y) / (sum over the k nearest z of x of s(x, z) / 2k + the same of y), where the nearest of x are y's and those
    of y are x's. Of similarities s = (1 + cos)/2: cosines of two languages' states may all be below 0, where a ratio
    would put the least similar first. Raises ValueError for fewer than k sentences.
    """
    if not 1 <= neighbours <= min(cosine.shape[-2:]):
        raise ValueError(f"{neighbours} nearest of {cosine.shape[-2:]} sentences: give fewer")
    similar = (1 + cosine) / 2
    of_x, of_y = (_nearest(similar, neighbours, axis) for axis in (-1, -2))
    return similar / np.maximum((of_x + of_y) / 2, SMALL)


def accuracy(scores: Floats) -> Accuracy:
    """Of scores (..., N, N) of all pairs, those on the diagonal being right. Equal scores go to the first."""
    right = np.arange(scores.shape[-1])
    forward, backward = ((scores.argmax(axis=axis) == right).mean(axis=-1) for axis in (-1, -2))
    return Accuracy(forward, backward)


def retrieval(x: ArrayLike, y: ArrayLike, neighbours: int | None = NEIGHBOURS) -> Accuracy:
    """Of vectors x and y (..., N, d), row by row translations: by ratio margin, or with None by plain cosine.

    Leading axes (layers, models) are taken one after another, so that N² scores are held at once.
    """
    a, b = np.asarray(x), np.asarray(y)
    if a.shape != b.shape:
        raise ValueError(f"vectors {a.shape} and {b.shape}: give translations row by row")
    lead = a.shape[:-2]
    accuracies = []
    for index in np.ndindex(lead):
        scores = cosines(a[index], b[index])
        accuracies.append(accuracy(scores if neighbours is None else margins(scores, neighbours)))
    forward, backward = (
        np.array([getattr(entry, side) for entry in accuracies]).reshape(lead)
        for side in ("forward", "backward")
    )
    return Accuracy(forward, backward)


def _unit(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), SMALL)


def _nearest(cosine: Floats, k: int, axis: int) -> Floats:
    """The mean of the k greatest along an axis, which stays with length 1."""
    n = cosine.shape[axis]
    greatest = np.partition(cosine, n - k, axis=axis)
    return np.take(greatest, np.arange(n - k, n), axis=axis).mean(axis=axis, keepdims=True)


@lru_cache(maxsize=16)
def _program(config: ModelConfig, compute: Compute) -> Any:
    @jax.jit
    def means(parameters: Parameters, ids: jax.Array, lengths: jax.Array) -> jax.Array:
        places = jnp.arange(ids.shape[1])
        inside = (places >= 1) & (places <= lengths[:, None])
        weights = inside / jnp.maximum(lengths, 1)[:, None]
        stream = states(parameters, ids, config, compute).astype(jnp.float32)
        return jnp.einsum("bt,lbtd->lbd", weights.astype(jnp.float32), stream)

    return means
