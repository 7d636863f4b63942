"""Run folders as the figures read them: of which kind they are, and a sweep's rows and its configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from figures.engine.once import known
from neural.study.kind import study_of
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


PIECE = 200_000
"""Rows of a table that are read together, some 60 MB: many small parts are slow to search."""


class MissingRows(UserError):
    """The run is sound but has no rows that this figure could show."""


class OtherKind(MissingRows):
    """The run is of another kind than those that this figure is of."""


def kind(run: Path) -> str:
    """The name of a study, or else "sweep"."""
    return study_of(Run.existing(run).provenance() or {}) or "sweep"


def configuration(run: Path) -> dict[str, Any]:
    """As it is recorded; empty where nothing is. Raises UserError where there is no run."""
    config = (Run.existing(run).provenance() or {}).get("config")
    return config if isinstance(config, dict) else {}


def rows(run: Path, query: str) -> pd.DataFrame:
    """The rows of the run that satisfy a pandas query.

    Raises UserError where the run has no readable results, and MissingRows where no row satisfies
    the query, or the run is no sweep.
    """
    _sweep(run)
    try:
        # Piece by piece: a figure needs few rows of a table that may not fit into memory.
        pieces = [piece.query(query) for piece in _pieces(run)]
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{run} has unreadable results ({reason}): run the sweep again") from None
    table = pd.concat(pieces, ignore_index=True)
    if table.empty:
        raise MissingRows(f"{run} has no rows with {query}: sweep cells that give some")
    return table.sort_values(ORDER, ignore_index=True)


def _pieces(run: Path) -> Iterator[pd.DataFrame]:
    """What the figures use of the table, in pieces of at least PIECE rows but for the last.

    Within `reading_once` a table of a single piece is read once.
    """
    read = known()
    if read is not None and run in read:
        yield read[run]
        return
    whole, parts = True, []
    for part in Run.existing(run).tables():
        parts.append(_checked(part, run))
        if sum(map(len, parts)) >= PIECE:
            yield pd.concat(parts, ignore_index=True)
            whole, parts = False, []
    if parts:
        last = pd.concat(parts, ignore_index=True)
        if read is not None and whole:
            read[run] = last
        yield last


def _checked(part: pd.DataFrame, run: Path) -> pd.DataFrame:
    """What the figures use of a part."""
    missing = [column for column in COLUMNS if column not in part.columns]
    if missing:
        raise UserError(f"the table of {run} lacks {', '.join(missing)}: run the sweep again")
    return part.loc[:, list(COLUMNS)]


def swept(run: Path) -> dict[str, Any]:
    """The configuration of a sweep. Raises OtherKind for a run that is none."""
    _sweep(run)
    return configuration(run)


def seed(config: dict[str, Any]) -> int:
    """Of the configuration of a sweep. Raises UserError where it has none."""
    value = config.get("seed")
    if not isinstance(value, int) or value < 0:
        raise UserError("the configuration of the sweep has no seed: run the sweep again")
    return value


def _sweep(run: Path) -> None:
    """Raise OtherKind for what is none."""
    if kind(run) != "sweep":
        raise OtherKind(f"{run} holds measurements of GPTs: give --from the folder of a sweep")
