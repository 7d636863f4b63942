"""A small transformer's linear bottleneck under failure: the exact formula, and the optimum for its features.

The formula holds for the trained weights as they are; how near training comes to the slope of the optimum for the
features and tasks at hand is another question, and how near that optimum is to the spectral slope of the teacher's
tasks, which the network never sees, a third.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, MultipleLocator, NullFormatter

from figures.engine import style
from figures.engine.runs import rows
from theory.geometry import sample
from theory.spectra import slope

NAME = "transformer-slope"
DESCRIPTION = (
    "a transformer's bottleneck: measured damage against the formula, slope by T and tasks"
)

KEY = ["identity", "geometry", "d", "T", "k", "seed"]


def table(run: Path) -> pd.DataFrame:
    """One row a model and failure of the bottleneck W, at its greatest strength.

    A sweep meets every strength with the same draws, so that the weaker ones would show the same deviation again.
    `deviation` is that of the measured from the exact damage, in standard errors; slopes are that of the trained
    weights, that of the optimum for their features, and rho_k of the teacher's tasks.
    """
    data = rows(
        run, "network == 'transformer' and group == 'W' and strength > 0 and standard_error > 0"
    )
    data = data.sort_values("strength", kind="stable")
    data = data.drop_duplicates(["identity", "perturbation"], keep="last").sort_index()
    damages = {
        "damage_closed_form": data["risk_closed_form"] - data["risk_clean"],
        "damage_measured": data["risk_measured"] - data["risk_clean"],
    }
    data = data.assign(**damages)
    data["deviation"] = (data["risk_measured"] - data["risk_closed_form"]) / data["standard_error"]
    teacher = {
        identity: slope(sample(geometry, d, T, seed), k)
        for identity, geometry, d, T, k, seed in data[KEY].drop_duplicates().itertuples(index=False)
    }
    data["slope_teacher"] = data["identity"].map(teacher)
    slopes = ["slope_trained", "slope_closed_form", "slope_teacher", "converged"]
    measured = [*damages, "standard_error", "deviation"]
    return data[[*KEY, "perturbation", "strength", *measured, *slopes]].reset_index(drop=True)


def draw(table: pd.DataFrame) -> Figure:
    """Left: damage measured and exact, by failure. Middle: slopes by T. Right: trained over optimal slope."""
    figure = style.figure(style.PAGE, 3.1)
    grid = figure.add_gridspec(2, 3, height_ratios=[2.6, 1])
    damages = figure.add_subplot(grid[0, 0])
    deviations = figure.add_subplot(grid[1, 0], sharex=damages)
    by_T, ratios = figure.add_subplot(grid[:, 1]), figure.add_subplot(grid[:, 2])
    _draw_damages(damages, deviations, table)
    models = table.drop_duplicates("identity")
    styles = {name: style.category(i) for i, name in enumerate(sorted(set(models["geometry"])))}
    _draw_slopes(by_T, models, styles)
    _draw_ratios(ratios, models, styles)
    style.panel(damages, 0, "failures of $W$")
    style.panel(by_T, 1, "slope, mean over seeds")
    style.panel(ratios, 2, "trained over optimal slope")
    handles = [
        by_T.plot([], [], linestyle="none", label=name, **look)[0] for name, look in styles.items()
    ]
    lines = {"optimum for its features": "-", r"teacher's tasks, $\rho_k$": ":"}
    handles += [
        by_T.plot([], [], color=style.GREY, linestyle=line, label=name)[0]
        for name, line in lines.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.2)
    return figure


def _draw_damages(damages: Axes, deviations: Axes, table: pd.DataFrame) -> None:
    exact = table["damage_closed_form"]
    damages.set_xscale("log")
    damages.set_yscale("log")
    for axis in (damages.xaxis, damages.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    ends = float(exact.min()), float(exact.max())
    damages.plot(ends, ends, color=style.GREY, linewidth=0.8, zorder=1)
    deviations.axhspan(-2, 2, color=style.LIGHT, linewidth=0, zorder=0)
    deviations.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    for i, (name, part) in enumerate(table.groupby("perturbation")):
        look: dict[str, Any] = {"linestyle": "none", "alpha": 0.8, **style.category(i)}
        label = f"{str(name).replace('-', ' ')}, {part['strength'].iloc[0]:g}"
        damages.plot(
            part["damage_closed_form"],
            part["damage_measured"],
            markersize=2.5,
            label=label,
            **look,
        )
        deviations.plot(part["damage_closed_form"], part["deviation"], markersize=2, **look)
    limit = max(4.0, 1.15 * float(table["deviation"].abs().max()))
    deviations.set_ylim(-limit, limit)
    deviations.yaxis.set_major_locator(MultipleLocator(2) if limit < 6 else MaxNLocator(3))
    damages.tick_params(labelbottom=False)
    damages.set_ylabel("measured damage")
    deviations.set_ylabel("deviation\n(s.e.)", fontsize=7)
    deviations.set_xlabel("exact damage")
    damages.legend(loc="upper left", fontsize=6, handletextpad=0.1, borderaxespad=0.0)


def _draw_slopes(axes: Axes, models: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    slopes = ["slope_trained", "slope_closed_form", "slope_teacher"]
    for name, part in models.groupby("geometry"):
        mean = part.groupby("T")[slopes].mean()
        look = styles[str(name)]
        axes.plot(mean.index, mean["slope_closed_form"], color=look["color"])
        axes.plot(mean.index, mean["slope_teacher"], color=look["color"], linestyle=":")
        axes.plot(mean.index, mean["slope_trained"], linestyle="none", **look)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(r"slope  $\|\Gamma\|_F^2/T$")
    _label_tasks(axes, models)


def _draw_ratios(axes: Axes, models: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    """Geometries side by side at each T; crosses for models that did not converge."""
    tasks = np.unique(models["T"])
    step = 0.7 * float(np.diff(tasks).min(initial=4)) / len(styles)
    axes.axhline(1, color=style.GREY, linewidth=0.8, zorder=1)
    for i, (name, look) in enumerate(styles.items()):
        part = models[models["geometry"] == name]
        at = part["T"] + step * (i - (len(styles) - 1) / 2)
        ratio = part["slope_trained"] / part["slope_closed_form"]
        for there, marker in ((part["converged"], look["marker"]), (~part["converged"], "x")):
            axes.plot(
                at[there],
                ratio[there],
                linestyle="none",
                markersize=3,
                color=look["color"],
                marker=marker,
            )
    _label_tasks(axes, models)


def _label_tasks(axes: Axes, models: pd.DataFrame) -> None:
    axes.set_xticks(np.unique(models["T"]))
    axes.set_xlabel("number of tasks  $T$")
