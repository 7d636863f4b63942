"""Matrix algebra checked by machine: traces of words for all shapes, and their expectations over noise.

A matrix expression is a sum of scalars times words in letters; a trace is a word up to rotation and transposition, and
a commuting real number like any other, so that two scalars agree for all shapes if their difference expands to 0.
A word that a rule matches is replaced. Rules are hypotheses, which the verdict names; those of a `Definition` are not,
as every matrix has the letters that it defines. What does not reduce to 0 is Inconclusive: a normal form shows
equality, never its absence. An identity is also evaluated at random matrices that satisfy the rules, of which there
must be some.

    >>> d, T, k = dimensions("d T k")
    >>> C, W = matrix("C", d, T), matrix("W", k, d)
    >>> equal(frob2(C - W.T @ W @ C), frob2(C) - frob2(W @ C), [orthonormal_rows(W)])
    Checked(kind='symbolic', scope='all d, T, k', hypotheses=("W W' = I",))
"""

import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import sympy as sp

from theory.evidence import examples
from theory.evidence.scalars import exact_expression, nonzero_hypotheses, twice_named
from theory.evidence.scope import every, merged_scope, quantified
from theory.statement import Checked, Inconclusive, Verdict


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


@dataclass(frozen=True)
class Definition:
    """What letters are; see DEFINITIONS for the kinds and their letters.

    Every matrix has FACTORS, which are no hypothesis where only their product appears. What else is demanded of letters
    is named beside the scope.
    """

    kind: str
    letters: tuple[Matrix, ...]

    @property
    def rules(self) -> list[Rule]:
        """Raises ValueError if the kind is unknown or the letters have not its shapes."""
        if self.kind not in DEFINITIONS:
            raise ValueError(f"unknown definition {self.kind!r}: use {', '.join(DEFINITIONS)}")
        for M in self.letters:
            if len(M.terms) != 1 or [len(w) for w in M.terms] != [1]:
                raise ValueError(f"{self.kind}: {M} is no single letter: define matrix(name, ...)")
        rules = DEFINITIONS[self.kind](*self.letters)
        if rules is None:
            said = ", ".join(map(str, self.letters))
            raise ValueError(f"{said} have not the shapes of {self.kind}: see symbolic.DEFINITIONS")
        return rules

    @property
    def names(self) -> list[str]:
        """Of its letters."""
        return [letter.name for M in self.letters for ((letter,),) in [M.terms]]


Given = Rule | Definition
"""What `equal` may use of letters."""


def _singular_values(U: Matrix, D: Matrix, V: Matrix) -> list[Rule] | None:
    """C = U D V' (d, T), U (d, r) and V (T, r) with orthonormal columns, D diagonal, r = min(d, T)."""
    free = {str(U.rows), str(V.rows), "1"}
    r = str(U.cols)
    fits = U.cols == V.cols == D.rows and r not in free and not r.isdigit() and _is_diagonal(D)
    return [orthonormal_rows(U.T), orthonormal_rows(V.T)] if fits else None


def _eigenvalues(V: Matrix, L: Matrix) -> list[Rule] | None:
    """A symmetric matrix (n, n) is V L V', V orthogonal and L diagonal."""
    return _orthogonal(V) if _is_diagonal(L) and L.rows == V.rows else None


def _orthogonal(Q: Matrix) -> list[Rule] | None:
    """Q (n, n), a rotation."""
    return [orthonormal_rows(Q), orthonormal_rows(Q.T)] if Q.rows == Q.cols else None


def _selection(K: Matrix, J: Matrix) -> list[Rule] | None:
    """K (r, k), the first k columns of the identity, k <= r, and the diagonal J = K K'."""
    fits = _is_diagonal(J) and J.rows == K.rows and str(K.cols) != str(K.rows)
    return [orthonormal_rows(K.T), (K @ K.T, J), (J @ J, J), (J @ K, K)] if fits else None


def _projector(J: Matrix) -> list[Rule] | None:
    """J (n, n), diagonal with ones and zeros."""
    return [(J @ J, J)] if _is_diagonal(J) else None


def _is_diagonal(M: Matrix) -> bool:
    ((letter,),) = M.terms
    return letter.kind == "diagonal"


def _unit_vector(e: Matrix) -> list[Rule] | None:
    """e (n, 1) of length 1, such as a column of the identity."""
    return [orthonormal_rows(e.T)] if str(e.cols) == "1" else None


DEFINITIONS: Mapping[str, Callable[..., list[Rule] | None]] = {
    "singular values": _singular_values,
    "eigenvalues": _eigenvalues,
    "orthogonal": _orthogonal,
    "selection": _selection,
    "projector": _projector,
    "unit vector": _unit_vector,
}
"""The rules of each kind of definition, from its letters; None where their shapes do not fit."""
FACTORS = ("singular values", "eigenvalues")
"""Kinds of which every matrix, or every symmetric one, has letters."""


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


def equal(lhs: Any, rhs: Any, rules: Sequence[Given] = (), *, owned: bool = True) -> Verdict:
    """Whether two scalars made of traces, or two matrices, agree for all shapes, given the rules.

    owned: definitions are of letters that the check itself brings in, as the top singular vectors of the optimum. Else
    what they demand of letters is named among the hypotheses.
    """
    given = [r for rule in rules for r in (rule.rules if isinstance(rule, Definition) else [rule])]
    if isinstance(lhs, Matrix):  # M = 0 iff tr(M X) = 0 for every X
        taken = {letter.name for side in (lhs, rhs, *_sides(given)) for letter in letters_of(side)}
        fresh = next(name for n in itertools.count() if (name := f"X{n}") not in taken)
        probe = matrix(fresh, lhs.cols, lhs.rows)
        lhs, rhs = trace(lhs @ probe), trace(rhs @ probe)
    lhs, rhs = exact_expression(lhs), exact_expression(rhs)
    letters = {letter for side in (lhs, rhs, *_sides(given)) for letter in letters_of(side)}
    symbols = lhs.free_symbols | rhs.free_symbols
    symbols |= {x for M in _sides(given) for c in M.terms.values() for x in c.free_symbols}
    if clash := twice_named([*symbols, *letters]):
        return Inconclusive(f"two letters or symbols are called {clash}: rename one of them")
    rest = reduce(lhs - rhs, given)
    if rest != 0:
        return Inconclusive(f"the sides differ by {rest}, which does not reduce to 0")
    pairs = [(a, b or 0 * a) for a, b in given]
    values = examples.example(sorted(letters), sorted(symbols, key=str), pairs)
    if values is None:
        return Inconclusive(f"no numerical example satisfies {_says(given)}: do they contradict?")
    if clash := disagreement(lhs, rhs, values):
        return Inconclusive(clash)
    shapes = {n for x in letters for n in (x.rows, x.cols) if not n.isdigit()}
    sizes = {str(x) for x in symbols if str(x) in shapes}
    said = every({*shapes, *(quantified(x) for x in symbols if str(x) not in sizes)})
    definitions = [rule for rule in rules if isinstance(rule, Definition)]
    defined = {x for rule in definitions for x in rule.names}
    kinds = sorted(f"{x.name} {x.kind}" for x in letters if x.kind and x.name not in defined)
    assumed = [_says([rule]) for rule in rules if not isinstance(rule, Definition)]
    assumed += [] if owned else _restrictions(definitions, [lhs, rhs])
    scope = merged_scope([*_explicit(letters), *([said] if shapes or symbols else [])])
    return Checked("symbolic", scope, (*assumed, *kinds, *nonzero_hypotheses([lhs, rhs])))


def _explicit(letters: set[Letter]) -> list[str]:
    """The shapes that were not quantified over: of a letter with a size that is a number, (d, 1) and (1, d) aside."""
    shapes = sorted({(x.rows, x.cols) for x in letters})
    return [
        f"{rows} x {cols}"
        for rows, cols in shapes
        if (rows.isdigit() and cols.isdigit())
        or any(n.isdigit() and n != "1" for n in (rows, cols))
    ]


def _restrictions(definitions: Sequence[Definition], sides: Sequence[sp.Expr]) -> list[str]:
    """What definitions demand of the letters in the sides; nothing of factors that are used as their product alone."""
    used = Counter(name for definition in definitions for name in definition.names)
    words = [[letter.name for letter in t.word] for side in sides for t in side.atoms(Trace)]
    return [
        f"{', '.join(definition.names)} {definition.kind}"
        for definition in definitions
        if definition.kind not in FACTORS
        or max(used[name] for name in definition.names) > 1
        or not _is_product(definition.names, words)
    ]


def _is_product(names: Sequence[str], words: Sequence[Sequence[str]]) -> bool:
    """Whether letters (U, D, V) or (V, L) appear as U D V' or V L V' alone, beside words of nothing but the second."""
    left, middle, right = names if len(names) == 3 else (*names, names[0])
    products = ([left, middle, right], [right, middle, left])

    def others(word: Sequence[str]) -> list[str]:
        """The letters of a word outside its products."""
        rest = []
        i = 0
        while i < len(word):
            if list(word[i : i + 3]) in products:
                i += 3
            else:
                rest.append(word[i])
                i += 1
        return rest

    mine = [word for word in words if set(names) & set(word) and set(word) != {middle}]
    turns = ([[*word[i:], *word[:i]] for i in range(len(word))] for word in mine)
    return bool(mine) and all(
        any(not set(names) & set(others(turn)) for turn in of_word) for of_word in turns
    )


def _sides(rules: Sequence[Rule]) -> list[Matrix]:
    return [side for rule in rules for side in rule if isinstance(side, Matrix)]


def letters_of(side: Any) -> set[Letter]:
    """The letters of a matrix, or of the traces in a scalar, untransposed."""
    if isinstance(side, Matrix):
        words = [*side.terms, *(t.word for c in side.terms.values() for t in c.atoms(Trace))]
    else:
        words = [t.word for t in side.atoms(Trace)]
    return {letter._replace(transposed=False) for word in words for letter in word}


def disagreement(lhs: sp.Expr, rhs: sp.Expr, values: Mapping[Any, Any]) -> str:
    """Where the sides differ by more than the rounding of entries known to 1e-9; empty if they agree."""
    terms = [*sp.Add.make_args(lhs), *sp.Add.make_args(rhs)]
    left, right, *sizes = examples.numbers([lhs, rhs, *terms], values)
    if abs(left - right) <= 1e-6 * max(1.0, *map(abs, sizes)):
        return ""
    return f"the sides are {left:.6g} and {right:.6g} at a numerical example"


def _says(rules: Sequence[Rule]) -> str:
    sides = ([str(side).rpartition(" (")[0] or "0" for side in rule] for rule in rules)
    return ", ".join(" = ".join(pair) for pair in sides)


def reduce(expr: Any, rules: Sequence[Given] = ()) -> sp.Expr:
    """A scalar expanded, with every word in it that a rule or its transpose matches replaced, until none does."""
    given = [r for rule in rules for r in (rule.rules if isinstance(rule, Definition) else [rule])]
    pairs = [pair for rule in given for pair in _both_ways(rule)]
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
