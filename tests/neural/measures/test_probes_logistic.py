import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from neural.measures.probes import logistic, ridge
from neural.measures.probes.linear import Part, losses, score, standardisation

P, N, M, D, C = 3, 200, 120, 6, 4
SCALES = np.geomspace(0.1, 10, D)


def part(n, seed, probes=P):
    """Labels of a noisy linear rule; features that know it, each probe's worse, and are far from standardised."""
    rng = np.random.default_rng([n, seed])
    Z = rng.standard_normal((n, D))
    y = (Z @ np.random.default_rng(2).standard_normal((D, C)) + rng.gumbel(size=(n, C))).argmax(1)
    X = Z + np.arange(probes)[:, None, None] * rng.standard_normal((probes, n, D))
    return Part(X @ np.random.default_rng(1).standard_normal((D, D)) * SCALES + 5, y)


TRAIN, DEV, TEST = part(N, 0), part(M, 1), part(M, 2)
MAJORITY = np.bincount(TEST.labels).max() / M


def objective(flat, X, y, strength):
    """J as the module states it, of W (D, C) and b (C,) in standardised features, with its gradient."""
    W, b = flat[:-C].reshape(D, C), flat[-C:]
    log_p = log_softmax(X @ W + b, axis=1)
    bias = logistic.BIAS_PENALTY / len(y)
    value = -log_p[np.arange(len(y)), y].mean() + strength / 2 * (W**2).sum() + bias / 2 * b @ b
    residual = (np.exp(log_p) - np.eye(C)[y]) / len(y)
    gradient = X.T @ residual + strength * W, residual.sum(axis=0) + bias * b
    return value, np.concatenate([gradient[0].ravel(), gradient[1]])


def standardised(probe):
    X, y = TRAIN.of_probe(probe)
    mean, scale = X.mean(axis=0), X.std(axis=0)
    return mean, scale, (X - mean) / scale, y


def optimum(probe, strength):
    """By scipy: W, b for features as they are, and the least J."""
    mean, scale, X, y = standardised(probe)
    options = {"gtol": 1e-10, "maxiter": 10_000}
    solution = minimize(
        objective, np.zeros((D + 1) * C), (X, y, strength), "BFGS", jac=True, options=options
    )
    W = solution.x[:-C].reshape(D, C) / scale[:, None]
    return W, solution.x[-C:] - mean @ W, solution.fun


def in_standard_units(probes, probe):
    mean, scale, X, y = standardised(probe)
    W = probes.weights[probe]
    flat = np.concatenate([(W * scale[:, None]).ravel(), probes.bias[probe] + mean @ W])
    return objective(flat, X, y, probes.strength[probe])


@pytest.fixture(scope="module")
def single():
    return logistic.fit(TRAIN, DEV, C)


@pytest.fixture(scope="module")
def double():
    return logistic.fit(TRAIN, DEV, C, tolerance=1e-9, double=True)


def test_probes_are_the_minima_that_scipy_finds(double):
    assert double.converged.all()
    for probe in range(P):
        W, b, _ = optimum(probe, double.strength[probe])
        ours = np.r_[double.weights[probe], double.bias[probe][None]]
        theirs = np.r_[W, b[None]]
        # What all classes have in common no probability shows; only the penalty, some 1e-5, holds it to 0. Elsewhere
        # the least curvature is some 1e-3, so gradients of 1e-9 are off by 1e-6.
        np.testing.assert_allclose(
            ours - ours.mean(1)[:, None], theirs - theirs.mean(1)[:, None], atol=1e-6
        )
        np.testing.assert_allclose(double.weights[probe].mean(axis=1), 0, atol=1e-3)


def test_the_gradient_is_as_small_as_it_says(single, double):
    for probes, rounding in ((single, 1e-6), (double, 1e-12)):
        for probe in range(P):
            norm = np.linalg.norm(in_standard_units(probes, probe)[1])
            assert norm == pytest.approx(probes.gradient[probe], abs=rounding)
            assert norm <= probes.tolerance + rounding


def test_float32_is_at_the_minimum_too(single):
    assert single.converged.all()
    for probe in range(P):
        least = optimum(probe, single.strength[probe])[2]
        # |gradient|^2 / (2 curvature): 1e-8 / 2e-3, the curvature of this problem in its flattest direction or more
        assert 0 <= in_standard_units(single, probe)[0] - least + 1e-6 < 1e-5


def test_the_strength_is_the_best_on_dev(double):
    for probe in range(P):
        X, y = DEV.of_probe(probe)
        expected = []
        for strength in logistic.STRENGTHS:
            W, b, _ = optimum(probe, strength)
            expected.append(losses(X @ W + b, y).mean())
        np.testing.assert_allclose(double.dev[probe], expected, atol=5 * logistic.PATH_TOLERANCE)
        assert double.strength[probe] == logistic.STRENGTHS[double.dev[probe].argmin()]
    assert len(set(double.strength)) > 1  # and so not the last of the grid


@pytest.mark.slow
def test_in_step_as_one_by_one(single):
    together = logistic.fit(TRAIN, DEV, C, lanes=2)
    assert together.converged.all()
    np.testing.assert_array_equal(together.strength, single.strength)
    # Each is within the tolerance of the same minimum.
    np.testing.assert_allclose(score(together, TEST).loss, score(single, TEST).loss, atol=1e-3)


def test_one_program_for_all_of_a_size(single):
    program = logistic._program(C, False)
    before = program._cache_size()
    logistic.fit(part(N + 5, 3), part(M + 5, 4), C)
    assert program._cache_size() == before


def test_a_fit_cut_short_is_not_converged():
    probes = logistic.fit(TRAIN, DEV, C, most=2)
    assert not probes.converged.any()
    assert (probes.iterations == 2 * (len(logistic.STRENGTHS) + 1)).all()


def test_units_of_features_do_not_matter(single):
    units = np.array([0.01, 1, 10, 100, 1, 1])
    parts = [Part(each.features * units - 3, each.labels) for each in (TRAIN, DEV, TEST)]
    scores = score(logistic.fit(*parts[:2], C), parts[2])
    # Both end within the tolerance of the same minimum.
    np.testing.assert_allclose(scores.loss, score(single, TEST).loss, atol=1e-3)


def test_a_class_that_train_lacks_is_improbable_but_possible(single):
    few = TRAIN.take(np.flatnonzero(TRAIN.labels != 3))
    probes = logistic.fit(few, DEV, C)
    assert probes.converged.all()
    missing = TEST.take(np.flatnonzero(TEST.labels == 3))
    scores = score(probes, missing)
    assert (scores.accuracy == 0).all()
    assert (score(single, missing).loss + 1 < scores.loss).all()
    assert (scores.loss < 20).all()


def test_each_probe_may_have_labels_of_its_own(single):
    labels = np.stack([(TRAIN.labels + shift) % C for shift in range(P)])
    dev = np.stack([(DEV.labels + shift) % C for shift in range(P)])
    probes = logistic.fit(Part(TRAIN.features, labels), Part(DEV.features, dev), C)
    for shift in range(P):
        W = np.roll(single.weights[shift], shift, axis=1)
        np.testing.assert_allclose(probes.weights[shift], W, atol=1e-2 * np.abs(W).max())


def test_scores_by_hand(single):
    scores = score(single, TEST)
    for probe, (X, y) in enumerate(TEST):
        logits = X @ single.weights[probe] + single.bias[probe]
        assert scores.accuracy[probe] == np.mean(logits.argmax(axis=1) == y)
        assert scores.loss[probe] == pytest.approx(-log_softmax(logits, axis=1)[range(M), y].mean())
    assert scores.accuracy[0] > MAJORITY + 0.2


def test_a_constant_feature_is_not_blown_up():
    X = np.stack([np.full(50, 1e3) + 1e-6 * np.arange(50), np.arange(50.0)], axis=1)
    mean, scale = standardisation(X)
    assert scale[0] == 1
    assert np.abs((X - mean) / scale).max() < 2


@pytest.mark.parametrize("n", [1, 5, 256, 257, 313, 5000, 12345])
def test_few_sizes_are_compiled(n):
    size = logistic.padded(n)
    assert n <= size <= max(logistic.SHORTEST, 1.25 * n)
    assert logistic.padded(size) == size
    assert len({logistic.padded(m) for m in range(1024, 2049)}) == 5


def test_ridge_by_its_equations():
    probes = ridge.fit(TRAIN, DEV, C)
    for probe in range(P):
        mean, scale, X, y = standardised(probe)
        Y = np.eye(C)[y]
        errors, fits = [], []
        for strength in ridge.STRENGTHS:
            A = np.c_[X, np.ones(N)]
            penalty = np.diag([N * strength] * D + [0])
            W = np.linalg.solve(A.T @ A + penalty, A.T @ Y)
            X_dev = np.c_[(DEV.of_probe(probe)[0] - mean) / scale, np.ones(M)]
            errors.append(((X_dev @ W - np.eye(C)[DEV.labels]) ** 2).mean())
            fits.append(W)
        np.testing.assert_allclose(probes.dev[probe], errors, rtol=1e-9)
        best = fits[int(np.argmin(errors))]
        np.testing.assert_allclose(probes.weights[probe] * scale[:, None], best[:-1], atol=1e-9)
        np.testing.assert_allclose(probes.bias[probe] + mean @ probes.weights[probe], best[-1])
    scores = score(probes, TEST)
    assert np.isnan(scores.loss).all()
    assert scores.accuracy[0] > MAJORITY + 0.2


def test_ridge_of_many_label_sets_is_ridge_of_each():
    sets = [(part.labels + 1) % C for part in (TRAIN, DEV)], [TRAIN.labels, DEV.labels]
    fits = ridge.fit_all(TRAIN, DEV, *zip(*sets, strict=True), C)
    expected = ridge.fit(TRAIN, DEV, C)
    np.testing.assert_array_equal(fits[1].weights, expected.weights)
    np.testing.assert_allclose(fits[0].weights, np.roll(expected.weights, 1, axis=2), atol=1e-12)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match=r"give \(P, N, d\)"):
        Part(np.zeros((2, 5, 3)), np.zeros(4, int))
    with pytest.raises(ValueError, match="from 0"):
        Part(np.zeros((2, 5, 3)), np.full(5, -1))
    with pytest.raises(ValueError, match="one width"):
        logistic.fit(TRAIN, Part(np.zeros((P, 5, D + 1)), np.zeros(5, int)), C)
    with pytest.raises(ValueError, match="among 3 classes"):
        logistic.fit(TRAIN, DEV, 3)
    for strengths in ((0.1, 1.0), (1.0, 0.0), (1.0, -0.1), (), ((1.0, 0.1),)):
        with pytest.raises(ValueError, match="that fall"):
            logistic.fit(TRAIN, DEV, C, strengths=strengths)
    with pytest.raises(ValueError, match="probes of width"):
        score(ridge.fit(TRAIN, DEV, C), part(M, 5, probes=2))
