"""What the study reads: pairs of languages as models read them, and its models.

Clones are of one tokenizer of their text, and c1 has ids of its own; real languages have one tokenizer of both.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from neural.across.plan import CLONES, Pair, Recipe, Study
from neural.measures.words import WordExamples, encoded_words
from neural.study import real
from neural.study.real import Sentences
from neural.study.stack import Stack, stack
from neural.text.clone import Clones
from neural.text.corpus import Corpus
from neural.text.invented import invented, parsed
from neural.text.tokenizer import Tokenizer
from neural.text.tokens import Ids, Tokens, passages, store, windows
from neural.text.treebank import Sentence, treebank
from neural.train.data import Data, Encode
from neural.train.loop import require_trainable
from neural.tune.tagging import UPOS, places
from sim.runs.errors import UserError

T = TypeVar("T")

MODELS = "models"
PARTS = ("train", "dev", "test")
SPLITS = {"train": "train", "dev": "valid", "test": "test"}
"""Of the text of invented languages."""


@dataclass(frozen=True, eq=False)
class Words:
    """Sentences among a model's ids, and the part of speech of each of their words that is `there`, (words,)."""

    examples: WordExamples
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Both:
    """A pair of languages as its models read them: with the model's ids throughout.

    sentences: row by row the same in both languages. words: by language and part, where there are treebanks.
    """

    languages: Pair
    data: Data
    train: Mapping[str, Ids]
    held_out: Mapping[str, Tokens]
    sentences: tuple[Sentences, Sentences]
    words: Mapping[tuple[str, str], Words]


@dataclass(frozen=True)
class Subjects:
    """A study in its folder, with what its measures read."""

    study: Study
    out: Path
    _pairs: dict[Pair, Both] = field(default_factory=dict)

    def read(self) -> None:
        """Read all that can be read before the tokenizers. Raises UserError for what cannot."""
        _ = self.corpora, self.trees
        for other in self.study.others:
            if not self.corpora[other].aligned("test", self.study.text, other):
                raise UserError(
                    f"no sentence of the test text of {self.study.text} and {other} is aligned: "
                    "give --corpus with aligned text, or other languages"
                )

    @cached_property
    def corpora(self) -> dict[str, Corpus]:
        """Of the cloned text, and of it and each other language; by the language beside the clones' text."""
        study = self.study
        return real.corpora(study.corpus, study.text, study.others, study.data_dir)

    @cached_property
    def trees(self) -> dict[tuple[str, str], list[Sentence]]:
        """Sentences with parts of speech by language and part, evenly spaced."""
        if not self.study.tagged:
            return {}
        return {
            (name, part): self._treebank(name, part, most)
            for name in (self.study.text, *self.study.others)
            for part, most in zip(PARTS, self.study.tagged, strict=True)
        }

    def _treebank(self, name: str, part: str, most: int) -> list[Sentence]:
        """Of invented languages their grammar's."""
        if invented(name):
            documents = self.corpora[name].documents(name, SPLITS[part])
            return parsed(
                _spaced([said for item in documents for said in item.passages], most), name
            )
        if self.study.data_dir is None:
            raise UserError(
                "parts of speech are read from treebanks: give their folder by --data-dir"
            )
        return _spaced(treebank(name, part, self.study.data_dir), most)

    def texts_of(self, pair: Pair) -> Both:
        """The text of a pair; its tokenizer is learnt once and kept in the folder."""
        if pair not in self._pairs:
            self._pairs[pair] = self._cloned() if pair == CLONES else self._real(pair)
        return self._pairs[pair]

    def require_trainable(self) -> None:
        """Raise UserError for a run that cannot be trained."""
        for recipe in self.study.runs:
            require_trainable(self.study.training(recipe), self.texts_of(recipe.languages).data)

    def stack(self, recipe: Recipe, step: int | None = None) -> Stack:
        """The models of a run at a step, or the last."""
        return stack(self.out / MODELS / recipe.name, step)

    def _passages(self, tokens: Tokens, end_of_text: int) -> Tokens:
        study = self.study
        return passages(tokens, study.tokens_held_out, study.sliding.window, end_of_text)

    def _cloned(self) -> Both:
        study, text = self.study, self.study.text
        reader = real.reader(self.corpora[text], study.ids, self.out)
        tokens = store(self.corpora[text], reader)
        end = reader.end_of_text
        clones = Clones(study.ids, len(CLONES), special=(end,))
        train, valid, test = (tokens[text, part] for part in ("train", "valid", "test"))
        held_out = self._passages(test, end)
        per_byte = len(valid.ids) / max(valid.bytes, 1)
        encoders: dict[str, Encode] = clones.encoders()
        ids = {name: _encoded(train.ids, name, encoders) for name in CLONES}
        data = Data(
            reader,
            clones.total,
            dict.fromkeys(CLONES, train.ids),
            {name: _encoded(valid.ids, name, encoders) for name in CLONES},
            dict.fromkeys(CLONES, per_byte),
            hashlib.sha256(f"{tokens.fingerprint} {clones}".encode()).hexdigest(),
            encoders,
        )
        rows = windows(test, study.sentences, study.model.context // 2).astype(np.int32)
        rows[:, 0] = end
        lengths = np.full(len(rows), rows.shape[1] - 1)
        first, other = (
            Sentences(_encoded(rows, name, encoders).astype(np.int32), lengths) for name in CLONES
        )
        words = {
            (name, part): self._words(reader, self.trees[text, part], encoders.get(name))
            for name in CLONES
            for part in (PARTS if self.trees else ())
        }
        texts = {
            name: Tokens(_encoded(held_out.ids, name, encoders), held_out.ends, held_out.sizes)
            for name in CLONES
        }
        return Both(CLONES, data, ids, texts, (first, other), _padded(words))

    def _real(self, pair: Pair) -> Both:
        study = self.study
        text = self.corpora[pair[1]]
        read = real.load(real.Pair(pair, "shared", 2 * study.ids), text, self.out)
        sentences, why = real.aligned(read, text, context=study.model.context, most=study.sentences)
        if sentences is None:
            raise UserError(f"{why}: give --corpus with aligned text, or other languages")
        words = {
            (name, part): self._words(read.tokenizers[name], self.trees[name, part], None)
            for name in pair
            for part in (PARTS if self.trees else ())
        }
        return Both(
            pair,
            read.data(),
            {name: read.tokens[name, "train"].ids for name in pair},
            {name: self._passages(read.test(name), read.end_of_text) for name in pair},
            sentences,
            _padded(words),
        )

    def _words(
        self, reader: Tokenizer, sentences: Sequence[Sentence], encode: Encode | None
    ) -> Words:
        encoded = encoded_words(sentences, reader, self.study.model.context)
        labels = encoded.labels([places(item, item.upos, UPOS) for item in sentences])[
            encoded.there
        ]
        ids = encoded.ids if encode is None else encode(encoded.ids).astype(np.int32)
        return Words(replace(encoded, ids=ids), labels)


def _encoded(
    ids: NDArray[np.integer], name: str, encoders: Mapping[str, Encode]
) -> NDArray[np.uint32]:
    """Text as a clone reads it."""
    encode = encoders.get(name)
    return np.asarray(ids if encode is None else encode(np.asarray(ids)), np.uint32)


def _padded(words: Mapping[tuple[str, str], Words]) -> dict[tuple[str, str], Words]:
    """All with room for equally many words a sentence, so that one program reads them."""
    most = max((labelled.examples.first.shape[1] for labelled in words.values()), default=0)
    return {
        key: replace(labelled, examples=labelled.examples.padded(most))
        for key, labelled in words.items()
    }


def _spaced(items: Sequence[T], most: int) -> list[T]:
    """At most so many, evenly spaced."""
    chosen = np.linspace(0, len(items) - 1, min(most, len(items))).astype(np.int64)
    return [items[row] for row in chosen]
