"""How many monolingual tokens a token of a bilingual model is worth: the curve that says so, and TEff by share."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from figures.engine import style
from figures.engine.runs import MissingRows
from figures.engine.studies import over_seeds
from figures.imbalance.perplexity import draw_intervals, plain_log
from figures.imbalance.read import imbalance, rows_of
from figures.imbalance.tables import of_base, scores

if TYPE_CHECKING:
    from neural.imbalance.claims import Results

NAME = "token-efficiency"
DESCRIPTION = (
    "monolingual perplexity by tokens, and token efficiency of two clones by share and budget"
)

POINTS = 60
"""On a fitted curve."""
SIDES = {"above": "^", "below": "v"}
"""Markers of bounds."""
MARKERS = [marker for marker in style.MARKERS if marker not in SIDES.values()]
ALONE = "language == 'c0' and vocabulary == 'cloned' and share == 0"

COLUMNS = ["kind", "width", "budget", "share", "language", "tokens"]
COLUMNS += ["value", "low", "high", "seeds", "beyond"]


def table(run: Path) -> pd.DataFrame:
    """Rows of three kinds, with 95 % intervals over `seeds` seeds.

    point: of a monolingual run of `tokens`, `value` is 1 / perplexity; curve: of the curves fitted to them, the mean
    over seeds, between the least and the greatest budget, without an interval. efficiency: by budget, share and
    language at the base width, `value` is TEff, which is a bound where `beyond` is "above" or "below", and NaN where
    the seeds lie on "both" sides.
    """
    results = imbalance(run)
    parts = [_points(results).assign(kind="point"), _curves(results).assign(kind="curve")]
    efficiencies = scores(results, f"{of_base(results, ['grid'])} and share > 0").drop(
        columns=["low", "high"]
    )
    names = {"teff": "value", "teff_low": "low", "teff_high": "high", "seen": "tokens"}
    parts.append(efficiencies.rename(columns=names).assign(kind="efficiency"))
    numbers = dict.fromkeys(["budget", "share", "value", "low", "high"], float)
    frames = [part.reindex(columns=COLUMNS).astype(numbers) for part in parts]
    return pd.concat([frame.astype({"seeds": "Int64"}) for frame in frames], ignore_index=True)


def _points(results: "Results") -> pd.DataFrame:
    rows = rows_of(results, "efficiency", f"experiment in ['grid', 'reference'] and {ALONE}")
    rows["inverse"] = 1 / rows["perplexity"]
    points = over_seeds(rows, ["width", "budget", "share", "language", "seen"], "inverse")
    return points.rename(columns={"seen": "tokens"}).sort_values(["width", "tokens"])


def _curves(results: "Results") -> pd.DataFrame:
    fitted = results.references
    fitted = fitted[(fitted["vocabulary"] == "cloned") & (fitted["language"] == "c0")]
    if fitted.empty:
        raise MissingRows(f"{results.out} has no monolingual curve: train longer, or more budgets")
    parts = []
    for width, of_width in fitted.groupby("width"):
        ends = of_width["low_budget"].max(), of_width["high_budget"].min()
        x = np.geomspace(*ends, POINTS)
        a, b, c = of_width[["a", "b", "c"]].to_numpy()[..., None].swapaxes(0, 1)
        values = (c - a * x**-b).mean(axis=0)
        constants = {"width": width, "language": "c0", "seeds": len(of_width)}
        parts.append(pd.DataFrame({"tokens": x, "value": values}).assign(**constants))
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """a: the curves. b, c: TEff of the second and of the first language; hollow arrows are bounds."""
    figure = style.figure(style.PAGE, 2.75)
    curves, *panels = figure.subplots(1, 3)
    kinds = dict(iter(table.groupby("kind")))
    _draw_curves(curves, kinds["point"], kinds["curve"])
    budgets = sorted(set(kinds["efficiency"]["budget"]))
    colours = dict(zip(budgets, style.sequence(len(budgets)), strict=True))
    for i, (axes, language, title) in enumerate(
        zip(panels, ("c1", "c0"), ("second language, c1", "first language, c0"), strict=True), 1
    ):
        own = kinds["efficiency"][kinds["efficiency"]["language"] == language]
        for place, (budget, colour) in enumerate(colours.items()):
            _draw_efficiency(axes, own[own["budget"] == budget], budget, colour, place)
        axes.axhline(1, color=style.GREY, linewidth=0.8, zorder=1)
        axes.set_yscale("log")
        plain_log(axes.yaxis)
        axes.set_xlabel("share of the second language")
        style.panel(axes, i, title, panels=3)
    panels[0].set_ylabel("token efficiency, TEff")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower right", ncols=len(labels), title="tokens in all"
    )
    return figure


def _draw_curves(axes: Axes, points: pd.DataFrame, curves: pd.DataFrame) -> None:
    for i, (width, line) in enumerate(curves.groupby("width")):
        look = style.category(i)
        own = points[points["width"] == width]
        draw_intervals(axes, own, "tokens", {**look, "linestyle": "none"}, f"width {width:g}")
        axes.plot(line["tokens"], line["value"], color=look["color"], linewidth=0.9)
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("tokens of one language alone")
    axes.set_ylabel("1 / perplexity")
    axes.legend(loc="upper left")
    style.panel(axes, 0, "monolingual", panels=3)


def _draw_efficiency(
    axes: Axes, rows: pd.DataFrame, budget: float, colour: Any, place: int
) -> None:
    look = {"color": colour, "marker": MARKERS[place % len(MARKERS)]}
    rows = rows[rows["value"].notna()].sort_values("share")
    draw_intervals(axes, rows[rows["beyond"] == ""], "share", look, f"{budget:g}×")
    for side, marker in SIDES.items():
        bounds = rows[rows["beyond"] == side]
        hollow: dict[str, Any] = {"markerfacecolor": "white", "linestyle": "none", "zorder": 4}
        axes.plot(bounds["share"], bounds["value"], marker=marker, color=colour, **hollow)
