"""The tables of a study joined into one: a row a model, which is a pair of languages, a share, a seed and a step.

Columns of `models`, NaN where a model has none (tickets and ablations are of some steps, TEff of the last):

loss_first, loss_second      clean losses on the two languages, nats a token
area_GROUP                   what failures of a group add to the loss on the first language: mean over strengths, and
                             over kinds of failure; slope_GROUP: growth under small relative noise, over sigma squared
spared_GROUP                 the area of the model of the first language alone, less the model's
overlap                      of the two languages' tickets: 0 by chance, 1 as two tickets of one language
jaccard, ceiling, untuned    its parts (neural.across.measure.overlaps)
specific                     what the removal of one ticket's own weights adds to the loss of its language, less what it
                             adds to the other's, both beyond random removal; nats
teff_first, teff_second      token efficiency, of models of two languages; a bound where beyond_first or
                             beyond_second says on which side
state_cosine, gradient_cosine  how alike the two languages are; of states less those of unrelated sentences
retrieval, language, tags, transferred  accuracies of probes, means over layers
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.across.measure import LANGUAGE, RETRIEVAL, TAGS, TRANSFERRED
from neural.across.plan import ALONE, CLONES, GROUPS, Study
from neural.measures.degradation import curve
from neural.measures.efficiency import interpolated
from neural.study.results import read
from sim.runs.errors import UserError

Array = NDArray[np.float64]

KEYS = ["pair", "share", "seed", "step"]
PROBED = {RETRIEVAL: "retrieval", LANGUAGE: "language", TAGS: "tags", TRANSFERRED: "transferred"}
AREAS = [f"area_{group}" for group in GROUPS]
SPARED = [f"spared_{group}" for group in GROUPS]
TABLES = ("loss", "failures", "alike", "probes", "slopes", "overlap", "ablation")


class Results:
    """The tables of a study, and all of them joined."""

    def __init__(self, study: Study, out: Path) -> None:
        self.study, self.out = study, out
        self.loss = read(out, "loss")
        self.failures = read(out, "failures")
        self.alike = read(out, "alike")
        self.probes = read(out, "probes")
        self.slopes = read(out, "slopes")
        self.overlap = read(out, "overlap")
        self.ablation = read(out, "ablation")
        for name in TABLES:
            there = set(getattr(self, name)["run"])
            whole = study.runs if name == "loss" else study.studied
            if missing := [recipe.name for recipe in whole if recipe.name not in there]:
                raise UserError(
                    f"{out} has no table {name} of {missing[0]}: finish the study with --resume"
                )

    @cached_property
    def areas(self) -> pd.DataFrame:
        """What every failure adds to the loss on the first language, on average over its strengths: KEYS, `group`,
        `failure`, `area` (nats a token)."""
        parts = []
        keys = ["pair", "share", "step", "group", "failure"]
        for key, rows in self.failures.groupby(keys, sort=False):
            seeds = np.sort(rows["seed"].unique())
            seed_areas = pd.DataFrame({"seed": seeds, "area": curve(rows).areas})
            parts.append(seed_areas.assign(**dict(zip(keys, key, strict=True))))
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def monolingual(self) -> dict[tuple[str, str, int], tuple[Array, Array]]:
        """Tokens and perplexities of the runs of one language alone, of a pair, one of its languages and a seed."""
        rows = self.loss[self.loss["last"] & (self.loss["seen"] > 0)]
        rows = rows[rows["share"].isin([0.0, 1.0])]
        return {
            key: (part["seen"].to_numpy(np.float64), np.exp(part["nats_per_token"].to_numpy()))
            for key, part in rows.groupby(["pair", "language", "seed"], sort=False)
        }

    @cached_property
    def efficiency(self) -> pd.DataFrame:
        """TEff of the last models of two languages, by language: KEYS, `role`, `teff`, a bound if `beyond`.

        Interpolated between the monolingual runs: models this small learn by leaps, which no fitted curve follows.
        """
        rows = self._studied(self.loss)
        rows = rows[rows["last"] & (rows["share"] > 0)]
        lines = []
        for row in rows.itertuples():
            language = CLONES[0] if row.pair == "-".join(CLONES) else row.language
            runs = self.monolingual[row.pair, language, row.seed]
            tokens, beyond = interpolated(*runs, float(np.exp(row.nats_per_token)))
            role = _role(row.pair, row.language)
            lines.append((row.pair, row.share, row.seed, row.step, role, tokens / row.seen, beyond))
        return pd.DataFrame(lines, columns=[*KEYS, "role", "teff", "beyond"])

    @cached_property
    def ablated(self) -> pd.DataFrame:
        """What the removal of one ticket's own weights adds to the loss of each language, beyond random removal.

        KEYS, `removed`, `language`, `weights`, `beyond` (nats a token).
        """
        keys = [*KEYS, "language"]
        rows = self.ablation
        wide = rows[rows["how"] != "whole"].pivot_table(
            index=[*keys, "removed", "weights"], columns="how", values="nats"
        )
        beyond = wide["only this ticket's"] - wide["random"]
        return beyond.rename("beyond").reset_index()

    @cached_property
    def models(self) -> pd.DataFrame:
        """All of it."""
        joined = _wide(self._studied(self.loss).assign(role=self._roles), "role", "nats_per_token")
        joined = joined.add_prefix("loss_")
        parts = [
            self.areas.groupby([*KEYS, "group"])["area"].mean().unstack().add_prefix("area_"),
            self._slopes,
            self.overlap.set_index(KEYS)[["overlap", "jaccard", "ceiling", "untuned"]],
            self._specific,
            self._alike,
            _wide(self.probes, "probe", "accuracy").rename(columns=PROBED),
            *self._efficiencies(),
        ]
        for part in parts:
            joined = joined.join(part, how="left")
        joined = joined.reset_index()
        for area, spared in zip(AREAS, SPARED, strict=True):
            joined[spared] = 0.0 - gained(joined, area)
        order = {"-".join(pair): place for place, pair in enumerate(self.study.pairs)}
        joined = joined.assign(
            kind=np.where(joined["pair"] == "-".join(CLONES), "clones", "real"),
            last=joined["step"] == self.study.optimiser.steps,
            _place=joined["pair"].map(order),
        )
        joined = joined.sort_values(
            ["_place", "share", "seed", "step"],
            ascending=[True, False, True, True],
            ignore_index=True,
        )
        return joined.drop(columns="_place")

    @staticmethod
    def _studied(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[(rows["budget"] == 1) & (rows["share"] < 1)]

    @property
    def _roles(self) -> list[str]:
        rows = self._studied(self.loss)
        return [_role(*key) for key in zip(rows["pair"], rows["language"], strict=True)]

    @property
    def _slopes(self) -> pd.DataFrame:
        return _wide(self.slopes, "group", "slope").add_prefix("slope_")

    @property
    def _specific(self) -> pd.Series:
        own = self.ablated["removed"] == self.ablated["language"]
        means = [self.ablated[which].groupby(KEYS)["beyond"].mean() for which in (own, ~own)]
        return (means[0] - means[1]).rename("specific")

    @property
    def _alike(self) -> pd.DataFrame:
        values = self.alike["value"] - self.alike["unrelated"].fillna(0.0)
        similarities = _wide(self.alike.assign(aligned=values), "measure", "aligned")
        return similarities.rename(columns=lambda name: name.replace(" ", "_"))

    def _efficiencies(self) -> Iterator[pd.DataFrame]:
        for column in ("teff", "beyond"):
            for role in ("first", "second"):
                rows = self.efficiency[self.efficiency["role"] == role]
                yield rows.set_index(KEYS)[[column]].add_suffix(f"_{role}")


def _role(pair: str, language: str) -> str:
    return "first" if pair.split("-")[0] == language else "second"


def _wide(rows: pd.DataFrame, names: str, values: str) -> pd.DataFrame:
    """By KEYS, a column a name; means over what else tells rows apart."""
    return rows.groupby([*KEYS, names])[values].mean().unstack()


def gained(models: pd.DataFrame, column: str) -> pd.Series:
    """What a model has of a column more than that of the first language alone, of its pair, seed and step."""
    keys = ["pair", "seed", "step"]
    alone = models[models["share"] == ALONE].set_index(keys)[column]
    places = pd.MultiIndex.from_frame(models[keys])
    return models[column] - alone.reindex(places).to_numpy()


def by_seed(rows: pd.DataFrame, column: str, seeds: Sequence[int]) -> Any:
    """A column (seeds,) of the models of one pair, share and step, in order."""
    return rows.set_index("seed")[column].reindex(seeds).to_numpy(np.float64)
