"""What became of the claims of Daras et al. 2022, and what the controls say: one row an effect, with its interval.

`one` is the model of a text alone, `several` that of the same text and others, of equal tokens in all; both are judged
on that text, seed by seed. Degradation is the loss of a broken model less that of the same model unbroken, in nats a
token: the log of the ratio of their perplexities. Its area is the mean over strengths.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.measures import degradation, intervals
from neural.measures.degradation import Crossover, Curve, curve
from neural.measures.intervals import Interval
from neural.robustness.plan import Comparison, Study
from neural.study.claims import Claim, Claims
from neural.study.results import read
from sim.runs.errors import UserError

Array = NDArray[np.float64]

SURE = 0.975
"""Share of resamples that have to cross for a crossover to count."""

COLUMNS = (
    *("id", "claim", "kind", "one", "several", "group", "failure"),
    *("effect", "low", "high", "crossing", "expected", "verdict"),
)


class Results:
    """The tables of a study, and its curves by name."""

    def __init__(self, study: Study, out: Path) -> None:
        self.study, self.out = study, out
        self.clean = read(out, "clean")
        self.last = self.clean[self.clean["step"] == study.optimiser.steps]
        self.curves = read(out, "curves")
        keys = ["model", "text", "group", "failure", "matched", "step"]
        of_matched = self.curves["matched"] != ""
        steps = self.curves["step"].where(~of_matched, -1)
        self._curves = dict(iter(self.curves.assign(step=steps).groupby(keys)))

    def curve(
        self,
        model: str,
        text: str,
        group: str,
        failure: str,
        *,
        matched: str = "",
        step: int | None = None,
    ) -> Curve:
        """That of the last models, of those of a step, or of those stopped at the loss of another."""
        at = -1 if matched else self.study.optimiser.steps if step is None else step
        key = (model, text, group, failure, matched, at)
        if key not in self._curves:
            raise UserError(
                f"{self.out} has no {failure} of {group} of {model}: finish it with "
                "`python -m neural.robustness --resume`"
            )
        return curve(self._curves[key])

    def losses(self, model: str, text: str) -> Array:
        """Clean losses (seeds,) of the last models."""
        rows = self.last[(self.last["model"] == model) & (self.last["text"] == text)]
        return rows.sort_values("seed")["nats_per_token"].to_numpy()


def claims(results: Results) -> pd.DataFrame:
    """All of them. Raises UserError for a study that is not done."""
    rows = [
        *_clean(results),
        *_slower(results),
        *_crossovers(results),
        *_training(results),
        *_matched(results),
        *_domains(results),
        *_classified(results),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of(claim: Claim, comparison: Comparison, detail: str = "") -> dict[str, Any]:
    """What a row is of; `detail`: what tells it from others of the same claim."""
    return {
        "id": claim.id,
        "claim": f"{claim.says}{detail}",
        "kind": comparison.kind,
        "one": comparison.first,
        "several": comparison.several,
    }


def _row(
    claim: Claim, comparison: Comparison, effect: Interval, detail: str = "", **more: Any
) -> dict[str, Any]:
    expected = claim.expected
    judged = intervals.verdict(effect, expected) if np.isfinite(float(effect.low)) else "one seed"
    return {
        **_of(claim, comparison, detail),
        "effect": float(effect.value),
        "low": float(effect.low),
        "high": float(effect.high),
        "expected": expected,
        "verdict": judged,
        **more,
    }


CLEAN = Claim("clean-loss", "clean loss", 1)


def _clean(results: Results) -> Iterator[dict[str, Any]]:
    """The clean loss of several is slightly worse."""
    for comparison in results.study.comparisons:
        pair = (results.losses(m, comparison.first) for m in (comparison.first, comparison.several))
        yield _row(CLEAN, comparison, intervals.difference(*pair))


def _hits(study: Study) -> Iterator[tuple[str, str]]:
    for hit in study.measures.hits:
        for failure, _ in hit.failures:
            yield hit.group, failure


DEGRADATION = Claim("degradation", "degradation", -1)


def _slower(results: Results) -> Iterator[dict[str, Any]]:
    """Several degrade more slowly."""
    for comparison in results.study.comparisons:
        for group, failure in _hits(results.study):
            alone, several = _pair(results, comparison, group, failure)
            effect = intervals.difference(alone.areas, several.areas)
            yield _row(DEGRADATION, comparison, effect, group=group, failure=failure)


def _pair(
    results: Results, comparison: Comparison, group: str, failure: str
) -> tuple[Curve, Curve]:
    text = comparison.first
    return (
        results.curve(comparison.first, text, group, failure),
        results.curve(comparison.several, text, group, failure),
    )


CROSSOVER = Claim("crossover", "crossover", -1)


def _crossovers(results: Results) -> Iterator[dict[str, Any]]:
    """From some strength on, several have the lower loss."""
    for comparison in results.study.comparisons:
        for group, failure in _hits(results.study):
            alone, several = _pair(results, comparison, group, failure)
            strengths = alone.strengths
            crossing = degradation.crossover(strengths, alone.losses, several.losses)
            yield {
                **_of(CROSSOVER, comparison),
                "group": group,
                "failure": failure,
                "effect": np.nan if crossing.value is None else crossing.value,
                "low": np.nan if crossing.low is None else crossing.low,
                "high": np.nan if crossing.high is None else crossing.high,
                "crossing": crossing.crossing,
                "expected": CROSSOVER.expected,
                "verdict": crossed(crossing) if len(alone.losses) > 1 else "one seed",
            }


def crossed(crossing: Crossover) -> str:
    """Replicated: the curve of several falls through that of one in nearly all resamples; opposite: it rises."""
    if not crossing.direction or crossing.crossing < SURE:
        return "not replicated"
    return "replicated" if crossing.direction < 0 else "opposite"


LONGER = Claim("degradation-longer", "degradation after longer training", -1)
LOSS_LONGER = Claim("loss-longer", "loss under failure after longer training", -1)


def _training(results: Results) -> Iterator[dict[str, Any]]:
    """Longer training of several makes them more robust: the last step less the first of the early.

    Of the degradation, and of the broken model's loss, which falls with the clean loss too: the perplexity after
    pruning is what D22 shows.
    """
    first = results.study.comparisons[0]
    for hit in results.study.hits_in_training:
        for failure, _ in hit.failures:
            early, last = (
                results.curve(first.several, first.first, hit.group, failure, step=step)
                for step in (results.study.early[0], None)
            )
            shared = np.intersect1d(early.strengths, last.strengths)
            pair = [
                Curve(shared, stage_curve.losses[:, np.isin(stage_curve.strengths, shared)])
                for stage_curve in (early, last)
            ]
            what = {"group": hit.group, "failure": failure}
            added = intervals.difference(*(stage_curve.areas for stage_curve in pair))
            yield _row(LONGER, first, added, **what)
            loss = intervals.difference(*(degradation.area(*stage_curve) for stage_curve in pair))
            yield _row(LOSS_LONGER, first, loss, **what)


EQUAL = Claim("degradation-equal-loss", "degradation at equal clean loss", -1)


def _matched(results: Results) -> Iterator[dict[str, Any]]:
    """Several degrade more slowly than one that was stopped at their clean loss."""
    for comparison in results.study.comparisons:
        for hit in results.study.hits_matched:
            for failure, _ in hit.failures:
                alone = results.curve(
                    comparison.first,
                    comparison.first,
                    hit.group,
                    failure,
                    matched=comparison.several,
                )
                several = results.curve(comparison.several, comparison.first, hit.group, failure)
                effect = intervals.difference(alone.areas, several.areas)
                what = {"group": hit.group, "failure": failure}
                yield _row(EQUAL, comparison, effect, **what)


LESS = {
    kind: Claim(f"language-less-{kind}", f"degradation, language less {kind}", -1)
    for kind in ("domain", "near-clone")
}
"""By the kind of comparison that is taken off."""


def _domains(results: Results) -> Iterator[dict[str, Any]]:
    """A second language does more than a second domain of the same language: the difference of the two differences."""
    comparisons = results.study.comparisons
    domains = [c for c in comparisons if c.kind in LESS]
    for domain in domains:
        for comparison in comparisons:
            if comparison.kind != "language" or comparison.first != domain.first:
                continue
            for group, failure in _hits(results.study):
                language = _pair(results, comparison, group, failure)[1].areas
                other = _pair(results, domain, group, failure)[1].areas
                what = {"group": group, "failure": failure}
                effect = intervals.difference(other, language)
                detail = f" {domain.texts[1]}"
                yield _row(LESS[domain.kind], comparison, effect, detail, **what)


ACCURACY = Claim("accuracy", "accuracy", 1)
KEPT = Claim("accuracy-kept", "accuracy kept under failure", 1)


def _classified(results: Results) -> Iterator[dict[str, Any]]:
    """Fine-tuned for a task, several keep more of their accuracy; at their best, and at equal clean accuracy."""
    if results.study.classification is None:
        return
    rows = read(results.out, "classification")
    for comparison in results.study.comparisons:
        own = rows[rows["several"] == comparison.several]
        for (task, at), of_task in own.groupby(["task", "at"], sort=False):
            for place, (failure, some) in enumerate(of_task.groupby("failure", sort=False)):
                alone, several = (
                    curve(some[some["model"] == model], "accuracy")
                    for model in (comparison.first, comparison.several)
                )
                group = some["group"].iat[0]
                if not place:
                    effect = intervals.difference(alone.clean, several.clean)
                    detail = f", {task} ({at})"
                    yield _row(ACCURACY, comparison, effect, detail, group=group, failure="none")
                effect = intervals.difference(alone.areas, several.areas)
                detail = f", {task} ({at})"
                yield _row(KEPT, comparison, effect, detail, group=group, failure=failure)


EFFECTS = Claims(
    [
        *(CLEAN, DEGRADATION, CROSSOVER, LONGER, LOSS_LONGER, EQUAL),
        *LESS.values(),
        *(ACCURACY, KEPT),
    ]
)
"""What rows are of, by their id."""
