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

from sim.devices import SOON_COMPILED, full_batch, over_devices
from sim.programs import room
from theory.covariance import Array

TOLERANCE = 1e-8
MAX_STEPS = 100_000

INITIAL_SCALE = 1e-3
"""Root mean square length of the initial rows of W and heads (ridge and descent), for |C|_2 = 1.

They are gaussian, not exactly balanced: the flow from balanced weights with k = d = T keeps the sign of
det W^T heads, and stops at a saddle where that is not the sign of det C. Descent conserves the imbalance, which adds
order INITIAL_SCALE^2 to the slope.
"""

FEWEST_TASKS = 16
FEWEST_MODELS = 32
"""That a program has room for, so that batches of many sizes share few programs."""

LANES = 8
"""Models that step together. Those that are done make room for those that wait, so nobody steps for a straggler."""

ACCELERATOR_LANES = 1024

ROUND = 32
"""Steps between two looks at who is done."""

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
    padded = pad_tasks(C, room(int(max(tasks)), FEWEST_TASKS)) / scale[:, None, None]
    size = np.ones_like(scale) if trainer == "orthonormal" else np.sqrt(scale)
    with jax.enable_x64(True):
        penalty = (ridge if trainer == "ridge" else 0.0) / scale
        orthonormal = trainer == "orthonormal"
        W, heads = _initial(orthonormal, padded, k, keys, tasks)
        Q = _invariant_basis(padded, W)
        C_in_Q, W_in_Q = (padded, W) if Q is None else (np.swapaxes(Q, 1, 2) @ padded, W @ Q)
        models = tuple(_filled(part) for part in (C_in_Q, penalty, W_in_Q, heads))
        state = _train(orthonormal, (tolerance, max_steps), models)
        W, heads, residual, steps = (np.asarray(part)[: len(C)] for part in state)
        W = W if Q is None else W @ np.swapaxes(Q, 1, 2)
    return Trained(
        W * size[:, None, None],
        tuple(h[:, :T] * s for h, T, s in zip(heads, tasks, scale / size, strict=True)),
        residual,
        steps,
        residual <= tolerance,
    )


def pad_tasks(matrices: Sequence[Array], T: int | None = None) -> Array:
    """Matrices n x (m, T), T free to differ, as one (n, m, T), the largest by default; what a matrix lacks is zero."""
    T = max(matrix.shape[1] for matrix in matrices) if T is None else T
    padded = np.zeros((len(matrices), len(matrices[0]), T))
    for row, matrix in zip(padded, matrices, strict=True):
        row[:, : matrix.shape[1]] = matrix
    return padded


def _filled(part: Array) -> Array:
    """Models (n, ...) and enough zeros: models that are trained after a step."""
    n = len(full_batch(room(len(part), FEWEST_MODELS)))
    return np.concatenate([part, np.zeros((n - len(part), *part.shape[1:]), part.dtype)])


def _initial(
    orthonormal: bool, C: Array, k: int, keys: Any, tasks: NDArray[np.int64]
) -> tuple[Array, Array]:
    """W (n, k, d), heads (n, k, T): a Haar frame and zeros, or both small and gaussian, padding tasks zero."""
    n, d, T = C.shape
    data = np.asarray(jax.random.key_data(keys))
    normal = np.asarray(_normal(_filled(data), d + T, k))[:n]
    rows, columns = normal[:, :d], normal[:, d:]
    if orthonormal:
        return np.swapaxes(np.linalg.qr(rows)[0], 1, 2), np.zeros((n, k, T))
    true = np.arange(T)[None, :, None] < tasks[:, None, None]
    heads = np.where(true, columns, 0.0) / np.sqrt(tasks)[:, None, None]
    W = rows / np.sqrt(d)
    return INITIAL_SCALE * np.swapaxes(W, 1, 2), INITIAL_SCALE * np.swapaxes(heads, 1, 2)


@partial(jax.jit, static_argnames=("m", "k"), compiler_options=SOON_COMPILED)
def _normal(keys: Any, m: int, k: int) -> Any:
    """Normal numbers (n, m, k) of the data of keys (n, 2)."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.wrap_key_data(key), (m, k)))(keys)


def _invariant_basis(C: Array, W: Array) -> Array | None:
    """Q (n, d, T + k), orthonormal columns that span C and the initial rows of W; None if that is no saving.

    Gradients are combinations of columns of C and rows of W, so training never leaves this space: in its coordinates
    it takes the same steps, at a cost that does not grow with d.
    """
    span = np.concatenate([C, np.swapaxes(W, 1, 2)], axis=2)
    return np.linalg.qr(span)[0] if span.shape[1] > span.shape[2] else None


@partial(jax.jit, static_argnames="orthonormal", compiler_options=SOON_COMPILED)
def _train(orthonormal: bool, limits: Any, models: Any) -> Any:
    """W, heads, residuals and steps of models (C, penalty, W, heads), each trained within (tolerance, most steps)."""
    return over_devices(partial(_train_in_lanes, orthonormal), limits, models)


def _train_in_lanes(orthonormal: bool, limits: Any, models: Any) -> Any:
    step = _orthonormal_step if orthonormal else _descent_step
    tolerance, max_steps = limits
    C, ridge, *start = models
    lanes = LANES if jax.default_backend() == "cpu" else ACCELERATOR_LANES

    def unfinished(residual: Any, steps: Any) -> Any:
        return (residual > tolerance) & (steps < max_steps)

    def advance(C: Any, ridge: Any, W: Any, heads: Any, residual: Any, steps: Any) -> Any:
        """One model, at most ROUND steps on."""
        end = steps + ROUND

        def going(state: Any) -> Any:
            return unfinished(*state[2:]) & (state[3] < end)

        def body(state: Any) -> Any:
            W, heads, _, steps = state
            return (*step(C, ridge, W, heads), steps + 1)

        return jax.lax.while_loop(going, body, (W, heads, residual, steps))

    def next_round(state: Any) -> Any:
        turn = jnp.argsort(~unfinished(*state[2:]), stable=True)[:lanes]
        advanced = jax.vmap(advance)(*(part[turn] for part in (C, ridge, *state)))
        return tuple(part.at[turn].set(new) for part, new in zip(state, advanced, strict=True))

    n = len(C)
    state = (*start, jnp.full(n, jnp.inf), jnp.zeros(n, int))
    return jax.lax.while_loop(lambda s: jnp.any(unfinished(*s[2:])), next_round, state)


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
