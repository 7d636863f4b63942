"""Do tickets that overlap more transfer better? By ordered pairs of languages, with the distance of their families."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from figures.engine import style
from figures.engine.markdown import between
from figures.engine.studies import DISTANCES, over_seeds
from figures.subnetworks.cells import titled
from figures.subnetworks.read import subnetworks
from figures.subnetworks.tables import LM, scored

if TYPE_CHECKING:
    from neural.subnetworks.claims import Results

NAME = "overlap-vs-transfer"
DESCRIPTION = (
    "overlap of the tickets of two languages against what one's ticket costs the other, by task, "
    "with rank correlations and the distance of their families"
)

ACROSS = 3
"""Panels in a line."""
CORRELATED = (
    ("corrected", "drop"),
    ("corrected", "cost"),
    ("jaccard", "cost"),
    ("distance", "corrected"),
    ("distance", "cost"),
)
"""What is ranked against what, over ordered pairs."""

COLUMNS = ["kind", "task", "density", "source", "target", "distance", "one", "other"]
COLUMNS += ["jaccard", "corrected", "corrected_low", "corrected_high", "drop", "drop_low"]
COLUMNS += ["drop_high", "cost", "cost_low", "cost_high", "value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """Rows of two kinds, by task at its first density, with 95 % intervals over seeds.

    pair: of a ticket's language (`source`) and the one tuned on (`target`): overlap, as `jaccard` and `corrected`;
    relative `drop` to the target's own ticket; `cost`, how much more than with that, in nats (the logarithm of the
    ratio of perplexities) or parts of all answers; `distance` of families. correlation: Spearman's of `one` and
    `other` of these over ordered pairs, `value`; of seeds in which both vary; its interval ends at 1.
    """
    results = subnetworks(run)  # before the imports: it refuses other kinds
    from neural.text.languages import family_distance

    frames = []
    for task in results.study.tasks:
        rows = _pairs(results, task.name)
        rows["distance"] = [
            family_distance(*pair) for pair in zip(rows.source, rows.target, strict=True)
        ]
        about = {"task": task.name, "density": task.densities[0]}
        frames.append(_means(rows).assign(kind="pair", **about))
        frames += [
            _correlation(rows, *names).assign(kind="correlation", **about) for names in CORRELATED
        ]
    frames = [frame.reindex(columns=COLUMNS) for frame in frames if len(frame)]
    texts = ["kind", "task", "source", "target", "one", "other"]
    numbers = dict.fromkeys([name for name in COLUMNS if name not in texts], float)
    combined = pd.concat([frame.astype(numbers) for frame in frames], ignore_index=True)
    return combined.assign(
        seeds=combined["seeds"].astype("Int64"),
        **{t: combined[t].astype(object).fillna("") for t in texts},
    )


def _pairs(results: "Results", task: str) -> pd.DataFrame:
    """Of a task, by seed."""
    from neural.subnetworks.claims import pairs

    (own,) = [candidate for candidate in results.study.tasks if candidate.name == task]
    keys = ["task", "density", "seed", "source", "target"]
    drops = scored(results)[[*keys, "drop"]]
    rows = pairs(results, own).merge(drops, on=keys)
    return rows.rename(columns={"cost": "total_cost", "more": "cost"})


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    keys = ["source", "target"]
    means = over_seeds(rows, keys, "jaccard").rename(columns={"value": "jaccard"})
    means = means.drop(columns=["low", "high"])
    for column in ("corrected", "drop", "cost"):
        ends = {"value": column, "low": f"{column}_low", "high": f"{column}_high"}
        more = over_seeds(rows, keys, column).drop(columns="seeds").rename(columns=ends)
        means = means.merge(more, "left", on=keys)
    return means.merge(rows[[*keys, "distance"]].drop_duplicates(), on=keys)


def _correlation(rows: pd.DataFrame, column: str, other: str) -> pd.DataFrame:
    """Over seeds; without rows where none has one."""
    from neural.measures.intervals import rank_correlation

    lines = [
        (seed, column, other, rank_correlation(part[column], part[other]))
        for seed, part in rows.groupby("seed")
    ]
    by_seed = pd.DataFrame(lines, columns=["seed", "one", "other", "rank"]).dropna()
    correlations = over_seeds(by_seed, ["one", "other"], "rank")
    return correlations.assign(
        low=correlations["low"].clip(-1), high=correlations["high"].clip(upper=1)
    )


def draw(table: pd.DataFrame) -> Figure:
    """A panel a task, with the correlation over it; a colour and marker for every two languages."""
    pairs, correlations = (table[table["kind"] == kind] for kind in ("pair", "correlation"))
    styles = {pair: style.category(i) for i, pair in enumerate(sorted(_both(pairs).unique()))}
    tasks = list(pairs.groupby(["task", "density"], sort=False))
    across = min(ACROSS, len(tasks))
    down = -(-len(tasks) // across)
    figure = style.figure(style.PAGE if across > 1 else style.COLUMN, 2.0 * down + 0.5)
    panels = figure.subplots(down, across, squeeze=False)
    for i, (axes, ((task, density), part)) in enumerate(zip(panels.flat, tasks, strict=False)):
        y = "cost" if task == LM else "drop"
        _draw_pairs(axes, part, y, 1 if task == LM else 100, styles)
        axes.axhline(0, color=style.LIGHT, linewidth=0.6, zorder=1)
        axes.set_ylabel("nats a token lost" if task == LM else "relative drop (%)")
        axes.set_xlabel("overlap, corrected")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        style.panel(axes, i, titled(task, density), panels=len(tasks))
        own = correlations[
            (correlations["task"] == task)
            & (correlations["one"] == "corrected")
            & (correlations["other"] == y)
        ]
        for _, row in own.iterrows():
            style.remark(axes, f"ρ = {between(row[['value', 'low', 'high']], '.2f')}")
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.15 * (high - low))
    for axes in panels.flat[len(tasks) :]:
        axes.set_visible(False)
    distances = dict(zip(_both(pairs), pairs["distance"], strict=True))
    handles = [
        Line2D([], [], linestyle="none", label=f"{pair}, {_distance(distances[pair])}", **look)
        for pair, look in styles.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(ACROSS, len(handles)))
    return figure


def _both(pairs: pd.DataFrame) -> pd.Series:
    """The two languages of ordered pairs, in the order of the alphabet."""
    ordered = np.sort(pairs[["source", "target"]].to_numpy(str), axis=1)
    return pd.Series([f"{first}–{other}" for first, other in ordered], index=pairs.index)


def _distance(distance: float) -> str:
    return DISTANCES[
        np.nan if np.isnan(distance) else distance
    ]  # of all NaNs the one that is a key


def _draw_pairs(
    axes: Axes, rows: pd.DataFrame, y: str, scale: float, styles: dict[str, dict[str, Any]]
) -> None:
    """Filled from the first of two languages to the second, and open the other way."""
    for pair, (_, row) in zip(_both(rows), rows.iterrows(), strict=True):
        axes.errorbar(
            row["corrected"],
            scale * row[y],
            xerr=_errors(row, "corrected"),
            yerr=scale * _errors(row, y),
            linestyle="none",
            elinewidth=0.4,
            capsize=0,
            markerfacecolor=None if row["source"] < row["target"] else "white",
            **styles[pair],
        )


def _errors(row: pd.Series, column: str) -> NDArray[np.float64]:
    """How far the interval reaches below and above, (2, 1)."""
    value, low, high = (float(row[f"{column}{end}"]) for end in ("", "_low", "_high"))
    return np.array([[value - low], [high - value]])
