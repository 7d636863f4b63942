"""How alike a model treats the same text in two clones: by layer, tensor and token frequency, and when in training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import SymmetricalLogLocator

from figures.engine import style
from figures.engine.runs import MissingRows
from figures.engine.studies import over_seeds
from figures.imbalance.read import imbalance
from figures.imbalance.tables import alike, alike_embeddings, onset

if TYPE_CHECKING:
    from neural.imbalance.claims import Results

NAME = "alignment-layers"
DESCRIPTION = (
    "likeness of two clones' states, gradients and embeddings, at balanced shares and others, "
    "by place in the model and over training"
)

MEASURES = {
    "state cosine": ("states", "cosine", "layer"),
    "context kept": ("patched states", "part of context kept", "layer"),
    "gradient cosine": ("gradients", "cosine", ""),
    "embedding cosine": ("embeddings", "cosine", "per million tokens"),
}
"""What is drawn, each with its title, what its values are and what its places are."""
GROUPS = {
    "tokens": ("wte.",),
    "positions": ("wpe.",),
    "attention": (".attn.",),
    "mlp": (".mlp.",),
    "norms": (".ln_", "ln_f."),
    "output": ("lm_head.",),
}
"""Tensors by what their names contain, in this order."""
LEAST, LIMIT = -0.25, 1.02
"""Axes end here at most. Of what patching keeps, less than LEAST is not shown: early in training there is little
context to keep."""

COLUMNS = ["kind", "measure", "share", "place", "position", "frequency", "step", "part"]
COLUMNS += ["value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """Of two clones in the runs of the base width and the largest budget: rows of two kinds, with 95 % intervals.

    place: at the end of training, by measure, share and place, which is a layer, a group of tensors (mean over them) or
    a bin of token `frequency` (occurrences per million), the `position`-th. step: in the course of training, means over
    places. `part` is "paired", of what belongs together, or "unrelated", of what does not; gradients and patched states
    have none of the latter.
    """
    results = imbalance(run)
    rows = pd.concat([alike(results), alike_embeddings(results)], ignore_index=True)
    rows = rows[rows["last"] & (rows["share"] > 0)]
    of_tensors = rows["measure"] == "gradient cosine"
    rows = rows.assign(place=rows["place"].mask(of_tensors, rows["place"].map(_group)))
    keys = ["measure", "share", "place"]
    parts = [
        over_seeds(rows, keys, column).assign(part=part)
        for column, part in (("value", "paired"), ("unrelated", "unrelated"))
    ]
    by_place = pd.concat([part for part in parts if len(part)], ignore_index=True)
    by_place["position"] = by_place["place"].map(_position)
    frequency = over_seeds(rows, keys, "frequency").rename(columns={"value": "frequency"})
    by_place = by_place.merge(frequency[[*keys, "frequency"]], how="left", on=keys)
    by_place = by_place.sort_values(["measure", "share", "part", "position"], ignore_index=True)
    frames = [by_place.assign(kind="place"), _course(results).assign(kind="step")]
    numbers = dict.fromkeys(["position", "frequency", "step"], float)
    frames = [frame.reindex(columns=COLUMNS).astype(numbers) for frame in frames if len(frame)]
    return pd.concat(frames, ignore_index=True)


def _course(results: "Results") -> pd.DataFrame:
    try:
        course = onset(results)
    except MissingRows:
        return pd.DataFrame()
    return course[course["part"].isin(["paired", "unrelated"])]


def _group(place: str) -> str:
    """That of a tensor; other places as they are."""
    for group, parts in GROUPS.items():
        if any(part in f".{place}" for part in parts):
            return group
    return place


def _position(place: str) -> int:
    """Of a layer and of a bin its number."""
    if place in GROUPS:
        return list(GROUPS).index(place)
    return int(place.removeprefix("bin "))


def draw(table: pd.DataFrame) -> Figure:
    """A column a measure: above by place, below over training. Dashed: what does not belong together."""
    kinds = [kind for kind in ("place", "step") if kind in set(table["kind"])]
    figure = style.figure(style.PAGE, 2.0 * len(kinds) + 0.55)
    panels = figure.subplots(len(kinds), len(MEASURES), squeeze=False, sharey="col")
    styles = _looks(sorted(set(table["share"]), reverse=True))
    for i, kind in enumerate(kinds):
        for j, (measure, (title, values, places)) in enumerate(MEASURES.items()):
            axes = panels[i, j]
            part = table[(table["kind"] == kind) & (table["measure"] == measure)]
            _draw_lines(axes, part, "position" if kind == "place" else "step", styles)
            axes.set_visible(len(part) > 0)
            axes.set_ylabel(values)
            axes.set_xlabel(places if kind == "place" else "updates")
            style.panel(axes, len(MEASURES) * i + j, title, panels=len(panels.flat))
            if kind == "step":
                axes.set_xscale("symlog", linthresh=1)
                axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1))
                axes.set_xlim(left=0)
            else:
                _name_places(axes, part, measure)
    for axes, measure in zip(panels[0], MEASURES, strict=True):
        low, high = axes.get_ylim()
        least, most = LEAST if measure == "context kept" else -LIMIT, LIMIT
        axes.set_ylim(max(low, least), min(high, most))
    handles = [Line2D([], [], label=f"share {share:g}", **look) for share, look in styles.items()]
    handles.append(Line2D([], [], color="black", linestyle="--", label="unrelated text or ids"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5))
    return figure


def _looks(shares: list[float]) -> dict[float, dict[str, Any]]:
    """Balanced shares and 90/10 stand out, with a marker; the others are thin, and darker the more balanced."""
    from neural.text.mixture import BALANCED, IMBALANCED

    first = {share: i for i, share in enumerate((BALANCED, IMBALANCED)) if share in shares}
    others = [share for share in shares if share not in first]
    greys = np.linspace(0.35, 0.8, len(others))
    thin: dict[float, dict[str, Any]] = {
        share: {"color": str(grey), "linewidth": 0.7, "zorder": 1.5}
        for share, grey in zip(others, greys, strict=True)
    }
    thick = {share: {**style.category(i), "linewidth": 1.1} for share, i in first.items()}
    return {share: (thick | thin)[share] for share in shares}


def _draw_lines(
    axes: Axes, rows: pd.DataFrame, x: str, styles: dict[float, dict[str, Any]]
) -> None:
    for share, look in styles.items():
        of_share = rows[rows["share"] == share].sort_values(x)
        paired, unrelated = (of_share[of_share["part"] == p] for p in ("paired", "unrelated"))
        axes.plot(paired[x], paired["value"], **look)
        if "marker" in look:
            band = {"color": look["color"], "alpha": 0.15, "linewidth": 0}
            axes.fill_between(paired[x], paired["low"], paired["high"], **band)
            dashed = {"color": look["color"], "linestyle": "--", "linewidth": 0.8}
            axes.plot(unrelated[x], unrelated["value"], **dashed)


def _name_places(axes: Axes, rows: pd.DataFrame, measure: str) -> None:
    """Ticks of layers, of groups of tensors, or of every other bin's frequency."""
    places = rows.drop_duplicates("position").sort_values("position")
    if measure == "gradient cosine":
        axes.set_xticks(places["position"], places["place"], rotation=50, ha="right")
        axes.tick_params(axis="x", pad=1)
    elif measure == "embedding cosine":
        some = places[::2]
        axes.set_xticks(some["position"], [f"{float(f'{f:.2g}'):g}" for f in some["frequency"]])
    else:
        axes.set_xticks(places["position"], places["place"])
