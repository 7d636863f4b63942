"""What the matrices of study F22 share: cells with numbers, coloured by how much worse, framed where that is sure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

COLOURS = "RdBu_r"
"""Red where it is worse; safe for colour-blind readers."""


def draw_cells(
    axes: Axes, rows: pd.DataFrame, lines: Sequence[str], columns: Sequence[str], norm: Normalize
) -> Any:
    """A cell for each of `rows` (line, column, worse, low, high, text), and none where there is no row.

    Framed where the interval of `worse` excludes 0. Returns what a colour bar is of.
    """
    grid = np.full((len(lines), len(columns)), np.nan)
    colour = colormaps[COLOURS]
    places = [(lines.index(row.line), columns.index(row.column)) for row in rows.itertuples()]
    for place, worse in zip(places, rows["worse"], strict=True):
        grid[place] = worse
    mesh = axes.pcolormesh(np.ma.masked_invalid(grid), cmap=COLOURS, norm=norm)
    mesh.set_rasterized(True)
    for (y, x), row in zip(places, rows.itertuples(), strict=True):
        red, green, blue, _ = colour(norm(row.worse))
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        number: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 5}
        axes.text(x + 0.5, y + 0.5, row.text, color="white" if dark else "black", **number)
        if row.low > 0 or row.high < 0:
            frame: dict[str, Any] = {"fill": False, "edgecolor": "black", "linewidth": 0.5}
            axes.add_patch(Rectangle((x + 0.05, y + 0.07), 0.9, 0.86, **frame))
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(lines), 0)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks(np.arange(len(lines)) + 0.5, lines)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    return mesh


def bar(figure: Figure, mesh: Any, panels: Sequence[Axes], label: str) -> None:
    """A colour bar below panels."""
    drawn = figure.colorbar(mesh, ax=list(panels), location="bottom", aspect=50, pad=0.02)
    drawn.set_label(label)
    drawn.outline.set_linewidth(0.6)


def titled(task: str, density: float) -> str:
    """A task at a density, as panels call it."""
    return f"{task.replace('-', ' ')}, {density:.0%} kept"
