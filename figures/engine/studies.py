"""Run folders of the studies of neural as the figures read them: their results, and names for their models.

Each function raises OtherKind for a run of another kind, MissingRows for a study that is not done, and UserError for
one of another version.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from figures.engine.once import once
from figures.engine.runs import MARKS, MissingRows, OtherKind, configuration, kind
from sim.runs.errors import UserError

if TYPE_CHECKING:
    from neural.across.join import Results as Across
    from neural.dynamics.results import Results as Dynamics
    from neural.imbalance.claims import Results as Imbalance
    from neural.robustness.claims import Results as Robustness
    from neural.subnetworks.claims import Results as Subnetworks

S = TypeVar("S")

CALLED = {
    "imbalance": "study of imbalance",
    "robustness": "study of robustness",
    "subnetworks": "study of sub-networks",
    "across": "study across the four",
    "dynamics": "study of training dynamics",
}


def of_kind(run: Path, name: str) -> None:
    """Raise OtherKind for a run of another kind."""
    if kind(run) != name:
        raise OtherKind(f"{run} is no {CALLED[name]}: give --from a folder of `{_command(name)}`")


def _command(name: str) -> str:
    return f"python -m neural.{name}"


def _plan(run: Path, name: str, study: type[S]) -> S:
    from neural.study.record import recorded

    return recorded(run, study, MARKS[name][0], _command(name))


@contextmanager
def _done() -> Iterator[None]:
    """What cannot be read of a study's results is missing."""
    try:
        yield
    except UserError as error:
        raise MissingRows(str(error)) from None


def _complete(run: Path, name: str, lacks: str = "") -> None:
    """Raise MissingRows where there is something that a study's results lack."""
    if lacks:
        raise MissingRows(f"{run} has no {lacks}: finish it with `{_command(name)} --resume`")


@once
def robustness(run: Path) -> "Robustness":
    """Of a study, of which a survey is none."""
    of_kind(run, "robustness")  # before what reads it is imported
    from neural.robustness.claims import Results
    from neural.robustness.plan import Study

    if "comparisons" not in configuration(run):
        raise MissingRows(f"{run} measures models that nothing says how to compare")
    plan = _plan(run, "robustness", Study)
    with _done():
        results = Results(plan, run)
    for name, table in (("clean", results.clean), ("curves", results.curves)):
        found = set(table["model"])
        lacks = [f"table {name} of {model}" for model in plan.models if model not in found]
        _complete(run, "robustness", *lacks[:1])
    return results


@once
def imbalance(run: Path) -> "Imbalance":
    of_kind(run, "imbalance")  # before what reads it is imported
    from neural.imbalance.claims import Results
    from neural.imbalance.plan import Study

    plan = _plan(run, "imbalance", Study)
    with _done():
        results = Results(plan, run)
    found = set(results.perplexity["run"])
    lacks = [f"perplexity of {recipe.name}" for recipe in plan.runs if recipe.name not in found]
    _complete(run, "imbalance", *lacks[:1])
    return results


@once
def subnetworks(run: Path) -> "Subnetworks":
    of_kind(run, "subnetworks")  # before what reads it is imported
    from neural.subnetworks.claims import Results
    from neural.subnetworks.plan import Study

    plan = _plan(run, "subnetworks", Study)
    with _done():
        results = Results(plan, run)
        _ = results.costs  # the last that is written
    return results


@once
def across(run: Path) -> "Across":
    of_kind(run, "across")  # before what reads it is imported
    from neural.across.join import Results
    from neural.across.plan import Study

    plan = _plan(run, "across", Study)
    with _done():
        return Results(plan, run)


@once
def dynamics(run: Path) -> "Dynamics":
    of_kind(run, "dynamics")  # before what reads it is imported
    from neural.dynamics.plan import Study
    from neural.dynamics.results import Results

    plan = _plan(run, "dynamics", Study)
    with _done():
        results = Results(plan, run)
    probes = results.probes
    done = {"bits": results.bits}  # of what is measured at every step
    done |= {"retrieval": results.retrieval} if plan.aligned else {}
    done |= {f"probes of {task}": probes[probes["task"] == task] for task in plan.tasks}
    lacks = [name for name, rows in done.items() if set(rows["step"]) != set(plan.steps)]
    _complete(run, "dynamics", *(f"{name} of some steps" for name in lacks[:1]))
    return results


def rows_of(results: "Imbalance", table: str, query: str) -> pd.DataFrame:
    """The rows of one of its tables that satisfy a pandas query, run by run. Raises MissingRows where there is none."""
    try:
        found: pd.DataFrame = getattr(results, table).query(query)
    except UserError as error:
        raise MissingRows(str(error)) from None
    if found.empty:
        raise MissingRows(
            f"{results.out} has no rows of {table} with {query}: finish it with --resume, or study what gives some"
        )
    order = {recipe.name: place for place, recipe in enumerate(results.study.runs)}
    places = found.assign(_place=found["run"].map(order))
    return places.sort_values(["_place", "seed", "step"], ignore_index=True).drop(columns="_place")


def over_seeds(
    rows: pd.DataFrame, keys: Sequence[str], column: str, *, log: bool = False
) -> pd.DataFrame:
    """By keys: `value`, the mean of a column over `seeds` seeds, and its 95 % interval (`low`, `high`; NaN for one).

    log: the column is positive, and its geometric mean is taken. What is NaN is left out; several rows of a seed count
    as their mean.
    """
    from neural.measures.intervals import interval

    keys = list(keys)
    known = rows[rows[column].notna()]
    values = np.log(known[column]) if log else known[column]
    by_seed = known.assign(_value=values).groupby([*keys, "seed"], sort=False)["_value"].mean()
    lines = []
    for key, of_seeds in by_seed.groupby(level=keys, sort=False):
        found = interval(of_seeds.to_numpy())
        ends = [float(end) for end in (found.value, found.low, found.high)]
        place = key if isinstance(key, tuple) else (key,)
        lines.append([*place, *(np.exp(ends) if log else ends), len(of_seeds)])
    return pd.DataFrame(lines, columns=[*keys, "value", "low", "high", "seeds"])


LANGUAGES = {
    "ar": "Arabic",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "hi": "Hindi",
    "tr": "Turkish",
    "zh": "Chinese",
}
DOMAINS = {
    "bible": "Bible",
    "gutenberg": "books",
    "msdocs": "documentation",
    "gnomedocs": "desktop help",
    "mozilla_www": "web site",
    "commonvoice": "spoken sentences",
}


def named(models: Iterable[str]) -> dict[str, str]:
    """What to call models: by languages, and by kinds of text where a language, or else a name, comes twice."""
    found = {model: _name(model.split("+")) for model in models}
    names = list(found.values())
    return {
        model: name if names.count(name) == 1 else f"{name} ({_domain(model.split('+')[0])})"
        for model, name in found.items()
    }


def _name(texts: list[str]) -> str:
    first, *others = texts
    language = _language(first)
    names = [language]
    for text in others:
        if _language(text) != language:
            names.append(_language(text))
        elif _domain(text) != _domain(first):
            names.append(_domain(text))
        else:
            names.append(f"another {language} {_domain(text)}")
    return " + ".join(names)


def _language(text: str) -> str:
    """Of "en@bible" English, and of "en_asv", another text in English, too."""
    code = text.split("@")[0]
    return LANGUAGES.get(code.split("_")[0], code)


def _domain(text: str) -> str:
    domain = text.partition("@")[2]
    return DOMAINS.get(domain, domain or "all texts")
