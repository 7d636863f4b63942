"""Arb enclosures against independent computations, and what they may and may not decide."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from flint import acb, arb, ctx
from scipy.stats import binomtest

from theory import spectra
from theory.evidence import interval
from theory.evidence.exact import Bracket, gram, rational, slope_bracket
from theory.evidence.interval import ball, binomial_lower, binomial_upper, holds
from theory.geometry import sample
from theory.statement import Checked, Inconclusive, Refuted

EPS = 2.0**-52


def test_balls_hold_what_they_are_made_of() -> None:
    third = ball(Fraction(1, 3))
    assert not third.is_exact()
    assert (3 * third).contains(1)
    assert ball(0.1).is_exact() or ball(0.1).contains(arb(0.1))
    covering = ball(Bracket(Fraction(1, 3), Fraction(2)))
    assert covering.contains(ball(Fraction(1, 3)))
    assert covering.contains(2)
    assert ball(np.int64(3)) == 3


def test_square_roots_are_cut_at_zero() -> None:
    assert interval.sqrt(4) == 2
    assert interval.sqrt(0).is_zero()
    assert interval.sqrt(Fraction(1, 9)).contains(ball(Fraction(1, 3)).mid())
    around = interval.sqrt(Bracket(Fraction(-1), Fraction(4)))
    assert around.contains(0)
    assert around.contains(2)
    with pytest.raises(ValueError, match="no real square root"):
        interval.sqrt(-1)


def test_exponentials() -> None:
    assert interval.log(interval.exp(Fraction(1, 3))).overlaps(ball(Fraction(1, 3)))
    assert float(interval.exp(1)) == pytest.approx(np.e, rel=4 * EPS)
    for bad in (0, -1, Bracket(Fraction(-1), Fraction(1))):
        with pytest.raises(ValueError, match="not certainly positive"):
            interval.log(bad)


def test_repeated_and_zero_eigenvalues() -> None:
    G = np.diag([2, 0, 2, 5, 0, -1])
    assert [float(x) for x in interval.eigenvalues(G)] == [5, 2, 2, 0, 0, -1]
    ones = interval.eigenvalues(np.ones((4, 4), int))
    assert ones[0] == 4
    assert all(x.is_zero() for x in ones[1:])
    golden = interval.eigenvalues(np.kron(np.eye(3, dtype=int), [[1, 1], [1, 2]]))
    for x, sign in zip(golden, [1, 1, 1, -1, -1, -1], strict=True):
        assert x.overlaps((3 + sign * arb(5).sqrt()) / 2)
        assert x.rad() < 1e-12


def test_close_eigenvalues_of_different_multiplicity_are_told_apart() -> None:
    """sqrt 2 twice and its neighbour at 2^-400 once: roots of two factors, which agree to 120 digits."""
    close = Fraction(1, 2**400)
    G = rational(np.zeros((6, 6), int))
    for i in (0, 2, 4):
        G[i : i + 2, i : i + 2] = rational([[1, 1], [1, -1]])
    G[4, 4], G[5, 5] = (1 + close), -(1 + close)
    roots = interval.eigenvalues(G)
    assert roots[0] > roots[1]
    assert roots[4] > roots[5]
    assert (roots[1] ** 2).contains(2)
    assert (roots[0] ** 2).contains(ball((1 + close) ** 2 + 1).mid())


def test_eigenvalues_refuse_what_is_not_symmetric() -> None:
    with pytest.raises(ValueError, match="not symmetric"):
        interval.eigenvalues([[1, 2], [3, 4]])


@pytest.mark.parametrize("kind", ["gaussian", "equicorrelated", "duplicated"])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_spectra_are_enclosed(kind: str, shape: tuple[int, int], scale: float) -> None:
    if kind == "equicorrelated" and shape == (4, 6):
        kind = "clustered"  # six equicorrelated tasks need six dimensions
    C = sample(kind, *shape, 0) * scale
    exact = [float(x) for x in interval.singular_values(C)]
    # LAPACK's backward error: n eps of the largest singular value.
    tolerance = 64 * 6 * EPS * exact[0]
    assert spectra.singular_values(C) == pytest.approx(exact, rel=0, abs=tolerance)
    assert float(interval.nuclear(C)) == pytest.approx(spectra.schatten(C, 1), abs=4 * tolerance)
    for k in (1, 3, 4):
        assert float(interval.ky_fan(C, k)) == pytest.approx(
            spectra.ky_fan(C, k), abs=4 * tolerance
        )
        assert interval.slope(C, k).overlaps(ball(slope_bracket(C, k)))
        ridge = 0.5 * exact[1]
        balanced = float(interval.balanced_slope(C, k, ridge))
        assert balanced == pytest.approx(spectra.balanced_slope(C, k, ridge), abs=4 * tolerance)


def test_precision_narrows_the_balls() -> None:
    C = sample("gaussian", 5, 5, 0)
    radii = []
    for bits in (64, 256):
        with ctx.workprec(bits):
            radii.append(interval.ky_fan(C, 3).rad())
    # 192 bits more; the condition of the roots takes some of both alike.
    assert radii[1] < radii[0] * arb(2) ** -180


@pytest.mark.parametrize("k", [0, 3])
def test_k_beyond_the_shape_is_refused(k: int) -> None:
    for function in (interval.ky_fan, interval.slope, interval.balanced_slope):
        with pytest.raises(ValueError, match="1 <= k <= min"):
            function(np.ones((2, 4)), k)


@pytest.mark.parametrize("tau", [0.01, 0.5, 1, 2, Fraction(7, 3)])
@pytest.mark.parametrize("kappa", [0, Fraction(1, 10), 0.25, 0.5, 0.9, 1])
def test_marchenko_pastur(tau: float, kappa: float) -> None:
    enclosures = []
    for bits in (53, 200):
        with ctx.workprec(bits):
            enclosure = interval.marchenko_pastur_partial_mean(tau, kappa)
            expected = spectra.marchenko_pastur_partial_mean(float(tau), float(kappa))
            # brentq stops at 1e-15 in the angle, and the mass it solves for is rounded by eps / root^2.
            assert float(enclosure) == pytest.approx(expected, abs=1e-15 + 64 * EPS / min(tau, 1))
            # The angle is resolved to the mass's rounding over its density; 2^20 is ample for both.
            assert enclosure.rad() < arb(2) ** (20 - bits)
            enclosures.append(enclosure)
    assert enclosures[0].contains(enclosures[1])


@pytest.mark.parametrize("tau", [Fraction(1, 100), Fraction(1, 2), Fraction(1)])
@pytest.mark.parametrize("theta", [Fraction(1, 3), Fraction(3, 2), Fraction(3)])
def test_upper_mass_is_its_integral(tau: Fraction, theta: Fraction) -> None:
    root = interval.sqrt(tau)

    def density(angle: acb, _: bool) -> acb:
        return 2 * angle.sin() ** 2 / (1 + root**2 + 2 * root * angle.cos()) / arb.pi()

    integral = acb.integral(density, 0, acb(ball(theta))).real
    assert integral.rad() < 1e-9
    assert interval._upper_mass(ball(theta), root).overlaps(integral)


@pytest.mark.parametrize(("tau", "kappa"), [(0, 0.5), (-1, 0.5), (1, -0.1), (1, 1.1)])
def test_marchenko_pastur_refuses_what_is_no_ratio(tau: float, kappa: float) -> None:
    with pytest.raises(ValueError, match="pass T/d > 0"):
        interval.marchenko_pastur_partial_mean(tau, kappa)


SQRT6 = Fraction("2.4494897427831780981972840747058913919659474806566701284")
"""sqrt 6 cut after 55 digits: 180 bits tell it from sqrt 2 sqrt 3."""


def test_precision_rises_until_it_decides() -> None:
    def sides():
        return SQRT6, interval.sqrt(2) * interval.sqrt(3)

    assert holds(sides, "this instance", bits=(64, 128, 256)) == Checked(
        "interval", "this instance"
    )
    assert isinstance(holds(sides, "", bits=(64, 128)), Inconclusive)
    flipped = holds(lambda: sides()[::-1], "", instance={"k": 1})
    assert isinstance(flipped, Refuted)
    assert flipped.witness.lhs > flipped.witness.rhs
    assert "256 bits" in flipped.witness.confirmed
    for order in (1, -1):
        assert isinstance(holds(lambda order=order: sides()[::order], "", relation="=="), Refuted)


def test_touching_balls_prove_nothing() -> None:
    irrational = holds(lambda: (interval.sqrt(8), 2 * interval.sqrt(2)), "")
    assert isinstance(irrational, Inconclusive)
    assert "overlap at 1024 bits" in irrational.reason
    equal = holds(lambda: (interval.sqrt(8), 2 * interval.sqrt(2)), "", relation="==")
    assert isinstance(equal, Inconclusive)
    for relation in ("<=", "=="):
        assert isinstance(holds(lambda: (interval.sqrt(4), 2), "", relation=relation), Checked)
    assert isinstance(holds(lambda: (1, 2), "", relation="=="), Refuted)


def test_brackets_and_balls_compare() -> None:
    C = rational(sample("gaussian", 4, 3, 1))
    assert isinstance(holds(lambda: (slope_bracket(C, 1), interval.slope(C, 2)), ""), Checked)
    assert isinstance(holds(lambda: (interval.slope(C, 2), slope_bracket(C, 1)), ""), Refuted)
    assert interval.slope(C, 3).overlaps(ball(np.trace(gram(C)) / 3))


@pytest.mark.parametrize(("successes", "draws"), [(1, 1), (1, 30), (17, 20), (20, 20), (290, 300)])
@pytest.mark.parametrize("confidence", [Fraction(9, 10), 0.999])
def test_clopper_pearson(successes: int, draws: int, confidence: float) -> None:
    p = binomial_lower(successes, draws, confidence)

    def tail(p: Fraction) -> Fraction:
        return sum(
            (comb(draws, i) * p**i * (1 - p) ** (draws - i) for i in range(successes, draws + 1)),
            Fraction(0),
        )

    assert tail(p) <= 1 - Fraction(confidence) < tail(p + Fraction(1, 2**20))
    scipys = binomtest(successes, draws, alternative="greater").proportion_ci(float(confidence)).low
    # One step of the grid, and the tolerance of scipy's root finder.
    assert scipys - 2.0**-20 - 1e-9 <= p <= scipys + 1e-9
    assert binomial_upper(draws - successes, draws, confidence) == 1 - p


def test_clopper_pearson_corners() -> None:
    assert binomial_lower(0, 10, 0.9) == 0
    assert binomial_upper(10, 10, 0.9) == 1
    assert binomial_lower(9, 10, 0.9, bits=30) >= binomial_lower(9, 10, 0.9)
    for bad in ((-1, 10, 0.9), (11, 10, 0.9), (0, 0, 0.9), (1, 2, 1), (1, 2, 0)):
        with pytest.raises(ValueError, match="0 <= successes <= draws"):
            binomial_lower(*bad)
