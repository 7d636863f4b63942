"""Steps as data: what each kind of certificate checks and assumes, and what cannot be smuggled into one."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from theory.evidence import apart, lemmas, plain, symbolic
from theory.evidence.certificates import (
    All,
    Citation,
    Entries,
    Identity,
    Inequality,
    Limit,
    Mean,
    Nonnegative,
    PositiveSemidefinite,
    evaluate,
)
from theory.evidence.lemmas import step
from theory.evidence.symbolic import (
    Definition,
    diagonal,
    dimensions,
    equal,
    eye,
    frob2,
    matrix,
    orthonormal_rows,
    symmetric,
    trace,
)
from theory.statement import Checked, Inconclusive, Refuted, Step, Unchecked

d, T, k, r = dimensions("d T k r")
C, W, N, G = matrix("C", d, T), matrix("W", k, d), matrix("N", k, d), matrix("G", k, T)
x, y = sp.symbols("x y", real=True)

PYTHAGORAS = Identity(frob2(C - W.T @ W @ C), frob2(C) - frob2(W @ C), (orthonormal_rows(W),))
WITH_NOISE = Identity(Mean(frob2(C - (W + N).T @ G), N), frob2(C - W.T @ G) + d * frob2(G))
TRUE = [
    (PYTHAGORAS, Checked("symbolic", "all d, T, k", ("W W' = I",))),
    (WITH_NOISE, Checked("symbolic", "all d, T, k", ("N white noise, independent of C, G, W",))),
    (Identity((x + y) ** 2, x**2 + 2 * x * y + y**2), Checked("symbolic", "all x, y")),
    (Identity((x**2 - 1) / (x - 1), x + 1), Checked("symbolic", "all x", ("x - 1 != 0",))),
    (
        Nonnegative(x**2 - 2 * x + 2, squares=((1, x - 1), (1, sp.Integer(1)))),
        Checked("symbolic", "all x"),
    ),
    (Nonnegative(x * (1 - x), ((x, 0, 1),)), Checked("symbolic", "all 0 <= x <= 1")),
    (Limit(1 / x, x, sp.oo, 0), Checked("symbolic", "all values")),
    (Entries((((x + y) ** 2,),), ((x**2 + 2 * x * y + y**2,),)), Checked("symbolic", "1 x 1")),
    (PositiveSemidefinite(((2, -1), (-1, 2))), Checked("exact", "one matrix 2 x 2")),
    (
        PositiveSemidefinite(((1, "1/2"), ("1/2", 1)), ((1, 0), ("1/2", 1)), (1, "3/4")),
        Checked("exact", "one matrix 2 x 2"),
    ),
    (Inequality(sp.pi, sp.Rational(22, 7)), Checked("interval", "pi <= 22/7")),
    (Inequality(sp.sqrt(2) + sp.exp(1), 5), Checked("interval", "sqrt(2) + E <= 5")),
    (Citation("cauchy_schwarz"), Checked("symbolic", "all m, n")),
]
TINY = sp.Rational(1, 10**30)
"""No random point is so near to 0."""
FALSE = [
    replace(PYTHAGORAS, rules=()),
    replace(WITH_NOISE, rhs=frob2(C - W.T @ G) + frob2(G)),
    Identity((x + y) ** 2, x**2 + y**2),
    Nonnegative(x, squares=((1, sp.sqrt(x)),)),
    Nonnegative(x**2 - TINY, squares=((1, sp.sqrt(x**2 - TINY)),)),
    Nonnegative(x * (1 - x), ((x, 0, 2),)),
    Limit(1 / x, x, sp.oo, 1),
    Entries(((x,),), ((y,),)),
    PositiveSemidefinite(((1, 2), (2, 1))),
    PositiveSemidefinite(((1, 2), (2, 1)), ((1, 0), (2, 1)), (1, -3)),
    PositiveSemidefinite(((2, 0), (0, 2)), ((1, 0), (0, 1)), (1, 1)),
    Inequality(sp.Rational(22, 7), sp.pi),
    All(()),
    All((PYTHAGORAS, replace(PYTHAGORAS, rules=()))),
]


@pytest.mark.parametrize(("certificate", "verdict"), TRUE, ids=lambda c: type(c).__name__)
def test_a_true_certificate_is_checked_also_as_plain_data(certificate, verdict) -> None:
    answer = certificate()
    assert isinstance(answer, Checked)
    assert answer == verdict
    assert plain.read(plain.written(certificate))() == answer


@pytest.mark.parametrize("certificate", FALSE, ids=lambda c: type(c).__name__)
def test_a_false_certificate_is_not_checked(certificate) -> None:
    assert isinstance(plain.read(plain.written(certificate))(), Inconclusive | Refuted)


def test_the_scope_is_that_of_the_shapes_checked() -> None:
    doubled = [
        tuple(map(tuple, M.tolist()))
        for M in ((x + 1) ** 2 * sp.eye(2), (x**2 + 2 * x + 1) * sp.eye(2))
    ]
    assert evaluate(Entries(*doubled)) == Checked("symbolic", "2 x 2")


def test_assumed_signs_stand_in_the_scope() -> None:
    """An attack: the gap of the claim itself as a symbol that is declared nonnegative."""
    gap, n = sp.symbols("gap n", nonnegative=True)
    assert evaluate(Nonnegative(gap / (1 + n))).scope == "all gap >= 0, n >= 0"
    square = Identity((gap + n) ** 2, gap**2 + 2 * gap * n + n**2)
    assert evaluate(square).scope == "all gap >= 0, n >= 0"


def test_kinds_of_letters_are_assumptions() -> None:
    P, A = symmetric("P", d), matrix("A", d, d)
    assert equal(trace(P @ A), trace(P @ A.T)).hypotheses == ("P symmetric",)
    D, E = diagonal("D", d), diagonal("E", d)
    assert equal(D @ E, E @ D).hypotheses == ("D diagonal", "E diagonal")


def test_a_definition_is_no_hypothesis_and_has_the_shapes_of_one() -> None:
    U, D, V = matrix("U", d, r), diagonal("D", r), matrix("V", T, r)
    factors = Definition("singular values", (U, D, V))
    assert equal(frob2(U @ D @ V.T), trace(D @ D), [factors]) == Checked("symbolic", "all d, T, r")
    for kind, letters in (
        ("singular values", (matrix("U", d, d), diagonal("D", d), matrix("V", T, d))),
        ("unit vector", (C,)),
        ("orthogonal", (C,)),
        ("projector", (symmetric("J", d),)),
        ("nonesuch", (C,)),
        ("orthogonal", (C @ C.T,)),
    ):
        with pytest.raises(ValueError, match=r"definition|shapes|single letter"):
            _ = Definition(kind, letters).rules


def test_what_definitions_demand_beyond_factors_is_named() -> None:
    """Attacks: a hypothesis on a letter of the claim's own, or on the factors of it, given as its definition."""
    n, d = dimensions("n d")
    Q, c = matrix("Q", n, n), matrix("c", d, 1)
    orthogonal = evaluate(Identity(frob2(Q), n, (Definition("orthogonal", (Q,)),)))
    assert orthogonal == Checked("symbolic", "all n", ("Q orthogonal",))
    unit = evaluate(Identity(frob2(c), 1, (Definition("unit vector", (c,)),)))
    assert unit == Checked("symbolic", "all d", ("c unit vector",))
    V, L = matrix("V", n, n), diagonal("L", n)
    G = V @ L @ V.T
    factors = Definition("eigenvalues", (V, L))
    assert evaluate(Identity(trace(G @ G), trace(L @ L), (factors,))).hypotheses == ()
    idempotent = evaluate(
        Identity(
            G @ G,
            G,
            (
                factors,
                Definition("projector", (L,)),
            ),
        )
    )
    assert idempotent.hypotheses == ("V, L eigenvalues", "L projector")
    # The letters of a decomposition, used as if they were the matrix itself.
    assert evaluate(Identity(frob2(V), n, (factors,))).hypotheses == ("V, L eigenvalues",)
    assert evaluate(Identity(trace(L @ L @ V @ V.T), trace(L @ L), (factors,))).hypotheses != ()
    E = diagonal("E", n)
    assert evaluate(Identity(trace(E @ L @ L), trace(L @ E @ L), (factors,))).hypotheses != ()


@pytest.mark.parametrize(
    ("shape", "scope"), [((1, 1), "1 x 1"), ((2, 2), "2 x 2"), ((d, 2), "d x 2; all d")]
)
def test_explicit_shapes_stand_in_the_scope(shape, scope) -> None:
    A = matrix("A", *shape)
    assert equal(trace(A.T @ A), frob2(A)).scope == scope
    small = matrix("A", 1, 1)
    assert equal(trace(small @ small), trace(small) ** 2).scope == "1 x 1"
    assert (
        equal(frob2(matrix("c", d, 1)), trace(matrix("c", d, 1) @ matrix("c", d, 1).T)).scope
        == "all d"
    )


def test_whole_and_positive_is_unsaid_of_sizes_alone() -> None:
    mu, size = (sp.Symbol(name, integer=True, positive=True) for name in ("mu", "d"))
    assert evaluate(Nonnegative(mu**2 - mu)).scope == "all mu > 0 (integer)"
    assert evaluate(Nonnegative(size**2 - size)).scope == "all d"


def test_the_probe_is_fresh() -> None:
    """An attack: a letter named like the probe, with rules that annihilate it."""
    A, B = matrix("A", d, T), matrix("B", d, T)
    for name in ("any matrix", "X0", "X1"):
        probe = matrix(name, T, d)
        assert isinstance(equal(A, B, [(probe @ A, 0), (probe @ B, 0)]), Inconclusive)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([(eye(d), 0 * eye(d))], "no numerical example"),
        ([(symmetric("A", d), 0), (symmetric("A", d) @ symmetric("A", d), eye(d))], "no numerical"),
        ([(matrix("A", d, 1).T @ matrix("A", d, 1), -1 * eye(1))], "no numerical example"),
    ],
)
def test_rules_that_contradict_one_another_show_nothing(rules, says) -> None:
    A, B = symmetric("A", d), symmetric("B", d)
    verdict = equal(trace(A @ B @ A @ B), trace(A @ A @ B @ B), rules)
    assert isinstance(verdict, Inconclusive)
    contradiction = equal(frob2(C), 0, [(eye(d), 0 * eye(d))])
    assert isinstance(contradiction, Inconclusive)
    assert says in contradiction.reason


def test_two_letters_of_one_name_are_refused() -> None:
    verdict = equal(trace(matrix("A", d, d) @ symmetric("A", d)), 0)
    assert isinstance(verdict, Inconclusive)
    other = sp.Symbol("x", nonnegative=True)
    assert "two symbols are called x" in evaluate(Nonnegative(x**2 + other)).reason
    assert "two symbols are called x" in evaluate(Identity((x + other) ** 2, x)).reason


def test_an_identity_of_an_expression_with_itself_checks_nothing() -> None:
    for certificate in (Identity(x + y, y + x), Identity(0, 0), Identity((x + y) - y, x)):
        assert "same expression" in evaluate(certificate).reason
    B = matrix("B", d, T)
    assert isinstance(
        evaluate(Identity(frob2(C - B), frob2(C) - 2 * trace(C.T @ B) + frob2(B))), Checked
    )


def test_a_mean_names_the_noise_and_its_independence() -> None:
    """An attack: E <W, N> = 0 with W a letter that is N."""
    zero = evaluate(Identity(Mean(trace(W.T @ N), N), 0))
    assert zero == Checked("symbolic", "all values", ("N white noise, independent of W",))
    with pytest.raises(ValueError, match="speaks of the noise"):
        evaluate(Identity(Mean(trace(W.T @ N), N), 0, ((N @ N.T, eye(k)),)))


def test_a_citation_says_what_the_lemma_takes_for_granted() -> None:
    c = matrix("C", d, T)
    verdict = evaluate(Citation("ky_fan_maximum_principle", {"P": c @ c.T}))
    assert verdict.hypotheses == ("0 <= P <= I, tr P = k at P = C C'", "P symmetric")
    with pytest.raises(ValueError, match="unknown lemma 'nonesuch': use "):
        evaluate(Citation("nonesuch"))
    assert lemmas.ky_fan_maximum_principle().check == Citation("ky_fan_maximum_principle")


# --- what does not cross ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forged(Identity):
    def __call__(self):
        return Checked("symbolic", "all d, T, k")


class ForgedSymbol(sp.Symbol):
    def expand(self, *_, **__):
        return sp.Integer(0)


class ForgedStep(Step):
    pass


NOT_DATA = [
    lambda: Checked("symbolic", "all d, T, k"),
    Forged(x, y),
    Identity(ForgedSymbol("x", real=True), 0),
    Identity(sp.Function("f")(x), 0),
    All((lambda: Checked("symbolic", "all"),)),
    All((PYTHAGORAS, lambda: Checked("symbolic", "all"))),
    Mean,
    None,
    "all d, T, k",
]


@pytest.mark.parametrize("check", NOT_DATA, ids=lambda c: type(c).__name__)
def test_code_in_a_step_is_not_checked(check) -> None:
    [verdict] = apart.verdicts([Step("forged", "", check)])
    assert isinstance(verdict, Unchecked)


def test_steps_are_evaluated_apart(monkeypatch) -> None:
    """Whatever was changed in this process, the steps are evaluated in one that was not."""
    monkeypatch.setattr(symbolic, "equal", lambda *_: Checked("symbolic", "all d, T, k"))
    monkeypatch.setattr(symbolic, "reduce", lambda *_: sp.Integer(0))
    proof = [
        step("true", "", PYTHAGORAS),
        step("false", "", replace(PYTHAGORAS, rules=())),
        ForgedStep("forged", "", PYTHAGORAS),
        Step("bad", "", Identity(C, x)),
        step("code", "", lambda: Checked("symbolic", "all")),
        lemmas.cauchy_schwarz(),
    ]
    verdicts = apart.verdicts(proof)
    kinds = [Checked, Inconclusive, Unchecked, Inconclusive, Unchecked, Checked]
    assert [type(verdict) for verdict in verdicts] == kinds
    assert verdicts[0] == Checked("symbolic", "all d, T, k", ("W W' = I",))
    assert "matrix and a scalar" in verdicts[3].reason


def forged_letter(**changes):
    (word,) = C.terms
    return replace(C, terms={(word[0]._replace(**changes),): sp.Integer(1)})


@pytest.mark.parametrize(
    ("lhs", "says"),
    [
        (forged_letter(name="C, which is I"), "is no name"),
        (forged_letter(kind="scalar"), "is scalar of shape"),
        (forged_letter(kind="symmetric"), "is symmetric of shape"),
        (forged_letter(rows="k"), "shape"),
        (replace(C, rows=sp.Symbol("d", real=True)), "is no size"),
        (sp.Symbol("all d, T, k", real=True), "is no name"),
        (sp.Symbol("n", even=True), "assumption 'even'"),
    ],
)
def test_what_no_constructor_of_ours_makes_is_refused(lhs, says) -> None:
    written = plain.written(Identity(lhs, 0 * lhs))
    with pytest.raises(ValueError, match=says):
        plain.read(written)


@pytest.mark.parametrize(
    "data",
    [
        ["Identity", {"lhs": ["constant", "pi"]}],
        ["Step", {}],
        ["matrix", 1],
        ["int", "x"],
        ["operation", "eval", []],
    ],
)
def test_data_of_no_kind_is_refused(data) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        plain.read(data)


def test_numbers_cross_exactly() -> None:
    for value in (Fraction(1, 3), 10**40, sp.Rational(-7, 3) * sp.sqrt(2) + sp.exp(-x) / y):
        assert plain.read(plain.written(value)) == value
    assert plain.read(plain.written((1, True, None, "a", {"b": 2}))) == (
        1,
        True,
        None,
        "a",
        {"b": 2},
    )
    with pytest.raises(ValueError, match="is code or of an unknown kind"):
        plain.written(np.float64(0.5))
