"""What our controls say of the probes: one row an effect, as neural.dynamics.effects has them.

Against the untrained model, random labels, the length of a code, the subspace that tells the language, and chance.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from neural.dynamics.effects import row, two_rows
from neural.dynamics.results import Results
from neural.measures.intervals import interval
from neural.study.claims import Claim

CHANCE = 0.05
"""Of accuracy, within which it counts as chance."""

ADDS = Claim(
    "training-adds",
    "training adds to the untrained model",
    1,
    asks="Are scores above those of the untrained model at the last step?",
)
SELECTIVE = Claim(
    "probes-selective",
    "probes get more right than of random labels",
    1,
    asks="Do probes get more right than probes of random labels?",
)
SELECTIVITY_GROWS = Claim(
    "selectivity-grows",
    "selectivity grows in training",
    1,
    asks="Does this difference grow in training?",
)
SHORTER = Claim(
    "code-shorter",
    "training shortens the code of labels",
    -1,
    asks="Does training shorten the code of labels, by online coding?",
)
LANGUAGE_READ = Claim(
    "language-read", "states tell the language", 1, asks="Do states tell the language?"
)
LANGUAGE_REMOVED = Claim(
    "language-removed",
    "without the directions between means they do not",
    0,
    asks="Do they no longer, without the directions between the languages' means?",
)
TRANSFER_GAINS = Claim(
    "transfer-gains-without-language",
    "transfer gains without the language subspace",
    1,
    asks="Does transfer gain without these directions?",
)
RETRIEVAL_GAINS = Claim(
    "retrieval-gains-without-language",
    "retrieval gains without the language subspace",
    1,
    asks="Does retrieval?",
)
ALIGNED = Claim(
    "words-align",
    "words align with their translations",
    1,
    asks="Do answers that are written differently align better than by chance?",
)
CHECKS = (
    *(ADDS, SELECTIVE, SELECTIVITY_GROWS, SHORTER, LANGUAGE_READ, LANGUAGE_REMOVED),
    *(TRANSFER_GAINS, RETRIEVAL_GAINS, ALIGNED),
)
"""Their "replicated" is what one would expect."""


def checks(results: Results) -> Iterator[dict[str, Any]]:
    """All of them."""
    yield from _above_untrained(results)
    yield from _selective(results)
    yield from _shorter(results)
    yield from _language(results)
    yield from _aligned(results)


def _gain(rows: pd.DataFrame, column: str, last: int) -> pd.Series:
    """By seed and language: what the last step has more than the untrained model; means over all else."""
    table = rows.groupby(["seed", "language", "step"])[column].mean().unstack("step")
    gain: pd.Series = table[last] - table[0]
    return gain


def _above_untrained(results: Results) -> Iterator[dict[str, Any]]:
    last = max(results.study.steps)
    rows = results.curves.rename(columns={"test": "language"})
    for (task, kind), own in rows.groupby(["task", "kind"], sort=False):
        unit = {"bits per character": "bits per character", "retrieval": "retrieved"}.get(
            task, "F1" if task in ("argmax", "itermax") else "accuracy"
        )
        gain = _gain(own, "score", last)
        yield from two_rows(ADDS, kind, task, gain, unit)


def _selective(results: Results) -> Iterator[dict[str, Any]]:
    """Selectivity, at the mean of the blocks' layers."""
    rows = results.selectivity[results.selectivity["layer"] > 0]
    last = max(results.study.steps)
    for task, own in rows.groupby("task", sort=False):
        now = own[own["step"] == last].groupby(["seed", "language"])["selectivity"].mean()
        setting = "last step, mean of blocks"
        yield from two_rows(SELECTIVE, setting, task, now, "accuracy")
        gain = _gain(own, "selectivity", last)
        yield from two_rows(SELECTIVITY_GROWS, "mean of blocks", task, gain, "accuracy")


def _shorter(results: Results) -> Iterator[dict[str, Any]]:
    """The codelength of labels, at the layer where it is least on average."""
    last = max(results.study.steps)
    for task, own in results.length.groupby("task", sort=False):
        means = own.groupby(["seed", "language", "step", "layer"], as_index=False)["bits"].mean()
        of_layers = means.groupby(["seed", "step", "layer"], as_index=False)["bits"].mean()
        best = of_layers.loc[of_layers.groupby(["seed", "step"])["bits"].idxmin()]
        chosen = means.merge(best[["seed", "step", "layer"]], on=["seed", "step", "layer"])
        logs = chosen.assign(log2=np.log2(chosen["bits"]))
        yield from two_rows(SHORTER, "best layer", task, _gain(logs, "log2", last), "log2 bits")


def _language(results: Results) -> Iterator[dict[str, Any]]:
    """Whether states tell the language, and whether transfer gains when they no longer do; at the last step."""
    last = max(results.study.steps)
    for unit, rows in results.identity.groupby("unit", sort=False):
        end = rows[(rows["step"] == last) & (rows["layer"] > 0)]
        for column, claim in (("accuracy", LANGUAGE_READ), ("without", LANGUAGE_REMOVED)):
            above = (end[column] - end["majority"]).groupby(end["seed"]).mean()
            estimate = interval(above.to_numpy())
            setting = "above chance, last step, mean of blocks"
            yield row(claim, setting, "seeds", str(unit), estimate, "accuracy", margin=CHANCE)
    best = results.best_layer[results.best_layer["step"] == last]
    across = best[best["train"] != best["test"]].rename(columns={"test": "language"})
    for task in across.loc[across["removed"].astype(bool), "task"].unique():
        own = across[across["task"] == task]
        gain = _removal(own, "accuracy")
        yield from two_rows(TRANSFER_GAINS, "last step", task, gain, "accuracy")
    if results.retrieval.empty:
        return
    end = results.retrieval[(results.retrieval["step"] == last) & (results.retrieval["layer"] > 0)]
    sides = pd.concat([end.assign(language=end[side]) for side in ("one", "other")])
    gain = _removal(sides, "margin")
    yield from two_rows(
        RETRIEVAL_GAINS, "last step, mean of blocks", "retrieval", gain, "retrieved"
    )


def _removal(rows: pd.DataFrame, column: str) -> pd.Series:
    """By seed and language: what a number is more when the language subspace was removed."""
    table = rows.groupby(["seed", "language", "removed"])[column].mean().unstack("removed")
    gain: pd.Series = table[True] - table[False]
    return gain


def _aligned(results: Results) -> Iterator[dict[str, Any]]:
    """Answers that are written differently, at the best layer of the last step, against links that end anywhere."""
    last, rows = max(results.study.steps), results.alignment
    rows = rows[(rows["step"] == last) & (rows["answers"] == "differing")]
    for method, own in rows.groupby("method", sort=False):
        by_layer = own.groupby(["seed", "layer"], as_index=False)["f1"].mean()
        best = by_layer.loc[by_layer.groupby("seed")["f1"].idxmax(), ["seed", "layer"]]
        chosen = own.merge(best, on=["seed", "layer"])
        sides = pd.concat([chosen.assign(language=chosen[side]) for side in ("one", "other")])
        above = (sides["f1"] - sides["chance"]).groupby([sides["seed"], sides["language"]]).mean()
        yield from two_rows(ALIGNED, "above chance, last step", str(method), above, "F1")
