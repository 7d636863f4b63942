"""Semidefinite programs as evidence: a primal and a dual value on either side of the optimum, from two solvers.

What a solver returns is a hint. Both its points are repaired into feasible ones in numpy (eigenvalues clipped, a
multiplier raised by what its matrix misses), and the values are computed anew from those: they enclose the optimum up
to the rounding of eigendecompositions, however inaccurate the solver was. Only a solution with status optimal is read.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.spectra import task_matrix
from theory.statement import Inconclusive, Instance, Refuted, Supported, Verdict, Witness

Array = NDArray[np.float64]
Repaired = tuple[float, float, float]
"""Primal value, dual value, and the largest violation before the repair."""

SOLVERS: dict[str, dict[str, Any]] = {"CLARABEL": {}, "SCS": {"eps_abs": 1e-8, "eps_rel": 1e-8}}
"""In the order of trust, with their options; the second is a witness against the first."""

TOLERANCE = 1e-6
"""Relative gap up to which a pair settles a value: interior-point solvers stop near 1e-8."""


@dataclass(frozen=True)
class Solution:
    """One solver's repaired values, and by how much its own points (of a problem scaled to 1) missed feasibility."""

    solver: str
    status: str
    primal: float = np.nan
    dual: float = np.nan
    residual: float = np.nan

    @property
    def optimal(self) -> bool:
        return self.status == cp.OPTIMAL

    @property
    def gap(self) -> float:
        return abs(self.dual - self.primal)


@dataclass(frozen=True)
class Pair:
    """Primal and dual values of one problem: the solution of least gap, and what every solver found.

    `scale` is the size of the terms that make up the value, which gaps are relative to.
    """

    problem: str
    scale: float
    solutions: tuple[Solution, ...]
    instance: Instance = field(repr=False, compare=False)

    @property
    def best(self) -> Solution:
        """ValueError if no solver's status is optimal; `verdict` then says Inconclusive."""
        solved = [solution for solution in self.solutions if solution.optimal]
        if not solved:
            statuses = ", ".join(f"{s.solver} says {s.status}" for s in self.solutions)
            raise ValueError(f"{self.problem}: no optimum ({statuses}): rescale the instance")
        return min(solved, key=lambda solution: solution.gap)

    @property
    def primal(self) -> float:
        return self.best.primal

    @property
    def dual(self) -> float:
        return self.best.dual

    @property
    def gap(self) -> float:
        return self.best.gap

    @property
    def solver(self) -> str:
        return self.best.solver


def verdict(pair: Pair, claimed: float, tolerance: float = TOLERANCE) -> Verdict:
    """What the pair says of the claim that the optimal value is `claimed`.

    Refuted if an enclosure excludes it by more than the relative tolerance, Supported if the values also meet to it,
    with minus the larger relative distance of `claimed` to either as the slack; else Inconclusive.
    """
    try:
        best = pair.best
    except ValueError as error:
        return Inconclusive(str(error))
    claimed, scale = float(claimed), max(pair.scale, abs(claimed)) or 1.0
    for solution in pair.solutions:
        low, high = sorted((solution.primal, solution.dual))
        nearest = min(max(claimed, low), high)
        if solution.optimal and abs(claimed - nearest) > tolerance * scale:
            confirmed = f"float: {solution.solver}'s repaired values {low:.9g} and {high:.9g} enclose the optimum"
            return Refuted(Witness(pair.instance, claimed, nearest, confirmed))
    if not best.gap <= tolerance * scale:
        return Inconclusive(f"{pair.problem}: {best.solver} leaves a gap of {best.gap:.3g}")
    distance = max(abs(claimed - best.primal), abs(claimed - best.dual))
    return Supported("sdp", n=1, worst_slack=-float(distance / scale), tightest=pair.instance)


def ky_fan_sdp(G: ArrayLike, k: int) -> Pair:
    """Sum of the k largest eigenvalues of G (n, n) symmetric, 1 <= k <= n.

    Primal max tr(G P) over 0 <= P <= I, tr P = k; dual min k z + tr Y over Y >= 0, Y + z I >= G.
    """
    original = G = _symmetric(G)
    n = len(G)
    if not 1 <= k <= n:
        raise ValueError(f"k = {k} is no number of eigenvalues of a ({n}, {n}) matrix: 1 <= k <= n")
    scale = _scale(G)
    G = G / scale
    P, identity = cp.Variable((n, n), symmetric=True), np.eye(n)
    below, rank = identity - P >> 0, cp.trace(P) == k
    problem = cp.Problem(cp.Maximize(cp.trace(G @ P)), [P >> 0, below, rank])

    def repaired() -> Repaired:
        p, V = np.linalg.eigh(_half(P.value))
        y, U = np.linalg.eigh(_half(below.dual_value))
        z = float(rank.dual_value)
        inside = np.clip(p, 0, 1)
        total = inside.sum()
        if total > k:
            inside = inside * (k / total)
        elif total < k:
            inside = inside + (1 - inside) * (k - total) / (n - total)
        Y = (U * np.maximum(y, 0)) @ U.T
        missing = max(0.0, -_least(Y + z * identity - G))
        residual = max(-p.min(), p.max() - 1, abs(p.sum() - k), -y.min(), missing)
        return float(inside @ ((V.T @ G) * V.T).sum(1)), k * (z + missing) + np.trace(Y), residual

    size = scale * np.abs(np.linalg.eigvalsh(G)).sum()
    return _solve("Ky Fan sum", problem, repaired, scale, size, {"G": original, "k": k})


def nuclear_prox(C: ArrayLike, ridge: float) -> Pair:
    """min over X of 1/2 |C - X|_F^2 + ridge |X|_*, the convex form of statement 26 where k >= the rank of the optimum.

    Dual max 1/2 |C|_F^2 - 1/2 |C - Y|_F^2 over spectral norm |Y| <= ridge.
    """
    original = C = task_matrix(C)
    if not 0 <= ridge < np.inf:
        raise ValueError(f"ridge = {ridge} is not a weight penalty: pass a finite number >= 0")
    scale = _scale(C)
    C, penalty = C / scale, ridge / scale
    d, T = C.shape
    M = cp.Variable((d + T, d + T), symmetric=True)
    lifted = M >> 0
    X = M[:d, d:]
    problem = cp.Problem(
        cp.Minimize(cp.sum_squares(C - X) / 2 + penalty / 2 * cp.trace(M)), [lifted]
    )

    def repaired() -> Repaired:
        # Stationarity in X: C - X = -2 Z_12, Z the multiplier of the lifted matrix.
        Z, lift = _half(lifted.dual_value), _half(M.value)
        U, y, V = np.linalg.svd(-2 * Z[:d, d:], full_matrices=False)
        Y = (U * np.minimum(y, penalty)) @ V
        near = lift[:d, d:]
        primal = ((C - near) ** 2).sum() / 2 + penalty * np.linalg.norm(near, "nuc")
        dual = ((2 * C - Y) * Y).sum() / 2
        return primal, dual, max(y.max() - penalty, -_least(lift))

    size = float(((C * scale) ** 2).sum()) / 2
    return _solve(
        "nuclear prox", problem, repaired, scale**2, size, {"C": original, "ridge": ridge}
    )


def trust_region_sdp(curvature: ArrayLike, pull: ArrayLike, radius: float) -> Pair:
    """max of m' A m + 2 b' m over |m| <= radius, A (n, n) symmetric the curvature, b (n,) the pull. Statement 21.

    Dual (S-lemma): min c with [[u I - A, -b], [-b', c - u radius^2]] >= 0, u >= 0. The primal value is attained at a
    point of the ball, read off the multiplier.
    """
    A, b = _symmetric(curvature), np.asarray(pull, dtype=np.float64)
    if b.shape != (len(A),) or not np.isfinite(b).all():
        raise ValueError(
            f"pull has shape {b.shape}, not ({len(A)},): one finite entry a coordinate"
        )
    if not 0 <= radius < np.inf:
        raise ValueError(f"radius = {radius} is not the size of a ball: pass a finite number >= 0")
    instance = {"curvature": A, "pull": b, "radius": radius}
    A, b = A * radius**2, b * radius
    scale = max(_scale(A), _scale(b))
    size = float(np.abs(A).max() + np.linalg.norm(b))
    A, b = A / scale, b[:, None] / scale
    n = len(A)
    u, c = cp.Variable(nonneg=True), cp.Variable()
    lemma = cp.bmat([[u * np.eye(n) - A, -b], [-b.T, cp.reshape(c - u, (1, 1), order="C")]])
    certificate = lemma >> 0
    problem = cp.Problem(cp.Minimize(c), [certificate])

    def value(m: Array) -> float:
        return float(m @ A @ m + 2 * b[:, 0] @ m)

    def repaired() -> Repaired:
        missing = max(0.0, -_least(_half(lemma.value)), -float(_half(u.value)))
        Z = _half(certificate.dual_value)
        m = Z[:n, n] / Z[n, n]
        v = np.linalg.eigh(Z[:n, :n] / Z[n, n] - np.outer(m, m))[1][:, -1]
        inside = m / max(1.0, np.linalg.norm(m))
        # To the sphere along what the multiplier leaves open, both ways: the hard case.
        along = inside @ v
        root = np.sqrt(along**2 + max(0.0, 1 - inside @ inside))
        ends = (inside + (sign * root - along) * v for sign in (1, -1))
        points = [inside, *(end / max(1.0, np.linalg.norm(end)) for end in ends)]
        residual = max(missing, abs(Z[n, n] - 1), np.trace(Z[:n, :n]) - 1, -_least(Z))
        # Raising u by what is missing, and c by twice that, makes the matrix semidefinite.
        return max(map(value, points)), float(_half(c.value)) + 2 * missing, residual

    return _solve("trust region", problem, repaired, scale, size, instance)


def worst_frobenius_sdp(
    E: ArrayLike, heads: ArrayLike, radius: float, covariance: ArrayLike | None = None
) -> Pair:
    """max over |N|_F <= radius of R(W + N), from E = C - W' heads (d, T), heads (k, T) and S (d, d). Statement 21."""
    E, heads = np.asarray(E, dtype=np.float64), np.asarray(heads, dtype=np.float64)
    d, T = E.shape
    S = np.eye(d) if covariance is None else np.asarray(covariance, dtype=np.float64)
    pull = -(heads @ E.T @ S).ravel(order="F")
    pair = trust_region_sdp(np.kron(S, heads @ heads.T), pull, radius)
    clean = float(np.trace(E.T @ S @ E))
    shifted = tuple(
        replace(s, primal=(s.primal + clean) / T, dual=(s.dual + clean) / T) for s in pair.solutions
    )
    instance = {"E": E, "heads": heads, "radius": radius, "S": S}
    return Pair("worst Frobenius change", (pair.scale + clean) / T, shifted, instance)


def _solve(
    name: str,
    problem: cp.Problem,
    repaired: Callable[[], Repaired],
    unit: float,
    size: float,
    instance: Instance,
) -> Pair:
    """The problem by every solver, its repaired values times `unit`."""
    solutions = []
    for solver, options in SOLVERS.items():
        try:
            with warnings.catch_warnings():
                # "Solution may be inaccurate" is a status too, and statuses are read below.
                warnings.simplefilter("ignore", UserWarning)
                problem.solve(solver=solver, **options)
        except cp.SolverError as error:
            solutions.append(Solution(solver, f"error: {error}".splitlines()[0]))
            continue
        solution = Solution(solver, problem.status)
        if solution.optimal:
            primal, dual, residual = map(float, repaired())
            solution = replace(
                solution, primal=primal * unit, dual=dual * unit, residual=max(0.0, residual)
            )
        solutions.append(solution)
    return Pair(name, float(size), tuple(solutions), instance)


def _symmetric(M: ArrayLike) -> Array:
    """M (n, n) as float64, symmetrised; ValueError unless symmetric to rounding."""
    M = task_matrix(M)
    # A product such as C' C is symmetric to a few eps of its largest entry.
    if M.shape[0] != M.shape[1] or np.abs(M - M.T).max() > 1e-12 * np.abs(M).max():
        raise ValueError(f"a matrix of shape {M.shape} is not symmetric: pass (M + M.T) / 2")
    return (M + M.T) / 2


def _scale(M: Array) -> float:
    """A power of two that brings the largest |entry| into [1/2, 1); 1 for zero."""
    return float(np.ldexp(1.0, np.frexp(np.abs(M).max())[1]))


def _least(M: Array) -> float:
    return float(np.linalg.eigvalsh(M)[0])


def _half(value: Any) -> Array:
    """A solver's value or multiplier as an array, a matrix symmetrised."""
    M = np.asarray(value, dtype=np.float64)
    return (M + M.T) / 2
