"""Sweeps of many small cells."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from theory.geometry import KINDS, existing

ROOT = Path(__file__).resolve().parents[2]


def options(cells: int) -> list[str]:
    """Of a sweep of about so many cells."""
    kinds = [kind for kind in KINDS if kind in existing(12, 4) and kind in existing(12, 6)]
    seeds = round(cells / (len(kinds) * 2 * 3))
    options = ["--geometries", *kinds, *"--images none --d 12 --T 4 6 --k 3 --draws 64".split()]
    return [*options, "--seeds", str(seeds)]


def sweep_of(cells: int, out: Path) -> tuple[float, float]:
    """Seconds, and peak GiB of a process, of a sweep of about so many cells by two processes that another starts."""
    asked = options(cells)
    command = [sys.executable, "-m", "sim.sweep", *asked, "--workers", "2", "--out", str(out)]
    started = time.perf_counter()
    with out.with_suffix(".txt").open("w+") as report:
        process = subprocess.Popen(command, cwd=ROOT, stdout=report)
        _, status, used = os.wait4(process.pid, 0)
        taken = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        report.seek(0)
        said = report.read()
    assert process.returncode in (0, 1)  # the verdict by 64 draws is not what is measured
    trained = re.search(r"(\d+) trained models", said)
    seeds = int(asked[-1])
    assert trained
    assert int(trained[1]) == seeds * 6 * (asked.index("--images") - 1)
    return taken, used.ru_maxrss / 2**20
