"""What became of the claims of Foroutan et al. 2022, and what the nulls say: one row an effect, over pretraining seeds.

What a mask costs is the loss of language modelling in nats a token, and of other tasks what is not right of all (1 less
accuracy, or less F1), always after the same tuning from the pretrained weights; more is worse. Each seed gives one
number, the mean over languages or pairs.
"""

from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.masks.overlap import corrected
from neural.measures.intervals import Interval, at_most, difference, effect, interval
from neural.study.results import read
from neural.subnetworks.plan import Study, Task
from sim.runs.errors import UserError

Array = NDArray[np.float64]

COLUMNS = (
    *("claim", "setting", "task", "effect", "low", "high", "unit"),
    *("expected", "verdict"),
)
LM = "language-modelling"

NULLS = {
    "random": "a ticket beats a random mask",
    "random by matrix": "a ticket beats a random mask of its density by matrix",
    "random within tickets": "a ticket beats a random mask within the denser tickets",
    "magnitude of theta0": "a ticket beats the largest weights before any tuning",
    "one-shot magnitude": "a ticket beats one-shot magnitude",
    "shuffled": "a ticket beats that of shuffled labels",
}
"""What each control says if it is worse."""


class Results:
    """The tables of a study."""

    def __init__(self, study: Study, out: Path) -> None:
        self.study, self.out = study, out
        self.overlap = read(out, "overlap")
        self.transfer = read(out, "transfer")

    @cached_property
    def ablation(self) -> pd.DataFrame:
        """Raises UserError where language modelling was left out."""
        return read(self.out, "ablation")

    @cached_property
    def retrieval(self) -> pd.DataFrame:
        return read(self.out, "retrieval")

    @cached_property
    def counts(self) -> pd.DataFrame:
        return read(self.out, "counts")

    @cached_property
    def costs(self) -> pd.DataFrame:
        return read(self.out, "costs")

    @cached_property
    def pretrained(self) -> pd.DataFrame:
        return read(self.out, "pretrained")

    @cached_property
    def paid(self) -> pd.DataFrame:
        """`transfer` with what each mask costs, and how much more than the target's own ticket."""
        rows = self.transfer
        cost = rows["score"].where(rows["task"] == LM, 1 - rows["score"])
        rows = rows.assign(cost=cost)
        keys = ["task", "density", "seed", "target"]
        own = rows[rows["source"] == rows["target"]].set_index(keys)["cost"]
        more = rows["cost"].to_numpy() - own.loc[pd.MultiIndex.from_frame(rows[keys])].to_numpy()
        return rows.assign(more=more)

    @cached_property
    def shared(self) -> pd.DataFrame:
        """`overlap` of languages corrected for chance: 0 as the densities of matrices give, 1 as of one language.

        A row a seed, task, round, scope and pair of languages.
        """
        rows = self.overlap[self.overlap["order"] == 0]
        keys = ["task", "round", "scope", "seed"]
        seeds = rows[rows["kind"] == "seeds"].set_index([*keys, "language"])["jaccard"]
        pairs = rows[rows["kind"] == "languages"].reset_index(drop=True)
        places = [
            pd.MultiIndex.from_frame(pairs[[*keys, side]].rename(columns={side: "language"}))
            for side in ("language", "other")
        ]
        ceiling = sum(seeds.loc[place].to_numpy() for place in places) / 2
        found = corrected(pairs["jaccard"], pairs["expected"], ceiling)
        return pairs.assign(ceiling=ceiling, corrected=found)


def by_seed(rows: pd.DataFrame, column: str) -> Array:
    """The mean of a column for each seed, in order."""
    return rows.groupby("seed")[column].mean().sort_index().to_numpy()


def claims(results: Results) -> pd.DataFrame:
    """All of them. Raises UserError for a study that is not done."""
    rows: list[dict[str, Any]] = []
    for task in results.study.tasks:
        for density in task.densities:
            rows += _worth(results, task, density)
        rows += _overlap(results, task)
    rows += [*_between_tasks(results), *_depth(results), *_further(results)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(
    claim: str,
    setting: str,
    task: str,
    found: Interval,
    unit: str,
    expected: int,
    margin: float = float("nan"),
) -> dict[str, Any]:
    """expected: the sign that F22 reports, 0 for an effect of at most the margin."""
    judged = effect(found, unit, expected, none=partial(at_most, margin=margin))
    return {"claim": claim, "setting": setting, "task": task, **judged}


def _unit(task: Task) -> str:
    return {"nats": "nats", "f1": "F1"}.get(task.measure, "accuracy")


def _worth(results: Results, task: Task, density: float) -> Iterator[dict[str, Any]]:
    """What tickets cost, of the language itself, of another, and the controls."""
    rows = results.paid[(results.paid["task"] == task.name) & (results.paid["density"] == density)]
    setting, unit = f"{density:.0%} kept", _unit(task)
    of = {name: by_seed(part, "cost") for name, part in rows.groupby("source")}
    tickets = rows[rows["kind"] == "ticket"]
    own = by_seed(tickets[tickets["source"] == tickets["target"]], "cost")
    other = by_seed(tickets[tickets["source"] != tickets["target"]], "cost")
    margin = float(np.std(of["full"], ddof=1)) if len(own) > 1 else float("nan")
    yield _row(
        "a ticket costs no more than the whole model",
        setting,
        task.name,
        difference(of["full"], own),
        unit,
        0,
        margin,
    )
    for name, claim in NULLS.items():
        if name in of:
            yield _row(claim, setting, task.name, difference(own, of[name]), unit, 1)
    found = difference(own, other)
    yield _row("another language's ticket costs more", setting, task.name, found, unit, 1)
    found = difference(of["random"], other)
    claim = "another language's ticket costs less than a random mask"
    yield _row(claim, setting, task.name, found, unit, -1)
    if "mixed" in of:
        claim = "a ticket of all languages costs less than one of another"
        yield _row(claim, setting, task.name, difference(other, of["mixed"]), unit, -1)
    if "rewound" in of:
        claim = "a ticket rewound to an earlier step costs no more than the whole model there"
        found = difference(of["full, rewound"], of["rewound"])
        spread = of["full, rewound"]
        margin = float(np.std(spread, ddof=1)) if len(spread) > 1 else float("nan")
        yield _row(claim, setting, task.name, found, unit, 0, margin)


def _at(results: Results, task: Task, density: float | None = None) -> int:
    """The round of a density, by default the task's first."""
    return task.round_of(task.densities[0] if density is None else density)


def _overlap(results: Results, task: Task) -> Iterator[dict[str, Any]]:
    rows = results.overlap
    rows = rows[(rows["task"] == task.name) & (rows["scope"] == "total") & (rows["order"] == 0)]
    for density in task.densities:
        at, setting = rows[rows["round"] == task.round_of(density)], f"{density:.0%} kept"
        kinds = {
            kind: part.assign(above=part["jaccard"] - part["expected"])
            for kind, part in at.groupby("kind")
        }
        shown = (
            ("languages", "tickets of two languages overlap more than chance"),
            ("theta0", "a ticket overlaps with the largest weights before tuning more than chance"),
            ("shuffled", "a ticket overlaps with that of shuffled labels more than chance"),
            ("early", "a ticket overlaps with that of an earlier checkpoint more than chance"),
        )
        for kind, claim in shown:
            if kind in kinds:
                found = interval(by_seed(kinds[kind], "above"))
                yield _row(claim, setting, task.name, found, "Jaccard", 1)
        pair = (by_seed(kinds[kind], "jaccard") for kind in ("theta0", "languages"))
        claim = "tickets of two languages overlap more than with the largest weights before tuning"
        yield _row(claim, setting, task.name, difference(*pair), "Jaccard", 1)
        pair = (by_seed(kinds[kind], "jaccard") for kind in ("seeds", "languages"))
        claim = "tickets of two languages overlap less than two of one"
        yield _row(claim, setting, task.name, difference(*pair), "Jaccard", -1)


def _shared(results: Results, task: Task, scope: str = "total") -> pd.DataFrame:
    """The corrected overlaps of a task at its first density."""
    rows = results.shared
    own = (rows["task"] == task.name) & (rows["round"] == _at(results, task))
    return rows[own & (rows["scope"] == scope)]


def _between_tasks(results: Results) -> Iterator[dict[str, Any]]:
    """F22's order: named entities, XNLI (here topics), language modelling."""
    tasks = {task.name: task for task in results.study.tasks}
    for more, less in (("entities", "topics"), ("topics", LM), ("entities", LM)):
        if more in tasks and less in tasks:
            languages = set(tasks[more].languages) & set(tasks[less].languages)
            pair = []
            for name in (less, more):
                rows = _shared(results, tasks[name])
                rows = rows[rows["language"].isin(languages) & rows["other"].isin(languages)]
                pair.append(by_seed(rows, "jaccard"))
            claim = "overlap differs between tasks"
            yield _row(claim, f"{more} less {less}", more, difference(*pair), "Jaccard", 1)


def _depth(results: Results) -> Iterator[dict[str, Any]]:
    """F22: of tasks the overlap rises with depth; of language modelling it is greatest in the middle."""
    last = results.study.model.layers - 1
    for task in results.study.tasks:
        layers = [by_seed(_shared(results, task, f"layer {i}"), "jaccard") for i in range(last + 1)]
        if task.name == LM and last > 1:
            ends = (layers[0] + layers[-1]) / 2
            found = difference(ends, np.mean(layers[1:-1], axis=0))
            yield _row(
                "overlap is greatest in the middle", "inner less outer", LM, found, "Jaccard", 1
            )
        elif task.name != LM and last:
            found = difference(layers[0], layers[-1])
            yield _row(
                "overlap rises with depth", "last less first", task.name, found, "Jaccard", 1
            )


def _further(results: Results) -> Iterator[dict[str, Any]]:
    """Of language modelling: sparser tickets transfer worse; pairs; what one ticket alone holds; retrieval."""
    for task in results.study.tasks:
        yield from _pairs(results, task)
        dense, *sparser = task.densities
        for density in sparser:
            costs = []
            for at in (dense, density):
                rows = results.paid[
                    (results.paid["task"] == task.name)
                    & (results.paid["density"] == at)
                    & (results.paid["kind"] == "ticket")
                ]
                costs.append(by_seed(rows[rows["source"] != rows["target"]], "more"))
            setting = f"{density:.0%} less {dense:.0%} kept"
            claim = "sparser tickets transfer worse"
            yield _row(claim, setting, task.name, difference(*costs), _unit(task), 1)
    try:
        yield from _ablations(results)
    except UserError:
        return
    if results.study.aligned:
        yield from _retrieval(results)


def _pairs(results: Results, task: Task) -> Iterator[dict[str, Any]]:
    """Pairs of languages that share more transfer better: rank correlation over ordered pairs, seed by seed.

    Not of three languages, whose three overlaps have too few orders to tell.
    """
    if len(task.languages) < 4:
        return
    found = interval(correlations(results, task))
    found = Interval(found.value, *(np.clip(end, -1, 1) for end in (found.low, found.high)))
    claim = "pairs that overlap more transfer better"
    yield _row(claim, f"{task.densities[0]:.0%} kept", task.name, found, "rank correlation", -1)


def pairs(results: Results, task: Task) -> pd.DataFrame:
    """Of ordered pairs of languages, by seed: corrected overlap, and how much more the source's ticket costs."""
    rows = results.paid
    rows = rows[(rows["task"] == task.name) & (rows["density"] == task.densities[0])]
    rows = rows[(rows["kind"] == "ticket") & (rows["source"] != rows["target"])]
    shared = _shared(results, task)
    both = pd.concat(
        [shared, shared.rename(columns={"language": "other", "other": "language"})],
        ignore_index=True,
    )
    both = both.rename(columns={"language": "source", "other": "target"})
    columns = ["seed", "source", "target", "jaccard", "corrected"]
    return rows.merge(both[columns], on=columns[:3])


def correlations(results: Results, task: Task) -> Array:
    """Spearman's of `pairs`, (seeds,); NaN where one side does not vary, as with one pair."""
    from scipy import stats

    found = []
    for _, part in pairs(results, task).groupby("seed"):
        varies = len(set(part["jaccard"])) > 1 and len(set(part["more"])) > 1
        found.append(stats.spearmanr(part["jaccard"], part["more"]).statistic if varies else np.nan)
    return np.array(found)


def ablated(results: Results) -> pd.DataFrame:
    """What the removal of one ticket's own weights adds to the loss of each language, beyond random removal."""
    rows = results.ablation
    keys = ["density", "seed", "language"]
    whole = rows[rows["how"] == "whole"].set_index(keys)["nats"]
    rest = rows[rows["how"] != "whole"]
    added = rest["nats"].to_numpy() - whole.loc[pd.MultiIndex.from_frame(rest[keys])].to_numpy()
    wide = rest.assign(added=added).pivot_table(
        index=[*keys, "removed", "weights"], columns="how", values="added"
    )
    wide = wide.rename(columns={"only this ticket's": "added"}).reset_index()
    return wide.assign(beyond=wide["added"] - wide["random"])


def _ablations(results: Results) -> Iterator[dict[str, Any]]:
    found_all = ablated(results)
    for density in sorted(set(found_all["density"]), reverse=True):
        rows = found_all[found_all["density"] == density]
        setting = f"{density:.0%} kept"
        own = rows[rows["removed"] == rows["language"]]
        others = rows[rows["removed"] != rows["language"]]
        found = interval(by_seed(own, "beyond"))
        claim = "weights of one language's ticket alone matter to it more than random ones"
        yield _row(claim, setting, LM, found, "nats", 1)
        found = difference(by_seed(others, "beyond"), by_seed(own, "beyond"))
        claim = "weights of one language's ticket alone matter to it more than to others"
        yield _row(claim, setting, LM, found, "nats", 1)


def _retrieval(results: Results) -> Iterator[dict[str, Any]]:
    """Under tickets sentences find each other as in the whole model; mean over layers and pairs."""
    rows = results.retrieval[results.retrieval["step"] == results.study.optimiser.steps]
    whole, tickets = rows[rows["ticket"] == ""], rows[rows["ticket"] != ""]
    found = difference(by_seed(tickets, "margin"), by_seed(whole, "margin"))  # what is lost
    spread = by_seed(whole, "margin")
    margin = float(np.std(spread, ddof=1)) if len(spread) > 1 else float("nan")
    claim = "under tickets sentences find each other no worse than in the whole model"
    yield _row(claim, "all layers", LM, found, "accuracy", 0, margin)
