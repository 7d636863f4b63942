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
from neural.measures.intervals import (
    Interval,
    at_most,
    difference,
    effect,
    interval,
    rank_correlation,
)
from neural.study.claims import Claim, Claims
from neural.study.results import read
from neural.subnetworks.plan import Study, Task
from sim.runs.errors import UserError

Array = NDArray[np.float64]

COLUMNS = (
    *("id", "claim", "setting", "task", "effect", "low", "high", "unit"),
    *("expected", "verdict"),
)
LM = "language-modelling"

OWN = Claim(
    "own-ticket",
    "a ticket costs no more than the whole model",
    0,
    "English, 50 %: perplexity 4.63 against 4.65, F1 83.60 against 83.47, XNLI 82.14 against 82.16",
)
NULLS = {
    "random": Claim(
        "beats-random",
        "a ticket beats a random mask",
        1,
        "English, 50 %: perplexity 4.63 against 10.92, F1 83.60 against 68.05, XNLI 82.14 against 74.49",
    ),
    "random by matrix": Claim(
        "beats-random-by-matrix", "a ticket beats a random mask of its density by matrix", 1
    ),
    "random within tickets": Claim(
        "beats-random-within-tickets",
        "a ticket beats a random mask within the denser tickets",
        1,
        "a control",
    ),
    "magnitude of theta0": Claim(
        "beats-magnitude-before", "a ticket beats the largest weights before any tuning", 1
    ),
    "one-shot magnitude": Claim(
        "beats-one-shot", "a ticket beats one-shot magnitude", 1, "a control"
    ),
    "shuffled": Claim("beats-shuffled", "a ticket beats that of shuffled labels", 1),
}
"""By the mask that a ticket is held against."""
OTHER_COSTS_MORE = Claim(
    "other-ticket-costs-more",
    "another language's ticket costs more",
    1,
    "perplexity +0.2 to +0.5",
)
OTHER_BEATS_RANDOM = Claim(
    "other-ticket-beats-random",
    "another language's ticket costs less than a random mask",
    -1,
    "perplexity +0.2 to +0.5, random +2 to +6",
)
MIXED_BEATS_OTHER = Claim(
    "mixed-ticket-beats-other",
    "a ticket of all languages costs less than one of another",
    -1,
    "it beats those of one language",
)
REWOUND = Claim(
    "rewound-ticket",
    "a ticket rewound to an earlier step costs no more than the whole model there",
    0,
)


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
        above_chance = corrected(pairs["jaccard"], pairs["expected"], ceiling)
        return pairs.assign(ceiling=ceiling, corrected=above_chance)


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
    claim: Claim,
    setting: str,
    task: str,
    estimate: Interval,
    unit: str,
    margin: float = float("nan"),
) -> dict[str, Any]:
    """margin: what an effect that is expected to be none may be at most."""
    judged = effect(estimate, unit, claim.expected, none=partial(at_most, margin=margin))
    return {"id": claim.id, "claim": claim.says, "setting": setting, "task": task, **judged}


def _unit(task: Task) -> str:
    return {"nats": "nats", "f1": "F1"}.get(task.measure, "accuracy")


def _worth(results: Results, task: Task, density: float) -> Iterator[dict[str, Any]]:
    """What tickets cost, of the language itself, of another, and the controls."""
    rows = results.paid[(results.paid["task"] == task.name) & (results.paid["density"] == density)]
    setting, unit = f"{density:.0%} kept", _unit(task)
    costs = {name: by_seed(part, "cost") for name, part in rows.groupby("source")}
    tickets = rows[rows["kind"] == "ticket"]
    own = by_seed(tickets[tickets["source"] == tickets["target"]], "cost")
    other = by_seed(tickets[tickets["source"] != tickets["target"]], "cost")
    margin = float(np.std(costs["full"], ddof=1)) if len(own) > 1 else float("nan")
    yield _row(OWN, setting, task.name, difference(costs["full"], own), unit, margin)
    for name, claim in NULLS.items():
        if name in costs:
            yield _row(claim, setting, task.name, difference(own, costs[name]), unit)
    estimate = difference(own, other)
    yield _row(OTHER_COSTS_MORE, setting, task.name, estimate, unit)
    estimate = difference(costs["random"], other)
    yield _row(OTHER_BEATS_RANDOM, setting, task.name, estimate, unit)
    if "mixed" in costs:
        estimate = difference(other, costs["mixed"])
        yield _row(MIXED_BEATS_OTHER, setting, task.name, estimate, unit)
    if "rewound" in costs:
        estimate = difference(costs["full, rewound"], costs["rewound"])
        spread = costs["full, rewound"]
        margin = float(np.std(spread, ddof=1)) if len(spread) > 1 else float("nan")
        yield _row(REWOUND, setting, task.name, estimate, unit, margin)


def _at(results: Results, task: Task, density: float | None = None) -> int:
    """The round of a density, by default the task's first."""
    return task.round_of(task.densities[0] if density is None else density)


OVERLAPS = {
    "languages": Claim(
        "overlap-of-languages",
        "tickets of two languages overlap more than chance",
        1,
        "more than chance, 33 % at 50 %",
    ),
    "theta0": Claim(
        "overlap-with-magnitude",
        "a ticket overlaps with the largest weights before tuning more than chance",
        1,
    ),
    "shuffled": Claim(
        "overlap-with-shuffled",
        "a ticket overlaps with that of shuffled labels more than chance",
        1,
    ),
    "early": Claim(
        "overlap-with-early",
        "a ticket overlaps with that of an earlier checkpoint more than chance",
        1,
    ),
}
"""By what a ticket is held against."""
MORE_THAN_MAGNITUDE = Claim(
    "overlap-more-than-magnitude",
    "tickets of two languages overlap more than with the largest weights before tuning",
    1,
)
LESS_THAN_SEEDS = Claim(
    "overlap-less-than-seeds",
    "tickets of two languages overlap less than two of one",
    -1,
    "two of one: 98.66 % (NER), 92.23 % (XNLI, MLM)",
)


def _overlap(results: Results, task: Task) -> Iterator[dict[str, Any]]:
    rows = results.overlap
    rows = rows[(rows["task"] == task.name) & (rows["scope"] == "total") & (rows["order"] == 0)]
    for density in task.densities:
        at, setting = rows[rows["round"] == task.round_of(density)], f"{density:.0%} kept"
        kinds = {
            kind: part.assign(above=part["jaccard"] - part["expected"])
            for kind, part in at.groupby("kind")
        }
        for kind, claim in OVERLAPS.items():
            if kind in kinds:
                estimate = interval(by_seed(kinds[kind], "above"))
                yield _row(claim, setting, task.name, estimate, "Jaccard")
        pair = (by_seed(kinds[kind], "jaccard") for kind in ("theta0", "languages"))
        yield _row(MORE_THAN_MAGNITUDE, setting, task.name, difference(*pair), "Jaccard")
        pair = (by_seed(kinds[kind], "jaccard") for kind in ("seeds", "languages"))
        yield _row(LESS_THAN_SEEDS, setting, task.name, difference(*pair), "Jaccard")


def _shared(results: Results, task: Task, scope: str = "total") -> pd.DataFrame:
    """The corrected overlaps of a task at its first density."""
    rows = results.shared
    own = (rows["task"] == task.name) & (rows["round"] == _at(results, task))
    return rows[own & (rows["scope"] == scope)]


DIFFERS = Claim(
    "overlap-differs-between-tasks", "overlap differs between tasks", 1, "NER > XNLI > MLM"
)


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
            yield _row(DIFFERS, f"{more} less {less}", more, difference(*pair), "Jaccard")


MIDDLE = Claim("overlap-in-the-middle", "overlap is greatest in the middle", 1, "of MLM")
RISES = Claim("overlap-rises-with-depth", "overlap rises with depth", 1, "of NER and XNLI")


def _depth(results: Results) -> Iterator[dict[str, Any]]:
    """F22: of tasks the overlap rises with depth; of language modelling it is greatest in the middle."""
    last = results.study.model.layers - 1
    for task in results.study.tasks:
        layers = [by_seed(_shared(results, task, f"layer {i}"), "jaccard") for i in range(last + 1)]
        if task.name == LM and last > 1:
            ends = (layers[0] + layers[-1]) / 2
            estimate = difference(ends, np.mean(layers[1:-1], axis=0))
            yield _row(MIDDLE, "inner less outer", LM, estimate, "Jaccard")
        elif task.name != LM and last:
            estimate = difference(layers[0], layers[-1])
            yield _row(RISES, "last less first", task.name, estimate, "Jaccard")


SPARSER = Claim("sparser-transfers-worse", "sparser tickets transfer worse", 1, "at 20 % far worse")


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
            yield _row(SPARSER, setting, task.name, difference(*costs), _unit(task))
    try:
        yield from _ablations(results)
    except UserError:
        return
    if results.study.aligned:
        yield from _retrieval(results)


OVERLAP_TRANSFERS = Claim("overlap-transfers", "pairs that overlap more transfer better", -1)


def _pairs(results: Results, task: Task) -> Iterator[dict[str, Any]]:
    """Pairs of languages that share more transfer better: rank correlation over ordered pairs, seed by seed.

    Not of three languages, whose three overlaps have too few orders to tell.
    """
    if len(task.languages) < 4:
        return
    estimate = interval(correlations(results, task))
    estimate = Interval(
        estimate.value, *(np.clip(end, -1, 1) for end in (estimate.low, estimate.high))
    )
    setting = f"{task.densities[0]:.0%} kept"
    yield _row(OVERLAP_TRANSFERS, setting, task.name, estimate, "rank correlation")


def pairs(results: Results, task: Task) -> pd.DataFrame:
    """Of ordered pairs of languages, by seed: corrected overlap, and how much more the source's ticket costs."""
    rows = results.paid
    rows = rows[(rows["task"] == task.name) & (rows["density"] == task.densities[0])]
    rows = rows[(rows["kind"] == "ticket") & (rows["source"] != rows["target"])]
    shared = _shared(results, task)
    ordered_pairs = pd.concat(
        [shared, shared.rename(columns={"language": "other", "other": "language"})],
        ignore_index=True,
    )
    ordered_pairs = ordered_pairs.rename(columns={"language": "source", "other": "target"})
    columns = ["seed", "source", "target", "jaccard", "corrected"]
    return rows.merge(ordered_pairs[columns], on=columns[:3])


def correlations(results: Results, task: Task) -> Array:
    """Spearman's of `pairs`, (seeds,); NaN where one side does not vary, as with one pair."""
    of_seeds = pairs(results, task).groupby("seed")
    return np.array([rank_correlation(part["jaccard"], part["more"]) for _, part in of_seeds])


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


OWN_WEIGHTS = Claim(
    "own-weights-beyond-random",
    "weights of one language's ticket alone matter to it more than random ones",
    1,
)
OWN_WEIGHTS_SPECIFIC = Claim(
    "own-weights-beyond-others",
    "weights of one language's ticket alone matter to it more than to others",
    1,
)


def _ablations(results: Results) -> Iterator[dict[str, Any]]:
    found_all = ablated(results)
    for density in sorted(set(found_all["density"]), reverse=True):
        rows = found_all[found_all["density"] == density]
        setting = f"{density:.0%} kept"
        own = rows[rows["removed"] == rows["language"]]
        others = rows[rows["removed"] != rows["language"]]
        estimate = interval(by_seed(own, "beyond"))
        yield _row(OWN_WEIGHTS, setting, LM, estimate, "nats")
        estimate = difference(by_seed(others, "beyond"), by_seed(own, "beyond"))
        yield _row(OWN_WEIGHTS_SPECIFIC, setting, LM, estimate, "nats")


RETRIEVES = Claim(
    "tickets-retrieve",
    "under tickets sentences find each other no worse than in the whole model",
    0,
    "measured layer by layer",
)


def _retrieval(results: Results) -> Iterator[dict[str, Any]]:
    """Under tickets sentences find each other as in the whole model; mean over layers and pairs."""
    rows = results.retrieval[results.retrieval["step"] == results.study.optimiser.steps]
    whole, tickets = rows[rows["ticket"] == ""], rows[rows["ticket"] != ""]
    estimate = difference(by_seed(tickets, "margin"), by_seed(whole, "margin"))  # what is lost
    spread = by_seed(whole, "margin")
    margin = float(np.std(spread, ddof=1)) if len(spread) > 1 else float("nan")
    yield _row(RETRIEVES, "all layers", LM, estimate, "accuracy", margin)


CLAIMS = Claims(
    [
        *(OWN, *NULLS.values()),
        *(OTHER_COSTS_MORE, OTHER_BEATS_RANDOM, MIXED_BEATS_OTHER, REWOUND),
        *(*OVERLAPS.values(), MORE_THAN_MAGNITUDE, LESS_THAN_SEEDS, DIFFERS, MIDDLE, RISES),
        *(SPARSER, OVERLAP_TRANSFERS, OWN_WEIGHTS, OWN_WEIGHTS_SPECIFIC, RETRIEVES),
    ]
)
