"""Control tasks (Hewitt & Liang 2019): labels that features cannot tell but by the word itself.

Every word type has a label drawn at random, from the distribution of the task's own labels. A probe that learns these
memorises; what it gets right of the task beyond them (selectivity) the features make easy.
"""

from collections.abc import Hashable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike

from neural.measures.probes.linear import Array, Ints


def control_labels(types: Sequence[Hashable], distribution: ArrayLike, seed: int) -> Ints:
    """A label of each type (N,), the same wherever it stands: in any part, any language.

    distribution (C,): how frequent labels are; counts will do. Types are words, or pairs of them for arcs. Raises
    ValueError for a distribution that is none.
    """
    p = np.asarray(distribution, np.float64)
    if p.ndim != 1 or not (np.isfinite(p).all() and (p >= 0).all() and p.sum() > 0):
        raise ValueError(f"a distribution {p}: give frequencies (C,), 0 or more, not all 0")
    ends = np.cumsum(p) / p.sum()
    drawn = {word_type: _uniform(word_type, seed) for word_type in dict.fromkeys(types)}
    places = np.searchsorted(ends, [drawn[word_type] for word_type in types], side="right")
    return places.astype(np.int64)


def _uniform(word_type: Hashable, seed: int) -> float:
    """In [0, 1): a function of type and seed alone, in every process."""
    digest = blake2b(f"{seed} {word_type!r}".encode(), digest_size=7).digest()
    return (int.from_bytes(digest, "big") >> 3) / 2**53


def distribution(labels: ArrayLike, classes: int) -> Array:
    """The frequency (C,) of each label."""
    counts = np.bincount(np.asarray(labels).reshape(-1), minlength=classes)
    frequencies: Array = counts / counts.sum()
    return frequencies


def selectivity(accuracy: ArrayLike, control: ArrayLike) -> Array:
    """Accuracy (...) on the task less that on its control, the mean of controls (K, ...) of K seeds."""
    excess: Array = np.asarray(accuracy, np.float64) - np.asarray(control, np.float64).mean(axis=0)
    return excess


def memorisable(
    train: Sequence[Hashable], test: Sequence[Hashable], distribution: ArrayLike
) -> float:
    """The most that a probe can get right of a control task: test words whose type train has, and the others by chance.

    By chance: always the most frequent label.
    """
    p = np.asarray(distribution, np.float64)
    known = set(train)
    seen = sum(word_type in known for word_type in test) / len(test)
    return float(seen + (1 - seen) * p.max() / p.sum())
