"""The shared lemmas: checked as they stand, refused once an ingredient is missing, and about what they say."""

import numpy as np
import pytest

from theory.evidence import lemmas, symbolic
from theory.evidence.symbolic import dimensions, equal, evaluate, frob2, matrix, orthonormal_rows
from theory.statement import Checked, Inconclusive
from theory.statements._draws import two_point

LEMMAS = (
    lemmas.optimum_attains,
    lemmas.orthonormal_expansion,
    lemmas.psd_product,
    lemmas.orthonormal_rows_contract,
    lemmas.ky_fan_maximum_principle,
    lemmas.ky_fan_norm_maximum,
    lemmas.jensen,
    lemmas.cauchy_schwarz,
    lemmas.triangle_inequality,
)
# 1e-12: a few hundred operations on numbers near 1, at eps 2e-16 each.
ROUNDING = 1e-12


@pytest.mark.parametrize("lemma", LEMMAS, ids=lambda lemma: lemma.__name__)
def test_a_lemma_is_checked_for_all_shapes(lemma):
    step = lemma()
    assert step.name == lemma.__name__
    verdict = step.check()
    assert isinstance(verdict, Checked)
    assert verdict.scope.startswith("all ")


@pytest.mark.parametrize(
    "lemma",
    [
        lemmas.orthonormal_expansion,
        lemmas.orthonormal_rows_contract,
        lemmas.ky_fan_maximum_principle,
        lemmas.ky_fan_norm_maximum,
    ],
    ids=lambda lemma: lemma.__name__,
)
def test_without_orthonormality_a_lemma_does_not_pass(lemma, monkeypatch):
    unrelated = matrix("Y", "m", "n"), matrix("Y", "m", "n")
    for module in (lemmas, symbolic):
        monkeypatch.setattr(
            module, "orthonormal_rows", lambda _: (unrelated[0] @ unrelated[1].T, 0)
        )
    assert isinstance(lemma().check(), Inconclusive)


def test_a_step_answers_with_its_first_check_that_is_no_proof():
    d, T, k = dimensions("d T k")
    C, W = matrix("C", d, T), matrix("W", k, d)
    rule = [orthonormal_rows(W)]
    true = lambda: equal(frob2(C - W.T @ W @ C), frob2(C) - frob2(W @ C), rule)  # noqa: E731
    false = lambda: equal(frob2(C - W.T @ W @ C), frob2(C) + frob2(W @ C), rule)  # noqa: E731
    assert lemmas.step("s", "", true, true).check() == Checked(
        "symbolic", "all d, T, k", ("W W' = I",)
    )
    assert isinstance(lemmas.step("s", "", true, false).check(), Inconclusive)
    assert isinstance(lemmas.step("s", "").check(), Inconclusive)


def test_the_letters_of_the_optimum_stand_for_the_singular_value_decomposition():
    C, k = np.random.default_rng(0).standard_normal((5, 4)), 2
    U, sigma, Vt = np.linalg.svd(C, full_matrices=False)
    K = np.eye(4, k)
    values = {"U": U, "D": np.diag(sigma), "V": Vt.T, "K": K, "J": K @ K.T}
    o = lemmas.optimum()
    for expression, expected in (
        (frob2(o.C), (C**2).sum()),
        (o.kept, (sigma[:k] ** 2).sum()),
        (o.lost, (sigma[k:] ** 2).sum()),
        (frob2(o.C - o.W.T @ o.heads), (sigma[k:] ** 2).sum()),
        (frob2(o.W @ o.C - o.heads), 0.0),
    ):
        assert evaluate(expression, values) == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("odds", [1, 2, 5])
def test_two_point_noise_is_independent_with_mean_0_and_variance_1(odds):
    (N, M), probability = two_point(odds, (1, 2), (2,))
    flat = np.hstack([N.reshape(-1, 2), M])
    assert len(flat) == 2**4
    assert probability.sum() == pytest.approx(1, abs=ROUNDING)
    assert probability @ flat == pytest.approx(np.zeros(4), abs=ROUNDING)
    second = np.einsum("m,mi,mj->ij", probability, flat, flat)
    assert second == pytest.approx(np.eye(4), abs=ROUNDING)
    assert probability @ flat.prod(axis=1) == pytest.approx(0, abs=ROUNDING)
    # Not Gaussian, and skew unless the odds are even: E N^3 = (odds - 1) / sqrt(odds).
    assert probability @ flat[:, 0] ** 3 == pytest.approx((odds - 1) / np.sqrt(odds), abs=ROUNDING)
