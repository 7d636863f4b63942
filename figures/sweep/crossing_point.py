"""Additive noise on unit tasks: more tasks win only where predicting 0 wins over all.

With the optimum's own heads E R = 1 + rho_k (d sigma^2 - 1) (statement 19): the order of the lines
turns at d sigma^2 = 1, where every risk is 1, that of the zero predictor. With heads re-fitted for
the noise E R = 1 - rho_k / (1 + d sigma^2) (statement 20), and the order never turns.
"""

from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.engine import style
from figures.engine.runs import MissingRows, rows

NAME = "crossing-point"
DESCRIPTION = "risk against additive noise: the lines of all T cross where none beats predicting 0"

FAMILY = ["geometry", "options", "d", "k"]
"""What the lines of one figure have in common."""
NOISE_LIMIT = 4.0
"""Largest d sigma^2 drawn; the table holds the measured points beyond it too."""


def table(run: Path) -> pd.DataFrame:
    """Risk against noise = d sigma^2 by T, averaged over seeds.

    Readout "optimal" has a closed form and measured points, "noise-aware" the closed form alone.
    """
    data = rows(
        run,
        "network == 'linear' and inputs == 'isotropic' and trainer == 'orthonormal' and converged"
        " and perturbation == 'additive-noise'",
    )
    data = _steepest_family(data, run)
    data["error2"] = data["standard_error"] ** 2
    means = data.groupby(["T", "strength"])
    measured = means[["risk_measured", "slope_closed_form"]].mean()
    measured["standard_error"] = np.sqrt(means["error2"].sum()) / means.size()
    measured = measured.rename(columns={"risk_measured": "risk", "slope_closed_form": "slope"})
    measured = measured.reset_index().assign(readout="optimal", kind="measured")
    family = {name: data[name].iloc[0] for name in FAMILY}
    measured["noise"] = family["d"] * measured.pop("strength") ** 2

    noise = np.linspace(0.0, NOISE_LIMIT, 81)
    parts = [measured]
    for T, slope in measured.groupby("T")["slope"].mean().items():
        for readout, risk in {
            "optimal": 1 + slope * (noise - 1),
            "noise-aware": 1 - slope / (1 + noise),
        }.items():
            line = {"T": T, "noise": noise, "risk": risk, "slope": slope, "readout": readout}
            parts.append(pd.DataFrame(line).assign(kind="closed-form"))
    columns = ["readout", "kind", "T", "slope", "noise", "risk", "standard_error"]
    return pd.concat(parts, ignore_index=True)[columns].assign(**family)


def _steepest_family(data: pd.DataFrame, run: Path) -> pd.DataFrame:
    """The unit tasks of one geometry, d and k swept over the most T and, of those, with the slopes
    that differ most. Unit tasks are those with mean squared norm risk_clean + rho_k = 1."""
    # Training ends within 1e-6 of the optimum's risk, and no other geometry comes that near to 1.
    unit = data[(data["risk_clean"] + data["slope_closed_form"] - 1).abs() < 1e-6]
    families = unit.groupby(FAMILY)
    numbers = families["T"].nunique()
    if numbers.max() < 2 or numbers.empty:
        raise MissingRows(
            f"{run} has no unit tasks swept over two or more T: sweep one geometry with two"
        )
    slopes = families["slope_closed_form"]
    spread = (slopes.max() - slopes.min()).round(9)  # rounding is no reason to prefer a geometry
    rank = pd.DataFrame({"numbers": numbers, "spread": spread})
    best = rank.sort_values(["numbers", "spread"], ascending=False, kind="stable").index[0]
    return families.get_group(best).copy()


def draw(table: pd.DataFrame) -> Figure:
    """Above: risk against d sigma^2 by T with the optimum's heads. Below: with heads re-fitted."""
    figure = style.figure(style.COLUMN, 4.0)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, readout in ((upper, "optimal"), (lower, "noise-aware")):
        _draw_risks(axes, table[(table["readout"] == readout) & (table["noise"] <= NOISE_LIMIT)])
    upper.axvline(1, color=style.GREY, linestyle=":", linewidth=0.8, zorder=0)
    upper.legend(loc="upper left")
    for axes, side, points in ((upper, "top", -3), (lower, "bottom", 2)):
        axes.annotate(
            "zero predictor",
            (NOISE_LIMIT, 1),
            (0, points),
            textcoords="offset points",
            ha="right",
            va=side,
            fontsize=7,
            color=style.GREY,
        )
    first = table.iloc[0]
    where = f"{first['geometry']}\n$d={first['d']}$, $k={first['k']}$"
    upper.text(0.98, 0.02, where, transform=upper.transAxes, ha="right", va="bottom", fontsize=7)
    style.panel(upper, 0, "heads of the noiseless optimum")
    style.panel(lower, 1, "heads re-fitted for the noise")
    lower.set_xlabel(r"noise  $d\,\sigma^2$")
    lower.set_xlim(-0.08, NOISE_LIMIT * 1.02)
    return figure


def _draw_risks(axes: Axes, part: pd.DataFrame) -> None:
    tasks = sorted(set(part["T"]))
    for T, colour, marker in zip(tasks, style.sequence(len(tasks)), cycle(style.MARKERS)):
        curve = part[part["T"] == T]
        line = curve[curve["kind"] == "closed-form"]
        axes.plot(line["noise"], line["risk"], color=colour)
        points = curve[curve["kind"] == "measured"]
        error = 2 * points["standard_error"]
        look = {"color": colour, "marker": marker}
        axes.errorbar(points["noise"], points["risk"], yerr=error, linestyle="none", **look)
        axes.plot([], [], label=f"$T={T}$", **look)
    axes.axhline(1, color=style.GREY, linestyle="--", linewidth=0.8, zorder=0)
    axes.set_ylabel("mean risk over tasks")
