"""How much masks have in common: Jaccard overlap, what chance gives, and the weights that one mask alone keeps.

Jaccard of two masks or more is |intersection| / |union|. All is counted for each of the six matrices of each layer (the
components of neural.masks.mask), and summed from there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural.masks.mask import Mask, intersection_of, sizes, union_of

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Overlap:
    """Weights in the intersection and in the union of masks, (layers, 6) each: counted, or expected.

    A Jaccard overlap is NaN where no mask keeps anything.
    """

    intersection: NDArray[Any]
    union: NDArray[Any]

    @property
    def total(self) -> float:
        return float(_ratio(self.intersection.sum(), self.union.sum()))

    @property
    def by_layer(self) -> Array:
        """(layers,)."""
        return _ratio(self.intersection.sum(axis=1), self.union.sum(axis=1))

    @property
    def by_component(self) -> Array:
        """(6,), in the order of neural.masks.mask.COMPONENTS."""
        return _ratio(self.intersection.sum(axis=0), self.union.sum(axis=0))


def overlap(masks: Sequence[Mask]) -> Overlap:
    """Of two masks or more, of one model. Raises ValueError for fewer."""
    _check(masks)
    return Overlap(intersection_of(masks).counts, union_of(masks).counts)


def expected(masks: Sequence[Mask]) -> Overlap:
    """The overlap of random masks that keep as much of each matrix of each layer as these do.

    With density q_i in a matrix of n weights, n prod q_i are expected in the intersection, n (1 - prod (1 - q_i)) in
    the union; the Jaccard is the ratio of sums of these, which is its mean up to O(1/n). Raises ValueError for fewer
    than two masks.
    """
    _check(masks)
    n = sizes(masks[0].config)
    densities = np.stack([mask.counts / n for mask in masks])
    return Overlap(n * densities.prod(axis=0), n * (1 - (1 - densities).prod(axis=0)))


def chance(*densities: ArrayLike) -> Array:
    """The Jaccard of random masks of these densities: pq / (p + q - pq) of two, q / (2 - q) where they are equal.

    Arrays are taken element by element; one density stands for two equal ones. Foroutan et al. 2022 have 1/3 at 50 %.
    """
    given = [np.asarray(q, np.float64) for q in densities]
    given = given * 2 if len(given) == 1 else given
    intersection, neither = np.ones(()), np.ones(())
    for q in given:
        intersection, neither = intersection * q, neither * (1 - q)
    return _ratio(intersection, 1 - neither)


def corrected(J: ArrayLike, J0: ArrayLike, ceiling: ArrayLike) -> Array:
    """(J - J0) / (ceiling - J0): 0 at chance J0, 1 at the overlap of one language's masks of two seeds.

    NaN where the ceiling is no higher than chance, so that there is nothing to measure by.
    """
    J, J0, ceiling = (np.asarray(value, np.float64) for value in (J, J0, ceiling))
    return _ratio(J - J0, np.maximum(ceiling - J0, 0))


def only(masks: Sequence[Mask], i: int) -> Mask:
    """The weights that mask i keeps and none of the others."""
    others = [mask for j, mask in enumerate(masks) if j != i % len(masks)]
    return masks[i] - union_of(others) if others else masks[i]


def without(parameters: Mapping[str, Any], removed: Mask) -> dict[str, Any]:
    """The parameters, of one model or of a stack, with 0 for the weights of a mask: what an ablation measures.

    Its control removes as many of each matrix at random: neural.masks.mask.random_like(removed, seed).
    """
    return (~removed).apply(parameters)


def _check(masks: Sequence[Mask]) -> None:
    if len(masks) < 2:
        raise ValueError(f"{len(masks)} masks do not overlap: give two or more")


def _ratio(a: ArrayLike, b: ArrayLike) -> Array:
    """a / b, NaN where b is 0."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=b != 0)
