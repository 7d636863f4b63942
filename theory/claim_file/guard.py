"""A statement whose functions take copies that cannot be written to, and are evaluated twice at some instances."""

import functools
import math
import operator
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from theory.claim_file.errors import Unfit, unfit
from theory.claim_file.limits import LimitReached
from theory.claim_file.progress import Progress
from theory.evidence.numbers import show
from theory.statement import Statement

SAME = 1e-12
"""How far two evaluations may differ, relative to sides and instance: what rounding leaves, a tenth of ROUNDING."""
FIRST, EVERY, MOST = 8, 64, 256
"""Evaluated twice: the first instances, one in so many after them, and no more than so many."""

Function = Callable[..., Any]
Reading = Callable[[str, Function, Any], Any]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass
class Guard:
    """What the functions of one file did: evaluations to repeat, and forks that came back from them."""

    file: str
    progress: Progress
    pid: int = field(default_factory=os.getpid)
    evaluated: int = 0
    finite: int = 0
    unbounded: str = ""
    """The first instance of ordinary size at which the claim fails by an infinite side, which nothing can confirm."""
    repeated: list[tuple[int, str, Arguments, Any]] = field(default_factory=list)

    def guarded(self, statement: Statement) -> Statement:
        """The statement with guarded sides and hypotheses."""
        holds = operator.eq if statement.relation == "==" else operator.le
        return replace(
            statement,
            sides=self._guard("sides", statement.sides, self._sides, 0, holds),
            hypotheses=[
                given
                if isinstance(given, str)
                else replace(
                    condition,
                    holds=self._guard(
                        f"hypothesis {condition.name}", condition.holds, self._holds, place
                    ),
                )
                for place, (given, condition) in enumerate(
                    zip(statement.hypotheses, statement.conditions(), strict=True), 1
                )
            ],
            generate=statement.generate
            and self._guard("generate", statement.generate, self._drawn),
        )

    def _guard(
        self,
        name: str,
        function: Function,
        taken: Reading,
        place: int | None = None,
        holds: Callable[[Any, Any], bool] = operator.le,
    ) -> Function:
        """`taken` reads what the function returns; sides, which `holds` relates, have place 0, hypotheses 1 and up."""
        count = 0

        @functools.wraps(function)
        def guarded(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            value = self._value(name, function, taken, arguments, named)
            if place is None or any(map(_is_exact, (*arguments, *named.values()))):
                return value
            count += 1
            if place == 0:
                self.evaluated += 1
                if not _infinite(value):
                    self.finite += 1
                elif not self.unbounded and not holds(*value):
                    self.unbounded = _ordinary_instance((arguments, named))
            if (count <= FIRST or count % EVERY == 0) and len(self.repeated) < MOST:
                kept = (
                    tuple(map(_copy, arguments)),
                    {key: _copy(given) for key, given in named.items()},
                )
                self.repeated.append((place, name, kept, value))
                again = self._value(name, function, taken, *kept)
                if differ(value, again, kept):  # at once, lest it take a whole search to say so
                    unfit(function, self.file, _differs(name, value, again, kept))
                self.refuse_forks()
            return value

        return guarded

    def leave_if_forked(self) -> None:
        """End a fork that the file's code made and let return: it must not go on as if it were the checker."""
        if os.getpid() != self.pid:
            self.progress.note_fork()
            os._exit(0)

    def refuse_forks(self) -> None:
        """Raises Unfit if a fork that the file's code made has returned."""
        if self.progress.has_forked:
            raise Unfit("its code forks, and lets the fork return: let the fork end in os._exit")

    def _value(
        self,
        name: str,
        function: Function,
        taken: Reading,
        arguments: Any,
        named: Mapping[str, Any],
    ) -> Any:
        try:
            value = function(
                *map(_copy, arguments), **{key: _copy(given) for key, given in named.items()}
            )
        except MemoryError:
            if self.evaluated:
                raise LimitReached("memory") from None
            raise
        finally:
            self.leave_if_forked()
        return taken(name, function, value)

    def _sides(self, name: str, function: Function, value: Any) -> Any:
        try:
            lhs, rhs = value
        except (TypeError, ValueError):
            returned = type(value).__name__
            if isinstance(value, tuple | list):
                returned += f" of {len(value)}"
            unfit(function, self.file, f"sides returns a {returned}: return (lhs, rhs)")
        return lhs, rhs

    def _holds(self, name: str, function: Function, value: Any) -> bool:
        if not isinstance(value, bool | np.bool_):
            kind = type(value).__name__
            unfit(function, self.file, f"{name} returns {kind}, not True or False: use bool(...)")
        return bool(value)

    def _drawn(self, name: str, function: Function, value: Any) -> Any:
        from theory.fields import wrong_instance

        wrong = None if value is None else wrong_instance(value)
        if wrong:
            unfit(function, self.file, f"generate returns what is no instance: {wrong}")
        return value

    def refuse_infinite(self, statement: Statement, is_refuted: bool) -> None:
        """Raises Unfit where sides are never finite, or an infinite one violates the claim and no witness was found."""
        where = "at every instance" if self.evaluated and not self.finite else self.unbounded
        if where and (not self.finite or not is_refuted):
            message = f"a side of the claim is infinite {where}: return two real numbers"
            unfit(statement.sides, self.file, message)

    def repeat(self, other: Statement) -> None:
        """Evaluate again, last first, with the functions of another run of the file. Raises Unfit if values differ."""
        functions = [other.sides, *(condition.holds for condition in other.conditions())]
        for place, name, kept, value in reversed(self.repeated):
            function, taken = functions[place], self._holds if place else self._sides
            again = self._value(name, function, taken, *kept)
            if differ(value, again, kept):
                unfit(function, self.file, _differs(name, value, again, kept))


def _copy(value: Any) -> Any:
    """The value, an array as a copy that cannot be written to."""
    if not isinstance(value, np.ndarray):
        return value
    copy = value.copy()
    copy.flags.writeable = False
    return copy


def _is_exact(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.hasobject


def differ(value: Any, again: Any, kept: Arguments) -> bool:
    """Whether two evaluations at one instance differ by more than rounding."""
    if isinstance(value, bool):
        return value is not again
    try:
        first, second = ([float(side) for side in sides] for sides in (value, again))
    except (TypeError, ValueError):
        return False  # no numbers: refused where sides are read
    sizes = [np.abs(a).max(initial=0.0) for a in _arrays(kept)]
    scale = max([abs(x) for x in first + second if np.isfinite(x)] + sizes, default=0.0)
    return not np.allclose(first, second, rtol=0, atol=SAME * scale, equal_nan=True)


def _arrays(kept: Arguments) -> list[np.ndarray]:
    values = (*kept[0], *kept[1].values())
    return [value for value in values if isinstance(value, np.ndarray) and value.dtype.kind == "f"]


def _ordinary_instance(given: Arguments) -> str:
    """The instance in words; empty where the size of an array leaves float64 little room."""
    sizes = [np.abs(a).max(initial=0.0) for a in _arrays(given)]
    if not all(size == 0 or 1e-3 < size < 1e3 for size in sizes):
        return ""
    return f"at {', '.join(show(v) for v in (*given[0], *given[1].values())):.120}"


def _infinite(sides: tuple[Any, Any]) -> bool:
    try:
        return any(map(math.isinf, sides))
    except (TypeError, ValueError, OverflowError):
        return False


def _differs(name: str, value: Any, again: Any, kept: Arguments) -> str:
    at = 0
    if not isinstance(value, bool):
        at = next((i for i in (0, 1) if value[i] != again[i]), 0)
        value, again = value[at], again[at]
    where = ", ".join(show(v) for v in (*kept[0], *kept[1].values()))
    return (
        f"{name} answers {show(value)}, then {show(again)} at the same instance: "
        f"let it depend on its arguments alone, not on chance or on earlier calls (at {where:.120})"
    )
