"""The measures of models that exist, in a folder of their own: neural.study.results."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd

from neural.gpt.parts import names_of
from neural.measures.evaluate import Arguments as Evaluation
from neural.measures.evaluate import checkpoints
from neural.measures.evaluate import read as held_out
from neural.measures.scoring import Sliding
from neural.robustness import measure
from neural.robustness.plan import HALF, Hit, Measures, hit
from neural.study.results import Work, fill
from neural.study.stack import Stack, stack
from neural.text.tokens import Tokens, passages
from sim.runs.errors import UserError
from sim.runs.store import Run

_NO_IDENTITY = {"identity": False}


@dataclass(frozen=True)
class Survey:
    """Runs to measure on held-out text of some languages."""

    models: tuple[str, ...]
    """What they are: names, and identities and steps of their models."""
    measures: Measures
    groups: tuple[str, ...]
    languages: tuple[str, ...]
    folders: tuple[Path, ...] = field(metadata=_NO_IDENTITY)
    texts: tuple[dict[str, Tokens], ...] = field(metadata=_NO_IDENTITY)
    """By language, for each folder."""
    contexts: tuple[int, ...] = field(metadata=_NO_IDENTITY)
    """Of the models of each folder."""


def survey(
    runs: Sequence[str],
    measures: Measures,
    *,
    corpus: tuple[str, ...] | None = None,
    languages: tuple[str, ...] | None = None,
    data_dir: Path | None = None,
    groups: tuple[str, ...] | None = None,
) -> Survey:
    """The survey of these folders. Raises UserError for one that holds no models, and where there is no text for it."""
    folders = tuple(Path(run) for run in runs)
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        raise UserError(f"runs {', '.join(names)}: give each once, and folders of different names")
    hits = measures.hits if groups is None else tuple(_of(group, measures) for group in groups)
    models: list[str] = []
    texts: list[dict[str, Tokens]] = []
    contexts: list[int] = []
    for folder in folders:
        saved = list(checkpoints(folder, None))
        first = saved[0]
        models.append(
            " ".join([folder.name, *(f"{entry.run}-{entry.seed}-{entry.step}" for entry in saved)])
        )
        for entry in hits:
            names_of(entry.group, first.model)
        asked = Evaluation(str(folder), "test", corpus, languages, data_dir)
        read = held_out(asked, first)
        end = first.tokenizer.end_of_text
        window = first.model.context
        contexts.append(window)
        for name, part in read.items():
            if part.altered:
                print(f"{folder} {name}: no bits per byte: {part.altered}", file=sys.stderr)
        texts.append(
            {name: passages(part, measures.text, window, end) for name, part in read.items()}
        )
    return Survey(
        tuple(models),
        replace(
            measures,
            hits=hits,
            curvature=replace(measures.curvature, groups=tuple(entry.group for entry in hits)),
        ),
        groups or (),
        tuple(texts[0]),
        folders,
        tuple(texts),
        tuple(contexts),
    )


def _of(group: str, measures: Measures) -> Hit:
    """What is done to the group; to a layer, what is done to groups that are looked at beside the main ones."""
    return next((damage for damage in measures.hits if damage.group == group), hit(group, HALF))


def do(
    plan: Survey, out: Path, *, resume: bool = False, stop: Callable[[], bool] = lambda: False
) -> Run:
    """Do what is missing of a survey in its folder."""
    plan.measures.check()
    return fill(out, plan, dict(_parts(plan)), resume=resume, stop=stop)


def _parts(plan: Survey) -> Iterator[tuple[str, Work]]:
    for folder, texts, context in zip(plan.folders, plan.texts, plan.contexts, strict=True):
        name = folder.resolve().name
        measures = replace(plan.measures, sliding=Sliding(context, max(context // 2, 1)))
        yield f"clean-{name}", partial(_clean, folder, texts, measures)
        for damage in measures.hits:
            yield f"curves-{name}-{damage.group}", partial(_curves, folder, texts, damage, measures)
        yield f"spectra-{name}", partial(_spectra, folder)
        yield f"slopes-{name}", partial(_slopes, folder, texts, measures)


def _clean(folder: Path, texts: dict[str, Tokens], measures: Measures) -> pd.DataFrame:
    return measure.clean(_named(folder), texts, measures)


def _curves(
    folder: Path, texts: dict[str, Tokens], damage: Hit, measures: Measures
) -> pd.DataFrame:
    return measure.curves(_named(folder), texts, damage, measures)


def _spectra(folder: Path) -> pd.DataFrame:
    return measure.spectra_of(_named(folder))


def _slopes(folder: Path, texts: dict[str, Tokens], measures: Measures) -> pd.DataFrame:
    return measure.slopes(_named(folder), texts, measures)


def _named(folder: Path) -> Stack:
    return replace(stack(folder), name=folder.resolve().name)
