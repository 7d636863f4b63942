"""AdamW as language models are trained with: global-norm clipping, warm-up and cosine, matrices alone decay."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sim.runs.errors import UserError
from sim.runs.options import MOST_STEPS

if TYPE_CHECKING:
    import jax
    import numpy as np
    import optax
    from numpy.typing import NDArray

    from neural.gpt.model import Parameters


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW over a run of `steps` updates."""

    steps: int
    peak: float = 6e-4
    """Learning rate after warm-up."""
    warmup: int = 0
    """Updates of linear warm-up: update i (from 0) has rate peak (i + 1) / (warmup + 1)."""
    final: float = 0.1
    """Learning rate of the last update, as a fraction of the peak."""
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    decay: float = 0.1
    """Weight decay, times the learning rate, of matrices and embeddings."""
    clip: float = 1.0
    """Largest global norm of the gradient."""

    def lasting(self, budget: float) -> "OptimiserConfig":
        """The same schedule over so many times the updates, one at least."""
        steps, warmup = round(budget * self.steps), round(budget * self.warmup)
        return replace(self, steps=max(steps, 1), warmup=warmup)

    def check(self) -> None:
        """Raise UserError, in one line, for the first value that cannot train."""
        if self.steps < 1:
            raise UserError(f"steps = {self.steps}: give a whole number >= 1")
        if self.steps > MOST_STEPS:
            raise UserError(f"steps = {self.steps}: give a whole number <= {MOST_STEPS}")
        if not 0 <= self.warmup < self.steps:
            raise UserError(
                f"warm-up of {self.warmup} updates in a run of {self.steps}: give 0 to {self.steps - 1}"
            )
        for name in ("peak", "epsilon", "clip"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"{name} = {getattr(self, name)}: give a finite number > 0")
        if not 0 <= self.decay < float("inf"):
            raise UserError(f"decay = {self.decay}: give a finite number >= 0")
        if not 0 <= self.final <= 1:
            raise UserError(f"final = {self.final}: give a fraction of the peak, 0 to 1")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)}: give a number >= 0 and < 1")


def schedule(config: OptimiserConfig) -> "optax.Schedule":
    """The learning rate of update i = 0, 1, ..., steps - 1; it stays at its final value after."""
    return rate_of(numbers(config))


def numbers(config: OptimiserConfig) -> "NDArray[np.float32]":
    """A schedule as what `rate_of` takes (6,): an argument of a compiled program, which then serves all schedules."""
    import numpy as np

    warm, fall = config.warmup + 1, max(1, config.steps - 1 - config.warmup)
    rising, falling = (np.float32(1) / np.float32(part) for part in (warm, fall))
    coefficients = (rising, falling, config.warmup, config.peak, config.final, 1 - config.final)
    return np.array(coefficients, np.float32)


def rate_of(numbers: "NDArray[np.float32] | jax.Array") -> "optax.Schedule":
    """The schedule of these numbers."""
    import jax.numpy as jnp

    rising, falling, warmup, peak, final, above = numbers

    def rate(i: "int | jax.Array") -> "jax.Array":
        warm = jnp.float32(i + 1) * rising
        progress = (jnp.float32(i) - warmup) * falling
        cosine = (1 + jnp.cos(jnp.pi * jnp.clip(progress, 0, 1))) / 2
        return peak * jnp.minimum(warm, final + above * cosine)

    return rate


def decays(parameters: "Parameters") -> dict[str, bool]:
    """By name: whether weight decay acts on it. Matrices and embeddings; not biases, not layer norms."""
    return {name: name.endswith(".weight") and ".ln_" not in f".{name}" for name in parameters}


def optimiser(
    config: OptimiserConfig, rate: "optax.Schedule | None" = None
) -> "optax.GradientTransformation":
    """Clip by global norm, AdamW with decay on matrices and embeddings, warm-up and cosine, or a rate that is given."""
    import optax

    config.check()
    return optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.adamw(
            schedule(config) if rate is None else rate,
            b1=config.beta1,
            b2=config.beta2,
            eps=config.epsilon,
            weight_decay=config.decay,
            mask=decays,
        ),
    )
