"""The fields of a Statement: of the right kind, or refused by name."""

import difflib
import inspect
import re
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from theory.statement import Statement

SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
VERDICT_WORDS = {"proved", "proven", "checked", "supported", "refuted", "inconclusive", "verdict"}
RELATIONS = ("<=", "==")


def check_fields(statement: "Statement") -> None:
    """Raises ValueError, in a line that names the field and the remedy, if one is of the wrong kind."""
    problem = _identity(statement) or _functions(statement) or _values(statement)
    if problem:
        raise ValueError(problem)


def _identity(statement: "Statement") -> str | None:
    name = statement.id
    if not isinstance(name, str) or not SLUG.fullmatch(name):
        return (
            f"id is {_short(name)}: use a word of letters, digits, '-', '_' and '.', of at most 80"
        )
    if VERDICT_WORDS & set(re.split(r"[-_.]", name.lower())):
        return f"id is {name!r}, a word of the verdicts: choose another"
    for field in ("claim", "source", "remark"):
        text = getattr(statement, field)
        if not isinstance(text, str):
            return f"{name}: {field} is {_short(text)}: give a str"
        if not all(letter.isprintable() or letter in "\n\t" for letter in text):
            return f"{name}: {field} holds control characters: {_short(text)}"
    if statement.relation not in RELATIONS:
        return f"{name}: relation is {_short(statement.relation)}: use '<=' or '==' (for '>=' swap the sides)"
    return None


def _functions(statement: "Statement") -> str | None:
    from theory.statement import HYPOTHESES, Hypothesis, Step

    name = statement.id
    for field in ("sides", "generate"):
        function = getattr(statement, field)
        if function is None and field != "sides":
            continue
        wrong = _no_function(function)
        if wrong:
            return f"{name}: {field} is {wrong}: give a function{' of (C, k)' * (field == 'sides')}"
    for field, kinds in (("hypotheses", (str, Hypothesis)), ("proof", (Step,))):
        entries = getattr(statement, field)
        if not isinstance(entries, list | tuple):
            return f"{name}: {field} is {_short(entries)}: give a list"
        for entry in entries:
            if isinstance(entry, kinds):
                continue
            wrong = _no_function(entry) if field == "hypotheses" else _short(entry)
            if wrong:
                what = "names and functions" if field == "hypotheses" else "Steps"
                return f"{name}: {field} holds {wrong}: give a list of {what}"
    for given in statement.hypotheses:
        called = getattr(given, "name", None) or getattr(given, "__name__", "hypothesis")
        words = set(re.split(r"\W|_", str(called).lower()))
        if not isinstance(given, str) and (not str(called).isprintable() or VERDICT_WORDS & words):
            return f"{name}: a hypothesis is called {_short(called)}: choose another name"
        if isinstance(given, str) and given not in HYPOTHESES:
            near = difflib.get_close_matches(given, HYPOTHESES, 1, 0.5)
            meant = f"did you mean {near[0]!r}? " if near else ""
            return f"unknown hypothesis {given!r}: {meant}use {', '.join(HYPOTHESES)}, or a function of (C, k)"
    return None


def _values(statement: "Statement") -> str | None:
    from theory.statement import SCALES, Scale

    name, number, tolerance = statement.id, statement.number, statement.tolerance
    if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
        return f"{name}: number is {_short(number)}: give an int or None"
    if isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not tolerance >= 0:
        return f"{name}: tolerance is {_short(tolerance)}: give a number >= 0"
    if not isinstance(statement.scale, Scale) and statement.scale not in (*SCALES,):
        kind = "a function" if callable(statement.scale) else _short(statement.scale)
        return f"{name}: scale is {kind}: use {' or '.join(map(repr, SCALES))}"
    for field in ("needed", "mutants"):
        if not isinstance(getattr(statement, field), Mapping):
            return f"{name}: {field} is {_short(getattr(statement, field))}: give a dict"
    instances = {"tight_at": statement.tight_at, "as_refuted": statement.as_refuted} | {
        f"needed[{key!r}]": value for key, value in statement.needed.items()
    }
    for field, instance in instances.items():
        if isinstance(instance, str) or (field == "as_refuted" and instance is None):
            continue
        wrong = wrong_instance(instance, finite=False)
        if wrong:
            return f"{name}: {field} is no instance: {wrong}"
    return None


def wrong_instance(instance: Any, *, finite: bool = True) -> str | None:
    """Why a value is no instance, a dict of C (d, T), k and what else a statement speaks of; None if it is one.

    With finite False an exact one, or one at the edge of float64, is an instance too.
    """
    if not isinstance(instance, Mapping):
        return f'{_short(instance)}; give {{"C": ..., "k": ...}}'
    for key in instance:
        if not isinstance(key, str) or not key.isidentifier():
            return f"the name {_short(key)}"
    for key in ("C", "k"):
        if key not in instance:
            return f"it has no {key}"
    try:
        C = np.asarray(instance["C"])
    except ValueError as error:
        return f"C: {error}"
    if C.ndim != 2 or 0 in C.shape or C.dtype.kind not in "fiuO":
        return f"C is {_short(instance['C'])}; give a real (d, T) array"
    if finite and (C.dtype.kind == "O" or not np.isfinite(C).all()):
        return "C is not finite"
    k = instance["k"]
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        return f"k is {_short(k)}; give an int >= 1"
    if k > min(C.shape):
        return f"k is {k} for C of shape {C.shape}; give 1 <= k <= min(d, T)"
    return None


def _no_function(value: Any) -> str | None:
    """Why a value cannot be called by the names of its parameters; None if it can."""
    if not callable(value):
        return _short(value)
    try:
        inspect.signature(value)
    except (TypeError, ValueError):
        return f"{_short(value)}, whose parameters cannot be read"
    return None


def _short(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
