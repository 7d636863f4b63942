"""Where models of several texts become better than the model of one: differences of their losses under failure.

Filled marks below the curves: the mean curves cross there in the same direction in nearly all resamples of seeds and
draws, so that the crossover counts; hollow: in fewer.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.engine import style
from figures.engine.studies import named
from figures.robustness.failure_curves import (
    STRENGTHS,
    curve_of,
    draw_curves,
    failures,
    families,
    intervals,
    legend,
    looks_of,
)
from figures.robustness.read import robustness

NAME = "crossover"
DESCRIPTION = (
    "loss under failures of attention, several texts less one, and the strength where it crosses 0"
)

COLUMNS = [
    "kind",
    "text",
    "family",
    "model",
    "label",
    "failure",
    "strength",
    "value",
    "low",
    "high",
]
COLUMNS += ["seeds", "crossing", "direction"]


def table(run: Path) -> pd.DataFrame:
    """Rows of two kinds, with `low` and `high`, 95 % intervals over `seeds` seeds (NaN for one).

    difference: `value`, the loss of `model` less that of the model of `text` alone, in nats a token, both on that text
    at `strength` of a failure of attention. crossing: `value` is the strength at which that difference first goes
    through 0, NaN if nowhere in range; `direction` is -1 if it falls, so that several are better beyond, and `crossing`
    the share of resamples that cross so.
    """
    results = robustness(run)  # before the imports: it refuses other kinds
    from neural.measures.degradation import crossover

    labels = named(results.study.models)
    parts = []
    for (text, family), models in families(results).items():
        for model in models:
            for failure in failures(results):
                alone, several = (curve_of(results, m, text, failure) for m in (text, model))
                gaps = (several.losses - alone.losses).mean(axis=-1)
                place = (text, family, model, labels[model], failure)
                parts.append(intervals(place, alone, gaps).assign(kind="difference"))
                crossing = crossover(alone.strengths, alone.losses, several.losses)
                row = {
                    "kind": "crossing",
                    **dict(zip(COLUMNS[1:6], place, strict=True)),
                    "value": crossing.value,
                    "low": crossing.low,
                    "high": crossing.high,
                    "seeds": len(gaps),
                    "crossing": crossing.crossing,
                    "direction": crossing.direction,
                }
                parts.append(pd.DataFrame([row]))
    numbers = ["strength", "value", "low", "high", "crossing"]
    parts = [part.reindex(columns=COLUMNS).astype(dict.fromkeys(numbers, float)) for part in parts]
    found_all = pd.concat([part.astype({"direction": "Int64"}) for part in parts])
    return found_all.sort_values("kind", ascending=False, kind="stable", ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """For each text and family a line of panels, differences, and a flat one below, crossings; a column a failure."""
    lines = list(dict.fromkeys(zip(table["text"], table["family"], strict=True)))
    columns = list(dict.fromkeys(table["failure"]))
    counts = [len(set(table.loc[_of(table, *line), "model"])) for line in lines]
    heights = [height for count in counts for height in (1.6, 0.22 * count + 0.12)]
    figure = style.figure(style.PAGE, sum(heights) + 0.3 * len(lines) + 0.5)
    panels = figure.subplots(
        len(heights), len(columns), sharex="col", squeeze=False, height_ratios=heights
    )
    styles = looks_of(table)
    for i, line in enumerate(lines):
        for j, failure in enumerate(columns):
            part = table[_of(table, *line) & (table["failure"] == failure)]
            above, below = panels[2 * i : 2 * i + 2, j]
            draw_curves(above, part[part["kind"] == "difference"], styles)
            above.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
            ends = above.get_xlim()
            _draw_crossings(below, part[part["kind"] == "crossing"], styles, ends)
            style.panel(above, len(columns) * i + j, STRENGTHS[failure][0], panels=4)
        panels[2 * i, 0].set_ylabel(f"{line[1]}:\nloss less that of one\n(nats/token)")
        panels[2 * i + 1, 0].set_ylabel("crosses 0", rotation=0, ha="right", va="center")
    for axes, failure in zip(panels[-1], columns, strict=True):
        axes.set_xlabel(STRENGTHS[failure][1])
    legend(figure, panels.flat)
    return figure


def _of(table: pd.DataFrame, text: str, family: str) -> Any:
    return (table["text"] == text) & (table["family"] == family)


def _draw_crossings(
    axes: Axes, rows: pd.DataFrame, styles: dict[str, dict[str, Any]], ends: tuple[float, float]
) -> None:
    """A line a model: where it crosses, with its interval as far as the axis goes."""
    from neural.robustness.claims import SURE

    for place, row in enumerate(rows.itertuples()):
        look = styles[row.model]
        if np.isnan(row.value):
            said = {"fontsize": 5.5, "ha": "center", "va": "center", "color": look["color"]}
            axes.text(sum(ends) / 2, place, "none in range", **said)
            continue
        low, high = np.clip([row.low, row.high], *ends)
        axes.plot([low, high], [place, place], color=look["color"], linewidth=0.9)
        fill = look["color"] if row.crossing >= SURE else "white"
        axes.plot(row.value, place, linestyle="none", markerfacecolor=fill, **look)
    axes.set_xlim(*ends)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
