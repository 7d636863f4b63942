"""Failures of named groups of a GPT's parameters: the theory's perturbations, many broken copies at once.

Noise, deletion, pruning and rounding hit every tensor of a group by itself, or pruning all of them together. Attention
heads, MLP units and residual channels are the neurons of `NeuronDeletion`, in the views of neural.gpt.parts.
A draw is a function of (seed, level, draw, name of the tensor): it does not depend on how many are made with it, and
all models of a stack share it.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import DEFAULT, shapes, taken
from neural.gpt.parts import STRUCTURES, View, groups_of, held, names_of
from neural.measures.scoring import Scores, Sliding, score
from neural.text.tokens import Tokens
from sim.failures import groups
from sim.failures.named import KIND
from sim.runs.errors import UserError

Array = NDArray[np.float64]
Tensors = dict[str, jax.Array]

GLOBAL = "magnitude-pruning-global"
COUNTED = ("magnitude-pruning", GLOBAL, "largest-deletion")
"""Failures whose strength is a share of the weights, to be counted."""
FAILURES = (
    *(name for name in groups.EVERY if not KIND[name].of_neurons),
    *(GLOBAL, *STRUCTURES),
)
"""The failures of a group of parameters. Strengths are those of sim.failures.groups; of structures the share lost."""

COPIES = 16
"""Broken models held at once."""

AT_ONCE = {"cpu": 2**11, "gpu": 2**17}
"""Tokens read at once, in all copies: as many as keep the device busy, and few for the caches of a CPU."""

BLOCK = 256
"""Numbers that are drawn with one key."""


def is_random(failure: str) -> bool:
    """Whether the failure draws anything. Raises UserError for a name that is not in FAILURES."""
    if failure not in FAILURES:
        raise UserError(f"unknown failure {failure!r}: choose from {', '.join(FAILURES)}")
    return groups.is_random(_by_tensor(failure))


def harmless(failure: str) -> float:
    """The strength of the failure that changes nothing."""
    return groups.harmless(_by_tensor(failure))


def hit_by(failure: str, group: str, config: ModelConfig) -> tuple[str, ...]:
    """The parameters that the failure of a group changes.

    Of structures those whose every tensor is in the group: heads in attention, layer-i and all, units in mlp, layer-i
    and all, channels in all. Raises UserError for unknown names, and for a group that holds no such structure.
    """
    is_random(failure)
    names = names_of(group, config)
    if failure not in STRUCTURES:
        return names
    changed = tuple(name for parts in held(failure, names, config).values() for name in parts)
    if not changed:
        holding = [g for g in groups_of(config) if held(failure, names_of(g, config), config)]
        raise UserError(
            f"{failure} of {group}, which does not hold them whole: choose {', '.join(holding)}"
        )
    return changed


def failed(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    group: str,
    failure: str,
    strength: float,
    *,
    seed: int = 0,
    level: int = 0,
    draws: int = 1,
    first: int = 0,
) -> dict[str, Any]:
    """A GPT with a group of its parameters broken: a copy for each of draws first, first + 1, ... of (seed, level).

    Tensors that are hit get an axis of copies in front, the others are shared, as neural.measures.scoring.score takes
    them. Of a stack of models (a leading axis on every parameter) all tensors get it, the copies of one model after
    those of another. A failure that draws nothing makes one copy of a model, whatever `draws`.

    Strength 0 (inf bits) is the identity. One program serves all strengths, seeds, levels and draws of the same number.
    Raises UserError for unknown names, and for a strength that the failure cannot have.
    """
    hit = hit_by(failure, group, config)
    _check(failure, strength, draws, seed, level, first)
    copies = draws if is_random(failure) else 1
    stacked = parameters["wte.weight"].ndim > 2
    numbers = _numbers(config, failure, hit, (seed, level), range(first, first + copies))
    program = _program(config, failure, hit, stacked)
    # The strength in float64: float32 has too few digits to count a share of a million weights.
    with jax.enable_x64(True):
        broken = program({name: parameters[name] for name in hit}, np.float64(strength), numbers)
    tensors = {name: broken.get(name, parameters[name]) for name in shapes(config)}
    if stacked and copies > 1:
        rest = {name: value for name, value in tensors.items() if name not in broken}
        tensors |= _repeated(rest, copies)
    return tensors


@dataclass(frozen=True, eq=False)
class Curve:
    """nats (S, L, draws) that S models lose on a text at L strengths of a failure; of one that draws nothing, 1 draw.

    `scored` are the tokens that were scored, `bytes` those of the text that they stand for.
    """

    nats: Array
    scored: int
    bytes: float

    @property
    def nats_per_token(self) -> Array:
        """The log of perplexity, (S, L, draws)."""
        return self.nats / self.scored

    @property
    def bits_per_byte(self) -> Array:
        """What compares between tokenizers, (S, L, draws)."""
        return self.nats / math.log(2) / self.bytes


def curve(
    models: Mapping[str, Any],
    config: ModelConfig,
    tokens: Tokens,
    sliding: Sliding,
    group: str,
    failure: str,
    strengths: Sequence[float],
    *,
    seed: int = 0,
    draws: int = 10,
    copies: int = COPIES,
    at_once: int | None = None,
    compute: Compute = DEFAULT,
) -> Curve:
    """What a stack of models loses on a text at each strength; its place among the strengths is its level.

    At most `copies` broken models are held at a time, and in them about `at_once` tokens (default: AT_ONCE). Strength 0
    (inf bits) is what the stack itself scores, for every draw. Raises UserError as `failed` and `score` do.
    """
    if copies < 1:
        raise UserError(f"copies {copies}: give a whole number >= 1")
    hit_by(failure, group, config)
    models = jax.device_put({name: models[name] for name in shapes(config)})
    S = len(models["wte.weight"])
    for strength in strengths:
        _check(failure, strength, draws, seed)
    draws = draws if is_random(failure) else 1
    draws_held = _even(draws, copies)
    together = _even(S, max(1, copies // draws_held))
    if at_once is None:
        at_once = AT_ONCE.get(jax.default_backend(), AT_ONCE["gpu"])

    def scores(parameters: Mapping[str, Any], held: int) -> Scores:
        batch = max(1, at_once // (held * sliding.window))
        return score(parameters, config, tokens, sliding, batch=batch, compute=compute)

    clean = scores(models, S)
    nats = np.empty((S, len(strengths), draws))
    for level, strength in enumerate(strengths):
        if strength == harmless(failure):
            nats[:, level] = clean.nats.sum(axis=-1)[:, None]
            continue
        for start, first in product(range(0, S, together), range(0, draws, draws_held)):
            # The last stack is filled up with models seen before, and its last draws may be too many: one program.
            place = (np.arange(start, start + together)) % S
            whole = together == S > 1
            some = models if whole else taken(models, place if together > 1 else start)
            which = partial(failed, seed=seed, level=level, draws=draws_held, first=first)
            broken = which(some, config, group, failure, strength)
            losses = (
                scores(broken, together * draws_held)
                .nats.sum(axis=-1)
                .reshape(together, draws_held)
            )
            last = min(first + draws_held, draws)
            nats[place, level, first:last] = losses[:, : last - first]
    return Curve(nats, int(clean.scored.sum()), float(clean.scored_bytes.sum()))


def _even(n: int, most: int) -> int:
    """The size of parts of n, none above `most`, as even as can be."""
    return -(-n // -(-n // most))


@lru_cache(maxsize=256)
def _program(config: ModelConfig, failure: str, hit: tuple[str, ...], stacked: bool) -> Any:
    """Of the tensors that are hit, strength, and numbers (copies, n): the tensors, copies in front."""

    def of_model(tensors: Tensors, strength: Any, numbers: Any) -> Tensors:
        tensors = {name: tensors[name] for name in hit}  # jit has sorted them
        return jax.vmap(partial(_broken, config, failure, tensors, strength))(numbers)

    def of_models(tensors: Tensors, strength: Any, numbers: Any) -> Tensors:
        copies = jax.vmap(of_model, in_axes=(0, None, None))(tensors, strength, numbers)
        return {name: value.reshape(-1, *value.shape[2:]) for name, value in copies.items()}

    return jax.jit(of_models if stacked else of_model)


@partial(jax.jit, static_argnums=1)
def _repeated(tensors: Tensors, copies: int) -> Tensors:
    return {name: jnp.repeat(value, copies, axis=0) for name, value in tensors.items()}


def _broken(
    config: ModelConfig, failure: str, tensors: Tensors, strength: Any, numbers: Any
) -> Tensors:
    """One broken copy of the tensors that are hit, by the numbers (n,) drawn for it."""
    if failure not in COUNTED:
        strength = strength.astype(jnp.float32)
    if failure == GLOBAL:
        row = jnp.concatenate([value.reshape(-1) for value in tensors.values()])
        row = groups.fail("magnitude-pruning", strength, {"all": row}, {"all": None})["all"]
        ends = np.cumsum([value.size for value in tensors.values()])
        damaged = dict(zip(tensors, jnp.split(row, ends[:-1]), strict=True))
    else:
        plan = _plan(config, failure, tuple(tensors))
        seen = {v: tensors[name].reshape(plan.shapes[v]) for v, name in plan.tensors.items()}
        drawn: dict[str, Any] = dict.fromkeys(seen)
        for v, (whose, size) in plan.wanted.items():
            drawn[v] = numbers[plan.places[whose] :][: prod(size)].reshape(size)
        broken = groups.fail(_by_tensor(failure), strength, seen, drawn, plan.axes)
        damaged = {name: broken[v] for v, name in plan.tensors.items()}
    return {name: value.reshape(tensors[name].shape) for name, value in damaged.items()}


class _Plan(NamedTuple):
    """How sim.failures.groups sees the tensors that are hit, and what is drawn for one copy of them, by the names of
    views."""

    tensors: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    axes: dict[str, int]
    wanted: dict[str, tuple[str, tuple[int, int]]]
    """Whose numbers, and how many; empty where nothing is random."""
    places: dict[str, int]
    """Where the numbers of each owner begin, in blocks."""
    blocks: dict[str, int]
    """How many blocks they are."""


@lru_cache(maxsize=256)
def _plan(config: ModelConfig, failure: str, hit: tuple[str, ...]) -> _Plan:
    if failure in STRUCTURES:
        # To sim.failures.groups tensors called "owner.tensor" lose the same neurons.
        views = {
            f"{owner}.{name.replace('.', '/')}": (name, view)
            for owner, parts in held(failure, hit, config).items()
            for name, view in parts.items()
        }
    else:
        # x @ W: the neurons of a dense layer are the columns of W.
        dense = {name for name in hit if ".c_" in name and name.endswith(".weight")}
        whole = shapes(config)
        views = {name: (name, View(whole[name], int(name in dense))) for name in hit}
    tensors = {v: name for v, (name, _) in views.items()}
    sizes = {v: view.shape for v, (_, view) in views.items()}
    axes = {v: view.axis for v, (_, view) in views.items()}
    wanted = groups.wanted(_by_tensor(failure), sizes, axes) if is_random(failure) else {}
    blocks = {whose: -(-prod(size) // BLOCK) for whose, size in wanted.values()}
    ends = np.cumsum([0, *blocks.values()]) * BLOCK
    places = dict(zip(blocks, ends.tolist(), strict=False))
    return _Plan(tensors, sizes, axes, wanted, places, blocks)


def _numbers(
    config: ModelConfig, failure: str, hit: tuple[str, ...], seed: tuple[int, int], draws: range
) -> jax.Array:
    """What the failure draws, (draws, n) float32: those of an owner are a function of (*seed, draw, its name)."""
    blocks = _plan(config, failure, hit).blocks
    if not blocks:
        return jnp.zeros((len(draws), 0), dtype=jnp.float32)
    owners = [zlib.crc32(whose.encode()) for whose in blocks]
    keys = [
        [np.random.SeedSequence([*seed, draw, whose]).generate_state(2) for whose in owners]
        for draw in draws
    ]
    counts = list(blocks.values())
    whose = np.repeat(np.arange(len(owners)), counts)
    index = np.concatenate([np.arange(count, dtype=np.uint32) for count in counts])
    return _drawn(groups.randomness(_by_tensor(failure)), np.array(keys), whose, index)


@partial(jax.jit, static_argnums=0)
def _drawn(kind: str, keys: Any, whose: Any, index: Any) -> jax.Array:
    """BLOCK numbers of each draw for every pair of an owner, of keys (draws, owners, 2), and an index, in a row.

    All owners at once: to draw tensor by tensor compiles several times as long.
    """
    sample = jax.random.normal if kind == "normal" else jax.random.uniform

    def block(key: Any, index: Any) -> jax.Array:
        key = jax.random.fold_in(jax.random.wrap_key_data(key), index)
        return sample(key, (BLOCK,), dtype=jnp.float32)

    drawn = jax.vmap(jax.vmap(block), in_axes=(0, None))(keys[:, whose], index)
    return drawn.reshape(len(keys), -1)


def _by_tensor(failure: str) -> str:
    """The failure of sim.failures.groups that this one is, in its own view of the tensors."""
    if failure in STRUCTURES:
        return "neuron-deletion"
    return "magnitude-pruning" if failure == GLOBAL else failure


def _check(failure: str, strength: float, draws: int, *numbers: int) -> None:
    try:
        groups.check(_by_tensor(failure), strength)
    except ValueError as error:
        raise UserError(f"{failure}: {error}") from None
    if draws < 1:
        raise UserError(f"draws {draws}: give a whole number >= 1")
    if min(numbers) < 0:
        raise UserError(f"seed, level, draw = {numbers}: give whole numbers >= 0")
