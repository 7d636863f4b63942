"""The representation that expects noise: its energies by water-filling instead of orthonormality (statement 34).

W is hit by sigma N and the heads are refitted for it, so a representation costs min over heads of E R(W + sigma N) =
(|C - W^T heads|^2 + q |heads|^2) / T with S = I and q = d sigma^2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from theory.covariance import Array
from theory.representation import Representation, optimal_representation
from theory.spectra import task_matrix


@dataclass(frozen=True, eq=False, kw_only=True)
class NoiseAwareRepresentation(Representation):
    """W (k, d) and the heads refitted for the noise, energies |w_i|^2 (k,) largest first, and the expected risk."""

    energies: Array
    risk: float


def water_filling(
    C: ArrayLike, k: int, sigma: float, *, energy: float | None = None
) -> NoiseAwareRepresentation:
    """The W (k, d) with |W|_F^2 <= energy (default: k) and heads of least E R(W + sigma N) for C (d, T), S = I.

    W keeps the left singular vectors with energies (sigma_i sqrt(q/mu) - q)_+ that sum to `energy`, q = d sigma^2; the
    risk is (sum_{i<=k} sigma_i^2 q / (w_i^2 + q) + sum_{i>k} sigma_i^2) / T. Statement 34. At sigma = 0, where any W of
    the same row space does, the limit sigma -> 0.
    """
    q = _noise(sigma, len(task_matrix(C)))
    optimum = optimal_representation(C, k)
    energies = water_filling_energies(optimum.singular_values, q, k if energy is None else energy)
    total = np.where(energies + q > 0, energies + q, 1.0)
    gain = np.sqrt(energies)
    lost = float((optimum.singular_values**2 * (q / total)).sum())
    return NoiseAwareRepresentation(
        W=gain[:, None] * optimum.W,
        heads=(gain / total)[:, None] * optimum.heads,
        energies=energies,
        risk=optimum.risk + lost / optimum.heads.shape[1],
    )


def water_filling_energies(singular_values: ArrayLike, q: float, energy: float) -> Array:
    """e_i = (sigma_i sqrt(q/mu) - q)_+ with sum e_i = energy, for singular values (k,) in decreasing order, q >= 0.

    They minimise sum sigma_i^2 q / (e_i + q). Equal energies where every singular value is 0.
    """
    values = np.asarray(singular_values, dtype=np.float64)
    if not (0 <= q < np.inf and 0 < energy < np.inf):
        raise ValueError(
            f"q = {q}, energy = {energy}: pass a finite q >= 0 and a finite energy > 0"
        )
    if values.ndim != 1 or not len(values) or (np.diff(values) > 0).any() or not values[-1] >= 0:
        raise ValueError(
            f"{singular_values!r} are no singular values: pass a vector, largest first"
        )
    if values[0] == 0:
        return np.full(len(values), energy / len(values))
    # With m modes above water, sqrt(q/mu) = (energy + m q) / sum_{j<=m} sigma_j; differences, as q may dwarf energy.
    excess = np.cumsum(values[:, None] - values, axis=1)
    above = energy * values + q * np.diagonal(excess) > 0
    m = int(np.flatnonzero(above)[-1]) + 1
    energies = (energy * values[:m] + q * excess[:m, m - 1]) / values[:m].sum()
    return np.concatenate([np.maximum(energies, 0.0), np.zeros(len(values) - m)])


def refitted_risk(W: ArrayLike, C: ArrayLike, sigma: float) -> float:
    """The least E R(W + sigma N) over heads, for any W (k, d) and C (d, T) with S = I: heads (W W^T + q I)^-1 W C."""
    C = task_matrix(C)
    W = np.asarray(W, dtype=np.float64)
    if W.ndim != 2 or W.shape[1] != len(C):
        raise ValueError(f"W {W.shape} does not fit C {C.shape}: W is (k, d)")
    q = _noise(sigma, len(C))
    # Least squares for [W^T; sqrt(q) I], which does not square the condition of W.
    design = np.vstack([W.T, np.sqrt(q) * np.eye(len(W))])
    target = np.vstack([C, np.zeros((len(W), C.shape[1]))])
    heads = np.linalg.lstsq(design, target)[0]
    return float(((target - design @ heads) ** 2).sum()) / C.shape[1]


def _noise(sigma: float, d: int) -> float:
    if not 0 <= sigma < np.inf:
        raise ValueError(f"sigma = {sigma}: the strength of a failure is a finite number >= 0")
    return d * float(sigma) ** 2
