"""One look for every figure: legible in one column of a paper, safe for colour-blind readers.

Figures are drawn on matplotlib.figure.Figure itself, without pyplot, so that nothing depends on a
display or on state left behind by another figure.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMN = 3.4
"""Width in inches of a figure in one column of a two-column page."""
PAGE = 7.0
"""Width in inches of a figure across both columns."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito's palette for categories, without the yellow, which is faint on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
GREY = "#767676"
LIGHT = "#D9D9D9"

RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
    "mathtext.fontset": "dejavusans",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.borderaxespad": 0.3,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "errorbar.capsize": 1.5,
    "figure.dpi": 300,
    "savefig.dpi": 300,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "svg.hashsalt": "cognitive-reserve",
}

METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "ModDate": None},
    "svg": {"Date": None},
}
"""What savefig is told, by format: no date and no version of its own, so that bytes repeat."""


@contextmanager
def use() -> Iterator[None]:
    """Draw and save under this style, whatever the reader's own matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure, width by height in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def sequence(n: int) -> list[Any]:
    """n colours from dark to light, monotone in luminance and none too faint for white paper."""
    return [mpl.colormaps["viridis"](x) for x in np.linspace(0.0, 0.85, n)]


def category(i: int) -> dict[str, Any]:
    """Colour and marker of the i-th category: no two of the first 84 agree in both."""
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}


def panel(axes: Axes, i: int, title: str, panels: int = 2) -> None:
    """A title over a panel's left edge, after a bold letter where the figure has several panels."""
    letter = f"$\\bf{{{chr(ord('a') + i)}}}$  " if panels > 1 else ""
    axes.set_title(letter + title, loc="left", pad=4)


def remark(axes: Axes, said: str) -> None:
    """In a panel's upper right corner, over what is drawn there."""
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
    where: Any = {"transform": axes.transAxes, "ha": "right", "va": "top"}
    axes.text(0.98, 0.98, said, **where, fontsize=6, bbox=behind, zorder=5)
