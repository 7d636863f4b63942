"""Broken copies of a GPT scored together, against one copy at a time and against as many clean evaluations.

One copy at a time is scored as in Daras et al. 2022, who read a window at a time; or in batches of windows, which on a
CPU are bound by arithmetic already, so that more copies at once have little to gain: that ratio is measured and not
judged.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural.gpt.config import Compute, ModelConfig, preset
from neural.gpt.model import token_losses
from neural.gpt.parts import names_of
from neural.measures.curvature import damages
from neural.measures.perturb import AT_ONCE, failed, is_random
from neural.measures.scoring import Sliding, score
from neural.robustness.measure import curves
from neural.robustness.plan import hit, presets
from neural.study.stack import Stack
from neural.text.tokens import Tokens
from tests.neural.random_model import random_parameters

MODELS = {
    "study": ModelConfig(layers=3, width=64, heads=4, context=64, vocabulary=2048),
    "tiny": preset("tiny"),
}
DRAWS, TOKENS = 10, 4000
LEAST = {"cpu": 1.0, "gpu": 10.0}
"""Times as fast as window by window, on CPUs that it pays at all."""


@pytest.mark.benchmark
@pytest.mark.line(
    "ten copies of a GPT ({size}) scored at once: speed over one at a time, {windows}"
)
@pytest.mark.parametrize("windows", ["window by window", "in batches"])
@pytest.mark.parametrize("size", MODELS)
def test_copies_together_against_one_at_a_time(
    side_by_side, judge, size: str, windows: str
) -> None:
    """Ten draws of deleted attention weights, drawn and scored."""
    config, platform = MODELS[size], jax.default_backend()
    parameters = jax.device_put(random_parameters(config, scale=0.05))
    text = text_of(config, TOKENS)
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

    least = LEAST[platform] if windows == "window by window" else None
    judge(1 / side_by_side(together, one_at_a_time, rounds=5), least=least)


STUDY = presets()["laptop"]
MEASURES, SEEDS = STUDY.measures, (0, 1)
STRENGTHS = (0.0, 0.1, 0.3)


@pytest.mark.benchmark
@pytest.mark.line("{failure} of {group} (curves) over as many clean evaluations")
@pytest.mark.parametrize(
    ("group", "failure", "most"),
    [
        ("attention", "weight-deletion", 1.15),
        ("attention", "additive-noise", 1.15),
        ("attention", "head-deletion", 1.15),
        ("attention", "magnitude-pruning", None),
        ("all", "weight-deletion", 1.15),
        ("all", "additive-noise-relative", 1.15),
    ],
)
def test_failures_against_clean_evaluations(
    side_by_side, judge, group: str, failure: str, most: float | None
) -> None:
    """The study's models, text and draws. Clean evaluations are of the stack of all seeds, as `curve` makes its own.

    Pruning, which draws nothing and breaks one copy at each strength, is measured and not judged.
    """
    config = STUDY.model
    each = [random_parameters(config, seed=seed, scale=0.05) for seed in SEEDS]
    parameters = jax.device_put({name: np.stack([seed[name] for seed in each]) for name in each[0]})
    stack = Stack("benchmark", parameters, config, SEEDS, (0,) * len(SEEDS), ({},) * len(SEEDS))
    text = text_of(config, MEASURES.text)
    draws = MEASURES.draws if is_random(failure) else 1
    batch = max(1, AT_ONCE[jax.default_backend()] // (len(SEEDS) * MEASURES.sliding.window))

    def broken() -> None:
        curves(stack, {"text": text}, hit(group, {failure: STRENGTHS}), MEASURES)

    def clean() -> None:
        for _ in range(1 + draws * (len(STRENGTHS) - 1)):
            score(parameters, config, text, MEASURES.sliding, batch=batch)

    judge(side_by_side(broken, clean, rounds=7))


@pytest.mark.benchmark
@pytest.mark.line(
    "damage of small noise on {windows} windows (curvature.damages) over as many clean evaluations",
    most=1.15,
)
@pytest.mark.parametrize("windows", [MEASURES.curvature.windows])
def test_damages_against_clean_evaluations(side_by_side, judge, windows: int) -> None:
    """The study's model, groups, sigmas and pairs, in float64."""
    config, plan, compute = STUDY.model, MEASURES.curvature, Compute("float64")
    parameters = random_parameters(config, scale=0.05)
    ids = np.random.default_rng(0).integers(config.vocabulary, size=(windows, config.context + 1))
    groups = {name: names_of(name, config) for name in plan.groups}
    count = len(groups) * (1 + 2 * len(plan.sigmas) * plan.pairs)

    @jax.jit
    def evaluated(parameters, batches):
        of_batch = lambda b: token_losses(parameters, b[:, :-1], b[:, 1:], config, compute).mean()  # noqa: E731
        return jax.lax.map(of_batch, batches).mean()

    def clean() -> None:
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            placed = {name: jnp.asarray(value, compute.dtype) for name, value in parameters.items()}
            batches = jnp.asarray(ids.reshape(-1, 8, ids.shape[1]), jnp.int32)
            for _ in range(count):
                evaluated(placed, batches).block_until_ready()

    def broken() -> None:
        damages(parameters, config, ids, groups, plan.sigmas, pairs=plan.pairs, compute=compute)

    judge(side_by_side(broken, clean, rounds=7))


def text_of(config: ModelConfig, tokens: int) -> Tokens:
    """A text of one document."""
    ids = np.random.default_rng(0).integers(config.vocabulary, size=tokens).astype(np.uint16)
    return Tokens(ids, np.array([tokens]), np.array([4 * tokens]))
