"""Logistic probes: multinomial logistic regression with an L2 penalty, of many layers and checkpoints.

In features standardised by their mean and standard deviation over the N training examples, a probe minimises

    J(W, b) = mean of -log softmax(Wᵀx + b)_label + strength/2 |W|² + BIAS_PENALTY/(2N) |b|²,

strictly convex, so that its minimum is one, and finite even for a class that the training part lacks. Down a grid of
strengths each fit starts from the one before; that of the least log-loss on dev is then fitted until the norm of the
gradient of J is at most the tolerance. The solver is optax's L-BFGS, in the basis where the features are uncorrelated
and in units in which the Hessian has diagonal 1. On CPUs probes are solved one a thread, each with a stopping of its
own, since what one computes fits into the caches; on accelerators many in step.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from neural.measures.probes.linear import (
    Array,
    Features,
    Ints,
    Part,
    Probes,
    check_parts,
    check_strengths,
    standardisation,
)

STRENGTHS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)

TOLERANCE = 1e-4
"""Of the norm of the gradient, in nats. J is then within some 1e-6 nats of its minimum, and the log-loss of other
examples within some 1e-4 of that at the minimum. Float32 rounds the norm to some 1e-6."""

PATH_TOLERANCE = 1e-3
"""While the strength is chosen: losses on dev are then within some 1e-3 nats, less than dev can tell."""

MOST = 1000
"""Iterations of a fit. A probe that needs more is reported as not converged."""

BIAS_PENALTY = 0.1

LANES = 64
"""Probes that an accelerator solves in step."""

SHORTEST = 256
"""Examples are padded to this or the next quarter of an octave, so that few sizes are compiled."""

SMALL = 1e-8
"""Added to the Hessian's diagonal."""

Examples = tuple[Any, Any, Any]
"""Features (N, d), standardised, labels (N,), and weights (N,) that sum to 1; 0 for what pads."""


def fit(
    train: Part,
    dev: Part,
    classes: int,
    *,
    strengths: Sequence[float] = STRENGTHS,
    tolerance: float = TOLERANCE,
    most: int = MOST,
    double: bool = False,
    lanes: int | None = None,
) -> Probes:
    """Logistic probes, fitted to train, of the strength that is best on dev.

    double: in float64, as tolerances below 1e-5 need. lanes: how many are solved in step; None: one on CPUs.
    Raises ValueError for parts that do not belong together, labels beyond the classes, and strengths that do not fall.
    """
    check_parts(train, dev, classes)
    grid = np.append(check_strengths(strengths), np.nan)  # at the end, the best of them again
    tolerances = np.append(np.full(len(grid) - 1, max(tolerance, PATH_TOLERANCE)), tolerance)
    cpu = jax.default_backend() == "cpu"
    together = lanes or (1 if cpu else LANES)
    dtype = np.float64 if double else np.float32
    program = _program(classes, together > 1)

    def solved(first: int) -> list[Any]:
        """Of the probes from `first` on; where they are too few, the last is solved again."""
        rows = [min(probe, train.shape[0] - 1) for probe in range(first, first + together)]
        data = [_prepared(train.of_probe(row), dev.of_probe(row), dtype) for row in rows]
        given = data[0] if together == 1 else jax.tree.map(lambda *parts: np.stack(parts), *data)
        with jax.enable_x64(double), jax.default_matmul_precision("highest"):
            solution = program(*given, grid.astype(dtype), tolerances.astype(dtype), most)
            return [
                np.asarray(part).reshape(together, *part.shape[together > 1 :]) for part in solution
            ]

    starts = range(0, train.shape[0], together)
    batches = _in_threads(solved, starts, (os.cpu_count() or 1) if cpu else 1)
    W, b, losses, gradient, iterations = (
        np.concatenate(parts)[: train.shape[0]].astype(np.float64)
        for parts in zip(*batches, strict=True)
    )
    weights, bias = _for_raw(W, b, train)
    return Probes(
        weights,
        bias,
        grid[np.argmin(losses[:, :-1], axis=1)],
        losses[:, :-1],
        gradient,
        iterations.astype(np.int64),
        tolerance,
    )


def _in_threads(work: Callable[[int], Any], items: Sequence[int], threads: int) -> list[Any]:
    """work of each; the first alone, so that its program is compiled once."""
    first = [work(item) for item in items[:1]]
    with ThreadPoolExecutor(threads) as pool:
        return first + list(pool.map(work, items[1:]))


def _prepared(
    train: tuple[Features, Ints], dev: tuple[Features, Ints], dtype: Any
) -> tuple[Examples, Examples]:
    """Both parts of one probe, standardised by train and padded."""
    mean, scale = standardisation(train[0])

    def prepared(X: Features, y: Ints) -> Examples:
        n, d = X.shape
        size = padded(n)
        features, labels = np.zeros((size, d), dtype), np.zeros(size, np.int32)
        features[:n], labels[:n] = (X - mean) / scale, y
        return features, labels, np.where(np.arange(size) < n, 1 / n, 0).astype(dtype)

    return prepared(*train), prepared(*dev)


def padded(n: int) -> int:
    """The size that n examples are padded to: at most a quarter more."""
    quarter = max(SHORTEST, 1 << (n - 1).bit_length() - 1) // 4 if n > 1 else SHORTEST
    return max(SHORTEST, -(-n // quarter) * quarter)


def _for_raw(W: Array, b: Array, train: Part) -> tuple[Array, Array]:
    """Weights (P, d, C) and bias (P, C) for features as they are, of those for standardised ones."""
    for weights, bias, (X, _) in zip(W, b, train, strict=True):
        mean, scale = standardisation(X)
        weights /= scale[:, None]
        bias -= mean @ weights
    return W, b


@lru_cache(maxsize=16)
def _program(classes: int, batched: bool) -> Any:
    path = partial(_path, classes=classes)
    return jax.jit(jax.vmap(path, in_axes=(0, 0, None, None, None)) if batched else path)


def _path(
    train: Examples,
    dev: Examples,
    grid: jax.Array,
    tolerances: jax.Array,
    most: jax.Array,
    *,
    classes: int,
) -> tuple[jax.Array, ...]:
    """W (d, C), b (C,), losses on dev along the grid, norm of the gradient, and iterations, of one probe.

    Weights are (C, d + 1) and features (d + 1, N) here, the last row ones: products and softmax run along examples.
    """
    X, y, w = train
    N, d = jnp.sum(w > 0), X.shape[1]
    Q = jnp.linalg.eigh((w * X.T) @ X)[1]

    def rotated(X: jax.Array) -> jax.Array:
        return jnp.concatenate([Q.T @ X.T, jnp.ones((1, len(X)), X.dtype)])

    ours, theirs = (rotated(X), y, w), (rotated(dev[0]), *dev[1:])
    counts = jax.nn.one_hot(y, classes, axis=0, dtype=X.dtype) @ w * N + 0.5
    start = jnp.zeros((classes, d + 1), X.dtype).at[:, -1].set(jnp.log(counts / counts.sum()))

    def step(carry: Any, given: Any) -> Any:
        W, (best, best_strength, least) = carry
        strength, tolerance = given
        again = jnp.isnan(strength)
        start, strength = jnp.where(again, best, W), jnp.where(again, best_strength, strength)
        penalty = jnp.append(jnp.full(d, strength), (BIAS_PENALTY / N).astype(X.dtype))
        W, gradient, iterations = _minimum(start, ours, penalty, tolerance, most)
        candidate = W, strength, _log_loss(W, theirs)
        better = (candidate[2] < least) & ~again
        kept = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), candidate, (best, best_strength, least)
        )
        return (W, kept), (candidate[2], gradient, iterations)

    carry = start, (start, grid[0], jnp.array(jnp.inf, X.dtype))
    (W, _), (losses, gradients, iterations) = jax.lax.scan(step, carry, (grid, tolerances))
    return Q @ W[:, :d].T, W[:, d], losses, gradients[-1], iterations.sum()


def _log_loss(W: jax.Array, examples: Examples) -> jax.Array:
    A, y, w = examples
    logits = W @ A
    logits -= jax.lax.stop_gradient(logits.max(axis=0))
    label_logits = (logits * jax.nn.one_hot(y, len(W), axis=0, dtype=W.dtype)).sum(axis=0)
    return jnp.sum(w * (jnp.log(jnp.exp(logits).sum(axis=0)) - label_logits))


def _minimum(
    start: jax.Array,
    examples: Examples,
    penalty: jax.Array,
    tolerance: jax.Array,
    most: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where the gradient's norm is at most the tolerance, that norm, and the iterations it took."""
    A, _, w = examples
    p = jax.nn.softmax(start @ A, axis=0)
    units = 1 / jnp.sqrt((w * p * (1 - p)) @ (A**2).T + penalty + SMALL)

    def objective(V: jax.Array) -> jax.Array:
        W = start + units * V
        return _log_loss(W, examples) + jnp.sum(penalty * W**2) / 2

    search = optax.scale_by_zoom_linesearch(20, initial_guess_strategy="one")
    solver = optax.lbfgs(linesearch=search)
    value_and_grad = optax.value_and_grad_from_state(objective)

    def step(carry: Any) -> Any:
        V, state, _, count = carry
        value, gradient = value_and_grad(V, state=state)
        change, state = solver.update(
            gradient, state, V, value=value, grad=gradient, value_fn=objective
        )
        left = jnp.linalg.norm(optax.tree.get(state, "grad") / units)
        return V + change, state, left, count + 1

    def unfinished(carry: Any) -> jax.Array:
        return (carry[2] > tolerance) & (carry[3] < most)

    V = jnp.zeros_like(start)
    carry = V, solver.init(V), jnp.array(jnp.inf, start.dtype), jnp.array(0)
    V, _, left, count = jax.lax.while_loop(unfinished, step, carry)
    return start + units * V, left, count
