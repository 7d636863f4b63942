"""Small convolutional networks that learn binary tasks from images, and their accuracy when parameters fail.

Convolutions of 3 x 3 with stride 2 and ReLU, a hidden layer with ReLU, and one linear unit a task; logistic loss; Adam.
Parameters are a flat dictionary "layer.tensor" with neurons first, as sim.failures.groups has it. All models of a
batch train in one program that maps over them: on a CPU a third of the time of convolutions with a leading axis of
models, and a convolution is a matrix product with the patches of its input, which is faster than XLA's own. Float64.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sim.experiments.data.inputs import LabelledInputs
from sim.experiments.networks.config import ImageNetworks, image_shape
from sim.experiments.networks.images import held_out, training_samples
from sim.failures.groups import draw, fail, is_random
from sim.runs.errors import UserError
from theory.covariance import Array

Parameters = dict[str, Any]

KERNEL = 3
STRIDE = 2

BLOCK = 8
"""Broken copies of a network that one call measures: one program is compiled for any number of strengths and draws."""


@dataclass(frozen=True, eq=False)
class Trained:
    """n trained networks: parameters (n, ...), the first axis their seeds; last_change (n,), of the last pass."""

    parameters: Parameters
    seeds: tuple[int, ...]
    T: int
    last_change: Array


@dataclass(frozen=True)
class Measured:
    """Mean over the draws and its standard error of risk, accuracy and accuracy on the common task, in this order:
    (3, groups, n, strengths). `clean` (n,) is the risk without failure; `draws` is 1 where nothing is random.
    """

    mean: Array
    standard_error: Array
    clean: Array
    draws: int


def train(
    data: LabelledInputs, T: int, networks: ImageNetworks, budget: str, seeds: Sequence[int]
) -> Trained:
    """A network of T tasks for every seed. Raises UserError for inputs that are no images, or of too few classes."""
    networks.check_data(data)
    shape = image_shape(data)
    drawn = [training_samples(data, T, networks, budget, seed) for seed in seeds]
    chosen, labels = (np.stack(part) for part in zip(*drawn, strict=True))
    task = np.arange(labels[0].size).reshape(labels[0].shape) % T
    optimiser = optax.adam(networks.learning_rate)
    last_pass = networks.steps - max(1, networks.steps // networks.epochs)
    with jax.enable_x64(True):
        first = [initial(networks, shape, T, seed) for seed in seeds]
        parameters = {name: jnp.stack([network[name] for network in first]) for name in first[0]}
        state = jax.vmap(optimiser.init)(parameters)
        before = parameters
        for step in range(networks.steps):
            if step == last_pass:
                before = parameters
            images = data.train_inputs[chosen[:, step]].reshape(len(seeds), -1, *shape)
            parameters, state = _step(
                parameters,
                state,
                images,
                labels[:, step],
                task[step],
                networks.layers,
                networks.learning_rate,
            )
        change = _norm(jax.tree.map(jnp.subtract, parameters, before)) / _norm(parameters)
    trained = {name: np.asarray(W) for name, W in parameters.items()}
    if not all(np.isfinite(W).all() for W in trained.values()):
        rate = networks.learning_rate
        raise UserError(
            f"training of {T} tasks from {data.name} diverged: lower learning_rate = {rate}"
        )
    return Trained(trained, tuple(seeds), T, np.asarray(change))


def initial(networks: ImageNetworks, shape: tuple[int, int, int], T: int, seed: int) -> Parameters:
    """Normal weights of variance 2 / inputs (He et al. 2015; heads 1 / inputs) and zero biases.

    Equal for all T of a seed: a head more changes no other weight.
    """
    rng = np.random.default_rng([seed, zlib.crc32(b"initial")])
    rows, columns, inputs = shape
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, channels in zip(networks.layers, networks.channels, strict=False):
        shapes[layer] = (channels, KERNEL, KERNEL, inputs)
        rows, columns, inputs = -(-rows // STRIDE), -(-columns // STRIDE), channels
    shapes["hidden"] = (networks.hidden, rows * columns * inputs)
    parameters: Parameters = {}
    for layer, of_layer in shapes.items():
        scale = np.sqrt(2 / np.prod(of_layer[1:]))
        parameters[f"{layer}.weight"] = scale * rng.standard_normal(of_layer)
        parameters[f"{layer}.bias"] = np.zeros(of_layer[0])
    heads = rng.standard_normal((T, networks.hidden)) / np.sqrt(networks.hidden)
    return parameters | {"heads.weight": heads}


def forward(parameters: Parameters, layers: Sequence[str], x: Any) -> Any:
    """What these layers make of x, images (n, rows, columns, channels) if the first of them is a convolution.

    The last layer of a network, "heads", gives a logit a task, (n, T): positive for the upper class.
    """
    for layer in layers:
        weight = parameters[f"{layer}.weight"]
        if layer == "heads":
            x = x @ weight.T
            continue
        x = _patches(x) if weight.ndim == 4 else x.reshape(len(x), -1)
        x = jax.nn.relu(x @ weight.reshape(len(weight), -1).T + parameters[f"{layer}.bias"])
    return x


def _patches(x: Any) -> Any:
    """(n, rows, columns, c) to (n, rows', columns', 9 c): the KERNEL x KERNEL pixels under each place of a stride."""
    rows, columns = (-(-size // STRIDE) for size in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [
        x[:, i : i + STRIDE * rows - 1 : STRIDE, j : j + STRIDE * columns - 1 : STRIDE]
        for i in range(KERNEL)
        for j in range(KERNEL)
    ]
    return jnp.concatenate(shifted, axis=-1)


@partial(jax.jit, static_argnames=("layers", "learning_rate"))
def _step(
    parameters: Parameters,
    state: Any,
    images: Any,
    labels: Any,
    task: Any,
    layers: tuple[str, ...],
    learning_rate: float,
) -> tuple[Parameters, Any]:
    """A step of Adam for each model: images (n, batch, ...), labels (n, batch) of -1 or 1, task (batch,)."""

    def loss(parameters: Parameters, images: Any, labels: Any) -> Any:
        logits = forward(parameters, layers, images)
        own = jnp.take_along_axis(logits, task[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.softplus(-labels * own))

    def of_model(model: Any) -> tuple[Parameters, Any]:
        parameters, state, images, labels = model
        gradient = jax.grad(loss)(parameters, images, labels)
        updates, state = optax.adam(learning_rate).update(gradient, state)
        return optax.apply_updates(parameters, updates), state

    return jax.lax.map(of_model, (parameters, state, images, labels))


def _norm(parameters: Parameters) -> Any:
    """The norm of each model's parameters, (n,)."""
    return jnp.sqrt(sum(jnp.sum(leaf**2, axis=range(1, leaf.ndim)) for leaf in parameters.values()))


def measure(
    data: LabelledInputs,
    model: Trained,
    networks: ImageNetworks,
    name: str,
    strengths: Sequence[float],
) -> Measured:
    """Risk and accuracies of every model with each group of its parameters under the failure called `name`."""
    draws = networks.draws if is_random(name) else 1
    layers = networks.layers
    samples = np.empty((len(networks.groups), len(model.seeds), len(strengths) * draws, 3))
    clean = np.empty(len(model.seeds))
    with jax.enable_x64(True):
        for i, seed in enumerate(model.seeds):
            tested = held_out(data, model.T, networks, seed)
            parameters = {tensor: W[i] for tensor, W in model.parameters.items()}
            broken = _copies(name, strengths, parameters, seed, draws)
            for g, group in enumerate(networks.groups):
                hit = layers if group == "all" else (group,)
                copies = {name: W for name, W in broken.items() if name.split(".")[0] in hit}
                samples[g, i] = _outcomes(layers, hit[0], parameters, copies, tested)
            unbroken = {"heads.weight": parameters["heads.weight"][None]}
            clean[i] = _outcomes(layers, "heads", parameters, unbroken, tested)[0, 0]
    outcomes = np.moveaxis(samples.reshape(*samples.shape[:2], len(strengths), draws, 3), -1, 0)
    error = outcomes.std(axis=-1, ddof=1) / np.sqrt(draws) if draws > 1 else 0 * outcomes[..., 0]
    return Measured(outcomes.mean(axis=-1), error, clean, draws)


def _copies(
    name: str, strengths: Sequence[float], parameters: Parameters, seed: int, draws: int
) -> Parameters:
    """Broken copies (strengths x draws, ...) of the parameters of one model. All T of a seed share their draws."""
    shapes = {tensor: W.shape for tensor, W in parameters.items()}
    drawn = draw(name, shapes, (seed, zlib.crc32(name.encode())), draws)
    failed = [fail(name, strength, parameters, drawn) for strength in strengths]
    return {
        tensor: np.concatenate([copies[tensor].reshape(-1, *W.shape) for copies in failed])
        for tensor, W in parameters.items()
    }


def _outcomes(
    layers: tuple[str, ...],
    first: str,
    parameters: Parameters,
    copies: Parameters,
    tested: tuple[Any, Any],
) -> Array:
    """Risk, accuracy and accuracy on the common task for each copy of tensors from layer `first` on, (copies, 3)."""
    intact, damaged = layers[: layers.index(first)], layers[layers.index(first) :]
    count = len(next(iter(copies.values())))
    later = {name: W for name, W in parameters.items() if name.split(".")[0] in damaged}
    below = {name: W for name, W in parameters.items() if name not in later}
    blocks = []
    for start in range(0, count, BLOCK):
        block = np.arange(start, start + BLOCK) % count
        # Tensors that are not hit are copied too: groups that begin with the same layer share one program.
        copied = {
            name: copies[name][block] if name in copies else np.broadcast_to(W, (BLOCK, *W.shape))
            for name, W in later.items()
        }
        blocks.append(_outcomes_of_block(intact, damaged, below, copied, *tested))
    return np.concatenate(blocks)[:count]


@partial(jax.jit, static_argnames=("intact", "damaged"))
def _outcomes_of_block(
    intact: tuple[str, ...],
    damaged: tuple[str, ...],
    below: Parameters,
    copies: Parameters,
    images: Any,
    y: Any,
) -> Any:
    """What the intact layers make of the images is computed once for all copies."""
    x = forward(below, intact, images)
    count = jnp.sum(y != 0, axis=0)

    def of_copy(copy: Parameters) -> Any:
        margin = y * forward(copy, damaged, x)
        loss = jnp.sum(jnp.where(y != 0, jax.nn.softplus(-margin), 0.0), axis=0) / count
        undecided = (margin == 0) & (y != 0)
        right = jnp.sum((margin > 0) + undecided / 2, axis=0) / count
        return jnp.stack([loss.mean(), right.mean(), right[0]])

    return jax.lax.map(of_copy, copies)
