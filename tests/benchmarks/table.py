"""The table of benchmarks: what was compared, the ratio, its limit, and where that was measured; printed, and kept.

It is kept as a page (.md), its numbers (.csv) and where they come from (.json). Every line names the run that measured
it: a run of some benchmarks replaces the lines that it measured, and the others stay with their own commit and machine.
What a run could not measure takes no measured line's place. Lines of benchmarks that are gone stay until the files are
deleted.
"""

import csv
import io
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from figures.engine.markdown import code, table
from figures.engine.render import write
from sim.runs.identity import parsed, written
from sim.runs.provenance import commit, versions

NAME = "benchmarks"
COMMAND = "pytest -m benchmark tests/benchmarks --keep figures/results"
COLUMNS = ("what", "ratio", "low", "high", "turns", "most", "least", "note", "run")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A ratio, the median of several turns, and the least and the most of them; without turns it was not measured.

    most, least: the limits of the ratio, where it has any. note: what else is to be known, or why nothing was measured.
    """

    what: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    turns: int = 0
    most: float | None = None
    least: float | None = None
    note: str = ""
    run: Record | None = None

    @property
    def met(self) -> bool | None:
        """Whether the ratio is within its limits; None where it has none, or was not measured."""
        if self.ratio is None or (self.most is None and self.least is None):
            return None
        return not (
            (self.most is not None and self.ratio > self.most)
            or (self.least is not None and self.ratio < self.least)
        )

    def measured(self, ratios: Sequence[float]) -> "Line":
        """This line with what was found, turn by turn."""
        return replace(
            self,
            ratio=statistics.median(ratios),
            low=min(ratios),
            high=max(ratios),
            turns=len(ratios),
        )

    def cells(self) -> tuple[str, str, str, str]:
        """Ratio, limit, whether it is met, and note."""
        ratio = "not measured"
        if self.ratio is not None:
            ratio = f"{self.ratio:.3g} [{self.low:.3g}, {self.high:.3g}] of {self.turns}"
        limits = {"≤": self.most, "≥": self.least}
        limit = ", ".join(f"{sign} {end:.3g}" for sign, end in limits.items() if end is not None)
        met = {None: "–", True: "yes", False: "**no**"}[self.met]
        return ratio, limit or "–", met, self.note


def record() -> Record:
    """Where a run's lines come from: commit, versions, machine, and no date, so that equal runs are one."""
    import jax

    kinds = {device.device_kind for device in jax.devices() if device.platform != "cpu"}
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "commit": commit(),
        "versions": {"python": platform.python_version(), **versions()},
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "isa": [*simd["baseline"], *simd.get("found", ())][-1],
            "accelerators": sorted(kinds),
        },
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def printed(lines: Sequence[Line]) -> str:
    """The lines of one run, for a terminal."""
    rows = [(line.what, *line.cells()) for line in lines]
    return table(("what", "ratio", "limit", "met", "note"), rows).replace("**", "")


def keep(lines: Sequence[Line], folder: Path) -> list[Path]:
    """Write the lines of a run to a folder, over what it measured before, and return the files."""
    return write(contents(merged(kept(folder), lines)), folder)


def merged(before: Sequence[Line], lines: Sequence[Line]) -> list[Line]:
    """The lines of before, in their order, with the new in their places, and then the others of the new."""
    known = {line.what: line for line in before}
    for line in lines:
        if line.turns or line.what not in known or not known[line.what].turns:
            known[line.what] = line
    return list(known.values())


def kept(folder: Path) -> list[Line]:
    """The lines that a folder has; none where none were kept."""
    numbers, provenance = (folder / f"{NAME}.{end}" for end in ("csv", "json"))
    if not numbers.exists():
        return []
    runs = parsed(provenance.read_text())["runs"]
    return [_line(row, runs) for row in csv.DictReader(io.StringIO(numbers.read_text()))]


def _line(row: Mapping[str, str], runs: Sequence[Record]) -> Line:
    numbers = {
        name: float(row[name]) if row[name] else None
        for name in ("ratio", "low", "high", "most", "least")
    }
    run = runs[int(row["run"]) - 1]
    return Line(row["what"], **numbers, turns=int(row["turns"]), note=row["note"], run=run)


def contents(lines: Sequence[Line]) -> dict[str, bytes]:
    """What the files are to hold, by name."""
    runs: list[Record] = []
    for line in lines:
        if line.run is not None and line.run not in runs:
            runs.append(line.run)
    number = {line.what: runs.index(line.run) + 1 for line in lines if line.run is not None}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        values = (getattr(line, name) for name in COLUMNS[:-1])
        writer.writerow([*values, number[line.what]])
    source = {
        "table": NAME,
        "description": "times of the code over those of what it cannot do without",
        "runs": runs,
    }
    return {
        f"{NAME}.md": _page(lines, runs, number).encode(),
        f"{NAME}.csv": stream.getvalue().encode(),
        f"{NAME}.json": written(source),
    }


def _page(lines: Sequence[Line], runs: Sequence[Record], number: Mapping[str, int]) -> str:
    head = ("what", "ratio", "limit", "met", "machine", "note", "run")
    rows = []
    for line in lines:
        *judged, note = line.cells()
        where = machine(line.run) if line.run else ""
        rows.append((line.what, *judged, where, note.replace("|", "/"), number[line.what]))
    measured = sum(bool(line.turns) for line in lines)
    missed = sum(line.met is False for line in lines)
    return "\n\n".join(
        [
            "# Benchmarks",
            f"Made by `{COMMAND}`. Two pieces of work take turns on one machine; a ratio is the median over the turns "
            "of the time of the first over that of the second, or of its speed where the line says so, with the least "
            "and the most of them. Every line names the run that measured it; they need not be of one run.",
            f"{len(lines)} lines, {measured} measured, {missed} outside their limits "
            f"([numbers]({NAME}.csv), [provenance]({NAME}.json)).",
            table(head, rows),
            "## Runs",
            table(
                ("run", "code", "machine", "versions"),
                [
                    (place, code(run), machine(run), _versions(run))
                    for place, run in enumerate(runs, start=1)
                ],
            )
            + "\n",
        ]
    )


def machine(run: Record) -> str:
    """In a few words."""
    made = run["machine"]
    parts = [made["processor"], f"{made['cores']} cores", made["isa"], *made["accelerators"]]
    return ", ".join(parts)


def _versions(run: Record) -> str:
    return ", ".join(f"{name} {number}" for name, number in run["versions"].items())
