"""The compiled parts of training: initial state, one update, validation losses; for a stack of models at once.

Every array of a state has a leading axis of models, which differ in seed or in data and take their steps together by
vmap. A stack of one is computed without that axis, as fast as if it were not there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from numpy.typing import NDArray

from neural.gpt.config import Compute, ModelConfig, compiler_options
from neural.gpt.model import Parameters, init, loss
from neural.train import parallel
from neural.train.optim import OptimiserConfig, numbers, optimiser, rate_of


class State(NamedTuple):
    """What an update changes: S models, and the optimiser's moments of each."""

    parameters: Parameters
    optimiser: Any


class Measures(NamedTuple):
    """Of an update, (S,) each: the mean loss of its batch in nats, before it, and the norm of its gradient."""

    loss: jax.Array
    gradient_norm: jax.Array


@dataclass(frozen=True, eq=False)
class Update:
    """One update of a state. What is compiled for it takes the schedule of learning rates as numbers."""

    compiled: Any
    schedule: NDArray[np.float32]

    def __call__(self, state: State, tokens: jax.Array) -> tuple[State, Measures]:
        updated: tuple[State, Measures] = self.compiled(state, tokens, self.schedule)
        return updated


@dataclass(frozen=True)
class Program:
    """The functions of one kind of run. Each is compiled once for the shapes it is given."""

    init: Callable[[NDArray[np.uint32]], State]
    """Of seeds (S,): the state before the first update."""
    step: Update
    """Of a state, which is used up, and tokens (S, parts, sequences, context + 1): the next state.

    The parts are computed one after another, and their gradients averaged.
    """
    evaluate: Callable[[Parameters, jax.Array], jax.Array]
    """Of parameters and tokens (L, parts, sequences, context + 1): mean losses (S, L) in nats."""
    empty: Callable[[int], State]
    """Of S: shape, dtype and sharding of every array of a state."""


def program(
    model: ModelConfig,
    compute: Compute,
    optimisation: OptimiserConfig,
    mesh: Mesh,
    shard: parallel.Shard,
) -> Program:
    """The program of these. Runs that have them in common, but for the schedule, share what was compiled."""
    optimisation.check()
    any_schedule = replace(optimisation, steps=1, peak=1.0, warmup=0, final=1.0)
    shared = shared_program(model, compute, any_schedule, mesh, shard)
    return replace(shared, step=Update(shared.step.compiled, numbers(optimisation)))


@lru_cache(maxsize=16)
def shared_program(
    model: ModelConfig,
    compute: Compute,
    optimisation: OptimiserConfig,
    mesh: Mesh,
    shard: parallel.Shard,
) -> Program:
    """The program of one schedule, which that of any other is too, given its numbers."""
    adamw = optimiser(optimisation)
    jitted = partial(jax.jit, compiler_options=compiler_options(mesh.devices.flat[0].platform))

    def start(seed: jax.Array) -> State:
        parameters = init(model, jax.random.key(seed))
        return State(parameters, adamw.init(parameters))

    def mean_loss(parameters: Parameters, tokens: jax.Array) -> jax.Array:
        return loss(parameters, tokens[:, :-1], tokens[:, 1:], model, compute)

    def gathered(parameters: Parameters) -> Parameters:
        return jax.lax.with_sharding_constraint(parameters, parallel.everywhere(mesh))

    def update(state: State, parts: jax.Array, schedule: jax.Array) -> tuple[State, Measures]:
        def of_part(tokens: jax.Array) -> tuple[jax.Array, Parameters]:
            value, gradients = jax.value_and_grad(mean_loss)(gathered(state.parameters), tokens)
            divided = parallel.division(gradients, mesh, shard, stacked=False)
            return value, jax.lax.with_sharding_constraint(gradients, divided)

        value, gradients = _mean(of_part, parts)
        scheduled = optimiser(optimisation, rate_of(schedule))
        changes, moments = scheduled.update(gradients, state.optimiser, state.parameters)
        parameters = optax.apply_updates(state.parameters, changes)
        return State(parameters, moments), Measures(value, optax.tree.norm(gradients))

    def losses(parameters: Parameters, windows: jax.Array) -> jax.Array:
        of_part = partial(mean_loss, gathered(parameters))
        return jax.lax.map(partial(_mean, of_part), windows)

    def empty(models: int) -> State:
        shapes = jax.eval_shape(_stacked(start), jax.ShapeDtypeStruct((models,), jnp.uint32))
        return jax.tree.map(
            lambda a, sharding: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding),
            shapes,
            parallel.division(shapes, mesh, shard, stacked=True),
        )

    def lying(state: State) -> State:
        divided = parallel.division(state, mesh, shard, stacked=True)
        return jax.lax.with_sharding_constraint(state, divided)

    @partial(jitted, donate_argnums=0)
    def step(state: State, tokens: jax.Array, schedule: jax.Array) -> tuple[State, Measures]:
        state, measures = _stacked(update, schedule)(state, tokens)
        return lying(state), jax.lax.with_sharding_constraint(measures, parallel.everywhere(mesh))

    @jitted
    def evaluate(parameters: Parameters, windows: jax.Array) -> jax.Array:
        language_losses = _stacked(losses, windows)(parameters)
        return jax.lax.with_sharding_constraint(language_losses, parallel.everywhere(mesh))

    initial = jitted(lambda seeds: lying(_stacked(start)(seeds)))
    return Program(initial, Update(step, numbers(optimisation)), evaluate, empty)


def _stacked(function: Callable[..., Any], *shared: Any) -> Callable[..., Any]:
    """The function over the leading axis of its arguments; what is shared follows them and has no such axis."""

    def over_models(*stacks: Any) -> Any:
        if len(jax.tree.leaves(stacks)[0]) > 1:
            return jax.vmap(lambda *ours: function(*ours, *shared), spmd_axis_name="models")(
                *stacks
            )
        alone = function(*jax.tree.map(lambda a: a[0], stacks), *shared)
        return jax.tree.map(lambda a: a[None], alone)

    return over_models


def _mean(function: Callable[[jax.Array], Any], parts: jax.Array) -> Any:
    """Of function(part) over parts; one part at a time is in memory."""
    if len(parts) == 1:
        return function(parts[0])

    def add(total: Any, part: jax.Array) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, function(part)), None

    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(function, parts[0]))
    total, _ = jax.lax.scan(add, zero, parts)
    return jax.tree.map(lambda a: a / len(parts), total)
