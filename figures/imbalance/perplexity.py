"""Perplexity of two cloned languages by the share of the second: what Schäfer et al. 2024 find that 90/10 does."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from figures.engine import style
from figures.imbalance.read import imbalance
from figures.imbalance.tables import of_base, scores

NAME = "imbalance-ppl"
DESCRIPTION = "perplexity of two cloned languages by the share of the second and the budget"

LOOKS: dict[str, dict[str, Any]] = {"c0": style.category(0), "c1": style.category(1)}
"""Of the two languages, wherever they are drawn."""
LABELS = {"c0": "first language, c0", "c1": "second language, c1"}
ACROSS = 3
"""Panels in a line."""

COLUMNS = ["kind", "width", "budget", "tokens", "share", "language", "seen"]
COLUMNS += ["value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """By budget, share and language, at the base width: rows of two kinds, with 95 % intervals over `seeds` seeds.

    model: `value`, the perplexity. monolingual: that of models of one language of as many tokens of it as were `seen`,
    by the fitted curve; no row where that is beyond the fitted budgets. `tokens` are those of both languages.
    """
    results = imbalance(run)
    rows = scores(results, of_base(results, ["grid"]))
    rows["tokens"] = rows["budget"] * results.study.unit
    parts = [rows.assign(kind="model", value=rows["perplexity"])]
    ends = {"mlpe": "value", "mlpe_low": "low", "mlpe_high": "high"}
    alone = rows.drop(columns=["low", "high"]).rename(columns=ends).assign(kind="monolingual")
    parts.append(alone[alone["value"].notna()])
    return pd.concat([part.reindex(columns=COLUMNS) for part in parts], ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """A panel a budget; thin lines are the levels of the most equal shares."""
    budgets = sorted(set(table["budget"]))
    lines = -(-len(budgets) // ACROSS)
    figure = style.figure(style.PAGE, 2.1 * lines + 0.45)
    panels = figure.subplots(lines, ACROSS, sharex=True, sharey=True, squeeze=False)
    for i, (axes, budget) in enumerate(zip(panels.flat, budgets, strict=False)):
        part = table[table["budget"] == budget]
        _draw_budget(axes, part)
        style.panel(axes, i, f"{budget:g}× = {said(part['tokens'].iloc[0])} tokens", len(budgets))
    for axes in panels.flat[len(budgets) :]:
        axes.set_visible(False)
    for i, axes in enumerate(panels.flat[: len(budgets)]):
        if i + ACROSS >= len(budgets):
            axes.set_xlabel("share of the second language")
            axes.tick_params(labelbottom=True)
    plain_log(panels[0, 0].yaxis)
    for axes in panels[:, 0]:
        axes.set_ylabel("perplexity")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _draw_budget(axes: Axes, part: pd.DataFrame) -> None:
    axes.set_yscale("log")
    for language, look in LOOKS.items():
        own = part[part["language"] == language]
        alone = own[own["kind"] == "monolingual"].sort_values("share")
        model = own[own["kind"] == "model"].sort_values("share")
        for level in model["value"][-1:]:
            axes.axhline(level, color=look["color"], linewidth=0.5, alpha=0.6, zorder=1)
        draw_intervals(axes, model, "share", look, label=LABELS[language])
        dotted = {"color": look["color"], "linestyle": ":", "linewidth": 1.0}
        axes.plot(
            alone["share"],
            alone["value"],
            label=f"{language} alone, equal tokens of it",
            **dotted,
        )


def draw_intervals(
    axes: Axes, rows: pd.DataFrame, x: str, look: dict[str, Any], label: str | None = None
) -> None:
    """A line through values with their intervals, where there are some."""
    error = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
    axes.errorbar(
        rows[x], rows["value"], yerr=error, label=label, linewidth=0.9, elinewidth=0.7, **look
    )


def plain_log(axis: Any) -> None:
    """Ticks of a logarithmic axis that is drawn, as plain numbers: 1, 2 and 5 times powers of ten, or evenly spaced."""
    low, high = axis.get_view_interval()
    wide = high > 5 * low
    axis.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0)) if wide else MaxNLocator(5, steps=[1, 2, 5, 10])
    )
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def said(tokens: float) -> str:
    """A number of tokens, shortly: 131 k, 2.1 M, 1.2 B."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:.3g} {unit}"
    return f"{tokens:g}"
