"""Linear multitask models trained by gradient descent, the three whose optima the theory names.

- orthonormal: W stays on W W^T = I. Its step is the Riemannian gradient of 1/2 |C - W^T heads|^2 in the metric of the
  heads (heads heads^T, the Hessian of that loss in W; Mishra & Sepulchre 2016), with QR as retraction;
- ridge: plain gradient descent on 1/2 |C - W^T heads|^2 + ridge/2 (|W|^2 + |heads|^2) (statement 26);
- descent: the same with ridge 0, from small weights.

Models of one (d, k) train together in one jitted, vmapped program in float64; fewer tasks than the most are padded with
zero tasks, whose heads stay exactly zero. A model stops when its residual is at most TOLERANCE: the norm of its
gradient for |C|_2 = 1, relative to the norm of the weights where they start small. One that has not
after MAX_STEPS is reported as not converged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from theory.covariance import Array

TOLERANCE = 1e-8
MAX_STEPS = 100_000

INITIAL_SCALE = 1e-3
"""Root mean square length of the initial rows of W and heads (ridge and descent), for |C|_2 = 1.

They are gaussian, not exactly balanced: the flow from balanced weights with k = d = T keeps the sign of
det W^T heads, and stops at a saddle where that is not the sign of det C. Descent conserves the imbalance, which adds
order INITIAL_SCALE^2 to the slope.
"""

DAMPING = 1e-6
"""Added to the heads' energies, in units of |C|_2^2, where the orthonormal trainer divides by them."""

STEP = 1 / 4
"""Of ridge and descent. The curvature along the path is at most 2 |C|_2 + ridge, so a third of the stable step."""


@dataclass(frozen=True)
class Trained:
    """n trained models: W (n, k, d), heads n x (k, T), and residual, steps and converged (n,)."""

    W: Array
    heads: tuple[Array, ...]
    residual: Array
    steps: NDArray[np.int64]
    converged: NDArray[np.bool_]


def train(
    trainer: str,
    C: Sequence[Array],
    k: int,
    keys: Any,
    *,
    ridge: float = 0.0,
    tolerance: float = TOLERANCE,
    max_steps: int = MAX_STEPS,
) -> Trained:
    """Train a model of dimension k for each of n task matrices (d, T), T free to differ; S = I.

    keys (n,) are jax random keys; ridge is used by the ridge trainer alone. Raises ValueError for an unknown trainer.
    """
    if trainer not in ("orthonormal", "ridge", "descent"):
        raise ValueError(f"unknown trainer {trainer!r}: choose orthonormal, ridge or descent")
    scale = np.array([np.linalg.norm(c, ord=2) or 1.0 for c in C])
    tasks = np.array([c.shape[1] for c in C])
    padded = np.stack(
        [
            np.pad(c / s, ((0, 0), (0, tasks.max() - c.shape[1])))
            for c, s in zip(C, scale, strict=True)
        ]
    )
    size = np.ones_like(scale) if trainer == "orthonormal" else np.sqrt(scale)
    with jax.enable_x64(True):
        penalty = jnp.asarray((ridge if trainer == "ridge" else 0.0) / scale)
        orthonormal = trainer == "orthonormal"
        W, heads = map(np.asarray, _initial(orthonormal, padded, k, keys, tasks))
        Q = _invariant_basis(padded, W)
        C_in_Q, W_in_Q = (padded, W) if Q is None else (np.swapaxes(Q, 1, 2) @ padded, W @ Q)
        state = _train(orthonormal, C_in_Q, penalty, (W_in_Q, heads), tolerance, max_steps)
        W, heads, residual, steps = map(np.asarray, state)
        W = W if Q is None else W @ np.swapaxes(Q, 1, 2)
    return Trained(
        W * size[:, None, None],
        tuple(h[:, :T] * s for h, T, s in zip(heads, tasks, scale / size, strict=True)),
        residual,
        steps,
        residual <= tolerance,
    )


def _initial(orthonormal: bool, C: Array, k: int, keys: Any, tasks: Array) -> tuple[Any, Any]:
    """W (n, k, d), heads (n, k, T): a Haar frame and zeros, or both small and gaussian, padding tasks zero."""
    n, d, T = C.shape
    rows, columns = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    normal = jax.vmap(jax.random.normal, in_axes=(0, None))
    if orthonormal:
        return jnp.swapaxes(jnp.linalg.qr(normal(rows, (d, k)))[0], 1, 2), jnp.zeros((n, k, T))
    true = jnp.arange(T)[None, :, None] < tasks[:, None, None]
    heads = jnp.where(true, normal(columns, (T, k)), 0.0) / np.sqrt(tasks)[:, None, None]
    W = normal(rows, (d, k)) / np.sqrt(d)
    return INITIAL_SCALE * jnp.swapaxes(W, 1, 2), INITIAL_SCALE * jnp.swapaxes(heads, 1, 2)


def _invariant_basis(C: Array, W: Array) -> Array | None:
    """Q (n, d, T + k), orthonormal columns that span C and the initial rows of W; None if that is no saving.

    Gradients are combinations of columns of C and rows of W, so training never leaves this space: in its coordinates
    it takes the same steps, at a cost that does not grow with d.
    """
    span = np.concatenate([C, np.swapaxes(W, 1, 2)], axis=2)
    return np.linalg.qr(span)[0] if span.shape[1] > span.shape[2] else None


@partial(jax.jit, static_argnames="orthonormal")
def _train(
    orthonormal: bool, C: Any, ridge: Any, start: Any, tolerance: float, max_steps: int
) -> Any:
    step = _orthonormal_step if orthonormal else _descent_step

    def one(C: Any, ridge: Any, W: Any, heads: Any) -> Any:
        def unfinished(state: Any) -> Any:
            _, _, residual, steps = state
            return (residual > tolerance) & (steps < max_steps)

        def body(state: Any) -> Any:
            W, heads, _, steps = state
            return (*step(C, ridge, W, heads), steps + 1)

        return jax.lax.while_loop(unfinished, body, (W, heads, jnp.inf, 0))

    return jax.vmap(one)(C, ridge, *start)


def _orthonormal_step(C: Any, ridge: Any, W: Any, heads: Any) -> tuple[Any, Any, Any]:
    """Half a Newton step in the heads, and in W along the part of its gradient that leaves its row space."""
    dW, dheads = _gradients(C, W, heads)
    dW = dW - dW @ W.T @ W
    residual = jnp.sqrt(jnp.sum(dW**2) + jnp.sum(dheads**2))
    metric = heads @ heads.T + DAMPING * jnp.eye(len(W))
    Q, R = jnp.linalg.qr((W - jnp.linalg.solve(metric, dW) / 2).T)
    return (Q * jnp.where(jnp.diag(R) < 0, -1.0, 1.0)).T, heads - dheads / 2, residual


def _descent_step(C: Any, ridge: Any, W: Any, heads: Any) -> tuple[Any, Any, Any]:
    """One step on W and heads together."""
    dW, dheads = _gradients(C, W, heads)
    dW, dheads = dW + ridge * W, dheads + ridge * heads
    size = jnp.sqrt(jnp.sum(W**2) + jnp.sum(heads**2))
    residual = jnp.sqrt(jnp.sum(dW**2) + jnp.sum(dheads**2)) / size
    step = STEP / (1 + ridge)
    return W - step * dW, heads - step * dheads, residual


def _gradients(C: Any, W: Any, heads: Any) -> tuple[Any, Any]:
    """Of 1/2 |C - W^T heads|^2 in W and in the heads."""
    loss = lambda W, heads: jnp.sum((C - W.T @ heads) ** 2) / 2  # noqa: E731
    return jax.grad(loss, argnums=(0, 1))(W, heads)
