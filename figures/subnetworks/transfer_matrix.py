"""What masks are worth on each language: tickets of every language, and controls, tuned from the pretrained weights."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from figures.engine import style
from figures.subnetworks.cells import bar, draw_cells, titled
from figures.subnetworks.read import subnetworks
from figures.subnetworks.tables import AT_EARLY, LM, controls, scored, worth

NAME = "transfer-matrix"
DESCRIPTION = "what tickets of one language and controls are worth on another, by task, against its own ticket"

ACROSS = 3
"""Panels in a line."""
LINEAR = 0.01
"""Relative drops whose colours are linear; logarithmic beyond."""
MEASURES = {"nats": "perplexity", "f1": "F1, %"}
"""By what a task is measured; of others accuracy, %."""

COLUMNS = ["task", "density", "measure", "kind", "source", "target", "value", "low", "high"]
COLUMNS += ["drop", "drop_low", "drop_high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """By task, density kept, mask (of a language, kind "ticket", or a "control") and target: with 95 % intervals.

    value: perplexity, accuracy or F1 after tuning on the target. drop: of it, relative to the target's own ticket, by
    seed; more is worse.
    """
    results = subnetworks(run)
    rows = scored(results)
    rows = rows[~rows["source"].isin(AT_EARLY)]
    estimates = worth(rows, ["density", "kind", "source", "target"])
    measures = {
        task.name: MEASURES.get(task.measure, "accuracy, %") for task in results.study.tasks
    }
    estimates["measure"] = estimates["task"].map(measures)
    others = controls(rows.loc[rows["kind"] == "control", "source"])
    places = {name: i for i, name in enumerate([*results.study.languages, *others])}
    order = estimates[["source", "target"]].apply(lambda names: names.map(places))
    order = order.assign(
        task=estimates["task"].map(list(measures).index), density=-estimates["density"]
    )
    rank = order.sort_values(["task", "density", "source", "target"]).index
    return estimates.loc[rank].reset_index(drop=True)[COLUMNS]


def draw(table: pd.DataFrame) -> Figure:
    """A panel a task and density: tickets above, controls below. Framed: the interval of the drop excludes 0."""
    panels_of = list(table.groupby(["task", "density"], sort=False))
    lines = _lines(table)
    down = -(-len(panels_of) // ACROSS)
    figure = style.figure(style.PAGE, down * (0.13 * len(lines) + 0.5) + 0.5)
    panels = figure.subplots(down, ACROSS, squeeze=False)
    most = max(table["drop"].abs().max(), 2 * LINEAR)
    colours = SymLogNorm(LINEAR, vmin=-most, vmax=most)
    rows = table.assign(line=table["source"], column=table["target"], worse=table["drop"])
    rows = rows.assign(text=[_number(row) for _, row in table.iterrows()])
    rows = rows.drop(columns=["low", "high"])
    rows = rows.rename(columns={"drop_low": "low", "drop_high": "high"})
    tickets = sum(kind == "ticket" for kind in table.drop_duplicates("source")["kind"])
    for i, (axes, ((task, density), part)) in enumerate(zip(panels.flat, panels_of, strict=False)):
        own = rows.loc[part.index]
        mesh = draw_cells(axes, own, lines, list(dict.fromkeys(own["target"])), colours)
        axes.axhline(tickets, color="black", linewidth=0.6)
        axes.set_xlabel(part["measure"].iloc[0], labelpad=1)
        if i % ACROSS:
            axes.set_yticklabels([])
        style.panel(axes, i, titled(task, density), panels=len(panels_of))
    for axes in panels.flat[len(panels_of) :]:
        axes.set_visible(False)
    bar(figure, mesh, list(panels.flat), "relative drop to the target's own ticket (red: worse)")
    percent = FuncFormatter(lambda value, _: f"{100 * value:g} %")
    figure.axes[-1].xaxis.set_major_formatter(percent)
    return figure


def _lines(table: pd.DataFrame) -> list[str]:
    """Of all panels, tickets before controls."""
    by_kind = table.groupby("kind")["source"]
    return [*by_kind.get_group("ticket").unique(), *controls(by_kind.get_group("control"))]


def _number(row: pd.Series) -> str:
    """At most four characters: cells are narrow."""
    if np.isnan(row["value"]):
        return "–"
    if row["task"] == LM:
        return f"{row['value']:.{max(2 - int(np.log10(max(row['value'], 1))), 0)}f}"
    return f"{100 * row['value']:.1f}"
