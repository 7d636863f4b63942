"""What the joined table says: does sharing predict robustness, does imbalance create the sharing, and when?

One row an effect, with Student's interval over seeds. What is a correlation or a slope over several models is computed
within each seed, whose models share their initial weights, and then averaged: intervals are over seeds alone, and say
nothing of other languages. A slope is of least squares after the means of each pair and step were taken off, which
stands for the mixed-effects model with an intercept for each of them and a slope for each seed. Expected signs are
those that D22, F22, S24 and B22 lead one to expect; "replicated" is an interval on that side of 0.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.across.join import Results, by_seed, gained
from neural.across.plan import ALONE
from neural.measures.intervals import Interval, difference, effect, interval, rank_correlation
from neural.measures.probes.onset import onset
from neural.study.claims import Claim, Claims
from neural.text.mixture import BALANCED, IMBALANCED

Array = NDArray[np.float64]

COLUMNS = ("id", "claim", "setting", "effect", "low", "high", "unit", "expected", "verdict")


class Measured(NamedTuple):
    """A column of the joined table: what it is called, in which unit, and the sign that more sharing gives it."""

    said: str
    unit: str
    expected: int


SHARING = {
    "overlap": Measured("overlap of tickets", "overlap", 1),
    "specific": Measured("what one ticket alone holds", "nats", -1),
    "state_cosine": Measured("state cosine", "cosine", 1),
    "gradient_cosine": Measured("gradient cosine", "cosine", 1),
}
"""How much two languages share."""
ROBUST = {
    "area_all": Measured("area, all parameters", "nats", -1),
    "area_attention": Measured("area, attention", "nats", -1),
    "slope_all": Measured("slope, all parameters", "nats / σ²", -1),
    "slope_attention": Measured("slope, attention", "nats / σ²", -1),
}
"""What failures add to the loss: less is more robust."""
READ = {
    "retrieval": Measured("retrieval of translations", "accuracy", 1),
    "transferred": Measured("parts of speech, transferred", "accuracy", 1),
}
"""What probes can read across languages."""
WORTH = {
    "teff_first": Measured("TEff of the first language", "log TEff", 1),
    "teff_second": Measured("TEff of the second language", "log TEff", 1),
}
MEASURES = {**SHARING, **ROBUST, **READ, **WORTH}

TIMED = ("overlap", "state_cosine", "gradient_cosine", "retrieval", "transferred")
"""Whose onset is held against that of the robustness."""
ADVANTAGE = "spared_all"
HALF = 0.5
"""An onset is where the gain over the model of one language first reaches this part of its maximum."""

NAMES = {BALANCED: "50/50", IMBALANCED: "90/10"}

NO_VERDICT = ("not measured", "one seed")

FEWEST = 4
"""Models that a rank correlation is of, at least."""


PREDICTS = Claim(
    "sharing-predicts-robustness", "models that share more are more robust", -1, "D22 and F22"
)
AGREE = Claim("measures-agree", "measures of sharing agree", -1, "F22, S24 and B22")
SHARES_MORE = Claim("imbalance-shares-more", "90/10 shares more than 50/50", 1, "S24 and F22")
WORTH_MORE = Claim("imbalance-worth-more", "90/10 is worth more tokens than 50/50", 1, "S24")
MORE_ROBUST = Claim("imbalance-more-robust", "90/10 is more robust than 50/50", -1, "S24 and D22")
TWO_MORE_ROBUST = Claim("two-more-robust", "two languages are more robust than one", -1, "D22")
SHARING_FIRST = Claim("sharing-first", "sharing comes before robustness", -1, "B22 and D22")
SHARING_EARLIER = Claim(
    "imbalance-shares-earlier",
    "sharing comes earlier with 90/10 than with 50/50",
    -1,
    "B22 and S24",
)
CLAIMS = Claims(
    [
        *(PREDICTS, AGREE, SHARES_MORE, WORTH_MORE, MORE_ROBUST, TWO_MORE_ROBUST),
        *(SHARING_FIRST, SHARING_EARLIER),
    ]
)
"""Their sources are the studies that they join."""


def claims(results: Results) -> pd.DataFrame:
    """All of them. Raises UserError for a study that is not done."""
    rows = [
        *_predicted(results),
        *_related(results),
        *_created(results),
        *_robust(results),
        *_timed(results),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(
    claim: Claim, setting: str, estimate: Interval, unit: str, expected: int, without: str = ""
) -> dict[str, Any]:
    """without: why there is no verdict, if there is none; a bound has no interval either."""
    judged = effect(estimate, unit, expected, without=without)
    return {"id": claim.id, "claim": claim.says, "setting": setting, **judged}


def correlations(
    rows: pd.DataFrame, column: str, other: str, within: Sequence[str], given: str | None = None
) -> Array:
    """Rank correlations of two columns over the models of each seed, (seeds,): within groups, then their mean.

    NaN for a seed in no group of which there is one.
    """
    seed_correlations = []
    for _, of_seed in rows.groupby("seed"):
        parts = [part for _, part in of_seed.groupby(list(within))] if within else [of_seed]
        each = [
            rank_correlation(
                part[column], part[other], None if given is None else part[given], fewest=FEWEST
            )
            for part in parts
        ]
        known = [value for value in each if np.isfinite(value)]
        seed_correlations.append(float(np.mean(known)) if known else np.nan)
    return np.array(seed_correlations)


def slopes(rows: pd.DataFrame, x: str, y: str, within: Sequence[str]) -> Array:
    """Least-squares slopes (seeds,) of a column on another over the models of each seed, less the means of groups.

    NaN for a seed whose x does not vary within groups.
    """
    seed_slopes = []
    for _, part in rows.dropna(subset=[x, y]).groupby("seed"):
        a, b = (part[c] - part.groupby(list(within))[c].transform("mean") for c in (x, y))
        varies = float((a**2).sum()) > 0
        seed_slopes.append(float((a * b).sum() / (a**2).sum()) if varies else np.nan)
    return np.array(seed_slopes)


def _known(values: Array) -> Interval:
    """Over the seeds that have a value."""
    known = values[np.isfinite(values)]
    nothing = np.array(np.nan)
    return interval(known) if len(known) else Interval(nothing, nothing, nothing)


def _bounded(estimate: Interval) -> Interval:
    """Of a correlation, which lies from -1 to 1."""
    return Interval(estimate.value, *(np.clip(end, -1, 1) for end in (estimate.low, estimate.high)))


def _predicted(results: Results) -> Iterator[dict[str, Any]]:
    """Models whose languages share more lose less under failure."""
    models = results.models
    tested = models[models["step"].isin(results.study.ticket_steps) & (models["step"] > 0)]
    last = models[models["last"]]
    settings: tuple[tuple[str, pd.DataFrame, list[str]], ...] = (
        ("pairs and shares, last step", last, []),
        ("shares and steps within pairs", tested, ["pair"]),
    )
    for predictor, what in SHARING.items():
        for outcome, lost in ROBUST.items():
            title = f"{what.said}; {lost.said}"
            expected = what.expected * lost.expected
            for setting, rows, within in settings:
                for given, said in ((None, ""), ("loss_first", ", clean loss held")):
                    values = correlations(rows, predictor, outcome, within, given)
                    estimate = _bounded(_known(values))
                    where = f"{title}; {setting}{said}"
                    yield _row(PREDICTS, where, estimate, "rank correlation", expected)
            estimate = _known(slopes(tested, predictor, outcome, ["pair", "step"]))
            where = f"{title}; slope over shares within pairs and steps"
            unit = "1" if what.unit == lost.unit else f"{lost.unit} per {what.unit}"
            yield _row(PREDICTS, where, estimate, unit, expected)


def _related(results: Results) -> Iterator[dict[str, Any]]:
    """What the four studies take for sharing agrees: at the last step, over pairs and shares."""
    last = results.models[results.models["last"]]
    others = [*[name for name in SHARING if name != "overlap"], *READ, "teff_second"]
    for name in others:
        if name in last:
            estimate = _bounded(_known(correlations(last, "overlap", name, [])))
            what = MEASURES[name]
            setting = f"overlap of tickets; {what.said}; pairs and shares, last step"
            yield _row(AGREE, setting, estimate, "rank correlation", what.expected)


def _values(results: Results, pair: str, share: float, column: str) -> Array:
    """Of the last models, (seeds,); TEff in logarithms."""
    rows = results.models
    rows = rows[rows["last"] & (rows["pair"] == pair) & (rows["share"] == share)]
    values: Array = by_seed(rows, column, results.study.seeds)
    return np.log(values) if column in WORTH else values


def _pairs(results: Results) -> list[str]:
    return ["-".join(pair) for pair in results.study.pairs]


def _beyond(results: Results, pair: str, column: str) -> str:
    """Where the tokens that a TEff stands for lie outside those of the monolingual runs."""
    if column not in WORTH:
        return ""
    rows = results.models
    rows = rows[rows["last"] & (rows["pair"] == pair) & rows["share"].isin(list(NAMES))]
    sides = set(rows[column.replace("teff", "beyond")].dropna()) - {""}
    return f"{' and '.join(sorted(sides))} the monolingual runs" if sides else ""


def _created(results: Results) -> Iterator[dict[str, Any]]:
    """90/10 less 50/50, of every measure at the last step."""
    claims_of = (
        (SHARES_MORE, {**SHARING, **READ}),
        (WORTH_MORE, WORTH),
        (MORE_ROBUST, ROBUST),
    )
    for claim, measures in claims_of:
        for column, what in measures.items():
            for pair in _pairs(results) if column in results.models else ():
                sides = (_values(results, pair, share, column) for share in (BALANCED, IMBALANCED))
                without = _beyond(results, pair, column)
                setting = f"{what.said}; {pair}"
                yield _row(claim, setting, difference(*sides), what.unit, what.expected, without)


def _robust(results: Results) -> Iterator[dict[str, Any]]:
    """Models of two languages lose less under failure than that of the first alone."""
    for column, what in ROBUST.items():
        for pair in _pairs(results):
            for share, said in NAMES.items():
                sides = (_values(results, pair, side, column) for side in (ALONE, share))
                setting = f"{what.said}; {pair}, {said}"
                yield _row(TWO_MORE_ROBUST, setting, difference(*sides), what.unit, what.expected)


def onsets(results: Results) -> pd.DataFrame:
    """By pair, share, measure and seed: log2 of the step where the gain over the model of one language reaches half.

    sure: whether at some step the gain is above 0 by its interval over seeds; without that there is nothing to time.
    early: whether that is the first step it was measured at, and that is not 0: the onset is there or before.
    """
    models = results.models
    seeds = list(results.study.seeds)
    lines = []
    for column in (ADVANTAGE, *TIMED):
        if column not in models:
            continue
        gain = models[column] if column == ADVANTAGE else gained(models, column)
        rows = models.assign(_gain=gain).dropna(subset=["_gain"])
        for (pair, share), part in rows[rows["share"] > 0].groupby(["pair", "share"], sort=False):
            steps = np.sort(part["step"].unique())
            values = part.pivot(index="seed", columns="step", values="_gain").reindex(seeds)
            gains = values[steps].to_numpy()
            timing = onset(gains, steps, share=HALF, floor=0.0)
            early = (timing.first == steps[0]) & (steps[0] > 0)
            with np.errstate(invalid="ignore"):
                sure = bool((interval(gains).low > 0).any())
            lines += [
                (pair, share, column, seed, at, first, sure)
                for seed, at, first in zip(seeds, timing.log2, early, strict=True)
            ]
    columns = ["pair", "share", "measure", "seed", "log2", "early", "sure"]
    return pd.DataFrame(lines, columns=columns)


def _timed(results: Results) -> Iterator[dict[str, Any]]:
    """Sharing comes before the robustness, and earlier with 90/10 than with 50/50."""
    timings = onsets(results)
    unit = "log2 steps"
    for column in TIMED:
        said = MEASURES[column].said
        for pair in _pairs(results):
            sides = {
                (measure, share): _onset(timings, pair, share, measure)
                for measure in (column, ADVANTAGE)
                for share in (BALANCED, IMBALANCED)
            }
            if any(side is None for side in sides.values()):
                continue
            for share, name in NAMES.items():
                pairing = (sides[ADVANTAGE, share], sides[column, share])
                yield _between(SHARING_FIRST, f"{said}; {pair}, {name}", *pairing, unit)
            pairing = (sides[column, BALANCED], sides[column, IMBALANCED])
            yield _between(SHARING_EARLIER, f"{said}; {pair}", *pairing, unit)


class _Onset(NamedTuple):
    log2: Array
    sure: bool
    early: bool
    measure: str


def _onset(timings: pd.DataFrame, pair: str, share: float, measure: str) -> _Onset | None:
    rows = timings[
        (timings["pair"] == pair) & (timings["share"] == share) & (timings["measure"] == measure)
    ]
    if rows.empty:
        return None
    sure, early = bool(rows["sure"].iat[0]), bool(rows["early"].any())
    return _Onset(rows["log2"].to_numpy(np.float64), sure, early, measure)


def _between(
    claim: Claim, setting: str, reference: _Onset | None, other: _Onset | None, unit: str
) -> dict[str, Any]:
    """other - one, over the seeds that have both; without a verdict where one of them is no gain to time.

    An onset before the first look is a bound, so that the difference is: a verdict that this leaves standing is kept.
    """
    assert reference is not None
    assert other is not None
    unsure = [side for side in (reference, other) if not side.sure]
    without = ""
    if len(reference.log2) > 1 and unsure:
        gain = "robustness" if unsure[0].measure == ADVANTAGE else "sharing"
        without = f"no gain of {gain} to time"
    row = _row(claim, setting, _known(other.log2 - reference.log2), unit, -1, without)
    stands = {(False, True): "replicated", (True, False): "opposite"}
    judged = stands.get((reference.early, other.early))
    if (reference.early or other.early) and row["verdict"] not in (judged, without, *NO_VERDICT):
        return row | {"low": np.nan, "high": np.nan, "verdict": "starts before the first look"}
    return row
