"""How well models predict text: the loss of every token by sliding windows, summed by document, with intervals.

Text is read as in training: documents one after another, each closed by its end-of-text, the first opened by one. So
the sum over a text is -log of its probability, and bits per byte compare between tokenizers.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import DEFAULT, shapes, token_losses
from neural.text.tokens import Tokens
from sim.runs.errors import UserError
from theory.command.progress import progress as progress_of

Array = NDArray[np.float64]

PIECES = 100
"""A text of few documents is divided into so many, for intervals."""
FEW = 30
SHORTEST = 64
"""Tokens of a piece, at least."""


@dataclass(frozen=True)
class Sliding:
    """Windows that read `window` tokens and predict the one after each; the next begins `stride` tokens later.

    span (a, b): the positions of every window that are scored, a <= position < b. By default what no window before has
    scored: every token of a text once, with at least window - stride + 1 tokens before it or all there are. (As Daras
    et al. 2022, who have 1024 and 512, and Hugging Face's guide to perplexity. Schäfer et al. 2024: window and stride
    512, span 384 to 512.)
    """

    window: int
    stride: int
    span: tuple[int, int] | None = None

    def check(self, context: int) -> None:
        """Raise UserError, in one line, for windows that a model of this context cannot read or that miss tokens."""
        if not 1 <= self.window <= context:
            raise UserError(f"window {self.window}: give 1 to {context}, the model's context")
        if self.span is None:
            if not 1 <= self.stride <= self.window:
                raise UserError(f"stride {self.stride}: give 1 to {self.window}, the window")
            return
        start, end = self.span
        if not 0 <= start < end <= self.window:
            raise UserError(
                f"span {start} to {end}: give two positions of a window, within 0 to {self.window}"
            )
        if self.stride < end - start:
            raise UserError(
                f"stride {self.stride} scores tokens twice: give {end - start} or more, the length of the span"
            )

    def places(self, n: int) -> NDArray[np.int64]:
        """Windows over n tokens, (N, 3): where each starts, and the first and the end of the tokens that it scores."""
        low, high = self.span or (self.window - self.stride, self.window)
        starts = np.arange(0, max(n - low, 1), self.stride)
        windows = np.stack([starts, starts + low, np.minimum(starts + high, n)], axis=1)
        if self.span is None:
            windows[0, 1] = 0
        return windows[windows[:, 1] < windows[:, 2]]


class Estimate(NamedTuple):
    """A measure of a text, and between what 95 % of resampled texts have it; an array where there are copies."""

    value: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Scores:
    """Of each document: nats (D,) lost on the tokens that were scored, how many those are, all its tokens, its bytes.

    Where parameters had an axis of copies, nats have it in front. covered (D,): the bytes of the scored tokens, NaN of
    a text that its tokenizer alters; without it they are in proportion to the document's.
    """

    nats: Array
    scored: NDArray[np.int64]
    tokens: NDArray[np.int64]
    bytes: NDArray[np.int64]
    covered: Array | None = None

    @property
    def scored_bytes(self) -> Array:
        """The bytes of the scored tokens of each document, (D,)."""
        return self.bytes * (self.scored / self.tokens) if self.covered is None else self.covered

    def estimates(self, *, resamples: int = 1000, seed: int = 0) -> dict[str, Estimate]:
        """nats_per_token, perplexity and bits_per_byte of the text.

        Intervals are percentiles over texts of as many documents, drawn with replacement; the same documents are drawn
        for equal seeds, so models compare draw by draw; one document gives no interval, but NaN. Documents without
        scored tokens count for nothing. bits_per_byte are NaN for a text that its tokenizer alters.
        """
        there = self.scored > 0
        scored = self.scored[there]
        covered = self.scored_bytes[there]
        nats = self.nats[..., there]
        rng, D = np.random.default_rng(seed), len(scored)
        drawn = (np.bincount(rng.integers(D, size=D), minlength=D) for _ in range(resamples))
        weights = [np.ones(D), *(drawn if D > 1 else [np.full(1, np.nan)])]
        losses = np.stack([nats @ w for w in weights])
        per_token = _estimate(losses, np.array([scored @ w for w in weights]))
        per_byte = _estimate(losses / math.log(2), np.array([covered @ w for w in weights]))
        with np.errstate(over="ignore"):
            perplexity = Estimate(*map(np.exp, per_token))
        return {"nats_per_token": per_token, "perplexity": perplexity, "bits_per_byte": per_byte}


def _estimate(sums: Array, totals: Array) -> Estimate:
    """Of sums (1 + resamples, ...) over totals (1 + resamples,); the first is the text itself."""
    ratios = sums / totals.reshape(-1, *[1] * (sums.ndim - 1))
    low, high = np.percentile(ratios[1:], [2.5, 97.5], axis=0)
    return Estimate(ratios[0], low, high)


def score(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    tokens: Tokens,
    sliding: Sliding,
    *,
    batch: int = 8,
    compute: Compute = DEFAULT,
    progress: str = "",
    without: NDArray[np.int64] | None = None,
) -> Scores:
    """The losses of a text, summed by document; `batch` windows are computed at once, by one compiled program.

    Parameters that have an axis in front are copies, scored together: stack those that differ, and share the rest.
    Where ids are given `without` which a text is expected, nats have an axis of two before documents: without them,
    as if they were not in the vocabulary, and with them. progress is the caption of a bar on a terminal. Raises
    UserError for windows that do not fit the model or the text.
    """
    sliding.check(config.context)
    if batch < 1:
        raise UserError(f"batch {batch}: give a whole number >= 1")
    dimensions = {name: len(shape) for name, shape in shapes(config).items()}
    stacked = frozenset(name for name, ndim in dimensions.items() if parameters[name].ndim > ndim)
    copies = {len(parameters[name]) for name in stacked}
    if len(copies) > 1:
        raise ValueError(f"stacks of {sorted(copies)} parameters: give one number of copies")
    program = _program(config, compute, stacked)
    placed = jax.device_put({name: parameters[name] for name in dimensions})
    n = len(tokens.ids)
    places = sliding.places(n)
    variants = () if without is None else (2,)
    if not len(places):
        raise UserError(f"the text has {n} tokens, and the span begins later: give more text")
    rows = min(batch, len(places))
    losses = np.zeros((*copies, *variants, n), dtype=np.float32)
    scored = np.zeros(n, dtype=np.int64)

    def begun() -> Iterator[tuple[NDArray[np.int64], jax.Array]]:
        for first in range(0, len(places), rows):
            chosen = places[first : first + rows]
            windows = _read(tokens.ids, np.resize(chosen[:, 0], rows), sliding.window)
            yield chosen, program(placed, windows, without)

    with progress_of(
        n, unit="tokens", scaled=True, description=progress, shown=bool(progress)
    ) as bar:
        for chosen, batch_losses in _one_ahead(begun()):
            for row, (start, low, high) in enumerate(chosen):
                losses[..., low:high] = batch_losses[..., row, low - start : high - start]
                scored[low:high] += 1
                bar.update(high - low)
    begins = np.concatenate([[0], tokens.ends[:-1]])
    return Scores(
        np.add.reduceat(losses, begins, axis=-1, dtype=np.float64),
        np.add.reduceat(scored, begins),
        np.diff(tokens.ends, prepend=0),
        tokens.sizes,
        _covered(tokens, scored, begins),
    )


def _covered(tokens: Tokens, scored: NDArray[np.int64], begins: NDArray[np.int64]) -> Array | None:
    """The bytes of the ids that were scored, by document; None where they are known of documents alone."""
    if tokens.altered is not None:
        return np.full(len(begins), np.nan)
    if tokens.bytes_of is None:
        return None
    return np.add.reduceat(scored * tokens.bytes_of[tokens.ids], begins).astype(np.float64)


def pieces(tokens: Tokens) -> Tokens:
    """A text of few documents as PIECES of equal length, with their bytes or shares of them; others as they are."""
    n = len(tokens.ids)
    count = min(PIECES, n // SHORTEST)
    if len(tokens.ends) >= min(FEW, count):
        return tokens
    ends = np.rint(np.linspace(0, n, count + 1)).astype(np.int64)[1:]
    sizes = np.diff(tokens.bytes_before(ends), prepend=0)
    return replace(tokens, ends=ends, sizes=sizes)


@lru_cache(maxsize=16)
def _program(config: ModelConfig, compute: Compute, stacked: frozenset[str]) -> Any:
    """Of parameters, windows (B, W + 1) and None or ids: losses (B, W), or (2, B, W) without these ids and with them.

    Copies are in front where some parameters are stacked.
    """

    def losses(parameters: dict[str, jax.Array], windows: jax.Array, without: Any) -> jax.Array:
        return token_losses(parameters, windows[:, :-1], windows[:, 1:], config, compute, without)

    if stacked:
        axes = {name: 0 if name in stacked else None for name in shapes(config)}
        losses = jax.vmap(losses, in_axes=(axes, None, None))
    return jax.jit(losses)


def _read(ids: Any, starts: NDArray[np.int64], window: int) -> NDArray[np.int32]:
    """Tokens (B, window + 1) whose last `window` begin at `starts`.

    What comes before the first id is the last one, an end-of-text; what comes after the last is not scored.
    """
    places = starts[:, None] + np.arange(-1, window)
    return ids[np.minimum(places, len(ids) - 1)].astype(np.int32)


def _one_ahead(items: Iterator[tuple[Any, Any]]) -> Iterator[tuple[Any, NDArray[Any]]]:
    """The same pairs, the second as numpy; each when the next was begun, so that the device need not wait."""
    before = next(items, None)
    while before is not None:
        after = next(items, None)
        yield before[0], np.asarray(before[1])
        before = after
