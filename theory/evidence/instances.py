"""What a search tries: proposals of task matrices, and the instances among them that satisfy a statement's hypotheses.

Proposals depend on a seed and an effort alone and are drawn once; which retraction makes them admissible is learned
from the statement at hand.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from theory import geometry
from theory.evidence.families import FAMILIES, NUMBERED
from theory.evidence.retractions import RETRACTIONS, retract
from theory.statement import Instance, Statement, depends_on

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Effort:
    """How much one search tries: counts only, so that any machine under any load tries the same."""

    rounds: int  # of proposals, each of other draws
    generated: int  # instances of a statement's own generator
    instances: int  # at which a claim on (C, k) is evaluated, ascent included
    instances_generated: int  # the same for a claim on more than (C, k)


EFFORT: dict[str, Effort] = {
    "quick": Effort(1, 250, 6100, 1000),
    "full": Effort(4, 1500, 25600, 6000),
}


def effort(profile: str) -> Effort:
    """The effort of a profile; ValueError for an unknown one."""
    if profile not in EFFORT:
        raise ValueError(f"unknown profile {profile!r}: use {' or '.join(EFFORT)}")
    return EFFORT[profile]


# --- proposals -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Proposal:
    """A matrix to try with these k; of a family, where it stands on it and the seed that draws it again elsewhere."""

    C: Array
    ks: tuple[int, ...]
    family: str = ""
    at: float = 0.0
    seed: tuple[int, ...] = ()


LARGEST_SHAPE = 20
"""Every (d, T) up to here is tried, with every k."""
LARGE_SHAPES = (
    *((1, 64), (64, 1), (2, 64), (64, 2), (3, 40), (40, 3), (14, 24), (24, 14), (27, 27)),
    *((24, 40), (40, 24), (48, 33), (33, 48), (8, 64), (64, 8), (64, 64)),
)
SMALL_SHAPES = (
    *((2, 2), (3, 2), (2, 3), (3, 3), (4, 4), (4, 3), (3, 5), (5, 4), (4, 6), (6, 6), (8, 5)),
    *((5, 8), (2, 7), (7, 2), (6, 9), (10, 8), (12, 8), (8, 12)),
)
POINTS = 36
"""At which each family that turns on a number is tried at small shapes."""
CLOSELY = {"correlated": 140, "one pair": 60, "two levels": 140, "graded spectrum": 60}
"""Families that get more points: thin sets of coherences and of ratios lie there."""
_GOLDEN = (np.sqrt(5) - 1) / 2


def drawn(family: str, d: int, T: int, at: float, seed: tuple[int, ...]) -> Array | None:
    """A family's matrix, read-only; None where it has none at that shape."""
    C = FAMILIES[family](d, T, at, np.random.default_rng(seed))
    if C is None:
        return None
    C = np.ascontiguousarray(C, dtype=np.float64)
    C.flags.writeable = False
    return C


def _spread(n: int, start: float) -> Iterator[float]:
    """n points of [0, 1], both ends first, then evenly wherever one stops."""
    yield from (0.0, 1.0)[:n]
    yield from ((start + i * _GOLDEN) % 1 for i in range(n - 2))


@lru_cache(maxsize=8)
def proposals(seed: int, rounds: int) -> tuple[Proposal, ...]:
    """Corners and integers at the smallest shapes, families along their numbers, every shape, large shapes, scales."""
    parts = (_small, _along_numbers, _every_shape, _large, _scales)
    return tuple(
        proposal
        for turn in range(rounds)
        for part in parts
        for proposal in part((seed, turn), np.random.default_rng([seed, turn]))
    )


def _small(seed: tuple[int, ...], rng: np.random.Generator) -> Iterator[Proposal]:
    for d, T in sorted(
        product((1, 2, 3), repeat=2), key=lambda shape: (shape[0] * shape[1], shape)
    ):
        ks = tuple(range(1, min(d, T) + 1))
        matrices = [*_corners(d, T)] if seed[-1] == 0 else []
        matrices += _integers(d, T, 20, rng)
        for C in matrices:
            C.flags.writeable = False
            yield Proposal(C, ks)


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
        yield Q[:, np.arange(T) % d].copy()


def _integers(d: int, T: int, most: int, rng: np.random.Generator) -> Iterator[Array]:
    """Matrices of -1, 0 and 1: all of them where there are few."""
    if 3 ** (d * T) <= 30:
        for entries in product((0.0, 1.0, -1.0), repeat=d * T):
            yield np.array(entries).reshape(d, T)
    else:
        for _ in range(most):
            yield rng.integers(-1, 1, size=(d, T), endpoint=True).astype(float)


def _of_family(
    family: str, d: int, T: int, at: float, seed: tuple[int, ...], ks: str, rng: np.random.Generator
) -> Proposal | None:
    C = drawn(family, d, T, at, seed)
    if C is None:
        return None
    full = min(d, T)
    chosen = {
        "all": range(1, full + 1),
        "three": {1, full, int(rng.integers(1, full + 1))},
        "one": {(1, full, int(rng.integers(1, full + 1)))[rng.integers(3)]},
    }[ks]
    return Proposal(C, tuple(sorted(chosen)), family, at, seed)


def _along_numbers(seed: tuple[int, ...], rng: np.random.Generator) -> Iterator[Proposal]:
    for number, family in enumerate(NUMBERED):
        points = CLOSELY.get(family, POINTS)
        for i, at in enumerate(_spread(points, rng.random())):
            d, T = SMALL_SHAPES[(i + number) % len(SMALL_SHAPES)]
            own = (*seed, number, i)
            proposal = _of_family(family, d, T, at, own, "one", rng) or _of_family(
                family, max(d, T), min(d, T), at, own, "one", rng
            )
            if proposal is not None:
                yield proposal


def _every_shape(seed: tuple[int, ...], rng: np.random.Generator) -> Iterator[Proposal]:
    names, turn = list(FAMILIES), 0
    for number, (d, T) in enumerate(product(range(1, LARGEST_SHAPE + 1), repeat=2)):
        for at in (float((number * _GOLDEN + rng.random() / 400) % 1),):
            proposal = None
            while proposal is None:
                if turn % len(names) == 0:
                    rng.shuffle(names)
                own = (*seed, 100, number)
                proposal = _of_family(names[turn % len(names)], d, T, at, own, "all", rng)
                turn += 1
            yield proposal


def _large(seed: tuple[int, ...], rng: np.random.Generator) -> Iterator[Proposal]:
    names = ("correlated", "ones", "flat", "gaussian", "two levels", "signs", "one norm", "sphere")
    for number, (d, T) in enumerate(LARGE_SHAPES):
        few, ks = (2, "one") if d * T > 1000 else (len(names), "three")
        for name in rng.permutation(names)[:few]:
            own = (*seed, 200, number)
            proposal = _of_family(str(name), d, T, rng.random(), own, ks, rng)
            if proposal is not None:
                yield proposal


def _scales(seed: tuple[int, ...], rng: np.random.Generator) -> Iterator[Proposal]:
    shapes = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (2, 3)]
    for i, at in enumerate(_spread(60, rng.random())):
        d, T = shapes[i % len(shapes)]
        proposal = _of_family("one scale", d, T, at, (*seed, 300, i), "three", rng)
        if proposal is not None:
            yield proposal


# --- admission -------------------------------------------------------------------------------------------------------


class Admission:
    """Which proposals a statement admits, and by which retraction: the ones that served are tried first."""

    PATIENCE = 200
    """Proposals after which only the retractions that served are tried; where none did, all at every sixth."""
    MOST = 5

    def __init__(self, statement: Statement, rng: np.random.Generator) -> None:
        self.statement = statement
        self.free = not statement.hypotheses
        self.of_k = any(depends_on(c.holds, "k") for c in statement.conditions())
        self.served: Counter[str] = Counter()
        self.proposed = 0
        own = statement.generate is not None
        self.first = "none" if self.free or own else self._generic(rng)

    def admits(self, instance: Instance) -> bool:
        """Whether every hypothesis holds. Raises ValueError if one raises."""
        if self.free:
            return True
        try:
            with np.errstate(all="ignore"):
                return self.statement.admits(instance)
        except Exception as error:
            raise ValueError(
                f"{self.statement.id}: a hypothesis raises {type(error).__name__}: {error}"
            ) from error

    def _generic(self, rng: np.random.Generator) -> str:
        """The first retraction that makes some generic matrix admissible."""
        for name in RETRACTIONS:
            for d, T in product(range(1, 5), repeat=2):
                drawn_matrix = rng.standard_normal((d, T))
                C = retract(name, drawn_matrix, drawn_matrix)
                if C is not None and any(
                    self.admits({"C": C, "k": k}) for k in range(1, min(C.shape) + 1)
                ):
                    return name
        return "none"

    def names(self) -> list[str]:
        """Retractions in the order in which they are worth trying."""
        if self.free:
            return ["none"]
        known = [name for name, _ in self.served.most_common() if name != self.first]
        if self.served and self.proposed > self.PATIENCE:
            return [self.first, *known[: self.MOST]]
        if not self.served and self.proposed > self.PATIENCE and self.proposed % 6:
            return list(dict.fromkeys([self.first, "none"]))
        return list(dict.fromkeys([self.first, "none", *known, *RETRACTIONS]))

    def admitted(self, C: Array, ks: tuple[int, ...]) -> tuple[Array, tuple[int, ...], str] | None:
        """An admissible matrix made of C, the k for which it is, and the retraction that made it; or None."""
        self.proposed += 1
        for name in self.names():
            near = C if name == "none" else retract(name, C, C)
            if near is None:
                continue
            near.flags.writeable = False
            admitted = self._ranks(near, ks, all_of_them=name == self.first)
            if admitted:
                self.served[name] += 1
                return near, admitted, name
        return None

    def _ranks(self, C: Array, ks: tuple[int, ...], all_of_them: bool) -> tuple[int, ...]:
        """The k for which C is admissible; of a retraction that is not the first, three are asked before all are."""
        if not self.of_k:
            return ks if self.admits({"C": C, "k": ks[0]}) else ()
        probes = {ks[0], ks[len(ks) // 2], ks[-1]}
        if all_of_them or any(self.admits({"C": C, "k": k}) for k in probes):
            return tuple(k for k in ks if self.admits({"C": C, "k": k}))
        return ()


def frozen(instance: Instance) -> Instance:
    """The instance with read-only copies of its arrays: a claim's code cannot change what is judged."""
    copies = {}
    for name, value in instance.items():
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value = value.copy()
            value.flags.writeable = False
        copies[name] = value
    return copies


def generated(
    statement: Statement, admission: Admission, seed: int, profile: str
) -> Iterator[Instance]:
    """The statement's own instances, as far as they are admissible."""
    if statement.generate is None:
        return
    rng = np.random.default_rng(seed)
    for i in range(effort(profile).generated):
        instance = statement.generate(rng, i)
        if instance is not None and admission.admits(instance):
            yield frozen(instance)


def instances(statement: Statement, seed: int = 0, profile: str = "quick") -> Iterator[Instance]:
    """Admissible instances: the statement's own, else those proposed to every claim, with every k."""
    admission = Admission(statement, np.random.default_rng(seed))
    if statement.generate is not None:
        yield from generated(statement, admission, seed, profile)
        return
    for proposal in proposals(seed, effort(profile).rounds):
        admitted = admission.admitted(proposal.C, proposal.ks)
        if admitted is not None:
            C, ks, _ = admitted
            yield from ({"C": C, "k": k} for k in ks)
