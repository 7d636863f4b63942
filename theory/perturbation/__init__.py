"""Structural failures of the shared representation W (k, d), and the exact risk under each of them.

A failure is a frozen value. Its random draw is kept apart from its effect: `apply(W, draw)` uses only the array
namespace of W, so one definition serves numpy here, traced and batched jax arrays (..., k, d) elsewhere, and any
other weight matrix whose rows are neurons. Strength 0 is the identity.

With E = C - W^T heads, every expected risk is the clean risk R = |S^(1/2) E|^2 / T plus what the failure adds
(theory.md, statements 2, 16-18, 21-24), for any W, heads and S, not only at the optimum. What is not known in closed
form is answered by a `NoClosedForm`, never by an approximation. A stack of models, W (..., k, d) with heads
(..., k, T) and C (..., d, T), is answered by the array (...) of their risks, in one batched pass.

A failure is a class in a module of its own here, which owns all that is particular to it. `failures` finds them.
"""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from theory.perturbation.additive_noise import AdditiveNoise
from theory.perturbation.adversarial import Adversarial
from theory.perturbation.deletion import MOST_LISTED
from theory.perturbation.failure import Deterministic, Perturbation
from theory.perturbation.largest_deletion import LargestDeletion
from theory.perturbation.magnitude_pruning import MagnitudePruning
from theory.perturbation.multiplicative_noise import MultiplicativeNoise
from theory.perturbation.neuron_deletion import NeuronDeletion
from theory.perturbation.problem import Answer, NoClosedForm, Problem
from theory.perturbation.quantisation import Quantisation
from theory.perturbation.weight_deletion import WeightDeletion

__all__ = [
    "MOST_LISTED",
    "AdditiveNoise",
    "Adversarial",
    "Answer",
    "Deterministic",
    "LargestDeletion",
    "MagnitudePruning",
    "MultiplicativeNoise",
    "NeuronDeletion",
    "NoClosedForm",
    "Perturbation",
    "Problem",
    "Quantisation",
    "WeightDeletion",
    "failures",
    "kinds",
]


def kinds() -> Iterator[type[Perturbation]]:
    """The classes that have names, module by module."""
    for module in sorted(iter_modules(__path__), key=lambda module: module.name):
        for kind in vars(import_module(f"{__name__}.{module.name}")).values():
            if (
                isinstance(kind, type)
                and issubclass(kind, Perturbation)
                and kind.names
                and kind.__module__ == f"{__name__}.{module.name}"
            ):
                yield kind


def failures() -> dict[str, Callable[[Any], Perturbation]]:
    """Every failure by the name it is recorded under: of a strength, the failure."""
    return {name: partial(kind.named, name) for kind in kinds() for name in kind.names}
