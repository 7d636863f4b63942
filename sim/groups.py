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

from sim.failures import MAKE

RELATIVE_NOISE = "additive-noise-relative"

FAILURES = (
    *("additive-noise", RELATIVE_NOISE, "multiplicative-noise"),
    *("weight-deletion", "weight-deletion-rescaled"),
    *("neuron-deletion", "neuron-deletion-rescaled"),
    *("magnitude-pruning", "quantisation"),
)
"""The failures of named parameters: all of the theory's but the adversary, who needs a risk to raise."""

NEURONS_FIRST: Mapping[str, int] = {}


def harmless(name: str) -> float:
    """The strength of the failure that changes nothing."""
    return float("inf") if name == "quantisation" else 0.0


def is_random(name: str) -> bool:
    """Whether the failure draws anything. Raises ValueError for a name that is not in FAILURES."""
    return bool(_make(name, harmless(name)).randomness != "none")


def draw(
    name: str,
    shapes: Mapping[str, tuple[int, ...]],
    seed: Sequence[int],
    copies: int,
    neurons: Mapping[str, int] = NEURONS_FIRST,
) -> dict[str, Any]:
    """What the failure `name` draws for independent copies of tensors of these shapes: (copies, neurons, inputs or 1).

    Tensors are called "layer.tensor"; `neurons` is the axis of a tensor's neurons where it is not the first. A draw is
    a function of seed and name alone: strengths share it, and so do networks that have the tensor in common. Tensors
    of one layer (the name up to its last dot) lose the same neurons. None where nothing is random.
    """
    drawn = {}
    for tensor, shape in shapes.items():
        k = shape[neurons.get(tensor, 0)]
        whose = tensor.rpartition(".")[0] if name.startswith("neuron-deletion") else tensor
        rng = np.random.default_rng([*seed, zlib.crc32(whose.encode())])
        failure = _make(name, harmless(name))
        drawn[tensor] = failure.draw((copies, k, prod(shape) // k), rng)
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
        failure = _make(name, strength * xp.std(W) if name == RELATIVE_NOISE else strength)
        W = failure.apply(W, drawn[tensor])
        copies = W.shape[:-2]
        W = xp.reshape(W, (*copies, *moved.shape))
        failed[tensor] = xp.moveaxis(W, len(copies), len(copies) + axis)
    return failed


def _make(name: str, strength: Any) -> Any:
    if name not in FAILURES:
        raise ValueError(
            f"unknown failure of parameters {name!r}: choose from {', '.join(FAILURES)}"
        )
    return MAKE["additive-noise" if name == RELATIVE_NOISE else name](strength)
