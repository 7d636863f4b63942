"""What the linear theory says of imbalance (theory.md 30): two unit tasks, one dimension, shares of the data.

Setting   c_0, c_1 with correlation r; the best single direction w for data with shares 1 - s and s.
Risks     R_t = 1 - <w, c_t>^2, which sum to 1 - r^2 / D with D = sqrt(1 - 4 s (1 - s)(1 - r^2)). Imbalance lowers the
          risk of the task with the larger share and raises the other's by more: no share is better than 1/2 for both.

It is a negative control: what imbalance does for both languages of a trained model, no linear model can show.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def risks(share: ArrayLike, correlation: ArrayLike) -> tuple[Array, Array]:
    """(R_0, R_1) where task 1 has this share of the data; arrays broadcast. Where D = 0, any w is best: their mean."""
    s, r = np.broadcast_arrays(np.asarray(share, np.float64), np.asarray(correlation, np.float64))
    if not ((s >= 0) & (s <= 1) & (np.abs(r) <= 1)).all():
        raise ValueError("give shares from 0 to 1 and correlations from -1 to 1")
    # sqrt(1 - 4 s (1 - s)(1 - r^2)) without cancellation.
    D = np.hypot(r, np.sqrt(1 - r**2) * (1 - 2 * s))
    with np.errstate(invalid="ignore", divide="ignore"):
        by_task = [
            np.where(D > 0, 1 - (own + (1 - own) * r**2 - (1 - D) / 2) / D, 0.5)
            for own in (1 - s, s)
        ]
    return by_task[0], by_task[1]
