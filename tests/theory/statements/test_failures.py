"""Statements 16 to 25 beyond what every statement is tested for: other routes to their numbers, and broken steps."""

import itertools

import numpy as np
import pytest
import sympy as sp

from theory.evidence import convex, lemmas, scalars
from theory.geometry import existing, sample
from theory.perturbation import AdditiveNoise, Adversarial, MagnitudePruning, Quantisation
from theory.representation import Representation, equal_energy, optimal_representation
from theory.spectra import singular_values
from theory.statement import Checked, Supported
from theory.statements import _failures, noise_aware_readout, quantisation_bound
from theory.statements.worst_neuron import worst_loss

EPS = float(np.finfo(float).eps)
RADII = (0.1, 1.0, 5.0)


@pytest.mark.parametrize(("d", "T", "k"), [(1, 1, 1), (2, 1, 2), (2, 2, 1), (3, 1, 1)])
def test_deletion_of_any_weights_entry_by_entry(d: int, T: int, k: int) -> None:
    C, W, G = (scalars.entries(*x) for x in (("C", d, T), ("W", k, d), ("G", k, T)))
    kept, p = scalars.entries("w", k, d), sp.Symbol("p", real=True)
    S = sp.diag(*sp.symbols(f"s:{d}", positive=True))

    def energy(W: sp.Matrix) -> sp.Expr:
        E = C - W.T * G
        return sp.expand((E.T * S * E).trace())

    moments = {
        kept[i, j]: ((1 - p) * W[i, j], p * (1 - p) * W[i, j] ** 2)
        for i, j in itertools.product(range(k), range(d))
    }
    spread = sum(
        S[j, j] * W[i, j] ** 2 * G[i, t] ** 2
        for i, j, t in itertools.product(range(k), range(d), range(T))
    )
    expected = scalars.expected_quadratic(energy(kept), moments)
    law = energy((1 - p) * W) + p * (1 - p) * spread
    assert isinstance(scalars.identity(expected, law), Checked)
    assert not isinstance(scalars.identity(expected, law - p * spread), Checked)


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("free", [0.0, 1.0], ids=["at the optimum: the hard case", "anywhere"])
def test_the_s_lemma_certifies_the_secular_equation(radius: float, free: float) -> None:
    rng = np.random.default_rng(0)
    C, X = sample("gaussian", 3, 4, 1), rng.standard_normal((5, 3))
    S = np.eye(3) if free == 0 else X.T @ X / 5
    best = optimal_representation(C, 2)
    W, heads = (M + free * rng.standard_normal(M.shape) for M in (best.W, best.heads))
    claimed = Adversarial("frobenius", radius).worst_risk(Representation(W, heads), C, S)
    pair = convex.worst_frobenius_sdp(C - W.T @ heads, heads, radius, S)
    assert isinstance(convex.verdict(pair, claimed), Supported)
    # 1 % off is 10^4 times the solvers' tolerance.
    assert not isinstance(convex.verdict(pair, 1.01 * claimed), Supported)


def test_the_bounds_hold_with_the_reach_of_the_failure_as_radius() -> None:
    C = sample("sphere", 7, 5, 0)
    best = optimal_representation(C, 3)
    top = singular_values(C)[0] ** 2 / C.shape[1]
    fraction = 2 / 3  # of 21 weights, a whole number
    for failure, length in (
        (MagnitudePruning(fraction), fraction * 3),
        (Quantisation(4), Quantisation(4).step(best.W).item() ** 2 / 4 * 21),
    ):
        claimed = best.risk + length * top
        bound = failure.risk_bound(best, C)
        assert abs(bound - claimed) <= 1e-11 * claimed  # the secular root is good to 1e-12
        assert best.risk < failure.expected_risk(best, C) < bound


def test_only_the_largest_weight_is_sure_not_to_move() -> None:
    for d in range(2, 6):
        C = np.ones((d, 1))
        C[0] = 2
        lhs, rhs = quantisation_bound.sides(C, 1, 2)
        assert abs(lhs - rhs) <= 64 * EPS * rhs  # a dozen operations
        assert lhs > 1.01 * quantisation_bound.sides(C, 1, 2, moved=1)[1]


def test_the_singular_basis_is_the_worst_of_all_rotations_and_level_the_best() -> None:
    rng = np.random.default_rng(0)
    for kind in existing(5, 6):
        C, k = sample(kind, 5, 6, 2), 4
        best = optimal_representation(C, k)
        scale = 64 * EPS * np.linalg.norm(C) ** 2  # rounding of risks no larger than |C|^2 / T
        worst, level = worst_loss(best, C), worst_loss(equal_energy(best), C)
        assert abs(worst - best.risk - singular_values(C)[0] ** 2 / 6) <= scale
        for _ in range(10):
            Q, _ = np.linalg.qr(rng.standard_normal((k, k)))
            turned = worst_loss(Representation(Q @ best.W, Q @ best.heads), C)
            assert level - scale <= turned <= worst + scale


@pytest.mark.parametrize("sigma", [0.0, 0.3, 2.0])
def test_refitted_heads_never_gain_from_more_tasks_on_average(sigma: float) -> None:
    for kind in existing(5, 6):
        C = sample(kind, 5, 6, 0)
        C = C / np.linalg.norm(C, axis=0)
        for k in (1, 3, 5):
            risks = [noise_aware_readout.sides(np.delete(C, t, 1), k, sigma)[0] for t in range(6)]
            here = noise_aware_readout.sides(C, k, sigma)[0]
            assert here >= np.mean(risks) - 64 * EPS  # rounding of risks of at most 1
            best = optimal_representation(C, k)
            for change in (0.9, 1.1):
                heads = best.heads / (1 + 5 * sigma**2) * change
                moved = AdditiveNoise(sigma).expected_risk(Representation(best.W, heads), C)
                assert moved > here


STEPS = ("optimum_splits_the_energy", "change_at_the_optimum")


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("wrong", ["heads", "rules"])
def test_a_wrong_optimum_is_noticed(name: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    o = lemmas.optimum()
    assert isinstance(getattr(_failures, name)().check(), Checked)
    broken = o._replace(heads=2 * o.heads) if wrong == "heads" else o._replace(rules=())
    monkeypatch.setattr(_failures, "optimum", lambda: broken)
    assert not isinstance(getattr(_failures, name)().check(), Checked)
