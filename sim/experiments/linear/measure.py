"""Measured risk of many models under a structural failure, at several strengths, with standard errors.

The risk of failed weights W' is the quadratic |S^(1/2) C|^2/T - 2 <W', B> + <W' S W'^T, G> with
B = heads (S C)^T / T and G = heads heads^T / T. So a draw costs k x d work whatever the number of tasks, and models of
any T share one program per failure and (k, d), in float64: a loop over models, blocks of draws that fit MEMORY, and
strengths. A model's draws depend on its key alone and are shared by its strengths: curves over strengths are smooth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.devices import SOON_COMPILED, full_batch, over_devices
from sim.experiments.linear.train import pad_tasks
from sim.failures.named import MAKE, register
from sim.scatter import Scatter, of_sample
from theory.covariance import Array, Covariance, as_covariance
from theory.perturbation import Adversarial, Deterministic, Perturbation

MEMORY = 2**21
"""Bytes of failed weights held at once."""

MODELS_AT_ONCE = 8
"""Every device's share is filled up to this number, so that one program is compiled whatever the number of models."""

STRENGTHS_AT_ONCE = 5
"""Strengths are filled up to a multiple of this, for the same reason."""

ASCENT_STEPS = 500
ASCENT_GAIN = 1e-9
"""Relative gain in risk of a step below which an ascent ends."""
ASCENT_STARTS = 4
"""Of one model and strength."""


@dataclass(frozen=True)
class Measured:
    """Mean risk over the draws, and how it scatters by them, (n, strengths); the risk without failure, (n,).

    `draws` is 1 where nothing is random, and the standard error then 0.
    """

    risk: Array
    scatter: Scatter
    clean: Array
    draws: int

    @property
    def standard_error(self) -> Array:
        """Of the mean, estimated from the draws, (n, strengths)."""
        return self.scatter.standard_error


def measure(
    name: str,
    strengths: Sequence[float],
    W: Array,
    heads: Sequence[Array],
    C: Sequence[Array],
    keys: Any,
    *,
    draws: int,
    covariance: Covariance | None = None,
) -> Measured:
    """Risk of n models under the failure called `name`: W (n, k, d), heads n x (k, T), C n x (d, T), T free to differ.

    keys (n,) are jax random keys. An adversarial failure is measured by an adversary: the largest risk that generalised
    power iteration reaches from random starts, with no formula behind it.
    """
    n, k, d = W.shape
    S = as_covariance(covariance, d)
    constant, B, G = _quadratics(pad_tasks(heads), C, S)
    make = MAKE[name]
    if isinstance(make(strengths[0]), Deterministic):
        risk = partial(_risk, constant, B, G, None if S.is_identity else S.apply(np.eye(d)))
        risks = np.stack([risk(make(strength).apply(W, None)) for strength in strengths], axis=1)
        return Measured(risks, of_sample(risks[..., None]), risk(W), 1)
    register()
    with jax.enable_x64(True):
        levels = np.asarray(strengths, dtype=np.float64)
        if isinstance(make(strengths[0]), Adversarial):
            draws = 1
        else:  # failures of one kind, rescaled or not, share a program
            levels = np.resize(levels, -(-len(levels) // STRENGTHS_AT_ONCE) * STRENGTHS_AT_ONCE)
        failures = jax.vmap(make)(levels)
        block = max(1, min(draws, MEMORY // (8 * k * d)))
        second_moment = None if S.is_identity else S.apply(np.eye(d))
        models = (W, constant, B, G, np.asarray(jax.random.key_data(keys)))
        shared = failures, second_moment
        batch = full_batch(n, each=MODELS_AT_ONCE)
        measured = []
        for places in batch.reshape(-1, len(full_batch(1, each=MODELS_AT_ONCE))):
            some = tuple(part[places] for part in models)
            measured.append(_risks(shared, some, -(-draws // block), block))
        risks, clean = (np.concatenate(part)[:n] for part in zip(*measured, strict=True))
    risks = risks[:, : len(strengths), :draws]
    return Measured(risks.mean(axis=-1), of_sample(risks), clean, draws)


def _quadratics(heads: Array, C: Sequence[Array], S: Covariance) -> tuple[Array, Array, Array]:
    """The constants (n,), B (n, k, d) and G (n, k, k) of heads (n, k, T) padded with zeros and C n x (d, T)."""
    T = np.array([tasks.shape[1] for tasks in C], dtype=float)
    tasks = pad_tasks(C)
    each = T[:, None, None]
    return (
        (S.factor(tasks) ** 2).sum(axis=(-2, -1)) / T,
        heads @ S.apply(tasks).mT / each,
        heads @ heads.mT / each,
    )


@partial(jax.jit, static_argnames=("blocks", "block"), compiler_options=SOON_COMPILED)
def _risks(shared: Any, models: Any, blocks: int, block: int) -> tuple[Any, Any]:
    """Risks (n, strengths, draws) and clean risks (n,) under the failures and S in `shared`."""
    here = partial(_risks_here, blocks, block)
    risks: tuple[Any, Any] = over_devices(here, shared, models)
    return risks


def _risks_here(blocks: int, block: int, shared: Any, models: Any) -> tuple[Any, Any]:
    failures, S = shared

    def of_model(model: Any) -> tuple[Any, Any]:
        W, constant, B, G, key_data = model
        key = jax.random.wrap_key_data(key_data)
        risk = partial(_risk, constant, B, G, S)
        if isinstance(failures, Adversarial):
            normal = jax.random.normal(key, (ASCENT_STARTS, *W.shape))
            attack = partial(_attack, risk=risk, W=W, starts=normal)
            return jax.vmap(attack)(failures)[:, None], risk(W)

        def of_block(key: Any) -> Any:
            drawn = draw(failures, key, (block, *W.shape))
            # A loop, not a batch: XLA would fuse the drawing into a batch and repeat it for every strength.
            return jax.lax.map(lambda failure: risk(failure.apply(W, drawn)), failures)

        risks = jax.lax.map(of_block, jax.random.split(key, blocks))
        return jnp.moveaxis(risks, 0, 1).reshape(risks.shape[1], -1), risk(W)

    together = None if jax.default_backend() == "cpu" else MODELS_AT_ONCE
    return jax.lax.map(of_model, models, batch_size=together)


def _risk(constant: Any, B: Any, G: Any, S: Any, W: Any) -> Any:
    """The quadratic at W (..., k, d), of one model or of a stack."""
    weighted = W if S is None else W @ S
    return constant + (W * (G @ weighted - 2 * B)).sum(axis=(-2, -1))


def draw(failure: Perturbation, key: Any, shape: tuple[int, ...]) -> Any:
    """The random numbers of a failure of weights of this shape (..., k, d)."""
    sample = jax.random.normal if failure.randomness == "normal" else jax.random.uniform
    return sample(key, failure.draw_shape(shape))


def _attack(failure: Adversarial, *, risk: Any, W: Any, starts: Any) -> Any:
    """The largest risk found on the boundary of the ball by N <- radius * boundary(gradient of the risk at W + N)."""
    value_and_gradient = jax.value_and_grad(risk)

    def climb(start: Any) -> Any:
        def rising(state: Any) -> Any:
            _, _, before, value, steps = state
            return (value > before * (1 + ASCENT_GAIN)) & (steps < ASCENT_STEPS)

        def step(state: Any) -> Any:
            N, uphill, _, before, steps = state
            N = jnp.where(jnp.any(uphill != 0), failure.boundary(uphill), N)
            value, uphill = value_and_gradient(W + failure.radius * N)
            return N, uphill, before, value, steps + 1

        N = failure.boundary(start)
        value, uphill = value_and_gradient(W + failure.radius * N)
        return jax.lax.while_loop(rising, step, (N, uphill, -jnp.inf, value, 0))[3]

    return jnp.max(jax.vmap(climb)(starts))
