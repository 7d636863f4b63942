"""Failures of groups of a GPT's parameters: what they reach, what they draw, what the text then loses."""

import math
from dataclasses import replace
from itertools import product

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.gpt.config import ModelConfig
from neural.gpt.model import logits, shapes, states
from neural.gpt.parts import groups_of, names_of
from neural.measures import perturb
from neural.measures.perturb import FAILURES, GLOBAL, curve, failed
from neural.measures.scoring import Sliding, score
from neural.text.tokens import Tokens
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message
from tests.strategies import seeded

pytestmark = pytest.mark.usefixtures("soon_compiled")

MODEL = ModelConfig(layers=2, width=8, heads=2, context=8, vocabulary=11)
UNTIED = replace(MODEL, tied=False)
SHALLOW = replace(MODEL, layers=1)
"""Half as much to compile, where a second layer is nothing new."""
PARAMETERS, OF_SHALLOW = random_parameters(MODEL), random_parameters(SHALLOW)
RANDOM = [name for name in FAILURES if perturb.is_random(name)]
CERTAIN = [name for name in FAILURES if name not in RANDOM]
STRENGTHS = dict.fromkeys(FAILURES, 0.4) | dict.fromkeys(["quantisation"], 3.0)
STRENGTHS["quantisation-per-channel"] = 3.0
KEYS = np.zeros(400, np.int64), np.arange(400, dtype=np.uint32)
"""Of one owner, 400 blocks."""
TOKENS = np.random.default_rng(3).integers(11, size=(3, 8))
LOGITS, STATES = (jax.jit(function, static_argnums=2) for function in (logits, states))
ROUNDING = 1e-5
"""Relative, of float32 sums of some tens of losses that are computed in batches of other shapes."""


def stack(*seeds):
    models = [random_parameters(SHALLOW, seed) for seed in seeds]
    return {name: np.stack([model[name] for model in models]) for name in models[0]}


WHOLE = {
    "head-deletion": ("attention", "all", "layer-0"),
    "unit-deletion": ("mlp", "all", "layer-0"),
    "channel-deletion": ("all",),
}
CASES = [
    pytest.param(
        *(failure, group),
        # Every failure, and every group, by default: a group only chooses the tensors.
        marks=() if group == "all" or failure == "weight-deletion" else pytest.mark.slow,
    )
    for failure in FAILURES
    for group in WHOLE.get(failure, groups_of(SHALLOW))
]
KINDS = ("weight-deletion", "additive-noise-relative", "head-deletion", GLOBAL, "quantisation")
"""One failure of each kind: what draws uniform or normal numbers, structures, all tensors together, none."""


def of_each_kind(failures):
    """The failures, of which only one of each kind is looked at by default."""
    return [
        pytest.param(failure, marks=() if failure in KINDS else pytest.mark.slow)
        for failure in failures
    ]


def hit(failure):
    """A group that the failure hits, and the model: two heads alone would have few ways to fail."""
    config = MODEL if failure == "head-deletion" else SHALLOW
    return {"group": WHOLE.get(failure, ("mlp",))[0], "config": config}


def broken(group, failure, strength=None, parameters=None, config=SHALLOW, **options):
    """The tensors that are hit alone."""
    parameters = random_parameters(config) if parameters is None else parameters
    strength = STRENGTHS[failure] if strength is None else strength
    tensors = failed(parameters, config, group, failure, strength, **options)
    names = perturb.hit_by(failure, group, config)
    return {name: np.asarray(tensors[name]) for name in names}


# Groups


def test_groups_are_their_names():
    assert groups_of(MODEL) == ("attention", "mlp", "embeddings", "all", "layer-0", "layer-1")
    assert names_of("all", MODEL) == tuple(shapes(MODEL))
    attention = ("c_attn.weight", "c_attn.bias", "c_proj.weight", "c_proj.bias")
    assert names_of("attention", MODEL) == tuple(
        f"h.{layer}.attn.{part}" for layer in (0, 1) for part in attention
    )
    assert all(".mlp." in name for name in names_of("mlp", MODEL))
    assert len(names_of("mlp", MODEL)) == 8
    assert names_of("embeddings", MODEL) == ("wte.weight", "wpe.weight")
    assert names_of("embeddings", UNTIED) == ("wte.weight", "wpe.weight", "lm_head.weight")
    assert len(names_of("layer-1", MODEL)) == 12
    assert all(name.startswith("h.1.") for name in names_of("layer-1", MODEL))


def test_layer_one_is_not_layer_ten():
    deep = replace(MODEL, layers=11)
    assert all(name.startswith("h.1.") for name in names_of("layer-1", deep))


@pytest.mark.parametrize(
    ("group", "failure", "strength", "options", "said"),
    [
        (
            "attn",
            "weight-deletion",
            0.1,
            {},
            "choose from attention, mlp, embeddings, all, layer-0",
        ),
        ("layer-2", "weight-deletion", 0.1, {}, "unknown group of parameters 'layer-2'"),
        ("all", "rust", 0.1, {}, "unknown failure 'rust': choose from additive-noise"),
        ("all", "neuron-deletion", 0.1, {}, "unknown failure 'neuron-deletion'"),
        ("mlp", "head-deletion", 0.1, {}, "choose attention, all, layer-0, layer-1"),
        ("layer-0", "channel-deletion", 0.1, {}, "of layer-0, which does not hold them whole"),
        ("all", "weight-deletion", 1.5, {}, "p = 1.5: a share lies between 0 and 1"),
        ("all", GLOBAL, 1.5, {}, "magnitude-pruning-global: fraction = 1.5"),
        ("all", "quantisation", 1.0, {}, "a signed integer has 2"),
        ("all", "weight-deletion", 0.1, {"draws": 0}, "draws 0: give a whole number >= 1"),
        ("all", "weight-deletion", 0.1, {"seed": -1}, "give whole numbers >= 0"),
    ],
)
def test_what_cannot_fail_is_said_in_a_line(group, failure, strength, options, said):
    assert said in message(failed, PARAMETERS, MODEL, group, failure, strength, **options)


# What is broken


@pytest.mark.parametrize(("failure", "group"), CASES)
def test_strength_zero_is_the_identity_and_more_changes_every_tensor(failure, group):
    clean, copies = OF_SHALLOW, 3 if failure in RANDOM else 1
    for strength in (perturb.harmless(failure), STRENGTHS[failure]):
        tensors = failed(clean, SHALLOW, group, failure, strength, draws=3)
        names = perturb.hit_by(failure, group, SHALLOW)
        assert list(tensors) == list(shapes(SHALLOW))
        for name, before in clean.items():
            after = np.asarray(tensors[name])
            if name not in names:
                assert tensors[name] is before
                continue
            assert after.dtype == np.float32
            assert after.shape == (copies, *before.shape)
            if strength == perturb.harmless(failure):
                assert after.tobytes() == np.stack([before] * copies).tobytes()
            else:
                # What is rounded per channel keeps a bias, or a layer norm: one weight a channel.
                alone = failure == "quantisation-per-channel" and before.ndim == 1
                assert np.allclose(after, before, rtol=1e-6, atol=0) == alone, name


@pytest.mark.parametrize("failure", ["magnitude-pruning", "largest-deletion"])
@pytest.mark.parametrize("fraction", [0.0, 0.29, 0.5, 1.0])
def test_shares_of_each_tensor_are_counted_and_ties_broken_by_index(failure, fraction):
    tied = {name: np.ones(shape, np.float32) for name, shape in shapes(SHALLOW).items()}
    for name, (value,) in broken("all", failure, fraction, tied).items():
        # Neurons come first in the order of a tensor: columns of a dense layer.
        dense = ".c_" in name and name.endswith(".weight")
        row = (value.T if dense else value).reshape(-1)
        count = round(1e6 * fraction) * row.size // 10**6
        np.testing.assert_array_equal(row, np.arange(row.size) >= count)


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.29, 0.5, 0.999, 1.0])
def test_a_share_of_all_weights_is_counted_and_ties_broken_by_index(fraction):
    tied = {name: np.full_like(value, 0.5) for name, value in PARAMETERS.items()}
    tensors = broken("attention", GLOBAL, fraction, tied, MODEL)
    row = np.concatenate([value.reshape(-1) for value in tensors.values()])
    assert row.size == 2 * (8 * 24 + 24 + 64 + 8)
    count = round(1e6 * fraction) * row.size // 10**6
    np.testing.assert_array_equal(row == 0.5, np.arange(row.size) >= count)


def test_a_share_of_a_million_is_counted():
    """In float32 this fraction of them rounds to one weight less: in the program it has its float64."""
    large = ModelConfig(layers=1, width=4, heads=1, context=5, vocabulary=250_000)
    tied = {name: np.ones(shape, np.float32) for name, shape in shapes(large).items()}
    fraction, size = 500_053 / 1_000_020, 1_000_020
    assert math.floor(np.float32(fraction) * np.float32(size)) == 500_052
    tensors = failed(tied, large, "embeddings", GLOBAL, fraction)
    lost = sum(
        int((np.asarray(tensors[name]) == 0).sum()) for name in names_of("embeddings", large)
    )
    assert lost == 500_053


def test_global_pruning_takes_the_least_of_all():
    tensors = broken("mlp", GLOBAL, 0.6)
    clean = np.concatenate([OF_SHALLOW[name].reshape(-1) for name in tensors])
    row = np.concatenate([value.reshape(-1) for value in tensors.values()])
    np.testing.assert_array_equal(row, np.where(row != 0, clean, 0))
    assert (row == 0).sum() == math.floor(0.6 * row.size)
    assert np.abs(clean[row == 0]).max() < np.abs(row[row != 0]).min()


def test_absolute_noise_has_the_same_size_everywhere_and_relative_that_of_each_tensor():
    scaled = {name: (1 + i) * value for i, (name, value) in enumerate(OF_SHALLOW.items())}
    for failure in ("additive-noise", "additive-noise-relative"):
        for name, value in broken("layer-0", failure, 0.3, scaled, draws=400).items():
            unit = scaled[name].std() if failure.endswith("relative") else 1.0
            noise = (value - scaled[name]) / unit
            # n draws know a standard deviation to 1 / sqrt(2 n), and their mean to 1 / sqrt(n): 5 of those errors.
            assert noise.std() == pytest.approx(0.3, rel=5 / math.sqrt(2 * noise.size))
            assert abs(noise.mean()) < 0.3 * 5 / math.sqrt(noise.size)


def test_noise_multiplies():
    for name, value in broken("layer-0", "multiplicative-noise", 0.3, draws=400).items():
        noise = value / OF_SHALLOW[name] - 1
        assert noise.std() == pytest.approx(0.3, rel=5 / math.sqrt(2 * noise.size))


@pytest.mark.parametrize("rescaled", [False, True])
def test_weights_are_deleted_one_by_one(rescaled):
    failure = "weight-deletion-rescaled" if rescaled else "weight-deletion"
    tensors = broken("attention", failure, 0.25, draws=200)
    for name, value in tensors.items():
        lost = value == 0
        kept = OF_SHALLOW[name] / np.float32(0.75) if rescaled else OF_SHALLOW[name]
        # A quotient is rounded once, and once more where it is a product with the reciprocal.
        np.testing.assert_allclose(value, np.where(lost, 0, kept), rtol=3e-7)
        # Fair draws of n: 5 standard deviations.
        assert lost.mean() == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / lost.size))


def test_rounding_has_a_scale_for_a_tensor_or_for_each_of_its_outputs():
    (whole,) = broken("mlp", "quantisation", 3.0)["h.0.mlp.c_fc.weight"]
    (each,) = broken("mlp", "quantisation-per-channel", 3.0)["h.0.mlp.c_fc.weight"]
    clean = OF_SHALLOW["h.0.mlp.c_fc.weight"]
    for value, step in ((whole, np.abs(clean).max() / 3), (each, np.abs(clean).max(axis=0) / 3)):
        np.testing.assert_allclose(value, np.round(clean / step) * step, rtol=1e-6)
    assert len(np.unique(np.abs(whole))) <= 4
    assert len(np.unique(np.abs(each))) > 32


# Structures


def random_biased():
    return {name: value + np.float32(0.1) for name, value in PARAMETERS.items()}


def by_hand(failure, owner, neuron):
    """The parameters with one head, unit or channel set to zero, entry by entry."""
    tensors = {name: value.copy() for name, value in random_biased().items()}
    if failure == "head-deletion":
        columns = [part * 8 + neuron * 4 + e for part in range(3) for e in range(4)]
        tensors[f"{owner}.attn.c_attn.weight"][:, columns] = 0
        tensors[f"{owner}.attn.c_attn.bias"][columns] = 0
        tensors[f"{owner}.attn.c_proj.weight"][neuron * 4 : neuron * 4 + 4] = 0
    elif failure == "unit-deletion":
        tensors[f"{owner}.mlp.c_fc.weight"][:, neuron] = 0
        tensors[f"{owner}.mlp.c_fc.bias"][neuron] = 0
        tensors[f"{owner}.mlp.c_proj.weight"][neuron] = 0
    else:
        for name, value in tensors.items():
            if name in ("wte.weight", "wpe.weight") or "c_proj" in name:
                value[..., neuron] = 0
    return tensors


@pytest.mark.parametrize(
    ("failure", "neurons"), [("head-deletion", 2), ("unit-deletion", 32), ("channel-deletion", 8)]
)
def test_heads_units_and_channels_are_lost_whole(failure, neurons):
    """Every copy is the model with those structures zeroed by hand of which it has lost any weight."""
    clean, draws = random_biased(), 40
    owners = ("",) if failure == "channel-deletion" else ("h.0", "h.1")
    tensors = failed(clean, MODEL, "all", failure, 0.3, seed=1, draws=draws)
    tensors = {name: np.asarray(tensors[name]) for name in perturb.hit_by(failure, "all", MODEL)}
    expected = {name: np.stack([clean[name]] * draws) for name in tensors}
    lost = []
    for owner, neuron in product(owners, range(neurons)):
        alone = by_hand(failure, owner, neuron)
        parts = {name: alone[name] != clean[name] for name in clean}
        assert {name for name, part in parts.items() if part.any()} <= set(tensors)
        gone = np.array(
            [any((tensors[n][i][parts[n]] == 0).any() for n in tensors) for i in range(draws)]
        )
        for name, value in expected.items():
            value[np.ix_(gone)] = np.where(parts[name], 0, value[np.ix_(gone)])
        lost.append(gone)
    for name, value in expected.items():
        np.testing.assert_array_equal(tensors[name], value)
    # Fair draws: 5 standard deviations.
    assert np.mean(lost) == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / np.size(lost)))


@pytest.mark.parametrize(
    ("failure", "neurons"), [("head-deletion", 2), ("unit-deletion", 32), ("channel-deletion", 8)]
)
def test_what_is_lost_has_no_effect_on_the_logits(failure, neurons):
    """Of the draws that lose one structure of the last block, the first: as zeroed by hand, and not by its input."""
    clean, channels = random_biased(), failure == "channel-deletion"
    group = "all" if channels else "layer-1"
    names = perturb.hit_by(failure, group, MODEL)
    copies = failed(clean, MODEL, group, failure, 1.2 / neurons, draws=40)
    rows = {"head-deletion": "h.1.attn.c_proj.weight", "unit-deletion": "h.1.mlp.c_proj.weight"}
    written = np.asarray(copies[rows.get(failure, "wpe.weight")])
    written = (written.swapaxes(1, 2) if channels else written).reshape(40, neurons, -1)
    lost = (written == 0).all(axis=-1)
    draw = int(np.flatnonzero(lost.sum(axis=1) == 1)[0])
    neuron = int(np.flatnonzero(lost[draw])[0])
    without = {
        name: np.asarray(value)[draw] if name in names else value for name, value in copies.items()
    }
    wanted = by_hand(failure, "" if channels else "h.1", neuron)
    expected = np.asarray(LOGITS(wanted, TOKENS, MODEL))
    np.testing.assert_array_equal(np.asarray(LOGITS(without, TOKENS, MODEL)), expected)
    assert not np.allclose(expected, np.asarray(LOGITS(clean, TOKENS, MODEL)))
    if channels:
        stream = np.asarray(STATES(without, TOKENS, MODEL))
        np.testing.assert_array_equal((stream == 0).all(axis=(0, 1, 2)), np.arange(8) == neuron)
    else:
        # Whatever its bias is, nothing of it is written.
        bias = "h.1.attn.c_attn.bias" if failure == "head-deletion" else "h.1.mlp.c_fc.bias"
        anything = without | {bias: np.where(wanted[bias] == 0, np.float32(3.0), without[bias])}
        np.testing.assert_array_equal(np.asarray(LOGITS(anything, TOKENS, MODEL)), expected)


# Draws


@pytest.mark.parametrize("failure", of_each_kind(RANDOM))
def test_draws_are_functions_of_seed_level_and_draw(failure):
    def all_of(**options):
        return broken(failure=failure, **hit(failure), **options)

    three = all_of(seed=5, level=2, draws=3)
    again, seven = all_of(seed=5, level=2, draws=3), all_of(seed=5, level=2, draws=7)
    alone = [all_of(seed=5, level=2, first=draw) for draw in range(3)]
    for name, value in three.items():
        assert value.tobytes() == again[name].tobytes() == seven[name][:3].tobytes()
        assert value.tobytes() == np.concatenate([copy[name] for copy in alone]).tobytes()
    others = [all_of(seed=6, level=2), all_of(seed=5, level=3), all_of(seed=2, level=5), alone[1]]
    for other in others:
        assert any((other[name][0] != value[0]).any() for name, value in three.items())


def test_tensors_draw_apart_and_strengths_and_groups_together():
    tensors = broken("attention", "additive-noise", 1.0, config=MODEL)
    noise, other = (
        tensors[f"h.{layer}.attn.c_attn.weight"][0] - PARAMETERS[f"h.{layer}.attn.c_attn.weight"]
        for layer in (0, 1)
    )
    # 192 pairs of independent normal numbers correlate by 1 / sqrt(192): 5 of those.
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 5 / math.sqrt(noise.size)
    within = broken("layer-0", "additive-noise", 1.0, config=MODEL)["h.0.attn.c_attn.weight"]
    np.testing.assert_array_equal(within, tensors["h.0.attn.c_attn.weight"])
    kept = [broken("attention", "weight-deletion", p, draws=4) for p in (0.3, 0.6)]
    for name, value in kept[0].items():
        assert ((value != 0) >= (kept[1][name] != 0)).all()


@seeded
@given(
    st.sampled_from(RANDOM),
    st.integers(0, 2**70),
    st.integers(0, 99),
    st.integers(0, 2**31),
    st.sampled_from([1, 3, 7]),
)
def test_a_draw_does_not_depend_on_its_company(failure, seed, level, first, draws):
    options = {"failure": failure, "seed": seed, "level": level, **hit(failure)}
    together = broken(first=first, draws=draws, **options)
    alone = broken(first=first + draws - 1, **options)
    for name, value in together.items():
        assert value[-1].tobytes() == alone[name][0].tobytes()


def test_losing_everything_leaves_nothing():
    for failure in ("weight-deletion", "head-deletion"):
        for value in broken(failure=failure, strength=1.0, draws=7, **hit(failure)).values():
            # A head has no bias of c_proj.
            assert not value.any()
    drawn = np.asarray(perturb._drawn("uniform", np.ones((1, 1, 2), np.uint32), *KEYS))
    assert drawn.dtype == np.float32
    assert 0 <= drawn.min() < 1e-4
    assert 1 - 1e-4 < drawn.max() < 1


# Stacks and programs


@pytest.mark.parametrize("failure", of_each_kind(FAILURES))
def test_a_stack_fails_as_each_of_its_models_with_the_same_draws(failure):
    models, group = stack(4, 5), WHOLE.get(failure, ("mlp",))[0]
    together = failed(models, SHALLOW, group, failure, STRENGTHS[failure], seed=3, level=1, draws=3)
    copies = 3 if failure in RANDOM else 1
    names = perturb.hit_by(failure, group, SHALLOW)
    for place in range(2):
        model = {name: value[place] for name, value in models.items()}
        alone = failed(model, SHALLOW, group, failure, STRENGTHS[failure], seed=3, level=1, draws=3)
        for name in shapes(SHALLOW):
            assert together[name].shape == (2 * copies, *model[name].shape)
            rows = np.asarray(together[name])[place * copies : (place + 1) * copies]
            wanted = np.broadcast_to(np.asarray(alone[name]), rows.shape)
            if name in names:
                # Products of a few factors of order 1, fused or not, and sums of squares in another order.
                np.testing.assert_allclose(rows, wanted, rtol=1e-6, atol=1e-6)
                np.testing.assert_array_equal(rows == 0, wanted == 0)
            else:
                np.testing.assert_array_equal(rows, wanted)


def test_one_program_serves_all_strengths_keys_and_models(monkeypatch):
    traces = []
    original = perturb._broken

    def counted(*arguments):
        traces.append(arguments[1])
        return original(*arguments)

    monkeypatch.setattr(perturb, "_broken", counted)
    config = replace(SHALLOW, width=4)  # of no other test: compiled programs are kept
    for failure in ("weight-deletion", GLOBAL):
        for seed, strength in enumerate((0.1, 0.7)):
            failed(
                *(random_parameters(config, seed), config, "mlp", failure, strength),
                seed=seed,
                level=seed,
                first=seed,
                draws=2,
            )
    assert traces == ["weight-deletion", GLOBAL]


# Curves


def text(*lengths):
    ids = np.random.default_rng(0).integers(0, 11, sum(lengths)).astype(np.uint16)
    return Tokens(ids, np.cumsum(lengths), 3 * np.array(lengths))


SLIDING = Sliding(8, 4)


@pytest.mark.parametrize(
    ("failure", "draws", "copies"),
    [("weight-deletion", 5, 2), ("weight-deletion", 2, 64), ("quantisation", 4, 2), (GLOBAL, 1, 1)],
)
def test_a_curve_is_the_score_of_each_copy(failure, draws, copies):
    models, tokens = stack(0, 1, 2), text(30, 9)
    strengths = (perturb.harmless(failure), STRENGTHS[failure])
    options = {"seed": 4, "draws": draws, "copies": copies, "at_once": 32}
    losses = curve(models, SHALLOW, tokens, SLIDING, "attention", failure, strengths, **options)
    draws = draws if failure in RANDOM else 1
    assert losses.nats.shape == (3, 2, draws)
    assert (losses.scored, losses.bytes) == (39, 117)
    clean = score(models, SHALLOW, tokens, SLIDING, batch=1).nats.sum(axis=-1)
    np.testing.assert_array_equal(losses.nats[:, 0], np.stack([clean] * draws, axis=1))
    for place in range(3):
        model = {name: value[place] for name, value in models.items()}
        for draw in range(draws):
            copy = failed(
                *(model, SHALLOW, "attention", failure, STRENGTHS[failure]),
                seed=4,
                level=1,
                first=draw,
            )
            nats = score(copy, SHALLOW, tokens, SLIDING, batch=4).nats.sum()
            assert losses.nats[place, 1, draw] == pytest.approx(nats, rel=ROUNDING)
    np.testing.assert_allclose(losses.nats_per_token, losses.nats / 39)
    np.testing.assert_allclose(losses.bits_per_byte, losses.nats / (117 * math.log(2)))


def test_a_curve_does_not_depend_on_how_it_is_cut():
    models, tokens = stack(0, 1), text(40)
    arguments = (models, SHALLOW, tokens, SLIDING, "mlp", "additive-noise", (0.0, 0.1, 0.5))
    whole = curve(*arguments, draws=4)
    for copies, at_once in ((1, 8), (8, 2000)):
        cut = curve(*arguments, draws=4, copies=copies, at_once=at_once)
        np.testing.assert_allclose(cut.nats, whole.nats, rtol=ROUNDING)
    more = curve(*arguments, draws=6, copies=3)
    np.testing.assert_allclose(more.nats[..., :4], whole.nats, rtol=ROUNDING)


def test_damage_grows_with_strength():
    arguments = (stack(0, 1), SHALLOW, text(40), SLIDING, "mlp", "additive-noise")
    losses = curve(*arguments, (0.0, 1e-3, 0.1), draws=4)
    spread = losses.nats[:, 1] - losses.nats[:, 0]
    # A thousandth of noise on weights of 0.4 moves a hundred nats by a small part of them.
    assert 0 < np.abs(spread).max() < 0.02 * losses.nats[:, 0].max()
    assert (losses.nats[:, 2].std(axis=-1) > losses.nats[:, 1].std(axis=-1)).all()


def test_a_curve_says_what_is_wrong_before_it_scores(monkeypatch):
    arguments = (stack(0), SHALLOW, text(20), SLIDING)
    monkeypatch.setattr(perturb, "score", None)
    assert "unknown group" in message(curve, *arguments, "heads", "weight-deletion", (0.0,))
    assert "p = 2" in message(curve, *arguments, "all", "weight-deletion", (0.0, 2.0))
    assert "copies 0" in message(curve, *arguments, "all", "weight-deletion", (0.1,), copies=0)
