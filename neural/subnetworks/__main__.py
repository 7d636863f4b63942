"""python -m neural.subnetworks: the whole study F22."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from neural.gpt.memory import restart_with_huge_pages
from neural.study.command import Stop, chosen, listed, run, studied
from sim.runs.errors import UserError
from sim.runs.options import Options, Seeds, Steps
from sim.runs.store import readable

if TYPE_CHECKING:
    from neural.subnetworks.plan import Study, Task


@dataclass(frozen=True)
class Arguments(Options):
    """Do the languages of a multilingual model share its sub-networks (Foroutan et al. 2022)?

    Pretrains multilingual models, finds tickets of every language and task by iterative magnitude pruning, trains those
    of one language on another beside many controls, and ends with what became of each claim. Exit code 0 when all is
    measured, whatever the answer; 2 on bad input.

    Presets: smoke (invented languages, a minute), laptop (an hour on two cores; needs --data-dir), gpu,
    bible (as laptop, on text that comes with the package, without what needs annotation).
    """

    preset: str = "smoke"
    """One of those above; the options below change it."""
    out: Path | None = None
    """Folder of models, masks and tables (default: runs/subnetworks-PRESET-IDENTITY)."""
    resume: bool = False
    """Go on with an unfinished study in that folder, from the last round of pruning that was written."""
    dry_run: bool = False
    """Print what would be trained and how long it takes here, and stop; trains a few updates of each size for that."""
    corpus: tuple[str, ...] | None = None
    """Sources of text, as neural.train takes them."""
    aligned: tuple[str, ...] | None = None
    """Sources of text that is the same in every language, for retrieval (default: the preset's, or the corpus)."""
    languages: tuple[str, ...] | None = None
    """Of the pretrained models (default: the preset's, or all of --corpus where that lacks some of these)."""
    tested: tuple[str, ...] | None = None
    """Languages whose tickets are sought; default those of the preset's that are pretrained on."""
    tasks: tuple[str, ...] | None = None
    """Of language-modelling, parts-of-speech, relations, entities and topics (default: all of the preset's; with
    --corpus those that --data-dir annotates in its languages)."""
    data_dir: Path | None = None
    """Folder with the corpora known by name, treebanks, named entities and topics."""
    seeds: Seeds | None = None
    """Pretrained models."""
    steps: Steps | None = None
    """Updates of pretraining."""
    tuning_steps: Steps | None = None
    """Updates of each round of pruning, and of each transfer."""


def study_of(arguments: Arguments) -> "Study":
    """The study asked for. Raises UserError, in one line, for what cannot be done."""
    from neural.subnetworks.plan import Study, presets
    from neural.text.corpus import spoken

    study: Study = chosen(arguments.preset, presets())
    study = replace(study, data_dir=arguments.data_dir)
    if arguments.corpus is not None:
        study = replace(study, corpus=arguments.corpus)
        languages = spoken(arguments.corpus, study.languages, data_dir=study.data_dir)
        study = replace(study, languages=languages)
    if arguments.languages is not None:
        study = replace(study, languages=arguments.languages)
    if arguments.aligned is not None:
        study = replace(study, aligned=arguments.aligned)
    if arguments.tasks is not None:
        known = [task.name for task in study.tasks]
        if unknown := [name for name in arguments.tasks if name not in known]:
            raise UserError(f"unknown task {unknown[0]!r}: choose from {', '.join(known)}")
        study = replace(study, tasks=tuple(t for t in study.tasks if t.name in arguments.tasks))
    study = replace(
        study, tasks=tuple(_of_languages(task, arguments, study) for task in study.tasks)
    )
    if arguments.corpus is not None:
        study = _of_own_text(study, arguments)
    if arguments.seeds is not None:
        study = replace(study, seeds=tuple(range(arguments.seeds)))
    if arguments.steps is not None:
        optimiser = replace(study.optimiser, steps=arguments.steps, warmup=arguments.steps // 20)
        early = max(study.early * arguments.steps // study.optimiser.steps, 1)
        study = replace(study, optimiser=optimiser, early=early)
    if arguments.tuning_steps is not None:
        study = replace(
            study,
            tasks=tuple(
                replace(
                    task,
                    tuning=replace(
                        task.tuning,
                        steps=arguments.tuning_steps,
                        warmup=arguments.tuning_steps // 10,
                    ),
                )
                for task in study.tasks
            ),
        )
    study.check()
    return study


def _of_languages(task: "Task", arguments: Arguments, study: "Study") -> "Task":
    """The task in those of its languages that are learnt; of own text, where they are too few, in all."""
    own = tuple(name for name in task.languages if name in study.languages)
    if arguments.corpus is not None and len(own) < 2:
        own = study.languages
    return replace(task, languages=arguments.tested or own)


def _of_own_text(study: "Study", arguments: Arguments) -> "Study":
    """The study with the tasks and the aligned sentences that the text allows. Raises UserError for one asked for that
    it does not.
    """
    from neural.subnetworks.subjects import Subjects
    from neural.text.own_text import aligned_sources, lacking, left_out, no_translations

    tasks = []
    for task in study.tasks:
        why = lacking(task.name, task.languages, study.data_dir)
        if not why:
            tasks.append(task)
        elif arguments.tasks is not None:
            raise UserError(f"--tasks {task.name}: {why}")
        else:
            left_out("neural.subnetworks", task.name, why)
    study = replace(study, tasks=tuple(tasks))
    if arguments.aligned is not None:
        return study
    aligned = aligned_sources(
        lambda sources: Subjects(replace(study, aligned=sources), Path()),
        study.sentences,
        (study.aligned, study.corpus),
    )
    if not aligned:
        left_out("neural.subnetworks", "retrieval", no_translations(study.sentences))
    return replace(study, aligned=aligned)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run("neural.subnetworks", Arguments, _study, arguments)


def _study(arguments: Arguments, stop: Stop) -> tuple[Path | None, str]:
    from neural.study.forecast import forecast
    from neural.study.results import check
    from neural.subnetworks.claims import Results, claims
    from neural.subnetworks.study import do
    from neural.subnetworks.subjects import Subjects

    study = study_of(arguments)
    if arguments.dry_run:
        check(study, Subjects.opened)
        return None, forecast(study.trainings)
    out = studied("subnetworks", arguments, study, do, stop)
    with readable(out):
        return out, listed(claims(Results(study, out)))


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main())
