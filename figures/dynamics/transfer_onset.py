"""When does a probe of one language come to work in another? By ordered pair, and against how similar the two are."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from figures.dynamics.panels import ordered, sort, titled
from figures.dynamics.read import dynamics
from figures.engine import style
from figures.engine.markdown import between
from figures.engine.runs import MissingRows
from figures.engine.studies import DISTANCES, over_seeds

NAME = "transfer-onset"
DESCRIPTION = (
    "onset of transfer by task and pair of languages, and against shared subwords and families"
)

SHOWN = "gain"
"""The measure of onset that is drawn: 98 % of the gain over the untrained model. The other is in the table."""
ACROSS = 4
"""Panels in a line, at most."""
COLOURS = "viridis_r"
"""Darker is later."""

COLUMNS = ["what", "task", "of", "source", "target", "distance", "overlap", "one", "step"]
COLUMNS += ["value", "low", "high", "seeds", "all_seeds"]


def table(run: Path) -> pd.DataFrame:
    """Rows of two kinds, by task and measure of onset (`of`), with 95 % intervals over seeds.

    pair: of the language that a probe is fitted in (`source`) and that it is tried in (`target`), log2 of the onset
    (`value`) and the onset (`step`), over the `seeds` of `all_seeds` in which there is one; retrieval and alignments
    have no direction. Equal ones are in-language. correlation: Spearman's over pairs of two languages, of the onset
    with `one`, their families' `distance` or the `overlap` of their subwords.
    """
    results = dynamics(run)
    rows = results.onsets[results.onsets["task"] != "bits per character"]
    if rows["train"].eq(rows["test"]).all():
        raise MissingRows(f"{run} has no onsets between languages: probe tasks of several")
    rows = rows.rename(columns={"train": "source", "test": "target"})
    similar = results.similarity.rename(columns={"one": "source", "other": "target"})
    turned = similar.rename(columns={"source": "target", "target": "source"})
    rows = rows.merge(pd.concat([similar, turned]), "left", on=["source", "target"])
    frames = [_pairs(rows).assign(what="pair"), _correlations(rows).assign(what="correlation")]
    frames = [frame.reindex(columns=COLUMNS) for frame in frames if len(frame)]
    texts = ["what", "task", "of", "source", "target", "one"]
    numbers = dict.fromkeys([name for name in COLUMNS if name not in texts], float)
    joined = pd.concat([frame.astype(numbers) for frame in frames], ignore_index=True)
    place = {name: i for i, name in enumerate(results.study.languages)}
    joined["_source"], joined["_target"] = (joined[end].map(place) for end in ("source", "target"))
    joined = sort(joined, ["what", "task", "of", "_source", "_target", "one"])
    texts_filled = {text: joined[text].astype(object).fillna("") for text in texts}
    counts = {name: joined[name].astype("Int64") for name in ("seeds", "all_seeds")}
    return joined.assign(**texts_filled, **counts)[COLUMNS]


def _pairs(rows: pd.DataFrame) -> pd.DataFrame:
    keys = ["task", "of", "source", "target"]
    cells = rows.groupby([*keys, "distance", "overlap"], dropna=False, sort=False)["seed"]
    onsets = cells.nunique().rename("all_seeds").reset_index()
    onsets = onsets.merge(over_seeds(rows, keys, "log2"), "left", on=keys)
    return onsets.assign(step=2 ** onsets["value"], seeds=onsets["seeds"].fillna(0))


def _correlations(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the seeds in which both vary."""
    from neural.dynamics.effects import FEWEST
    from neural.measures.intervals import rank_correlation

    across = rows[rows["source"] != rows["target"]]
    lines = [
        (
            task,
            measure,
            seed,
            predictor,
            rank_correlation(part["log2"], part[predictor], fewest=FEWEST),
        )
        for (task, measure, seed), part in across.groupby(["task", "of", "seed"], sort=False)
        for predictor in ("distance", "overlap")
    ]
    by_seed = pd.DataFrame(lines, columns=["task", "of", "seed", "one", "rank"])
    correlations = over_seeds(by_seed, ["task", "of", "one"], "rank")
    return correlations.assign(
        low=correlations["low"].clip(-1), high=correlations["high"].clip(upper=1)
    )


def draw(table: pd.DataFrame) -> Figure:
    """Above, a matrix a task; below, the same pairs of two languages against their shared subwords."""
    rows = table[table["of"] == SHOWN]
    pairs, correlations = (rows[rows["what"] == what] for what in ("pair", "correlation"))
    across_pairs = pairs[pairs["source"] != pairs["target"]]
    tasks = ordered(across_pairs["task"])
    down = -(-len(tasks) // ACROSS)
    across = -(-len(tasks) // down)
    figure = style.figure(style.PAGE, 3.2 * down + 0.8)
    panels = figure.subplots(2 * down, across, squeeze=False)
    above, below = panels[:down].ravel(), panels[down:].ravel()
    known = pairs["value"].dropna()
    norm = (
        Normalize(known.min(), max(known.max(), known.min() + 1e-3))
        if len(known)
        else Normalize(0, 1)
    )
    languages = list(dict.fromkeys([*pairs["source"], *pairs["target"]]))
    for i, (matrix, scatter, task) in enumerate(zip(above, below, tasks, strict=False)):
        own = pairs[pairs["task"] == task]
        mesh = _draw_matrix(
            matrix,
            own,
            [name for name in languages if name in {*own["source"], *own["target"]}],
            norm,
        )
        style.panel(matrix, i, titled(task), panels=2 * len(tasks))
        _draw_pairs(scatter, own[own["source"] != own["target"]], norm)
        style.panel(scatter, len(tasks) + i, titled(task), panels=2 * len(tasks))
        said = correlations[(correlations["task"] == task) & (correlations["one"] == "overlap")]
        for _, row in said.iterrows():
            style.remark(scatter, f"ρ = {between(row[['value', 'low', 'high']], '.2f')}")
        if i % across == 0:
            matrix.set_ylabel("fitted in")
            scatter.set_ylabel("onset (update)")
    for axes in [*above[len(tasks) :], *below[len(tasks) :]]:
        axes.set_visible(False)
    bar = figure.colorbar(mesh, ax=list(above), location="right", aspect=30, pad=0.01)
    bar.set_label("onset (update)")
    places, names = _powers(norm.vmin or 0.0, norm.vmax or 1.0)
    bar.set_ticks(places, labels=names)
    bar.outline.set_linewidth(0.6)
    figure.legend(handles=_handles(across_pairs), loc="outside lower center", ncols=4)
    return figure


def _draw_matrix(axes: Axes, rows: pd.DataFrame, names: list[str], norm: Normalize) -> Any:
    """A cell a pair, with its step; in parentheses where some seeds have none, "–" where none has one."""
    grid = np.full((len(names), len(names)), np.nan)
    for row in rows.itertuples():
        grid[names.index(row.source), names.index(row.target)] = row.value
    mesh = axes.pcolormesh(np.ma.masked_invalid(grid), cmap=COLOURS, norm=norm)
    mesh.set_rasterized(True)
    for row in rows.itertuples():
        place = names.index(row.target) + 0.5, names.index(row.source) + 0.5
        known = row.value == row.value
        said = "–" if not known else f"{row.step:.0f}"
        said = f"({said})" if known and row.seeds < row.all_seeds else said
        light = known and norm(row.value) > 0.45
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 5}
        axes.text(*place, said, color="white" if light else "black", **look)
    axes.set_xlim(0, len(names))
    axes.set_ylim(len(names), 0)
    axes.set_xticks(np.arange(len(names)) + 0.5, names)
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xlabel("tried in", labelpad=1)
    return mesh


def _draw_pairs(axes: Axes, rows: pd.DataFrame, norm: Normalize) -> None:
    for distance, look in _looks().items():
        same = rows["distance"].isna() if np.isnan(distance) else rows["distance"] == distance
        own = rows[same].dropna(subset="value")
        errors = [own["value"] - own["low"], own["high"] - own["value"]]
        axes.errorbar(
            100 * own["overlap"],
            own["value"],
            yerr=errors,
            linestyle="none",
            elinewidth=0.4,
            capsize=0,
            **look,
        )
    low, high = norm.vmin or 0.0, norm.vmax or 1.0
    room = max(high - low, 0.5)
    axes.set_ylim(low - 0.1 * room, high + 0.25 * room)
    axes.set_yticks(*_powers(low, high))
    axes.set_xlabel("shared subwords (%)", labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _powers(low: float, high: float) -> tuple[list[float], list[str]]:
    """Places and names of powers of two between two logarithms, or of both where there are fewer."""
    whole = [float(x) for x in range(int(np.ceil(low)), int(np.floor(high)) + 1)]
    places = whole if len(whole) > 1 else [low, high]
    return places, [f"{2**place:.0f}" for place in places]


def _looks() -> dict[float, dict[str, Any]]:
    return {distance: style.category(i) for i, distance in enumerate(DISTANCES)}


def _handles(rows: pd.DataFrame) -> list[Line2D]:
    there = set(rows["distance"].dropna())
    return [
        Line2D([], [], linestyle="none", label=DISTANCES[distance], **look)
        for distance, look in _looks().items()
        if distance in there or (np.isnan(distance) and rows["distance"].isna().any())
    ]
