"""Noise before a transformer's bottleneck: how far half the trace of the Hessian predicts the damage (statement 31)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from figures.engine import style
from figures.engine.runs import MissingRows, rows

NAME = "quadratic-regime"
DESCRIPTION = "noise in earlier layers: damage over that of the curvature, and where it leaves it"

BAND = 0.1
"""Relative deviation from the curvature's prediction at which the quadratic regime ends."""

REFERENCE = "W"
"""The bottleneck, whose damage is exactly quadratic in the noise."""


def table(run: Path) -> pd.DataFrame:
    """Two kinds of rows.

    "curve": by group and sigma, the measured growth of the risk over sigma^2 as a multiple `ratio` of the predicted
    slope: the ratio of their means over the models, with its standard error over models (Cochran 1977, 6.3).
    `regime_end` is the sigma at which the ratio first leaves 1 +- BAND: between two measured ones by interpolation in
    log sigma, 0 where it is outside from the least on, inf where it never leaves.
    "model": slopes of every model and group at the least sigma, with their standard errors.
    """
    noise = "network == 'transformer' and perturbation == 'additive-noise' and strength > 0"
    data = rows(run, noise)
    curved = data[data["slope_curvature"].notna()]
    if curved.empty:
        raise MissingRows(f"{run} has no rows with a curvature: sweep --preset transformer")
    of_W = data[data["group"] == REFERENCE]
    of_W = of_W.assign(slope_curvature=of_W["slope_trained"], slope_curvature_standard_error=0.0)
    curves = [
        _curve(str(group), part)
        for group, part in pd.concat([curved, of_W]).groupby("group", sort=False)
    ]
    slopes = ["slope_curvature", "slope_curvature_standard_error"]
    slopes += ["slope_measured", "slope_standard_error"]
    key = ["group", "strength", "identity", "geometry", "T", "seed"]
    least = curved[curved["strength"] == curved["strength"].min()][[*key, *slopes]]
    parts = [pd.concat(curves).assign(rows="curve"), least.assign(rows="model")]
    result = pd.concat(parts, ignore_index=True)
    result["last"] = result["group"] == REFERENCE
    order = ["rows", "last", "group", "strength", "identity"]
    return result.sort_values(order, ignore_index=True).drop(columns="last")


def _curve(group: str, part: pd.DataFrame) -> pd.DataFrame:
    points = []
    for sigma, models in part.groupby("strength"):
        measured, predicted = models["slope_measured"], models["slope_curvature"]
        ratio = measured.mean() / predicted.mean()
        rest = measured - ratio * predicted
        error = rest.std(ddof=1) / np.sqrt(len(rest)) / predicted.mean()
        points.append((group, sigma, ratio, error, len(models)))
    curve = pd.DataFrame(points, columns=["group", "strength", "ratio", "standard_error", "models"])
    return curve.assign(regime_end=_end(curve["strength"].to_numpy(), curve["ratio"].to_numpy()))


def _end(sigma: NDArray[np.float64], ratio: NDArray[np.float64]) -> float:
    """Where |ratio - 1| first exceeds BAND on its way up."""
    distance = np.abs(ratio - 1)
    if not (distance > BAND).any():
        return np.inf
    first = int(np.argmax(distance > BAND))
    if first == 0:
        return 0.0
    around = slice(first - 1, first + 1)
    return float(np.exp(np.interp(BAND, distance[around], np.log(sigma[around]))))


def draw(table: pd.DataFrame) -> Figure:
    """Left: damage over its quadratic prediction by sigma. Right: predicted and measured slope of every model."""
    figure = style.figure(style.PAGE, 2.9)
    left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
    curves = table[table["rows"] == "curve"]
    groups = list(dict.fromkeys(curves["group"]))
    styles: dict[str, dict[str, Any]] = {
        group: style.category(i) if group != REFERENCE else {"color": style.GREY, "marker": "x"}
        for i, group in enumerate(groups)
    }
    _draw_curves(left, curves, styles)
    _draw_models(right, table[table["rows"] == "model"], styles)
    style.panel(left, 0, r"damage over $\frac{1}{2}\sigma^2\,\mathrm{tr}\,H$, all models")
    sigma = f"{table.loc[table['rows'] == 'model', 'strength'].iloc[0]:g}"
    style.panel(right, 1, rf"every model at $\sigma={sigma}$")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(styles))
    return figure


def _draw_curves(axes: Axes, curves: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    axes.set_xscale("log")
    axes.axhspan(1 - BAND, 1 + BAND, color=style.LIGHT, linewidth=0, zorder=0)
    axes.axhline(1, color=style.GREY, linewidth=0.8, zorder=1)
    for group, look in styles.items():
        curve = curves[curves["group"] == group]
        error = 2 * curve["standard_error"]
        axes.errorbar(curve["strength"], curve["ratio"], yerr=error, label=group, **look)
        end = curve["regime_end"].iloc[0]
        if 0 < end < np.inf:
            axes.plot([end] * 2, [0, 1 - BAND], color=look["color"], linewidth=0.7, linestyle=":")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(r"noise per weight  $\sigma$")
    axes.set_ylabel(r"$\mathrm{damage}\;/\;\frac{1}{2}\sigma^2\,\mathrm{tr}\,H$")


def _draw_models(axes: Axes, models: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    slopes = models[["slope_curvature", "slope_measured"]]
    ends = float(slopes.min(axis=None)), float(slopes.max(axis=None))
    axes.plot(ends, ends, color=style.GREY, linewidth=0.8, zorder=1)
    for group, part in models.groupby("group"):
        axes.errorbar(
            part["slope_curvature"],
            part["slope_measured"],
            xerr=part["slope_curvature_standard_error"],
            yerr=part["slope_standard_error"],
            linestyle="none",
            markersize=2.5,
            elinewidth=0.4,
            capsize=0,
            alpha=0.8,
            **styles[str(group)],
        )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(r"predicted slope  $\frac{1}{2}\mathrm{tr}\,H$")
    axes.set_ylabel(r"measured damage$\,/\,\sigma^2$")
