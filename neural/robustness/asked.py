"""The claims of Daras et al. 2022 (D22), and our controls: what each says or asks, and which effects answer it."""

from dataclasses import dataclass

import pandas as pd

from neural.robustness.claims import (
    CLEAN,
    CROSSOVER,
    DEGRADATION,
    EQUAL,
    KEPT,
    LESS,
    LONGER,
    LOSS_LONGER,
)
from neural.study.claims import ID, Claim

ATTENTION = "attention"
OF_D22 = ("weight-deletion", "additive-noise", "magnitude-pruning")
"""Their failures, all of attention."""
OF_ALL = ("weight-deletion", "additive-noise-relative", "magnitude-pruning")
"""Failures that every group of parameters suffers."""
PRUNING = ("magnitude-pruning",)
SLOWER = ("yes", "no, faster", "no effect found")
MORE = ("yes", "no, less", "no difference found")


@dataclass(frozen=True)
class Asked:
    """A claim of D22 or a question of ours, and when an effect speaks for it: of which measure, comparison and failure.

    None: of any.
    """

    says: str
    effect: Claim
    kind: str | None = "language"
    failures: tuple[str, ...] | None = OF_D22
    group: str | None = ATTENTION
    source: str = ""
    """What D22 report."""
    answers: tuple[str, str, str] | None = None
    """Of a question: where effects are replicated, opposite, and neither; "replicated" is what D22 would lead one to
    expect."""

    def rows(self, effects: pd.DataFrame) -> pd.DataFrame:
        """Those of a table of effects that it is about."""
        wanted = effects[ID].eq(self.effect.id)
        if self.kind is not None:
            wanted &= effects["kind"].eq(self.kind)
        if self.group is not None:
            wanted &= effects["group"].eq(self.group)
        if self.failures is not None:
            wanted &= effects["failure"].isin(self.failures)
        return effects[wanted]


CLAIMS = (
    Asked(
        "The clean loss of bilingual models is slightly worse",
        CLEAN,
        failures=None,
        group=None,
        source="perplexity 76 against 36",
    ),
    Asked(
        "Bilingual models degrade more slowly",
        DEGRADATION,
        source="deletion p = 0 to 0.4: perplexity 76 to 608, against 36 to 727",
    ),
    Asked(
        "From some strength on, bilingual models have the lower loss",
        CROSSOVER,
        source="deletion: from p ≈ 0.13",
    ),
    Asked(
        "Longer bilingual training makes more robust to pruning",
        LOSS_LONGER,
        failures=PRUNING,
        source="perplexity at 30 % pruned, epochs 1 to 8: 357 to 80",
    ),
    Asked(
        "Fine-tuned for classification, bilingual models keep more of their accuracy",
        KEPT,
        failures=None,
        group=None,
        source="on GLUE, under noise and deletion",
    ),
)

CONTROLS = (
    Asked(
        "Equal clean loss: do bilingual models degrade more slowly than that of one language stopped at their loss?",
        EQUAL,
        answers=SLOWER,
    ),
    Asked(
        "Equal weight norm: do they under noise in units of each tensor's standard deviation?",
        DEGRADATION,
        failures=("additive-noise-relative",),
        answers=SLOWER,
    ),
    Asked(
        "All parameters: do they when all parameters fail, and not attention alone?",
        DEGRADATION,
        failures=OF_ALL,
        group="all",
        answers=SLOWER,
    ),
    Asked(
        "All parameters, at equal clean loss: do they still?",
        EQUAL,
        failures=OF_ALL,
        group="all",
        answers=SLOWER,
    ),
    Asked(
        "Domain instead of language: do models of two kinds of text in one language?",
        DEGRADATION,
        "domain",
        answers=SLOWER,
    ),
    Asked(
        "Does a second language do more than a second kind of text?",
        LESS["domain"],
        None,
        answers=MORE,
    ),
    Asked(
        "Near-clone: do models of two translations of one text into the same language?",
        DEGRADATION,
        "near-clone",
        answers=SLOWER,
    ),
    Asked(
        "Does a second language do more than a near-clone?", LESS["near-clone"], None, answers=MORE
    ),
    Asked(
        "Longer training: does pruning add less to the loss, which falls without failure too?",
        LONGER,
        failures=PRUNING,
        answers=("yes", "no, more", "no difference found"),
    ),
    Asked("Do models of three languages?", DEGRADATION, "three languages", answers=SLOWER),
    Asked(
        "Do bilingual models when whole heads are lost? Budhraja et al. 2021 (arXiv 2109.12683) find BERT of one and "
        "of many languages equally hurt.",
        DEGRADATION,
        failures=("head-deletion",),
        answers=("yes, unlike there", "no, faster, unlike there", "no effect found, as there"),
    ),
)
