"""Text continued token by token: the keys and values of what was read are kept, and each token is computed once."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.loss import logits as unembed
from neural.gpt.model import (
    DEFAULT,
    Parameters,
    activations,
    after_attention,
    block_parameters,
    embed,
    head,
    normed,
    split_heads,
)


class Cache(NamedTuple):
    """What was read: keys and values (layers, B, H, context, E), and how many tokens of each sequence."""

    keys: jax.Array
    values: jax.Array
    length: jax.Array


def empty(config: ModelConfig, B: int, compute: Compute = DEFAULT) -> Cache:
    """Nothing read yet, of B sequences."""
    shape = (config.layers, B, config.heads, config.context, config.head_width)
    nothing = jnp.zeros(shape, activations(compute))
    return Cache(nothing, nothing, jnp.int32(0))


def size(config: ModelConfig, compute: Compute = DEFAULT) -> int:
    """Bytes of the cache of one sequence."""
    held = jax.eval_shape(lambda: empty(config, 1, compute))
    return sum(array.size * array.dtype.itemsize for array in (held.keys, held.values))


def read(
    parameters: Parameters,
    tokens: Any,
    cache: Cache,
    config: ModelConfig,
    compute: Compute = DEFAULT,
) -> tuple[jax.Array, Cache]:
    """Read on, by tokens (B, T): the logits (B, T, V) of the token after each, and the cache with them.

    A prompt is read at once, then one token at a time. Beyond the context there is no position: logits are NaN.
    """
    B, T = tokens.shape
    if config.context < T:
        raise ValueError(f"{T} tokens in a context of {config.context}")
    here = cache.length + jnp.arange(T)
    placed = parameters["wpe.weight"].at[here].get(mode="fill", fill_value=jnp.nan)
    x = (embed(parameters, tokens) + placed).reshape(B * T, -1).astype(activations(compute))
    seen = jnp.arange(config.context) <= here[:, None]
    keys, values = cache.keys, cache.values
    for layer in range(config.layers):
        p = block_parameters(parameters, layer)
        q, k, v = split_heads(p, x, B, config)
        keys = keys.at[layer, :, :, here].set(k.transpose(2, 0, 1, 3), mode="drop")
        values = values.at[layer, :, :, here].set(v.transpose(2, 0, 1, 3), mode="drop")
        x = after_attention(p, x, _attend(q, keys[layer], values[layer], seen))
    logits = unembed(normed(parameters, "ln_f", x), head(parameters))
    return logits.reshape(B, T, -1), Cache(keys, values, cache.length + T)


def _attend(q: jax.Array, k: jax.Array, v: jax.Array, seen: jax.Array) -> jax.Array:
    """Queries (B, H, T, E) on keys and values (B, H, context, E), of which seen (T, context)."""
    wide = jnp.promote_types(q.dtype, jnp.float32)
    scores = jnp.einsum("bhqe,bhke->bhqk", q, k, preferred_element_type=wide)
    weights = jax.nn.softmax(jnp.where(seen, scores / math.sqrt(q.shape[-1]), -jnp.inf), axis=-1)
    return jnp.einsum("bhqk,bhke->bhqe", weights.astype(v.dtype), v)
