"""Which token of one language a model holds for which of another: one-to-one matching of their embeddings.

The best of all matchings has a high cosine whatever the embeddings, the more so the fewer dimensions they have; so it
is always beside that of embeddings that are as far from one another within each language, and turned against each
other at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural.measures.alignment import SMALL

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Matching:
    """Pairs (n, 2) of ids, of one language and the other, their cosines (n,), and the mean cosines of the best
    matchings where the other language is turned, (rotations,).
    """

    pairs: Ints
    cosines: Array
    turned: Array

    @property
    def cosine(self) -> float:
        """The mean of the matched."""
        return float(self.cosines.mean())

    @property
    def null(self) -> float:
        """What it would be without any agreement between the languages; NaN without rotations."""
        return float(self.turned.mean()) if len(self.turned) else float("nan")


def match(
    embedding: ArrayLike,
    first: ArrayLike,
    other: ArrayLike,
    *,
    rotations: int = 5,
    seed: int = 0,
    centred: bool = False,
) -> Matching:
    """The matching of greatest total cosine between the embeddings (V, d) of ids of two languages, (n,) and (m,).

    Of the larger language some ids stay alone. Rotations are random orthogonal matrices, functions of (seed, number).
    centred: the mean embedding of each language is taken off first. Without that, a direction that all embeddings have
    in common counts as agreement, since rotations break it. The languages share no id: what they share is matched with
    itself at a cosine of 1. Time grows with the cube of the smaller number of ids.
    """
    E = np.asarray(embedding, np.float64)
    ids = [np.asarray(side, np.int64) for side in (first, other)]
    for side in ids:
        if side.ndim != 1 or not len(side) or len(np.unique(side)) < len(side):
            raise ValueError(f"ids {side.shape} of a language: give one or more, each once")
    if len(shared := np.intersect1d(ids[0], ids[1])):
        raise ValueError(f"{len(shared)} ids are of both languages: leave them out")
    a, b = (_unit(E[side] - (E[side].mean(axis=0) if centred else 0)) for side in ids)
    rows, columns, cosines = _best(a @ b.T)
    turned = [
        _best(a @ rotation(E.shape[1], (seed, number)) @ b.T)[2].mean()
        for number in range(rotations)
    ]
    return Matching(np.stack([ids[0][rows], ids[1][columns]], axis=1), cosines, np.array(turned))


def rotation(d: int, seed: Sequence[int]) -> Array:
    """An orthogonal matrix (d, d), all equally likely (Mezzadri 2007); a function of the seed."""
    q, r = np.linalg.qr(np.random.default_rng(list(seed)).standard_normal((d, d)))
    orthogonal: Array = q * np.sign(np.diag(r))
    return orthogonal


def share_matched(matching: Matching, pairs: ArrayLike) -> float:
    """The share of true pairs (n, 2), such as neural.text.clone.pairs gives, that were matched with one another."""
    true = {(int(first), int(other)) for first, other in np.asarray(pairs)}
    if not true:
        raise ValueError("no true pairs: give one or more")
    return len(true & {(int(first), int(other)) for first, other in matching.pairs}) / len(true)


def frequency_bins(counts: ArrayLike, ids: ArrayLike, bins: int) -> list[Ints]:
    """The ids (n,) by how often they occur, counts (V,): so many bins of equal numbers of ids, the frequent last.

    Of ids that occur equally often the lower come first; where bins do not divide n the first are larger by one. Within
    a bin ids are in order. Raises ValueError for more bins than ids, as some would be empty.
    """
    ids = np.asarray(ids, np.int64)
    if not 1 <= bins <= len(ids):
        raise ValueError(f"{bins} bins of {len(ids)} ids: give 1 to {len(ids)}")
    ordered = ids[np.lexsort((ids, np.asarray(counts)[ids]))]
    return [np.sort(part) for part in np.array_split(ordered, bins)]


def _unit(x: Array) -> Array:
    unit: Array = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), SMALL)
    return unit


def _best(cosines: Array) -> tuple[Ints, Ints, Array]:
    """Rows and columns of the matching of greatest sum, and its values."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cosines, maximize=True)
    return rows, columns, cosines[rows, columns]
