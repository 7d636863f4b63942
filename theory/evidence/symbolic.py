"""Algebra checked by machine: traces of matrices for all shapes, and scalar identities, signs, flows and limits.

A matrix expression is a sum of scalars times words in letters; a trace is a word up to rotation and transposition, and
a commuting real number like any other, so that two scalars agree for all shapes if their difference expands to 0.
A word that a rule matches is replaced; rules are hypotheses, and the verdict's scope names them. What does not reduce
to 0 is Inconclusive: a normal form proves equality, never its absence.

    >>> d, T, k = dimensions("d T k")
    >>> C, W = matrix("C", d, T), matrix("W", k, d)
    >>> equal(frob2(C - W.T @ W @ C), frob2(C) - frob2(W @ C), [orthonormal_rows(W)])
    Proved(kind='symbolic', scope="all d, k, T with W W' = I")
"""

import functools
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import sympy as sp

from theory.statement import Inconclusive, Proved, Verdict


class Letter(NamedTuple):
    """A named matrix or its transpose; its shape is that of the matrix itself."""

    name: str
    rows: str
    cols: str
    kind: str
    transposed: bool = False

    @property
    def T(self) -> "Letter":
        return self if self.kind else self._replace(transposed=not self.transposed)

    @property
    def shape(self) -> tuple[str, str]:
        return (self.cols, self.rows) if self.transposed else (self.rows, self.cols)

    def __str__(self) -> str:
        return self.name + "'" * self.transposed


Word = tuple[Letter, ...]


def _ordered(word: Word) -> Word:
    """Neighbouring diagonal matrices commute: sorted."""
    for i in range(1, len(word)):
        left, right = word[i - 1 : i + 1]
        if left.kind == right.kind == "diagonal" and left > right:
            return _ordered((*word[: i - 1], right, left, *word[i + 1 :]))
    return word


def _transposed(word: Word) -> Word:
    return tuple(letter.T for letter in reversed(word))


def _rotations(word: Word) -> list[Word]:
    return [word[i:] + word[:i] for i in range(len(word))]


class Trace(sp.AtomicExpr):
    """The trace of a word: a real number that depends on the word up to rotation and transposition only."""

    is_commutative, is_real = True, True
    word: Word

    def __new__(cls, word: Word) -> "Trace":
        turned = [turn for way in (word, _transposed(word)) for turn in _rotations(way)]
        # A rotation that cuts a run of diagonal letters would order its two parts apart.
        whole = [t for t in turned if not t[0].kind == t[-1].kind == "diagonal"]
        trace: Trace = sp.AtomicExpr.__new__(cls)
        trace.word = min(_ordered(turn) for turn in whole or turned)
        return trace

    def _hashable_content(self) -> tuple[Word]:
        return (self.word,)

    def _sympystr(self, _: Any) -> str:
        return f"tr({' '.join(map(str, self.word))})"


@dataclass(frozen=True, eq=False)
class Matrix:
    """A sum of words with scalar coefficients, of shape (rows, cols); @ multiplies matrices, * scales."""

    rows: sp.Expr
    cols: sp.Expr
    terms: Mapping[Word, sp.Expr]

    # A numpy scalar on the left leaves the product to __rmul__.
    __array_ufunc__ = None

    @property
    def T(self) -> "Matrix":
        return _collect(self.cols, self.rows, ((_transposed(w), c) for w, c in self.terms.items()))

    def __add__(self, other: "Matrix") -> "Matrix":
        if (self.rows, self.cols) != (other.rows, other.cols):
            raise ValueError(f"{self} and {other} have different shapes and no sum: check them")
        return _collect(self.rows, self.cols, [*self.terms.items(), *other.terms.items()])

    def __mul__(self, scalar: Any) -> "Matrix":
        if isinstance(scalar, Matrix):
            raise ValueError(f"* scales a matrix by a number: write {self} @ {scalar}")
        return _collect(self.rows, self.cols, ((w, c * scalar) for w, c in self.terms.items()))

    __rmul__ = __mul__

    def __neg__(self) -> "Matrix":
        return self * -1

    def __sub__(self, other: "Matrix") -> "Matrix":
        return self + -other

    def __matmul__(self, other: "Matrix") -> "Matrix":
        if self.cols != other.rows:
            raise ValueError(f"{self} and {other} have no product: their inner dimensions differ")
        products = ((u + v, a * b) for u, a in self.terms.items() for v, b in other.terms.items())
        return _collect(self.rows, other.cols, products)

    def __str__(self) -> str:
        words = (
            "".join("-" if c == -1 else "" if c == 1 else f"({c}) ")
            + (" ".join(map(str, w)) or "I")
            for w, c in self.terms.items()
        )
        return f"{' + '.join(words) or '0'} ({self.rows}, {self.cols})"


Rule = tuple[Matrix, Matrix | Literal[0]]
"""What holds by hypothesis: a single word, and the shorter expression that it equals."""


def _collect(rows: sp.Expr, cols: sp.Expr, terms: Iterable[tuple[Word, sp.Expr]]) -> Matrix:
    total: defaultdict[Word, sp.Expr] = defaultdict(lambda: sp.Integer(0))
    for word, coefficient in terms:
        total[_ordered(word)] += coefficient
    expanded = {word: sp.expand(c) for word, c in total.items()}
    return Matrix(rows, cols, {word: c for word, c in expanded.items() if c != 0})


def dimensions(names: str) -> tuple[sp.Symbol, ...]:
    """Dimensions, positive integers: d, T, k = dimensions("d T k")."""
    return tuple(sp.symbols(names, integer=True, positive=True, seq=True))


def matrix(name: str, rows: Any, cols: Any) -> Matrix:
    """A general real matrix (rows, cols)."""
    return _letter(name, rows, cols, "")


def symmetric(name: str, size: Any) -> Matrix:
    """A symmetric matrix (size, size)."""
    return _letter(name, size, size, "symmetric")


def diagonal(name: str, size: Any) -> Matrix:
    """A diagonal matrix (size, size): symmetric, and commuting with the other diagonal ones."""
    return _letter(name, size, size, "diagonal")


def eye(size: Any) -> Matrix:
    """The identity (size, size)."""
    return Matrix(sp.sympify(size), sp.sympify(size), {(): sp.Integer(1)})


def _letter(name: str, rows: Any, cols: Any, kind: str) -> Matrix:
    rows, cols = sp.sympify(rows), sp.sympify(cols)
    return Matrix(rows, cols, {(Letter(name, str(rows), str(cols), kind),): sp.Integer(1)})


def orthonormal_rows(W: Matrix) -> Rule:
    """The rule W W' = I; of U.T, that the columns of U are orthonormal."""
    return W @ W.T, eye(W.rows)


def trace(M: Matrix) -> sp.Expr:
    """tr M as a real number; ValueError unless M is square."""
    if M.rows != M.cols:
        raise ValueError(f"{M} is not square and has no trace: check its factors")
    return sp.expand(sp.Add(*(c * _trace(word, M.rows) for word, c in M.terms.items())))


def frob2(M: Matrix, S: Matrix | None = None) -> sp.Expr:
    """|M|_F^2 = tr(M' M), or |S^(1/2) M|_F^2 = tr(M' S M)."""
    return trace(M.T @ M if S is None else M.T @ S @ M)


def _trace(word: Word, size: sp.Expr) -> sp.Expr:
    """The trace of a word, of I if empty; where it passes through dimension 1 it is a product of numbers."""
    if not word:
        return size
    cuts = [i for i, letter in enumerate(word) if letter.shape[0] == "1"]
    if not cuts:
        return Trace(word)
    ends = [*cuts[1:], cuts[0] + len(word)]
    return sp.Mul(*(Trace((word + word)[start:end]) for start, end in zip(cuts, ends, strict=True)))


def equal(lhs: Any, rhs: Any, rules: Sequence[Rule] = ()) -> Verdict:
    """Whether two scalars made of traces, or two matrices, agree for all shapes, given the rules."""
    if isinstance(lhs, Matrix):  # M = 0 iff tr(M X) = 0 for every X
        probe = matrix("any matrix", lhs.cols, lhs.rows)
        lhs, rhs = trace(lhs @ probe), trace(rhs @ probe)
    lhs, rhs = _exact(lhs), _exact(rhs)
    rest = reduce(lhs - rhs, rules)
    if rest != 0:
        return Inconclusive(f"the sides differ by {rest}, which does not reduce to 0")
    traces = lhs.atoms(Trace) | rhs.atoms(Trace)
    shapes = {name for t in traces for x in t.word for name in x.shape if not name.isdigit()}
    return Proved("symbolic", _all(shapes) + (f" with {_says(rules)}" if rules else ""))


def _says(rules: Sequence[Rule]) -> str:
    sides = ([str(side).rpartition(" (")[0] or "0" for side in rule] for rule in rules)
    return ", ".join(" = ".join(pair) for pair in sides)


def reduce(expr: Any, rules: Sequence[Rule] = ()) -> sp.Expr:
    """A scalar expanded, with every word in it that a rule or its transpose matches replaced, until none does."""
    pairs = [pair for rule in rules for pair in _both_ways(rule)]
    before, after = None, sp.expand(expr)
    while after != before:
        before = after
        after = sp.expand(before.xreplace({t: _rewrite(t, pairs) for t in before.atoms(Trace)}))
    return after


def _both_ways(rule: Rule) -> Iterator[tuple[Word, Matrix]]:
    lhs, rhs = rule[0], rule[1] or Matrix(rule[0].rows, rule[0].cols, {})
    if [*lhs.terms.values()] != [1] or any(len(w) >= len(*lhs.terms) for w in rhs.terms):
        raise ValueError(f"a rule replaces one word by shorter ones, not {lhs} by {rhs}: split it")
    if (lhs.rows, lhs.cols) != (rhs.rows, rhs.cols):
        raise ValueError(f"a rule keeps the shape, {lhs} and {rhs} differ: mend one of them")
    for side, value in ((lhs, rhs), (lhs.T, rhs.T)):
        yield next(iter(side.terms)), value


def _rewrite(atom: Trace, pairs: Sequence[tuple[Word, Matrix]]) -> sp.Expr:
    for turned in _rotations(atom.word):
        for pattern, value in pairs:
            if turned[: len(pattern)] == pattern:
                rest = turned[len(pattern) :]
                # An empty word is left only if the pattern was all of it, and then value is square.
                return sp.Add(*(c * _trace(w + rest, value.rows) for w, c in value.terms.items()))
    return atom


def expect(expr: sp.Expr, noise: Matrix, law: Literal["white", "gaussian"] = "white") -> sp.Expr:
    """Expectation of a polynomial in traces over the random letter `noise`.

    "white": zero mean, E N_ij N_kl = delta_ik delta_jl, and nothing else known, so at most two N in a term.
    "gaussian": iid standard normal, any order (Isserlis). Independent noises are averaged one after the other.
    A unit vector e_t at uniformly drawn t is sqrt(1/T) times white as far as its second moments go.
    """
    if law not in ("white", "gaussian"):
        raise ValueError(f"law = {law!r} is unknown: use 'white' or 'gaussian'")
    if len(noise.terms) != 1 or [len(w) for w in noise.terms] != [1]:
        raise ValueError(f"{noise} is no single letter: average over matrix(name, rows, cols)")
    ((letter,),) = noise.terms
    if letter.kind:
        raise ValueError(f"{letter} is {letter.kind}, its entries are not free: use matrix(...)")
    expanded = sp.expand(expr)
    held = sorted((t for t in expanded.atoms(Trace) if _count(t.word, letter)), key=str)
    if not held:
        return expanded
    total: sp.Expr = sp.Integer(0)
    for powers, coefficient in sp.Poly(expanded, *held).terms():
        loops = [(t.word, noise.rows) for t, n in zip(held, powers, strict=True) for _ in range(n)]
        order = sum(_count(word, letter) for word, _ in loops)
        if law == "white" and order > 2:
            raise ValueError(
                f"a term has {letter} {order} times, second moments do not fix it: use law='gaussian'"
            )
        total += coefficient * _contract(loops, letter, noise.rows, noise.cols)
    return sp.expand(total)


def _count(word: Word, letter: Letter) -> int:
    return word.count(letter) + word.count(letter.T)


def _contract(
    loops: list[tuple[Word, sp.Expr]], N: Letter, rows: sp.Expr, cols: sp.Expr
) -> sp.Expr:
    """Sum over all pairings of the N of a product of traces (word, its size if empty), N_ij N_kl -> d_ik d_jl."""
    here = next((i for i, (word, _) in enumerate(loops) if _count(word, N)), None)
    if here is None:
        return sp.Mul(*(_trace(word, size) for word, size in loops))
    x, rest = _after(loops[here][0], N), loops[:here] + loops[here + 1 :]
    total: sp.Expr = sp.Integer(0)
    for j, letter in enumerate(x):
        y, z = x[:j], x[j + 1 :]
        if letter == N:  # tr(N y N z) -> tr(y z')
            total += _contract([*rest, (y + _transposed(z), cols)], N, rows, cols)
        elif letter == N.T:  # tr(N y N' z) -> tr(y) tr(z)
            total += _contract([*rest, (y, cols), (z, rows)], N, rows, cols)
    for i, (word, _) in enumerate(rest):
        others = rest[:i] + rest[i + 1 :]
        for turned in _rotations(word):
            if turned[0] in (N, N.T):  # tr(N x) tr(N u) -> tr(x u')
                u = turned[1:] if turned[0] == N else _transposed(turned[1:])
                total += _contract([*others, (x + _transposed(u), cols)], N, rows, cols)
    return total


def _after(word: Word, N: Letter) -> Word:
    """x such that tr(word) = tr(N x)."""
    if N not in word:
        word = _transposed(word)
    i = word.index(N)
    return word[i + 1 :] + word[:i]


def evaluate(expr: sp.Expr, values: Mapping[Any, Any]) -> float:
    """A scalar's value for arrays by letter name and numbers by symbol: ties the algebra to numpy."""
    traces: dict[Trace, sp.Float] = {}
    for atom in expr.atoms(Trace):
        factors = (values[x.name].T if x.transposed else values[x.name] for x in atom.word)
        traces[atom] = sp.Float(np.trace(functools.reduce(np.matmul, factors)))
    numbers = {name: value for name, value in values.items() if isinstance(name, sp.Symbol)}
    return float(expr.xreplace(traces).subs(numbers))


def identity(lhs: Any, rhs: Any) -> Verdict:
    """Whether lhs = rhs wherever both are defined, for all values that the symbols' assumptions allow."""
    difference = _exact(lhs) - _exact(rhs)
    for simplify in (sp.expand, sp.cancel, sp.trigsimp, sp.simplify):
        if simplify(difference) == 0:
            return Proved("symbolic", _all(difference.free_symbols))
    return Inconclusive(f"the sides differ by {sp.simplify(difference)}, not shown to be 0")


def _exact(expr: Any) -> sp.Expr:
    expr = sp.sympify(expr)
    if expr.has(sp.Float):
        raise ValueError(f"{expr} has rounded numbers, which prove nothing: write sympy.Rational")
    return expr


def _all(names: Iterable[Any]) -> str:
    return "all " + (", ".join(sorted(map(str, names), key=str.lower)) or "values")


def explicit_shapes(sides: Callable[..., tuple[Any, Any]], shapes: Iterable[Any]) -> Verdict:
    """An identity between scalars or sympy matrices in explicit entries, at each shape: sides(*shape) -> (lhs, rhs)."""
    shapes = [tuple(shape) for shape in shapes]
    if not shapes:
        raise ValueError("no shapes to check: pass at least one, such as [(2, 3)]")
    for shape in shapes:
        lhs, rhs = sides(*shape)
        for entry in sp.Matrix([lhs - rhs]):
            if not isinstance(verdict := identity(entry, 0), Proved):
                return Inconclusive(f"at shape {shape}: {verdict}")
    names = ", ".join(inspect.signature(sides).parameters)
    return Proved("symbolic", f"({names}) = {', '.join(map(str, shapes))}")


def entries(name: str, rows: int, cols: int) -> sp.Matrix:
    """A (rows, cols) sympy matrix of real symbols, for `explicit_shapes`."""
    return sp.Matrix(rows, cols, lambda i, j: sp.Symbol(f"{name}_{i}{j}", real=True))


def expected_quadratic(q: sp.Expr, moments: Mapping[sp.Symbol, tuple[Any, Any]]) -> sp.Expr:
    """E q for a polynomial q of degree <= 2 in uncorrelated entries with these (mean, variance).

    q at the mean, plus half of each unmixed second derivative times the variance.
    """
    if sp.Poly(q, *moments).total_degree() > 2:
        raise ValueError(
            "q is of degree > 2 in the random entries: mean and variance do not fix E q"
        )
    spread = sum(sp.diff(q, x, 2) * variance / 2 for x, (_, variance) in moments.items())
    return sp.expand((q + spread).subs({x: mean for x, (mean, _) in moments.items()}))


def ode_solution(
    solution: sp.Expr, t: sp.Symbol, rhs: Callable[[sp.Expr], sp.Expr], initial: Any
) -> Verdict:
    """Whether s(t) solves s' = rhs(s), s(0) = initial."""
    flow = identity(sp.diff(solution, t), rhs(solution))
    start = identity(solution.subs(t, 0), initial)
    return flow if isinstance(start, Proved) else start


def limit(expr: sp.Expr, x: sp.Symbol, point: Any, value: Any, side: str = "+") -> Verdict:
    """Whether expr -> value as x -> point."""
    try:
        reached = sp.limit(expr, x, point, side)
    except NotImplementedError as error:
        return Inconclusive(f"sympy finds no limit of {expr}: {error}")
    if not isinstance(verdict := identity(reached, value), Proved):
        return verdict
    return Proved("symbolic", _all(expr.free_symbols - {x}))


POLYA_POWERS = 9
"""How many powers of (1 + sum y) `nonnegative` tries."""

Region = Mapping[sp.Symbol, tuple[Any, Any]]
"""Closed intervals by symbol, with rational or infinite ends."""


def nonnegative(
    expr: sp.Expr, region: Region | None = None, squares: Sequence[tuple[Any, Any]] = ()
) -> Verdict:
    """Whether a rational function is >= 0 on the region (default: where the symbols' assumptions allow).

    `squares` is a certificate, expr = sum of weight * root^2 over its pairs with every weight >= 0. Without it, the
    sign comes factor by factor, each settled by one of: assumptions, Sturm's count of real roots (one symbol), a
    positive semidefinite matrix (quadratics), coefficients >= 0 after the region is mapped to the positive orthant.
    """
    expr = _exact(expr)
    region = {x: _interval(x, region or {}) for x in sorted(expr.free_symbols, key=str)}
    within = ", ".join(_says_interval(x, *ends) for x, ends in region.items()) or "all values"
    if squares:
        for weight, _ in squares:
            if not isinstance(verdict := nonnegative(weight, region), Proved):
                return verdict
        verdict = identity(expr, sum(weight * root**2 for weight, root in squares))
        return Proved("symbolic", within) if isinstance(verdict, Proved) else verdict
    numerator, denominator = sp.fraction(sp.together(expr))
    try:
        constant, factors = sp.factor_list(sp.expand(numerator * denominator))
    except sp.PolynomialError:
        constant, factors = sp.Integer(1), [(expr, 1)]
    sign = constant
    for factor, power in factors:
        if power % 2:
            sign *= _sign(factor, region)
    if sign.is_nonnegative:
        return Proved("symbolic", within)
    return Inconclusive(f"no proof that {sp.factor(expr)} >= 0 on {within}")


def _interval(x: sp.Symbol, region: Region) -> tuple[sp.Expr, sp.Expr]:
    """The interval asked for, cut down to what the symbol's own assumptions allow."""
    if not x.is_real:
        raise ValueError(f"{x} has no sign: declare it with symbols({str(x)!r}, real=True)")
    low, high = map(_exact, region.get(x, (-sp.oo, sp.oo)))
    if not all(end.is_rational or end.is_infinite for end in (low, high)):
        raise ValueError(f"{x} in [{low}, {high}]: the ends must be rational or infinite")
    low = sp.Max(low, 0) if x.is_nonnegative else low
    high = sp.Min(high, 0) if x.is_nonpositive else high
    if not low <= high:
        raise ValueError(f"{x} has the empty interval [{low}, {high}]: swap or widen its ends")
    return low, high


def _says_interval(x: sp.Symbol, low: sp.Expr, high: sp.Expr) -> str:
    if low.is_infinite and high.is_infinite:
        return f"all {x}"
    return " <= ".join(str(end) for end in (low, x, high) if not end.is_infinite)


def _sign(p: sp.Expr, region: Region) -> sp.Expr:
    """1 or -1 if p or -p is >= 0 on the region, nan if neither is shown."""
    return next(
        (sign for sign in (sp.S.One, -sp.S.One) if _is_nonnegative(sign * p, region)), sp.nan
    )


def _is_nonnegative(p: sp.Expr, region: Region) -> bool:
    if p.is_nonnegative:
        return True
    symbols = sorted(p.free_symbols, key=str)
    if not p.is_polynomial(*symbols):
        return False
    poly = sp.Poly(p, *symbols)
    if not all(c.is_rational for c in poly.coeffs()):
        return False
    alone = len(symbols) == 1 and _sturm(poly, *region[symbols[0]])
    return alone or _quadratic(poly) or _orthant(poly, region)


def _sturm(p: sp.Poly, low: sp.Expr, high: sp.Expr) -> bool:
    """No root on the closed interval and a value > 0 there. Roots at its ends are left to `_orthant`."""
    ends = [end if end.is_finite else None for end in (low, high)]
    point = next((end for end in ends if end is not None), sp.S.Zero)
    return bool(p.count_roots(*ends) == 0 and p.eval(point) > 0)


def _quadratic(p: sp.Poly) -> bool:
    """p = z' Q z in z = (1, x, y, ...) with Q positive semidefinite: p >= 0 everywhere."""
    if p.total_degree() > 2:
        return False
    one = sp.Dummy()
    form = sp.expand(one**2 * p.as_expr().subs({x: x / one for x in p.gens}, simultaneous=True))
    return bool(sp.hessian(form, [one, *p.gens]).is_positive_semidefinite)


def _orthant(p: sp.Poly, region: Region) -> bool:
    """Coefficients >= 0 in y >= 0, x = low + y, high - y or (low + high y) / (1 + y), denominators cleared.

    Multiplying by (1 + sum y)^n first lets more polynomials through (Polya). The end y = oo follows by continuity.
    """
    value, positive = p.as_expr(), []
    for x in p.gens:
        (low, high), y = region[x], sp.Dummy()
        if low.is_infinite and high.is_infinite:
            return False
        if low.is_finite and high.is_finite:
            value = (1 + y) ** p.degree(x) * value.subs(x, (low + high * y) / (1 + y))
        else:
            value = value.subs(x, low + y if low.is_finite else high - y)
        positive.append(y)
    mapped, factor = (sp.Poly(q, *positive) for q in (sp.cancel(value), 1 + sum(positive)))
    return any(all(c >= 0 for c in (mapped * factor**n).coeffs()) for n in range(POLYA_POWERS))
