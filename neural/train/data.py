"""What a run reads: encoded text, batches for each of its models, and fixed windows of validation text."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural.text.mixture import Mixture, parse_schedule
from neural.text.tokenizer import Tokenizer
from neural.train.recipe import TrainConfig
from sim.runs.errors import UserError

Ids = NDArray[np.unsignedinteger[Any]]
Encode = Callable[[NDArray[np.int32]], NDArray[Any]]

NOTHING: Mapping[str, Encode] = {}


@dataclass(frozen=True, eq=False)
class Data:
    """The text of a run as ids below `vocabulary`: streams of training and of validation text by language.

    tokens_per_byte is of the validation text. Languages given the same training array draw from it together.
    """

    tokenizer: Tokenizer
    vocabulary: int
    train: Mapping[str, Ids]
    valid: Mapping[str, Ids]
    tokens_per_byte: Mapping[str, float]
    fingerprint: str
    """Of text and tokenizer."""
    encode: Mapping[str, Encode] = field(default_factory=dict)
    """By language, what becomes of its training sequences (N, context + 1); without one they are read as they are."""
    altered: Mapping[str, str] = field(default_factory=dict)
    """By language, where the tokenizer alters its validation text, whose tokens_per_byte are then NaN."""

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self.train)

    def bits_per_byte(self, language: str, loss: float) -> float:
        """Of a mean loss in nats a token, at the tokens a byte of all validation text; NaN where that is altered."""
        return loss * self.tokens_per_byte[language] / math.log(2)


def prepare(config: TrainConfig, tokenizer: Tokenizer | None = None) -> Data:
    """Read the corpus and encode it, with a tokenizer or that of the configuration.

    Raises UserError for sources, languages and tokenizers that are unknown or unusable.
    """
    from pathlib import Path

    from neural.text import corpus, tokens
    from neural.text import tokenizer as tokenizers

    schedules = [parse_schedule(mixture) for mixture in config.languages]
    names = dict.fromkeys(name for schedule in schedules for name in schedule.languages)
    text = corpus.load(config.corpus, tuple(names), data_dir=config.data_dir)
    if tokenizer is not None:
        pass
    elif config.tokenizer == "bytes":
        tokenizer = tokenizers.ByteTokenizer()
    elif config.tokenizer == "bpe":
        tokenizer = tokenizers.train(text, config.model.vocabulary)
    else:
        tokenizer = tokenizers.load(Path(config.tokenizer))
    store = tokens.store(text, tokenizer, config.cache)
    valid = {name: store[name, "valid"] for name in store.languages}
    return Data(
        tokenizer,
        tokenizer.vocabulary,
        store.streams("train"),
        {name: part.ids for name, part in valid.items()},
        {
            name: math.nan if part.altered else len(part.ids) / max(part.bytes, 1)
            for name, part in valid.items()
        },
        store.fingerprint,
        altered={name: part.altered for name, part in valid.items() if part.altered},
    )


def mixtures(config: TrainConfig, data: Data) -> tuple[Mixture, ...]:
    """One for each of the configuration's. Raises UserError for text that does not suffice for it."""
    if config.model.vocabulary < data.vocabulary:
        raise UserError(
            f"the text has {data.vocabulary} different ids, the model a vocabulary of {config.model.vocabulary}: "
            f"make it {data.vocabulary} or more"
        )
    return tuple(
        Mixture(
            parse_schedule(mixture),
            data.train,
            batch_size=config.batch,
            context=config.model.context,
            steps=config.steps,
        )
        for mixture in config.languages
    )


def batch(
    config: TrainConfig,
    mixtures: tuple[Mixture, ...],
    step: int,
    encode: Mapping[str, Encode] = NOTHING,
) -> NDArray[np.int32]:
    """Of the update after `step` others: tokens (models, parts, sequences, context + 1), encoded by language."""
    shape = (config.accumulation, config.part, config.model.context + 1)
    by_model = []
    for member in config.members:
        mixture = mixtures[member.mixture]
        tokens, languages = mixture.batch(member.seed, step)
        for index, name in enumerate(mixture.languages):
            if name in encode:
                tokens[languages == index] = encode[name](tokens[languages == index])
        by_model.append(tokens.reshape(shape))
    return np.stack(by_model)


def windows(config: TrainConfig, data: Data) -> NDArray[np.int32]:
    """Validation text (languages, parts, sequences, context + 1), evenly spaced in that of each language.

    Raises UserError where it is shorter than one window.
    """
    parts, context = -(-config.evaluation // config.part), config.model.context
    by_language = []
    for language in data.languages:
        ids = data.valid[language]
        if len(ids) <= context:
            raise UserError(
                f"{language} has {len(ids)} tokens of validation text, less than one context of {context} and the "
                "next token: lower --context, give more text, or add --evaluate-every 0"
            )
        starts = np.linspace(0, len(ids) - context - 1, parts * config.part).astype(np.int64)
        by_language.append(ids[starts[:, None] + np.arange(context + 1)].astype(np.int32))
    return np.stack(by_language).reshape(len(by_language), parts, config.part, context + 1)
