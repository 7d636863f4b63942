"""The study in a folder: neural.study.results, and beside its tables the models.

OUT/tokenizer.json      of all languages
OUT/models/             a run of neural.train.loop, with the models of every step that is probed
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from neural.dynamics import measure
from neural.dynamics.plan import Study
from neural.dynamics.readings import Readings
from neural.dynamics.subjects import Subjects
from neural.study.results import Work, fill
from sim.runs.store import Run

Stop = Callable[[], bool]


def do(study: Study, out: Path, *, resume: bool = False, stop: Stop = lambda: False) -> Run:
    """Do what is missing of a study in its folder. Raises UserError for a study that cannot be done."""
    place = _Place(Subjects.opened(study, out))
    return fill(
        out,
        study,
        dict(_parts(place)),
        resume=resume,
        stop=stop,
        before=[
            ("reading", place.subjects.require_trainable),
            ("training", partial(place.subjects.train, stop)),
        ],
    )


@dataclass(frozen=True)
class _Place:
    """What a study reads, and the states of the steps at hand: those of others are forgotten."""

    subjects: Subjects
    _readings: list[Readings] = field(default_factory=list)

    def readings(self, steps: tuple[int, ...]) -> Readings:
        if not self._readings or self._readings[0].steps != steps:
            self._readings[:] = [Readings(self.subjects, steps)]
        return self._readings[0]


def _parts(place: _Place) -> Iterator[tuple[str, Work]]:
    """Names of parts and how to make them: all of some steps, then of the next."""
    study = place.subjects.study
    yield "similarity-all", partial(measure.similarities, place.subjects)
    for steps in study.groups:
        for name, work in _measures(place):
            costly = name.startswith(("controls", "length"))
            if not costly or set(steps) & set(study.coarse_steps):
                yield f"{name}-steps-{steps[0]}-{steps[-1]}", partial(_of, place, steps, work)


def _of(
    place: _Place, steps: tuple[int, ...], work: Callable[[Readings], pd.DataFrame]
) -> pd.DataFrame:
    return work(place.readings(steps))


def _measures(place: _Place) -> Iterator[tuple[str, Callable[[Readings], pd.DataFrame]]]:
    """Names of tables and what, and how each is made of the states of some steps."""
    study = place.subjects.study
    tasks = study.tasks
    yield "bits-text", measure.bits
    for task in tasks:
        yield f"probes-{task}", partial(measure.probes, task=task)
    for task in study.controls:
        if task in tasks:
            yield f"controls-{task}", partial(measure.controls, task=task)
    if "parts-of-speech" in tasks:
        yield "probes-without-language", partial(measure.without_language, task="parts-of-speech")
        yield "length-parts-of-speech", partial(measure.lengths, task="parts-of-speech")
    if place.subjects.sentences or study.aligned:
        yield "identity-languages", measure.identities
    if study.aligned:
        yield "retrieval-sentences", measure.retrievals
    if place.subjects.answer_languages:
        yield "alignment-answers", measure.alignments
