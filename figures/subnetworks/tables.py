"""The tables beside the page of study F22: claims, and what was measured of tickets, with means over seeds."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.engine.runs import MissingRows
from figures.engine.studies import over_seeds
from figures.subnetworks.read import subnetworks
from sim.runs.errors import UserError

if TYPE_CHECKING:
    from neural.subnetworks.claims import Results

CLAIMS, TICKETS, OVERLAP = "subnetworks-claims", "subnetworks-tickets", "subnetworks-overlap"
REWOUND, KEPT = "subnetworks-rewound", "subnetworks-kept"
RETRIEVAL, COSTS = "subnetworks-retrieval", "subnetworks-costs"
PRETRAINED = "subnetworks-pretrained"

TABLES = {
    CLAIMS: "effects with their intervals, and what became of each claim",
    TICKETS: "what each kind of mask is worth after tuning, means over languages",
    REWOUND: "tickets rewound to an earlier step, beside the whole model of that step",
    OVERLAP: "Jaccard overlaps of whole masks, round by round",
    KEPT: "what tickets keep of each layer and component",
    RETRIEVAL: "sentences that find their translation, by step, mask and layer",
    COSTS: "bytes and multiply-adds of tickets in each form of their matrices",
    PRETRAINED: "loss of the pretrained models by step and language",
}

LM = "language-modelling"
OWN, OTHER = "own ticket", "another language's ticket"
CONTROLS = (
    *("full", "random", "random by matrix", "random within tickets", "magnitude of theta0"),
    *("one-shot magnitude", "movement", "fisher", "wanda", "shuffled", "mixed"),
)
"""Masks beside the tickets, in the order in which they are shown."""
AT_EARLY = ("full, rewound", "rewound")
"""The whole model of the earlier step, and a ticket rewound to it: held against each other alone."""
WHOLE, OF_PAIR, OF_OTHER = "whole model", "ticket of one of them", "ticket of another language"
"""What sentences are read by, for retrieval."""


def tables(run: Path) -> dict[str, pd.DataFrame]:
    """Those of TABLES that the study has rows for. Raises UserError for what is no study, or not done."""
    from neural.subnetworks.claims import claims

    results = subnetworks(run)
    make = {
        CLAIMS: claims,
        TICKETS: tickets,
        REWOUND: rewound,
        OVERLAP: lambda r: overlaps(r, "scope == 'total'"),
        KEPT: kept,
        RETRIEVAL: retrieval,
        COSTS: costs,
        PRETRAINED: pretrained,
    }
    if not results.study.aligned:
        del make[RETRIEVAL]
    tables_by_name = {name: table(results) for name, table in make.items()}
    return {name: table for name, table in tables_by_name.items() if len(table)}


def cells(results: "Results") -> list[tuple[str, float]]:
    """The tasks of a study with the densities at which their tickets are compared, in order."""
    return [(task.name, density) for task in results.study.tasks for density in task.densities]


def controls(names: Iterable[str]) -> list[str]:
    """The names of controls in the order of CONTROLS, any others after them."""
    there = set(names)
    return [*(name for name in CONTROLS if name in there), *sorted(there.difference(CONTROLS))]


def scored(results: "Results") -> pd.DataFrame:
    """Every tuning under a mask, with its `value` and its `drop` against the target's own ticket (NaN where that is 0).

    value: perplexity of language modelling, else what is right of all. drop: F22's relative drop, turned so that more
    is worse: the rise of the perplexity, or the fall of the value, over that of the own ticket.
    """
    rows = results.paid
    modelled, own = rows["task"] == LM, rows["score"] + rows["more"]
    fall = rows["more"] / own.where(own > 0)
    return rows.assign(
        value=np.exp(rows["score"].where(modelled, np.nan)).where(modelled, rows["score"]),
        drop=np.expm1(rows["more"].where(modelled, 0.0)).where(modelled, fall),
    )


def worth(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """By task and keys: `value` of `scored`, and its drop, with 95 % intervals. Perplexities average by logarithm."""
    keys = ["task", *keys]
    parts = [
        over_seeds(part, keys, "value", log=modelled)
        for modelled, part in rows.groupby(rows["task"] == LM)
    ]
    drop = over_seeds(rows, keys, "drop").drop(columns="seeds")
    ends = {"value": "drop", "low": "drop_low", "high": "drop_high"}
    averages = pd.concat(parts, ignore_index=True).merge(drop.rename(columns=ends), "left", on=keys)
    order = {task: i for i, task in enumerate(dict.fromkeys(rows["task"]))}
    return averages.sort_values(
        "task", key=lambda t: t.map(order), kind="stable", ignore_index=True
    )


def tickets(results: "Results") -> pd.DataFrame:
    """By task, density and mask: own tickets, those of other languages, and controls, over all languages."""
    rows = scored(results)
    rows = rows[~rows["source"].isin(AT_EARLY)]
    kind = rows["source"].where(rows["kind"] == "control", OTHER)
    return worth(
        rows.assign(mask=kind.mask(rows["source"] == rows["target"], OWN)), ["density", "mask"]
    )


def rewound(results: "Results") -> pd.DataFrame:
    """By task: of the earlier step, the `whole` model, and a ticket of the last (`value`) with its drop to that."""
    rows = scored(results)
    keys = ["task", "density", "seed", "target"]
    whole, ticket = (rows[rows["source"] == name].set_index(keys) for name in AT_EARLY)
    if ticket.empty:
        return pd.DataFrame()
    paired = ticket.drop(columns="drop").join(whole[["value"]].add_prefix("whole_")).reset_index()
    lower = paired["task"] == LM  # is better
    ratio = paired["value"] / paired["whole_value"].where(paired["whole_value"] > 0)
    paired["drop"] = (ratio - 1).where(lower, 1 - ratio)
    averages = worth(paired, ["density"])
    of_whole = worth(paired.assign(value=paired["whole_value"]), ["density"])
    return averages.assign(whole=of_whole["value"])


def overlaps(results: "Results", query: str) -> pd.DataFrame:
    """Of pairs of masks that satisfy a pandas query: by task, round, density, kind and scope, with 95 % intervals.

    kind: as neural.subnetworks.measure.overlaps has them; of two languages also "chance" at these densities, "expected"
    at those of each matrix, and "corrected": 0 at the latter, 1 where as large as that of one language.
    """
    from neural.masks.prune import FRACTION

    rows = results.overlap[results.overlap["order"] == 0].query(query)
    shared = results.shared.query(query)
    parts = [rows.assign(value=rows["jaccard"])]
    parts += [
        shared.assign(kind=column, value=shared[column])
        for column in ("chance", "expected", "corrected")
    ]
    averages = over_seeds(pd.concat(parts), ["task", "round", "kind", "scope"], "value")
    averages.insert(2, "density", (1 - FRACTION * averages["round"]).round(9))
    return averages


def kept(results: "Results") -> pd.DataFrame:
    """Densities of tickets by task, variant and scope, a layer or component, at the densities of `cells`."""
    from neural.masks.mask import COMPONENTS, sizes

    sized = sizes(results.study.model)
    rows = results.counts
    wanted = {
        (task.name, task.round_of(d)): d for task in results.study.tasks for d in task.densities
    }
    places = pd.MultiIndex.from_frame(rows[["task", "round"]])
    rows = rows.assign(at=[wanted.get(place, np.nan) for place in places]).dropna(subset="at")
    component = rows["component"].map(COMPONENTS.index)
    n = sized[rows["layer"].to_numpy(), component.to_numpy()]
    rows = rows.assign(n=n, count=n * rows["density"])
    model = ["task", "variant", "at", "seed", "language", "order"]
    parts = []
    for scope in ("layer", "component"):
        sums = rows.groupby([*model, scope], sort=False)[["count", "n"]].sum().reset_index()
        names = sums[scope] if scope == "component" else "layer " + sums[scope].astype(str)
        parts.append(sums.assign(scope=names, kept=sums["count"] / sums["n"]))
    averages = over_seeds(pd.concat(parts), ["task", "variant", "at", "scope"], "kept")
    return averages.rename(columns={"at": "density"})


def retrieval(results: "Results") -> pd.DataFrame:
    """By step, layer (0: embeddings) and what is read by: mean over pairs of languages.

    `value` by ratio margin and `cosine` without; `change`: by margin, against the whole model, pair by pair.
    """
    rows = results.retrieval.reset_index(drop=True)
    of_pair = (rows["ticket"] == rows["one"]) | (rows["ticket"] == rows["other"])
    read_by = np.select([rows["ticket"] == "", of_pair], [WHOLE, OF_PAIR], OF_OTHER)
    place = ["seed", "step", "one", "other", "layer"]
    whole = rows[rows["ticket"] == ""].set_index(place)["margin"]
    change = rows["margin"] - whole.loc[pd.MultiIndex.from_frame(rows[place])].to_numpy()
    rows = rows.assign(read_by=read_by, change=change)
    keys = ["step", "read_by", "layer"]
    averages = over_seeds(rows, keys, "margin")
    cosine = over_seeds(rows, keys, "cosine")[[*keys, "value"]].rename(columns={"value": "cosine"})
    ends = {"value": "change", "low": "change_low", "high": "change_high"}
    changed = over_seeds(rows, keys, "change").drop(columns="seeds").rename(columns=ends)
    averages = averages.merge(cosine, on=keys).merge(changed, on=keys)
    return averages.sort_values("step", kind="stable", ignore_index=True)


def costs(results: "Results") -> pd.DataFrame:
    """By density and form: bytes, multiply-adds a token and seconds, means over tickets, and as parts of the dense
    form's.
    """
    from neural.masks.prune import FRACTION

    rows = results.costs.assign(density=(1 - FRACTION * results.costs["round"]).round(9))
    measured = ["bytes", "multiply_adds", "seconds"]
    averages = rows.groupby(["density", "form"], sort=False)[measured].mean()
    dense = averages.xs("dense", level="form").reindex(averages.index.get_level_values("density"))
    shares = (averages / dense.to_numpy()).add_prefix("part_of_")
    averages = averages.join(shares).reset_index()
    return averages.sort_values("density", ascending=False, kind="stable", ignore_index=True)


def pretrained(results: "Results") -> pd.DataFrame:
    """By step and language: perplexity with its 95 % interval, and `bits_per_byte`."""
    rows = results.pretrained.assign(perplexity=np.exp(results.pretrained["nats_per_token"]))
    keys = ["step", "language"]
    averages = over_seeds(rows, keys, "perplexity", log=True).rename(
        columns={"value": "perplexity"}
    )
    bits = over_seeds(rows, keys, "bits_per_byte")[[*keys, "value"]]
    averages = averages.merge(bits.rename(columns={"value": "bits_per_byte"}), on=keys)
    return averages.sort_values("step", kind="stable", ignore_index=True)


def ablation(results: "Results") -> pd.DataFrame:
    """By density, language whose ticket's own weights are removed, and language read: nats that this adds.

    added: by their removal; random: by that of as many of each matrix; `value`: the difference, with a 95 % interval.
    `weights` and `part`: how many are removed, mean over seeds, and of all. Raises MissingRows without any.
    """
    from neural.masks.mask import size
    from neural.subnetworks.claims import ablated

    try:
        rows = ablated(results)
    except UserError as error:
        raise MissingRows(str(error)) from None
    keys = ["density", "removed", "language"]
    averages = over_seeds(rows, keys, "beyond")
    for column in ("added", "random", "weights"):
        means = over_seeds(rows, keys, column)[[*keys, "value"]].rename(columns={"value": column})
        averages = averages.merge(means, on=keys)
    averages = averages.assign(
        part=averages["weights"] / size(results.study.model), most=-averages["density"]
    )
    place = {name: i for i, name in enumerate(results.study.languages)}
    keys = ["most", "removed", "language"]
    averages = averages.sort_values(keys, key=lambda c: c.map(place) if c.name in keys[1:] else c)
    return averages.drop(columns="most").reset_index(drop=True)
