"""The page of study B22, from studies whose effects are known."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from figures.dynamics import claims as dynamics_claims
from figures.dynamics import page as dynamics_page
from figures.dynamics import sections
from figures.engine import page
from figures.engine.once import reading_once
from neural.dynamics.claims import CLAIMS as KNOWN
from neural.study.results import read
from tests.figures.fake_dynamics import Numbers, small, write
from tests.figures.page_text import lines, section, shows_all

FIGURES = list(dynamics_page.FIGURES)
TABLES = list(dynamics_page.TABLES)
CLAIMS, CONTROLS = "What became of the claims", "What the controls say"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study and its page."""
    folder = tmp_path_factory.mktemp("dynamics")
    run = write(folder / "study", small(), Numbers())
    arguments = ["dynamics", "--from", str(run), "--out", str(folder / "page")]
    assert page.main(arguments) == 0
    return folder


def written(folder: Path, numbers: Numbers, **changes: Any) -> str:
    """The page of a small study of these numbers, without its figures."""
    run = write(folder / "study", small(**changes), numbers)
    with reading_once():
        return dynamics_page.page(run, dynamics_page.tables(run), {})


def verdicts(text: str, heading: str, column: int) -> dict[str, str]:
    """The bold words of a column, by the first."""
    bold_words = {}
    for row in lines(text, heading):
        if said := re.match(r"\*\*(.*)\*\*", row[column]):
            bold_words[row[0]] = said[1]
    return bold_words


def test_what_is_as_in_b22_is_replicated(made: Path) -> None:
    text = (made / "page" / "dynamics.md").read_text()
    ours = [claim for claim in KNOWN.values() if claim.asks]
    theirs = {claim.says: claim.source for claim in KNOWN.values() if not claim.asks}
    assert {row[0]: row[1] for row in lines(text, CLAIMS)} == theirs
    for column in (2, 3):
        by_claim = verdicts(text, CLAIMS, column)
        for claim in (
            "low-level skills come before complex ones",
            "skill within a language comes before that across languages",
            "the last layer gets worse after its best step",
            "the best readout moves to lower layers",
        ):
            assert by_claim[claim] == "replicated", claim
    assert verdicts(text, CLAIMS, 3)["no one checkpoint is best for all"] == "replicated"
    assert [row[0] for row in lines(text, CONTROLS)] == [claim.asks for claim in ours]
    assert set(verdicts(text, CONTROLS, 1).values()) == {"yes"}


def test_the_contrary_is_opposite(tmp_path: Path) -> None:
    text = written(tmp_path, Numbers(sign=-1), tasks=("parts-of-speech", "topics"))
    for column in (2, 3):
        by_claim = verdicts(text, CLAIMS, column)
        for claim in (
            "low-level skills come before complex ones",
            "the last layer gets worse after its best step",
            "skill within a language comes before that across languages",
        ):
            assert by_claim[claim] == "opposite", claim
    answers = verdicts(text, CONTROLS, 1)
    for name in (
        "probes-selective",
        "selectivity-grows",
        "code-shorter",
        "language-read",
        "transfer-gains-without-language",
    ):
        assert answers[KNOWN[name].asks] == "no, the contrary", name
    named = {
        (row[0], row[1]): row[6] for row in lines(text, "The claims, by how they are measured")
    }
    against = named["the last layer gets worse after its best step", "in-language"]
    assert against == "parts of speech, topics"


def test_one_seed_has_no_verdict_over_models(tmp_path: Path) -> None:
    text = written(tmp_path, Numbers(), seeds=(0,), tasks=("parts-of-speech",))
    assert set(verdicts(text, CLAIMS, 2).values()) == {"no verdict"}
    assert set(verdicts(text, CONTROLS, 1).values()) == {"no verdict"}
    assert "one seed" in section(text, CLAIMS)
    # The languages are still several.
    claim = "the last layer gets worse after its best step"
    assert verdicts(text, CLAIMS, 3)[claim] == "replicated"
    assert "1 GPT of" in section(text, "What was run")
    assert not re.search(r"\bnan\b", text)


def test_empty_sections_are_left_out(tmp_path: Path) -> None:
    study = small(tasks=("topics",), controls=(), languages=("en", "de"), seeds=(0, 1))
    run = write(tmp_path / "study", study, Numbers(never=(("en", "de"),)), without="alignment")
    tables = dynamics_page.tables(run)
    assert {"dynamics-codelength", "dynamics-alignment", "dynamics-selectivity"}.isdisjoint(tables)
    text = dynamics_page.page(run, tables, {})
    for heading in ("Description length", "Random labels", "Word alignment", "Layers"):
        assert f"## {heading}\n" not in text
    assert "language subspace |" not in section(text, "Which language it is")
    assert not re.search(r"\bnan\b", text)
    by = {tuple(row[:2]): row[2:] for row in lines(text, "What is learnt when")}
    assert by["topics", "cross-lingual"][1].endswith("(1 of 2)")


def test_the_page_shows_every_figure_and_table(made: Path) -> None:
    shows_all(made, "dynamics", FIGURES, TABLES)


def test_every_effect_is_counted_once(made: Path) -> None:
    text = (made / "page" / "dynamics.md").read_text()
    claims = pd.read_csv(made / "page" / "dynamics-claims.csv")
    assert f"all {len(claims)} effects" in text
    for heading, columns in (
        ("The claims, by how they are measured", (2, 3)),
        (CLAIMS, (2, 3)),
        (CONTROLS, (1, 2)),
    ):
        rows = lines(text, heading)
        own = claims
        if heading in (CLAIMS, CONTROLS):
            asked = claims["id"].map(lambda name: bool(KNOWN[name].asks))
            own = claims[asked == (heading == CONTROLS)]
        cells = [row[column] for row in rows for column in columns]
        tested = [int(n) for cell in cells for n in re.findall(r"of (\d+),", cell)]
        others = [int(n) for cell in cells for n in re.findall(r"; (\d+) ", cell)]
        assert sum(tested) + sum(others) == len(own)
        for_them = [int(n) for cell in cells for n in re.findall(r"\((\d+) of", cell)]
        assert sum(for_them) == (own["verdict"] == "replicated").sum()


def test_numbers_of_the_page_are_those_of_its_tables(made: Path) -> None:
    text = (made / "page" / "dynamics.md").read_text()

    def read(name: str) -> pd.DataFrame:
        return pd.read_csv(made / "page" / f"dynamics-{name}.csv")

    probes = read("probes").query("~removed").set_index(["task", "kind", "step"])
    by = {tuple(row[:2]): row[2:] for row in lines(text, "Probes")}
    row = probes.loc[("arcs", "cross-lingual", 128)]
    assert by["arcs", "cross-lingual"][1] == (
        f"{row['accuracy']:.3f} [{row['accuracy_low']:.3f}, {row['accuracy_high']:.3f}]"
    )
    assert by["arcs", "cross-lingual"][4].startswith(f"{row['loss']:.3f}")
    assert by["arcs", "cross-lingual"][2] == "0.150"
    pairs = read("pairs").query("~removed and task == 'topics'")
    at = pairs.set_index(["step", "train", "test"])["accuracy"]
    matrix = lines(section(text, "From one language to another").join(["## x\n", ""]), "x")
    of_topics = matrix[2 * 5 : 3 * 5]  # four languages and the most frequent class
    assert [row[0] for row in of_topics] == ["en", "de", "fi", "zh", "most frequent class"]
    assert of_topics[0][4] == f"{at[128, 'en', 'zh']:.3f} ({at[0, 'en', 'zh']:.3f})"
    bits = read("bits").set_index(["language", "step"])
    by_name = {row[0]: row[1:] for row in lines(text, "Bits per character")}
    assert by_name["fi"][0] == f"{bits.loc[('fi', 0), 'bits_per_character']:.3f}"
    assert by_name["fi"][-1].startswith(f"{bits.loc[('fi', 128), 'bits_per_character']:.3f} [")
    code = read("codelength")
    last = code.query("step == 128")
    best = last.loc[last["bits"].idxmin()]
    (shown,) = [row for row in lines(text, "Description length") if row[1] == "128"]
    assert shown[2:4] == [
        "0",
        f"{best['bits']:.0f} [{best['bits_low']:.0f}, {best['bits_high']:.0f}]",
    ]
    onsets = read("onsets").set_index(["task", "kind", "of"])
    row = onsets.loc[("topics", "in-language", "gain")]
    by = {tuple(line[:2]): line[2:] for line in lines(text, "What is learnt when")}
    assert by["topics", "in-language"][1].startswith(f"{2 ** row['log2']:.3g} [")
    assert by["topics", "in-language"][1].endswith("(4 of 4)")
    words = read("alignment").query("method == 'itermax' and answers == 'differing' and step == 0")
    (shown,) = [
        row
        for row in lines(text, "Word alignment")
        if row[:3] == ["itermax", "differing", "untrained"]
    ]
    assert shown[4].startswith(f"{words['f1'].max():.3f} [")
    assert shown[5:] == ["0.100", "0.500", "0.250", "20"]


def test_steps_are_in_their_order_whatever_the_names_of_parts(made: Path) -> None:
    parts = sorted(path.name for path in (made / "study").glob("part-bits-*"))
    assert parts[1].endswith("steps-128-128.parquet")  # before those of 16
    text = (made / "page" / "dynamics.md").read_text()
    steps = [row[1] for row in lines(text, "Description length")]
    assert steps == ["untrained", *map(str, small().coarse_steps[1:])]


def test_lines_are_of_the_language_fitted_in() -> None:
    rows = [("en", "en", 0.9), ("en", "de", 0.7), ("de", "en", 0.6), ("de", "de", 0.8)]
    table = pd.DataFrame(rows, columns=["train", "test", "accuracy"])
    table = table.assign(task="topics", removed=False, majority=0.3)
    untrained = table.assign(step=0, accuracy=table["accuracy"] / 2)
    text = sections.pairs(pd.concat([untrained, table.assign(step=8)], ignore_index=True))
    assert "| en | 0.900 (0.450) | 0.700 (0.350) |\n| de | 0.600 (0.300) | 0.800 (0.400) |" in text


def test_fits_that_did_not_converge_are_counted(made: Path) -> None:
    said = section((made / "page" / "dynamics.md").read_text(), "What was run")
    rows = read(made / "study", "probes")
    # Those of the embeddings, one of three layers.
    assert f"Of {len(rows):,} probes that were tried, {len(rows) // 3:,} are of a fit" in said


def test_ends_beyond_the_checkpoints_are_said_to_be_so() -> None:
    row = pd.Series({"log2": 4.0, "low": -9.0, "high": 30.0, "known": 3, "cells": 4})
    steps = (0, 8, 16, 128)
    assert sections._onset(row, steps) == "16 [< 8, > 128] (3 of 4)"
    row[["low", "high"]] = 3.5, 5.0
    assert sections._onset(row, steps) == "16 [11.3, 32] (3 of 4)"
    row[["low", "high"]] = np.nan
    assert sections._onset(row, steps) == "16 (3 of 4)"


def test_effects_of_either_sign_are_told_apart() -> None:
    rows = pd.DataFrame(
        {
            "effect": [0.5, 0.7, -0.4, -0.2],
            "low": np.nan,
            "high": np.nan,
            "unit": "rank correlation",
            "expected": [1, 1, -1, -1],
        }
    )
    assert dynamics_claims._claimed(rows) == "> 0 or < 0"
    said = "+0.6 (+0.5 to +0.7) rank correlation; -0.3 (-0.4 to -0.2) rank correlation"
    assert dynamics_claims._range(rows) == said
