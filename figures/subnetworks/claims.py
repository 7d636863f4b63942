"""The claims of Foroutan et al. 2022 (F22), what they report, and what became of them, as tables of the page.

Verdicts count intervals; no word of them is written for a result.
"""

import pandas as pd

from figures.engine import verdicts

THEIRS = {
    "a ticket costs no more than the whole model": "English, 50 %: perplexity 4.63 against 4.65, F1 83.60 against "
    "83.47, XNLI 82.14 against 82.16",
    "a ticket beats a random mask": "English, 50 %: perplexity 4.63 against 10.92, F1 83.60 against 68.05, XNLI 82.14 "
    "against 74.49",
    "a ticket beats a random mask within the denser tickets": "a control",
    "a ticket beats one-shot magnitude": "a control",
    "another language's ticket costs more": "perplexity +0.2 to +0.5",
    "another language's ticket costs less than a random mask": "perplexity +0.2 to +0.5, random +2 to +6",
    "a ticket of all languages costs less than one of another": "it beats those of one language",
    "tickets of two languages overlap more than chance": "more than chance, 33 % at 50 %",
    "tickets of two languages overlap less than two of one": "two of one: 98.66 % (NER), 92.23 % (XNLI, MLM)",
    "overlap differs between tasks": "NER > XNLI > MLM",
    "overlap is greatest in the middle": "of MLM",
    "overlap rises with depth": "of NER and XNLI",
    "sparser tickets transfer worse": "at 20 % far worse",
    "under tickets sentences find each other no worse than in the whole model": "measured layer by layer",
}
"""What F22 report of a claim."""
UNTESTED = "not tested"


def summary(claims: pd.DataFrame) -> str:
    """A line a claim."""
    return verdicts.summary(
        _worded(claims),
        "F22",
        THEIRS,
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
    found = verdicts.effects(_worded(claims), ["claim", "task", "setting"], "claimed")
    return f"{said}\n\n{found}"


def _worded(claims: pd.DataFrame) -> pd.DataFrame:
    return claims.assign(task=claims["task"].str.replace("-", " "))
