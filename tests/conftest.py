"""Programs that were compiled for one test serve the next, the processes that tests start, and later runs."""

import os

import pytest

from sim import programs


def pytest_configure(config: pytest.Config) -> None:
    programs.keep()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None beside the main process for what measures time or stops in a debugger, else one a core."""
    alone = config.option.markexpr == "benchmark" or config.option.usepdb
    return 0 if alone else len(os.sched_getaffinity(0))
