"""The tables of the page of study B22, in Markdown; "" where there is no such table."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from figures.dynamics.panels import CROSS, IN, ordered
from figures.engine import markdown
from figures.engine.markdown import between

if TYPE_CHECKING:
    from neural.dynamics.plan import Study

TITLES = {
    "argmax": "word alignment, argmax",
    "itermax": "word alignment, itermax",
    "xnli": "XNLI",
}


def number(row: pd.Series | None, name: str, form: str) -> str:
    """A value with its interval."""
    if row is None or np.isnan(row[name]):
        return "–"
    return between(row[[name, f"{name}_low", f"{name}_high"]], form)


def _named(step: int) -> str:
    return f"{step:.0f}" if step else "untrained"


def titled(task: str) -> str:
    return TITLES.get(task, task.replace("-", " "))


def onsets(table: pd.DataFrame, plan: "Study") -> str:
    """A line a task and kind."""
    kinds = {"best": "98 % of the best", "gain": "98 % of the gain"}
    lines = []
    for (task, kind), rows in table.groupby(["task", "kind"], sort=False):
        by = {row["of"]: row for _, row in rows.iterrows()}
        lines.append(
            [titled(task), kind, *(_onset(by.get(reference), plan.steps) for reference in kinds)]
        )
    said = (
        f"The update at which each skill is there, of {plan.optimiser.steps}: straight between checkpoints in log2 of "
        "the step, step 0 as half the first after it; geometric means over the languages or pairs that have an onset "
        "in every model, whose number is in parentheses. Of 98 % of the best (B22's) what an untrained model knows is "
        "a part; of 98 % of the gain over it, it is not."
    )
    return f"{said}\n\n{markdown.table(['task', '', *kinds.values()], lines)}"


def _onset(row: pd.Series | None, steps: Sequence[int]) -> str:
    """An interval's ends before the first checkpoint after 0, or after the last, are said to be so."""
    if row is None:
        return "–"
    known = f"{row['known']:.0f} of {row['cells']:.0f}"
    if np.isnan(row["log2"]):
        return f"– ({known})"
    value, low, high = (2 ** float(row[name]) for name in ("log2", "low", "high"))
    if np.isnan(low):
        return f"{value:.3g} ({known})"
    least, most = (_within(end, steps[1], steps[-1]) for end in (low, high))
    return f"{value:.3g} [{least}, {most}] ({known})"


def _within(step: float, first: int, last: int) -> str:
    return f"< {first}" if step < first else f"> {last}" if step > last else f"{step:.3g}"


def bits(table: pd.DataFrame) -> str:
    steps = markdown.some(sorted(set(table["step"])))
    by = {(row["language"], row["step"]): row for _, row in table.iterrows()}
    languages = list(dict.fromkeys(table["language"]))
    lines = [
        [
            name,
            *(f"{by[name, step]['bits_per_character']:.3f}" for step in steps[:-1]),
            number(by[name, steps[-1]], "bits_per_character", ".3f"),
        ]
        for name in languages
    ]
    head = ["bits per character", *(f"step {step}" for step in steps)]
    return markdown.table(head, lines)


def probes(table: pd.DataFrame | None) -> str:
    """A line a task and kind: untrained, and at the last step."""
    if table is None:
        return ""
    rows = table[~table["removed"].astype(bool)]
    first, last = 0, rows["step"].max()
    lines = []
    for (task, kind), own in rows.groupby(["task", "kind"], sort=False):
        by = {row["step"]: row for _, row in own.iterrows()}
        lines.append(
            [
                titled(task),
                kind,
                *(number(by[step], "accuracy", ".3f") for step in (first, last)),
                f"{by[last]['majority']:.3f}",
                *(number(by[step], "loss", ".3f") for step in (first, last)),
                " → ".join(f"{by[step]['layer']:.1f}" for step in (first, last)),
            ]
        )
    head = ["task", "", "untrained", "last step", "most frequent class"]
    head += ["log-loss, untrained", "log-loss, last step", "layer"]
    said = (
        "Linear probes at the layer that is best on dev of the language fitted in: accuracy, and log-loss in nats an "
        "example; the layer is a mean over models and languages, 0 that of the embeddings."
    )
    return f"{said}\n\n{markdown.table(head, lines)}"


def pairs(table: pd.DataFrame | None) -> str:
    """A matrix a task, of the last step."""
    if table is None:
        return ""
    rows = table[(table["step"] == table["step"].max()) & ~table["removed"].astype(bool)]
    untrained = table[(table["step"] == 0) & ~table["removed"].astype(bool)]
    before = untrained.set_index(["task", "train", "test"])["accuracy"]
    parts = []
    for task in ordered(rows["task"]):
        own = rows[rows["task"] == task]
        names = list(dict.fromkeys(own["train"]))
        by = {(row["train"], row["test"]): row for _, row in own.iterrows()}
        lines = [
            [
                source,
                *(
                    f"{by[source, other]['accuracy']:.3f} ({before[task, source, other]:.3f})"
                    for other in names
                ),
            ]
            for source in names
        ]
        most = own[own["train"] == own["test"]]["majority"]
        lines.append(["most frequent class", *(f"{value:.3f}" for value in most)])
        parts.append(
            f"{titled(task).capitalize()}, fitted in (lines), tried in (columns):\n\n"
            f"{markdown.table(['', *names], lines)}"
        )
    said = "Accuracy at the last step, and of the untrained model in parentheses; intervals are in the table below."
    return "\n\n".join([said, *parts])


def codelengths(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    lines = [
        [
            titled(task),
            _named(step),
            f"{row['layer']:.0f}",
            number(row, "bits", ".0f"),
            f"{row['uniform']:.0f}",
            number(row, "compression", ".2f"),
        ]
        for (task, step), row in _best(table, ["task", "step"], "bits", least=True)
    ]
    said = (
        "Minimum description length, by online coding: bits that the labels of the training part take when each part "
        "of them is coded by a probe fitted to those before, at the layer where they are fewest; a uniform code gives "
        "every class the same length."
    )
    head = ["task", "step", "layer", "bits", "uniform code", "compression"]
    return f"{said}\n\n{markdown.table(head, lines)}"


def selectivity(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    ends = [table["step"].min(), table["step"].max()]
    lines = []
    for (task, layer), own in table.groupby(["task", "layer"], sort=False):
        by = {row["step"]: row for _, row in own.iterrows()}
        columns = ("accuracy", "accuracy_control", "selectivity")
        cells = [number(by[step], column, ".3f") for step in ends for column in columns]
        lines.append([titled(task), f"{layer:.0f}", *cells, f"{own['memorisable'].iloc[0]:.3f}"])
    names = ("accuracy", "random labels", "selectivity")
    head = [
        f"{when}: {name}" if not i else name
        for when in ("untrained", "last step")
        for i, name in enumerate(names)
    ]
    said = (
        "Probes beside probes of random labels (one for each word, or pair of words, drawn with the task's "
        "frequencies); selectivity is the difference. The last column is the most of the random labels that "
        "remembering words can get right."
    )
    return f"{said}\n\n{markdown.table(['task', 'layer', *head, 'memorisable'], lines)}"


def alignment(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    kept = table[table["step"].isin([0, table["step"].max()])]
    lines = [
        [
            method,
            answers,
            _named(step),
            f"{row['layer']:.0f}",
            number(row, "f1", ".3f"),
            *(f"{row[column]:.3f}" for column in ("chance", "precision", "recall")),
            f"{row['n']:.0f}",
        ]
        for (method, answers, step), row in _best(kept, ["method", "answers", "step"], "f1")
    ]
    head = ["links by", "answers", "step", "layer", "F1", "chance", "precision", "recall"]
    said = (
        "Links between words by the cosine of their states, at the layer that is best over all pairs: of the links of "
        "an answer's words, how many end in the same answer in the other language; chance is that of links that end "
        "anywhere in the sentence. *differing*: answers that are not written the same in both languages, which no "
        "shared name or number gives away."
    )
    return f"{said}\n\n{markdown.table([*head, 'answers a pair'], lines)}"


def retrieval(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    kept = table[table["step"].isin([0, table["step"].max()])]
    lines = [
        [_named(step), f"{layer:.0f}", *cells, f"{own['chance'].iloc[0]:.2g}"]
        for (step, layer), own in kept.groupby(["step", "layer"])
        for cells in [_with_and_without(own, ("margin", "cosine"))]
    ]
    head = ["step", "layer", "margin", "cosine", "margin, without", "cosine, without", "chance"]
    said = (
        "How many of the sentences find their translation, by ratio margin and by plain cosine, means over pairs and "
        "both directions; and without the directions in which the means of the languages differ."
    )
    return f"{said}\n\n{markdown.table(head, lines)}"


def _with_and_without(rows: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    by = {bool(row["removed"]): row for _, row in rows.iterrows()}
    return [number(by.get(removed), name, ".3f") for removed in (False, True) for name in columns]


def identity(table: pd.DataFrame | None, of_probes: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    kept = table[table["step"].isin([0, table["step"].max()])]
    lines = [
        [
            unit,
            _named(step),
            f"{layer:.0f}",
            *(number(row, column, ".3f") for column in ("accuracy", "without")),
            *(f"{row[column]:.3f}" for column in ("majority", "share")),
        ]
        for (unit, step, layer), own in kept.groupby(["unit", "step", "layer"], sort=False)
        for _, row in own.iterrows()
    ]
    head = ["states of", "step", "layer", "accuracy", "without", "most frequent class"]
    said = (
        "How well a linear probe tells the language; the same without the directions in which the means of the "
        "languages differ; and the share of the variance that lies in these."
    )
    parts = [f"{said}\n\n{markdown.table([*head, 'share of variance'], lines)}"]
    if of_probes is not None and of_probes["removed"].any():
        parts.append(_removed(of_probes))
    return "\n\n".join(parts)


def _removed(table: pd.DataFrame) -> str:
    """Probes with the subspace and without, over steps."""
    steps = markdown.some(sorted(set(table["step"])))
    tasks = table.loc[table["removed"].astype(bool), "task"].unique()
    by = {
        (row["task"], row["kind"], bool(row["removed"]), row["step"]): row
        for _, row in table[table["task"].isin(tasks)].iterrows()
    }
    lines = [
        [
            titled(task),
            kind,
            "without" if removed else "with",
            *(number(by[task, kind, removed, step], "accuracy", ".3f") for step in steps),
        ]
        for task in tasks
        for kind in (IN, CROSS)
        for removed in (False, True)
    ]
    head = ["task", "", "language subspace", *(f"step {step}" for step in steps)]
    return f"Accuracy of probes with this subspace and without it:\n\n{markdown.table(head, lines)}"


def changes(table: pd.DataFrame | None) -> str:
    """Of layers in columns, from the best step to the last."""
    if table is None:
        return ""
    rows = table[table["what"] == "change"]
    layers = sorted(set(rows["layer"]))
    lines = []
    for (task, kind), own in rows.groupby(["task", "kind"], sort=False):
        by = {row["layer"]: row for _, row in own.iterrows()}
        cells = [_percent(by[layer]) for layer in layers]
        lines.append([titled(task), kind, *cells])
    head = ["task", "", *(f"layer {layer:.0f}" for layer in layers)]
    said = "Relative change of accuracy from the step that is best on dev to the last. Bold: its interval excludes 0."
    return f"{said}\n\n{markdown.table(head, lines)}"


def _percent(row: pd.Series) -> str:
    said = between(row[["value", "low", "high"]], "+.1%")
    return f"**{said}**" if row["low"] > 0 or row["high"] < 0 else said


def _best(
    table: pd.DataFrame, keys: Sequence[str], column: str, *, least: bool = False
) -> Iterable[tuple[tuple[Any, ...], pd.Series]]:
    """By keys, the row of the layer whose mean is best."""
    for key, rows in table.groupby(list(keys), sort=False):
        place = rows[column].idxmin() if least else rows[column].idxmax()
        yield key, rows.loc[place]
