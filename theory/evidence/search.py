"""Falsification: instances of every geometry and corner, then ascent on the violation from the tightest of them.

`falsify` answers Refuted only with a witness that survived `theory.evidence.witness`; otherwise Supported, with how
many instances were tried and the tightest. Equal arguments try the same instances in the same order, and only a
deadline cuts them.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from theory import geometry
from theory.evidence import witness
from theory.statement import Inconclusive, Instance, Refuted, Statement, Supported

Array = NDArray[np.float64]
Profile = Literal["quick", "full"]


@dataclass(frozen=True)
class Effort:
    """How much one search tries."""

    shapes: tuple[tuple[int, int], ...]
    draws: int  # per geometry and shape
    integers: int  # matrices of -1, 0, 1 per shape; all where there are no more
    generated: int  # instances from a statement's own generator
    starts: int  # of ascents
    calls: int  # evaluations per ascent
    seconds: float


def _shapes(largest: int) -> tuple[tuple[int, int], ...]:
    square = product(range(1, largest + 1), range(1, largest + 1))
    return tuple(sorted(square, key=lambda shape: (shape[0] * shape[1], shape)))


EFFORT: dict[str, Effort] = {
    "quick": Effort((*_shapes(3), (2, 6), (5, 4), (4, 6), (12, 8)), 1, 81, 150, 8, 200, 2.0),
    "full": Effort((*_shapes(6), (3, 9), (12, 8), (8, 12)), 2, 243, 1500, 60, 600, 10.0),
}
SCALES = (1e-150, 1e-100, 1e-30, 1e-12, 1e-4, 1e4, 1e12, 1e30, 1e100, 1e150)


def effort(profile: str) -> Effort:
    """The effort of a profile; ValueError for an unknown one."""
    if profile not in EFFORT:
        raise ValueError(f"unknown profile {profile!r}: use {' or '.join(EFFORT)}")
    return EFFORT[profile]


# --- instances -------------------------------------------------------------------------------------------------------


def instances(statement: Statement, seed: int = 0, profile: str = "quick") -> Iterator[Instance]:
    """Admissible instances: the statement's own, else integers, corners and every geometry, with every k."""
    yield from (instance for instance, _ in _admitted(statement, seed, profile))


def _admitted(statement: Statement, seed: int, profile: str) -> Iterator[tuple[Instance, str]]:
    """Admissible instances, each with the name of the retraction that keeps its C admissible."""
    if statement.generate is not None:
        rng = np.random.default_rng(seed)
        unit = any(condition.name == "unit_tasks" for condition in statement.conditions())
        retraction = "columns" if unit else "none"
        for i in range(effort(profile).generated):
            instance = statement.generate(rng, i)
            if instance is not None and _admits(statement, instance):
                yield instance, retraction
        return
    first = _generic_retraction(statement, np.random.default_rng(seed))
    names = sorted(RETRACTIONS, key=lambda name: name != first)
    for C in matrices(seed, profile):
        for k in range(1, min(C.shape) + 1):
            for name in names:
                near = RETRACTIONS[name](C)
                if near is not None and _admits(statement, {"C": near, "k": k}):
                    yield {"C": near, "k": k}, name
                    break


def _generic_retraction(statement: Statement, rng: np.random.Generator) -> str:
    """The first retraction that makes some generic matrix admissible."""
    drawn = [rng.standard_normal((d, T)) for d, T in _shapes(4)]
    for name, retract in RETRACTIONS.items():
        for C in map(retract, drawn):
            if C is not None and any(
                _admits(statement, {"C": C, "k": k}) for k in range(1, min(C.shape) + 1)
            ):
                return name
    return "none"


def _admits(statement: Statement, instance: Instance) -> bool:
    try:
        with np.errstate(all="ignore"):
            return statement.admits(instance)
    except Exception as error:
        raise ValueError(
            f"{statement.id}: a hypothesis raises {type(error).__name__}: {error}"
        ) from error


def matrices(seed: int, profile: str) -> Iterator[Array]:
    """Task matrices: corners and small integers at every shape, then every geometry, then extreme scales."""
    given = effort(profile)
    rng = np.random.default_rng(seed)
    for d, T in given.shapes:
        yield from _corners(d, T)
        yield from _integers(d, T, given.integers, rng)
    for draw in range(given.draws):
        for d, T in given.shapes:
            for kind in geometry.existing(d, T):
                if kind != "adversarial" or draw == 0:
                    yield geometry.sample(kind, d, T, seed + draw)
    for scale in SCALES:
        for d, T in given.shapes:
            if d * T <= 6:
                yield from (scale * C for C in _corners(d, T))
                yield scale * geometry.sample("gaussian", d, T, seed)


def _corners(d: int, T: int) -> Iterator[Array]:
    """Equal, nearly equal and vanishing singular values; equal and vanishing tasks."""
    r = min(d, T)
    sigmas = [np.ones(r), np.arange(r, 0.0, -1)]
    if r > 1:
        first = np.zeros(r)
        first[0] = 1
        sigmas += [first, 1 + first, 2 - first[::-1], 1 - first[::-1], np.ones(r) + 1e-9 * first]
    for sigma in sigmas:
        C = np.zeros((d, T))
        np.fill_diagonal(C, sigma)
        yield C
    yield np.ones((d, T))
    yield np.zeros((d, T))
    if T > 1:
        axes = np.eye(d)[:, np.arange(T) % d]
        yield axes  # as many copies of each axis as fit
        yield np.eye(d)[:, np.minimum(np.arange(T), d - 1)]  # one axis many times
        yield np.hstack([np.eye(d, T - 1), np.zeros((d, 1))])
        yield geometry.sample("tight-frame", d, T, 0)
    if d > 1:
        Q, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, d), d))
        yield Q[:, np.arange(T) % d]


def _integers(d: int, T: int, most: int, rng: np.random.Generator) -> Iterator[Array]:
    if 3 ** (d * T) <= most:
        for entries in product((0.0, 1.0, -1.0), repeat=d * T):
            yield np.array(entries).reshape(d, T)
    else:
        for _ in range(min(most, 20)):
            yield rng.integers(-1, 1, size=(d, T), endpoint=True).astype(float)


def _unit_columns(C: Array) -> Array | None:
    norms = np.linalg.norm(C, axis=0)
    return C / norms if norms.all() else None


def _polar(C: Array) -> Array | None:
    left, _, right = np.linalg.svd(C, full_matrices=False)
    return left @ right


def _unit_norm(C: Array) -> Array | None:
    norm = np.linalg.norm(C)
    return C / norm if norm else None


RETRACTIONS: dict[str, Callable[[Array], Array | None]] = {
    "none": lambda C: C,
    "columns": _unit_columns,
    "orthonormal": _polar,
    "norm": _unit_norm,
}
"""Ways to make C admissible when the hypotheses fix norms; the first that does is kept during ascent."""


# --- falsification ---------------------------------------------------------------------------------------------------


def falsify(
    statement: Statement,
    profile: str = "quick",
    deadline: float | None = None,
    seed: int = 0,
) -> Supported | Refuted | Inconclusive:
    """Search for a counterexample, for at most `deadline` seconds (the profile's own if None).

    Raises ValueError in one line if the claim itself cannot be evaluated at an admissible instance.
    """
    search = _Search(statement, effort(profile), deadline)
    try:
        given = [x for x in (statement.tight_at,) if not isinstance(x, str) and statement.admits(x)]
        for instance in given:
            search.meet(instance, "none")
        for instance, retraction in _admitted(statement, seed, profile):
            search.meet(instance, retraction)
        search.climb(np.random.default_rng([seed, 1]))
    except _Found as found:
        return found.refuted
    except _OutOfTime:
        pass
    if search.tightest is None:
        return Inconclusive(
            "no instance satisfies the hypotheses"
            if search.skipped == 0
            else "no admissible instance could be evaluated in float64 or in more digits"
        )
    return Supported("sampled", search.n, search.worst, search.tightest)


class _Found(Exception):
    def __init__(self, refuted: Refuted) -> None:
        self.refuted = refuted


class _OutOfTime(Exception):
    pass


class _Enough(Exception):
    pass


class _Search:
    """One search: what has been tried, the tightest instance, and the starts of ascent."""

    def __init__(self, statement: Statement, given: Effort, seconds: float | None) -> None:
        self.statement, self.effort = statement, given
        self.end = time.monotonic() + (given.seconds if seconds is None else seconds)
        self.n = self.skipped = 0
        self.worst = float(np.inf)
        self.tightest: Instance | None = None
        self.starts: dict[tuple[Any, ...], tuple[float, Instance, str]] = {}

    def meet(self, instance: Instance, retraction: str, *, base: bool = True) -> float:
        """The slack of one more instance; raises _Found if it is a counterexample."""
        if time.monotonic() > self.end:
            raise _OutOfTime
        slack = self.slack(instance, base)
        if slack is None:
            self.skipped += 1
            return np.inf
        if slack < -self.statement.tolerance:
            slack = self.examine(instance, retraction)
        self.n += 1
        if self.tightest is None or slack < self.worst:
            self.worst, self.tightest = slack, instance
        shape = np.shape(instance["C"])
        stratum = (*shape, instance["k"])
        if shape[0] * shape[1] <= 16 and slack < self.starts.get(stratum, (np.inf,))[0]:
            self.starts[stratum] = (slack, instance, retraction)
        return slack

    def slack(self, instance: Instance, base: bool) -> float | None:
        """Relative slack in float64, or in 50 digits where float64 overflows; None where neither can tell."""
        slack, failed = float("nan"), None
        try:
            with np.errstate(all="ignore"):
                slack = self.statement.slack(instance)
        except ValueError as error:
            failed = error
        if np.isfinite(slack):
            return slack
        sides = witness.precise_sides(self.statement, witness.exactly(instance), 50)
        if sides is None and failed and base and _ordinary(instance):
            at = ", ".join(f"{name} = {witness.show(value)}" for name, value in instance.items())
            raise ValueError(f"{failed} (at {at})") from failed
        if sides is None:
            return slack if np.isinf(slack) and _ordinary(instance) else None
        lhs, rhs = sides
        gap = rhs - lhs if self.statement.relation == "<=" else -abs(rhs - lhs)
        scale = max(abs(lhs), abs(rhs))
        return float(gap / scale) if scale else 0.0

    def examine(self, instance: Instance, retraction: str) -> float:
        """Raise _Found with a minimal witness near a violating instance; 0 if it was rounding only."""
        exact = witness.exactly(instance)
        found = witness.confirm(self.statement, exact)
        if found is None:
            return 0.0
        unit = retraction == "columns"
        end = time.monotonic() + 3
        for candidate in witness.rationalised(self.statement, instance, unit):
            if time.monotonic() > end:
                break
            better = witness.confirm(self.statement, candidate)
            if better is not None:
                exact, found = candidate, better
                break
        _, found = witness.minimised(self.statement, exact, found, unit, seconds=3)
        raise _Found(Refuted(found))

    def climb(self, rng: np.random.Generator) -> None:
        """Degenerate moves and ascents from the tightest instances of the small shapes, and from beside them."""
        ranked = sorted(self.starts.values(), key=lambda start: start[0])[: self.effort.starts]
        for _, instance, retraction in ranked:
            best = self.hop(instance, retraction)
            C = np.asarray(instance["C"], dtype=float)
            beside = C + 0.3 * (np.abs(C).max() or 1.0) * rng.standard_normal(C.shape)
            self.ascend(best, retraction, relative=True)
            self.ascend(self.moved(instance, {"C": beside}, retraction) or best, retraction, False)

    def moved(self, instance: Instance, values: Instance, retraction: str) -> Instance | None:
        """The instance with other values, its C made admissible; None if they are not admissible."""
        other = {**instance, **values}
        other["C"] = RETRACTIONS[retraction](np.asarray(other["C"], dtype=float))
        try:
            with np.errstate(all="ignore"):
                return other if other["C"] is not None and self.statement.admits(other) else None
        except Exception:  # a hypothesis need not be defined far from the statement's own instances
            return None

    def hop(self, instance: Instance, retraction: str, rounds: int = 2) -> Instance:
        """The instance reached by degenerate moves, each to the tightest neighbour."""
        least = self.meet(instance, retraction)
        for _ in range(rounds):
            here = instance
            for C in _degenerate(np.asarray(here["C"], dtype=float), here["k"]):
                other = self.moved(here, {"C": C}, retraction)
                slack = np.inf if other is None else self.meet(other, retraction, base=False)
                if other is not None and slack < least:
                    least, instance = slack, other
            if instance is here:
                break
        return instance

    def ascend(self, start: Instance, retraction: str, relative: bool) -> None:
        """Quasi-Newton ascent on the violation, relative or not, then a simplex for its kinks."""
        from scipy.optimize import minimize

        free = [name for name, value in start.items() if _is_free(value)]
        flat = np.concatenate([np.ravel(start[name]) for name in free])
        unit = float(np.abs(flat).max()) or 1.0
        least, best = self.height(start, relative), flat / unit
        if not np.isfinite(least):
            return
        for method, calls in (
            ("L-BFGS-B", 2 * self.effort.calls // 3),
            ("Nelder-Mead", self.effort.calls // 3),
        ):
            left = calls

            def height(x: Array) -> float:
                nonlocal least, best, left
                left -= 1
                if left < 0:
                    raise _Enough
                point = self.moved(start, _values(start, free, x * unit), retraction)
                value = np.inf if point is None else self.height(point, relative)
                if value < least:
                    least, best = value, x.copy()
                return value if np.isfinite(value) else least + abs(least) + 1

            with suppress(_Enough):
                minimize(height, best, method=method)
        point = self.moved(start, _values(start, free, best * unit), retraction)
        if point is not None:
            self.meet(point, retraction, base=False)

    def height(self, point: Instance, relative: bool) -> float:
        """What ascent lowers: the slack, relative to the sides or not; infinite where it cannot be evaluated."""
        if time.monotonic() > self.end:
            raise _OutOfTime
        try:
            with np.errstate(all="ignore"):
                if relative:
                    return self.statement.slack(point)
                lhs, rhs = self.statement.values(point)
        except ValueError:
            return np.inf
        return rhs - lhs if self.statement.relation == "<=" else -abs(rhs - lhs)


def _is_free(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and value.size > 0
    return isinstance(value, float)


def _values(start: Instance, free: list[str], flat: Array) -> dict[str, Any]:
    """The free values of an instance from one vector."""
    values: dict[str, Any] = {}
    for name in free:
        size = np.size(start[name])
        values[name] = (
            flat[:size].reshape(np.shape(start[name])) if np.ndim(start[name]) else float(flat[0])
        )
        flat = flat[size:]
    return values


def _ordinary(instance: Instance) -> bool:
    """Whether float64 has room for powers of the entries."""
    sizes = np.abs(np.asarray(instance["C"], dtype=float))
    return bool(sizes.max() < 1e20) and bool(sizes.max() == 0 or sizes.max() > 1e-20)


def _degenerate(C: Array, k: int) -> Iterator[Array]:
    """Neighbours of C: equal or vanishing singular values; equal, opposite or vanishing tasks; round entries."""
    left, sigma, right = np.linalg.svd(C, full_matrices=False)
    unit = sigma[0] or 1.0
    spectra = [np.full_like(sigma, sigma.mean()), np.round(2 * sigma / unit) * unit / 2]
    for i in range(len(sigma)):
        spectra.append(np.where(np.arange(len(sigma)) < i + 1, sigma, 0.0))
    if k < len(sigma):
        spectra.append(
            np.where(np.isin(np.arange(len(sigma)), (k - 1, k)), sigma[k - 1 : k + 1].mean(), sigma)
        )
    yield from ((left * values) @ right for values in spectra)
    T = C.shape[1]
    for t in range(T):
        for column in (
            *(sign * C[:, s] for s in range(T) if s != t for sign in (1, -1)),
            0 * C[:, t],
        ):
            changed = C.copy()
            changed[:, t] = column
            yield changed
    largest = np.abs(C).max() or 1.0
    for steps in (1, 2, 3, 4):
        rounded = np.round(C / largest * steps) * largest / steps
        yield rounded
        if C.size <= 9:
            for index in np.ndindex(C.shape):
                for change in (largest / steps, -largest / steps):
                    changed = rounded.copy()
                    changed[index] += change
                    yield changed
