"""Fine-tuning of whole models with their heads, a stack at once (Daras et al. 2022: 10 epochs at 2e-5 of GPT-2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from neural.gpt.config import Compute, ModelConfig, compiler_options
from neural.gpt.model import DEFAULT, STANDARD_DEVIATION, Parameters, shapes
from neural.train.optim import OptimiserConfig, optimiser
from neural.tune.examples import NONE, Examples, Ints, require_names, shuffled
from neural.tune.head import BIAS, HEAD, Classifier, correct, logits, over_models
from sim.runs.errors import UserError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FineTuning:
    """AdamW on all parameters: linear warm-up, then cosine to 0."""

    epochs: int = 10
    batch: int = 32
    peak: float = 1e-3
    """Learning rate after warm-up, for small models; 2e-5 is usual for GPT-2's sizes."""
    warmup: float = 0.1
    """Part of all updates."""
    decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    """Of the head's first weights and the order of sentences, together with each model's own seed."""

    def check(self) -> None:
        """Raise UserError, in one line, for the first value that cannot tune."""
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)}: give a whole number >= 1")
        if not 0 <= self.warmup < 1:
            raise UserError(f"warm-up of {self.warmup} of all updates: give a number >= 0 and < 1")
        self.optimisation(1).check()

    def optimisation(self, steps: int) -> OptimiserConfig:
        """The optimiser of so many updates."""
        return OptimiserConfig(
            steps=steps,
            peak=self.peak,
            warmup=int(self.warmup * steps),
            final=0.0,
            beta2=0.999,
            decay=self.decay,
            clip=self.clip,
        )


@dataclass(frozen=True, eq=False)
class Tuned:
    """A stack after tuning. accuracy (epochs, S) on dev, loss (epochs, S) in nats, the mean of the epoch's batches.

    epoch (S,): the epoch, from 0, after which `best` has each model, the first of greatest accuracy. epochs: the models
    after each epoch, where they were kept, as numpy arrays.
    """

    best: Classifier
    epoch: Ints
    accuracy: Array
    loss: Array
    epochs: tuple[Classifier, ...]

    def at(self, epoch: Sequence[int] | Ints) -> Classifier:
        """Each model as it was after an epoch of its own (S,): to compare models at equal accuracy."""
        if not self.epochs or len(epoch) != len(self.epoch):
            raise ValueError("give an epoch for each model, of models tuned with keep=True")

        def chosen(*stacks: Any) -> jax.Array:
            return jnp.asarray(
                np.stack([stacks[place][model] for model, place in enumerate(epoch)])
            )

        trees = [(item.parameters, item.head, item.bias) for item in self.epochs]
        return Classifier(self.best.config, self.best.names, *jax.tree.map(chosen, *trees))


def fine_tune(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    train: Examples,
    dev: Examples,
    tuning: FineTuning,
    *,
    seeds: Sequence[int],
    keep: bool = False,
    compute: Compute = DEFAULT,
) -> Tuned:
    """Tune a stack of models (S, ...) on the same sentences; `seeds` (S,) are their own.

    Each model is tuned as it would be alone. Raises UserError for a configuration that cannot tune, and for classes of
    dev that are not those of train.
    """
    tuning.check()
    require_names(dev, train.names)
    state = jax.device_put(
        {name: np.array(parameters[name], np.float32) for name in shapes(config)}
    )
    if {len(value) for value in state.values()} != {len(seeds)}:
        raise ValueError(f"{len(seeds)} seeds: give as many models, on each parameter's first axis")
    state |= _heads((config.width, len(train.names)), tuning.seed, seeds)
    orders = [
        shuffled(train, tuning.batch, tuning.seed, seeds, epoch) for epoch in range(tuning.epochs)
    ]
    start, step = _program(config, compute, tuning.optimisation(sum(map(len, orders))))
    moments, best = start(state), state
    accuracy, loss, kept = [], [], []
    for order in orders:
        losses = []
        for width, rows in order:
            chosen = train.ids[rows, :width], train.last[rows], train.labels[rows], rows != NONE
            state, moments, value = step(state, moments, *chosen)
            losses.append(value)
        classifier = _classifier(state, config, train.names)
        accuracy.append(correct(classifier, dev, compute=compute).mean(axis=1))
        loss.append(np.mean(losses, axis=0))
        better = accuracy[-1] > np.max(accuracy[:-1], axis=0, initial=-1.0)
        best = _where(better, state, best)
        if keep:
            kept.append(_classifier(jax.tree.map(np.asarray, state), config, train.names))
    return Tuned(
        _classifier(best, config, train.names),
        np.argmax(accuracy, axis=0),
        np.array(accuracy),
        np.array(loss, dtype=np.float64),
        tuple(kept),
    )


def _heads(shape: tuple[int, int], seed: int, models: Sequence[int]) -> Parameters:
    """The head (S, d, C) before tuning, normal as GPT-2's weights, and its bias (S, C), zero."""
    drawn = [np.random.default_rng([0, seed, model]).standard_normal(shape) for model in models]
    head = np.float32(STANDARD_DEVIATION * np.stack(drawn))
    return jax.device_put({HEAD: head, BIAS: np.zeros((len(models), shape[1]), np.float32)})


def _classifier(state: Parameters, config: ModelConfig, names: tuple[str, ...]) -> Classifier:
    model = {name: state[name] for name in shapes(config)}
    return Classifier(config, names, model, state[HEAD], state[BIAS])


@jax.jit
def _where(better: NDArray[np.bool_], new: Parameters, old: Parameters) -> Parameters:
    """The new models that are better, and the others' old parameters."""
    return jax.tree.map(
        lambda n, o: jnp.where(better.reshape(-1, *[1] * (n.ndim - 1)), n, o), new, old
    )


@lru_cache(maxsize=16)
def _program(
    config: ModelConfig, compute: Compute, optimisation: OptimiserConfig
) -> tuple[Any, Any]:
    """The functions of a stack: the optimiser's moments of its parameters, and one update."""
    adamw = optimiser(optimisation)

    def loss(state: Parameters, ids: Any, last: Any, labels: Any, there: Any) -> jax.Array:
        scores = logits(state, ids, last, config, compute)
        losses = optax.softmax_cross_entropy_with_integer_labels(scores, labels)
        return jnp.sum(losses * there) / jnp.sum(there)

    def update(state: Parameters, moments: Any, *sentences: Any) -> tuple[Parameters, Any, Any]:
        value, gradients = jax.value_and_grad(loss)(state, *sentences)
        changes, moments = adamw.update(gradients, moments, state)
        return optax.apply_updates(state, changes), moments, value

    options = compiler_options(jax.default_backend())
    return jax.jit(jax.vmap(adamw.init)), jax.jit(over_models(update), compiler_options=options)
