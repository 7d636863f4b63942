"""What became of the claims of Blevins et al. 2022, and what our controls say: one row an effect.

Onsets are in log2 of steps, so that their differences are octaves. Intervals are over seeds, each one number, the mean
over languages or pairs; or, where the setting says so, over languages, each the mean over seeds: these speak of other
languages, learnt by the models at hand. Correlations over pairs have, over languages, the interval of a jackknife that
leaves out one language with all its pairs.
"""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.dynamics.checks import checks
from neural.dynamics.effects import COLUMNS, LANGUAGES, SEEDS, both, jackknife, row, shared_variance
from neural.dynamics.plan import Name
from neural.dynamics.results import CROSS, IN, OF, Results, arrays, ranks
from neural.measures.intervals import interval

Array = NDArray[np.float64]

LOWER = (
    ("parts-of-speech", "arcs"),
    ("parts-of-speech", "relations"),
    ("parts-of-speech", "topics"),
    ("arcs", "topics"),
    ("relations", "topics"),
)
"""Pairs of skills of which B22 has the first low-level beside the second."""


def claims(results: Results) -> pd.DataFrame:
    """All of them, and last those that are ours. Raises UserError for a study that is not done."""
    rows = [
        *_early(results),
        *_low_level_first(results),
        *_transfer_later(results),
        *_pairs_differ(results),
        *_similar_first(results),
        *_no_one_best(results),
        *_last_layer(results),
        *checks(results),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _onsets(results: Results, task: str, of: str, kind: str = IN) -> pd.Series:
    """log2 of the onset by seed and language; of pairs the mean over the languages fitted in, where there is one."""
    rows = results.onsets
    rows = rows[(rows["task"] == task) & (rows["of"] == of) & (rows["kind"] == kind)]
    found: pd.Series = rows.groupby(["seed", "test"])["log2"].mean()
    return found.rename_axis(["seed", "language"])


def _tasks(results: Results) -> list[str]:
    """Those that were probed."""
    there = set(results.probes["task"])
    return [name for name in get_args(Name) if name in there]


def _early(results: Results) -> Iterator[dict[str, Any]]:
    """In-language skill is there in the first half of the steps."""
    half = np.log2(results.study.optimiser.steps / 2)
    for of, name in OF.items():
        for task in [*_tasks(results), "bits per character"]:
            values = _onsets(results, task, of) - half
            if len(values):
                claim = "in-language skill comes before half of the steps"
                yield from both(claim, name, task, values, "octaves", -1)


def _low_level_first(results: Results) -> Iterator[dict[str, Any]]:
    there = _tasks(results)
    for of, name in OF.items():
        for low, high in LOWER:
            if low in there and high in there:
                later = _onsets(results, high, of) - _onsets(results, low, of)
                claim = "low-level skills come before complex ones"
                yield from both(claim, name, f"{low} before {high}", later, "octaves", 1)


def _transfer_later(results: Results) -> Iterator[dict[str, Any]]:
    """Of each language the onset of transfer to it against that of its own probe; of others against parts of speech."""
    there = _tasks(results)
    claim = "skill within a language comes before that across languages"
    for of, name in OF.items():
        for task in there:
            later = _onsets(results, task, of, CROSS) - _onsets(results, task, of)
            if len(later):
                yield from both(claim, name, task, later, "octaves", 1)
        if "parts-of-speech" not in there:
            continue
        own = _onsets(results, "parts-of-speech", of).groupby("seed").mean()
        for task in ("retrieval", "argmax", "itermax"):
            across = _onsets(results, task, of, CROSS).groupby("seed").mean()
            if len(across):
                found = interval((across - own).to_numpy())
                label = f"parts-of-speech before {task}"
                yield row(claim, f"{name}, {SEEDS}", label, found, "octaves", 1)


def _cells(rows: pd.DataFrame, column: str) -> tuple[pd.DataFrame, Array]:
    """The cells of a table of onsets, and a column as (seeds, cells), cells without a value for each seed left out."""
    if rows.empty:
        return pd.DataFrame(), np.zeros((0, 0))
    keys = ["task", "train", "test"]
    table = rows.pivot_table(index="seed", columns=keys, values=column).dropna(axis=1)
    return table.columns.to_frame(index=False), table.to_numpy(np.float64)


def _of_transfer(results: Results, task: str, of: str) -> pd.DataFrame:
    rows = results.onsets
    return rows[(rows["task"] == task) & (rows["of"] == of) & (rows["kind"] == CROSS)]


def _pairs_differ(results: Results) -> Iterator[dict[str, Any]]:
    for of, name in OF.items():
        for task in [*_tasks(results), "retrieval", "argmax", "itermax"]:
            _, values = _cells(_of_transfer(results, task, of), "log2")
            if values.size:
                claim = "the onset of transfer depends on the pair of languages"
                found = shared_variance(values)
                setting = f"{name}, over pairs"
                yield row(claim, setting, task, found, "share of variance", 1)


def _similar_first(results: Results) -> Iterator[dict[str, Any]]:
    """Between similar languages transfer comes earlier, and is better in the end."""
    similar = results.similarity
    both = pd.concat([similar, similar.rename(columns={"one": "other", "other": "one"})])
    last = max(results.study.steps)
    ends = results.curves[(results.curves["step"] == last) & (results.curves["kind"] == CROSS)]
    for task in [*_tasks(results), "retrieval"]:
        tables = {
            ("transfer comes later between less similar languages", name): (
                _of_transfer(results, task, of).rename(columns={"log2": "value"}),
                1,
            )
            for of, name in OF.items()
        }
        end = ends[ends["task"] == task].rename(columns={"score": "value"})
        tables["transfer is worse between less similar languages", "last step"] = (end, -1)
        for (claim, setting), (rows, sign) in tables.items():
            merged = rows.merge(both, left_on=["train", "test"], right_on=["one", "other"])
            for measure, expected in (("distance", sign), ("overlap", -sign)):
                yield from _correlated(claim, setting, task, merged, measure, expected)


def _correlated(
    claim: str, setting: str, task: str, rows: pd.DataFrame, measure: str, expected: int
) -> Iterator[dict[str, Any]]:
    """Rank correlations of a value with a measure of similarity: over seeds, and over languages."""
    if rows.empty or not rows[measure].nunique() > 1:
        return
    label = (
        f"{setting}, family distance" if measure == "distance" else f"{setting}, shared subwords"
    )
    by_seed = [ranks(part["value"], part[measure]) for _, part in rows.groupby("seed")]
    yield row(claim, f"{label}, {SEEDS}", task, interval(by_seed), "rank correlation", expected)
    means = rows.groupby(["train", "test"], as_index=False)[["value", measure]].mean()

    def of(languages: Sequence[str]) -> float:
        kept = means[means["train"].isin(languages) & means["test"].isin(languages)]
        return ranks(kept["value"], kept[measure])

    names = sorted({*means["train"], *means["test"]})
    found = jackknife(of, names)
    yield row(claim, f"{label}, {LANGUAGES}", task, found, "rank correlation", expected)


def _no_one_best(results: Results) -> Iterator[dict[str, Any]]:
    """The best steps, chosen on dev, of all tasks, languages and pairs: do they differ, and what does one step cost?"""
    rows = results.curves.dropna(subset=["dev"])
    if rows.empty:
        return
    claim = "no one checkpoint is best for all"
    cells, _, steps, dev = arrays(rows, ["task", "train", "test"], "dev")
    score = arrays(rows, ["task", "train", "test"], "score")[3]
    best = dev.argmax(axis=1)
    octaves = np.log2(np.maximum(steps, steps[1] / 2))[best]
    everything = f"{len(cells)} tasks and pairs"
    found = shared_variance(octaves)
    yield row(claim, f"best steps, {everything}", "all", found, "share of variance", 1)
    own = np.take_along_axis(score, best[:, None], axis=1)[:, 0]
    common = (dev / dev.max(axis=1, keepdims=True)).mean(axis=2).argmax(axis=1)
    given = score[np.arange(len(score)), common]
    lost = 1 - given / own
    setting = f"lost at the best common step, {everything}"
    yield row(claim, f"{setting}, {SEEDS}", "all", interval(lost.mean(axis=1)), "share", 1)
    for task in _tasks(results):
        mine = (cells["task"] == task).to_numpy()
        found = interval(lost[:, mine].mean(axis=1))
        yield row(claim, f"{setting}, {SEEDS}", task, found, "share", 1)


def _last_layer(results: Results) -> Iterator[dict[str, Any]]:
    """The last layer forgets, while lower ones gain and the best readout moves down."""
    last = results.study.model.layers
    for task in _tasks(results):
        rows = results.drift[results.drift["task"] == task]
        for kind in (IN, CROSS):
            own = rows[rows["kind"] == kind].rename(columns={"test": "language"})
            if own.empty:
                continue
            keys = ["seed", "language"]
            change = own[own["layer"] == last].groupby(keys)["change"].mean()
            claim = "the last layer gets worse after its best step"
            yield from both(claim, kind, task, change, "relative change", -1)
            lower = own[(own["layer"] > 0) & (own["layer"] < last)]
            if len(lower):
                since = lower.groupby(keys)["since_last"].mean()
                claim = "lower blocks gain after the last layer's best step"
                yield from both(claim, kind, task, since, "relative change", 1)
            claim = "the best readout moves to lower layers"
            yield from both(claim, kind, task, _moves(results, task, kind), "layers an octave", -1)


def _moves(results: Results, task: str, kind: str) -> pd.Series:
    """By seed and language: the slope of the centre of mass over layers over log2 of the step, step 0 left out."""
    rows = results.layers
    rows = rows[(rows["task"] == task) & (rows["kind"] == kind) & (rows["step"] > 0)]
    rows = rows.dropna(subset=["centre"])
    keys = ["seed", "test", "train"]
    slopes = {
        key: float(np.polyfit(part["log2_step"], part["centre"], 1)[0])
        for key, part in rows.groupby(keys, sort=False)
        if len(part) > 1
    }
    index = pd.MultiIndex.from_tuples(list(slopes), names=keys)
    found = pd.Series(list(slopes.values()), index=index, dtype=np.float64)
    means: pd.Series = found.groupby(level=["seed", "test"]).mean()
    return means.rename_axis(["seed", "language"])
