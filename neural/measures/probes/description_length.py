"""Minimum description length of labels given features, by online coding (Voita & Titov 2020).

Sender and receiver know the features of n examples, in an order drawn at random, and the labels of a dev part. The
labels of a first block are sent at log2 C bits each; those of every next block by the logistic probe that was fitted to
all before it, at -log2 p(label). How few bits that takes says how well and how easily the features tell the labels: a
probe that needs many examples pays for the blocks that it has not yet learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from neural.measures.probes import logistic
from neural.measures.probes.linear import Array, Ints, Part, score

PORTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Where the blocks end, as parts of all examples: those of Voita & Titov."""


@dataclass(frozen=True, eq=False)
class DescriptionLength:
    """Of P probes: blocks (P, B), the bits of each block, the first coded uniformly; ends (B,), examples up to its end.

    uniform: the bits of all labels at log2 C each. converged (P,): whether all of its probes did.
    """

    blocks: Array
    ends: Ints
    uniform: float
    converged: NDArray[np.bool_]

    @property
    def bits(self) -> Array:
        """The codelength (P,)."""
        codelength: Array = self.blocks.sum(axis=1)
        return codelength

    @property
    def compression(self) -> Array:
        """Bits of the uniform code over the codelength, (P,): 1 where features tell nothing that can be learnt."""
        return self.uniform / self.bits


def description_length(
    train: Part,
    dev: Part,
    classes: int,
    *,
    seed: int,
    portions: Sequence[float] = PORTIONS,
    strengths: Sequence[float] = logistic.STRENGTHS,
) -> DescriptionLength:
    """The codelength of train's labels, in an order that is a function of seed, the same for all probes.

    Strengths are chosen on dev. Raises ValueError for portions that do not rise to 1, and where logistic.fit does.
    """
    ends = block_ends(len(train), portions)
    shuffled = train.take(np.random.default_rng(seed).permutation(len(train)))
    P = train.shape[0]
    blocks = [np.full(P, ends[0] * np.log2(classes))]
    converged = np.full(P, True)
    for start, end in pairwise(ends.tolist()):
        probes = logistic.fit(shuffled.take(np.arange(start)), dev, classes, strengths=strengths)
        converged &= probes.converged
        following = score(probes, shuffled.take(np.arange(start, end)))
        blocks.append(following.loss * (end - start) / np.log(2))
    return DescriptionLength(
        np.stack(blocks, axis=1), ends, len(train) * float(np.log2(classes)), converged
    )


def block_ends(n: int, portions: Sequence[float] = PORTIONS) -> Ints:
    """Examples up to the end of each block, of n in all; blocks without an example are left out."""
    given = np.asarray(portions, np.float64)
    if not (len(given) and given[0] > 0 and (np.diff(given) > 0).all() and given[-1] == 1):
        raise ValueError(f"portions {tuple(portions)}: give some that rise to 1")
    return np.unique(np.maximum(np.round(given * n), 1).astype(np.int64))
