"""The table of spectra on matrices whose singular values are known."""

import numpy as np
import pytest

from neural.gpt.config import ModelConfig
from neural.gpt.model import shapes
from neural.measures.spectra import spectra
from tests.neural.random_model import random_parameters
from theory.spectra import slopes

TINY = ModelConfig(layers=2, width=8, heads=2, context=6, vocabulary=11)
UNTIED = ModelConfig(layers=2, width=8, heads=2, context=6, vocabulary=11, tied=False)


def with_singular_values(shape: tuple[int, int], values: list[float]) -> np.ndarray:
    rng = np.random.default_rng(0)
    r = len(values)
    left, right = (np.linalg.qr(rng.standard_normal((n, r)))[0] for n in shape)
    return left * values @ right.T


def test_a_matrix_of_known_singular_values() -> None:
    W = with_singular_values((11, 8), [4, 2, 2, 1])
    (row,) = spectra({"wte.weight": W}, shares=(1, 2, 4, 64)).itertuples()
    assert (row.name, row.component, row.rows, row.columns) == ("wte.weight", "embedding", 11, 8)
    expected = {
        "spectral": 4,
        "frobenius": 5,
        "sd": W.std(),
        "stable_rank": 25 / 16,
        "participation": 25**2 / (4**4 + 2 * 2**4 + 1),
        "share_1": 16 / 25,
        "share_2": 20 / 25,
        "share_4": 1,
        "share_64": 1,
    }
    for column, value in expected.items():
        assert getattr(row, column) == pytest.approx(value, rel=1e-13), column  # 600 eps


def test_ranks_of_equal_singular_values_are_the_rank() -> None:
    (row,) = spectra({"wpe.weight": with_singular_values((9, 8), [0.3] * 5)}).itertuples()
    assert row.stable_rank == pytest.approx(5, rel=1e-13)
    assert row.participation == pytest.approx(5, rel=1e-13)
    assert row.share_4 == pytest.approx(0.8, rel=1e-13)


@pytest.mark.parametrize("config", [TINY, UNTIED])
def test_every_matrix_has_a_row_and_c_attn_three(config: ModelConfig) -> None:
    parameters = random_parameters(config)
    table = spectra(parameters).set_index("name")
    block = ("attn.q", "attn.k", "attn.v", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    names = ["wte", "wpe", *(f"h.{layer}.{part}" for layer in range(2) for part in block)]
    if not config.tied:
        names.append("lm_head")
    assert list(table.index) == [f"{name}.weight" for name in names]
    # Every number of every parameter matrix is in one row.
    squares = [
        (value.astype(float) ** 2).sum()
        for name, value in parameters.items()
        if len(shapes(config)[name]) == 2
    ]
    assert (table.frobenius**2).sum() == pytest.approx(sum(squares), rel=1e-12)
    values = parameters["h.1.attn.c_attn.weight"].astype(float)[:, 16:]
    assert table.frobenius["h.1.attn.v.weight"] == pytest.approx(np.linalg.norm(values), rel=1e-12)
    rho = slopes(values)
    assert table.share_4["h.1.attn.v.weight"] == pytest.approx(rho[3] / rho[-1], rel=1e-12)
    assert table.layer.dropna().tolist() == [0] * 6 + [1] * 6
    assert set(table.component[table.layer == 0]) == {"attention", "mlp"}
    assert table.component["wte.weight"] == table.component["wpe.weight"] == "embedding"


def test_a_stack_is_its_copies_one_by_one() -> None:
    models = [random_parameters(TINY, seed) for seed in range(3)]
    table = spectra({name: np.stack([model[name] for model in models]) for name in models[0]})
    for copy, model in enumerate(models):
        of_copy = table[table["copy"] == copy].drop(columns="copy").reset_index(drop=True)
        # The same decomposition of the same bits.
        assert of_copy.equals(spectra(model).drop(columns="copy"))


def test_a_matrix_of_zeros_has_no_rank() -> None:
    (row,) = spectra({"wte.weight": np.zeros((3, 2))}).itertuples()
    assert (row.spectral, row.frobenius, row.sd) == (0, 0, 0)
    assert np.isnan([row.stable_rank, row.participation, row.share_1]).all()


def test_a_weight_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        spectra({"wte.weight": np.array([[1.0, np.nan]])})
