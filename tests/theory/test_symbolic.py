"""The trace algebra against numpy on random matrices and against Monte Carlo, its rules, and the scalar proofs."""

import doctest
from itertools import pairwise, product

import numpy as np
import pytest
import sympy as sp

from theory.evidence import symbolic
from theory.evidence.scalars import (
    entries,
    expected_quadratic,
    explicit_shapes,
    identity,
    limit,
    nonnegative,
    ode_solution,
)
from theory.evidence.symbolic import (
    diagonal,
    dimensions,
    equal,
    evaluate,
    expect,
    eye,
    frob2,
    matrix,
    orthonormal_rows,
    reduce,
    symmetric,
    trace,
)
from theory.statement import Checked, Inconclusive

d, T, k = dimensions("d T k")
SIZES = {d: 4, T: 3, k: 2}
C, W, heads = matrix("C", d, T), matrix("W", k, d), matrix("G", k, T)
S, P, D = symmetric("S", d), symmetric("P", d), diagonal("D", d)
Z = symmetric("Z", T)
N, M = matrix("N", k, d), matrix("M", k, T)
E = C - W.T @ heads
sigma, p = sp.Symbol("sigma", positive=True), sp.Symbol("p", positive=True)


def values(seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    arrays = {
        letter.name: rng.standard_normal((SIZES[X.rows], SIZES[X.cols]))
        for X in (C, W, heads, S, P, D, Z, N, M)
        for ((letter,),) in [X.terms]
    }
    arrays["S"], arrays["P"], arrays["Z"] = (arrays[name] @ arrays[name].T for name in "SPZ")
    arrays["D"] = np.diag(np.diag(arrays["D"]))
    return {**arrays, **SIZES, sigma: 0.6, p: 0.3}


def risk(W, heads, S=None):
    return frob2(C - W.T @ heads, S) / T


def is_checked(verdict) -> bool:
    assert isinstance(verdict, Checked | Inconclusive)
    return isinstance(verdict, Checked)


def test_docstring_example() -> None:
    assert doctest.testmod(symbolic).failed == 0
    assert doctest.testmod(symbolic).attempted > 0


# Each expression, and the same computed by numpy.
NUMERIC = [
    (trace(S @ P @ D @ S), lambda v: np.trace(v["S"] @ v["P"] @ v["D"] @ v["S"])),
    (frob2(E, S), lambda v: np.trace((R := v["C"] - v["W"].T @ v["G"]).T @ v["S"] @ R)),
    (trace(eye(d) + D.T) * trace(S), lambda v: (4 + np.trace(v["D"])) * np.trace(v["S"])),
    (sigma * trace(2 * (W @ C) @ heads.T), lambda v: 1.2 * np.trace(v["W"] @ v["C"] @ v["G"].T)),
    (frob2(W - N) ** 2, lambda v: ((v["W"] - v["N"]) ** 2).sum() ** 2),
]


@pytest.mark.parametrize(("expression", "by_numpy"), NUMERIC)
def test_algebra_is_that_of_matrices(expression, by_numpy) -> None:
    # Four products of 4x4 matrices of entries near 1: a few hundred eps.
    assert evaluate(expression, values()) == pytest.approx(by_numpy(values()), rel=1e-12)


@pytest.mark.parametrize(
    ("first", "other", "same"),
    [
        (trace(C @ C.T), trace(C.T @ C), True),
        (trace(W @ C @ heads.T), trace(heads @ C.T @ W.T), True),
        (trace(S @ P), trace(P @ S), True),
        (trace(S @ P @ D), trace(D @ P @ S), True),
        (trace(S @ P @ S @ D), trace(S @ S @ P @ D), False),
        (trace(S), trace(P), False),
        (trace(S @ S), trace(S) ** 2, False),
        (frob2(C), frob2(W), False),
    ],
)
def test_traces_agree_up_to_rotation_and_transposition_only(first, other, same) -> None:
    assert is_checked(equal(first, other)) is same
    assert (evaluate(first, values()) == pytest.approx(evaluate(other, values()))) is same


def test_letters_of_one_name_but_another_shape_or_kind_differ() -> None:
    general = matrix("S", d, d)
    assert not is_checked(equal(trace(S @ P), trace(general @ P)))
    assert not is_checked(equal(trace(general @ P @ D), trace(general.T @ P @ D)))
    assert is_checked(equal(trace(general), trace(general.T)))


def test_diagonal_matrices_commute() -> None:
    F, B = diagonal("F", d), diagonal("B", d)
    assert is_checked(equal(D @ F, F @ D))
    assert is_checked(equal(D @ S @ F @ B, D @ S @ B @ F))
    runs = [trace(a @ b @ S @ c @ P) for a, b, c in [(D, F, B), (F, D, B)]]
    assert is_checked(equal(*runs))
    assert is_checked(equal(trace(F @ S @ D @ B), trace(B @ F @ S @ D)))
    Y, general = diagonal("Y", d), matrix("G", d, d)
    assert is_checked(equal(trace(D @ general @ Y), trace(D @ Y @ general)))
    assert not is_checked(equal(D @ S, S @ D))
    assert not is_checked(equal(trace(D @ S @ F @ S), trace(D @ F @ S @ S)))


def test_matrices_are_equal_only_if_all_entries_are() -> None:
    assert is_checked(equal((W @ C).T, C.T @ W.T))
    assert not is_checked(equal(S @ P, P @ S))
    probe = matrix("any matrix", d, d)
    assert not is_checked(equal(S, P + probe - probe.T))


def test_vectors_factor_into_numbers() -> None:
    c, w = matrix("c", d, 1), matrix("w", d, 1)
    assert is_checked(equal(frob2(c @ w.T), frob2(c) * frob2(w)))
    assert is_checked(equal(trace(c @ w.T @ S @ c @ w.T), trace(w.T @ S @ c) * trace(c.T @ w)))
    assert not is_checked(equal(trace(c @ w.T) ** 2, frob2(c) * frob2(w)))


def test_rules_are_hypotheses_and_named_in_the_scope() -> None:
    claim = (frob2(C - W.T @ W @ C), frob2(C) - frob2(W @ C))
    assert not is_checked(equal(*claim))
    verdict = equal(*claim, [orthonormal_rows(W)])
    assert verdict == Checked("symbolic", "all d, T, k", ("W W' = I",))
    assert reduce(trace(W.T @ W @ W.T @ W), [orthonormal_rows(W)]) == k
    assert reduce(trace(W.T @ W), [orthonormal_rows(W.T)]) == d


def test_svd_gives_the_clean_risk_and_the_slope() -> None:
    """Statements 1 and 3: C = U A V' + Q B R', the best W = U' and heads = A V'."""
    rest = sp.Symbol("r", integer=True, positive=True)
    U, V, Q, R = (matrix(*a) for a in [("U", d, k), ("V", T, k), ("Q", d, rest), ("R", T, rest)])
    A, B = diagonal("A", k), diagonal("B", rest)
    rules = [*(orthonormal_rows(X.T) for X in (U, V, Q, R)), (U.T @ Q, 0)]
    task = U @ A @ V.T + Q @ B @ R.T
    best = U.T @ task
    assert is_checked(equal(best, A @ V.T, rules))
    assert is_checked(equal(frob2(task - U @ best), frob2(B), rules))
    assert is_checked(equal(frob2(best), frob2(A), rules))
    assert not is_checked(equal(best, A @ V.T, rules[:4]))


def test_noise_statements_hold_for_all_shapes() -> None:
    """Statements 2, 5, 33 and 32, and each of them with a term left out."""
    noisy = expect(risk(W + sigma * N, heads, S), N)
    assert is_checked(equal(noisy, risk(W, heads, S) + sigma**2 * trace(S) * frob2(heads) / T))
    assert not is_checked(equal(noisy, risk(W, heads, S) + sigma**2 * frob2(heads) / T))

    doubly_noisy = expect(expect(risk(W + sigma * N, heads + sigma * M), N), M)
    added = sigma**2 * (d * frob2(heads) + T * frob2(W)) / T
    assert is_checked(equal(doubly_noisy, risk(W, heads) + added + sigma**4 * d * k))
    assert not is_checked(equal(doubly_noisy, risk(W, heads) + added))

    L, B = matrix("L", k, k), matrix("B", d, d)
    coloured = expect(risk(W + sigma * L @ N @ B, heads, S), N)
    spread = trace(S @ B.T @ B) * trace(heads @ heads.T @ L @ L.T)
    assert is_checked(equal(coloured, risk(W, heads, S) + sigma**2 * spread / T))

    total = T * risk(W + sigma * N, heads, S)
    variance = expect(total**2, N, "gaussian") - expect(total, N, "gaussian") ** 2
    quartic, quadratic = frob2(S), frob2(heads @ E.T @ S)
    claim = 2 * sigma**4 * quartic * frob2(heads @ heads.T) + 4 * sigma**2 * quadratic
    assert is_checked(equal(variance, claim))
    assert not is_checked(equal(variance, claim - 2 * sigma**2 * quadratic))


def test_leave_one_out_mean_of_the_gram_matrix() -> None:
    """Statement 11: over a task t drawn uniformly, e_t e_t' has the second moments I / T."""
    e = matrix("e", T, 1)
    kept = eye(T) - e @ e.T
    mean = trace(P @ C @ C.T) - expect(trace(P @ C @ e @ e.T @ C.T), e) / T
    assert is_checked(equal(trace(P @ C @ kept @ C.T), trace(P @ C @ C.T) - frob2(C @ e, P)))
    assert is_checked(equal(mean, (1 - 1 / T) * frob2(C, P)))


@pytest.mark.parametrize(
    "expression",
    [
        trace(heads @ M.T),
        trace(heads @ M.T @ M @ heads.T),
        trace(M @ Z @ M.T @ heads @ heads.T),
        trace(heads @ M.T) * trace(heads @ Z @ M.T),
        trace(M @ Z @ heads.T @ M @ Z @ heads.T),
        frob2(M) ** 2 + trace(M @ heads.T) * frob2(M),
        trace(M @ M.T @ M @ Z @ M.T),
        trace(heads @ M.T @ heads @ M.T) * trace(M @ heads.T) ** 2,
        trace(heads @ M.T @ M @ heads.T) * frob2(M, heads @ heads.T),
    ],
)
def test_gaussian_expectation_is_that_of_a_quadrature(expression) -> None:
    """Three Gauss-Hermite nodes integrate degree 5 in each of the six entries exactly."""
    nodes, v, mean = {-(3**0.5): 1 / 6, 0.0: 2 / 3, 3**0.5: 1 / 6}, values(), 0.0
    for point in product(nodes, repeat=6):
        v["M"] = np.reshape(point, (2, 3))
        mean += float(np.prod([nodes[z] for z in point])) * evaluate(expression, v)
    # 729 terms, some a hundred times the mean.
    expected = evaluate(expect(expression, M, "gaussian"), v)
    assert mean == pytest.approx(expected, rel=1e-11, abs=1e-11)


def test_gaussian_moments_of_a_single_number() -> None:
    z = matrix("z", 1, 1)
    moments = [expect(trace(z) ** n, z, "gaussian") for n in range(1, 9)]
    assert moments == [0, 1, 0, 3, 0, 15, 0, 105]


def test_second_moments_are_not_asked_for_more_than_they_know() -> None:
    with pytest.raises(ValueError, match="law='gaussian'"):
        expect(frob2(N) ** 2, N)
    with pytest.raises(ValueError, match="unknown"):
        expect(frob2(N), N, "uniform")
    with pytest.raises(ValueError, match="symmetric"):
        expect(trace(S), S)
    with pytest.raises(ValueError, match="single letter"):
        expect(trace(S), N + W)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: C @ W, "inner dimensions"),
        (lambda: C + W, "different shapes"),
        (lambda: C * W, "@"),
        (lambda: trace(C), "not square"),
        (lambda: reduce(trace(S), [(S + P, 0)]), "one word"),
        (lambda: reduce(trace(S), [(S, P)]), "shorter"),
        (lambda: reduce(trace(S), [(S @ C @ heads.T, eye(d))]), "shape"),
        (lambda: identity(sp.Float(0.1), 0.1), "rounded"),
        (lambda: equal(frob2(C), 0.5 * frob2(C)), "rounded"),
        (lambda: nonnegative(sp.Symbol("z") ** 2), "real=True"),
        (lambda: nonnegative(p, {p: (-2, -1)}), "empty interval"),
        (lambda: nonnegative(p, {p: (0, sp.sqrt(2))}), "rational"),
        (lambda: explicit_shapes(lambda d: (0, 0), []), "no shapes"),
    ],
)
def test_bad_input_says_what_to_mend(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_identities() -> None:
    x, y = sp.symbols("x y", positive=True)
    assert identity((x + y) ** 2, x**2 + 2 * x * y + y**2) == Checked(
        "symbolic", "all x > 0, y > 0"
    )
    assert is_checked(identity(sp.sin(x) ** 2, 1 - sp.cos(x) ** 2))
    assert is_checked(identity(sp.sqrt(x**2), x))
    assert not is_checked(
        identity(sp.sqrt(sp.Symbol("z", real=True) ** 2), sp.Symbol("z", real=True))
    )
    assert not is_checked(identity((x + y) ** 2, x**2 + y**2))


def test_explicit_shapes() -> None:
    def adjugate(n):
        A, B = entries("A", n, n), entries("B", n, n)
        return (A * B).det(), A.det() * B.det()

    assert explicit_shapes(adjugate, [(1,), (2,)]) == Checked("symbolic", "n = 1, n = 2")

    def commute(d, T):
        A, B = entries("A", d, T), entries("B", T, d)
        return A * B, (B.T * A.T)

    verdict = explicit_shapes(commute, [(1, 1), (2, 2)])
    assert isinstance(verdict, Inconclusive)
    assert "(2, 2)" in verdict.reason


@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 2, 1), (1, 3, 2)])
def test_deletion_law_in_explicit_entries(shape) -> None:
    """Statement 16 for general W, heads and S: the mask has mean 1 - p and variance p (1 - p)."""

    def sides(d, T, k):
        C, W, G, S = (
            entries("C", d, T),
            entries("W", k, d),
            entries("G", k, T),
            entries("S", d, d),
        )
        S, mask = S.T + S, entries("m", k, d)

        def energy(W):
            R = C - W.T * G
            return (R.T * S * R).trace()

        moments = dict.fromkeys(mask, (1 - p, p * (1 - p)))
        lhs = expected_quadratic(energy(W.multiply_elementwise(mask)), moments)
        lost = sum(
            S[j, j] * W[i, j] ** 2 * G[i, t] ** 2
            for i in range(k)
            for j in range(d)
            for t in range(T)
        )
        return lhs, energy((1 - p) * W) + p * (1 - p) * lost

    assert is_checked(explicit_shapes(sides, [shape]))
    with pytest.raises(ValueError, match="degree"):
        expected_quadratic(p**3, {p: (0, 1)})


def test_one_lost_weight_for_all_shapes() -> None:
    """The same law by one entry: uncorrelated entries only add their own second-order terms."""
    e, f, delta = matrix("e", k, 1), matrix("f", d, 1), sp.Symbol("delta", real=True)
    change = frob2(C - (W + delta * e @ f.T).T @ heads, S) - frob2(E, S)
    linear = -2 * trace(f.T @ S @ E @ heads.T @ e)
    assert is_checked(equal(change, delta * linear + delta**2 * frob2(f, S) * frob2(heads.T @ e)))


x, y = sp.symbols("x y", real=True)
u = sp.Symbol("u", nonnegative=True)


@pytest.mark.parametrize(
    ("expression", "region"),
    [
        (x**2 - 2 * x * y + 2 * y**2, {}),
        (x**4 - x**2 + 1, {}),
        (x**2 * (y - 1) ** 2, {}),
        (x * (1 - x), {x: (0, 1)}),
        (x**3 - x, {x: (1, sp.oo)}),
        (x**3 - x, {x: (-1, 0)}),
        (x**2 + y**2 - x * y + sp.Rational(1, 10), {x: (0, 1), y: (0, 1)}),
        ((1 - x * y) / (1 + x**2), {x: (0, 1), y: (0, 1)}),
        (1 - u**3, {u: (-5, 1)}),
        (u + sp.sqrt(u), {}),
        (x**3 * y**3 - 3 * x * y + 2, {x: (1, sp.oo), y: (1, sp.oo)}),
        (x**3 + y**3 - x**2 * y / 2 + 1, {x: (0, sp.oo), y: (0, sp.oo)}),
        ((x + 3) * (x - sp.Rational(1, 2)) ** 2 + sp.Rational(1, 10**6), {x: (0, 1)}),
        (-(x**3), {x: (-sp.oo, 0)}),
        (sp.Integer(0), {}),
    ],
)
def test_signs(expression, region) -> None:
    assert is_checked(nonnegative(expression, region))
    if expression != 0:
        assert not is_checked(nonnegative(-expression, region))
        assert not is_checked(nonnegative(expression - 100, region))


@pytest.mark.parametrize(
    ("expression", "region"),
    [
        (x, {}),
        (x * y, {}),
        (x**4 - 2 * x**2 + sp.Rational(9, 10), {}),
        (x * (1 - x), {x: (0, sp.Rational(11, 10))}),
        (x**2 - sp.Rational(1, 4), {x: (0, 1)}),
        (1 / x, {x: (-1, 1)}),
        (x**2 + y**2 - 3 * x * y, {x: (0, 1), y: (0, 1)}),
        (sp.sin(x), {}),
        (-u, {}),
    ],
)
def test_signs_that_fail_do_not_pass(expression, region) -> None:
    assert not is_checked(nonnegative(expression, region))


def test_sum_of_squares_certificate() -> None:
    """Motzkin's polynomial, times x^2 + y^2 + 1, is a sum of squares; no other method here finds it."""
    motzkin = x**4 * y**2 + x**2 * y**4 - 3 * x**2 * y**2 + 1
    squares = [
        (1, x**2 * y - y),
        (1, x * y**2 - x),
        (1, x**2 * y**2 - 1),
        (sp.Rational(1, 4), x * y**3 - x**3 * y),
        (sp.Rational(3, 4), x * y**3 + x**3 * y - 2 * x * y),
    ]
    assert is_checked(nonnegative(motzkin * (x**2 + y**2 + 1), squares=squares))
    assert not is_checked(nonnegative(motzkin * (x**2 + y**2 + 1), squares=squares[:-1]))
    assert not is_checked(nonnegative(x - 1, squares=[(x - 1, 1)]))
    assert nonnegative(x - 1, {x: (1, sp.oo)}, [(x - 1, 1)]) == Checked("symbolic", "all 1 <= x")


def test_flow_of_a_mode() -> None:
    """Statement 29: s' = 2 s (sigma - s)."""
    t, start = sp.symbols("t s_0", positive=True)
    growth = sp.exp(2 * sigma * t)
    mode = sigma * growth / (growth - 1 + sigma / start)
    assert is_checked(ode_solution(mode, t, lambda s: 2 * s * (sigma - s), start))
    assert not is_checked(ode_solution(mode, t, lambda s: s * (sigma - s), start))
    assert not is_checked(ode_solution(mode, t, lambda s: 2 * s * (sigma - s), 2 * start))
    assert limit(mode, t, sp.oo, sigma) == Checked("symbolic", "all s_0 > 0, sigma > 0")
    assert not is_checked(limit(mode, t, sp.oo, start))


def test_saturation_of_the_equicorrelated_slope() -> None:
    """Statement 13: rho_k -> r."""
    r = sp.Symbol("r", nonnegative=True)
    slope = (1 + (T - 1) * r + (k - 1) * (1 - r)) / T
    assert is_checked(limit(slope, T, sp.oo, r))
    later = [slope.subs(T, n) for n in (4, 5, 6)]
    # More tasks, smaller slope: it falls by k (1 - r) / (T (T + 1)).
    for more, fewer in pairwise(reversed(later)):
        assert is_checked(nonnegative((fewer - more).subs(k, 2), {r: (0, 1)}))
