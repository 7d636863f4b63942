"""Measured risk of many models under a structural failure, at several strengths, with standard errors.

The risk of failed weights W' is the quadratic |S^(1/2) C|^2/T - 2 <W', B> + <W' S W'^T, G> with
B = heads (S C)^T / T and G = heads heads^T / T. So a draw costs k x d work whatever the number of tasks, and models of
any T share one program per failure and (k, d). Models are mapped over, strengths vectorised, and draws made in blocks
that fit MEMORY, all in float64. A model's draws depend on its key alone and are shared by its strengths: curves over
strengths are smooth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.failures import MAKE, register
from theory.covariance import Array, Covariance, as_covariance
from theory.perturbation import Adversarial, Perturbation

MEMORY = 2**26
"""Bytes of failed weights held at once."""

MODELS_AT_ONCE = 8
"""Every batch is filled up to this number, so that one program is compiled whatever the number of models."""

ASCENT_STEPS = 500
ASCENT_GAIN = 1e-9
"""Relative gain in risk of a step below which an ascent ends."""
ASCENT_STARTS = 4


@dataclass(frozen=True)
class Measured:
    """Mean risk over the draws and its standard error, (n, strengths); the risk without failure, (n,).

    `draws` is 1 where nothing is random, and the standard error then 0.
    """

    risk: Array
    standard_error: Array
    clean: Array
    draws: int


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
    power iteration reaches from ASCENT_STARTS random starts, with no formula behind it.
    """
    register()
    n, k, d = W.shape
    S = as_covariance(covariance, d)
    quadratics = [_quadratic(g, c, S) for g, c in zip(heads, C, strict=True)]
    constant, B, G = (np.stack(part) for part in zip(*quadratics, strict=True))
    with jax.enable_x64(True):
        failures = jax.vmap(MAKE[name])(jnp.asarray(strengths, dtype=jnp.float64))
        random = failures.randomness != "none" and not isinstance(failures, Adversarial)
        draws = draws if random else 1
        block = max(1, min(draws, MEMORY // (8 * k * d * len(strengths))))
        second_moment = None if S.is_identity else jnp.asarray(S.apply(np.eye(d)))
        found = []
        for start in range(0, n, MODELS_AT_ONCE):
            batch = jnp.arange(start, start + MODELS_AT_ONCE) % n
            models = tuple(jnp.asarray(part)[batch] for part in (W, constant, B, G, keys))
            found.append(_risks(failures, models, second_moment, -(-draws // block), block))
        risks, clean = (np.concatenate(part)[:n] for part in zip(*found, strict=True))
    risks = risks[:, :, :draws]
    error = risks.std(axis=-1, ddof=1) / np.sqrt(draws) if random else np.zeros(risks.shape[:2])
    return Measured(risks.mean(axis=-1), error, clean, draws)


def _quadratic(heads: Array, C: Array, S: Covariance) -> tuple[float, Array, Array]:
    T = C.shape[1]
    return (
        float((S.factor(C) ** 2).sum()) / T,
        heads @ S.apply(C).T / T,
        heads @ heads.T / T,
    )


@partial(jax.jit, static_argnames=("blocks", "block"))
def _risks(failures: Any, models: Any, S: Any, blocks: int, block: int) -> tuple[Any, Any]:
    """Risks (n, strengths, draws) and clean risks (n,)."""

    def of_model(model: Any) -> tuple[Any, Any]:
        W, constant, B, G, key = model
        risk = partial(_risk, constant, B, G, S)
        if isinstance(failures, Adversarial):
            starts = jax.random.normal(key, (ASCENT_STARTS, *W.shape))
            attack = partial(_attack, risk=risk, W=W, starts=starts)
            return jax.vmap(attack)(failures)[:, None], risk(W)

        def of_block(key: Any) -> Any:
            draw = _draw(failures, key, (block, *W.shape))
            copies = jnp.broadcast_to(W, (block, *W.shape))
            return risk(jax.vmap(lambda failure: failure.apply(copies, draw))(failures))

        risks = jax.lax.map(of_block, jax.random.split(key, blocks))
        return jnp.moveaxis(risks, 0, 1).reshape(risks.shape[1], -1), risk(W)

    return jax.lax.map(of_model, models)


def _risk(constant: Any, B: Any, G: Any, S: Any, W: Any) -> Any:
    """The quadratic at W (..., k, d)."""
    weighted = W if S is None else W @ S
    return constant + jnp.sum(
        W * (jnp.einsum("ij,...jd->...id", G, weighted) - 2 * B), axis=(-2, -1)
    )


def _draw(failure: Perturbation, key: Any, shape: tuple[int, ...]) -> Any:
    if failure.randomness == "none":
        return None
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
