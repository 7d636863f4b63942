"""Curves of degradation, from a study whose losses are given by a formula; names of its models."""

from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from figures.engine import render, rooms, style
from figures.engine.runs import MissingRows, OtherKind
from figures.engine.studies import named
from figures.robustness import failure_curves
from neural.robustness.plan import HALF, hit
from sim.config import Config
from sim.runs.store import Run
from tests.figures.fake_study import Numbers, damage, small, write

NUMBERS = Numbers(spared={"en@bible+el@bible": 0.3, "en@bible+en@gutenberg": -0.2}, scatter=0.05)
STUDY = small()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("study") / "out", STUDY, NUMBERS)


def test_numbers_are_those_of_the_formula(run: Path) -> None:
    table = failure_curves.table(run).set_index(["model", "failure", "strength"]).sort_index()
    # Student's t of 2 degrees of freedom is t(p) = (2 p - 1) / sqrt(2 p (1 - p)).
    half = 0.95 / np.sqrt(2 * 0.975 * 0.025) / np.sqrt(3)
    for model in ("en@bible", "en@bible+el@bible", "en@bible+en@gutenberg"):
        whole = np.array([damage(NUMBERS, model, seed) for seed in STUDY.seeds])
        for failure, strength, amount in (
            ("weight-deletion", 0.1, 0.25),
            ("additive-noise", 0.2, 1.0),
            ("magnitude-pruning", 0.0, 0.0),
        ):
            row = table.loc[(model, failure, strength)]
            row = row.iloc[0] if isinstance(row, pd.DataFrame) else row
            # Losses near 4 round at 1e-15; scipy's quantile is good to 1e-10.
            close = {"rtol": 1e-9, "atol": 1e-13}
            np.testing.assert_allclose(row["value"], amount * whole.mean(), **close)
            spread = half * amount * whole.std(ddof=1)
            np.testing.assert_allclose(row["high"] - row["value"], spread, **close)
            np.testing.assert_allclose(row["value"] - row["low"], spread, **close)
            assert row["seeds"] == 3


def test_languages_and_controls_have_lines_of_their_own(run: Path) -> None:
    table = failure_curves.table(run)
    labels = {
        family: list(dict.fromkeys(part["label"])) for family, part in table.groupby("family")
    }
    assert labels == {
        "more languages": ["English", "English + Greek", "English + Greek + German"],
        "controls": ["English", "English + books", "English + another English Bible"],
    }


def test_every_number_is_drawn_and_inside_its_panel(run: Path) -> None:
    table = failure_curves.table(run)
    with style.use():
        figure = failure_curves.draw(table)
        figure.draw_without_rendering()
    drawn = [(axes, line) for axes in figure.axes for line in axes.lines]
    values = np.concatenate([line.get_ydata() for _, line in drawn])
    np.testing.assert_array_equal(np.sort(values), np.sort(table["value"]))
    for axes, line in drawn:
        least, most = axes.get_ylim()
        assert least < np.min(line.get_ydata())
        assert np.max(line.get_ydata()) < most
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert sorted(labels) == sorted(set(table["label"]))


def test_no_two_lines_of_a_figure_look_alike() -> None:
    models = [f"a+{i}" for i in range(10)]
    table = pd.DataFrame({"model": ["a", *models], "text": "a"})
    styles = failure_curves.looks_of(table)
    colours = {model: to_hex(look["color"]) for model, look in styles.items()}
    assert len({(colours[model], look["marker"]) for model, look in styles.items()}) == 11
    assert colours["a"] not in {colours[model] for model in models}


def test_a_single_seed_has_no_band(tmp_path: Path) -> None:
    table = failure_curves.table(write(tmp_path / "out", small(seeds=(0,)), NUMBERS))
    assert set(table["seeds"]) == {1}
    assert table[["low", "high"]].isna().all(axis=None)
    with style.use():
        failure_curves.draw(table).draw_without_rendering()


def test_what_it_cannot_show_is_missing_rows(tmp_path: Path, run: Path) -> None:
    mlp = small(measures=replace(STUDY.measures, hits=(hit("mlp", HALF),)))
    with pytest.raises(MissingRows, match="breaks no attention"):
        failure_curves.table(write(tmp_path / "mlp", mlp, NUMBERS))
    with pytest.raises(MissingRows, match="no table curves"):
        failure_curves.table(write(tmp_path / "clean", STUDY, NUMBERS, tables="clean"))
    sweep = tmp_path / "sweep"
    Run.open(sweep, Config(geometries=("sphere",)), resume=False, parts=["part-0"])
    with pytest.raises(OtherKind, match="no study"):
        failure_curves.table(sweep)


def test_a_study_that_is_not_done_is_missing_rows(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", STUDY, NUMBERS)
    part = folder / "part-curves-all.parquet"
    curves = pd.read_parquet(part)
    last = STUDY.models[-1]
    curves[curves["model"] != last].to_parquet(part)
    with pytest.raises(MissingRows, match=r"no table curves of en@bible\+en_asv@bible.*--resume"):
        failure_curves.table(folder)
    some = (curves["model"] != last) | (curves["failure"] != "additive-noise")
    curves[some].to_parquet(part)
    with pytest.raises(
        MissingRows, match=r"no additive-noise of attention of en@bible\+en_asv@bible"
    ):
        failure_curves.table(folder)


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (["en", "en+el", "en+el+de"], ["English", "English + Greek", "English + Greek + German"]),
        (["s1", "s1+s2"], ["s1", "s1 + s2"]),
        (
            ["en@bible", "en@bible+en@msdocs", "en@bible+en_asv@bible", "en@bible+en@web"],
            [
                "English",
                "English + documentation",
                "English + another English Bible",
                "English + web",
            ],
        ),
        (["en", "en@bible"], ["English (all texts)", "English (Bible)"]),
        (
            ["en+el", "en@bible+el@bible"],
            ["English + Greek (all texts)", "English + Greek (Bible)"],
        ),
    ],
)
def test_models_are_named_by_what_tells_them_apart(models: list[str], names: list[str]) -> None:
    assert list(named(models).values()) == names


def test_studies_and_sweeps_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = small(comparisons=STUDY.comparisons[:1], seeds=(0,), classification=None)
    run = write(tmp_path / "run", few, NUMBERS)
    out = tmp_path / "figures"
    assert render.main(["--from", str(run), "--out", str(out)]) == 0
    assert sorted(path.stem for path in out.glob("*.png")) == [
        "crossover",
        "failure-curves",
        "slope-vs-curvature",
        "spectra",
    ]
    assert capsys.readouterr().err == ""
    width = matplotlib.image.imread(out / "failure-curves.png").shape[1]
    assert abs(width - style.RC["savefig.dpi"] * style.PAGE) <= 1
    assert render.main(["noisy-risk", "--from", str(run), "--out", str(tmp_path / "none")]) == 2
    printed = capsys.readouterr()
    assert "holds measurements of GPTs" in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_registered() -> None:
    assert rooms.figures()[failure_curves.NAME] == failure_curves.__name__
