"""Sparse rows against dense matrices of the same masked model: how much time they take.

Dense products use all cores, scipy's sparse ones one; with OPENBLAS_NUM_THREADS=1 they have one core each. Where sparse
rows pay in time is measured at every density, and held to where they have a twentieth of the multiply-adds or less and
one token is read at a time, so that reading the matrices is what takes the time.
"""

import numpy as np
import pytest

from neural.gpt.config import ModelConfig
from neural.masks import mask
from neural.masks.mask import kept_at
from neural.masks.sparse import cost, products
from tests.neural.random_model import random_parameters

MODELS = {
    "study": ModelConfig(layers=3, width=64, heads=4, context=64, vocabulary=2048),
    "small": ModelConfig(layers=2, width=768, heads=12, context=512, vocabulary=64),
}
PAYS = [("small", 1, 0.05), ("small", 1, 0.02)]
"""Where sparse rows must be faster: model, tokens at once, density."""


@pytest.mark.benchmark
@pytest.mark.line("sparse rows over dense matrices: {size}, {tokens} tokens, density {density}")
@pytest.mark.parametrize("density", [0.5, 0.2, 0.1, 0.05, 0.02])
@pytest.mark.parametrize("tokens", [1, 64, 1024])
@pytest.mark.parametrize("size", MODELS)
def test_sparse_rows_against_dense(
    side_by_side, judge, size: str, tokens: int, density: float
) -> None:
    """All prunable products of a model, its weights kept at random."""
    config = MODELS[size]
    parameters = random_parameters(config)
    chosen = mask.random(config, 0, kept=kept_at(density, config))
    rows, dense = (products(parameters, chosen, form, tokens) for form in ("rows", "dense"))
    bytes_of = {form_cost.form: form_cost.bytes for form_cost in cost(chosen)}
    stored = bytes_of["rows"] / bytes_of["dense"]
    assert stored < 1 or density == 0.5
    most = 1 if (size, tokens, density) in PAYS else None
    judge(side_by_side(rows, dense), note=f"{stored:.2f} of the bytes", most=most)


@pytest.mark.benchmark
@pytest.mark.line("compacted model over its dense one: {share} of heads and units emptied", most=1)
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_compacted_model_against_its_dense_one(side_by_side, judge, share: float) -> None:
    """What is left over all, 256 tokens at once."""
    config = MODELS["small"]
    whole = {name: array.copy() for name, array in mask.full(config).items()}
    for layer in range(config.layers):
        for name in ("attn.c_proj", "mlp.c_proj"):
            array = whole[f"h.{layer}.{name}.weight"]
            array[: round(share * len(array))] = False
    holed, parameters = mask.from_tensors(config, whole), random_parameters(config)
    left, dense = (products(parameters, holed, form, 256) for form in ("compacted", "dense"))
    multiplied = {form_cost.form: form_cost.multiply_adds for form_cost in cost(holed)}
    kept = multiplied["compacted"] / multiplied["dense"]
    assert np.isclose(kept, 1 - share)
    judge(side_by_side(left, dense), note=f"{kept:.2f} of the multiply-adds")
