"""What became of the claims of Foroutan et al. 2022 (F22), as tables of the page.

Verdicts count intervals; no word of them is written for a result.
"""

import pandas as pd

from figures.engine import verdicts
from neural.subnetworks.claims import CLAIMS

UNTESTED = "not tested"


def summary(claims: pd.DataFrame) -> str:
    """A line a claim."""
    return verdicts.summary(
        _worded(claims),
        "F22",
        CLAIMS,
        named=lambda row: f"{row['task']}, {row['setting']}",
        expected="as claimed",
        untold=UNTESTED,
    )


def effects(claims: pd.DataFrame) -> str:
    """A line an effect."""
    said = (
        "Effects in nats a token, in parts of all answers (accuracy, F1), in Jaccard overlaps or in rank correlations. "
        "Bold: 0 is outside."
    )
    table = verdicts.effects(_worded(claims), ["claim", "task", "setting"], "claimed")
    return f"{said}\n\n{table}"


def _worded(claims: pd.DataFrame) -> pd.DataFrame:
    return claims.assign(task=claims["task"].str.replace("-", " "))
