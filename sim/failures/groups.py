"""A structural failure of some of a network's named parameters: the theory's perturbations on tensors of any shape.

Every tensor fails as a matrix W (neurons, inputs), as the linear model's representation does: its axis of neurons comes
first and the others are its inputs, a bias being one input. So a convolution (out, rows, columns, in) loses weights, or
whole channels; and pruning and rounding go tensor by tensor, as Daras et al. 2022 do.

Nothing here has a closed form. Noise comes in two units: absolute, and relative to the standard deviation of each
tensor, without which a comparison of networks is one of the sizes of their weights.
"""

import zlib
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from sim.failures.named import KIND
from theory.perturbation import Perturbation

EVERY = tuple(name for name, kind in KIND.items() if not kind.adversarial)
"""All failures of named parameters: all but the adversary, who needs a risk to raise."""

NEURONS_FIRST: Mapping[str, int] = {}


def harmless(name: str) -> float:
    """The strength of the failure that changes nothing."""
    return _kind(name).harmless


def is_random(name: str) -> bool:
    """Whether the failure draws anything. Raises ValueError for a name that is not in EVERY."""
    return randomness(name) != "none"


def randomness(name: str) -> str:
    """What the failure draws: normal, uniform or none. Raises ValueError for a name that is not in EVERY."""
    return str(_make(name, harmless(name)).randomness)


def check(name: str, strength: float) -> None:
    """Raise ValueError, in one line, for a strength that the failure cannot have."""
    _make(name, strength)


def wanted(
    name: str, shapes: Mapping[str, tuple[int, ...]], neurons: Mapping[str, int] = NEURONS_FIRST
) -> dict[str, tuple[str, tuple[int, int]]]:
    """Whose draw each tensor of these shapes takes, and how large it is for one copy: (neurons, inputs or 1).

    Tensors are called "layer.tensor"; `neurons` is the axis of a tensor's neurons where it is not the first. A draw is
    the tensor's own, but tensors of one layer (the name up to its last dot) lose the same neurons.
    """
    failure = _make(name, harmless(name))
    draws = {}
    for tensor, shape in shapes.items():
        whose = tensor.rpartition(".")[0] if failure.of_neurons else tensor
        k = shape[neurons.get(tensor, 0)]
        draws[tensor] = whose, failure.draw_shape((k, prod(shape) // k))
    return draws


def draw(
    name: str,
    shapes: Mapping[str, tuple[int, ...]],
    seed: Sequence[int],
    copies: int,
    neurons: Mapping[str, int] = NEURONS_FIRST,
) -> dict[str, Any]:
    """What the failure `name` draws for independent copies of tensors of these shapes: (copies, neurons, inputs or 1).

    A draw is a function of seed and the name of whose it is alone (see `wanted`): strengths share it, and so do
    networks that have the tensor in common. None where nothing is random.
    """
    failure, drawn = _make(name, harmless(name)), {}
    for tensor, (whose, size) in wanted(name, shapes, neurons).items():
        rng = np.random.default_rng([*seed, zlib.crc32(whose.encode())])
        drawn[tensor] = failure.draw((copies, *size), rng)
    return drawn


def fail(
    name: str,
    strength: Any,
    tensors: Mapping[str, Any],
    drawn: Mapping[str, Any],
    neurons: Mapping[str, int] = NEURONS_FIRST,
) -> dict[str, Any]:
    """The tensors after the failure `name` of this strength, by the same names and in their own array type.

    With a draw (copies, neurons, inputs) of a tensor there are as many copies, on a first axis; without one there is
    no such axis. Strength 0 (inf bits) leaves the same bits. That of relative noise is in standard deviations of each
    tensor, and may be traced like any other.
    """
    failed = {}
    for tensor, value in tensors.items():
        xp = value.__array_namespace__()
        axis = neurons.get(tensor, 0)
        moved = xp.moveaxis(value, axis, 0)
        W = xp.reshape(moved, (moved.shape[0], -1))
        relative = name in _kind(name).relative_names
        failure = _make(name, strength * xp.std(W) if relative else strength)
        W = failure.apply(W, drawn[tensor])
        copies = W.shape[:-2]
        W = xp.reshape(W, (*copies, *moved.shape))
        failed[tensor] = xp.moveaxis(W, len(copies), len(copies) + axis)
    return failed


def _kind(name: str) -> type[Perturbation]:
    if name not in EVERY:
        raise ValueError(f"unknown failure of parameters {name!r}: choose from {', '.join(EVERY)}")
    return KIND[name]


def _make(name: str, strength: Any) -> Any:
    return _kind(name).named(name, strength)
