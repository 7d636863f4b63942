"""Singular values of the task matrix C and what is read off them: norms, slopes, limits, orders.

C is (d, T); where a docstring says (..., d, T), a stack of matrices is taken too. Entries from
1e-150 to 1e150 neither overflow nor underflow. An object array of mpmath numbers is computed with
in their precision, which is how a counterexample is confirmed.
"""

import operator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def is_multiprecision(C: Any) -> bool:
    """Whether C is an array of mpmath numbers, told by the context that each of them carries."""
    return (
        isinstance(C, np.ndarray)
        and C.dtype == object
        and C.size > 0
        and hasattr(C.flat[0], "context")
    )


def task_matrix(C: ArrayLike, *, batch: bool = False) -> Array:
    """C as float64 (d, T), with batch (..., d, T); ValueError unless real, finite, d, T >= 1."""
    multiprecision = is_multiprecision(C)
    try:
        if np.iscomplexobj(C):
            raise TypeError("complex entries")
        matrix: Any = C if multiprecision else np.asarray(C, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"C is no (d, T) array of real numbers ({error}): pass floats, one column per task"
        ) from error
    if not (matrix.ndim == 2 or (batch and matrix.ndim > 2)):
        wanted = "(d, T) or (..., d, T)" if batch else "(d, T)"
        raise ValueError(
            f"C has shape {matrix.shape}, not {wanted}: pass one column per task (even for one)"
        )
    if 0 in matrix.shape[-2:]:
        raise ValueError(
            f"C has shape {matrix.shape}: pass at least one task and one input dimension"
        )
    if multiprecision:
        return matrix
    # A sum of squares is finite only if its terms are; the closer look is for large ones and for the message.
    if not np.isfinite(np.vdot(matrix, matrix)) and not np.isfinite(matrix).all():
        where = tuple(int(index) for index in np.argwhere(~np.isfinite(matrix))[0])
        raise ValueError(f"C{list(where)} is {matrix[where]}: drop that task or repair its entry")
    return matrix


def check_rank(k: int, C: Array) -> int:
    """k as an int with 1 <= k <= min(d, T), for C of shape (..., d, T); ValueError otherwise."""
    d, T = C.shape[-2:]
    try:
        rank = None if isinstance(k, bool | np.bool_) else operator.index(k)
    except TypeError:
        rank = None
    if rank is None or not 1 <= rank <= min(d, T):
        raise ValueError(
            f"k={k!r} is not a representation dimension for d={d}, T={T}: "
            f"pass an integer from 1 to {min(d, T)}"
        )
    return rank


def singular_values(C: ArrayLike) -> Array:
    """Singular values of C (..., d, T) in decreasing order, shape (..., min(d, T))."""
    return _singular_values(task_matrix(C, batch=True))


def _singular_values(matrix: Array) -> Array:
    if matrix.dtype == object:
        return _multiprecision_singular_values(matrix)
    if matrix.ndim == 2 and matrix.size <= _REMEMBERED_SIZE:
        return _remembered(matrix.shape, matrix.tobytes()).copy()
    return _float_singular_values(matrix)


_REMEMBERED_SIZE = 4096


@lru_cache(maxsize=256)
def _remembered(shape: tuple[int, ...], entries: bytes) -> Array:
    """A claim asks for the spectrum of one matrix again and again: for each k, each norm, each task left out."""
    return _float_singular_values(np.frombuffer(entries).reshape(shape))


def _float_singular_values(matrix: Array) -> Array:
    # A power of two scales without rounding.
    exponent = np.asarray(np.frexp(np.abs(matrix).max(axis=(-2, -1)))[1])
    values = np.linalg.svd(np.ldexp(matrix, -exponent[..., None, None]), compute_uv=False)
    return np.ldexp(values, exponent[..., None])


def _multiprecision_singular_values(matrix: NDArray[Any]) -> Any:
    if matrix.ndim > 2:
        return np.array([_multiprecision_singular_values(C) for C in matrix], dtype=object)
    context = matrix.flat[0].context
    largest = np.abs(matrix).max()
    if largest == 0:
        return np.array([context.zero] * min(matrix.shape), dtype=object)
    values = context.svd_r(context.matrix((matrix / largest).tolist()), compute_uv=False)
    return np.array(sorted(values, reverse=True), dtype=object) * largest


def _number(values: Any) -> Any:
    return values if np.ndim(values) else np.asarray(values).item()


def ky_fan(C: ArrayLike, k: int) -> Any:
    """Ky Fan norm sum_{i<=k} sigma_i of C (..., d, T): a float, or (...) for a stack."""
    matrix = task_matrix(C, batch=True)
    return _number(_singular_values(matrix)[..., : check_rank(k, matrix)].sum(axis=-1))


def schatten(C: ArrayLike, p: float) -> Any:
    """Schatten norm (sum_i sigma_i^p)^(1/p) of C (d, T), 1 <= p <= inf: nuclear to spectral."""
    if not p >= 1:
        raise ValueError(f"p={p!r} gives no Schatten norm: pass 1 <= p <= inf")
    values = _singular_values(task_matrix(C))
    largest = _number(values[0])
    if largest == 0 or np.isinf(p):
        return largest
    return largest * _number(((values / largest) ** p).sum() ** (1 / p))


def slopes(C: ArrayLike) -> Array:
    """Slopes rho_1, ..., rho_min(d,T) of C (..., d, T), shape (..., min(d, T)); statement 3."""
    return _slopes(task_matrix(C, batch=True))


def _slopes(matrix: Array) -> Array:
    return np.cumsum(_singular_values(matrix) ** 2, axis=-1) / matrix.shape[-1]


def slope(C: ArrayLike, k: int) -> Any:
    """Slope rho_k = (1/T) sum_{i<=k} sigma_i^2 of C (..., d, T): a float, or (...) for a stack.

    Statement 3.
    """
    matrix = task_matrix(C, batch=True)
    return _number(_slopes(matrix)[..., check_rank(k, matrix) - 1])


def balanced_slope(C: ArrayLike, k: int, ridge: float = 0.0) -> Any:
    """Balanced slope beta_k = (1/T) sum_{i<=k} (sigma_i - ridge)_+ of C (..., d, T).

    A float, or (...) for a stack; ridge is the penalty lambda >= 0 of statement 26.
    """
    if not 0 <= ridge < np.inf:
        raise ValueError(f"ridge={ridge!r} is not a weight penalty: pass a finite number >= 0")
    matrix = task_matrix(C, batch=True)
    kept = _singular_values(matrix)[..., : check_rank(k, matrix)]
    return _number(np.maximum(kept - ridge, 0).sum(axis=-1) / matrix.shape[-1])


def _aspect(tau: float) -> float:
    if not 0 < tau < np.inf:
        raise ValueError(f"tau={tau!r} is not a ratio of tasks to dimensions: pass 0 < T/d < inf")
    return float(tau)


def marchenko_pastur_density(x: ArrayLike, tau: float) -> Array:
    """Density at x of the eigenvalues of C^T C (T x T), C iid N(0, 1/d), T/d -> tau; statement 14.

    It is 0 outside the open support ((1 - sqrt tau)^2, (1 + sqrt tau)^2). For tau > 1 its mass is
    1/tau: the other 1 - 1/tau is an atom at 0.
    """
    tau = _aspect(tau)
    points = np.asarray(x, dtype=np.float64)
    low, high = (1 - np.sqrt(tau)) ** 2, (1 + np.sqrt(tau)) ** 2
    inside = (low < points) & (points < high)
    safe = np.where(inside, points, (low + high) / 2)
    return np.where(inside, np.sqrt((high - safe) * (safe - low)) / (2 * np.pi * tau * safe), 0.0)


def _upper_mass(theta: float, root: float) -> float:
    """Mass above x = 1 + tau + 2 sqrt(tau) cos(theta), for root = sqrt(tau) <= 1.

    In theta the law has density (2/pi) sin^2 / (1 + tau + 2 sqrt(tau) cos). Expand the fraction in
    Chebyshev polynomials of the second kind, integrate, sum with log(1 + root e^{i theta}).
    """
    if root < 1e-3:  # the closed form loses eps/root to cancellation, these terms root^6
        n = np.arange(2, 8)
        tail = float((np.sin(n * theta) / n * (-root) ** (n - 2)).sum())
    else:
        angle = np.arctan2(root * np.sin(theta), 1 + root * np.cos(theta))
        tail = float(root * np.sin(theta) - angle) / root**2
    return float(theta - root * np.sin(theta) - (1 - root**2) * tail) / np.pi


def marchenko_pastur_partial_mean(tau: float, kappa: float) -> float:
    """Limit of rho_k(C), C (d, T) iid N(0, 1/d), T/d -> tau, k/T -> kappa in [0, 1]; statement 14.

    The integral of x over (q, b) against the Marchenko-Pastur law of C^T C, where (q, b) has mass
    kappa. Beyond kappa = 1/tau only zero eigenvalues are left, and it stays at 1.
    """
    tau = _aspect(tau)
    if not 0 <= kappa <= 1:
        raise ValueError(f"kappa={kappa!r} is not a share of the spectrum: pass 0 <= k/T <= 1")
    # C^T C and C C^T share their nonzero spectrum: tau > 1 is 1/tau with its mass divided by tau.
    mass, root = kappa * max(1.0, tau), float(np.sqrt(min(tau, 1 / tau)))
    if mass >= 1:
        return 1.0
    if mass == 0:
        return 0.0
    from scipy.optimize import brentq

    theta: Any = brentq(lambda angle: _upper_mass(angle, root) - mass, 0.0, np.pi, xtol=1e-15)
    return float(theta - np.sin(theta) * np.cos(theta)) / np.pi


def majorises(x: ArrayLike, y: ArrayLike) -> bool:
    """Whether x (n,) majorises y (n,): equal sums, and no m largest of y sum to more than of x.

    Partial sums are compared up to their rounding, 4 n eps sum(|x| + |y|).
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (x, y))
    if first.ndim != 1 or first.shape != second.shape or first.size == 0:
        raise ValueError(
            f"majorisation needs two vectors of one length, got shapes {first.shape} and "
            f"{second.shape}: pad the shorter with zeros"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("majorisation needs finite vectors, got nan or inf: repair those entries")
    gaps = np.cumsum(np.sort(first)[::-1]) - np.cumsum(np.sort(second)[::-1])
    rounding = 4 * first.size * np.finfo(float).eps * float(np.abs([first, second]).sum())
    return bool((gaps >= -rounding).all() and abs(gaps[-1]) <= rounding)


def level_columns(M: ArrayLike, rows: int | None = None) -> Array:
    """M (n, m) with its columns rotated into one another until those of M[:rows] have one norm.

    At most m - 1 plane rotations (Bendel & Mickey 1978), each of which settles one column: the flat end of the
    Schur-Horn theorem, M Q with Q orthogonal and the diagonal of Q^T M^T M Q constant; statement 25.
    """
    level = np.array(M, dtype=np.float64)
    measured = level[:rows]
    scale = float(np.abs(measured).max(initial=0.0)) or 1.0
    for _ in range(level.shape[1] - 1):
        energies = ((measured / scale) ** 2).sum(axis=0)
        excess = energies - energies.mean()
        i, j = int(np.argmin(excess)), int(np.argmax(excess))
        if not excess[i] < 0 < excess[j]:
            break
        # Column i becomes (m_i + t m_j) / sqrt(1 + t^2), of the mean energy for the smaller root t.
        cross = float((measured[:, i] / scale) @ (measured[:, j] / scale))
        root = np.sqrt(cross**2 - excess[i] * excess[j])
        tangent = -excess[i] / (cross + np.copysign(root, cross))
        rotation = np.array([[1, -tangent], [tangent, 1]]) / np.hypot(1, tangent)
        level[:, [i, j]] = level[:, [i, j]] @ rotation
    return level


def coherence(C: ArrayLike) -> float:
    """Largest |cos| between two different tasks of C (d, T), 0 for one task; statement 9.

    A zero column has no direction: ValueError.
    """
    matrix = task_matrix(C)
    largest = np.abs(matrix).max(axis=0)
    if not largest.all():
        column = int(np.argmin(largest))
        raise ValueError(
            f"task {column} is zero and has no correlation with others: drop column {column} of C"
        )
    unit = matrix / largest
    unit /= np.linalg.norm(unit, axis=0)
    cosines = np.abs(unit.T @ unit)
    np.fill_diagonal(cosines, 0.0)
    return min(1.0, float(cosines.max()))
