"""Ratios of times measured side by side in one run: `pytest -m benchmark tests/benchmarks`, on an idle machine.

A benchmark says by its mark `line` what it compares, and its limits; it ends with a table of all. `--keep DIR` writes
that to DIR/benchmarks.md, as tests.benchmarks.table tells. Limits that are not met fail, and are kept all the same.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import timing
from tests.benchmarks.table import Line, keep, printed, record

LINES = pytest.StashKey[dict[str, Line]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchmarks")
    group.addoption("--keep", type=Path, metavar="DIR", help="write the table of benchmarks there")
    group.addoption(
        "--turns", type=int, metavar="N", help="at most, of each benchmark: to try them"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LINES] = {}
    if config.getoption("keep", None) and getattr(config.option, "tx", None):
        raise pytest.UsageError("--keep: benchmarks are timed one at a time, add -m benchmark")


def _declared(item: pytest.Item) -> Line | None:
    """What the mark of a benchmark says, with its parameters filled in."""
    mark = item.get_closest_marker("line")
    if mark is None:
        return None
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    limits = {name: parameters[name] for name in ("most", "least") if name in parameters}
    return Line(mark.args[0].format(**parameters), **(mark.kwargs | limits))


@pytest.fixture(scope="session")
def turns(pytestconfig: pytest.Config) -> Callable[[int], int]:
    """turns(n): n, or fewer where --turns says so."""
    most = pytestconfig.getoption("turns", None)
    return lambda wanted: min(wanted, most or wanted)


@pytest.fixture
def side_by_side(turns: Callable[[int], int]) -> Callable[..., Any]:
    """side_by_side(work, baseline): the ratios of their times, turn by turn."""

    def measured(
        work: timing.Work, baseline: timing.Work, *, rounds: int = 9, resume: bool = False
    ) -> Any:
        return timing.ratios(work, baseline, turns(rounds), resume=resume)

    return measured


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Callable[..., None]:
    """judge(ratios): they are this benchmark's line, and meet its limits, those of its mark or those given here."""

    def judged(ratios: Sequence[float], note: str = "", **limits: float | None) -> None:
        declared = _declared(request.node)
        assert declared is not None, "a benchmark says by its mark what it compares"
        line = replace(declared, note=note, **limits).measured([float(ratio) for ratio in ratios])
        request.config.stash[LINES][line.what] = line
        assert line.met is not False, " ".join(line.cells())

    return judged


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was skipped or failed before it measured anything has a line too, which says why."""
    report = yield
    lines, declared = item.config.stash[LINES], _declared(item)
    if declared and call.excinfo is not None and declared.what not in lines:
        known = f"failed ({call.excinfo.typename})"
        reason = str(getattr(call.excinfo.value, "msg", known)) if report.skipped else known
        lines[declared.what] = replace(declared, note=reason)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = list(config.stash[LINES].values())
    if not lines:
        return
    terminalreporter.section("benchmarks")
    terminalreporter.write_line(printed(lines))
    if folder := config.getoption("keep", None):
        run = record()
        for path in keep([replace(line, run=run) for line in lines], folder):
            terminalreporter.write_line(str(path))
