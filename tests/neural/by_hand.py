"""Effects computed again by hand, and tables whose numbers have no pattern, for the tests of claims."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

Ends = tuple[float, float, float]


def redraw(folder: Path, table: str, *columns: str, seed: int = 0) -> None:
    """Columns of a study's table drawn anew between 0.1 and 0.9, so that no two effects of it are alike."""
    (path,) = folder.glob(f"part-{table}-*.parquet")
    rows = pd.read_parquet(path)
    rng = np.random.default_rng([seed, *table.encode()])
    rows[list(columns)] = rng.uniform(0.1, 0.9, (len(rows), len(columns)))
    rows.to_parquet(path, index=False)


def chosen(table: pd.DataFrame, **where: object) -> pd.DataFrame:
    """The rows that have these values."""
    for name, value in where.items():
        table = table[table[name] == value]
    return table


def student(values: Sequence[float]) -> Ends:
    """Mean and Student's 95 % interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(np.mean(values) - half), float(np.mean(values) + half)


def assert_effect(row: pd.Series, ends: Sequence[float], expected: int, unit: str = "") -> None:
    """A row of claims has this effect and interval, the sign expected, and the verdict that follows from them."""
    value, low, high = map(float, ends)
    shown = row[["effect", "low", "high"]].to_numpy(float)
    np.testing.assert_allclose(shown, [value, low, high], rtol=1e-9, atol=1e-12)
    assert row["expected"] == expected
    if unit:
        assert row["unit"] == unit
    if expected:
        side = 1 if low > 0 else -1 if high < 0 else 0
        said = {0: "not replicated", expected: "replicated", -expected: "opposite"}
        assert row["verdict"] == said[side]


def single(table: pd.DataFrame, **where: object) -> pd.Series:
    """The row that has these values, of which there must be no second."""
    rows = chosen(table, **where)
    if len(rows) != 1:
        pytest.fail(f"{len(rows)} rows with {where}")
    return rows.iloc[0]
