"""The tables beside the page of study B22: claims, and what was read of models, as means over seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.dynamics.panels import CROSS, IN, sort
from figures.dynamics.read import dynamics
from figures.engine.studies import over_seeds

if TYPE_CHECKING:
    from neural.dynamics.results import Results

CLAIMS, ONSETS = "dynamics-claims", "dynamics-onsets"
BITS, PROBES, PAIRS = "dynamics-bits", "dynamics-probes", "dynamics-pairs"
CODE, SELECTIVITY = "dynamics-codelength", "dynamics-selectivity"
ALIGNMENT, RETRIEVAL, IDENTITY = "dynamics-alignment", "dynamics-retrieval", "dynamics-identity"

TABLES = {
    CLAIMS: "effects with their intervals, and what became of each claim",
    ONSETS: "when each skill is there, in log2 of the step, means over languages or pairs",
    BITS: "how well held-out text is predicted, by step and language",
    PROBES: "linear probes at the best layer, by task and step, means over languages or pairs",
    PAIRS: "the same by language fitted in and language tried in, untrained and at the last step",
    CODE: "codelengths of labels by online coding, by step and layer",
    ALIGNMENT: "words of answers aligned with their translations, by step and layer",
    RETRIEVAL: "sentences that find their translation, by step and layer, with the language subspace and without",
    IDENTITY: "how well states tell the language, by step and layer",
    SELECTIVITY: "accuracy of probes beside that of random labels, by step and layer",
}


def tables(run: Path) -> dict[str, pd.DataFrame]:
    """Those of TABLES that the study has rows for. Raises UserError for what is no study, or not done."""
    from neural.dynamics.claims import claims

    results = dynamics(run)
    make = {
        CLAIMS: claims,
        ONSETS: onsets,
        BITS: bits,
        PROBES: probes,
        PAIRS: pairs,
        CODE: codelengths,
        ALIGNMENT: alignment,
        RETRIEVAL: retrieval,
        IDENTITY: identity,
        SELECTIVITY: selectivity,
    }
    frames = {name: table(results) for name, table in make.items()}
    return {name: table for name, table in frames.items() if len(table)}


def measured(
    rows: pd.DataFrame, keys: Sequence[str], columns: Sequence[str], means: Sequence[str] = ()
) -> pd.DataFrame:
    """By keys: of columns their mean over `seeds` with COLUMN_low and COLUMN_high, and of others the mean alone."""
    keys = list(keys)
    estimates: pd.DataFrame = rows[keys].drop_duplicates()
    for place, column in enumerate((*columns, *means)):
        ends = {"value": column, "low": f"{column}_low", "high": f"{column}_high"}
        own = over_seeds(rows, keys, column).rename(columns=ends)
        kept = [*ends.values()] if column in columns else [column]
        estimates = estimates.merge(
            own[[*keys, *kept, *(["seeds"] if not place else [])]], "left", on=keys
        )
    return estimates


def of_kinds(rows: pd.DataFrame) -> pd.DataFrame:
    """With `kind`, whether the language tried in is that fitted in."""
    return rows.assign(kind=np.where(rows["train"] == rows["test"], IN, CROSS))


def onsets(results: "Results") -> pd.DataFrame:
    """By task, kind and `of`, as results.OF: log2 of the onset.

    The mean is over the languages or pairs that have one for every seed: `known` of `cells`.
    """
    rows = results.onsets
    keys = ["task", "kind", "of"]
    cell = [*keys, "train", "test"]
    there = rows.assign(known=rows["log2"].notna()).groupby(cell)["known"].transform("all")
    counts = rows.assign(known=there).drop_duplicates(cell).groupby(keys, sort=False)["known"]
    coverage = counts.agg(known="sum", cells="size").reset_index()
    means = over_seeds(rows[there], keys, "log2").rename(columns={"value": "log2"})
    return sort(coverage.merge(means, "left", on=keys), ["task", "kind"])


def bits(results: "Results") -> pd.DataFrame:
    columns, means = ["bits_per_character"], ["bits_per_byte", "nats_per_token"]
    return measured(results.bits, ["step", "language"], columns, means)


def probes(results: "Results") -> pd.DataFrame:
    """At the layer best on dev of the language fitted in; `layer` is its mean."""
    rows = of_kinds(results.best_layer)
    keys = ["task", "removed", "kind", "step"]
    estimates = measured(rows, keys, ["accuracy", "loss"], ["majority", "layer"])
    return sort(estimates, ["task", "removed", "kind", "step"])


def pairs(results: "Results") -> pd.DataFrame:
    ends = [0, max(results.study.steps)]
    rows = results.best_layer[results.best_layer["step"].isin(ends)]
    keys = ["task", "removed", "step", "train", "test"]
    return sort(measured(rows, keys, ["accuracy", "loss"], ["majority"]), ["task"])


def codelengths(results: "Results") -> pd.DataFrame:
    rows = results.length
    if rows.empty:
        return rows
    return measured(rows, ["task", "step", "layer"], ["bits", "compression"], ["uniform"])


def alignment(results: "Results") -> pd.DataFrame:
    """Answers: all, or those that are written differently in both languages; `n` of them a pair."""
    rows = results.alignment
    if rows.empty:
        return rows
    keys = ["method", "answers", "step", "layer"]
    return measured(rows, keys, ["f1"], ["chance", "precision", "recall", "answered", "n"])


def retrieval(results: "Results") -> pd.DataFrame:
    keys = ["removed", "step", "layer"]
    return measured(results.retrieval, keys, ["margin", "cosine"], ["chance"])


def identity(results: "Results") -> pd.DataFrame:
    keys = ["unit", "step", "layer"]
    return measured(results.identity, keys, ["accuracy", "without"], ["share", "majority"])


def selectivity(results: "Results") -> pd.DataFrame:
    """`memorisable`: the most of random labels that remembering words can get right."""
    if results.controls.empty:
        return results.controls
    keys = ["task", "step", "layer"]
    columns = ["selectivity", "accuracy", "accuracy_control"]
    estimates = measured(results.selectivity, keys, columns)
    most = results.controls.groupby("task", as_index=False)["memorisable"].mean()
    return sort(estimates.merge(most, on="task"), ["task", "step", "layer"])


def by_layer(results: "Results") -> pd.DataFrame:
    """By task, kind, step and layer: `value`, accuracy of probes, part retrieved, or F1 of differing answers."""
    plain = results.probes[~results.probes["removed"].astype(bool)]
    retrieved = results.retrieval[~results.retrieval["removed"].astype(bool)]
    words = results.alignment[results.alignment["answers"] == "differing"]
    rows = pd.concat(
        [
            of_kinds(plain).assign(score=plain["accuracy"]),
            retrieved.assign(task="retrieval", kind=CROSS, score=retrieved["margin"]),
            words.assign(task=words["method"], kind=CROSS, score=words["f1"]),
        ],
        ignore_index=True,
    )
    keys = ["task", "kind", "step", "layer"]
    return sort(over_seeds(rows, keys, "score"), ["task", "kind", "step", "layer"])
