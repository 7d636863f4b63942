"""The layers of a GPT whose gradients are written out, because the automatic ones cost time or memory.

- norm: the automatic gradient of a layer norm makes XLA's CPU backend sum the residual gradients of all later layers
  again in every layer (a fusion of 229 operands at 12 layers), and compiles twice as long;
- attend: keeps one number per query for the gradient where the automatic one keeps every probability, and skips keys
  that no query of a chunk may see.

Sums are accumulated in float32 at least, whatever the type of the activations.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

EPSILON = 1e-5
"""Added to the variance by layer norms."""

QUERIES = 128
"""In a chunk of attention. Fewer skip more masked keys, in smaller matrix products."""


def wide(x: Any) -> Any:
    """The type that sums over values of x's type are accumulated in."""
    return jnp.promote_types(x.dtype, jnp.float32)


def dense(x: Any, weight: Any, bias: Any) -> Any:
    """x (..., m) @ weight (m, n) + bias (n,), in the type of x."""
    return x @ weight.astype(x.dtype) + bias.astype(x.dtype)


@jax.custom_vjp
def norm(x: Any, weight: Any, bias: Any) -> Any:
    """Layer norm of x (..., d), in the type of x."""
    return _norm_forward(x, weight, bias)[0]


def _norm_forward(x: Any, weight: Any, bias: Any) -> tuple[Any, Any]:
    w = x.astype(wide(x))
    mean = w.mean(axis=-1, keepdims=True)
    scale = lax.rsqrt(jnp.square(w - mean).mean(axis=-1, keepdims=True) + EPSILON)
    y = (w - mean) * scale * weight + bias
    return y.astype(x.dtype), (x, mean, scale, weight, bias)


def _norm_backward(kept: Any, dy: Any) -> tuple[Any, Any, Any]:
    x, mean, scale, weight, bias = kept
    standard = (x.astype(mean.dtype) - mean) * scale
    dy = dy.astype(mean.dtype)
    g = dy * weight
    along = (g * standard).mean(axis=-1, keepdims=True)
    dx = scale * (g - g.mean(axis=-1, keepdims=True) - standard * along)
    rows = tuple(range(x.ndim - 1))
    dweight, dbias = (dy * standard).sum(rows), dy.sum(rows)
    return dx.astype(x.dtype), dweight.astype(weight.dtype), dbias.astype(bias.dtype)


norm.defvjp(_norm_forward, _norm_backward)


@jax.custom_vjp
def attend(q: Any, k: Any, v: Any) -> Any:
    """Causal attention: queries, keys and values (n, T, E) of n sequences and heads to (n, T, E)."""
    return _attend_forward(q, k, v)[0]


def _attend_forward(q: Any, k: Any, v: Any) -> tuple[Any, Any]:
    mixed, logsumexp = [], []
    for start, end in _chunks(q.shape[1]):
        scores = _scores(q[:, start:end], k[:, :end], start)
        largest = scores.max(axis=-1, keepdims=True)
        weights = jnp.exp(scores - largest)
        total = weights.sum(axis=-1, keepdims=True)
        mixed.append(_product(weights.astype(v.dtype), v[:, :end], 2, 1) / total)
        logsumexp.append(largest + jnp.log(total))
    out = jnp.concatenate(mixed, axis=1).astype(q.dtype)
    return out, (q, k, v, out, jnp.concatenate(logsumexp, axis=1))


def _attend_backward(kept: Any, dout: Any) -> tuple[Any, Any, Any]:
    q, k, v, out, logsumexp = kept
    T, scale = q.shape[1], 1 / math.sqrt(q.shape[2])
    along = (dout.astype(wide(q)) * out).sum(axis=-1, keepdims=True)
    dq, dk, dv = [], jnp.zeros(k.shape, wide(k)), jnp.zeros(v.shape, wide(v))
    for start, end in _chunks(T):
        queries, keys, values = q[:, start:end], k[:, :end], v[:, :end]
        d = dout[:, start:end]
        weights = jnp.exp(_scores(queries, keys, start) - logsumexp[:, start:end])
        dscores = weights * (_product(d, values, 2, 2) - along[:, start:end])
        dscores = (scale * dscores).astype(q.dtype)
        dq.append(_product(dscores, keys, 2, 1))
        unseen = ((0, 0), (0, T - end), (0, 0))
        dk += jnp.pad(_product(dscores, queries, 1, 1), unseen)
        dv += jnp.pad(_product(weights.astype(v.dtype), d, 1, 1), unseen)
    return jnp.concatenate(dq, axis=1).astype(q.dtype), dk.astype(k.dtype), dv.astype(v.dtype)


attend.defvjp(_attend_forward, _attend_backward)


def _chunks(T: int) -> list[tuple[int, int]]:
    """The queries start..end of each chunk; it sees the keys 0..end."""
    return [(start, min(start + QUERIES, T)) for start in range(0, T, QUERIES)]


def _scores(q: Any, k: Any, start: int) -> Any:
    """q k^T / sqrt(E) of queries from position `start`, -inf where a key comes later."""
    scores = _product(q, k, 2, 2) / math.sqrt(q.shape[2])
    queries, keys = scores.shape[1:]
    seen = start + jnp.arange(queries)[:, None] >= jnp.arange(keys)
    return jnp.where(seen, scores, -jnp.inf)


def _product(a: Any, b: Any, of_a: int, of_b: int) -> Any:
    """Of n matrices, over dimension of_a of a and of_b of b."""
    dimensions = (((of_a,), (of_b,)), ((0,), (0,)))
    return lax.dot_general(a, b, dimensions, preferred_element_type=wide(a))
