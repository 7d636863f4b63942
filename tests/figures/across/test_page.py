"""The figure and the page of the study across the four, from studies whose effects are known."""

import re
from pathlib import Path

import pandas as pd
import pytest

from figures.across import page as across_page
from figures.across import sharing as across
from figures.engine import page, render
from figures.engine.once import reading_once
from neural.across.claims import CLAIMS as KNOWN
from tests.figures.fake_across import Numbers, small, write
from tests.figures.page_text import section, shows_all

TABLES = list(across_page.TABLES)
CONTRARY = Numbers(balanced=0.3, imbalanced=0.1, robust=-1.0, majority=0.6, minority=0.7)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study and its page."""
    folder = tmp_path_factory.mktemp("across")
    run = write(folder / "study", small(), Numbers())
    arguments = ["across", "--from", str(run), "--out", str(folder / "page")]
    assert page.main(arguments) == 0
    return folder


def verdicts(text: str) -> dict[str, str]:
    lines = section(text, "What became of the claims").splitlines()
    rows = [line for line in lines if line.startswith("| ")][2:]
    cells = [[cell.strip(" *") for cell in row.strip("|").split(" | ")] for row in rows]
    return {row[0]: row[2] for row in cells}


def written(folder: Path, numbers: Numbers, **changes: object) -> str:
    run = write(folder, small(**changes), numbers)
    with reading_once():
        return across_page.page(run, across_page.tables(run), {})


def test_claims_have_their_verdicts_both_ways(made: Path, tmp_path: Path) -> None:
    text = (made / "page" / "across.md").read_text()
    by_claim = verdicts(text)
    assert by_claim.keys() >= {claim.says for claim in KNOWN.values()}
    for claim in ("models that share more are more robust", "90/10 shares more than 50/50"):
        assert by_claim[claim] == "replicated"
    assert by_claim["sharing comes before robustness"] == "replicated"
    contrary = verdicts(written(tmp_path, CONTRARY, others=()))
    assert contrary["90/10 shares more than 50/50"] == "opposite"
    assert contrary["two languages are more robust than one"] == "opposite"
    assert contrary["90/10 is worth more tokens than 50/50"] == "opposite"


def test_one_seed_has_no_verdict(tmp_path: Path) -> None:
    text = written(tmp_path, Numbers(), seeds=(0,), others=())
    assert set(verdicts(text).values()) == {"no verdict"}
    assert not re.search(r"\bnan\b", text)


def test_the_page_shows_every_figure_and_table(made: Path) -> None:
    shows_all(made, "across", ["across"], TABLES)


def test_numbers_of_the_page_are_those_of_its_tables(made: Path) -> None:
    text = (made / "page" / "across.md").read_text()
    table = pd.read_csv(made / "page" / "across-means.csv", keep_default_na=False)
    rows = table.query("measure == 'area_all' and pair == 'en-fr' and step == 768 and share == 0.1")
    value = float(rows["value"].item())
    (line,) = [
        row
        for row in section(text, "By share, at the end of training").splitlines()
        if row.startswith("| failures of all | nats a token added | en-fr |")
    ]
    assert line.split(" | ")[4].startswith(f"{value:.3g} [")
    models = pd.read_csv(made / "page" / "across-models.csv")
    own = models.query("pair == 'en-fr' and step == 768 and share == 0.1")
    assert own["area_all"].mean() == pytest.approx(value)
    assert len(models) == len(small().studied) * 3 * len(small().steps)


def test_a_bound_is_said_to_be_one(tmp_path: Path) -> None:
    text = written(tmp_path, Numbers(majority=2.0), others=())
    rows = section(text, "By share, at the end of training").splitlines()
    (line,) = [row for row in rows if row.startswith("| TEff, first ")]
    assert "≥ 1.11" in line  # all tokens over nine tenths


def test_the_figure_draws_its_table(made: Path) -> None:
    table = across.table(made / "study")
    assert set(table["kind"]) == {"mean", "model", "correlation"}
    figure = across.draw(table)
    panels = figure.axes
    assert len(panels) == 12
    models = table[(table["kind"] == "model") & (table["measure"] == "overlap")]
    drawn = [x for line in panels[0].lines for x in line.get_xdata()]
    assert sorted(drawn) == pytest.approx(sorted(models["value"]))
    assert len(drawn) == len(small().studied) * 3
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["50/50", "90/10", "one language", "c0-c1", "en-fr"]
    correlations = table[(table["kind"] == "correlation") & (table["outcome"] == "area_all")]
    assert (correlations["high"] < 0).all()
    assert "ρ = -" in panels[0].texts[0].get_text()


def test_only_its_figure_is_drawn_of_it(tmp_path: Path) -> None:
    run = write(tmp_path / "study", small(seeds=(0,), others=()), Numbers())
    _, left_out = render.render([], run, tmp_path / "figures")
    assert left_out == []
    assert [path.name for path in sorted((tmp_path / "figures").glob("*.png"))] == ["across.png"]
