"""Checking a statement: its proof step by step and the search beside it, and the lint that every statement passes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from theory.evidence import search, witness
from theory.evidence.instances import instances
from theory.evidence.numbers import Surd, exactly, show
from theory.evidence.scope import KINDS, merged
from theory.statement import (
    HYPOTHESES,
    SCALES,
    Checked,
    Grade,
    Inconclusive,
    Instance,
    Refuted,
    Statement,
    Step,
    StepsChecked,
    Supported,
    Unchecked,
    Verdict,
    call,
    source,
)

LARGEST_TOLERANCE = 1e-9
"""Of a statement: what rounding explains of its relative slack, with room for long sums."""


@dataclass(frozen=True)
class Report:
    """What came of a statement: verdict, steps of its proof with seconds, the search, and the hypotheses in words."""

    statement: Statement
    profile: str
    verdict: Grade
    steps: tuple[tuple[Step, Verdict, float], ...]
    sampled: Supported | Refuted | Inconclusive
    seconds: float
    hypotheses: tuple[str, ...] = ()

    @property
    def as_expected(self) -> bool:
        """Nothing refuted (unless the registry holds it to be false), nothing inconclusive."""
        verdicts = [self.verdict, *(verdict for _, verdict, _ in self.steps)]
        if any(isinstance(verdict, Inconclusive) for verdict in verdicts):
            return False
        if any(isinstance(verdict, Refuted) for verdict in verdicts[1:]):
            return False
        return isinstance(self.verdict, Refuted) == (self.statement.as_refuted is not None)

    @property
    def checked_steps(self) -> int:
        """How many steps of the proof were checked."""
        return sum(isinstance(verdict, Checked) for _, verdict, _ in self.steps)

    def summary(self) -> str:
        """One line: id, strongest evidence with its scope, the hypotheses, and the search beside it."""
        parts = [describe(self.verdict)]
        if isinstance(self.verdict, Supported):
            if self.steps:
                parts.append(f"{self.checked_steps} of {len(self.steps)} steps checked")
            code = [step.name for step, verdict, _ in self.steps if isinstance(verdict, Unchecked)]
            if code:
                parts.append(f"code that answers for itself is not counted: {', '.join(code)}")
            parts += [f"hypotheses: {', '.join(self.hypotheses)}"] if self.hypotheses else []
        if self.verdict is not self.sampled:
            parts[-1] += f"  · {describe(self.sampled)}"
        if isinstance(self.sampled, Supported) and self.statement.scale != "sides":
            parts[-1] += f" of {self.statement.scale_says()}"
        return " ".join(f"{self.statement.id}  {'; '.join(parts)}".split(" "))

    def as_json(self) -> dict[str, Any]:
        """The report in plain values; exact numbers as text."""
        return {
            "id": self.statement.id,
            "number": self.statement.number,
            "claim": self.statement.claim,
            "source": self.statement.source,
            "hypotheses": [*self.hypotheses],
            "scale": self.statement.scale_says(),
            "profile": self.profile,
            "expected": self.as_expected,
            "verdict": _plain(self.verdict),
            "steps": [
                {
                    "name": step.name,
                    "says": step.says,
                    "verdict": _plain(verdict),
                    "seconds": seconds,
                }
                for step, verdict, seconds in self.steps
            ],
            "sampled": _plain(self.sampled),
            "seconds": self.seconds,
        }


def check(
    statement: Statement,
    profile: str = "quick",
    *,
    instances: int | None = None,
    progress: search.Progress | None = None,
    registry: bool = False,
) -> Report:
    """Run every step of the proof, and the search; see `Report` for what comes back.

    `instances` is the budget of the search (the profile's own if None); `progress` is told how many of how many. Of a
    statement that is not of this package's registry, steps count only where they hold data, the search tries general
    instances beside those of the statement's own `generate`, and the scale is one that this package computes.

    A refutation decides. Where no sampled instance met the hypotheses nothing is above Inconclusive. Else a proof whose
    steps were all checked, within the narrowest scope of them; else the strongest evidence that is left. Raises
    ValueError if the claim cannot be evaluated, or its tolerance or scale is not its own to choose.
    """
    start = time.perf_counter()
    _refuse_leniency(statement, registry)
    steps = tuple(_timed(step) for step in statement.proof) if registry else _apart(statement)
    if statement.as_refuted is not None:
        counterexample = witness.confirm(statement, exactly(statement.as_refuted))
        sampled: Supported | Refuted | Inconclusive = (
            Refuted(counterexample)
            if counterexample
            else Inconclusive("its witness does not violate the claim")
        )
    else:
        options = {"instances": instances, "progress": progress}
        sampled = _searched(statement, profile, registry, options)
    verdicts = [] if statement.as_refuted is not None else [verdict for _, verdict, _ in steps]
    hypotheses = _hypotheses(statement, registry)
    verdict = _overall(hypotheses, verdicts, sampled)
    seconds = time.perf_counter() - start
    return Report(statement, profile, verdict, steps, sampled, seconds, hypotheses)


def _refuse_leniency(statement: Statement, registry: bool) -> None:
    """Raises ValueError for a tolerance, or a scale that slacks are relative to, under which violations would pass."""
    if not 0 <= statement.tolerance <= LARGEST_TOLERANCE:
        raise ValueError(
            f"{statement.id}: tolerance is {statement.tolerance}: it is for rounding, at most "
            f"{LARGEST_TOLERANCE}; weaken the claim itself"
        )
    if not registry and not isinstance(statement.scale, str):
        raise ValueError(f"{statement.id}: scale is code: use {' or '.join(map(repr, SCALES))}")


def _searched(
    statement: Statement, profile: str, registry: bool, options: dict[str, Any]
) -> Supported | Refuted | Inconclusive:
    """The search; for a user's claim on (C, k) with a generator of its own, first among general instances."""
    if registry or statement.generate is None or _more_than_tasks(statement):
        return search.falsify(statement, profile, **options)
    general = search.falsify(replace(statement, generate=None), profile, **options)
    if isinstance(general, Refuted):
        return general
    own = search.falsify(statement, profile, **options)
    if isinstance(own, Refuted) or not isinstance(general, Supported):
        return own
    if not isinstance(own, Supported):
        return general
    tightest = min(general, own, key=lambda support: support.worst_slack)
    return replace(
        general,
        n=general.n + own.n,
        worst_slack=tightest.worst_slack,
        tightest=tightest.tightest,
    )


def _more_than_tasks(statement: Statement) -> bool:
    """Whether the statement's own instances have other values than C and k, which only they can give."""
    assert statement.generate is not None
    rng = np.random.default_rng(0)
    drawn = (statement.generate(rng, i) for i in range(32))
    return any(set(instance) != {"C", "k"} for instance in drawn if instance is not None)


def _hypotheses(statement: Statement, registry: bool) -> tuple[str, ...]:
    """The hypotheses in words; those of a user's file by their source too."""
    said = []
    for condition in statement.conditions():
        text = str(condition)
        code = "" if registry or condition in HYPOTHESES.values() else source(condition.holds)
        said.append(text if code in text else f"{text}: {code}")
    return tuple(said)


def _apart(statement: Statement) -> tuple[tuple[Step, Verdict, float], ...]:
    """The steps of a user's file, evaluated in a process that does not run it."""
    if not statement.proof:
        return ()
    from theory.evidence import apart

    start = time.perf_counter()
    verdicts = apart.verdicts(statement.proof)
    seconds = (time.perf_counter() - start) / len(verdicts)
    return tuple(
        (step, verdict, seconds) for step, verdict in zip(statement.proof, verdicts, strict=True)
    )


def _timed(step: Step) -> tuple[Step, Verdict, float]:
    start = time.perf_counter()
    try:
        verdict = step.check()
    except ModuleNotFoundError:
        raise
    except Exception as error:
        verdict = Inconclusive(f"the check raises {type(error).__name__}: {error}")
    return step, verdict, time.perf_counter() - start


def _overall(
    hypotheses: tuple[str, ...],
    steps: list[Verdict],
    sampled: Supported | Refuted | Inconclusive,
) -> Grade:
    if not isinstance(sampled, Supported):
        return sampled
    for verdict in steps:
        if isinstance(verdict, Refuted):
            return verdict
    checked = [verdict for verdict in steps if isinstance(verdict, Checked)]
    if steps and len(checked) == len(steps):
        kinds = tuple(kind for kind in KINDS if kind in {verdict.kind for verdict in checked})
        together = merged(checked)
        return StepsChecked(len(steps), kinds, together.scope, together.hypotheses, hypotheses)
    if any(isinstance(verdict, Inconclusive) for verdict in steps):
        return sampled
    solved = [verdict for verdict in steps if isinstance(verdict, Supported)]
    return min(solved, key=lambda verdict: verdict.worst_slack, default=sampled)


def describe(verdict: Verdict | Grade) -> str:
    """A verdict in one line."""
    match verdict:
        case StepsChecked(_, kinds, scope, assumed, hypotheses):
            parts = [" + ".join(kinds), scope]
            parts += [f"the steps assume {', '.join(assumed)}"] if assumed else []
            parts += [f"hypotheses: {', '.join(hypotheses)}"] if hypotheses else []
            return f"{verdict.grade}: {'; '.join(parts)}"
        case Checked(kind, scope, assumed):
            given = f"; assuming {', '.join(assumed)}" if assumed else ""
            return f"Checked ({kind}; {scope}{given})"
        case Unchecked(reason):
            return f"Not checked: {reason}"
        case Supported(kind, n, worst):
            searched = f" in {verdict.searched}" if verdict.searched else ""
            return f"Supported({kind}) n={n}, worst slack {worst:.1e}{searched}"
        case Refuted(counterexample):
            at = ", ".join(
                f"{name} = {show(value)}" for name, value in counterexample.instance.items()
            )
            sides = f"{show(counterexample.lhs)} against {show(counterexample.rhs)}"
            return f"Refuted at {at}: {sides}, {counterexample.confirmed}"
        case Inconclusive(reason):
            return f"Inconclusive: {reason}"


def _plain(value: Any) -> Any:
    if isinstance(value, Checked | Unchecked | StepsChecked | Supported | Refuted | Inconclusive):
        return {"grade": getattr(value, "grade", type(value).__name__)} | {
            name: _plain(getattr(value, name)) for name in value.__dataclass_fields__
        }
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, Surd):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    return value if isinstance(value, str | int | bool) or value is None else str(value)


# --- lint ------------------------------------------------------------------------------------------------------------

Sides = Callable[..., tuple[Any, Any]]


def lint(statement: Statement, *, most: int = 400) -> list[str]:
    """What is wrong with a statement of the registry, in lines: metadata, vacuity, tightness, hypotheses, mutants."""
    problems = list(_metadata(statement))
    if statement.as_refuted is not None:
        if witness.confirm(statement, exactly(statement.as_refuted)) is None:
            problems.append("as_refuted: the witness does not survive exact arithmetic")
        return problems
    tight = [] if isinstance(statement.tight_at, str) else [statement.tight_at]
    met = tight + list(islice(instances(statement), most))
    if len(met) < len(tight) + 10:
        return [
            *problems,
            f"vacuous: only {len(met) - len(tight)} instances satisfy the hypotheses",
        ]
    problems += _smallest(statement, met)
    problems += _tightness(statement, met)
    problems += _needs(statement)
    problems += [
        f"mutant {name!r} survives"
        for name, variants in mutants(statement)
        if (name != "k-off-by-one" or name in statement.mutants or _both_turn_on_k(statement, met))
        and not _killed(
            statement, variants, met, must_differ=name not in ("constant", "k-off-by-one")
        )
    ]
    return problems


def _metadata(statement: Statement) -> Iterator[str]:
    for field in ("id", "claim", "source"):
        if not getattr(statement, field):
            yield f"metadata: {field} is empty"
    if not (statement.proof or statement.as_refuted is not None):
        yield "metadata: no proof, and not marked as_refuted"
    untold = isinstance(statement.tight_at, str) and not statement.tight_at
    if untold and statement.relation == "<=" and statement.as_refuted is None:
        yield "metadata: tight_at is empty: give an instance, or the reason why there is none"
    names = {condition.name for condition in statement.conditions()}
    if statement.as_refuted is None:
        yield from (
            f"metadata: needed does not speak of {n!r}"
            for n in sorted(names - set(statement.needed))
        )
    yield from (
        f"metadata: needed names no hypothesis {n!r}" for n in sorted(set(statement.needed) - names)
    )
    steps = [step.name for step in statement.proof]
    yield from (
        f"metadata: two steps are called {n!r}"
        for n in sorted({n for n in steps if steps.count(n) > 1})
    )


def _smallest(statement: Statement, met: list[Instance]) -> Iterator[str]:
    shapes = [(*np.shape(instance["C"]), instance["k"]) for instance in met]
    least = {
        "d": min(s[0] for s in shapes),
        "T": min(s[1] for s in shapes),
        "k": min(s[2] for s in shapes),
    }
    for name, largest in (("d", 2), ("T", 2), ("k", 1)):
        if least[name] > largest:
            yield f"smallest parameters: no instance has {name} below {least[name]}"
    smallest = {"C": np.ones((1, 1)), "k": 1}
    try:
        admitted = statement.generate is None and statement.admits(smallest)
    except Exception:
        admitted = False
    if admitted and statement.slack(smallest) < -statement.tolerance:
        yield "smallest parameters: the claim fails at d = T = k = 1"


def _tightness(statement: Statement, met: list[Instance]) -> Iterator[str]:
    slacks = [_slack(statement, instance) for instance in met]
    worst = min((slack for slack in slacks if not np.isnan(slack)), default=0.0)
    if worst < -statement.tolerance:
        yield f"slack: the claim fails by {-worst:.1e} at a sampled instance"
    if isinstance(statement.tight_at, str):
        return
    if not statement.admits(statement.tight_at):
        yield "tight_at does not satisfy the hypotheses"
    elif not abs(_slack(statement, statement.tight_at)) <= statement.tolerance:
        yield f"tight_at is not tight: slack {_slack(statement, statement.tight_at):.1e}"


def _needs(statement: Statement) -> Iterator[str]:
    for name, given in statement.needed.items():
        if isinstance(given, str):
            if not given:
                yield f"needed: no reason why {name!r} is not needed"
        elif statement.admits(given):
            yield f"needed: the witness for {name!r} satisfies it"
        elif not statement.admits(given, without=name):
            yield f"needed: the witness for {name!r} breaks another hypothesis"
        elif not _slack(statement, given) < -statement.tolerance:
            yield f"needed: the claim holds at the witness for {name!r}"


def mutants(statement: Statement) -> Iterator[tuple[str, list[Sides]]]:
    """Wrong versions of the claim by name; one is refuted if any of its variants is. A statement's own replace these.

    flipped: rhs <= lhs. constant: 0.9 rhs, 1.1 where it is negative. k-off-by-one: one side at k + 1, or at k - 1.
    An equality is not flipped, nor a claim without a tight instance scaled; `lint` shifts k only if both sides have it.
    """
    sides, own = statement.sides, statement.mutants

    def flipped(**values: Any) -> tuple[Any, Any]:
        lhs, rhs = call(sides, values)
        return rhs, lhs

    def constant(**values: Any) -> tuple[Any, Any]:
        lhs, rhs = call(sides, values)
        return lhs, rhs * (0.9 if rhs > 0 else 1.1)

    def shifted(lhs_by: int, rhs_by: int) -> Sides:
        def off(**values: Any) -> tuple[Any, Any]:
            if not 1 <= values["k"] + lhs_by + rhs_by <= min(values["C"].shape):
                raise ValueError("no such k")
            lhs = call(sides, values | {"k": values["k"] + lhs_by})[0]
            return lhs, call(sides, values | {"k": values["k"] + rhs_by})[1]

        return off

    automatic: dict[str, list[Sides]] = {}
    if statement.relation == "<=":
        automatic["flipped"] = [flipped]
    if statement.relation == "==" or not isinstance(statement.tight_at, str):
        automatic["constant"] = [constant]
    automatic["k-off-by-one"] = [shifted(*by) for by in ((1, 0), (0, -1), (-1, 0), (0, 1))]
    yield from (automatic | {name: [extra] for name, extra in own.items()}).items()


def _both_turn_on_k(statement: Statement, met: list[Instance]) -> bool:
    """Whether both sides change with k: else one side at another k is the claim at that k, or the claim itself."""
    lhs = rhs = False
    for instance in met:
        try:
            here = statement.values(instance)
            next_k = statement.values({**instance, "k": instance["k"] + 1})
        except ValueError:
            continue
        lhs, rhs = lhs or here[0] != next_k[0], rhs or here[1] != next_k[1]
    return lhs and rhs


def _killed(
    statement: Statement, variants: list[Sides], met: list[Instance], *, must_differ: bool
) -> bool:
    """Whether some instance violates some variant; one that never differs from the claim (rhs = 0) is no mutant."""
    differs = must_differ
    for instance in met:
        for sides in variants:
            try:
                with np.errstate(all="ignore"):
                    if statement.values(instance) == statement.values(instance, sides):
                        continue
                    slack = statement.slack(instance, sides)
            except ValueError:
                continue  # no such k at this instance
            differs = True
            if slack < -statement.tolerance:
                return True
    return not differs


def _slack(statement: Statement, instance: Instance) -> float:
    """The slack, NaN where the claim cannot be evaluated in float64."""
    try:
        with np.errstate(all="ignore"):
            return statement.slack(instance)
    except ValueError:
        return float("nan")
