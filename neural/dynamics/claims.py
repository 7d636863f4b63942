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

from neural.dynamics.checks import CHECKS, checks
from neural.dynamics.effects import COLUMNS, FEWEST, jackknife, row, shared_variance, two_rows
from neural.dynamics.plan import Name
from neural.dynamics.results import CROSS, IN, OF, Results, arrays
from neural.measures.intervals import interval, rank_correlation
from neural.study.claims import Claim, Claims

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


def _onsets(results: Results, task: str, criterion: str, kind: str = IN) -> pd.Series:
    """log2 of the onset by seed and language; of pairs the mean over the languages fitted in, where there is one."""
    rows = results.onsets
    rows = rows[(rows["task"] == task) & (rows["of"] == criterion) & (rows["kind"] == kind)]
    onsets: pd.Series = rows.groupby(["seed", "test"])["log2"].mean()
    return onsets.rename_axis(["seed", "language"])


def _tasks(results: Results) -> list[str]:
    """Those that were probed."""
    there = set(results.probes["task"])
    return [name for name in get_args(Name) if name in there]


EARLY = Claim(
    "in-language-early",
    "in-language skill comes before half of the steps",
    -1,
    "high in-language scores early: low-level skills after about 20k of 1.5 million updates",
)


def _early(results: Results) -> Iterator[dict[str, Any]]:
    """In-language skill is there in the first half of the steps."""
    half = np.log2(results.study.optimiser.steps / 2)
    for criterion, name in OF.items():
        for task in [*_tasks(results), "bits per character"]:
            values = _onsets(results, task, criterion) - half
            if len(values):
                yield from two_rows(EARLY, name, task, values, "octaves")


LOW_LEVEL_FIRST = Claim(
    "low-level-first",
    "low-level skills come before complex ones",
    1,
    "lower-level skills before more complex ones",
)


def _low_level_first(results: Results) -> Iterator[dict[str, Any]]:
    there = _tasks(results)
    for criterion, name in OF.items():
        for low, high in LOWER:
            if low in there and high in there:
                later = _onsets(results, high, criterion) - _onsets(results, low, criterion)
                yield from two_rows(LOW_LEVEL_FIRST, name, f"{low} before {high}", later, "octaves")


TRANSFER_LATER = Claim(
    "transfer-later",
    "skill within a language comes before that across languages",
    1,
    "low-level skills after about 20k updates, across languages after 115k to 274k",
)


def _transfer_later(results: Results) -> Iterator[dict[str, Any]]:
    """Of each language the onset of transfer to it against that of its own probe; of others against parts of speech."""
    there = _tasks(results)
    for criterion, name in OF.items():
        for task in there:
            later = _onsets(results, task, criterion, CROSS) - _onsets(results, task, criterion)
            if len(later):
                yield from two_rows(TRANSFER_LATER, name, task, later, "octaves")
        if "parts-of-speech" not in there:
            continue
        own = _onsets(results, "parts-of-speech", criterion).groupby("seed").mean()
        for task in ("retrieval", "argmax", "itermax"):
            across = _onsets(results, task, criterion, CROSS).groupby("seed").mean()
            if len(across):
                effect = interval((across - own).to_numpy())
                label = f"parts-of-speech before {task}"
                yield row(TRANSFER_LATER, name, "seeds", label, effect, "octaves")


def _cells(rows: pd.DataFrame, column: str) -> tuple[pd.DataFrame, Array]:
    """The cells of a table of onsets, and a column as (seeds, cells), cells without a value for each seed left out."""
    if rows.empty:
        return pd.DataFrame(), np.zeros((0, 0))
    keys = ["task", "train", "test"]
    table = rows.pivot_table(index="seed", columns=keys, values=column).dropna(axis=1)
    return table.columns.to_frame(index=False), table.to_numpy(np.float64)


def _of_transfer(results: Results, task: str, criterion: str) -> pd.DataFrame:
    rows = results.onsets
    return rows[(rows["task"] == task) & (rows["of"] == criterion) & (rows["kind"] == CROSS)]


PAIRS_DIFFER = Claim(
    "onset-by-pair",
    "the onset of transfer depends on the pair of languages",
    1,
    "it differs between pairs",
)


def _pairs_differ(results: Results) -> Iterator[dict[str, Any]]:
    for criterion, name in OF.items():
        for task in [*_tasks(results), "retrieval", "argmax", "itermax"]:
            _, values = _cells(_of_transfer(results, task, criterion), "log2")
            if values.size:
                effect = shared_variance(values)
                yield row(PAIRS_DIFFER, name, "pairs", task, effect, "share of variance")


SIMILAR_FIRST = Claim(
    "similar-first",
    "transfer comes later between less similar languages",
    1,
    "no number known to us",
)
SIMILAR_BETTER = Claim(
    "similar-better",
    "transfer is worse between less similar languages",
    -1,
    "no number known to us",
)
"""Their signs are those of distance; of shared subwords they are the opposite."""


def _similar_first(results: Results) -> Iterator[dict[str, Any]]:
    """Between similar languages transfer comes earlier, and is better in the end."""
    similar = results.similarity
    pairs = pd.concat([similar, similar.rename(columns={"one": "other", "other": "one"})])
    last = max(results.study.steps)
    ends = results.curves[(results.curves["step"] == last) & (results.curves["kind"] == CROSS)]
    for task in [*_tasks(results), "retrieval"]:
        tables = {
            (SIMILAR_FIRST, name): _of_transfer(results, task, criterion).rename(
                columns={"log2": "value"}
            )
            for criterion, name in OF.items()
        }
        end = ends[ends["task"] == task].rename(columns={"score": "value"})
        tables[SIMILAR_BETTER, "last step"] = end
        for (claim, setting), rows in tables.items():
            merged = rows.merge(pairs, left_on=["train", "test"], right_on=["one", "other"])
            for measure, expected in (("distance", claim.expected), ("overlap", -claim.expected)):
                yield from _correlated(claim, setting, task, merged, measure, expected)


def _correlated(
    claim: Claim, setting: str, task: str, rows: pd.DataFrame, measure: str, expected: int
) -> Iterator[dict[str, Any]]:
    """Rank correlations of a value with a measure of similarity: over seeds, and over languages."""
    if rows.empty or not rows[measure].nunique() > 1:
        return
    label = (
        f"{setting}, family distance" if measure == "distance" else f"{setting}, shared subwords"
    )
    by_seed = [
        rank_correlation(part["value"], part[measure], fewest=FEWEST)
        for _, part in rows.groupby("seed")
    ]
    unit = "rank correlation"
    yield row(claim, label, "seeds", task, interval(by_seed), unit, expected=expected)
    means = rows.groupby(["train", "test"], as_index=False)[["value", measure]].mean()

    def correlation(languages: Sequence[str]) -> float:
        kept = means[means["train"].isin(languages) & means["test"].isin(languages)]
        return rank_correlation(kept["value"], kept[measure], fewest=FEWEST)

    names = sorted({*means["train"], *means["test"]})
    effect = jackknife(correlation, names)
    yield row(claim, label, "languages", task, effect, unit, expected=expected)


NO_ONE_BEST = Claim(
    "no-one-best",
    "no one checkpoint is best for all",
    1,
    "no one checkpoint is best on all languages",
)


def _no_one_best(results: Results) -> Iterator[dict[str, Any]]:
    """The best steps, chosen on dev, of all tasks, languages and pairs: do they differ, and what does one step cost?"""
    rows = results.curves.dropna(subset=["dev"])
    if rows.empty:
        return
    cells, _, steps, dev = arrays(rows, ["task", "train", "test"], "dev")
    score = arrays(rows, ["task", "train", "test"], "score")[3]
    best = dev.argmax(axis=1)
    octaves = np.log2(np.maximum(steps, steps[1] / 2))[best]
    everything = f"{len(cells)} tasks and pairs"
    effect = shared_variance(octaves)
    yield row(NO_ONE_BEST, f"best steps, {everything}", "", "all", effect, "share of variance")
    own = np.take_along_axis(score, best[:, None], axis=1)[:, 0]
    common = (dev / dev.max(axis=1, keepdims=True)).mean(axis=2).argmax(axis=1)
    given = score[np.arange(len(score)), common]
    lost = 1 - given / own
    setting = f"lost at the best common step, {everything}"
    yield row(NO_ONE_BEST, setting, "seeds", "all", interval(lost.mean(axis=1)), "share")
    for task in _tasks(results):
        mine = (cells["task"] == task).to_numpy()
        effect = interval(lost[:, mine].mean(axis=1))
        yield row(NO_ONE_BEST, setting, "seeds", task, effect, "share")


LAST_LAYER = Claim(
    "last-layer-worse",
    "the last layer gets worse after its best step",
    -1,
    "the final layer degrades over time, in many languages and tasks",
)
LOWER_GAIN = Claim(
    "lower-blocks-gain",
    "lower blocks gain after the last layer's best step",
    1,
    "knowledge moves to lower layers",
)
READOUT_MOVES = Claim(
    "readout-moves-down",
    "the best readout moves to lower layers",
    -1,
    "knowledge moves to lower layers",
)


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
            yield from two_rows(LAST_LAYER, kind, task, change, "relative change")
            lower = own[(own["layer"] > 0) & (own["layer"] < last)]
            if len(lower):
                since = lower.groupby(keys)["since_last"].mean()
                yield from two_rows(LOWER_GAIN, kind, task, since, "relative change")
            moves = _moves(results, task, kind)
            yield from two_rows(READOUT_MOVES, kind, task, moves, "layers an octave")


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
    by_pair = pd.Series(list(slopes.values()), index=index, dtype=np.float64)
    means: pd.Series = by_pair.groupby(level=["seed", "test"]).mean()
    return means.rename_axis(["seed", "language"])


CLAIMS = Claims(
    [
        *(EARLY, LOW_LEVEL_FIRST, TRANSFER_LATER, PAIRS_DIFFER, SIMILAR_FIRST, SIMILAR_BETTER),
        *(NO_ONE_BEST, LAST_LAYER, LOWER_GAIN, READOUT_MOVES),
        *CHECKS,
    ]
)
