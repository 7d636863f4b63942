"""The study in a folder: neural.study.results, and beside its tables the models and the masks.

OUT/tokenizer-….json                        of the cloned text, and of each pair of real languages
OUT/models/NAME/                            a run of neural.train.loop for each recipe of the plan
OUT/masks/NAME/step-…/LANGUAGE-ORDER/       the tickets of a stack of models
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from neural.across import measure
from neural.across.measure import Hunted
from neural.across.plan import Recipe, Study
from neural.across.subjects import MODELS, Both, Subjects
from neural.masks.mask import Mask, load
from neural.masks.prune import file_of, save_round
from neural.study.results import Work, fill
from neural.study.stack import Stack
from neural.train.loop import train
from sim.runs.identity import identity
from sim.runs.store import Run

MASKS = "masks"
Stop = Callable[[], bool]
Measure = Callable[[Stack, Both], pd.DataFrame]


def do(study: Study, out: Path, *, resume: bool = False, stop: Stop = lambda: False) -> Run:
    """Do what is missing of a study in its folder. Raises UserError for a study that cannot be done."""
    subjects = read(study, out)
    return fill(
        out,
        study,
        dict(_parts(subjects)),
        resume=resume,
        stop=stop,
        before=[
            ("reading", subjects.require_trainable),
            *(
                (f"training {recipe.name}", partial(_train, subjects, recipe, stop))
                for recipe in study.runs
            ),
        ],
    )


def read(study: Study, out: Path) -> Subjects:
    """A study with its text, which leaves no folder behind where it cannot be read."""
    study.check()
    subjects = Subjects(study, out)
    subjects.read()
    return subjects


def _train(subjects: Subjects, recipe: Recipe, stop: Stop) -> None:
    data = subjects.texts_of(recipe.languages).data
    config = subjects.study.training(recipe)
    train(config, subjects.out / MODELS / recipe.name, resume=True, stop=stop, data=data)


def _parts(subjects: Subjects) -> Iterator[tuple[str, Work]]:
    """Names of parts and how to make them."""
    study, sliding = subjects.study, subjects.study.sliding
    for recipe in study.runs:
        known = recipe.languages if recipe.studied else recipe.trained
        work: Measure = partial(_losses, known, sliding)
        steps = study.steps if recipe.studied else (None,)
        yield f"loss-{recipe.name}", partial(_measured, subjects, recipe, steps, work)
    for recipe in study.studied:
        every: dict[str, Measure] = {
            "failures": partial(measure.failures, study=study),
            "slopes": partial(measure.slopes, study=study),
            "alike": partial(measure.alike, study=study),
            "probes": measure.probes,
        }
        for name, work in every.items():
            yield f"{name}-{recipe.name}", partial(_measured, subjects, recipe, study.steps, work)
    for step in reversed(study.ticket_steps):  # the last models first
        for recipe in study.studied:
            yield f"overlap-{recipe.name}-{step}", partial(_overlap, subjects, recipe, step)
            yield f"ablation-{recipe.name}-{step}", partial(_ablation, subjects, recipe, step)


def _of(recipe: Recipe, study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """The table with what its models were trained on."""
    return table.assign(
        run=recipe.name,
        pair=recipe.pair,
        share=recipe.share,
        budget=recipe.budget,
        last=table["step"] == study.optimisation(recipe).steps,
    )


def _losses(
    languages: tuple[str, ...], sliding: measure.Sliding, stack: Stack, pair: Both
) -> pd.DataFrame:
    return measure.losses(stack, pair, languages, sliding)


def _measured(
    subjects: Subjects, recipe: Recipe, steps: tuple[int | None, ...], work: Measure
) -> pd.DataFrame:
    pair = subjects.texts_of(recipe.languages)
    parts = [work(subjects.stack(recipe, step), pair) for step in steps]
    return _of(recipe, subjects.study, pd.concat(parts, ignore_index=True))


def tickets(subjects: Subjects, recipe: Recipe, step: int) -> Hunted:
    """Of the models of a step: those of the files, or found now and kept there."""
    study, pair = subjects.study, subjects.texts_of(recipe.languages)
    masks = {}
    for language in pair.languages:
        for order in range(study.tickets.orders):
            folder = subjects.out / MASKS / recipe.name / f"step-{step}" / f"{language}-{order}"
            masks[language, order] = _tickets(subjects, recipe, step, language, order, folder)
    return masks


def _tickets(
    subjects: Subjects, recipe: Recipe, step: int, language: str, order: int, folder: Path
) -> tuple[Mask, ...]:
    study, rounds = subjects.study, subjects.study.tickets.rounds
    files = [file_of(folder, rounds, model) for model in range(len(study.seeds))]
    if all(file.with_suffix(".json").is_file() for file in files):
        return tuple(load(file, study.model)[0] for file in files)
    pair = subjects.texts_of(recipe.languages)
    masks = measure.hunted(subjects.stack(recipe, step), pair, study, language, order)
    save_round(folder, rounds, masks, {"identity": identity(study)})
    return masks


def _overlap(subjects: Subjects, recipe: Recipe, step: int) -> pd.DataFrame:
    masks = tickets(subjects, recipe, step)
    table = measure.overlaps(
        subjects.stack(recipe, step), subjects.texts_of(recipe.languages), masks
    )
    return _of(recipe, subjects.study, table)


def _ablation(subjects: Subjects, recipe: Recipe, step: int) -> pd.DataFrame:
    masks = tickets(subjects, recipe, step)
    table = measure.ablations(
        subjects.stack(recipe, step),
        subjects.texts_of(recipe.languages),
        masks,
        subjects.study.sliding,
    )
    return _of(recipe, subjects.study, table)
