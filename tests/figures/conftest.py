"""What tests of figures share."""

from collections.abc import Iterator

import pytest

from figures.engine import style
from figures.engine.once import reading_once

COARSE = {"figure.dpi": 60, "savefig.dpi": 60}
"""Dots an inch in these tests: what a figure holds does not depend on them, and it is drawn in half the time."""


@pytest.fixture(scope="session", autouse=True)
def coarse() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, dots in COARSE.items():
            patch.setitem(style.RC, name, dots)
        yield


@pytest.fixture(scope="module")
def read_once() -> Iterator[None]:
    """Every study is read once in a module, none of whose tests changes one that was read."""
    with reading_once():
        yield
