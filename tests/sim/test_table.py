"""The table has all its columns whatever a caller knows; time is told apart from compiling."""

from threading import Thread

import jax
import numpy as np
import pandas as pd
import pytest

from sim.stopwatch import stopwatch
from sim.table import COLUMNS, tidy

WORDS = {name: "x" for name, kind in COLUMNS.items() if kind == "str"}
WHOLE = {name: 1 for name, kind in COLUMNS.items() if kind == "int64"}
ROW = WORDS | WHOLE | {"converged": True}


def test_every_part_has_all_columns_in_one_order_and_type() -> None:
    few, with_risk = tidy([ROW]), tidy([dict(reversed(list(ROW.items()))) | {"risk_zero": 2.0}] * 3)
    assert list(few) == list(with_risk) == list(COLUMNS)
    assert few.dtypes.equals(with_risk.dtypes)
    assert few.risk_zero.isna().all()
    assert (with_risk.risk_zero == 2).all()
    assert len(pd.concat([few, with_risk])) == 4


def test_columns_that_no_reader_knows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown column 'risk'.*sim\.table\.COLUMNS"):
        tidy([ROW | {"risk": 1.0}])


@pytest.mark.parametrize("name", ["identity", "T", "converged"])
def test_only_numbers_may_be_left_out(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is missing"):
        tidy([{key: value for key, value in ROW.items() if key != name}])


def test_compiling_is_told_from_running() -> None:
    program = jax.jit(lambda x: x @ x + 1)
    x = np.ones((3, 3))
    with stopwatch() as first:
        program(x).block_until_ready()
    with stopwatch() as second:
        program(x).block_until_ready()
    assert first.compiling > 0
    assert second.compiling == 0
    assert second.running > 0


def test_compiling_is_its_own_thread_s() -> None:
    program = jax.jit(lambda x: x @ x + 2)
    with stopwatch() as here:
        thread = Thread(target=lambda: program(np.ones((3, 3))).block_until_ready())
        thread.start()
        thread.join()
    assert here.compiling == 0
