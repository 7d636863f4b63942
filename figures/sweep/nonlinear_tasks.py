"""Accuracy of convolutional networks under failure, by the number of tasks they learnt.

Accuracies are those on the task that all networks of a seed have in common: T changes, the task and its test images do
not. Intervals are over seeds, 95 % by Student's t; a difference is taken seed by seed before it is averaged.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from figures.engine import style
from figures.engine.runs import MissingRows, rows

NAME = "nonlinear-tasks"
DESCRIPTION = (
    "accuracy of convolutional networks under failure, by number of tasks and failing layer"
)

CURVES = (1, 3, 5, 9)
"""Numbers of tasks shown as curves, and the least and the greatest of the run."""
SHOWN = ("weight-deletion", "neuron-deletion", "additive-noise-relative", "magnitude-pruning")
"""The failure whose curves are shown is the first of these that the run has."""
ALL = "all"

CELL = ["geometry", "options", "perturbation", "group"]
COLUMNS = [*CELL, "kind", "T", "strength", "value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """Numbers of four kinds, `value` with `low` and `high`, its 95 % interval over `seeds` seeds (NaN for one seed).

    curve: accuracy on the common task at a strength. area: its mean over strengths from none to the greatest, the area
    under the curve over the relative strength (for quantisation, over the step relative to the largest weight), by T.
    difference: of the areas of the largest and the smallest T, positive where more tasks keep more. trend: growth of
    the area for a task more, by least squares over all T.
    """
    data = rows(run, "network == 'convolutional'")
    if data["T"].nunique() < 2:
        raise MissingRows(f"{run} has networks of one number of tasks only: sweep several --T")
    data = data.assign(amount=_amount(data))
    parts = [
        _interval(
            data.rename(columns={"accuracy_common": "value"}), [*CELL, "T", "strength"]
        ).assign(kind="curve")
    ]
    areas = pd.DataFrame(
        [
            dict(zip([*CELL, "T", "seed"], key, strict=True)) | {"value": _area(curve)}
            for key, curve in data.groupby([*CELL, "T", "seed"])
        ]
    )
    parts.append(_interval(areas, [*CELL, "T"]).assign(kind="area"))
    by_T = areas.pivot(index=[*CELL, "seed"], columns="T", values="value")
    T = by_T.columns.to_numpy(dtype=float)
    centred = T - T.mean()
    of_seed = {
        "difference": by_T.iloc[:, -1] - by_T.iloc[:, 0],
        "trend": by_T @ (centred / (centred @ centred)),
    }
    for kind, values in of_seed.items():
        parts.append(_interval(values.rename("value").reset_index(), CELL).assign(kind=kind))
    return pd.concat(parts, ignore_index=True)[COLUMNS].astype({"T": "Int64"})


def _amount(data: pd.DataFrame) -> pd.Series:
    """Strengths on an axis where 0 is none: bits as the step of rounding relative to the largest weight."""
    bits = data["strength"].where(data["perturbation"] == "quantisation")
    return (1 / (2.0 ** (bits - 1) - 1)).fillna(data["strength"])


def _area(curve: pd.DataFrame) -> float:
    """Of one model's rows, in order of strength; from either end it is the same."""
    amount = curve["amount"].to_numpy()
    area = np.trapezoid(curve["accuracy_common"].to_numpy(), amount)
    return float(area / (amount[-1] - amount[0]))


def _interval(values: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Mean of `value` over seeds with its 95 % interval."""
    from scipy import stats

    groups = values.groupby(by)["value"]
    means = groups.agg(value="mean", seeds="size").reset_index()
    spread = groups.std(ddof=1).to_numpy()
    n = means["seeds"].to_numpy()
    half = stats.t.ppf(0.975, np.maximum(n - 1, 1)) * spread / np.sqrt(n)
    return means.assign(low=means["value"] - half, high=means["value"] + half)


def draw(table: pd.DataFrame) -> Figure:
    """A line of panels for each data set and budget: curves, areas against T by layer, and what more tasks change."""
    sets = [key for key, _ in table.groupby(["geometry", "options"])]
    failures = set(table["perturbation"])
    failure = next((name for name in SHOWN if name in failures), min(failures))
    figure = style.figure(style.PAGE, 2.6 * len(sets) + 0.2)
    grid = figure.add_gridspec(len(sets), 3, width_ratios=[1, 1, 1.1])
    for line, (geometry, options) in enumerate(sets):
        part = table[(table["geometry"] == geometry) & (table["options"] == options)]
        kinds = dict(list(part[part["perturbation"] == failure].groupby("kind")))
        panels = [figure.add_subplot(grid[line, column]) for column in range(3)]
        _draw_curves(panels[0], kinds["curve"][kinds["curve"]["group"] == ALL], failure)
        _draw_areas(panels[1], kinds["area"], failure)
        every = part[part["kind"] == "difference"]
        _draw_differences(panels[2], every, kinds["area"]["T"].min(), kinds["area"]["T"].max())
        titles = (f"{geometry}, samples {_budget(options)}", "area under the curve", "more tasks")
        for i, (axes, title) in enumerate(zip(panels, titles, strict=True)):
            style.panel(axes, 3 * line + i, title, panels=3 * len(sets))
    handles, labels = panels[2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _draw_curves(axes: Axes, curves: pd.DataFrame, failure: str) -> None:
    every = sorted(set(curves["T"]))
    chosen = [T for T in every if T in (*CURVES, every[0], every[-1])]
    for i, (T, colour) in enumerate(zip(chosen, style.sequence(len(chosen)), strict=True)):
        curve = curves[curves["T"] == T].sort_values("strength")
        axes.errorbar(
            curve["strength"],
            curve["value"],
            yerr=_bars(curve),
            color=colour,
            marker=style.MARKERS[i],
            elinewidth=0.6,
            label=f"$T={T}$",
        )
    axes.axhline(0.5, color=style.GREY, linewidth=0.8, linestyle=":")
    axes.set_xlabel(f"{failure}, all parameters")
    axes.set_ylabel("accuracy on the common task")
    axes.legend(loc="lower left")


def _draw_areas(axes: Axes, areas: pd.DataFrame, failure: str) -> None:
    for i, group in enumerate(_groups(areas)):
        line = areas[areas["group"] == group].sort_values("T")
        nudged = line["T"] + 0.08 * (i - 2)
        look = style.category(i)
        axes.errorbar(nudged, line["value"], yerr=_bars(line), elinewidth=0.6, label=group, **look)
    axes.set_xlabel("number of tasks  $T$")
    axes.set_ylabel(f"mean accuracy over {failure}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_differences(axes: Axes, differences: pd.DataFrame, least: int, most: int) -> None:
    """One line a failure, one mark a group; to the right, more tasks keep more."""
    failures = sorted(set(differences["perturbation"]))
    axes.axvline(0, color=style.GREY, linewidth=0.8)
    for i, group in enumerate(_groups(differences)):
        part = differences[differences["group"] == group].set_index("perturbation").loc[failures]
        place = np.arange(len(failures)) + 0.14 * (i - 2)
        look = {"linestyle": "none", "elinewidth": 0.8, **style.category(i)}
        axes.errorbar(part["value"], place, xerr=_bars(part), label=group, **look)
    axes.set_yticks(range(len(failures)), [name.replace("-", "\n", 1) for name in failures])
    axes.invert_yaxis()
    axes.set_xlabel(f"area at $T={most}$ less area at $T={least}$")


def _bars(rows: pd.DataFrame) -> np.ndarray:
    """Lengths of error bars, below and above; none for a single seed."""
    ends = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
    return np.nan_to_num(np.stack(ends))


def _groups(rows: pd.DataFrame) -> list[str]:
    """All parameters first, then the layers from the images upwards, heads last."""
    rank = {ALL: 0, "hidden": 2, "heads": 3}
    return sorted(set(rows["group"]), key=lambda group: (rank.get(group, 1), group))


def _budget(options: str) -> str:
    """The budget that the options of a row name."""
    return str(json.loads(options).get("samples", ""))
