"""Words of two sentences aligned by how similar their vectors are, as SimAlign does (Jalili Sabet et al. 2020).

Of similarities (m, n) in [0, 1] of m words with n, an alignment is a boolean matrix (m, n). Three ways to it:

    argmax     words that are each other's most similar
    itermax    the same again among what is left, at ITERATIONS rounds in all; a word that is aligned already may have
               another partner, at ALPHA of its similarity
    matched    the pairing of min(m, n) words of the largest sum
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural.measures.probes.linear import Array

Links = NDArray[np.bool_]

ITERATIONS = 2
ALPHA = 0.9

SMALL = 1e-30
"""Keeps the cosine of a zero vector 0."""


def similarity(first: ArrayLike, other: ArrayLike) -> Array:
    """(1 + cosine)/2 of word vectors (m, d) and (n, d), or stacks of them: (..., m, n)."""
    X, Y = (np.asarray(vectors, np.float64) for vectors in (first, other))
    X, Y = (Z / np.maximum(np.linalg.norm(Z, axis=-1, keepdims=True), SMALL) for Z in (X, Y))
    similarities: Array = (1 + X @ np.swapaxes(Y, -1, -2)) / 2
    return similarities


def argmax(similarities: ArrayLike) -> Links:
    """Mutual argmax; of equally similar words the first."""
    S = _checked(similarities)
    rows, columns = np.arange(S.shape[0]), np.arange(S.shape[1])
    forward, backward = S.argmax(axis=1), S.argmax(axis=0)
    links: Links = (forward[:, None] == columns) & (backward == rows[:, None])
    return links


def itermax(
    similarities: ArrayLike, *, iterations: int = ITERATIONS, alpha: float = ALPHA
) -> Links:
    """Iterated mutual argmax.

    As in SimAlign's code, it ends when all words of one sentence are aligned, and sentences of two words or less have
    one round.
    """
    S = _checked(similarities)
    links = argmax(S)
    for _ in range(iterations - 1 if min(S.shape) > 2 else 0):
        unlinked, other = ~links.any(axis=1, keepdims=True), ~links.any(axis=0, keepdims=True)
        if not (unlinked.any() and other.any()):
            break
        weight = np.where(unlinked & other, 1.0, np.where(unlinked | other, alpha, 0.0))
        new = argmax(S * weight) & (unlinked | other)
        if not new.any():
            break
        links = links | new
    return links


def matched(similarities: ArrayLike) -> Links:
    """The pairing of the largest sum of similarities."""
    from scipy.optimize import linear_sum_assignment

    S = _checked(similarities)
    links = np.zeros(S.shape, np.bool_)
    links[linear_sum_assignment(S, maximize=True)] = True
    return links


@dataclass(frozen=True)
class AlignmentScore:
    """Over all sentences: precision |A and P|/|A|, recall |A and S|/|S|, their F1, and the alignment error rate.

    S are the sure links, P the possible ones, S among them; AER = 1 - (|A and S| + |A and P|)/(|A| + |S|) (Och & Ney
    2003). NaN where nothing is divided by.
    """

    precision: float
    recall: float
    f1: float
    aer: float


def scored(
    alignments: Sequence[Links], sure: Sequence[Links], possible: Sequence[Links] | None = None
) -> AlignmentScore:
    """Alignments, sentence by sentence, against gold ones; without possible links these are the sure ones."""
    likely = sure if possible is None else possible
    counts = np.zeros(4)
    for A, S, P in zip(alignments, sure, likely, strict=True):
        if not A.shape == S.shape == P.shape:
            raise ValueError(f"links {A.shape}, {S.shape} and {P.shape}: give those of one pair")
        counts += A.sum(), S.sum(), (A & S).sum(), (A & (S | P)).sum()
    links, gold, in_sure, in_possible = counts
    precision, recall = _ratio(in_possible, links), _ratio(in_sure, gold)
    return AlignmentScore(
        precision,
        recall,
        _ratio(2 * precision * recall, precision + recall),
        1 - _ratio(in_sure + in_possible, links + gold),
    )


def against_identity(alignments: Sequence[Links]) -> AlignmentScore:
    """Of texts whose word i is the other's word i: cloned languages, where the gold is exact."""
    return scored(alignments, [np.eye(*A.shape, dtype=np.bool_) for A in alignments])


@dataclass(frozen=True)
class Projection:
    """Of spans known to translate each other: links of the span's words, the part of them that ends in the other span,
    and that part for links that end anywhere in the other sentence.
    """

    links: int
    precision: float
    chance: float


def projected(
    alignments: Sequence[Links],
    spans: Sequence[tuple[int, int]],
    others: Sequence[tuple[int, int]],
) -> Projection:
    """Alignments of sentences in which words start <= i < end translate those of the other's span."""
    inside = links = 0
    expected = 0.0
    for A, (start, end), (first, last) in zip(alignments, spans, others, strict=True):
        if not (0 <= start < end <= A.shape[0] and 0 <= first < last <= A.shape[1]):
            raise ValueError(f"spans {start, end} and {first, last} of {A.shape} words")
        ours = int(A[start:end].sum())
        links += ours
        inside += int(A[start:end, first:last].sum())
        expected += ours * (last - first) / A.shape[1]
    return Projection(links, _ratio(inside, links), _ratio(expected, links))


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _checked(similarities: ArrayLike) -> Array:
    S = np.asarray(similarities, np.float64)
    if S.ndim != 2 or not S.size or not (S.min() >= 0 and np.isfinite(S).all()):
        raise ValueError(f"similarities {S.shape}: give (m, n) of words, 0 or more and finite")
    return S
