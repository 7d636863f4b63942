"""Probabilities tested by draws whose number is fixed beforehand, with exact binomial (Clopper-Pearson) bounds."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from theory.evidence.interval import ball, binomial_lower, binomial_upper
from theory.statement import Inconclusive, Refuted, Supported, Verdict, Witness

CONFIDENCE = Fraction(999, 1000)
"""Of each one-sided bound: a true claim is refuted here at most once in a thousand sets of seeds."""


def at_least(event: Callable[[int], bool], probability: Any, draws: int) -> Verdict:
    """Whether P(event) >= probability (a rational or an Arb ball), from event(0), ..., event(draws - 1).

    Supported if the lower bound reaches it, its slack the difference; Refuted if the upper bound falls short of it;
    else Inconclusive: the draws do not tell.
    """
    hits = sum(bool(event(seed)) for seed in range(draws))
    claimed = ball(probability)
    lower = binomial_lower(hits, draws, CONFIDENCE)
    if ball(lower) >= claimed:
        return Supported("sampled", draws, float((ball(lower) - claimed).mid()))
    upper = binomial_upper(hits, draws, CONFIDENCE)
    if ball(upper) < claimed:
        how = f"{hits} of {draws} draws, Clopper-Pearson at confidence {CONFIDENCE}"
        return Refuted(Witness({"draws": draws}, float(claimed.mid()), float(upper), how))
    return Inconclusive(
        f"{hits} of {draws} draws give P >= {float(lower):.4f}, not {float(claimed.mid()):.4f}"
    )
