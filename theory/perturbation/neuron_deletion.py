"""Loss of whole neurons, which are rows of W."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theory.covariance import Array
from theory.perturbation.deletion import Deletion
from theory.perturbation.failure import Names
from theory.perturbation.problem import Problem


@dataclass(frozen=True)
class NeuronDeletion(Deletion):
    """Each neuron (row of W) is lost with probability p; survivors scaled by 1/(1-p) if rescale. Statements 16, 17.

    E R = R((1-p) W) + p(1-p)/T sum_i (w_i^T S w_i) |gamma^i|^2; rescaled, R(W) plus that sum times p/(1-p)/T.
    """

    name = "neuron-deletion"
    names: ClassVar[Names] = {
        "neuron-deletion": {},
        "neuron-deletion-rescaled": {"rescale": True},
    }
    of_neurons = True

    def draw_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One number a row, (..., k, 1)."""
        return (*shape[:-1], 1)

    @staticmethod
    def _row_energies(p: Problem) -> Array:
        return (p.S.factor(p.W.mT) ** 2).sum(axis=-2)

    @staticmethod
    def _quadratic(p: Problem, pull: Array) -> tuple[Array, Array, Array]:
        Q = (p.W @ p.S.apply(p.W.mT)) * p.head_products
        own = np.diagonal(Q, axis1=-2, axis2=-1)
        return own, (Q**2).sum(axis=(-2, -1)), (p.W * pull.mT).sum(axis=-1)

    @staticmethod
    def _energies(p: Problem, kept: Array) -> Array:
        Q = (p.W @ p.S.apply(p.W.mT)) * p.head_products
        fit = 2 * (p.W * (p.S.apply(p.C) @ p.heads.mT).mT).sum(axis=-1)
        energies: Array = ((kept @ Q - fit[..., None, :]) * kept).sum(axis=-1)
        return energies[..., None, :]
