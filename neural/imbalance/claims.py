"""What became of the claims of Schäfer et al. 2024: one row an effect, with its interval over seeds.

Efficiencies are fitted seed by seed, so that intervals hold the scatter of the monolingual curve too. c0 and c1 are the
two clones; the share is that of c1.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.imbalance.plan import Study
from neural.measures.efficiency import Reference, fit, interpolated
from neural.measures.intervals import Interval, difference, effect, interval, within
from neural.study.claims import Claim, Claims
from neural.study.results import read
from neural.text.mixture import BALANCED, IMBALANCED
from sim.runs.errors import UserError

Array = NDArray[np.float64]

COLUMNS = (
    *("id", "claim", "setting", "language", "effect", "low", "high", "unit"),
    *("expected", "verdict"),
)
CURVE = ["width", "vocabulary", "pair", "language", "seed"]
"""What a monolingual curve is of."""
MARGIN = {"log TEff": float(np.log(1.1)), "cosine": 0.05}
"""Within which an effect that is expected to be none counts as none."""


class Results:
    """The tables of a study."""

    def __init__(self, study: Study, out: Path) -> None:
        self.study, self.out = study, out
        self.perplexity = read(out, "perplexity")
        self.alignment = read(out, "alignment")
        self.embedding = read(out, "embedding")

    @cached_property
    def transfer(self) -> pd.DataFrame:
        """Raises UserError where nothing was classified."""
        return read(self.out, "transfer")

    @cached_property
    def monolingual(self) -> dict[tuple[Any, ...], tuple[Array, Array]]:
        """Budgets and perplexities of the runs of one language, by CURVE."""
        rows = self.perplexity[self.perplexity["last"]]
        of_other = rows["language"] == rows["pair"].str.split("-").str[1]
        alone = rows[(rows["share"] == 0) & ~of_other | (rows["share"] == 1) & of_other]
        alone = alone[~alone["schedule"].astype(bool)]
        return {
            key: (part["seen"].to_numpy(np.float64), np.exp(part["nats_per_token"].to_numpy()))
            for key, part in alone.groupby(CURVE, sort=False)
        }

    @cached_property
    def curves(self) -> dict[tuple[Any, ...], Reference]:
        """The monolingual curve by CURVE, where one could be fitted."""
        fitted = {}
        for key, runs in self.monolingual.items():
            try:
                fitted[key] = fit(*runs)
            except UserError:
                continue  # too short a training for a curve: there is no efficiency then
        return fitted

    @property
    def references(self) -> pd.DataFrame:
        """The parameters of every curve, the budgets between which it holds, and how far it misses its own runs.

        misfit: the greatest |log(MLTE / tokens)| of the runs that it was fitted to.
        """
        rows = [
            (
                *key,
                curve.a,
                curve.b,
                curve.c,
                *curve.budgets,
                _misfit(curve, *self.monolingual[key]),
            )
            for key, curve in self.curves.items()
        ]
        columns = [*CURVE, "a", "b", "c", "low_budget", "high_budget", "misfit"]
        return pd.DataFrame(rows, columns=columns)

    def key_of(self, row: Any) -> tuple[Any, ...]:
        """The curve that a row of `perplexity` is held against.

        Clones share that of c0, and so does a real language that has the clones' tokenizer.
        """
        first = row.pair.split("-")[0]
        cloned = row.vocabulary == "cloned" or (
            row.vocabulary == "disjoint" and row.language == first
        )
        place = ("cloned", "c0-c1", "c0") if cloned else (row.vocabulary, row.pair, row.language)
        return (row.width, *place, row.seed)

    @cached_property
    def efficiency(self) -> pd.DataFrame:
        """Of every last model and language it was trained on: MLTE, TEff, MLPE; NaN without a curve.

        Where the equivalent budget lies `beyond` those fitted, mlte and teff are the bound that this gives. The same,
        interpolated between the monolingual runs: teff_interpolated and beyond_interpolated.
        """
        rows = self.perplexity[self.perplexity["last"] & (self.perplexity["seen"] > 0)]
        efficiencies = []
        for row in rows.itertuples():
            key, perplexity = self.key_of(row), float(np.exp(row.nats_per_token))
            curve = self.curves.get(key)
            if curve is None:
                efficiencies.append((perplexity, np.nan, np.nan, np.nan, "", np.nan, ""))
                continue
            between, beyond = interpolated(*self.monolingual[key], perplexity)
            least, most = curve.budgets
            tokens = curve.tokens(perplexity)
            mlte = float(np.clip(tokens.value, least, most))
            expected = curve.perplexity(row.seen)
            mlpe = np.nan if expected.beyond else expected.value
            fitted = (perplexity, mlte, mlte / row.seen, mlpe, tokens.beyond)
            efficiencies.append((*fitted, between / row.seen, beyond))
        columns = ["perplexity", "mlte", "teff", "mlpe", "beyond"]
        columns += ["teff_interpolated", "beyond_interpolated"]
        return rows.assign(**dict(zip(columns, zip(*efficiencies, strict=True), strict=True)))


def _misfit(curve: Reference, budgets: Array, perplexities: Array) -> float:
    tokens = [curve.tokens(float(perplexity)).value for perplexity in perplexities]
    with np.errstate(divide="ignore"):
        return float(np.abs(np.log(np.array(tokens) / budgets)).max())


def chosen(table: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """The rows of a table with these values, in order of seed."""
    for name, value in where.items():
        table = table[table[name] == value]
    return table.sort_values("seed", kind="stable")


def claims(results: Results) -> pd.DataFrame:
    """All of them. Raises UserError for a study that is not done."""
    rows = [
        *_efficiencies(results),
        *_both_better(results),
        *_alignment(results),
        *_transferred(results),
        *_anchors(results),
        *_schedules(results),
        *_many(results),
        *_real(results),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(
    claim: Claim, setting: str, language: str, estimate: Interval, unit: str, bound: str = ""
) -> dict[str, Any]:
    """bound: why the effect is only a bound, if so."""
    judged = effect(
        estimate,
        unit,
        claim.expected,
        none=lambda change: within(change, MARGIN[unit]),
        without=bound,
    )
    named = {"id": claim.id, "claim": claim.says}
    return {**named, "setting": setting, "language": language, **judged}


FITTED, INTERPOLATED = "", "_interpolated"

BALANCED_GAIN = Claim(
    "balanced-gain",
    "balanced languages gain less than their tokens",
    -1,
    "TEff 0.89 at 1×, 0.74 at 2×, 0.64 at 3×",
)
GAIN_FALLS = Claim(
    "balanced-gain-falls",
    "the gain of balanced languages falls with the budget",
    -1,
    "TEff 0.89, 0.74, 0.64 at 1×, 2×, 3×",
)
MINORITY_GAIN = Claim(
    "minority-gain",
    "a minority gains more than its tokens",
    1,
    "TEff 2.08 at 1×, 3.29 at 2×, 3.14 at 3×",
)
MAJORITY_LOSS = Claim(
    "majority-loss", "a majority loses nothing", 0, "TEff 1.00 at 1×, 1.00 at 2×, 0.99 at 3×"
)


def _log_efficiency(rows: pd.DataFrame, how: str = FITTED) -> tuple[Interval, str]:
    """Of rows of one language, and whether it is only a bound."""
    with np.errstate(divide="ignore"):
        estimate = interval(np.log(rows[f"teff{how}"].to_numpy()))
    sides = sorted(set(rows[f"beyond{how}"]) - {""})
    return estimate, f"{' and '.join(sides)} the fitted budgets" if sides else ""


def _efficiencies(results: Results) -> Iterator[dict[str, Any]]:
    """Balanced clones are worth less than their tokens, the less the more there are; a minority is worth more."""
    study = results.study
    grid = chosen(results.efficiency, experiment="grid", width=study.model.width)
    expectations = (
        (BALANCED_GAIN, BALANCED, ("c0", "c1")),
        (MINORITY_GAIN, IMBALANCED, ("c1",)),
        (MAJORITY_LOSS, IMBALANCED, ("c0",)),
    )
    for claim, share, languages in expectations:
        for language in languages:
            own = chosen(grid, share=share, language=language)
            for how, said in ((FITTED, ""), (INTERPOLATED, ", interpolated")):
                logs, bounds = [], ""
                for budget, part in own.groupby("budget"):
                    estimate, bound = _log_efficiency(part, how)
                    setting = f"{budget:g}x{said}"
                    yield _row(claim, setting, language, estimate, "log TEff", bound)
                    logs.append(np.log(part[f"teff{how}"].to_numpy()))
                    bounds = bounds or bound
                if share == BALANCED and len(logs) > 1:
                    trend = interval(_slopes(own["budget"].unique(), np.array(logs)))
                    setting = f"per doubling{said}"
                    yield _row(GAIN_FALLS, setting, language, trend, "log TEff", bounds)


def _slopes(budgets: Any, values: Array) -> Array:
    """Least-squares slopes (seeds,) of values (budgets, seeds) over doublings of the budget."""
    x = np.log2(np.sort(np.asarray(budgets, np.float64)))
    x -= x.mean()
    slopes: Array = x @ (values - values.mean(axis=0)) / (x @ x)
    return slopes


def worse(results: Results, width: int, budget: float, share: float) -> Array:
    """How much more a language loses at a share than at equal shares, in nats, (seeds,): of the two the one that loses
    more on average. The greater of the two seed by seed would be biased upwards.
    """
    rows = chosen(results.perplexity, experiment="grid", width=width, budget=budget, last=True)
    losses = [
        [
            chosen(rows, share=proportion, language=language)["nats_per_token"].to_numpy()
            for proportion in (BALANCED, share)
        ]
        for language in ("c0", "c1")
    ]
    differences = [other - balanced for balanced, other in losses]
    return np.asarray(max(differences, key=np.mean))


BETTER_IN_BOTH = Claim(
    "imbalance-better-in-both",
    "90/10 beats 50/50 in both languages",
    -1,
    "at 4×; a larger model at 1×",
)
COST_BY_BUDGET = Claim(
    "cost-shrinks-with-budget",
    "what 90/10 costs the worse language shrinks with the budget",
    -1,
    "perplexity 32.8 against 26.1 at 1×, 22.3 against 22.2 at 3×",
)
COST_BY_WIDTH = Claim(
    "cost-shrinks-with-width",
    "what 90/10 costs the worse language shrinks with the width",
    -1,
    "a larger model gains in both languages at 1×",
)


def _both_better(results: Results) -> Iterator[dict[str, Any]]:
    """With enough tokens or width, 90/10 beats 50/50 in both languages."""
    study = results.study
    gaps = {
        (width, budget): worse(results, width, budget, IMBALANCED)
        for width in study.widths
        for budget in study.budgets
    }
    most = max(study.budgets)
    for (width, budget), gap in gaps.items():
        if budget == most:
            setting = f"{budget:g}x, width {width}"
            yield _row(BETTER_IN_BOTH, setting, "worse", interval(gap), "nats")
    for width in study.widths:
        if len(study.budgets) > 1:
            values = np.array([gaps[width, budget] for budget in sorted(study.budgets)])
            trend = interval(_slopes(study.budgets, values))
            setting = f"per doubling, width {width}"
            yield _row(COST_BY_BUDGET, setting, "worse", trend, "nats")
    if len(study.widths) > 1:
        estimate = difference(
            *(gaps[width, most] for width in (min(study.widths), max(study.widths)))
        )
        setting = f"{most:g}x, width {max(study.widths)} less {min(study.widths)}"
        yield _row(COST_BY_WIDTH, setting, "worse", estimate, "nats")


def aligned(table: pd.DataFrame) -> Array:
    """By seed: the mean of a measure over layers, tensors or bins, less that of unrelated text where there is one.

    Of states those of the embeddings do not count.
    """
    if "measure" in table:
        table = table[(table["measure"] != "state cosine") | (table["place"] != "0")]
    values = table["value"] - table["unrelated"].fillna(0.0)
    return values.groupby(table["seed"]).mean().sort_index().to_numpy()


ALIGNS_MORE = {
    measure: Claim(
        f"aligns-more-{measure.replace(' ', '-')}", f"90/10 aligns more: {measure}", 1, source
    )
    for measure, source in {
        "state cosine": "0.94 against 0.56 in layer 9",
        "gradient cosine": "0.534 against 0.072",
        "context kept": "",
        "embedding cosine": "",
    }.items()
}
"""By what is measured."""


def _alignment(results: Results) -> Iterator[dict[str, Any]]:
    """90/10 aligns the languages where 50/50 does not; at the largest budget."""
    budget = max(results.study.budgets)
    where = {
        "experiment": "grid",
        "width": results.study.model.width,
        "budget": budget,
        "language": "c1",
        "last": True,
    }
    tables = {
        measure: chosen(results.alignment, measure=measure, **where)
        for measure in ("state cosine", "gradient cosine", "context kept")
    }
    tables["embedding cosine"] = chosen(results.embedding, **where)
    for measure, rows in tables.items():
        pair = (aligned(chosen(rows, share=share)) for share in (BALANCED, IMBALANCED))
        estimate = difference(*pair)
        unit = "share" if measure == "context kept" else "cosine"
        yield _row(ALIGNS_MORE[measure], f"{budget:g}x", "c1", estimate, unit)


TRANSFERS_MORE = Claim("transfers-more", "90/10 transfers more", 1)


def _transferred(results: Results) -> Iterator[dict[str, Any]]:
    """A classifier tuned in c0 does better in c1 after 90/10 than after 50/50."""
    if not results.study.measures.tasks:
        return
    rows = chosen(results.transfer, experiment="grid", source="c0", target="c1", last=True)
    for task, part in rows.groupby("task", sort=False):
        pair = (
            chosen(part, share=share)["accuracy"].to_numpy() for share in (BALANCED, IMBALANCED)
        )
        estimate = difference(*pair)
        yield _row(TRANSFERS_MORE, str(task), "c1", estimate, "accuracy")


def _mean_loss(rows: pd.DataFrame) -> Array:
    """By seed, over languages."""
    return rows.groupby("seed")["nats_per_token"].mean().sort_index().to_numpy()


def _balanced(results: Results) -> pd.DataFrame:
    return chosen(
        results.perplexity,
        experiment="grid",
        width=results.study.model.width,
        budget=results.study.further,
        share=BALANCED,
        last=True,
    )


ANCHORS_HELP = Claim(
    "anchors-help", "anchors help", -1, "perplexity 26.1 without, 23.4 with 5 %, 22.9 with 25 %"
)


def _anchors(results: Results) -> Iterator[dict[str, Any]]:
    """Ids that both languages share help balanced ones."""
    without = _mean_loss(_balanced(results))
    rows = chosen(results.perplexity, experiment="anchors", last=True)
    for anchors, part in rows.groupby("anchors"):
        estimate = difference(without, _mean_loss(part))
        yield _row(ANCHORS_HELP, f"{anchors:.0%} of the ids", "mean", estimate, "nats")


FIRST_FORGOTTEN = Claim("first-forgotten", "the first language is forgotten", 1, "perplexity 9e10")
IMBALANCE_FIRST = Claim(
    "imbalance-first",
    "imbalance first beats 50/50",
    -1,
    "0.1 → 0.9: perplexity 26.5 / 24.4 against 26.1 / 26.1",
)


def _schedules(results: Results) -> Iterator[dict[str, Any]]:
    """Changing shares that are equal over all beat constant ones; one language after the other forgets the first."""
    constant = _balanced(results)
    rows = chosen(results.perplexity, experiment="schedules", last=True)
    for schedule, part in rows.groupby("schedule", sort=False):
        if "0 > 1" in str(schedule):
            pair = (
                chosen(some, language="c0")["nats_per_token"].to_numpy()
                for some in (constant, part)
            )
            estimate = difference(*pair)
            yield _row(FIRST_FORGOTTEN, str(schedule), "c0", estimate, "nats")
        else:
            estimate = difference(_mean_loss(constant), _mean_loss(part))
            yield _row(IMBALANCE_FIRST, str(schedule), "mean", estimate, "nats")


MAJORITY_OF_MANY = Claim("majority-of-many", "a majority beats equal shares", -1)


def _many(results: Results) -> Iterator[dict[str, Any]]:
    """One language at a half against equal shares of many; the mean over all, and over all but the first."""
    rows = chosen(results.perplexity, experiment="languages", last=True)
    if rows.empty:
        return
    shares = sorted(set(rows["share"]))  # of the second language: least where the first has a half
    for languages, part in (("mean", rows), ("mean of the others", rows[rows["language"] != "c0"])):
        pair = (_mean_loss(chosen(part, share=share)) for share in (shares[1], shares[0]))
        estimate = difference(*pair)
        setting = f"{results.study.many} languages"
        yield _row(MAJORITY_OF_MANY, setting, languages, estimate, "nats")


REAL_DISJOINT = Claim(
    "real-minority-gain-disjoint", "a real minority gains nothing", 0, "TEff 1.05 at 10 % French"
)
REAL_SHARED = Claim(
    "real-minority-gain-shared",
    "a real minority gains more than its tokens",
    1,
    "TEff 1.27 at 10 % French",
)
REAL_ALIGNMENT = {
    measure: Claim(
        f"real-alignment-{measure.replace(' ', '-')}",
        f"alignment of real languages hardly moves: {measure}",
        0,
    )
    for measure in ("state cosine", "gradient cosine", "embedding cosine")
}
"""By what is measured."""


def _real(results: Results) -> Iterator[dict[str, Any]]:
    """Of real languages a minority gains little without common ids, more with them, and alignment hardly moves."""
    rows = chosen(results.efficiency, experiment="real")
    for (pair, vocabulary, budget), part in rows.groupby(
        ["pair", "vocabulary", "budget"], sort=False
    ):
        other = pair.split("-")[1]
        own = chosen(part, share=IMBALANCED, language=other)
        if own.empty:
            continue
        setting = f"{pair}, {vocabulary}, {budget:g}x"
        claim = REAL_SHARED if vocabulary == "shared" else REAL_DISJOINT
        for how, said in ((FITTED, ""), (INTERPOLATED, ", interpolated")):
            estimate, bound = _log_efficiency(own, how)
            yield _row(claim, setting + said, other, estimate, "log TEff", bound)
        where = {"pair": pair, "vocabulary": vocabulary, "budget": budget, "last": True}
        tables = {
            measure: chosen(results.alignment, measure=measure, **where)
            for measure in ("state cosine", "gradient cosine")
        }
        tables["embedding cosine"] = chosen(results.embedding, **where)
        for measure, table in tables.items():
            sides = (aligned(chosen(table, share=share)) for share in (BALANCED, IMBALANCED))
            yield _row(REAL_ALIGNMENT[measure], setting, other, difference(*sides), "cosine")


CLAIMS = Claims(
    [
        *(BALANCED_GAIN, GAIN_FALLS, MINORITY_GAIN, MAJORITY_LOSS),
        *(BETTER_IN_BOTH, COST_BY_BUDGET, COST_BY_WIDTH),
        *ALIGNS_MORE.values(),
        *(TRANSFERS_MORE, ANCHORS_HELP, FIRST_FORGOTTEN, IMBALANCE_FIRST, MAJORITY_OF_MANY),
        *(REAL_DISJOINT, REAL_SHARED),
        *REAL_ALIGNMENT.values(),
    ]
)
