"""Cross-entropy of a large vocabulary, in chunks of tokens, so that the logits of a batch are never all there.

A head (V, d) turns states x (N, d) into logits. `mean_loss` computes the gradient of a chunk beside its loss, while
its logits are at hand: no logits are kept, none computed twice.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from neural.gpt.layers import wide


def losses(x: Any, head: Any, targets: Any, most: int, without: Any = None) -> Any:
    """-log p(target) of each token, (N,) in float32 at least; at most about `most` logits at once.

    Given ids (n,) `without` which tokens are expected: (N, 2), without them and with them.
    """

    @jax.checkpoint
    def chunk(piece: tuple[Any, Any]) -> Any:
        x, targets = piece
        scores = logits(x, head)
        total = jax.nn.logsumexp(scores, axis=-1)
        if without is None:
            return total - _at(scores, targets)
        fewer = jax.nn.logsumexp(scores.at[:, without].set(-jnp.inf), axis=-1)
        return jnp.stack([fewer, total], axis=-1) - _at(scores, targets)[:, None]

    return _join(lax.map(chunk, _split(x, targets, len(head), most)), len(targets))


def logits(x: Any, head: Any) -> Any:
    """x (..., d) times the head (V, d): (..., V), in float32 at least."""
    return jnp.einsum("...d,vd->...v", x, head.astype(x.dtype), preferred_element_type=wide(x))


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def mean_loss(x: Any, head: Any, targets: Any, most: int) -> Any:
    """The mean of losses(...)."""
    return losses(x, head, targets, most).mean()


def _forward(x: Any, head: Any, targets: Any, most: int) -> tuple[Any, Any]:
    N = len(targets)
    narrow = head.astype(x.dtype)

    def chunk(dhead: Any, piece: tuple[Any, Any]) -> tuple[Any, Any]:
        x, targets = piece
        scores = logits(x, narrow)
        logsumexp = jax.nn.logsumexp(scores, axis=-1)
        true = jnp.arange(len(head)) == targets[:, None]
        dscores = ((jnp.exp(scores - logsumexp[:, None]) - true) / N).astype(x.dtype)
        # Tokens that only fill up the last chunk have x = 0, so they add nothing to dhead.
        dhead += jnp.einsum("nv,nd->vd", dscores, x, preferred_element_type=dhead.dtype)
        dx = jnp.einsum("nv,vd->nd", dscores, narrow, preferred_element_type=wide(x))
        return dhead, (logsumexp - _at(scores, targets), dx.astype(x.dtype))

    start = jnp.zeros(head.shape, wide(head))
    dhead, (token_losses, dx) = lax.scan(chunk, start, _split(x, targets, len(head), most))
    return _join(token_losses, N).mean(), (_join(dx, N), dhead.astype(head.dtype))


def _backward(most: int, kept: tuple[Any, Any], d: Any) -> tuple[Any, Any, None]:
    dx, dhead = kept
    return (d * dx).astype(dx.dtype), (d * dhead).astype(dhead.dtype), None


mean_loss.defvjp(_forward, _backward)


def _at(scores: Any, targets: Any) -> Any:
    return jnp.take_along_axis(scores, targets[:, None], axis=-1)[:, 0]


def _split(x: Any, targets: Any, V: int, most: int) -> tuple[Any, Any]:
    """x and targets in n equal chunks (n, rows, ...), the last places filled up with zeros.

    A chunk takes every n-th token, so that devices which share the tokens share every chunk.
    """
    N = len(targets)
    rows = math.ceil(N / math.ceil(N * V / most))
    n = math.ceil(N / rows)
    x = jnp.pad(x, ((0, n * rows - N), (0, 0))).reshape(rows, n, -1)
    targets = jnp.pad(targets, (0, n * rows - N)).reshape(rows, n)
    return jnp.swapaxes(x, 0, 1), jnp.swapaxes(targets, 0, 1)


def _join(pieces: Any, N: int) -> Any:
    """(n, rows, ...) as (N, ...): _split, undone."""
    return jnp.swapaxes(pieces, 0, 1).reshape(-1, *pieces.shape[2:])[:N]
