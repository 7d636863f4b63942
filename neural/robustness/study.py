"""The study in a folder: neural.study.results, and beside its tables the models.

OUT/tokenizer.json              of all texts
OUT/models/TEXT+TEXT/           a run of neural.train for each stack of models
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from neural.robustness import measure
from neural.robustness.classification import Tuning
from neural.robustness.plan import Hit, Kind, Study
from neural.robustness.subjects import held_out, nearest_steps
from neural.study.pretrained import MODELS, TOKENIZER, Place
from neural.study.results import Work, fill
from neural.study.results import read as read_table
from neural.study.stack import Stack, stack
from neural.text import labelled
from neural.text.tokens import Tokens
from sim.runs.store import Run


def do(
    study: Study, out: Path, *, resume: bool = False, stop: Callable[[], bool] = lambda: False
) -> Run:
    """Do what is missing of a study in its folder. Raises UserError for a study that cannot be done."""
    place = read(study, out)
    return fill(
        out,
        study,
        dict(_parts(place)),
        resume=resume,
        stop=stop,
        before=[
            ("reading", place.require_trainable),
            *((f"training {model}", partial(place.train, model, stop)) for model in study.models),
        ],
    )


def read(study: Study, out: Path) -> "_Place":
    """A study with its text and tasks, which leave no folder behind where they cannot be read."""
    study.check()
    place = _Place(study, out)
    if not (out / TOKENIZER).is_file():
        _ = place.corpus
        for name in study.classification.tasks if study.classification else ():
            labelled.task(name, study.data_dir)
    return place


@dataclass(frozen=True)
class _Place(Place):
    """A study in its folder, with what its measures read."""

    study: Study

    @property
    def names(self) -> tuple[str, ...]:
        return self.study.texts

    @cached_property
    def texts(self) -> dict[str, Tokens]:
        return held_out(self.corpus, self.study.measures, self.tokenizer)

    def texts_of(self, model: str) -> dict[str, Tokens]:
        return {text: self.texts[text] for text in model.split("+")}

    @cached_property
    def tuning(self) -> Tuning | None:
        plan = self.study.classification
        return None if plan is None else Tuning(plan, self.study, self.tokenizer)

    def require_trainable(self) -> None:
        """Raise UserError for a model that cannot be trained."""
        for model in self.study.models:
            self.require(model.split("+"))

    def train(self, model: str, stop: Callable[[], bool]) -> None:
        self.trained(model.split("+"), self.out / MODELS / model, stop)

    def stack(self, model: str, steps: Any = None) -> Stack:
        return stack(self.out / MODELS / model, steps)


def _parts(place: _Place) -> Iterator[tuple[str, Work]]:
    """Names of parts and how to make them, in an order in which each finds what it needs of those before."""
    study = place.study
    for model in study.models:
        yield f"clean-{model}", partial(_clean, place, model)
    for model in study.models:
        for hit in study.measures.hits:
            yield f"curves-{model}-{hit.group}", partial(_curves, place, model, hit)
    for single, several in _matches(study):
        for hit in study.hits_matched:
            name = f"curves-{single}-matched-{several}-{hit.group}"
            yield name, partial(_matched, place, single, several, hit)
    first = study.comparisons[0]
    for model in (first.first, first.several):
        for step in study.early:
            for hit in study.hits_in_training:
                name = f"curves-{model}-step-{step}-{hit.group}"
                yield name, partial(_curves, place, model, hit, step)
    for model in study.models:
        yield f"slopes-{model}", partial(_slopes, place, model)
        yield f"spectra-{model}", partial(_spectra, place, model)
    if study.classification is not None:
        for number, task in enumerate(study.classification.tasks):
            for single, several in _matches(study, study.classification.kinds):
                name = f"classification-{number}-{single}-{several}"  # a task may be a path
                yield name, partial(_classification, place, task, single, several)


def _matches(study: Study, kinds: tuple[Kind, ...] = get_args(Kind)) -> list[tuple[str, str]]:
    return [(c.first, c.several) for c in study.comparisons if c.kind in kinds]


def _clean(place: _Place, model: str) -> pd.DataFrame:
    texts, measures = place.texts_of(model), place.study.measures
    steps = place.study.steps
    parts = [measure.clean(place.stack(model, step), texts, measures) for step in steps]
    return pd.concat(parts, ignore_index=True)


def _curves(place: _Place, model: str, hit: Hit, step: int | None = None) -> pd.DataFrame:
    broken = place.stack(model, step)
    return measure.curves(broken, place.texts_of(model), hit, place.study.measures)


def _matched(place: _Place, model: str, other: str, hit: Hit) -> pd.DataFrame:
    """Of the model where its loss was that which the other ends with."""
    steps = nearest_steps(read_table(place.out, "clean"), model, other, text=model)
    broken, texts = place.stack(model, steps), place.texts_of(model)
    return measure.curves(broken, texts, hit, place.study.measures, matched=other)


def _slopes(place: _Place, model: str) -> pd.DataFrame:
    text = model.split("+")[0]
    return measure.slopes(place.stack(model), {text: place.texts[text]}, place.study.measures)


def _spectra(place: _Place, model: str) -> pd.DataFrame:
    return measure.spectra_of(place.stack(model))


def _classification(place: _Place, name: str, single: str, several: str) -> pd.DataFrame:
    """Both models of a comparison at their best, and where they are equally accurate without failure."""
    assert place.tuning is not None
    comparison = place.tuning.compared(name, place.stack(single), place.stack(several))
    return comparison.assign(several=several)
