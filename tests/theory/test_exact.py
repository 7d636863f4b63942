"""Rational certificates: against exhaustive minors, closed forms and the roots of characteristic polynomials."""

import math
import re
from fractions import Fraction
from itertools import chain, combinations, product
from pathlib import Path

import numpy as np
import pytest

from theory import spectra
from theory.evidence import exact, interval
from theory.evidence.exact import (
    Bracket,
    Factor,
    KyFanCertificate,
    Negative,
    bracket,
    certainly_at_most,
    certainly_greater,
    dual_bound,
    frobenius_squared,
    gram,
    holds,
    identity,
    is_psd,
    ky_fan_bracket,
    ky_fan_certificate,
    ldl,
    primal_bound,
    rational,
    slope_bracket,
    to_small_rationals,
    trusted_line_count,
)
from theory.geometry import sample
from theory.statement import Checked, Inconclusive, Refuted

CORNERS = {
    "one": np.array([[3]]),
    "zero": np.zeros((3, 3)),
    "rank-one": np.ones((3, 4)),
    "repeated": np.eye(4)[:, [0, 1, 1, 2, 2]],
    "zero-column": np.array([[1, 0, 2], [0, 0, 1]]),
    "wide": sample("gaussian", 2, 5, 3),
    "tall": sample("gaussian", 5, 2, 4),
    "near-tie": np.diag([1, 1 + 2.0**-30, 1 - 2.0**-45]),
    "graded": np.diag([1.0, 1e-8, 1e-16]),
}


def test_a_float_is_the_dyadic_rational_it_is() -> None:
    assert rational([[0.1]])[0, 0] == Fraction(3602879701896397, 2**55)
    assert rational([[1, 0.5]]).tolist() == [[Fraction(1), Fraction(1, 2)]]
    assert rational(np.float32([[0.1]]))[0, 0] == Fraction(13421773, 2**27)
    assert rational(np.array([[2**62]]))[0, 0] ** 2 == 2**124  # numpy's integers would overflow
    assert bracket(np.float32(0.1)).lower == Fraction(13421773, 2**27)
    for seven in (np.int64(7), Fraction(np.int64(7), 3)):
        assert type(bracket(seven).lower.numerator) is int


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1j, "two"])
def test_what_is_no_rational_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="pass finite real entries"):
        rational([[1, bad]])


def test_a_rounded_rational_array_is_refused() -> None:
    with pytest.raises(ValueError, match="use Fractions throughout"):
        rational(rational([[Fraction(1, 3)]]) * 0.1)


def test_products_are_exact() -> None:
    C = rational([[Fraction(1, 3), 0.1], [2, Fraction(-1, 7)]])
    assert gram(C)[0, 1] == Fraction(1, 3) * Fraction(0.1) - Fraction(2, 7)
    assert frobenius_squared(C) == np.trace(gram(C)) == sum(x * x for x in C.ravel())


def test_psd_on_every_small_matrix() -> None:
    """A symmetric matrix is PSD iff no principal minor is negative: all 3 x 3 with entries -1, 0, 1, 2 on the diagonal
    and -1, 0, 1 off it."""
    subsets = [list(s) for s in chain.from_iterable(combinations(range(3), m) for m in (1, 2, 3))]
    verdicts = []
    for a, b, c in product((-1, 0, 1, 2), repeat=3):
        for d, e, f in product((-1, 0, 1), repeat=3):
            A = np.array([[a, d, e], [d, b, f], [e, f, c]])
            # Determinants of integers below 30: float rounding is far below one half.
            minors = [round(np.linalg.det(A[np.ix_(s, s)])) for s in subsets]
            assert is_psd(A) == (min(minors) >= 0), A
            certificate = ldl(A)
            if isinstance(certificate, Factor):
                L, D = certificate.L, certificate.D
                assert ((L * D) @ L.T == A).all()
                assert (D > 0).all()
                assert len(D) == np.linalg.matrix_rank(A)
            else:
                assert certificate.x @ A @ certificate.x < 0
            verdicts.append(is_psd(A))
    assert 50 < sum(verdicts) < len(verdicts) - 50


def test_psd_tells_a_tiny_negative_eigenvalue() -> None:
    singular = gram(sample("gaussian", 3, 5, 0))
    assert is_psd(singular)
    assert not is_psd(singular - identity(5) * Fraction(1, 10**200))


def test_psd_trusts_no_elimination(monkeypatch: pytest.MonkeyPatch) -> None:
    A = rational([[1, 2], [2, 1]])
    lies = (
        Factor(identity(2), rational([1, 1])),
        Factor(rational([[1, 1], [1, -1]]) * Fraction(1, 2), rational([6, -2])),
        Negative(rational([1, 1])),
    )
    for lie in lies:
        monkeypatch.setattr(exact, "ldl", lambda _, lie=lie: lie)
        with pytest.raises(ArithmeticError, match="contradicts"):
            is_psd(A)


def test_ldl_refuses_what_is_not_symmetric() -> None:
    with pytest.raises(ValueError, match="not symmetric"):
        ldl([[1, 2], [3, 4]])


def test_bounds_hold_only_for_what_is_feasible() -> None:
    G = np.diag([3, 2, 1])
    assert primal_bound(G, 2, np.diag([1, 1, 0])) == 5
    assert primal_bound(G, 2, np.diag([1, Fraction(1, 2), Fraction(1, 2)])) == Fraction(9, 2)
    assert primal_bound(G, 2, np.diag([2, 0, 0])) is None
    assert primal_bound(G, 2, np.diag([1, 2, -1])) is None
    assert primal_bound(G, 2, np.diag([1, 1, 1])) is None
    assert primal_bound(np.diag([3, 2, 1, 0]), 2, np.diag([1, 1, 1, -1])) is None
    assert dual_bound(G, 2, 2, np.diag([1, 0, 0])) == 5
    assert dual_bound(G, 2, 1, np.diag([2, 1, 0])) == 5
    assert dual_bound(G, 2, 2, np.diag([0, 0, 0])) is None
    assert dual_bound(G, 2, 3, np.diag([0, 0, -1])) is None
    assert dual_bound(G, 2, 2.5, np.diag([0.5, 0, 0])) == Fraction(11, 2)


@pytest.mark.parametrize("name", CORNERS)
@pytest.mark.parametrize("denominator", [2**20, 2**40, 2**80])
def test_bracket_holds_the_roots_of_the_characteristic_polynomial(
    name: str, denominator: int
) -> None:
    G = gram(CORNERS[name])
    n = len(G)
    with interval.ctx.workprec(600):
        eigenvalues = interval.eigenvalues(G)
        for k in range(1, n + 1):
            lower, upper = ky_fan_bracket(G, k, denominator=denominator)
            enclosed = sum(eigenvalues[:k], interval.ball(0))
            assert not enclosed < interval.ball(lower)
            assert not enclosed > interval.ball(upper)
            # Rounded projectors cost their square, an unresolved tie k times its width: see the docstring;
            # 64 is the last step of the repair.
            assert 0 <= upper - lower <= 64 * k * n * abs(G).max() / denominator


def test_a_finer_denominator_narrows_the_bracket() -> None:
    G = gram(sample("gaussian", 5, 4, 1))
    widths = [
        b.upper - b.lower for b in (ky_fan_bracket(G, 2, denominator=2**m) for m in (20, 40, 80))
    ]
    # With a gap the width falls like the square of the denominator; half of that is asked for.
    assert 0 < widths[1] < widths[0] / 2**20
    assert 0 < widths[2] < widths[1] / 2**40


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_rational_eigenvalues_are_met_exactly(k: int) -> None:
    r = Fraction(1, 3)
    equicorrelated = identity(4) * (1 - r) + rational(np.ones((4, 4), int)) * r
    assert tuple(ky_fan_bracket(equicorrelated, k)) == (1 + 3 * r + (k - 1) * (1 - r),) * 2
    simplex = 4 * identity(4) - rational(np.ones((4, 4), int))
    assert tuple(ky_fan_bracket(simplex, k)) == (min(4 * k, 12),) * 2
    assert tuple(ky_fan_bracket(np.zeros((4, 4)), k)) == (0, 0)
    assert (
        tuple(ky_fan_bracket(rational(np.diag([1, 7, 7, 2])) * 10**40, k))
        == (sum([7, 7, 2, 1][:k]) * 10**40,) * 2
    )


def test_conjugate_eigenvalues_sum_exactly() -> None:
    """(3 +- sqrt 5)/2 and -1: irrational eigenvalues, but a rational projector onto both."""
    reflection = identity(3) - Fraction(2, 3) * rational(np.ones((3, 3), int))
    G = reflection @ rational([[1, 1, 0], [1, 2, 0], [0, 0, -1]]) @ reflection
    assert tuple(ky_fan_bracket(G, 2)) == (3, 3)
    golden = ky_fan_bracket(G, 1)
    assert golden.lower < golden.upper


def test_indefinite_matrices_have_ky_fan_sums_too() -> None:
    assert tuple(ky_fan_bracket([[0, 1], [1, 0]], 1)) == (1, 1)
    assert tuple(ky_fan_bracket(-identity(3), 2)) == (-2, -2)


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_slope_bracket_at_every_scale(scale: float, shape: tuple[int, int]) -> None:
    C = sample("gaussian", *shape, 2) * scale
    for k in (1, 2, 3):
        lower, upper = slope_bracket(C, k)
        # LAPACK's backward error, n eps of the norm.
        assert spectra.slope(C, k) == pytest.approx(float(lower), rel=64 * 5 * 2.0**-52)
        assert lower <= upper <= lower * (1 + Fraction(1, 2**50))


@pytest.mark.parametrize("k", [0, 3, 4])
def test_slope_bracket_refuses_k_beyond_the_shape(k: int) -> None:
    with pytest.raises(ValueError, match="1 <= k <= min"):
        slope_bracket(np.ones((2, 5)), k)


def test_a_certificate_that_fails_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    G = rational(np.diag([3, 2, 1]))
    good = ky_fan_certificate(G, 2)
    for bad in (
        KyFanCertificate(good.P, good.z, good.Y - identity(3)),
        KyFanCertificate(2 * good.P, good.z, good.Y),
    ):
        monkeypatch.setattr(exact, "ky_fan_certificate", lambda *_, bad=bad, **__: bad)
        with pytest.raises(ArithmeticError, match="does not certify"):
            ky_fan_bracket(G, 2)


def test_bracket_arithmetic_holds_every_point() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        a, b, c, d = (Fraction(int(x), 4) for x in rng.integers(-9, 9, 4))
        X, Y = Bracket(min(a, b), max(a, b)), Bracket(min(c, d), max(c, d))
        for x, y in product((a, b, (a + b) / 2), (c, d, (c + d) / 2)):
            for result, point in ((X + Y, x + y), (X - Y, x - y), (X * Y, x * y), (2 - X, 2 - x)):
                assert result.lower <= point <= result.upper
        assert X - Y == X + (-Y)
        assert sum([X, Y]) == X + Y
        assert 3 * X / 3 == X
        assert tuple(X / -2) == (-max(a, b) / 2, -min(a, b) / 2)
        assert certainly_greater(X, Y) == (min(a, b) > max(c, d))
        assert certainly_at_most(X, Y) == (max(a, b) <= min(c, d))


def test_bracket_prints_any_size() -> None:
    assert str(bracket(Fraction(1, 3))) == "1/3"
    assert str(Bracket(Fraction(1, 2), Fraction(10) ** 400)) == "[0.5, 1.0000000000000000e+400]"


def leave_one_out(C: np.ndarray, k: int):
    """Both sides of statement 11 by brackets, for T > k."""
    T = C.shape[1]

    def sides(denominator: int):
        drops = [
            slope_bracket(np.delete(C, t, axis=1), k, denominator=denominator) for t in range(T)
        ]
        return slope_bracket(C, k, denominator=denominator), sum(drops) / T

    return sides


def test_inequalities_are_decided() -> None:
    strict = rational(sample("gaussian", 4, 4, 5))
    assert holds(leave_one_out(strict, 2), "this instance") == Checked("exact", "this instance")
    flipped = holds(lambda q: leave_one_out(strict, 2)(q)[::-1], "", instance={"C": strict})
    assert isinstance(flipped, Refuted)
    assert flipped.witness.instance["C"] is strict
    assert flipped.witness.lhs.lower > flipped.witness.rhs.upper
    tight = rational(np.ones((3, 4), int))
    for relation in ("<=", "=="):
        assert isinstance(holds(leave_one_out(tight, 2), "", relation=relation), Checked)
    assert isinstance(holds(leave_one_out(strict, 2), "", relation="=="), Refuted)
    assert isinstance(
        holds(lambda q: leave_one_out(strict, 2)(q)[::-1], "", relation="=="), Refuted
    )


def test_equal_irrational_sides_stay_undecided() -> None:
    golden = [[1, 1], [1, 2]]
    verdict = holds(lambda q: (ky_fan_bracket(golden, 1, denominator=q),) * 2, "")
    assert isinstance(verdict, Inconclusive)
    assert "2.618" in verdict.reason


def test_small_rationals_are_nearest() -> None:
    assert to_small_rationals([[math.pi, 0.3333, -0.5]], 10).tolist() == [
        [Fraction(22, 7), Fraction(1, 3), Fraction(-1, 2)]
    ]


def test_trusted_path_is_marked_and_counted() -> None:
    source = Path(exact.__file__).read_text()
    marked = re.findall(r"^# Trusted\.\n(?:@dataclass.*\n)?(?:def|class) (\w+)", source, re.M)
    assert marked == [item.__name__ for item in exact.TRUSTED]
    assert f"Trusted path: {trusted_line_count()} lines" in (exact.__doc__ or "")
