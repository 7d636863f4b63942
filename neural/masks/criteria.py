"""Masks found in one shot: each weight of a model has a score, and those of the highest scores are kept.

- magnitude: |w|, over all matrices together. Of the weights before any training it is the control that asks for none.
- movement: |w - w0|, how far training moved it.
- fisher: F w^2 / 2, with F the mean over examples of the squared gradient of an example's loss: what removing the
  weight adds to the loss to second order, by the diagonal of the empirical Fisher information in place of the Hessian
  (LeCun et al. 1990, Optimal Brain Damage; Theis et al. 2018, Fisher pruning).
- wanda: |w_ij| ||x_i||_2, with x_i all activations that reach input i; compared among the weights of one output, so
  that every output keeps the same share (Sun et al. 2023).

All keep exactly as many weights as are asked for; of equal scores the first by index goes first.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural.gpt.config import ModelConfig
from neural.gpt.layers import attend, dense
from neural.gpt.model import Parameters, block_parameters, loss, normed, split_heads, states
from neural.masks.mask import Mask, full, kept_at, prunable, size
from neural.masks.prune import pruned
from sim.runs.errors import UserError

Array = NDArray[np.floating[Any]]
Scores = dict[str, Array]
"""Of every prunable weight of one model, >= 0, by name."""

Risk = Callable[[Parameters, Any], jax.Array]
"""The loss of one example, a scalar."""

Criterion = Literal["magnitude", "movement", "fisher", "wanda"]


def one_shot(
    criterion: Criterion,
    parameters: Mapping[str, Any],
    config: ModelConfig,
    density: float,
    *,
    initial: Mapping[str, Any] | None = None,
    windows: ArrayLike | None = None,
) -> Mask:
    """The mask of one model at a density, by a criterion.

    initial: the weights that movement is measured from. windows (N, T + 1): tokens of text, for fisher and wanda.
    Raises UserError for an unknown criterion, and for a density that is not within 0 to 1; ValueError where a criterion
    lacks what it looks at.
    """
    kept = kept_at(density, config)
    if criterion == "magnitude":
        return highest(magnitude(parameters, config), config, kept)
    if criterion == "movement":
        if initial is None:
            raise ValueError("movement is from somewhere: give the initial parameters")
        return highest(movement(parameters, initial, config), config, kept)
    if criterion not in get_args(Criterion):
        known = ", ".join(get_args(Criterion))
        raise UserError(f"unknown criterion {criterion!r}: choose from {known}")
    if windows is None:
        raise ValueError(f"{criterion} looks at text: give windows")
    if criterion == "fisher":
        return highest(fisher(parameters, config, windows), config, kept)
    return highest_of_outputs(wanda(parameters, config, windows), config, kept)


def magnitude(parameters: Mapping[str, Any], config: ModelConfig) -> Scores:
    """|w|."""
    return {name: np.abs(np.asarray(parameters[name])) for name in prunable(config)}


def movement(
    parameters: Mapping[str, Any], initial: Mapping[str, Any], config: ModelConfig
) -> Scores:
    """|w - w0|."""
    return {
        name: np.abs(np.asarray(parameters[name]) - np.asarray(initial[name]))
        for name in prunable(config)
    }


def fisher(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    examples: Any,
    risk: Risk | None = None,
) -> Scores:
    """F w^2 / 2, in the unit of the loss.

    examples: arrays (N, ...) whose n-th entries are what `risk` takes, by default windows (N, T + 1) of text and the
    mean loss of their tokens. One gradient is held at a time.
    """
    program = _fisher_program(config, risk or language_risk(config))
    scores = program(_placed(parameters), jax.tree.map(jnp.asarray, examples))
    return {name: np.asarray(score) for name, score in scores.items()}


@lru_cache(maxsize=16)
def language_risk(config: ModelConfig) -> Risk:
    """Of a window (T + 1,): the mean loss of its last T tokens, in nats."""

    def risk(parameters: Parameters, window: jax.Array) -> jax.Array:
        return loss(parameters, window[None, :-1], window[None, 1:], config)

    return risk


def wanda(parameters: Mapping[str, Any], config: ModelConfig, windows: ArrayLike) -> Scores:
    """|w_ij| ||x_i||_2 over the tokens of windows (N, T + 1), as many as the model reads: T of each."""
    norms = _norms_program(config)(_placed(parameters), jnp.asarray(windows))
    return {
        name: score * np.asarray(norms[name])[:, None]
        for name, score in magnitude(parameters, config).items()
    }


def inputs(parameters: Parameters, tokens: jax.Array, config: ModelConfig) -> Parameters:
    """What each prunable matrix is multiplied by on tokens (B, T): by its name, (B T, in)."""
    B, T = tokens.shape
    stream = states(parameters, tokens, config).reshape(-1, B * T, config.width)
    by_matrix: Parameters = {}
    for layer in range(config.layers):
        p, x = block_parameters(parameters, layer), stream[layer]
        heads = split_heads(p, x, B, config)
        mixed = attend(*(part.reshape(-1, *part.shape[2:]) for part in heads))
        joined = mixed.reshape(heads[0].shape).transpose(0, 2, 1, 3).reshape(x.shape)
        x = x + dense(joined, p["attn.c_proj.weight"], p["attn.c_proj.bias"])
        hidden = dense(normed(p, "ln_2", x), p["mlp.c_fc.weight"], p["mlp.c_fc.bias"])
        by_matrix |= {
            f"h.{layer}.attn.c_attn.weight": normed(p, "ln_1", stream[layer]),
            f"h.{layer}.attn.c_proj.weight": joined,
            f"h.{layer}.mlp.c_fc.weight": normed(p, "ln_2", x),
            f"h.{layer}.mlp.c_proj.weight": jax.nn.gelu(hidden, approximate=True),
        }
    return by_matrix


def highest(scores: Mapping[str, Any], config: ModelConfig, kept: int) -> Mask:
    """The `kept` weights of highest score, over all matrices together."""
    return pruned(scores, full(config), size(config) - kept)


def highest_of_outputs(scores: Mapping[str, Any], config: ModelConfig, kept: int) -> Mask:
    """Of every output, a column of a matrix, the weights of highest score: `kept` of all, as evenly as they go.

    A column of m weights keeps kept m / n, rounded down or up so that they sum to `kept`.
    """
    columns = [scores[name].shape for name in prunable(config)]
    lengths = np.concatenate([np.full(out, into, np.int64) for into, out in columns])
    ends = np.cumsum(lengths) * kept // size(config)
    quotas = iter(np.split(np.diff(ends, prepend=0), np.cumsum([out for _, out in columns])[:-1]))
    bits = []
    for name in prunable(config):
        score, quota = np.asarray(scores[name]), next(quotas)
        if not np.isfinite(score).all():
            raise UserError(f"a score of {name} is not finite: give a model whose loss is")
        order = np.argsort(score, axis=0, kind="stable")
        in_order = np.arange(len(score))[:, None] >= len(score) - quota
        mask = np.zeros(score.shape, np.bool_)
        np.put_along_axis(mask, order, in_order, axis=0)
        bits.append(mask.reshape(-1))
    return Mask(config, np.concatenate(bits))


@lru_cache(maxsize=16)
def _fisher_program(config: ModelConfig, risk: Risk) -> Any:
    """Of parameters and examples: the scores."""

    def scores(parameters: Parameters, examples: Any) -> Parameters:
        weights = {name: parameters[name] for name in prunable(config)}

        def of_weights(weights: Parameters, example: Any) -> jax.Array:
            return risk(parameters | weights, example)

        def add(sums: Parameters, example: Any) -> tuple[Parameters, None]:
            gradient = jax.grad(of_weights)(weights, example)
            return {name: sums[name] + jnp.square(gradient[name]) for name in sums}, None

        sums, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, weights), examples)
        N = len(jax.tree.leaves(examples)[0])
        return {name: sums[name] / N * jnp.square(weights[name]) / 2 for name in weights}

    return jax.jit(scores)


@lru_cache(maxsize=16)
def _norms_program(config: ModelConfig) -> Any:
    """Of parameters and windows (N, T + 1): the norms (in,) of what reaches each input of each prunable matrix."""

    def norms(parameters: Parameters, windows: jax.Array) -> Parameters:
        def add(sums: Parameters, window: jax.Array) -> tuple[Parameters, None]:
            reached = inputs(parameters, window[None, :-1], config)
            return {name: sums[name] + jnp.square(reached[name]).sum(axis=0) for name in sums}, None

        zeros = {name: jnp.zeros(len(parameters[name])) for name in prunable(config)}
        sums, _ = jax.lax.scan(add, zeros, windows)
        return jax.tree.map(jnp.sqrt, sums)

    return jax.jit(norms)


def _placed(parameters: Mapping[str, Any]) -> Parameters:
    return {name: jnp.asarray(value) for name, value in parameters.items()}
