"""python -m neural.robustness: the whole study D22, or its measurements of models that exist."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from neural.gpt.memory import restart_with_huge_pages
from neural.study.command import Stop, chosen, run, studied
from sim.runs.errors import UserError
from sim.runs.options import Count, Options, Seed, Seeds, Steps
from sim.runs.store import readable

if TYPE_CHECKING:
    import pandas as pd

    from neural.robustness.plan import Measures, Study
    from neural.robustness.survey import Survey


@dataclass(frozen=True)
class Arguments(Options):
    """Do models of several languages survive structural failure better than models of one (Daras et al. 2022)?

    Trains them from nothing on equal tokens, with their controls, breaks them, and ends with what became of each claim.
    With --run it measures models that exist instead. Exit code 0 when all is measured, whatever the answer; 2 on bad
    input.

    Presets: smoke (invented languages, a minute), laptop (an hour on two cores; needs --data-dir), gpu,
    bible (as laptop, on text that comes with the package, without what needs annotation).
    """

    preset: str = "smoke"
    """One of those above; the options below change it."""
    out: Path | None = None
    """Folder of models, tables and figures (default: runs/robustness-PRESET-IDENTITY)."""
    resume: bool = False
    """Go on with an unfinished study in that folder."""
    dry_run: bool = False
    """Print what would be trained and how long it takes here, and stop; trains a few updates of each size for that."""
    run: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Measure these instead: runs of neural.train or neural.hf, or folders of one model; equal shapes compare."""
    corpus: tuple[str, ...] | None = None
    """Sources of text, as neural.train takes them (with --run: default those of the first run)."""
    pairs: tuple[str, ...] | None = None
    """What is compared: en,el is the model of en against that of en and el; en,el,de has three languages."""
    tasks: tuple[str, ...] | None = None
    """Classifications: sib200:en, tense:en, glue:sst2, or a folder with train.tsv, dev.tsv and test.tsv."""
    languages: tuple[str, ...] | None = None
    """With --run: the texts to judge on (default: all of the first run)."""
    data_dir: Path | None = None
    """Folder with the corpora known by name, treebanks and topics."""
    seeds: Seeds | None = None
    """Models of each kind."""
    steps: Steps | None = None
    """Updates of each model."""
    draws: Count | None = None
    """Copies broken at each strength of a random failure."""
    text: Count | None = None
    """Held-out tokens of each text that models are judged on."""
    groups: tuple[str, ...] | None = None
    """With --run: the groups of parameters that fail (default: attention, mlp, embeddings, all)."""
    seed: Seed = 0
    """Of the failures."""


OF_STUDY = ("pairs", "tasks", "seeds", "steps")
OF_SURVEY = ("languages", "groups")
"""Options that only one of the two has."""


def study_of(arguments: Arguments) -> "Study":
    """The study asked for. Raises UserError, in one line, for what cannot be done."""
    from neural.robustness.plan import Study, presets

    study: Study = chosen(arguments.preset, presets())
    _refuse(arguments, OF_SURVEY, "add --run, or leave it out")
    study = replace(study, data_dir=arguments.data_dir, measures=_measures(arguments, study))
    if arguments.corpus is not None:
        study = replace(study, corpus=arguments.corpus)
    if arguments.pairs is not None:
        study = _paired(study, arguments.pairs)
    if arguments.tasks is not None:
        study = _with_tasks(study, arguments.tasks)
    if arguments.seeds is not None:
        study = replace(study, seeds=tuple(range(arguments.seeds)))
    if arguments.steps is not None:
        warmup = arguments.steps // 20
        optimiser = replace(study.optimiser, steps=arguments.steps, warmup=warmup)
        study = replace(study, optimiser=optimiser)
    study.check()
    return study


def _paired(study: "Study", pairs: tuple[str, ...]) -> "Study":
    """Of other texts; the classifications are of the preset's own."""
    from neural.robustness.plan import Comparison, Kind

    kinds: dict[int, Kind] = {2: "language", 3: "three languages"}
    texts = [tuple(name.strip() for name in pair.split(",")) for pair in pairs]
    for pair in texts:
        if len(pair) not in kinds:
            raise UserError(f"--pairs {','.join(pair)}: give two or three texts: en,el")
    alone = tuple(dict.fromkeys(name for pair in texts for name in pair[:2]))
    comparisons = tuple(Comparison(kinds[len(pair)], pair) for pair in texts)
    return replace(study, comparisons=comparisons, alone=alone, classification=None)


def _with_tasks(study: "Study", tasks: tuple[str, ...]) -> "Study":
    """Fine-tuned for other tasks, each of which is read once now, to find what is wrong before anything is trained."""
    from neural.robustness.plan import BREAKS, KINDS, Classification
    from neural.text.labelled import task
    from neural.tune.classifier import FineTuning

    for name in tasks:
        task(name, study.data_dir)
    tuning = FineTuning() if study.classification is None else study.classification.tuning
    return replace(study, classification=Classification(tasks, KINDS, BREAKS, tuning))


def _measures(arguments: Arguments, study: "Study") -> "Measures":
    asked = {name: getattr(arguments, name) for name in ("draws", "text")}
    asked = {name: value for name, value in asked.items() if value is not None}
    return replace(study.measures, seed=arguments.seed, **asked)


def _refuse(arguments: Arguments, names: tuple[str, ...], remedy: str) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            raise UserError(f"--{name} does not belong here: {remedy}")


def survey_of(arguments: Arguments) -> "Survey":
    """The measurement of existing models that is asked for. Raises UserError for what cannot be measured."""
    from neural.robustness.plan import presets
    from neural.robustness.survey import survey

    _refuse(arguments, OF_STUDY, "models of --run are trained already")
    if arguments.dry_run:
        raise UserError(
            "--dry-run tells what would be trained, and models of --run are: leave it out"
        )
    measures = _measures(arguments, presets()["laptop"])
    return survey(
        arguments.run,
        measures,
        corpus=arguments.corpus,
        languages=arguments.languages,
        data_dir=arguments.data_dir,
        groups=arguments.groups,
    )


def report(effects: "pd.DataFrame") -> str:
    """The closing table: the claims as to D22's own failures of attention, and how many of all came to what."""
    from neural.robustness.plan import MAIN

    main_ones = effects["failure"].isna() | (
        (effects["group"] == "attention") & effects["failure"].isin(list(MAIN))
    )
    columns = ["claim", "several", "failure", "effect", "low", "high", "verdict"]
    shown = effects.loc[main_ones, columns].fillna({"failure": ""})
    counts = effects.groupby(["claim", "verdict"], sort=False).size().unstack(fill_value=0)
    return f"{shown.to_string(index=False, float_format='{:.3g}'.format)}\n\n{counts.to_string()}"


def summary(out: Path) -> str:
    """Of a survey: clean losses, and how much each failure adds to them on average over its strengths."""
    import pandas as pd

    from neural.measures.degradation import curve
    from neural.study.results import read

    keys = ["model", "text", "group", "failure"]
    rows = []
    for key, part in read(out, "curves").groupby(keys, sort=False):
        degradation = curve(part, "bits_per_byte")
        rows.append([*key, degradation.clean.mean(), degradation.areas.mean()])
    columns = [*keys, "bits/byte", "added, mean over strengths"]
    table = pd.DataFrame(rows, columns=columns)
    return str(table.to_string(index=False, float_format="{:.4f}".format))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run("neural.robustness", Arguments, _study_or_survey, arguments)


def _study_or_survey(arguments: Arguments, stop: Stop) -> tuple[Path | None, str]:
    return _survey(arguments, stop) if arguments.run else _study(arguments, stop)


def _study(arguments: Arguments, stop: Stop) -> tuple[Path | None, str]:
    from neural.robustness.claims import Results, claims
    from neural.robustness.study import do, read
    from neural.study.forecast import forecast
    from neural.study.results import check

    study = study_of(arguments)
    if arguments.dry_run:
        check(study, read)
        return None, forecast(study.trainings)
    out = studied("robustness", arguments, study, do, stop)
    with readable(out):
        return out, report(claims(Results(study, out)))


def _survey(arguments: Arguments, stop: Stop) -> tuple[Path, str]:
    from neural.robustness.survey import do
    from sim.runs.identity import identity

    survey = survey_of(arguments)
    out = arguments.out or Path("runs") / f"robustness-{identity(survey)[:8]}"
    do(survey, out, resume=arguments.resume, stop=stop)
    with readable(out):
        return out, summary(out)


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main())
