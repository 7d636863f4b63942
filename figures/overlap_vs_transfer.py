"""Do tickets that overlap more transfer better? By ordered pairs of languages, with the distance of their families."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from figures import style
from figures.markdown import between
from figures.studies import over_seeds, subnetworks
from figures.subnetworks_cells import titled
from figures.subnetworks_tables import LM, scored

if TYPE_CHECKING:
    from neural.subnetworks.claims import Results

NAME = "overlap-vs-transfer"
DESCRIPTION = (
    "overlap of the tickets of two languages against what one's ticket costs the other, by task, "
    "with rank correlations and the distance of their families"
)

ACROSS = 3
"""Panels in a line."""
FEW = 12
"""Pairs that are named; where there are more, they would hide each other."""
DISTANCES = {0.0: "one genus", 1.0: "one family", 2.0: "two families", np.nan: "unknown families"}
"""Of languages, as neural.subnetworks.plan.family_distance."""
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
    from neural.subnetworks.plan import family_distance

    results = subnetworks(run)
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
    found = pd.concat([frame.astype(numbers) for frame in frames], ignore_index=True)
    return found.assign(
        seeds=found["seeds"].astype("Int64"),
        **{t: found[t].astype(object).fillna("") for t in texts},
    )


def _pairs(results: "Results", task: str) -> pd.DataFrame:
    """Of a task, by seed."""
    from neural.subnetworks.claims import pairs

    (own,) = [one for one in results.study.tasks if one.name == task]
    keys = ["task", "density", "seed", "source", "target"]
    drops = scored(results)[[*keys, "drop"]]
    rows = pairs(results, own).merge(drops, on=keys)
    return rows.rename(columns={"cost": "total_cost", "more": "cost"})


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    keys = ["source", "target"]
    found = over_seeds(rows, keys, "jaccard").rename(columns={"value": "jaccard"})
    found = found.drop(columns=["low", "high"])
    for column in ("corrected", "drop", "cost"):
        ends = {"value": column, "low": f"{column}_low", "high": f"{column}_high"}
        more = over_seeds(rows, keys, column).drop(columns="seeds").rename(columns=ends)
        found = found.merge(more, "left", on=keys)
    return found.merge(rows[[*keys, "distance"]].drop_duplicates(), on=keys)


def _correlation(rows: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """Over seeds; without rows where none has one."""
    from scipy import stats

    lines = []
    for seed, part in rows.groupby("seed"):
        known = part[[one, other]].replace([np.inf, -np.inf], np.nan).dropna()
        if (known.nunique() > 1).all():
            lines.append((seed, one, other, stats.spearmanr(known[one], known[other]).statistic))
    by_seed = pd.DataFrame(lines, columns=["seed", "one", "other", "rank"])
    found = over_seeds(by_seed, ["one", "other"], "rank")
    return found.assign(low=found["low"].clip(-1), high=found["high"].clip(upper=1))


def draw(table: pd.DataFrame) -> Figure:
    """A panel a task, with the correlation over it; a marker a distance of families."""
    pairs, found = (table[table["kind"] == kind] for kind in ("pair", "correlation"))
    tasks = list(pairs.groupby(["task", "density"], sort=False))
    across = min(ACROSS, len(tasks))
    down = -(-len(tasks) // across)
    figure = style.figure(style.PAGE if across > 1 else style.COLUMN, 2.0 * down + 0.4)
    panels = figure.subplots(down, across, squeeze=False)
    for i, (axes, ((task, density), part)) in enumerate(zip(panels.flat, tasks, strict=False)):
        y = "cost" if task == LM else "drop"
        scale = 1 if task == LM else 100
        for distance, look in _looks().items():
            same = part["distance"].isna() if np.isnan(distance) else part["distance"] == distance
            _draw_pairs(axes, part[same], y, scale, look, len(part) <= FEW)
        axes.axhline(0, color=style.LIGHT, linewidth=0.6, zorder=1)
        axes.set_ylabel("nats a token lost" if task == LM else "relative drop (%)")
        axes.set_xlabel("overlap, corrected")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        style.panel(axes, i, titled(task, density), of=len(tasks))
        own = found[(found["task"] == task) & (found["one"] == "corrected") & (found["other"] == y)]
        for _, row in own.iterrows():
            said = f"ρ = {between(row[['value', 'low', 'high']], '.2f')}"
            axes.text(0.98, 0.97, said, transform=axes.transAxes, ha="right", va="top", fontsize=6)
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.15 * (high - low))
    for axes in panels.flat[len(tasks) :]:
        axes.set_visible(False)
    there = set(pairs["distance"].dropna())
    shown = {
        distance: look
        for distance, look in _looks().items()
        if distance in there or (np.isnan(distance) and pairs["distance"].isna().any())
    }
    handles = [
        Line2D([], [], linestyle="none", label=DISTANCES[distance], **look)
        for distance, look in shown.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _looks() -> dict[float, dict[str, Any]]:
    return {distance: style.category(i) for i, distance in enumerate(DISTANCES)}


def _draw_pairs(
    axes: Axes, rows: pd.DataFrame, y: str, scale: float, look: dict[str, Any], named: bool
) -> None:
    axes.errorbar(
        rows["corrected"],
        scale * rows[y],
        xerr=_errors(rows, "corrected"),
        yerr=[scale * error for error in _errors(rows, y)],
        linestyle="none",
        elinewidth=0.3,
        capsize=0,
        **look,
    )
    for row in rows.itertuples() if named else ():
        place = (row.corrected, scale * getattr(row, y))
        axes.annotate(
            f"{row.source}→{row.target}",
            place,
            xytext=(2, 2 if row.source < row.target else -5),
            textcoords="offset points",
            fontsize=4,
            color=style.GREY,
        )


def _errors(rows: pd.DataFrame, column: str) -> list[pd.Series]:
    return [rows[column] - rows[f"{column}_low"], rows[f"{column}_high"] - rows[column]]
