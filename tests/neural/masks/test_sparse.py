import jax
import numpy as np
import pytest

from neural.gpt import model
from neural.gpt.config import ModelConfig
from neural.masks import mask
from neural.masks.mask import from_tensors, full, prunable, size
from neural.masks.sparse import (
    FORMS,
    compacted,
    cost,
    heads,
    in_rows,
    logits,
    product,
    products,
    seconds,
    units,
)
from tests.neural.random_model import random_parameters

MODEL = ModelConfig(layers=2, width=8, heads=4, context=6, vocabulary=11)
n = size(MODEL)
TOKENS = np.random.default_rng(0).integers(11, size=(3, 5))


@pytest.fixture(scope="module")
def parameters():
    return random_parameters(MODEL)


def emptied(*holes):
    """A mask of three weights in four, less the (name, rows, columns) given."""
    parts = {name: array.copy() for name, array in mask.random(MODEL, 0, kept=3 * n // 4).items()}
    for name, rows, columns in holes:
        parts[name][rows, columns] = False
    return from_tensors(MODEL, parts)


ALL = slice(None)
d, E = MODEL.width, MODEL.head_width
HOLES = {
    "two heads without output": (("h.0.attn.c_proj.weight", slice(2, 6), ALL), 2 * 4 * d * E),
    "a head without values": (("h.0.attn.c_attn.weight", ALL, slice(18, 20)), 4 * d * E),
    "a head without queries": (("h.1.attn.c_attn.weight", ALL, slice(0, 2)), 0),
    "all heads": (("h.1.attn.c_attn.weight", ALL, slice(16, 24)), 4 * d * d),
    "units without output": (("h.1.mlp.c_proj.weight", slice(3, 20), ALL), 17 * 2 * d),
    "units without input": (("h.0.mlp.c_fc.weight", ALL, slice(5, 9)), 4 * 2 * d),
    "all units": (("h.0.mlp.c_fc.weight", ALL, ALL), 8 * d * d),
}
"""What is emptied, and how many weights can go with it."""


@pytest.mark.parametrize("what", HOLES)
def test_what_the_mask_has_emptied_goes(parameters, what):
    hole, gone = HOLES[what]
    small = compacted(parameters, emptied(hole))
    left = sum(small[name].size for name in prunable(MODEL))
    assert left == n - gone
    assert {form_cost.form: form_cost for form_cost in cost(emptied(hole))}["compacted"] == (
        "compacted",
        4 * left,
        left,
    )


@pytest.mark.parametrize(
    "which",
    [
        (),
        ("two heads without output", "units without input", "units without output"),
        ("a head without values", "a head without queries"),
        ("all heads", "all units"),
    ],
)
def test_logits_are_the_same_without_it(parameters, which):
    holed = emptied(*(HOLES[what][0] for what in which))
    small = compacted(parameters, holed)
    wanted = _whole(holed.apply(parameters))
    # Sums of the same terms of order 1 in another order: some tens of roundings.
    room = 64 * 2**-24 * np.abs(wanted).max()
    np.testing.assert_allclose(_compact(small), wanted, rtol=0, atol=room)


_whole = jax.jit(lambda parameters: model.logits(parameters, TOKENS, MODEL))
_compact = jax.jit(lambda small: logits(small, TOKENS, MODEL))


def test_what_has_outputs_alone_is_constant():
    holed = emptied(*HOLES["a head without values"][:1], *HOLES["units without input"][:1])
    assert heads(holed, 0).constant.tolist() == [False, True, False, False]
    assert heads(holed, 0).alive.tolist() == [True, False, True, True]
    assert np.flatnonzero(units(holed, 0).constant).tolist() == [5, 6, 7, 8]
    assert heads(full(MODEL), 1).alive.all()
    assert units(full(MODEL), 1).alive.all()
    assert not units(~full(MODEL), 1).alive.any()
    assert not units(~full(MODEL), 1).constant.any()


def test_rows_multiply_as_the_masked_matrix(parameters):
    half = emptied(("h.0.mlp.c_fc.weight", ALL, slice(5, 9)))
    masked, rows = half.apply(parameters), in_rows(parameters, half)
    for name, matrix in rows.items():
        np.testing.assert_array_equal(matrix.toarray().T, masked[name])
        assert matrix.nnz == half[name].sum()
        x = np.random.default_rng(1).standard_normal((7, len(masked[name])), dtype=np.float32)
        # Sums of up to 32 products of order 1, in another order.
        np.testing.assert_allclose(product(matrix, x), product(masked[name], x), atol=1e-5)


def test_a_weight_that_is_kept_is_stored_though_it_is_0(parameters):
    zeros = {name: np.zeros_like(value) for name, value in parameters.items()}
    half = mask.random(MODEL, 0, kept=n // 2)
    assert sum(matrix.nnz for matrix in in_rows(zeros, half).values()) == n // 2


@pytest.mark.parametrize("kept", [0, n // 10, n // 2, n])
def test_costs_are_those_of_the_arrays(parameters, kept):
    chosen = mask.random(MODEL, 0, kept=kept)
    costs = {form_cost.form: form_cost for form_cost in cost(chosen)}
    assert tuple(costs) == FORMS
    rows = in_rows(parameters, chosen).values()
    stored = sum(m.data.nbytes + m.indices.nbytes + m.indptr.nbytes for m in rows)
    assert costs["rows"] == ("rows", stored, kept)
    assert costs["dense"] == ("dense", 4 * n, n)
    packed = sum(np.packbits(chosen[name]).nbytes for name in chosen)
    assert costs["packed"] == ("packed", 4 * kept + packed, n)
    small = compacted(parameters, chosen)
    left = sum(small[name].size for name in prunable(MODEL))
    assert costs["compacted"] == ("compacted", 4 * left, left)


def test_forms_are_timed_side_by_side(parameters):
    half = mask.random(MODEL, 0, kept=n // 2)
    taken = seconds(parameters, half, 3, repeats=2)
    assert tuple(taken) == ("dense", "rows", "compacted")
    assert all(value > 0 for value in taken.values())
    with pytest.raises(ValueError, match="'packed' is not multiplied"):
        products(parameters, half, "packed", 3)
