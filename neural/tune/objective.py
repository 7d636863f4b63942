"""What sub-networks are trained on: an objective for a stack of models, of which each may have a language of its own.

S models, batches of B, classes C. Whatever a batch holds is an array (S, B, ...), and a pure function of its step and
the seeds of the models, so that each model of a stack is tuned as it would be alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from neural.gpt.config import Compute, ModelConfig, compiler_options
from neural.gpt.model import DEFAULT, STANDARD_DEVIATION, Parameters, shapes
from neural.masks.mask import Masks, prunable
from neural.masks.prune import Train
from neural.measures.words import NONE
from neural.text.shuffle import key, mix, permute
from neural.train.optim import OptimiserConfig, optimiser
from neural.tune.head import over_models
from sim.runs.errors import UserError

Array = NDArray[np.float64]
Batch = dict[str, NDArray[Any]]
Loss = Callable[[Parameters, Any, ModelConfig, Compute], jax.Array]
Logits = Callable[[Parameters, Any, ModelConfig, Compute], jax.Array]
Measures = dict[str, Array]


class Objective(Protocol):
    """One kind of training."""

    @property
    def languages(self) -> tuple[str, ...]:
        """What each model of the stack is trained on, (S,): a language, or several as "en,el", in equal shares."""
        ...

    @property
    def loss(self) -> Loss:
        """The scalar to minimise, of one model with its head and a batch of its own; the same function for one kind."""
        ...

    def heads(self, config: ModelConfig, seeds: Sequence[int]) -> Parameters:
        """What is trained besides the models, (S, ...) each; a function of the seeds."""
        ...

    def batch(self, step: int, seeds: Sequence[int]) -> Batch:
        """What the update after `step` others reads."""
        ...

    def evaluate(
        self,
        state: Mapping[str, Any],
        config: ModelConfig,
        part: str,
        languages: Sequence[str] | None = None,
        compute: Compute = DEFAULT,
    ) -> Measures:
        """Measures (S,) by name, of models with their heads; each on its own language, or on one that is given."""
        ...


def tune(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    objective: Objective,
    tuning: OptimiserConfig,
    masks: Mapping[str, Any] | None = None,
    *,
    seeds: Sequence[int],
    compute: Compute = DEFAULT,
) -> Parameters:
    """Train a stack of models (S, ...) with their heads under masks, by an optimiser and a schedule from the start.

    Weights outside a mask are 0 from the first forward pass on and stay so; neither gradients nor their clipping see
    them. One program serves all masks, and none. Raises UserError for a configuration that cannot train and a loss that
    is no longer finite, ValueError for stacks of different sizes.
    """
    tuning.check()
    S = len(seeds)
    state = {name: jnp.array(parameters[name], jnp.float32) for name in shapes(config)}
    if {len(value) for value in state.values()} | {len(objective.languages)} != {S}:
        raise ValueError(f"{S} seeds: give as many models and languages")
    kept = _kept(masks, config, S)
    state |= {name: jnp.where(mask, state[name], 0) for name, mask in kept.items()}
    state |= objective.heads(config, seeds)
    start, step = _program(config, compute, tuning, objective.loss)
    moments, losses = start(state), jnp.zeros(S)
    for number in range(tuning.steps):
        batch = objective.batch(number, seeds)
        state, moments, losses = step(state, moments, kept, batch)
    if not np.isfinite(np.asarray(losses)).all():
        raise UserError(
            f"the loss is not finite after {tuning.steps} updates: lower the peak of {tuning.peak:g}"
        )
    return state


def trainer(
    config: ModelConfig,
    objective: Objective,
    tuning: OptimiserConfig,
    *,
    seeds: Sequence[int],
    compute: Compute = DEFAULT,
) -> Train:
    """Training as pruning takes it: from models and masks to trained models, without their heads."""

    def train(parameters: Mapping[str, Any], masks: Masks | None) -> dict[str, Any]:
        state = tune(parameters, config, objective, tuning, masks, seeds=seeds, compute=compute)
        return {name: state[name] for name in shapes(config)}

    return train


def drawn(
    head: Mapping[str, tuple[int, ...]], seed: int, models: Sequence[int]
) -> dict[str, jax.Array]:
    """A head (S, ...) for each model by its own seed: normal as GPT-2's weights, but biases 0."""
    parameters = {}
    for place, (name, shape) in enumerate(head.items()):
        draws = [np.random.default_rng([place, seed, m]).standard_normal(shape) for m in models]
        scale = 0 if name.endswith(".bias") else STANDARD_DEVIATION
        parameters[name] = jnp.asarray(scale * np.stack(draws), jnp.float32)
    return parameters


@dataclass(frozen=True, eq=False)
class Supervised:
    """A head on labelled sentences. parts: by language and part, arrays (N, ...) of which one is `labels`.

    Labels are places among the names of the C classes, which all languages share; NONE counts for nothing. shuffled: a
    control whose training labels are dealt out anew within each language, as often each as before.
    """

    languages: tuple[str, ...]
    parts: Mapping[tuple[str, str], Batch]
    names: tuple[str, ...]
    logits: Logits
    """Of one model with its head and a batch of its sentences: (B, ..., C), as labels are (B, ...)."""
    head: Callable[[ModelConfig, int], dict[str, tuple[int, ...]]]
    """Of a model and C: the shapes of the head's parameters."""
    further: Callable[[Batch, NDArray[np.int64], tuple[str, ...]], dict[str, float]] | None = None
    """Of the arrays of a part, the classes found (N, ...) and the names: more measures."""
    size: int = 16
    """B."""
    seed: int = 0
    shuffled: bool = False

    @property
    def loss(self) -> Loss:
        return cross_entropy(self.logits)

    def heads(self, config: ModelConfig, seeds: Sequence[int]) -> Parameters:
        return drawn(self.head(config, len(self.names)), self.seed, seeds)

    def batch(self, step: int, seeds: Sequence[int]) -> Batch:
        """Every sentence of a language comes once before any comes again, in an order that changes each time."""
        places = step * self.size + np.arange(self.size)
        of_models = [
            self._rows(languages, places, seed)
            for languages, seed in zip(self.languages, seeds, strict=True)
        ]
        return {name: np.stack([rows[name] for rows in of_models]) for name in of_models[0]}

    def evaluate(
        self,
        state: Mapping[str, Any],
        config: ModelConfig,
        part: str,
        languages: Sequence[str] | None = None,
        compute: Compute = DEFAULT,
    ) -> Measures:
        """accuracy, nats (cross-entropy per label) and what the task adds, of every sentence of a part."""
        data = [self._of(name, part) for name in languages or self.languages]
        program = _answers(config, compute, self.logits)
        most = max(len(per_model["labels"]) for per_model in data)
        answers = []
        for first in range(0, most, self.size):
            rows = np.arange(first, first + self.size)
            batch = {
                name: np.stack(
                    [per_model[name][rows % len(per_model["labels"])] for per_model in data]
                )
                for name in data[0]
            }
            answers.append(program(dict(state), batch))
        classes, nats = (np.concatenate(list(each), axis=1) for each in zip(*answers, strict=True))
        measures = [
            self._measures(*per_model) for per_model in zip(data, classes, nats, strict=True)
        ]
        return {name: np.array([per_model[name] for per_model in measures]) for name in measures[0]}

    def _measures(
        self, data: Batch, classes: NDArray[np.int64], nats: NDArray[np.float32]
    ) -> dict[str, float]:
        labels = data["labels"]
        there, N = labels != NONE, len(labels)
        right = classes[:N][there] == labels[there]
        measures = {
            "accuracy": float(right.mean()),
            "nats": float(nats[:N][there].mean(dtype=np.float64)),
        }
        return measures | (self.further(data, classes[:N], self.names) if self.further else {})

    def _rows(self, languages: str, places: NDArray[np.int64], seed: int) -> Batch:
        """Sentences at these places of the endless sequence of a model, whose languages take turns."""
        names = languages.split(",")
        whose = places % len(names)
        batch: Batch = {}
        for turn, name in enumerate(names):
            data = self._training[name]
            N = len(data["labels"])
            epoch, entry = np.divmod(places[whose == turn] // len(names), N)
            order = permute(entry, N, mix(key(self.seed, seed, "sentences", name), epoch))
            for array, values in data.items():
                rows = batch.setdefault(
                    array, np.empty((len(places), *values.shape[1:]), values.dtype)
                )
                rows[whose == turn] = values[order]
        return batch

    @cached_property
    def _training(self) -> dict[str, Batch]:
        names = dict.fromkeys(name for languages in self.languages for name in languages.split(","))
        return {name: self._dealt(name) for name in names}

    def _dealt(self, language: str) -> Batch:
        data = self._of(language, "train")
        if not self.shuffled:
            return data
        labels = data["labels"].copy()
        there = labels != NONE
        rng = np.random.default_rng(key(self.seed, "labels", language))
        labels[there] = rng.permutation(labels[there])
        return data | {"labels": labels}

    def _of(self, language: str, part: str) -> Batch:
        if (language, part) not in self.parts:
            known = ", ".join(" ".join(pair) for pair in self.parts)
            raise UserError(f"no {part} of {language!r} in this task: choose from {known}")
        return self.parts[language, part]


@lru_cache(maxsize=16)
def cross_entropy(logits: Logits) -> Loss:
    """The mean over the labels of a batch; always the same function for the same logits."""

    def loss(state: Parameters, batch: Any, config: ModelConfig, compute: Compute) -> jax.Array:
        nats = _nats(logits(state, batch, config, compute), batch["labels"])
        there = batch["labels"] != NONE
        return jnp.where(there, nats, 0).sum() / jnp.maximum(there.sum(), 1)

    return loss


def _nats(logits: jax.Array, labels: Any) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels, 0))


def _kept(masks: Mapping[str, Any] | None, config: ModelConfig, models: int) -> dict[str, Any]:
    """The masks (S, ...) of all prunable weights; what is not masked is kept."""
    masks = {} if masks is None else masks
    expected = {name: (models, *shapes(config)[name]) for name in prunable(config)}
    for name, mask in masks.items():
        if name not in expected or mask.shape != expected[name]:
            raise ValueError(f"a mask of {name} {mask.shape}: give {expected.get(name, 'none')}")
    return {
        name: jnp.asarray(masks[name], bool) if name in masks else jnp.ones(shape, bool)
        for name, shape in expected.items()
    }


@lru_cache(maxsize=16)
def _program(
    config: ModelConfig, compute: Compute, tuning: OptimiserConfig, loss: Loss
) -> tuple[Any, Any]:
    """The functions of a stack: the optimiser's moments of its parameters, and one update."""
    adamw = optimiser(tuning)

    def update(state: Parameters, moments: Any, kept: Any, batch: Any) -> tuple[Any, Any, Any]:
        def masked(state: Parameters) -> jax.Array:
            there = {name: jnp.where(mask, state[name], 0) for name, mask in kept.items()}
            return loss(state | there, batch, config, compute)

        value, gradients = jax.value_and_grad(masked)(state)
        changes, moments = adamw.update(gradients, moments, state)
        return optax.apply_updates(state, changes), moments, value

    options = compiler_options(jax.default_backend())
    step = jax.jit(over_models(update), compiler_options=options, donate_argnums=(0, 1))
    return jax.jit(jax.vmap(adamw.init)), step


@lru_cache(maxsize=16)
def _answers(config: ModelConfig, compute: Compute, logits: Logits) -> Any:
    """Of a stack and its batches (S, B, ...): the classes found, and -log p of the labels in nats, (S, B, ...)."""

    def of_one(state: Parameters, batch: Any) -> tuple[jax.Array, jax.Array]:
        class_logits = logits(state, batch, config, compute)
        return class_logits.argmax(axis=-1), _nats(class_logits, batch["labels"])

    return jax.jit(over_models(of_one), compiler_options=compiler_options(jax.default_backend()))
