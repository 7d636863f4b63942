"""Cloned languages: one text read as several languages that share no id, or only some (Schäfer et al. 2024).

Language l maps id -> id + l V, with V the ids of the tokenizer; language 0 is the text as it is. Special ids are never
mapped, and of the others only a fraction may be cloned: the rest are anchors, which all languages share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from neural.train.data import Encode
from sim.runs.errors import UserError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Clones:
    """`languages` clones of a language of `vocabulary` ids.

    fraction: how many of the ids that are not special are cloned, rounded to a whole number; which ones is a function
    of the seed, and those of a smaller fraction are among those of a greater. shuffled: from each language but the
    first the words of a window stand in another order, in blocks of so many tokens; 1 leaves the order.
    """

    vocabulary: int
    languages: int
    special: tuple[int, ...] = ()
    fraction: float = 1.0
    seed: int = 0
    shuffled: int = 1

    def check(self) -> None:
        """Raise UserError, in one line, for clones that cannot be."""
        for name, least in {"vocabulary": 1, "languages": 1, "shuffled": 1, "seed": 0}.items():
            if getattr(self, name) < least:
                raise UserError(f"{name} = {getattr(self, name)}: give a whole number >= {least}")
        if not 0 <= self.fraction <= 1:
            raise UserError(f"fraction {self.fraction} of ids cloned: give a number from 0 to 1")
        if unknown := [i for i in self.special if not 0 <= i < self.vocabulary]:
            raise UserError(
                f"special id {unknown[0]} of a vocabulary of {self.vocabulary}: give ids below that"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the languages: c0, c1, ..."""
        return tuple(f"c{language}" for language in range(self.languages))

    @property
    def total(self) -> int:
        """Ids of all languages together: the vocabulary of a model of them."""
        return self.vocabulary * self.languages

    @cached_property
    def cloned(self) -> NDArray[np.bool_]:
        """Which ids (vocabulary,) are other ids in other languages; not special ones and anchors."""
        free = np.setdiff1d(np.arange(self.vocabulary), self.special)
        chosen = np.random.default_rng(self.seed).permutation(free)
        mask = np.zeros(self.vocabulary, dtype=bool)
        mask[chosen[: round(self.fraction * len(free))]] = True
        return mask

    def table(self, language: int) -> Ints:
        """What each id (vocabulary,) is in a language."""
        if not 0 <= language < self.languages:
            raise ValueError(f"language {language} of {self.languages}")
        return np.arange(self.vocabulary) + language * self.vocabulary * self.cloned

    def encode(self, ids: NDArray[np.integer], language: int) -> Ints:
        """Ids (..., n) of the text as those of a language; its words in that language's order where it has one."""
        mapped: Ints = self.table(language)[ids]
        return mapped[..., self._order(mapped.shape[-1], language)]

    def decode(self, ids: NDArray[np.integer], language: int) -> Ints:
        """The text that was encoded as ids (..., n) of a language: the inverse of `encode`."""
        order = self._order(ids.shape[-1], language)
        return np.asarray(ids, dtype=np.int64)[..., np.argsort(order)] % self.vocabulary

    def _order(self, n: int, language: int) -> Ints:
        """Where the tokens of a language come from, (n,): one permutation for every block; a shorter last one stays."""
        places = np.arange(n)
        if self.shuffled == 1 or language == 0:
            return places
        order = np.random.default_rng([self.seed, language]).permutation(self.shuffled)
        whole = n // self.shuffled * self.shuffled
        blocks = places[:whole].reshape(-1, self.shuffled)
        return np.concatenate([blocks[:, order].reshape(-1), places[whole:]])

    def encoders(self) -> dict[str, Encode]:
        """For each name what its sequences become, as neural.train.data.Data takes it."""
        return {
            name: partial(self.encode, language=language)
            for language, name in enumerate(self.names)
            if language
        }


def pairs(clones: Clones, language: int, ids: Sequence[int] | None = None) -> Ints:
    """Of every cloned id (or those given) itself and its clone in a language, (pairs, 2)."""
    chosen = np.flatnonzero(clones.cloned) if ids is None else np.asarray(ids, dtype=np.int64)
    return np.stack([chosen, clones.table(language)[chosen]], axis=1)
