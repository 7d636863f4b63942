"""Loss of single weights."""

from dataclasses import dataclass
from typing import ClassVar

from theory.covariance import Array
from theory.perturbation.deletion import Deletion
from theory.perturbation.failure import Names
from theory.perturbation.problem import NoClosedForm, Problem, coupling, flat, weight_energies


@dataclass(frozen=True)
class WeightDeletion(Deletion):
    """Each weight is lost with probability p; survivors are scaled by 1/(1-p) if rescale. Statements 16, 17.

    E R = R((1-p) W) + p(1-p)/T sum_i (sum_j S_jj W_ij^2) |gamma^i|^2; rescaled, R(W) plus that sum times p/(1-p)/T.
    """

    name = "weight-deletion"
    names: ClassVar[Names] = {
        "weight-deletion": {},
        "weight-deletion-rescaled": {"rescale": True},
    }

    @staticmethod
    def _row_energies(p: Problem) -> Array:
        return weight_energies(p)

    @staticmethod
    def _quadratic(p: Problem, pull: Array) -> tuple[Array, Array, Array]:
        own = p.W**2 * p.S.diagonal * p.head_energies[..., None]
        return flat(own), coupling(p), flat(p.W * pull.mT)

    @staticmethod
    def _energies(p: Problem, kept: Array) -> Array | NoClosedForm:
        if p.S.vectors is not None:
            return NoClosedForm(
                "the columns of W are lost independently, but S couples them: estimate from draws, or whiten the inputs"
            )
        columns = kept * p.W.mT[..., None, :]
        fit = 2 * (p.C @ p.heads.mT)[..., None, :]
        coupled = columns @ p.head_products[..., None, :, :]
        return p.S.values[:, None] * ((coupled - fit) * columns).sum(axis=-1)
