"""What a page says of several effects: majorities, counts, and which are bold."""

import numpy as np
import pandas as pd
import pytest

from figures.engine.verdicts import NO_VERDICT, counted, effect, effects, judged, summary
from neural.study.claims import Claim, Claims

OURS, THEIRS, NEITHER = "replicated", "opposite", "not replicated"


def rows_of(*verdicts: str) -> pd.DataFrame:
    return pd.DataFrame({"verdict": verdicts})


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([OURS], OURS),
        ([THEIRS], THEIRS),
        ([OURS, NEITHER], NEITHER),  # half is no majority
        ([THEIRS, NEITHER], NEITHER),
        ([OURS, OURS, NEITHER], OURS),
        ([THEIRS, THEIRS, NEITHER], THEIRS),
        ([OURS, OURS, OURS, THEIRS], NEITHER),  # a majority that is opposed
        ([THEIRS, THEIRS, OURS], NEITHER),
        ([OURS, "one seed", "one seed"], OURS),  # what has no verdict is not counted
        (["one seed", "not measured"], NO_VERDICT),
        ([], NO_VERDICT),
    ],
)
def test_most_decide_and_none_may_oppose(verdicts: list[str], said: str) -> None:
    assert judged(rows_of(*verdicts)) == said


def test_how_many_intervals_are_on_which_side() -> None:
    rows = rows_of(OURS, OURS, NEITHER, THEIRS, "one seed", "not measured", "one seed")
    assert counted(rows) == "2 of 4, 1 opposite; 2 one seed; 1 not measured"
    assert counted(rows_of(OURS), "as claimed") == "1 of 1 as claimed, 0 opposite"


def row(value: float, low: float, high: float, **more: object) -> pd.Series:
    numbers = {"effect": value, "low": low, "high": high, "unit": "nats"}
    return pd.Series(numbers | {"expected": 1, "verdict": OURS} | more)


@pytest.mark.parametrize(
    ("low", "high", "bold"),
    [(0.1, 0.3, True), (-0.3, -0.1, True), (-0.1, 0.3, False), (0.0, 0.3, False), (-0.3, 0, False)],
)
def test_bold_where_nothing_is_outside(low: float, high: float, bold: bool) -> None:
    said = effect(row((low + high) / 2, low, high))
    assert said.startswith("**") == said.endswith("**") == bold
    assert said.strip("*").endswith(" nats")


def test_no_effect_is_a_dash() -> None:
    assert effect(row(np.nan, np.nan, np.nan)) == "–"


def test_tables_of_claims_and_of_effects() -> None:
    claims = pd.DataFrame(
        [
            row(0.2, 0.1, 0.3, id="a", claim="as", setting="x"),
            row(-0.5, -0.6, -0.4, id="a", claim="as", setting="y", verdict=OURS, expected=-1),
            row(0.0, -0.1, 0.1, id="b", claim="bs", setting="z", verdict=NEITHER, expected=0),
        ]
    )
    lines = summary(
        claims,
        "F22",
        Claims([Claim("a", "A", 1, "it is so"), Claim("b", "B", 0)]),
        named=lambda first: first["setting"],
        expected="as claimed",
        untold="ours",
    ).splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")][1] == "F22"
    a, b = ([cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:])
    assert a[:4] == ["A", "it is so", "**replicated**", "2 of 2 as claimed, 0 opposite"]
    assert a[4] == "x: **+0.2 [+0.1, +0.3] nats**"
    assert b[:3] == ["B", "ours", "**not replicated**"]
    lines = effects(claims, ["claim", "setting"], "expected sign").splitlines()
    signs = [line.strip("| ").split(" | ")[3].strip() for line in lines[2:]]
    assert signs == ["> 0", "< 0", "none"]
