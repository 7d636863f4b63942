"""Statements 26 to 35 beyond what every statement is tested for: broken proofs are caught, and the findings hold."""

import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from theory.check import check
from theory.evidence import convex, exact, lemmas
from theory.evidence.symbolic import expect, frob2, trace
from theory.geometry import sample
from theory.representation import optimal_representation
from theory.statement import Checked, Inconclusive, Refuted, Step, Supported
from theory.statements import (
    _shrinkage,
    balance_conserved,
    balanced_leave_one_out,
    balanced_optimum,
    curvature,
    imbalance_linear,
    matrix_normal_noise,
    mode_dynamics,
    no_free_robustness,
    noise_variance,
    nuclear_norm_form,
    two_normalisations_disagree,
    water_filling,
)
from theory.statements.balanced_optimum import loss
from theory.statements.nuclear_norm_form import attained


def twice(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: 2 * function(*arguments)


def one_more(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: function(*arguments) + 1


BROKEN = [
    (_shrinkage.heads_fitted, "frob2", twice(frob2)),
    (_shrinkage.modes_of_the_weights, "trace", twice(trace)),
    (_shrinkage.jensen_in_the_eigenbasis, "trace", one_more(trace)),
    (balanced_optimum.optimum_is_balanced_and_attains, "frob2", twice(frob2)),
    (balanced_optimum.dual_certificate, "frob2", twice(frob2)),
    (balanced_optimum.certificate_at_the_optimum, "trace", one_more(trace)),
    (nuclear_norm_form.products_cover_all_matrices, "trace", twice(trace)),
    (balanced_leave_one_out.mean_of_the_cut_tasks, "expect", twice(expect)),
    (balanced_leave_one_out.shrunk_sum_is_a_maximum, "trace", one_more(trace)),
    (two_normalisations_disagree.unit_tasks_fix_the_energy, "expect", twice(expect)),
    (two_normalisations_disagree.similarity_is_the_least, "frob2", twice(frob2)),
    (two_normalisations_disagree.diversity_is_the_most, "frob2", twice(frob2)),
    (balance_conserved.velocities_are_gradients, "frob2", twice(frob2)),
    (curvature.quadratic_term, "expect", twice(expect)),
    (curvature.linear_model, "frob2", one_more(frob2)),
    (mode_dynamics.loss_of_the_modes, "frob2", twice(frob2)),
    (nuclear_norm_form.nothing_is_lost_without_a_ridge, "frob2", one_more(frob2)),
    (noise_variance.variance_of_a_quadratic, "frob2", twice(frob2)),
    (noise_variance.variance_of_the_risk, "frob2", one_more(frob2)),
    (matrix_normal_noise.covariance_of_the_noise, "expect", twice(expect)),
    (matrix_normal_noise.noise_meets_heads_and_inputs, "expect", twice(expect)),
    (water_filling.noise_is_a_ridge, "expect", twice(expect)),
    (water_filling.water_filling_attains, "frob2", twice(frob2)),
    (no_free_robustness.mean_is_the_mean_of_leave_one_out_means, "expect", twice(expect)),
    (no_free_robustness.tasks_are_refitted_apart, "expect", twice(expect)),
]


@pytest.mark.parametrize(
    ("prove", "name", "mutant"), BROKEN, ids=lambda x: getattr(x, "__name__", "")
)
def test_a_broken_identity_is_no_proof(
    prove: Callable[[], Step], name: str, mutant: Callable[..., Any], monkeypatch
) -> None:
    assert isinstance(prove().check(), Checked)
    monkeypatch.setattr(sys.modules[prove.__module__], name, mutant)
    assert isinstance(prove().check(), Inconclusive)


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        (mode_dynamics, "learned", mode_dynamics.learned * 2),
        (mode_dynamics, "unlearned", mode_dynamics.unlearned + 1),
        (imbalance_linear, "_M", imbalance_linear._M * 2),
        (imbalance_linear, "_RULES", imbalance_linear._RULES[:1]),
    ],
)
def test_a_wrong_formula_is_no_proof(module: Any, name: str, wrong: Any, monkeypatch) -> None:
    monkeypatch.setattr(module, name, wrong)
    steps = (
        [module.formula_solves_the_flow(), module.everything_is_learned()]
        if module is mode_dynamics
        else [
            module.eigenvalues_of_the_mixture(),
            module.best_representation(),
            module.any_representation_is_best_at_zero(),
        ]
    )
    assert any(isinstance(step.check(), Inconclusive) for step in steps)


def test_certificate_in_rationals() -> None:
    """At a rational SVD, the dual certificate of statement 26 without a float: values, norm and gap."""
    U = exact.rational([[Fraction(3, 5), Fraction(-4, 5)], [Fraction(4, 5), Fraction(3, 5)]])
    V = exact.rational(
        [
            [Fraction(5, 13), Fraction(-12, 13)],
            [Fraction(12, 13), Fraction(5, 13)],
            [Fraction(0)] * 2,
        ]
    )
    ridge, sigma = Fraction(1, 2), (Fraction(3), Fraction(1, 3))
    shrunk = [max(value - ridge, Fraction(0)) for value in sigma]
    C, A = U * sigma @ V.T, U * shrunk @ V.T
    Z = C - A
    assert exact.is_psd(ridge**2 * exact.identity(3) - Z.T @ Z)
    assert (Z * A).sum() == ridge * sum(shrunk)
    best = optimal_representation(C.astype(float), 1, ridge=0.5, balanced=True)
    value = exact.frobenius_squared(Z) / 2 + ridge * sum(shrunk)
    # A dozen operations on numbers of order 1.
    assert loss(best.W, best.heads, C.astype(float), 0.5) == pytest.approx(float(value), rel=1e-14)
    # A certificate that exceeds the ridge is none.
    assert not exact.is_psd(ridge**2 * exact.identity(3) - 4 * Z.T @ Z)


@pytest.mark.parametrize(
    ("kind", "d", "T"), [("gaussian", 3, 2), ("duplicated", 2, 3), ("orthonormal", 3, 3)]
)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.2])
def test_solvers_enclose_the_balanced_optimum(kind: str, d: int, T: int, share: float) -> None:
    """A second witness for statement 26: primal and dual values from two solvers."""
    C = sample(kind, d, T, 0)
    ridge = share * float(np.linalg.norm(C, 2))
    verdict = convex.verdict(convex.nuclear_prox(C, ridge), attained(C, min(d, T), ridge))
    assert isinstance(verdict, Supported), verdict


def test_solvers_beat_a_representation_without_room() -> None:
    C = np.diag([3.0, 2.0, 1.0])
    verdict = convex.verdict(convex.nuclear_prox(C, 0.5), attained(C, 1, 0.5))
    assert isinstance(verdict, Refuted), verdict


def flow(
    C: np.ndarray, W: np.ndarray, heads: np.ndarray, t: float
) -> tuple[np.ndarray, np.ndarray]:
    size = W.size

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        w, g = state[:size].reshape(W.shape), state[size:].reshape(heads.shape)
        error = C - w.T @ g
        return np.concatenate([(g @ error.T).ravel(), (w @ error).ravel()])

    start = np.concatenate([W.ravel(), heads.ravel()])
    end = solve_ivp(velocity, (0, t), start, method="DOP853", rtol=1e-10, atol=1e-13).y[:, -1]
    return end[:size].reshape(W.shape), end[size:].reshape(heads.shape)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sign", [1, -1])
def test_balanced_starts_are_split_by_a_determinant(seed: int, sign: int) -> None:
    """Of the starts W = a Q, heads = a O Q' for d = T = k = 2, those of the wrong sign stay sigma_min away from C."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((2, 2)))[0] for _ in range(2))
    C = (left * [2.0, 1.0]) @ right
    W = 0.05 * np.linalg.qr(rng.standard_normal((2, 2)))[0]
    heads = 0.05 * np.linalg.qr(rng.standard_normal((2, 2)))[0]
    heads[:, 0] *= sign * np.sign(np.linalg.det(W.T @ heads) * np.linalg.det(C))
    W, heads = flow(C, W, heads, 30 if sign > 0 else 8)
    distance = np.linalg.norm(C - W.T @ heads)
    if sign > 0:
        # Every mode has sigma >= 1, so that 30 units of time leave e^-60 over its start; the solver keeps 1e-8.
        assert distance < 1e-6
    else:
        # The rounding of the integration is an imbalance of 1e-10 that has grown by up to e^8, or e^16 squared.
        assert distance >= 1 - 1e-5


def test_false_statements_are_refuted_exactly() -> None:
    from theory.statements import balanced_leave_one_out_fixed_ridge, descent_from_balance

    for module in (balanced_leave_one_out_fixed_ridge, descent_from_balance):
        report = check(module.STATEMENT)
        assert report.as_expected, report.summary()


def test_lemma_steps_are_shared() -> None:
    """The lower bound of 26 and 34 is one proof, Ky Fan's principle included."""
    names = [step.name for step in _shrinkage.shrinkage()]
    assert lemmas.ky_fan_maximum_principle().name in names
    for module in (balanced_optimum, water_filling):
        assert set(names) <= {step.name for step in module.STATEMENT.proof}
