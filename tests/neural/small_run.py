"""A training run of a second: one layer of width 32 on two languages of 40 ids each. Run as a program, it is that run.

python -m tests.neural.small_run FOLDER [OPTIONS as JSON] [crash after so many renames]
"""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from neural.gpt.config import ModelConfig
from neural.text.tokenizer import ByteTokenizer
from neural.train.data import Data
from neural.train.optim import OptimiserConfig
from neural.train.recipe import TrainConfig
from sim.programs import keep

MODEL = ModelConfig(layers=1, width=32, heads=2, context=16, vocabulary=264)
CONFIG = TrainConfig(
    MODEL,
    OptimiserConfig(steps=12, peak=3e-3, warmup=2),
    batch=8,
    languages=("a:0.75,b:0.25",),
    evaluate_every=5,
    evaluation=8,
    save_every=3,
    checkpoints="0,4",
)


def config(**options):
    return replace(CONFIG, **options)


def data(tokens=4000, fingerprint="text"):
    """Language a counts up, b counts down, each with steps that are sometimes 2."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(1 + (rng.random(tokens) < 0.1))
    ids = {"a": walk % 40, "b": 79 - walk % 40}
    ids = {name: stream.astype(np.uint16) for name, stream in ids.items()}
    valid = {name: stream[:500] for name, stream in ids.items()}
    return Data(ByteTokenizer(), 257, ids, valid, {"a": 1.0, "b": 0.5}, fingerprint)


def files(folder):
    """Contents of every checkpoint of a run, by path in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("step-*"))
    }


def lines(folder):
    """The metrics of a run, less its speed, which no two runs share."""
    metrics = [
        json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()
    ]
    return [{k: v for k, v in line.items() if k != "tokens_per_second"} for line in metrics]


def _kill_after_renames(count, folder):
    rename = os.replace

    def counted(source, target, **options):
        nonlocal count
        count -= Path(target).is_relative_to(folder)  # elsewhere compiled programs are kept
        if count < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target, **options)

    os.replace = counted


def main():
    from neural.train.loop import train

    folder, options, *renames = sys.argv[1:]
    if renames:
        _kill_after_renames(int(renames[0]), folder)
    keep()
    train(config(**json.loads(options)), folder, resume=True, data=data())


if __name__ == "__main__":
    main()
