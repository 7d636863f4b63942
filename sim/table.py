"""The tidy table of a sweep: one row a trained model, group of weights, perturbation and strength.

Every part of a run has all the columns, in this order and of these types, so that any set of parts reads as one table.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: dict[str, str] = {
    **dict.fromkeys(("identity", "network", "geometry", "options", "inputs"), "str"),
    **dict.fromkeys(("d", "T", "k", "seed"), "int64"),
    **dict.fromkeys(("trainer", "group", "perturbation"), "str"),
    "strength": "float64",
    "draws": "int64",
    **dict.fromkeys(("risk_zero", "risk_clean", "risk_closed_form", "risk_measured"), "float64"),
    **dict.fromkeys(("standard_error", "skewness_below", "skewness_above"), "float64"),
    "risk_bound": "float64",
    **dict.fromkeys(("slope_closed_form", "slope_trained", "slope_measured"), "float64"),
    **dict.fromkeys(("slope_standard_error", "slope_curvature"), "float64"),
    **dict.fromkeys(("slope_curvature_standard_error",), "float64"),
    **dict.fromkeys(("accuracy", "accuracy_standard_error"), "float64"),
    **dict.fromkeys(("accuracy_common", "accuracy_common_standard_error"), "float64"),
    "converged": "bool",
    "residual": "float64",
    "iterations": "int64",
    **dict.fromkeys(("seconds", "seconds_compiling"), "float64"),
}
"""name -> type. What a model has no value of is NaN in it, and so it is where a caller of `tidy` leaves it out."""


def tidy(columns: "Mapping[str, Any] | list[dict[str, Any]]") -> "pd.DataFrame":
    """The table of these columns (arrays of one length) or rows. Raises ValueError for an unknown column."""
    import pandas as pd

    table = pd.DataFrame(columns)
    unknown = sorted(set(table.columns) - set(COLUMNS))
    if unknown:
        raise ValueError(f"unknown column {unknown[0]!r}: add it to sim.table.COLUMNS")
    for name, kind in COLUMNS.items():
        if name not in table:
            if kind != "float64":
                raise ValueError(
                    f"column {name!r} is missing: only numbers that do not exist may be left out"
                )
            table[name] = np.nan
    return table[list(COLUMNS)].astype(COLUMNS)
