"""The second moment S = E[x x^T] of the inputs, kept as its eigendecomposition S = P diag(values) P^T.

Every formula of the theory meets S through a factor F = diag(sqrt(values)) P^T: the risk is |F (C - W^T heads)|^2 / T,
and the optimum is an SVD of F C. S = I and a diagonal S store no P, so they cost nothing at d = 100,000; a sample
of inputs is decomposed as it is, without forming (and squaring) its d x d second moment.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Covariance:
    """S = P diag(values) P^T with values (r,) > 0, and P (d, r) orthonormal, or None for coordinate axes (r = d).

    Along coordinate axes values may be zero, so that diagonal matrices keep their order.
    """

    values: Array
    vectors: Array | None = None

    @classmethod
    def of_matrix(cls, S: ArrayLike) -> Self:
        """From a symmetric positive semidefinite S (d, d). Eigenvalues below d eps |S| count as zero."""
        S = np.asarray(S, dtype=np.float64)
        scale = float(np.abs(S).max(initial=0.0))
        if not np.allclose(S, S.T, rtol=0, atol=1e-12 * scale):
            raise ValueError("covariance is not symmetric: pass (S + S.T) / 2")
        values, vectors = np.linalg.eigh(S / (scale or 1.0))
        cutoff = len(S) * EPS * max(float(values[-1]), 0.0)
        if values[0] < -1e-10:
            raise ValueError(
                f"covariance is not positive semidefinite: its least eigenvalue is {values[0] * scale:.3g}; "
                "pass E[x x^T] or a covariance estimated without negative weights"
            )
        kept = values > cutoff
        return cls(values[kept][::-1] * scale, vectors[:, kept][:, ::-1])

    @classmethod
    def of_inputs(cls, X: Any) -> Self:
        """The second moment X^T X / n of a sample X (n, d) of inputs, an array or a scipy sparse matrix."""
        X = np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float64)
        if X.ndim != 2 or not X.size or not np.isfinite(X).all():
            raise ValueError(
                f"inputs need shape (n, d) with n, d >= 1 and finite entries, not {X.shape}"
            )
        n, d = X.shape
        tall = np.linalg.qr(X, mode="r") if n > 2 * d else X
        _, singular_values, Pt = np.linalg.svd(tall, full_matrices=False)
        kept = singular_values > max(n, d) * EPS * singular_values[0]
        return cls(singular_values[kept] ** 2 / n, Pt[kept].T)

    def coordinates(self, M: Array) -> Array:
        """P^T M (..., r, m) for M (..., d, m)."""
        return M if self.vectors is None else self.vectors.T @ M

    def embed(self, M: Array) -> Array:
        """P M (d, m) for M (r, m)."""
        return M if self.vectors is None else self.vectors @ M

    def factor(self, M: Array) -> Array:
        """F M (..., r, m) with F^T F = S, for M (..., d, m)."""
        if self.is_identity:
            return M
        return np.sqrt(self.values)[:, None] * self.coordinates(M)

    def apply(self, M: Array) -> Array:
        """S M (..., d, m) for M (..., d, m)."""
        if self.is_identity:
            return M
        return self.embed(self.values[:, None] * self.coordinates(M))

    def project(self, M: Array) -> Array:
        """The columns of M (d, m) projected onto the range of S: S^+ S M."""
        if self.vectors is None:
            return M if self.values.all() else M * (self.values > 0)[:, None]
        return M if self.vectors.shape[1] == len(self.vectors) else self.embed(self.coordinates(M))

    @property
    def diagonal(self) -> Array:
        """The diagonal of S, (d,)."""
        return self.values if self.vectors is None else self.vectors**2 @ self.values

    @property
    def trace(self) -> float:
        """tr S, the mean squared norm of an input."""
        return float(self.values.sum())

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.values) if self.vectors is None else len(self.vectors)

    @property
    def is_identity(self) -> bool:
        """Whether S = I exactly."""
        return self.vectors is None and bool((self.values == 1).all())


def as_covariance(covariance: "Covariance | ArrayLike | None", d: int) -> Covariance:
    """The covariance a caller meant by None (S = I), a diagonal (d,), a matrix (d, d) or a Covariance."""
    if covariance is None:
        return Covariance(np.ones(d))
    if not isinstance(covariance, Covariance):
        if np.iscomplexobj(covariance):
            raise ValueError("covariance has complex entries: pass the real E[x x^T]")
        S = np.asarray(covariance, dtype=np.float64)
        if S.shape not in ((d,), (d, d)):
            raise ValueError(
                f"covariance has shape {S.shape}, the task matrix d = {d}: pass ({d},) or ({d}, {d})"
            )
        if not np.isfinite(S).all():
            raise ValueError(
                "covariance has NaN or infinite entries: drop or impute the inputs that caused them"
            )
        if S.ndim == 1 and (S < 0).any():
            raise ValueError(
                "covariance has a negative variance on its diagonal: variances are >= 0"
            )
        covariance = Covariance(S) if S.ndim == 1 else Covariance.of_matrix(S)
    if covariance.dimension != d:
        raise ValueError(
            f"covariance is of dimension {covariance.dimension}, the task matrix has d = {d}: use one input space"
        )
    return covariance
