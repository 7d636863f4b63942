"""What tests of figures share."""

from collections.abc import Iterator

import pytest

from figures.once import reading_once


@pytest.fixture(scope="module")
def read_once() -> Iterator[None]:
    """Every study is read once in a module, none of whose tests changes one that was read."""
    with reading_once():
        yield
