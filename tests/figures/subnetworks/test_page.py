"""The page of study F22, from studies whose effects are known."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from figures.engine import page
from figures.engine.once import reading_once
from figures.subnetworks import page as subnetworks_page
from figures.subnetworks import sections
from neural.subnetworks.claims import CLAIMS as KNOWN
from tests.figures.fake_subnetworks import LM, Numbers, small, write
from tests.figures.page_text import lines, section, shows_all

FIGURES = list(subnetworks_page.FIGURES)
TABLES = list(subnetworks_page.TABLES)
AS_THERE = Numbers()
OTHERWISE = Numbers(shared=-0.3, deeper=-0.3, theta0=-0.2, akin=-0.15, random=-0.5, removed=-0.02)
CLAIMS = "What became of the claims"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study and its page."""
    folder = tmp_path_factory.mktemp("subnetworks")
    run = write(folder / "study", small(), AS_THERE)
    arguments = ["subnetworks", "--from", str(run), "--out", str(folder / "page")]
    assert page.main(arguments) == 0
    return folder


def written(folder: Path, numbers: Numbers, **changes: Any) -> str:
    """The page of a small study of these numbers, without its figures."""
    run = write(folder / "study", small(**changes), numbers)
    with reading_once():
        return subnetworks_page.page(run, subnetworks_page.tables(run), {})


def verdicts(text: str) -> dict[str, str]:
    return {row[0]: row[2].strip("*") for row in lines(text, CLAIMS)}


def test_what_is_as_in_f22_is_replicated(made: Path) -> None:
    text = (made / "page" / "subnetworks.md").read_text()
    by_claim = verdicts(text)
    for claim in (
        "a ticket costs no more than the whole model",
        "a ticket beats a random mask",
        "a ticket beats the largest weights before any tuning",
        "another language's ticket costs more",
        "another language's ticket costs less than a random mask",
        "a ticket of all languages costs less than one of another",
        "tickets of two languages overlap more than chance",
        "tickets of two languages overlap less than two of one",
        "overlap rises with depth",
        "sparser tickets transfer worse",
        "weights of one language's ticket alone matter to it more than to others",
    ):
        assert by_claim[claim] == "replicated", claim
    # Every number of F22 stands beside a claim; topics are left out here.
    assert by_claim.keys() >= {claim.says for claim in KNOWN.values() if claim.source}


def test_the_contrary_is_opposite(tmp_path: Path) -> None:
    by_claim = verdicts(written(tmp_path, OTHERWISE))
    for claim in (
        "a ticket beats a random mask",
        "a ticket beats the largest weights before any tuning",
        "another language's ticket costs more",
        "tickets of two languages overlap more than chance",
        "a ticket overlaps with the largest weights before tuning more than chance",
        "overlap rises with depth",
        "sparser tickets transfer worse",
        "weights of one language's ticket alone matter to it more than random ones",
    ):
        assert by_claim[claim] == "opposite", claim


def test_one_seed_has_no_verdict(tmp_path: Path) -> None:
    text = written(tmp_path, AS_THERE, seeds=(0,))
    assert set(verdicts(text).values()) == {"no verdict"}
    assert "one seed" in section(text, CLAIMS)
    assert not re.search(r"\bnan\b", text)


def test_empty_sections_are_left_out(tmp_path: Path) -> None:
    tasks = tuple(task for task in small().tasks if task.name == "parts-of-speech")
    text = written(tmp_path, AS_THERE, tasks=tasks, seeds=(0, 1))
    for heading in ("What only one language's ticket keeps", "From one language to another"):
        assert f"## {heading}\n" not in text
    assert "rewound ticket" not in text
    assert [row[0] for row in lines(text, "Sentences that find each other")][:4] == list("0123")
    assert "In parentheses" not in section(text, "Sentences that find each other")
    assert not re.search(r"\bnan\b", text)


def test_the_page_shows_every_figure_and_table(made: Path) -> None:
    shows_all(made, "subnetworks", FIGURES, TABLES)


def test_numbers_of_the_page_are_those_of_its_tables(made: Path) -> None:
    text = (made / "page" / "subnetworks.md").read_text()
    table = pd.read_csv(made / "page" / "subnetworks-tickets.csv")
    at = table.set_index(["task", "density", "mask"])
    by = {row[0]: row[1:] for row in lines(text, "What tickets are worth")}
    assert list(by)[:4] == ["full", "own ticket", "another language's ticket", "random"]
    row = at.loc[(LM, 0.2, "random")]
    assert by["random"][1].startswith(f"{row['value']:.2f} [")
    assert by["random"][1].endswith(f"(**{row['drop']:+.1%}**)")
    assert by["wanda"][1] == "–"
    assert by["own ticket"][2] == "{value:.3f} [{low:.3f}, {high:.3f}]".format(
        **at.loc[("parts-of-speech", 0.5, "own ticket")]
    )
    assert by["language modelling, 50% kept"][2].startswith("+5.")  # exp(0.05) - 1
    matrix = pd.read_csv(made / "page" / "transfer-matrix.csv").set_index(
        ["task", "density", "source", "target"]
    )
    first = lines(text, "From one language to another")[:4]
    assert [row[0] for row in first] == ["en", "de", "fi", "zh"]
    assert first[3][2].startswith(f"{matrix.loc[(LM, 0.5, 'zh', 'de'), 'value']:.2f} [")
    overlap = pd.read_csv(made / "page" / "subnetworks-overlap.csv")
    whole = overlap.query(f"task == '{LM}' and density == 0.5").set_index("kind")["value"]
    (row,) = [
        row
        for row in lines(text, "What tickets have in common")
        if row[0] == "language modelling, 50% kept" and row[1].startswith("0.")
    ]
    for place, kind in enumerate(("languages", "seeds", "corrected", "expected", "chance"), 1):
        assert row[place].startswith(f"{whole[kind]:.3f}")
    assert set(overlap["round"]) == set(range(1, 9))
    order = lines(text, "Overlap and transfer")
    assert [row[0].split(",")[0] for row in order] == [
        "language modelling",
        "parts of speech",
        "entities",
    ]


def test_forms_that_store_less_are_told(made: Path) -> None:
    text = section((made / "page" / "subnetworks.md").read_text(), "What sparse forms cost")
    # 8 bytes of 4 for each weight that is kept: less from below a half.
    assert "stored than dense: packed from 90% down, rows from 40% down, compacted at none" in text
    assert "or more, is taken: rows from 30% down, compacted at none" in text
    assert "| 50% | 0.53 / 1.00 / – | 1.00 / 0.50 / 1.50 | 1.00 / 1.00 / 1.00 |" in text
    table = pd.DataFrame(
        {
            "form": ["dense", "rows", "rows"],
            "density": [0.5, 0.5, 0.2],
            "part_of_bytes": [1, 1.2, 0.6],
        }
    )
    assert sections._paying(table, "part_of_bytes") == "rows from 20% down"
