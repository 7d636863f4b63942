"""Training steps of ours and of nanoGPT in PyTorch, taking turns on the same cores.

Between its turns a process is stopped: threads of either wait for work by spinning, and would take the other's cores.

PyTorch may live in an environment of its own: TORCH_PYTHON=/there/bin/python pytest -m benchmark -k gpt_speed.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("TORCH_PYTHON", sys.executable)
OURS = """
import sys
from neural.memory import restart_with_huge_pages

restart_with_huge_pages()

import jax
import numpy as np
from neural import parallel
from neural.config import Compute, ModelConfig
from neural.optim import OptimiserConfig
from neural.step import program

model = ModelConfig(layers=6, width=384, heads=6, context=256, vocabulary=4096)
mesh = parallel.mesh_of(1)
training = program(model, Compute(), OptimiserConfig(steps=10_000), mesh, "data")
state = training.init(np.zeros(1, np.uint32))
tokens = np.random.default_rng(0).integers(4096, size=(1, 1, 8, 257), dtype=np.int32)
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
@pytest.mark.parametrize(("mode", "speed"), [("eager", 1.2), ("compile", 1.0)])
def test_a_step_against_pytorch(ratio, mode: str, speed: float) -> None:
    """Of 12 million parameters on 2048 tokens, in float32, as in training: right after another step.

    Ratio: our time over theirs.
    """
    if subprocess.run([PYTHON, "-c", "import torch"], capture_output=True, check=False).returncode:
        pytest.skip("needs torch: name the Python of an environment that has it in TORCH_PYTHON")
    theirs = (PYTHON, str(Path(__file__).with_name("torch_gpt.py")), mode)
    with stepper(sys.executable, "-c", OURS) as our, stepper(*theirs) as their:
        assert ratio(lambda: step(our), lambda: step(their), rounds=15, resume=True) < 1 / speed
