"""Noise added to every weight."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from theory.covariance import Array
from theory.distribution import GaussianQuadratic
from theory.perturbation.failure import Names, Perturbation, check_size
from theory.perturbation.problem import Problem, flat


@dataclass(frozen=True)
class AdditiveNoise(Perturbation):
    """W + sigma N, N iid with zero mean and unit variance (drawn normal). Statement 2.

    E R = R + sigma^2 tr(S) |heads|_F^2 / T; for normal N (statement 32)
    Var R = (2 sigma^4 |S|_F^2 |heads heads^T|_F^2 + 4 sigma^2 |heads E^T S|_F^2) / T^2.
    """

    sigma: float
    name = "additive-noise"
    names: ClassVar[Names] = {"additive-noise": {}}
    relative_names = ("additive-noise-relative",)
    strength = "sigma"
    randomness = "normal"

    def __post_init__(self) -> None:
        check_size("sigma", self.sigma)

    def apply(self, W: Any, draw: Any) -> Any:
        return W + self.sigma * draw

    def exposure(self, trace: float, *, orthonormal: bool) -> float:
        """sigma^2 tr S, of every optimum. Statement 3."""
        return self.sigma**2 * trace

    def _expected(self, p: Problem) -> float | Array:
        return p.risk(added=self.sigma**2 * p.S.trace * p.head_energies.sum(axis=-1))

    def _variance(self, p: Problem) -> float | Array:
        spread = float((p.S.values**2).sum()) * (p.head_products**2).sum(axis=(-2, -1))
        pull = (p.pull**2).sum(axis=(-2, -1))
        return p.variance(2 * self.sigma**4 * spread + 4 * self.sigma**2 * pull)

    def _distribution(self, p: Problem) -> GaussianQuadratic:
        # Diagonal in the eigenbases of S and heads heads^T.
        theta, Q = np.linalg.eigh(p.head_products)
        curvature = p.S.values[:, None] * np.maximum(theta, 0.0)[..., None, :]
        pull = -2 * self.sigma * p.S.coordinates(p.pull) @ Q
        unit = p.risk_of_energy[..., None]
        return GaussianQuadratic(self.sigma**2 * flat(curvature) * unit, flat(pull) * unit)
