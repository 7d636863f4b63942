from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural.gpt import checkpoint
from neural.gpt.config import ModelConfig
from neural.gpt.model import shapes
from neural.masks import mask
from neural.masks.mask import (
    COMPONENTS,
    Mask,
    applied,
    flat,
    from_tensors,
    full,
    intersection_of,
    kept_at,
    load,
    prunable,
    random_like,
    random_within,
    save,
    size,
    sizes,
    stacked,
    union_of,
    unstacked,
)
from tests.neural.random_model import random_parameters
from tests.neural.refusal import message
from tests.strategies import seeded

MODEL = ModelConfig(layers=2, width=4, heads=2, context=3, vocabulary=5)
n = size(MODEL)

indices = st.sets(st.integers(0, n - 1))


def mask_of(kept, config=MODEL):
    bits = np.zeros(size(config), np.bool_)
    bits[list(kept)] = True
    return Mask(config, bits)


def indices_of(weight_mask):
    return set(np.flatnonzero(weight_mask.bits).tolist())


def test_prunable_are_the_matrices_of_the_blocks_alone():
    matrices = [name for name, shape in shapes(MODEL).items() if len(shape) == 2]
    assert list(prunable(MODEL)) == [name for name in matrices if name.startswith("h.")]
    assert len(prunable(MODEL)) == 4 * MODEL.layers
    assert n == 12 * MODEL.layers * MODEL.width**2 == sizes(MODEL).sum()
    assert prunable(replace(MODEL, tied=False)) == prunable(MODEL)


@pytest.mark.parametrize(
    "make", [dict, lambda parts: {n: jnp.asarray(v) for n, v in parts.items()}]
)
def test_a_mask_is_its_arrays_by_name(make):
    parameters = random_parameters(MODEL)
    parts = {name: parameters[name] > 0 for name in prunable(MODEL)}
    weight_mask = from_tensors(MODEL, make(parts))
    assert tuple(weight_mask) == prunable(MODEL)
    assert len(weight_mask) == len(parts)
    for name, array in parts.items():
        np.testing.assert_array_equal(weight_mask[name], array)
    np.testing.assert_array_equal(weight_mask.bits, flat(parameters, MODEL) > 0)
    assert weight_mask.kept == sum(array.sum() for array in parts.values())


def test_what_is_no_mask_is_refused():
    parts = dict(full(MODEL))
    name = prunable(MODEL)[0]
    less = {key: value for key, value in parts.items() if key != name}
    for wrong, words in (
        (parts | {name: parts[name].T}, "not \\(4, 12\\)"),
        (parts | {name: parts[name].astype(np.int8)}, "booleans"),
        (parts | {"wte.weight": np.ones((5, 4), np.bool_)}, "wte.weight is not prunable"),
        (less, f"{name} is missing"),
    ):
        with pytest.raises(ValueError, match=words):
            from_tensors(MODEL, wrong)
    for bits in (np.ones(n - 1, np.bool_), np.ones(n), np.ones((1, n), np.bool_)):
        with pytest.raises(ValueError, match="is no mask"):
            Mask(MODEL, bits)


def test_a_mask_is_a_value():
    bits = np.arange(n) % 3 == 0
    weight_mask = Mask(MODEL, bits)
    bits[:] = False
    assert weight_mask.kept == -(-n // 3)
    with pytest.raises(ValueError, match="read-only"):
        weight_mask[prunable(MODEL)[0]][0, 0] = False
    same, other = Mask(MODEL, np.arange(n) % 3 == 0), mask_of({0})
    elsewhere = Mask(replace(MODEL, vocabulary=6), same.bits)
    assert weight_mask == same
    assert len({weight_mask, same, other, elsewhere}) == 3
    assert weight_mask != other
    assert weight_mask != elsewhere
    assert weight_mask != "mask"


@seeded
@given(indices, indices, indices)
def test_masks_combine_as_sets_of_weights(a, b, c):
    A, B, C = map(mask_of, (a, b, c))
    assert indices_of(A | B) == a | b
    assert indices_of(A & B) == a & b
    assert indices_of(A - B) == a - b
    assert indices_of(~A) == set(range(n)) - a
    assert (A <= B) == (a <= b)
    assert union_of([A, B, C]) == mask_of(a | b | c)
    assert intersection_of([A, B, C]) == mask_of(a & b & c)
    assert A.kept == len(a) == A.counts.sum()
    assert A.density == len(a) / n
    # Densities average to the whole one over parts, each by its size; to rounding of float64.
    weights = sizes(MODEL)
    assert np.average(A.density_by_layer, weights=weights.sum(1)) == pytest.approx(A.density)
    assert np.average(A.density_by_component, weights=weights.sum(0)) == pytest.approx(A.density)


def test_masks_of_different_models_do_not_meet():
    other = full(replace(MODEL, vocabulary=6))
    for meet in (lambda: full(MODEL) | other, lambda: stacked([full(MODEL), other])):
        with pytest.raises(ValueError, match="give those of one"):
            meet()


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_are_the_parts_of_a_block_that_the_model_reads(component):
    """A third of c_attn's columns each, as the model splits them: queries, keys, values."""
    d = MODEL.width
    name, columns = {
        "query": ("attn.c_attn", slice(0, d)),
        "key": ("attn.c_attn", slice(d, 2 * d)),
        "value": ("attn.c_attn", slice(2 * d, 3 * d)),
        "attention-output": ("attn.c_proj", slice(None)),
        "mlp-in": ("mlp.c_fc", slice(None)),
        "mlp-out": ("mlp.c_proj", slice(None)),
    }[component]
    parts = {key: np.zeros_like(value) for key, value in full(MODEL).items()}
    parts[f"h.1.{name}.weight"][:, columns] = True
    weight_mask = from_tensors(MODEL, parts)
    place = COMPONENTS.index(component)
    assert weight_mask.component(1, component).all()
    assert weight_mask.density_by_component.tolist() == [0.5 * (i == place) for i in range(6)]
    assert weight_mask.density_by_layer.tolist() == [0, weight_mask.counts[1, place] / (12 * d**2)]
    with pytest.raises(ValueError, match="unknown component 'q'"):
        weight_mask.component(0, "q")


def test_what_is_not_kept_is_zero_and_the_rest_untouched():
    parameters = random_parameters(MODEL)
    weight_mask = mask.random(MODEL, 0, kept=n // 2)
    name = prunable(MODEL)[0]
    parameters[name][~weight_mask[name]] = np.nan
    for give in (dict, jax.device_put):
        masked = weight_mask.apply(give(parameters))
        assert masked.keys() == parameters.keys()
        for key, value in parameters.items():
            assert masked[key].dtype == np.float32
            assert isinstance(masked[key], np.ndarray) == (give is dict)
            wanted = np.where(weight_mask[key], value, 0) if key in weight_mask else value
            np.testing.assert_array_equal(masked[key], wanted)
    with pytest.raises(ValueError, match="to mask"):
        weight_mask.apply({"wte.weight": parameters["wte.weight"]})


def test_a_stack_has_a_mask_for_each_model():
    masks = tuple(mask.random(MODEL, seed, kept=seed * 10) for seed in range(3))
    stack = stacked(masks)
    assert all(array.shape == (3, *shapes(MODEL)[name]) for name, array in stack.items())
    assert unstacked(stack, MODEL) == masks
    models = [random_parameters(MODEL, seed) for seed in range(3)]
    together = {name: np.stack([model[name] for model in models]) for name in models[0]}
    for masked in (applied(stack, together), jax.jit(applied)(stack, together)):
        for s, (own, model) in enumerate(zip(masks, models, strict=True)):
            for name, value in own.apply(model).items():
                np.testing.assert_array_equal(masked[name][s], value)
    of_all = masks[2].apply(together)
    for s, model in enumerate(models):
        np.testing.assert_array_equal(
            of_all["h.1.mlp.c_fc.weight"][s], masks[2].apply(model)["h.1.mlp.c_fc.weight"]
        )


@settings(seeded, max_examples=20)
@given(kept=indices, width=st.sampled_from([1, 3, 4]))
def test_what_is_loaded_is_what_was_saved(tmp_path_factory, kept, width):
    config = replace(MODEL, width=width, heads=1)
    weight_mask = mask_of({i for i in kept if i < size(config)}, config)
    path = tmp_path_factory.mktemp("mask") / "mask.safetensors"
    save(path, weight_mask, {"language": "el", "round": 3})
    assert load(path, config) == (weight_mask, {"language": "el", "round": 3})


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "mask.safetensors"
    save(path, mask.random(MODEL, 0, kept=50), {})
    return path


def test_a_record_says_what_is_in_the_file(saved):
    about = checkpoint.read(saved)[1]["mask"]
    weight_mask = load(saved, MODEL)[0]
    assert (about["kept"], about["size"], about["digest"]) == (50, n, weight_mask.digest)
    assert np.sum(about["counts"]) == 50
    assert checkpoint.read(saved)[0]["h.0.mlp.c_fc.weight"].nbytes == 4 * 16 / 8


def test_masks_that_cannot_be_used_are_refused(saved, tmp_path):
    assert "not of" in message(load, saved, replace(MODEL, layers=1))
    assert "not there" in message(load, tmp_path / "other.safetensors", MODEL)
    tensors, record = checkpoint.read(saved)
    own = {key: record[key] for key in ("mask", "provenance")}
    tensors["h.0.mlp.c_fc.weight"][0] ^= 1
    checkpoint.write(saved, tensors, own)
    assert "prune again" in message(load, saved, MODEL)
    del tensors["h.0.mlp.c_fc.weight"]
    checkpoint.write(saved, tensors, own)
    assert "prune again" in message(load, saved, MODEL)
    checkpoint.write(saved, random_parameters(MODEL), {"model": {}})
    assert "holds no mask" in message(load, saved, MODEL)
    saved.write_bytes(saved.read_bytes()[:-1])
    assert "damaged" in message(load, saved, MODEL)


@seeded
@given(st.integers(0, n), st.integers(0, 2**32 - 1))
def test_random_masks_keep_exactly_as_many(kept, seed):
    weight_mask = mask.random(MODEL, seed, kept=kept)
    assert weight_mask.kept == kept
    assert weight_mask == mask.random(MODEL, [seed], kept=kept)
    assert random_like(weight_mask, seed).counts.tolist() == weight_mask.counts.tolist()
    within = random_within(weight_mask, seed, kept=kept // 2)
    assert within.kept == kept // 2
    assert within <= weight_mask
    if kept:
        like = random_like(within, seed, within=weight_mask)
        assert like <= weight_mask
        assert like.counts.tolist() == within.counts.tolist()


def test_random_masks_draw_every_weight_alike():
    """1000 draws of half: each weight's count is binomial, and 5.5 standard deviations allow for all n of them."""
    draws = 1000
    half = mask.random(MODEL, 0, kept=n // 2)
    queries = np.zeros(n, np.bool_)
    queries[: 3 * MODEL.width**2] = np.arange(3 * MODEL.width**2) % (3 * MODEL.width) < MODEL.width
    some = Mask(MODEL, queries & half.bits)
    density = some.kept / np.count_nonzero(queries)
    for drawn, possible in (
        (lambda seed: mask.random(MODEL, [1, seed], kept=n // 2), np.full(n, 0.5)),
        (lambda seed: random_within(half, [2, seed], kept=n // 4), n // 4 / (n // 2) * half.bits),
        (lambda seed: random_like(some, [3, seed]), density * queries),
    ):
        share = np.mean([drawn(seed).bits for seed in range(draws)], axis=0)
        np.testing.assert_allclose(share, possible, atol=5.5 * 0.5 / draws**0.5, rtol=0)


def test_random_masks_that_cannot_be_are_refused():
    half = mask.random(MODEL, 0, kept=n // 2)
    assert f"{n + 1} of the {n} weights" in message(mask.random, MODEL, 0, kept=n + 1)
    assert "fewer" in message(mask.random, MODEL, 0, kept=-1)
    assert "fewer" in message(random_within, half, 0, kept=n)
    assert "denser" in message(random_like, ~half, 0, within=mask_of({0}))
    assert kept_at(0.5, MODEL) == n // 2
    for density in (-0.1, 1.1, float("nan")):
        assert "0 to 1" in message(kept_at, density, MODEL)
