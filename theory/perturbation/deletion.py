"""Loss of parts of W with a probability, whatever the parts are."""

from abc import abstractmethod
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from theory.covariance import Array
from theory.distribution import IndependentOutcomes
from theory.perturbation.failure import Perturbation, check_share
from theory.perturbation.problem import NoClosedForm, Problem

MOST_LISTED = 12
"""Largest k for which the 2^k ways to lose rows of W, or the weights of one of its columns, are listed."""


@dataclass(frozen=True)
class Deletion(Perturbation):
    """Loss with probability p, survivors scaled by 1/(1-p) if rescale.

    E R = R((1-p) W) + p(1-p)/T sum_i e_i |gamma^i|^2, or R(W) + p/(1-p)/T sum_i e_i |gamma^i|^2 if rescaled, with e_i
    the mean squared activity that is lost one weight at a time or with the whole row.

    The risk is a quadratic of the mask, T R = const + sum_a l_a x_a + sum_a!=b Q_ab x_a x_b, x = kept - (1-p), hence
    Var R = (p(1-p) sum_a l_a^2 + 2 p^2 (1-p)^2 sum_a!=b Q_ab^2) / T^2, where l_a = (2p-1) Q_aa - 2 B_a with B_a half
    the decrease of T R, at the mean weights, by the a-th part of W.
    """

    p: float
    rescale: bool = False
    randomness = "uniform"
    strength = "p"
    traced = ("p", "rescale")

    def __post_init__(self) -> None:
        check_share("p", self.p)
        if isinstance(self.p, Real) and self.p == 1 and self.rescale:
            raise ValueError("p = 1 leaves no survivors to rescale: use p < 1 or rescale=False")

    def apply(self, W: Any, draw: Any) -> Any:
        return W / (1 - self.p * self.rescale) * (draw >= self.p)

    def exposure(self, trace: float, *, orthonormal: bool) -> float:
        """p, or p/(1-p) rescaled, at the orthonormal optimum. Statements 16, 17."""
        if not orthonormal:
            return float("nan")
        return self.p / (1 - self.p) if self.rescale else self.p

    def _expected(self, p: Problem) -> float | Array:
        spread = (self._row_energies(p) * p.head_energies).sum(axis=-1)
        if self.rescale:
            return p.risk(added=self.p / (1 - self.p) * spread)
        return p.risk((1 - self.p) * p.W, added=self.p * (1 - self.p) * spread)

    def _variance(self, p: Problem) -> float | Array:
        survivors = p.at(p.W / (1 - self.p) if self.rescale else p.W)
        mean = p.at((1 - self.p) * survivors.W)
        own, total, pull = self._quadratic(survivors, mean.pull)
        linear = ((2 * self.p - 1) * own - 2 * pull) ** 2
        pairs = np.maximum(total - (own**2).sum(axis=-1), 0.0)
        spread = self.p * (1 - self.p)
        return p.variance(spread * linear.sum(axis=-1) + 2 * spread**2 * pairs)

    def _distribution(self, p: Problem) -> IndependentOutcomes | NoClosedForm:
        k = p.W.shape[-2]
        if k > MOST_LISTED:
            return NoClosedForm(
                f"2^{k} outcomes are too many to list (k at most {MOST_LISTED}): estimate from draws"
            )
        kept = (np.arange(2**k)[:, None] >> np.arange(k)) & 1
        lost = k - kept.sum(axis=1)
        probabilities = self.p**lost * (1 - self.p) ** (k - lost)
        survivors = p.at(p.W / (1 - self.p) if self.rescale else p.W)
        energies = self._energies(survivors, kept.astype(np.float64))
        if isinstance(energies, NoClosedForm):
            return energies
        return IndependentOutcomes(energies * p.risk_of_energy[..., None, None], probabilities)

    @staticmethod
    @abstractmethod
    def _row_energies(p: Problem) -> Array: ...

    @staticmethod
    @abstractmethod
    def _quadratic(p: Problem, pull: Array) -> tuple[Array, Array, Array]:
        """Of T R in the mask: Q_aa (..., a...), sum_ab Q_ab^2 (...), and B_a for the pull (..., d, k) at the mean."""

    @staticmethod
    @abstractmethod
    def _energies(p: Problem, kept: Array) -> Array | NoClosedForm:
        """T R, but for a constant, of the masks kept (o, k) of each independent part of W, (..., m, o)."""
