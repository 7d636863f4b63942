"""Words of annotated sentences found again among the tokens that a GPT reads.

Every token stands for some bytes of a text, and every word for the characters of its span, so a word's subwords are
those that share a byte with it, whatever the tokenizer. Words of one multi-word token (de, le: du) share its subwords.

Sentences N or a batch of B, tokens T, words W, width d. A sentence is read as documents are in training: after an
end-of-text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import DEFAULT, Parameters, normed, states
from neural.text.tokenizer import Tokenizer
from sim.runs.errors import UserError

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

NONE = -1
"""The label of a place that has no word, or none that the model could read."""


class Spanned(Protocol):
    """A text, and the characters start <= i < end of it that each of its words stands in."""

    @property
    def text(self) -> str: ...

    @property
    def spans(self) -> tuple[tuple[int, int], ...]: ...


class Encoded(NamedTuple):
    """N texts: ids (N, T), an end-of-text before each and as many after it as fill the row; tokens of each, (N,).

    truncated: how many were too long for the context.
    """

    ids: NDArray[np.int32]
    lengths: Ints
    truncated: int


@dataclass(frozen=True, eq=False)
class WordExamples:
    """N sentences: ids (N, T), and of every word its subwords, the places first <= place < end of its row, (N, W) each.

    Where there is no word, or the context ends before it does, both are 0. truncated: sentences too long for the
    context. lost: words that it does not hold whole.
    """

    ids: NDArray[np.int32]
    first: Ints
    end: Ints
    truncated: int
    lost: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def there(self) -> NDArray[np.bool_]:
        """Where a word is, (N, W). Taken by it, words come sentence by sentence in their order."""
        return self.end > self.first

    def padded(self, words: int) -> "WordExamples":
        """The same with room for so many words a sentence, at least as many as there are."""
        width = ((0, 0), (0, words - self.first.shape[1]))
        return replace(self, first=np.pad(self.first, width), end=np.pad(self.end, width))

    def labels(self, values: Sequence[Sequence[int]]) -> Ints:
        """A number of each word of each sentence, (N, W): NONE where no word is, or a lost one."""
        return np.where(self.there, _rows(values, self.first.shape[1], NONE), NONE)


def encoded(texts: Sequence[str], tokenizer: Tokenizer, context: int) -> Encoded:
    """Texts as rows of `context` ids. Raises UserError for none."""
    return _encoded(_tokens(texts, tokenizer), tokenizer.end_of_text, context)


def encoded_words(sentences: Sequence[Spanned], tokenizer: Tokenizer, context: int) -> WordExamples:
    """The words of sentences among their tokens, in rows of `context` ids.

    Raises UserError for no sentences, and for a tokenizer that alters text.
    """
    tokens = _tokens([item.text for item in sentences], tokenizer)
    encoding = _encoded(tokens, tokenizer.end_of_text, context)
    sizes = tokenizer.sizes
    places = [subwords(item, sizes[ids]) + 1 for item, ids in zip(sentences, tokens, strict=True)]
    most = max(map(len, places))
    first, end = (_rows([place[:, side] for place in places], most, 0) for side in (0, 1))
    lost = end > context
    first[lost] = end[lost] = 0
    return WordExamples(encoding.ids, first, end, encoding.truncated, int(lost.sum()))


def _tokens(texts: Sequence[str], tokenizer: Tokenizer) -> list[NDArray[np.int32]]:
    if not texts:
        raise UserError("no sentences to read: give some")
    return tokenizer.encode_all(texts)


def _encoded(tokens: Sequence[NDArray[np.int32]], end_of_text: int, context: int) -> Encoded:
    kept = [ids[: context - 1] for ids in tokens]
    rows = np.full((len(tokens), context), end_of_text, dtype=np.int32)
    for row, ids in zip(rows, kept, strict=True):
        row[1 : len(ids) + 1] = ids
    truncated = sum(len(ids) >= context for ids in tokens)
    return Encoded(rows, np.array([len(ids) for ids in kept]), truncated)


def subwords(sentence: Spanned, sizes: NDArray[np.int64]) -> Ints:
    """First and end of the tokens that share a byte with each word, (W, 2); sizes (n,): bytes of each token.

    Raises UserError where the tokens are not as long as the text.
    """
    characters = [len(character.encode()) for character in sentence.text]
    offsets = np.concatenate([[0], np.cumsum(characters, dtype=np.int64)])
    ends = np.cumsum(sizes)
    if offsets[-1] != sizes.sum():
        raise UserError(
            f"{sentence.text[:40]!r}: its tokens stand for {sizes.sum()} bytes, not {offsets[-1]}: "
            "give a tokenizer trained here, which alters no text"
        )
    spans = offsets[np.array(sentence.spans, dtype=np.int64).reshape(-1, 2)]
    # The first token that ends behind the word's first byte, and the first that ends with its last or behind it.
    first = np.searchsorted(ends, spans[:, 0], side="right")
    last = np.searchsorted(ends, spans[:, 1], side="left")
    return np.stack([first, last + 1], axis=1)


def _rows(values: Sequence[Any], width: int, fill: int) -> Ints:
    """Sequences of numbers as rows of one width."""
    rows = np.full((len(values), width), fill, dtype=np.int64)
    for row, value in zip(rows, values, strict=True):
        row[: len(value)] = value
    return rows


def word_means(x: jax.Array, first: Any, end: Any) -> jax.Array:
    """The mean over its subwords of each word, (..., B, W, d), of states x (..., B, T, d); 0 where there is none."""
    places = jnp.arange(x.shape[-2])
    inside = (places >= first[..., None]) & (places < end[..., None])
    weights = inside / jnp.maximum(end - first, 1)[..., None]
    return jnp.einsum("bwt,...btd->...bwd", weights.astype(jnp.float32), x.astype(jnp.float32))


def word_states(
    parameters: Parameters,
    ids: Any,
    first: Any,
    end: Any,
    config: ModelConfig,
    compute: Compute = DEFAULT,
) -> jax.Array:
    """Of each word the mean of what the model's head would read, its last states after ln_f: (B, W, d) float32."""
    last = states(parameters, ids, config, compute)[-1]
    return word_means(normed(parameters, "ln_f", last), first, end)


def word_features(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    examples: WordExamples,
    *,
    batch: int = 32,
    compute: Compute = DEFAULT,
) -> Floats:
    """The residual stream of one model after the embeddings and each block, word by word: (layers + 1, words, d).

    The words are those that are `there`, in its order.
    """
    program = _program(config, compute)
    placed = jax.device_put(dict(parameters))
    there = examples.there
    features = np.empty((config.layers + 1, int(there.sum()), config.width), dtype=np.float32)
    done = 0
    for start in range(0, len(examples), batch):
        rows = np.arange(start, min(start + batch, len(examples)))
        filled = np.resize(rows, batch)
        means = program(placed, examples.ids[filled], examples.first[filled], examples.end[filled])
        chosen = np.asarray(means)[:, : len(rows)][:, there[rows]]
        features[:, done : done + chosen.shape[1]] = chosen
        done += chosen.shape[1]
    return features


@lru_cache(maxsize=16)
def _program(config: ModelConfig, compute: Compute) -> Any:
    @jax.jit
    def means(parameters: Parameters, ids: jax.Array, first: jax.Array, end: jax.Array) -> Any:
        return word_means(states(parameters, ids, config, compute), first, end)

    return means
