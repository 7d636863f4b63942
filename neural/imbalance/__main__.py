"""python -m neural.imbalance: the whole study S24."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from neural.gpt.memory import restart_with_huge_pages
from neural.study.command import Stop, chosen, listed, run, studied
from sim.runs.errors import UserError
from sim.runs.options import Count, Options, Seeds, Steps
from sim.runs.store import readable

if TYPE_CHECKING:
    from neural.imbalance.plan import Study


@dataclass(frozen=True)
class Arguments(Options):
    """Do unequal shares of two languages help a model to share what it learns between them (Schäfer et al. 2024)?

    Trains models of cloned languages at every share, budget and width, with their controls, and of two real languages,
    and ends with what became of each claim. Exit code 0 when all is measured, whatever the answer; 2 on bad input.

    Presets: smoke (invented languages, a minute), laptop (an hour on two cores; needs --data-dir), gpu,
    bible (as laptop, on text that comes with the package, without what needs annotation).
    """

    preset: str = "smoke"
    """One of those above; the options below change it."""
    out: Path | None = None
    """Folder of models and tables (default: runs/imbalance-PRESET-IDENTITY)."""
    resume: bool = False
    """Go on with an unfinished study in that folder."""
    dry_run: bool = False
    """Print what would be trained and how long it takes here, and stop; trains a few updates of each size for that."""
    corpus: tuple[str, ...] | None = None
    """Sources of text, as neural.train takes them."""
    text: str | None = None
    """The language that is cloned."""
    others: tuple[str, ...] | None = None
    """Real languages to train beside it; --others alone for none."""
    tasks: tuple[str, ...] | None = None
    """Classifications learnt in one clone and tested in the other: sib200:en, tense:en, or a folder."""
    data_dir: Path | None = None
    """Folder with the corpora known by name, treebanks and topics."""
    seeds: Seeds | None = None
    """Models of each kind."""
    steps: Steps | None = None
    """Updates of a run of 1x."""
    widths: tuple[Count, ...] | None = None
    """Of the grid; the last is that of all other runs."""
    budgets: tuple[float, ...] | None = None
    """Of the grid, in multiples of 1x."""
    shares: tuple[float, ...] | None = None
    """Of the second language in the grid: 0.5 and 0.1 are compared, 0 is the monolingual curve."""


def study_of(arguments: Arguments) -> "Study":
    """The study asked for. Raises UserError, in one line, for what cannot be done."""
    from neural.imbalance.plan import Study, presets
    from neural.text.mixture import BALANCED, IMBALANCED

    study: Study = chosen(arguments.preset, presets())
    for name in ("widths", "budgets", "shares"):
        if getattr(arguments, name) == ():
            raise UserError(f"--{name} is empty: give one or more")
    study = replace(study, data_dir=arguments.data_dir)
    asked = {
        name: value
        for name in ("corpus", "text", "others", "budgets", "shares")
        if (value := getattr(arguments, name)) is not None
    }
    study = replace(study, **asked)
    if study.further not in study.budgets:
        study = replace(study, further=max(study.budgets, default=0.0))
    if arguments.widths is not None:
        study = _of_widths(study, arguments.widths)
    if arguments.tasks is not None:
        study = replace(study, measures=replace(study.measures, tasks=arguments.tasks))
    if arguments.seeds is not None:
        study = replace(study, seeds=tuple(range(arguments.seeds)))
    if arguments.steps is not None:
        optimiser = replace(study.optimiser, steps=arguments.steps, warmup=arguments.steps // 20)
        study = replace(study, optimiser=optimiser)
    study.check()
    for share in (BALANCED, IMBALANCED):
        if share not in study.shares:
            raise UserError(f"--shares has no {share:g}, with which others are compared: add it")
    return study


def _of_widths(study: "Study", widths: tuple[int, ...]) -> "Study":
    unit = study.model.width // study.model.heads
    for width in widths:
        if width % unit:
            raise UserError(f"width {width}: give a multiple of {unit}, the width of a head")
    heads = widths[-1] // unit
    model = replace(study.model, width=widths[-1], heads=heads)
    return replace(study, widths=widths, model=model)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run("neural.imbalance", Arguments, _study, arguments)


def _study(arguments: Arguments, stop: Stop) -> tuple[Path | None, str]:
    from neural.imbalance.claims import Results, claims
    from neural.imbalance.study import do, read
    from neural.study.forecast import forecast
    from neural.study.results import check

    study = study_of(arguments)
    if arguments.dry_run:
        check(study, read)
        return None, f"1x is {study.unit:,} tokens\n{forecast(study.trainings)}"
    out = studied("imbalance", arguments, study, do, stop)
    with readable(out):
        return out, listed(claims(Results(study, out)))


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main())
