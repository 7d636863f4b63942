"""Differences of losses and where they cross, from a study whose losses are straight lines."""

from pathlib import Path

import numpy as np
import pytest

from figures.engine import rooms, style
from figures.robustness import crossover
from tests.figures.fake_study import Numbers, damage, small, write

pytestmark = pytest.mark.usefixtures("read_once")

BILINGUAL, BOOKS, CLONE = "en@bible+el@bible", "en@bible+en@gutenberg", "en@bible+en_asv@bible"
NUMBERS = Numbers(clean=0.1, spared={BILINGUAL: 0.2, BOOKS: -0.1, CLONE: 0.0}, scatter=0.01)
STUDY = small()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("study") / "out", STUDY, NUMBERS)


def gain(model: str) -> np.ndarray:
    """Loss at the greatest strength of a model of two texts less that of one, beyond the clean difference, by seed."""
    return np.array(
        [damage(NUMBERS, model, s) - damage(NUMBERS, "en@bible", s) for s in STUDY.seeds]
    )


def test_differences_are_those_of_the_formula(run: Path) -> None:
    table = crossover.table(run)
    rows = table[(table["kind"] == "difference") & (table["failure"] == "weight-deletion")]
    half = 0.95 / np.sqrt(2 * 0.975 * 0.025) / np.sqrt(3)  # Student's t of 2 degrees of freedom
    for model in (BILINGUAL, BOOKS):
        own = rows[rows["model"] == model].sort_values("strength")
        amounts = own["strength"].to_numpy() / 0.4
        # Differences of losses near 4; scipy's quantile is good to 1e-10.
        close = {"rtol": 1e-9, "atol": 1e-13}
        np.testing.assert_allclose(own["value"], 0.1 + amounts * gain(model).mean(), **close)
        spread = half * amounts * gain(model).std(ddof=1)
        np.testing.assert_allclose(own["high"] - own["value"], spread, **close)


def test_crossings_are_those_of_the_lines(run: Path) -> None:
    table = crossover.table(run).set_index(["kind", "failure", "model"]).sort_index()
    for failure, greatest in (("weight-deletion", 0.4), ("additive-noise-relative", 0.7)):
        crossing = table.loc[("crossing", failure, BILINGUAL)].squeeze()
        expected = greatest * 0.1 / -gain(BILINGUAL).mean()
        assert crossing["value"] == pytest.approx(expected, rel=1e-9)  # of losses near 4
        assert crossing["low"] < expected < crossing["high"]
        assert (crossing["direction"], crossing["crossing"], crossing["seeds"]) == (-1, 1.0, 3)
        none = table.loc[("crossing", failure, BOOKS)].squeeze()
        assert np.isnan(none[["value", "low", "high"]].astype(float)).all()
        assert none["direction"] == 0


def test_crossings_are_drawn_and_none_is_said(run: Path) -> None:
    table = crossover.table(run)
    with style.use():
        figure = crossover.draw(table)
        figure.draw_without_rendering()
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    crossings = table[table["kind"] == "crossing"]
    assert texts.count("none in range") == crossings["value"].isna().sum() > 0
    marks = [
        line.get_xdata()[0]
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() != "None" and len(line.get_xdata()) == 1
    ]
    assert sorted(marks) == sorted(crossings["value"].dropna())


def test_an_unsure_crossing_is_hollow(run: Path) -> None:
    table = crossover.table(run)
    crossed = (table["kind"] == "crossing") & table["value"].notna()

    def fills(sure: float) -> set[str]:
        with style.use():
            figure = crossover.draw(table.assign(crossing=table["crossing"].where(~crossed, sure)))
        lines = [line for axes in figure.axes for line in axes.lines]
        return {str(line.get_markerfacecolor()) for line in lines if len(line.get_xdata()) == 1}

    assert fills(0.97) == {"white"}
    assert "white" not in fills(0.98)


def test_registered() -> None:
    assert rooms.figures()[crossover.NAME] == crossover.__name__
