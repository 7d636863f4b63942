"""How fast a GPT's loss grows with noise on a group of its parameters: predicted from curvature, and measured.

Statement 31 of the theory: noise of variance sigma^2 on the parameters of a group adds sigma^2 tr(H) / 2 to the mean
loss, plus O(sigma^4), with H the Hessian of the loss in that group; with noise of sigma standard deviations of each
tensor, sigma^2 sum_t sd_t^2 tr(H_t) / 2. Beside H stands the Gauss-Newton matrix G, the mean over tokens of
J' (diag p - p p') J, with J the derivative of the logits and p the model's own prediction. It is the Fisher
information, never negative; what H has beyond it has mean 0 on text that the model itself would write.

A group is any set of parameters, and groups may overlap: traces are sampled for each tensor, and a group's is their
sum. A text is windows (N, T + 1) of tokens, each the context of the next; the loss is its mean over N T tokens in nats.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import DEFAULT, Parameters, logits, loss, shapes, token_losses
from sim.failures.curvature import all_leaves_at_once, measured_damages, predicted_slopes
from sim.runs.errors import UserError

Array = NDArray[np.float64]
Groups = Mapping[str, Sequence[str]]
"""The names of the parameters of each group."""

Matrix = Literal["hessian", "gauss_newton"]

FINE = 10_000_000
"""Parameters of the largest models whose slopes are computed in float64."""


class Slope(NamedTuple):
    """Growth of the loss over sigma^2, in nats, and its standard error over probes or draws; arrays of one shape."""

    value: Array
    standard_error: Array


@dataclass(frozen=True, eq=False)
class Curvature:
    """Unbiased samples (tensors, probes) of tr(H_t) / 2 and tr(G_t) / 2; a probe's are drawn together.

    deviations (tensors,): the standard deviation of each tensor's entries, the unit of relative noise.
    """

    tensors: tuple[str, ...]
    hessian: Array
    gauss_newton: Array
    deviations: Array

    def slopes(
        self, groups: Groups, *, matrix: Matrix = "hessian", relative: bool = False
    ) -> Slope:
        """The slope of small noise on each group, (groups,). Raises UserError for a parameter that is not there."""
        if matrix not in get_args(Matrix):
            raise ValueError(
                f"unknown matrix {matrix!r}: choose from {', '.join(get_args(Matrix))}"
            )
        units = self.deviations**2 if relative else np.ones(len(self.tensors))
        return _mean((_members(groups, self.tensors) * units) @ getattr(self, matrix))


@dataclass(frozen=True, eq=False)
class Damages:
    """Growth of the loss (groups, sigmas, pairs) under noise on a group, averaged over +-N; sigmas share their N."""

    groups: tuple[str, ...]
    sigmas: Array
    samples: Array

    def slopes(self) -> Slope:
        """The growth over sigma^2 at each sigma, (groups, sigmas)."""
        return _mean(self.samples / self.sigmas[:, None] ** 2)

    def slopes_at_zero(self) -> Slope:
        """The limit for sigma -> 0, (groups,), from the two smallest: their O(sigma^2) cancels, draw by draw."""
        if len(self.sigmas) < 2:
            raise UserError("one sigma has no limit: measure the damage at two or more")
        smallest, other = np.argsort(self.sigmas)[:2]
        a, b = self.sigmas[smallest] ** 2, self.sigmas[other] ** 2
        at_a, at_b = self.samples[:, smallest] / a, self.samples[:, other] / b
        return _mean((b * at_a - a * at_b) / (b - a))


def curvature(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    windows: ArrayLike,
    *,
    probes: int,
    batch: int = 8,
    seed: int = 0,
    compute: Compute = DEFAULT,
) -> Curvature:
    """Sample the traces of one model on a text, `batch` windows at once; a function of seed.

    H by Hutchinson's probes (sim.failures.curvature). G by labels that the model draws for every token: of n tokens, n
    times the squared gradient of their mean loss has the mean tr(G_t). Every batch has probes of its own, so the
    standard errors are of the traces for this text and fall with its length too. In float32, or float64 where compute
    says so. Raises UserError for windows that are not whole batches, and for bfloat16.
    """
    _check_count("probes", probes)
    names = tuple(shapes(config))
    with _precision(compute):
        placed, batches = _placed(parameters, config, windows, batch, compute)
        halves = _trace_program(config, compute, probes)(placed, batches, jax.random.key(seed))
        hessian, gauss_newton = (np.asarray(half, np.float64) for half in halves)
    return Curvature(names, hessian, gauss_newton, _deviations(parameters, names))


def damages(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    windows: ArrayLike,
    groups: Groups,
    sigmas: ArrayLike,
    *,
    pairs: int,
    relative: bool = False,
    batch: int = 8,
    seed: int = 0,
    compute: Compute = DEFAULT,
) -> Damages:
    """Measure the damage of gaussian noise on each group; with `relative`, sigma is in standard deviations of a tensor.

    Noise is a function of seed alone, so groups share it where they overlap, and so do models, and absolute and
    relative noise. 2 pairs of models are evaluated for each sigma and group; those of all sigmas are held at once.
    Raises UserError as `curvature` does, for a parameter that is not there, and for sigmas that are not positive.
    """
    _check_count("pairs", pairs)
    strengths = np.asarray(sigmas, np.float64)
    if strengths.ndim != 1 or not strengths.size or not (strengths > 0).all():
        raise UserError(f"sigmas {strengths.tolist()}: give one or more numbers above 0")
    names = tuple(shapes(config))
    members = _members(groups, names)
    scales = members * _deviations(parameters, names) if relative else members
    with _precision(compute):
        placed, batches = _placed(parameters, config, windows, batch, compute)
        program = _damage_program(config, compute, pairs)
        of_sigma = jnp.asarray(strengths, compute.dtype)
        by_group = [
            program(
                placed, jnp.asarray(row, compute.dtype), batches, of_sigma, jax.random.key(seed)
            )
            for row in scales
        ]
        samples = np.stack([np.asarray(of_group, np.float64) for of_group in by_group])
    return Damages(tuple(groups), strengths, samples)


@lru_cache(maxsize=16)
def _trace_program(config: ModelConfig, compute: Compute, probes: int) -> Any:
    """Of parameters, batches (B, b, T + 1) and a key: halves of the traces (tensors, probes), of H and of G."""
    names = tuple(shapes(config))

    def half_traces(parameters: Parameters, batches: jax.Array, key: jax.Array) -> Any:
        def of_batch(part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            windows, key = part
            tokens, targets = windows[:, :-1], windows[:, 1:]
            signs, labels = jax.random.split(key)
            scores = logits(parameters, tokens, config, compute)

            def risk(p: Any) -> jax.Array:
                return loss(p, tokens, targets, config, compute)

            def squared_gradients(key: jax.Array) -> jax.Array:
                drawn = jax.random.categorical(key, scores)
                gradient = jax.grad(loss)(parameters, tokens, drawn, config, compute)
                return jnp.stack([jnp.vdot(gradient[name], gradient[name]) for name in names])

            hessian = predicted_slopes(risk, parameters, names, signs, probes, all_leaves_at_once)
            squares = jax.lax.map(squared_gradients, jax.random.split(labels, probes))
            return hessian, squares.T * (tokens.size / 2)

        by_batch = jax.lax.map(of_batch, (batches, jax.random.split(key, len(batches))))
        return tuple(of_batches.mean(axis=0) for of_batches in by_batch)

    return jax.jit(half_traces)


@lru_cache(maxsize=16)
def _damage_program(config: ModelConfig, compute: Compute, pairs: int) -> Any:
    """Of parameters, a scale of the noise on each tensor, batches, sigmas and a key: damages (sigmas, pairs)."""
    names = tuple(shapes(config))

    def growths(
        parameters: Parameters, scales: jax.Array, batches: jax.Array, sigmas: Any, key: jax.Array
    ) -> jax.Array:
        def losses(parameters: Parameters, windows: jax.Array) -> jax.Array:
            return token_losses(parameters, windows[:, :-1], windows[:, 1:], config, compute)

        clean = jax.lax.map(lambda windows: losses(parameters, windows), batches)

        def growth(noise: Mapping[str, Any]) -> jax.Array:
            """Mean over tokens of what noise, in units of the scales, adds: near 0, where rounding is finest."""
            moved = {
                name: parameters[name] + scale * noise["hit"][name]
                for name, scale in zip(names, scales, strict=True)
            }
            added = jax.lax.map(
                lambda batch: (losses(moved, batch[0]) - batch[1]).mean(), (batches, clean)
            )
            return added.mean()

        none = {"hit": jax.tree.map(jnp.zeros_like, parameters)}
        by_group = measured_damages(growth, none, ("hit",), sigmas, key, pairs, all_leaves_at_once)
        return by_group[0]

    return jax.jit(growths)


@contextmanager
def _precision(compute: Compute) -> Iterator[None]:
    """JAX in the type of `compute`, its matrix products not rounded below it, as GPUs' are by default."""
    compute.check()
    if compute.dtype == "bfloat16":
        raise UserError("curvature is lost in the rounding of bfloat16: compute in float32")
    with jax.enable_x64(compute.dtype == "float64"), jax.default_matmul_precision("highest"):
        yield


def _placed(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    windows: ArrayLike,
    batch: int,
    compute: Compute,
) -> tuple[Parameters, jax.Array]:
    """Parameters in the type of compute, and the windows as batches (B, batch, T + 1)."""
    ids = np.asarray(windows, np.int32)
    if ids.ndim != 2 or batch < 1 or not len(ids) or len(ids) % batch:
        raise UserError(
            f"windows {ids.shape} in batches of {batch}: give (N, T + 1) tokens, N a multiple of the batch"
        )
    placed = {}
    for name, shape in shapes(config).items():
        placed[name] = jnp.asarray(np.asarray(parameters[name]), compute.dtype)
        if placed[name].shape != shape:
            raise ValueError(f"{name} is {placed[name].shape}, not {shape}: give one model")
    return placed, jnp.asarray(ids.reshape(-1, batch, ids.shape[1]))


def _check_count(name: str, count: int) -> None:
    if count < 2:
        raise UserError(f"{name} = {count}: give 2 or more, which have a standard error")


def _members(groups: Groups, tensors: Sequence[str]) -> Array:
    """(groups, tensors): 1 where a tensor is of the group."""
    for group, names in groups.items():
        unknown = sorted(set(names) - set(tensors))
        if unknown or not names:
            what = f"{unknown[0]}, which the model has not" if unknown else "no parameter"
            raise UserError(f"group {group!r} names {what}: choose from {', '.join(tensors)}")
    return np.array([[float(name in names) for name in tensors] for names in groups.values()])


def _deviations(parameters: Mapping[str, Any], names: Sequence[str]) -> Array:
    return np.array([np.std(np.asarray(parameters[name], np.float64)) for name in names])


def _mean(samples: Array) -> Slope:
    """Over the last axis."""
    error = samples.std(axis=-1, ddof=1) / np.sqrt(samples.shape[-1])
    return Slope(samples.mean(axis=-1), error)
