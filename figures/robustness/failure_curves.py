"""Loss added by failures of attention, for models of one text and of several: Daras et al. 2022's experiment on GPT-2.

Models are judged on the text that they have in common. Panels of a line compare with it models of more languages, or
the controls: models of another kind of text, or another translation, in the same language.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.engine import style
from figures.engine.runs import MissingRows
from figures.engine.studies import named
from figures.robustness.read import robustness
from sim.runs.errors import UserError

if TYPE_CHECKING:
    from neural.measures.degradation import Curve
    from neural.robustness.claims import Results

NAME = "failure-curves"
DESCRIPTION = "loss added by failures of attention, by strength, for models of one text and several"

GROUP = "attention"
"""The parameters that fail, as in Daras et al. 2022."""
STRENGTHS = {
    "weight-deletion": ("deletion", "part of weights deleted  $p$"),
    "additive-noise": ("noise", r"noise per weight  $\sigma$"),
    "additive-noise-relative": ("relative noise", r"$\sigma\,/$ sd of the tensor"),
    "magnitude-pruning": ("magnitude pruning", "part of weights pruned"),
}
"""The failures drawn, where the study has them, each with its title and what its strength is."""
FAMILIES = {
    "language": "more languages",
    "three languages": "more languages",
    "domain": "controls",
    "near-clone": "controls",
}
"""By kind of comparison."""

PLACE = ["text", "family", "model", "label", "failure", "strength"]


def table(run: Path) -> pd.DataFrame:
    """By text, family, model, failure and strength: `value`, the loss added in nats a token, mean over draws and seeds.

    `low`, `high`: its 95 % interval over `seeds` seeds (NaN for one).
    """
    results = robustness(run)  # before the imports: it refuses other kinds
    from neural.measures.degradation import degradation

    labels = named(results.study.models)
    parts = []
    for (text, family), models in families(results).items():
        for model in (text, *models):
            for failure in failures(results):
                curve = curve_of(results, model, text, failure)
                values = degradation(curve.losses, curve.clean).mean(axis=-1)
                place = (text, family, model, labels[model], failure)
                parts.append(intervals(place, curve, values))
    return pd.concat(parts, ignore_index=True)


def families(results: "Results") -> dict[tuple[str, str], list[str]]:
    """Models of several texts, by the text that they are judged on and the family of the comparison."""
    models: dict[tuple[str, str], list[str]] = {}
    for comparison in results.study.comparisons:
        key = (comparison.first, FAMILIES[comparison.kind])
        models.setdefault(key, []).append(comparison.several)
    return models


def failures(results: "Results") -> list[str]:
    """Those of STRENGTHS that the study has for GROUP. Raises MissingRows if there is none."""
    hits = results.study.measures.hits
    present = {name for hit in hits if hit.group == GROUP for name, _ in hit.failures}
    if names := [name for name in STRENGTHS if name in present]:
        return names
    raise MissingRows(f"the study breaks no {GROUP} by {', '.join(STRENGTHS)}: study one that does")


def curve_of(results: "Results", model: str, text: str, failure: str) -> "Curve":
    """That of the last models. Raises MissingRows in a study that is not done."""
    try:
        return results.curve(model, text, GROUP, failure)
    except UserError as error:
        raise MissingRows(str(error)) from None


def intervals(place: Sequence[str], curve: "Curve", values: Any) -> pd.DataFrame:
    """Rows of a curve at a place: values (seeds, levels) averaged over seeds."""
    from neural.measures.intervals import interval

    estimate = interval(values)
    rows = pd.DataFrame([place] * len(curve.strengths), columns=PLACE[:-1])
    return rows.assign(
        strength=curve.strengths,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        seeds=len(values),
    )


def draw(table: pd.DataFrame) -> Figure:
    """A line of panels a text and family, a column a failure."""
    lines = list(dict.fromkeys(zip(table["text"], table["family"], strict=True)))
    columns = list(dict.fromkeys(table["failure"]))
    figure = style.figure(style.PAGE, 1.75 * len(lines) + 0.55)
    panels = figure.subplots(len(lines), len(columns), sharex="col", sharey="col", squeeze=False)
    styles = looks_of(table)
    for i, (text, family) in enumerate(lines):
        for j, failure in enumerate(columns):
            axes = panels[i, j]
            part = table[
                (table[["text", "family", "failure"]] == [text, family, failure]).all(axis=1)
            ]
            draw_curves(axes, part, styles)
            place = len(columns) * i + j
            style.panel(axes, place, STRENGTHS[failure][0], panels=panels.size)
        panels[i, 0].set_ylabel(f"{family}:\nloss added (nats/token)")
    for axes, failure in zip(panels[-1], columns, strict=True):
        axes.set_xlabel(STRENGTHS[failure][1])
    legend(figure, panels.flat)
    return figure


def looks_of(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Colour and marker of every model; black for those of one text."""
    several = [model for model in dict.fromkeys(table["model"]) if model not in set(table["text"])]
    single_text = {text: {"color": "black", "marker": "x"} for text in dict.fromkeys(table["text"])}
    colours = [*style.COLOURS[:-1], style.GREY]  # the last is black
    styles = [{**style.category(i), "color": colours[i % 7]} for i in range(len(several))]
    return single_text | dict(zip(several, styles, strict=True))


def draw_curves(axes: Axes, part: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    """A line a model with its band, over strength."""
    for (model, label), curve in part.groupby(["model", "label"], sort=False):
        look = styles[model]
        axes.plot(curve["strength"], curve["value"], label=label, linewidth=0.9, **look)
        band = {"color": look["color"], "alpha": 0.15, "linewidth": 0}
        axes.fill_between(curve["strength"], curve["low"], curve["high"], **band)


def legend(figure: Figure, panels: Any) -> None:
    """One for the figure, below it, each label once."""
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    columns = min(len(handles), 4)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)
