"""Options that are checked as they are made: whole numbers within their range, and numbers that are finite."""

import math
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from sim.runs.errors import UserError

SHOWN = 40
"""Characters of a value that a message repeats."""


@dataclass(frozen=True)
class Range:
    """Whole numbers from `least` to `most`, both included."""

    least: int
    most: int


Count = Annotated[int, Range(1, 2**31 - 1)]
"""Of things that are counted or sizes, one at least; what memory allows is checked where it is needed."""
CountOrNone = Annotated[int, Range(0, 2**31 - 1)]
"""The same where 0 is never, or nothing."""
MOST_STEPS = 10**7
"""Updates of a model, at most: more than of any published run, and few enough for a list of their rates."""
Steps = Annotated[int, Range(1, MOST_STEPS)]
Seeds = Annotated[int, Range(1, 10_000)]
"""Models that are alike but for their seed."""
Tokens = Annotated[int, Range(1, 2**53)]
"""Whole numbers that float64 tells apart."""
Seed = Annotated[int, Range(0, 2**32 - 1)]
"""What jax's generators take."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """A frozen dataclass of options derives from this; making one with a value out of range raises UserError.

    Each whole number's type is Annotated with its Range. Numbers that are not whole have to be finite; what else is
    asked of them is their owner's to check.
    """

    compile_cache: bool = True
    """Keep compiled programs for later runs, and use those of earlier ones."""

    def __post_init__(self) -> None:
        ranges = _ranges(type(self))  # type: ignore[arg-type]
        for field in fields(self):
            for value in _numbers(getattr(self, field.name)):
                _check(field.name, value, ranges.get(field.name))


def whole(kind: Any) -> Callable[[str], int]:
    """What reads a whole number of a kind (Count, …) for argparse."""
    allowed = next(_annotated(kind))

    def number(text: str) -> int:
        value = int(text)
        if problem := _outside(value, allowed):
            raise ArgumentTypeError(problem)
        return value

    number.__name__ = "whole number"
    return number


def option(name: str) -> str:
    """A field's name as the command line has it."""
    return "--" + name.replace("_", "-")


def _check(name: str, value: float, allowed: Range | None) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UserError(f"{option(name)} {value}: give a finite number")
        return
    if allowed is None:
        raise TypeError(f"{name} has no Range: annotate it, as with Count or Seed")
    if problem := _outside(value, allowed):
        raise UserError(f"{option(name)} {problem}")


def _outside(value: int, allowed: Range) -> str:
    """What is wrong with a number, and the remedy; nothing if nothing is."""
    if allowed.least <= value <= allowed.most:
        return ""
    shown = str(value) if len(str(value)) <= SHOWN else f"{str(value)[:SHOWN]}…"
    bound = f">= {allowed.least}" if value < allowed.least else f"<= {allowed.most}"
    return f"{shown}: give a whole number {bound}"


def _numbers(value: Any) -> Iterator[int | float]:
    if isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


@cache
def _ranges(kind: type) -> dict[str, Range]:
    """The range of each field of a class that has one."""
    hints = get_type_hints(kind, vars(sys.modules[kind.__module__]), include_extras=True)
    ranges = {name: next(_annotated(hint), None) for name, hint in hints.items()}
    return {name: allowed for name, allowed in ranges.items() if allowed is not None}


def _annotated(hint: Any) -> Iterator[Range]:
    if get_origin(hint) is Annotated:
        yield from (item for item in hint.__metadata__ if isinstance(item, Range))
    for part in get_args(hint):
        yield from _annotated(part)
