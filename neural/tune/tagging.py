"""Tags of words: parts of speech of treebanks, and named entities; a linear head on the mean of a word's subwords."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from numpy.typing import NDArray

from neural.gpt.config import Compute, ModelConfig
from neural.gpt.model import Parameters
from neural.measures.words import NONE, WordExamples, encoded_words, word_states
from neural.text import ner
from neural.text.tokenizer import Tokenizer
from neural.text.treebank import Sentence
from neural.tune.objective import Batch, Supervised
from sim.runs.errors import UserError

UPOS = tuple(
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
)
"""Universal parts of speech (de Marneffe et al. 2021)."""

WEIGHT, BIAS = "tag.weight", "tag.bias"
"""The head (d, C) and its bias (C,)."""

Part = tuple[str, str]
"""A language and train, dev or test."""


class Named(Protocol):
    """A sentence with a name, to be told by."""

    @property
    def name(self) -> str: ...


def parts_of_speech(
    sentences: Mapping[Part, Sequence[Sentence]],
    tokenizer: Tokenizer,
    config: ModelConfig,
    languages: tuple[str, ...],
    **options: Any,
) -> Supervised:
    """UPOS of the words of treebanks; options are fields of `Supervised`. Measures: accuracy, nats.

    Raises UserError for a sentence with another part of speech, and for a tokenizer with more ids than the model.
    """
    parts = {
        part: arrays(examples, [places(item, item.upos, UPOS) for item in sentences[part]])
        for part, examples in word_parts(sentences, tokenizer, config).items()
    }
    return Supervised(languages, parts, UPOS, logits, head, **options)


def named_entities(
    sentences: Mapping[Part, Sequence[ner.Sentence]],
    tokenizer: Tokenizer,
    config: ModelConfig,
    languages: tuple[str, ...],
    **options: Any,
) -> Supervised:
    """IOB2 tags of Universal NER. Measures: accuracy, nats, and f1 of entities; all of words that the context holds.

    Raises UserError as `parts_of_speech`.
    """
    parts = {
        part: arrays(examples, [places(item, item.tags, ner.TAGS) for item in sentences[part]])
        for part, examples in word_parts(sentences, tokenizer, config).items()
    }
    return Supervised(languages, parts, ner.TAGS, logits, head, further=entity_measure, **options)


def logits(state: Parameters, batch: Any, config: ModelConfig, compute: Compute) -> jax.Array:
    """Of the tags of words, (B, W, C) float32."""
    words = word_states(state, batch["ids"], batch["first"], batch["end"], config, compute)
    return words @ state[WEIGHT] + state[BIAS]


def head(config: ModelConfig, classes: int) -> dict[str, tuple[int, ...]]:
    """The shapes of a linear head."""
    return {WEIGHT: (config.width, classes), BIAS: (classes,)}


def entity_measure(
    data: Batch, classes: NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, float]:
    """f1, of the entities that the labels mark."""
    there = data["labels"] != NONE

    def tags(values: NDArray[np.int64]) -> list[list[str]]:
        return [[names[v] for v in row[kept]] for row, kept in zip(values, there, strict=True)]

    return {"f1": ner.entity_f1(tags(data["labels"]), tags(classes))}


def word_parts(
    sentences: Mapping[Part, Sequence[Any]], tokenizer: Tokenizer, config: ModelConfig
) -> dict[Part, WordExamples]:
    """The words of all parts among the tokens of a model's context, with room for equally many a sentence.

    Raises UserError for a tokenizer that has more ids than the model.
    """
    if tokenizer.vocabulary > config.vocabulary:
        raise UserError(
            f"a tokenizer of {tokenizer.vocabulary} ids and a model of {config.vocabulary}: give the model's own"
        )
    words = {
        part: encoded_words(items, tokenizer, config.context) for part, items in sentences.items()
    }
    most = max(examples.first.shape[1] for examples in words.values())
    return {part: examples.padded(most) for part, examples in words.items()}


def arrays(examples: WordExamples, labels: Sequence[Sequence[int]]) -> Batch:
    """What the head reads of sentences, (N, ...) each, with the labels of their words."""
    return {
        "ids": examples.ids,
        "first": examples.first.astype(np.int32),
        "end": examples.end.astype(np.int32),
        "labels": examples.labels(labels).astype(np.int32),
    }


def places(sentence: Named, values: Sequence[str], names: tuple[str, ...]) -> list[int]:
    """Of each value its place among the names. Raises UserError with the sentence for one that has none."""
    place_of = {name: place for place, name in enumerate(names)}
    for value in values:
        if value not in place_of:
            raise UserError(
                f"sentence {sentence.name}: unknown label {value!r}: give one of {', '.join(names)}"
            )
    return [place_of[value] for value in values]
