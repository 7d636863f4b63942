"""What the weights that only one language's ticket keeps are to every language: they are removed, nothing is tuned."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from figures.engine import style
from figures.subnetworks.cells import bar, draw_cells
from figures.subnetworks.read import subnetworks
from figures.subnetworks.tables import ablation

NAME = "ablation-matrix"
DESCRIPTION = (
    "nats a token that every language loses without the weights that one language's ticket alone keeps, "
    "less those without as many random ones"
)

COLUMNS = ["density", "removed", "weights", "part", "language", "added", "random"]
COLUMNS += ["value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """As `figures.subnetworks.tables.ablation`."""
    return ablation(subnetworks(run))[COLUMNS]


def draw(table: pd.DataFrame) -> Figure:
    """A panel a density. Framed: the interval excludes 0."""
    densities = list(dict.fromkeys(table["density"]))
    languages = list(dict.fromkeys(table["removed"]))
    height = 0.22 * len(languages) + 1.2
    figure = style.figure(max(style.COLUMN * len(densities), style.COLUMN), height)
    panels = figure.subplots(1, len(densities), squeeze=False)[0]
    most = max(table["value"].abs().max(), 1e-6)
    colours = Normalize(-most, most)
    digits = int(np.clip(1 - np.floor(np.log10(most)), 0, 6))
    for i, (axes, density) in enumerate(zip(panels, densities, strict=True)):
        part = table[table["density"] == density]
        rows = part.assign(
            line=part["removed"],
            column=part["language"],
            worse=part["value"],
            text=[f"{value:+.{digits}f}" for value in part["value"]],
        )
        mesh = draw_cells(axes, rows, languages, languages, colours)
        sizes = part.drop_duplicates("removed").set_index("removed")
        said = [
            f"{name}: {sizes.loc[name, 'weights']:,.0f} = {100 * sizes.loc[name, 'part']:.2g}%"
            for name in languages
        ]
        axes.set_yticklabels(said)
        axes.set_ylabel("weights removed" if not i else "")
        axes.set_xlabel("language read", labelpad=1)
        style.panel(axes, i, f"tickets of {density:.0%}", panels=len(densities))
    bar(figure, mesh, panels, "nats lost, less those by random removal")
    return figure
