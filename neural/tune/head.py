"""Tuned models and what they answer, whole or broken: the head reads the last token's state after ln_f."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from neural.gpt.config import Compute, ModelConfig, compiler_options
from neural.gpt.layers import wide
from neural.gpt.model import (
    DEFAULT,
    Parameters,
    after_attention,
    block_parameters,
    normed,
    shapes,
    split_heads,
    states,
    taken,
)
from neural.tune.examples import Examples, Ints, in_order, require_names

HEAD, BIAS = "score.weight", "score.bias"
"""The head (d, C) and its bias (C,), by the name that it has in Hugging Face's models."""

NO_CLASS = -1
"""The answer of a broken model whose logits are not all finite."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """S tuned models: parameters (S, ...) by GPT-2's names, head (S, d, C), bias (S, C)."""

    config: ModelConfig
    names: tuple[str, ...]
    parameters: Parameters
    head: jax.Array
    bias: jax.Array


def logits(
    state: Parameters, ids: Any, last: Any, config: ModelConfig, compute: Compute = DEFAULT
) -> jax.Array:
    """Of the classes of sentences (B, T) whose end-of-text stands at `last` (B,): (B, C) float32.

    state holds the parameters of one model, its head and its bias. Of the last block only what the end-of-text needs is
    computed.
    """
    B, T = ids.shape
    x = states(state, ids, replace(config, layers=config.layers - 1), compute)[-1]
    p = block_parameters(state, config.layers - 1)
    q, k, v = split_heads(p, x.reshape(B * T, -1), B, config)
    q = jnp.take_along_axis(q, last[:, None, None, None], axis=2)
    scores = jnp.einsum("bhqe,bhke->bhqk", q, k, preferred_element_type=wide(x))
    seen = jnp.arange(T) <= last[:, None, None, None]
    scores = jnp.where(seen, scores / math.sqrt(config.head_width), -jnp.inf)
    mixed = jnp.einsum("bhqk,bhke->bhqe", jax.nn.softmax(scores).astype(x.dtype), v)
    end = after_attention(p, x[jnp.arange(B), last], mixed)
    return normed(state, "ln_f", end).astype(jnp.float32) @ state[HEAD] + state[BIAS]


def over_models(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function over the leading axis of its arguments: all at once, or on CPUs one after another.

    What one small model computes fits into the caches of a CPU, and products of single matrices are what it is best at.
    """
    if jax.default_backend() != "cpu":
        return jax.vmap(function)
    return lambda *stacks: jax.lax.map(lambda ours: function(*ours), stacks)


def predict(
    parameters: Mapping[str, Any],
    head: Any,
    bias: Any,
    config: ModelConfig,
    data: Examples,
    *,
    batch: int = 32,
    at_once: int = 16,
    compute: Compute = DEFAULT,
) -> Ints:
    """The class of each sentence, (copies, N), or NO_CLASS.

    parameters are copies on a leading axis; those that lack it are shared by all. head (S, d, C) and bias (S, C) are of
    S models, each with copies / S of the copies, model by model. `batch` sentences and `at_once` copies are computed
    together, by programs compiled once.
    """
    dimensions = {name: len(shape) for name, shape in shapes(config).items()}
    stacked = [name for name, ndim in dimensions.items() if parameters[name].ndim > ndim]
    counts = {len(parameters[name]) for name in stacked} or {len(head)}
    copies = max(counts)
    if len(counts) > 1 or copies % len(head):
        raise ValueError(f"{sorted(counts)} copies, {len(head)} heads: give as many copies of each")
    program = _program(config, compute)
    shared = {name: jnp.asarray(parameters[name]) for name in dimensions if name not in stacked}
    classes = np.empty((copies, len(data)), dtype=np.int64)
    size = min(at_once, copies)
    for first in range(0, copies, size):
        chosen = np.arange(first, first + size) % copies
        model = chosen * len(head) // copies
        state = taken({name: parameters[name] for name in stacked}, chosen)
        state |= taken({HEAD: head, BIAS: bias}, model)
        there = min(size, copies - first)
        for width, rows in in_order(data, batch):
            answers = program(state, shared, data.ids[rows, :width], data.last[rows])
            classes[first : first + there, rows] = np.asarray(answers)[:there]
    return classes


def correct(
    classifier: Classifier,
    data: Examples,
    parameters: Mapping[str, Any] | None = None,
    **options: Any,
) -> NDArray[np.bool_]:
    """Which sentences each model answers rightly, (S, N); or each broken copy (S * draws, N), given their parameters.

    The head stays whole. options are those of `predict`. Raises UserError for other classes than it was tuned on.
    """
    require_names(data, classifier.names)
    given = classifier.parameters if parameters is None else parameters
    head, bias = classifier.head, classifier.bias
    return predict(given, head, bias, classifier.config, data, **options) == data.labels


@lru_cache(maxsize=16)
def _program(config: ModelConfig, compute: Compute) -> Any:
    """Of stacked and shared parameters, ids (B, T) and places of the last token (B,): classes (copies, B)."""

    def classes(stacked: Parameters, shared: Parameters, ids: Any, last: Any) -> jax.Array:
        def of_one(state: Parameters) -> jax.Array:
            scores = logits(state | shared, ids, last, config, compute)
            return jnp.where(jnp.isfinite(scores).all(axis=-1), scores.argmax(axis=-1), NO_CLASS)

        return over_models(of_one)(stacked)

    return jax.jit(classes, compiler_options=compiler_options(jax.default_backend()))
