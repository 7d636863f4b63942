"""Mean noisy loss against the noise on real inputs, by number of tasks, as in Daras et al. 2022.

The loss is theirs, 1/2 E (prediction - target)^2 averaged over tasks: half the risk of the theory.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from figures.engine import style
from figures.engine.runs import MissingRows, rows

NAME = "noisy-risk"
DESCRIPTION = "mean noisy loss on real inputs against the noise, by T: closed form and measured"

POINTS_PER_LINE = 81


def table(run: Path) -> pd.DataFrame:
    """Losses by data set, T and sigma, measured where the sweep did, and in closed form on a grid.

    Over the seeds of one data set and T both are averaged; the standard error is that of the
    average over the draws of noise. The closed form is a parabola in sigma (statement 2), whose two
    coefficients the run's rows fix.
    """
    data = rows(
        run,
        "network == 'linear' and inputs == 'data' and perturbation == 'additive-noise' and converged",
    )
    if data["strength"].max() == 0:
        raise MissingRows(f"{run} measured real inputs without noise only: sweep a strength > 0")
    groups = data.assign(error2=data["standard_error"] ** 2).groupby(
        ["geometry", "d", "T", "k", "strength"]
    )
    mean = groups[["risk_clean", "risk_closed_form", "risk_measured"]].mean()
    mean["standard_error"] = np.sqrt(groups["error2"].sum()) / groups.size()
    mean["seeds"] = groups.size()
    mean = mean.reset_index()

    parts = []
    for (geometry, d, T, k), curve in mean.groupby(["geometry", "d", "T", "k"]):
        key = {"geometry": geometry, "d": d, "T": T, "k": k}
        curve = curve.sort_values("strength")
        losses = {"sigma": curve["strength"], "loss": curve["risk_measured"] / 2}
        errors = {"standard_error": curve["standard_error"] / 2, "seeds": curve["seeds"]}
        parts.append(pd.DataFrame({**losses, **errors}).assign(kind="measured", **key))
        last = curve.iloc[-1]
        sigma = np.linspace(0.0, last["strength"], POINTS_PER_LINE)
        growth = last["risk_closed_form"] - last["risk_clean"]
        closed_form = last["risk_clean"] + growth * (sigma / last["strength"]) ** 2
        line = pd.DataFrame({"sigma": sigma, "loss": closed_form / 2, "standard_error": np.nan})
        parts.append(line.assign(kind="closed-form", seeds=last["seeds"], **key))
    columns = ["geometry", "d", "T", "k", "kind", "sigma", "loss", "standard_error", "seeds"]
    return pd.concat(parts, ignore_index=True)[columns]


def draw(table: pd.DataFrame) -> Figure:
    """One panel per data set: closed form as lines, measured as points with 2 standard errors."""
    names = sorted(set(table["geometry"]))
    tasks = sorted(set(table["T"]))
    colours = dict(zip(tasks, style.sequence(len(tasks)), strict=True))
    figure = style.figure(style.COLUMN, 2.4 * len(names))
    for i, name in enumerate(names):
        axes = figure.add_subplot(len(names), 1, i + 1)
        for T, curve in table[table["geometry"] == name].groupby("T"):
            look = {
                "color": colours[T],
                "marker": style.MARKERS[tasks.index(T) % len(style.MARKERS)],
            }
            line = curve[curve["kind"] == "closed-form"]
            axes.plot(line["sigma"], line["loss"], color=colours[T])
            points = curve[curve["kind"] == "measured"]
            error = 2 * points["standard_error"]
            axes.errorbar(points["sigma"], points["loss"], yerr=error, linestyle="none", **look)
            axes.plot([], [], label=f"$T={T}$", **look)
        axes.set_ylabel(r"loss  $\frac{1}{2}\,\mathrm{E}(\hat y-y)^2$")
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper left", ncols=2 if len(tasks) > 3 else 1)
        k = ", ".join(str(k) for k in sorted(set(table.loc[table["geometry"] == name, "k"])))
        style.panel(axes, i, f"{name}, $k={k}$", panels=len(names))
    axes.set_xlabel(r"noise per weight  $\sigma$")
    return figure
