"""One study across the four: sharing against robustness, every measure by share, and in the course of training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from figures.across.read import across
from figures.engine import style
from figures.engine.markdown import between
from figures.engine.studies import over_seeds

if TYPE_CHECKING:
    from neural.across.join import Results

NAME = "across"
DESCRIPTION = (
    "sharing between two languages against the damage of failures, by pair and share, at the end of training and in "
    "its course, measured on the same models"
)

LABELS = {
    "overlap": ("overlap of tickets", "0 chance, 1 ceiling"),
    "state_cosine": ("states alike", "cosine"),
    "gradient_cosine": ("gradients alike", "cosine"),
    "specific": ("one ticket alone", "nats a token"),
    "area_all": ("failures of all", "nats a token added"),
    "area_attention": ("failures of attention", "nats a token added"),
    "slope_all": ("small noise on all", "nats a token / σ²"),
    "slope_attention": ("small noise on attention", "nats a token / σ²"),
    "retrieval": ("translations found", "accuracy"),
    "transferred": ("parts of speech transferred", "accuracy"),
    "tags": ("parts of speech", "accuracy"),
    "language": ("language told", "accuracy"),
    "teff_first": ("TEff, first", "TEff"),
    "teff_second": ("TEff, second", "TEff"),
    "loss_first": ("clean loss, first language", "nats a token"),
    "loss_second": ("clean loss, second language", "nats a token"),
}
"""Measures, each with its title and what its values are."""
SCATTERED = (
    ("overlap", "area_all"),
    ("overlap", "area_attention"),
    ("state_cosine", "area_all"),
    ("gradient_cosine", "area_all"),
)
BY_SHARE = ("overlap", "specific", "area_all", "teff_second")
COURSE = ("overlap", "state_cosine", "retrieval", "area_all")

COLUMNS = ["kind", "pair", "share", "seed", "step", "measure", "outcome"]
COLUMNS += ["value", "low", "high", "seeds", "beyond"]


def table(run: Path) -> pd.DataFrame:
    """Rows of three kinds. mean: of a measure by pair, share and step, with its 95 % interval over `seeds` seeds; of
    TEff a geometric mean. model: of each of the last models. correlation: Spearman's of a measure with an `outcome`
    over the last models of a seed, over all pairs and shares; the mean over seeds with its interval.
    """
    results = across(run)
    models = results.models
    last = models[models["last"]]
    known = [name for name in LABELS if name in models]
    keys = ["pair", "share", "seed", "step"]
    each = last.melt(keys, known, "measure", "value").dropna(subset=["value"])
    parts = [means(results).assign(kind="mean"), each.assign(kind="model")]
    parts.append(_correlations(last).assign(kind="correlation"))
    numbers = dict.fromkeys(["share", "value", "low", "high"], float)
    frames = [part.reindex(columns=COLUMNS).astype(numbers) for part in parts if len(part)]
    rows = pd.concat(
        [frame.astype({"seed": "Int64", "step": "Int64", "seeds": "Int64"}) for frame in frames],
        ignore_index=True,
    )
    texts = {name: rows[name].astype(object).fillna("") for name in ("pair", "outcome", "beyond")}
    return rows.assign(**texts)


def means(results: "Results") -> pd.DataFrame:
    """By measure, pair, share and step, over seeds. A TEff is only a bound, without an interval, where `beyond` says on
    which sides of the monolingual runs the tokens lie that it stands for.
    """
    models = results.models
    keys = ["pair", "share", "step"]
    parts = []
    for name in LABELS:
        if name not in models:
            continue
        efficiency = name.startswith("teff")
        rows = over_seeds(models, keys, name, log=efficiency).assign(measure=name, beyond="")
        if efficiency and len(rows):
            sides = models.groupby(keys)[name.replace("teff", "beyond")].agg(_sides)
            rows["beyond"] = sides.loc[pd.MultiIndex.from_frame(rows[keys])].to_numpy()
            rows.loc[rows["beyond"] != "", ["low", "high"]] = np.nan
        parts.append(rows)
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _sides(beyond: pd.Series) -> str:
    return " and ".join(sorted(set(beyond.dropna()) - {""}))


def _correlations(last: pd.DataFrame) -> pd.DataFrame:
    from neural.across.claims import correlations

    parts = []
    for measure, outcome in SCATTERED:
        values = correlations(last, measure, outcome, [])
        rows = pd.DataFrame({"seed": np.arange(len(values)), "rank": values, "measure": measure})
        parts.append(over_seeds(rows, ["measure"], "rank").assign(outcome=outcome))
    summary = pd.concat(parts, ignore_index=True)
    return summary.assign(low=summary["low"].clip(-1), high=summary["high"].clip(upper=1))


def draw(table: pd.DataFrame) -> Figure:
    """Above sharing against robustness, a point a model; then measures by pair and share; below, over training."""
    kinds = dict(iter(table.groupby("kind")))
    shares = sorted(set(table["share"].dropna()), reverse=True)
    pairs = [pair for pair in dict.fromkeys(table["pair"]) if pair]
    colours = {share: style.COLOURS[i] for i, share in enumerate(shares)}
    markers = dict(zip(pairs, style.MARKERS, strict=False))
    figure = style.figure(style.PAGE, 6.1)
    panels = figure.subplots(3, 4)
    for axes, (measure, outcome) in zip(panels[0], SCATTERED, strict=True):
        _draw_models(axes, kinds["model"], measure, outcome, colours, markers)
        _say_correlation(axes, kinds.get("correlation"), measure, outcome)
    last = kinds["mean"]["step"].max()
    for axes, measure in zip(panels[1], BY_SHARE, strict=True):
        rows = kinds["mean"]
        rows = rows[(rows["measure"] == measure) & (rows["step"] == last)]
        _draw_shares(axes, rows, measure, colours, markers)
    for axes, measure in zip(panels[2], COURSE, strict=True):
        rows = kinds["mean"][kinds["mean"]["measure"] == measure]
        _draw_course(axes, rows, measure, colours, markers)
    for i, axes in enumerate(panels.flat):
        axes.yaxis.set_major_locator(MaxNLocator(4))
        style.panel(axes, i, axes.get_title(loc="left"), panels=panels.size)
    dots: dict[str, Any] = {"linestyle": "none", "marker": "s"}
    handles = [
        Line2D([], [], color=colour, label=_named(share), **dots)
        for share, colour in colours.items()
    ]
    handles += [
        Line2D([], [], color=style.GREY, linestyle="none", marker=marker, label=pair)
        for pair, marker in markers.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _named(share: float) -> str:
    return f"{100 * (1 - share):.0f}/{100 * share:.0f}" if share else "one language"


def _draw_models(
    axes: Axes,
    models: pd.DataFrame,
    measure: str,
    outcome: str,
    colours: dict[float, str],
    markers: dict[str, str],
) -> None:
    wide = models.pivot(index=["pair", "share", "seed"], columns="measure", values="value")
    for (pair, share), part in wide.groupby(level=["pair", "share"]):
        look: dict[str, Any] = {"color": colours[share], "marker": markers[pair]}
        axes.plot(part[measure], part[outcome], linestyle="none", alpha=0.8, **look)
    axes.set_xlabel(f"{LABELS[measure][0]}")
    axes.set_ylabel(LABELS[outcome][1])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(LABELS[outcome][0], loc="left")


def _say_correlation(axes: Axes, rows: pd.DataFrame | None, measure: str, outcome: str) -> None:
    if rows is None:
        return
    for _, row in rows[(rows["measure"] == measure) & (rows["outcome"] == outcome)].iterrows():
        style.remark(axes, f"ρ = {between(row[['value', 'low', 'high']], '.2f')}")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.15 * (high - low))


def _draw_shares(
    axes: Axes,
    rows: pd.DataFrame,
    measure: str,
    colours: dict[float, str],
    markers: dict[str, str],
) -> None:
    """Pairs side by side, the shares of each from left to right."""
    for i, (pair, marker) in enumerate(markers.items()):
        for j, (share, colour) in enumerate(colours.items()):
            own = rows[(rows["pair"] == pair) & (rows["share"] == share)]
            x = [i + 0.22 * (j - (len(colours) - 1) / 2)] * len(own)
            error = [own["value"] - own["low"], own["high"] - own["value"]]
            bound = bool((own["beyond"] != "").any())
            look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none"}
            look |= {"markerfacecolor": "white"} if bound else {}
            axes.errorbar(x, own["value"], yerr=error, **look)
    axes.set_xticks(range(len(markers)), list(markers))
    axes.set_xlim(-0.5, len(markers) - 0.5)
    axes.set_ylabel(LABELS[measure][1])
    axes.set_title(LABELS[measure][0], loc="left")


def _draw_course(
    axes: Axes,
    rows: pd.DataFrame,
    measure: str,
    colours: dict[float, str],
    markers: dict[str, str],
) -> None:
    for (pair, share), part in rows.groupby(["pair", "share"], sort=False):
        own = part.sort_values("step")
        x, value = own["step"].to_numpy(np.float64), own["value"]
        colour = colours[share]
        axes.plot(x, value, color=colour, marker=markers[pair], markersize=2.5, linewidth=0.8)
        band: dict[str, Any] = {"color": colour, "alpha": 0.08, "linewidth": 0}
        axes.fill_between(x, own["low"], own["high"], **band)
    steps = np.sort(rows["step"].unique()).astype(np.float64)
    axes.set_xscale("symlog", base=2, linthresh=float(steps[steps > 0].min()))
    some = steps[:: -(len(steps) // 4 + 1)]
    axes.set_xticks(some, [f"{step:g}" for step in some])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("updates")
    axes.set_ylabel(LABELS[measure][1])
    axes.set_title(LABELS[measure][0], loc="left")
