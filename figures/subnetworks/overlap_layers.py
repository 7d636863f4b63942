"""How much tickets of two languages have in common, by layer and component, beside the ceiling and the nulls."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.engine import style
from figures.subnetworks.cells import titled
from figures.subnetworks.read import subnetworks
from figures.subnetworks.tables import cells, overlaps

NAME = "overlap-layers"
DESCRIPTION = (
    "Jaccard overlap of tickets by task, layer and component: of two languages, of two tunings in one, "
    "with controls, at chance, and corrected for chance"
)

LOOKS: dict[str, dict[str, Any]] = {
    "seeds": {"label": "one language, two tunings", **style.category(2)},
    "languages": {"label": "two languages", **style.category(0)},
    "theta0": {"label": "ticket, largest weights before tuning", **style.category(1)},
    "shuffled": {"label": "ticket, that of shuffled labels", **style.category(3)},
    "expected": {"label": "expected by matrix", "color": style.GREY, "linestyle": "--"},
    "chance": {"label": "chance, q/(2 − q)", "color": style.GREY, "linestyle": ":"},
}
"""What is drawn, from above."""
CORRECTED = "corrected"
MOST = 8
"""Layers that are named."""

COLUMNS = ["task", "round", "density", "kind", "scope", "by", "position"]
COLUMNS += ["value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """By task and density, `by` "layer" or "component": Jaccard overlaps with 95 % intervals over `seeds` seeds.

    kind: as LOOKS has them, means over pairs of languages or over languages, and "corrected":
    (J - expected) / (that of two tunings in one language - expected), of two languages. `position` of a scope counts
    from 0.
    """
    results = subnetworks(run)  # before the imports: it refuses other kinds
    from neural.masks.mask import COMPONENTS

    rounds = {(task.name, task.round_of(d)) for task in results.study.tasks for d in task.densities}
    kinds = [*LOOKS, CORRECTED]
    rows = overlaps(results, f"scope != 'total' and round in {sorted({r for _, r in rounds})}")
    wanted = pd.MultiIndex.from_frame(rows[["task", "round"]]).isin(rounds)
    rows = rows[wanted & rows["kind"].isin(kinds)]
    in_layer = rows["scope"].str.startswith("layer ")
    number = rows["scope"].where(in_layer).str.removeprefix("layer ")
    place = rows["scope"].map({name: i for i, name in enumerate(COMPONENTS)})
    rows = rows.assign(
        by=np.where(in_layer, "layer", "component"),
        position=pd.to_numeric(number).fillna(place).astype(int),
    )
    tasks = [name for name, _ in cells(results)]
    rows["_task"], rows["_kind"] = rows["task"].map(tasks.index), rows["kind"].map(kinds.index)
    order = ["_task", "round", "_kind", "by", "position"]
    return rows.sort_values(order, ignore_index=True)[COLUMNS]


def draw(table: pd.DataFrame) -> Figure:
    """A line of panels a task and density: by layer, by component, and corrected by layer; bands of 95 %."""
    tasks = list(table.groupby(["task", "density"], sort=False))
    figure = style.figure(style.PAGE, 1.35 * len(tasks) + 0.6)
    panels = figure.subplots(len(tasks), 3, squeeze=False, width_ratios=(1, 1.2, 1))
    last = len(tasks) - 1
    for i, ((task, density), part) in enumerate(tasks):
        of_masks = part[part["kind"] != CORRECTED]
        for axes, by in zip(panels[i, :2], ("layer", "component"), strict=True):
            own = of_masks[of_masks["by"] == by]
            for kind, look in LOOKS.items():
                _draw_line(axes, own[own["kind"] == kind], look)
            axes.set_ylim(*_limits(of_masks))
            _name_places(axes, own, i == last)
        axes = panels[i, 2]
        layers = part[(part["kind"] == CORRECTED) & (part["by"] == "layer")]
        for level in (0, 1):
            axes.axhline(level, color=style.LIGHT, linewidth=0.6, zorder=1)
        _draw_line(axes, layers, LOOKS["languages"])
        _name_places(axes, layers, i == last)
        panels[i, 0].set_ylabel("Jaccard")
        axes.set_ylabel("corrected")
        style.panel(panels[i, 0], i, titled(task, density), panels=len(tasks))
    for axes, said in zip(panels[-1], ("layer", "", "layer"), strict=True):
        axes.set_xlabel(said)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    for axes in panels[1:, 0]:
        more = zip(*axes.get_legend_handles_labels(), strict=True)
        for handle, label in more:
            if label not in labels:
                handles, labels = [*handles, handle], [*labels, label]
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _draw_line(axes: Axes, rows: pd.DataFrame, look: dict[str, Any]) -> None:
    if rows.empty:
        return
    rows = rows.sort_values("position")
    axes.plot(rows["position"], rows["value"], linewidth=0.9, **look)
    if "marker" in look:
        band = {"color": look["color"], "alpha": 0.2, "linewidth": 0}
        axes.fill_between(rows["position"], rows["low"], rows["high"], **band)


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    low, high = rows["value"].min(), rows["value"].max()
    ends = rows[["low", "high"]].to_numpy()
    if np.isfinite(ends).any():
        low, high = min(low, np.nanmin(ends)), max(high, np.nanmax(ends))
    room = max(0.06 * (high - low), 0.005)
    return max(low - room, 0.0), min(high + room, 1.02)


def _name_places(axes: Axes, rows: pd.DataFrame, named: bool) -> None:
    places = rows.drop_duplicates("position").sort_values("position")
    in_layer = set(rows["by"]) == {"layer"}
    names = [scope.removeprefix("layer ") for scope in places["scope"]]
    if in_layer:  # not all of many
        names = [name if i % -(-len(names) // MOST) == 0 else "" for i, name in enumerate(names)]
    axes.set_xticks(places["position"], names if named else [""] * len(names))
    if named and not in_layer:
        axes.tick_params(axis="x", rotation=35, pad=1)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
