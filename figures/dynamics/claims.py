"""The claims of Blevins et al. 2022 (B22), what they report, our controls, and what became of all, as tables.

Effects are many, over tasks and settings; a line counts their intervals: those over seeds, which speak of other models
of these languages, apart from those over languages or pairs. No word is written for a result.
"""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from figures.engine import markdown
from figures.engine.markdown import between
from figures.engine.verdicts import SIGNS, counted, judged

THEIRS = {
    "in-language skill comes before half of the steps": "high in-language scores early: low-level skills after about "
    "20k of 1.5 million updates",
    "low-level skills come before complex ones": "lower-level skills before more complex ones",
    "skill within a language comes before that across languages": "low-level skills after about 20k updates, across "
    "languages after 115k to 274k",
    "the onset of transfer depends on the pair of languages": "it differs between pairs",
    "transfer comes later between less similar languages": "no number known to us",
    "transfer is worse between less similar languages": "no number known to us",
    "no one checkpoint is best for all": "no one checkpoint is best on all languages",
    "the last layer gets worse after its best step": "the final layer degrades over time, in many languages and tasks",
    "lower blocks gain after the last layer's best step": "knowledge moves to lower layers",
    "the best readout moves to lower layers": "knowledge moves to lower layers",
}
"""What B22 report of a claim; other claims are of our controls."""

QUESTIONS = {
    "training adds to the untrained model": "Are scores above those of the untrained model at the last step?",
    "probes get more right than of random labels": "Do probes get more right than probes of random labels?",
    "selectivity grows in training": "Does this difference grow in training?",
    "training shortens the code of labels": "Does training shorten the code of labels, by online coding?",
    "states tell the language": "Do states tell the language?",
    "without the directions between means they do not": "Do they no longer, without the directions between the "
    "languages' means?",
    "transfer gains without the language subspace": "Does transfer gain without these directions?",
    "retrieval gains without the language subspace": "Does retrieval?",
    "words align with their translations": "Do answers that are written differently align better than by chance?",
}
"""What our controls ask; "replicated" is what one would expect."""

SCOPE = re.compile(r", over (seeds|languages|pairs)\b.*$")
"""The end of a setting."""
ANSWERS = {"replicated": "yes", "opposite": "no, the contrary", "not replicated": "not found"}


def summary(claims: pd.DataFrame) -> str:
    """A line a claim of B22."""
    rows = claims[~claims["claim"].isin(QUESTIONS)]
    lines = [
        [claim, THEIRS.get(claim, "–"), *_judged(own), _claimed(own), _range(own)]
        for claim, own in rows.groupby("claim", sort=False)
    ]
    head = ["claim", "B22", "over models", "over languages or pairs", "claimed", "effects"]
    return markdown.table(head, lines) if lines else ""


def controls(claims: pd.DataFrame) -> str:
    """A line a question."""
    rows = claims[claims["claim"].isin(QUESTIONS)]
    lines = [
        [QUESTIONS[claim], *(_answered(cell) for cell in _judged(own)), _range(own)]
        for claim, own in rows.groupby("claim", sort=False)
    ]
    head = ["question", "over models", "over languages", "effects"]
    return markdown.table(head, lines) if lines else ""


def by_measure(claims: pd.DataFrame) -> str:
    """A line a claim and way of measuring it, with the tasks that oppose it."""
    rows = claims.assign(measured=claims["setting"].str.replace(SCOPE, "", regex=True))
    lines = []
    for (claim, measured), own in rows.groupby(["claim", "measured"], sort=False):
        against = own.loc[own["verdict"] == "opposite", "task"]
        cells = [claim, measured, *_judged(own), _claimed(own), _range(own)]
        lines.append([*cells, _named(against) or "–"])
    head = ["claim", "measured", "over models", "over languages or pairs", "claimed", "effects"]
    return markdown.table([*head, "opposite in"], lines)


def _judged(rows: pd.DataFrame) -> list[str]:
    """Verdict and count of the rows over seeds, and of the others."""
    of_seeds = rows["setting"].str.contains("over seeds")
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
