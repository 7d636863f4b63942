"""Falsification: false claims fall to small exact witnesses, wherever they are false; true ones stand."""

from fractions import Fraction

import numpy as np
import pytest

from theory.evidence import numbers, precise, witness
from theory.evidence.instances import instances
from theory.evidence.search import falsify
from theory.spectra import is_multiprecision, ky_fan, schatten, singular_values, slope, slopes
from theory.statement import Inconclusive, Refuted, Statement, Supported


def claim(sides, **fields) -> Statement:
    return Statement(id="claim", claim="", sides=sides, **fields)


def refuted(statement: Statement):
    verdict = falsify(statement)
    assert isinstance(verdict, Refuted), verdict
    instance = verdict.witness.instance
    C = np.array([[float(x) for x in row] for row in instance["C"]])
    # What is shown violates the claim, in an evaluation of our own.
    assert statement.admits({"C": C, "k": instance["k"]})
    assert statement.slack({"C": C, "k": instance["k"]}) < 0
    assert all(isinstance(x, int | Fraction | numbers.Surd) for row in instance["C"] for x in row)
    return verdict.witness


def frobenius(C):
    return np.sqrt((C * C).sum())


TRUE = {
    "slope": claim(lambda C, k: (slope(C, k), ky_fan(C, 1) ** 2 * k / C.shape[1])),
    "all energy": claim(
        lambda C, k: (slopes(C)[-1], np.linalg.norm(C) ** 2 / C.shape[1]), relation="=="
    ),
    "cancelling": claim(lambda C, k: (slopes(C)[-1] - (C * C).sum() / C.shape[1], 0)),
    "rounded constant": claim(lambda C, k: (ky_fan(C, k) - np.sqrt(float(k)) * frobenius(C), 0)),
    "floats, cancelling": claim(
        lambda C, k: (
            float(slopes(C)[-1]) - float((np.linalg.svd(C)[1] ** 2).sum()) / C.shape[1],
            0,
        )
    ),
    "overflowing": claim(lambda C, k: (slope(C, k) ** 3, slopes(C)[-1] ** 3)),
    "unit tasks": claim(lambda C, k: (slope(C, k), 1), hypotheses=["unit_tasks"]),
}


@pytest.mark.parametrize("name", TRUE)
def test_true_claims_are_supported(name: str) -> None:
    verdict = falsify(TRUE[name], instances=1500)
    assert isinstance(verdict, Supported)
    assert verdict.kind == "sampled"
    assert verdict.n > 1000
    assert verdict.tightest is not None
    assert verdict.worst_slack == pytest.approx(0, abs=1e-12)  # rounding of sums and of an svd


def last(values, index):
    return values[index] if index < len(values) else 0 * values[0]


FALSE = {
    "repeated singular values": (
        claim(
            lambda C, k: (last(singular_values(C), k), singular_values(C)[k - 1] * (1 - 1e-6)),
            hypotheses=["nonzero"],
        ),
        4,
    ),
    "rank deficiency": (
        claim(
            lambda C, k: (singular_values(C)[0] / 10**9, singular_values(C)[-1]),
            hypotheses=["nonzero"],
        ),
        4,
    ),
    "k = min(d, T)": (
        claim(lambda C, k: (1 if k == min(C.shape) >= 3 else 0, 0)),
        9,
    ),
    "T = 2": (claim(lambda C, k: (slope(C, k) * (1 if C.shape[1] == 2 else 0), 0)), 2),
    "huge": (claim(lambda C, k: (slope(C, k) ** 2, 10**100 + 0 * slope(C, k))), 1),
    "tiny": (
        claim(lambda C, k: (Fraction(1, 10**200), slope(C, k)), hypotheses=["nonzero"]),
        1,
    ),
    "relative 1e-6": (
        claim(lambda C, k: (ky_fan(C, k), np.sqrt(k) * frobenius(C) * (1 - 1e-6))),
        1,
    ),
    "relative 1e-6, equality": (
        claim(lambda C, k: (slopes(C)[-1] * (1 + 1e-6), (C * C).sum() / C.shape[1]), relation="=="),
        1,
    ),
    "one correlation": (
        claim(
            lambda C, k: (1e-8, (C[:, 0] @ C[:, 1] - 0.37) ** 2 if C.shape[1] > 1 else 1.0),
            hypotheses=["unit_tasks"],
        ),
        4,
    ),
    "one spectrum, with a kink": (
        claim(
            lambda C, k: _far_from_3_2_1(singular_values(C)),
            hypotheses=["nonzero"],
        ),
        9,
    ),
}


def _far_from_3_2_1(sigma):
    if len(sigma) != 3:
        return 0, sigma[0]
    far = abs(2 * sigma[0] - 3 * sigma[1]) + abs(sigma[1] - 2 * sigma[2])
    return sigma[0] / 10**6, far


@pytest.mark.parametrize("name", FALSE)
def test_claims_false_in_a_corner_are_refuted(name: str) -> None:
    statement, entries = FALSE[name]
    counterexample = refuted(statement)
    assert np.size(counterexample.instance["C"]) == entries  # nothing can be left out
    assert "float64" not in counterexample.confirmed or name == "k = min(d, T)"


def test_adding_a_task_can_raise_the_slope() -> None:
    counterexample = refuted(
        claim(
            lambda C, k: (slope(C, k), slope(C[:, :-1], k)),
            hypotheses=["unit_tasks", lambda C, k: k < C.shape[1]],
        )
    )
    assert set(np.ravel(counterexample.instance["C"])) <= {0, 1}
    assert "50-digit" in counterexample.confirmed


def test_a_claim_in_numpy_alone_is_refuted_beyond_its_rounding() -> None:
    counterexample = refuted(
        claim(lambda C, k: (np.linalg.svd(C)[1][:k].sum() * 1.0001, ky_fan(C, k)))
    )
    assert "float64" in counterexample.confirmed
    assert counterexample.instance["C"] == [[1]]


def test_rational_claims_are_confirmed_in_rationals() -> None:
    counterexample = refuted(claim(lambda C, k: ((C * C).sum(), C.sum() ** 2)))
    assert counterexample.confirmed.startswith("exactly")
    assert counterexample.instance["C"] == [[0]] or isinstance(counterexample.lhs, Fraction | int)


def test_underflow_is_not_a_counterexample() -> None:
    """rhs underflows to 0 at scale 1e-150, where lhs, 1e-450 times as large, does too: more digits decide."""
    statement = claim(
        lambda C, k: (slope(C, k), slopes(C)[-1] ** 2 / slopes(C)[-1]), hypotheses=["nonzero"]
    )
    assert isinstance(falsify(statement, instances=1500), Supported)


def test_nothing_admissible_is_inconclusive() -> None:
    verdict = falsify(claim(lambda C, k: (0, 1), hypotheses=[lambda C, k: False]))
    assert isinstance(verdict, Inconclusive)
    assert "hypotheses" in verdict.reason


@pytest.mark.parametrize(
    ("sides", "says"),
    [
        (lambda C, k: (0.0 / np.float64(0), 1), "NaN"),
        (lambda C, k: (1j, 1), "complex"),
        (lambda C, k: (C, 1), "array"),
        (lambda C, k: (C[100, 0], 1), "IndexError"),
        (lambda C, k: 1, "TypeError"),
    ],
)
def test_a_claim_that_cannot_be_evaluated_says_where(sides, says: str) -> None:
    with pytest.raises(ValueError, match=says) as raised:
        falsify(claim(sides))
    assert "at C = [[" in str(raised.value)


def test_a_hypothesis_that_raises_is_named() -> None:
    with pytest.raises(ValueError, match="hypothesis raises ZeroDivisionError"):
        falsify(claim(lambda C, k: (0, 1), hypotheses=[lambda C, k: 1 / 0]))


def test_instances_are_admissible_repeatable_and_reach_the_corners() -> None:
    statement = claim(lambda C, k: (0, 1), hypotheses=["unit_tasks"])
    first, second = (list(instances(statement, seed=3)) for _ in range(2))
    assert len(first) == len(second) > 500
    for instance, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(instance["C"], other["C"])
        assert statement.admits(instance)
    shapes = {(*instance["C"].shape, instance["k"]) for instance in first}
    assert {(1, 1, 1), (1, 2, 1), (2, 2, 2), (12, 8, 8)} <= shapes
    free = [instance["C"] for instance in instances(claim(lambda C, k: (0, 1)))]
    assert any(np.abs(C).max() >= 1e149 for C in free)
    assert any(0 < np.abs(C).max() <= 1e-149 for C in free)
    assert any((~C.any(axis=0)).any() and C.any() for C in free)


def test_a_statement_may_generate_its_own_instances() -> None:
    def generate(rng, i):
        C = rng.standard_normal((2, 3))
        return {"C": C, "k": 1, "sigma": float(rng.uniform(0.1, 1))}

    positive = [lambda sigma: sigma > 0]
    right = Statement("s", "", lambda C, k, sigma: (sigma * slope(C, k), sigma * slopes(C)[-1]))
    right = Statement(**{**vars(right), "generate": generate, "hypotheses": positive})
    assert isinstance(falsify(right), Supported)
    wrong = Statement(**{**vars(right), "sides": lambda sigma: (sigma**2, sigma)})
    verdict = falsify(wrong)
    assert isinstance(verdict, Refuted)
    assert verdict.witness.instance["sigma"] > 1  # no instance of its own: ascent went there


def test_normalised_columns_are_exact() -> None:
    unit = numbers.normalised([[3, 1, 0], [4, 1, 2]])
    assert unit is not None
    assert list(unit[:, 0]) == [Fraction(3, 5), Fraction(4, 5)]
    assert list(unit[:, 1]) == [numbers.Surd(1, 2)] * 2
    assert list(unit[:, 2]) == [0, 1]
    assert numbers.normalised([[0], [0]]) is None


def test_spectra_follow_the_precision_of_their_matrix() -> None:
    context, leaks = precise._context(50, 0.0)
    C = np.array([[1, 2, 0], [3, 4, 5]], dtype=object) * context.mpf(1)
    assert is_multiprecision(C)
    floats = C.astype(float)
    leaks.clear()
    for value, near in (
        (slope(C, 1), slope(floats, 1)),
        (ky_fan(C, 2), ky_fan(floats, 2)),
        (schatten(C, 3), schatten(floats, 3)),
    ):
        assert abs(value - near) < 1e-13 * near  # the float value's own rounding
    assert not leaks
    assert abs(slopes(C)[-1] * 3 - 55) < context.mpf(10) ** -45  # five digits for the svd
    float(slope(C, 1))
    assert leaks


def test_rounding_of_a_claim_in_floats_is_no_violation() -> None:
    """At this matrix the two float sums differ by 2e-16, and at its neighbours too, but not always."""
    C = np.array([[1, 0], [Fraction(1, 16000), 1]], dtype=object) * Fraction(1)
    assert witness.confirm(TRUE["floats, cancelling"], {"C": C, "k": 1}) is None
    false = claim(lambda C, k: (float(slope(C, k)) + 1e-9, float(slope(C, k))))
    counterexample = witness.confirm(false, {"C": C, "k": 1})
    assert counterexample is not None
    assert "float64" in counterexample.confirmed


def test_a_claim_that_rounds_on_the_way_is_not_taken_for_precise() -> None:
    exact = {"C": np.array([[Fraction(1, 3)]], dtype=object), "k": 1}
    whole = claim(lambda C, k: (slope(C, k), slopes(C)[-1]))
    assert precise.precise_sides(whole, exact, 50) is not None
    rounding = claim(lambda C, k: (slope(C, k), slope(C, k) + 0 * float(slope(C, k))))
    assert precise.precise_sides(rounding, exact, 50) is None
