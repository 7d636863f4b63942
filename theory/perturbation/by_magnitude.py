"""Loss of a share of the weights, in an order of their magnitudes."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from theory.covariance import EPS
from theory.perturbation.failure import Deterministic, check_share


@dataclass(frozen=True)
class ByMagnitude(Deterministic):
    """The floor(fraction k d) weights that come first in an order of magnitudes set to zero, ties by index."""

    fraction: float
    strength = "fraction"

    def __post_init__(self) -> None:
        check_share("fraction", self.fraction)

    def apply(self, W: Any, draw: Any) -> Any:
        xp = W.__array_namespace__()
        magnitude = xp.reshape(xp.abs(W), (*W.shape[:-2], -1))
        order = xp.argsort(self._order(magnitude), axis=-1, stable=True)
        rank = xp.argsort(order, axis=-1, stable=True)
        return W * xp.reshape(rank >= self._count(magnitude.shape[-1], xp), W.shape)

    def _count(self, size: int, xp: Any) -> Any:
        # 0.29 * 100 and the like round to just below the integer they stand for: by eps of it.
        return xp.floor(self.fraction * size * (1 + 4 * EPS))

    @staticmethod
    @abstractmethod
    def _order(magnitude: Any) -> Any:
        """What to sort by, the first to be lost the least."""
