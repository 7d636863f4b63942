"""The subspace of features that tells the language, and features without it.

Features (..., N, d) of examples of L languages, the leading axes probes. The means of the languages differ in at most
L - 1 directions. Where these are projected out the means are equal, and no linear probe tells the language with a
smaller log-loss, on these examples, than one that answers without looking (Belrose et al. 2023).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from neural.measures.probes import logistic
from neural.measures.probes.linear import Array, Part, score

RANK = 1e-9
"""Directions along which the means differ by less than this, relative to the largest, are rounding."""


def language_means(features: ArrayLike, languages: ArrayLike) -> Array:
    """The mean (..., L, d) of each language's features (..., N, d); languages (N,) from 0, each with an example."""
    X, y = np.asarray(features, np.float64), np.asarray(languages)
    counts = np.bincount(y)
    if y.shape != X.shape[-2:-1] or len(counts) < 2 or not counts.all():
        raise ValueError(
            f"features {X.shape}, examples of each language {counts}: give (..., N, d) of two or more, each with one"
        )
    means: Array = np.einsum("nl,...nd->...ld", np.eye(len(counts))[y] / counts, X)
    return means


def mean_directions(features: ArrayLike, languages: ArrayLike) -> Array:
    """An orthonormal basis (..., d, L - 1) of the differences between the languages' means; 0 for what it lacks."""
    return _spanned(_between(language_means(features, languages)))


def discriminants(features: ArrayLike, languages: ArrayLike, *, shrinkage: float = 1e-3) -> Array:
    """An orthonormal basis (..., d, L - 1) of the discriminant directions S⁻¹(mean - mean), S the covariance within
    languages, with the share `shrinkage` of its mean variance added to the diagonal.

    They read the language best (Fisher's); without them its means still differ, so remove mean_directions instead.
    """
    X, y = np.asarray(features, np.float64), np.asarray(languages)
    means = language_means(X, y)
    within = X - np.take(means, y, axis=-2)
    S = np.swapaxes(within, -1, -2) @ within / len(y)
    d = S.shape[-1]
    variance = np.trace(S, axis1=-2, axis2=-1)[..., None, None] / d
    differences = np.swapaxes(_between(means), -1, -2)
    solved = np.linalg.solve(S + shrinkage * variance * np.eye(d), differences)
    return _spanned(np.swapaxes(solved, -1, -2))


def removed(features: ArrayLike, basis: ArrayLike) -> Array:
    """Features (..., N, d) without their part in the span of an orthonormal basis (..., d, r)."""
    X, B = np.asarray(features, np.float64), np.asarray(basis, np.float64)
    remainder: Array = X - (X @ B) @ np.swapaxes(B, -1, -2)
    return remainder


def centred(features: ArrayLike, languages: ArrayLike, means: ArrayLike) -> Array:
    """Features (..., N, d) less the mean (..., L, d) of their own language: needs to know which that is."""
    deviations: Array = np.asarray(features, np.float64) - np.take(
        means, np.asarray(languages), axis=-2
    )
    return deviations


def share(features: ArrayLike, basis: ArrayLike) -> Array:
    """The part (...) of the features' variance that lies in the span of a basis."""
    X = np.asarray(features, np.float64)
    X = X - X.mean(axis=-2, keepdims=True)
    inside = X @ np.asarray(basis, np.float64)
    fraction: Array = (inside**2).sum(axis=(-2, -1)) / (X**2).sum(axis=(-2, -1))
    return fraction


@dataclass(frozen=True, eq=False)
class Identity:
    """Of P probes, (P,): how often a logistic probe tells the language, with all features and without the directions in
    which train's means differ, and the part of test's variance in these. majority: of always the most frequent one.
    """

    accuracy: Array
    without: Array
    share: Array
    majority: float


def identity(train: Part, dev: Part, test: Part) -> Identity:
    """Language probes of parts whose labels (N,) are languages, on test; directions and probes are fitted to train."""
    languages = np.asarray(train.labels)
    L = int(languages.max()) + 1
    basis = mean_directions(train.features, languages)
    parts = [Part(removed(part.features, basis), part.labels) for part in (train, dev, test)]
    return Identity(
        score(logistic.fit(train, dev, L), test).accuracy,
        score(logistic.fit(parts[0], parts[1], L), parts[2]).accuracy,
        share(test.features, basis),
        float(np.bincount(np.asarray(test.labels)).max() / len(test)),
    )


def _between(means: Array) -> Array:
    """The means (..., L, d) about their own mean."""
    deviations: Array = means - means.mean(axis=-2, keepdims=True)
    return deviations


def _spanned(rows: Array) -> Array:
    """An orthonormal basis (..., d, L - 1) of the span of L rows (..., L, d) that sum to 0."""
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    there = sizes > RANK * sizes[..., :1]
    basis: Array = np.swapaxes(directions * there[..., None], -1, -2)[..., : rows.shape[-2] - 1]
    return basis
