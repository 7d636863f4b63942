"""The risk that a failure perturbs, and the answer where nothing is known of it."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from theory.covariance import Array, Covariance, as_covariance
from theory.representation import CovarianceLike, Representation
from theory.spectra import task_matrix


@dataclass(frozen=True)
class NoClosedForm:
    """The answer where no closed form is known; `reason` says why and what to do instead."""

    reason: str


Answer = float | Array | NoClosedForm
"""A risk, the risks (...) of a stack of models, or why there is none."""


@dataclass(frozen=True, eq=False)
class Problem:
    """The risk to perturb: tasks and heads weighted, and divided by scale (...) so that their squares stay in range."""

    W: Array
    heads: Array
    C: Array
    S: Covariance
    scale: Array

    @classmethod
    def posed(cls, rep: Representation, C: ArrayLike, covariance: CovarianceLike) -> "Problem":
        C, heads = rep.weigh(task_matrix(C, batch=True)), rep.weigh(rep.heads)
        *stack, d, T = C.shape
        k = heads.shape[-2]
        if rep.W.shape != (*stack, k, d) or heads.shape != (*stack, k, T):
            raise ValueError(
                f"W {rep.W.shape} and heads {heads.shape} do not fit C {C.shape}: "
                "W is (k, d), heads (k, T), C (d, T), each with the same leading axes for a stack"
            )
        scale = np.maximum(np.abs(C).max(axis=(-2, -1)), np.abs(heads).max(axis=(-2, -1)))
        scale = np.where(scale > 0, scale, 1.0)
        unit = scale[..., None, None]
        return cls(rep.W, heads / unit, C / unit, as_covariance(covariance, d), scale)

    @cached_property
    def error(self) -> Array:
        """E = C - W^T heads, (..., d, T)."""
        return self.C - self.W.mT @ self.heads

    @property
    def head_energies(self) -> Array:
        """|gamma^i|^2 of each row of the heads, (..., k)."""
        return (self.heads**2).sum(axis=-1)

    @property
    def head_products(self) -> Array:
        """G = heads heads^T, (..., k, k)."""
        return self.heads @ self.heads.mT

    @property
    def pull(self) -> Array:
        """B = S E heads^T, (..., d, k): to first order a change N of W adds -2 <N, B^T> to T R."""
        return self.S.apply(self.error) @ self.heads.mT

    def risk(self, W: Array | None = None, added: float | Array = 0.0) -> float | Array:
        """R with weights W (default: its own), plus an energy (...) added to T R."""
        error = self.error if W is None else self.C - W.mT @ self.heads
        energy = (self.S.factor(error) ** 2).sum(axis=(-2, -1)) + added
        risk = energy / self.C.shape[-1] * self.scale * self.scale
        return risk if risk.ndim else float(risk)

    def variance(self, energy_variance: Array) -> float | Array:
        """Var R for the variance (...) of T R / scale^2."""
        variance = energy_variance * self.risk_of_energy**2
        return variance if variance.ndim else float(variance)

    @property
    def risk_of_energy(self) -> Array:
        """What an energy, of tasks and heads divided by scale, adds to R: scale^2 / T, (...)."""
        return self.scale * self.scale / self.C.shape[-1]

    def at(self, W: Array) -> "Problem":
        """The same with other weights."""
        return replace(self, W=W)


def weight_energies(p: Problem) -> Array:
    """sum_j S_jj W_ij^2 of each row, (..., k)."""
    return p.W**2 @ p.S.diagonal


def coupling(p: Problem) -> Array:
    """sum (W_ij W_i'j' G_ii' S_jj')^2 over all pairs of weights, G = heads heads^T, (...)."""
    squares = p.W**2
    mixed = p.head_products**2 @ squares
    if p.S.vectors is None:
        return (squares * mixed * p.S.values**2).sum(axis=(-2, -1))
    S = p.S.apply(np.eye(p.S.dimension))
    return ((squares.mT @ mixed) * S**2).sum(axis=(-2, -1))


def flat(M: Array) -> Array:
    """M (..., m, n) as (..., m n)."""
    return M.reshape(*M.shape[:-2], -1)
