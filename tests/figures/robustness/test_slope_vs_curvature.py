"""Measured against predicted slopes of GPTs, from numbers that are chosen."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from figures.engine import rooms, style
from figures.engine.runs import MissingRows
from figures.robustness import slope_vs_curvature
from tests.figures.fake_study import Numbers, small, write
from tests.records import change

STUDY = small()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write(tmp_path / "out", STUDY, Numbers(ratio=0.9), tables="slopes")


def changed(run: Path, **columns: object) -> Path:
    part = run / "part-slopes-all.parquet"
    pd.read_parquet(part).assign(**columns).to_parquet(part)
    return run


def test_ratios_are_of_mean_slopes_by_seed(run: Path) -> None:
    slopes = pd.read_parquet(run / "part-slopes-all.parquet")
    table = slope_vs_curvature.table(run)
    ratios = table[table["kind"] == "ratio"].set_index(["noise", "group", "sigma", "predictor"])
    own = slopes[
        (slopes["noise"] == "absolute") & (slopes["group"] == "mlp") & (slopes["sigma"] == 0.02)
    ]
    by_hand = np.array(
        [part["measured"].sum() / part["hessian"].sum() for _, part in own.groupby("seed")]
    )
    half = 0.95 / np.sqrt(2 * 0.975 * 0.025) * by_hand.std(ddof=1) / np.sqrt(3)  # Student's t of 2
    hessian = ratios.loc[("absolute", "mlp", 0.02, "hessian")]
    assert hessian["ratio"] == pytest.approx(by_hand.mean(), rel=1e-12)
    assert hessian["high"] - hessian["ratio"] == pytest.approx(half, rel=1e-9)
    assert hessian["ratio"] == pytest.approx(0.7, abs=0.02)  # scatter of 1 % over 9 models
    other = ratios.loc[("absolute", "mlp", 0.02, "gauss_newton")]
    assert other["ratio"] == pytest.approx(hessian["ratio"] / 1.1, rel=1e-12)
    assert len(ratios) == 2 * 4 * 2 * 2


def test_every_model_is_shown_at_the_least_sigma(run: Path) -> None:
    table = slope_vs_curvature.table(run)
    models = table[table["kind"] == "model"]
    assert len(models) == len(STUDY.models) * 3 * 4 * 2 * 2
    assert set(zip(models["noise"], models["sigma"], strict=True)) == {
        ("absolute", 0.005),
        ("relative", 0.05),
    }
    with style.use():
        figure = slope_vs_curvature.draw(table)
    drawn = sum(
        len(box.lines[0].get_xdata()) for axes in figure.axes[::2] for box in axes.containers
    )
    assert drawn == len(models)


def test_slopes_that_have_no_logarithm_are_counted(run: Path) -> None:
    slopes = pd.read_parquet(run / "part-slopes-all.parquet")
    negative = slopes["hessian"].where(slopes.index > 3, -1.0)
    table = slope_vs_curvature.table(changed(run, hessian=negative))
    with style.use():
        figure = slope_vs_curvature.draw(table)
        figure.draw_without_rendering()
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    models = table[table["kind"] == "model"]
    below = int((models["predicted"] <= 0).sum())
    assert below > 0
    assert sum(int(text.split()[0]) for text in said) == below


def test_models_that_existed_are_shown_too(run: Path) -> None:
    expected = slope_vs_curvature.table(run)
    change(run, lambda config: (config.clear(), config.update(measures={}, models=["a"])))
    pd.testing.assert_frame_equal(slope_vs_curvature.table(run), expected)


def test_a_study_without_slopes_is_missing_rows(tmp_path: Path) -> None:
    folder = write(tmp_path / "none", STUDY, Numbers(), tables="clean")
    with pytest.raises(MissingRows, match="no table slopes"):
        slope_vs_curvature.table(folder)


def test_registered() -> None:
    assert rooms.figures()[slope_vs_curvature.NAME] == slope_vs_curvature.__name__
