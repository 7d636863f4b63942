"""Certificates as plain data and back: what JSON holds, checked kind by kind, so that only values cross.

`written` takes exact types only, no subclass; `read` builds every letter, symbol and expression anew and refuses names,
shapes and assumptions that none of ours would have. What came from a user's file has no code left in it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from fractions import Fraction
from typing import Any

import sympy as sp

from theory.evidence import certificates
from theory.evidence.symbolic import Definition, Letter, Matrix, Trace

NAME = re.compile(r"[^\W\d]\w{0,30}")
ASSUMPTIONS = ("real", "positive", "nonnegative", "negative", "nonpositive", "nonzero", "integer")
KINDS: Mapping[str, type] = {kind.__name__: kind for kind in (*certificates.KINDS, Definition)}
OPERATIONS: Mapping[str, Callable[..., sp.Expr]] = {
    "Add": sp.Add, "Mul": sp.Mul, "Pow": sp.Pow,
    "exp": sp.exp, "log": sp.log, "sin": sp.sin, "cos": sp.cos,
}  # fmt: skip
CONSTANTS: Mapping[str, sp.Expr] = {"pi": sp.pi, "E": sp.E, "oo": sp.oo, "-oo": -sp.oo}


class NoData(ValueError):
    """A check that is no data, with the reason."""


def written(value: Any) -> Any:
    """A certificate as lists, texts and numbers. Raises NoData for anything else than exact types of certificates."""
    kind = type(value)
    if value is None or kind in (str, bool):
        return value
    if kind is int:
        return ["int", str(value)]
    if kind is Fraction:
        return ["fraction", str(value)]
    if kind in (list, tuple):
        return ["list", [written(entry) for entry in value]]
    if kind is dict:
        return ["dict", [[str(key), written(entry)] for key, entry in value.items()]]
    if kind is Matrix:
        terms = [
            [[_letter(x) for x in word], _expression(c)] for word, c in dict(value.terms).items()
        ]
        return ["matrix", _expression(value.rows), _expression(value.cols), terms]
    if KINDS.get(kind.__name__) is kind:
        return [kind.__name__, {f.name: written(getattr(value, f.name)) for f in fields(kind)}]
    if isinstance(value, sp.Basic):
        return _expression(value)
    raise NoData(f"{kind.__name__} is code or of an unknown kind")


def _letter(x: Any) -> list[Any]:
    if type(x) is not Letter:
        raise NoData(f"{type(x).__name__} is no letter")
    return [str(x.name), str(x.rows), str(x.cols), str(x.kind), bool(x.transposed)]


def _expression(expr: Any) -> list[Any]:
    kind = type(expr)
    if kind is sp.Symbol:
        given = {
            key: value for key, value in expr._assumptions_orig.items() if key != "commutative"
        }
        return ["symbol", str(expr.name), sorted([str(key), bool(v)] for key, v in given.items())]
    if kind in (int, Fraction):
        return ["fraction", str(Fraction(expr))]
    if isinstance(expr, sp.Rational) and kind.__module__ == "sympy.core.numbers":
        return ["fraction", f"{int(expr.p)}/{int(expr.q)}"]
    if kind is Trace:
        return ["trace", [_letter(x) for x in expr.word]]
    for name, constant in CONSTANTS.items():
        if expr is constant:
            return ["constant", name]
    for name, operation in OPERATIONS.items():
        if kind is operation:
            return ["operation", name, [_expression(part) for part in expr.args]]
    raise NoData(f"{kind.__name__} is of no kind that the checker evaluates")


def read(data: Any) -> Any:
    """What `written` wrote. Raises ValueError for what it would not have written."""
    if data is None or isinstance(data, str | bool):
        return data
    kind, *parts = data
    match kind:
        case "int":
            return int(parts[0])
        case "list":
            return tuple(read(entry) for entry in parts[0])
        case "dict":
            return {_name(key): read(entry) for key, entry in parts[0]}
        case "matrix":
            return _matrix(*parts)
        case "symbol" | "trace" | "constant" | "operation" | "fraction":
            return _read_expression(data)
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of certificate")
    values = {str(name): read(entry) for name, entry in parts[0].items()}
    return KINDS[kind](**values)


def _name(text: Any) -> str:
    if not isinstance(text, str) or not NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name: use letters, digits and _, at most 31")
    return text


def _read_expression(data: Any) -> sp.Expr:
    kind, *parts = data
    match kind:
        case "symbol":
            given = {str(key): bool(value) for key, value in parts[1]}
            unknown = sorted(set(given) - set(ASSUMPTIONS))
            if unknown:
                raise ValueError(f"{parts[0]}: assumption {unknown[0]!r}: use {ASSUMPTIONS}")
            return sp.Symbol(_name(parts[0]), **given)
        case "fraction":
            exact = Fraction(parts[0])
            return sp.Rational(exact.numerator, exact.denominator)
        case "constant":
            return CONSTANTS[parts[0]]
        case "trace":
            word = tuple(_read_letter(x) for x in parts[0])
            _chain(word, word[0].shape[0], word[0].shape[0])
            return Trace(word)
        case "operation":
            return OPERATIONS[parts[0]](*(_read_expression(part) for part in parts[1]))
    raise ValueError(f"{kind!r} is no expression")


def _size(text: str) -> str:
    if text.isdigit() and text.isascii() and int(text) >= 1:
        return text
    return _name(text)


def _read_letter(data: Any) -> Letter:
    name, rows, cols, kind, transposed = data
    letter = Letter(_name(name), _size(rows), _size(cols), kind, bool(transposed))
    if kind not in ("", "symmetric", "diagonal") or (kind and (rows != cols or transposed)):
        raise ValueError(f"{name} is {kind or 'general'} of shape ({rows}, {cols})")
    return letter


def _chain(word: tuple[Letter, ...], rows: str, cols: str) -> None:
    """Raises ValueError unless the shapes of a word meet, from rows to cols."""
    inner = [rows]
    for letter in word:
        if letter.shape[0] != inner[-1]:
            raise ValueError(f"{' '.join(map(str, word))} has no product: its shapes do not meet")
        inner.append(letter.shape[1])
    if inner[-1] != cols:
        raise ValueError(f"{' '.join(map(str, word)) or 'I'} is not of shape ({rows}, {cols})")


def _matrix(rows: Any, cols: Any, terms: Any) -> Matrix:
    shape = [_read_expression(size) for size in (rows, cols)]
    for size in shape:
        whole = size.is_Integer and size >= 1
        if not (whole or (size.is_Symbol and size.is_integer and size.is_positive)):
            raise ValueError(f"{size} is no size: use dimensions(...) or a whole number")
    coefficients: dict[tuple[Letter, ...], sp.Expr] = {}
    for letters, coefficient in terms:
        word = tuple(_read_letter(x) for x in letters)
        _chain(word, str(shape[0]), str(shape[1]))
        coefficients[word] = _read_expression(coefficient)
    return Matrix(shape[0], shape[1], coefficients)
