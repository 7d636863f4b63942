"""What a page says of the effects of a claim: rows with effect, low, high, unit, expected and verdict.

What is said counts intervals; no word of it is written for a result.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from figures.engine.markdown import between, table
from neural.study.claims import ID, Claims

SIDES = ("replicated", "opposite")
VERDICTS = (*SIDES, "not replicated")
NO_VERDICT = "no verdict"

SIGNS = {-1: "< 0", 0: "none", 1: "> 0"}
"""What is expected of an effect, in words."""


def judged(rows: pd.DataFrame) -> str:
    """The verdict of several intervals: the side that more than half are on and none opposes, else "not replicated".

    NO_VERDICT where none of them has one.
    """
    counts = rows["verdict"].value_counts()
    tested = sum(int(counts.get(verdict, 0)) for verdict in VERDICTS)
    for side, other in (SIDES, SIDES[::-1]):
        if counts.get(side, 0) > tested / 2 and not counts.get(other, 0):
            return side
    return "not replicated" if tested else NO_VERDICT


def counted(rows: pd.DataFrame, expected: str = "") -> str:
    """How many intervals are on which side, and how many effects have no verdict, and why.

    expected: what to call the first side, "as claimed".
    """
    there = rows["verdict"].isin(VERDICTS)
    ours, theirs = (int((rows["verdict"] == side).sum()) for side in SIDES)
    said = f"{ours} of {there.sum()}{expected and f' {expected}'}, {theirs} opposite"
    others = rows.loc[~there, "verdict"].value_counts(sort=False)
    return "; ".join([said, *(f"{count} {why}" for why, count in others.items())])


def effect(row: pd.Series) -> str:
    """With its interval and unit; bold where 0 is outside."""
    if np.isnan(row["effect"]):
        return "–"
    said = f"{between(row[['effect', 'low', 'high']], '+.3g')} {row['unit']}"
    return f"**{said}**" if row["low"] > 0 or row["high"] < 0 else said


def summary(
    claims: pd.DataFrame,
    source: str,
    known: Claims,
    *,
    named: Callable[[pd.Series], str],
    expected: str,
    untold: str = "",
) -> str:
    """A line a claim: what a source says of it, or `untold`; what became of it, and its first effect, as `named`."""
    lines = []
    for name, rows in claims.groupby(ID, sort=False):
        claim, first = known[str(name)], rows.iloc[0]
        said = f"{named(first)}: {effect(first)}"
        cells = [claim.source or untold, f"**{judged(rows)}**", counted(rows, expected)]
        lines.append([claim.says, *cells, said])
    return table(["claim", source, "here", "intervals", "the first of them"], lines)


def effects(claims: pd.DataFrame, columns: Sequence[str], expected: str) -> str:
    """A line an effect, after what tells it from others; `expected` heads its sign."""
    lines = [
        [*(row[name] for name in columns), effect(row), SIGNS[row["expected"]], row["verdict"]]
        for _, row in claims.iterrows()
    ]
    return table([*columns, "effect", expected, "verdict"], lines)
