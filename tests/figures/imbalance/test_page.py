"""The page of study S24, from studies whose effects are known."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from figures.engine import page
from figures.engine.once import reading_once
from figures.imbalance import page as imbalance_page
from neural.imbalance.claims import CLAIMS as KNOWN
from tests.figures.fake_imbalance import Numbers, small, write
from tests.figures.page_text import lines, section, shows_all

FIGURES = list(imbalance_page.FIGURES)
TABLES = list(imbalance_page.TABLES)
AS_THERE = Numbers(minority=9.0, balanced=0.7, scatter=0.005)
"""A minority worth so much that 90/10 is better in both."""
OTHERWISE = Numbers(
    balanced=1.3,
    minority=0.7,
    majority=0.6,
    trend=-0.1,
    aligned=-0.4,
    accuracy=-0.2,
    forgotten=-1.0,
    changing=0.8,
    scatter=0.005,
)
PHASE = "Where unequal shares are better for both"
SMALL: dict[str, Any] = {"widths": (64,)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study and its page."""
    folder = tmp_path_factory.mktemp("imbalance")
    run = write(folder / "study", small(), AS_THERE)
    arguments = ["imbalance", "--from", str(run), "--out", str(folder / "page")]
    assert page.main(arguments) == 0
    return folder


def written(folder: Path, numbers: Numbers, **changes: Any) -> str:
    """The page of a small study of these numbers, without its figures."""
    run = write(folder / "study", small(**(SMALL | changes)), numbers)
    with reading_once():
        return imbalance_page.page(run, imbalance_page.tables(run), {})


def verdicts(text: str) -> dict[str, str]:
    return {row[0]: row[2].strip("*") for row in lines(text, "What became of the claims")}


def test_what_is_as_in_s24_is_replicated(made: Path) -> None:
    text = (made / "page" / "imbalance.md").read_text()
    by_claim = verdicts(text)
    for claim in (
        "90/10 beats 50/50 in both languages",
        "a minority gains more than its tokens",
        "the gain of balanced languages falls with the budget",
        "90/10 aligns more: gradient cosine",
        "90/10 transfers more",
        "anchors help",
        "imbalance first beats 50/50",
        "the first language is forgotten",
        "alignment of real languages hardly moves: state cosine",
    ):
        assert by_claim[claim] == "replicated", claim
    assert by_claim["a real minority gains nothing"] == "opposite"  # TEff 9, of all that is unequal
    assert by_claim.keys() >= {claim.says for claim in KNOWN.values() if claim.source}


def test_the_contrary_is_opposite(tmp_path: Path) -> None:
    by_claim = verdicts(written(tmp_path, OTHERWISE, others=(), shares=(0.5, 0.1, 0.0)))
    for claim in (
        "90/10 beats 50/50 in both languages",
        "balanced languages gain less than their tokens",
        "90/10 aligns more: context kept",
        "90/10 transfers more",
        "imbalance first beats 50/50",
        "the first language is forgotten",
        "a majority beats equal shares",
    ):
        assert by_claim[claim] == "opposite", claim
    assert not [claim for claim in by_claim if "real" in claim]


def test_one_seed_has_no_verdict_and_empty_sections_are_left_out(tmp_path: Path) -> None:
    measures = small().measures
    text = written(
        tmp_path,
        AS_THERE,
        seeds=(0,),
        others=(),
        many=2,
        measures=type(measures)(**{**vars(measures), "tasks": ()}),
    )
    assert set(verdicts(text).values()) == {"no verdict"}
    assert "one seed" in section(text, "What became of the claims")
    assert not re.search(r"\bnan\b", text)
    for heading in ("Real languages", "More languages", "Transfer"):
        assert f"## {heading}\n" not in text
    # The numbers that were planted lie on curves of this form.
    assert "up to 1.00 to 1.00" in section(text, "Token efficiency")


def test_the_page_shows_every_figure_and_table(made: Path) -> None:
    text = shows_all(made, "imbalance", FIGURES, TABLES)
    total = sum(map(small().tokens, small().runs)) * 3
    shown = [int(row[2].replace(",", "")) for row in lines(text, "What was run")]
    assert sum(shown) == total


def test_numbers_of_the_page_are_those_of_its_tables(made: Path) -> None:
    text = (made / "page" / "imbalance.md").read_text()
    grid = pd.read_csv(made / "page" / "imbalance-grid.csv", keep_default_na=False)
    base = grid[(grid["width"] == 64) & (grid["budget"] == 1) & (grid["share"] == 0.1)]
    by = base.set_index("language")
    (row,) = [row for row in lines(text, "Perplexity by share") if row[:2] == ["1×", "0.1"]]
    assert row[2].startswith(f"{float(by.loc['c0', 'perplexity']):.1f} [")
    assert row[3].startswith(f"{float(by.loc['c1', 'perplexity']):.1f} [")
    assert row[5].startswith(f"{float(by.loc['c1', 'teff']):.2f} [")
    bounds = grid[(grid["width"] == 64) & (grid["beyond"] == "below")]
    assert len(bounds)
    for _, bound in bounds.iterrows():
        place = [f"{float(bound['budget']):g}×", f"{float(bound['share']):g}"]
        (row,) = [row for row in lines(text, "Perplexity by share") if row[:2] == place]
        assert row[5] == f"≤ {float(bound['teff']):.2f}"
    assert [row[0] for row in lines(text, "Shared ids")] == ["0%", "25%", "100%"]
    assert len(lines(text, "More languages")) == 2 * 4
    assert {row[1] for row in lines(text, "Real languages")} == {"disjoint", "shared"}
    transfer = {tuple(row[:6]): row[6] for row in lines(text, "Transfer")}
    assert transfer["sib200:en", "cloned", "4×", "0.1", "c0", "c1"].startswith(
        "0.60"
    )  # 0.8 - 0.4 + 0.2


def test_the_phase_is_counted(made: Path) -> None:
    text = section((made / "page" / "imbalance.md").read_text(), PHASE)
    cells = pd.read_csv(made / "page" / "imbalance-phase.csv").query("kind == 'trained'")
    better, worse = (cells["high"] < 0).sum(), (cells["low"] > 0).sum()
    assert f"Of {len(cells)} cells" in text
    assert f"with equal ones in {better}, and one is worse in {worse};" in text
    assert better >= 1
    columns = ["kind", "value", "low", "high"]
    rows = [("trained", -1, -2, 1), ("trained", -1, -2, -0.5), ("trained", 1, 0.5, 2)]
    said = imbalance_page._phase(pd.DataFrame([*rows, ("linear", 0.25, 0, 0)], columns=columns))
    assert "Of 3 cells" in said
    assert "in 1, and one is worse in 1; the interval of 1 holds 0" in said
    assert said.endswith("theory is +0.25.")


def test_onset_is_the_step_from_which_on_it_is_sure(made: Path) -> None:
    table = pd.read_csv(made / "page" / "imbalance-onset.csv")
    said = imbalance_page._first(table)
    gained = table[(table["part"] == "gained") & (table["measure"] == "state cosine")]
    sure = gained[gained["low"] > 0]["step"]
    unsure = gained[gained["low"] <= 0]["step"]
    assert f"state cosine from step {sure[sure > unsure.max()].min():g}" in said
    assert said in (made / "page" / "imbalance.md").read_text()
    lost = table.assign(low=table["low"].where(table["step"] != table["step"].max(), -1.0))
    assert "state cosine never" in imbalance_page._first(lost)
    assert "from step 0" in imbalance_page._first(table.assign(low=1.0))
