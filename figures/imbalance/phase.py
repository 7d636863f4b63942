"""Where unequal shares beat equal ones in both languages: by share, tokens and width, beside the linear theory."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from figures.engine import style
from figures.engine.studies import over_seeds
from figures.imbalance.read import imbalance, rows_of

NAME = "imbalance-phase"
DESCRIPTION = (
    "loss at unequal shares less that at equal ones, of the language that fares worse, by tokens and width; "
    "and of two tasks in the linear theory"
)

CORRELATIONS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
"""Of the linear theory's two tasks."""
COLOURS = "RdBu_r"
"""Blue where unequal shares are better; safe for colour-blind readers."""
LINEAR = 0.01
"""In nats: colours are linear up to here and logarithmic beyond."""

COLUMNS = ["kind", "width", "budget", "share", "correlation", "value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """Rows of two kinds.

    trained: by width, budget and share of the second language, `value` is how much more both languages lose than with
    equal shares, in nats a token: the greater of the two differences, seed by seed, and its 95 % interval over `seeds`
    seeds; below 0 both languages are better. linear: the same of the risks (parts of a unit task) of two tasks with a
    correlation, by statement 30.
    """
    results = imbalance(run)  # before the imports: it refuses other kinds
    from neural.imbalance.claims import worse
    from neural.imbalance.linear import risks
    from neural.text.mixture import BALANCED

    grid = rows_of(results, "perplexity", "experiment == 'grid' and last and share > 0")
    parts = []
    for (width, budget), cell in grid.groupby(["width", "budget"]):
        seeds = sorted(set(cell["seed"]))
        if BALANCED not in set(cell["share"]):
            continue
        for share in sorted(set(cell["share"]) - {BALANCED}, reverse=True):
            gap = worse(results, width, budget, share)
            parts.append(
                pd.DataFrame(
                    {"width": width, "budget": budget, "share": share, "seed": seeds, "gap": gap}
                )
            )
    trained = over_seeds(pd.concat(parts), ["width", "budget", "share"], "gap")
    shares = sorted(set(trained["share"]), reverse=True)
    s, r = np.meshgrid(shares, CORRELATIONS)
    gaps = np.subtract(risks(s, r), risks(BALANCED, r)).max(axis=0)
    linear = pd.DataFrame({"share": s.ravel(), "correlation": r.ravel(), "value": gaps.ravel()})
    kinds = {"trained": trained, "linear": linear}
    numbers = dict.fromkeys(["width", "budget", "correlation", "low", "high"], float)
    frames = [
        frame.assign(kind=kind).reindex(columns=COLUMNS).astype({**numbers, "seeds": "Int64"})
        for kind, frame in kinds.items()
    ]
    return pd.concat(frames, ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """A panel a width, and the linear theory's. Framed: the interval excludes 0."""
    trained, linear = (table[table["kind"] == kind] for kind in ("trained", "linear"))
    widths = sorted(set(trained["width"]))
    figure = style.figure(style.PAGE, 2.9)
    panels = figure.subplots(1, len(widths) + 1, squeeze=False)[0]
    most = max(trained["value"].abs().max(), 2 * LINEAR)
    norm: Normalize = SymLogNorm(LINEAR, vmin=-most, vmax=most)
    for i, (axes, width) in enumerate(zip(panels, widths, strict=False)):
        mesh = _draw_cells(axes, trained[trained["width"] == width], "budget", norm)
        axes.set_ylabel("tokens, multiples of 1×" if not i else "")
        style.panel(axes, i, f"width {width:g}", panels=len(panels))
    _bar(figure, mesh, panels[:-1], "loss less that at 50/50, of the worse language (nats/token)")
    largest = linear["value"].abs().max()
    mesh = _draw_cells(panels[-1], linear, "correlation", Normalize(-largest, largest))
    panels[-1].set_ylabel("correlation of two tasks")
    style.panel(panels[-1], len(widths), "linear theory", panels=len(panels))
    _bar(figure, mesh, panels[-1:], "risk less that at 50/50")
    for axes in panels:
        axes.set_xlabel("share of the second")
    return figure


def _draw_cells(axes: Axes, rows: pd.DataFrame, by: str, norm: Normalize) -> Any:
    """A cell a share and budget or correlation, with its number; framed where its interval excludes 0."""
    shares = sorted(set(rows["share"]), reverse=True)
    lines = sorted(set(rows[by]))
    grid = rows.pivot(index=by, columns="share", values="value").loc[lines, shares]
    mesh = axes.pcolormesh(grid.to_numpy(), cmap=COLOURS, norm=norm)
    mesh.set_rasterized(True)
    colour = colormaps[COLOURS]
    for row in rows.itertuples():
        x, y = shares.index(row.share), lines.index(getattr(row, by))
        if np.isnan(row.value):
            continue
        red, green, blue, _ = colour(norm(row.value))
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        number: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "color": "white" if dark else "black",
        }
        axes.text(x + 0.5, y + 0.5, _number(row.value), fontsize=5, **number)
        if row.low > 0 or row.high < 0:
            frame: dict[str, Any] = {"fill": False, "edgecolor": "black", "linewidth": 0.9}
            axes.add_patch(Rectangle((x + 0.06, y + 0.06), 0.88, 0.88, **frame))
    axes.set_xticks(np.arange(len(shares)) + 0.5, [_short(share) for share in shares])
    axes.set_yticks(np.arange(len(lines)) + 0.5, [f"{line:g}" for line in lines])
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    return mesh


def _short(share: float) -> str:
    return f"{share:g}".removeprefix("0")


def _number(value: float) -> str:
    """At most three digits, and a sign below 0: cells are narrow."""
    size = abs(value)
    digits = 1 if size >= 1 else 2 if size >= 0.1 else 3
    text = f"{value:.{digits}f}"
    return text if size >= 1 else text.replace("0.", ".", 1)


def _bar(figure: Figure, mesh: Any, panels: Any, label: str) -> None:
    bar = figure.colorbar(mesh, ax=list(panels), location="bottom", aspect=30, pad=0.03)
    bar.set_label(label)
    bar.outline.set_linewidth(0.6)
