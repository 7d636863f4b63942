"""Examples that probes are fitted to, as places among the states of a text: of each one state, or a pair of them.

M states, N examples, P probes, width d. Features of a pair are [h1; h2; h1∘h2] (Liu et al. 2019).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neural.measures.probes.linear import Part
from neural.measures.words import WordExamples
from neural.text.treebank import Sentence
from neural.tune.arcs import RELATIONS
from neural.tune.tagging import UPOS, places
from sim.runs.errors import UserError

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

LONE = 3
"""Words of a sentence, at least, of whose pairs some are wrong arcs."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Places (N,) of the state of each, and of the other one of a pair; labels (N,) among so many classes.

    types: what a control task labels anew, equal for examples of the same word or pair of words.
    """

    one: Ints
    other: Ints | None
    labels: Ints
    classes: int
    types: tuple[Hashable, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def majority(self) -> float:
        """The part of the most frequent class."""
        return float(np.bincount(self.labels).max() / len(self))

    def part(self, states: Floats, others: Floats | None = None) -> Part:
        """With the features of P probes, from states (P, M, d); those of the other of a pair from others, if given."""
        h1 = states[:, self.one]
        if self.other is None:
            return Part(h1, self.labels)
        h2 = (states if others is None else others)[:, self.other]
        return Part(np.concatenate([h1, h2, h1 * h2], axis=-1), self.labels)

    def relabelled(self, labels: Ints) -> "Examples":
        """The same of other labels."""
        return replace(self, labels=labels)


@dataclass(frozen=True, eq=False)
class Words:
    """Annotated sentences and their M words that a model reads whole.

    sentence, head, upos, relation (M,): the sentence of a word, the place of its head among the M, NONE where that is
    not there, and its labels; forms: as they are written.
    """

    examples: WordExamples
    sentence: Ints
    head: Ints
    upos: Ints
    relation: Ints
    forms: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sentence)


NOWHERE = -1


def words(examples: WordExamples, sentences: Sequence[Sentence]) -> Words:
    """The words of sentences that were encoded. Raises UserError for a label that is none of UD, and for no words."""
    there = examples.there
    if not there.any():
        raise UserError("no word fits into the model's context: give a longer one")
    numbers = np.full((len(sentences), there.shape[1] + 1), NOWHERE, dtype=np.int64)
    numbers[:, 1:][there] = np.arange(there.sum())  # column 0: the head of a root
    heads = np.maximum(examples.labels([item.heads for item in sentences]), 0)
    relations = [[label.split(":")[0] for label in item.relations] for item in sentences]
    tags = [
        examples.labels(
            [places(item, row, names) for item, row in zip(sentences, rows, strict=True)]
        )
        for names, rows in (
            (UPOS, [item.upos for item in sentences]),
            (RELATIONS, relations),
        )
    ]
    return Words(
        examples,
        np.nonzero(there)[0].astype(np.int64),
        np.take_along_axis(numbers, heads, axis=1)[there],
        tags[0][there],
        tags[1][there],
        tuple(sentences[row].words[place] for row, place in np.argwhere(there).tolist()),
    )


def spaced(n: int, most: int) -> Ints:
    """At most so many places below n, evenly spaced."""
    if n <= most:
        return np.arange(n)
    return np.linspace(0, n - 1, most).astype(np.int64)


def tagged(annotated: Words, most: int) -> Examples:
    """Words with their parts of speech."""
    chosen = np.arange(min(len(annotated), most))
    return Examples(
        chosen,
        None,
        annotated.upos[chosen],
        len(UPOS),
        tuple(annotated.forms[place] for place in chosen),
    )


def related(annotated: Words, most: int) -> Examples:
    """Words and their heads, with the relation; roots have none."""
    arcs = np.flatnonzero(annotated.head != NOWHERE)
    dependents = arcs[spaced(len(arcs), most)]
    other = annotated.head[dependents]
    types = tuple(
        (annotated.forms[a], annotated.forms[b]) for a, b in zip(dependents, other, strict=True)
    )
    return Examples(dependents, other, annotated.relation[dependents], len(RELATIONS), types)


def arcs(annotated: Words, most: int, key: Sequence[int]) -> Examples:
    """Half of them words and their heads, 1; the others the same words with another of their sentence, drawn, 0.

    A function of the key.
    """
    sizes = np.bincount(annotated.sentence)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    usable = np.flatnonzero((annotated.head != NOWHERE) & (sizes[annotated.sentence] >= LONE))
    dependents = usable[spaced(len(usable), most // 2)]
    head, sentence = annotated.head[dependents], annotated.sentence[dependents]
    rng = np.random.default_rng(key)
    # Of the sentence's words less the word and its head, both stepped over.
    drawn = first[sentence] + rng.integers(sizes[sentence] - 2)
    low, high = np.minimum(dependents, head), np.maximum(dependents, head)
    drawn += drawn >= low
    drawn += drawn >= high
    labels = np.repeat([1, 0], len(dependents))
    return Examples(np.tile(dependents, 2), np.concatenate([head, drawn]), labels, 2)


def paired(rows: Ints, key: Sequence[int]) -> Examples:
    """Of sentences and their translations, row by row: each with its own, 1, and with that of another row, drawn, 0.

    Every sentence of either side is as often right as wrong, so that one alone tells nothing.
    """
    order = np.random.default_rng(key).permutation(rows)
    labels = np.repeat([1, 0], len(rows))
    sources = np.concatenate([order, order])
    return Examples(sources, np.concatenate([order, np.roll(order, 1)]), labels, 2)


def labelled(labels: Sequence[int], classes: int) -> Examples:
    """Sentences with their labels."""
    return Examples(np.arange(len(labels)), None, np.array(labels, dtype=np.int64), classes)


def inferred(labels: Sequence[int], classes: int) -> Examples:
    """Pairs of sentences with their labels: of N premises, then their N hypotheses."""
    n = len(labels)
    return Examples(np.arange(n), n + np.arange(n), np.array(labels, dtype=np.int64), classes)
