"""Spectra of the weight matrices of models of one text and of several: are they spread over more directions?"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.engine import style
from figures.engine.runs import MissingRows
from figures.engine.studies import named
from figures.robustness.failure_curves import FAMILIES, looks_of
from figures.robustness.read import robustness

NAME = "spectra"
DESCRIPTION = "stable ranks and Ky Fan shares of weight matrices, and what several texts change"

MEASURES = {"stable_rank": "stable rank", "share_4": "share of the 4 largest $\\sigma_i^2$"}
"""What is drawn of neural.measures.spectra's columns."""
KINDS = {
    "wte.weight": "tokens",
    "wpe.weight": "positions",
    "attn.q.weight": "queries",
    "attn.k.weight": "keys",
    "attn.v.weight": "values",
    "attn.c_proj.weight": "attention\nout",
    "mlp.c_fc.weight": "mlp in",
    "mlp.c_proj.weight": "mlp out",
}
"""Kinds of matrices, from the input on."""

COLUMNS = ["rows", "text", "family", "model", "label", "measure", "matrix"]
COLUMNS += ["value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """By kind of matrix and measure, means over layers and seeds with 95 % intervals over `seeds` seeds (NaN for one).

    rows = "model": `value` of a model. "difference": of a model of several texts less that of its first text alone,
    seed by seed.
    """
    plan = robustness(run).study  # before the imports: it refuses other kinds
    from neural.measures.intervals import interval
    from neural.study.results import read
    from sim.runs.errors import UserError

    try:
        data = read(run, "spectra")
    except UserError as error:
        raise MissingRows(str(error)) from None
    by_kind = data.assign(matrix=data["matrix"].str.replace(r"^h\.\d+\.", "", regex=True))
    keys = ["model", "matrix", "seed"]
    means = by_kind.groupby(keys)[list(MEASURES)].mean().sort_index()
    labels = named(plan.models)
    present = set(by_kind["matrix"])
    rows: list[list[Any]] = []

    def add(kind: str, text: str, family: str, model: str, values: pd.DataFrame) -> None:
        for matrix in [name for name in KINDS if name in present]:
            for measure in MEASURES:
                of_seed = values.loc[matrix][measure].to_numpy()
                estimate = interval(of_seed)
                numbers = [
                    float(estimate.value),
                    float(estimate.low),
                    float(estimate.high),
                    len(of_seed),
                ]
                rows.append([kind, text, family, model, labels[model], measure, matrix, *numbers])

    for comparison in plan.comparisons:
        for model in (comparison.first, comparison.several):
            if model not in means.index:
                raise MissingRows(f"{run} has no spectra of {model}: finish it with --resume")
            of_one = model == comparison.first
            if not of_one or not any(row[3] == model for row in rows):
                family = "one text" if of_one else FAMILIES[comparison.kind]
                add("model", comparison.first, family, model, means.loc[model])
        change = means.loc[comparison.several] - means.loc[comparison.first]
        family = FAMILIES[comparison.kind]
        add("difference", comparison.first, family, comparison.several, change)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.sort_values("rows", ascending=False, kind="stable", ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """A line a measure. Left: of every model, by kind of matrix. Right: what several texts change."""
    matrices = [name for name in KINDS if name in set(table["matrix"])]
    styles = looks_of(table)
    figure = style.figure(style.PAGE, 2 * (0.32 * len(matrices) + 0.5) + 0.6)
    panels = figure.subplots(len(MEASURES), 2, squeeze=False, sharey=True)
    for i, (measure, name) in enumerate(MEASURES.items()):
        part = table[table["measure"] == measure]
        left, right = panels[i]
        for axes, rows in ((left, "model"), (right, "difference")):
            _draw(axes, part[part["rows"] == rows], matrices, styles)
        right.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
        left.set_xlabel(name)
        right.set_xlabel(f"{name}, several less one")
        style.panel(left, 2 * i, name, panels=4)
        style.panel(right, 2 * i + 1, "paired difference, by seed", panels=4)
    panels[0, 0].set_yticks(range(len(matrices)), [KINDS[name] for name in matrices])
    panels[0, 0].invert_yaxis()
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _draw(
    axes: Axes, part: pd.DataFrame, matrices: list[str], styles: dict[str, dict[str, Any]]
) -> None:
    """A mark a model and kind of matrix, those of one kind below each other."""
    for line in range(0, len(matrices), 2):
        axes.axhspan(line - 0.5, line + 0.5, color=style.LIGHT, alpha=0.4, linewidth=0, zorder=0)
    step = 0.8 / len(styles)
    for i, (model, look) in enumerate(styles.items()):
        rows = part[part["model"] == model]
        if rows.empty:
            continue
        rows = rows.set_index("matrix").loc[matrices]
        axes.errorbar(
            rows["value"],
            np.arange(len(matrices)) + step * (i + 0.5) - 0.4,
            xerr=np.nan_to_num([rows["value"] - rows["low"], rows["high"] - rows["value"]]),
            linestyle="none",
            markersize=2.6,
            elinewidth=0.6,
            capsize=0,
            label=rows["label"].iloc[0],
            **look,
        )
