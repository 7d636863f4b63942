"""The optimal representation against a full SVD, against attempts to beat it, and at every scale and corner."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tests.strategies import seeded, task_matrices_and_ranks
from theory import representation as module
from theory.covariance import Covariance, as_covariance
from theory.geometry import sample
from theory.representation import (
    SUBSET,
    OptimalRepresentation,
    Representation,
    optimal_representation,
    risk,
)
from theory.spectra import balanced_slope, singular_values, slope

EPS = float(np.finfo(float).eps)
D = 6


def rounding(C: np.ndarray) -> float:
    """Relative rounding of a decomposition of C: LAPACK's backward error, n eps of the norm."""
    return 64 * EPS * max(C.shape)


def unit_scale(C: np.ndarray) -> float:
    return float(np.abs(C).max()) or 1.0


def root_energy(value: float, C: np.ndarray) -> float:
    """sqrt(T R) / scale. It is a norm, so a backward error moves it no further than its own size."""
    return float(np.sqrt(value / unit_scale(C) / unit_scale(C) * C.shape[1]))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def gram(W: np.ndarray) -> np.ndarray:
    return W @ W.T


def product(W: np.ndarray, heads: np.ndarray) -> np.ndarray:
    return W.T @ heads


def matrix(S: Covariance) -> np.ndarray:
    return S.apply(np.eye(S.dimension))


# For D input dimensions, condition numbers below 1e3 on the range.
COVARIANCES = {
    "identity": None,
    "diagonal": np.array([4.0, 1.0, 0.5, 2.0, 0.1, 9.0]),
    "singular diagonal": np.array([0.0, 1.0, 0.5, 0.0, 0.1, 9.0]),
    "dense": np.cov(normal(20, D, seed=1).T),
    "singular dense": normal(4, D, seed=2).T @ normal(4, D, seed=2),
    "inputs": Covariance.of_inputs(normal(20, D, seed=3)),
    "fewer inputs than dimensions": Covariance.of_inputs(normal(4, D, seed=4)),
    "sparse inputs": Covariance.of_inputs(
        sparse.csr_matrix(np.where(normal(30, D, seed=5) > 0.5, 1.0, 0.0))
    ),
}
WEIGHTS = {"equal": None, "uneven": [0.5, 0.3, 0.15, 0.05], "unseen": [0.6, 0.0, 0.4, 0.0]}


def best_product(
    C: np.ndarray, k: int, S: np.ndarray, weights: list[float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """S^(-1/2) A_k for the weighted tasks, and the singular values, by the formula as it is written."""
    C = C if weights is None else C * np.sqrt(C.shape[1] * np.asarray(weights))
    values, vectors = np.linalg.eigh(S)
    root = (vectors * np.sqrt(np.where(values > 1e-10, values, 0))) @ vectors.T
    U, sigma, Vt = np.linalg.svd(root @ C, full_matrices=False)
    return np.linalg.pinv(root, rcond=1e-8) @ (U[:, :k] * sigma[:k]) @ Vt[:k], sigma


@seeded
@given(task_matrices_and_ranks(max_d=9))
def test_risk_is_the_energy_of_the_discarded_singular_values(drawn) -> None:
    """Statements 1 and 3."""
    C, k = drawn
    optimum = optimal_representation(C, k)
    sigma = np.linalg.svd(C / unit_scale(C), compute_uv=False)
    tolerance = rounding(C) * sigma[0]
    discarded = float(np.linalg.norm(sigma[k:]))
    assert root_energy(optimum.risk, C) == pytest.approx(discarded, rel=0, abs=tolerance)
    own = risk(optimum.W, optimum.heads, C)
    assert root_energy(own, C) == pytest.approx(discarded, rel=0, abs=tolerance)
    values = optimum.singular_values / unit_scale(C)
    assert values == pytest.approx(sigma[:k], rel=0, abs=tolerance)
    assert gram(optimum.W) == pytest.approx(np.eye(k), rel=0, abs=rounding(C))
    # Twice the relative rounding of a singular value: the slope squares them.
    assert optimum.slope == pytest.approx(slope(C, k), rel=2 * rounding(C), abs=0)


@seeded
@given(task_matrices_and_ranks(unit=True))
def test_slope_of_unit_tasks_lies_between_k_over_r_and_one(drawn) -> None:
    """Statement 4."""
    C, k = drawn
    rank = np.linalg.matrix_rank(C)
    optimal_slope = optimal_representation(C, k).slope
    assert min(k / rank, 1) - rounding(C) <= optimal_slope <= 1 + rounding(C)


@seeded
@given(task_matrices_and_ranks(), st.integers(0, 2**32 - 1))
def test_nothing_found_by_search_is_better(drawn, seed: int) -> None:
    C, k = drawn
    d, T = C.shape
    rng = np.random.default_rng(seed)
    optimum = optimal_representation(C, k)
    least = root_energy(optimum.risk, C) - rounding(C) * np.sqrt(min(d, T)) * np.sqrt(d)
    scale = unit_scale(C)
    for _ in range(3):
        W, heads = rng.standard_normal((k, d)), scale * rng.standard_normal((k, T))
        assert root_energy(risk(W, heads, C), C) >= least
        for _ in range(5):  # alternating least squares
            heads = np.linalg.lstsq(W.T, C)[0]
            W = np.linalg.lstsq(heads.T / scale, C.T / scale)[0]
            assert root_energy(risk(W, heads, C), C) >= least
        near = optimum.W + 1e-3 * rng.standard_normal((k, d))
        assert root_energy(risk(near, np.linalg.lstsq(near.T, C)[0], C), C) >= least


@pytest.mark.parametrize("weighting", WEIGHTS)
@pytest.mark.parametrize("kind", COVARIANCES)
@pytest.mark.parametrize("k", [1, 2, 4])
def test_optimum_under_a_covariance_is_the_written_formula(
    kind: str, weighting: str, k: int
) -> None:
    C, covariance, weights = normal(D, 4, seed=9), COVARIANCES[kind], WEIGHTS[weighting]
    S = matrix(as_covariance(covariance, D))
    best, sigma = best_product(C, k, S, weights)
    optimum = optimal_representation(C, k, covariance=covariance, task_weights=weights)
    # Backward error times the condition of S^(1/2) (< 32) and the inverse relative gap of sigma_k (< 100).
    tolerance = 32 * 100 * rounding(C)
    weighted = optimum.weigh(optimum.heads)
    assert product(optimum.W, weighted) == pytest.approx(best, rel=0, abs=tolerance)
    assert gram(optimum.W) == pytest.approx(np.eye(k), rel=0, abs=rounding(C))
    assert optimum.singular_values == pytest.approx(sigma[:k], rel=0, abs=rounding(C) * sigma[0])
    discarded = float(np.linalg.norm(sigma[k:]))
    assert np.sqrt(4 * optimum.risk) == pytest.approx(discarded, abs=rounding(C) * sigma[0])
    # Rows of W are the left singular vectors of the product: the heads are orthogonal, longest first.
    overlap = gram(weighted)
    assert overlap == pytest.approx(np.diag(np.diag(overlap)), rel=0, abs=tolerance)
    assert (np.diff(np.diag(overlap)) <= tolerance).all()
    # Zero up to rounding elsewhere: the largest entry of each row is positive.
    assert (optimum.W.max(axis=1) == np.abs(optimum.W).max(axis=1)).all()


@pytest.mark.parametrize(
    "kind", ["singular diagonal", "singular dense", "fewer inputs than dimensions"]
)
def test_where_the_inputs_leave_a_choice_the_product_is_of_least_norm(kind: str) -> None:
    C, S = normal(D, 4, seed=9), as_covariance(COVARIANCES[kind], D)
    optimum = optimal_representation(C, 3, covariance=S)
    least = product(optimum.W, optimum.heads)
    assert S.project(least) == pytest.approx(least, rel=0, abs=rounding(C) * np.linalg.norm(C))
    null = normal(D, 4, seed=3) - S.project(normal(D, 4, seed=3))
    other = optimal_representation(C + null, 3, covariance=S)
    # Inputs cannot tell C from C + null; the sum loses some eps of their norms, times condition and gap as above.
    assert other.risk == pytest.approx(optimum.risk, rel=3200 * rounding(C))
    assert product(other.W, other.heads) == pytest.approx(least, rel=0, abs=32 * 100 * rounding(C))


def test_more_neurons_than_directions_of_input() -> None:
    C, S = normal(D, 5), Covariance.of_inputs(normal(2, D, seed=1))
    optimum = optimal_representation(C, 4, covariance=S)
    sigma = np.linalg.svd(S.factor(C), compute_uv=False)
    tolerance = rounding(C) * sigma[0]
    assert optimum.singular_values == pytest.approx([*sigma, 0, 0], rel=0, abs=tolerance)
    assert np.sqrt(optimum.risk) <= tolerance
    assert gram(optimum.W) == pytest.approx(np.eye(4), rel=0, abs=rounding(C))
    # The projection onto the range of S, whose factor has a condition below 4.
    assert product(optimum.W, optimum.heads) == pytest.approx(
        S.project(C), rel=0, abs=4 * tolerance
    )


@pytest.mark.parametrize("S", [np.zeros(D), np.zeros((D, D))], ids=["diagonal", "dense"])
@pytest.mark.parametrize("weights", [None, [0.5, 0.5, 0, 0]])
def test_inputs_that_are_always_zero(S: np.ndarray, weights: list[float] | None) -> None:
    optimum = optimal_representation(normal(D, 4), 3, covariance=S, task_weights=weights)
    assert optimum.risk == 0
    assert optimum.singular_values.tolist() == [0, 0, 0]
    assert not optimum.heads.any()
    assert gram(optimum.W) == pytest.approx(np.eye(3), abs=rounding(optimum.W))


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("kind", COVARIANCES)
def test_weights_are_repeated_tasks(kind: str, balanced: bool) -> None:
    """Shares 3/6, 2/6, 1/6, 0 of the data are those tasks three times, twice, once and never."""
    C, S = normal(D, 4, seed=6), COVARIANCES[kind]
    copies = [3, 2, 1, 0]
    weights = np.array(copies) / 6
    repeated = np.repeat(C, copies, axis=1)
    optimum = optimal_representation(C, 2, covariance=S, task_weights=weights, balanced=balanced)
    plain = optimal_representation(repeated, 2, covariance=S, balanced=balanced)
    tolerance = 32 * 100 * rounding(repeated)  # condition of S^(1/2) and inverse relative gap
    assert optimum.risk == pytest.approx(plain.risk, rel=tolerance)
    if not balanced:  # the balanced form divides a larger W between unequal layers
        assert optimum.slope == pytest.approx(plain.slope, rel=tolerance)
    predicted = np.repeat(optimum.W.T @ optimum.heads, copies, axis=1)
    assert predicted == pytest.approx(plain.W.T @ plain.heads, rel=0, abs=tolerance)
    # A task without data still gets the head that reads it best off W x.
    unseen = optimum.heads[:, 3]
    matrix_S = matrix(as_covariance(S, D))
    normal_equations = optimum.W @ matrix_S @ (optimum.W.T @ unseen - C[:, 3])
    assert normal_equations == pytest.approx(0, rel=0, abs=tolerance * np.linalg.norm(matrix_S))


def test_weighted_risk_and_slope_are_means_under_the_weights() -> None:
    C, weights = normal(5, 3), np.array([0.7, 0.2, 0.1])
    optimum = optimal_representation(C, 2, task_weights=weights)
    errors = ((C - optimum.W.T @ optimum.heads) ** 2).sum(axis=0)
    assert optimum.risk == pytest.approx(weights @ errors, rel=rounding(C))
    assert optimum.slope == pytest.approx(weights @ (optimum.heads**2).sum(axis=0), rel=rounding(C))
    plain, equal = (optimal_representation(C, 2, task_weights=w) for w in (None, [1 / 3] * 3))
    # sqrt(3 (1/3)) is 1 up to one rounding; the relative gap of sigma_2 is above 1/100.
    assert np.abs(equal.W - plain.W).max() <= 100 * rounding(C)


@seeded
@given(task_matrices_and_ranks(), st.sampled_from([0.0, 1e-3, 0.3, 0.9, 1.1]))
def test_balanced_form(drawn, share: float) -> None:
    """Statement 26, with a ridge that is a share of sigma_1."""
    C, k = drawn
    T = C.shape[1]
    sigma = singular_values(C)
    ridge = share * float(sigma[0])
    optimum = optimal_representation(C, k, ridge=ridge, balanced=True)
    tolerance = rounding(C) * sigma[0]
    shrunk = np.maximum(sigma - ridge, 0)[:k]
    layers = gram(optimum.W)
    assert layers == pytest.approx(gram(optimum.heads), rel=0, abs=tolerance)
    assert layers == pytest.approx(np.diag(shrunk), rel=0, abs=tolerance)
    kept = np.linalg.svd((optimum.W.T @ optimum.heads) / unit_scale(C), compute_uv=False)[:k]
    assert kept == pytest.approx(shrunk / unit_scale(C), rel=0, abs=tolerance / unit_scale(C))
    beta = balanced_slope(C, k, ridge)
    assert optimum.slope == pytest.approx(beta, rel=0, abs=k * tolerance / T)
    own = root_energy(risk(optimum.W, optimum.heads, C), C)
    assert root_energy(optimum.risk, C) == pytest.approx(own, rel=0, abs=rounding(C) * max(C.shape))
    if share > 1:
        assert not optimum.W.any()
        assert not optimum.heads.any()


@pytest.mark.parametrize("kind", ["gaussian", "orthonormal", "duplicated", "power-law"])
@pytest.mark.parametrize("ridge", [0.05, 0.4, 2.0])
def test_no_change_lowers_the_ridge_objective(kind: str, ridge: float) -> None:
    C, k = sample(kind, 6, 4, 0), 3
    rng = np.random.default_rng(1)

    def objective(W: np.ndarray, heads: np.ndarray) -> float:
        fit = ((C - W.T @ heads) ** 2).sum() / 2
        return float(fit + ridge / 2 * ((W**2).sum() + (heads**2).sum()))

    optimum = optimal_representation(C, k, ridge=ridge)
    least = objective(optimum.W, optimum.heads)
    for size in (1e-3, 1e-1, 1.0, 10.0):
        for _ in range(50):
            W = optimum.W + size * rng.standard_normal(optimum.W.shape)
            heads = optimum.heads + size * rng.standard_normal(optimum.heads.shape)
            # The objective sums some 50 squares; the second-order rise at 1e-3 is 1e-6.
            assert objective(W, heads) >= least * (1 - 64 * EPS)
    for _ in range(20):  # alternating ridge regressions from anywhere
        W = rng.standard_normal(optimum.W.shape)
        for _ in range(20):
            heads = np.linalg.solve(W @ W.T + ridge * np.eye(k), W @ C)
            W = np.linalg.solve(heads @ heads.T + ridge * np.eye(k), heads @ C.T)
        assert objective(W, heads) >= least * (1 - 64 * EPS)


def test_a_ridge_beyond_any_scale_leaves_zeros() -> None:
    optimum = optimal_representation(1e-150 * normal(4, 3), 2, ridge=1e200)
    assert not optimum.W.any()
    assert not optimum.heads.any()
    assert optimum.slope == 0


CORNERS = {
    "one dimension": (np.array([[3.0, -4.0]]), 1),
    "one task": (np.array([[3.0], [-4.0]]), 1),
    "one number": (np.array([[-5.0]]), 1),
    "zero": (np.zeros((4, 3)), 2),
    "tall zero": (np.zeros((9, 3)), 3),
    "rank one": (np.outer([1.0, 2, 3, 4, 5, 6, 7, 8, 9], [1.0, -2, 3]), 3),
    "repeated singular values": (np.vstack([np.eye(3), np.zeros((6, 3))]), 2),
    "wide": (normal(2, 9), 2),
    "square": (normal(5, 5), 5),
    "integers": (np.arange(12).reshape(4, 3), 3),
}


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("corner", CORNERS)
def test_corners(corner: str, balanced: bool) -> None:
    C, k = CORNERS[corner]
    sigma = np.linalg.svd(C, compute_uv=False)
    optimum = optimal_representation(C, k, balanced=balanced)
    assert isinstance(optimum, OptimalRepresentation)
    assert optimum.W.shape == (k, len(C))
    assert optimum.heads.shape == (k, C.shape[1])
    tolerance = rounding(C) * sigma[0]
    assert optimum.singular_values == pytest.approx(sigma[:k], rel=0, abs=tolerance)
    residual = np.linalg.norm(C - optimum.W.T @ optimum.heads)
    assert residual == pytest.approx(np.linalg.norm(sigma[k:]), abs=tolerance)
    assert np.sqrt(optimum.risk * C.shape[1]) == pytest.approx(residual, abs=tolerance)
    if not balanced:
        assert gram(optimum.W) == pytest.approx(np.eye(k), abs=rounding(C))


@pytest.mark.parametrize("shape", [(5, 4), (30, 4), (3, 8)])
@pytest.mark.parametrize("weights", [None, "uneven"])
def test_scaling_by_a_power_of_two_is_exact(shape: tuple[int, int], weights: str | None) -> None:
    C = normal(*shape)
    shares = (
        None if weights is None else np.arange(1.0, shape[1] + 1) / np.arange(shape[1] + 1).sum()
    )
    plain = optimal_representation(C, 2, task_weights=shares)
    for exponent in (-498, -7, 3, 498):  # 2^498 is about 1e150
        factor = 2.0**exponent
        scaled = optimal_representation(factor * C, 2, task_weights=shares)
        assert scaled.W.tolist() == plain.W.tolist()
        assert scaled.heads.tolist() == (factor * plain.heads).tolist()
        assert scaled.singular_values.tolist() == (factor * plain.singular_values).tolist()
        assert scaled.risk == factor * (factor * plain.risk)


@pytest.mark.parametrize("shape", [(3, 2), (40, 2)])
@pytest.mark.parametrize("sizes", [(1e150, 1e-150), (1e-150, 1e150), (1e150, 1.0), (1e-150, 1.0)])
def test_tasks_of_very_different_sizes(shape: tuple[int, int], sizes: tuple[float, float]) -> None:
    C = normal(*shape) * sizes
    big, small = np.argsort(sizes)[::-1]
    optimum = optimal_representation(C, 1)
    length = np.linalg.norm(C[:, big])
    assert optimum.singular_values[0] == pytest.approx(length, rel=rounding(C))
    direction = C[:, big] / length
    assert abs(optimum.W[0] @ direction) == pytest.approx(1, rel=rounding(C))
    every = optimal_representation(C, 2)
    assert every.risk == 0
    exact = product(every.W, every.heads)
    # Backward error of the whole matrix for the big task, and nothing but it for the small one.
    assert exact / length == pytest.approx(C / length, rel=0, abs=rounding(C))
    # The small task alone has data: its digits are its own, and the big one is read off W x.
    alone = optimal_representation(C, 1, task_weights=np.eye(2)[small])
    size = np.linalg.norm(C[:, small])
    assert alone.singular_values[0] / size == pytest.approx(np.sqrt(2), rel=rounding(C))
    assert np.sqrt(alone.risk) / size == pytest.approx(0, abs=rounding(C))
    readout = alone.W[0] @ (C[:, big] / length)
    assert alone.heads[0, big] / length == pytest.approx(readout, rel=0, abs=rounding(C))


def test_a_small_task_keeps_its_risk_beside_a_big_one_without_data() -> None:
    C = normal(4, 3) * [1e150, 1e-20, 1e-20]
    optimum = optimal_representation(C, 1, task_weights=[0, 0.5, 0.5])
    alone = optimal_representation(C[:, 1:], 1)
    assert optimum.risk == pytest.approx(alone.risk, rel=rounding(C))
    assert optimum.risk > 0


def test_equal_arguments_give_equal_bits() -> None:
    for shape in ((6, 4), (50, 4), (3, 9)):
        C = normal(*shape)
        first, second = (optimal_representation(C.copy(), 3) for _ in range(2))
        for name in ("W", "heads", "singular_values"):
            assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
        assert first.risk == second.risk


def with_spectrum(d: int, sigma: np.ndarray, seed: int = 0) -> np.ndarray:
    """U diag(sigma) V^T, off by the rounding of its entries: eps of sigma_1."""
    T = len(sigma)
    U = np.linalg.qr(normal(d, T, seed=seed))[0]
    V = np.linalg.qr(normal(T, T, seed=seed + 1))[0]
    return (U * sigma) @ V.T


@pytest.mark.parametrize("d", [13, 60, 200])
@pytest.mark.parametrize("kind", ["gaussian", "power-law", "equicorrelated"])
def test_small_gram_side_agrees_with_a_full_svd(d: int, kind: str) -> None:
    C, k = sample(kind, d, 6, 3), 3
    U, sigma, Vt = np.linalg.svd(C, full_matrices=False)
    optimum = optimal_representation(C, k)
    assert optimum.singular_values == pytest.approx(sigma[:k], rel=0, abs=rounding(C) * sigma[0])
    assert np.sqrt(6 * optimum.risk) == pytest.approx(
        np.linalg.norm(sigma[k:]), rel=rounding(C) * 32
    )
    if sigma[k - 1] - sigma[k] > 0.01 * sigma[0]:
        # V_k is off by eps of the squared values over their gap, here below 1/(2 0.01 0.1).
        tolerance = 500 * rounding(C)
        assert product(optimum.W, optimum.W) == pytest.approx(
            U[:, :k] @ U[:, :k].T, rel=0, abs=tolerance
        )
        best = (U[:, :k] * sigma[:k]) @ Vt[:k]
        assert product(optimum.W, optimum.heads) == pytest.approx(
            best, rel=0, abs=tolerance * sigma[0]
        )


@pytest.mark.parametrize("condition", [10.0, 1e3, 1e5, 1e7, 1e9, 1e12])
@pytest.mark.parametrize("k", [2, 4, 6])
def test_small_gram_side_keeps_the_digits_of_an_svd(condition: float, k: int) -> None:
    """Read off C^T C, values below 1e-8 sigma_1 would be rounding of its greatest eigenvalue."""
    sigma = np.geomspace(1, 1 / condition, 4)
    sigma = np.concatenate([sigma, sigma[-1] * np.array([0.1, 0.01])])
    C = with_spectrum(200, sigma)
    optimum = optimal_representation(C, k)
    # The construction and an SVD are each off by some eps of sigma_1 = 1, not of the value itself.
    tolerance = 64 * EPS
    assert optimum.singular_values == pytest.approx(sigma[:k], rel=0, abs=tolerance)
    assert np.sqrt(6 * optimum.risk) == pytest.approx(np.linalg.norm(sigma[k:]), abs=tolerance)
    residual = np.linalg.norm(C - optimum.W.T @ optimum.heads)
    assert residual == pytest.approx(np.linalg.norm(sigma[k:]), rel=0, abs=tolerance)


@pytest.mark.parametrize("condition", [1.0, 20.0, 1e5])
def test_risk_of_almost_low_rank_tasks_keeps_its_digits(condition: float) -> None:
    """|C|^2 less the kept energy would leave no digit of a risk of 1e-18."""
    sigma = np.concatenate([np.geomspace(1, 1 / condition, 3), np.full(5, 1e-9)])
    C = with_spectrum(300, sigma)
    # 1e-9 is known to eps / 1e-9 = 2e-7 in each direction.
    assert optimal_representation(C, 3).risk == pytest.approx(5e-18 / 8, rel=1e-6)


def test_more_dimensions_than_rank_among_many_inputs() -> None:
    C = np.outer(normal(100_000), normal(20, seed=1)) + np.outer(
        normal(100_000, seed=2), np.ones(20)
    )
    optimum = optimal_representation(C, 6)
    assert gram(optimum.W) == pytest.approx(np.eye(6), rel=0, abs=64 * EPS * 20)
    # A sum of 1e5 products rounds like a random walk; LAPACK's error grows with the small side.
    tolerance = 64 * EPS * 20 * optimum.singular_values[0]
    assert optimum.singular_values[2:] == pytest.approx(0, rel=0, abs=tolerance)
    assert np.sqrt(20 * optimum.risk) <= tolerance
    assert np.linalg.norm(C - optimum.W.T @ optimum.heads) <= tolerance


def test_only_well_conditioned_tasks_go_through_the_gram_matrix(monkeypatch) -> None:
    calls = []
    eigh = np.linalg.eigh
    monkeypatch.setattr(module.np.linalg, "svd", lambda *a, **b: calls.append("svd") or 1 / 0)
    monkeypatch.setattr(module.np.linalg, "eigh", lambda G: calls.append(G.shape) or eigh(G))
    V = module._leading_right_vectors(with_spectrum(40, np.array([3.0, 2.0, 1.0])), 2)
    assert calls == [(3, 3)]
    assert gram(V.T) == pytest.approx(np.eye(2), abs=64 * EPS)
    with pytest.raises(ZeroDivisionError):
        module._leading_right_vectors(with_spectrum(40, np.array([3.0, 0.05, 0.001])), 2)


def refused(match: str, **arguments) -> None:
    arguments = {"C": normal(4, 3), "k": 2, **arguments}
    with pytest.raises(ValueError, match=match) as refusal:
        optimal_representation(arguments.pop("C"), arguments.pop("k"), **arguments)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("k", [0, -1, 4, 1.5, "2", True, None])
def test_bad_dimensions_are_refused(k) -> None:
    refused("pass an integer from 1 to 3", k=k)


@pytest.mark.parametrize(
    ("C", "remedy"),
    [
        (np.array([[1.0, np.nan]]), "drop that task or repair"),
        (np.array([[1.0, np.inf]]), "drop that task or repair"),
        (np.ones((2, 2)) * 1j, "pass floats"),
        ([["a"]], "pass floats"),
        (np.ones(3), "one column per task"),
        (np.ones((3, 0)), "at least one task"),
        (np.ones((0, 3)), "at least one task"),
    ],
)
def test_bad_tasks_are_refused(C, remedy: str) -> None:
    refused(remedy, C=C, k=1)


@pytest.mark.parametrize(
    ("weights", "remedy"),
    [
        ([0.5, 0.5], "one weight a task"),
        ([[1.0, 0.0, 0.0]], "one weight a task"),
        ([0.5, 0.5, 0.5], "divided by their sum"),
        ([1.5, -0.5, 0.0], "weights >= 0"),
        ([np.nan, 0.5, 0.5], "weights >= 0"),
        ([np.inf, 0.0, 0.0], "divided by their sum"),
    ],
)
def test_bad_weights_are_refused(weights, remedy: str) -> None:
    refused(remedy, task_weights=weights)


@pytest.mark.parametrize("ridge", [-1e-3, np.nan, np.inf])
def test_bad_ridges_are_refused(ridge: float) -> None:
    refused("not a finite number >= 0", ridge=ridge)


def test_a_ridge_without_a_closed_form_is_refused() -> None:
    refused("use ridge=0", ridge=0.1, covariance=[1.0, 2.0, 3.0, 4.0])
    refused("use ridge=0", ridge=0.1, task_weights=[0.5, 0.25, 0.25])


def test_bad_covariances_are_refused() -> None:
    refused(r"pass \(4,\) or \(4, 4\)", covariance=np.eye(3))
    refused("use one input space", covariance=Covariance.of_inputs(normal(5, 3)))


def test_parts_that_do_not_fit_are_refused() -> None:
    fitting = {"W": np.ones((2, 4)), "heads": np.ones((2, 3)), "C": np.ones((4, 3))}
    risk(**fitting)
    for name, shape in (("W", (2, 3)), ("W", (1, 4)), ("heads", (2, 4)), ("heads", (3, 3))):
        with pytest.raises(ValueError, match=r"W is \(k, d\)") as refusal:
            risk(**fitting | {name: np.ones(shape)})
        assert "\n" not in str(refusal.value)


def test_risk_and_slope_of_any_representation() -> None:
    W, heads, C = normal(2, 4), normal(2, 3, seed=1), normal(4, 3, seed=2)
    S = np.cov(normal(9, 4, seed=3).T)
    error = C - W.T @ heads
    assert risk(W, heads, C, S) == pytest.approx(np.trace(error.T @ S @ error) / 3, rel=64 * EPS)
    assert risk(W, heads, C) == pytest.approx((error**2).sum() / 3, rel=64 * EPS)
    assert Representation(W, heads).slope == pytest.approx((heads**2).sum() / 3, rel=64 * EPS)
    assert risk(W, 1e150 * heads, 1e150 * C) == pytest.approx(
        1e150 * (1e150 * risk(W, heads, C)), rel=64 * EPS
    )


@pytest.mark.parametrize("kind", ["gaussian", "orthonormal", "clustered"])
@pytest.mark.parametrize("k", [1, 5, 128, 129])
def test_few_of_many_directions_are_as_exact_as_all(kind: str, k: int) -> None:
    """Where only k eigenvectors of the Gram matrix are computed, equal singular values among them or not."""
    d, T = 600, 2 * SUBSET
    C = sample(kind, d, T, seed=0)
    values = np.linalg.svd(C, compute_uv=False)
    optimum = optimal_representation(C, k)
    tolerance = 64 * EPS * d
    np.testing.assert_allclose(optimum.singular_values, values[:k], atol=tolerance * values[0])
    np.testing.assert_allclose(optimum.W @ optimum.W.T, np.eye(k), atol=tolerance)
    energy = (values**2).sum()
    np.testing.assert_allclose(T * optimum.risk, (values[k:] ** 2).sum(), atol=tolerance * energy)
