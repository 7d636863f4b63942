"""The transformer's figures from a small run whose numbers are chosen so that the tables are known."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from figures.engine import style
from figures.engine.runs import MissingRows
from figures.sweep import quadratic_regime, transformer_slope
from sim.experiments.transformer.config import TransformerTasks
from sim.runs.store import Run
from sim.table import tidy
from theory.geometry import sample
from theory.spectra import slope

GROUPS = ("embedding", "layer-0.mlp")
SIGMAS = (0.01, 0.1, 1.0)
RATIOS = (1.0, 0.95, 0.5)
"""Of measured to predicted slope by sigma, the same in every model: the band's edge is a ninth of the last decade."""


def model_rows(index: int, geometry: str, T: int, seed: int) -> list[dict[str, Any]]:
    """One model: two failures of W at two strengths, a clean row, and noise on two groups."""
    of_model = {
        "identity": f"{index:016x}",
        "network": "transformer",
        "geometry": geometry,
        "options": "{}",
        "inputs": "tokens",
        "d": 8,
        "T": T,
        "k": 2,
        "seed": seed,
        "trainer": "adam",
        "risk_zero": 1.0,
        "risk_clean": 0.25,
        "draws": 16,
        "iterations": 1,
        "residual": 0.0,
        "converged": index != 0,
        "seconds": 0.0,
    }
    of_W = {"group": "W", "slope_closed_form": 1.0 + index, "slope_trained": 0.9 * (1 + index)}
    made = []
    for name, strengths in (("additive-noise", (0.0, 0.1, 0.4)), ("weight-deletion", (0.3, 0.9))):
        for strength in strengths:
            damage, error = strength * (1 + index), 0.01 * strength
            made.append(
                of_model
                | of_W
                | {
                    "perturbation": name,
                    "strength": strength,
                    "standard_error": error,
                    "risk_closed_form": 0.25 + damage,
                    "risk_measured": 0.25 + damage + index * error,
                    "slope_measured": 0.9 * (1 + index) if strength else np.nan,
                }
            )
    for g, group in enumerate(GROUPS):
        predicted = (1 + g) * (2 + index)
        for sigma, ratio in zip(SIGMAS, RATIOS, strict=True):
            made.append(
                of_model
                | {
                    "group": group,
                    "perturbation": "additive-noise",
                    "strength": sigma,
                    "risk_measured": 1.0,
                    "standard_error": 0.1,
                    "slope_curvature": predicted,
                    "slope_curvature_standard_error": 0.1,
                    "slope_measured": ratio * predicted,
                    "slope_standard_error": 0.1,
                }
            )
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    grid = [(geometry, T, 0) for T in (2, 4) for geometry in ("sphere", "clustered")]
    cells = [model_rows(i, *cell) for i, cell in enumerate(grid)]
    store = Run.open(folder, TransformerTasks(), resume=False, parts=["part-0"])
    store.write("part-0", tidy([row for rows in cells for row in rows]))
    return folder


def rewrite(run: Path, tmp_path: Path, change: Any) -> Path:
    folder = tmp_path / "run"
    store = Run.open(folder, TransformerTasks(), resume=False, parts=["part-0"])
    store.write("part-0", change(pd.read_parquet(run)))
    return folder


def test_transformer_slope_compares_the_strongest_failures(run: Path) -> None:
    table = transformer_slope.table(run)
    assert len(table) == 4 * 2
    assert set(table.groupby("perturbation").strength.unique().explode()) == {0.4, 0.9}
    index = table["identity"].map(lambda name: int(name, 16))
    np.testing.assert_allclose(table["damage_closed_form"], table["strength"] * (1 + index))
    # Measured `index` standard errors above; risks near 1 round at 1e-16, an error is 0.004.
    np.testing.assert_allclose(table["deviation"], index, atol=1e-12)
    for row in table.itertuples():
        tasks = sample(row.geometry, 8, row.T, 0)
        assert row.slope_teacher == pytest.approx(slope(tasks, 2), rel=1e-14)
    np.testing.assert_allclose(table["slope_trained"] / table["slope_closed_form"], 0.9)


def test_transformer_slope_marks_models_that_did_not_converge(run: Path) -> None:
    table = transformer_slope.table(run)
    with style.use():
        figure = transformer_slope.draw(table)
    crosses = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "x"]
    assert sum(len(line.get_xdata()) for line in crosses) == 1


def test_quadratic_regime_knows_the_ratio_and_its_end(run: Path) -> None:
    table = quadratic_regime.table(run)
    curves = table[table["rows"] == "curve"]
    assert list(dict.fromkeys(curves["group"])) == [*GROUPS, quadratic_regime.REFERENCE]
    for group in GROUPS:
        curve = curves[curves["group"] == group]
        np.testing.assert_allclose(curve["ratio"], RATIOS, rtol=1e-14)
        np.testing.assert_allclose(curve["standard_error"], 0, atol=1e-15)
        # From 0.95 at 0.1 to 0.5 at 1: 0.9 is reached after 0.05 / 0.45 of the decade.
        np.testing.assert_allclose(curve["regime_end"], 10 ** (-1 + 1 / 9), rtol=1e-12)
    of_W = curves[curves["group"] == quadratic_regime.REFERENCE]
    np.testing.assert_allclose(of_W["ratio"], 1, rtol=1e-14)
    assert (of_W["regime_end"] == np.inf).all()
    models = table[table["rows"] == "model"]
    assert len(models) == 4 * len(GROUPS)
    assert set(models["strength"]) == {SIGMAS[0]}


def test_quadratic_regime_s_errors_are_those_of_a_ratio_of_means(run: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy = lambda t: t.assign(slope_measured=t.slope_measured * rng.uniform(0.5, 1.5, len(t)))  # noqa: E731
    folder = rewrite(run, tmp_path, noisy)
    curve = quadratic_regime.table(folder).query("rows == 'curve' and group == 'embedding'")
    source = pd.read_parquet(folder).query("group == 'embedding' and strength == 0.1")
    measured, predicted = source.slope_measured.to_numpy(), source.slope_curvature.to_numpy()
    ratio = measured.sum() / predicted.sum()
    by_hand = np.sqrt(((measured - ratio * predicted) ** 2).sum() / 3 / 4) / predicted.mean()
    row = curve[curve["strength"] == 0.1].iloc[0]
    assert row["ratio"] == pytest.approx(ratio, rel=1e-13)
    assert row["standard_error"] == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize(
    ("ratio", "end"),
    [
        ((1.0, 1.05, 0.95), np.inf),
        ((0.8, 1.0, 1.0), 0.0),
        ((1.0, 1.2, 1.0), 0.01 * np.sqrt(10)),  # the first way out counts, on either side
    ],
)
def test_the_regime_ends_where_the_ratio_first_leaves_the_band(
    ratio: tuple[float, ...], end: float
) -> None:
    assert quadratic_regime._end(np.array(SIGMAS), np.array(ratio)) == pytest.approx(end)


@pytest.mark.parametrize("figure", [transformer_slope, quadratic_regime])
def test_a_run_without_its_rows_is_refused(figure: Any, run: Path, tmp_path: Path) -> None:
    folder = rewrite(run, tmp_path, lambda t: t.assign(network="linear"))
    with pytest.raises(MissingRows, match="no rows with network == 'transformer'"):
        figure.table(folder)


def test_quadratic_regime_needs_curvature(run: Path, tmp_path: Path) -> None:
    folder = rewrite(run, tmp_path, lambda t: t[t.group == "W"])
    with pytest.raises(MissingRows, match="no rows with a curvature"):
        quadratic_regime.table(folder)


@pytest.mark.parametrize("figure", [transformer_slope, quadratic_regime])
def test_drawn_twice_a_figure_has_the_same_bytes(figure: Any, run: Path) -> None:
    drawn = []
    for _ in range(2):
        with style.use():
            buffer = io.BytesIO()
            figure.draw(figure.table(run)).savefig(buffer, metadata=style.METADATA["png"])
        drawn.append(buffer.getvalue())
    assert drawn[0] == drawn[1]
