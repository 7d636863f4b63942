"""The claims of Daras et al. 2022 (D22) and the controls, as questions to the table of neural.robustness.claims.

An answer counts intervals; no word of it is written for a result.
"""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from figures.engine.verdicts import SIDES, VERDICTS, judged
from figures.robustness.failure_curves import GROUP

OF_D22 = ("weight-deletion", "additive-noise", "magnitude-pruning")
"""Their failures, all of attention."""
OF_ALL = ("weight-deletion", "additive-noise-relative", "magnitude-pruning")
"""Failures that every group of parameters suffers."""
KEPT = "accuracy kept under failure"
EQUAL = "degradation at equal clean loss"
LESS = "degradation, language less"

Chosen = Callable[[pd.DataFrame], pd.Series]


class Claim(NamedTuple):
    """A claim of D22, what they report, and which rows test it."""

    says: str
    theirs: str
    chosen: Chosen


class Control(NamedTuple):
    """A question, which rows answer it, and the answers where they are replicated, opposite, and neither."""

    question: str
    chosen: Chosen
    answers: tuple[str, str, str]


def of(
    claim: str,
    kind: str = "language",
    failures: tuple[str, ...] = OF_D22,
    group: str = GROUP,
) -> Chosen:
    """The rows of a claim about a kind of comparison and these failures of attention, or another group."""
    return lambda rows: (
        rows["claim"].eq(claim)
        & rows["kind"].eq(kind)
        & rows["group"].eq(group)
        & rows["failure"].isin(failures)
    )


def less(control: str) -> Chosen:
    """The rows of the difference between another language and a control, which has the same effect if it is 0."""
    return lambda rows: (
        rows["claim"].str.startswith(f"{LESS} {control}")
        & rows["group"].eq(GROUP)
        & rows["failure"].isin(OF_D22)
    )


CLAIMS = (
    Claim(
        "The clean loss of bilingual models is slightly worse",
        "perplexity 76 against 36",
        lambda rows: rows["claim"].eq("clean loss") & rows["kind"].eq("language"),
    ),
    Claim(
        "Bilingual models degrade more slowly",
        "deletion p = 0 to 0.4: perplexity 76 to 608, against 36 to 727",
        of("degradation"),
    ),
    Claim(
        "From some strength on, bilingual models have the lower loss",
        "deletion: from p ≈ 0.13",
        of("crossover"),
    ),
    Claim(
        "Longer bilingual training makes more robust to pruning",
        "perplexity at 30 % pruned, epochs 1 to 8: 357 to 80",
        of("loss under failure after longer training", failures=("magnitude-pruning",)),
    ),
    Claim(
        "Fine-tuned for classification, bilingual models keep more of their accuracy",
        "on GLUE, under noise and deletion",
        lambda rows: rows["claim"].str.startswith(KEPT) & rows["kind"].eq("language"),
    ),
)

SLOWER = ("yes", "no, faster", "no effect found")
MORE = ("yes", "no, less", "no difference found")

CONTROLS = (
    Control(
        "Equal clean loss: do bilingual models degrade more slowly than that of one language stopped at their loss?",
        of(EQUAL),
        SLOWER,
    ),
    Control(
        "Equal weight norm: do they under noise in units of each tensor's standard deviation?",
        of("degradation", failures=("additive-noise-relative",)),
        SLOWER,
    ),
    Control(
        "All parameters: do they when all parameters fail, and not attention alone?",
        of("degradation", failures=OF_ALL, group="all"),
        SLOWER,
    ),
    Control(
        "All parameters, at equal clean loss: do they still?",
        of(EQUAL, failures=OF_ALL, group="all"),
        SLOWER,
    ),
    Control(
        "Domain instead of language: do models of two kinds of text in one language?",
        of("degradation", "domain"),
        SLOWER,
    ),
    Control("Does a second language do more than a second kind of text?", less("domain"), MORE),
    Control(
        "Near-clone: do models of two translations of one text into the same language?",
        of("degradation", "near-clone"),
        SLOWER,
    ),
    Control("Does a second language do more than a near-clone?", less("near-clone"), MORE),
    Control(
        "Longer training: does pruning add less to the loss, which falls without failure too?",
        of("degradation after longer training", failures=("magnitude-pruning",)),
        ("yes", "no, more", "no difference found"),
    ),
    Control("Do models of three languages?", of("degradation", "three languages"), SLOWER),
    Control(
        "Do bilingual models when whole heads are lost? Budhraja et al. 2021 (arXiv 2109.12683) find BERT of one and "
        "of many languages equally hurt.",
        of("degradation", failures=("head-deletion",)),
        ("yes, unlike there", "no, faster, unlike there", "no effect found, as there"),
    ),
)
"""Their rows are named so that "replicated" is what D22 would lead one to expect."""


def answered(control: Control, rows: pd.DataFrame) -> str:
    """The answer that the verdict of a control's rows gives; "mixed" where sides have some, but not the verdict."""
    verdict = judged(rows)
    if verdict == "not replicated" and rows["verdict"].isin(SIDES).any():
        return "mixed"
    return dict(zip(VERDICTS, control.answers, strict=True)).get(verdict, verdict)


def counted(rows: pd.DataFrame) -> str:
    """How many intervals are on which side of 0."""
    if rows.empty:
        return "not measured"
    tested = rows[rows["verdict"].isin(VERDICTS)]
    if tested.empty:
        return "no intervals: one seed"
    expected, opposite = (int((tested["verdict"] == side).sum()) for side in SIDES)
    return f"{expected} of {len(tested)} on D22's side, {opposite} on the other"
