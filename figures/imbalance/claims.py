"""What became of the claims of Schäfer et al. 2024 (S24), as tables of the page.

Verdicts count intervals; no word of them is written for a result.
"""

import pandas as pd

from figures.engine import verdicts
from neural.imbalance.claims import CLAIMS


def summary(claims: pd.DataFrame) -> str:
    """A line a claim."""
    return verdicts.summary(
        claims,
        "S24",
        CLAIMS,
        named=lambda row: f"{row['setting']}, {row['language']}",
        expected="as in S24",
    )


def effects(claims: pd.DataFrame) -> str:
    """A line an effect."""
    said = "Effects in logarithms of TEff, nats a token, cosines, shares or accuracies. Bold: 0 is outside."
    return f"{said}\n\n{verdicts.effects(claims, ['claim', 'setting', 'language'], 'S24')}"
