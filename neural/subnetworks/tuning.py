"""Tunings of many models, each of a pretrained model on a language under a mask, some at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from neural.masks.mask import Mask, full, stacked
from neural.masks.prune import Train
from neural.study.pretrained import TEST
from neural.study.stack import Parameters
from neural.subnetworks.plan import Task
from neural.subnetworks.subjects import Subjects
from neural.tune.objective import tune


@dataclass(frozen=True, eq=False)
class Job:
    """A tuning: of the pretrained model of a seed, at a step, on a language."""

    seed: int
    language: str
    mask: Mask | None = None
    order: int = 0
    """Of what the tuning reads."""
    step: int | None = None
    """Of the pretrained model; by default the last."""

    @property
    def tuning_seed(self) -> int:
        return 1000 * self.seed + self.order


def measured(subjects: Subjects, task: Task, jobs: Sequence[Job]) -> pd.DataFrame:
    """A row a job: what each tuned model does on the test part of its language."""
    parts = []
    for some, state in _tuned(subjects, task, jobs):
        objective = subjects.objective(task, [job.language for job in some])
        scores = objective.evaluate(state, subjects.study.model, TEST)
        parts.append(pd.DataFrame(scores))
    return pd.concat(parts, ignore_index=True)[: len(jobs)]


def weights(subjects: Subjects, task: Task, jobs: Sequence[Job]) -> list[Parameters]:
    """The models after their tunings."""
    models: list[Parameters] = []
    for some, state in _tuned(subjects, task, jobs):
        arrays = {name: np.asarray(state[name]) for name in subjects.pretrained().parameters}
        models += [{name: value[i] for name, value in arrays.items()} for i in range(len(some))]
    return models[: len(jobs)]


def trainer(
    subjects: Subjects,
    task: Task,
    seeds: Sequence[int],
    languages: Sequence[str],
    *,
    shuffled: bool,
) -> Train:
    """Tuning as pruning takes it: of a stack of models with these seeds on these languages, some at once."""
    config = subjects.study.model

    def train(parameters: Mapping[str, Any], masks: Mapping[str, Any] | None) -> dict[str, Any]:
        parts = []
        for rows in _chunks(len(seeds), subjects.at_once):
            objective = subjects.objective(task, [languages[i] for i in rows], shuffled=shuffled)
            state = tune(
                {name: value[rows] for name, value in parameters.items()},
                config,
                objective,
                task.tuning,
                None if masks is None else {name: value[rows] for name, value in masks.items()},
                seeds=[seeds[i] for i in rows],
            )
            parts.append({name: np.asarray(state[name]) for name in parameters})
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parameters}
        return {name: value[: len(seeds)] for name, value in whole.items()}

    return train


def _tuned(
    subjects: Subjects, task: Task, jobs: Sequence[Job]
) -> Iterator[tuple[list[Job], Mapping[str, Any]]]:
    """Chunks of jobs, the last filled up with the first ones, and their models with their heads."""
    config = subjects.study.model
    for rows in _chunks(len(jobs), subjects.at_once):
        some = [jobs[row] for row in rows]
        masks = stacked([job.mask or full(config) for job in some])
        start = _starts(subjects, some)
        objective = subjects.objective(task, [job.language for job in some])
        seeds = [job.tuning_seed for job in some]
        yield some, tune(start, config, objective, task.tuning, masks, seeds=seeds)


def _starts(subjects: Subjects, jobs: Sequence[Job]) -> Parameters:
    models = [subjects.start([job.seed], job.step) for job in jobs]
    return {name: np.concatenate([model[name] for model in models]) for name in models[0]}


def _chunks(n: int, size: int) -> Iterator[list[int]]:
    """All of n places, `size` at a time; the last chunk goes on from the first place."""
    for first in range(0, n, size):
        yield [place % n for place in range(first, first + size)]
