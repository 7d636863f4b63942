"""How long the quick sweep takes, compiling and with programs kept, beside that of another checkout, on this machine.

python tests/benchmarks/first_and_second.py OTHER [--times 3]

OTHER is a worktree of an earlier commit, say of d73669d, that this Python can import from. Each time runs the other,
ours from an empty cache, and ours again, one after another; the medians of the ratios to the other are printed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMITS = {"first": 0.55, "second": 0.35}


def seconds(tree: Path, folder: Path, programs: Path) -> float:
    """Of a quick sweep by the code of a tree."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    environment |= {"PYTHONPATH": str(tree), "COGNITIVE_RESERVE_PROGRAMS": str(programs)}
    command = [sys.executable, "-m", "sim.sweep", "--out", str(folder)]
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd=folder.parent)
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("other", type=Path, help="a worktree of another commit")
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    ratios: dict[str, list[float]] = {"first": [], "second": []}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(given.times):
            place = Path(scratch) / str(number)
            place.mkdir()
            other = seconds(given.other.resolve(), place / "other", place / "none of its")
            for name, of_name in ratios.items():
                ours = seconds(ROOT, place / name, place / "programs")
                of_name.append(ours / other)
                print(f"{name}: {ours:.1f} s, the other {other:.1f} s", flush=True)
    for name, of_name in ratios.items():
        print(f"{name:8} {statistics.median(of_name):.2f} (aim {LIMITS[name]})")


if __name__ == "__main__":
    main()
