"""Primal and dual values against closed forms, their repair, and what a verdict makes of them."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest

from theory.evidence import convex
from theory.evidence.convex import (
    Pair,
    Solution,
    ky_fan_sdp,
    nuclear_prox,
    trust_region_sdp,
    verdict,
    worst_frobenius_sdp,
)
from theory.geometry import sample
from theory.perturbation import Adversarial
from theory.representation import Representation, optimal_representation
from theory.statement import Inconclusive, Refuted, Supported

SHAPES = [(5, 4, 2), (3, 3, 3), (2, 6, 1), (1, 1, 1)]

# A repaired value is off by the rounding of eigendecompositions of ten rows: 1e4 eps.
ROUNDING = 2e-12


def assert_settles(pair: Pair, value: float) -> None:
    """Every solver's values enclose the closed form, to rounding, and meet there."""
    assert [s.status for s in pair.solutions] == ["optimal", "optimal"]
    for solution in pair.solutions:
        low, high = sorted((solution.primal, solution.dual))
        assert low - ROUNDING * pair.scale <= value <= high + ROUNDING * pair.scale
        # Solvers stop at 1e-8 of a problem scaled to 1; the repair multiplies that by k or 1/gap.
        assert solution.residual < 1e-6
    answer = verdict(pair, value)
    assert isinstance(answer, Supported)
    assert answer.kind == "sdp"
    assert -convex.TOLERANCE <= answer.worst_slack <= 0
    assert isinstance(verdict(pair, value + 0.01 * pair.scale), Refuted)
    assert isinstance(verdict(pair, value - 0.01 * pair.scale), Refuted)


@pytest.mark.parametrize(("d", "T", "k"), SHAPES)
@pytest.mark.parametrize("exponent", [-60, 0, 60])
def test_ky_fan_sum(d: int, T: int, k: int, exponent: int) -> None:
    C = sample("gaussian", d, T, 0) * 10.0**exponent
    sigma = np.linalg.svd(C, compute_uv=False)
    assert_settles(ky_fan_sdp(C.T @ C, k), float((sigma[:k] ** 2).sum()))


def test_ky_fan_sum_of_repeated_and_negative_eigenvalues() -> None:
    assert_settles(ky_fan_sdp(np.eye(4), 2), 2.0)
    assert_settles(ky_fan_sdp(np.diag([1.0, -1.0, -2.0]), 2), 0.0)
    assert verdict(ky_fan_sdp(np.zeros((2, 2)), 1), 0.0).worst_slack == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("d", "T", "k"), SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.5, 2.0])
def test_nuclear_prox_is_soft_thresholding(d: int, T: int, k: int, share: float) -> None:
    C = sample("gaussian", d, T, 1)
    sigma = np.linalg.svd(C, compute_uv=False)
    ridge = share * sigma[0]
    kept = np.maximum(sigma - ridge, 0)
    assert_settles(
        nuclear_prox(C, ridge), float(((sigma - kept) ** 2).sum() / 2 + ridge * kept.sum())
    )


def test_nuclear_prox_agrees_with_the_balanced_optimum() -> None:
    C, ridge = sample("power-law", 4, 3, 0), 0.3
    fit = optimal_representation(C, 3, ridge=ridge)
    weights = (fit.W**2).sum() + (fit.heads**2).sum()
    loss = ((C - fit.W.T @ fit.heads) ** 2).sum() / 2 + ridge / 2 * weights
    assert_settles(nuclear_prox(C, ridge), float(loss))


@pytest.mark.parametrize(("d", "T", "k"), SHAPES)
@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("optimal", [True, False])
def test_worst_frobenius_change(d: int, T: int, k: int, isotropic: bool, optimal: bool) -> None:
    rng = np.random.default_rng(d + T)
    C, X = sample("gaussian", d, T, 2), rng.standard_normal((d, d))
    S = None if isotropic else X @ X.T
    model = Representation(rng.standard_normal((k, d)), rng.standard_normal((k, T)))
    if optimal:
        model = optimal_representation(C, k, covariance=S)
    worst = Adversarial("frobenius", 0.7).worst_risk(model, C, S)
    pair = worst_frobenius_sdp(C - model.W.T @ model.heads, model.heads, 0.7, S)
    assert isinstance(worst, float)
    assert_settles(pair, worst)


def test_trust_region_in_the_hard_case_and_inside_the_ball() -> None:
    # No pull along the greatest curvature: m = (b / (3 - 1), rest along e_1), value 3 + b^2 / 2.
    assert_settles(trust_region_sdp(np.diag([3.0, 1.0]), [0.0, 0.5], 1.0), 3.125)
    # The same where most of m lies along the pull.
    assert_settles(trust_region_sdp(np.diag([2.0, 1.0]), [0.0, 0.9], 1.0), 2.81)
    # A maximum inside the ball: -m^2 + 2 b m at m = b.
    assert_settles(trust_region_sdp([[-1.0]], [0.5], 1.0), 0.25)
    assert_settles(trust_region_sdp(np.zeros((2, 2)), [3.0, 4.0], 2.0), 20.0)
    for pull in (0.5, -0.5):
        for solution in trust_region_sdp([[1.0]], [pull], 1.0).solutions:
            # Attained on the sphere, which the solver's own point only comes near: a few eps.
            assert solution.primal == pytest.approx(2.0, rel=1e-14)


def cases() -> list[tuple[Pair, float]]:
    """One problem of each kind and its value in closed form."""
    C = sample("gaussian", 5, 4, 3)
    sigma = np.linalg.svd(C, compute_uv=False)
    kept = np.maximum(sigma - 0.4, 0)
    model = Representation(np.ones((2, 5)), np.ones((2, 4)) + np.eye(2, 4))
    worst = Adversarial("frobenius", 0.5).worst_risk(model, C)
    assert isinstance(worst, float)
    return [
        (ky_fan_sdp(C.T @ C, 2), float((sigma[:2] ** 2).sum())),
        (nuclear_prox(C, 0.4), float(((sigma - kept) ** 2).sum() / 2 + 0.4 * kept.sum())),
        (worst_frobenius_sdp(C - model.W.T @ model.heads, model.heads, 0.5), worst),
    ]


def test_tolerances_are_relative_to_the_size_of_the_problem() -> None:
    """The eigenvalues' absolute sum, |C|^2/2, a bound on the quadratic, and that with the clean risk."""
    C = sample("gaussian", 4, 3, 5)
    A, b, radius = np.diag([3.0, -4.0]), np.array([3.0, 4.0]), 0.5
    largest = 4 * radius**2 + 5 * radius
    assert ky_fan_sdp(A, 1).scale == pytest.approx(7.0)
    assert nuclear_prox(C, 0.3).scale == pytest.approx((C**2).sum() / 2)
    assert trust_region_sdp(A, b, radius).scale == pytest.approx(largest)
    heads = np.ones((1, 3))
    pull = np.linalg.norm(heads @ C.T)
    change = 3 * radius**2 + pull * radius + (C**2).sum()
    assert worst_frobenius_sdp(C, heads, radius).scale == pytest.approx(change / 3)


@pytest.mark.parametrize("seed", range(8))
def test_repair_does_not_trust_the_solver(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Points and multipliers spoilt by noise leave a gap, never a wrong enclosure."""
    rng, solve = np.random.default_rng(seed), cp.Problem.solve

    def spoilt(problem: cp.Problem, **options) -> None:
        solve(problem, **options)
        multipliers = [v for c in problem.constraints for v in c.dual_variables]
        for variable in [*problem.variables(), *multipliers]:
            noise = 0.1 * rng.standard_normal(variable.shape)
            variable.save_value(variable.value + noise + noise.T)

    monkeypatch.setattr(cp.Problem, "solve", spoilt)
    for pair, value in cases():
        for solution in pair.solutions:
            low, high = sorted((solution.primal, solution.dual))
            assert solution.residual > 1e-3, "nothing was left to repair"
            assert low - ROUNDING * pair.scale <= value <= high + ROUNDING * pair.scale
        answer = verdict(pair, value)
        assert isinstance(answer, Inconclusive)
        assert "gap" in answer.reason


def test_verdict_reads_only_an_optimal_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convex, "SOLVERS", {"SCS": {"max_iters": 1}, "CLARABEL": {"max_iter": 1}})
    pair = ky_fan_sdp(np.diag([3.0, 2.0, 1.0]), 1)
    assert not [s for s in pair.solutions if s.status == cp.OPTIMAL]
    assert np.isnan([s.primal for s in pair.solutions]).all()
    answer = verdict(pair, 3.0)
    assert isinstance(answer, Inconclusive)
    assert "SCS" in answer.reason
    assert "CLARABEL" in answer.reason
    with pytest.raises(ValueError, match="no optimum"):
        _ = pair.gap


def test_an_absent_solver_is_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convex, "SOLVERS", {"MOSEK": {}, "CLARABEL": {}})
    pair = ky_fan_sdp(np.eye(2), 1)
    assert pair.solutions[0].status.startswith("error")
    assert pair.solver == "CLARABEL"
    assert isinstance(verdict(pair, 1.0), Supported)


def test_one_optimal_witness_against_the_claim_refutes_it() -> None:
    pair = ky_fan_sdp(np.eye(2), 1)
    against = Solution("SCS", "optimal", primal=2.0, dual=2.0, residual=0.0)
    answer = verdict(replace(pair, solutions=(*pair.solutions[:1], against)), 1.0)
    assert isinstance(answer, Refuted)
    assert "SCS" in answer.witness.confirmed
    assert answer.witness.instance["k"] == 1


def test_what_a_solver_that_stopped_early_left_refutes_nothing() -> None:
    pair = ky_fan_sdp(np.eye(2), 1)
    stopped = Solution("SCS", "optimal_inaccurate", primal=2.0, dual=2.0, residual=1.0)
    answer = verdict(replace(pair, solutions=(stopped, *pair.solutions[:1])), 1.0)
    assert isinstance(answer, Supported)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ky_fan_sdp([[0.0, 1.0], [0.0, 0.0]], 1), "not symmetric"),
        (lambda: ky_fan_sdp(np.ones((2, 3)), 1), "not symmetric"),
        (lambda: ky_fan_sdp(np.eye(2), 3), "k = 3"),
        (lambda: nuclear_prox(np.eye(2), -1.0), "ridge"),
        (lambda: trust_region_sdp(np.eye(2), [1.0], 1.0), "pull"),
        (lambda: trust_region_sdp(np.eye(1), [np.inf], 1.0), "pull"),
        (lambda: trust_region_sdp(np.eye(1), [1.0], np.nan), "radius"),
    ],
)
def test_bad_input_says_what_to_mend(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
