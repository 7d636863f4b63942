"""The claims of Schäfer et al. 2024 (S24), what they report, and what became of them, as tables of the page.

Verdicts count intervals; no word of them is written for a result.
"""

import pandas as pd

from figures.engine import verdicts

THEIRS = {
    "balanced languages gain less than their tokens": "TEff 0.89 at 1×, 0.74 at 2×, 0.64 at 3×",
    "the gain of balanced languages falls with the budget": "TEff 0.89, 0.74, 0.64 at 1×, 2×, 3×",
    "a minority gains more than its tokens": "TEff 2.08 at 1×, 3.29 at 2×, 3.14 at 3×",
    "a majority loses nothing": "TEff 1.00 at 1×, 1.00 at 2×, 0.99 at 3×",
    "90/10 beats 50/50 in both languages": "at 4×; a larger model at 1×",
    "what 90/10 costs the worse language shrinks with the budget": "perplexity 32.8 against 26.1 at 1×, 22.3 against "
    "22.2 at 3×",
    "what 90/10 costs the worse language shrinks with the width": "a larger model gains in both languages at 1×",
    "90/10 aligns more: state cosine": "0.94 against 0.56 in layer 9",
    "90/10 aligns more: gradient cosine": "0.534 against 0.072",
    "anchors help": "perplexity 26.1 without, 23.4 with 5 %, 22.9 with 25 %",
    "imbalance first beats 50/50": "0.1 → 0.9: perplexity 26.5 / 24.4 against 26.1 / 26.1",
    "the first language is forgotten": "perplexity 9e10",
    "a real minority gains nothing": "TEff 1.05 at 10 % French",
    "a real minority gains more than its tokens": "TEff 1.27 at 10 % French",
}
"""What S24 report of a claim, where they give numbers."""


def summary(claims: pd.DataFrame) -> str:
    """A line a claim."""
    return verdicts.summary(
        claims,
        "S24",
        THEIRS,
        named=lambda row: f"{row['setting']}, {row['language']}",
        expected="as in S24",
    )


def effects(claims: pd.DataFrame) -> str:
    """A line an effect."""
    said = "Effects in logarithms of TEff, nats a token, cosines, shares or accuracies. Bold: 0 is outside."
    return f"{said}\n\n{verdicts.effects(claims, ['claim', 'setting', 'language'], 'S24')}"
