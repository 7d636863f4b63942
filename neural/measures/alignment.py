"""How alike a model treats the same text in two languages: states, gradients, embeddings, and causal patching.

Texts are windows (N, T + 1) of ids, row by row the same text in both languages. States point in similar directions
whatever the text (cosines above 0.9 with random weights), so the mean over pairs that do not belong together is always
measured beside that over those that do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import DEFAULT, Parameters, continued_losses, loss, states

Array = NDArray[np.float64]

SMALL = 1e-30
"""Keeps the cosine of a zero vector 0."""


@dataclass(frozen=True, eq=False)
class Cosines:
    """Mean cosines (n,) of pairs that belong together, and of those that do not."""

    paired: Array
    unpaired: Array


def state_cosines(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    first: ArrayLike,
    other: ArrayLike,
    compute: Compute = DEFAULT,
) -> Cosines:
    """Of the residual stream after the embeddings and each block, (layers + 1,), at the same place of the same text.

    Unpaired: the same place of another window.
    """
    a, b = (np.asarray(text, np.int32)[:, :-1] for text in (first, other))
    _check_pairs(a, b)
    return Cosines(*map(np.asarray, _state_program(config, compute)(dict(parameters), a, b)))


def gradient_cosines(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    first: ArrayLike,
    other: ArrayLike,
    compute: Compute = DEFAULT,
) -> dict[str, float]:
    """Of the gradients of the mean loss on the two texts, tensor by tensor."""
    a, b = (np.asarray(text, np.int32) for text in (first, other))
    cosines = _gradient_program(config, compute)(dict(parameters), a, b)
    return {name: float(value) for name, value in cosines.items()}


def embedding_cosines(embedding: ArrayLike, pairs: ArrayLike) -> Cosines:
    """Of the embeddings (V, d) of each id and its clone, pairs (n, 2); unpaired: the mean of an id with all clones."""
    E = np.asarray(embedding, np.float64)
    unit = E / np.maximum(np.linalg.norm(E, axis=1, keepdims=True), SMALL)
    a, b = unit[np.asarray(pairs)[:, 0]], unit[np.asarray(pairs)[:, 1]]
    return Cosines((a * b).sum(axis=1), a @ b.mean(axis=0))


@dataclass(frozen=True, eq=False)
class Patched:
    """Losses (layers,) on the second halves of windows of the second language, in nats a token, where the states of
    the first halves are, after so many blocks, those of the same text in the first language, or of another text in it;
    and the loss with the states that they have.
    """

    same: Array
    another: Array
    plain: float

    @property
    def kept(self) -> Array:
        """The part of what the first half tells about the second that the other language's states keep: 1 is all.

        NaN where the first half tells nothing.
        """
        gain = self.another - self.plain
        with np.errstate(invalid="ignore", divide="ignore"):
            share: Array = np.where(gain > 0, 1 - (self.same - self.plain) / gain, np.nan)
        return share


def patched(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    first: ArrayLike,
    other: ArrayLike,
    compute: Compute = DEFAULT,
) -> Patched:
    """Causal patching from the first language to the second: whether later layers can read its states as their own."""
    a, b = (np.asarray(text, np.int32) for text in (first, other))
    _check_pairs(a, b)
    same, another, plain = _patch_program(config, compute)(dict(parameters), a, b)
    return Patched(np.asarray(same, np.float64), np.asarray(another, np.float64), float(plain))


def _check_pairs(a: NDArray[np.int32], b: NDArray[np.int32]) -> None:
    if a.shape != b.shape or a.ndim != 2 or len(a) < 2:
        raise ValueError(f"texts {a.shape} and {b.shape}: give two or more windows, row by row")


def _cosine(a: jax.Array, b: jax.Array) -> jax.Array:
    """Over the last axis."""
    a, b = (x.astype(jnp.float32) for x in (a, b))
    norms = jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1)
    return (a * b).sum(axis=-1) / jnp.maximum(norms, SMALL)


@lru_cache(maxsize=16)
def _state_program(config: ModelConfig, compute: Compute) -> Any:
    @jax.jit
    def cosines(parameters: Parameters, a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, y = (states(parameters, ids, config, compute) for ids in (a, b))
        return _cosine(x, y).mean(axis=(1, 2)), _cosine(x, jnp.roll(y, 1, axis=1)).mean(axis=(1, 2))

    return cosines


@lru_cache(maxsize=16)
def _gradient_program(config: ModelConfig, compute: Compute) -> Any:
    @jax.jit
    def cosines(parameters: Parameters, a: jax.Array, b: jax.Array) -> dict[str, jax.Array]:
        x, y = (
            jax.grad(loss)(parameters, ids[:, :-1], ids[:, 1:], config, compute) for ids in (a, b)
        )
        return {name: _cosine(x[name].reshape(-1), y[name].reshape(-1)) for name in x}

    return cosines


@lru_cache(maxsize=16)
def _patch_program(config: ModelConfig, compute: Compute) -> Any:
    @jax.jit
    def losses(parameters: Parameters, a: jax.Array, b: jax.Array) -> tuple[jax.Array, ...]:
        x, y = (states(parameters, ids[:, :-1], config, compute) for ids in (a, b))
        half = y.shape[2] // 2

        def with_context(context: jax.Array, layer: int) -> jax.Array:
            state = jnp.concatenate([context[:, :half], y[layer][:, half:]], axis=1)
            token_losses = continued_losses(parameters, state, b[:, 1:], layer, config, compute)
            return token_losses[:, half:].mean()

        layers = range(config.layers)
        same = jnp.stack([with_context(x[layer], layer) for layer in layers])
        another = jnp.stack(
            [with_context(jnp.roll(x[layer], 1, axis=0), layer) for layer in layers]
        )
        return same, another, with_context(y[0], 0)

    return losses
