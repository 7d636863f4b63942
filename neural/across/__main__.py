"""python -m neural.across: one study across the four."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from neural.gpt.memory import restart_with_huge_pages
from neural.study.command import Stop, chosen, listed, run, studied
from sim.runs.options import Count, Options, Seeds, Steps
from sim.runs.store import readable

if TYPE_CHECKING:
    from neural.across.plan import Study


@dataclass(frozen=True)
class Arguments(Options):
    """Does sharing of sub-networks predict robustness, does imbalance create the sharing, and when?

    Trains models of two languages, cloned and real, at shares of 50/50 and 90/10, and of one alone; measures on the
    same models what studies D22, F22, S24 and B22 measure, and joins it. Exit code 0 when all is measured, whatever
    the answer; 2 on bad input.

    Presets: smoke (invented languages, a minute), laptop (needs --data-dir), gpu,
    bible (as laptop, on text that comes with the package, without what needs annotation).
    """

    preset: str = "smoke"
    """One of those above; the options below change it."""
    out: Path | None = None
    """Folder of models, masks and tables (default: runs/across-PRESET-IDENTITY)."""
    resume: bool = False
    """Go on with an unfinished study in that folder."""
    dry_run: bool = False
    """Print what would be trained and how long it takes here, and stop; trains a few updates of each size for that."""
    corpus: tuple[str, ...] | None = None
    """Sources of text, as neural.train takes them."""
    text: str | None = None
    """The language that is cloned, and the first of each real pair."""
    others: tuple[str, ...] | None = None
    """Real languages to train beside it; --others alone for none."""
    data_dir: Path | None = None
    """Folder with the corpora known by name, and treebanks."""
    seeds: Seeds | None = None
    """Models of each kind."""
    steps: Steps | None = None
    """Updates of each model."""
    rounds: Count | None = None
    """Of pruning; each removes a tenth of the weights."""
    draws: Count | None = None
    """Copies broken at each strength of a random failure."""


def study_of(arguments: Arguments) -> "Study":
    """The study asked for. Raises UserError, in one line, for what cannot be done."""
    from neural.across.plan import Study, presets

    study: Study = chosen(arguments.preset, presets())
    study = replace(study, data_dir=arguments.data_dir)
    asked = {
        name: value
        for name in ("corpus", "text", "others")
        if (value := getattr(arguments, name)) is not None
    }
    study = replace(study, **asked)
    if arguments.seeds is not None:
        study = replace(study, seeds=tuple(range(arguments.seeds)))
    if arguments.rounds is not None:
        study = replace(study, tickets=replace(study.tickets, rounds=arguments.rounds))
    if arguments.draws is not None:
        study = replace(study, broken=replace(study.broken, draws=arguments.draws))
    if arguments.steps is not None:
        optimiser = replace(study.optimiser, steps=arguments.steps, warmup=arguments.steps // 20)
        study = replace(study, optimiser=optimiser)
        kept = tuple(step for step in study.tickets.steps if step in study.steps)
        study = replace(study, tickets=replace(study.tickets, steps=kept))
    study.check()
    return study


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run("neural.across", Arguments, _study, arguments)


def _study(arguments: Arguments, stop: Stop) -> tuple[Path | None, str]:
    from neural.across.claims import claims
    from neural.across.join import Results
    from neural.across.study import do, read
    from neural.study.forecast import forecast
    from neural.study.results import check

    study = study_of(arguments)
    if arguments.dry_run:
        check(study, read)
        return None, forecast(study.trainings)
    out = studied("across", arguments, study, do, stop)
    with readable(out):
        return out, listed(claims(Results(study, out)))


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main())
