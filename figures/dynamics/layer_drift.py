"""In which layer is what read best, and does that place move? Every layer over training."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from figures.dynamics.panels import CROSS, IN, name_steps, ordered, sort, titled
from figures.dynamics.read import dynamics
from figures.dynamics.tables import by_layer
from figures.engine import style
from figures.engine.runs import MissingRows
from figures.engine.studies import over_seeds

NAME = "layer-drift"
DESCRIPTION = (
    "score by layer and step, in-language and zero-shot, with the best layer and the centre of mass"
)

ACROSS = 5
"""Panels in a line."""
COLUMNS = ["task", "kind", "what", "step", "layer", "value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """By task, kind and step, means over languages or pairs with 95 % intervals over seeds.

    what: "score", by layer (0: embeddings), accuracy of probes, part retrieved or F1 of alignments; or "centre", of
    probes, the centre of mass over layers of the accuracy above the most frequent class.
    """
    results = dynamics(run)
    if results.probes.empty and results.retrieval.empty:
        raise MissingRows(f"{run} reads no layers: probe tasks, or give aligned text")
    centres = over_seeds(results.layers, ["task", "kind", "step"], "centre").assign(what="centre")
    frames = [by_layer(results).assign(what="score"), centres]
    numbers = dict.fromkeys(["layer", "value", "low", "high"], float)
    frames = [frame.reindex(columns=COLUMNS).astype(numbers) for frame in frames if len(frame)]
    rows = pd.concat(frames, ignore_index=True)
    return sort(rows, ["kind", "task", "what", "step", "layer"])


def draw(table: pd.DataFrame) -> Figure:
    """A panel a task and kind, coloured from its least to its greatest score."""
    scores = table[table["what"] == "score"]
    cells = [(kind, task) for kind in (IN, CROSS) for task in ordered(_of(scores, kind)["task"])]
    rows: list[list[tuple[str, str]]] = []
    for kind in (IN, CROSS):
        own = [cell for cell in cells if cell[0] == kind]
        rows += [own[i : i + ACROSS] for i in range(0, len(own), ACROSS)]
    across = max(map(len, rows))
    figure = style.figure(style.PAGE, 1.25 * len(rows) + 0.8)
    panels = figure.subplots(len(rows), across, squeeze=False)
    number = 0
    for line, row in zip(panels, rows, strict=True):
        for axes in line[len(row) :]:
            axes.set_visible(False)
        for axes, (kind, task) in zip(line, row, strict=False):
            part = _of(table, kind)
            mesh = _draw_layers(axes, part[part["task"] == task])
            style.panel(axes, number, titled(task), panels=len(cells))
            number += 1
        line[0].set_ylabel(f"{row[0][0]}\nlayer")
    bar = figure.colorbar(mesh, ax=list(panels.flat), location="bottom", aspect=60, pad=0.02)
    bar.set_label("score, from the least to the greatest of its panel (in parentheses)")
    bar.set_ticks([0, 1], labels=["least", "greatest"])
    bar.outline.set_linewidth(0.6)
    handles = [
        Line2D([], [], label="best layer", **_BEST),
        Line2D([], [], label="centre of mass above the most frequent class", **_CENTRE),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _of(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    return table[table["kind"] == kind]


_BEST: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 3.2}
_BEST |= {"markerfacecolor": "white", "markeredgecolor": "black", "markeredgewidth": 0.6}
_CENTRE: dict[str, Any] = {"color": style.COLOURS[1], "linewidth": 1.2}


def _draw_layers(axes: Axes, rows: pd.DataFrame) -> Any:
    """A column of cells a step; a ring at the layer of the best mean."""
    grid = rows[rows["what"] == "score"].pivot(index="layer", columns="step", values="value")
    values = grid.to_numpy()
    low, high = values.min(), values.max()
    shares = (values - low) / max(high - low, 1e-12)
    mesh = axes.pcolormesh(shares, cmap="viridis", vmin=0, vmax=1)
    mesh.set_rasterized(True)
    steps = [int(step) for step in grid.columns]
    middle = np.arange(len(steps)) + 0.5
    centre = rows[rows["what"] == "centre"].set_index("step")["value"].reindex(grid.columns)
    outlined = [Stroke(linewidth=2.4, foreground="white"), Normal()]
    axes.plot(middle, centre + 0.5, path_effects=outlined, **_CENTRE)
    axes.plot(middle, values.argmax(axis=0) + 0.5, **_BEST)
    name_steps(axes, steps, middle, apart=0.3)
    axes.set_yticks(np.arange(len(grid)) + 0.5, [f"{layer:.0f}" for layer in grid.index])
    axes.tick_params(length=0)
    axes.set_xlabel(f"updates ({low:.2f}–{high:.2f})", labelpad=1)
    return mesh
