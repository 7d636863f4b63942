"""What became of the claims of Blevins et al. 2022 (B22), and of our controls, as tables.

Effects are many, over tasks and settings; a line counts their intervals: those over seeds, which speak of other models
of these languages, apart from those over languages or pairs. No word is written for a result.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from figures.engine import markdown
from figures.engine.markdown import between
from figures.engine.verdicts import SIGNS, counted, judged
from neural.dynamics.claims import CLAIMS
from neural.study.claims import ID, Claim

ANSWERS = {"replicated": "yes", "opposite": "no, the contrary", "not replicated": "not found"}


def summary(claims: pd.DataFrame) -> str:
    """A line a claim of B22."""
    lines = [
        [claim.says, claim.source or "–", *_judged(own), _claimed(own), _range(own)]
        for claim, own in _by_claim(claims)
        if not claim.asks
    ]
    head = ["claim", "B22", "over models", "over languages or pairs", "claimed", "effects"]
    return markdown.table(head, lines) if lines else ""


def controls(claims: pd.DataFrame) -> str:
    """A line a question."""
    lines = [
        [claim.asks, *(_answered(cell) for cell in _judged(own)), _range(own)]
        for claim, own in _by_claim(claims)
        if claim.asks
    ]
    head = ["question", "over models", "over languages", "effects"]
    return markdown.table(head, lines) if lines else ""


def by_measure(claims: pd.DataFrame) -> str:
    """A line a claim and way of measuring it, with the tasks that oppose it."""
    lines = []
    for (name, measured), own in claims.groupby([ID, "measured"], sort=False):
        against = own.loc[own["verdict"] == "opposite", "task"]
        cells = [CLAIMS[name].says, measured, *_judged(own), _claimed(own), _range(own)]
        lines.append([*cells, _named(against) or "–"])
    head = ["claim", "measured", "over models", "over languages or pairs", "claimed", "effects"]
    return markdown.table([*head, "opposite in"], lines)


def _by_claim(claims: pd.DataFrame) -> Iterator[tuple[Claim, pd.DataFrame]]:
    for name, rows in claims.groupby(ID, sort=False):
        yield CLAIMS[str(name)], rows


def _judged(rows: pd.DataFrame) -> list[str]:
    """Verdict and count of the rows over seeds, and of the others."""
    of_seeds = rows["over"] == "seeds"
    return [_verdict(rows[of_seeds]), _verdict(rows[~of_seeds])]


def _verdict(rows: pd.DataFrame) -> str:
    return f"**{judged(rows)}** ({counted(rows)})" if len(rows) else "–"


def _answered(cell: str) -> str:
    for verdict, answer in ANSWERS.items():
        cell = cell.replace(f"**{verdict}**", f"**{answer}**")
    return cell


def _claimed(rows: pd.DataFrame) -> str:
    return " or ".join(SIGNS[sign] for sign in rows["expected"].unique())


def _range(rows: pd.DataFrame) -> str:
    """By unit and what is claimed, the median effect with the least and the greatest, or the only one's interval."""
    said = []
    keys = ["unit", "expected"]
    for (unit, _), own in rows.dropna(subset="effect").groupby(keys, sort=False):
        values = own["effect"]
        if len(own) == 1:
            (row,) = own.to_dict("records")
            said.append(f"{between([row['effect'], row['low'], row['high']], '+.2g')} {unit}")
        else:
            ends = f"{values.min():+.2g} to {values.max():+.2g}"
            said.append(f"{np.median(values):+.2g} ({ends}) {unit}")
    return "; ".join(said) or "–"


def _named(tasks: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(task.replace("-", " ") for task in tasks))
