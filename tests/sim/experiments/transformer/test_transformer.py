"""The small transformer: its teacher, its training, its bottleneck as the theory's linear model, and its rows."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

from sim.experiments.transformer import model as module
from sim.experiments.transformer.bottleneck import Bottleneck
from sim.experiments.transformer.config import Architecture, TransformerBatch, TransformerTasks
from sim.experiments.transformer.model import features, risk, sequences, teacher_features, train
from sim.experiments.transformer.rows import rows
from sim.runs.errors import UserError
from sim.table import tidy
from tests.places import ROOT
from theory.geometry import sample
from theory.representation import optimal_representation

pytestmark = pytest.mark.usefixtures("soon_compiled")

NET = Architecture(vocabulary=3, length=3, layers=1, steps=400)
TASKS = TransformerTasks(
    geometries=("sphere", "equicorrelated"),
    T=(2, 4),
    d=6,
    k=2,
    seeds=2,
    architecture=NET,
    perturbations=("additive-noise", "weight-deletion", "magnitude-pruning"),
    draws=200,
    sigmas=(1e-3, 0.5),
    pairs=64,
    probes=64,
)
T_MOST = 4


def targets(T: int = 3, seeds: int = 4) -> np.ndarray:
    """(seeds, sequences, T_MOST), tasks on a sphere and zero tasks after the first T."""
    made = [teacher_features(NET, 6, seed) @ sample("sphere", 6, T, seed) for seed in range(seeds)]
    return np.pad(np.stack(made), ((0, 0), (0, 0), (0, T_MOST - T)))


def keys(n: int = 4, seed: int = 0) -> jax.Array:
    return jax.random.split(jax.random.key(seed), n)


@cache
def trained() -> module.Trained:
    return train(NET, targets(), 3, 6, 2, keys())


def model(stack: module.Trained, i: int) -> dict[str, Any]:
    return jax.tree.map(lambda leaf: leaf[i], stack.parameters)


RISK, FEATURES = jax.jit(partial(risk, NET)), jax.jit(partial(features, NET))


def network_risk(parameters: dict[str, Any], y: np.ndarray) -> float:
    with jax.enable_x64(True):
        return float(RISK(parameters, y, 3.0))


def network_features(parameters: dict[str, Any]) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(FEATURES(parameters))


def test_the_teacher_s_features_are_uncorrelated_functions_of_neighbours() -> None:
    net = replace(NET, length=4)
    f, tokens = teacher_features(net, 6, 0), sequences(net)
    assert len(f) == len(np.unique(tokens, axis=0)) == 3**4
    np.testing.assert_allclose(f.mean(axis=0), 0, atol=1e-14)
    # Left singular vectors, orthonormal to a few eps.
    np.testing.assert_allclose(f.T @ f / len(f), np.eye(6), atol=1e-13)
    # Places 0 and 3 are no neighbours: what changing the one adds does not depend on the other.
    at = {tuple(t): row for t, row in zip(tokens.tolist(), f, strict=True)}
    far = at[1, 0, 0, 1] - at[0, 0, 0, 1] - at[1, 0, 0, 0] + at[0, 0, 0, 0]
    near = at[1, 1, 0, 0] - at[0, 1, 0, 0] - at[1, 0, 0, 0] + at[0, 0, 0, 0]
    np.testing.assert_allclose(far, 0, atol=1e-13)
    assert np.abs(near).max() > 0.1
    assert not np.allclose(f, teacher_features(net, 6, 1))


def test_training_learns_and_keeps_its_promises() -> None:
    stack = trained()
    for i, y in enumerate(targets()):
        p = model(stack, i)
        np.testing.assert_allclose(p["W"] @ p["W"].T, np.eye(2), atol=1e-14)  # Cholesky, 2 rows
        assert not p["heads"][:, 3:].any()
        mean_squares = (stack.features[i] ** 2).mean(axis=1)
        # A norm without gain; NORM_EPS shortens features whose mean square before it is not large beside 1e-6.
        assert (mean_squares <= 1).all()
        assert mean_squares.min() > 0.99
        assert network_risk(p, y) < 0.7 * (y**2).sum() / (3 * len(y))


def test_the_bottleneck_s_risk_is_the_network_s() -> None:
    """Cached features with failed weights give what the whole network gives, targets padded or not."""
    stack, W = trained(), np.random.default_rng(0).standard_normal((2, 6))
    for i, y in enumerate(targets()):
        p = model(stack, i)
        net = Bottleneck.fitted(stack.features[i], y[:, :3])
        for weights in (p["W"], W):
            whole = network_risk(p | {"W": weights}, y)
            # Two orders of summation over 81 squares.
            assert net.risk(weights, p["heads"][:, :3]) == pytest.approx(whole, rel=1e-12)


def test_features_see_every_place_and_the_order() -> None:
    p = model(trained(), 0)
    phi = network_features(p)
    tokens = sequences(NET)
    at = {tuple(t): row for t, row in zip(tokens.tolist(), phi, strict=True)}
    for place in range(3):
        other = [0, 0, 0]
        other[place] = 1
        assert np.abs(at[tuple(other)] - at[0, 0, 0]).max() > 1e-2
    assert np.abs(at[0, 1, 2] - at[2, 1, 0]).max() > 1e-2


def test_every_place_attends_to_every_place_of_its_own_sequence() -> None:
    weights = model(trained(), 0)["layer-0.attention"]
    x = np.random.default_rng(0).standard_normal((2, 3, 6))
    moved = x.copy()
    moved[0, 2] += 1
    with jax.enable_x64(True):
        attention = jax.jit(partial(module._attention, network=NET))
        unmoved, two = (np.asarray(attention(weights, v)) for v in (x, moved))
    changed = np.abs(two - unmoved).max(axis=-1)
    assert (changed[0] > 1e-3).all()
    assert not changed[1].any()


def test_models_do_not_depend_on_their_batch() -> None:
    """One program gives a model the same bits, whatever else it trains."""
    together = trained()
    data = np.array(jax.random.key_data(keys(seed=1)))
    data[1] = jax.random.key_data(keys())[1]
    y, key = targets(seeds=8)[4:], jax.random.wrap_key_data(data)
    y[1] = targets()[1]
    among_others = train(NET, y, 3, 6, 2, key)
    assert among_others.features[1].tobytes() == together.features[1].tobytes()
    assert np.abs(among_others.features[0] - together.features[0]).max() > 0.1


def test_models_do_not_depend_on_their_padding() -> None:
    """They begin with the same bits, and have the same gradient but for rounding; a step of Adam is elementwise.

    Where 400 steps in float32 end is no measure: they carry the rounding of another order of summation, that of a
    product with 3 columns instead of 4, from 1e-9 after one step to 1e-3, more or less with the instructions that a
    CPU has.
    """
    key = keys()[1]
    wide, narrow = (module._initial(NET, 6, 2, T, key) for T in (T_MOST, 3))
    assert not wide.pop("heads").any()
    assert not narrow.pop("heads").any()
    jax.tree.map(np.testing.assert_array_equal, wide, narrow)
    rng, gradient = np.random.default_rng(0), jax.jit(partial(module.gradient, NET))
    with jax.enable_x64(True):
        for i, y in enumerate(targets()):
            p = model(trained(), i) | {
                "heads": np.pad(rng.standard_normal((2, 3)), ((0, 0), (0, 1)))
            }
            padded = gradient(p, y, 3.0)
            p["heads"] = p["heads"][:, :3]
            bare = gradient(p, y[:, :3], 3.0)
            heads = np.asarray(padded["heads"])
            assert not heads[:, 3:].any()
            padded["heads"] = heads[:, :3]
            pairs = zip(jax.tree.leaves(padded), jax.tree.leaves(bare), strict=True)
            for leaf, other in pairs:
                # Sums over 81 sequences of 3 places, in another order.
                rounding = 64 * np.finfo(float).eps * 81 * 3 * np.abs(np.asarray(other)).max()
                np.testing.assert_allclose(leaf, other, rtol=0, atol=rounding)


def test_same_keys_same_bits_and_one_program_for_all_T() -> None:
    first = trained()
    compiled = module._train._cache_size()
    two = train(NET, targets(), 3, 6, 2, keys())
    train(NET, targets(T=2), 2, 6, 2, keys())
    other = train(NET, targets(), 3, 6, 2, keys(seed=1))
    assert module._train._cache_size() == compiled
    assert first.features.tobytes() == two.features.tobytes()
    assert np.abs(other.features - first.features).max() > 0.1


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    TASKS.check()
    return pd.concat(
        [tidy(list(rows(batch, TASKS))) for batch in TASKS.batches()], ignore_index=True
    )


def test_rows_are_those_of_the_grid(table: pd.DataFrame) -> None:
    models = table.drop_duplicates("identity")
    assert len(models) == 2 * 2 * 2
    assert set(table.group) == {"W", *NET.groups}
    assert NET.groups == ("embedding", "layer-0.attention", "layer-0.mlp")
    assert len(table) == len(models) * (5 + 5 + 5 + 3 * 2)
    assert set(table.network) == {"transformer"}
    assert set(table.inputs) == {"tokens"}
    assert json.loads(models.options.iloc[0])["vocabulary"] == 3


def test_measured_risk_is_the_exact_formula_in_every_row(table: pd.DataFrame) -> None:
    of_W = table[table.group == "W"]
    off = (of_W.risk_measured - of_W.risk_closed_form).abs()
    # 5 standard errors: chance 6e-7 each, 80 comparisons, seeds fixed; rounding where nothing is random.
    assert (off <= 5 * of_W.standard_error + 1e-12 * of_W.risk_zero).all()
    noisy = of_W[(of_W.perturbation == "additive-noise") & (of_W.strength > 0)]
    exact = noisy.slope_measured + (noisy.risk_closed_form - noisy.risk_measured) * (
        noisy.slope_measured / (noisy.risk_measured - noisy.risk_clean)
    )
    # The same sums in another order, relative to a damage that is a hundredth of the risk or more.
    np.testing.assert_allclose(exact, noisy.slope_trained, rtol=1e-9)
    assert table[table.group != "W"].risk_closed_form.isna().all()


def test_the_optimum_is_that_of_the_trained_features(table: pd.DataFrame) -> None:
    """400 steps of Adam end near it, above its risk and within some per cent of its slope (largest here: 3 %)."""
    models = table[table.group == "W"].drop_duplicates("identity")
    assert (models.residual > 0).all()
    assert (models.residual < 1e-3).all()
    assert models.converged.all()
    assert (np.abs(models.slope_trained / models.slope_closed_form - 1) < 0.05).all()


def test_small_noise_grows_the_risk_as_the_curvature_says(table: pd.DataFrame) -> None:
    groups = table[table.group != "W"]
    small = groups[groups.strength == 1e-3]
    off = small.slope_measured - small.slope_curvature
    error = np.hypot(small.slope_standard_error, small.slope_curvature_standard_error)
    # Errors estimated from 64 samples of skewed sums of squares: 5 of them, in 24 comparisons.
    assert (off.abs() < 5 * error).all()
    assert (error < 0.5 * small.slope_curvature.abs()).mean() > 0.9
    large = groups[groups.strength == 0.5]
    gone = (large.slope_measured.to_numpy() / small.slope_measured.to_numpy() - 1) ** 2
    assert np.median(gone) > 0.1**2  # and large noise does not


def test_rows_do_not_depend_on_the_rest_of_the_sweep(table: pd.DataFrame) -> None:
    """A batch that is done again, after a kill, gives the same rows."""
    again = tidy(list(rows(TransformerBatch(4), TASKS))).drop(
        columns=["seconds", "seconds_compiling"]
    )
    before = (
        table[table["T"] == 4].drop(columns=["seconds", "seconds_compiling"]).reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(again, before, check_exact=True)


@pytest.mark.slow
def test_trained_to_the_end_it_is_near_the_optimum() -> None:
    net = Architecture()
    C = [sample(geometry, 16, 8, 0) for geometry in ("orthonormal", "power-law")]
    y = np.stack([teacher_features(net, 16, 0) @ c for c in C])
    stack = train(net, y, 8, 16, 4, keys(2))
    for i, c in enumerate(C):
        net_i, p = Bottleneck.fitted(stack.features[i], y[i]), model(stack, i)
        best = optimal_representation(net_i.C, 4, covariance=net_i.covariance)
        # What 800 steps of Adam reach: 1e-5 of the risk and 1 % of the slope, with a margin of ten and of three.
        assert net_i.risk(p["W"], p["heads"]) - net_i.unexplained - best.risk < 1e-4
        assert (p["heads"] ** 2).sum() / 8 == pytest.approx(best.slope, rel=0.03)
        # The network found the features that the teacher's optimum uses.
        assert net_i.unexplained + best.risk == pytest.approx(
            optimal_representation(c, 4).risk, abs=0.01
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"T": (3,)}, "k = 4 exceeds min(d, T) = 3: lower --k"),
        ({"T": ()}, "too few T"),
        ({"T": (4, 20)}, "no orthonormal tasks exist for d = 16, T = 20"),
        ({"geometries": ("sphere", "spere")}, "unknown geometry 'spere': choose from orthonormal"),
        ({"geometries": ()}, "no geometry named"),
        ({"perturbations": ("adversarial-spectral",)}, "unknown failure of the bottleneck"),
        ({"d": 17}, "--d 17 does not divide into 2 attention heads: give a multiple of 2"),
        ({"d": 40}, "d = 40 exceeds the 39 independent features"),
        ({"draws": 1}, "draws = 1: a standard error needs two"),
        ({"probes": 1}, "probes = 1"),
        ({"seed": -1}, "--seed -1"),
        ({"sigmas": (0.0,)}, "sigmas must be finite numbers > 0"),
        ({"architecture": Architecture(vocabulary=1)}, "too few tokens in the vocabulary"),
        ({"architecture": Architecture(length=9)}, "4^9 sequences are too many"),
        ({"architecture": Architecture(steps=0)}, "too few steps"),
        ({"architecture": Architecture(learning_rate=0.0)}, "learning rate"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    change: dict[str, Any], message: str
) -> None:
    TransformerTasks().check()
    with pytest.raises(UserError) as error:
        replace(TransformerTasks(), **change).check()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_bound_on_features_is_the_rank_of_the_teacher() -> None:
    """At the most features that check() allows the teacher still has that many, and no more exist."""
    tokens = sequences(NET)
    onehot = np.eye(3)[tokens]
    pairs = np.einsum("nia,nib->niab", onehot[:, :-1], onehot[:, 1:]).reshape(len(tokens), -1)
    assert np.linalg.matrix_rank(pairs - pairs.mean(axis=0)) == 3 * 2 + 2 * 2**2


def test_the_configuration_needs_no_jax() -> None:
    script = "import sys, sim.experiments.transformer.config; sys.exit('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=6000, check=False)
    assert done.returncode == 0
