"""What is lost again after its best step, layer by layer; and what layers gain while the last one loses."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.dynamics.panels import LOOKS, limits, ordered, sort, titled
from figures.dynamics.read import dynamics
from figures.engine import style
from figures.engine.runs import MissingRows
from figures.engine.studies import over_seeds

NAME = "forgetting"
DESCRIPTION = "relative change of accuracy by task and layer, from its best step, and the last layer's, to the end"

WHAT = {
    "change": "since its best step (%)",
    "since_last": "since the last layer's\nbest step (%)",
}
"""As neural.dynamics.results.Results.drift has them."""
COLUMNS = ["task", "kind", "what", "layer", "value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """By task, kind and layer (0: embeddings): means over languages or pairs, with 95 % intervals over seeds.

    what: "change", the relative change of accuracy from the step that is best on dev to the last one; "since_last",
    from the step at which the last layer is best on dev.
    """
    results = dynamics(run)
    if results.probes.empty:
        raise MissingRows(f"{run} has no probes: probe tasks")
    rows = results.drift
    keys = ["task", "kind", "layer"]
    changes = pd.concat(
        [over_seeds(rows, keys, column).assign(what=column) for column in WHAT], ignore_index=True
    )
    return sort(changes, ["task", "what", "kind", "layer"])[COLUMNS]


def draw(table: pd.DataFrame) -> Figure:
    """A column a task: above since the layer's own best step, below since the last layer's."""
    tasks = ordered(table["task"])
    figure = style.figure(style.PAGE, 3.4)
    panels = figure.subplots(2, len(tasks), squeeze=False, sharex=True, sharey="row")
    for i, (what, said) in enumerate(WHAT.items()):
        rows = table[table["what"] == what]
        for j, task in enumerate(tasks):
            axes = panels[i, j]
            _draw_changes(axes, rows[rows["task"] == task])
            style.panel(axes, i * len(tasks) + j, titled(task), panels=2 * len(tasks))
        panels[i, 0].set_ylabel(said)
        low, high = limits(rows)
        panels[i, 0].set_ylim(100 * min(low, 0.0), 100 * max(high, 0.0))
    for axes in panels[-1]:
        axes.set_xlabel("layer")
    handles = [
        Line2D([], [], linestyle="none", **{**look, "label": said})
        for look, said in zip(LOOKS.values(), ("in-language", "zero-shot"), strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _draw_changes(axes: Axes, rows: pd.DataFrame) -> None:
    axes.axhline(0, color=style.GREY, linewidth=0.6, zorder=1)
    for place, (kind, look) in zip((-0.12, 0.12), LOOKS.items(), strict=True):
        own = rows[rows["kind"] == kind]
        bars: dict[str, Any] = {"elinewidth": 0.7, "linewidth": 0.6, "linestyle": "-"}
        errors = [100 * (own["value"] - own["low"]), 100 * (own["high"] - own["value"])]
        axes.errorbar(own["layer"] + place, 100 * own["value"], yerr=errors, **bars, **look)
    layers = sorted(set(rows["layer"]))
    every = -(-len(layers) // 8)
    axes.set_xticks(layers[::every])
