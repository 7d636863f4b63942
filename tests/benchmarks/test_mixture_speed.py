"""What drawing a training batch costs beside the step that trains on it."""

import jax
import numpy as np
import pytest

from neural.gpt.config import Compute, ModelConfig
from neural.text.mixture import Mixture, parse_schedule
from neural.train import parallel
from neural.train.optim import OptimiserConfig
from neural.train.step import program

BATCHES = 20


@pytest.mark.benchmark
@pytest.mark.line(
    "drawing batches of 8 windows of 256 tokens over training 285,000 parameters on them", most=0.05
)
def test_a_batch_costs_little_beside_its_step(side_by_side, judge) -> None:
    """The least favourable of the sizes that train on a CPU."""
    ids = np.zeros(2_000_000, dtype=np.uint16)
    mixture = Mixture(
        parse_schedule("en:0.9,el:0.1"),
        {"en": ids, "el": ids.copy()},
        batch_size=8,
        context=256,
        steps=1000,
    )
    mesh = parallel.mesh_of(1)
    model = ModelConfig(3, 64, 4, 256, 2048)
    training = program(model, Compute(), OptimiserConfig(steps=10_000), mesh, "data")
    windows = np.zeros((1, 1, 8, 257), dtype=np.int32)
    tokens = parallel.place(windows, parallel.of_batch(mesh))
    states = [training.init(np.zeros(1, np.uint32))]

    def draw() -> None:
        for step in range(BATCHES):
            mixture.batch(0, step)

    def train() -> None:
        for _ in range(BATCHES):
            states[0], measures = training.step(states[0], tokens)
        jax.block_until_ready(measures)

    judge(side_by_side(draw, train))
