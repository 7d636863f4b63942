"""Two real languages in one model: with a tokenizer each and ids that never meet, or with one tokenizer of both.

disjoint: of V ids each. Those of the second language are offset by V, as a clone's are, but for the end of text, which
is the first's. shared: one tokenizer of 2 V ids, learnt from both texts; pieces that both have are one id. So models of
both kinds have the same shape.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import DEFAULT, Parameters, states
from neural.measures.alignment import SMALL, Cosines
from neural.text import tokenizer as tokenizers
from neural.text.corpus import Corpus
from neural.text.corpus import load as load_corpus
from neural.text.documents import SPLITS
from neural.text.tokenizer import Tokenizer
from neural.text.tokens import Tokens, store
from neural.train.data import Data
from sim.runs.errors import UserError

Vocabulary = Literal["shared", "disjoint"]

Ids = NDArray[np.uint32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pair:
    """Two languages, by their names in a corpus, for a model of `size` ids in all."""

    languages: tuple[str, str]
    vocabulary: Vocabulary
    size: int

    def check(self) -> None:
        """Raise UserError, in one line, for a pair that cannot be."""
        if self.vocabulary not in get_args(Vocabulary):
            raise UserError(
                f"unknown vocabulary {self.vocabulary!r}: choose from {', '.join(get_args(Vocabulary))}"
            )
        first, other = self.languages
        if first == other:
            raise UserError(f"{first} twice is no pair of languages: give two")
        if self.size < 1 or (self.vocabulary == "disjoint" and self.size % 2):
            raise UserError(
                f"{self.size} ids for {first} and {other}: give an even number, half of it for each"
            )


def corpora(
    sources: Sequence[str], text: str, others: Sequence[str], data_dir: Path | None
) -> dict[str, Corpus]:
    """Of a text that is cloned, and of it and each other language; by the language beside the clones' text."""
    sets = {text: (text,), **{name: (text, name) for name in others}}
    return {
        name: load_corpus(sources, languages, data_dir=data_dir) for name, languages in sets.items()
    }


@dataclass(frozen=True, eq=False)
class Bilingual:
    """The text of a pair as ids.

    tokenizers and tables: of each language, and what each id of its tokenizer is in the model, (ids of the tokenizer,).
    tokens: of each language and split, with the ids of its tokenizer, mapped from disk. fingerprint: of text,
    tokenizers and kind.
    """

    pair: Pair
    tokenizers: Mapping[str, Tokenizer]
    tables: Mapping[str, Ids]
    tokens: Mapping[tuple[str, str], Tokens]
    fingerprint: str

    @property
    def end_of_text(self) -> int:
        """The model's id that ends a document of either language."""
        return self.tokenizers[self.pair.languages[0]].end_of_text

    def encode(self, ids: NDArray[np.integer[Any]], language: str) -> Ids:
        """Ids (...) of a language's tokenizer as the model's."""
        return self.tables[language][ids]

    def data(self) -> Data:
        """What train.loop.train reads, with the first language's tokenizer. Training text is encoded on the way."""
        languages = self.pair.languages
        valid = {language: self.tokens[language, "valid"] for language in languages}
        return Data(
            self.tokenizers[languages[0]],
            self.pair.size,
            {language: self.tokens[language, "train"].ids for language in languages},
            {language: self.encode(part.ids, language) for language, part in valid.items()},
            {language: len(part.ids) / max(part.bytes, 1) for language, part in valid.items()},
            self.fingerprint,
            {
                language: partial(self.encode, language=language)
                for language, table in self.tables.items()
                if (table != np.arange(len(table))).any()
            },
        )

    def test(self, language: str) -> Tokens:
        """The test text of a language, with the model's ids."""
        text = self.tokens[language, "test"]
        return Tokens(self.encode(text.ids, language), text.ends, text.sizes)

    def counts(self, language: str) -> Ints:
        """How often each id of the model (size,) stands in the training text of a language."""
        return self._counts[language]

    def ids(self, language: str, least: int = 1, *, alone: bool = False) -> Ints:
        """Ids that the language's training text has at least so often, the end of text left out, in order.

        With least = 0 all that its tokenizer has. alone: less those that the other language has as often.
        """
        first, other = self.pair.languages
        own_ids = np.setdiff1d(self.tables[language], [self.end_of_text]).astype(np.int64)
        own_ids = own_ids[self.counts(language)[own_ids] >= least]
        if not alone:
            return own_ids
        return np.setdiff1d(own_ids, self.ids(first if language == other else other, least))

    @cached_property
    def _counts(self) -> dict[str, Ints]:
        counts = {}
        for language, table in self.tables.items():
            counts[language] = np.zeros(self.pair.size, dtype=np.int64)
            there = np.bincount(self.tokens[language, "train"].ids, minlength=len(table))
            counts[language][table] = there
        return counts


def load(pair: Pair, corpus: Corpus, folder: Path, cache: Path | None = None) -> Bilingual:
    """The text of a pair, read by tokenizers that are learnt once and kept as files of the folder.

    Each is a function of the text that it is learnt from: of a disjoint pair, of one language alone. cache: the folder
    of encoded text (default: the user's). Raises UserError for a pair that cannot be, a language that the corpus has
    not, and text too short for so many ids.
    """
    pair.check()
    for language in pair.languages:
        corpus.documents(language, "train")  # says which languages there are
    groups: list[tuple[str, ...]] = [pair.languages]
    if pair.vocabulary == "disjoint":
        groups = [(language,) for language in pair.languages]
    texts = [Corpus({language: corpus.texts[language] for language in group}) for group in groups]
    size = pair.size // len(groups)
    learnt = [reader(text, size, folder) for text in texts]
    by_language: dict[str, Tokenizer] = {}
    tables: dict[str, Ids] = {}
    tokens: dict[tuple[str, str], Tokens] = {}
    digest = hashlib.sha256(f"{pair.vocabulary} {pair.size}\n".encode())
    for number, (text, own) in enumerate(zip(texts, learnt, strict=True)):
        table = np.arange(size, dtype=np.uint32) + np.uint32(number * size)
        table[own.end_of_text] = learnt[0].end_of_text
        stored = store(text, own, cache)
        for language in text.languages:
            by_language[language], tables[language] = own, table
            tokens |= {(language, split): stored[language, split] for split in SPLITS}
            line = f"{language} {text.fingerprints[language]} {own.fingerprint}\n"
            digest.update(line.encode())
    return Bilingual(pair, by_language, tables, tokens, digest.hexdigest())


def reader(text: Corpus, size: int, folder: Path) -> Tokenizer:
    """The tokenizer of a text, of so many ids: that of its file, or learnt now and kept there."""
    path = folder / f"tokenizer-{'+'.join(text.languages)}-{size}.json"
    if not path.is_file():
        learnt = tokenizers.train(text, size)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot write to {folder} ({error.strerror or error}): choose another folder"
            ) from None
        tokenizers.save(learnt, path)
    tokenizer = tokenizers.load(path)
    if tokenizer.vocabulary != size:
        raise UserError(
            f"{path} has {tokenizer.vocabulary} ids, not {size}: delete it, and it is learnt again"
        )
    return tokenizer


@dataclass(frozen=True, eq=False)
class Sentences:
    """N sentences as the model's ids (N, T): an end-of-text, the tokens, and end-of-text up to T.

    lengths (N,): tokens of each, without any end-of-text.
    """

    ids: NDArray[np.int32]
    lengths: Ints


def aligned(
    text: Bilingual, corpus: Corpus, *, context: int, most: int = 256
) -> tuple[tuple[Sentences, Sentences] | None, str]:
    """Row by row the same sentences in both languages, of the test text of both; or None, and why there are none.

    Evenly spaced, `most` at most, of those that a context holds in both languages; no pair twice. The corpus may be
    another than that of the pair, if its languages have the same names.
    """
    languages = text.pair.languages
    rows = list(dict.fromkeys(corpus.aligned("test", *languages).values()))
    names = " and ".join(languages)
    if not rows:
        return None, f"no sentence of the test text of {names} is aligned"
    sides = [
        text.tokenizers[language].encode_all(side)
        for language, side in zip(languages, zip(*rows, strict=True), strict=True)
    ]
    lengths = np.array([[len(ids) for ids in side] for side in sides])
    fit = np.flatnonzero((lengths.max(axis=0) < context) & (lengths.min(axis=0) > 0))
    if len(fit) < 2:
        return (
            None,
            f"{len(fit)} of {len(rows)} aligned sentences of {names} fit into {context} ids",
        )
    chosen = fit[np.linspace(0, len(fit) - 1, min(most, len(fit))).astype(np.int64)]
    width = 1 + int(lengths[:, chosen].max())
    first, other = (
        _padded([text.encode(side[row], language) for row in chosen], width, text.end_of_text)
        for side, language in zip(sides, languages, strict=True)
    )
    return (first, other), ""


def _padded(sentences: Sequence[Ids], width: int, end_of_text: int) -> Sentences:
    ids = np.full((len(sentences), width), end_of_text, dtype=np.int32)
    for row, sentence in zip(ids, sentences, strict=True):
        row[1 : 1 + len(sentence)] = sentence
    return Sentences(ids, np.array([len(sentence) for sentence in sentences]))


def pooled_cosines(
    parameters: Mapping[str, Any],
    config: ModelConfig,
    first: Sentences,
    other: Sentences,
    compute: Compute = DEFAULT,
) -> Cosines:
    """Of the mean states of sentences, row by row the same in two languages, after the embeddings and each block.

    (layers + 1,). The mean is over a sentence's own tokens. Unpaired: every other sentence of the other language.
    """
    if first.ids.shape != other.ids.shape or len(first.lengths) < 2:
        raise ValueError(
            f"sentences {first.ids.shape} and {other.ids.shape}: give two or more, row by row"
        )
    ids = np.concatenate([first.ids, other.ids])
    lengths = np.concatenate([first.lengths, other.lengths])
    cosines = _pooled_program(config, compute)(dict(parameters), ids, lengths)
    return Cosines(*(np.asarray(part, np.float64) for part in cosines))


@lru_cache(maxsize=16)
def _pooled_program(config: ModelConfig, compute: Compute) -> Any:
    """Of parameters, ids (2 N, T) and lengths (2 N,), those of one language before the other's."""

    @jax.jit
    def cosines(
        parameters: Parameters, ids: jax.Array, lengths: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        x = states(parameters, ids, config, compute).astype(jnp.float32)
        place, N = jnp.arange(ids.shape[1]), len(ids) // 2
        own = (place > 0) & (place <= lengths[:, None])
        pooled = jnp.einsum("lntd,nt->lnd", x, own.astype(x.dtype)) / lengths[:, None]
        unit = pooled / jnp.maximum(jnp.linalg.norm(pooled, axis=-1, keepdims=True), SMALL)
        every = jnp.einsum("lnd,lmd->lnm", unit[:, :N], unit[:, N:])
        paired = jnp.trace(every, axis1=1, axis2=2)
        return paired / N, (every.sum(axis=(1, 2)) - paired) / (N * (N - 1))

    return cosines
