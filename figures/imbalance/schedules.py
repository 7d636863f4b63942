"""Shares that change in the course of training: what each language ends with, against constant shares."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from figures.engine import style
from figures.engine.studies import over_seeds
from figures.imbalance.perplexity import LABELS, LOOKS, plain_log
from figures.imbalance.read import imbalance, rows_of
from figures.imbalance.tables import beside, schedules

if TYPE_CHECKING:
    from neural.imbalance.claims import Results

NAME = "schedules"
DESCRIPTION = (
    "perplexity of two clones after shares that change, against constant ones of equal tokens"
)

LINEAR = 0.1
"""In nats: differences are drawn linearly up to here and logarithmically beyond."""

COLUMNS = ["kind", "width", "budget", "schedule", "share", "language"]
COLUMNS += ["value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """By schedule (shares of the second language in stages of equal length) and language, with 95 % intervals.

    perplexity: at the end of training. difference: the loss less that of constant equal shares, in nats a token, seed
    by seed. Constant shares are schedules of one stage.
    """
    results = imbalance(run)
    perplexities = schedules(results).rename(columns={"perplexity": "value"})
    parts = [
        perplexities.assign(kind="perplexity"),
        _differences(results).assign(kind="difference"),
    ]
    named = [part.assign(schedule=_stages(part)).reindex(columns=COLUMNS) for part in parts]
    return pd.concat(named, ignore_index=True)


def _stages(rows: pd.DataFrame) -> pd.Series:
    constant = rows["share"].map("{:g} throughout".format)
    return rows["schedule"].where(rows["schedule"] != "", constant).str.replace(" > ", " → ")


def _differences(results: "Results") -> pd.DataFrame:
    from neural.text.mixture import BALANCED, IMBALANCED

    rows = rows_of(results, "efficiency", beside(results, "schedules", BALANCED, IMBALANCED))
    equal = (rows["schedule"] == "") & (rows["share"] == BALANCED)
    place = ["width", "budget", "language", "seed"]
    base = rows[equal].set_index(place)["nats_per_token"].rename("base").reset_index()
    others = rows[~equal].merge(base, on=place)
    gaps = others.assign(gap=others["nats_per_token"] - others["base"])
    return over_seeds(gaps, ["width", "budget", "schedule", "share", "language"], "gap")


def draw(table: pd.DataFrame) -> Figure:
    """A line a schedule. a: perplexities; b: differences. Thin lines are the levels of equal shares."""
    names = list(dict.fromkeys(table["schedule"]))
    figure = style.figure(style.PAGE, max(0.24 * len(names) + 1.15, 2.2))
    panels = figure.subplots(1, 2, sharey=True)
    panels[1].set_xscale("symlog", linthresh=LINEAR, linscale=0.5)
    for axes, kind in zip(panels, ("perplexity", "difference"), strict=True):
        for place, (language, look) in enumerate(LOOKS.items()):
            own = table[(table["kind"] == kind) & (table["language"] == language)]
            y = [names.index(name) + 0.12 * (2 * place - 1) for name in own["schedule"]]
            error = [own["value"] - own["low"], own["high"] - own["value"]]
            points = {"linestyle": "none", "elinewidth": 0.9, "label": LABELS[language], **look}
            axes.errorbar(own["value"], y, xerr=error, **points)
            if kind == "perplexity":
                for level in own["value"][own["schedule"] == names[0]]:
                    axes.axvline(level, color=look["color"], linewidth=0.5, alpha=0.6, zorder=1)
    left, right = panels
    left.set_yticks(np.arange(len(names)), names)
    left.set_ylim(len(names) - 0.5, -0.5)
    left.set_ylabel("share of the second language")
    left.set_xscale("log")
    plain_log(left.xaxis)
    left.set_xlabel("perplexity")
    right.margins(x=0.08)
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    right.set_xlabel("loss less that of equal shares (nats/token)")
    for i, axes in enumerate(panels):
        style.panel(axes, i, ("at the end of training", "against 0.5 throughout")[i])
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure
