"""Noise in proportion to every weight."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from theory.covariance import Array
from theory.distribution import GaussianQuadratic
from theory.perturbation.failure import Names, Perturbation, check_size
from theory.perturbation.problem import Problem, coupling, flat, weight_energies


@dataclass(frozen=True)
class MultiplicativeNoise(Perturbation):
    """W * (1 + sigma N), N iid with zero mean and unit variance (drawn normal). Statement 18.

    E R = R + sigma^2 / T sum_i (sum_j S_jj W_ij^2) |gamma^i|^2; for normal N, with G = heads heads^T,
    Var R = (2 sigma^4 sum_jj' S_jj'^2 [(W*W)^T (G*G) (W*W)]_jj' + 4 sigma^2 |W * (heads E^T S)|_F^2) / T^2.
    """

    sigma: float
    name = "multiplicative-noise"
    names: ClassVar[Names] = {"multiplicative-noise": {}}
    strength = "sigma"
    randomness = "normal"

    def __post_init__(self) -> None:
        check_size("sigma", self.sigma)

    def apply(self, W: Any, draw: Any) -> Any:
        return W * (1 + self.sigma * draw)

    def exposure(self, trace: float, *, orthonormal: bool) -> float:
        """sigma^2 at the orthonormal optimum. Statement 18."""
        return self.sigma**2 if orthonormal else float("nan")

    def _expected(self, p: Problem) -> float | Array:
        return p.risk(added=self.sigma**2 * (weight_energies(p) * p.head_energies).sum(axis=-1))

    def _variance(self, p: Problem) -> float | Array:
        pull = ((p.W * p.pull.mT) ** 2).sum(axis=(-2, -1))
        return p.variance(2 * self.sigma**4 * coupling(p) + 4 * self.sigma**2 * pull)

    def _distribution(self, p: Problem) -> GaussianQuadratic:
        # T R adds n^T Q n with Q_(ij)(i'j') = sigma^2 W_ij W_i'j' G_ii' S_jj', one block a column where S is diagonal.
        *stack, k, d = p.W.shape
        if p.S.vectors is None:
            columns = p.W.mT * np.sqrt(p.S.values)[:, None]
            Q = columns[..., :, None] * p.head_products[..., None, :, :] * columns[..., None, :]
        else:
            S = p.S.apply(np.eye(d))
            kron = np.einsum("...ab,ij->...aibj", p.head_products, S)
            weights = p.W.reshape(*stack, k * d)
            Q = weights[..., :, None] * kron.reshape(*stack, k * d, k * d) * weights[..., None, :]
            Q = Q[..., None, :, :]
        curvature, basis = np.linalg.eigh(Q)
        linear = (p.W.mT * p.pull) if p.S.vectors is None else flat(p.W * p.pull.mT)[..., None, :]
        pull = -2 * self.sigma * (linear[..., None, :] @ basis)[..., 0, :]
        unit = p.risk_of_energy[..., None]
        return GaussianQuadratic(
            self.sigma**2 * flat(np.maximum(curvature, 0.0)) * unit, flat(pull) * unit
        )
