"""The optimal multitask linear representation in closed form (theory.md, statements 1, 3 and 26; Daras et al. 2022).

A shared representation W (k, d) and heads (k, T) predict task t of an input x as heads[:, t] . W x; the risk is the
mean over tasks of the squared error, R = |S^(1/2) (C - W^T heads)|_F^2 / T.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from theory.covariance import Array, Covariance, as_covariance
from theory.spectra import check_rank, level_columns, task_matrix

GRAM_CONDITION = 32.0
"""Largest sigma_1 / sigma_k for which the right singular vectors are read off the Gram matrix."""

SUBSET = 256
"""Least number of tasks from which computing few eigenvectors of a Gram matrix saves time over computing all."""

CovarianceLike = Covariance | ArrayLike | None


@dataclass(frozen=True, eq=False)
class Representation:
    """A shared representation W (k, d) with heads (k, T), trained or optimal; task_weights (T,) sum to 1, None: 1/T.

    A stack of them has the same leading axes on W and heads.
    """

    W: Array
    heads: Array
    task_weights: Array | None = None

    @property
    def slope(self) -> Any:
        """|heads|_F^2 / T, tasks weighted: E R(W + sigma N) = R(W) + sigma^2 tr(S) slope (statement 2).

        A float, or (...) for a stack.
        """
        slope = (self.weigh(self.heads) ** 2).sum(axis=(-2, -1)) / self.heads.shape[-1]
        return slope if slope.ndim else float(slope)

    def weigh(self, M: Array) -> Array:
        """M (..., m, T) with column t times sqrt(T pi_t), which turns a weighted risk into a plain one."""
        return M if self.task_weights is None else M * np.sqrt(M.shape[-1] * self.task_weights)


@dataclass(frozen=True, eq=False, kw_only=True)
class OptimalRepresentation(Representation):
    """The optimum: singular_values (k,), the leading ones of S^(1/2) C (weighted), largest first, and its risk.

    The rows of W are the left singular vectors of the product W^T heads; the largest entry of each row is positive.
    """

    singular_values: Array
    risk: float


def risk(W: ArrayLike, heads: ArrayLike, C: ArrayLike, covariance: CovarianceLike = None) -> float:
    """R = |S^(1/2) (C - W^T heads)|_F^2 / T for any W (k, d), heads (k, T), C (d, T)."""
    C = task_matrix(C)
    W, heads = np.asarray(W, dtype=np.float64), np.asarray(heads, dtype=np.float64)
    if W.shape != (len(heads), len(C)) or heads.shape[1:] != C.shape[1:]:
        raise ValueError(
            f"W {W.shape} and heads {heads.shape} do not fit C {C.shape}: W is (k, d), heads (k, T), C (d, T)"
        )
    return _mean_square(as_covariance(covariance, len(C)).factor(C - W.T @ heads), C.shape[1])


def optimal_representation(
    C: ArrayLike,
    k: int,
    *,
    covariance: CovarianceLike = None,
    task_weights: ArrayLike | None = None,
    ridge: float = 0.0,
    balanced: bool = False,
) -> OptimalRepresentation:
    """The k-dimensional representation of least risk for the tasks C (d, T).

    Orthonormal form (the default): W W^T = I and heads the best readout, from the SVD of S^(1/2) C with column t
    scaled by sqrt(T pi_t); of the solutions where S is singular, the one of least norm. Balanced form (`balanced`, or
    any ridge > 0): the minimiser of 1/2 |C - W^T heads|^2 + ridge/2 (|W|^2 + |heads|^2), where W W^T = heads heads^T
    and the product has singular values (sigma_i - ridge)_+ (statement 26).

    For T <= d only the T x T Gram matrix touches all of C, and only to find the k right singular vectors V_k. Values,
    W and heads then come from C V_k itself, so an error in V_k enters values, risk and slope squared. Forming the Gram
    matrix costs the vectors a factor sigma_1 / sigma_k over an SVD; beyond GRAM_CONDITION a QR of C replaces it.

    Raises ValueError for k outside 1..min(d, T), a C that is empty or not finite, weights that are not a
    distribution, and a ridge with S != I or weights, where no closed form is known.
    """
    C = task_matrix(C)
    d, T = C.shape
    k = check_rank(k, C)
    weights = _distribution(task_weights, T)
    S = as_covariance(covariance, d)
    if not ridge >= 0 or ridge == np.inf:
        raise ValueError(f"ridge = {ridge} is not a finite number >= 0")
    if ridge > 0 and not (S.is_identity and weights is None):
        raise ValueError(
            "ridge > 0 has a closed form for S = I and equal task weights only: whiten the inputs first, or use ridge=0"
        )

    weighted = C if weights is None else C * np.sqrt(T * weights)
    scale = _unit(weighted)
    weighted = weighted if scale == 1 else weighted / scale
    A = S.factor(weighted)
    V = _leading_right_vectors(A, k)
    AV = (V.T @ A.T).T  # in this order its columns, the rows of W to be, lie together in memory
    tail = _residual_energy(A, AV, V)

    W, s, readout = _thin_svd(AV if S.is_identity else S.project(weighted @ V))
    heads = s[:, None] * (readout @ V.T)
    singular_values = np.zeros(k)
    singular_values[: len(A)] = (
        s if S.is_identity else np.linalg.svd(_lq(AV.T)[0], compute_uv=False)
    )
    if balanced or ridge > 0:
        shrunk = np.maximum(s - ridge / scale, 0.0)
        tail += float(((s - shrunk) ** 2).sum()) if ridge > 0 else 0.0
        root = np.sqrt(shrunk)
        W, heads = root[:, None] * W, root[:, None] * (readout @ V.T)
    amount = np.sqrt(scale) if balanced or ridge > 0 else 1.0
    W, heads = W if amount == 1 else W * amount, heads * (scale / amount)
    if weights is not None:
        heads = _unweighted_heads(W, heads, C, S, weights)
    return OptimalRepresentation(
        W=W,
        heads=heads,
        task_weights=weights,
        singular_values=singular_values * scale,
        risk=tail / T * scale * scale,
    )


def equal_energy(representation: Representation) -> Representation:
    """The representation rotated, W -> QW and heads -> Q heads, until all neurons have the same head energy.

    The product W^T heads and so the risk stay. Where W W^T = I and the heads are refitted to W, losing neuron i costs
    |gamma^i|^2 / T: the worst loss becomes rho_k / k, the least that any rotation can make it (statement 25).
    """
    W, heads = representation.W, representation.heads
    weighed = representation.weigh(heads)
    T = heads.shape[1]
    rotated = level_columns(np.hstack([weighed, heads, W]).T, rows=T).T
    return Representation(rotated[:, 2 * T :], rotated[:, T : 2 * T], representation.task_weights)


def _unit(M: Array) -> float:
    """1, or where the squares of entries of M leave the middle of float64's range, a power of two near the largest."""
    if 2.0**-600 < float(np.vdot(M, M)) < 2.0**600:
        return 1.0
    return float(np.ldexp(1.0, np.frexp(np.abs(M).max())[1]))


def _leading_right_vectors(A: Array, k: int) -> Array:
    """V_k (T, k), the right singular vectors of A (n, T) for its k largest singular values."""
    n, T = A.shape
    if n >= T:
        energies, V = _leading_eigenvectors(A.T @ A, k)
        if energies[0] * GRAM_CONDITION**2 > energies[-1]:
            return V[:, ::-1]
        A = np.asarray(np.linalg.qr(A, mode="r")) if n > 2 * T else A
    return np.linalg.svd(A, full_matrices=k > n)[2][:k].T


def _leading_eigenvectors(G: Array, k: int) -> tuple[Array, Array]:
    """The k greatest eigenvalues of a symmetric G (n, n), ascending, and their eigenvectors (n, k)."""
    n = len(G)
    if n >= SUBSET and 4 * k <= n:
        from scipy.linalg import eigh

        values, vectors = eigh(G, subset_by_index=[n - k, n - 1], driver="evr", check_finite=False)
        if len(values) == k:  # LAPACK may return fewer of many equal eigenvalues
            return values, vectors
    values, vectors = np.linalg.eigh(G)
    return values[-k:], vectors[:, -k:]


def _thin_svd(M: Array) -> tuple[Array, Array, Array]:
    """W (k, d) orthonormal even where M (d, k) is rank deficient, s (k,), Z (k, k) with M = W^T diag(s) Z."""
    L, Q = _lq(M.T)
    Zt, s, Y = np.linalg.svd(L)
    W = Y @ Q
    largest = np.take_along_axis(W, np.abs(W).argmax(axis=1, keepdims=True), axis=1)
    signs = np.where(largest < 0, -1.0, 1.0)
    W *= signs
    return W, s, Zt.T * signs


def _lq(N: Array) -> tuple[Array, Array]:
    """L (k, k), Q (k, d) with orthonormal rows and N = L Q: for wide N Cholesky's if it will do, else Householder's."""
    k, d = N.shape
    if d >= 1000 * k and (factors := _cholesky_lq(N)):
        return factors
    Q, R = np.linalg.qr(N.T)
    return R.T, Q.T


def _cholesky_lq(N: Array) -> tuple[Array, Array] | None:
    """The same in a fraction of the time, by CholeskyQR2 (Yamamoto et al. 2015); None if N is not well-conditioned.

    The first Cholesky factor of N N^T leaves Q orthonormal to eps cond(N)^2, the second to eps.
    """
    L, Q = np.eye(len(N)), N
    for _ in range(2):
        try:
            factor = np.linalg.cholesky(Q @ Q.T)
        except np.linalg.LinAlgError:
            return None
        if not np.linalg.cond(factor) < 1e3:
            return None
        L, Q = L @ factor, np.linalg.inv(factor) @ Q
    return L, Q


def _residual_energy(A: Array, AV: Array, V: Array) -> float:
    """|A - A V V^T|_F^2, by Pythagoras, or from the residual itself where the difference would cancel."""
    if V.shape[0] == V.shape[1]:
        return 0.0
    total = float(np.vdot(A, A))
    tail = total - float(np.vdot(AV, AV))
    if tail > total / GRAM_CONDITION:
        return tail
    rows = max(1, 2**22 // A.shape[1])
    return sum(
        float(((A[i : i + rows] - AV[i : i + rows] @ V.T) ** 2).sum())
        for i in range(0, len(A), rows)
    )


def _unweighted_heads(
    W: Array, weighted_heads: Array, C: Array, S: Covariance, weights: Array
) -> Array:
    """Heads that predict the tasks themselves: columns divided by sqrt(T pi_t); least squares on W x where pi_t = 0."""
    seen = weights > 0
    heads = np.empty_like(weighted_heads)
    heads[:, seen] = weighted_heads[:, seen] / np.sqrt(len(weights) * weights[seen])
    if not seen.all():
        heads[:, ~seen] = np.linalg.lstsq(S.factor(W.T), S.factor(C[:, ~seen]))[0]
    return heads


def _distribution(weights: ArrayLike | None, T: int) -> Array | None:
    if weights is None:
        return None
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (T,):
        raise ValueError(
            f"task_weights has shape {weights.shape}, there are T = {T} tasks: pass one weight a task"
        )
    if not (weights >= 0).all() or not abs(weights.sum() - 1) <= 1e-9:
        raise ValueError(
            "task_weights are not shares of the data: pass weights >= 0 divided by their sum"
        )
    return weights


def _mean_square(M: Array, T: int) -> float:
    scale = float(np.abs(M).max(initial=0.0)) or 1.0
    return float(((M / scale) ** 2).sum()) / T * scale * scale
