"""Failures of named parameters, and the convolutional networks that suffer them."""

import math
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array

from sim.config import DataSource
from sim.experiments.data.inputs import LabelledInputs, digits
from sim.experiments.networks import convolutional
from sim.experiments.networks import images as image_tasks
from sim.experiments.networks.config import STRENGTHS, ImageNetworks, image_shape
from sim.experiments.networks.images import training_samples
from sim.experiments.networks.rows import batches, rows
from sim.failures.groups import (
    EVERY,
    check,
    draw,
    fail,
    harmless,
    is_random,
    randomness,
    wanted,
)
from sim.failures.named import MAKE
from sim.runs.errors import UserError
from theory.perturbation import AdditiveNoise

pytestmark = pytest.mark.usefixtures("soon_compiled")

(RELATIVE_NOISE,) = AdditiveNoise.relative_names

TENSORS = {
    "first.weight": np.random.default_rng(1).standard_normal((4, 3, 3, 2)),
    "first.bias": 10 * np.random.default_rng(2).standard_normal(4),
    "second.weight": 0.1 * np.random.default_rng(3).standard_normal((5, 6)),
}
NEURONS = {"second.weight": 1}
FORWARD = jax.jit(convolutional.forward, static_argnums=1)
SMALL = ImageNetworks(
    T=(1, 3),
    channels=(3, 4),
    hidden=12,
    samples=900,
    epochs=4,
    batch=30,
    learning_rate=5e-3,
    draws=4,
)


def broken(name: str, strength: float, copies: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    shapes = {tensor: W.shape for tensor, W in TENSORS.items()}
    return fail(name, strength, TENSORS, draw(name, shapes, (seed,), copies, NEURONS), NEURONS)


@pytest.mark.parametrize("name", EVERY)
def test_the_harmless_strength_is_the_identity(name: str) -> None:
    for tensor, W in broken(name, harmless(name)).items():
        assert W.shape == ((3,) if is_random(name) else ()) + TENSORS[tensor].shape
        np.testing.assert_array_equal(W, np.broadcast_to(TENSORS[tensor], W.shape))


@pytest.mark.parametrize("name", [name for name in EVERY if name != RELATIVE_NOISE])
def test_a_tensor_fails_as_the_theorys_matrix_of_neurons_and_inputs(name: str) -> None:
    strength = 3.0 if name.startswith("quantisation") else 0.4
    shapes = {tensor: W.shape for tensor, W in TENSORS.items()}
    drawn = draw(name, shapes, (7,), 2, NEURONS)
    failed = fail(name, strength, TENSORS, drawn, NEURONS)
    for tensor, matrix in {
        "first.weight": TENSORS["first.weight"].reshape(4, 18),
        "first.bias": TENSORS["first.bias"][:, None],
        "second.weight": TENSORS["second.weight"].T,
    }.items():
        expected = MAKE[name](strength).apply(matrix, drawn[tensor])
        given = np.swapaxes(failed[tensor], -1, -2) if tensor in NEURONS else failed[tensor]
        np.testing.assert_array_equal(given.reshape(expected.shape), expected)
        # A bias rounded per channel has one weight a channel, which is its own largest.
        unchanged = name == "quantisation-per-channel" and tensor == "first.bias"
        assert np.allclose(expected, matrix, rtol=1e-15, atol=0) == unchanged


def test_relative_noise_is_in_standard_deviations_of_each_tensor() -> None:
    for tensor, W in broken(RELATIVE_NOISE, 0.5, copies=4000).items():
        noise = (W - TENSORS[tensor]) / TENSORS[tensor].std()
        # n draws know a standard deviation to 1 / sqrt(2 n), at least 16,000 of them here: 5 of those errors.
        assert noise.std() == pytest.approx(0.5, rel=5 / math.sqrt(2 * noise.size))


def test_a_layer_loses_its_neurons_with_their_biases() -> None:
    failed = broken("neuron-deletion", 0.5, copies=40)
    lost = failed["first.bias"] == 0
    assert 0 < lost.mean() < 1
    np.testing.assert_array_equal((failed["first.weight"] == 0).all(axis=(2, 3, 4)), lost)
    np.testing.assert_array_equal((failed["first.weight"] == 0).any(axis=(2, 3, 4)), lost)
    columns = failed["second.weight"] == 0
    np.testing.assert_array_equal(columns.any(axis=1), columns.all(axis=1))
    assert not np.array_equal(columns.all(axis=1)[:, :4], lost)


def test_draws_are_functions_of_seed_and_name() -> None:
    shapes = {"a.weight": (3, 4), "b.weight": (3, 4)}
    drawn = draw("weight-deletion", shapes, (0,), 2)
    assert not np.array_equal(drawn["a.weight"], drawn["b.weight"])
    alone = draw("weight-deletion", {"b.weight": (3, 4)}, (0,), 2)
    np.testing.assert_array_equal(alone["b.weight"], drawn["b.weight"])
    other = draw("weight-deletion", shapes, (1,), 2)
    assert not np.array_equal(other["a.weight"], drawn["a.weight"])
    kept = [broken("weight-deletion", p)["first.weight"] != 0 for p in (0.3, 0.6)]
    assert (kept[0] >= kept[1]).all()


def test_a_tensor_wants_its_own_draw_or_that_of_its_layer() -> None:
    shapes = {"a.weight": (3, 4), "a.bias": (3,), "b.weight": (2, 5, 4)}
    assert wanted("neuron-deletion", shapes, {"b.weight": 1}) == {
        "a.weight": ("a", (3, 1)),
        "a.bias": ("a", (3, 1)),
        "b.weight": ("b", (5, 1)),
    }
    assert wanted("weight-deletion", shapes, {"b.weight": 1}) == {
        "a.weight": ("a.weight", (3, 4)),
        "a.bias": ("a.bias", (3, 1)),
        "b.weight": ("b.weight", (5, 8)),
    }
    for name in EVERY:
        assert is_random(name) == (randomness(name) in ("normal", "uniform"))
    assert randomness("additive-noise") == "normal"


def test_strengths_that_a_failure_cannot_have_are_refused() -> None:
    check("weight-deletion", 1.0)
    check("quantisation-per-channel", np.inf)
    for name, strength in (("weight-deletion", 1.5), ("quantisation", 1.0), ("rust", 0.0)):
        with pytest.raises(ValueError, match=r"between 0 and 1|signed integer|unknown failure"):
            check(name, strength)


def test_a_sweep_has_strengths_for_all_its_failures_and_no_others() -> None:
    assert ImageNetworks().failures == tuple(n for n in STRENGTHS if "rescaled" not in n)
    assert set(EVERY) - set(STRENGTHS) == {"largest-deletion", "quantisation-per-channel"}


def test_jax_arrays_fail_under_jit_with_a_traced_strength() -> None:
    drawn = draw(RELATIVE_NOISE, {"a.weight": (3, 4)}, (0,), 2)
    W = np.random.default_rng(0).standard_normal((3, 4))
    with jax.enable_x64(True):
        jitted = jax.jit(lambda s, W: fail(RELATIVE_NOISE, s, {"a.weight": W}, drawn)["a.weight"])
        failed = jitted(0.5, jnp.asarray(W))
    expected = fail(RELATIVE_NOISE, 0.5, {"a.weight": W}, drawn)["a.weight"]
    np.testing.assert_allclose(failed, expected, rtol=1e-14)  # std may sum in another order


def test_unknown_failures_raise() -> None:
    for name in ("adversarial-frobenius", "rust"):
        with pytest.raises(ValueError, match="unknown failure of parameters"):
            is_random(name)
    assert set(STRENGTHS) <= set(EVERY)
    assert all(strengths[0] == harmless(name) for name, strengths in STRENGTHS.items())


def test_a_convolution_is_xlas() -> None:
    rng = np.random.default_rng(4)
    x, W = rng.standard_normal((2, 7, 6, 3)), rng.standard_normal((5, 3, 3, 3))
    b = rng.standard_normal(5)
    with jax.enable_x64(True):
        layer = {"convolution-1.weight": W, "convolution-1.bias": b}
        activations = FORWARD(layer, ("convolution-1",), x)
        expected = jax.lax.conv_general_dilated(
            x, W, (2, 2), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "OHWI", "NHWC")
        )
        activations, expected = np.asarray(activations), np.asarray(expected)
    # Sums of 27 products of order 1, in another order.
    np.testing.assert_allclose(activations, np.maximum(expected + b, 0), rtol=1e-12, atol=1e-13)


@pytest.fixture(scope="module")
def data() -> LabelledInputs:
    """The digits, with 30 test images of each class."""
    whole = digits()
    rows = [np.flatnonzero(whole.test_labels == label)[:30] for label in whole.classes]
    kept = np.concatenate(rows)
    return replace(whole, test_inputs=whole.test_inputs[kept], test_labels=whole.test_labels[kept])


@pytest.fixture(scope="module")
def model(data: LabelledInputs) -> convolutional.Trained:
    return convolutional.train(data, 3, SMALL, "divided", (8, 0))


def by_hand(
    data: LabelledInputs, model: convolutional.Trained, i: int, t: int
) -> tuple[float, float]:
    """Loss and accuracy of model i on its task t over all test images of the two classes."""
    lower = (model.seeds[i] + t) % 9
    images = data.test_inputs[np.isin(data.test_labels, (lower, lower + 1))].reshape(-1, 8, 8)
    y = 2.0 * (data.test_labels[np.isin(data.test_labels, (lower, lower + 1))] == lower + 1) - 1
    W = {name: value[i] for name, value in model.parameters.items()}
    x = images[..., None]
    for layer in ("convolution-1", "convolution-2"):
        n, size, _, _ = x.shape
        x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        out = np.empty((n, size // 2, size // 2, len(W[f"{layer}.bias"])))
        for r in range(size // 2):
            for c in range(size // 2):
                under = x[:, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3]
                out[:, r, c] = np.einsum("nijc,oijc->no", under, W[f"{layer}.weight"])
        x = np.maximum(out + W[f"{layer}.bias"], 0)
    x = np.maximum(x.reshape(len(x), -1) @ W["hidden.weight"].T + W["hidden.bias"], 0)
    margin = y * (x @ W["heads.weight"][t])
    return float(np.mean(np.log1p(np.exp(-margin)))), float(np.mean(margin > 0))


def test_networks_learn_and_are_measured_as_by_hand(
    data: LabelledInputs, model: convolutional.Trained
) -> None:
    """Seed 8 has tasks 8, 0 and 1: the pairs of neighbours go round."""
    measured = convolutional.measure(data, model, SMALL, "weight-deletion", (0.0, 0.5, 1.0))
    for i in range(2):
        tasks = np.array([by_hand(data, model, i, t) for t in range(3)])
        # Losses sum 70 terms in another order; the accuracies are the same counts.
        assert measured.clean[i] == pytest.approx(tasks[:, 0].mean(), rel=1e-12)
        np.testing.assert_allclose(measured.mean[0, :, i, 0], measured.clean[i], rtol=1e-12)
        np.testing.assert_allclose(measured.mean[1, :, i, 0], tasks[:, 1].mean(), rtol=1e-14)
        np.testing.assert_allclose(measured.mean[2, :, i, 0], tasks[0, 1], rtol=1e-14)
        assert tasks[:, 1].min() > 0.7
    assert measured.mean.shape == measured.standard_error.shape == (3, 5, 2, 3)
    assert measured.draws == SMALL.draws
    assert (measured.standard_error[:, :, :, 0] == 0).all()
    assert (measured.standard_error[0, :, :, 1] > 0).all()
    heads = SMALL.groups.index("heads")
    # Without heads nothing is decided: half of the answers are right, at log 2 each.
    np.testing.assert_allclose(measured.mean[0, heads, :, 2], math.log(2), rtol=1e-14)
    np.testing.assert_array_equal(measured.mean[1:, heads, :, 2], 0.5)


def test_each_group_is_hit_alone_and_all_are_hit_with_the_same_draws(
    data: LabelledInputs, model: convolutional.Trained
) -> None:
    parameters = {name: W[0] for name, W in model.parameters.items()}
    images, y = image_tasks.held_out(data, 3, SMALL, 8)
    copies = convolutional._copies("additive-noise", (0.0, 0.3), parameters, 8, 4)
    measured = convolutional.measure(data, model, SMALL, "additive-noise", (0.0, 0.3))
    for g, group in enumerate(SMALL.groups):
        risks = []
        for copy in range(4, 8):
            hit = {
                name: W[copy] for name, W in copies.items() if group in ("all", name.split(".")[0])
            }
            with jax.enable_x64(True):
                logits = np.asarray(FORWARD(parameters | hit, SMALL.layers, images))
            losses = np.log1p(np.exp(-y * logits), where=y != 0, out=np.zeros_like(y))
            risks.append((losses.sum(axis=0) / (y != 0).sum(axis=0)).mean())
        # Sums of some hundred terms in another order.
        assert measured.mean[0, g, 0, 1] == pytest.approx(np.mean(risks), rel=1e-12)
        error = np.std(risks, ddof=1) / 2
        assert measured.standard_error[0, g, 0, 1] == pytest.approx(error, rel=1e-9)
    assert len({*measured.mean[0, :, 0, 1]}) == len(SMALL.groups)


def test_networks_of_a_seed_share_all_but_the_number_of_tasks(data: LabelledInputs) -> None:
    few = replace(SMALL, samples=90)
    single, three = (convolutional.initial(SMALL, (8, 8, 1), T, 5) for T in (1, 3))
    for name in single:
        np.testing.assert_array_equal(single[name], three[name][: len(single[name])])
    alone, labels = training_samples(data, 1, few, "divided", 5)
    shared, shared_labels = training_samples(data, 3, few, "divided", 5)
    first = np.arange(shared.size).reshape(shared.shape) % 3 == 0
    assert alone.shape == shared.shape == (few.steps, few.batch)
    assert set(shared[first]) < set(alone.flat)
    np.testing.assert_array_equal(data.train_labels[alone], np.where(labels > 0, 6, 5))
    np.testing.assert_array_equal(
        data.train_labels[shared[first]], np.where(shared_labels[first] > 0, 6, 5)
    )
    few = replace(SMALL, test_images=7)
    tests = [image_tasks.held_out(data, T, few, 5) for T in (1, 3)]
    np.testing.assert_array_equal((tests[1][1] != 0).sum(axis=0), 14)
    assert not np.array_equal(tests[0][0], image_tasks.held_out(data, 1, few, 14)[0])
    common = tests[1][1][:, 0] != 0
    np.testing.assert_array_equal(tests[0][0], tests[1][0][common])
    np.testing.assert_array_equal(tests[0][1][:, 0], tests[1][1][common, 0])


def test_budgets(data: LabelledInputs) -> None:
    assert [SMALL.per_task(T, "divided") for T in (1, 3)] == [(900, 30), (300, 30)]
    assert [SMALL.per_task(T, "each") for T in (1, 3)] == [(300, 10), (300, 30)]
    few = replace(SMALL, samples=60, batch=15)
    for budget, each in (("divided", 60), ("each", 20)):
        chosen, _ = training_samples(data, 1, few, budget, 0)
        assert chosen.shape == (16, 15 if budget == "divided" else 5)
        # Every pass shuffles the same samples.
        passes = chosen.reshape(-1, each)
        assert {len(set(rows)) for rows in passes} == {each}
        assert set(passes[0]) == set(passes[-1])
        assert list(passes[0]) != list(passes[-1])


def test_under_each_a_task_has_the_data_it_has_alone(data: LabelledInputs) -> None:
    alone, labels = training_samples(data, 1, SMALL, "each", 2)
    among, among_labels = training_samples(data, 3, SMALL, "each", 2)
    np.testing.assert_array_equal(among[:, ::3], alone)
    np.testing.assert_array_equal(among_labels[:, ::3], labels)


def test_the_same_seed_gives_the_same_bits_in_any_company(
    data: LabelledInputs, model: convolutional.Trained
) -> None:
    other = convolutional.train(data, 3, SMALL, "divided", (0, 4))
    for name, W in other.parameters.items():
        np.testing.assert_array_equal(W[0], model.parameters[name][1])
        assert not np.array_equal(W[1], model.parameters[name][0])
    assert 0 < other.last_change[0] == model.last_change[1] < 0.5


def test_a_training_step_is_traced_once(data: LabelledInputs) -> None:
    convolutional.train(data, 3, replace(SMALL, epochs=1), "divided", (0, 1))
    before = convolutional._step._cache_size()
    convolutional.train(data, 3, replace(SMALL, epochs=2), "divided", (3, 4))
    assert convolutional._step._cache_size() == before


def test_training_that_diverges_is_said(data: LabelledInputs) -> None:
    far = replace(SMALL, learning_rate=1e200, epochs=1)
    with pytest.raises(UserError, match=r"diverged: lower learning_rate = 1e\+200"):
        convolutional.train(data, 3, far, "divided", (0, 1))


def test_rows(data: LabelledInputs) -> None:
    networks = replace(
        SMALL, T=(3,), failures=("weight-deletion", "quantisation"), budgets=("each",)
    )
    (batch,) = batches(networks, [DataSource("digits")])
    table = list(rows(batch, networks, range(3, 5), data))
    strengths = [len(STRENGTHS[name]) for name in networks.failures]
    assert len(table) == 2 * 5 * sum(strengths)
    assert {row["seed"] for row in table} == {3, 4}
    assert len({row["identity"] for row in table}) == 2
    assert {row["draws"] for row in table if row["perturbation"] == "quantisation"} == {1}
    assert {row["options"] for row in table} == {'{"samples": "each"}'}
    for row in table:
        if row["strength"] == harmless(row["perturbation"]):
            assert row["risk_measured"] == pytest.approx(row["risk_clean"], rel=1e-12)
            assert row["standard_error"] == row["accuracy_standard_error"] == 0
    keys = ("identity", "group", "perturbation", "strength")
    assert len({tuple(row[key] for key in keys) for row in table}) == len(table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"T": (0,)}, "T = 0 of image networks"),
        ({"T": ()}, "T =  of image networks"),
        ({"channels": ()}, "channels"),
        ({"hidden": 0}, "hidden = 0"),
        ({"draws": 1}, "at least 2"),
        ({"learning_rate": math.inf}, "finite number > 0"),
        ({"samples": 2}, "samples = 2, batch = 30 for T = 3"),
        ({"budgets": ("half",)}, "unknown budget 'half': choose from divided, each"),
        ({"failures": ("rust",)}, "unknown failure of networks 'rust'"),
        ({"failures": ()}, "no failure of networks is named"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(change: dict[str, object], message: str) -> None:
    SMALL.check()
    with pytest.raises(UserError, match=message) as caught:
        replace(SMALL, **change).check()  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_inputs_that_are_no_square_images_or_too_few_classes(data: LabelledInputs) -> None:
    assert image_shape(data) == (8, 8, 1)
    assert image_shape(replace(data, train_inputs=np.zeros((2, 48)))) == (4, 4, 3)
    for inputs in (np.zeros((2, 50)), csr_array((2, 64))):
        with pytest.raises(UserError, match="no square image of 1 or 3 channels"):
            image_shape(replace(data, train_inputs=inputs))
    ImageNetworks().check_data(data)
    with pytest.raises(UserError, match="10 classes make 9 pairs; lower --T"):
        replace(SMALL, T=(10,)).check_data(data)


def test_configuring_imports_no_jax() -> None:
    code = "import sys, sim.experiments.networks.rows; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
