"""A sweep's run folder as the figures read it: rows of its tidy table, and its seed."""

from pathlib import Path

import pandas as pd

from sim.runs.errors import UserError
from sim.runs.store import Run

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


def rows(run: Path, query: str) -> pd.DataFrame:
    """The rows of the run that satisfy a pandas query.

    Raises UserError where the run has no readable results, and MissingRows where no row satisfies
    the query.
    """
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
    record = Run.existing(run).provenance() or {}
    config = record.get("config")
    value = config.get("seed") if isinstance(config, dict) else None
    if not isinstance(value, int) or value < 0:
        raise UserError(f"the provenance of {run} has no config.seed: run the sweep again")
    return value
