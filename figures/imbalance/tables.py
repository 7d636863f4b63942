"""The tables beside the page of study S24: claims, and each experiment's numbers, as means over seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.engine.runs import MissingRows
from figures.engine.studies import over_seeds
from figures.imbalance.read import imbalance, rows_of

if TYPE_CHECKING:
    from neural.imbalance.claims import Results

CLAIMS, GRID, ANCHORS = "imbalance-claims", "imbalance-grid", "imbalance-anchors"
LANGUAGES, SCHEDULES, REAL = "imbalance-languages", "imbalance-schedules", "imbalance-real"
REAL_ALIGNMENT, REFERENCES = "imbalance-real-alignment", "imbalance-references"
TRANSFER, ONSET = "imbalance-transfer", "imbalance-onset"

TABLES = {
    CLAIMS: "effects with their intervals, and what became of each claim",
    GRID: "perplexity and token efficiency by width, budget, share and language",
    ANCHORS: "the same of balanced languages that have ids in common",
    LANGUAGES: "the same of more languages than two",
    SCHEDULES: "the same of shares that change, and of constant ones of equal tokens",
    REAL: "the same of real languages",
    REAL_ALIGNMENT: "how alike a model treats two real languages",
    REFERENCES: "the monolingual curves, 1/PPL = c - a tokens^(-b), and how far they miss their own runs",
    TRANSFER: "accuracy of a classifier in the language it was fine-tuned in, and in the other",
    ONSET: "how alike two clones are in the course of training",
}

RUN = ["experiment", "width", "budget", "share", "anchors", "languages", "schedule", "pair"]
RUN += ["vocabulary"]
"""What tells runs apart."""


def tables(run: Path) -> dict[str, pd.DataFrame]:
    """Those of TABLES that the study has rows for. Raises UserError for what is no study, or not done."""
    from neural.imbalance.claims import claims

    results = imbalance(run)
    make = {
        CLAIMS: claims,
        GRID: lambda r: scores(r, "experiment == 'grid'"),
        ANCHORS: anchors,
        LANGUAGES: lambda r: scores(r, "experiment == 'languages'"),
        SCHEDULES: schedules,
        REAL: lambda r: scores(r, "experiment == 'real'"),
        REAL_ALIGNMENT: real_alignment,
        REFERENCES: lambda r: r.references,
        TRANSFER: transfer,
        ONSET: onset,
    }
    by_name = {}
    for name, table in make.items():
        try:
            by_name[name] = table(results)
        except MissingRows:
            continue
    return {name: table for name, table in by_name.items() if len(table)}


def scores(results: "Results", query: str) -> pd.DataFrame:
    """By run and language, at the end of training, of those that satisfy a pandas query.

    `seen` tokens of the language; `perplexity` (exp of the mean loss) and `bits_per_byte`; `teff`, the token
    efficiency, a geometric mean, only a bound and without an interval where `beyond` is "above" or "below", and NaN
    where it is "both"; `teff_interpolated`, the same between the monolingual runs themselves; `mlpe`, the perplexity of
    monolingual models of as many tokens, NaN where none was trained on so few or so many. Each has a 95 %
    interval over `seeds` seeds: `low` and `high`, or its own, as `teff_low`.
    """
    keys = [*RUN, "language"]
    rows = rows_of(results, "efficiency", f"seen > 0 and ({query})")
    means = over_seeds(rows, keys, "perplexity", log=True).rename(columns={"value": "perplexity"})
    log_columns = (("teff", True), ("teff_interpolated", True), ("mlpe", True))
    for column, log in (("seen", False), ("bits_per_byte", False), *log_columns):
        more = over_seeds(rows, keys, column, log=log).drop(columns="seeds")
        ends = {end: f"{column}_{end}" for end in ("low", "high")}
        means = means.merge(more.rename(columns={"value": column, **ends}), how="left", on=keys)
    for how in ("", "_interpolated"):
        beyond, teff = f"beyond{how}", f"teff{how}"
        sides = rows.groupby(keys, sort=False)[beyond].agg(_side).rename(beyond).reset_index()
        means = means.merge(sides, how="left", on=keys)
        means.loc[means[beyond] != "", [f"{teff}_low", f"{teff}_high"]] = np.nan
        means.loc[means[beyond] == "both", teff] = np.nan
    return means.drop(columns=["seen_low", "seen_high"])


def _side(beyond: pd.Series) -> str:
    sides = sorted(set(beyond) - {""})
    return "both" if len(sides) > 1 else "".join(sides)


def anchors(results: "Results") -> pd.DataFrame:
    """Scores by the part of the ids that is shared, after those of the grid where none is."""
    from neural.text.mixture import BALANCED

    return scores(results, beside(results, "anchors", BALANCED))


def schedules(results: "Results") -> pd.DataFrame:
    """Scores of shares that change, after those of the constant ones of equal tokens."""
    from neural.text.mixture import BALANCED, IMBALANCED

    return scores(results, beside(results, "schedules", BALANCED, IMBALANCED))


def beside(results: "Results", experiment: str, *shares: float) -> str:
    """A query of the runs of an experiment, and of those of the grid with these shares, as wide and of equal tokens."""
    own = rows_of(results, "efficiency", f"experiment == '{experiment}'")
    budgets, widths = (sorted(set(own[column])) for column in ("budget", "width"))
    grid = f"budget in {budgets} and width in {widths} and share in {list(shares)}"
    return f"experiment == '{experiment}' or experiment == 'grid' and {grid}"


def transfer(results: "Results") -> pd.DataFrame:
    """By run, task, and the languages that a classifier was fine-tuned (`source`) and tested (`target`) in."""
    keys = [*RUN, "task", "source", "target"]
    rows = rows_of(results, "transfer", "last")
    accuracies = over_seeds(rows, keys, "accuracy").rename(columns={"value": "accuracy"})
    majority = over_seeds(rows, keys, "majority")[[*keys, "value"]]
    return accuracies.merge(majority.rename(columns={"value": "majority"}), how="left", on=keys)


def onset(results: "Results") -> pd.DataFrame:
    """By share, measure and step, of the runs of which models were kept: means over layers, tensors or bins.

    `part` is "paired", "unrelated" (none of gradients and context kept) or "aligned", their difference, and of share
    0.1 "gained", what that is more than at equal shares, seed by seed. The first layer's states, which are the
    embeddings, are left out.
    """
    rows = pd.concat([alike(results), alike_embeddings(results)], ignore_index=True)
    kept = rows.groupby("run")["last"].transform(lambda last: not last.all())
    embeddings = (rows["measure"] == "state cosine") & (rows["place"] == "0")
    rows = rows[kept & ~embeddings]
    if rows.empty:
        raise MissingRows(f"{results.out} has no models of steps before the last")
    keys = ["share", "measure", "step"]
    values = rows.assign(aligned=rows["value"] - rows["unrelated"].fillna(0.0))
    parts = [
        over_seeds(values, keys, column).assign(part=part)
        for column, part in (("value", "paired"), ("unrelated", "unrelated"))
    ]
    parts.append(over_seeds(values, keys, "aligned").assign(part="aligned"))
    parts.append(over_seeds(_gained(values, keys), keys, "gained").assign(part="gained"))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _gained(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    from neural.text.mixture import BALANCED, IMBALANCED

    means = rows.groupby([*keys, "seed"], sort=False)["aligned"].mean().reset_index()
    by_share = {share: part.drop(columns="share") for share, part in means.groupby("share")}
    if not {BALANCED, IMBALANCED} <= by_share.keys():
        return pd.DataFrame(columns=[*keys, "seed", "gained"])
    pairs = by_share[IMBALANCED].merge(by_share[BALANCED], on=["measure", "step", "seed"])
    return pairs.assign(share=IMBALANCED, gained=pairs["aligned_x"] - pairs["aligned_y"])


def real_alignment(results: "Results") -> pd.DataFrame:
    """Of real languages, by run and measure: means over layers after the embeddings, tensors, or matched ids.

    `unrelated`: of sentences that do not belong together, and of ids matched under random rotation.
    """
    query = "experiment == 'real' and last"
    embeddings = rows_of(results, "embedding", query)
    embeddings = embeddings.assign(measure="embedding cosine", place="ids")
    rows = pd.concat([rows_of(results, "alignment", query), embeddings], ignore_index=True)
    rows = rows[rows["place"] != "0"]
    keys = [*RUN, "measure"]
    means = over_seeds(rows, keys, "value")
    unrelated = over_seeds(rows, keys, "unrelated").rename(columns={"value": "unrelated"})
    return means.merge(unrelated[[*keys, "unrelated"]], how="left", on=keys)


def alike(results: "Results") -> pd.DataFrame:
    """Rows of alignment of two clones in the grid at the base width and the largest budget."""
    return rows_of(results, "alignment", _largest(results))


def alike_embeddings(results: "Results") -> pd.DataFrame:
    """Likewise of embeddings; the bins of token frequency are places "bin 0", …, and the measure "embedding cosine"."""
    rows = rows_of(results, "embedding", _largest(results))
    return rows.assign(place="bin " + rows["bin"].astype(str), measure="embedding cosine")


def _largest(results: "Results") -> str:
    plan = results.study
    return f"experiment == 'grid' and width == {plan.model.width} and budget == {max(plan.budgets)}"


def of_base(results: "Results", experiments: Sequence[str]) -> str:
    """A query of runs of these experiments at the base width."""
    return f"experiment in {list(experiments)} and width == {results.study.model.width}"
