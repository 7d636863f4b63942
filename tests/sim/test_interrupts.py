"""Ctrl-C and SIGTERM at random moments of a sweep: it ends in a line, and goes on to the same bits.

`python -m tests.sim.test_interrupts SEED COUNT` prints what became of each.
"""

import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.places import ROOT

HANGS = 600
SWEEP = "--geometries sphere duplicated --d 5 --T 3 4 --k 2 --seeds 1 --draws 64 --images none"

BEFORE_ANY_OF_OURS = (-signal.SIGINT, -signal.SIGTERM)
"""While Python itself starts its own handlers end it, Ctrl-C with a traceback."""

MARKS = ("start", "run/_provenance.json", "run/part-*", "run/part-00005*", "run/_figures*")
"""What a sweep writes as it goes: a kill waits for one of them, and then some."""
SPAN = 4.0
"""Seconds, at most, from a mark to the kill: to import and to compile takes as long."""


@dataclass(frozen=True)
class Kill:
    """One interrupted process."""

    number: int
    mark: str
    delay: float
    code: int
    error: str

    @property
    def ended_well(self) -> bool:
        """In a line and with the signal's exit code, unless it was done before, or never was ours.

        Where it takes minutes, lines that say how far it is come before, and XLA's about slow compilation.
        """
        if self.code in BEFORE_ANY_OF_OURS:
            return not self.error or "KeyboardInterrupt" in self.error
        ours = [line for line in self.error.splitlines() if line.startswith("sim.sweep: ")]
        said = [line.partition(";")[0] for line in ours]
        expected = [] if self.code == 0 else ["sim.sweep: interrupted"]
        whole = not any(word in self.error for word in ("Traceback", "Fatal", "Exception"))
        return whole and said == expected and self.code in (0, 128 + self.number)


def killed(folder: Path, rng: random.Random) -> Kill:
    """Start or go on with the sweep, and send it a signal at a random moment."""
    number = rng.choice([signal.SIGINT, signal.SIGTERM])
    mark, delay = rng.choice(MARKS), rng.uniform(0, SPAN)
    command = [sys.executable, "-m", "sim.sweep", *SWEEP.split(), "--out", str(folder / "run")]
    process = subprocess.Popen(
        [*command, "--resume"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait = threading.Event().wait
    while mark != "start" and process.poll() is None and not list(folder.glob(mark)):
        wait(0.01)
    wait(delay)
    process.send_signal(number)
    error = process.communicate(timeout=HANGS)[1]
    return Kill(number, mark, delay, process.returncode, error)


def kills(seed: int, count: int, folder: Path) -> Iterator[Kill]:
    """So many; a sweep that is done makes room for the next. What is finished is whole and stays."""
    rng = random.Random(seed)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # processes inherit that it is ignored
    at = folder / "0"
    at.mkdir()
    for index in range(count):
        before = {path: path.read_bytes() for path in at.glob("run/part-*")}
        yield (kill := killed(at, rng))
        assert {path: path.read_bytes() for path in before} == before
        if kill.code == 0:
            at = folder / str(index + 1)
            at.mkdir()


def finished(folder: Path) -> pd.DataFrame:
    """The sweep's table, after whatever was missing of it."""
    command = [sys.executable, "-m", "sim.sweep", *SWEEP.split(), "--out", str(folder / "run")]
    done = subprocess.run(
        [*command, "--resume"], cwd=ROOT, capture_output=True, text=True, timeout=HANGS, check=False
    )
    assert done.returncode == 0, done.stderr
    left = [path.name for path in (folder / "run").glob(".*")]
    assert not left, left
    table = pd.read_parquet(folder / "run")
    return table.drop(columns=["seconds", "seconds_compiling"])


@pytest.mark.slow
def test_interrupts_at_random_moments(tmp_path: Path) -> None:
    for kill in kills(17, 50, tmp_path):
        assert kill.ended_well, kill
    (tmp_path / "whole").mkdir()
    whole = finished(tmp_path / "whole")
    for folder in tmp_path.glob("[0-9]*"):
        pd.testing.assert_frame_equal(finished(folder), whole, check_exact=True)


def main() -> None:
    seed, count = map(int, sys.argv[1:])
    codes: Counter[int] = Counter()
    badly = 0
    with tempfile.TemporaryDirectory() as folder:
        for kill in kills(seed, count, Path(folder)):
            codes[kill.code] += 1
            badly += not kill.ended_well
            print(kill, flush=True)
    print(f"{badly} of {count} ended badly; exit codes: {dict(codes)}")


if __name__ == "__main__":
    main()
