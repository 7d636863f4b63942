"""Text written by a model: one token after another, each drawn from what the model expects next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from neural.gpt.cache import empty, read
from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import DEFAULT
from sim.runs.errors import UserError


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn: p^(1/temperature) over the top_k likeliest, and of these the fewest that hold top_p."""

    temperature: float = 1.0
    """0 takes the likeliest."""
    top_k: int | None = None
    top_p: float = 1.0

    def check(self) -> None:
        """Raise UserError, in one line, for what cannot be drawn from."""
        if not 0 <= self.temperature < float("inf"):
            raise UserError(f"temperature {self.temperature}: give a number >= 0")
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"top-k {self.top_k}: give a whole number >= 1")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top-p {self.top_p}: give a number above 0 and at most 1")


def choose(logits: jax.Array, key: jax.Array, sampling: Sampling) -> jax.Array:
    """A token for each row of logits (B, V): (B,) int32. A row's draw depends on the key and its number alone."""
    if sampling.temperature == 0:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    logits = logits / sampling.temperature
    V = logits.shape[-1]
    keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(len(logits)))
    draw = jax.vmap(jax.random.categorical)
    if sampling.top_k is None and sampling.top_p == 1:
        return draw(keys, logits).astype(jnp.int32)
    best, ids = jax.lax.top_k(logits, min(sampling.top_k or V, V))
    likely = jax.nn.softmax(best, axis=-1)
    before = jnp.cumsum(likely, axis=-1) - likely
    kept = jnp.where((before < sampling.top_p).at[:, 0].set(True), best, -jnp.inf)
    return jnp.take_along_axis(ids, draw(keys, kept)[:, None], axis=-1)[:, 0]


def generate(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    prompt: NDArray[np.integer[Any]],
    *,
    samples: int = 1,
    length: int = 100,
    sampling: Sampling = Sampling(),
    seed: int = 0,
    vocabulary: int | None = None,
    without: Sequence[int] = (),
    compute: Compute = DEFAULT,
) -> Iterator[NDArray[np.int32]]:
    """`length` tokens after a prompt (T,), T >= 1, each as it is drawn: (samples,) ids below `vocabulary`.

    Those `without` which the text is to be are never drawn.

    When the context is full, its latter half is read again from position 0; a prompt beyond it loses its beginning.
    """
    sampling.check()
    begin, proceed = _programs(
        config, compute, sampling, vocabulary or config.vocabulary, tuple(without)
    )
    placed = jax.device_put(dict(parameters))
    key = jax.random.key(seed)
    seen = np.tile(np.asarray(prompt, dtype=np.int32)[-config.context :], (samples, 1))
    held, cache = 0, None
    for number in range(length):
        draw = jax.random.fold_in(key, number)
        if cache is None or held == config.context:
            if cache is not None:
                seen = seen[:, -max(config.context // 2, 1) :]
            chosen, cache = begin(placed, seen, draw)
            held = seen.shape[1]
        else:
            chosen, cache = proceed(placed, seen[:, -1:], cache, draw)
            held += 1
        drawn = np.asarray(chosen)
        seen = np.concatenate([seen, drawn[:, None]], axis=1)
        yield drawn


@lru_cache(maxsize=16)
def _programs(
    config: ModelConfig,
    compute: Compute,
    sampling: Sampling,
    vocabulary: int,
    without: tuple[int, ...],
) -> tuple[Any, Any]:
    """Of parameters, tokens (B, T), the cache if there is one, and a key: the tokens chosen, and the cache."""

    def proceed(parameters: Any, tokens: Any, cache: Any, key: Any) -> Any:
        logits, cache = read(parameters, tokens, cache, config, compute)
        drawn = logits[:, -1, :vocabulary].at[:, np.array(without, int)].set(-jnp.inf)
        return choose(drawn, key, sampling), cache

    def begin(parameters: Any, tokens: Any, key: Any) -> Any:
        return proceed(parameters, tokens, empty(config, len(tokens), compute), key)

    return jax.jit(begin), jax.jit(proceed, donate_argnums=2)
