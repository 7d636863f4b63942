"""Weights rounded to a grid."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from theory.covariance import Array
from theory.perturbation.failure import Deterministic, Names


@dataclass(frozen=True)
class Quantisation(Deterministic):
    """Weights rounded to whole multiples of max|W| / (2^(bits-1) - 1), signed integers of `bits` bits. Statement 24.

    bits = inf: no rounding. With per_row every row (neuron, output channel) has a step of its own, out of its maximum.
    """

    bits: float
    per_row: bool = False
    name = "quantisation"
    names: ClassVar[Names] = {
        "quantisation": {},
        "quantisation-per-channel": {"per_row": True},
    }
    strength = "bits"
    harmless = float("inf")

    @classmethod
    def damage_scale(cls, strength: Any) -> Any:
        """The step, 1/(2^(bits-1) - 1) of the greatest weight."""
        return 1 / (2 ** (strength - 1) - 1)

    def __post_init__(self) -> None:
        number = isinstance(self.bits, Real)
        if number and not ((2 <= self.bits <= 1024 and self.bits % 1 == 0) or self.bits == np.inf):
            raise ValueError(
                f"bits = {self.bits}: a signed integer has 2, 3, ... or 1024 bits (inf: no rounding)"
            )

    def step(self, W: Any) -> Any:
        """The distance between neighbouring levels, (..., 1, 1), or (..., k, 1) per row."""
        xp = W.__array_namespace__()
        together = -1 if self.per_row else (-2, -1)
        return xp.max(xp.abs(W), axis=together, keepdims=True) / (2.0 ** (self.bits - 1) - 1)

    def apply(self, W: Any, draw: Any) -> Any:
        xp = W.__array_namespace__()
        step = self.step(W)
        rounded = xp.round(W / xp.where(step > 0, step, 1.0)) * step
        return xp.where(step > 0, rounded, W)

    def _reach(self, W: Array) -> Array:
        # Half a step for each weight.
        if self.per_row:
            return np.sqrt(W.shape[-1]) / 2 * np.linalg.norm(self.step(W)[..., 0], axis=-1)
        reach: Array = np.sqrt(W.shape[-2] * W.shape[-1]) / 2 * self.step(W)[..., 0, 0]
        return reach
