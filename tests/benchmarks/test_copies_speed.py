"""Broken copies of a GPT scored together, against one copy at a time: run with `pytest -m benchmark -s`.

One copy is scored as in Daras et al. 2022, who read a window at a time; or in batches of windows, which on a CPU are
bound by arithmetic already, so that more copies at once have little to gain: that ratio is measured and not judged.
"""

import jax
import numpy as np
import pytest

from neural.config import ModelConfig, preset
from neural.perturb import AT_ONCE, failed
from neural.scoring import Sliding, score
from neural.tokens import Tokens
from tests.neural.random_model import random_parameters

MODELS = {
    "study": ModelConfig(layers=3, width=64, heads=4, context=64, vocabulary=2048),
    "tiny": preset("tiny"),
}
DRAWS, TOKENS = 10, 4000
LEAST = {"cpu": 1.0, "gpu": 10.0}
"""Times as fast as window by window, on CPUs that it pays at all."""


@pytest.mark.benchmark
@pytest.mark.parametrize("windows", ["window by window", "in batches"])
@pytest.mark.parametrize("size", MODELS)
def test_copies_together_against_one_at_a_time(ratio, size: str, windows: str) -> None:
    """Ten draws of deleted attention weights, drawn and scored. Ratio: our time over one copy after another."""
    config, platform = MODELS[size], jax.default_backend()
    parameters = jax.device_put(random_parameters(config, scale=0.05))
    ids = np.random.default_rng(0).integers(config.vocabulary, size=TOKENS).astype(np.uint16)
    text = Tokens(ids, np.array([TOKENS]), np.array([4 * TOKENS]))
    sliding = Sliding(config.context, config.context // 2)
    at_once = AT_ONCE[platform]

    def scored(first: int, draws: int, batch: int) -> None:
        copies = failed(
            *(parameters, config, "attention", "weight-deletion", 0.2), draws=draws, first=first
        )
        score(copies, config, text, sliding, batch=batch)

    def together() -> None:
        scored(0, DRAWS, max(1, at_once // (DRAWS * config.context)))

    def one_at_a_time() -> None:
        for draw in range(DRAWS):
            scored(draw, 1, 1 if windows == "window by window" else at_once // config.context)

    faster = 1 / ratio(together, one_at_a_time, rounds=5)
    print(f"{faster:.2f} times as fast as one copy at a time, {windows}, on {platform}")
    assert windows == "in batches" or faster > LEAST[platform]
