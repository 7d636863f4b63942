"""python -m neural.dynamics: the whole study B22."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from neural.gpt.memory import restart_with_huge_pages
from neural.study.command import Stop, chosen, listed, run, studied
from sim.runs.errors import UserError
from sim.runs.options import Count, Options, Seeds, Steps
from sim.runs.store import readable

if TYPE_CHECKING:
    from neural.dynamics.plan import Study


@dataclass(frozen=True)
class Arguments(Options):
    """When, in the training of multilingual models, does what become readable from their states (Blevins et al. 2022)?

    Trains models of several languages, fits linear probes to the states of every layer at many steps, within each
    language and from each to every other, beside controls, and ends with what became of each claim. Exit code 0 when
    all is measured, whatever the answer; 2 on bad input.

    Presets: smoke (invented languages, half a minute), laptop (half an hour on two cores; needs --data-dir), gpu,
    bible (as laptop, on text that comes with the package, without what needs annotation).
    """

    preset: str = "smoke"
    """One of those above; the options below change it."""
    out: Path | None = None
    """Folder of models and tables (default: runs/dynamics-PRESET-IDENTITY)."""
    resume: bool = False
    """Go on with an unfinished study in that folder."""
    dry_run: bool = False
    """Print what would be trained and how long it takes here, and stop; trains a few updates of each size for that."""
    corpus: tuple[str, ...] | None = None
    """Sources of text, as neural.train takes them."""
    aligned: tuple[str, ...] | None = None
    """Sources of text that is the same in every language (default: the preset's, or --corpus itself)."""
    languages: tuple[str, ...] | None = None
    """Of the models (default: the preset's, or all of --corpus where that lacks some of these)."""
    tasks: tuple[str, ...] | None = None
    """Of parts-of-speech, arcs, relations, topics and pairing (default: all of the preset's; with --corpus those that
    --data-dir annotates in its languages, and pairing of aligned text)."""
    xnli: tuple[str, ...] = ()
    """Languages in which XNLI is probed too; fetched by Hugging Face's datasets."""
    data_dir: Path | None = None
    """Folder with the corpora known by name, treebanks, topics and XQuAD."""
    seeds: Seeds | None = None
    """Models."""
    steps: Steps | None = None
    """Updates of each model."""
    draws: Count | None = None
    """Runs again of what is drawn at random: wrong examples, control labels, orders of online coding."""


def study_of(arguments: Arguments) -> "Study":
    """The study asked for. Raises UserError, in one line, for what cannot be done."""
    from neural.dynamics.plan import Name, Study, presets
    from neural.text.corpus import spoken

    study: Study = chosen(arguments.preset, presets())
    if arguments.tasks == ():
        raise UserError(f"no tasks: choose from {', '.join(get_args(Name))}")
    if arguments.corpus is not None:
        spoken_there = spoken(arguments.corpus, study.languages, data_dir=arguments.data_dir)
        study = replace(study, languages=spoken_there)
    asked = {
        name: value
        for name in ("corpus", "aligned", "languages", "tasks", "draws")
        if (value := getattr(arguments, name)) is not None
    }
    study = replace(study, data_dir=arguments.data_dir, **asked)
    if arguments.corpus is not None:
        study = _of_own_text(study, arguments)
    if arguments.xnli:
        study = replace(study, tasks=(*study.tasks, "xnli"), xnli=arguments.xnli)
    if arguments.seeds is not None:
        study = replace(study, seeds=tuple(range(arguments.seeds)))
    if arguments.steps is not None:
        steps, before = arguments.steps, study.optimiser.steps
        study = replace(
            study,
            optimiser=replace(study.optimiser, steps=steps, warmup=steps // 20),
            first=max(study.first * steps // before, 1),
            finer=max(study.finer * steps // before, 1),
        )
    study.check()
    return study


def _of_own_text(study: "Study", arguments: Arguments) -> "Study":
    """The study with the tasks, the aligned sentences and the answers that the text allows.

    Raises UserError for a task asked for that it does not allow.
    """
    from neural.dynamics.plan import PARTS
    from neural.dynamics.subjects import Subjects
    from neural.text import xquad
    from neural.text.corpora import NotThere
    from neural.text.invented import invented
    from neural.text.own_text import aligned_sources, lacking, left_out, no_translations

    wanted = sum(study.sentences.size(part) for part in PARTS)
    reasons = {}
    if arguments.aligned is None:
        aligned = aligned_sources(
            lambda sources: Subjects(replace(study, aligned=sources), Path()),
            wanted,
            (study.aligned, study.corpus),
        )
        study = replace(study, aligned=aligned)
    if not study.aligned:
        reasons["pairing"] = no_translations(wanted)
        left_out("neural.dynamics", "retrieval", reasons["pairing"])
    if not all(map(invented, study.languages)):
        reasons |= {
            task: why
            for task in study.tasks
            if (why := lacking(task, study.languages, study.data_dir))
        }
        try:
            _ = study.data_dir is None or xquad.languages(study.data_dir)
        except NotThere as error:
            left_out("neural.dynamics", "word alignment", str(error))
            study = replace(study, answers=0)
    for task in study.tasks:
        if task in reasons and arguments.tasks is not None:
            raise UserError(f"--tasks {task}: {reasons[task]}")
        if task in reasons:
            left_out("neural.dynamics", task, reasons[task])
    return replace(study, tasks=tuple(task for task in study.tasks if task not in reasons))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run("neural.dynamics", Arguments, _study, arguments)


def _study(arguments: Arguments, stop: Stop) -> tuple[Path | None, str]:
    from neural.dynamics.claims import claims
    from neural.dynamics.results import Results
    from neural.dynamics.study import do
    from neural.dynamics.subjects import Subjects
    from neural.study.forecast import forecast
    from neural.study.results import check

    study = study_of(arguments)
    if arguments.dry_run:
        check(study, Subjects.opened)
        return None, forecast(study.trainings)
    out = studied("dynamics", arguments, study, do, stop)
    with readable(out):
        return out, listed(claims(Results(study, out)))


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main())
