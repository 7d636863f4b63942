"""Each failure against sampling, enumeration and search, for any representation and any inputs."""

from itertools import product

import jax
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sim.failures.named import MAKE, register
from tests.strategies import seeded, task_matrices_and_ranks
from theory.covariance import Covariance, as_covariance
from theory.geometry import sample
from theory.perturbation import (
    AdditiveNoise,
    Adversarial,
    Deterministic,
    LargestDeletion,
    MagnitudePruning,
    MultiplicativeNoise,
    NeuronDeletion,
    NoClosedForm,
    Quantisation,
    WeightDeletion,
)
from theory.representation import Representation, optimal_representation, risk
from theory.spectra import slope

EPS = float(np.finfo(float).eps)
K, D, T = 2, 4, 3
ROUNDING = ("quantisation", "quantisation-per-channel")
STRENGTHS = dict.fromkeys(MAKE, 0.3) | dict.fromkeys(ROUNDING, 3.0) | {"additive-noise": 1.7}
HARMLESS = dict.fromkeys(MAKE, 0.0) | dict.fromkeys(ROUNDING, np.inf)
CERTAIN = (*ROUNDING, "magnitude-pruning", "largest-deletion")
RANDOM = [name for name in MAKE if name not in CERTAIN]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


COVARIANCES = {
    "identity": None,
    "diagonal": np.array([2.0, 0.0, 0.5, 1.0]),
    "dense": np.cov(normal(12, D, seed=1).T),
    "singular": Covariance.of_inputs(normal(2, D, seed=2)),
}
WEIGHTS = {"equal": None, "uneven": np.array([0.6, 0.0, 0.4])}


def matrix(covariance, d: int = D) -> np.ndarray:
    return as_covariance(covariance, d).apply(np.eye(d))


def model(weights: np.ndarray | None = None, k: int = K, d: int = D, seed: int = 3):
    """A representation far from any optimum, and its tasks."""
    rng = np.random.default_rng(seed)
    W, heads = rng.standard_normal((k, d)), rng.standard_normal((k, T))
    return Representation(W, heads, weights), rng.standard_normal((d, T))


def risks(W: np.ndarray, rep: Representation, C: np.ndarray, covariance=None) -> np.ndarray:
    """R (n,) of weights W (n, k, d), written out task by task."""
    errors = C - np.swapaxes(W, -1, -2) @ rep.heads
    tasks = C.shape[1]
    weights = np.full(tasks, 1 / tasks) if rep.task_weights is None else rep.task_weights
    return np.einsum("nit,ij,njt,t->n", errors, matrix(covariance, len(C)), errors, weights)


def amount(answer: float | NoClosedForm) -> float:
    assert isinstance(answer, float)
    return answer


# The effect of a draw


@pytest.mark.parametrize("name", MAKE)
def test_strength_zero_is_the_identity(name: str) -> None:
    W = normal(5, K, D)
    failed = MAKE[name](HARMLESS[name]).sample(W, np.random.default_rng(0))
    assert failed.tobytes() == W.tobytes()


@pytest.mark.parametrize("name", MAKE)
def test_a_sample_is_the_effect_of_a_draw_and_repeats_its_bits(name: str) -> None:
    W, failure = normal(5, K, D), MAKE[name](STRENGTHS[name])
    first, second = (failure.sample(W, np.random.default_rng(8)) for _ in range(2))
    applied = failure.apply(W, failure.draw(W.shape, np.random.default_rng(8)))
    assert first.tobytes() == second.tobytes() == applied.tobytes()
    assert first.shape == W.shape
    assert first.tobytes() != W.tobytes()
    if name in RANDOM:
        assert failure.sample(W, np.random.default_rng(9)).tobytes() != first.tobytes()


@pytest.mark.parametrize("name", MAKE)
def test_a_batch_is_failed_one_by_one(name: str) -> None:
    W, failure = normal(2, 3, K, D), MAKE[name](STRENGTHS[name])
    draw = failure.draw(W.shape, np.random.default_rng(8))
    together = failure.apply(W, draw)
    for index in np.ndindex(2, 3):
        alone = failure.apply(W[index], None if draw is None else draw[index])
        # An SVD or a sum of k d squares may run in another order.
        assert together[index] == pytest.approx(alone, rel=0, abs=64 * EPS * K * D)


@pytest.mark.parametrize("name", MAKE)
def test_traced_arrays_get_the_same_effect(name: str) -> None:
    register()
    top = STRENGTHS[name]
    strengths = np.array([HARMLESS[name], top, 4.0 if name in ROUNDING else top / 2])
    W = normal(K, D)
    draw = MAKE[name](top).draw(W.shape, np.random.default_rng(8))
    traced = 0

    @jax.jit
    def effects(strengths, W, draw):
        nonlocal traced
        traced += 1
        return jax.vmap(lambda strength: MAKE[name](strength).apply(W, draw))(strengths)

    with jax.enable_x64(True):
        failed = np.asarray(effects(strengths, W, draw))
        again = np.asarray(effects(strengths[::-1].copy(), W, draw))
    assert traced == 1
    assert failed.dtype == np.float64
    expected = np.stack([MAKE[name](float(s)).apply(W, draw) for s in strengths])
    # XLA fuses multiply and add; the SVDs and norms of the adversaries round in another order.
    assert failed == pytest.approx(expected, rel=0, abs=64 * EPS * K * D)
    assert again[::-1] == pytest.approx(failed, rel=0, abs=64 * EPS * K * D)
    assert failed[0] == pytest.approx(W, rel=0, abs=0)


@pytest.mark.parametrize("name", MAKE)
def test_a_failure_goes_through_jit_as_an_argument(name: str) -> None:
    register()
    W, failure = normal(K, D), MAKE[name](STRENGTHS[name])
    draw = failure.draw(W.shape, np.random.default_rng(8))
    with jax.enable_x64(True):
        failed = jax.jit(lambda failure, W, draw: failure.apply(W, draw))(failure, W, draw)
    assert np.asarray(failed) == pytest.approx(failure.apply(W, draw), rel=0, abs=64 * EPS * K * D)


# Expected risk


@pytest.mark.parametrize("weighting", WEIGHTS)
@pytest.mark.parametrize("kind", COVARIANCES)
@pytest.mark.parametrize("name", RANDOM)
def test_expected_risk_is_the_mean_over_draws(name: str, kind: str, weighting: str) -> None:
    rep, C = model(WEIGHTS[weighting])
    covariance, failure = COVARIANCES[kind], MAKE[name](STRENGTHS[name])
    W = np.broadcast_to(rep.W, (20_000, K, D))
    sampled = risks(failure.sample(W, np.random.default_rng(11)), rep, C, covariance)
    standard_error = sampled.std(ddof=1) / np.sqrt(len(sampled))
    exact = amount(failure.expected_risk(rep, C, covariance))
    # One in 1.7 million for a normal mean; the draws are the same on every run.
    assert abs(sampled.mean() - exact) <= 5 * standard_error
    # The failure must show: the clean risk itself is not within the error.
    assert abs(sampled.mean() - risks(rep.W[None], rep, C, covariance)[0]) > 5 * standard_error


@pytest.mark.parametrize(("k", "d"), [(3, 2), (2, 2), (1, 1), (3, 1)])
@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
def test_blind_adversary_with_any_shape(norm: str, k: int, d: int) -> None:
    rep, C = model(k=k, d=d)
    covariance, failure = np.arange(1.0, d + 1), Adversarial(norm, 0.8)
    W = np.broadcast_to(rep.W, (20_000, k, d))
    failed = failure.sample(W, np.random.default_rng(12))
    order = "fro" if norm == "frobenius" else 2
    sizes = np.linalg.norm(failed - W, ord=order, axis=(1, 2))
    assert sizes == pytest.approx(0.8, rel=64 * EPS * k * d)  # an SVD of a k x d matrix
    sampled = risks(failed, rep, C, covariance)
    standard_error = sampled.std(ddof=1) / np.sqrt(len(sampled))
    exact = amount(failure.expected_risk(rep, C, covariance))
    # With one number there are two draws, and their mean still has a standard error.
    assert abs(sampled.mean() - exact) <= 5 * standard_error


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", COVARIANCES)
@pytest.mark.parametrize("failure", [WeightDeletion, NeuronDeletion])
def test_deletion_enumerated(failure, kind: str, p: float, rescale: bool) -> None:
    """Statement 16 for any weights: the sum over every pattern of loss, each with its probability."""
    rep, C = model(WEIGHTS["uneven"])
    covariance = COVARIANCES[kind]
    size = K * D if failure is WeightDeletion else K
    kept = np.array(list(product([False, True], repeat=size)))
    chance = np.where(kept, 1 - p, p).prod(axis=1)
    draw = np.where(kept, p, 0.0).reshape(-1, K, size // K)  # uniform draws on either side of p
    losing = failure(p, rescale)
    failed = np.stack([losing.apply(rep.W, each) for each in draw]) if p else rep.W[None]
    by_pattern = risks(failed, rep, C, covariance)
    mean = float(chance @ by_pattern) if p else float(by_pattern[0])
    exact = amount(losing.expected_risk(rep, C, covariance))
    # A sum of 2^8 risks of some k d T products each.
    assert mean == pytest.approx(exact, rel=256 * EPS)


@pytest.mark.parametrize("failure", [WeightDeletion, NeuronDeletion])
def test_losing_everything_leaves_the_zero_predictor(failure) -> None:
    rep, C = model()
    assert not failure(1.0).sample(rep.W, np.random.default_rng(0)).any()
    assert failure(1.0).expected_risk(rep, C) == pytest.approx((C**2).sum() / T, rel=64 * EPS)


def test_neuron_deletion_loses_whole_rows() -> None:
    W = normal(1000, K, D)
    failed = NeuronDeletion(0.5, rescale=True).sample(W, np.random.default_rng(0))
    alive = failed.any(axis=-1)
    assert (failed == np.where(alive[..., None], 2 * W, 0)).all()
    # 2000 fair coins: 5 standard deviations are 112.
    assert abs(alive.sum() - 1000) <= 112


# At the orthonormal optimum of unit tasks


optima = task_matrices_and_ranks(unit=True)


def rounding(C: np.ndarray) -> float:
    """Relative rounding of a risk of unit tasks, which is some sum of squared singular values."""
    return 256 * EPS * max(C.shape)


@seeded
@given(optima, st.floats(0, 3))
def test_additive_noise_is_the_slope(drawn, sigma: float) -> None:
    """Statements 2, 3 and 19."""
    C, k = drawn
    d, rho = len(C), slope(*drawn)
    noisy_risk = AdditiveNoise(sigma).expected_risk(optimal_representation(C, k), C)
    claimed = 1 + rho * (d * sigma**2 - 1)
    assert noisy_risk == pytest.approx(claimed, rel=0, abs=rounding(C) * (1 + d * sigma**2))
    crossing = AdditiveNoise(d**-0.5).expected_risk(optimal_representation(C, k), C)
    assert crossing == pytest.approx(1, rel=0, abs=2 * rounding(C))


@seeded
@given(optima, st.floats(0, 3))
def test_heads_refitted_for_the_noise(drawn, sigma: float) -> None:
    """Statement 20."""
    C, k = drawn
    best = optimal_representation(C, k)
    refitted = Representation(best.W, best.heads / (1 + len(C) * sigma**2))
    noisy_risk = AdditiveNoise(sigma).expected_risk(refitted, C)
    claimed = 1 - slope(C, k) / (1 + len(C) * sigma**2)
    assert noisy_risk == pytest.approx(claimed, rel=0, abs=2 * rounding(C))


@seeded
@given(optima, st.floats(0, 0.99))
def test_deletion_at_the_optimum(drawn, p: float) -> None:
    """Statements 16 and 17: no crossover in p, unless survivors are rescaled; then at p = 1/2."""
    C, k = drawn
    rep, rho = optimal_representation(C, k), slope(C, k)
    for failure in (WeightDeletion, NeuronDeletion):
        lost = failure(p).expected_risk(rep, C)
        assert lost == pytest.approx(1 - (1 - p) * rho, rel=0, abs=rounding(C))
        rescaled = failure(p, rescale=True).expected_risk(rep, C)
        claimed = 1 - rho + rho * p / (1 - p)
        assert rescaled == pytest.approx(claimed, rel=0, abs=rounding(C) / (1 - p))
        half = failure(0.5, rescale=True).expected_risk(rep, C)
        assert half == pytest.approx(1, rel=0, abs=2 * rounding(C))


@seeded
@given(optima, st.floats(0, 3))
def test_the_slope_of_multiplicative_and_adversarial_change(drawn, strength: float) -> None:
    """Statements 18, 21 and 22."""
    C, k = drawn
    rep, rho = optimal_representation(C, k), slope(C, k)
    abs_ = rounding(C) * (1 + strength) ** 2
    multiplicative = MultiplicativeNoise(strength).expected_risk(rep, C)
    assert multiplicative == pytest.approx(1 - rho + strength**2 * rho, rel=0, abs=abs_)
    spectral = Adversarial("spectral", strength).worst_risk(rep, C)
    assert spectral == pytest.approx(1 - rho + strength**2 * rho, rel=0, abs=abs_)
    frobenius = Adversarial("frobenius", strength).worst_risk(rep, C)
    top = float(rep.singular_values[0]) ** 2 / C.shape[1]
    assert frobenius == pytest.approx(1 - rho + strength**2 * top, rel=0, abs=abs_)


@seeded
@given(optima, st.integers(0, 36), st.integers(2, 9))
def test_bounds_of_pruning_and_quantisation(drawn, count: int, bits: int) -> None:
    """Statements 23 and 24."""
    C, k = drawn
    rep, tasks = optimal_representation(C, k), C.shape[1]
    size, top = rep.W.size, float(rep.singular_values[0]) ** 2 / tasks
    share = min(count, size) / size
    pruning = MagnitudePruning(share)
    claimed = rep.risk + share * k * top
    assert pruning.risk_bound(rep, C) == pytest.approx(claimed, rel=0, abs=k * rounding(C))
    assert amount(pruning.expected_risk(rep, C)) <= claimed + k * rounding(C)
    rounded = Quantisation(bits)
    step = np.abs(rep.W).max() / (2 ** (bits - 1) - 1)
    claimed = rep.risk + step**2 / 4 * size * top
    assert rounded.risk_bound(rep, C) == pytest.approx(claimed, rel=0, abs=size * rounding(C))
    assert amount(rounded.expected_risk(rep, C)) <= claimed + size * rounding(C)


# The worst change within a ball


def quadratic(
    rep: Representation, C: np.ndarray, covariance
) -> tuple[np.ndarray, np.ndarray, float]:
    """H, g, c with T R(W + N) = n^T H n + 2 g^T n + c for n = N flattened."""
    S, heads, tasks = matrix(covariance, len(C)), rep.weigh(rep.heads), rep.weigh(C)
    error = tasks - rep.W.T @ heads
    H = np.kron(heads @ heads.T, S)
    return H, -(heads @ error.T @ S).ravel(), float(np.einsum("it,ij,jt", error, S, error))


def trust_region(H: np.ndarray, g: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """The maximiser of n^T H n + 2 g^T n over |n| <= radius, and its multiplier, by bisection on the dense H."""
    values, vectors = np.linalg.eigh(H)
    pull = vectors.T @ g
    top = np.isclose(values, values[-1], rtol=1e-9, atol=0)
    pull[top & (np.abs(pull) < 1e-13 * np.abs(pull).max(initial=0))] = 0

    def at(multiplier: float) -> np.ndarray:
        gap = multiplier - values
        return np.divide(pull, gap, out=np.zeros_like(pull), where=pull != 0)

    if not pull[top].any():
        gap = np.where(top, 1.0, values[-1] - values)
        inside = np.where(top, 0.0, pull / gap)
        left = radius**2 - inside @ inside
        if left >= 0:  # the hard case: the rest of the radius goes along the top eigenvector
            inside[-1] = np.sqrt(left)
            return vectors @ inside, float(values[-1])
    low, high = values[-1], values[-1] + np.linalg.norm(pull) / radius + values[-1]
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if np.linalg.norm(at(middle)) > radius else (low, middle)
    n = at(high)
    return vectors @ (n * radius / np.linalg.norm(n)), float(high)


def assert_is_the_maximum(
    claimed: float, rep: Representation, C: np.ndarray, covariance, radius
) -> None:
    """The claim is attained, and a dual certificate says that nothing exceeds it."""
    H, g, clean = quadratic(rep, C, covariance)
    tasks = C.shape[1]
    n, multiplier = trust_region(H, g, radius)
    assert np.linalg.norm(n) <= radius * (1 + 64 * EPS)
    size = clean + np.linalg.norm(H) * radius**2 + 2 * np.linalg.norm(g) * radius
    # Roundings of a sum of (k d)^2 products, and the stationary error of the secular equation.
    tolerance = 64 * EPS * len(g) * size
    attained = risk(rep.W + n.reshape(rep.W.shape), rep.weigh(rep.heads), rep.weigh(C), covariance)
    assert claimed * tasks == pytest.approx(attained * tasks, rel=0, abs=tolerance)
    # S-lemma: T R(W + N) <= t in the ball iff [[u I - H, -g], [-g, t - c - u r^2]] is semidefinite for some u >= 0.
    # With n in units of the radius the parts are comparable.
    corner = claimed * tasks - clean - multiplier * radius**2
    dual = np.block(
        [
            [(multiplier * np.eye(len(g)) - H) * radius**2, -g[:, None] * radius],
            [-g[None] * radius, np.array([[corner]])],
        ]
    )
    # A vector (n, 1) of length at most sqrt(2) meets the rounding of each part.
    assert np.linalg.eigvalsh(dual)[0] >= -4 * tolerance


def hard_case(near: float) -> tuple[Representation, np.ndarray]:
    """S = I, and a pull with no (or next to no) part along the top eigenvector of heads heads^T.

    W = 0, so that the tasks are the error and keep a part as small as 1e-300.
    """
    C = np.array([[near, 0.5], [0.0, -0.3], [near, 0.2]])
    return Representation(np.zeros((2, 3)), np.diag([3.0, 1.0])), C


@pytest.mark.parametrize("weighting", WEIGHTS)
@pytest.mark.parametrize("kind", COVARIANCES)
@pytest.mark.parametrize("radius", [1e-3, 0.3, 2.0, 50.0])
def test_worst_case_in_a_frobenius_ball(kind: str, radius: float, weighting: str) -> None:
    """Statement 21 for any weights."""
    rep, C = model(WEIGHTS[weighting])
    covariance = COVARIANCES[kind]
    claimed = amount(Adversarial("frobenius", radius).worst_risk(rep, C, covariance))
    assert_is_the_maximum(claimed, rep, C, covariance, radius)
    rng = np.random.default_rng(2)
    N = rng.standard_normal((200, K, D))
    N *= radius * rng.random((200, 1, 1)) ** 0.1 / np.linalg.norm(N, axis=(1, 2), keepdims=True)
    assert (risks(rep.W + N, rep, C, covariance) <= claimed * (1 + 64 * EPS)).all()
    # Ascent from anywhere: N to the boundary along the gradient never lowers a convex function.
    H, g, clean = quadratic(rep, C, covariance)
    n = N.reshape(200, -1)
    for _ in range(300):
        n = n @ H + g
        n *= radius / np.linalg.norm(n, axis=1, keepdims=True)
    reached = ((n @ H * n).sum(axis=1) + 2 * n @ g + clean).max() / T
    # It stops short by a factor (lambda_2 / lambda_1)^600 of what the best eigenvector gives, below 1e-9 here.
    assert reached == pytest.approx(claimed, rel=1e-9)


@pytest.mark.parametrize("near", [0.0, 1e-300, 1e-200, 1e-100, 1e-30, 1e-15, 1e-8, 1e-3])
@pytest.mark.parametrize("radius", [1e-4, 0.05, 0.2, 1.0, 30.0])
def test_worst_case_near_the_hard_case(near: float, radius: float) -> None:
    rep, C = hard_case(near)
    claimed = amount(Adversarial("frobenius", radius).worst_risk(rep, C))
    assert_is_the_maximum(claimed, rep, C, None, radius)


@pytest.mark.parametrize("radius", [0.0, 0.5])
@pytest.mark.parametrize("kind", COVARIANCES)
def test_worst_case_of_degenerate_heads(kind: str, radius: float) -> None:
    covariance = COVARIANCES[kind]
    rep, C = model()
    adversary = Adversarial("frobenius", radius)
    zero = Representation(rep.W, np.zeros((K, T)))
    for norm in ("frobenius", "spectral"):
        worst = Adversarial(norm, radius).worst_risk(zero, C, covariance)
        assert worst == pytest.approx(risk(zero.W, zero.heads, C, covariance), rel=64 * EPS)
    low_rank = Representation(rep.W, np.outer([1.0, -2.0], rep.heads[0]))
    claimed = amount(adversary.worst_risk(low_rank, C, covariance))
    if radius:
        assert_is_the_maximum(claimed, low_rank, C, covariance, radius)
    else:
        clean = risk(low_rank.W, low_rank.heads, C, covariance)
        assert claimed == pytest.approx(clean, rel=64 * EPS)


@pytest.mark.parametrize("size", [1e-10, 1e-100, 1e-160, 1e-200, 1e-300])
def test_worst_case_of_tiny_heads_is_their_pull(size: float) -> None:
    """heads of size h and tasks of size 1 add 2 h |C| r to T R; h^2 r^2 is nothing beside it."""
    rep, C = Representation(np.zeros((1, 1)), np.full((1, 1), size)), np.ones((1, 1))
    for norm in ("frobenius", "spectral"):
        worst = amount(Adversarial(norm, 1.0).worst_risk(rep, C))
        assert worst == pytest.approx((1 + size) ** 2, rel=4 * EPS)


@seeded
@given(task_matrices_and_ranks(max_d=4, max_T=4), st.floats(1e-3, 10), st.integers(0, 2**32 - 1))
def test_worst_case_for_every_geometry(drawn, radius: float, seed: int) -> None:
    C, k = drawn
    scale = np.abs(C).max() or 1.0
    rng = np.random.default_rng(seed)
    W, heads = rng.standard_normal((k, len(C))), rng.standard_normal((k, C.shape[1]))
    claimed = Adversarial("frobenius", radius).worst_risk(Representation(W, scale * heads), C)
    # The scale is no power of two, so scaled entries are rounded once each: some eps.
    assert_is_the_maximum(
        amount(claimed) / scale / scale, Representation(W, heads), C / scale, None, radius
    )


@seeded
@given(task_matrices_and_ranks(max_d=5), st.floats(0, 5), st.integers(0, 2**32 - 1))
def test_worst_case_in_a_spectral_ball(drawn, radius: float, seed: int) -> None:
    """Statement 22 for any weights with S = I: the polar factor of the pull is the worst."""
    C, k = drawn
    assume(C.any())
    C = C / np.abs(C).max()
    rng = np.random.default_rng(seed)
    rep = Representation(rng.standard_normal((k, len(C))), rng.standard_normal((k, C.shape[1])))
    claimed = amount(Adversarial("spectral", radius).worst_risk(rep, C))
    U, _, Vt = np.linalg.svd(rep.heads @ (C - rep.W.T @ rep.heads).T, full_matrices=False)
    worst = -radius * U @ Vt
    # Sums of some k d T squares of that size.
    tolerance = rounding(C) * claimed
    assert risk(rep.W + worst, rep.heads, C) == pytest.approx(claimed, rel=0, abs=tolerance)
    N = rng.standard_normal((50, k, len(C)))
    N *= radius / np.linalg.norm(N, ord=2, axis=(1, 2), keepdims=True)
    haar = Adversarial("spectral", radius).sample(np.zeros_like(N), rng)
    for change in (N, haar):
        assert (risks(rep.W + change, rep, C) <= claimed + tolerance).all()


@pytest.mark.parametrize("kind", ["diagonal", "dense", "singular"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_spectral_ball_at_an_optimum_with_any_inputs(kind: str, k: int) -> None:
    covariance, C = COVARIANCES[kind], normal(D, T, seed=5)
    best = optimal_representation(C, k, covariance=covariance)
    claimed = amount(Adversarial("spectral", 0.7).worst_risk(best, C, covariance))
    # The sum of products of sorted eigenvalues (von Neumann), reached where the eigenvectors are paired.
    stretch, P = np.linalg.eigh(matrix(covariance))
    theta, Q = np.linalg.eigh(best.heads @ best.heads.T)
    paired = 0.7 * Q[:, ::-1] @ P[:, ::-1][:, :k].T
    # Risks of the size of |C|^2 |S|, some hundred products.
    tolerance = 256 * EPS * np.linalg.norm(C) ** 2 * stretch[-1]
    assert claimed == pytest.approx(
        best.risk + 0.49 * (stretch[::-1][:k] @ theta[::-1]) / T, rel=0, abs=tolerance
    )
    reached = risk(best.W + paired, best.heads, C, covariance)
    assert reached == pytest.approx(claimed, rel=0, abs=tolerance)
    N = normal(200, k, D, seed=6)
    N *= 0.7 / np.linalg.norm(N, ord=2, axis=(1, 2), keepdims=True)
    assert (risks(best.W + N, best, C, covariance) <= claimed + tolerance).all()


def test_what_has_no_closed_form_says_so() -> None:
    rep, C = model()
    for covariance in list(COVARIANCES.values())[1:]:
        answer = Adversarial("spectral", 1.0).worst_risk(rep, C, covariance)
        assert isinstance(answer, NoClosedForm)
        assert "norm='frobenius'" in answer.reason
    wide, tasks = model(k=3, d=2)
    assert isinstance(Adversarial("spectral", 1.0).worst_risk(wide, tasks), NoClosedForm)
    for name in RANDOM:
        if not name.startswith("adversarial"):
            answer = MAKE[name](STRENGTHS[name]).worst_risk(rep, C)
            assert isinstance(answer, NoClosedForm)
            assert name.removesuffix("-rescaled") in answer.reason


# Every scale


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("exponent", [-150, -75, 75, 150])
@pytest.mark.parametrize("name", MAKE)
def test_scales(name: str, exponent: int, balanced: bool) -> None:
    C = sample("gaussian", D, T, 0)
    factor = 10.0**exponent
    # What changes W by a length of its own must follow a balanced W, which grows like sqrt(C).
    absolute = name.startswith(("additive", "adversarial"))
    strength = STRENGTHS[name] * (np.sqrt(factor) if balanced and absolute else 1)
    plain, scaled = (optimal_representation(M, K, balanced=balanced) for M in (C, factor * C))
    before, after = MAKE[name](STRENGTHS[name]), MAKE[name](strength)
    expected = factor * (factor * amount(before.expected_risk(plain, C)))
    # Scaling by a power of ten rounds every entry once; the risk sums some hundred products of them.
    assert after.expected_risk(scaled, factor * C) == pytest.approx(expected, rel=256 * EPS)
    if name.startswith("adversarial"):
        worst = factor * (factor * amount(before.worst_risk(plain, C)))
        assert after.worst_risk(scaled, factor * C) == pytest.approx(worst, rel=256 * EPS)


@pytest.mark.parametrize("factor", [2.0**-498, 2.0**498])
@pytest.mark.parametrize("name", MAKE)
def test_scales_far_from_an_optimum(name: str, factor: float) -> None:
    rep, C = model()
    scaled, failure = Representation(rep.W, factor * rep.heads), MAKE[name](STRENGTHS[name])
    for covariance in COVARIANCES.values():
        for answer in (failure.expected_risk, failure.worst_risk):
            plain, other = answer(rep, C, covariance), answer(scaled, factor * C, covariance)
            assert type(plain) is type(other)
            if isinstance(plain, float):
                # A power of two, about 1e-150 or 1e150, rounds nothing.
                assert other == factor * (factor * plain)


# Pruning and quantisation


@pytest.mark.parametrize("shape", [(1, 1), (2, 4), (3, 7), (7, 10), (10, 29)])
def test_pruning_removes_exactly_the_share(shape: tuple[int, int]) -> None:
    n = shape[0] * shape[1]
    W = normal(*shape)
    by_size = np.argsort(np.abs(W), axis=None)
    for count in range(n + 1):
        pruned = MagnitudePruning(count / n).apply(W, None)
        expected = W.copy().ravel()
        expected[by_size[:count]] = 0
        assert (pruned == expected.reshape(shape)).all()
    assert not MagnitudePruning(1.0).apply(W, None).any()


@pytest.mark.parametrize("shape", [(1, 1), (2, 4), (3, 7), (10, 29)])
def test_the_largest_are_lost_to_exactly_the_share(shape: tuple[int, int]) -> None:
    n = shape[0] * shape[1]
    W = normal(*shape)
    by_size = np.argsort(-np.abs(W), axis=None)
    for count in range(n + 1):
        failure = LargestDeletion(count / n)
        expected = W.copy().ravel()
        expected[by_size[:count]] = 0
        assert (failure.apply(W, None) == expected.reshape(shape)).all()
        lost = np.linalg.norm(W.ravel()[by_size[:count]])
        # The root of a sum of n squares.
        assert failure._reach(W) == pytest.approx(lost, rel=4 * EPS * n)


def test_the_largest_are_lost_by_index_on_ties() -> None:
    W = np.array([[1.0, -1.0, 1.0], [-1.0, 0.5, 1.0]])
    assert LargestDeletion(0.5).apply(W, None).tolist() == [[0, 0, 0], [-1, 0.5, 1]]
    batch = np.stack([np.ones((2, 3)), W])
    assert LargestDeletion(1 / 6).apply(batch, None).tolist() == [
        [[0, 1, 1], [1, 1, 1]],
        [[0, -1, 1], [-1, 0.5, 1]],
    ]


@seeded
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_least_and_largest_share_the_weights_between_them(count: int, seed: int) -> None:
    W = np.random.default_rng(seed).standard_normal((5, 8))
    kept = MagnitudePruning(1 - count / 40).apply(W, None)
    lost = LargestDeletion(count / 40).apply(W, None)
    np.testing.assert_array_equal(kept + lost, W)
    assert (kept * lost == 0).all()


def test_a_share_written_in_decimals_is_a_whole_count() -> None:
    # 0.29 * 1e8 rounds to 4e-9 below 29 million.
    for size in (100, 10**8):
        assert MagnitudePruning(0.29)._count(size, np) == 29 * size // 100


def test_pruning_breaks_ties_by_index() -> None:
    W = np.array([[1.0, -1.0, 1.0], [-1.0, 0.5, 1.0]])
    pruned = MagnitudePruning(0.5).apply(W, None)
    assert pruned.tolist() == [[0, 0, 1], [-1, 0, 1]]
    batch = np.stack([np.ones((2, 3)), W])
    assert MagnitudePruning(1 / 6).apply(batch, None).tolist() == [
        [[0, 1, 1], [1, 1, 1]],
        [[1, -1, 1], [-1, 0, 1]],
    ]


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16, 53, 64, 1024])
def test_quantisation(bits: int) -> None:
    W, failure = normal(3, K, 50), Quantisation(bits)
    rounded = failure.apply(W, None)
    step = failure.step(W)
    assert step.shape == (3, 1, 1)
    # Half a step, and where steps are below the spacing of floats two roundings of the entry.
    assert (np.abs(rounded - W) <= step / 2 * (1 + 4 * EPS) + 2 * EPS * np.abs(W)).all()
    for before, after in zip(W, rounded, strict=True):
        assert len(np.unique(after)) <= 2**bits - 1
        largest = np.abs(before).argmax()
        assert after.flat[largest] == pytest.approx(before.flat[largest], rel=2 * EPS)
    # The step is found again from the rounded maximum, up to rounding.
    assert failure.apply(rounded, None) == pytest.approx(rounded, rel=4 * EPS)


@pytest.mark.parametrize("bits", [2, 3, 8, 16])
def test_quantisation_per_row_rounds_each_row_alone(bits: int) -> None:
    W = normal(3, 5, 50) * 10.0 ** np.arange(5)[:, None]
    each, whole = Quantisation(bits, per_row=True), Quantisation(bits)
    assert each.step(W).shape == (3, 5, 1)
    for index in np.ndindex(3, 5):
        (alone,) = whole.apply(W[index][None], None)
        np.testing.assert_array_equal(each.apply(W, None)[index], alone)
    # A row of one weight is a whole number of its steps, up to the rounding of the step.
    np.testing.assert_allclose(each.apply(W[..., :1], None), W[..., :1], rtol=2 * EPS)
    change = np.linalg.norm(each.apply(W, None) - W, axis=(-2, -1))
    assert (change <= each._reach(W)).all()
    # Errors even between half a step either way have a root mean square of step / sqrt(12), 0.58 of half a step. Two
    # bits have the levels -step, 0 and step alone, and normal weights lie mostly nearer 0 than that: more than a third.
    assert (change > each._reach(W) / 3).all()
    assert (each._reach(W) < whole._reach(W)).all()


def test_the_reach_of_rounding_per_row_is_that_of_all_rows_together() -> None:
    """Rows of three levels, of which every weight but the largest lies halfway between two."""
    W = np.array(
        [[3.0, 0.5, 1.5, 2.5, -0.5], [6.0, 1.0, 3.0, -5.0, 1.0], [3.0, 2.5, 0.5, 0.5, 1.5]]
    )
    failure = Quantisation(3, per_row=True)
    reach = float(failure._reach(W[None])[0])
    assert reach == pytest.approx(np.sqrt(5 * (1 + 4 + 1) / 4))
    change = float(np.linalg.norm(failure.apply(W, None) - W))
    assert change == pytest.approx(np.sqrt(4 * (1 + 4 + 1) / 4))
    rng = np.random.default_rng(0)
    rep, C = Representation(W, rng.standard_normal((3, 4))), rng.standard_normal((5, 4))
    bound = failure.risk_bound(rep, C)
    assert risk(failure.apply(W, None), rep.heads, C) <= bound
    # Of changes of its reach one does this: a bound by the longest row would forbid it.
    assert bound == pytest.approx(Adversarial("frobenius", reach).worst_risk(rep, C))


def test_quantisation_of_every_level() -> None:
    W = np.array([[-3.0, -2.4, -0.6, 0.4, 1.3, 2.6, 3.0]])
    assert Quantisation(3).apply(W, None).tolist() == [[-3, -2, -1, 0, 1, 3, 3]]
    assert Quantisation(2).apply(W, None).tolist() == [[-3, -3, 0, 0, 0, 3, 3]]
    zero = np.zeros((2, K, D))
    zero[1, 0, 0] = 2.0
    assert Quantisation(2).apply(zero, None).tolist() == zero.tolist()


@pytest.mark.parametrize("kind", COVARIANCES)
@pytest.mark.parametrize(
    "failure",
    [kind(q) for kind in (MagnitudePruning, LargestDeletion) for q in (0.0, 0.3, 1.0)]
    + [Quantisation(b, rows) for rows in (False, True) for b in (2, 4, np.inf)],
)
def test_risk_after_a_certain_failure(failure, kind: str) -> None:
    covariance = COVARIANCES[kind]
    for weights in WEIGHTS.values():
        rep, C = model(weights)
        exact = risks(failure.apply(rep.W, None)[None], rep, C, covariance)[0]
        # Sums of some hundred products.
        assert failure.expected_risk(rep, C, covariance) == pytest.approx(exact, rel=256 * EPS)
        assert failure.worst_risk(rep, C, covariance) == failure.expected_risk(rep, C, covariance)
        assert failure.risk_bound(rep, C, covariance) >= exact * (1 - 256 * EPS)


@seeded
@given(
    task_matrices_and_ranks(),
    st.floats(0, 1),
    st.integers(2, 12),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_bounds_hold_for_any_weights(drawn, share: float, bits: int, best: bool, seed: int) -> None:
    C, k = drawn
    rng = np.random.default_rng(seed)
    rep = optimal_representation(C, k)
    if not best:
        rep = Representation(rng.standard_normal(rep.W.shape), rep.heads)
    for failure in (
        *(MagnitudePruning(share), LargestDeletion(share)),
        *(Quantisation(bits), Quantisation(bits, per_row=True)),
    ):
        bound = failure.risk_bound(rep, C)
        # Both are sums of squares whose roots are no larger than |C| + |W^T heads|.
        size = (np.abs(C).max() or 1.0) * (1 + np.abs(rep.W).max()) * max(C.shape)
        exact = amount(failure.expected_risk(rep, C))
        assert exact <= bound + rounding(C) * size * size


# Refusals


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("strength", [-0.1, float("nan"), -np.inf])
def test_bad_strengths_are_refused_in_one_line(name: str, strength: float) -> None:
    with pytest.raises(ValueError, match=r"(finite number >= 0|between 0 and 1|2, 3,)") as refusal:
        MAKE[name](strength)
    assert "\n" not in str(refusal.value)
    assert str(strength) in str(refusal.value)


@pytest.mark.parametrize(
    "name", ["additive-noise", "multiplicative-noise", "adversarial-frobenius"]
)
def test_infinite_strengths_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="finite number >= 0"):
        MAKE[name](np.inf)


@pytest.mark.parametrize(
    "make", [WeightDeletion, NeuronDeletion, MagnitudePruning, LargestDeletion]
)
def test_shares_above_one_are_refused(make) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        make(1.01)


@pytest.mark.parametrize("make", [WeightDeletion, NeuronDeletion])
def test_no_survivors_cannot_be_rescaled(make) -> None:
    with pytest.raises(ValueError, match="use p < 1 or rescale=False"):
        make(1, rescale=True)


@pytest.mark.parametrize("bits", [1, 1.9, 0, 2.5, 1025])
def test_bits_that_make_no_signed_integer_are_refused(bits: float) -> None:
    with pytest.raises(ValueError, match=r"2, 3, \.\.\. or 1024 bits"):
        Quantisation(bits)


def test_unknown_norms_are_refused() -> None:
    with pytest.raises(ValueError, match="use 'frobenius' or 'spectral'"):
        Adversarial("nuclear", 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MAKE)
def test_parts_that_do_not_fit_are_refused(name: str) -> None:
    rep, C = model()
    for tasks in (C[:, :2], C[:3]):
        with pytest.raises(ValueError, match=r"W is \(k, d\)") as refusal:
            MAKE[name](STRENGTHS[name]).expected_risk(rep, tasks)
        assert "\n" not in str(refusal.value)
    with pytest.raises(ValueError, match="drop that task or repair"):
        MAKE[name](STRENGTHS[name]).expected_risk(rep, np.full_like(C, np.nan))
    with pytest.raises(ValueError, match="use one input space"):
        MAKE[name](STRENGTHS[name]).expected_risk(rep, C, Covariance(np.ones(D + 1)))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("name", MAKE)
def test_a_stack_of_models_is_answered_as_each_of_them_alone(name, covariance, weights) -> None:
    shape, S, failure = (2, 3), COVARIANCES[covariance], MAKE[name](STRENGTHS[name])
    W, heads, C = normal(*shape, K, D, seed=7), normal(*shape, K, T, seed=8), normal(*shape, D, T)
    heads[0, 1], C[1, 2] = 0.0, 1e-90 * C[1, 2]  # one at rest, one whose squares underflow
    heads[1, 2] *= 1e-90
    stack = Representation(W, heads, WEIGHTS[weights])
    ask = [failure.expected_risk, failure.worst_risk]
    ask += [failure.risk_bound] if isinstance(failure, Deterministic) else []
    for question in ask:
        together = question(stack, C, S)
        alone = {
            index: question(Representation(W[index], heads[index], WEIGHTS[weights]), C[index], S)
            for index in np.ndindex(shape)
        }
        if isinstance(together, NoClosedForm):
            assert any(isinstance(answer, NoClosedForm) for answer in alone.values())
            continue
        assert together.shape == shape
        for index, answer in alone.items():
            # Sums of at most D * T terms, in another order.
            np.testing.assert_allclose(together[index], answer, rtol=64 * EPS * D * T)
    np.testing.assert_allclose(
        stack.slope[1, 0], Representation(W[1, 0], heads[1, 0], WEIGHTS[weights]).slope
    )
