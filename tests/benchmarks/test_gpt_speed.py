"""Training steps of ours and of nanoGPT in PyTorch, taking turns on the same cores.

Between its turns a process is stopped: threads of either wait for work by spinning, and would take the other's cores.

PyTorch may live in an environment of its own, whose Python the variable TORCH_PYTHON names.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.places import ROOT

SIZES = {
    "12 million": (6, 384, 6, 4096, 256, 8),
    "1 million": (4, 128, 4, 2048, 128, 16),
    "285,000": (3, 64, 4, 2048, 64, 32),
}
"""By parameters: layers, width, heads, vocabulary, context, and the windows of a step. The last is the studies'."""
PYTHON = os.environ.get("TORCH_PYTHON", sys.executable)
OURS = """
import sys
from neural.gpt.memory import restart_with_huge_pages

restart_with_huge_pages()

import jax
import numpy as np
from neural.train import parallel
from neural.gpt.config import Compute, ModelConfig
from neural.train.optim import OptimiserConfig
from neural.train.step import program

layers, width, heads, vocabulary, context, batch = map(int, sys.argv[1:])
model = ModelConfig(layers, width, heads, context, vocabulary)
mesh = parallel.mesh_of(1)
training = program(model, Compute(), OptimiserConfig(steps=10_000), mesh, "data")
state = training.init(np.zeros(1, np.uint32))
tokens = np.random.default_rng(0).integers(vocabulary, size=(1, 1, batch, context + 1), dtype=np.int32)
tokens = parallel.place(tokens, parallel.of_batch(mesh))


def step():
    global state
    state, measures = training.step(state, tokens)
    return jax.block_until_ready(measures)


for _ in range(3):
    step()
print("ready", flush=True)
for _ in sys.stdin:
    step()
    print("done", flush=True)
"""


@contextmanager
def stepper(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is warm, and takes a training step for each line it is given."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        yield process
        process.send_signal(signal.SIGCONT)
        assert process.stdin
        process.stdin.close()


def step(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    assert process.stdout
    process.send_signal(signal.SIGCONT)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(signal.SIGSTOP)


@pytest.mark.benchmark
@pytest.mark.line("training steps a second of a GPT of {size} over those of PyTorch, {mode}")
@pytest.mark.parametrize(("mode", "least"), [("eager", 1.2), ("compile", 1.0)])
@pytest.mark.parametrize("size", SIZES)
def test_a_step_against_pytorch(side_by_side, judge, size: str, mode: str, least: float) -> None:
    """In float32, as in training: right after another step."""
    asked = [PYTHON, "-c", "import torch; print(torch.__version__)"]
    version = subprocess.run(asked, capture_output=True, text=True, check=False)
    if version.returncode:
        pytest.skip("needs torch: name the Python of an environment that has it in TORCH_PYTHON")
    numbers = [str(number) for number in SIZES[size]]
    theirs = (PYTHON, str(Path(__file__).with_name("torch_gpt.py")), mode, *numbers)
    with stepper(sys.executable, "-c", OURS, *numbers) as our, stepper(*theirs) as their:
        taken = side_by_side(lambda: step(our), lambda: step(their), rounds=15, resume=True)
    judge(1 / taken, note=f"PyTorch {version.stdout.strip()}")
