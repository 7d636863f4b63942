"""Run folders as the figures read them: a sweep's rows and its seed; a study's results, and names for its models."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sim.runs.errors import UserError
from sim.runs.store import Run

if TYPE_CHECKING:
    from neural.across.join import Results as Across
    from neural.dynamics.results import Results as Dynamics
    from neural.imbalance.claims import Results as Imbalance
    from neural.robustness.claims import Results
    from neural.subnetworks.claims import Results as Subnetworks

COLUMNS = (
    *("identity", "network", "geometry", "options", "inputs", "d", "T", "k", "seed", "trainer"),
    *("group", "perturbation", "strength", "draws"),
    *("risk_clean", "risk_closed_form", "risk_measured", "standard_error"),
    *("slope_closed_form", "slope_trained", "slope_measured", "slope_standard_error"),
    *("slope_curvature", "slope_curvature_standard_error"),
    *("accuracy", "accuracy_standard_error"),
    *("accuracy_common", "accuracy_common_standard_error", "converged"),
)
"""What the figures use of the table."""

ORDER = ["inputs", "geometry", "options", "trainer", "d", "T", "k", "seed", "identity", "strength"]
"""Rows are sorted by these: figures do not depend on the order in which cells were finished."""


class MissingRows(UserError):
    """The run is sound but has no rows that this figure could show."""


class OtherKind(MissingRows):
    """The run is of another kind than those that this figure is of."""


def rows(run: Path, query: str) -> pd.DataFrame:
    """The rows of the run that satisfy a pandas query.

    Raises UserError where the run has no readable results, and MissingRows where no row satisfies
    the query, or the run is no sweep.
    """
    _sweep(run)
    try:
        # Part by part: a figure needs few rows of a table that may not fit into memory.
        parts = [_checked(part, run).query(query) for part in Run.existing(run).tables()]
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{run} has unreadable results ({reason}): run the sweep again") from None
    table = pd.concat(parts, ignore_index=True)
    if table.empty:
        raise MissingRows(f"{run} has no rows with {query}: sweep cells that give some")
    return table.sort_values(ORDER, ignore_index=True)


def _checked(part: pd.DataFrame, run: Path) -> pd.DataFrame:
    """What the figures use of a part."""
    missing = [column for column in COLUMNS if column not in part.columns]
    if missing:
        raise UserError(f"the table of {run} lacks {', '.join(missing)}: run the sweep again")
    return part.loc[:, list(COLUMNS)]


def seed(run: Path) -> int:
    """The seed of the run's configuration."""
    config = _sweep(run)
    value = config.get("seed") if isinstance(config, dict) else None
    if not isinstance(value, int) or value < 0:
        raise UserError(f"the provenance of {run} has no config.seed: run the sweep again")
    return value


def is_sweep(run: Path) -> bool:
    """Whether a run is no measurement of GPTs: of a study, or of models that existed."""
    others = is_subnetworks(run) or is_across(run) or is_dynamics(run)
    return "measures" not in _config(run) and not others


def is_imbalance(run: Path) -> bool:
    """Whether a run is a study of neural.imbalance."""
    return {"measures", "shares", "budgets"} <= _config(run).keys()


def is_subnetworks(run: Path) -> bool:
    """Whether a run is a study of neural.subnetworks."""
    return {"tasks", "orders", "early"} <= _config(run).keys()


def is_across(run: Path) -> bool:
    """Whether a run is a study of neural.across."""
    return {"tickets", "broken", "noise"} <= _config(run).keys()


def is_dynamics(run: Path) -> bool:
    """Whether a run is a study of neural.dynamics."""
    return {"answers", "coarse", "together"} <= _config(run).keys()


def _config(run: Path) -> dict[str, Any]:
    config = (Run.existing(run).provenance() or {}).get("config")
    return config if isinstance(config, dict) else {}


def _sweep(run: Path) -> Any:
    """The configuration of a sweep."""
    if not is_sweep(run):
        raise OtherKind(f"{run} holds measurements of GPTs: give --from the folder of a sweep")
    return (Run.existing(run).provenance() or {}).get("config")


def no_sweep(run: Path) -> None:
    """Raise OtherKind for a sweep, and for a study of another kind."""
    others = is_imbalance(run) or is_subnetworks(run) or is_across(run) or is_dynamics(run)
    if is_sweep(run) or others:
        raise OtherKind(f"{run} is no study: give --from a folder of `python -m neural.robustness`")


def study(run: Path) -> "Results":
    """The results of a study of neural.robustness. Raises MissingRows where the run is none, or is not done."""
    from neural.record import recorded
    from neural.robustness.claims import Results
    from neural.robustness.plan import Study

    no_sweep(run)
    if "comparisons" not in (Run.existing(run).provenance() or {})["config"]:
        raise MissingRows(f"{run} measures models that nothing says how to compare")
    plan = recorded(run, Study, "comparisons", "python -m neural.robustness")
    try:
        results = Results(plan, run)
    except UserError as error:
        raise MissingRows(str(error)) from None
    for name, table in (("clean", results.clean), ("curves", results.curves)):
        found = set(table["model"])
        if missing := [model for model in plan.models if model not in found]:
            raise MissingRows(
                f"{run} has no table {name} of {missing[0]}: "
                "finish it with `python -m neural.robustness --resume`"
            )
    return results


def imbalance(run: Path) -> "Imbalance":
    """The results of a study of neural.imbalance. Raises MissingRows where the run is none, or is not done."""
    from neural.imbalance.claims import Results
    from neural.imbalance.plan import Study
    from neural.record import recorded

    command = "python -m neural.imbalance"
    if not is_imbalance(run):
        raise OtherKind(f"{run} is no study of imbalance: give --from a folder of `{command}`")
    plan = recorded(run, Study, "shares", command)
    try:
        results = Results(plan, run)
    except UserError as error:
        raise MissingRows(str(error)) from None
    found = set(results.perplexity["run"])
    if missing := [recipe.name for recipe in plan.runs if recipe.name not in found]:
        raise MissingRows(
            f"{run} has no perplexity of {missing[0]}: finish it with `{command} --resume`"
        )
    return results


def subnetworks(run: Path) -> "Subnetworks":
    """The results of a study of neural.subnetworks. Raises MissingRows where the run is none, or is not done."""
    from neural.record import recorded
    from neural.subnetworks.claims import Results
    from neural.subnetworks.plan import Study

    command = "python -m neural.subnetworks"
    if not is_subnetworks(run):
        raise OtherKind(f"{run} is no study of sub-networks: give --from a folder of `{command}`")
    plan = recorded(run, Study, "orders", command)
    try:
        results = Results(plan, run)
        _ = results.costs  # the last that is written
    except UserError as error:
        raise MissingRows(str(error)) from None
    return results


def across(run: Path) -> "Across":
    """The results of a study of neural.across. Raises MissingRows where the run is none, or is not done."""
    from neural.across.join import Results
    from neural.across.plan import Study
    from neural.record import recorded

    command = "python -m neural.across"
    if not is_across(run):
        raise OtherKind(f"{run} is no study across the four: give --from a folder of `{command}`")
    plan = recorded(run, Study, "tickets", command)
    try:
        return Results(plan, run)
    except UserError as error:
        raise MissingRows(str(error)) from None


def dynamics(run: Path) -> "Dynamics":
    """The results of a study of neural.dynamics. Raises MissingRows where the run is none, or is not done."""
    from neural.dynamics.plan import Study
    from neural.dynamics.results import Results
    from neural.record import recorded

    command = "python -m neural.dynamics"
    if not is_dynamics(run):
        raise OtherKind(
            f"{run} is no study of training dynamics: give --from a folder of `{command}`"
        )
    plan = recorded(run, Study, "answers", command)
    try:
        results = Results(plan, run)
    except UserError as error:
        raise MissingRows(str(error)) from None
    probes = results.probes
    done = {"retrieval": results.retrieval}  # of what is measured at every step, the last
    done |= {f"probes of {task}": probes[probes["task"] == task] for task in plan.tasks}
    for name, rows in done.items():
        if set(rows["step"]) != set(plan.steps):
            raise MissingRows(
                f"{run} has no {name} of some steps: finish it with `{command} --resume`"
            )
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
    from neural.intervals import interval

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
