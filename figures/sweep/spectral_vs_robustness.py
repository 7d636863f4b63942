"""The slope measured under additive noise against the spectral slope (statements 2, 3 and 26)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, MultipleLocator, NullFormatter

from figures.engine import style
from figures.engine.runs import rows
from sim.runs.errors import UserError

NAME = "spectral-vs-robustness"
DESCRIPTION = "growth of risk with noise, measured against the spectral slope, by trainer"

PANELS = {
    "orthonormal": r"orthonormal, $\rho_k$",
    "ridge": r"ridge, $\beta_k$",
    "descent": r"descent, $\beta_k$",
    "d22": r"real inputs, $\rho_k$",
}
"""The trainers in the order of their panels, and the closed-form slope each is held against."""
NOT_CONVERGED = "not converged"


def table(run: Path) -> pd.DataFrame:
    """One row per cell, measured under its strongest additive noise.

    A sweep meets every strength with the same draws, so that the weaker ones would show the same
    deviation again. `deviation` is that of measured from closed form, in standard errors.
    """
    linear = "network == 'linear' and perturbation == 'additive-noise'"
    data = rows(run, f"{linear} and strength > 0 and slope_measured.notna()")
    data = data.sort_values("strength", kind="stable").drop_duplicates("identity", keep="last")
    data = data.sort_index()
    unknown = sorted(set(data["trainer"]) - set(PANELS))
    if unknown:
        raise UserError(f"{NAME} has no panel for the trainer {unknown[0]!r}: add it to PANELS")
    difference = data["slope_measured"] - data["slope_closed_form"]
    data["deviation"] = difference / data["slope_standard_error"]
    cell = ["identity", "geometry", "options", "inputs", "d", "T", "k", "seed", "trainer"]
    slopes = ["slope_closed_form", "slope_measured", "slope_standard_error", "deviation"]
    return data[[*cell, "strength", *slopes, "converged"]]


def draw(table: pd.DataFrame) -> Figure:
    """One panel per trainer: measured against spectral slope, the identity, deviations below."""
    trainers = [trainer for trainer in PANELS if trainer in set(table["trainer"])]
    styles = _looks(table)
    n_columns = min(2, len(trainers))
    n_lines = -(-len(trainers) // n_columns)
    legend_lines = -(-len(styles) // 3)
    figure = style.figure(style.COLUMN, 2.15 * n_lines + 0.13 * legend_lines + 0.1)
    grid = figure.add_gridspec(2 * n_lines, n_columns, height_ratios=[2.8, 1] * n_lines)
    for i, trainer in enumerate(trainers):
        line, column = divmod(i, n_columns)
        slopes = figure.add_subplot(grid[2 * line, column])
        deviations = figure.add_subplot(grid[2 * line + 1, column], sharex=slopes)
        part = table[table["trainer"] == trainer]
        _draw_slopes(slopes, part, styles)
        _draw_deviations(deviations, part, styles)
        style.panel(slopes, i, PANELS[trainer], panels=len(trainers))
        slopes.tick_params(labelbottom=False)
        deviations.set_xlabel("spectral slope")
        if column == 0:
            slopes.set_ylabel("measured slope")
            deviations.set_ylabel("deviation\n(s.e.)", fontsize=7)
    handles = [figure.axes[0].plot([], [], **look)[0] for look in styles.values()]
    figure.legend(
        handles,
        list(styles),
        loc="outside lower center",
        ncols=3,
        columnspacing=0.8,
        handletextpad=0.2,
    )
    return figure


def _looks(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Colour and marker by geometry; grey crosses for cells that did not converge."""
    styles = {
        name: {"linestyle": "none", **style.category(i)}
        for i, name in enumerate(sorted(set(table["geometry"])))
    }
    if not table["converged"].all():
        styles[NOT_CONVERGED] = {"linestyle": "none", "marker": "x", "color": style.GREY}
    return styles


def _groups(part: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each legend entry."""
    label = part["geometry"].where(part["converged"], NOT_CONVERGED)
    return [(str(name), rows) for name, rows in part.groupby(label, sort=True)]


def _draw_slopes(axes: Axes, part: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    slopes = part[["slope_closed_form", "slope_measured"]]
    low, high = float(slopes.min(axis=None)), float(slopes.max(axis=None))
    if low > 0 and high > 20 * low:
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_formatter(NullFormatter())
            if high < 1e3 * low:  # powers of ten alone may be a single label
                axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
                axis.set_major_formatter("{x:g}")
    other = high if high > low else low + 1.0
    axes.axline((low, low), (other, other), color=style.GREY, linewidth=0.8, zorder=1)
    for name, group in _groups(part):
        axes.errorbar(
            group["slope_closed_form"],
            group["slope_measured"],
            yerr=group["slope_standard_error"],
            alpha=0.85,
            markeredgewidth=0.4 if name != NOT_CONVERGED else 1.0,
            elinewidth=0.7,
            **styles[name],
        )


def _draw_deviations(axes: Axes, part: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    axes.axhspan(-2, 2, color=style.LIGHT, linewidth=0, zorder=0)
    axes.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    for name, group in _groups(part):
        axes.plot(
            group["slope_closed_form"],
            group["deviation"],
            markersize=2.5,
            alpha=0.85,
            **styles[name],
        )
    largest = float(part.loc[part["converged"], "deviation"].abs().max())
    limit = max(4.0, 1.15 * largest) if np.isfinite(largest) else 4.0
    axes.set_ylim(-limit, limit)
    axes.yaxis.set_major_locator(MultipleLocator(2) if limit < 6 else MaxNLocator(3))
