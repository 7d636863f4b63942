"""Labelled sentences as tokens, and their division into batches of few widths.

A sentence is its tokens, cut to the context, and the end-of-text, whose state the head reads; what pads it on the right
is seen by no token before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural.gpt.config import ModelConfig
from neural.text.labelled import Labelled
from neural.text.tokenizer import Tokenizer
from sim.runs.errors import UserError

Ints = NDArray[np.int64]

SHORTEST = 32
"""Batches are as wide as this or the next power of two that holds them, or the context: each width is compiled once."""

NONE = -1
"""A row that stands for no sentence."""


@dataclass(frozen=True, eq=False)
class Examples:
    """N sentences: ids (N, T) padded with the end-of-text, widths (N,) of the batches that each goes into.

    last (N,): the place of a sentence's own end-of-text. labels (N,): places among the names of classes. truncated: how
    many sentences were too long for the context.
    """

    ids: NDArray[np.int32]
    last: Ints
    widths: Ints
    labels: Ints
    names: tuple[str, ...]
    truncated: int

    def __len__(self) -> int:
        return len(self.labels)


def examples(data: Labelled, tokenizer: Tokenizer, config: ModelConfig) -> Examples:
    """The sentences as tokens. Raises UserError for none, or a tokenizer that has more ids than the model."""
    if not len(data):
        raise UserError("no sentences to classify: give some")
    if tokenizer.vocabulary > config.vocabulary:
        raise UserError(
            f"a tokenizer of {tokenizer.vocabulary} ids and a model of {config.vocabulary}: give the model's own"
        )
    encoded = tokenizer.encode_all(data.sentences)
    last = np.array([min(len(ids), config.context - 1) for ids in encoded])
    powers = 2 ** np.ceil(np.log2(np.maximum(last + 1, SHORTEST))).astype(np.int64)
    widths = np.minimum(powers, config.context)
    padded = np.full((len(encoded), widths.max()), tokenizer.end_of_text, dtype=np.int32)
    for row, ids, end in zip(padded, encoded, last, strict=True):
        row[:end] = ids[:end]
    truncated = sum(len(ids) >= config.context for ids in encoded)
    return Examples(padded, last, widths, np.array(data.labels), data.names, truncated)


def require_names(data: Examples, names: tuple[str, ...]) -> None:
    """Raise UserError unless the sentences are labelled with these classes, in this order."""
    if data.names != names:
        raise UserError(
            f"sentences labelled {', '.join(data.names)} for a classifier of {', '.join(names)}: give the same labels"
        )


def shuffled(
    data: Examples, batch: int, seed: int, models: Sequence[int], epoch: int
) -> list[tuple[int, Ints]]:
    """Width and rows (S, batch) of each update of an epoch; `models` (S,) are the models' own seeds.

    Sentences of like length make a batch; those left over join the next width, and what is left at the end makes one
    with rows of NONE. A model's order of sentences is a function of (seed, its seed, epoch), that of widths of (seed,
    epoch) alone: so the models of a stack have the same.
    """
    generators = [np.random.default_rng([1, seed, model, epoch]) for model in models]
    left = np.zeros((len(models), 0), dtype=np.int64)
    batches = []
    widths = np.unique(data.widths)
    for width in widths:
        here = np.flatnonzero(data.widths == width)
        mixed = [
            rng.permutation(np.concatenate([before, here]))
            for rng, before in zip(generators, left, strict=True)
        ]
        rows = np.stack(mixed)
        if width == widths[-1] and rows.shape[1] % batch:
            short = batch - rows.shape[1] % batch
            rows = np.pad(rows, ((0, 0), (0, short)), constant_values=NONE)
        whole = rows.shape[1] // batch * batch
        left = rows[:, whole:]
        batches += [(int(width), rows[:, i : i + batch]) for i in range(0, whole, batch)]
    order = np.random.default_rng([2, seed, epoch]).permutation(len(batches))
    return [batches[place] for place in order]


def in_order(data: Examples, batch: int) -> Iterator[tuple[int, Ints]]:
    """Width and rows (batch,) of batches that together are all sentences, some of the widest twice."""
    rows = np.argsort(data.widths, kind="stable")
    rows = np.concatenate([rows, np.resize(rows[::-1], -len(rows) % batch)])
    for first in range(0, len(rows), batch):
        chosen = rows[first : first + batch]
        yield int(data.widths[chosen].max()), chosen
