"""What every structural failure is: its names, its strength, what it draws, what the draw does, what it costs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from theory.covariance import Array
from theory.distribution import Distribution
from theory.perturbation.ball import worst_in_frobenius_ball
from theory.perturbation.problem import Answer, NoClosedForm, Problem
from theory.representation import CovarianceLike, Representation

Names = Mapping[str, Mapping[str, Any]]
"""Recorded names with the options that each stands for."""


class Perturbation(ABC):
    """A structural failure of W: what it draws, what the draw does, and the risk it causes."""

    name: str
    randomness: ClassVar[Literal["normal", "uniform", "none"]]
    names: ClassVar[Names] = {}
    """What it is called where it is recorded, which never changes, and the options that each name stands for."""
    relative_names: ClassVar[tuple[str, ...]] = ()
    """Under these its strength is in standard deviations of each tensor that fails."""
    strength: ClassVar[str]
    """The field that is its strength."""
    traced: ClassVar[tuple[str, ...]] = ()
    """The fields that are numbers in a compiled program, the others being part of it. Empty: the strength alone."""
    harmless: ClassVar[float] = 0.0
    """The strength that changes nothing."""
    of_neurons: ClassVar[bool] = False
    """Whether it is a neuron, with all its weights, that fails or does not."""
    adversarial: ClassVar[bool] = False
    """Whether its worst draw is what counts."""

    @classmethod
    def named(cls, name: str, strength: Any) -> "Perturbation":
        """The failure that is recorded under one of its names, of this strength."""
        return cls(**cls.names.get(name, {}), **{cls.strength: strength})

    @classmethod
    def damage_scale(cls, strength: Any) -> Any:
        """A strength as a number that grows from 0 with the damage."""
        return strength

    def exposure(self, trace: float, *, orthonormal: bool) -> float:
        """What multiplies the spectral slope in the damage R' - R at an optimum of inputs with this tr S.

        NaN where the damage is no multiple of the slope. orthonormal: at the orthonormal optimum with S = I.
        """
        return float("nan")

    def draw_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the draw for weights of this shape (..., k, d)."""
        return shape

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array | None:
        """The random numbers for weights of this shape: standard normal, uniform in [0, 1), or None."""
        if self.randomness == "none":
            return None
        shape = self.draw_shape(shape)
        return rng.standard_normal(shape) if self.randomness == "normal" else rng.random(shape)

    @abstractmethod
    def apply(self, W: Any, draw: Any) -> Any:
        """The failed weights, in the array type of W, for a draw of `draw_shape`."""

    def sample(self, W: Array, rng: np.random.Generator) -> Array:
        """One failed copy of W (..., k, d)."""
        failed: Array = self.apply(W, self.draw(W.shape, rng))
        return failed

    def expected_risk(
        self, representation: Representation, C: ArrayLike, covariance: CovarianceLike = None
    ) -> Answer:
        """E R over the draw, for any representation of the tasks C (..., d, T)."""
        return self._expected(Problem.posed(representation, C, covariance))

    def worst_risk(
        self, representation: Representation, C: ArrayLike, covariance: CovarianceLike = None
    ) -> Answer:
        """The largest R that any draw can cause."""
        return self._worst(Problem.posed(representation, C, covariance))

    def risk_variance(
        self, representation: Representation, C: ArrayLike, covariance: CovarianceLike = None
    ) -> Answer:
        """Var R of one draw, exact for any representation of the tasks C (..., d, T)."""
        return self._variance(Problem.posed(representation, C, covariance))

    def risk_distribution(
        self, representation: Representation, C: ArrayLike, covariance: CovarianceLike = None
    ) -> Distribution | NoClosedForm:
        """The law of R - E R over the draw, where it is a sum of independent parts that can be listed."""
        return self._distribution(Problem.posed(representation, C, covariance))

    @abstractmethod
    def _expected(self, p: Problem) -> Answer: ...

    def _variance(self, p: Problem) -> Answer:
        return NoClosedForm(
            f"the variance of the risk under {self.name} is not known: estimate it from draws"
        )

    def _distribution(self, p: Problem) -> Distribution | NoClosedForm:
        return NoClosedForm(
            f"the law of the risk under {self.name} is not known: estimate it from draws"
        )

    def _worst(self, p: Problem) -> Answer:
        return NoClosedForm(
            f"{self.name} has no worst case in closed form: its draws are unbounded or as many as subsets "
            "of the weights; use Adversarial with the norm of change you fear"
        )


@dataclass(frozen=True)
class Deterministic(Perturbation):
    """A failure that is a function of W: its expected and its worst risk are the risk after it."""

    randomness = "none"

    def _expected(self, p: Problem) -> float | Array:
        return p.risk(self.apply(p.W, None))

    def _worst(self, p: Problem) -> float | Array:
        return self._expected(p)

    def _variance(self, p: Problem) -> float | Array:
        return p.variance(np.zeros(p.scale.shape))

    def risk_bound(
        self, representation: Representation, C: ArrayLike, covariance: CovarianceLike = None
    ) -> float | Array:
        """The largest risk of any change of W no longer than this failure's can be (statements 23, 24).

        That is statement 21 with the failure's reach as radius. At the orthonormal optimum with S = I it is
        R* + q k sigma_1^2 / T for pruning the fraction q and R* + (step^2 / 4) d k sigma_1^2 / T for rounding.
        """
        p = Problem.posed(representation, C, covariance)
        return worst_in_frobenius_ball(p, self._reach(p.W))

    @abstractmethod
    def _reach(self, W: Array) -> Array:
        """A bound (...) on the Frobenius norm of the change of W."""


def check_size(name: str, value: Any) -> None:
    # Traced values pass: they have no number to check until they run.
    if isinstance(value, Real) and not 0 <= float(value) < np.inf:
        raise ValueError(f"{name} = {value}: the strength of a failure is a finite number >= 0")


def check_share(name: str, value: Any) -> None:
    if isinstance(value, Real) and not 0 <= float(value) <= 1:
        raise ValueError(f"{name} = {value}: a share lies between 0 and 1")
