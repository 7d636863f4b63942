"""The tables of a study, and what is read off them over steps: curves, onsets, changes after the best, and layers.

Curves are of the best layer: of a probe that which is best, at each step, on dev of the language it was fitted in; of
retrieval and alignments, which have no dev, that which is best over all pairs.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.dynamics.plan import Study
from neural.measures.probes.onset import centre, forgetting, log2_steps, onset
from neural.study.results import read
from sim.runs.errors import UserError

Array = NDArray[np.float64]

IN, CROSS = "in-language", "cross-lingual"

OF = {"best": "98 % of the best", "gain": "98 % of the gain over the untrained model"}
"""What an onset is the onset of: B22's measure, and one that knowledge of an untrained model's states does not hide."""


class Results:
    """The tables of a study."""

    def __init__(self, study: Study, out: Path) -> None:
        self.study, self.out = study, out
        self.bits = _by_step(read(out, "bits"))
        self.similarity = read(out, "similarity")

    def _table(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        """A table that a study may lack: then it is empty."""
        try:
            return _by_step(read(self.out, name))
        except UserError:
            return pd.DataFrame(columns=list(columns))

    @cached_property
    def identity(self) -> pd.DataFrame:
        keys = ["unit", "seed", "step", "layer", "accuracy", "without", "share", "majority"]
        return self._table("identity", keys)

    @cached_property
    def retrieval(self) -> pd.DataFrame:
        keys = ["one", "other", "removed", "seed", "step", "layer", "margin", "cosine", "chance"]
        return self._table("retrieval", keys)

    @cached_property
    def probes(self) -> pd.DataFrame:
        """The mean over draws."""
        scores = ["accuracy", "loss", "accuracy_dev", "loss_dev", "majority"]
        keys = ["task", "removed", "seed", "step", "layer", "train", "test"]
        rows = self._table("probes", [*keys, *scores])
        return rows.groupby(keys, as_index=False, sort=False)[scores].mean()

    @cached_property
    def controls(self) -> pd.DataFrame:
        keys = ["task", "draw", "language", "seed", "step", "layer", "accuracy"]
        return self._table("controls", keys)

    @cached_property
    def length(self) -> pd.DataFrame:
        keys = ["task", "draw", "language", "seed", "step", "layer", "bits", "uniform"]
        return self._table("length", keys)

    @cached_property
    def alignment(self) -> pd.DataFrame:
        """Where no word is aligned precision, recall and F1 are 0, and so is chance."""
        keys = ["one", "other", "method", "answers", "seed", "step", "layer", "f1", "chance"]
        rows = self._table("alignment", keys)
        return rows.fillna(dict.fromkeys(("precision", "recall", "f1", "chance"), 0.0))

    @cached_property
    def selectivity(self) -> pd.DataFrame:
        """In-language accuracy, that on the control task, the mean over draws, and their difference."""
        rows = self.probes[~self.probes["removed"].astype(bool)]
        own = rows[rows["train"] == rows["test"]].rename(columns={"train": "language"})
        keys = ["task", "language", "seed", "step", "layer"]
        control = self.controls.groupby(keys, as_index=False)["accuracy"].mean()
        accuracies = own[[*keys, "accuracy"]].merge(control, on=keys, suffixes=("", "_control"))
        return accuracies.assign(
            selectivity=accuracies["accuracy"] - accuracies["accuracy_control"]
        )

    @cached_property
    def best_layer(self) -> pd.DataFrame:
        """`probes` at the layer that is best on dev of the language fitted in."""
        rows = self.probes
        keys = ["task", "removed", "seed", "step", "train"]
        own = rows[rows["train"] == rows["test"]].sort_values("layer", kind="stable")
        best = own.loc[own.groupby(keys)["accuracy_dev"].idxmax(), [*keys, "layer"]]
        return rows.merge(best, on=[*keys, "layer"])

    @cached_property
    def curves(self) -> pd.DataFrame:
        """task, kind, train, test, seed, step, layer, score (more is better) and dev (NaN where there is none).

        kind: in-language or cross-lingual. Beside the tasks of probes: `bits per character` (negative), `retrieval` by
        margin, and `argmax` and `itermax`, the F1 of alignments of answers that are written differently.
        """
        best = self.best_layer[~self.best_layer["removed"].astype(bool)]
        parts = [
            best.assign(
                kind=np.where(best["train"] == best["test"], IN, CROSS),
                score=best["accuracy"],
                dev=best["accuracy_dev"],
            ),
            self.bits.assign(
                task="bits per character",
                kind=IN,
                train=self.bits["language"],
                test=self.bits["language"],
                layer=self.study.model.layers,
                score=-self.bits["bits_per_character"],
                dev=np.nan,
            ),
            _of_pairs(self.retrieval[~self.retrieval["removed"].astype(bool)], "margin").assign(
                task="retrieval"
            ),
        ]
        differing = self.alignment[self.alignment["answers"] == "differing"]
        for method, rows in differing.groupby("method", sort=False):
            parts.append(_of_pairs(rows, "f1").assign(task=method))
        columns = ["task", "kind", "train", "test", "seed", "step", "layer", "score", "dev"]
        return pd.concat([part[columns] for part in parts if len(part)], ignore_index=True)

    @cached_property
    def onsets(self) -> pd.DataFrame:
        """Of every curve: task, kind, train, test, seed, of (OF), onset and best (steps), log2 (of the onset)."""
        parts = []
        for task, rows in self.curves.groupby("task", sort=False):
            cells, seeds, steps, scores = arrays(rows, ["kind", "train", "test"], "score")
            for quantity in OF:
                if quantity == "best" and scores.min() < 0:
                    continue  # a share of negative bits means nothing
                timing = onset(scores, steps, floor=scores[:, 0] if quantity == "gain" else None)
                parts += [
                    cells.assign(
                        task=task,
                        of=quantity,
                        seed=seed,
                        onset=timing.first[i],
                        best=timing.best[i],
                        log2=timing.log2[i],
                    )
                    for i, seed in enumerate(seeds)
                ]
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def drift(self) -> pd.DataFrame:
        """Of every probe and layer: task, kind, train, test, layer, seed, and the relative change of its accuracy

        change      from the step that is best on dev, step `best`, to the last one
        since_last  from the step at which the last layer is best on dev to the last step
        """
        rows = self.probes[~self.probes["removed"].astype(bool)]
        parts = []
        for task, own in rows.groupby("task", sort=False):
            cells, seeds, steps, scores = arrays(own, ["train", "test", "layer"], "accuracy")
            dev = arrays(own, ["train", "test", "layer"], "accuracy_dev")[3]
            best = dev.argmax(axis=1)
            last = cells["layer"] == self.study.model.layers
            of_last = cells[last].assign(place=np.arange(int(last.sum())))
            place = cells.merge(of_last[["train", "test", "place"]], on=["train", "test"])["place"]
            then = best[:, last.to_numpy()][:, place.to_numpy()]
            before = np.take_along_axis(scores, then[:, None], axis=1)[:, 0]
            for i, seed in enumerate(seeds):
                with np.errstate(divide="ignore", invalid="ignore"):
                    since = np.where(before[i] > 0, scores[i, -1] / before[i] - 1, np.nan)
                parts.append(
                    cells.assign(
                        task=task,
                        kind=np.where(cells["train"] == cells["test"], IN, CROSS),
                        seed=seed,
                        best=steps[best[i]],
                        change=forgetting(scores[i : i + 1], by=dev[i : i + 1]).value,
                        since_last=since,
                    )
                )
        columns = ["train", "test", "layer", "task", "kind", "seed", "best", "change", "since_last"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """Of every probe and step: task, kind, train, test, seed, step, log2_step, the layer that is best on the test
        part, and the centre of mass of the accuracy above the most frequent class over layers.
        """
        rows = self.probes[~self.probes["removed"].astype(bool)]
        parts = []
        for keys, own in rows.groupby(["task", "train", "test"], sort=False):
            task, train, test = keys
            _, seeds, steps, scores = arrays(own, ["layer"], "accuracy")
            centres = centre(scores, floor=own["majority"].iat[0])
            for i, seed in enumerate(seeds):
                parts.append(
                    pd.DataFrame(
                        {
                            "task": task,
                            "kind": IN if train == test else CROSS,
                            "train": train,
                            "test": test,
                            "seed": seed,
                            "step": steps,
                            "log2_step": log2_steps(steps),
                            "best_layer": scores[i].argmax(axis=-1),
                            "centre": centres[i],
                        }
                    )
                )
        columns = ["task", "kind", "train", "test", "seed", "step", "log2_step", "best_layer"]
        none = pd.DataFrame(columns=[*columns, "centre"])
        return pd.concat(parts, ignore_index=True) if parts else none


def _by_step(rows: pd.DataFrame) -> pd.DataFrame:
    """Parts are read in the order of their names, which begin with their steps as words."""
    return rows.sort_values("step", kind="stable", ignore_index=True)


def _of_pairs(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Of pairs of languages the curve of the layer that is best in the mean over all."""
    means = rows.groupby(["seed", "step", "layer"], as_index=False)[column].mean()
    best = means.loc[means.groupby(["seed", "step"])[column].idxmax(), ["seed", "step", "layer"]]
    curve = rows.merge(best, on=["seed", "step", "layer"])
    return curve.assign(
        kind=CROSS, train=curve["one"], test=curve["other"], score=curve[column], dev=np.nan
    )


def arrays(
    rows: pd.DataFrame, cells: Sequence[str], column: str
) -> tuple[pd.DataFrame, list[int], NDArray[np.int64], Array]:
    """The cells of a table, its seeds, its steps, and a column as (seeds, steps, cells)."""
    table = rows.pivot_table(index=["seed", "step"], columns=list(cells), values=column, sort=True)
    seeds = sorted(set(rows["seed"]))
    steps = np.array(sorted(set(rows["step"])), dtype=np.int64)
    array = table.to_numpy(np.float64).reshape(len(seeds), len(steps), -1)
    return table.columns.to_frame(index=False), [int(seed) for seed in seeds], steps, array
