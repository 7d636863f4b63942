"""Ridge probes in closed form: linear regression onto the classes, for many label sets of the same features.

In standardised features X and for indicators Y of the classes about their means, W = (XᵀX/N + strength I)⁻¹ XᵀY/N. One
eigendecomposition of XᵀX/N, a probe, serves all strengths and label sets. Some ten times cheaper than a logistic probe,
but its scores are no probabilities.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural.measures.probes.linear import (
    Array,
    Part,
    Probes,
    check_parts,
    check_strengths,
    standardisation,
)

STRENGTHS = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


def fit(train: Part, dev: Part, classes: int, *, strengths: Sequence[float] = STRENGTHS) -> Probes:
    """Ridge probes of the strength whose squared error on dev is least. Raises ValueError as logistic.fit does."""
    (probes,) = fit_all(
        train,
        dev,
        [np.asarray(train.labels)],
        [np.asarray(dev.labels)],
        classes,
        strengths=strengths,
    )
    return probes


def fit_all(
    train: Part,
    dev: Part,
    labels: Sequence[ArrayLike],
    dev_labels: Sequence[ArrayLike],
    classes: int,
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> list[Probes]:
    """The same for several label sets, each (N,) or (P, N), in place of those of train and dev."""
    grid = check_strengths(strengths)
    sets = [
        (Part(train.features, ours), Part(dev.features, theirs))
        for ours, theirs in zip(labels, dev_labels, strict=True)
    ]
    for ours, theirs in sets:
        check_parts(ours, theirs, classes)
    fits: list[list[tuple[Array, ...]]] = [[] for _ in sets]
    for probe in range(train.shape[0]):
        mean, scale = standardisation(train.of_probe(probe)[0])
        X, X_dev = ((part.of_probe(probe)[0] - mean) / scale for part in (train, dev))
        s, Q = np.linalg.eigh(X.T @ X / len(X))
        R = X_dev @ Q
        for results, (ours, theirs) in zip(fits, sets, strict=True):
            Y, Y_dev = (np.eye(classes)[part.of_probe(probe)[1]] for part in (ours, theirs))
            share = Y.mean(axis=0)
            cross_covariance = Q.T @ (X.T @ (Y - share)) / len(X)
            errors = [
                np.mean((R @ (cross_covariance / (s + strength)[:, None]) + share - Y_dev) ** 2)
                for strength in grid.tolist()
            ]
            best = grid[np.argmin(errors)]
            W = Q @ (cross_covariance / (s + best)[:, None]) / scale[:, None]
            results.append((W, share - mean @ W, best, np.array(errors)))
    return [_probes(results) for results in fits]


def _probes(results: Sequence[tuple[Array, ...]]) -> Probes:
    W, b, strength, dev = (np.stack(parts) for parts in zip(*results, strict=True))
    nothing: NDArray[np.int64] = np.zeros(len(W), np.int64)
    return Probes(W, b, strength, dev, np.zeros(len(W)), nothing, 0.0, logistic=False)
