"""Loss of the least weights."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from theory.covariance import Array
from theory.perturbation.by_magnitude import ByMagnitude
from theory.perturbation.failure import Names


@dataclass(frozen=True)
class MagnitudePruning(ByMagnitude):
    """The floor(fraction k d) weights of least magnitude set to zero, ties by index. Statement 23."""

    name = "magnitude-pruning"
    names: ClassVar[Names] = {"magnitude-pruning": {}}

    @staticmethod
    def _order(magnitude: Any) -> Any:
        return magnitude

    def _reach(self, W: Array) -> Array:
        # The least q n of n squares sum to at most q times their total.
        n = W.shape[-2] * W.shape[-1]
        reach: Array = np.sqrt(self._count(n, np) / n) * np.linalg.norm(W, axis=(-2, -1))
        return reach
