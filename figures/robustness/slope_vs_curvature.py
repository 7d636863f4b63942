"""Small noise on the weights of GPTs: how fast the loss grows, against half the trace of curvature (statement 31)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from figures.engine import style
from figures.engine.runs import MissingRows
from figures.engine.studies import of_kind

NAME = "slope-vs-curvature"
DESCRIPTION = "GPTs: slope of the loss under small noise, measured against that of the curvature"

NOISES = {
    "absolute": r"noise per weight  $\sigma$",
    "relative": r"$\sigma\,/$ sd of the tensor",
}
PREDICTED = {"hessian": "Hessian", "gauss_newton": "Gauss–Newton"}

MODEL = ["model", "seed", "text", "group", "noise", "sigma"]
COLUMNS = ["kind", *MODEL, "predictor", "predicted", "predicted_standard_error"]
COLUMNS += ["measured", "measured_standard_error", "ratio", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """Two kinds of rows, for each `predictor` of slopes, the Hessian and the Gauss-Newton matrix.

    model: of every model, group and noise at the least sigma, the slopes `predicted` and `measured`, in nats a token
    over sigma^2. ratio: by group, noise and sigma, the mean measured slope of a seed's models over their mean predicted
    one, averaged over `seeds` seeds, with its 95 % interval (NaN for one).
    """
    data = _slopes(run)
    parts = []
    for predictor in PREDICTED:
        names = {
            predictor: "predicted",
            f"{predictor}_standard_error": "predicted_standard_error",
        }
        some = data.rename(columns=names).assign(predictor=predictor)
        least = some["sigma"] == some.groupby("noise")["sigma"].transform("min")
        parts.append(some[least].assign(kind="model"))
        parts.append(_ratios(some).assign(kind="ratio", predictor=predictor))
    rows = pd.concat([part.reindex(columns=COLUMNS) for part in _typed(parts)], ignore_index=True)
    return rows.sort_values("kind", kind="stable", ignore_index=True)


def _slopes(run: Path) -> pd.DataFrame:
    """Those of the models of a study or a survey, in order."""
    of_kind(run, "robustness")  # before the imports: it refuses other kinds
    from neural.study.results import read
    from sim.runs.errors import UserError

    try:
        data = read(run, "slopes")
    except UserError as error:
        raise MissingRows(str(error)) from None
    return data.sort_values(["noise", "model", "seed", "text"], kind="stable", ignore_index=True)


def _typed(parts: list[pd.DataFrame]) -> list[pd.DataFrame]:
    return [part.astype({"seed": "Int64"}) if "seed" in part else part for part in parts]


def _ratios(slopes: pd.DataFrame) -> pd.DataFrame:
    from neural.measures.intervals import interval

    rows = []
    for key, part in slopes.groupby(["noise", "group", "sigma"], sort=False):
        means = part.groupby("seed")[["measured", "predicted"]].mean()
        ratios = (means["measured"] / means["predicted"]).to_numpy()
        estimate = interval(ratios)
        rows.append([*key, estimate.value, estimate.low, estimate.high, len(ratios)])
    columns = ["noise", "group", "sigma", "ratio", "low", "high", "seeds"]
    return pd.DataFrame(rows, columns=columns).astype({"ratio": float, "low": float, "high": float})


def draw(table: pd.DataFrame) -> Figure:
    """A line a kind of noise. Left: measured against predicted slope of every model. Right: their ratios by sigma."""
    noises = list(dict.fromkeys(table["noise"]))
    figure = style.figure(style.PAGE, 2.7 * len(noises) + 0.4)
    panels = figure.subplots(len(noises), 2, squeeze=False, width_ratios=[1, 1])
    groups = list(dict.fromkeys(table["group"]))
    styles = {group: style.category(i) for i, group in enumerate(groups)}
    for i, noise in enumerate(noises):
        left, right = panels[i]
        part = table[table["noise"] == noise]
        models, ratios = (part[part["kind"] == kind] for kind in ("model", "ratio"))
        _draw_models(left, models, styles)
        _draw_ratios(right, ratios, styles)
        sigma = f"{models['sigma'].iloc[0]:g}"
        style.panel(left, 2 * i, rf"{noise} noise, every model at $\sigma={sigma}$", panels=4)
        style.panel(right, 2 * i + 1, f"{noise} noise, measured over predicted", panels=4)
        right.set_xlabel(NOISES[noise])
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _draw_models(axes: Axes, models: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    """Filled marks for the Hessian, hollow ones for Gauss-Newton; a slope <= 0 has no place on log axes."""
    slopes = models[["predicted", "measured"]]
    positive = (slopes > 0).all(axis=1)
    shown = models[positive]
    axes.set_xscale("log")
    axes.set_yscale("log")
    if not shown.empty:
        ends = [float(getattr(slopes[positive], end)(axis=None)) for end in ("min", "max")]
        axes.plot(ends, ends, color=style.GREY, linewidth=0.8, zorder=1)
    for (group, predictor), part in shown.groupby(["group", "predictor"], sort=False):
        look, hessian = styles[group], predictor == "hessian"
        axes.errorbar(
            part["predicted"],
            part["measured"],
            xerr=part["predicted_standard_error"] if hessian else None,
            yerr=part["measured_standard_error"] if hessian else None,
            linestyle="none",
            markersize=2.8 if hessian else 3.6,
            markerfacecolor=look["color"] if hessian else "none",
            markeredgewidth=0.0 if hessian else 0.5,
            elinewidth=0.4,
            capsize=0,
            alpha=0.8,
            label=group if hessian else None,
            **look,
        )
    if hidden := int((~positive).sum()):
        said = f"{hidden} of {len(models)} pairs with a slope ≤ 0"
        axes.text(0.02, 0.97, said, transform=axes.transAxes, va="top", fontsize=6)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(r"predicted slope  $\frac{1}{2}\mathrm{tr}$ (filled: Hessian)")
    axes.set_ylabel(r"measured damage$\,/\,\sigma^2$")


def _draw_ratios(axes: Axes, ratios: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    """A mark a group, sigma and predictor, side by side at its sigma."""
    axes.axhline(1, color=style.GREY, linewidth=0.8, zorder=1)
    sigmas = sorted(set(ratios["sigma"]))
    step = 0.8 / (2 * len(styles))
    for g, (group, look) in enumerate(styles.items()):
        for p, predictor in enumerate(PREDICTED):
            part = ratios[(ratios["group"] == group) & (ratios["predictor"] == predictor)]
            place = [sigmas.index(sigma) for sigma in part["sigma"]]
            fill = look["color"] if predictor == "hessian" else "none"
            axes.errorbar(
                np.array(place) + step * (2 * g + p + 0.5) - 0.4,
                part["ratio"],
                yerr=np.nan_to_num([part["ratio"] - part["low"], part["high"] - part["ratio"]]),
                linestyle="none",
                markerfacecolor=fill,
                elinewidth=0.8,
                **look,
            )
    axes.set_xticks(range(len(sigmas)), [f"{sigma:g}" for sigma in sigmas])
    axes.set_xlim(-0.5, len(sigmas) - 0.5)
    axes.set_ylabel("measured / predicted slope")
