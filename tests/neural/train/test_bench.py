"""The benchmark's command line, and what it measures."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from neural.gpt.config import Compute, ModelConfig
from neural.train.bench import Speed, measure, report
from tests.command_line import ROOT, as_process, in_process

TINY = (
    "--preset tiny --layers 1 --width 32 --heads 2 --context 16 --vocabulary 64 --batch 2".split()
)


def test_the_table(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("neural.train.bench.matrix_product", lambda dtype: 1e11)
    done = in_process(capfd, "neural.bench", *TINY, "--seeds", "2", "--steps", "2")
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
    assert printed.endswith("20,000 a step")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "huge"], "unknown preset 'huge': choose from tiny"),
        (["--heads", "7"], "7 heads do not divide a width of 512"),
        (["--batch", "0"], "--batch 0: give a whole number >= 1"),
        (["--attention", "cudnn", "--dtype", "float32"], "cudnn attention computes in bfloat16"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if arguments[0] == "--preset":
        done = as_process("neural.bench", *arguments)
    else:
        done = in_process(capfd, "neural.bench", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"neural.bench: {message}")
    assert len(done.stderr.splitlines()) == 1


RESTARTED = """
import os, resource, sys
from neural.gpt.memory import restart_with_huge_pages
restart_with_huge_pages()
size = 2**26
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    b"x" * size
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(os.environ["GLIBC_TUNABLES"], sys.argv[1], os.getpid(), faults)
"""
linux = pytest.mark.skipif(
    sys.platform != "linux", reason="huge pages are asked for on Linux alone"
)


def restarted(**environment: str) -> tuple[str, int]:
    """What a process that restarts itself says of its tunables, and of its page faults for 4 x 64 MiB."""
    clean = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    command = [sys.executable, "-c", RESTARTED, "an argument"]
    with subprocess.Popen(
        command, cwd=ROOT, env=clean | environment, stdout=subprocess.PIPE, text=True
    ) as process:
        said = re.fullmatch(r"(\S*) an argument (\d+) (\d+)\n", process.communicate(timeout=600)[0])
    assert said
    assert int(said[2]) == process.pid
    return said[1], int(said[3])


@linux
def test_a_command_restarts_itself_once_for_huge_pages() -> None:
    assert restarted()[0] == "glibc.malloc.hugetlb=1"
    assert restarted(GLIBC_TUNABLES="glibc.malloc.check=0")[0] == "glibc.malloc.check=0"


@linux
def test_huge_pages_save_page_faults() -> None:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.exists() or "[madvise]" not in setting.read_text():
        pytest.skip("this kernel gives huge pages to all or to none")
    small, huge = restarted(GLIBC_TUNABLES="glibc.malloc.hugetlb=0")[1], restarted()[1]
    # 2^16 pages of 4 KiB, or 2^7 of 2 MiB and those that the kernel has none of.
    assert huge < small / 10
