import gc
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.sparse import csr_array

from sim.experiments.data import tasks
from sim.experiments.data.inputs import LabelledInputs, digits, load
from sim.experiments.data.tasks import Procedure, RealTasks, binary_tasks, learn_task_matrix
from tests.places import SHARED
from theory.perturbation import (
    AdditiveNoise,
    Adversarial,
    MagnitudePruning,
    MultiplicativeNoise,
    NeuronDeletion,
    NoClosedForm,
    Quantisation,
    WeightDeletion,
)
from theory.representation import Representation, optimal_representation

EPS = np.finfo(np.float64).eps
MNIST = SHARED / "data" / "images" / "mnist.npz"
QUICK = Procedure(samples=330, batch=32, epochs=2)

RANDOM = [
    AdditiveNoise(0.7),
    MultiplicativeNoise(0.7),
    WeightDeletion(0.3),
    WeightDeletion(0.3, rescale=True),
    NeuronDeletion(0.3),
    NeuronDeletion(0.3, rescale=True),
    Adversarial("frobenius", 0.8),
    Adversarial("spectral", 0.8),
]
FIXED = [AdditiveNoise(0.0), MagnitudePruning(0.4), Quantisation(4)]


def toy(d=12, n=90, classes=6, seed=0, zeros=0.5) -> LabelledInputs:
    """Classes 3, 5, 7, ...; a third is for testing, and half of the entries are zero."""
    rng = np.random.default_rng(seed)
    labels = 3 + 2 * (np.arange(n) % classes)
    centres = rng.standard_normal((classes, d))
    x = centres[np.arange(n) % classes] + rng.standard_normal((n, d))
    x *= rng.random((n, d)) >= zeros
    cut = n - n // 3
    return LabelledInputs("toy", x[:cut], labels[:cut], x[cut:], labels[cut:])


def sparse(data: LabelledInputs) -> LabelledInputs:
    return replace(
        data, train_inputs=csr_array(data.train_inputs), test_inputs=csr_array(data.test_inputs)
    )


def trained(
    data: LabelledInputs, T: int, k: int, seed: int = 0
) -> tuple[Representation, RealTasks]:
    C, _ = learn_task_matrix(data, T, seed, QUICK)
    return optimal_representation(C, k), binary_tasks(data, T)


def test_tasks_tell_neighbouring_classes_apart():
    data = toy()
    pairs = binary_tasks(data, 5).tasks
    assert len(pairs) == 5
    for t, task in enumerate(pairs):
        low, high = 3 + 2 * t, 5 + 2 * t
        rows = [i for i, label in enumerate(data.test_labels) if label in (low, high)]
        np.testing.assert_array_equal(task.inputs, data.test_inputs[rows])
        expected = [-1.0 if data.test_labels[i] == low else 1.0 for i in rows]
        np.testing.assert_array_equal(task.labels, expected)


@pytest.mark.parametrize("T", [0, -1, 6])
def test_the_number_of_tasks_is_limited_by_the_classes(T):
    for make in (lambda: binary_tasks(toy(), T), lambda: learn_task_matrix(toy(), T, 0)):
        with pytest.raises(
            ValueError, match=rf"T = {T} tasks from toy: it has 6 classes, so T is 1 to 5"
        ):
            make()


def test_tasks_are_shared_between_calls_as_long_as_the_data_lives():
    data = toy()
    assert binary_tasks(data, 3).tasks[1] is binary_tasks(data, 5).tasks[1]
    assert binary_tasks(toy(), 3).tasks[1] is not binary_tasks(data, 3).tasks[1]
    held = len(tasks._PAIRS)
    del data
    gc.collect()
    assert len(tasks._PAIRS) < held


def test_the_step_is_adamw_on_the_loss_then_a_projection():
    """Against a second implementation: plain loops, and the gradient worked out by hand."""
    import jax

    rng = np.random.default_rng(1)
    settings = Procedure(learning_rate=0.02, weight_decay=0.3, ridge=0.7)
    X, y = rng.standard_normal((5, 4)), rng.standard_normal(5)
    task, weight = np.array([0, 1, 2, 0, 1]), np.array([1.0, 1, 1, 1, 0])
    C, m, v = rng.standard_normal((4, 3)), np.zeros((4, 3)), np.zeros((4, 3))
    update = jax.jit(tasks._step, static_argnums=6)
    with jax.enable_x64(True):
        state = (C, m, v, np.float64(0))
        for _ in range(3):
            state = update(state, X, y, task, weight, 3.0, settings)
        computed = np.asarray(state[0])
    for step in (1, 2, 3):
        g = 0.7 * 2 * C / 12
        for i in range(4):  # the fifth example pads
            g[:, task[i]] += (X[i] @ C[:, task[i]] - y[i]) * X[i] / 4
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        adam = (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        C = (1 - 0.02 * 0.3) * C - 0.02 * adam
        C = C / np.sqrt((C**2).sum(axis=0))
    # Some 50 roundings of numbers of order 1; adam divides by sqrt(v) of order 0.1.
    np.testing.assert_allclose(computed, C, rtol=0, atol=1e3 * EPS)


@pytest.mark.parametrize(
    ("samples", "batch", "T"), [(330, 32, 5), (64, 16, 3), (10, 128, 4), (7, 3, 7)]
)
def test_an_epoch_deals_every_sample_once_and_evenly(samples, batch, T):
    rng = np.random.default_rng(3)
    batches = tasks._batches(samples, T, batch, rng)
    seen = np.concatenate([rows[weight > 0] for rows, weight in batches])
    assert sorted(seen) == list(range(samples))
    for rows, weight in batches:
        assert len(rows) == min(batch, samples)
        shares = np.bincount(rows[weight > 0] % T, minlength=T)
        assert shares.max() - shares.min() <= 1
    again = np.concatenate([rows for rows, _ in tasks._batches(samples, T, batch, rng)])
    assert samples == T or not np.array_equal(again[:samples], seen)


def test_samples_come_from_their_own_pair_and_repeat_only_when_too_few():
    data = toy(n=120, zeros=0.0)  # 80 train, 26 or 27 a pair
    for samples, repeats in ((5 * 26, False), (5 * 30, True)):
        X, y = tasks._training_samples(data, 5, samples, np.random.default_rng(0))
        for t in range(5):
            rows = [int(np.flatnonzero((data.train_inputs == x).all(axis=1))[0]) for x in X[t::5]]
            low = 3 + 2 * t
            expected = np.where(data.train_labels[rows] == low, -1, 1)
            assert set(data.train_labels[rows]) == {low, low + 2}
            np.testing.assert_array_equal(y[t::5], expected)
            assert (len(set(rows)) < len(rows)) == repeats


def test_the_record_tells_how_training_ended():
    data = toy()
    C, record = learn_task_matrix(data, 5, 4, QUICK)
    shorter, _ = learn_task_matrix(data, 5, 4, replace(QUICK, epochs=1))
    X, y = tasks._training_samples(data, 5, 330, np.random.default_rng(4))
    losses = [(x @ C[:, i % 5] - y[i]) ** 2 / 2 for i, x in enumerate(X)]
    # The mean of 330 terms of order 1.
    assert record.loss == pytest.approx(np.mean(losses) + 0.1 * np.mean(C**2), rel=1e-13)
    # One matrix norm each, of unit columns.
    assert record.last_change == pytest.approx(np.linalg.norm(C - shorter) / np.sqrt(5), rel=1e-13)
    assert record.steps == 2 * 11
    # Columns are divided by their computed norm: a few roundings.
    np.testing.assert_allclose(np.linalg.norm(C, axis=0), 1, rtol=0, atol=16 * EPS)


def test_every_column_tells_its_own_classes_apart():
    C, _ = learn_task_matrix(digits(), 9, 0, replace(QUICK, samples=2000))
    for t, task in enumerate(binary_tasks(digits(), 9).tasks):
        # Chance is a half; these digits are nearly separable.
        right = np.mean(np.sign(task.inputs @ C) == task.labels[:, None], axis=0)
        assert right[t] > 0.85
        assert right.argmax() == t


def test_the_same_seed_gives_the_same_bits():
    C, record = learn_task_matrix(toy(), 4, 7, QUICK)
    again, record_again = learn_task_matrix(toy(), 4, 7, QUICK)
    other, _ = learn_task_matrix(toy(), 4, 8, QUICK)
    np.testing.assert_array_equal(C, again)
    assert record == record_again
    assert C.dtype == np.float64
    assert np.abs(C - other).max() > 1e-3


def test_sparse_inputs_are_learnt_as_dense_ones():
    dense, _ = learn_task_matrix(toy(), 4, 7, QUICK)
    as_rows, _ = learn_task_matrix(sparse(toy()), 4, 7, QUICK)
    np.testing.assert_array_equal(dense, as_rows)


def test_the_step_is_traced_once(monkeypatch):
    traces = []

    def counting(*args):
        traces.append(args[1].shape)
        return step(*args)

    step = tasks._step
    monkeypatch.setattr(tasks, "_step", counting)
    tasks._jitted_step.cache_clear()
    try:
        for seed in range(3):
            learn_task_matrix(toy(), 5, seed, QUICK)
        learn_task_matrix(sparse(toy()), 5, 0, QUICK)
        assert traces == [(32, 12)]
    finally:
        tasks._jitted_step.cache_clear()


def test_learning_leaves_the_precision_of_jax_as_it_was():
    import jax.numpy as jnp

    learn_task_matrix(toy(), 3, 0, QUICK)
    assert jnp.ones(1).dtype == jnp.float32


def test_bad_settings_are_refused():
    for change in ({"batch": 0}, {"epochs": 1.5}, {"samples": -1}):
        with pytest.raises(ValueError, match="whole number >= 1"):
            Procedure(**change)
    for change in ({"learning_rate": -1.0}, {"ridge": np.nan}, {"weight_decay": np.inf}):
        with pytest.raises(ValueError, match="finite number >= 0"):
            Procedure(**change)
    with pytest.raises(ValueError, match="samples = 3 for T = 4 tasks"):
        learn_task_matrix(toy(), 4, 0, Procedure(samples=3))
    with pytest.raises(ValueError, match=r"diverged \(T = 4, seed = 0\): lower its rate"):
        learn_task_matrix(toy(), 4, 0, replace(QUICK, learning_rate=1e308))


def test_risk_is_the_mean_over_tasks_of_the_test_error():
    rep, real = trained(toy(), 5, 3)
    expected = [
        (y - rep.heads[:, t] @ rep.W @ x) ** 2 / len(task.labels)
        for t, task in enumerate(real.tasks)
        for x, y in zip(task.inputs, task.labels, strict=True)
    ]
    # Means of a dozen squares of order 1.
    assert real.clean_risk(rep) == pytest.approx(np.sum(expected) / 5, rel=64 * EPS)
    with pytest.raises(ValueError, match=r"heads \(3, 5\) for T = 4 tasks"):
        binary_tasks(toy(), 4).clean_risk(rep)
    with pytest.raises(ValueError, match=r"heads \(3, 5\) for T = 4 tasks"):
        binary_tasks(toy(), 4).closed_form_risk(rep, AdditiveNoise(1.0))
    with pytest.raises(ValueError, match="draws = 0"):
        real.measured_risks(rep, AdditiveNoise(1.0), 0, np.random.default_rng(0))


@pytest.mark.parametrize("d", [6, 40], ids=["more-inputs-than-dimensions", "fewer"])
def test_least_squares_leaves_a_residual_orthogonal_to_the_inputs(d):
    for task in binary_tasks(toy(d=d), 3).tasks:
        best, error = task.least_squares
        residual = task.labels - task.inputs @ best[:, 0]
        # Backward stable solution of a well-conditioned system of a dozen unknowns.
        np.testing.assert_allclose(task.inputs.T @ residual, 0, atol=1e-12)
        assert error == pytest.approx(np.mean(residual**2), abs=1e-14)
        assert (error < 1e-24) == (d == 40)


@pytest.mark.parametrize("d", [12, 40])
@pytest.mark.parametrize("perturbation", RANDOM, ids=str)
def test_the_measured_mean_is_the_closed_form(perturbation, d):
    rep, real = trained(toy(d=d), 5, 3)
    risks = real.measured_risks(rep, perturbation, 2000, np.random.default_rng(11))
    assert risks.shape == (2000,)
    error = risks.std(ddof=1) / np.sqrt(2000)
    assert abs(risks.mean() - real.closed_form_risk(rep, perturbation)) < 5 * error
    # The tolerance is worth something: it is small beside the risk.
    assert 5 * error < 0.05 * risks.mean()


def every_outcome(perturbation, W):
    """Failed weights (m, k, d) and probabilities (m,) that have the exact mean and variance of the risk."""
    if isinstance(perturbation, AdditiveNoise):
        nodes, weights = np.polynomial.hermite_e.hermegauss(3)
        weights = weights / weights.sum()
    else:
        nodes, weights = np.array([0.0, 1.0]), np.array([perturbation.p, 1 - perturbation.p])
    draws = np.array(list(product(nodes, repeat=W.size))).reshape(-1, *W.shape)
    probabilities = np.array([np.prod(each) for each in product(weights, repeat=W.size)])
    return perturbation.apply(np.broadcast_to(W, draws.shape), draws), probabilities


@pytest.mark.parametrize("d", [3, 2])
@pytest.mark.parametrize(
    "perturbation",
    [AdditiveNoise(0.7), WeightDeletion(0.3), WeightDeletion(0.3, rescale=True)],
    ids=str,
)
def test_the_variance_is_that_of_every_outcome(perturbation, d):
    rep, real = trained(toy(d=d), 4, 2)
    W, probabilities = every_outcome(perturbation, rep.W)
    risks = real._risks(rep, W)
    exact = probabilities @ (risks - probabilities @ risks) ** 2
    assert real.risk_variance(rep, perturbation) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("large", [False, True])
def test_the_tails_of_noise_are_bounded(large, monkeypatch):
    """Chernoff's bound holds for the draws, and the law has their skewness."""
    rep, real = trained(toy(d=3), 4, 2)
    noise = AdditiveNoise(0.7)
    if large:
        monkeypatch.setattr(tasks, "LARGEST_EIGENPROBLEM", 5)
    law = real.risk_distribution(rep, noise)
    assert law.variance == pytest.approx(real.risk_variance(rep, noise), rel=1e-11)
    risks = real.measured_risks(rep, noise, 40_000, np.random.default_rng(2))
    mean, error = risks.mean(), np.sqrt(law.variance)
    for z in (2.0, 3.0, 4.0):
        t = np.asarray(z / error / (1 + z / error / law.limit(1)))
        cumulant, at, *_ = law.tilted(t)
        assert np.mean(risks - mean >= at) <= np.exp(cumulant - t * at)
    if (
        large
    ):  # sigma^2 |S_t| |heads|^2 / T bounds every curvature, and the law's scale is twice that
        largest = max(np.linalg.eigvalsh(task.second_moment)[-1] for task in real.tasks)
        squared = np.linalg.eigvalsh(rep.heads @ rep.heads.T)[-1]
        assert law.scale == pytest.approx(2 * 0.7**2 * largest * squared / 4, rel=1e-12)
    else:
        skew = np.mean((risks - mean) ** 3) / error**3
        h = 1e-3 / error
        third = (law.tilted(np.asarray(h))[2] - law.tilted(np.asarray(-h))[2]) / (2 * h)
        assert third / error**3 == pytest.approx(skew, rel=0.15)


def test_the_variance_of_many_inputs_is_left_to_the_draws(monkeypatch):
    rep, real = trained(toy(d=12), 5, 3)
    assert isinstance(real.risk_variance(rep, NeuronDeletion(0.3)), NoClosedForm)
    assert real.risk_variance(rep, MagnitudePruning(0.4)) == 0
    monkeypatch.setattr(tasks, "LARGEST_SECOND_MOMENT", 11)
    assert isinstance(real.risk_variance(rep, AdditiveNoise(0.3)), NoClosedForm)
    assert isinstance(real.risk_distribution(rep, AdditiveNoise(0.3)), NoClosedForm)


@pytest.mark.parametrize("perturbation", FIXED, ids=str)
def test_failures_without_chance_are_exact(perturbation):
    rep, real = trained(digits(), 5, 4)
    risks = real.measured_risks(rep, perturbation, 3, np.random.default_rng(0))
    # The closed form goes through c*, up to the condition number 1e3 of the inputs.
    np.testing.assert_allclose(risks, real.closed_form_risk(rep, perturbation), rtol=1e-11)
    # One draw or three: sums in another order. The other two failures do damage.
    unharmed = np.abs(risks / real.clean_risk(rep) - 1) < 64 * EPS
    assert unharmed.all() == unharmed.any() == (perturbation == AdditiveNoise(0.0))


def test_noise_costs_each_task_its_head_and_its_inputs():
    rep, real = trained(digits(), 6, 4)
    cost = [
        np.mean((task.inputs**2).sum(axis=1)) * (rep.heads[:, t] ** 2).sum()
        for t, task in enumerate(real.tasks)
    ]
    added = real.closed_form_risk(rep, AdditiveNoise(1.5)) - real.clean_risk(rep)
    # A difference of risks of order 100, through the condition number 1e3 of the inputs.
    assert added == pytest.approx(1.5**2 * np.mean(cost), rel=1e-11)


def test_draws_do_not_depend_on_how_many_are_held_at_once(monkeypatch):
    rep, real = trained(toy(), 5, 3)
    together = real.measured_risks(rep, WeightDeletion(0.5), 70, np.random.default_rng(5))
    monkeypatch.setattr(tasks, "DRAWS_AT_ONCE", 1)
    apart = real.measured_risks(rep, WeightDeletion(0.5), 70, np.random.default_rng(5))
    # Matrix products of other shapes may add in another order.
    np.testing.assert_allclose(together, apart, rtol=64 * EPS)
    assert len(set(apart)) == 70


@pytest.mark.parametrize("d", [12, 40])
def test_risks_of_sparse_inputs_are_those_of_dense_ones(d):
    rep, dense = trained(toy(d=d), 5, 3)
    rows = binary_tasks(sparse(toy(d=d)), 5)
    assert not isinstance(rows.tasks[0].inputs, np.ndarray)
    for perturbation in (AdditiveNoise(0.5), WeightDeletion(0.3), NeuronDeletion(0.3)):
        measured = [
            real.measured_risks(rep, perturbation, 5, np.random.default_rng(1))
            for real in (dense, rows)
        ]
        # Sums of d products in another order.
        np.testing.assert_allclose(*measured, rtol=64 * EPS)
        # The same matrix is decomposed, so only the error left over by the fit differs in rounding.
        closed = [real.closed_form_risk(rep, perturbation) for real in (dense, rows)]
        assert closed[0] == pytest.approx(closed[1], rel=64 * EPS)


def test_a_failure_without_a_closed_form_is_answered_so():
    class Unknown(AdditiveNoise):
        def _expected(self, p):
            return NoClosedForm("nobody knows")

    rep, real = trained(toy(), 5, 3)
    assert real.closed_form_risk(rep, Unknown(0.5)) == NoClosedForm("nobody knows")


def test_slopes_of_digits_fall_with_the_number_of_tasks():
    slopes = [
        optimal_representation(learn_task_matrix(digits(), T, 0)[0], 4).slope for T in (4, 6, 9)
    ]
    # Unit tasks: k/T <= slope <= 1, equal to 1 for T = k.
    assert slopes[0] == pytest.approx(1, abs=64 * EPS)
    assert 4 / 6 < slopes[1] < 0.9
    assert 4 / 9 < slopes[2] < slopes[1] - 0.05


def test_slopes_of_mnist_are_those_of_the_procedure_of_the_paper():
    if not MNIST.exists():
        pytest.skip(f"{MNIST} is absent: it is handed out apart from the code")
    data = load(MNIST)
    # Of the standard deviation .3081 and mean .1307 of pixels in [0, 1], to four digits.
    assert data.train_inputs.min() == pytest.approx(-0.1307 / 0.3081, rel=5e-4)
    # Slopes of an independent run of the same procedure; seeds differ by 0.01 to 0.02.
    for T, expected in ((4, 1.0), (6, 0.707), (9, 0.492)):
        C, _ = learn_task_matrix(data, T, 64)
        assert optimal_representation(C, 4).slope == pytest.approx(expected, abs=0.03)
