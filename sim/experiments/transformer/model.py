"""A small multitask transformer that ends in a linear bottleneck, trained on tasks of a chosen geometry.

    tokens -> embedding -> layers of attention and MLP -> mean over places -> phi (d,) -> W (k, d) -> heads (k, T)

Inputs are all sequences of a few tokens, equally likely, so that every risk is that of the population. A random teacher
has d features of a sequence, each a sum of functions of neighbouring tokens and their place, made uncorrelated and of
unit variance; task t is the teacher's features weighted by column t of the task matrix (d, T). The student has to find
the features that its k dimensions can use.

phi has mean square 1 over its d entries (a norm without gain), so tr S = d, and W stays on W W^T = I by training V with
W = L^-1 V, L the Cholesky factor of V V^T: the normalisation of the spectral slope, without which W and heads could
trade their scale and with it their robustness (statement 6). For the features it ends with, the last two maps then
have the optimum of theory.representation, and training's own slope can be held against it.

Models train in float32, one after the other in one compiled program: on a CPU that is faster than vmap, whose batched
products of matrices this small are slow. They are handed over in float64 with W W^T = I to its precision. Tasks may be
padded with zero tasks, whose heads stay exactly zero.
"""

from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from sim.experiments.transformer.config import Architecture
from theory.covariance import Array

NORM_EPS = 1e-6
"""Added to the mean squares that the norms divide by."""

# Not default_rng(seed) itself: the geometry sampled from the same seed must not repeat the teacher.
_STREAM = int.from_bytes(b"teacher", "big")


@cache
def sequences(network: Architecture) -> NDArray[np.int32]:
    """Every sequence of tokens, (n, length)."""
    return np.array(list(product(range(network.vocabulary), repeat=network.length)), dtype=np.int32)


def teacher_features(network: Architecture, d: int, seed: int) -> Array:
    """The teacher's features f of every sequence, (n, d), with E f = 0 and E f f^T = I exactly."""
    tokens, V = sequences(network), network.vocabulary
    rng = np.random.default_rng([seed, _STREAM])
    raw = rng.standard_normal((network.length, V, d))[0, tokens[:, 0]]
    for place in range(1, network.length):
        pairs = rng.standard_normal((V, V, d))
        raw = raw + pairs[tokens[:, place - 1], tokens[:, place]]
    U = np.linalg.svd(raw - raw.mean(axis=0), full_matrices=False)[0]
    return np.sqrt(len(U)) * U


@dataclass(frozen=True, eq=False)
class Trained:
    """n trained models: parameters by group with a leading axis n, float64, and features phi (n, sequences, d)."""

    parameters: dict[str, Any]
    features: Array


def train(network: Architecture, targets: Array, tasks: int, d: int, k: int, keys: Any) -> Trained:
    """Train a model on each of n targets (n, sequences, T) by Adam on all sequences at once.

    Of the T tasks the first `tasks` are true and the others zero, so that models of fewer tasks can share a program.
    keys (n,) are jax random keys.
    """
    parameters = _train(network, d, k, targets.astype(np.float32), np.float32(tasks), keys)
    with jax.enable_x64(True):
        parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype=jnp.float64), parameters)
        parameters["W"] = jax.vmap(_orthonormal)(parameters["W"])
        phi = np.asarray(_features(network, parameters))
        return Trained(jax.tree.map(np.asarray, parameters), phi)


def features(network: Architecture, parameters: dict[str, Any]) -> Any:
    """phi of every sequence, (n, d)."""
    embedding = parameters["embedding"]
    x = embedding["token"][jnp.asarray(sequences(network))] + embedding["place"]
    for layer in range(network.layers):
        x = x + _attention(parameters[f"layer-{layer}.attention"], _norm(x), network)
        mlp = parameters[f"layer-{layer}.mlp"]
        x = x + jax.nn.gelu(_norm(x) @ mlp["up"]) @ mlp["down"]
    return _norm(x.mean(axis=1))


def risk(network: Architecture, parameters: dict[str, Any], targets: Any, tasks: Any) -> Any:
    """Mean square error over the sequences and `tasks`, the number of those targets that are no padding."""
    predictions = features(network, parameters) @ parameters["W"].T @ parameters["heads"]
    return jnp.sum((predictions - targets) ** 2) / (len(targets) * tasks)


def gradient(network: Architecture, parameters: dict[str, Any], targets: Any, tasks: Any) -> Any:
    """Of the risk in all parameters, those of W being V, which has any rows of W's row space."""

    def loss(parameters: Any) -> Any:
        return risk(network, {**parameters, "W": _orthonormal(parameters["W"])}, targets, tasks)

    return jax.grad(loss)(parameters)


def _attention(weights: dict[str, Any], x: Any, network: Architecture) -> Any:
    """Every place attends to every place; x (n, length, d)."""
    heads = network.attention_heads
    split = (x @ weights["query-key-value"]).reshape(*x.shape[:2], 3, heads, -1)
    query, key, value = jnp.moveaxis(split, 2, 0)
    scores = jnp.einsum("nihe,njhe->nhij", query, key) / np.sqrt(query.shape[-1])
    mixed = jnp.einsum("nhij,njhe->nihe", jax.nn.softmax(scores), value)
    return mixed.reshape(x.shape) @ weights["out"]


def _norm(x: Any) -> Any:
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + NORM_EPS)


def _orthonormal(V: Any) -> Any:
    """L^-1 V with orthonormal rows, of the row space of V (k, d), where V V^T = L L^T."""
    return jax.scipy.linalg.solve_triangular(jnp.linalg.cholesky(V @ V.T), V, lower=True)


def _initial(network: Architecture, d: int, k: int, T: int, key: Any) -> dict[str, Any]:
    """Gaussian matrices of variance 1 / inputs, embeddings of variance 1, an orthonormal W, and zero heads."""
    keys = iter(jax.random.split(key, 3 + 4 * network.layers))

    def normal(*shape: int, variance: float = 1.0) -> Any:
        return np.float32(np.sqrt(variance)) * jax.random.normal(
            next(keys), shape, dtype=jnp.float32
        )

    parameters: dict[str, Any] = {
        "embedding": {"token": normal(network.vocabulary, d), "place": normal(network.length, d)}
    }
    wide = network.expansion * d
    for layer in range(network.layers):
        parameters[f"layer-{layer}.attention"] = {
            "query-key-value": normal(d, 3 * d, variance=1 / d),
            "out": normal(d, d, variance=1 / d),
        }
        parameters[f"layer-{layer}.mlp"] = {
            "up": normal(d, wide, variance=1 / d),
            "down": normal(wide, d, variance=1 / wide),
        }
    heads = jnp.zeros((k, T), dtype=jnp.float32)
    return {**parameters, "W": _orthonormal(normal(k, d)), "heads": heads}


@partial(jax.jit, static_argnames="network")
def _features(network: Architecture, parameters: Any) -> Any:
    return jax.lax.map(partial(features, network), parameters)


@partial(jax.jit, static_argnames=("network", "d", "k"))
def _train(network: Architecture, d: int, k: int, targets: Any, tasks: Any, keys: Any) -> Any:
    """Parameters after all steps, W in them being V."""
    optimiser = optax.adam(optax.cosine_decay_schedule(network.learning_rate, network.steps))

    def of_model(model: Any) -> Any:
        targets, key = model

        def step(state: Any, _: None) -> tuple[Any, None]:
            parameters, moments = state
            slopes = gradient(network, parameters, targets, tasks)
            updates, moments = optimiser.update(slopes, moments)
            return (optax.apply_updates(parameters, updates), moments), None

        parameters = _initial(network, d, k, targets.shape[1], key)
        state = parameters, optimiser.init(parameters)
        return jax.lax.scan(step, state, None, length=network.steps)[0][0]

    return jax.lax.map(of_model, (targets, keys))
