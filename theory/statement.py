"""A statement of the theory as a value, and the grades of evidence for it.

A statement claims lhs <= rhs (or lhs == rhs) for every instance that satisfies its hypotheses. An instance is a mapping
of names to values: C (d, T) and k always, and whatever else the statement speaks of (W, heads, S, sigma, p, ...).
Functions of an instance take the values they name as parameters.

Grades of evidence are never merged: StepsChecked (every step of a proof was; that they imply the claim is by hand),
Supported (a solver's primal-dual pair, or sampled instances with the worst slack), Refuted (a witness), Inconclusive
(why). A step's own verdict is Checked (symbolic, exact or interval, with its scope) or one of the others.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from theory.fields import check_fields

Instance = Mapping[str, Any]

ROUNDING = 1e-11
"""Relative slack below zero that float64 explains: thousands of operations at 2e-16, and an eigensolver's constant."""


@dataclass(frozen=True)
class Checked:
    """A step that a machine checked, within `scope` ("all d, T, k"; "2 x 2"; "this instance"), under `hypotheses`."""

    kind: Literal["symbolic", "exact", "interval"]
    scope: str
    hypotheses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unchecked:
    """A step that counts for nothing: its check is code of a user's file, which would answer for itself."""

    reason: str


@dataclass(frozen=True)
class StepsChecked:
    """Each of the n steps of a proof was checked, in these ways and scopes; that they imply the claim is by hand.

    `assumed` is what the steps took for granted, `hypotheses` what the statement does.
    """

    n: int
    kinds: tuple[str, ...]
    scope: str
    assumed: tuple[str, ...] = ()
    hypotheses: tuple[str, ...] = ()

    @property
    def grade(self) -> str:
        return f"Steps checked ({self.n} of {self.n}; that they imply the claim is by hand)"


@dataclass(frozen=True)
class Searched:
    """What a search tried: how many instances, their largest d, T and k, and how far their numbers reach.

    `ratio` is the largest between two nonzero singular values of one C, `least` and `largest` the sizes of its largest
    entry over all C that are not zero.
    """

    n: int
    d: int
    T: int
    k: int
    ratio: float
    least: float
    largest: float

    def __str__(self) -> str:
        sizes = f"d, T <= {self.d}" if self.d == self.T else f"d <= {self.d}, T <= {self.T}"
        ratio, least, largest = (f"{x:.0e}" for x in (self.ratio, self.least, self.largest))
        return (
            f"{self.n:,} instances, {sizes}, k <= {self.k}, ratios of singular values to {ratio}, "
            f"largest entries from {least} to {largest}"
        )


@dataclass(frozen=True)
class Supported:
    """Not contradicted by n instances or solver runs; the least (rhs - lhs) / scale among them and where it was met."""

    kind: Literal["sdp", "sampled"]
    n: int
    worst_slack: float
    tightest: Instance | None = field(default=None, compare=False)
    searched: Searched | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Witness:
    """An instance at which the claim fails, its two sides there, and how the failure was confirmed."""

    instance: Instance = field(compare=False)
    lhs: Any
    rhs: Any
    confirmed: str


@dataclass(frozen=True)
class Refuted:
    """False: the witness satisfies every hypothesis and violates the claim."""

    witness: Witness


@dataclass(frozen=True)
class Inconclusive:
    """Not decided, for this reason."""

    reason: str


Verdict = Checked | Unchecked | Supported | Refuted | Inconclusive
"""Of a step."""

Grade = StepsChecked | Supported | Refuted | Inconclusive
"""Of a statement."""


@dataclass(frozen=True)
class Step:
    """One step of a proof: what it says in a line, and the check that a machine makes of it.

    In a user's file the check is a certificate of `theory.evidence.certificates`: data, which the checker evaluates.
    """

    name: str
    says: str
    check: Callable[[], Verdict]


@dataclass(frozen=True)
class Hypothesis:
    """A condition on instances that can be checked."""

    name: str
    says: str
    holds: Callable[..., bool]

    def __str__(self) -> str:
        return self.name if self.says == self.name else f"{self.name} ({self.says})"


@dataclass(frozen=True)
class Scale:
    """What slacks are relative to, where the sides may both be rounding: a function of an instance, in words too."""

    says: str
    size: Callable[..., float]


SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "sides": Scale("|lhs| + |rhs|", lambda: 0.0),
        "risk": Scale("|C|_F^2/T", lambda C: float(np.linalg.norm(C)) ** 2 / C.shape[1]),
    }
)
"""Scales by name; each is the larger of |lhs| + |rhs| and its own."""


@dataclass(frozen=True, eq=False)
class Statement:
    """A claim about every instance that satisfies the hypotheses; only id, claim and sides are needed to check one.

    `sides` returns (lhs, rhs), claimed to be lhs <= rhs, or equal if relation is "==". Hypotheses are names in
    HYPOTHESES, Hypothesis values, or callables of an instance. `generate(rng, i)` makes the i-th random instance
    (default: every geometry and corner with every k). `tight_at` is an instance where both sides agree, or the reason
    why there is none; `needed` maps each hypothesis to an instance that violates the claim without it, or to the reason
    why it is not needed; `as_refuted` marks a claim that the registry holds to be false, with its witness; `scale`
    names what slacks are relative to.
    """

    id: str
    claim: str
    sides: Callable[..., tuple[Any, Any]]
    source: str = ""
    number: int | None = None
    relation: Literal["<=", "=="] = "<="
    hypotheses: Sequence[str | Hypothesis | Callable[..., bool]] = ()
    generate: Callable[[np.random.Generator, int], Instance | None] | None = None
    tight_at: Instance | str = ""
    needed: Mapping[str, Instance | str] = field(default_factory=dict)
    proof: Sequence[Step] = ()
    mutants: Mapping[str, Callable[..., tuple[Any, Any]]] = field(default_factory=dict)
    as_refuted: Instance | None = None
    remark: str = ""
    tolerance: float = ROUNDING
    scale: str | Scale = "sides"

    def __post_init__(self) -> None:
        """Raises ValueError, naming the field, if one is of the wrong kind."""
        check_fields(self)

    def conditions(self) -> list[Hypothesis]:
        """The hypotheses, names looked up. Raises ValueError for an unknown name."""
        return list(_conditions(self))

    def admits(self, instance: Instance, *, without: str = "") -> bool:
        """Whether the instance satisfies every hypothesis (but the one called `without`)."""
        return all(
            call(condition.holds, instance)
            for condition in _conditions(self)
            if condition.name != without
        )

    def values(
        self, instance: Instance, sides: Callable[..., Any] | None = None
    ) -> tuple[float, float]:
        """Both sides as floats. Raises ValueError if the claim returns anything else."""
        try:
            lhs, rhs = call(sides or self.sides, instance)
        except Exception as error:
            raise ValueError(
                f"{self.id}: the claim raises {type(error).__name__}: {error}"
            ) from error
        return _real(self.id, lhs), _real(self.id, rhs)

    def slack(self, instance: Instance, sides: Callable[..., Any] | None = None) -> float:
        """(rhs - lhs) / size, or -|rhs - lhs| / size for an equality; see `size`."""
        return self.relative(*self.values(instance, sides), instance)

    def relative(self, lhs: float, rhs: float, instance: Instance) -> float:
        """The slack that these two sides have at the instance."""
        if np.isinf([lhs, rhs]).any():
            return 0.0 if lhs == rhs else -np.inf if self.relation == "==" or lhs > rhs else np.inf
        gap = rhs - lhs if self.relation == "<=" else -abs(rhs - lhs)
        scale = self.size(instance, lhs, rhs)
        return gap / scale if scale else gap

    def size(self, instance: Instance, lhs: float, rhs: float) -> float:
        """What the slack is relative to: |lhs| + |rhs|, or the statement's own scale if that is larger."""
        return max(abs(lhs) + abs(rhs), float(call(self._scale().size, instance)))

    def scale_says(self) -> str:
        """The scale in words."""
        return self._scale().says

    def _scale(self) -> Scale:
        return self.scale if isinstance(self.scale, Scale) else SCALES[self.scale]


def call(function: Callable[..., Any], instance: Instance) -> Any:
    """function of the instance's values that its parameters name; of (C, k) if it names neither."""
    names, required, takes_all = _parameters(function)
    if takes_all:
        return function(**instance)
    if len(required) == 2 and not set(required) <= set(instance):
        return function(instance["C"], instance["k"])
    missing = [name for name in required if name not in instance]
    if missing:
        raise ValueError(f"an instance has no {missing[0]}: it has {', '.join(instance)}")
    return function(**{name: instance[name] for name in names if name in instance})


def depends_on(function: Callable[..., Any], name: str) -> bool:
    """Whether `call` may pass the instance's value of that name to the function."""
    names, required, takes_all = _parameters(function)
    return takes_all or name in names or len(required) == 2


@lru_cache(maxsize=1024)
def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Names of the parameters, of those without a default, and whether any keyword is taken."""
    parameters = inspect.signature(function).parameters
    required = tuple(name for name, p in parameters.items() if p.default is p.empty)
    return (
        tuple(parameters),
        required,
        any(p.kind is p.VAR_KEYWORD for p in parameters.values()),
    )


@lru_cache(maxsize=256)
def _conditions(statement: Statement) -> tuple[Hypothesis, ...]:
    return tuple(_hypothesis(given) for given in statement.hypotheses)


def __getattr__(name: str) -> Any:
    if name == "Proved":  # files of users written before the grade was renamed import it
        return Checked
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _real(name: str, side: Any) -> float:
    value = np.asarray(side)
    if np.iscomplexobj(value):
        kind = "complex"
    elif value.shape != ():
        kind = f"an array of shape {value.shape}"
    else:
        kind = f"a {type(side).__name__}"
        try:
            number = float(side) if value.dtype.kind in "fiuO" else None
        except (TypeError, ValueError):
            number = None
        except OverflowError:
            number, kind = None, "beyond float64"
        if number is not None and not np.isnan(number):
            return number
        if number is not None:
            kind = "NaN"
    raise ValueError(f"{name}: a side of the claim is {kind}: return two real numbers")


def _hypothesis(given: str | Hypothesis | Callable[..., bool]) -> Hypothesis:
    if isinstance(given, Hypothesis):
        return given
    if isinstance(given, str):
        if given not in HYPOTHESES:
            raise ValueError(
                f"unknown hypothesis {given!r}: use {', '.join(HYPOTHESES)}, or a function of (C, k)"
            )
        return HYPOTHESES[given]
    name = getattr(given, "__name__", "hypothesis")
    said = [*(inspect.getdoc(given) or "").splitlines()[:1], source(given)]
    return Hypothesis(name, "; ".join(filter(None, said)) or name, given)


LONGEST_SOURCE = 100


def source(function: Callable[..., Any]) -> str:
    """What a function returns as its source says it, in a line; empty if it cannot be read."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
        nodes = [*ast.walk(ast.parse(text))]
    except (OSError, TypeError, SyntaxError):
        return ""
    names = [*inspect.signature(function).parameters]
    lambdas = [
        n for n in nodes if isinstance(n, ast.Lambda) and [a.arg for a in n.args.args] == names
    ]
    bodies = [n.body for n in nodes if isinstance(n, ast.FunctionDef)]
    if len(lambdas) == 1 and function.__name__ == "<lambda>":
        said = ast.unparse(lambdas[0].body)
    elif bodies:
        start = isinstance(bodies[0][0], ast.Expr) and isinstance(bodies[0][0].value, ast.Constant)
        said = "; ".join(ast.unparse(node) for node in bodies[0][start:])
    else:
        said = text
    said = " ".join(said.removeprefix("return ").split())
    return said if len(said) <= LONGEST_SOURCE else f"{said[: LONGEST_SOURCE - 3]}..."


def _unit_tasks(C: Any) -> bool:
    # The norms of normalised columns are 1 to a few eps.
    return bool((np.abs(np.linalg.norm(C, axis=0) - 1) <= 1e-12).all())


def _orthonormal_tasks(C: Any) -> bool:
    return bool(np.allclose(C.T @ C, np.eye(C.shape[1]), rtol=0, atol=1e-12))


def _rank_at_least(C: Any, k: int) -> bool:
    from theory.spectra import singular_values

    values = singular_values(C)
    return k <= len(values) and bool(values[k - 1] > 1e-10 * values[0])


HYPOTHESES: Mapping[str, Hypothesis] = MappingProxyType(
    {
        name: Hypothesis(name, says, holds)
        for name, says, holds in (
            ("unit_tasks", r"\|c_t\| = 1", _unit_tasks),
            ("orthonormal_tasks", r"C^\top C = I", _orthonormal_tasks),
            ("at_least_two_tasks", r"T \ge 2", lambda C: C.shape[1] >= 2),
            ("nonzero_tasks", r"c_t \ne 0", lambda C: bool(C.any(axis=0).all())),
            ("nonzero", r"C \ne 0", lambda C: bool(C.any())),
            ("k_below_tasks", r"k < T", lambda C, k: k < C.shape[1]),
            ("tasks_at_most_k", r"T \le k", lambda C, k: C.shape[1] <= k),
            ("k_at_most_rank", r"k \le \operatorname{rank} C", _rank_at_least),
            (
                "full_column_rank",
                r"\operatorname{rank} C = T",
                lambda C: _rank_at_least(C, C.shape[1]),
            ),
        )
    }
)
"""Hypotheses by name."""
