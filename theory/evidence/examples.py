"""Numerical examples of letters and symbols: random values that satisfy the rules of a step, or none.

Algebra that a rewriting got wrong shows at one of them, and rules that contradict one another have none.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

if TYPE_CHECKING:
    from theory.evidence.symbolic import Letter, Matrix, Trace

Array = NDArray[np.float64]
TRIES = 40
SEARCHES = 6
"""Least-squares searches among the tries, for rules that no orthonormal start satisfies."""
LARGEST = 4
"""Of a size drawn for a dimension."""
SOLVED = 1e-18
"""Of half the sum of squared residuals of the rules: entries near 1, to 1e-9."""


def value_of(symbol: sp.Symbol, rng: np.random.Generator) -> float:
    """A random number that the symbol's assumptions allow, most often near 1; NaN if none is at hand."""
    size = 1 + int(rng.integers(0, 4)) if symbol.is_integer else float(np.exp(rng.normal()))
    for value in (size, -size, 0):
        allowed = (
            not (symbol.is_positive and value <= 0)
            and not (symbol.is_nonnegative and value < 0)
            and not (symbol.is_negative and value >= 0)
            and not (symbol.is_nonpositive and value > 0)
            and not (symbol.is_zero and value != 0)
        )
        if allowed:
            turned = symbol.is_real and symbol.is_nonnegative is None and rng.random() < 0.5
            return -value if turned and symbol.is_nonpositive is None else value
    return float("nan")


def sizes(names: Sequence[str], rng: np.random.Generator) -> dict[str, int]:
    """A size for each dimension; names that are whole numbers are themselves."""
    drawn = rng.integers(1, LARGEST, size=len(names), endpoint=True)
    return {
        name: int(name) if name.isdigit() else int(n) for name, n in zip(names, drawn, strict=True)
    }


@dataclass(frozen=True)
class Polynomials:
    """The residuals lhs - rhs of the rules as sums of coefficient * product of letters, at given sizes and numbers."""

    letters: tuple["Letter", ...]
    shape: Mapping[str, int]
    sums: tuple[tuple[int, tuple[tuple[float, tuple["Letter", ...]], ...]], ...]

    def __call__(self, entries: Array) -> Array:
        values = arrays(self.letters, self.shape, entries)
        values |= {letter.T: array.T for letter, array in values.items()}
        return np.concatenate(
            [
                np.ravel(sum(c * _product([values[x] for x in w], size) for c, w in terms))
                for size, terms in self.sums
            ]
        )


def _product(factors: Sequence[Array], size: int) -> Array:
    """The product of matrices; the identity of this size if there are none."""
    return reduce(np.matmul, factors) if factors else np.eye(size)


def example(
    letters: Sequence["Letter"],
    symbols: Sequence[sp.Symbol],
    rules: Sequence[tuple["Matrix", "Matrix"]],
    seed: int = 0,
) -> dict[Any, Any] | None:
    """Arrays by letter and numbers by symbol that satisfy lhs = rhs for each of the rules; None if none are found."""
    rng = np.random.default_rng(seed)
    names = sorted({name for letter in letters for name in (letter.rows, letter.cols)})
    searches = 0
    for _ in range(TRIES):
        shape = sizes(names, rng)
        values: dict[Any, Any] = {
            symbol: shape.get(str(symbol), value_of(symbol, rng)) for symbol in symbols
        }
        start = {x: rng.standard_normal((shape[x.rows], shape[x.cols])) for x in letters}
        if not all(_begin(start, lhs, rhs) for lhs, rhs in rules):
            continue
        searches += 1
        for lhs, rhs in rules:
            _select(start, lhs, rhs)
        solved = _solved(letters, shape, start, rules, values)
        if solved is not None:
            return values | solved
        if searches == SEARCHES:
            break
    return None


def _begin(start: dict["Letter", Array], lhs: "Matrix", rhs: "Matrix") -> bool:
    """Start near the rule if it is X X' = I or J J = J; False if these shapes have no X."""
    (word,) = lhs.terms
    if len(word) != 2:
        return True
    first, second = word
    letter = first._replace(transposed=False)
    if first == second and letter.kind == "diagonal" and list(rhs.terms) == [(first,)]:
        start[letter] = np.diag(np.arange(len(start[letter])) < len(start[letter]) / 2).astype(
            float
        )
    if second == first.T and not letter.kind and list(rhs.terms.items()) == [((), 1)]:
        X = start[letter].T if first.transposed else start[letter]
        if len(X) > X.shape[1]:
            return False
        Q = np.linalg.qr(X.T)[0].T
        start[letter] = Q.T if first.transposed else Q
    return True


def _select(start: dict["Letter", Array], lhs: "Matrix", rhs: "Matrix") -> None:
    """Start at K, the first columns of the identity, where a rule says that K K' is a diagonal letter."""
    (word,) = lhs.terms
    values = [x for x in rhs.terms if len(x) == 1 and x[0].kind == "diagonal"]
    is_gram = len(word) == 2 and word[1] == word[0].T and not (word[0].kind or word[0].transposed)
    if is_gram and values:
        K = np.eye(*start[word[0]].shape)
        start[word[0]], start[values[0][0]] = K, K @ K.T


def _solved(
    letters: Sequence["Letter"],
    shape: Mapping[str, int],
    start: Mapping["Letter", Array],
    rules: Sequence[tuple["Matrix", "Matrix"]],
    values: Mapping[Any, Any],
) -> dict[Any, Any] | None:
    entries = np.concatenate([_free(x, start[x]) for x in letters]) if letters else np.zeros(0)
    matrices = arrays(letters, shape, entries)
    if not rules:
        return matrices
    fixed = {**values, **matrices}  # a coefficient that holds a trace of the letters is no constant
    if any(list(_traces(c)) for rule in rules for M in rule for c in M.terms.values()):
        return None
    sums = []
    for lhs, rhs in rules:
        terms = [(number(c, fixed), w) for w, c in lhs.terms.items()]
        terms += [(-number(c, fixed), w) for w, c in rhs.terms.items()]
        sums.append((shape.get(str(lhs.rows)) or int(number(lhs.rows, fixed)), tuple(terms)))
    residual = Polynomials(tuple(letters), shape, tuple(sums))
    if not (residual(entries) ** 2).sum() < 2 * SOLVED:
        from scipy.optimize import least_squares

        solution = least_squares(
            residual, entries, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=100
        )
        if not solution.cost < SOLVED:
            return None
        entries = solution.x
    return arrays(letters, shape, entries)


def _free(letter: "Letter", array: Array) -> Array:
    """The entries that a letter of this kind is free in."""
    if letter.kind == "diagonal":
        return np.diag(array)
    return array[np.triu_indices(len(array))] if letter.kind else array.ravel()


def arrays(
    letters: Sequence["Letter"], shape: Mapping[str, int], entries: Array
) -> dict[Any, Array]:
    """The letters' arrays from the entries that they are free in."""
    values: dict[Any, Array] = {}
    for letter in letters:
        rows, cols = shape[letter.rows], shape[letter.cols]
        size = {"symmetric": rows * (rows + 1) // 2, "diagonal": rows}.get(letter.kind, rows * cols)
        own, entries = np.split(entries, [size])
        if letter.kind == "diagonal":
            values[letter] = np.diag(own)
        elif letter.kind:
            half = np.zeros((rows, rows))
            half[np.triu_indices(rows)] = own
            values[letter] = np.triu(half) + np.triu(half, 1).T
        else:
            values[letter] = own.reshape(rows, cols)
    return values


def number(expr: sp.Expr, values: Mapping[Any, Any]) -> float:
    """The value of a scalar made of traces and symbols; NaN where it is not a real number."""
    return float(numbers([expr], values)[0])


def numbers(exprs: Sequence[sp.Expr], values: Mapping[Any, Any]) -> list[float]:
    """The values of scalars made of traces and symbols; NaN where one is not a real number."""
    known: dict[Any, Any] = {}
    for expr in exprs:
        for atom in _traces(expr):
            product = reduce(
                np.matmul, (values[x.T].T if x.transposed else values[x] for x in atom.word)
            )
            known[atom] = _exact(np.trace(product))
        for symbol in expr.free_symbols:
            known[symbol] = _exact(values[symbol])
    evaluated = []
    for expr in exprs:
        value = sp.sympify(expr).xreplace(known).evalf(30)
        evaluated.append(float(value) if value.is_real and value.is_finite else float("nan"))
    return evaluated


def _exact(value: Any) -> sp.Expr:
    """The dyadic rational that a float is, so that no digit is lost; NaN for what is not finite."""
    return sp.Rational(float(value)) if np.isfinite(value) else sp.nan


def _traces(expr: sp.Expr) -> Iterator["Trace"]:
    return (atom for atom in expr.atoms(sp.AtomicExpr) if hasattr(atom, "word"))
