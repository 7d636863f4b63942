"""The tables of the page of study F22, in Markdown; "" where there is no such table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.engine import markdown
from figures.engine.markdown import between
from figures.subnetworks import tables as sheets
from figures.subnetworks.cells import titled
from figures.subnetworks.tables import LM, WHOLE

if TYPE_CHECKING:
    from neural.subnetworks.plan import Study, Task

NAMES = {"nats": "perplexity", "f1": "F1"}
"""Of measures; others are accuracies."""


def measure(task: "Task") -> str:
    return NAMES.get(task.measure, "accuracy")


def number(row: pd.Series | None, name: str, form: str) -> str:
    """A value with the interval of the row."""
    return "–" if row is None else between(row[[name, "low", "high"]], form)


def tickets(table: pd.DataFrame | None, plan: "Study", order: Sequence[tuple[str, float]]) -> str:
    """Masks by tasks and densities."""
    if table is None:
        return ""
    by = {(row["task"], row["density"], row["mask"]): row for _, row in table.iterrows()}
    whole, *others = sheets.controls(set(table["mask"]) - {sheets.OWN, sheets.OTHER})
    masks = [whole, sheets.OWN, sheets.OTHER, *others]
    measures: dict[str, str] = {task.name: measure(task) for task in plan.tasks}
    lines = [[mask, *(_worth(by.get((*place, mask))) for place in order)] for mask in masks]
    head = ["mask", *(f"{titled(*place)}: {measures[place[0]]}" for place in order)]
    said = (
        "Means over languages, and in parentheses the mean relative drop to a language's own ticket (more is worse; "
        "bold: its interval excludes 0). *full* is the whole model; *random by matrix* has the ticket's density in "
        "every matrix, *random within tickets* its weights among those that a denser ticket keeps, *magnitude of "
        "theta0* the largest of the pretrained weights, *mixed* is the ticket of all languages together."
    )
    return f"{said}\n\n{markdown.table(head, lines)}"


def _worth(row: pd.Series | None) -> str:
    if row is None:
        return "–"
    value = number(row, "value", ".2f" if row["task"] == LM else ".3f")
    if row["mask"] == sheets.OWN or np.isnan(row["drop"]):
        return value
    drop = f"{row['drop']:+.1%}"
    sure = row["drop_low"] > 0 or row["drop_high"] < 0
    return f"{value} (**{drop}**)" if sure else f"{value} ({drop})"


def rewound(tables: Mapping[str, pd.DataFrame]) -> str:
    table = tables.get(sheets.REWOUND)
    if table is None:
        return ""
    lines = [
        [
            titled(row["task"], row["density"]),
            f"{row['whole']:.3g}",
            number(row, "value", ".3g"),
            between([row["drop"], row["drop_low"], row["drop_high"]], "+.1%"),
        ]
        for _, row in table.iterrows()
    ]
    head = ["task", "whole model", "rewound ticket", "relative drop"]
    said = "Tickets of the last models, rewound to the earlier checkpoint, beside its whole model:"
    return f"{said}\n\n{markdown.table(head, lines)}"


def matrices(table: pd.DataFrame | None) -> str:
    """Tickets alone; the controls are in the figure."""
    if table is None:
        return ""
    parts = []
    for (task, density), rows in table[table["kind"] == "ticket"].groupby(
        ["task", "density"], sort=False
    ):
        by = {(row["source"], row["target"]): row for _, row in rows.iterrows()}
        names = list(dict.fromkeys(rows["target"]))
        form = ".2f" if task == LM else ".3f"
        lines = [
            [source, *(number(by.get((source, other)), "value", form) for other in names)]
            for source in names
        ]
        said = f"{titled(task, density)}: {rows['measure'].iloc[0].removesuffix(', %')} of tickets (lines) on languages"
        parts.append(f"{said}\n\n{markdown.table(['ticket', *names], lines)}")
    return "\n\n".join(parts)


def overlap(table: pd.DataFrame | None, order: Sequence[tuple[str, float]]) -> str:
    if table is None:
        return ""
    kinds = {
        "languages": "two languages",
        "seeds": "two tunings",
        "corrected": "corrected",
        "expected": "expected by matrix",
        "chance": "chance",
        "theta0": "magnitude of theta0",
        "shuffled": "shuffled labels",
        "early": "earlier checkpoint",
        "rewound": "rewound",
    }
    by = {(row["task"], row["density"], row["kind"]): row for _, row in table.iterrows()}
    kinds = {kind: said for kind, said in kinds.items() if kind in set(table["kind"])}
    lines = [
        [titled(*place), *(number(by.get((*place, kind)), "value", ".3f") for kind in kinds)]
        for place in order
    ]
    said = (
        "Jaccard overlaps of whole masks: of the tickets of two languages and of two tunings in one language, the "
        "ceiling; *corrected* is the first, 0 at what random masks of the same density in every matrix give and 1 at "
        "the ceiling. Right of chance: of a ticket with other masks for the same language."
    )
    return f"{said}\n\n{markdown.table(['tickets', *kinds.values()], lines)}"


def kept(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    scopes = list(dict.fromkeys(table["scope"]))
    lines = []
    for (task, variant, density), rows in table.groupby(["task", "variant", "density"], sort=False):
        by = rows.set_index("scope")["value"]
        lines.append([titled(task, density), variant, *(f"{by[scope]:.3f}" for scope in scopes)])
    return f"Densities of tickets:\n\n{markdown.table(['tickets', 'variant', *scopes], lines)}"


def correlations(table: pd.DataFrame | None) -> str:
    """A line a task."""
    from figures.subnetworks.overlap_vs_transfer import CORRELATED

    if table is None:
        return ""
    names = {"corrected": "corrected overlap", "jaccard": "overlap", "distance": "distance"}
    rows = table[table["kind"] == "correlation"]
    if rows.empty:
        return ""
    by = {(row["task"], row["one"], row["other"]): row for _, row in rows.iterrows()}
    tasks = rows.drop_duplicates("task")
    lines = [
        [
            titled(task, density),
            *(number(by.get((task, *pair)), "value", ".2f") for pair in CORRELATED),
        ]
        for task, density in zip(tasks["task"], tasks["density"], strict=True)
    ]
    others = {"drop": "relative drop", "cost": "cost", "corrected": "corrected overlap"}
    head = ["tickets", *(f"{names[predictor]}, {others[other]}" for predictor, other in CORRELATED)]
    said = (
        "Rank correlations over ordered pairs of languages. *cost* is in nats (the logarithm of the ratio of "
        "perplexities) or parts of all answers, *distance* 0 within a genus of languages, 1 within a family, else 2."
    )
    return f"{said}\n\n{markdown.table(head, lines)}"


def retrieval(table: pd.DataFrame | None, plan: "Study") -> str:
    if table is None:
        return ""
    last = table[table["step"] == plan.optimiser.steps]
    masks = list(dict.fromkeys(last["read_by"]))
    masks.remove(WHOLE)
    by = {(row["read_by"], row["layer"]): row for _, row in last.iterrows()}
    layers = sorted(set(last["layer"]))
    lines = [
        [
            layer,
            number(by[WHOLE, layer], "value", ".3f"),
            f"{by[WHOLE, layer]['cosine']:.3f}",
            *(_changed(by[mask, layer]) for mask in masks),
        ]
        for layer in layers
    ]
    head = ["layer", WHOLE, "by plain cosine", *masks]
    said = (
        f"How many of {plan.sentences} sentences find their translation by ratio margin of mean states, over pairs of "
        f"languages (chance: {1 / plan.sentences:.2g}); layer 0 is that of the embeddings."
    )
    if masks:
        said += (
            " In parentheses, tickets of language modelling against the whole model, pair by pair."
        )
    whole = table[table["read_by"] == WHOLE]
    values = {(row["step"], row["layer"]): row for _, row in whole.iterrows()}
    course = [
        [step, *(number(values.get((step, layer)), "value", ".3f") for layer in layers)]
        for step in markdown.some(sorted(set(whole["step"])))
    ]
    over = markdown.table(["step", *(f"layer {layer}" for layer in layers)], course)
    return f"{said}\n\n{markdown.table(head, lines)}\n\nIn the course of pretraining:\n\n{over}"


def _changed(row: pd.Series) -> str:
    return f"{row['value']:.3f} ({between(row[['change', 'change_low', 'change_high']], '+.3f')})"


def costs(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    forms = [form for form in dict.fromkeys(table["form"]) if form != "dense"]
    by = {(row["density"], row["form"]): row for _, row in table.iterrows()}
    lines = [
        [f"{density:.0%}", *(_parts(by[density, form]) for form in forms)]
        for density in dict.fromkeys(table["density"])
    ]
    dense = by[table["density"].iloc[0], "dense"]
    said = (
        "Bytes, multiply-adds a token, and time for a context of tokens on the processor, of the prunable matrices, as "
        f"parts of the dense form's ({dense['bytes']:,.0f}, {dense['multiply_adds']:,.0f}, "
        f"{1e6 * dense['seconds']:,.0f} µs), means over tickets. *packed*: the kept weights and a bit for every one, "
        "unpacked before they are multiplied; *rows*: compressed sparse rows, multiplied by one core; *compacted*: "
        "without the units and heads that the mask has emptied."
    )
    paying = (
        f"Less is stored than dense: {_paying(table, 'part_of_bytes')}. "
        f"Less time, by a twentieth or more, is taken: {_paying(table, 'part_of_seconds', 0.95)}."
    )
    return f"{said} {paying}\n\n{markdown.table(['kept', *forms], lines)}"


def _parts(row: pd.Series) -> str:
    names = ("part_of_bytes", "part_of_multiply_adds", "part_of_seconds")
    return " / ".join("–" if np.isnan(row[name]) else f"{row[name]:.2f}" for name in names)


def _paying(table: pd.DataFrame, part: str, most: float = 1.0) -> str:
    """From which density on each form takes less than so much, of those that it is known of."""
    said = []
    rows_of = table[(table["form"] != "dense") & table[part].notna()]
    for form, rows in rows_of.groupby("form", sort=False):
        less = rows.loc[rows[part] < most, "density"]
        said.append(f"{form} {f'from {less.max():.0%} down' if len(less) else 'at none'}")
    return ", ".join(said)
