"""AdamW as its formula says, on the parameters that it should act on, at the rates it should have."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
import pytest

from neural.gpt.config import ModelConfig
from neural.gpt.model import Parameters, init, loss, shapes
from neural.train.optim import OptimiserConfig, decays, numbers, optimiser, rate_of, schedule
from sim.runs.errors import UserError

pytestmark = pytest.mark.usefixtures("soon_compiled")

CONFIG = ModelConfig(layers=1, width=16, heads=2, context=8, vocabulary=32, tied=False)


def some(seed: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: (scale * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes(CONFIG).items()
    }


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    rate = schedule(OptimiserConfig(steps=104, peak=1.0, warmup=3, final=0.1))
    rates = [float(rate(i)) for i in (0, 1, 2, 3, 53, 103, 1000)]
    expected = [0.25, 0.5, 0.75, 1.0, 0.1 + 0.9 / 2, 0.1, 0.1]
    assert rates == pytest.approx(expected, abs=1e-6)


def test_the_only_update_of_a_run_has_the_peak() -> None:
    assert float(schedule(OptimiserConfig(steps=1, peak=0.3))(0)) == pytest.approx(0.3)


def test_matrices_and_embeddings_decay() -> None:
    acts = {name for name, decay in decays(some(0)).items() if decay}
    assert acts == {
        "wte.weight",
        "wpe.weight",
        "h.0.attn.c_attn.weight",
        "h.0.attn.c_proj.weight",
        "h.0.mlp.c_fc.weight",
        "h.0.mlp.c_proj.weight",
        "lm_head.weight",
    }


def test_updates_are_those_of_the_formula() -> None:
    """Three steps of clipped AdamW in numpy, beside them."""
    config = OptimiserConfig(steps=3, peak=0.1, warmup=1, final=0.2, decay=0.3, clip=2.0)
    rates = [0.05, 0.1, 0.02]
    adamw = optimiser(config)
    parameters = some(0)

    @jax.jit
    def update(gradient: Parameters, state: Any, parameters: Parameters) -> tuple[Parameters, Any]:
        updates, state = adamw.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state

    state = jax.jit(adamw.init)(parameters)
    expected = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    m = {name: np.zeros(value.shape) for name, value in parameters.items()}
    v = {name: np.zeros(value.shape) for name, value in parameters.items()}
    for step, rate in enumerate(rates):
        gradient = some(step + 1, scale=(1.0, 1e-3, 1.0)[step])  # clipped, not clipped, clipped
        parameters, state = update(gradient, state, parameters)
        norm = math.sqrt(sum(float((np.asarray(g, float) ** 2).sum()) for g in gradient.values()))
        for name, g in gradient.items():
            clipped = np.asarray(g, float) * min(1, config.clip / norm)
            m[name] = config.beta1 * m[name] + (1 - config.beta1) * clipped
            v[name] = config.beta2 * v[name] + (1 - config.beta2) * clipped**2
            first = m[name] / (1 - config.beta1 ** (step + 1))
            second = v[name] / (1 - config.beta2 ** (step + 1))
            decay = config.decay * expected[name] if decays(gradient)[name] else 0
            expected[name] -= rate * (first / (np.sqrt(second) + config.epsilon) + decay)
    for name, value in parameters.items():
        # 1 - beta2^step and the norm in float32: some 1e-5 of updates of order 0.1.
        np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)


def test_seeds_are_clipped_one_by_one() -> None:
    adamw = optimiser(OptimiserConfig(steps=10, peak=0.1))
    parameters, gradients = [some(0), some(1)], [some(2), some(3, scale=100.0)]
    pairs = list(zip(parameters, gradients, strict=True))

    def step(parameters: Parameters, gradient: Parameters) -> Parameters:
        return adamw.update(gradient, adamw.init(parameters), parameters)[0]

    def stack(models: list[Any]) -> dict[str, np.ndarray]:
        return {name: np.stack([model[name] for model in models]) for name in models[0]}

    together = jax.jit(jax.vmap(step))(stack(parameters), stack(gradients))
    by_itself = jax.jit(step)
    alone = stack([by_itself(*pair) for pair in pairs])
    for name in together:
        np.testing.assert_allclose(together[name], alone[name], rtol=1e-5, atol=1e-8)


def test_a_batch_is_learnt_by_heart_in_one_trace() -> None:
    config = ModelConfig(layers=1, width=32, heads=2, context=8, vocabulary=32)
    tokens = np.random.default_rng(0).integers(32, size=(4, 9), dtype=np.int32)
    adamw = optimiser(OptimiserConfig(steps=150, peak=1e-2, warmup=10, decay=0.0))
    traces = 0

    @jax.jit
    def step(parameters: Parameters, state: optax.OptState) -> tuple[Parameters, object, jax.Array]:
        nonlocal traces
        traces += 1
        value, gradient = jax.value_and_grad(loss)(
            parameters, tokens[:, :-1], tokens[:, 1:], config
        )
        updates, state = adamw.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state, value

    parameters = jax.jit(partial(init, config))(jax.random.key(0))
    state = jax.jit(adamw.init)(parameters)
    losses = []
    for _ in range(150):
        parameters, state, value = step(parameters, state)
        losses.append(float(value))
    assert losses[0] == pytest.approx(math.log(32), abs=0.1)
    assert losses[-1] < 0.01
    assert traces == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps = 0: give a whole number >= 1"),
        ({"warmup": 10}, "warm-up of 10 updates in a run of 10: give 0 to 9"),
        ({"warmup": -1}, "warm-up of -1 updates"),
        ({"peak": 0.0}, "peak = 0.0: give a finite number > 0"),
        ({"clip": float("nan")}, "clip = nan: give a finite number > 0"),
        ({"decay": -0.1}, "decay = -0.1: give a finite number >= 0"),
        ({"final": 1.5}, "final = 1.5: give a fraction of the peak, 0 to 1"),
        ({"beta2": 1.0}, "beta2 = 1.0: give a number >= 0 and < 1"),
    ],
)
def test_no_optimiser(change: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        optimiser(replace(OptimiserConfig(steps=10), **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(("steps", "warmup", "final"), [(1, 0, 0.1), (60, 3, 0.1), (384, 19, 0.01)])
def test_a_program_of_all_schedules_has_the_rates_of_each(
    steps: int, warmup: int, final: float
) -> None:
    config = OptimiserConfig(steps=steps, peak=3e-3, warmup=warmup, final=final)
    i = np.arange(steps + 2)
    of_all = jax.jit(lambda i, given: rate_of(given)(i))(i, numbers(config))
    cosine = (1 + np.cos(np.pi * np.clip((i - warmup) / max(1, steps - 1 - warmup), 0, 1))) / 2
    expected = 3e-3 * np.minimum((i + 1) / (warmup + 1), final + (1 - final) * cosine)
    np.testing.assert_allclose(of_all, expected, rtol=1e-5, atol=0)
    np.testing.assert_allclose(schedule(config)(i), expected, rtol=1e-5, atol=0)
