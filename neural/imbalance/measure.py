"""What is measured of a stack of models: perplexities, how alike it treats the same text in two languages, transfer.

Each function returns a table with a row a number: columns `seed`, `step`, and its own; what a model was trained on is
joined by the study. Losses are in nats a token.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from neural.measures.alignment import (
    Cosines,
    embedding_cosines,
    gradient_cosines,
    patched,
    state_cosines,
)
from neural.measures.matching import frequency_bins, match
from neural.study.real import Sentences, pooled_cosines
from neural.study.stack import Stack

Ints = NDArray[np.int64]


def clones_alike(stack: Stack, windows: Ints, other: Ints, language: str) -> pd.DataFrame:
    """State and gradient cosines and the context kept under patching, of windows (N, T + 1) and their clones."""
    rows: list[dict[str, Any]] = []
    for place in range(len(stack)):
        model = stack.model(place)
        states = state_cosines(model, stack.config, windows, other)
        kept = patched(model, stack.config, windows, other).kept
        measurements = [
            *_by_layer("state cosine", states),
            *_gradients(gradient_cosines(model, stack.config, windows, other)),
            *(_row("context kept", str(layer), value) for layer, value in enumerate(kept)),
        ]
        rows += [_at(stack, place) | row | {"language": language} for row in measurements]
    return pd.DataFrame(rows)


def real_alike(
    stack: Stack,
    windows: Ints,
    other: Ints,
    sentences: tuple[Sentences, Sentences] | None,
    language: str,
) -> pd.DataFrame:
    """Gradient cosines, of windows (N, T + 1) of each language, and cosines of the mean states of aligned sentences."""
    rows: list[dict[str, Any]] = []
    for place in range(len(stack)):
        model = stack.model(place)
        measurements = _gradients(gradient_cosines(model, stack.config, windows, other))
        if sentences is not None:
            measurements += _by_layer(
                "state cosine", pooled_cosines(model, stack.config, *sentences)
            )
        rows += [_at(stack, place) | row | {"language": language} for row in measurements]
    return pd.DataFrame(rows)


def _gradients(cosines: Mapping[str, float]) -> list[dict[str, Any]]:
    return [_row("gradient cosine", name, value) for name, value in cosines.items()]


def clone_embeddings(
    stack: Stack, pairs: Ints, counts: ArrayLike, language: str, bins: int
) -> pd.DataFrame:
    """Cosines of the embeddings of each id and its clone, pairs (n, 2), by how often (n,) the text has the id.

    matched: the share of ids whose partner in the maximum-weight matching is their own clone.
    """
    counts = np.asarray(counts)
    chosen = frequency_bins(counts, np.arange(len(pairs)), bins)
    rows: list[dict[str, Any]] = []
    for place in range(len(stack)):
        embedding = stack.parameters["wte.weight"][place]
        cosines = embedding_cosines(embedding, pairs)
        matching = match(embedding, pairs[:, 0], pairs[:, 1], rotations=0)
        partner = dict(matching.pairs.tolist())
        own = np.array([partner.get(a) == b for a, b in pairs.tolist()])
        rows += [
            _at(stack, place)
            | {
                "language": language,
                "bin": number,
                "frequency": 1e6 * counts[places].mean() / counts.sum(),
                "value": cosines.paired[places].mean(),
                "unrelated": cosines.unpaired[places].mean(),
                "matched": own[places].mean(),
            }
            for number, places in enumerate(chosen)
        ]
    return pd.DataFrame(rows)


def real_embeddings(stack: Stack, ids: Ints, other: Ints, language: str) -> pd.DataFrame:
    """The mean cosine of the centred embeddings of ids matched for it, beside that under random rotation."""
    rows = []
    for place in range(len(stack)):
        matching = match(stack.parameters["wte.weight"][place], ids, other, centred=True)
        rows.append(
            _at(stack, place)
            | {
                "language": language,
                "bin": -1,
                "frequency": np.nan,
                "value": matching.cosine,
                "unrelated": matching.null,
                "matched": np.nan,
            }
        )
    return pd.DataFrame(rows)


def _at(stack: Stack, place: int) -> dict[str, Any]:
    return {"seed": stack.seeds[place], "step": stack.steps[place]}


def _by_layer(measure: str, cosines: Cosines) -> list[dict[str, Any]]:
    pairs = zip(cosines.paired, cosines.unpaired, strict=True)
    return [_row(measure, str(layer), *values) for layer, values in enumerate(pairs)]


def _row(measure: str, place: str, value: float, unrelated: float = float("nan")) -> dict[str, Any]:
    return {
        "measure": measure,
        "place": place,
        "value": float(value),
        "unrelated": float(unrelated),
    }
