"""The figure of spectra, from stable ranks that are given by a formula."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from figures.engine import rooms, style
from figures.engine.runs import MissingRows
from figures.robustness import spectra
from tests.figures.fake_study import Numbers, small, write

STUDY = small()
BILINGUAL = "en@bible+el@bible"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("study") / "out", STUDY, Numbers())


def means(run: Path, model: str, matrix: str, measure: str) -> np.ndarray:
    """Of a model's layers, by seed."""
    rows = pd.read_parquet(run / "part-spectra-all.parquet").query("model == @model")
    own = rows[rows["matrix"].str.endswith(matrix)]
    return np.array([own[own["seed"] == seed][measure].mean() for seed in STUDY.seeds])


@pytest.mark.parametrize("matrix", ["wte.weight", "attn.q.weight", "mlp.c_proj.weight"])
@pytest.mark.parametrize("measure", ["stable_rank", "share_4"])
def test_numbers_are_means_over_layers_paired_by_seed(run: Path, matrix: str, measure: str) -> None:
    table = spectra.table(run).set_index(["rows", "model", "matrix", "measure"]).sort_index()
    alone, several = (means(run, model, matrix, measure) for model in ("en@bible", BILINGUAL))
    half = 0.95 / np.sqrt(2 * 0.975 * 0.025) / np.sqrt(3)  # Student's t of 2 degrees of freedom
    for kind, of_seed in (("model", several), ("difference", several - alone)):
        row = table.loc[(kind, BILINGUAL, matrix, measure)]
        assert row["value"] == pytest.approx(of_seed.mean(), rel=1e-12)
        # Differences of ranks near 10; scipy's quantile is good to 1e-10.
        spread = half * of_seed.std(ddof=1)
        assert row["high"] - row["value"] == pytest.approx(spread, rel=1e-8)


def test_each_model_is_there_once_and_drawn(run: Path) -> None:
    table = spectra.table(run)
    models = table[(table["rows"] == "model") & (table["measure"] == "stable_rank")]
    assert not models.duplicated(["model", "matrix"]).any()
    assert len(models) == 5 * 8
    with style.use():
        figure = spectra.draw(table)
        figure.draw_without_rendering()
    left, right = figure.axes[:2]
    drawn = np.concatenate([box.lines[0].get_xdata() for box in left.containers])
    assert sorted(drawn) == sorted(models["value"])
    of_differences = table[(table["rows"] == "difference") & (table["measure"] == "stable_rank")]
    drawn = np.concatenate([box.lines[0].get_xdata() for box in right.containers])
    assert sorted(drawn) == sorted(of_differences["value"])


def test_what_it_cannot_show_is_missing_rows(tmp_path: Path) -> None:
    folder = write(tmp_path / "none", STUDY, Numbers(), tables="clean curves")
    with pytest.raises(MissingRows, match="no table spectra"):
        spectra.table(folder)
    folder = write(tmp_path / "some", STUDY, Numbers())
    part = folder / "part-spectra-all.parquet"
    rows = pd.read_parquet(part)
    rows[rows["model"] != BILINGUAL].to_parquet(part)
    with pytest.raises(MissingRows, match=r"no spectra of en@bible\+el@bible"):
        spectra.table(folder)


def test_registered() -> None:
    assert rooms.figures()[spectra.NAME] == spectra.__name__
