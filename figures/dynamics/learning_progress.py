"""When is what learnt? Scores of every task over training, within languages and between them, beside controls."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from figures.dynamics.panels import IN, LOOKS, UNITS, limits, name_steps, ordered, sort, titled
from figures.dynamics.read import dynamics
from figures.dynamics.tables import onsets
from figures.engine import style
from figures.engine.studies import over_seeds

if TYPE_CHECKING:
    from neural.dynamics.results import Results

NAME = "learning-progress"
DESCRIPTION = (
    "score of each task over training, in-language and zero-shot, beside control tasks, chance and the untrained "
    "model, with onsets"
)

CONTROL, CHANCE = "control", "chance"
LINES: dict[str, dict[str, Any]] = {
    **LOOKS,
    CONTROL: {"label": "random labels", **style.category(3)},
    CHANCE: {"label": "most frequent class, or chance", "color": style.GREY, "linestyle": "--"},
}
"""Beside the scores: probes of random labels, within languages; and what knows nothing."""
ONSETS = {"gain": "onset, 98 % of the gain", "best": "onset, 98 % of the best"}
"""By what neural.dynamics.results.OF calls them; the first is drawn filled."""
ACROSS = 3
STRIP = 0.16
"""Of a panel's height, below, that holds the onsets."""

COLUMNS = ["task", "line", "what", "step", "log2_step", "value", "low", "high", "seeds"]


def table(run: Path) -> pd.DataFrame:
    """By task, line (in-language, cross-lingual, control, chance) and step: with 95 % intervals over seeds.

    what: "score", the mean over languages or pairs, of probes at the layer that is best on dev; or "best" and "gain":
    the onset, as ONSETS, whose value is log2 of the step, of the languages or pairs that have one for every seed.
    log2_step counts step 0 as half the first after it.
    """
    results = dynamics(run)  # before the imports: it refuses other kinds
    from neural.measures.probes.onset import log2_steps

    keys = ["task", "line", "step"]
    scores = over_seeds(_scores(results), keys, "value").assign(what="score")
    steps = results.study.steps
    scores["log2_step"] = scores["step"].map(dict(zip(steps, log2_steps(steps), strict=True)))
    onset_rows = onsets(results).rename(columns={"kind": "line", "of": "what", "log2": "value"})
    frames = [scores, onset_rows.dropna(subset="value")]
    numbers = dict.fromkeys(["step", "log2_step", "value", "low", "high"], float)
    frames = [frame.reindex(columns=COLUMNS).astype(numbers) for frame in frames if len(frame)]
    rank = list(LINES)
    whole = pd.concat(frames, ignore_index=True)
    whole["_line"] = whole["line"].map(rank.index)
    return sort(whole, ["task", "_line", "what", "step"])[COLUMNS]


def _scores(results: "Results") -> pd.DataFrame:
    """task, line, seed, step and value, of every language or pair."""
    curves = results.curves
    turned = curves["task"] == "bits per character"
    value = curves["score"].where(~turned, -curves["score"])
    keys = ["task", "seed", "step", "layer"]
    own = curves[curves["kind"] == IN].rename(columns={"test": "language"})
    control = results.controls.merge(own[[*keys, "language"]], on=[*keys, "language"])
    known = results.best_layer[~results.best_layer["removed"].astype(bool)]
    of_words = curves[curves["task"].isin(["argmax", "itermax"])].rename(
        columns={"train": "one", "test": "other", "task": "method"}
    )
    pair = ["method", "one", "other", "seed", "step", "layer"]
    differing = results.alignment[results.alignment["answers"] == "differing"]
    links = differing.merge(of_words[pair], on=pair)
    parts = [
        curves.assign(line=curves["kind"], value=value),
        control.assign(line=CONTROL, value=control["accuracy"]),
        known.assign(line=CHANCE, value=known["majority"]),
        results.retrieval.assign(task="retrieval", line=CHANCE, value=results.retrieval["chance"]),
        links.assign(task=links["method"], line=CHANCE, value=links["chance"]),
    ]
    columns = ["task", "line", "seed", "step", "value"]
    return pd.concat([part[columns] for part in parts if len(part)], ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """A panel a task: bands of 95 %, the untrained model dotted; below, onsets with their intervals."""
    tasks = ordered(table["task"])
    across = min(ACROSS, len(tasks))
    down = -(-len(tasks) // across)
    figure = style.figure(style.PAGE, 1.6 * down + 0.75)
    panels = figure.subplots(down, across, squeeze=False)
    for i, (axes, task) in enumerate(zip(panels.flat, tasks, strict=False)):
        part = table[table["task"] == task]
        _draw_scores(axes, part[part["what"] == "score"])
        _draw_onsets(axes, part[part["what"] != "score"])
        axes.set_ylabel(UNITS.get(task, "accuracy"))
        style.panel(axes, i, titled(task), panels=len(tasks))
        if i + across >= len(tasks):
            axes.set_xlabel("updates")
    for axes in panels.flat[len(tasks) :]:
        axes.set_visible(False)
    handles = [Line2D([], [], **look) for line, look in LINES.items() if line in set(table["line"])]
    handles.append(Line2D([], [], color=style.GREY, linestyle=":", label="untrained"))
    marks: dict[str, Any] = {"color": "black", "linestyle": "none", "marker": "o"}
    for what, said in ONSETS.items():
        face = "black" if what == "gain" else "white"
        handles.append(Line2D([], [], **marks, markerfacecolor=face, label=said))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _draw_scores(axes: Axes, rows: pd.DataFrame) -> None:
    for line, look in LINES.items():
        own = rows[rows["line"] == line].sort_values("step")
        if own.empty:
            continue
        axes.plot(own["log2_step"], own["value"], linewidth=0.9, **look)
        if line in LOOKS:
            band = {"color": look["color"], "alpha": 0.18, "linewidth": 0}
            axes.fill_between(own["log2_step"], own["low"], own["high"], **band)
            untrained = own.loc[own["step"] == 0, "value"]
            axes.axhline(untrained.iloc[0], color=look["color"], linestyle=":", linewidth=0.7)
    steps = rows.drop_duplicates("step").sort_values("step")
    name_steps(axes, steps["step"], steps["log2_step"])
    low, high = limits(rows)
    ticks = MaxNLocator(5).tick_values(low, high)
    axes.set_yticks([tick for tick in ticks if low <= tick <= high])
    axes.set_ylim(low - STRIP * (high - low), high)
    first, last = steps["log2_step"].min(), steps["log2_step"].max()
    axes.set_xlim(first - 0.03 * (last - first), last + 0.03 * (last - first))


def _draw_onsets(axes: Axes, rows: pd.DataFrame) -> None:
    """In a strip below: those in-language above those between languages, the intervals within the axis."""
    left, right = axes.get_xlim()
    for row in rows.itertuples():
        look = LOOKS[row.line]
        height = (0.11 if row.line == IN else 0.04) + (0.015 if row.what == "best" else 0)
        place: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "zorder": 3}
        ends = [max(row.low, left), min(row.high, right)]
        if row.low == row.low:
            axes.plot(ends, [height] * 2, color=look["color"], linewidth=0.6, **place)
        face = look["color"] if row.what == "gain" else "white"
        axes.plot(
            [row.value],
            [height],
            **{**look, "label": None},
            markerfacecolor=face,
            markersize=3,
            **place,
        )
