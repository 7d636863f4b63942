"""The benchmark's command line, and what it measures."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from neural.bench import Speed, measure, report
from neural.config import Compute, ModelConfig

ROOT = Path(__file__).resolve().parents[2]
TINY = (
    "--preset tiny --layers 1 --width 32 --heads 2 --context 16 --vocabulary 64 --batch 2".split()
)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "neural.bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_table() -> None:
    done = bench(*TINY, "--seeds", "2", "--steps", "2")
    assert done.returncode == 0, done.stderr
    names = [line[:16].strip() for line in done.stdout.splitlines()]
    assert names == [
        "device",
        "model",
        "speed",
        "step",
        "utilisation",
        "compilation",
        "memory",
        "page faults",
    ]
    assert "64 tokens a step" in done.stdout
    assert re.search(r"speed +[\d,]+ tokens/s", done.stdout)


@pytest.mark.slow
def test_what_is_measured() -> None:
    config = ModelConfig(layers=1, width=32, heads=2, context=16, vocabulary=64)
    speed = measure(config, Compute(), batch=2, steps=3)
    assert speed.tokens == 2 * 16
    assert speed.flops == 32 * config.training_flops()
    assert speed.least <= speed.seconds <= speed.most
    assert 0 < speed.utilisation < 1
    # Parameters and two moments at least.
    assert speed.memory > 3 * 4 * config.parameters


def test_utilisation_is_needed_over_possible() -> None:
    speed = Speed("d", 10**6, 1000, 0.5, 0.4, 0.9, 3e9, 12e9, 2.0, 2**30, 20_000)
    assert speed.utilisation == 0.5
    printed = report(speed)
    assert "2,000 tokens/s" in printed
    assert "50% of 12 GFLOP/s" in printed
    assert "1,024 MiB" in printed
    assert "20,000 a step; with GLIBC_TUNABLES=" in printed
    assert report(replace(speed, faults=20)).endswith("20 a step")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "huge"], "unknown preset 'huge': choose from tiny"),
        (["--heads", "7"], "7 heads do not divide a width of 512"),
        (["--batch", "0"], "--batch 0: give a whole number >= 1"),
        (["--attention", "cudnn", "--dtype", "float32"], "cudnn attention computes in bfloat16"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str) -> None:
    done = bench(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"neural.bench: {message}")
    assert len(done.stderr.splitlines()) == 1
