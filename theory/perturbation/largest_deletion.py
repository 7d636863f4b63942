"""Loss of the greatest weights."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from theory.covariance import Array
from theory.perturbation.by_magnitude import ByMagnitude
from theory.perturbation.failure import Names


@dataclass(frozen=True)
class LargestDeletion(ByMagnitude):
    """The floor(fraction k d) weights of greatest magnitude set to zero, ties by index."""

    name = "largest-deletion"
    names: ClassVar[Names] = {"largest-deletion": {}}

    @staticmethod
    def _order(magnitude: Any) -> Any:
        return -magnitude

    def _reach(self, W: Array) -> Array:
        # The greatest of n squares may hold their whole total: no bound is shorter than the change itself.
        reach: Array = np.linalg.norm(W - self.apply(W, None), axis=(-2, -1))
        return reach
